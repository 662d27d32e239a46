"""Losses of one's own and formulas without an equals sign: the minima and errors of SciPy and of the closed forms."""

import math

import numpy as np
import pytest
from scipy import optimize, special

import steepest

RANDOM = np.random.default_rng(11)
X = np.linspace(-1.0, 2.0, 60)
Y = 0.5 + 1.3 * X + RANDOM.standard_t(2, X.size) * 0.2
DATA = {"x": X, "y": Y, "w": RANDOM.uniform(0.5, 2.0, X.size)}

#: text of (y, prediction) -> the loss of a residual r = y - prediction, in NumPy
LOSSES = {
    "log(cosh(y - prediction))": lambda r: np.log(np.cosh(r)),
    "sqrt(1 + (y - prediction)**2) - 1": lambda r: np.sqrt(1 + r * r) - 1,
    "where((y - prediction)**2 <= 0.09, 0.5*(y - prediction)**2, "
    "0.3*where(y > prediction, y - prediction, prediction - y) - 0.045)": lambda r: np.where(
        r * r <= 0.09, 0.5 * r * r, 0.3 * np.abs(r) - 0.045
    ),
    "where(y > prediction, 3, 1)*(y - prediction)**2": lambda r: np.where(r > 0, 3, 1) * r * r,
    "(y - prediction)**4": lambda r: r**4,
    "log1p((y - prediction)**2/0.04)": lambda r: np.log1p(r * r / 0.04),
    "exp(y - prediction) - (y - prediction) - 1": lambda r: np.exp(r) - r - 1,
    "0.5*(y - prediction)**2": lambda r: 0.5 * r * r,
}


def scipys(loss, weights=1.0, start=(0.5, 1.0)):
    def total(t):
        return np.sum(weights * loss(Y - t[0] - t[1] * X))

    rough = optimize.minimize(
        total, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 4000}
    )
    return rough.x, total


@pytest.mark.parametrize("method", ["auto", "newton", "gd", "nesterov"])
@pytest.mark.parametrize("text", LOSSES)
def test_a_loss_of_ones_own_has_the_minimum_of_scipy(text, method):
    fit = steepest.fit("y = a + b*x", DATA, loss=text, start={"a": 0.5, "b": 1.0}, method=method)
    best, total = scipys(LOSSES[text])
    found = np.array([fit.values["a"], fit.values["b"]])
    np.testing.assert_allclose(found, best, atol=1e-4 if method in ("gd", "nesterov") else 1e-6)
    assert fit.total == pytest.approx(total(found), rel=1e-12)
    assert fit.loss == pytest.approx(total(found) / X.size, rel=1e-12)
    assert fit.rss == pytest.approx(np.sum((Y - found[0] - found[1] * X) ** 2), rel=1e-10)


@pytest.mark.parametrize("text", list(LOSSES)[:4])
def test_weights_multiply_a_loss_of_ones_own(text):
    fit = steepest.fit("y = a + b*x", DATA, loss=text, weights="w", start={"a": 0.5, "b": 1.0})
    best, total = scipys(LOSSES[text], DATA["w"])
    np.testing.assert_allclose([fit.values["a"], fit.values["b"]], best, atol=1e-6)
    assert fit.total == pytest.approx(total(best), rel=1e-9)
    assert fit.loss == pytest.approx(total(best) / DATA["w"].sum(), rel=1e-9)


@pytest.mark.parametrize("text", list(LOSSES)[:4])
def test_smooth_losses_are_converged_and_their_errors_are_none_with_a_reason(text):
    fit = steepest.fit("y = a + b*x", DATA, loss=text, start={"a": 0.5, "b": 1.0})
    assert fit.status == "converged", fit.message
    assert fit.errors is None and fit.reason


def test_errors_by_the_hessian_on_request_are_the_inverse_of_central_differences():
    text = "log(cosh(y - prediction))"
    fit = steepest.fit("y = a + b*x", DATA, loss=text, errors="hessian")
    _, total = scipys(LOSSES[text])
    at = np.array([fit.values["a"], fit.values["b"]])
    h = 1e-4 * np.eye(2)
    hessian = [
        [(total(at + u + v) - total(at + u - v) - total(at - u + v) + total(at - u - v)) / 4e-8 for v in h] for u in h
    ]
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(hessian), rtol=1e-5)


@pytest.mark.parametrize(
    "text",
    ["abs(y - prediction)", "max(0, abs(y - prediction) - 0.1)", "max(0.8*(y - prediction), -0.2*(y - prediction))"],
)
@pytest.mark.parametrize("method", ["auto", "newton", "gd"])
def test_a_loss_with_a_kink_is_never_called_converged(text, method):
    fit = steepest.fit("y = a + b*x", DATA, loss=text, method=method, stop=steepest.Stop(passes=300))
    assert fit.status == "stopped"
    assert fit.errors is None


def test_the_loss_of_squares_as_text_is_the_loss_squares():
    named, written = (
        steepest.fit("y = a*exp(b*x)", {"x": X, "y": np.exp(0.5 * X) + 0.1 * np.cos(9 * X)}, loss=loss)
        for loss in ("squares", "0.5*(y - prediction)**2")
    )
    for name in "ab":
        assert written.values[name] == pytest.approx(named.values[name], rel=1e-7)


def test_y_in_a_loss_is_the_left_side_also_where_that_is_an_expression_or_another_column():
    z = np.exp(0.2 + 0.5 * X)
    fit = steepest.fit(
        "log(z) = a + b*x", {"x": X, "z": z, "y": np.full(X.size, 1e6)}, loss="log(cosh(y - prediction))"
    )
    assert [fit.values["a"], fit.values["b"]] == pytest.approx([0.2, 0.5], abs=1e-7)


# without an equals sign ------------------------------------------------------------------------------------------
COUNTS = RANDOM.poisson(np.exp(0.4 + 0.6 * X)).astype(float)
WAITS = RANDOM.exponential(2.5, 80)
DESIGN = np.c_[np.ones(X.size), X]


def poisson_by_newton():
    theta = np.zeros(2)
    for _ in range(50):
        mean = np.exp(DESIGN @ theta)
        theta = theta + np.linalg.solve(DESIGN.T @ (DESIGN * mean[:, None]), DESIGN.T @ (COUNTS - mean))
    return theta, np.linalg.inv(DESIGN.T @ (DESIGN * np.exp(DESIGN @ theta)[:, None]))


@pytest.mark.parametrize("method", ["auto", "newton", "gd", "nesterov"])
def test_a_poisson_likelihood_is_the_regression_of_the_closed_iteration(method):
    fit = steepest.fit("exp(a + b*x) - k*(a + b*x)", {"x": X, "k": COUNTS}, method=method, start={"a": 0.1, "b": 0.1})
    best, covariance = poisson_by_newton()
    assert fit.status == "converged" or method in ("gd", "nesterov"), fit.message
    np.testing.assert_allclose([fit.values["a"], fit.values["b"]], best, atol=1e-3 if method == "gd" else 1e-5)
    if fit.ok:
        np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-4)
        assert fit.degrees is None


def test_an_exponential_likelihood_has_the_closed_form_and_its_error():
    fit = steepest.fit("log(m) + t/m", {"t": WAITS})
    mean = WAITS.mean()
    assert fit.status == "converged", fit.message
    assert fit.values["m"] == pytest.approx(mean, rel=1e-8)
    assert fit.errors["m"] == pytest.approx(mean / math.sqrt(WAITS.size), rel=1e-6)
    assert fit.rss is None and fit.rms is None
    assert fit.total == pytest.approx(WAITS.size * (math.log(mean) + 1), rel=1e-12)
    assert fit.loss == pytest.approx(math.log(mean) + 1, rel=1e-12)


def test_a_normal_likelihood_of_mean_and_spread_has_the_closed_form_and_its_errors():
    fit = steepest.fit("log(s) + (y - m)**2/(2*s**2)", {"y": Y}, start={"m": 0.3, "s": 2.0})
    assert fit.ok, fit.message
    spread = Y.std()
    assert fit.values == pytest.approx({"m": Y.mean(), "s": spread}, rel=1e-7)
    assert fit.errors == pytest.approx({"m": spread / math.sqrt(60), "s": spread / math.sqrt(120)}, rel=1e-6)


def test_a_logistic_likelihood_has_the_minimum_and_errors_of_the_closed_iteration():
    k = (RANDOM.uniform(size=X.size) < special.expit(0.3 + 1.5 * X)).astype(float)
    fit = steepest.fit("softplus(a + b*x) - k*(a + b*x)", {"x": X, "k": k})
    theta = np.zeros(2)
    for _ in range(50):
        p = special.expit(DESIGN @ theta)
        information = DESIGN.T @ (DESIGN * (p * (1 - p))[:, None])
        theta = theta + np.linalg.solve(information, DESIGN.T @ (k - p))
    assert fit.ok, fit.message
    np.testing.assert_allclose([fit.values["a"], fit.values["b"]], theta, rtol=1e-7)
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(information), rtol=1e-6)


def test_separated_classes_have_no_maximum_of_the_likelihood_and_are_not_converged():
    fit = steepest.fit("softplus(a + b*x) - k*(a + b*x)", {"x": X, "k": (X > 0.5).astype(float)})
    assert not fit.ok
    assert fit.errors is None


def test_intervals_of_a_likelihood_are_normal():
    fit = steepest.fit("log(m) + t/m", {"t": WAITS})
    low, high = fit.interval(0.95)["m"]
    half = special.ndtri(0.975) * fit.errors["m"]
    assert (low, high) == pytest.approx((fit.values["m"] - half, fit.values["m"] + half), rel=1e-12)


def test_weights_multiply_a_likelihood_and_scaling_them_changes_its_errors():
    data = {"t": WAITS, "k": np.arange(80.0) % 3}
    fit = steepest.fit("log(m) + t/m", data, weights="k")
    four = steepest.fit("log(m) + t/m", data, weights="4*k")
    mean = np.average(WAITS, weights=data["k"])
    assert fit.values["m"] == pytest.approx(mean, rel=1e-8)
    assert fit.rows == int((data["k"] > 0).sum())
    assert four.values["m"] == pytest.approx(mean, rel=1e-8)
    assert four.errors["m"] == pytest.approx(fit.errors["m"] / 2, rel=1e-6)


def test_a_sum_without_an_equals_sign_is_minimised_as_it_stands():
    fit = steepest.fit("(x - m)**2 + 0*y", DATA, method="gd")
    assert fit.values["m"] == pytest.approx(X.mean(), abs=1e-8)


def test_matrix_columns_may_stand_in_a_likelihood():
    fit = steepest.fit("exp(M @ B) - k*(M @ B)", {"M": DESIGN, "k": COUNTS}, start={"B": 0.1})
    best, covariance = poisson_by_newton()
    assert fit.ok, fit.message
    np.testing.assert_allclose(fit.values["B"], best, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-5)


def test_a_likelihood_with_a_penalty_minimises_the_sum_of_the_two():
    fit = steepest.fit("exp(a + b*x) - k*(a + b*x)", {"x": X, "k": COUNTS}, penalty="5*b**2")
    best = optimize.minimize(
        lambda t: np.sum(np.exp(DESIGN @ t) - COUNTS * (DESIGN @ t)) + 5 * t[1] ** 2,
        [0, 0],
        method="BFGS",
        options={"gtol": 1e-9},
    )
    np.testing.assert_allclose([fit.values["a"], fit.values["b"]], best.x, atol=1e-6)
    assert fit.errors is None and "penalty" in fit.reason
