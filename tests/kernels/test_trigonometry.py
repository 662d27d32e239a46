"""Sine, cosine, tangent and their inverses against mpmath and the NumPy forms of the table of functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

import mpmath as mp
import numpy as np
import pytest
from llvmlite import ir

from steepest.formula.functions import FUNCTIONS
from steepest.kernels import trigonometry
from steepest.kernels.lanes import VECTOR, Lanes
from steepest.kernels.machine import Target

from .conftest import elementwise

NAMES = tuple(trigonometry.EMITTERS)
CIRCULAR = ("sin", "cos", "tan")
#: the worst seen in millions of points (see the module), and a little
ULP = {"sin": 1.5, "cos": 1.5, "tan": 1.6, "asin": 1.3, "acos": 1.3, "atan": 1.6, "atan2": 1.7}
EXACT = {name: getattr(mp, name) for name in NAMES}
HOST, NARROW = Target(), Target("x86-64-v3")


@cache
def compiled(name: str, target: Target) -> Callable[..., np.ndarray]:
    """An emitter as a function of arrays, "sincos 0" and "sincos 1" too."""
    if name.startswith("sincos"):
        which = int(name[-1])
        return elementwise(lambda lanes, x: trigonometry.sincos(lanes, x)[which], 1, target)
    return elementwise(trigonometry.EMITTERS[name], FUNCTIONS[name].arity, target)


def scattered(rng: np.random.Generator, low: int, high: int, n: int) -> np.ndarray:
    """Both signs, exponents uniform from low to high."""
    return np.ldexp(rng.uniform(1.0, 2.0, n), rng.integers(low, high, n)) * rng.choice([-1.0, 1.0], n)


def nearest_turns(exponent: int) -> Iterator[float]:
    """The doubles m·2^exponent that come the nearest to multiples of π/2, by W. Kahan's continued fractions.

    A convergent k/m of 2^exponent·2/π says that m·2^exponent is all but k·π/2.
    """
    with mp.workprec(1300):
        x = mp.ldexp(2 / mp.pi, exponent)
        before, m = 1, 0
        while True:
            whole = int(mp.floor(x))
            before, m = m, whole * m + before
            if m >= 2**53:
                return
            if m >= 2**44:
                yield float(mp.ldexp(m, exponent))
            x = 1 / (x - whole)


def hard_turns(rng: np.random.Generator, n: int) -> np.ndarray:
    """The doubles beside multiples of π/4, the nearest ones of π/2, and the edges of the reductions."""
    exponents = {*rng.integers(-52, 971, n).tolist(), 797, 499}  # the nearest of all has 797
    nearest = np.array([x for e in sorted(exponents) for x in nearest_turns(e)])
    with mp.workprec(1200):
        turns = [*range(1, n // 2), *map(int, np.ldexp(rng.uniform(1, 2, n // 2), rng.integers(3, 60, n // 2)))]
        near = np.array([float(k * mp.pi / 4) for k in turns])
    limit = trigonometry.USUAL
    edges = [limit, np.nextafter(limit, 0), np.nextafter(limit, np.inf), np.finfo(float).max, 1e22]
    return np.concatenate([near, np.nextafter(near, 0), np.nextafter(near, np.inf), nearest, -nearest, edges])


def arguments(name: str, n: int, seed: int) -> list[np.ndarray]:
    """About five n points where a function is used and where it is hard."""
    rng = np.random.default_rng(seed)
    if name in CIRCULAR:
        parts = [rng.uniform(-3.2, 3.2, 2 * n), rng.uniform(-100, 100, n), scattered(rng, 5, 40, n)]
        return [np.concatenate([*parts, scattered(rng, -1074, 1024, n // 2), hard_turns(rng, max(8, n // 20))])]
    if name in ("asin", "acos"):
        near_one = (1 - np.abs(scattered(rng, -53, -2, n))) * rng.choice([-1.0, 1.0], n)
        half = rng.uniform(0.48, 0.6, n) * rng.choice([-1.0, 1.0], n)
        small = [scattered(rng, -60, 0, n), scattered(rng, -1074, -60, n // 4)]
        return [np.concatenate([rng.uniform(-1, 1, 2 * n), near_one, half, *small])]
    if name == "atan":
        parts = [rng.uniform(-3, 3, 2 * n), scattered(rng, -30, 30, n), scattered(rng, -1074, 1024, n // 2)]
        return [np.concatenate([*parts, rng.uniform(0.9, 1.2, n)])]
    ranges = [(-20, 20), (-1074, 1024), (-1074, -1010), (1000, 1024)]
    parts = [(rng.uniform(-3, 3, 2 * n), rng.uniform(-3, 3, 2 * n))]
    parts += [(scattered(rng, *r, n // 2), scattered(rng, *r, n // 2)) for r in ranges]
    turned = rng.uniform(0.9, 1.1, n) * rng.choice([-1.0, 1.0], n)
    parts += [(turned, turned * rng.uniform(0.9, 1.1, n)), (turned, turned * rng.uniform(0.45, 0.6, n))]
    return [np.concatenate(side) for side in zip(*parts, strict=True)]


def worst(name: str, values: np.ndarray, points: list[np.ndarray]) -> tuple[float, str]:
    """The largest error in units of the last place of the exact value, and where."""
    largest, where = 0.0, ""
    for value, *point in zip(values.tolist(), *(p.tolist() for p in points), strict=True):
        wide = max(abs(c) for c in point) > 2.0**40 or (name == "atan2" and min(abs(c) for c in point) < 2.0**-40)
        with mp.workprec(2300 if wide and name == "atan2" else 1250 if wide and name in CIRCULAR else 180):
            exact = EXACT[name](*[mp.mpf(c) for c in point])
            if exact == 0:
                error = 0.0 if value == 0 else np.inf
            else:
                error = float(mp.ldexp(abs(exact - value), 52 - max(mp.frexp(exact)[1] - 1, -1022)))
        if not error <= largest:
            largest, where = error, ", ".join(c.hex() for c in point)
    return largest, where


def agree(a: np.ndarray, b: np.ndarray) -> bool:
    """The same bits, any NaN as good as another."""
    return bool(np.all((a.view(np.uint64) == b.view(np.uint64)) | (np.isnan(a) & np.isnan(b))))


def special(name: str) -> Iterator[tuple[float, ...]]:
    values = [0.0, 1.0, np.inf, np.nan, 5e-324, 2.2250738585072014e-308, 1e-300, 1e-20, 1e20, 1e300, 1.7e308]
    values += [-v for v in values] + [1 + 2**-52, 2.0, -2.0]
    return product(values, repeat=FUNCTIONS[name].arity)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_is_within_two_units_in_the_last_place(name: str) -> None:
    points = arguments(name, 600, seed=1)
    error, where = worst(name, compiled(name, HOST)(*points), points)
    assert error <= ULP[name], where


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(2, 6))
def test_every_value_is_within_two_units_in_the_last_place_at_many_points(name: str, seed: int) -> None:
    points = arguments(name, 20000, seed)
    error, where = worst(name, compiled(name, HOST)(*points), points)
    assert error <= ULP[name], where


@pytest.mark.parametrize("name", [*NAMES, "sincos 0", "sincos 1"])
def test_the_bits_do_not_depend_on_the_width_of_the_machine(name: str) -> None:
    points = arguments(name if name in NAMES else "sin", 40000, seed=7)
    assert agree(compiled(name, HOST)(*points), compiled(name, NARROW)(*points))


@pytest.mark.parametrize(("pair", "name"), [("sincos 0", "sin"), ("sincos 1", "cos")])
def test_sine_and_cosine_together_have_the_bits_of_each_alone(pair: str, name: str, target: Target) -> None:
    points = arguments(name, 40000, seed=8)
    assert agree(compiled(pair, target)(*points), compiled(name, target)(*points))


@pytest.mark.parametrize("name", NAMES)
def test_zeros_infinities_and_what_is_outside_the_domain_are_as_in_numpy(name: str, target: Target) -> None:
    points = [np.array(column) for column in zip(*special(name), strict=True)]
    with np.errstate(all="ignore"):
        wanted = FUNCTIONS[name].numpy(*points)
    found = compiled(name, target)(*points)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    known = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(wanted[known]))
    np.testing.assert_array_max_ulp(found[known], wanted[known], maxulp=1)
    edges = known & np.logical_and.reduce([np.isinf(p) | (p == 0) | (abs(p) == 1) for p in points])
    if name not in CIRCULAR:  # there 1 is an argument like others
        np.testing.assert_array_equal(found[edges], wanted[edges])


@pytest.mark.parametrize("name", NAMES)
def test_odd_functions_are_odd_to_the_bit(name: str, target: Target) -> None:
    first, *others = arguments(name, 2000, seed=9)
    if name in ("cos", "acos"):
        assert name == "acos" or agree(compiled(name, target)(-first), compiled(name, target)(first))
        return
    assert agree(compiled(name, target)(-first, *others), -compiled(name, target)(first, *others))


@pytest.mark.parametrize("name", CIRCULAR)
def test_a_huge_argument_does_no_harm_to_the_lanes_beside_it(name: str, target: Target) -> None:
    calm = np.random.default_rng(10).uniform(-10, 10, 800)
    mixed = calm.copy()
    mixed[::3] = scattered(np.random.default_rng(11), 40, 1024, len(calm[::3]))
    mixed[1::30] = np.inf
    mixed[4::30] = np.nan
    beside = np.arange(len(calm)) % 3 == 2
    assert agree(compiled(name, target)(mixed)[beside], compiled(name, target)(calm)[beside])


def test_a_module_has_the_reduction_of_huge_arguments_once() -> None:
    module = ir.Module("twice")
    function = ir.Function(module, ir.FunctionType(VECTOR, [VECTOR]), "f")
    lanes = Lanes(ir.IRBuilder(function.append_basic_block("entry")))
    lanes.builder.ret(trigonometry.tan(lanes, trigonometry.sin(lanes, function.args[0])))
    assert (
        str(module).count(f'define internal {{<8 x double>, <8 x double>, <8 x i64>}} @"{trigonometry.REDUCTION}"') == 1
    )
