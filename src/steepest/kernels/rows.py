"""An objective over the rows of a source: which rows live, and what each weighs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..data.reader import Reader
from ..data.source import Block, Source
from ..data.table import Table
from ..errors import DataError
from ..formula.objective import Objective
from ..formula.printing import to_text
from ..types import Array
from .surface import Surface
from .values import RowValues


def surface_over(objective: Objective, source: Source | None) -> Surface:
    """The objective over the rows of a source; without one over a single row without columns.

    Raises DataError for a column that does not hold numbers.
    """
    if source is None:
        return Surface(objective, Reader(Table({}, 1)))
    selected = source.select(objective.columns)
    condition = weight = check = counts = None
    if objective.condition is not None:
        condition = _condition(objective, objective.condition, selected.rows)
    if objective.weight is not None:
        weight = _row_values(objective, objective.weight, selected.rows)
    if weight is not None and objective.sigma is not None:
        sigma = _row_values(objective, objective.sigma, selected.rows)
        look = _look(selected, sigma, lambda s: s > 0, "sigma", "a standard deviation is positive")
        weight = _after(look, weight)
    if weight is not None and objective.counts is not None:
        counts = _row_values(objective, objective.counts, selected.rows)
        whole = "counts says how often a row stands there: a whole number, 0 or more (weights takes any)"
        weight = _after(_look(selected, counts, lambda c: (c >= 0) & (c == np.floor(c)), "counts", whole), weight)
    if objective.domain is not None:
        check = _domain(objective, objective.domain, selected)
    return Surface(objective, Reader(selected, condition=condition, weight=weight, counts=counts, check=check))


Values = Callable[[Block], Array]


def _domain(objective: Objective, node: int, source: Source) -> Callable[[Block], None]:
    """A look at the left side: whether the loss is defined there."""
    left, family = objective.left, objective.family
    assert left is not None and family is not None and family.domain is not None
    _, words, mend = family.domain
    inside = _row_values(objective, node, source.rows)
    y, name = _row_values(objective, left, source.rows), to_text(objective.graph, left, 40)
    requirement = f"the loss {family.name} needs {words}; {mend}"

    def look(block: Block) -> None:
        _refuse(source, block, inside(block) != 0, y, name, requirement)

    return look


def _look(
    source: Source, values: Values, good: Callable[[Array], NDArray[np.bool_]], name: str, requirement: str
) -> Callable[[Block], None]:
    """A look at an option's values."""
    return lambda block: _refuse(source, block, good(values(block)), values, name, requirement)


def _refuse(source: Source, block: Block, good: NDArray[np.bool_], values: Values, name: str, requirement: str) -> None:
    """A DataError for the first live row that is not good."""
    wrong = ~good if block.live is None else block.live & ~good
    if wrong.any():
        row = int(wrong.argmax())
        place = source.locate(block.first_row + row)
        raise DataError(f"{name} is {values(block)[row]:g} at {place}; {requirement}")


def _after(look: Callable[[Block], None], weight: Values) -> Values:
    """The weights, after a look at what they come from."""

    def checked(block: Block) -> Array:
        look(block)
        return weight(block)

    return checked


def _condition(objective: Objective, node: int, count: int) -> Callable[[Block], NDArray[np.bool_]]:
    values = _row_values(objective, node, count)
    return lambda block: values(block) != 0


def _row_values(objective: Objective, node: int, count: int) -> Callable[[Block], Array]:
    """An expression of columns alone for each row of a block, (rows,)."""
    expression = RowValues(objective.graph, node, objective.columns, {}, count)
    return lambda block: expression(block.columns, block.rows)
