"""Arrow IPC files (.arrow, .feather): mapped into memory, record batch by record batch, not copied where possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from .files import PagedFile
from .source import UNIT, Piece, label, repeats

_PIECE = 4 * UNIT  # rows at a time that are converted, where a column is no float64
_MAGIC = b"ARROW1"


class IpcFile(PagedFile):
    """One Arrow IPC file; a unit is a record batch. float64 columns that are not compressed are views of the file."""

    def __init__(self, path: Path, name: str) -> None:
        import pyarrow as pa

        from .arrow import column_type

        super().__init__(path, name)
        _check_magic(path, name)
        try:
            schema = self._open(None).schema
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self.schema = {field.name: column_type(field.type) for field in schema}
        self.repeated = repeats(schema.names)
        self._places = {name: place for place, name in enumerate(schema.names)}

    def measure(self, names: Sequence[str]) -> None:
        import pyarrow as pa

        if not self.schema:
            raise DataError(f"{self.name} has no columns")
        handle = self.open(names or list(self.schema)[:1])  # only the batches know their rows
        try:
            self.units = tuple(handle.get_batch(place).num_rows for place in range(handle.num_record_batches))
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self.rows = sum(self.units)

    def open(self, names: Sequence[str]) -> Any:
        import pyarrow as pa

        try:
            return self._open([self._places[name] for name in names])
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def pieces(self, handle: Any, unit: int, names: Sequence[str]) -> Iterator[Piece]:
        import pyarrow as pa

        from .arrow import chunked_column

        if not names:
            yield self.units[unit], {}
            return
        try:
            batch = handle.get_batch(unit)
            for at in range(0, batch.num_rows, _PIECE):
                part = batch.slice(at, _PIECE)
                columns = {name: pa.chunked_array([part.column(name)]) for name in names}
                yield (
                    part.num_rows,
                    {name: chunked_column(column).convert(label(name, self.name)) for name, column in columns.items()},
                )
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error, f" in record batch {unit}") from error

    def _open(self, places: list[int] | None) -> Any:
        import pyarrow as pa

        options = pa.ipc.IpcReadOptions(included_fields=places) if places else None
        return pa.ipc.open_file(pa.memory_map(str(self.path)), options=options)

    def _damaged(self, error: Exception, place: str = "") -> DataError:
        reason = " ".join(str(error).split()).rstrip(" .:")
        return DataError(f"{self.name} is damaged{place} ({reason[:90]}); copy or write it again")


def _check_magic(path: Path, name: str) -> None:
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
        file.seek(-min(len(_MAGIC), path.stat().st_size), 2)
        foot = file.read(len(_MAGIC))
    if not head:
        raise DataError(f"{name} is empty")
    if head[:4] == b"\xff\xff\xff\xff":
        raise DataError(f"{name} is an Arrow stream, not an Arrow file; give pyarrow.ipc.open_stream({name!r})")
    if head[:4] == b"FEA1":
        raise DataError(f"{name} is a Feather file of version 1; write it again with pyarrow.feather.write_feather")
    if head != _MAGIC:
        raise DataError(f"{name} is not an Arrow file: it begins with {head!r}, not with {_MAGIC!r}")
    if foot != head:
        raise DataError(f"{name} is cut short: an Arrow file ends with {_MAGIC!r}; copy or write it again")
