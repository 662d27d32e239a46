"""Random formulas, numbers and rows: the native kernel against the sums of the rows, and against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from steepest.data.source import Block
from steepest.errors import SteepestError
from steepest.formula.functions import FUNCTIONS, callable_names
from steepest.kernels.emission import without_native_form
from steepest.kernels.native import NativeKernel
from steepest.kernels.numpy import NumpyKernel
from steepest.kernels.vectormath import EMITTERS

from .tables import check_total, made, needs

CALLS = [name for name in callable_names() if name in EMITTERS and name != "where"]
WIDTHS = {"M": 3, "W": 18}
COLUMNS = {**dict.fromkeys(("i", "f", "t"), None), **WIDTHS}
NUMBERS = ["0", "1", "2", "0.5", "-1", "3.7", "1e-3", "100", "1e160", "pi"]
NAMES = ["x", "z", "a", "b", "c", "i", "f", "t", "M @ B", "W @ C", "[x, z, i] @ B"]
EXPONENTS = ["2", "3", "-1", "-2", "0.5", "-0.5", "1.5", "5", "17", "a", "x"]
FORMULAS = ["y = {}", "y = a*{} + b", "y = {}*x + c*{}", "{}"]


def expression(draw, size):
    """An expression of about so many operations."""
    if size <= 0:
        return draw(st.sampled_from(NAMES if draw(st.integers(0, 3)) else NUMBERS))
    kind = draw(st.sampled_from(["operator"] * 4 + ["call"] * 4 + ["power", "power", "where", "minus"]))
    if kind == "minus":
        return f"(-{expression(draw, size - 1)})"
    if kind == "power":
        return f"({expression(draw, size - 1)})**{draw(st.sampled_from(EXPONENTS))}"
    if kind == "where":
        return f"where({condition(draw, size - 1)}, {expression(draw, size // 2)}, {expression(draw, size // 2)})"
    if kind == "call":
        name = draw(st.sampled_from(CALLS))
        arity = FUNCTIONS[name].arity
        return f"{name}({', '.join(expression(draw, (size - 1) // arity) for _ in range(arity))})"
    sign, left = draw(st.sampled_from("+-*/")), draw(st.integers(0, size - 1))
    return f"({expression(draw, left)} {sign} {expression(draw, size - 1 - left)})"


def condition(draw, size):
    """A comparison, or some of them together."""
    kind = draw(st.sampled_from(["compare", "compare", "not", "and", "or"])) if size > 1 else "compare"
    if kind == "not":
        return f"(not {condition(draw, size - 1)})"
    if kind != "compare":
        return f"({condition(draw, size // 2)} {kind} {condition(draw, size // 2)})"
    sign = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
    return f"({expression(draw, size // 3)} {sign} {expression(draw, size // 3)})"


PARAMETERS = st.one_of(st.floats(-3, 3), st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 30.0, -400.0, 1e-8]))
ROWS = st.one_of(st.integers(1, 40), st.sampled_from([4095, 4096, 4097, 4111, 8200]))


def table(rows, seed, whole):
    """Columns of many types; `whole`: whole numbers, among which there are ties and zeros."""
    random = np.random.default_rng(seed)

    def draw(*shape):
        return random.integers(-3, 4, shape).astype(float) if whole else random.normal(size=shape) * 2

    return {
        "y": draw(rows), "x": draw(rows), "z": draw(2 * rows)[::2], "w": random.uniform(0.1, 2, rows),
        "i": random.integers(-5, 6, rows).astype(np.int8), "f": draw(rows).astype(np.float32),
        "t": random.uniform(size=rows) < 0.5, "M": draw(rows, 3), "W": np.asfortranarray(draw(rows, 18)),
    }  # fmt: skip


@st.composite
def cases(draw):
    """(objective, need, theta, block)."""
    form = draw(st.sampled_from(FORMULAS))
    text = form.format(*(expression(draw, draw(st.integers(0, 6))) for _ in range(form.count("{}"))))
    try:
        objective = made(text, draw(st.sampled_from([None, "w", "w*(1 + x**2)"])), **COLUMNS)
    except SteepestError:
        reject()
    need = draw(st.sampled_from(list(needs(objective))))
    rows = objective.rows(need)
    assume(not without_native_form(rows.graph, rows.outputs))
    numbers = draw(st.lists(PARAMETERS, min_size=8, max_size=8))
    count = draw(ROWS)
    held = table(count, draw(st.integers(0, 99)), draw(st.booleans()))
    live = None
    if draw(st.booleans()):
        live = np.random.default_rng(draw(st.integers(0, 99))).uniform(size=count) < draw(st.sampled_from([0.5, 0.99]))
        for column in held.values():
            if column.dtype.kind == "f":
                column[~live] = np.nan
    block = Block(draw(st.sampled_from([0, 4096])), count, {n: held[n] for n in objective.columns}, live)
    return objective, need, np.resize(numbers, objective.layout.size), block


def agree(case):
    objective, need, theta, block = case
    rows = objective.rows(need)
    found = NativeKernel(rows).total(theta, block)
    check_total(found, rows, theta, block)
    right = NumpyKernel(rows).total(theta, block)
    if found.values.shape == right.values.shape and np.isfinite(found.values).all() == np.isfinite(right.values).all():
        assert found.bad == right.bad
    assert found.weight == pytest.approx(right.weight, rel=1e-12, nan_ok=True)


LOUD = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@given(cases())
@settings(max_examples=200, derandomize=True, deadline=None, database=None, suppress_health_check=LOUD)
def test_random_formulas_have_the_sums_of_their_rows(case):
    agree(case)


@pytest.mark.slow
@given(cases())
@settings(max_examples=5000, derandomize=True, deadline=None, database=None, suppress_health_check=LOUD)
def test_many_random_formulas_have_the_sums_of_their_rows(case):
    agree(case)
