"""Every vector function against mpmath, against the table's NumPy form, and on two processors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest

from steepest.formula.functions import FUNCTIONS
from steepest.formula.functions import power as table_power
from steepest.kernels import special
from steepest.kernels.lanes import MASK, Lanes, Value
from steepest.kernels.machine import Target
from steepest.kernels.vectormath import EMITTERS, power

from .conftest import elementwise

Array = np.ndarray[Any, np.dtype[np.float64]]
HOST, AVX2 = Target(), Target("x86-64-v3")
LARGEST_ERROR = 2.0  # ulp
POINTS = 250  # of each kind; the slow tests take more
MASKS = {"and": 2, "or": 2, "not": 1, "where": 1}  # how many arguments are conditions
SPECIAL = [0.0, 1.0, 0.5, 2.0, 3.0, 1.5, 5e-324, 2.2250738585072014e-308, 1e-310, 1e-5, 1.7976931348623157e308, 1e300]
SPECIAL += [709.782712893384, 709.7827128933841, 710.4758600739439, 710.475860073944, 744.4400719213812]
SPECIAL += [745.1332191019411, 745.1332191019412, 1e10, 9007199254740993.0, math.inf, math.nan]
SPECIAL += [math.nextafter(1, 0), math.nextafter(1, 2), 18.5, 19.5, 37.0, 1023.0, 1074.0, 1075.0, 36.5, 2.0**60]
CONSTANTS = [float(n) for n in range(-66, 67)] + [0.5, -0.5, 1.5, 2.5, 1 / 3, -2.7, 1e300, math.inf, math.nan]

EXACT: dict[str, Callable[..., Any]] = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": lambda x: mpmath.log(x) / mpmath.log(10),
    "log1p": mpmath.log1p,
    "sqrt": mpmath.sqrt,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "sigmoid": lambda x: mpmath.exp(x) / (1 + mpmath.exp(x)) if x < 0 else 1 / (1 + mpmath.exp(-x)),
    "logit": lambda x: mpmath.log(x) - mpmath.log1p(-x),
    "softplus": lambda x: max(x, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(x))),
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "asinh": lambda x: mpmath.sign(x) * mpmath.asinh(abs(x)),
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "**": lambda x, y: x**y,
}
#: where the value is real
DOMAIN: dict[str, Callable[[Array], Any]] = {
    "log": lambda x: x > 0,
    "log2": lambda x: x > 0,
    "log10": lambda x: x > 0,
    "log1p": lambda x: x > -1,
    "sqrt": lambda x: x >= 0,
    "logit": lambda x: (x > 0) & (x < 1),
    "acosh": lambda x: x >= 1,
    "atanh": lambda x: np.abs(x) < 1,
}
MINE = [name for name in EMITTERS if name in EXACT]


def with_masks(name: str) -> Callable[..., Value]:
    """The emitter over doubles only: what is a condition comes and goes as a number."""

    def emit(lanes: Lanes, *args: Value) -> Value:
        zero, one = lanes.number(0.0), lanes.number(1.0)
        count = MASKS.get(name, 0)
        conditions = [lanes.compare("!=", a, zero) for a in args[:count]]
        value = EMITTERS[name](lanes, *conditions, *args[count:])
        return lanes.select(value, one, zero) if value.type == MASK else value

    return emit


@cache
def compiled(name: str, target: Target) -> Callable[..., Array]:
    return elementwise(with_masks(name), FUNCTIONS[name].arity, target)


@cache
def compiled_power(exponent: float, target: Target) -> Callable[..., Array]:
    return elementwise(lambda lanes, x: power(lanes, x, lanes.number(exponent), exponent), 1, target)


def arguments(name: str, points: int, seed: int = 1) -> list[Array]:
    """Random over all exponents and over the usual ranges, near 0, ½ and 1, at the ends; inside the domain."""
    generator = np.random.default_rng(seed)
    everywhere = np.ldexp(generator.uniform(1, 2, points), generator.integers(-1075, 1024, points))
    near = np.ldexp(generator.uniform(1, 2, points), generator.integers(-60, 1, points))
    parts = [generator.uniform(0, top, points) for top in (1, 5, 50, 750)]
    # around what log and exp make of the middle between two powers of two, and the last few doubles below 1
    ties = np.log(2) * (generator.integers(-1100, 1100, points) + 0.5) * (1 + 1e-9 * generator.normal(size=points))
    corners = np.ldexp(np.sqrt(0.5) * (1 + 1e-6 * generator.normal(size=points)), generator.integers(-3, 4, points))
    parts += [1 + near, np.abs(1 - near), 0.5 + near / 4, 0.5 - near / 4, near, everywhere, ties, corners]
    x = np.concatenate([*parts, [a for a in SPECIAL if math.isfinite(a)]])
    x = np.concatenate([x, -x])
    if FUNCTIONS[name].arity == 1:
        return [x[DOMAIN[name](x)] if name in DOMAIN else x]
    if name == "**":  # exponents that leave the result between 0 and inf, and some of everyday size
        x = np.concatenate([np.abs(x), np.exp(generator.uniform(-3, 3, 3 * points))])
        x = x[(x > 0) & (x != 1)]
        with np.errstate(over="ignore"):
            y = generator.uniform(-746, 710, len(x)) / np.log(x)
        y = np.where(generator.random(len(x)) < 0.3, generator.uniform(-5, 5, len(x)), y)
        return [x[np.isfinite(y)], y[np.isfinite(y)]]
    return [x, *[generator.permutation(x) for _ in range(FUNCTIONS[name].arity - 1)]]


def errors(exact: Callable[..., Any], got: Array, given: list[Array]) -> Array:
    """The errors in ulp of the exact values; inf counts as 2^1024."""
    result = np.zeros(len(got))
    with mpmath.workprec(200):
        for i, value in enumerate(got):
            truth = exact(*[mpmath.mpf(float(a[i])) for a in given])
            size = max(-1074, min(971, int(mpmath.frexp(truth)[1]) - 53)) if truth else -1074
            mine = mpmath.ldexp(1, 1024) * math.copysign(1, value) if math.isinf(value) else mpmath.mpf(float(value))
            if math.isinf(value) and abs(truth) > abs(mine):
                continue
            result[i] = math.nan if math.isnan(value) else float(abs(mine - truth) / mpmath.ldexp(1, size))
    return result


def assert_accurate(exact: Callable[..., Any], got: Array, given: list[Array]) -> None:
    error = errors(exact, got, given)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert error[worst] <= LARGEST_ERROR, (error[worst], [float(a[worst]) for a in given], got[worst])


def same_bits(a: Array, b: Array) -> bool:
    """Equal to the last bit, but one NaN is as good as another."""
    return bool(np.all((a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))))


def every_special(arity: int) -> list[Array]:
    values = np.array(SPECIAL + [-a for a in SPECIAL])
    if arity == 3:
        values = np.array([0.0, -0.0, 1.0, -1.0, 3.0, math.inf, -math.inf, math.nan])
    return [np.ascontiguousarray(a.ravel()) for a in np.meshgrid(*[values] * arity)]


@pytest.mark.parametrize("name", MINE)
def test_a_function_is_within_two_units_in_the_last_place(name: str) -> None:
    given = arguments(name, POINTS)
    assert_accurate(EXACT[name], compiled(name, HOST)(*given), given)


@pytest.mark.slow
@pytest.mark.parametrize("name", MINE)
def test_a_function_is_within_two_units_in_the_last_place_at_many_points(name: str) -> None:
    for seed in range(2, 5):
        given = arguments(name, 2500, seed)
        assert_accurate(EXACT[name], compiled(name, HOST)(*given), given)


@pytest.mark.parametrize("name", [name for name in EMITTERS if name not in special.EMITTERS])
def test_special_arguments_give_what_numpy_gives(name: str, target: Target) -> None:
    row = FUNCTIONS[name]
    given = every_special(row.arity)
    count = MASKS.get(name, 0)
    with np.errstate(all="ignore"):
        expected = np.asarray(row.numpy(*[a != 0 for a in given[:count]], *given[count:]), dtype=np.float64)
    got = compiled(name, target)(*given)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    number = ~np.isnan(expected)
    got, expected = got[number], expected[number]
    exact = (expected == 0) | np.isinf(expected)
    assert np.array_equal(got[exact], expected[exact])
    if name not in ("min", "max", "clip"):  # which of 0 and -0 is smaller is the processor's choice in NumPy
        assert np.array_equal(np.signbit(got), np.signbit(expected))
    # a cancelling form of NumPy's is itself this far off
    np.testing.assert_allclose(got[~exact], expected[~exact], rtol=1e-13, atol=1e-15 if name == "logit" else 5e-324)


@pytest.mark.parametrize("name", EMITTERS)
def test_a_function_has_the_same_bits_with_and_without_avx512(name: str) -> None:
    for given in (arguments(name, 4000), every_special(FUNCTIONS[name].arity)):
        if name == "**":
            given = [np.concatenate([a, b]) for a, b in zip(given, every_special(2), strict=True)]
        assert same_bits(compiled(name, HOST)(*given), compiled(name, AVX2)(*given))


def test_choices_by_permutation_and_by_a_tree_are_the_same() -> None:
    table = [math.sqrt(n) for n in range(8)]

    def emit(permutes: int) -> Callable[..., Value]:
        return lambda lanes, x: Lanes(lanes.builder, permutes).choose(
            lanes.builder.lshr(lanes.bits(x), lanes.integer(49)), table
        )[0]

    x = 1 + np.arange(64) / 64
    expected = np.sqrt(np.floor((x - 1) * 8))
    for permutes in (0, 256, 512):
        if permutes <= HOST.permutes:
            assert np.array_equal(elementwise(emit(permutes), 1, HOST)(x), expected)


@pytest.mark.parametrize("exponent", CONSTANTS)
def test_a_known_exponent_gives_what_the_table_gives(exponent: float) -> None:
    values = np.array(SPECIAL + [-a for a in SPECIAL])
    with np.errstate(all="ignore"):
        expected = np.asarray(table_power(values, exponent)) * 1.0
    got = compiled_power(exponent, HOST)(values)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    number = ~np.isnan(got)
    got, expected = got[number], expected[number]
    signed = (expected != 0) | (values[number] == 0)  # NumPy's vector form loses the sign of a result that underflows
    assert np.array_equal(np.signbit(got[signed]), np.signbit(expected[signed]))
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-323)


@pytest.mark.parametrize("exponent", [e for e in CONSTANTS if abs(e) <= 66 and e != 0])
def test_a_known_exponent_is_within_two_units_in_the_last_place(exponent: float) -> None:
    generator = np.random.default_rng(3)
    logs = np.concatenate([generator.uniform(-3, 3, 60), generator.uniform(-745, 709, 100) / exponent, [1e-9, -1e-9]])
    x = np.exp(np.clip(logs, -744, 709))
    if exponent == int(exponent):
        x = np.concatenate([x, -x])
    got = compiled_power(exponent, HOST)(x)
    assert_accurate(lambda a: a ** mpmath.mpf(exponent), got, [x])


def test_whole_results_of_roots_and_logarithms_are_exact() -> None:
    n = np.arange(1.0, 200.0)
    assert np.array_equal(compiled("cbrt", HOST)(n**3), n)
    assert np.array_equal(compiled("log2", HOST)(2.0 ** np.arange(-1074.0, 1024.0)), np.arange(-1074.0, 1024.0))
    assert np.array_equal(compiled("log10", HOST)(10.0 ** np.arange(0.0, 23.0)), np.arange(0.0, 23.0))
    assert np.array_equal(
        compiled("**", HOST)(np.repeat(n, 3), np.tile([1.0, 2.0, 3.0], len(n))).reshape(-1, 3)[:, 2], n**3
    )


def test_exp_keeps_to_its_ends() -> None:
    x = np.array([709.782712893384, math.nextafter(709.782712893384, 1000), -745.1332191019411, -745.1332191019412])
    got = compiled("exp", HOST)(x)
    assert got[0] < math.inf and got[1] == math.inf
    assert got[2] == 5e-324 and got[3] == 0.0
