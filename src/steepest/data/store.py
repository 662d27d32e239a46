"""A stream that can be read once, kept for any number of passes: in memory while small, else in a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from threading import Lock
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .source import HELD, UNIT, ColumnType, Piece, Source, check_names, even_units

Columns = Mapping[str, NDArray[np.float64]]


class Copy:
    """A temporary file of bytes, closed and gone when nobody holds it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: Any = tempfile.TemporaryFile(buffering=0, prefix="steepest-")  # noqa: SIM115
        self._lock = Lock()
        finalize(self, self._file.close)

    def seek(self, at: int) -> None:
        """Write from here on."""
        self._file.seek(at)

    def write(self, rest: memoryview) -> None:
        """Add bytes. Raises OSError where there is no room."""
        while rest:
            rest = rest[self._file.write(rest) :]

    def read(self, at: int, rest: memoryview) -> None:
        """Fill `rest` with the bytes from `at` on."""
        with self._lock:
            self._file.seek(at)
            while rest:
                got = self._file.readinto(rest)
                if not got:
                    raise DataError(f"the temporary copy of {self._name} is cut short; run it again")
                rest = rest[got:]


class Store:
    """Takes the pieces of a stream and cuts them into units of UNIT rows; `widths` is None for single values.

    Above HELD bytes all units move to a temporary file: float64 as they are, unit by unit and column by column. It has
    no name where the system allows that, and goes with the last table that reads it, whatever ends the process.
    """

    def __init__(self, name: str, widths: Mapping[str, int | None]) -> None:
        self.name = name
        self.rows = 0
        self._widths = dict(widths)
        self._size = 8 * sum(width or 1 for width in widths.values())  # bytes of a row
        self._held: list[dict[str, NDArray[np.float64]]] = []
        self._file: Copy | None = None
        self._unit = self._empty()

    def append(self, rows: int, columns: Columns) -> None:
        """Add consecutive rows. Raises DataError where the temporary folder is full."""
        at = 0
        while at < rows:
            here = self.rows % UNIT
            taken = min(UNIT - here, rows - at)
            for name, column in self._unit.items():
                column[here : here + taken] = columns[name][at : at + taken]
            at += taken
            self.rows += taken
            if self.rows % UNIT == 0:
                self._keep(self._unit)

    def truncate(self, rows: int) -> None:
        """Forget all rows from this one on."""
        units = rows // UNIT
        if units < self.rows // UNIT:
            self._unit = {name: column.copy() for name, column in self._stored().read(units).items()}
            del self._held[units:]
            if self._file is not None:
                self._file.seek(units * UNIT * self._size)
        self.rows = rows

    def table(
        self, locate: Callable[[int], str], fingerprint: dict[str, Any], check: Callable[[], None] | None = None
    ) -> Stored:
        """The rows as a selected source. `locate` gives the place of a row; `check` is called as each pass begins."""
        rest = self.rows % UNIT
        if rest:
            self._keep({name: column[:rest] for name, column in self._unit.items()})
        stored = self._stored()
        stored.fingerprint, stored._place, stored._check = fingerprint, locate, check
        return stored

    def _stored(self) -> Stored:
        return Stored(self.name, self._widths, self.rows, self._size, self._held, self._file)

    def _keep(self, unit: dict[str, NDArray[np.float64]]) -> None:
        try:
            if self._file is None:
                self._held.append(unit)
                self._unit = self._empty()
                if len(self._held) * UNIT * self._size <= HELD:
                    return
                self._file = Copy(self.name)
                for held in self._held:
                    self._write(held)
                self._held.clear()
            else:
                self._write(unit)
        except OSError as error:
            raise DataError(
                f"{self.name} is larger than {HELD >> 20} MiB and its copy cannot be written to "
                f"{tempfile.gettempdir()} ({error.strerror or error}); set TMPDIR to a folder with room"
            ) from error

    def _write(self, unit: dict[str, NDArray[np.float64]]) -> None:
        assert self._file is not None
        for column in unit.values():
            self._file.write(column.data.cast("B"))

    def _empty(self) -> dict[str, NDArray[np.float64]]:
        return {n: np.empty(UNIT if width is None else (UNIT, width)) for n, width in self._widths.items()}


class Stored:
    """What a Store holds, as a selected source."""

    def __init__(
        self,
        name: str,
        widths: Mapping[str, int | None],
        rows: int,
        size: int,
        held: list[dict[str, NDArray[np.float64]]],
        file: Copy | None,
    ) -> None:
        self.name = name
        self.rows = rows
        self.units = even_units(rows)
        self.fingerprint: dict[str, Any] = {}
        self.schema = {name: ColumnType("number", width) for name, width in widths.items()}
        self.slow = file is not None
        self._widths, self._size, self._held, self._file = dict(widths), size, held, file
        self._place: Callable[[int], str] = lambda row: f"row {row:,}"
        self._check: Callable[[], None] | None = None

    def select(self, columns: Sequence[str]) -> Source:
        narrow = copy(self)
        names = check_names(columns, self.schema, (), self.name)
        narrow.schema = {name: self.schema[name] for name in names}
        return narrow

    def read(self, unit: int) -> dict[str, NDArray[np.float64]]:
        if unit == 0 and self._check is not None:
            self._check()
        if self._file is None:
            return {name: self._held[unit][name] for name in self.schema}
        return self._from_file(unit)

    def pieces(self, unit: int) -> Iterator[Piece]:
        yield self.units[unit], self.read(unit)

    def locate(self, row: int) -> str:
        return self._place(row)

    def _from_file(self, unit: int) -> dict[str, NDArray[np.float64]]:
        assert self._file is not None
        rows, at = self.units[unit], unit * UNIT * self._size
        columns: dict[str, NDArray[np.float64]] = {}
        for name, width in self._widths.items():
            size = 8 * rows * (width or 1)
            if name in self.schema:
                column = np.empty(rows if width is None else (rows, width))
                self._file.read(at, column.data.cast("B"))
                columns[name] = column
            at += size
        return columns
