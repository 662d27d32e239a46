"""Linear models whose terms are large and whose residuals are small, against the normal equations in fractions."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

import steepest

FEW, MANY = 60, 14_000  # rows: for NumPy, and for machine code


def exact(features, y, weights=None):
    """The coefficients of least squares and the weighted squares left, to 50 digits, of the doubles as they are."""
    weights = np.ones(len(y)) if weights is None else weights
    p = len(features)
    rows = [[*map(Fraction, row)] for row in zip(*features, y, weights, strict=True)]
    sums = {}
    for i in range(p + 1):
        for j in range(i, p + 1):
            total = sum((row[i] * row[j] * row[-1] for row in rows), Fraction(0))
            sums[i, j] = sums[j, i] = mpmath.mpf(total.numerator) / total.denominator
    gram = mpmath.matrix([[sums[i, j] for j in range(p)] for i in range(p)])
    right = mpmath.matrix([sums[i, p] for i in range(p)])
    solved = mpmath.lu_solve(gram, right)
    return solved, sums[p, p] - (solved.T * right)[0]


@pytest.fixture(autouse=True)
def fifty_digits():
    with mpmath.workdps(90):  # 50 of the solution, and what the condition costs
        yield


def timestamps(rows, noise):
    """Seconds since 1970, and what drifts a little with them."""
    random = np.random.default_rng(1)
    t = 1.7e9 + 60.0 * np.arange(rows)
    return {"t": t, "y": 1e8 + 3e-7 * (t - 1.7e9) + noise * random.normal(size=rows), "w": random.uniform(0.5, 2, rows)}


def relative(found, right):
    return max(abs((mpmath.mpf(float(f)) - r) / r) for f, r in zip(found, right, strict=True))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("noise", [1.0, 1e-6])
@pytest.mark.parametrize("rows", [FEW, MANY])
@pytest.mark.parametrize("start", [0.0, 1000.0])
def test_a_drift_over_timestamps_on_a_large_level_has_twelve_digits(rows, noise, weights, start):
    data = timestamps(rows, noise)
    fit = steepest.fit("y = a + b*t", data, start={"a": start, "b": start}, weights=weights)
    right, rss = exact([np.ones(rows), data["t"]], data["y"], None if weights is None else data[weights])
    assert fit.ok
    assert relative([fit.values["a"], fit.values["b"]], right) < 1e-12
    if noise == 1.0:  # with less of it the rounding of theta itself is seen
        assert relative([fit.rss], [rss]) < 1e-13


@pytest.mark.parametrize("method", ["auto", "gauss-newton", "newton"])
@pytest.mark.parametrize("rows", [FEW, MANY])
def test_a_polynomial_in_a_narrow_interval_has_eleven_digits(rows, method):
    random = np.random.default_rng(2)
    x = random.integers(900, 1100, rows).astype(float)
    y = 1.0 + x + x**2 + x**3 + 100.0 * random.normal(size=rows)
    fit = steepest.fit(
        "y = a + b*x + c*x**2 + d*x**3", {"x": x, "y": y}, start=dict.fromkeys("abcd", 0.0), method=method
    )
    right, rss = exact([x**0, x, x**2, x**3], y)
    assert fit.ok
    assert relative([fit.values[n] for n in "abcd"], right) < 1e-11
    assert relative([fit.rss], [rss]) < 1e-13
    assert fit.passes <= 4


@pytest.mark.parametrize("rows", [FEW, MANY])
def test_a_linear_regression_reads_its_rows_twice(rows):
    random = np.random.default_rng(3)
    x, z = random.normal(size=(2, rows))
    fit = steepest.fit("y = a + b*x + c*z", {"x": x, "z": z, "y": 3 + x - z + 0.1 * random.normal(size=rows)})
    assert fit.ok
    assert fit.passes == 2


def test_errors_belong_to_the_sum_of_squares_of_the_corrected_parameters():
    data = timestamps(FEW, 1.0)
    fit = steepest.fit("y = a + b*t", data)
    _, rss = exact([np.ones(FEW), data["t"]], data["y"])
    spread = mpmath.mpf(float(np.var(data["t"]) * FEW))
    assert relative([fit.errors["b"]], [mpmath.sqrt(rss / (FEW - 2) / spread)]) < 1e-9


def test_a_ridge_penalty_takes_part_in_the_correction():
    data = timestamps(FEW, 1.0)
    t = data["t"] - 1.7e9
    fit = steepest.fit("y = a + b*t", {"t": t, "y": data["y"]}, penalty="0.5*7*b**2", start={"a": 0, "b": 0})
    n, st, stt = (mpmath.mpf(int(v)) for v in (FEW, t.sum(), (t * t).sum()))
    sy, sty = (sum((Fraction(v) for v in values), Fraction(0)) for values in (data["y"], data["y"] * 0))
    sty = sum((Fraction(a) * Fraction(b) for a, b in zip(t, data["y"], strict=True)), Fraction(0))
    gram = mpmath.matrix([[n, st], [st, stt + 7]])
    right = mpmath.lu_solve(gram, mpmath.matrix([mpmath.mpf(v.numerator) / v.denominator for v in (sy, sty)]))
    assert fit.ok
    assert relative([fit.values["a"], fit.values["b"]], right) < 1e-13


def test_where_a_bound_holds_a_parameter_the_others_are_as_if_it_were_fixed():
    x = np.arange(900.0, 1100.0, 3.0)
    y = 1.0 + x + x**2 + x**3 + np.random.default_rng(4).normal(size=len(x))
    formula, start = "y = a + b*x + c*x**2 + d*x**3", dict.fromkeys("abcd", 0.0)
    fit = steepest.fit(formula, {"x": x, "y": y}, bounds={"d": (None, 0.9)}, start=start)
    left = [Fraction(a) - Fraction(0.9) * Fraction(b) ** 3 for a, b in zip(y, x, strict=True)]
    right, _ = exact([x**0, x, x**2], left)
    assert fit.ok
    assert fit.values["d"] == 0.9
    assert relative([fit.values[n] for n in "abc"], right) < 1e-11


def test_a_term_that_overflows_where_plain_sums_survive_changes_nothing():
    x = np.array([1.0, 1.1, 1.2, 1.3, 1e9, 1e9])
    with np.errstate(over="ignore"):
        power = x**40
    y = 2.0 + 3.0 / power + np.array([1, -1, 1, -1, 1, -1]) * 1e-3
    fit = steepest.fit("y = a + b/x**40", {"x": x, "y": y}, start={"a": 0, "b": 0})
    right, _ = exact([x**0, 1.0 / power], y)
    assert np.isfinite(power).sum() == 4
    assert fit.ok
    assert relative([fit.values["a"], fit.values["b"]], right) < 1e-9


def test_the_iterates_of_a_first_order_method_are_not_corrected_but_their_sum_of_squares_is_exact():
    x = np.linspace(-1, 1, FEW)
    y = 1e6 + x + 1e-3 * np.random.default_rng(5).normal(size=FEW)
    fit = steepest.fit("y = a + b*x", {"x": x, "y": y}, start={"a": 0, "b": 0}, method="gd", rate=0.5,
                       stop=steepest.Stop(steps=60))  # fmt: skip
    a, b = Fraction(fit.values["a"]), Fraction(fit.values["b"])
    rss = sum(((Fraction(v) - a - b * Fraction(u)) ** 2 for u, v in zip(x, y, strict=True)), Fraction(0))
    theta = np.zeros(2)
    design = np.stack([np.ones(FEW), x], axis=1)
    for _ in range(60):
        theta -= 0.5 * design.T @ (design @ theta - y) / FEW
    assert fit.steps == 60
    assert [fit.values["a"], fit.values["b"]] == pytest.approx(theta, rel=1e-11)
    assert abs(Fraction(fit.rss) - rss) <= Fraction(1, 2**50) * rss
