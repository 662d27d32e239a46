"""Parquet files, row group by row group."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .source import ColumnType, Source, check_names, fingerprint, label, repeats

CACHE = 1 << 30
"""Bytes: used columns that take less, decoded, stay in memory after the first pass. The answer never depends on it."""


class ParquetSource:
    """One Parquet file; a unit is a row group, and only the used columns are read.

    A fixed-size list is a matrix column. Raises DataError for a file that is damaged, empty or not Parquet.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from .arrow import column_type

        self.name = path.name
        self.fingerprint = fingerprint(path)
        _check_magic(path)
        try:
            # without pre_buffer, memory stays at the row group that is read
            self._file = pq.ParquetFile(path, pre_buffer=False)
            fields = list(self._file.schema_arrow)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        metadata = self._file.metadata
        self.rows: int = metadata.num_rows
        self.units = tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
        self.schema: dict[str, ColumnType] = {field.name: column_type(field.type) for field in fields}
        self._repeated = repeats([field.name for field in fields])
        self._names: tuple[str, ...] = ()
        self._held: dict[int, dict[str, NDArray[np.float64]]] | None = None

    def select(self, columns: Sequence[str]) -> Source:
        names = check_names(columns, self.schema, self._repeated, self.name)
        if self.rows == 0:
            raise DataError(f"{self.name} has no rows")
        for name in names:
            if self.schema[name].kind != "number":
                self._decode(0, name)  # raises, showing a value
        selected = copy(self)
        selected.schema = {name: self.schema[name] for name in names}
        selected._names = names
        size = 8 * self.rows * sum(kind.width or 1 for kind in selected.schema.values())
        selected._held = {} if size < CACHE else None
        return selected

    def read(self, unit: int) -> dict[str, NDArray[np.float64]]:
        if self._held is not None and unit in self._held:
            return self._held[unit]
        columns = self._decode(unit, *self._names)
        if self._held is not None:
            self._held[unit] = columns
        return columns

    def locate(self, row: int) -> str:
        return f"row {row:,} of {self.name}"

    def _decode(self, unit: int, *names: str) -> dict[str, NDArray[np.float64]]:
        import pyarrow as pa

        from .arrow import chunked_column

        if not names:
            return {}
        try:
            group = self._file.read_row_group(unit, columns=list(names))
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error, f" in row group {unit}") from error
        return {name: chunked_column(group.column(name)).convert(label(name, self.name)) for name in names}

    def _damaged(self, error: Exception, place: str = "") -> DataError:
        reason = " ".join(str(error).split()).rstrip(" .:")
        return DataError(f"{self.name} is damaged{place} ({reason}); copy or write it again")


def _check_magic(path: Path) -> None:
    """A Parquet file begins and ends with PAR1; this tells a foreign file from a truncated one."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-min(4, path.stat().st_size), 2)
        foot = file.read(4)
    if not head:
        raise DataError(f"{path.name} is empty")
    if head not in (b"PAR1", b"PARE"):
        raise DataError(f"{path.name} is not a Parquet file: it begins with {head!r}, not with b'PAR1'")
    if foot != head:
        raise DataError(f"{path.name} is cut short: a Parquet file ends with b'PAR1'; copy or write it again")
