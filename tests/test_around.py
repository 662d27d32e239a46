"""Stationary points that are no minimum, and valleys without an end: left where something lower is near, else named."""

import math

import numpy as np
import pytest
from scipy import optimize

import steepest

X = np.linspace(0.0, 2.0, 21)
OWN_STEP = ("auto", "lbfgs")


def lowest(formula, box=3.0, starts=200):
    """The smallest value that SciPy finds from many starts."""
    surface = steepest.function(formula)
    random = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        found = [optimize.minimize(surface, random.uniform(-box, box, len(surface.names)), jac=True, method="BFGS").fun
                 for _ in range(starts)]  # fmt: skip
    return min(found)


#: formula, start: the gradient is zero at the start, which is no minimum; every minimum has the same value
SADDLES = {
    "a saddle": ("x**2 - y**2 + y**4", {"x": 0.0, "y": 0.0}),
    "a monkey saddle": ("x**3 - 3*x*y**2 + (x**2 + y**2)**2", {"x": 0.0, "y": 0.0}),
    "a maximum": ("cos(x) + x**2/10", {"x": 0.0}),
    "a flat maximum": ("x**6 - x**4", {"x": 0.0}),
    "an inflection": ("x**3 + x**4", {"x": 0.0}),
    "Peano's surface": ("(y - x**2)*(y - 3*x**2) + x**8 + y**6", {"x": 0.0, "y": 0.0}),
    "Peano's surface on a level": ("5 + (y - x**2)*(y - 3*x**2) + x**8 + y**6", {"x": 0.0, "y": 0.0}),
    "Peano's surface turned": (
        "(x + y - (x - y)**2)*(x + y - 3*(x - y)**2) + (x - y)**8 + (x + y)**6", {"x": 0.0, "y": 0.0},
    ),
    "a cubic valley": ("(z - x**3)*(z - 2*x**3) + x**10 + z**4 + y**2", {"x": 0.0, "y": 0.0, "z": 0.0}),
    "a product": ("(x*y - 1)**2", {"x": 0.0, "y": 0.0}),
}  # fmt: skip


@pytest.mark.parametrize("method", OWN_STEP)
@pytest.mark.parametrize("name", SADDLES)
def test_a_stationary_point_that_is_no_minimum_is_left_for_one(name, method):
    formula, start = SADDLES[name]
    fit = steepest.minimize(formula, start, method=method)
    assert fit.status == "converged", fit.message
    assert fit.loss == pytest.approx(lowest(formula), rel=1e-6, abs=1e-9)


def test_the_exact_saddle_of_a_product_is_left_for_a_corner_of_its_bounds():
    fit = steepest.minimize("x*y", {"x": 0.0, "y": 0.0}, bounds={"x": (-1, 1), "y": (-1, 2)})
    assert fit.status == "converged" and fit.loss in (-1.0, -2.0)


@pytest.mark.parametrize(("formula", "kind"), [("x**2 - y**2 + y**4", "a saddle"), ("cos(x) + cos(y)", "a maximum")])
def test_the_kind_of_a_stationary_point_is_said(formula, kind):
    fit = steepest.minimize(formula, {"x": 0.0, "y": 0.0}, method="gd")
    assert fit.status == "stopped" and f"the point is {kind}:" in fit.message


#: formula, start, the parameters that run away
ENDLESS = {
    "an inverse square": ("1/(1 + x**2)", {"x": 1.0}, {"x"}),
    "a curved valley": ("exp(-x) + (y - x**2)**2", {"x": 1.0, "y": 0.0}, {"x", "y"}),
    "a straight valley": ("1/(1 + exp(x + y)) + (x - y)**2", {"x": 0.0, "y": 1.0}, set()),
    "a hyperbola": ("(x*y - 1)**2 + x**2", {"x": 1.0, "y": 1.0}, {"y"}),
}


@pytest.mark.parametrize("method", OWN_STEP)
@pytest.mark.parametrize("name", ENDLESS)
def test_a_minimum_at_infinity_is_never_converged(name, method):
    formula, start, names = ENDLESS[name]
    fit = steepest.minimize(formula, start, method=method)
    assert fit.status in ("stopped", "diverged"), fit.message
    assert all(map(math.isfinite, fit.flat_values().values()))
    if "infinity" in fit.message:
        said = fit.message.partition(" run")[0].replace(",", " ").split()
        assert names <= set(said)


def test_a_known_sigma_does_not_hide_a_valley_to_infinity():
    """The loss is below 1e-12 from b = 14 on, its curvature too: the error would be a thousand times the value."""
    fit = steepest.fit("y = exp(-b*x)", {"x": X[1:], "y": np.zeros(20)}, sigma=1.0)
    assert fit.status == "stopped" and "b runs to infinity" in fit.message
    assert fit.errors is None


def test_an_exponential_that_bends_the_other_way_runs_to_a_line_and_says_so():
    data = {"x": X / 2, "y": X - 0.0025 * X**2}
    bent = {"b": (0.0, None)}  # without it there is a minimum, at b = -0.01005
    fit = steepest.fit("y = a*exp(b*x) + c", data, start={"a": 1.0, "b": 1.0, "c": 1.0}, bounds=bent)
    assert fit.status == "stopped" and "a and c run to infinity" in fit.message
    assert fit.errors is None
    line = np.polyfit(data["x"], data["y"], 1, full=True)[1][0]
    assert fit.rss == pytest.approx(line, rel=1e-2)  # what it runs to


def test_an_error_larger_than_its_value_is_no_valley():
    x = np.linspace(0.0, 1.0, 40)
    y = 1.0 * np.exp(-2 * x) + 0.3 * np.random.default_rng(9).normal(size=40) + 2.0
    fit = steepest.fit("y = a*exp(-b*x) + c", {"x": x, "y": y}, start={"a": 1.0, "b": 2.0})
    assert fit.status == "converged", fit.message
    assert fit.errors["a"] > abs(fit.values["a"])


def test_a_parameter_held_at_its_bound_is_named():
    fit = steepest.minimize("(x - 2)**2 + (y - 1)**2 + x*y/4", {"x": 0.5, "y": 0.5}, bounds={"x": (0, 1)})
    assert fit.status == "converged" and fit.values["x"] == 1.0
    assert "x held at its bound" in fit.message and "y" not in fit.message.partition("held")[0]
