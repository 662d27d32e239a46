"""erf, erfc, lgamma and digamma over eight lanes, against mpmath with 40 digits.

An error is measured in units in the last place of the truth, rounded to a double. Left of zero lgamma and digamma are
the difference of two terms and have a root between any two poles: there the error is measured on the terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import mpmath as mp
import numpy as np
import pytest
from scipy import special as scipy_special

from steepest.kernels.machine import Target
from steepest.kernels.special import EMITTERS, ROOT

from .conftest import elementwise

DIGITS = 40
TRUTH: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "erf": mp.erf,
    "erfc": mp.erfc,
    "lgamma": lambda u: mp.re(mp.loggamma(u)),
    "digamma": mp.digamma,
}
SCIPY = {
    "erf": scipy_special.erf,
    "erfc": scipy_special.erfc,
    "lgamma": scipy_special.gammaln,
    "digamma": scipy_special.psi,
}
#: the worst error that is allowed, in units in the last place; what large sweeps have seen is a little less
ULP = {"erf": 1.9, "erfc": 1.9, "lgamma": 1.2, "digamma": 1.0}
NAMES = list(ULP)


@cache
def compiled(name: str, target: Target) -> Callable[[np.ndarray], np.ndarray]:
    return elementwise(EMITTERS[name], 1, target)


def around(points: list[float], generator: np.random.Generator, count: int) -> np.ndarray:
    """Doubles near some points: the nearest ones, and others at distances of all sizes."""
    centres = generator.choice(points, count)
    near = centres + generator.choice([-1, 1], count) * 10.0 ** generator.uniform(-16, -1, count)
    return np.concatenate([points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf), near])


@cache
def arguments(name: str, count: int) -> np.ndarray:
    """Some `count` arguments where the relative error is bounded: of every size, and where the methods change."""
    generator = np.random.default_rng(sum(name.encode()))

    def uniform(low: float, high: float, share: float = 1.0) -> np.ndarray:
        return generator.uniform(low, high, int(share * count))

    tiny = 10.0 ** uniform(-323.3, -1, 0.1)
    if name == "erf":
        edges = around([0.875, -0.875, 6.0, 5.9, 1.0], generator, count // 10)
        return np.concatenate([uniform(-1.5, 1.5, 0.4), uniform(-6.5, 6.5, 0.4), tiny, -tiny, edges])
    if name == "erfc":
        edges = around([0.875, -0.875, 0.3125, 4.0, 26.5, 27.2, 27.226], generator, count // 10)
        wide = [uniform(-1.2, 1.2, 0.3), uniform(-6, 6, 0.2), uniform(0, 27.23, 0.3), uniform(26.4, 27.23, 0.1)]
        return np.concatenate([*wide, tiny, -tiny, edges])
    large = 10.0 ** uniform(0.5, 305.4, 0.1)
    positive = [uniform(0, 5.5, 0.4), uniform(4, 60, 0.2), large, tiny]
    if name == "lgamma":
        edges = around([0.5, 1.0, 1.5, 2.0, 2.5, 3.5, 4.5, ROOT[0], 2.0**52, 2.55998e305], generator, count // 5)
        return np.concatenate([*positive, -uniform(0, 0.5, 0.1), -tiny, edges])
    edges = around([1.0, 2.0, 3.0, 4.0, 5.0, ROOT[0], ROOT[0], 2.0**52], generator, count // 5)
    return np.concatenate([*(p[p > 1e-307] for p in positive), edges])


@cache
def truths(name: str, count: int) -> list[mp.mpf]:
    with mp.workdps(DIGITS):
        return [TRUTH[name](mp.mpf(u)) for u in arguments(name, count).tolist()]


def worst(name: str, target: Target, count: int) -> tuple[float, float]:
    """The largest error in units in the last place, and where."""
    u = arguments(name, count)
    found = (0.0, 0.0)
    for at, value, truth in zip(u.tolist(), compiled(name, target)(u).tolist(), truths(name, count), strict=True):
        assert math.isfinite(value), (name, at)
        found = max(found, (float(abs(value - truth) / math.ulp(float(truth))), at))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_error_is_below_two_units_in_the_last_place(name: str, target: Target) -> None:
    error, at = worst(name, target, 2000)
    assert error <= ULP[name], at


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_error_of_100_000_values_is_below_two_units_in_the_last_place(name: str, target: Target) -> None:
    error, at = worst(name, target, 100_000)
    print(name, error, at)
    assert error <= ULP[name], at


#: beside the roots of lgamma, which lie near the poles from x = -3 on, and of digamma
LEFT = [-2.457024738220797, -2.7476826467274127, -3.143580888349980, -0.504083008264455409, -1.5734984731623904]


def reflected(name: str, target: Target, count: int) -> tuple[float, float, float]:
    """Left of zero: the largest error on the scale of the terms, in 2^-53, where, and in ulp where little cancels."""
    generator = np.random.default_rng(7)
    u = -np.concatenate([generator.uniform(0.5, 6, count), generator.uniform(5, 170, count // 2)])
    u = np.concatenate([u, around(LEFT, generator, count // 4)])
    if name == "digamma":
        u = np.concatenate([u, -generator.uniform(0, 1, count // 2), -generator.uniform(100, 1e6, count // 2)])
    found, plain = (0.0, 0.0), 0.0
    for at, value in zip(u.tolist(), compiled(name, target)(u).tolist(), strict=True):
        with mp.workdps(DIGITS):
            x = mp.mpf(at)
            truth = TRUTH[name](x)
            mirror = TRUTH[name](-x) if name == "lgamma" else mp.digamma(1 - x)
            terms = abs(mirror) + abs(truth + mirror if name == "lgamma" else truth - mirror)
            error = abs(value - truth)
        found = max(found, (float(error / terms) * 2.0**53, at))
        if abs(truth) > terms / 8:
            plain = max(plain, float(error / math.ulp(float(truth))))
    return *found, plain


@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_left_of_zero_the_error_is_a_rounding_of_the_terms_that_cancel(name: str, target: Target) -> None:
    error, at, plain = reflected(name, target, 1000)
    assert error <= 1.2, at
    assert plain <= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_left_of_zero_the_error_of_50_000_values_is_a_rounding_of_the_terms(name: str, target: Target) -> None:
    error, at, plain = reflected(name, target, 50_000)
    print(name, error, at, plain)
    assert error <= 1.2, at
    assert plain <= 2


SPECIAL = [
    *(0.0, math.inf, math.nan, 1.0, 2.0, 3.0, 4.0, 5.0, 0.5, 1.5, 2.5, 4.5, 170.0, 5e-324, 1e-310, 1e-300, 9e-301),
    *(1e-290, 1e300, 2.5e305, 2.6e305, 1.7976931348623157e308, 2.0**52 - 0.5, 2.0**53, 26.5, 28.0),
]


@pytest.mark.parametrize("name", NAMES)
def test_at_poles_infinities_and_subnormals_the_value_is_that_of_scipy(name: str, target: Target) -> None:
    u = np.array([s * p for p in SPECIAL for s in (1.0, -1.0)])
    if name == "lgamma":  # SciPy takes them for the pole at 0
        u = u[(u == 0) | ~(np.abs(u) < 1e-307)]
    np.testing.assert_allclose(compiled(name, target)(u), SCIPY[name](u), rtol=1e-15, atol=1e-323)


@pytest.mark.parametrize("name", NAMES)
def test_a_special_function_has_the_same_bits_on_every_processor(name: str) -> None:
    u = np.concatenate([arguments(name, 2000), np.random.default_rng(3).uniform(-200, 200, 4000)])
    here, there = (compiled(name, target)(u) for target in (Target(), Target("x86-64-v3")))
    assert here.tobytes() == there.tobytes()


def test_erf_is_odd_to_the_last_bit(target: Target) -> None:
    u = arguments("erf", 2000)
    assert compiled("erf", target)(-u).tobytes() == (-compiled("erf", target)(u)).tobytes()


def test_erfc_goes_down_through_the_subnormals_to_zero(target: Target) -> None:
    u = np.linspace(26.0, 28.0, 4001)
    value = compiled("erfc", target)(u)
    assert (np.diff(value) <= 0).all()
    assert value[u > 27.2264].max() == 0
    assert value[u < 27.22].min() > 0


def test_one_lane_that_is_odd_leaves_the_others_as_they_are(target: Target) -> None:
    plain = np.linspace(0.7, 20.0, 64)
    for name in NAMES:
        mixed = plain.copy()
        mixed[::8] = [math.nan, -math.inf, math.inf, 0.0, -0.0, -3.0, 5e-324, -7.3]
        others = np.arange(64) % 8 != 0
        assert (compiled(name, target)(mixed)[others] == compiled(name, target)(plain)[others]).all()
