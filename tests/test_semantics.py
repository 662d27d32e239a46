"""Rows, weights, sigma, penalty, fixed and bounds mean what the words say."""

import math
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import optimize

import steepest

RANDOM = np.random.default_rng(7)
X = np.linspace(0.1, 4.0, 40)
Y = 3.0 * np.exp(-0.8 * X) + 0.5 + 0.05 * RANDOM.normal(size=X.size)
W = RANDOM.uniform(0.2, 3.0, X.size)
S = RANDOM.uniform(0.02, 0.2, X.size)
DATA = {"x": X, "y": Y, "w": W, "s": S}
CURVE = "y = a*exp(-b*x) + c"
LINE = "y = a + b*x"
NAMES = ("a", "b", "c")


def curve(x, a, b, c):
    return a * np.exp(-b * x) + c


def design(x):
    return np.c_[np.ones_like(x), x]


def values(fit, names=NAMES):
    return np.array([fit.values[n] for n in names])


def errors(fit, names=NAMES):
    return np.array([fit.errors[n] for n in names])


def subset(rows):
    return {name: column[rows] for name, column in DATA.items()}


# rows ------------------------------------------------------------------------------------------------------------
def test_where_chooses_rows():
    fit = steepest.fit(CURVE, DATA, where="x > 0.5 and w < 2.5")
    chosen = (X > 0.5) & (W < 2.5)
    best, _ = optimize.curve_fit(curve, X[chosen], Y[chosen], p0=[1, 1, 1], ftol=1e-14, xtol=1e-14)
    np.testing.assert_allclose(values(fit), best, rtol=1e-6)
    assert fit.rows == int(chosen.sum())
    assert fit.dropped == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
def test_rows_that_where_leaves_out_are_neither_checked_nor_counted(bad):
    y = [bad if x < 0.5 else v for x, v in zip(X, Y, strict=True)]
    fit = steepest.fit(LINE, {"x": X, "y": y}, where="x >= 0.5")
    kept = X >= 0.5
    best = np.linalg.lstsq(design(X[kept]), Y[kept], rcond=None)[0]
    np.testing.assert_allclose(values(fit, "ab"), best, rtol=1e-10)
    assert fit.dropped == 0
    assert fit.rows == int(kept.sum())


def test_a_null_in_the_condition_itself_leaves_the_row_out():
    z = np.where(np.arange(X.size) % 7 == 0, math.nan, 1.0)
    fit = steepest.fit(LINE, {"x": X, "y": Y, "z": z}, where="z > 0")
    kept = np.isfinite(z)
    np.testing.assert_allclose(values(fit, "ab"), np.linalg.lstsq(design(X[kept]), Y[kept], rcond=None)[0], rtol=1e-10)


def test_a_row_with_a_null_or_nan_in_a_used_column_is_dropped_and_counted_by_column():
    x, y, w = X.copy(), Y.copy(), W.copy()
    x[3] = x[9] = y[9] = y[20] = w[21] = math.nan
    unused = np.full(X.size, math.nan)
    fit = steepest.fit(LINE, {"x": x, "y": y, "w": w, "unused": unused}, weights="w")
    kept = np.isfinite(x) & np.isfinite(y) & np.isfinite(w)
    root = np.sqrt(w[kept])
    best = np.linalg.lstsq(design(x[kept]) * root[:, None], y[kept] * root, rcond=None)[0]
    np.testing.assert_allclose(values(fit, "ab"), best, rtol=1e-10)
    assert (fit.rows, fit.dropped) == (X.size - 4, 4)
    assert fit.dropped_by_column == {"y": 2, "x": 2, "w": 1}
    text = fit.text()
    assert "4 rows" in text and "x 2" in text


def test_a_row_dropped_from_a_matrix_column_counts_once():
    matrix = np.c_[np.ones(X.size), X]
    matrix[5] = math.nan
    fit = steepest.fit("y = M @ B", {"M": matrix, "y": Y})
    kept = np.arange(X.size) != 5
    np.testing.assert_allclose(fit.values["B"], np.linalg.lstsq(matrix[kept], Y[kept], rcond=None)[0], rtol=1e-10)
    assert fit.dropped == 1 and fit.dropped_by_column == {"M": 1}


@pytest.mark.parametrize(("column", "place"), [("x", 4), ("y", 0), ("w", 39)])
@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_infinity_is_a_data_error_that_names_row_and_column(column, place, bad):
    table = {n: v.copy() for n, v in DATA.items()}
    table[column][place] = bad
    with pytest.raises(steepest.DataError, match=rf"inf in column '{column}' at row {place}"):
        steepest.fit(LINE, table, weights="w")


def test_infinity_in_a_file_is_named_by_file_and_line(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("x,y\n1,2\n2,inf\n3,4\n", encoding="utf-8")
    with pytest.raises(steepest.DataError, match=r"'y' at line 3 of bad\.csv"):
        steepest.fit(LINE, path)


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16, np.float32, bool])
def test_integers_booleans_and_float32_are_computed_in_float64(kind):
    x = (np.arange(12) % 2 if kind is bool else np.arange(12)).astype(kind)
    y = np.cos(np.arange(12.0))
    fit = steepest.fit(LINE, {"x": x, "y": y})
    np.testing.assert_allclose(values(fit, "ab"), np.linalg.lstsq(design(x.astype(float)), y, rcond=None)[0], rtol=1e-9)


@pytest.mark.parametrize("column", [["a"] * 40, X + 1j, np.datetime64("2020-01-01") + np.arange(40)])
def test_text_complex_and_dates_are_data_errors(column):
    with pytest.raises(steepest.DataError, match="'x'"):
        steepest.fit(LINE, {"x": column, "y": Y})


def test_an_unused_column_of_text_does_no_harm():
    fit = steepest.fit(LINE, {"x": X, "y": Y, "label": ["a"] * X.size})
    assert fit.status == "converged"


# weights ---------------------------------------------------------------------------------------------------------
def test_weights_are_those_of_numpy():
    fit = steepest.fit(LINE, DATA, weights="w")
    root = np.sqrt(W)
    best, rss, *_ = np.linalg.lstsq(design(X) * root[:, None], Y * root, rcond=None)
    np.testing.assert_allclose(values(fit, "ab"), best, rtol=1e-10)
    assert fit.rss == pytest.approx(float(rss[0]), rel=1e-10)
    assert fit.rms == pytest.approx(math.sqrt(float(rss[0]) / X.size), rel=1e-10)
    assert fit.total == pytest.approx(0.5 * float(rss[0]), rel=1e-10)
    assert fit.loss == pytest.approx(0.5 * float(rss[0]) / W.sum(), rel=1e-10)
    covariance = np.linalg.inv(design(X).T @ (design(X) * W[:, None])) * float(rss[0]) / (X.size - 2)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-8)


def test_a_weight_is_a_relative_precision_as_in_curve_fit():
    fit = steepest.fit(CURVE, DATA, weights="1/s**2")
    best, covariance = optimize.curve_fit(curve, X, Y, p0=[1, 1, 1], sigma=S, ftol=1e-14, xtol=1e-14, gtol=1e-14)
    np.testing.assert_allclose(values(fit), best, rtol=1e-6)
    np.testing.assert_allclose(errors(fit), np.sqrt(np.diag(covariance)), rtol=1e-5)


@pytest.mark.parametrize("scale", ["1e-6", "0.37", "1e8"])
@pytest.mark.parametrize("formula", [LINE, CURVE])
def test_scaling_all_weights_changes_neither_values_nor_errors_for_squares(formula, scale):
    plain, scaled = (steepest.fit(formula, DATA, weights=w) for w in ("w", f"{scale}*w"))
    assert scaled.status == "converged"
    for name in plain.free:
        assert scaled.values[name] == pytest.approx(plain.values[name], rel=1e-8)
        assert scaled.errors[name] == pytest.approx(plain.errors[name], rel=1e-6)


def test_weights_that_are_all_one_change_nothing():
    plain, ones = steepest.fit(CURVE, DATA), steepest.fit(CURVE, {**DATA, "k": np.ones(X.size)}, weights="k")
    np.testing.assert_allclose(values(ones), values(plain), rtol=1e-12)
    np.testing.assert_allclose(errors(ones), errors(plain), rtol=1e-10)


@pytest.mark.parametrize("method", ["auto", "gd"])
def test_a_weight_of_zero_drops_the_row(method):
    keep = np.arange(X.size) % 3 != 0
    y = np.where(keep, Y, 1e6)
    fit = steepest.fit(LINE, {"x": X, "y": y, "w": keep.astype(float)}, weights="w", method=method)
    reference = steepest.fit(LINE, subset(keep), method=method)
    np.testing.assert_allclose(values(fit, "ab"), values(reference, "ab"), rtol=1e-6)
    assert fit.rows == reference.rows == int(keep.sum())
    assert fit.dropped == 0
    np.testing.assert_allclose(errors(fit, "ab"), errors(reference, "ab"), rtol=1e-6)


@pytest.mark.parametrize("where", ["at first", "in the middle"])
def test_a_negative_weight_is_a_data_error(where):
    w = W.copy()
    w[0 if where == "at first" else 17] = -0.5
    with pytest.raises(steepest.DataError, match=r"weight.*-0\.5.*row (0|17)"):
        steepest.fit(LINE, {**DATA, "w": w}, weights="w")


def test_weights_may_be_an_expression_of_columns():
    first = steepest.fit(LINE, DATA, weights="1/(0.1 + x)")
    second = steepest.fit(LINE, {**DATA, "v": 1 / (0.1 + X)}, weights="v")
    np.testing.assert_allclose(values(first, "ab"), values(second, "ab"), rtol=1e-12)


def test_weights_that_hold_a_parameter_are_refused():
    with pytest.raises(steepest.FormulaError, match="a in weights is not a column"):
        steepest.fit(LINE, DATA, weights="a*x")


def test_weights_as_an_array_are_refused_with_the_mend():
    with pytest.raises(steepest.FitError, match="put the numbers into"):
        steepest.fit(LINE, DATA, weights=W)


# sigma -----------------------------------------------------------------------------------------------------------
def test_a_known_sigma_gives_the_absolute_errors_of_curve_fit():
    fit = steepest.fit(CURVE, DATA, sigma="s")
    best, covariance = optimize.curve_fit(
        curve, X, Y, p0=[1, 1, 1], sigma=S, absolute_sigma=True, ftol=1e-14, xtol=1e-14, gtol=1e-14
    )
    np.testing.assert_allclose(values(fit), best, rtol=1e-6)
    np.testing.assert_allclose(errors(fit), np.sqrt(np.diag(covariance)), rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.05, 2, "0.05"])
def test_sigma_may_be_one_number(sigma):
    fit = steepest.fit(LINE, DATA, sigma=sigma)
    inverse = np.linalg.inv(design(X).T @ design(X)) * float(sigma) ** 2
    np.testing.assert_allclose(fit.covariance, inverse, rtol=1e-9)
    best, rss, *_ = np.linalg.lstsq(design(X), Y, rcond=None)
    np.testing.assert_allclose(values(fit, "ab"), best, rtol=1e-9)
    assert fit.rss == pytest.approx(float(rss[0]) / float(sigma) ** 2, rel=1e-9)


def test_scaling_sigma_scales_the_errors_and_not_the_values():
    one, ten = steepest.fit(CURVE, DATA, sigma="s"), steepest.fit(CURVE, DATA, sigma="10*s")
    np.testing.assert_allclose(values(ten), values(one), rtol=1e-7)
    np.testing.assert_allclose(errors(ten), 10 * errors(one), rtol=1e-6)


def test_a_known_sigma_gives_errors_even_where_rows_are_as_many_as_parameters():
    fit = steepest.fit(LINE, {"x": [0.0, 1.0], "y": [1.0, 3.0]}, sigma=0.5)
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(np.array([[2.0, 1.0], [1.0, 1.0]])) * 0.25, rtol=1e-9)


@pytest.mark.parametrize("sigma", [0, -1.0, math.nan, math.inf])
def test_a_sigma_that_is_no_standard_deviation_is_refused(sigma):
    with pytest.raises(steepest.SteepestError, match="sigma"):
        steepest.fit(LINE, DATA, sigma=sigma)


@pytest.mark.parametrize("bad", [0.0, -0.1])
def test_a_column_of_sigma_that_is_not_positive_is_a_data_error(bad):
    s = S.copy()
    s[11] = bad
    with pytest.raises(steepest.DataError, match="row 11"):
        steepest.fit(LINE, {**DATA, "s": s}, sigma="s")


# penalty ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["auto", "newton", "gd", "nesterov"])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("strength", [1e-3, 1.0, 100.0])
def test_a_ridge_is_its_closed_form_whatever_the_method_and_reduction(method, reduce, strength):
    matrix = np.c_[X, X**2, np.cos(X)]
    fit = steepest.fit("y = M @ B", {"M": matrix, "y": Y}, penalty=f"{strength}*(B @ B)", method=method, reduce=reduce)
    best = np.linalg.solve(matrix.T @ matrix + 2 * strength * np.eye(3), matrix.T @ Y)
    np.testing.assert_allclose(fit.values["B"], best, rtol=1e-3 if method in ("gd", "nesterov") else 1e-8)
    residual = Y - matrix @ best
    total = 0.5 * residual @ residual + strength * best @ best
    assert fit.total == pytest.approx(total, rel=1e-6)
    assert fit.loss == pytest.approx(total / (1 if reduce == "sum" else X.size), rel=1e-6)
    assert fit.rss == pytest.approx(float(residual @ residual), rel=1e-4)


def test_a_penalty_of_scalars_is_the_same_as_of_a_vector():
    data = {"u": X, "v": X**2, "y": Y}
    vector = steepest.fit("y = [u, v] @ B", data, penalty="0.3*(B @ B)")
    scalars = steepest.fit("y = p*u + q*v", data, penalty="0.3*(p**2 + q**2)")
    np.testing.assert_allclose([scalars.values["p"], scalars.values["q"]], vector.values["B"], rtol=1e-10)


def test_errors_under_a_penalty_are_none_with_a_reason_and_by_the_hessian_on_request():
    fit = steepest.fit(LINE, DATA, penalty="2*b**2")
    assert fit.ok and fit.errors is None and "penalty" in fit.reason
    asked = steepest.fit(LINE, DATA, penalty="2*b**2", errors="hessian")
    assert asked.errors is not None
    bent = design(X).T @ design(X) + np.diag([0.0, 4.0])
    s2 = asked.rss / (X.size - 2)
    expected = np.linalg.inv(bent) * s2
    np.testing.assert_allclose(asked.covariance, expected, rtol=1e-6)


def test_a_penalty_that_is_no_quadratic_is_the_minimum_of_scipy():
    fit = steepest.fit(CURVE, DATA, penalty="0.7*log(cosh(a - 1)) + b**4")

    def total(t):
        return 0.5 * np.sum((Y - curve(X, *t)) ** 2) + 0.7 * np.log(np.cosh(t[0] - 1)) + t[1] ** 4

    best = optimize.minimize(total, [1, 1, 1], method="BFGS", options={"gtol": 1e-10})
    np.testing.assert_allclose(values(fit), best.x, rtol=1e-5)
    assert fit.total <= best.fun * (1 + 1e-12)


@pytest.mark.parametrize(
    ("penalty", "words"),
    [("x**2", "column"), ("zeta**2", "no parameter"), ("a = 1", "not an equation"), ("y", "column")],
)
def test_a_penalty_holds_parameters_alone(penalty, words):
    with pytest.raises(steepest.FormulaError, match=words):
        steepest.fit(LINE, DATA, penalty=penalty)


# fixed -----------------------------------------------------------------------------------------------------------
def test_a_fixed_parameter_stands_in_values_but_not_in_errors_or_covariance():
    fit = steepest.fit(CURVE, DATA, fixed={"c": 0.4})
    best, covariance = optimize.curve_fit(
        lambda x, a, b: curve(x, a, b, 0.4), X, Y, p0=[1, 1], ftol=1e-14, xtol=1e-14, gtol=1e-14
    )
    assert fit.values["c"] == 0.4
    np.testing.assert_allclose(values(fit, "ab"), best, rtol=1e-6)
    assert set(fit.errors) == {"a", "b"} == set(fit.free)
    assert fit.covariance.shape == (2, 2)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance)), np.sqrt(np.diag(covariance)), rtol=1e-5)


def test_fixing_to_zero_is_leaving_the_term_out():
    fixed, without = steepest.fit(CURVE, DATA, fixed={"c": 0}), steepest.fit("y = a*exp(-b*x)", DATA)
    np.testing.assert_allclose(values(fixed, "ab"), values(without, "ab"), rtol=1e-9)


def test_a_start_for_a_fixed_parameter_is_not_an_error_and_everything_may_be_fixed():
    fit = steepest.fit(LINE, DATA, fixed={"a": 1, "b": 2}, start={"a": 5})
    assert fit.values == {"a": 1, "b": 2}
    assert fit.free == ()
    assert fit.rss == pytest.approx(float(np.sum((Y - 1 - 2 * X) ** 2)), rel=1e-12)


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"d": 1}, "d stands in fixed but is no parameter"),
        ({"a": math.nan}, "finite"),
        ({"a": math.inf}, "finite"),
        ({"a": [1, 2]}, "numbers"),
    ],
)
def test_a_fixed_value_that_cannot_be_used_is_refused(fixed, words):
    with pytest.raises(steepest.FitError, match=words):
        steepest.fit(LINE, DATA, fixed=fixed)


# bounds ----------------------------------------------------------------------------------------------------------
BOXES = {
    "inactive": {"a": (0, 10), "b": (0, None)},
    "a low": {"a": (None, 2.0)},
    "c low": {"c": (None, 0.2)},
    "b high": {"b": (1.2, 3.0)},
    "two": {"a": (None, 2.5), "c": (0.6, None)},
    "all": {"a": (None, 2.0), "b": (1.5, None), "c": (1.0, None)},
    "from below": {"b": (None, 0.3)},
}


@pytest.mark.parametrize("method", ["auto", "newton"])
@pytest.mark.parametrize("box", BOXES)
def test_bounds_are_those_of_scipy(box, method):
    bounds = BOXES[box]
    low = [-np.inf if bounds.get(n, (None, None))[0] is None else bounds[n][0] for n in NAMES]
    high = [np.inf if bounds.get(n, (None, None))[1] is None else bounds[n][1] for n in NAMES]
    start = np.clip([1.0, 1.0, 1.0], low, high)
    fit = steepest.fit(CURVE, DATA, bounds=bounds, method=method)
    inside = np.clip(start, np.array(low) + 1e-6, np.array(high) - 1e-6)
    best = optimize.least_squares(
        lambda t: curve(X, *t) - Y, inside, bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    assert fit.status == "converged", fit.message
    assert fit.rss <= 2 * best.cost * (1 + 1e-8)
    np.testing.assert_allclose(values(fit), best.x, rtol=1e-4)
    found = values(fit)
    slope = -(np.c_[np.exp(-found[1] * X), -found[0] * X * np.exp(-found[1] * X), np.ones(X.size)]).T @ (
        Y - curve(X, *found)
    )
    for j in range(3):  # the multiplier has the right sign at every bound
        if found[j] <= low[j]:
            assert slope[j] >= 0
        elif found[j] >= high[j]:
            assert slope[j] <= 0
        else:
            assert abs(slope[j]) < 1e-4


@pytest.mark.parametrize("method", ["gd", "nesterov", "momentum"])
def test_first_order_methods_project_onto_bounds(method):
    fit = steepest.fit(LINE, DATA, bounds={"a": (None, 1.0)}, method=method)
    best = optimize.lsq_linear(design(X), Y, bounds=([-np.inf, -np.inf], [1.0, np.inf]), tol=1e-15)
    assert fit.values["a"] == 1.0
    np.testing.assert_allclose(values(fit, "ab"), best.x, rtol=1e-4)


@pytest.mark.parametrize("method", ["auto", "newton", "gd", "adam", "sgd"])
def test_no_iterate_ever_leaves_its_bounds(method):
    rate = {"adam": 0.05, "sgd": 0.01}.get(method)
    seen = []
    steepest.fit(
        CURVE, DATA, bounds={"a": (0, 2), "b": (0.1, 0.5), "c": (0, 0.1)}, method=method, rate=rate,
        stop=steepest.Stop(passes=50), callbacks=[lambda step: seen.append(step.theta)],
    )  # fmt: skip
    assert (np.array(seen) >= [0, 0.1, 0]).all()
    assert (np.array(seen) <= [2, 0.5, 0.1]).all()


def test_at_an_active_bound_there_are_no_errors_and_the_reason_says_why():
    fit = steepest.fit(CURVE, DATA, bounds={"a": (None, 2.0)})
    assert fit.ok and fit.errors is None and "bound" in fit.reason


def test_inactive_bounds_change_no_errors():
    free, boxed = steepest.fit(CURVE, DATA), steepest.fit(CURVE, DATA, bounds={"a": (0, 100), "b": (0, 50)})
    np.testing.assert_allclose(errors(boxed), errors(free), rtol=1e-6)


def test_a_start_at_a_bound_with_the_wrong_multiplier_is_left():
    fit = steepest.fit(LINE, DATA, bounds={"b": (-5, 0)}, start={"b": 0})
    np.testing.assert_allclose(values(fit, "ab"), np.linalg.lstsq(design(X), Y, rcond=None)[0], rtol=1e-8)


@pytest.mark.parametrize("method", ["auto", "gd"])
def test_a_function_that_falls_towards_a_bound_converges_there(method):
    fit = steepest.minimize("(x - 3)**2 + (y + 1)**2", {"x": 0, "y": 0}, bounds={"x": (None, 1)}, method=method)
    assert fit.status == "converged", fit.message
    assert fit.values["x"] == 1
    assert fit.values["y"] == pytest.approx(-1, abs=1e-4)


def test_maximize_towards_a_bound():
    fit = steepest.maximize("x - (y - 2)**2", {"x": 0, "y": 0}, bounds={"x": (-1, 4)})
    assert fit.ok
    assert fit.values["x"] == 4
    assert fit.values["y"] == pytest.approx(2, abs=1e-8)


@pytest.mark.parametrize("method", ["auto", "gd", "adam"])
def test_a_saddle_at_a_bound_with_zero_multiplier_is_not_called_converged(method):
    """f = -x² + y² with x ≥ 0: at the origin the slope is zero, and the loss falls inwards."""
    rate = {"adam": 0.1}.get(method)
    fit = steepest.minimize(
        "-x**2 + y**2", {"x": 0, "y": 1}, bounds={"x": (0, 5)}, method=method, rate=rate, stop=steepest.Stop(passes=500)
    )
    assert not fit.ok or fit.values["x"] == 5


def test_vector_bounds_hold_for_each_element():
    matrix = np.c_[np.ones(X.size), X, np.cos(X)]
    fit = steepest.fit("y = M @ B", {"M": matrix, "y": Y}, bounds={"B": (0, None)})
    best = optimize.nnls(matrix, Y)[0]
    np.testing.assert_allclose(fit.values["B"], best, atol=1e-8)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"a": (2, 1)}, "above"),
        ({"a": (1, 1)}, "fixed"),
        ({"a": 3}, "pair"),
        ({"a": ("x", 1)}, "not a number"),
        ({"d": (0, 1)}, "d stands in bounds but is no parameter"),
        ({"a": (math.nan, 1)}, "finite|number"),
    ],
)
def test_bounds_that_cannot_be_used_are_refused(bounds, words):
    with pytest.raises(steepest.FitError, match=words):
        steepest.fit(LINE, DATA, bounds=bounds)


# the left side, matrices, sources --------------------------------------------------------------------------------
def test_the_left_side_may_be_an_expression_of_columns():
    fit = steepest.fit("log(y) = a + b*x", DATA)
    best, rss, *_ = np.linalg.lstsq(design(X), np.log(Y), rcond=None)
    np.testing.assert_allclose(values(fit, "ab"), best, rtol=1e-10)
    assert fit.rss == pytest.approx(float(rss[0]), rel=1e-10)
    np.testing.assert_allclose(fit.predict({"x": X}), best[0] + best[1] * X, rtol=1e-9)


def test_the_left_side_may_hold_two_columns():
    fit = steepest.fit("y/x = a + b/x", DATA)
    best = np.linalg.lstsq(np.c_[np.ones_like(X), 1 / X], Y / X, rcond=None)[0]
    np.testing.assert_allclose(values(fit, "ab"), best, rtol=1e-10)


def test_a_parameter_on_the_left_side_is_refused():
    with pytest.raises(steepest.FormulaError, match="k on the left side is no column"):
        steepest.fit("y + k = a*x", DATA)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_column_is_a_vector_of_parameters(order):
    matrix = np.asarray(np.c_[np.ones(X.size), X, X**2], order=order)
    fit = steepest.fit("y = M @ B", {"M": matrix, "y": Y})
    best, rss, *_ = np.linalg.lstsq(matrix, Y, rcond=None)
    np.testing.assert_allclose(fit.values["B"], best, rtol=1e-9)
    assert fit.free == ("B[0]", "B[1]", "B[2]")
    covariance = np.linalg.inv(matrix.T @ matrix) * float(rss[0]) / (X.size - 3)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-7)
    np.testing.assert_allclose(fit.errors["B"], np.sqrt(np.diag(covariance)), rtol=1e-7)


def test_a_list_of_columns_is_a_matrix():
    stacked = steepest.fit("y = [x, w, s] @ B + c", DATA)
    matrix = np.c_[X, W, S, np.ones(X.size)]
    best = np.linalg.lstsq(matrix, Y, rcond=None)[0]
    np.testing.assert_allclose([*stacked.values["B"], stacked.values["c"]], best, rtol=1e-8)


def test_a_list_may_hold_expressions_of_columns():
    fit = steepest.fit("y = [x, x**2, exp(-x)] @ B", DATA)
    best = np.linalg.lstsq(np.c_[X, X**2, np.exp(-X)], Y, rcond=None)[0]
    np.testing.assert_allclose(fit.values["B"], best, rtol=1e-8)


def test_a_vector_may_enter_through_a_nonlinear_function():
    matrix = np.c_[X, np.cos(3 * X)]
    y = 2 * np.exp(-(matrix @ [0.5, 0.2])) + 0.01 * np.sin(40 * X)
    fit = steepest.fit("y = a*exp(-(M @ B))", {"M": matrix, "y": y})
    best, covariance = optimize.curve_fit(
        lambda m, a, p, q: a * np.exp(-(m @ [p, q])), matrix, y, p0=[1, 1, 1], ftol=1e-14, xtol=1e-14, gtol=1e-14
    )
    np.testing.assert_allclose([fit.values["a"], *fit.values["B"]], best, rtol=1e-6)
    np.testing.assert_allclose([fit.errors["a"], *fit.errors["B"]], np.sqrt(np.diag(covariance)), rtol=1e-4)


def test_two_vectors_may_stand_in_one_formula():
    u, v = np.c_[np.ones(X.size), X], np.c_[np.cos(X), np.sin(X)]
    fit = steepest.fit("y = U @ A + V @ B", {"U": u, "V": v, "y": Y})
    best = np.linalg.lstsq(np.hstack([u, v]), Y, rcond=None)[0]
    np.testing.assert_allclose([*fit.values["A"], *fit.values["B"]], best, rtol=1e-7)


def test_a_matrix_of_one_column_has_a_vector_of_one_number():
    fit = steepest.fit("y = M @ B", {"M": X[:, None], "y": Y})
    assert isinstance(fit.values["B"], np.ndarray) and fit.values["B"].shape == (1,)
    assert fit.values["B"][0] == pytest.approx(X @ Y / (X @ X), rel=1e-10)


def test_arrow_lists_of_fixed_size_are_matrix_columns(tmp_path):
    matrix = np.c_[np.ones(X.size), X]
    column = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), 2)
    table = pa.table({"M": column, "y": Y})
    pq.write_table(table, tmp_path / "m.parquet")
    best = np.linalg.lstsq(matrix, Y, rcond=None)[0]
    for data in (table, tmp_path / "m.parquet"):
        np.testing.assert_allclose(steepest.fit("y = M @ B", data).values["B"], best, rtol=1e-9)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y = M*b", "matrix column"),
        ("y = x @ B", "one number a row"),
        ("y = M @ x", "column"),
        ("y = M @ B + B", "vector"),
        ("y = N @ B", "not a column"),
        ("M = a*x", "matrix column"),
        ("y = [x, b] @ B", "no column"),
    ],
)
def test_a_matrix_in_the_wrong_place_is_a_formula_error(formula, words):
    with pytest.raises(steepest.FormulaError, match=words):
        steepest.fit(formula, {"M": np.c_[X, X**2], "x": X, "y": Y})


# nothing is ignored ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("errors", ["hesian", "none", None])
def test_an_unknown_kind_of_errors_is_refused_before_anything_runs(errors):
    steps = []
    with pytest.raises(steepest.FitError, match="errors"):
        steepest.fit(
            CURVE, DATA, method="gd", rate=0.01, stop=steepest.Stop(steps=3), errors=errors, callbacks=[steps.append]
        )
    assert not steps


@pytest.mark.parametrize(
    "option",
    [
        {"loss": "rmse"},
        {"reduce": "sum"},
        {"parameters": ["a"]},
        {"weights": "w"},
        {"sigma": 2.0},
        {"penalty": "a**2"},
        {"where": "a > 0"},
    ],
)
def test_what_needs_data_is_refused_without_them(option):
    ((name, _),) = option.items()
    with pytest.raises(steepest.FitError, match=f"{name}= needs data"):
        steepest.descend("a**2", **option)


def test_a_loss_without_data_is_refused_by_explain_and_function():
    for verb in (steepest.explain, steepest.function):
        with pytest.raises(steepest.FitError, match="loss= needs data"):
            verb("a**2", loss="rmse")
    with pytest.raises(steepest.FitError, match="reduce= needs data"):
        steepest.function("a**2", reduce="sum")


@pytest.mark.parametrize("loss", ["rmse", "abs(y - prediction)"])
def test_a_formula_without_an_equals_sign_takes_no_loss(loss):
    with pytest.raises(steepest.FormulaError, match="without = is the loss of a row itself"):
        steepest.fit("(y - a*x)**2", DATA, loss=loss)


def test_errors_by_the_hessian_are_those_of_the_exact_hessian():
    asked, usual = (steepest.fit(CURVE, DATA, errors=errors) for errors in ("hessian", "auto"))
    theta = [asked.values[n] for n in NAMES]
    exact = steepest.function(CURVE, DATA, reduce="sum").hessian(theta)
    s2 = asked.rss / (X.size - 3)
    np.testing.assert_allclose(asked.covariance, s2 * np.linalg.inv(exact), rtol=1e-8)
    assert not np.allclose(asked.covariance, usual.covariance, rtol=1e-4)


@pytest.mark.parametrize("option", ["weights", "where"])
def test_a_column_that_is_called_a_parameter_is_no_column_of_an_option(option):
    text = {"weights": "w", "where": "w > 0"}[option]
    with pytest.raises(steepest.FormulaError, match=f"w in {option} is not a column"):
        steepest.fit("y = w*x", DATA, parameters=["w"], **{option: text})


def test_a_penalty_of_the_wrong_kind_is_refused_in_its_own_words():
    with pytest.raises(steepest.FitError, match="penalty is a formula of parameters"):
        steepest.fit(LINE, DATA, penalty=0.1)


# convexity and certificates --------------------------------------------------------------------------------------
CERTIFICATE = {
    "gradient_norm", "hessian_min_eigenvalue", "hessian_condition", "gradient_check", "convex", "why", "expected_gap"
}  # fmt: skip


def test_a_saddle_whose_falling_side_a_bound_holds_is_not_called_convex():
    fit = steepest.minimize("x**2 - y**2", {"x": 1, "y": 0.5}, bounds={"y": (-1, 2)})
    assert fit.ok and fit.values["y"] == 2
    assert fit.certificate["convex"] is False
    assert "local" in fit.message and "convex quadratic" not in fit.message


def test_a_maximum_is_called_one():
    quadratic = steepest.maximize("-(x - 1)**2", {"x": 3})
    assert quadratic.ok and "maximum" in quadratic.message and "minimum" not in quadratic.message
    bump = steepest.maximize("exp(-(x - 1)**2)", {"x": 1.3})
    assert bump.ok and "local maximum" in bump.message
    low = steepest.maximize("x**2 - x**4 + 1", {"x": 0.0}, method="gd", stop=steepest.Stop(steps=1))
    assert "the point is a minimum" in low.message


def test_a_function_that_is_flat_in_one_direction_is_not_called_non_convex():
    fit = steepest.minimize("(x + y)**2", {"x": 1, "y": 0.5})
    assert fit.certificate["convex"] is not False


@pytest.mark.parametrize(
    ("rate", "how"),
    [
        (0.9, {}),  # diverges: the best point is the start, where nothing was judged
        (0.01, {"callbacks": [lambda step: step.number == 5]}),
        (0.01, {"stop": steepest.Stop(steps=5)}),
    ],
)
def test_a_certificate_has_every_field_and_speaks_of_the_point_that_is_returned(rate, how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = steepest.fit(LINE, DATA, method="gd", rate=rate, **how)
    assert set(fit.certificate) == CERTIFICATE
    if fit.certificate["gradient_norm"] is not None:
        residual = Y - design(X) @ values(fit, "ab")
        cosines = design(X).T @ residual / np.linalg.norm(design(X), axis=0)
        assert fit.certificate["gradient_norm"] == pytest.approx(np.linalg.norm(cosines) / fit.total**0.5)
    else:
        assert fit.certificate["expected_gap"] is None and fit.certificate["why"] == "not judged"


def test_a_formula_without_free_parameters_has_every_field_of_a_certificate():
    assert set(steepest.fit(LINE, DATA, fixed={"a": 1, "b": 2}).certificate) == CERTIFICATE
