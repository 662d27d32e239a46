"""Random formulas, data and options: an answer or one of our sentences, and no false "converged"."""

import warnings

import numpy as np
import pytest

import steepest
from steepest import Stop

FUNCTIONS = ["exp", "sin", "cos", "tanh", "log", "sqrt", "abs", "sigmoid", "softplus", "atan", "log1p", "cbrt", "sign"]
METHODS = ["auto", "newton", "gauss-newton", "gd", "momentum", "nesterov", "rmsprop", "adam", "sgd"]


def expression(random, depth):
    """A random formula of the columns x, z and the parameters a, b, c."""
    if depth == 0:
        return str(random.choice(["x", "z", "a", "b", "c", f"{random.normal():.2g}"]))

    def inner():
        return expression(random, depth - 1)

    kind = random.integers(12)
    if kind < 6:
        return f"({inner()} {random.choice(['+', '-', '*', '*'])} {inner()})"
    if kind == 6:
        return f"({inner()}/{inner()})"
    if kind == 7:
        return f"{random.choice(FUNCTIONS)}({inner()})"
    if kind == 8:
        return f"exp(-{inner()})"
    if kind == 9:
        return f"{inner()}**{random.integers(-1, 4)}"
    if kind == 10:
        return f"max({inner()}, {inner()})"
    return f"where({inner()} > {inner()}, {inner()}, {inner()})"


def problem(random):
    """Formula, data and options."""
    rows = int(random.choice([1, 2, 3, 5, 12, 40]))
    data = {
        "x": random.normal(size=rows) * 10.0 ** random.integers(-3, 4),
        "z": random.uniform(0, 2, rows),
        "y": random.normal(size=rows) * 10.0 ** random.integers(-3, 4) * (random.uniform() < 0.8),
    }
    body = expression(random, int(random.integers(1, 4)))
    equation = random.uniform() < 0.7
    options = {"method": str(random.choice(METHODS)), "stop": Stop(passes=200)}
    if random.uniform() < 0.3:
        options["start"] = {p: float(random.normal() * 10.0 ** random.integers(-6, 7)) for p in "abc" if p in body}
    if random.uniform() < 0.2:
        options["bounds"] = {"a": (-abs(float(random.normal())), abs(float(random.normal())))}
    if random.uniform() < 0.2:
        options["penalty"] = str(random.choice(["a**2", "0.1*b**4", "cosh(a)", "log(1 + a**2)"]))
    if random.uniform() < 0.2:
        options["weights"] = "z"
    if equation and random.uniform() < 0.2:
        options["loss"] = str(random.choice(["rmse", "log(cosh(y - prediction))", "abs(y - prediction)"]))
    if options["method"] == "sgd" or (options["method"] in ("gd", "momentum") and random.uniform() < 0.3):
        options["rate"] = float(10.0 ** random.integers(-6, 1))
    return (f"y = {body}" if equation else f"({body}) + 0*x"), data, options


def lower_nearby(random, fit, formula, data, options):
    """By how much the loss falls at the best of some points around."""
    values = np.array([fit.values[n] for n in fit.free])
    least = fit.total
    for _ in range(12):
        moved = values * (1 + 1e-3 * random.normal(size=values.size)) + 1e-4 * random.normal(size=values.size) * (
            values == 0
        )
        stay = {**options, "method": "theta = theta - 0*rate*g", "rate": 1.0, "stop": Stop(steps=0)}
        stay["start"] = dict(zip(fit.free, map(float, moved), strict=True))
        try:
            least = min(least, steepest.fit(formula, data, **stay).total)
        except steepest.SteepestError:
            continue
    return fit.total - least


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_any_formula_data_and_options_end_in_an_answer_or_a_sentence_and_converged_is_a_minimum(seed):
    random = np.random.default_rng(seed)
    for _ in range(50):
        formula, data, options = problem(random)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*diverges on this quadratic")
            try:
                fit = steepest.fit(formula, data, **options)
            except steepest.SteepestError:
                continue
            assert np.isfinite(list(fit.flat_values().values())).all(), (formula, options)
            fit.text()
            if fit.ok and fit.free:
                fall = lower_nearby(random, fit, formula, data, options)
                assert fall <= 1e-6 * abs(fit.total) + 1e-18, (formula, data, options, fit.values)
