"""L-BFGS: the hard functions, bounds, many parameters; against SciPy's L-BFGS-B and linear algebra."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import optimize

import steepest
from steepest import Stop
from steepest.methods.lbfgs import Trial, cubic, recursion

from .test_trust_region import FUNCTIONS, value_of

LARGE = 1_200


def test_the_recursion_is_the_inverse_hessian_of_a_quadratic_along_its_pairs():
    """With n conjugate pairs the BFGS matrix is the inverse Hessian (Nocedal and Wright, theorem 6.4)."""
    random = np.random.default_rng(0)
    root = random.normal(size=(5, 5))
    hessian = root @ root.T + np.eye(5)
    _, vectors = np.linalg.eigh(hessian)
    pairs = tuple((v, hessian @ v) for v in vectors.T)
    slope = random.normal(size=5)
    np.testing.assert_allclose(
        recursion(slope, pairs, np.ones(5, bool)), np.linalg.solve(hessian, slope), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("a", [-3.0, 0.0, 2.0])
def test_the_cubic_of_a_cubic_is_exact(a):
    """f = x³/3 - x has its minimum at 1."""

    def trial(x):
        return Trial(x, x**3 / 3 - x, x**2 - 1)

    assert cubic(trial(a), trial(5.0)) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lbfgs_finds_the_minimum_of_a_hard_function(name):
    formula, start, lowest = FUNCTIONS[name]
    fit = steepest.minimize(formula, start, method="lbfgs")
    assert fit.status == "converged", fit.message
    found = [fit.values[n] for n in start]
    assert fit.loss == pytest.approx(value_of(formula, list(start))(found), rel=1e-12, abs=1e-25)
    if lowest is not None:
        assert fit.loss == pytest.approx(lowest, rel=1e-9, abs=1e-10)


def test_lbfgs_needs_about_as_many_passes_as_scipy():
    ours = theirs = 0
    for name in ("Rosenbrock", "Beale", "Wood", "Freudenstein and Roth", "Himmelblau"):
        formula, start, _ = FUNCTIONS[name]
        ours += steepest.minimize(formula, start, method="lbfgs").passes
        surface = steepest.function(formula)
        found = optimize.minimize(
            surface, [start[n] for n in surface.names], jac=True, method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-10},
        )  # fmt: skip
        theirs += found.nfev
    assert ours < 1.5 * theirs


@pytest.mark.parametrize("formula", ["y = a*exp(-b*x) + c", "y = a + b*x + c*x**2"])
def test_a_fit_by_lbfgs_is_that_of_gauss_newton(formula):
    x = np.linspace(0, 3, 60)
    data = {"x": x, "y": 3 * np.exp(-1.3 * x) + 0.5 + 0.05 * np.random.default_rng(0).normal(size=60)}
    fit, other = (steepest.fit(formula, data, method=m) for m in ("lbfgs", "auto"))
    assert fit.status == other.status == "converged"
    for name in "abc":
        assert abs(fit.values[name] - other.values[name]) <= 1e-4 * other.errors[name]
        assert fit.errors[name] == pytest.approx(other.errors[name], rel=1e-4)


BOXES = {
    "Rosenbrock below its minimum": ("100*(y - x**2)**2 + (1 - x)**2", {"x": (-2, 0.5), "y": (-1, 2)}),
    "Rosenbrock in a corner": ("100*(y - x**2)**2 + (1 - x)**2", {"x": (-2, 0.5), "y": (0.5, 2)}),
    "one sided": ("(x - 3)**2 + (x*y - 1)**2", {"x": (None, 2), "y": (1, None)}),
    "nothing held": ("(x - 1)**2 + (x - y)**4 + y**2", {"x": (-5, 5), "y": (-5, 5)}),
    "everything held": ("exp(x + y) + x", {"x": (1, 3), "y": (0, 3)}),
    "McCormick": ("sin(x + y) + (x - y)**2 - 1.5*x + 2.5*y + 1", {"x": (-0.3, 4), "y": (-3, 4)}),
}


@pytest.mark.parametrize("method", ["lbfgs", "auto"])
@pytest.mark.parametrize("start", [(-1.2, 1.0), (0.3, 1.9), (9.0, 9.0)])
@pytest.mark.parametrize("case", BOXES)
def test_scipy_finds_nothing_lower_within_the_bounds_and_the_multipliers_have_their_signs(case, start, method):
    formula, bounds = BOXES[case]
    fit = steepest.minimize(formula, dict(zip("xy", start, strict=True)), bounds=bounds, method=method)
    assert fit.status == "converged", fit.message
    surface = steepest.function(formula)
    limits = [bounds[n] for n in surface.names]
    at = [fit.values[n] for n in surface.names]
    found = optimize.minimize(
        surface, at, jac=True, bounds=limits, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}
    )
    assert fit.loss <= found.fun + 1e-12 * max(1, abs(found.fun))
    for value, gradient, (low, high) in zip(at, surface(at)[1], limits, strict=True):
        push = 1e-6 * max(1, abs(fit.loss))
        assert low is None or value >= low
        assert high is None or value <= high
        # the multiplier of a bound has the sign that holds the parameter there; a free parameter has none
        assert abs(gradient) <= push or (value == low and gradient > 0) or (value == high and gradient < 0)


def test_with_more_than_a_thousand_parameters_auto_is_lbfgs_and_nothing_is_certified():
    random = np.random.default_rng(0)
    matrix = random.normal(size=(2 * LARGE, LARGE))
    y = matrix @ random.normal(size=LARGE) + random.normal(size=2 * LARGE)
    fit = steepest.fit("y = X @ B", {"X": matrix, "y": y})
    best = np.linalg.lstsq(matrix, y, rcond=None)[0]
    assert fit.method == "lbfgs"
    assert fit.status == "stopped" and "stopped: gradient" in fit.message and "minimum not certified" in fit.message
    assert fit.exit_status == 1 and fit.errors is None
    np.testing.assert_allclose(fit.values["B"], best, atol=1e-6)
    assert fit.passes < 200


@pytest.mark.parametrize("method", ["lbfgs", "auto", "gauss-newton", "newton"])
def test_a_method_that_finds_its_own_step_takes_no_batch_rate_or_scale(method):
    data = {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.1]}
    for option in ({"batch": 2}, {"rate": 0.1}, {"scale": "auto"}):
        with pytest.raises(steepest.FitError, match=method):
            steepest.fit("y = a*x", data, method=method, **option)


def test_a_step_out_of_the_domain_is_taken_back():
    fit = steepest.minimize("x - log(x)", {"x": 1e-6}, method="lbfgs")
    assert fit.status == "converged" and fit.values["x"] == pytest.approx(1, rel=1e-7)


def test_a_rejected_trial_is_no_step_but_a_pass():
    steps = []
    fit = steepest.minimize(FUNCTIONS["Rosenbrock"][0], FUNCTIONS["Rosenbrock"][1], method="lbfgs",
                            callbacks=[steps.append])  # fmt: skip
    assert [s.number for s in steps] == list(range(fit.steps + 1))
    losses = [s.loss for s in steps]
    assert all(after < before for before, after in pairwise(losses))
    assert fit.passes > fit.steps


def test_stop_ends_lbfgs():
    fit = steepest.minimize(FUNCTIONS["Wood"][0], FUNCTIONS["Wood"][1], method="lbfgs", stop=Stop(steps=5))
    assert (fit.status, fit.steps, fit.exit_status) == ("stopped", 5, 0)
