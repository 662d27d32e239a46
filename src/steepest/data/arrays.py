"""Tables in memory: a dict of arrays, a frame, an Arrow table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import DataError
from .columns import Column, read_column
from .source import Source, Unselected, check_names, label, repeats
from .table import Table


class ArraySource(Unselected):
    """A dict of arrays or lists, a structured array, or a frame in memory (pandas, Polars, pyarrow).

    A dict's value is an array, a list or a series, 1-D or (rows, q); None and masked values are nulls. Only columns
    that are selected are checked and converted: the others may be anything. float64 C-contiguous arrays are not copied.
    """

    name = "data"

    def __init__(self, data: Any) -> None:
        columns = _columns(data)
        if not columns:
            raise DataError("data has no columns; give a dict such as {'x': [1, 2, 3], 'y': [2, 4, 6]}")
        self.fingerprint: dict[str, Any] = {}
        self.schema = {name: column.type for name, column in columns}
        self._columns = dict(columns)
        self._repeated = repeats([name for name, _ in columns])

    def select(self, columns: Sequence[str]) -> Source:
        names = check_names(columns, self.schema, self._repeated, self.name)
        arrays = {name: self._columns[name].convert(label(name, self.name)) for name in names}
        lengths = {name: len(array) for name, array in arrays.items()}
        if not names:  # a formula may name no column: it still has a row for each row of the table
            lengths = {name: column.rows for name, column in self._columns.items() if column.rows is not None}
        rows = next(iter(lengths.values()), 0)
        for name, length in lengths.items():
            if length != rows:
                first = next(iter(lengths))
                raise DataError(f"columns of unequal lengths: {first!r} has {rows:,} rows, {name!r} has {length:,}")
        return Table(arrays, rows)


def _columns(data: Any) -> list[tuple[str, Column]]:
    if isinstance(data, Mapping):
        for name in data:
            if not isinstance(name, str):
                raise DataError(f"column names must be text, not {name!r} ({type(name).__name__})")
        return [(name, _column(value)) for name, value in data.items()]
    if isinstance(data, np.ndarray):  # structured
        if data.ndim != 1:
            raise DataError(f"a structured array of {data.ndim} dimensions; give one of shape (rows,)")
        return [(name, read_column(data[name])) for name in data.dtype.names or ()]
    if hasattr(data, "iloc"):  # pandas: series by series, since one odd column would stop the export of the whole frame
        return [(str(name), _column(data.iloc[:, place])) for place, name in enumerate(data.columns)]
    return _arrow_columns(data)


def _column(value: Any) -> Column:
    arrow = hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")
    if not arrow or isinstance(getattr(value, "dtype", None), np.dtype):  # where NumPy holds the values, so do we
        return read_column(value)
    from .arrow import import_column

    return import_column(value)


def _arrow_columns(data: Any) -> list[tuple[str, Column]]:
    import pyarrow as pa

    from .arrow import chunked_column

    try:
        table = pa.table(data)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"the {type(data).__name__} cannot be read through Arrow: {error}") from error
    return [(name, chunked_column(table.column(place))) for place, name in enumerate(table.column_names)]
