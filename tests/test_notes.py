"""Every line of the lecture notes, from every door, against the notes' own code."""

import functools
import math
import warnings

import numpy as np
import pytest
import sympy as sp

import steepest
from steepest import Stop, datasets

X = np.array([[1, 1], [1, 2], [2, 2], [2, 3]])
Y = X @ np.array([1, 2]) + 3
X_ = np.column_stack([X, np.ones(4)])
START = [10.1, 15.1, -6.5]
PRINTED = [1.00000367, 1.99999949, 2.99999516]  # the notes' output
MATRIX = {"X": X, "y": Y}
COLUMNS = {"x1": X[:, 0], "x2": X[:, 1], "y": Y}
NOTES = {"method": "gd", "rate": 0.01, "reduce": "sum", "stop": Stop(steps=5000), "trace": True}

b1, b2, b3, x1, x2, y = sp.symbols("b1 b2 b3 x1 x2 y")
BY_NAME = dict(zip(("b1", "b2", "b3"), START, strict=True))
VECTOR = {"B": START[:2], "c": START[2]}
DOORS = {
    "a matrix column": ("y = X @ B + c", MATRIX, VECTOR),
    "a list of columns": ("y = [x1, x2] @ B + c", COLUMNS, VECTOR),
    "a list of columns with ones": ("y = [x1, x2, k] @ B", {**COLUMNS, "k": np.ones(4)}, {"B": START}),
    "written out": ("y = b1*x1 + b2*x2 + b3", COLUMNS, BY_NAME),
    "no equals sign": ("0.5*(y - (b1*x1 + b2*x2 + b3))**2", COLUMNS, BY_NAME),
    "a file": ("y = b1*x1 + b2*x2 + b3", datasets.path("notes"), BY_NAME),
    "SymPy Eq": (sp.Eq(y, b1 * x1 + b2 * x2 + b3), COLUMNS, BY_NAME),
    "SymPy Expr": ((y - b1 * x1 - b2 * x2 - b3) ** 2 / 2, COLUMNS, BY_NAME),
    "SymPy Poly": (sp.Poly((y - b1 * x1 - b2 * x2 - b3) ** 2 / 2, b1, b2, b3), COLUMNS, BY_NAME),
}


@functools.cache
def loop(rate=0.01, steps=5000, scale=1.0):
    """The notes' cell, all iterates: (steps + 1, 3)."""
    at = np.array(START)
    path = [at]
    for _ in range(steps):
        error = Y - X_ @ at
        grad = -np.transpose(X_) @ error
        at = at - rate * scale * grad
        path.append(at)
    return np.array(path)


def flat(fit):
    return list(fit.flat_values().values())


def iterates(fit):
    """The trace in the order of the notes' three numbers."""
    order = [fit.trace.names.index(name) for name in fit.flat_values()]
    return fit.trace.values[:, order]


# the main example ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("door", DOORS)
def test_five_thousand_steps_end_at_the_numbers_the_notes_print_along_the_same_iterates(door):
    formula, data, start = DOORS[door]
    fit = steepest.fit(formula, data, start=start, **NOTES)
    names = list(start) if "B" not in start else list(fit.free)
    assert [round(fit.flat_values()[name], 8) for name in names] == PRINTED
    assert fit.steps == 5000
    assert len(fit.trace) == 5001
    assert fit.trace.step.tolist() == list(range(5001))
    places = [fit.trace.names.index(name) for name in names]
    np.testing.assert_allclose(fit.trace.values[:, places], loop(), rtol=0, atol=1e-9)


def test_the_trace_holds_the_loss_and_the_gradient_norm_of_every_iterate():
    fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, **NOTES)
    path = loop()
    residuals = Y - path @ X_.T
    np.testing.assert_allclose(fit.trace.loss, 0.5 * np.sum(residuals**2, axis=1), rtol=1e-6, atol=1e-18)
    np.testing.assert_allclose(fit.trace.gradient_norm, np.linalg.norm(residuals @ X_, axis=1), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 100])
def test_a_trace_of_k_steps_has_k_plus_one_rows_of_which_the_first_is_the_start(steps):
    fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, **{**NOTES, "stop": Stop(steps=steps)})
    assert fit.steps == steps
    assert len(fit.trace) == steps + 1 == len(fit.trace.loss) == len(fit.trace.values)
    np.testing.assert_allclose(fit.trace.values, loop(steps=steps), rtol=0, atol=1e-10)
    assert fit.trace.values[0].tolist() == START


def test_five_thousand_steps_on_the_sum_are_stopped_not_converged_and_say_how_slow_it_is():
    fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, **NOTES)
    assert fit.status == "stopped"
    assert fit.exit_status == 0
    condition = np.linalg.cond(X_.T @ X_)
    assert condition == pytest.approx(108, abs=1)
    assert f"condition {condition:.4g}" in fit.message


def test_the_predicted_error_after_five_thousand_steps_is_what_the_notes_are_off_by():
    explained = steepest.explain("y = b1*x1 + b2*x2 + b3", COLUMNS)
    distance = np.array(START) - [1, 2, 3]
    left = explained.guarantees["sum"].error(0.01, 5000, distance)
    np.testing.assert_allclose(left, loop()[-1] - [1, 2, 3], atol=1e-11)


def test_auto_answers_what_the_pseudo_inverse_does():
    fit = steepest.fit("y = X @ B + c", MATRIX)
    np.testing.assert_allclose(flat(fit), np.linalg.pinv(X_) @ Y, rtol=1e-10)
    assert fit.status == "converged"
    np.testing.assert_allclose(flat(fit), [1, 2, 3], rtol=1e-10)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_the_mean_takes_four_times_the_rate_for_the_same_path(reduce):
    rate = {"sum": 0.01, "mean": 0.04}[reduce]
    fit = steepest.fit(
        "y = X @ B + c", MATRIX, start=VECTOR, **{**NOTES, "rate": rate, "reduce": reduce, "stop": Stop(steps=500)}
    )
    np.testing.assert_allclose(iterates(fit), loop(steps=500), atol=1e-9)


# stochastic ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("method", "batch"), [("sgd", None), ("gd", 1), ("gd", 2), ("sgd", 2)])
def test_sgd_and_mini_batches_reach_the_true_values_to_two_decimals(method, batch, seed):
    fit = steepest.fit(
        "y = X @ B + c",
        MATRIX,
        start=VECTOR,
        method=method,
        batch=batch,
        rate=0.05,
        reduce="mean",
        seed=seed,
        stop=Stop(passes=1500),
    )
    np.testing.assert_allclose(flat(fit), [1, 2, 3], atol=1e-2)
    assert fit.exit_status == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("batch", [1, 2])
def test_sgd_and_mini_batches_find_their_rate_from_the_steepest_row(batch, seed):
    fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, method="sgd", batch=batch, seed=seed)
    np.testing.assert_allclose(flat(fit), [1, 2, 3], atol=1e-2)
    steepest_row = np.max(np.sum(X_**2, axis=1))  # 2² + 3² + 1² = 14
    assert fit.rate == pytest.approx(1 / steepest_row)


@pytest.mark.parametrize("batch", [1, 2])
def test_sgd_takes_the_rows_of_its_order_one_batch_after_the_other(batch):
    fit = steepest.fit(
        "y = b1*x1 + b2*x2 + b3",
        COLUMNS,
        start=BY_NAME,
        method="sgd",
        batch=batch,
        rate=0.02,
        reduce="mean",
        shuffle=False,
        stop=Stop(passes=50),
        trace=True,
    )
    at, path = np.array(START), [np.array(START)]
    for _ in range(50):
        for first in range(0, 4, batch):
            rows = slice(first, first + batch)
            at = at + 0.02 * X_[rows].T @ (Y[rows] - X_[rows] @ at) / batch
            path.append(at)
    np.testing.assert_allclose(fit.trace.values, path, atol=1e-10)


def test_a_ball_that_rests_in_a_local_minimum_leaves_it_under_sgd():
    """The notes: mini-batches change the shape of the loss, so that a local minimum can be left."""
    random = np.random.default_rng(0)
    data = {"z": random.normal(0, 2.0, 400)}  # the mean over rows is b**4 - 2*b**2 + 0.3*b plus noise of the rows
    formula = "b**4 - 2*b**2 + 0.3*b + 3*z*b"
    mean = data["z"].mean()
    data["z"] = data["z"] - mean
    full = steepest.fit(formula, data, start={"b": 0.9}, method="gd", rate=0.02, stop=Stop(steps=400))
    assert full.values["b"] > 0.5
    left = 0
    for seed in range(4):
        path = [
            step.theta[0]
            for step in steepest.descend(
                formula, data, start={"b": 0.9}, method="sgd", rate=0.05, seed=seed, stop=Stop(passes=8)
            )
        ]
        left += min(path) < -0.5
    assert left >= 2


# root of the mean ------------------------------------------------------------------------------------------------
def rmse(theta, design, y):
    return math.sqrt(np.mean((y - design @ theta) ** 2))


NOISY = Y + np.array([0.3, -0.2, 0.25, -0.35])


def test_rmse_is_the_root_of_the_mean_and_descends_by_its_own_gradient():
    fit = steepest.fit(
        "y = X @ B + c",
        {"X": X, "y": NOISY},
        start=VECTOR,
        loss="rmse",
        method="gd",
        rate=0.05,
        stop=Stop(steps=300),
        trace=True,
    )
    at, path = np.array(START), [np.array(START)]
    for _ in range(300):
        root = rmse(at, X_, NOISY)
        at = at + 0.05 * X_.T @ (NOISY - X_ @ at) / (4 * root)
        path.append(at)
    np.testing.assert_allclose(iterates(fit), path, atol=1e-9)
    np.testing.assert_allclose(fit.trace.loss, [rmse(t, X_, NOISY) for t in path], rtol=1e-12)


def test_the_gradient_of_rmse_is_numpys_by_central_differences():
    function = steepest.function("y = X @ B + c", {"X": X, "y": NOISY}, loss="rmse")
    theta = np.array(START)
    loss, gradient = function(theta)
    assert loss == pytest.approx(rmse(theta, X_, NOISY), rel=1e-14)
    steps = 1e-5 * np.eye(3)
    central = [(rmse(theta + s, X_, NOISY) - rmse(theta - s, X_, NOISY)) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, central, rtol=1e-8)


@pytest.mark.parametrize("method", ["auto", "newton", "gauss-newton", "gd"])
def test_rmse_has_the_minimum_of_squares(method):
    fit = steepest.fit("y = X @ B + c", {"X": X, "y": NOISY}, start=VECTOR, loss="rmse", method=method)
    best, *_ = np.linalg.lstsq(X_, NOISY, rcond=None)
    np.testing.assert_allclose(flat(fit), best, atol=1e-5)
    assert fit.loss == pytest.approx(rmse(best, X_, NOISY), rel=1e-9)
    assert fit.rms == pytest.approx(fit.loss, rel=1e-9)


def test_rmse_at_a_fixed_rate_on_exact_data_ends_in_oscillation_and_says_so():
    fit = steepest.fit(
        "y = X @ B + c", MATRIX, start=VECTOR, loss="rmse", method="gd", rate=0.1, stop=Stop(steps=5000), trace=True
    )
    late = fit.trace.loss[-200:]
    assert late.max() > 1e-3  # it never settles: the gradient keeps its length however small the loss
    assert not fit.ok
    assert "oscillat" in " ".join([fit.message, *fit.notes])


def test_a_sum_of_the_root_of_the_mean_is_refused():
    with pytest.raises(steepest.FitError, match="root of the mean"):
        steepest.fit("y = X @ B + c", MATRIX, loss="rmse", reduce="sum")


# rates and convergence -------------------------------------------------------------------------------------------
def test_explain_says_two_over_l_for_the_sum_and_the_mean():
    largest = np.linalg.eigvalsh(X_.T @ X_)[-1]
    explained = steepest.explain("y = X @ B + c", MATRIX)
    assert explained.guarantees["sum"].limit == pytest.approx(2 / largest, rel=1e-12)
    assert explained.guarantees["mean"].limit == pytest.approx(8 / largest, rel=1e-12)
    assert round(explained.guarantees["sum"].limit, 3) == 0.064
    assert round(explained.guarantees["mean"].limit, 3) == 0.256
    text = explained.text()
    for word in (f"{2 / largest:.4g}", f"{8 / largest:.4g}", "rmse", "no rate is safe"):
        assert word in text


def test_rate_a_tenth_diverges_on_the_sum_after_a_warning_before_the_first_step():
    steps = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = steepest.fit(
            "y = X @ B + c",
            MATRIX,
            start=VECTOR,
            method="gd",
            rate=0.1,
            reduce="sum",
            callbacks=[lambda step: steps.append((step.number, len(caught)))],
        )
    assert fit.status == "diverged"
    assert fit.exit_status == 1
    assert [str(w.message) for w in caught]
    assert "0.1 is above 0.06" in str(caught[0].message)
    assert steps[0] == (0, 1)  # the start was handed out after the warning
    assert any("above" in note for note in fit.notes)
    assert "2/L" in fit.message


def test_after_divergence_the_best_point_is_kept():
    with pytest.warns(UserWarning, match="diverges"):
        fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, method="gd", rate=0.1, reduce="sum", trace=True)
    assert fit.status == "diverged"
    finite = fit.trace.loss[np.isfinite(fit.trace.loss)]
    assert fit.loss == finite.min()


def test_rate_a_tenth_converges_on_the_mean_without_a_warning():
    fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, method="gd", rate=0.1)
    np.testing.assert_allclose(flat(fit), [1, 2, 3], atol=1e-4)
    assert fit.status in ("converged", "stopped")
    long = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, method="gd", rate=0.1, stop=Stop(steps=12_000))
    assert long.status == "converged"


def test_gradient_descent_without_a_rate_takes_one_over_l_and_says_why():
    fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, method="gd", reduce="sum")
    assert fit.rate == pytest.approx(1 / np.linalg.eigvalsh(X_.T @ X_)[-1], rel=1e-12)
    assert "1/L" in fit.why and "quadratic" in fit.why
    assert fit.status == "converged"


def test_the_loss_of_a_linear_model_is_said_to_be_convex():
    assert steepest.fit("y = X @ B + c", MATRIX).certificate["convex"] is True
    assert "convex" in steepest.explain("y = X @ B + c", MATRIX).text()


def test_the_loss_of_a_model_that_is_not_linear_is_said_to_be_local_only():
    x = np.linspace(0, 3, 20)
    fit = steepest.fit("y = a*exp(-b*x)", {"x": x, "y": 2 * np.exp(-0.7 * x) + 0.01 * np.cos(9 * x)})
    assert fit.ok
    assert fit.certificate["convex"] is None
    assert "local" in fit.message


# ascent and stops ------------------------------------------------------------------------------------------------
def test_descent_subtracts_the_derivative_and_ascent_adds_it():
    down = steepest.minimize("x**2 + 2*x + 3", {"x": 10}, method="gd", rate=0.1, stop=Stop(steps=50), trace=True)
    up = steepest.maximize("-(x**2 + 2*x + 3)", {"x": 10}, method="gd", rate=0.1, stop=Stop(steps=50), trace=True)
    at, path = 10.0, [10.0]
    for _ in range(50):
        at = at - 0.1 * (2 * at + 2)
        path.append(at)
    np.testing.assert_allclose(down.trace.values[:, 0], path, rtol=1e-12)
    np.testing.assert_allclose(up.trace.values[:, 0], path, rtol=1e-12)
    np.testing.assert_allclose(up.trace.loss, -down.trace.loss, rtol=1e-12)
    assert (np.diff(up.trace.loss) >= 0).all()


def test_the_notes_first_function_has_its_minimum_at_minus_one():
    fit = steepest.minimize("x**2 + 2*x + 3", {"x": 10})
    assert fit.status == "converged"
    assert fit.values["x"] == pytest.approx(-1, abs=1e-12)
    assert fit.loss == pytest.approx(2, abs=1e-12)


def test_maximize_reports_the_function_itself():
    fit = steepest.maximize("3 - (x - 2)**2", {"x": 0})
    assert fit.status == "converged"
    assert fit.values["x"] == pytest.approx(2, abs=1e-10)
    assert fit.loss == pytest.approx(3, abs=1e-12)
    assert fit.total == pytest.approx(3, abs=1e-12)


@pytest.mark.parametrize("eps", [1e-1, 1e-3, 1e-6])
def test_the_run_stops_at_the_first_step_whose_gradient_norm_is_below_eps(eps):
    fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, **{**NOTES, "stop": Stop(gradient=eps)})
    path = loop(steps=20_000)
    norms = np.linalg.norm((Y - path @ X_.T) @ X_, axis=1)
    assert fit.steps == int(np.argmax(norms < eps))
    assert fit.trace.gradient_norm[-1] < eps <= fit.trace.gradient_norm[-2]
    assert fit.status in ("stopped", "converged")
    if fit.status == "stopped":
        assert fit.message.startswith("stopped: gradient")


def test_the_norm_of_a_vector_is_euclidean():
    fit = steepest.minimize(
        "3*x + 4*y + x**2 + y**2", {"x": 0, "y": 0}, method="gd", rate=0.1, stop=Stop(steps=0), trace=True
    )
    assert fit.trace.gradient_norm[0] == pytest.approx(5)


# the notes' derivatives ------------------------------------------------------------------------------------------
def test_the_first_cell_the_derivative_of_a_poly():
    symbol = sp.Symbol("x")
    for formula in ("x**2 + 2*x + 3", symbol**2 + 2 * symbol + 3, sp.Poly(symbol**2 + 2 * symbol + 3, symbol)):
        explained = steepest.explain(formula)
        assert explained.gradient["x"] == sp.diff(symbol**2 + 2 * symbol + 3, symbol) == 2 * symbol + 2
        assert sp.Poly(explained.gradient["x"], symbol) == sp.diff(sp.poly(symbol**2 + 2 * symbol + 3), symbol)
        assert explained.hessian["x", "x"] == 2


def test_the_second_cell_a_partial_derivative_of_a_poly_and_a_cosine():
    first, second = sp.symbols("x y")
    plain = first**2 + 2 * first * second + 3 + sp.cos(first + 2 * second)
    for formula in ("x**2 + 2*x*y + 3 + cos(x + 2*y)", plain):
        explained = steepest.explain(formula)
        assert explained.gradient["x"] == sp.diff(plain, first) == 2 * first + 2 * second - sp.sin(first + 2 * second)
        assert explained.gradient["y"] == sp.diff(plain, second)
        assert sp.simplify(explained.hessian["x", "y"] - sp.diff(plain, first, second)) == 0


def test_an_expression_that_holds_a_poly_is_taken_without_a_warning_of_ours():
    first, second = sp.symbols("x y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SymPy's own, from the user's addition
        held = sp.poly(first**2 + 2 * first * second + 3) + sp.cos(first + 2 * second)
    explained = steepest.explain(held)
    assert explained.gradient["x"] == 2 * first + 2 * second - sp.sin(first + 2 * second)


def test_the_partial_derivative_of_the_row_loss_by_a_coefficient():
    explained = steepest.explain("y = b1*x1 + b2*x2 + b3", COLUMNS)
    by_hand = -x2 * (y - (b1 * x1 + b2 * x2 + b3))
    assert sp.expand(explained.gradient["b2"] - by_hand) == 0
    assert sp.expand(explained.hessian["b1", "b2"] - x1 * x2) == 0
    assert explained.roles == {
        "y": "data",
        "x1": "data",
        "x2": "data",
        "b1": "parameter",
        "b2": "parameter",
        "b3": "parameter",
    }


def test_the_gradient_of_a_function_points_uphill():
    function = steepest.function("x**2 + 2*x*y + 3 + cos(x + 2*y)")
    at = np.array([0.3, -0.4])
    loss, gradient = function(at)
    assert function.value(at + 1e-4 * gradient) > loss > function.value(at - 1e-4 * gradient)
