"""Parquet files, row group by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from .files import PagedFile
from .source import HELD, TILE, UNIT, Piece, label, repeats

_PIECE = 4 * UNIT  # rows at a time of a row group that is too large to be held


class ParquetFile(PagedFile):
    """One Parquet file; a unit is a row group, and only the used columns are read.

    A fixed-size list is a matrix column. Raises DataError for a file that is damaged, empty or not Parquet.
    """

    def __init__(self, path: Path, name: str) -> None:
        import pyarrow as pa

        from .arrow import column_type

        super().__init__(path, name)
        _check_magic(path, name)
        try:
            file = self._open(0)
            fields = list(file.schema_arrow)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self._metadata = file.metadata
        self.rows: int = self._metadata.num_rows
        self.units = tuple(self._metadata.row_group(group).num_rows for group in range(self._metadata.num_row_groups))
        self.schema = {field.name: column_type(field.type) for field in fields}
        self.repeated = repeats([field.name for field in fields])

    def open(self, names: Sequence[str]) -> Any:
        import pyarrow as pa

        # a buffer keeps even the raw bytes of a large row group out of memory; for the others it is only slower
        large = any(self._large(unit, names) for unit in range(len(self.units)))
        try:
            return self._open(1 << 20 if large else 0, self._metadata)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def pieces(self, handle: Any, unit: int, names: Sequence[str]) -> Iterator[Piece]:
        import pyarrow as pa

        from .arrow import chunked_column

        if not names:
            yield self.units[unit], {}
            return
        try:
            for part in self._parts(handle, unit, names):
                yield (
                    part.num_rows,
                    {name: chunked_column(part.column(name)).convert(label(name, self.name)) for name in names},
                )
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error, f" in row group {unit}") from error

    def _parts(self, handle: Any, unit: int, names: Sequence[str]) -> Iterator[Any]:
        import pyarrow as pa

        columns = list(names)
        if not self._large(unit, names):
            yield handle.read_row_group(unit, columns=columns)
            return
        rows = max(TILE, min(_PIECE, HELD // (16 * self._width(names))) // TILE * TILE)
        for batch in handle.iter_batches(rows, row_groups=[unit], columns=columns):
            yield pa.Table.from_batches([batch])

    def _large(self, unit: int, names: Sequence[str]) -> bool:
        rows = self.units[unit]
        return rows > 16 * UNIT or 8 * rows * self._width(names) > HELD

    def _width(self, names: Sequence[str]) -> int:
        return sum(self.schema[name].width or 1 for name in names) or 1

    def _open(self, buffer: int, metadata: Any = None) -> Any:
        import pyarrow.parquet as pq

        # without pre_buffer, memory stays at the row group that is read
        return pq.ParquetFile(
            self.path, metadata=metadata, buffer_size=buffer, pre_buffer=False, page_checksum_verification=True
        )

    def _damaged(self, error: Exception, place: str = "") -> DataError:
        reason = " ".join(str(error).split()).rstrip(" .:")
        return DataError(f"{self.name} is damaged{place} ({reason[:90]}); copy or write it again")


def _check_magic(path: Path, name: str) -> None:
    """A Parquet file begins and ends with PAR1; this tells a foreign file from a truncated one."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-min(4, path.stat().st_size), 2)
        foot = file.read(4)
    if not head:
        raise DataError(f"{name} is empty")
    if head not in (b"PAR1", b"PARE"):
        raise DataError(f"{name} is not a Parquet file: it begins with {head!r}, not with b'PAR1'")
    if foot != head:
        raise DataError(f"{name} is cut short: a Parquet file ends with b'PAR1'; copy or write it again")
