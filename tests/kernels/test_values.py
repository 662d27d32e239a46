"""Row expressions at every row by machine code, against the evaluator of NumPy."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest

from steepest.data.source import TILE
from steepest.formula.evaluate import Evaluator
from steepest.kernels import kernel, loops, running
from steepest.kernels.emission import NUMBERS
from steepest.kernels.values import RowValues

from .tables import made, table
from .test_native import LAYOUTS, numbers, wide_table

AT = MappingProxyType({
    "a": 0.7, "b": -0.4, "c": 0.3, "B": np.array([0.2, -0.1, 0.3]), "C": np.linspace(-0.3, 0.4, 20),
    "D": np.array([0.4, -0.2]),
})  # fmt: skip
#: expression, within how much the two agree: where the operations are the same ones, to the last bit
EXPRESSIONS = {
    "x": 0.0,
    "a*x": 0.0,
    "2.5": 0.0,
    "a": 0.0,
    "abs(x)/z - 3": 0.0,
    "sqrt(x**2 + 1/z**2)": 1e-15,
    "where(x > 0 and not z >= b or x == z, x, -z)": 0.0,
    "where(x < z, a, b)": 0.0,
    "a*exp(-b*x) + c*sin(z) - c*cos(z)": 1e-14,
    "log(x)": 1e-15,
    "M @ B": 1e-13,
    "W @ C + a*x": 1e-13,
    "[x, z] @ D + M @ B*exp(W @ C)": 1e-13,
}


@pytest.fixture(autouse=True)
def native(monkeypatch):
    """Machine code however few the rows are."""
    monkeypatch.setattr(kernel, "WORTH", 0)


def expression(text, count=10_000):
    """RowValues of an expression, and the same by the evaluator: (columns) -> (rows,)."""
    objective = made(f"y = {text} + 0*(x + z)", W=20)
    graph, node = objective.graph, objective.prediction
    values = {name: AT[name] for name in objective.layout.names}
    columns = [name for name in objective.columns if name != "y"]
    found = RowValues(graph, node, columns, values, count)
    theta = np.concatenate([np.zeros(0), *(np.atleast_1d(v) for v in values.values())])
    evaluator = Evaluator(graph, [node], columns, objective.layout.places)

    def right(held, rows):
        with np.errstate(all="ignore"):
            return np.array(np.broadcast_to(evaluator(theta, held)[0], (rows,)), float)

    return found, right


def agree(found, right, within):
    assert found.shape == right.shape and found.dtype == np.float64
    np.testing.assert_allclose(found, right, rtol=within, atol=within)


@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize("threads", ["1", "3"])
def test_values_are_those_of_the_evaluator(monkeypatch, text, threads):
    monkeypatch.setattr(running, "SHARED", 1)
    monkeypatch.setenv("STEEPEST_THREADS", threads)
    found, right = expression(text)
    for rows in (*range(18), TILE - 1, TILE, TILE + 1, 3 * TILE + 5):
        columns = wide_table(rows)
        agree(found(columns, rows), right(columns, rows), EXPRESSIONS[text])


@pytest.mark.parametrize("lie", LAYOUTS)
def test_strides_do_not_change_a_value(lie):
    found, _ = expression("a*x + M @ B + exp(W @ C)/z")
    columns = wide_table(4500)
    lying = {name: lie(column) for name, column in columns.items()}
    assert found(lying, 4500).tobytes() == found(columns, 4500).tobytes()


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_of_any_type_are_widened(number):
    found, right = expression("a*x + M @ B")
    columns = {**table(1003), "x": numbers(number, 1003), "M": numbers(number, (1003, 3))}
    agree(found(columns, 1003), right(columns, 1003), 1e-13)
    wide = {name: column.astype(float) for name, column in columns.items()}
    assert found(wide, 1003).tobytes() == found(columns, 1003).tobytes()


def test_a_value_that_is_no_number_stands_where_the_evaluator_has_it():
    odd = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, 1e308, -1e308, 710.0, -710.0, 3.0])
    pairs = np.array(np.meshgrid(odd, odd)).reshape(2, -1)
    columns = {**table(pairs.shape[1]), "x": pairs[0], "z": pairs[1]}
    for text in ("x + z", "x - z", "x*z", "x/z", "x**z", "exp(x)", "log(x)", "sqrt(x)", "abs(x)", "-x", "x**2", "x**-1",
                 "where(x > z, 1, 2)", "where(x <= z, 1, 2)", "where(x == z, 1, 2)", "where(x != z, 1, 2)",
                 "where(not x < z, 1, 2)", "where(x >= z or x < z, 1, 2)", "where(x > 0 and z > 0, x, z)"):  # fmt: skip
        objective = made(f"y = {text}")
        used = [name for name in objective.columns if name != "y"]
        found = RowValues(objective.graph, objective.prediction, used, {}, 169)(columns, pairs.shape[1])
        with np.errstate(all="ignore"):
            right = Evaluator(objective.graph, [objective.prediction], used, {})(np.zeros(0), columns)[0]
        agree(found, right, 2e-15)


def test_a_condition_is_one_or_zero():
    objective = made("y = where(x > a, 1, 2)")
    graph = objective.graph
    node = next(n for n, (op, *_) in enumerate(graph.nodes) if op == ">")
    columns = table(5000)
    found = RowValues(graph, node, ["x"], {"a": 0.2}, 5000)(columns, 5000)
    assert (found == (columns["x"] > 0.2)).all()


def test_one_masked_body_for_all_rows_gives_the_values_of_two(monkeypatch):
    found, _ = expression("a*exp(-b*x) + M @ B")
    columns = wide_table(9001)
    here = found(columns, 9001).tobytes()
    monkeypatch.setattr(running, "_COMPILED", running._Cache())
    monkeypatch.setattr(loops, "LARGE", 0)
    found, _ = expression("a*exp(-b*x) + M @ B")
    assert found(columns, 9001).tobytes() == here


def test_few_rows_are_left_to_the_evaluator(monkeypatch):
    monkeypatch.setattr(kernel, "WORTH", 10_000)
    monkeypatch.setattr(RowValues, "_native", lambda *_: pytest.fail("compiled"))
    for rows in (0, 1, 100):
        found, right = expression("a*x + b", rows)
        columns = wide_table(rows)
        agree(found(columns, rows), right(columns, rows), 0.0)


def test_values_are_no_view_of_the_columns():
    found, _ = expression("x")
    columns = wide_table(100)
    values = found(columns, 100)
    values[:] = 0
    assert (columns["x"] != 0).all()


@pytest.mark.parametrize("width", [1, 3, 20])
def test_a_product_with_a_vector_of_zeros_is_never_minus_zero(width):
    objective = made("y = atan2(W @ B, -1)", W=width)
    function = RowValues(objective.graph, objective.prediction, ["W"], {"B": np.zeros(width)}, 100)
    assert (function({"W": np.full((100, width), -1.0)}, 100) == np.pi).all()
