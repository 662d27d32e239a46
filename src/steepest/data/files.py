"""Tables on disk, in one file or in several of one kind; each is checked to be the same in every pass."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .source import HELD, ColumnType, Piece, Source, Unselected, check_names, label, listed

_OPEN = 16  # files open at once: a folder may hold more than a process may open


class TableFile:
    """One file: its name in messages, and what tells that it is still the same."""

    def __init__(self, path: Path, name: str) -> None:
        status = path.stat()
        self.path, self.name = path, name
        self.fingerprint: dict[str, Any] = {"name": path.name, "size": status.st_size, "mtime": status.st_mtime}
        self._stamp = status.st_size, status.st_mtime_ns

    def check(self) -> None:
        """Raise DataError where the file is no longer the one that was opened."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise DataError(f"{self.name} cannot be read any more: {error.strerror or error}") from error
        if (status.st_size, status.st_mtime_ns) != self._stamp:
            raise DataError(f"{self.name} has changed since it was opened; run it again when the file is complete")


class PagedFile(TableFile):
    """A file that is read unit by unit, in any order, as often as needed.

    `schema` and `repeated` are known when it is opened, `rows` and `units` after `measure`.
    """

    schema: Mapping[str, ColumnType]
    repeated: frozenset[str]
    rows: int
    units: tuple[int, ...]

    def measure(self, names: Sequence[str]) -> None:
        """Find `rows` and `units`, where the schema does not tell them; reads these columns at most."""

    def open(self, names: Sequence[str]) -> Any:
        """A handle for `pieces`, to read these columns by; it closes itself when nobody holds it."""
        raise NotImplementedError

    def pieces(self, handle: Any, unit: int, names: Sequence[str]) -> Iterator[Piece]:
        """A unit in pieces that may be held in memory. Raises DataError for what cannot be decoded."""
        raise NotImplementedError


class FileSource(Unselected):
    """One file, or several that are read as one table in this order; the first gives the schema.

    Raises DataError, naming the file, for one that has other columns than the first.
    """

    def __init__(self, name: str, files: Sequence[PagedFile]) -> None:
        self.name = name
        self.fingerprint = fingerprint(name, files)
        self.schema = files[0].schema
        self._files = files
        same_columns([(file.name, list(file.schema)) for file in files])

    def select(self, columns: Sequence[str]) -> Source:
        first = self._files[0]
        names = check_names(columns, first.schema, first.repeated, first.name)
        for file in self._files:
            file.measure(names)
            if file.rows == 0:
                raise DataError(f"{file.name} has no rows")
            check_names(names, file.schema, file.repeated, file.name)
            for name in names:
                if file.schema[name].kind != "number":
                    self._refuse_column(file, name)
                if file.schema[name].width != first.schema[name].width:
                    wide, other = (f.schema[name].width or 1 for f in (file, first))
                    raise DataError(f"{label(name, file.name)} is {wide} wide, but {other} in {first.name}")
        return FileTable(self.name, self._files, {name: first.schema[name] for name in names})

    @staticmethod
    def _refuse_column(file: PagedFile, name: str) -> None:
        for _ in file.pieces(file.open([name]), 0, [name]):  # raises, showing a value
            pass
        raise DataError(f"{label(name, file.name)} holds values that are not numbers")


class FileTable:
    """Selected columns of files; small tables stay in memory once read, larger ones are read again in every pass."""

    def __init__(self, name: str, files: Sequence[PagedFile], schema: Mapping[str, ColumnType]) -> None:
        self.name = name
        self.fingerprint = fingerprint(name, files)
        self.schema = dict(schema)
        self.units = tuple(rows for file in files for rows in file.units)
        self._files = files
        self._names = tuple(schema)
        self._first_rows = list(accumulate((file.rows for file in files), initial=0))
        self._first_units = list(accumulate((len(file.units) for file in files), initial=0))
        self.rows = self._first_rows[-1]
        size = 8 * self.rows * sum(kind.width or 1 for kind in schema.values())
        self._held: dict[int, dict[str, NDArray[np.float64]]] | None = {} if size <= HELD else None
        self._idle: list[tuple[int, Any]] = []  # handles and the places of their files, the last used last
        self._lock = Lock()

    @property
    def slow(self) -> bool:
        return self._held is None or len(self._held) < len(self.units)

    def select(self, columns: Sequence[str]) -> Source:
        names = check_names(columns, self.schema, (), self.name)
        return FileTable(self.name, self._files, {name: self.schema[name] for name in names})

    def read(self, unit: int) -> dict[str, NDArray[np.float64]]:
        if self._held is None:
            return _joined([columns for _, columns in self._read(unit)])
        if unit not in self._held:
            self._held[unit] = _joined([columns for _, columns in self._read(unit)])
        else:
            self._file(unit).check()
        return self._held[unit]

    def pieces(self, unit: int) -> Iterator[Piece]:
        if self._held is None:
            yield from self._read(unit)
        else:
            yield self.units[unit], self.read(unit)

    def locate(self, row: int) -> str:
        place = min(bisect_right(self._first_rows, row), len(self._files)) - 1
        return f"row {row - self._first_rows[place]:,} of {self._files[place].name}"

    def _file(self, unit: int) -> PagedFile:
        return self._files[bisect_right(self._first_units, unit) - 1]

    def _read(self, unit: int) -> Iterator[Piece]:
        place = bisect_right(self._first_units, unit) - 1
        file = self._files[place]
        file.check()
        try:
            with self._handle(place) as handle:
                yield from file.pieces(handle, unit - self._first_units[place], self._names)
        except DataError:
            file.check()  # a file that was written to looks damaged
            raise
        file.check()

    @contextmanager
    def _handle(self, place: int) -> Iterator[Any]:
        """A handle of the file for one thread alone; afterwards it waits for the next unit of that file."""
        with self._lock:
            idle = next((k for k, (of, _) in enumerate(self._idle) if of == place), None)
            handle = None if idle is None else self._idle.pop(idle)[1]
        handle = self._files[place].open(self._names) if handle is None else handle
        yield handle
        with self._lock:
            self._idle.append((place, handle))
            del self._idle[:-_OPEN]


def _joined(parts: list[dict[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def fingerprint(name: str, files: Sequence[TableFile]) -> dict[str, Any]:
    """That of the file; of several the name of all and the fingerprint of each."""
    if len(files) == 1:
        return files[0].fingerprint
    return {"name": name, "files": [file.fingerprint for file in files]}


def same_columns(headers: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Raise DataError for a file, given by its name and its columns, that has others than the first one.

    All columns count, used or not: a name that only some files have would be data in one half of the table and a
    parameter in the other.
    """
    first, wanted = headers[0]
    for name, columns in headers[1:]:
        if lacking := [column for column in wanted if column not in columns]:
            raise DataError(f"{name} has no column {listed(lacking[:1])}, which {first} has; give files of one schema")
        if more := [column for column in columns if column not in wanted]:
            raise DataError(f"{name} has a column {listed(more[:1])} that {first} lacks; give files of one schema")
