"""Rates from a proved curvature of losses that are no quadratics: against NumPy's eigenvalues, and the loss's fall."""

from __future__ import annotations

import numpy as np
import pytest

import steepest
from steepest import Stop

GENERATOR = np.random.default_rng(5)
X = np.c_[np.ones(80), GENERATOR.normal(size=80), 3 * GENERATOR.normal(size=80)]
ETA = X @ [0.3, 1.0, -0.4]
W = GENERATOR.uniform(0.1, 3, 80)
DATA = {"x": X[:, 1], "z": X[:, 2], "y": ETA + GENERATOR.standard_t(3, 80), "w": W,
        "k": (GENERATOR.random(80) < 1 / (1 + np.exp(-ETA))).astype(float)}  # fmt: skip
LINE = "(a + b*x + c*z)"
HUBER = "where(abs(y - prediction) <= 1.345, 0.5*(y - prediction)**2, 1.345*(abs(y - prediction) - 0.6725))"
#: formula, loss, the largest second derivative by the prediction
CASES = {
    "logistic": (f"softplus{LINE} - k*{LINE}", "squares", 0.25),
    "huber": (f"y = {LINE}", HUBER, 1.0),
    "log cosh": (f"y = {LINE}", "log(cosh(y - prediction))", 1.0),
    "cauchy": (f"y = {LINE}", "2.385**2/2*log(1 + ((y - prediction)/2.385)**2)", 1.0),
    "pseudo-huber": (f"y = {LINE}", "sqrt(4 + (y - prediction)**2)", 0.5),
}
FAST = Stop(steps=200)


def curvature(bend, weights, reduce):
    hessian = (X * weights[:, None]).T @ X * bend
    return np.linalg.eigvalsh(hessian)[-1] / (weights.sum() if reduce == "mean" else 1.0)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("name", CASES)
def test_the_rate_is_one_over_the_curvature_that_numpy_finds_and_the_loss_never_rises(name, reduce, weights):
    formula, loss, bend = CASES[name]
    fit = steepest.fit(formula, DATA, loss=loss, method="gd", reduce=reduce, weights=weights, stop=FAST, trace=True)
    w = np.ones(80) if weights is None else W
    assert fit.rate == pytest.approx(1 / curvature(bend, w, reduce), rel=1e-7)
    assert "1/L, safe" in fit.why and "the second derivative of" in fit.why
    assert (np.diff(fit.trace.loss) <= 1e-13 * (1 + np.abs(fit.trace.loss[:-1]))).all()


@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("name", ["logistic", "huber", "log cosh", "pseudo-huber"])
def test_a_rate_above_two_over_the_curvature_that_numpy_finds_is_called_out(name, reduce):
    formula, loss, bend = CASES[name]
    largest = curvature(bend, np.ones(80), reduce)
    how = {"loss": loss, "method": "gd", "reduce": reduce, "stop": Stop(steps=3)}
    assert steepest.fit(formula, DATA, rate=1.99 / largest, **how).notes == ()
    with pytest.warns(
        UserWarning, match=f"above 2/L = {2 / largest:.4g}: .* not covered by the proof .* L = {largest:.4g}"
    ):
        fit = steepest.fit(formula, DATA, rate=2.01 / largest, **how)
    assert any(f"{1 / largest:.4g} is safe" in note for note in fit.notes)


def test_no_bound_is_claimed_of_a_loss_that_is_not_convex():
    formula, loss, _ = CASES["cauchy"]
    assert steepest.fit(formula, DATA, loss=loss, method="gd", rate=50.0, stop=Stop(steps=3)).notes == ()


@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov"])
def test_first_order_methods_reach_the_minimum_of_newton_with_the_proved_rate(method):
    formula, loss, _ = CASES["huber"]
    fit = steepest.fit(formula, DATA, loss=loss, method=method)
    best = steepest.fit(formula, DATA, loss=loss, method="newton")
    for name in "abc":
        assert fit.values[name] == pytest.approx(best.values[name], rel=1e-5)


@pytest.mark.parametrize("weights", [None, "w"])
def test_mini_batches_take_the_rate_of_the_steepest_row(weights):
    formula, _, bend = CASES["logistic"]
    fit = steepest.fit(formula, DATA, method="sgd", weights=weights, stop=Stop(passes=3))
    w = np.ones(80) if weights is None else W
    assert fit.rate == pytest.approx(1 / (bend * (w * (X**2).sum(axis=1)).max() * 80 / w.sum()), rel=1e-7)
    assert "softplus is at most 1/4" in fit.why


def test_the_curvature_of_a_penalty_is_added():
    formula, _, bend = CASES["logistic"]
    fit = steepest.fit(formula, DATA, method="gd", penalty="2*log(cosh(3*b)) + a**2", stop=FAST, reduce="sum")
    hessian = X.T @ X * bend + np.diag([2.0, 18.0, 0.0])
    assert fit.rate == pytest.approx(1 / np.linalg.eigvalsh(hessian)[-1], rel=1e-7)


def test_bounds_of_the_parameters_bound_the_curvature_of_any_smooth_formula():
    x = np.linspace(0, 2, 30)
    data = {"x": x, "y": 1.2 * np.exp(-0.7 * x) + 0.02 * np.cos(9 * x)}
    bounds = {"a": (0, 2), "b": (0.1, 1)}
    fit = steepest.fit("y = a*exp(-b*x)", data, method="gd", bounds=bounds, stop=Stop(steps=50), trace=True)
    assert fit.rate is not None and (np.diff(fit.trace.loss) <= 0).all()
    largest = 0.0
    for a in np.linspace(0, 2, 41):
        for b in np.linspace(0.1, 1, 41):
            e, r = np.exp(-b * x), a * np.exp(-b * x) - data["y"]
            mixed = (-a * x * e * e - r * x * e).mean()
            hessian = np.array([[(e * e).mean(), mixed], [mixed, ((a * x * e) ** 2 + r * a * x * x * e).mean()]])
            largest = max(largest, np.abs(np.linalg.eigvalsh(hessian)).max())
    assert 1 / fit.rate >= largest
    assert "tested, not proved" in steepest.fit("y = a*exp(-b*x)", data, method="gd", stop=Stop(steps=5)).why


@pytest.mark.parametrize(
    "formula", ["exp(a + b*x + c*z) - y*(a + b*x + c*z)", "cosh(a + b*x) + exp(c*z - a) + (b - c)**2"]
)
def test_within_a_box_the_rate_of_exponentials_is_one_over_the_largest_curvature_of_a_grid(formula):
    fit = steepest.fit(formula, DATA, method="gd", bounds=dict.fromkeys("abc", (-0.7, 0.7)), stop=Stop(steps=2))
    x, z, largest = DATA["x"], DATA["z"], 0.0
    one, zero = np.ones(80), np.zeros(80)
    for a, b, c in np.stack(np.meshgrid(*[np.linspace(-0.7, 0.7, 9)] * 3), -1).reshape(-1, 3):
        if formula.startswith("exp"):
            atoms = [(np.exp(a + b * x + c * z), np.c_[one, x, z])]
        else:
            atoms = [(np.cosh(a + b * x), np.c_[one, x, zero]), (np.exp(c * z - a), np.c_[-one, zero, z]),
                     (2 * one, np.c_[zero, one, -one])]  # fmt: skip
        hessian = sum((rows * bend[:, None]).T @ rows for bend, rows in atoms) / 80
        largest = max(largest, np.linalg.eigvalsh(hessian)[-1])
    assert 1 / fit.rate == pytest.approx(largest, rel=1e-7)  # the grid holds the corners


@pytest.mark.parametrize("name", ["logistic", "huber", "log cosh", "pseudo-huber"])
def test_a_convex_loss_has_the_minimum_and_no_local_one(name):
    formula, loss, _ = CASES[name]
    fit = steepest.fit(formula, DATA, loss=loss)
    assert fit.certificate["convex"] is True and fit.certificate["why"]
    if fit.status == "converged":
        assert fit.message.startswith("the minimum: the loss is convex")  # then how many starts end in it


def test_a_loss_that_is_not_convex_has_a_local_minimum_whose_formula_is_named():
    formula, loss, _ = CASES["cauchy"]
    fit = steepest.fit(formula, DATA, loss=loss)
    assert fit.certificate["convex"] is None
    assert fit.certificate["why"].startswith("not proved: log(1 + ")
    assert "a local minimum" in fit.message


def test_the_sign_of_a_column_is_read_and_costs_no_pass():
    chances = f"-k*log(sigmoid{LINE}) - (1 - k)*log(1 - sigmoid{LINE})"
    fit, plain = steepest.fit(chances, DATA), steepest.fit(CASES["logistic"][0], DATA)
    assert fit.certificate["convex"] is True
    assert fit.passes == plain.passes
    turned = steepest.fit("k*exp(a) + (a - w)**2", {**DATA, "k": -0.01 * DATA["k"]})
    assert turned.certificate["convex"] is None and "sign" not in turned.certificate["why"]


def test_explain_says_convexity_and_the_safe_rates():
    formula, _, bend = CASES["logistic"]
    text = steepest.explain(formula, DATA).text()
    assert "convex: softplus of an affine expression + an affine one" in text
    assert f"safe rate 1/L = {1 / curvature(bend, np.ones(80), 'mean'):.4g}, proved" in text
    assert "the second derivative of softplus is at most 1/4" in text
    text = steepest.explain("y = a*exp(-b*x)", DATA).text()
    assert "not proved: a*exp(-b*x) is a product of two expressions with parameters" in text


def test_explain_says_whether_a_function_is_convex():
    assert "convex: exp of an affine expression" in steepest.explain("exp(a) - a").text()
    assert "convexity is not proved: a*b is a product of two parameters" in steepest.explain("a*b").text()
