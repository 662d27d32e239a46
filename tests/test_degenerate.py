"""Models that the data do not determine, saddles, valleys without an end: each is called what it is."""

import math

import numpy as np
import pytest

import steepest
from steepest import Stop

X = np.linspace(0.0, 2.0, 21)
NOISE = 0.05 * np.random.default_rng(0).normal(size=X.size)
BEAD = {"x": X, "y": 2.0 * X + NOISE}
METHODS = ("auto", "gauss-newton", "newton", "lbfgs", "gd", "nesterov", "adam")
FIRST = ("gd", "nesterov", "adam")

#: formula, data, the parameters that are not determined
UNDETERMINED = {
    "a product": ("y = a*b*x", BEAD, {"a", "b"}),
    "a sum": ("y = (a + b)*x", BEAD, {"a", "b"}),
    "two intercepts": ("y = a + b + c*x", BEAD, {"a", "b"}),
    "equal columns": ("y = a*x + b*z", {**BEAD, "z": X.copy()}, {"a", "b"}),
    "a multiple of a column": ("y = a*x + b*z", {**BEAD, "z": 1e6 * X}, {"a", "b"}),
    "columns that add up": ("y = a*x + b*z + c*w", {**BEAD, "z": X**2, "w": X + X**2}, {"a", "b", "c"}),
    "fewer rows than parameters": ("y = a + b*x + c*x**2", {"x": [0.0, 1.0], "y": [1.0, 2.0]}, {"b", "c"}),
    "one row for two parameters": ("y = a + b*x", {"x": [2.0], "y": [3.0]}, {"a", "b"}),
    "a constant column beside an intercept": ("y = a + b*k + c*x", {**BEAD, "k": np.full(X.size, 3.0)}, {"a", "b"}),
    "a column of zeros": ("y = a*x + b*z", {**BEAD, "z": np.zeros(X.size)}, {"b"}),
    "a parameter times zero": ("y = a*x + 0*b", BEAD, {"b"}),
    "a parameter times x minus x": ("y = a*x + b*(x - x)", BEAD, {"b"}),
    "a branch that no row takes": ("y = where(x > 9, b, a*x)", BEAD, {"b"}),
    "a clip that holds everywhere": ("y = a*x + clip(b, 2, 3)", BEAD, {"b"}),
    "all rows equal": ("y = a + b*x", {"x": np.full(9, 2.0), "y": np.full(9, 5.0)}, {"a", "b"}),
    "a column of zeros alone": ("y = a*x", {"x": np.zeros(9), "y": np.ones(9)}, {"a"}),
    "a shift beside a scale": ("y = a*exp(b + c*x)", {"x": X, "y": 2 * np.exp(-X) + NOISE}, {"a", "b"}),
    "a matrix with equal columns": ("y = X @ B", {"X": np.c_[X, X], "y": BEAD["y"]}, {"B[0]", "B[1]"}),
    "a ratio": ("y = a*x/b", BEAD, {"a", "b"}),
}


@pytest.mark.parametrize("method", ["auto", "newton"])
@pytest.mark.parametrize("case", UNDETERMINED)
def test_what_the_data_do_not_determine_is_unidentifiable_and_the_parameters_are_named(case, method):
    formula, data, names = UNDETERMINED[case]
    fit = steepest.fit(formula, data, method=method)
    assert fit.status == "unidentifiable", fit.message
    assert fit.errors is None and fit.covariance is None
    assert fit.reason
    assert fit.exit_status == 1
    for name in names:
        assert name in fit.message
    for name in set(fit.free) - names:
        assert f" {name} " not in fit.message.partition(":")[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", UNDETERMINED)
def test_no_method_gives_errors_where_the_data_do_not_determine_the_parameters(case, method):
    formula, data, _ = UNDETERMINED[case]
    options = {"stop": Stop(passes=500)} if method in FIRST else {}
    fit = steepest.fit(formula, data, method=method, **options)
    assert not fit.ok
    assert fit.errors is None and fit.covariance is None
    with pytest.raises(steepest.FitError, match="no intervals"):
        fit.interval()


@pytest.mark.parametrize("start", [(0.3, 0.2), (5.0, -7.0), (1e-3, 1e3)])
def test_an_undetermined_sum_still_reaches_the_smallest_loss(start):
    fit = steepest.fit("y = a + b + c*x", BEAD, start={"a": start[0], "b": start[1]})
    (_, rss, *_) = np.linalg.lstsq(np.c_[np.ones(X.size), X], BEAD["y"], rcond=None)
    assert fit.rss == pytest.approx(float(rss[0]), rel=1e-10)


def test_gradient_descent_on_equal_columns_is_never_converged():
    fit = steepest.fit("y = a*x + b*z", {**BEAD, "z": X}, method="gd", stop=Stop(steps=2000))
    assert fit.status == "unidentifiable"
    assert fit.errors is None


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10])
def test_nearly_equal_columns_are_told_apart_and_have_the_errors_of_numpy(gap):
    other = X + gap * np.cos(X)
    fit = steepest.fit("y = a*x + b*z", {**BEAD, "z": other})
    design = np.c_[X, other]
    best, rss, *_ = np.linalg.lstsq(design, BEAD["y"], rcond=None)
    upper = np.linalg.qr(design, mode="r")
    inverse = np.linalg.inv(upper)
    spread = np.sqrt(np.diag(inverse @ inverse.T) * float(rss[0]) / (X.size - 2))
    assert fit.status == "converged", fit.message
    # the columns themselves are known to 1e-16/gap only
    assert fit.errors["a"] == pytest.approx(spread[0], rel=max(1e-6, 1e-14 / gap))
    assert abs(fit.values["a"] - best[0]) <= 1e-3 * spread[0]


@pytest.mark.parametrize("gap", [1e-15, 1e-17])
def test_columns_that_differ_by_rounding_are_unidentifiable(gap):
    fit = steepest.fit("y = a*x + b*z", {**BEAD, "z": X * (1 + gap)})
    assert fit.status == "unidentifiable"


@pytest.mark.parametrize("scale", [1e-80, 1e-12, 1e12, 1e80])
def test_units_do_not_make_a_model_undetermined(scale):
    fit = steepest.fit("y = a + b*x", {"x": scale * X, "y": BEAD["y"]})
    (intercept, slope), *_ = np.linalg.lstsq(np.c_[np.ones(X.size), X], BEAD["y"], rcond=None)
    assert fit.status == "converged", fit.message
    assert fit.values["a"] == pytest.approx(intercept, rel=1e-6)
    assert fit.values["b"] * scale == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-80, 1e-12, 1e12, 1e80])
def test_the_units_of_the_left_side_change_nothing_but_units(scale):
    fit = steepest.fit("y = a + b*x", {"x": X, "y": scale * BEAD["y"]})
    reference = steepest.fit("y = a + b*x", BEAD)
    assert fit.status == "converged", fit.message
    for name in ("a", "b"):
        assert fit.values[name] / scale == pytest.approx(reference.values[name], rel=1e-8)
        assert fit.errors[name] / scale == pytest.approx(reference.errors[name], rel=1e-8)


# starts at a maximum or a saddle ---------------------------------------------------------------------------------
ANGLE = 0.7
TURNED = {"x": X, "y": X * math.cos(ANGLE) + (1 - X) * math.sin(ANGLE) + NOISE}


def angle_minimum():
    """By brute force: the loss is a trigonometric polynomial of b."""
    from scipy import optimize

    def loss(b):
        return np.sum((TURNED["y"] - X * np.cos(b) - (1 - X) * np.sin(b)) ** 2)

    grid = np.linspace(-math.pi, math.pi, 2001)
    at = grid[np.argmin([loss(b) for b in grid])]
    return optimize.minimize_scalar(loss, (at - 0.01, at, at + 0.01), tol=1e-12).x, loss


def stationary(low, high):
    from scipy import optimize

    def slope(b):
        residual = TURNED["y"] - X * np.cos(b) - (1 - X) * np.sin(b)
        return -np.sum(residual * (-X * np.sin(b) + (1 - X) * np.cos(b)))

    return optimize.brentq(slope, low, high, xtol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_an_angle_started_at_a_maximum_is_never_called_converged_there(method):
    best, _ = angle_minimum()
    top = stationary(best + 2.0, best + 4.0)
    options = {"rate": 0.01} if method == "adam" else {}
    fit = steepest.fit("y = x*cos(b) + (1 - x)*sin(b)", TURNED, start={"b": top}, method=method, **options)
    if fit.ok:
        away = (fit.values["b"] - best + math.pi) % (2 * math.pi) - math.pi
        assert abs(away) < 1e-5
    else:
        assert "maximum" in fit.message or "saddle" in fit.message
        assert fit.errors is None


def test_gradient_descent_stays_at_a_maximum_which_is_no_success():
    top = stationary(angle_minimum()[0] + 2.0, angle_minimum()[0] + 4.0)
    fit = steepest.fit("y = x*cos(b) + (1 - x)*sin(b)", TURNED, start={"b": top}, method="gd", rate=1e-12)
    assert (fit.status, fit.exit_status) == ("stopped", 1)
    assert "the point is a maximum" in fit.message


@pytest.mark.parametrize("method", ["gauss-newton", "newton", "lbfgs"])
@pytest.mark.parametrize("beside", [0.0, 1e-6])
def test_a_method_that_finds_its_own_step_leaves_the_maximum_of_an_angle(method, beside):
    best, _ = angle_minimum()
    top = stationary(best + 2.0, best + 4.0)
    fit = steepest.fit("y = x*cos(b) + (1 - x)*sin(b)", TURNED, start={"b": top + beside}, method=method)
    assert fit.status == "converged", fit.message
    assert math.cos(fit.values["b"] - best) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_a_saddle_of_a_model_is_not_converged_unless_it_is_left(method):
    data = {"x": X - 1, "y": X - 1}
    fit = steepest.fit("y = a*b*x + a", data, start={"a": 0.0, "b": 0.0}, method=method, stop=Stop(passes=300))
    if fit.ok:
        assert fit.rss < 0.5 * float(np.sum((X - 1) ** 2))
    else:
        assert fit.errors is None


@pytest.mark.parametrize("method", ["auto", "newton", "lbfgs", "gd", "momentum", "adam"])
@pytest.mark.parametrize(
    ("formula", "start"),
    [
        ("x**2 - y**2 + y**4", {"x": 1.0, "y": 0.0}),
        ("x**2 - y**2 + y**4", {"x": 0.0, "y": 0.0}),
        ("cos(x)", {"x": 0.0}),
        ("cos(x) + cos(y)", {"x": 0.0, "y": math.pi}),
        ("x**4 - x**2", {"x": 0.0}),
        ("(x*y - 1)**2", {"x": 0.0, "y": 0.0}),
        ("x**3 + y**2", {"x": 0.0, "y": 1.0}),
        ("-x**4", {"x": 0.0}),
        ("y**2 + x**3 - 3*x*y**2", {"x": 0.0, "y": 0.0}),
    ],
)
def test_a_saddle_or_maximum_of_a_function_is_never_called_converged(formula, start, method):
    fit = steepest.minimize(formula, start, method=method, stop=Stop(passes=300))
    if fit.ok:
        function = steepest.function(formula)
        at = np.array([fit.values[n] for n in function.names])
        random = np.random.default_rng(1)
        around = at + 1e-2 * random.normal(size=(500, at.size))
        code = compile(formula, "formula", "eval")

        def value(theta):
            names = dict(zip(function.names, theta, strict=True))
            return eval(code, {"cos": math.cos, **names})  # noqa: S307 - the text stands above

        assert min(value(theta) for theta in around) >= value(at) - 1e-12


@pytest.mark.parametrize("formula", ["x**4", "x**4 + y**2", "(x + y)**2", "x**6 + y**4", "(x - y)**4"])
def test_a_minimum_that_is_flat_to_second_order_is_converged_in_minimize(formula):
    fit = steepest.minimize(formula, {"x": 1.0} | ({"y": 2.0} if "y" in formula else {}))
    assert fit.status == "converged", fit.message
    assert fit.loss < 1e-8


@pytest.mark.parametrize("method", ["auto", "gd", "adam"])
@pytest.mark.parametrize(
    "formula", ["x**3", "-x**2", "x**2 - y**2", "x", "x*y", "-exp(x)", "-log(1 + x**2)", "x - y**2", "-x**4 + y**2"]
)
def test_a_function_without_a_lower_end_is_never_converged(formula, method):
    rate = {"adam": {"rate": 0.1}}.get(method, {})
    fit = steepest.minimize(formula, {"x": 0.5}, method=method, stop=Stop(passes=500), **rate)
    assert fit.status in ("stopped", "diverged"), fit.message
    assert fit.exit_status in (0, 1)
    assert all(map(math.isfinite, fit.flat_values().values()))


@pytest.mark.parametrize("method", ["auto", "newton", "lbfgs", "gd", "momentum", "adam"])
@pytest.mark.parametrize("formula", ["y = exp(-b*x)", "y = a*exp(-b*x)", "y = 1/(1 + b*x**2)"])
def test_a_valley_that_falls_to_infinity_has_no_errors(formula, method):
    fit = steepest.fit(formula, {"x": X[1:], "y": np.zeros(X.size - 1)}, method=method, stop=Stop(passes=400))
    assert fit.errors is None or max(fit.errors.values()) == 0
    assert all(map(math.isfinite, fit.flat_values().values()))
    if fit.ok:  # exact data: only where the curve is zero to rounding
        assert fit.rss < 1e-25


def test_a_step_function_of_the_parameter_says_that_the_loss_does_not_depend_on_it():
    fit = steepest.fit("y = a*x + where(b > 0, 1, 2)", BEAD, start={"a": 1.0, "b": 3.0})
    assert fit.status == "unidentifiable"
    assert "b" in fit.message


# exact and small data --------------------------------------------------------------------------------------------
def test_one_row_determines_one_parameter_and_leaves_no_errors():
    fit = steepest.fit("y = a*x", {"x": [2.0], "y": [3.0]})
    assert fit.status == "converged"
    assert fit.values["a"] == 1.5
    assert fit.errors is None
    assert "nothing to estimate the noise from" in fit.reason


def test_as_many_rows_as_parameters_are_solved_and_leave_no_errors():
    fit = steepest.fit("y = a + b*x + c*x**2", {"x": [0.0, 1.0, 3.0], "y": [1.0, 2.0, 0.0]})
    exact = np.linalg.solve(np.vander([0.0, 1.0, 3.0], increasing=True), [1.0, 2.0, 0.0])
    assert fit.status == "converged"
    np.testing.assert_allclose([fit.values[n] for n in "abc"], exact, rtol=1e-9)
    assert fit.errors is None


@pytest.mark.parametrize("level", [0.0, 4.0, -1e9, 1e-9])
def test_a_constant_response_is_fitted_by_a_constant(level):
    fit = steepest.fit("y = a + b*x", {"x": X, "y": np.full(X.size, level)})
    assert fit.status == "converged", fit.message
    assert fit.values["a"] == pytest.approx(level, rel=1e-9, abs=1e-9)
    assert fit.values["b"] == pytest.approx(0, abs=1e-9 * max(1, abs(level)))


def test_exact_data_converge_with_errors_of_rounding_size():
    fit = steepest.fit("y = a*exp(-b*x)", {"x": X, "y": 3 * np.exp(-0.5 * X)})
    assert fit.status == "converged", fit.message
    assert fit.values["a"] == pytest.approx(3, rel=1e-8)
    assert max(fit.errors.values()) < 1e-7


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"x": [], "y": []}, None),
        ({"x": [1.0, 2.0], "y": [np.nan, np.nan]}, None),
        ({"x": [1.0, 2.0], "y": [1.0, 2.0]}, "x > 5"),
    ],
)
def test_no_row_left_is_a_data_error(data, where):
    with pytest.raises(steepest.DataError, match="row"):
        steepest.fit("y = a*x", data, where=where)


def test_no_row_with_weight_is_a_data_error():
    with pytest.raises(steepest.DataError, match="no row"):
        steepest.fit("y = a*x", {"x": [1.0, 2.0], "y": [1.0, 2.0], "w": [0.0, 0.0]}, weights="w")


def test_a_penalty_determines_what_the_data_do_not():
    fit = steepest.fit("y = a*x + b*z", {**BEAD, "z": X}, penalty="0.01*(a**2 + b**2)")
    assert fit.status == "converged", fit.message
    gram = np.array([[X @ X, X @ X], [X @ X, X @ X]]) + 0.02 * np.eye(2)
    right = np.linalg.solve(gram, [X @ BEAD["y"], X @ BEAD["y"]])
    np.testing.assert_allclose([fit.values["a"], fit.values["b"]], right, rtol=1e-7)


def test_fixing_one_of_the_two_determines_the_other():
    fit = steepest.fit("y = a*b*x", BEAD, fixed={"b": 4.0})
    assert fit.status == "converged"
    assert fit.values["a"] == pytest.approx(float(X @ BEAD["y"] / (X @ X)) / 4, rel=1e-10)


@pytest.mark.parametrize("formula", ["y = x", "y = 2*x + 1"])
def test_a_formula_without_free_parameters_is_computed(formula):
    fit = steepest.fit(formula, BEAD)
    slope, level = (1, 0) if formula == "y = x" else (2, 1)
    assert fit.values == {} and fit.free == ()
    assert fit.status == "converged"
    assert fit.rss == pytest.approx(float(np.sum((BEAD["y"] - slope * X - level) ** 2)), rel=1e-12)


def test_the_combination_that_is_free_is_named_with_its_direction():
    fit = steepest.fit("y = a + b*k + c*x", {**BEAD, "k": np.full(X.size, 3.0)})
    # moving a by +1 and b by -1/3 leaves the loss as it is
    direction = {"a": 1.0, "b": -1 / 3}
    moved = {n: fit.values[n] + 0.1 * direction.get(n, 0.0) for n in fit.free}
    rss = np.sum((BEAD["y"] - moved["a"] - 3 * moved["b"] - moved["c"] * X) ** 2)
    assert rss == pytest.approx(fit.rss, rel=1e-12)
    assert ("a by +1, b by -0.3333" in fit.message) or ("a by -1, b by +0.3333" in fit.message)


# overflow --------------------------------------------------------------------------------------------------------
def test_overflow_at_the_start_names_the_expression_the_row_and_the_values():
    with pytest.raises(steepest.FitError) as error:
        steepest.fit("y = exp(b*x)", {"x": [1.0, 2.0, 900.0], "y": [1.0, 2.0, 3.0]}, start={"b": 1.0})
    text = str(error.value)
    assert "overflow in exp(b*x)" in text
    assert "row 2" in text
    assert "b = 1" in text and "x = 900" in text


@pytest.mark.parametrize("method", ["auto", "newton", "gd"])
def test_a_step_into_overflow_is_taken_back(method):
    x = np.linspace(0, 10, 30)
    fit = steepest.fit(
        "y = exp(b*x)", {"x": x, "y": np.exp(0.3 * x)}, start={"b": -5.0}, method=method, stop=Stop(passes=3000)
    )
    assert math.isfinite(fit.loss)
    assert not fit.ok or fit.values["b"] == pytest.approx(0.3, rel=1e-6)


@pytest.mark.parametrize(
    ("formula", "what"), [("y = log(b*x)", "log"), ("y = sqrt(b - x)", "sqrt"), ("y = a/(x - b)", "division")]
)
def test_a_start_outside_the_domain_is_refused_with_the_place(formula, what):
    start = {"b": {"log": -1.0, "sqrt": 1.0, "division": 2.0}[what]}
    with pytest.raises(steepest.FitError, match=r"at row \d"):
        steepest.fit(formula, {"x": np.linspace(0.5, 2.0, 4), "y": np.ones(4)}, start=start)


# penalties that are not convex -----------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["auto", "gauss-newton", "newton", "gd"])
@pytest.mark.parametrize("rows", [2, 3, 30])
@pytest.mark.parametrize("start", [3.0, 8.0, 40.0])
def test_a_point_on_a_slope_of_a_penalty_that_is_not_convex_is_never_called_converged(start, rows, method):
    """The curvature of log(1 + a²) is negative beyond 1: the step of the model leads uphill, its fall is no gap."""
    x = np.linspace(1.0, 2.0, rows)
    fit = steepest.fit(
        "y = b*x + 0*a",
        {"x": x, "y": 0.1 * np.cos(7 * x)},
        start={"a": start},
        penalty="log(1 + a**2)",
        method=method,
        stop=Stop(passes=200),
    )
    assert not fit.ok or abs(fit.values["a"]) < 1e-5


@pytest.mark.parametrize("method", ["auto", "newton"])
def test_the_top_of_a_penalty_is_not_called_converged(method):
    data = {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.1, 2.9]}
    fit = steepest.fit("y = a*x", data, start={"a": 0.0}, penalty="a**4 - 30*a**2", method=method)
    if fit.ok:
        roots = np.roots([4, 0, 14 - 60, -(1 + 4.2 + 8.7)])
        assert min(abs(roots - fit.values["a"])) < 1e-6
        assert 12 * fit.values["a"] ** 2 - 46 > 0


# what overflows on the way ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["auto", "gd"])
def test_a_penalty_that_overflows_at_the_start_is_named(method):
    with pytest.raises(steepest.FitError, match="penalty"):
        steepest.fit("y = a*x", BEAD, start={"a": 5000.0}, penalty="cosh(a)", method=method)


@pytest.mark.parametrize("loss", ["squares", "rmse", "log(cosh(y - prediction))"])
@pytest.mark.parametrize("method", ["auto", "gd", "adam", "sgd"])
def test_a_start_that_overflows_is_an_error_of_one_sentence_for_every_loss(loss, method):
    rate = {"sgd": 0.1}.get(method)
    with pytest.raises(steepest.FitError, match="row"):
        steepest.fit("y = exp(a*x)", BEAD, start={"a": 800.0}, loss=loss, method=method, rate=rate)


@pytest.mark.parametrize("loss", ["squares", "rmse"])
@pytest.mark.parametrize("rate", [1e-2, 1.0, 1e3, 1e9])
@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov", "adam", "rmsprop", "adagrad", "sgd"])
def test_no_rate_however_large_ends_in_anything_but_an_answer(method, rate, loss):
    fit = steepest.fit(
        "y = a*exp(b*x) + c*x", BEAD, start={"a": 2.0}, method=method, rate=rate, loss=loss, stop=Stop(passes=60)
    )
    assert fit.status in ("stopped", "diverged", "converged", "unidentifiable")
    assert all(map(math.isfinite, fit.flat_values().values()))
    assert math.isfinite(fit.loss)


@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov", "newton"])
@pytest.mark.parametrize("formula", ["b**3", "-b**2", "-exp(b)", "b**3 - c**4", "-b**4 + c**2"])
def test_a_function_that_falls_to_minus_infinity_ends_in_an_answer(formula, method):
    fit = steepest.minimize(formula, {"b": -1.0}, method=method)
    assert fit.status in ("stopped", "diverged")
    assert math.isfinite(fit.loss)


def test_a_rate_by_trial_survives_a_gradient_near_the_largest_number():
    data = {"x": [-186.7, -135.8], "y": [-1715.0, -109.0]}
    fit = steepest.fit("y = exp(-(x + a))", data, start={"a": 0.0}, method="gd", stop=Stop(passes=200))
    assert math.isfinite(fit.values["a"])
    assert not fit.ok


@pytest.mark.parametrize("start", [{}, {"a": 1, "b": 0.4, "c": 1, "d": 0.6}, {"a": 1, "b": 0.1, "c": 1, "d": 1}])
def test_two_exponentials_on_data_of_one_are_unidentifiable_even_where_an_amplitude_is_only_rounding(start):
    x = np.linspace(0.0, 10.0, 200)
    fit = steepest.fit("y = a*exp(-b*x) + c*exp(-d*x)", {"x": x, "y": 2.0 * np.exp(-0.5 * x)}, start=start)
    assert fit.status == "unidentifiable", fit.message
    assert fit.errors is None
    at = fit.values
    assert at["a"] * np.exp(-at["b"] * x) + at["c"] * np.exp(-at["d"] * x) == pytest.approx(2.0 * np.exp(-0.5 * x))


@pytest.mark.parametrize(("sign", "words"), [("", "no minimum that way: the function falls"),
                                             ("-", "no maximum that way: the function rises")])  # fmt: skip
def test_a_valley_whose_slope_vanishes_in_rounding_is_named_with_the_way_it_goes(sign, words):
    climb = steepest.maximize if sign else steepest.minimize
    fit = climb(f"{sign}(x**2*y**2 + exp(-y))", start={"x": 1.0, "y": 1.0})
    assert not fit.ok
    assert f"{words} for ever, ever less, as y runs to infinity" in fit.message
    assert "loss" not in fit.message


def test_a_line_that_bends_the_other_way_is_an_exponential_which_scipy_finds_from_that_side():
    from scipy import optimize

    x = np.linspace(0.0, 1.0, 21)
    y = 2.0 * x - 0.01 * x**2 + 1e-4 * np.random.default_rng(0).normal(size=21)
    fit = steepest.fit("y = a*exp(b*x) + c", {"x": x, "y": y}, start={"b": 1.0})
    oracle = optimize.least_squares(
        lambda t: y - t[0] * np.exp(t[1] * x) - t[2], [-200.0, -0.01, 200.0], x_scale=[200.0, 0.01, 200.0],
        xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=10_000,
    )  # fmt: skip
    assert fit.ok
    assert fit.rss == pytest.approx(2 * oracle.cost, rel=1e-6)
