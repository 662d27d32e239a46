"""Selected columns in memory: what most sources become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .source import UNIT, ColumnType, Piece, Source, check_names, even_units


class Table:
    """Selected columns in memory, (rows,) or (rows, q): real numbers of any width and stride."""

    name = "data"
    slow = False

    def __init__(self, columns: Mapping[str, NDArray[np.float64]], rows: int) -> None:
        if rows == 0:
            raise DataError(f"{self.name} has no rows")
        self.rows = rows
        self.units = even_units(rows)
        self.fingerprint: dict[str, Any] = {}
        self.schema = {name: ColumnType("number", None if c.ndim == 1 else c.shape[1]) for name, c in columns.items()}
        self.columns = dict(columns)

    def select(self, columns: Sequence[str]) -> Source:
        narrow = copy(self)
        narrow.schema = {name: self.schema[name] for name in check_names(columns, self.schema, (), self.name)}
        narrow.columns = {name: self.columns[name] for name in narrow.schema}
        return narrow

    def read(self, unit: int) -> dict[str, NDArray[np.float64]]:
        return {name: column[unit * UNIT : (unit + 1) * UNIT] for name, column in self.columns.items()}

    def pieces(self, unit: int) -> Iterator[Piece]:
        yield self.units[unit], self.read(unit)

    def locate(self, row: int) -> str:
        return f"row {row:,}"
