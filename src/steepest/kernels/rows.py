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
    condition = weight = None
    if objective.condition is not None:
        condition = _condition(objective, objective.condition, selected.rows)
    if objective.weight is not None:
        weight = _row_values(objective, objective.weight, selected.rows)
    if weight is not None and objective.sigma is not None:
        weight = _after_sigma(weight, _row_values(objective, objective.sigma, selected.rows), selected)
    return Surface(objective, Reader(selected, condition=condition, weight=weight))


def _after_sigma(
    weight: Callable[[Block], Array], sigma: Callable[[Block], Array], source: Source
) -> Callable[[Block], Array]:
    """The weights, after a look at the standard deviations that they come from."""

    def checked(block: Block) -> Array:
        values = sigma(block)
        wrong = ~(values > 0) if block.live is None else block.live & ~(values > 0)
        if wrong.any():
            row = int(wrong.argmax())
            place = source.locate(block.first_row + row)
            raise DataError(f"sigma is {values[row]:g} at {place}; a standard deviation is positive")
        return weight(block)

    return checked


def _condition(objective: Objective, node: int, count: int) -> Callable[[Block], NDArray[np.bool_]]:
    values = _row_values(objective, node, count)
    return lambda block: values(block) != 0


def _row_values(objective: Objective, node: int, count: int) -> Callable[[Block], Array]:
    """An expression of columns alone for each row of a block, (rows,)."""
    expression = RowValues(objective.graph, node, objective.columns, {}, count)
    return lambda block: expression(block.columns, block.rows)
