"""Sums in twice the precision, of both kernels, against exact fractions of the same doubles."""

from __future__ import annotations

import math
import os
import platform
from fractions import Fraction

import numpy as np
import pytest

from steepest.data.source import TILE, cut
from steepest.formula.program import Graph
from steepest.kernels import running
from steepest.kernels.twofold import NUMBERS, Twofold, TwofoldNumpyKernel, added
from steepest.kernels.twofold_loop import TwofoldNativeKernel
from steepest.types import Need

from .tables import block_of, made, mask, table

KERNELS = [TwofoldNumpyKernel, TwofoldNativeKernel]
DIGITS = Fraction(1, 2**98)  # of the sum of the sizes of all terms

on_x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names x86 processors")


def exact(value):
    return Fraction(float(value.high)) + Fraction(float(value.low)) if isinstance(value, Twofold) else Fraction(value)


def doubles(random, count):
    """Of any sign, over forty powers of two."""
    return random.normal(size=count) * 2.0 ** random.integers(-20, 20, count)


def twofolds(random, count):
    high = doubles(random, count)
    return [Twofold(a, b) for a, b in zip(high, high * 2.0**-53 * random.uniform(-1, 1, count), strict=True)]


# arithmetic ----------------------------------------------------------------------------------------------------------
def test_the_rounding_of_a_sum_and_of_a_product_is_a_double():
    random = np.random.default_rng(0)
    for a, b in zip(doubles(random, 500), doubles(random, 500), strict=True):
        assert exact(NUMBERS.plus(a, b)) == Fraction(a) + Fraction(b)
        assert exact(NUMBERS.times(a, b)) == Fraction(a) * Fraction(b)


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_added_multiplied_divided_and_raised_to_a_hundred_bits(seed):
    random = np.random.default_rng(seed)
    for a, b in zip(twofolds(random, 200), twofolds(random, 200), strict=True):
        x, y = exact(a), exact(b)
        assert abs(exact(NUMBERS.plus(a, b)) - (x + y)) <= (abs(x) + abs(y)) / 2**102
        assert abs(exact(NUMBERS.times(a, b)) - x * y) <= abs(x * y) / 2**100
        assert abs(exact(NUMBERS.over(a, b)) - x / y) <= abs(x / y) / 2**98
        for exponent in (1, 2, 3, 7, 10, -1, -3):
            assert abs(exact(NUMBERS.power(a, exponent)) - x**exponent) <= abs(x**exponent) / 2**96


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 100, 4096])
def test_a_sum_whose_terms_cancel_is_that_of_fsum(size):
    random = np.random.default_rng(size)
    terms = doubles(random, size) * 1e10
    terms = random.permutation(np.concatenate([terms, -terms * (1 + 2.0**-40), random.normal(size=size)]))
    total = added(Twofold(terms, np.zeros(3 * size)))
    assert abs(float(total.high) + float(total.low) - math.fsum(terms)) <= 2.0**-80 * math.fsum(abs(terms))


def test_a_power_of_two_scales_without_any_rounding():
    graph = Graph()
    node = graph.apply("*", graph.number(0.25), graph.name("x"))
    pair = Twofold(np.float64(1 / 3), np.float64(1e-17))
    given = [np.float64(0.25) if graph.is_number(a) else pair for a in graph.arguments(node)]
    assert exact(NUMBERS.operation(graph, node, given, None)) == exact(pair) / 4


# loss and gradient ---------------------------------------------------------------------------------------------------
def least_squares(columns, live, theta, features, names):
    """Half the weighted squares and their gradient, exactly; and the sizes of what was added up."""
    sums = [Fraction(0)] * (len(theta) + 1)
    sizes = list(sums)
    for i in np.flatnonzero(np.ones(len(columns["y"]), bool) if live is None else live):
        row = {name: [Fraction(v) for v in np.atleast_1d(column[i])] for name, column in columns.items()}
        found = features({name: value[0] if len(value) == 1 else value for name, value in row.items()})
        phi = [f for name in names for f in found[name]]
        w, products = row["w"][0], [Fraction(t) * f for t, f in zip(theta, phi, strict=True)]
        r, size = row["y"][0] - sum(products), abs(row["y"][0]) + sum(map(abs, products))
        for k, (term, most) in enumerate([(r * r / 2, size**2), *((-r * f, size * abs(f)) for f in phi)]):
            sums[k] += w * term
            sizes[k] += w * most
    return sums, sizes


def straight(row):
    return {"a": [1], "b": [row["x"]], "c": [row["z"]]}


#: the derivative of the prediction by each parameter
CASES = {
    "y = a + b*x + c*z": straight,
    "y = a + b*x**3 + c*x**10 + d*(x*z - 1)**2": lambda row: {
        "a": [1], "b": [row["x"] ** 3], "c": [row["x"] ** 10], "d": [(row["x"] * row["z"] - 1) ** 2],
    },
    "y = a/3 + b*x/z + c*where(x > 0, x*z, z**2)/7 - d": lambda row: {
        "a": [Fraction(1, 3)], "b": [row["x"] / row["z"]], "d": [-1],
        "c": [(row["x"] * row["z"] if row["x"] > 0 else row["z"] ** 2) / 7],
    },
    "y = M @ B + a": lambda row: {"B": row["M"], "a": [1]},
    "y = W @ B - a*x": lambda row: {"B": row["W"], "a": [-row["x"]]},
    "y = [x, x**2, x*z] @ B": lambda row: {"B": [row["x"], row["x"] ** 2, row["x"] * row["z"]]},
}  # fmt: skip


def a_case(text, rows, kind, seed=0, width=20):
    columns = table(rows, seed) | {"W": np.random.default_rng(seed + 5).normal(size=(rows, width))}
    columns["y"] = columns["y"] + 1e9
    objective = made(text, "w", W=width)
    live = mask(kind, rows)
    theta = np.random.default_rng(seed + 6).normal(size=objective.layout.size) * 1e8
    return objective, columns, live, theta


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["all", "some"])
@pytest.mark.parametrize("rows", [1, 7, 8, 150])
@pytest.mark.parametrize("text", CASES)
def test_loss_and_gradient_have_a_hundred_bits(text, rows, kind, kernel):
    objective, columns, live, theta = a_case(text, rows, kind)
    total = kernel(objective.rows(Need.GRADIENT)).total(theta, block_of(objective, columns, live))
    sums, sizes = least_squares(columns, live, theta, CASES[text], objective.layout.names)
    for high, low, right, size in zip(*total.values.reshape(2, -1), sums, sizes, strict=True):
        assert abs(Fraction(high) + Fraction(low) - right) <= DIGITS * size
    assert total.rows == (rows if live is None else live.sum())


@pytest.mark.parametrize("kernel", KERNELS)
def test_tiles_and_blocks_are_added_in_twice_the_precision_too(kernel):
    objective, columns, live, theta = a_case("y = a + b*x + c*z", 3 * TILE + 5, "some")
    block = block_of(objective, columns, live)
    summed = kernel(objective.rows(Need.GRADIENT))
    total = summed.total(theta, block)
    sums, sizes = least_squares(columns, live, theta, straight, objective.layout.names)
    for high, low, right, size in zip(*total.values.reshape(2, -1), sums, sizes, strict=True):
        assert abs(Fraction(high) + Fraction(low) - right) <= DIGITS * size
    parts = None
    for start, stop in ((0, TILE), (TILE, 3 * TILE), (3 * TILE, block.rows)):
        parts = summed.total(theta, cut(block, start, stop), parts)
    assert parts.values.tobytes() == total.values.tobytes()
    assert parts.rows == total.rows


@pytest.mark.parametrize("text", ["y = a + b*x**2 + M @ B", "y = W @ B + a*x/z"])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, text):
    monkeypatch.setattr(running, "SHARED", 1)
    objective, columns, live, theta = a_case(text, 11 * TILE + 77, "some")
    found = set()
    for threads in (1, 2, 5):
        monkeypatch.setenv("STEEPEST_THREADS", str(threads))
        kernel = TwofoldNativeKernel(objective.rows(Need.GRADIENT))
        found.add(kernel.total(theta, block_of(objective, columns, live)).values.tobytes())
    assert len(found) == 1


@on_x86
@pytest.mark.parametrize("processor", ["x86-64-v3", "x86-64"])
@pytest.mark.parametrize("text", ["y = a + b*x**2 + M @ B", "y = W @ B + a*x/z"])
def test_a_lesser_processor_gives_the_same_bits(monkeypatch, text, processor):
    objective, columns, live, theta = a_case(text, TILE + 77, "some")
    block = block_of(objective, columns, live)
    here = TwofoldNativeKernel(objective.rows(Need.GRADIENT)).total(theta, block).values.tobytes()
    assert os.environ.get("STEEPEST_CPU") != processor
    monkeypatch.setenv("STEEPEST_CPU", processor)
    assert TwofoldNativeKernel(objective.rows(Need.GRADIENT)).total(theta, block).values.tobytes() == here
