"""CSV files: the header when opened, the used columns when selected.

pyarrow reads; where it stumbles, the same file is read again by the `csv` module, cell by cell, which either copes
(a blank cell) or says exactly which line, column and cell is wrong.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .arrays import Table
from .source import ColumnType, Source, Unselected, check_names, fingerprint, repeats

_NULLS = ("", "NA", "NaN", "nan", "null")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_OPEN_QUOTE = "is a quotation mark left open there?"
_BYTES_AT_A_TIME = 1 << 20  # constant: nothing may depend on the machine


class CsvSource(Unselected):
    """One comma-separated file in UTF-8 whose first line names the columns; every used column is read as float64.

    Empty cells, NA, NaN, nan and null are nulls. Raises DataError, naming the line, for whatever cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.fingerprint = fingerprint(path)
        self._path = path
        self._header, self._lines = _header(path)
        self.schema = {name: ColumnType("unknown") for name in self._header if name}
        self._repeated = repeats(self._header)

    def select(self, columns: Sequence[str]) -> Source:
        names = check_names(columns, self.schema, self._repeated, self.name)
        places = {name: self._header.index(name) for name in names}
        try:
            arrays, rows = self._read_fast(places) or self._read_carefully(places)
        except OSError as error:
            raise DataError(f"cannot read {self.name}: {error.strerror or error}") from error
        if not rows:
            raise DataError(f"{self.name} has a header and no rows")
        return _CsvTable(self, arrays, rows)

    def line(self, row: int) -> int | None:
        """The line on which a row begins, from 1 with the header; None where the file no longer has that row."""
        try:
            return next((line for at, (line, _) in enumerate(self._records()) if at == row), None)
        except (OSError, DataError):
            return None

    def _read_fast(self, places: dict[str, int]) -> tuple[dict[str, NDArray[np.float64]], int] | None:
        import pyarrow as pa
        import pyarrow.csv as pc

        from .arrow import to_float64

        wanted = {str(place): pa.float64() for place in places.values()} or {"0": pa.string()}  # "0" counts the rows
        try:
            table = pc.read_csv(
                self._path,
                read_options=pc.ReadOptions(
                    column_names=[str(place) for place in range(len(self._header))],
                    skip_rows=self._lines,
                    block_size=_BYTES_AT_A_TIME,
                ),
                parse_options=pc.ParseOptions(newlines_in_values=True),
                convert_options=pc.ConvertOptions(
                    include_columns=list(wanted),
                    column_types=wanted,
                    null_values=[*_NULLS, *(" " + null for null in _NULLS)],
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid:
            return None
        return {name: to_float64(table.column(str(place))) for name, place in places.items()}, table.num_rows

    def _read_carefully(self, places: dict[str, int]) -> tuple[dict[str, NDArray[np.float64]], int]:
        values = {name: array("d") for name in places}
        rows = 0
        for line, cells in self._records():
            rows += 1
            if len(cells) != len(self._header):
                raise self._wrong_count(line, len(cells))
            for name, place in places.items():
                values[name].append(self._number(cells[place].strip(), line, name))
        return {name: np.array(column, np.float64) for name, column in values.items()}, rows

    def _number(self, cell: str, line: int, name: str) -> float:
        if cell in _NULLS:
            return np.nan
        if _NUMBER.fullmatch(cell):
            return float(cell)
        mend = "leave the cell empty, or write NA, where a value is missing"
        if re.fullmatch(r"[+-]?[\d.]*,\d+", cell):
            mend = "write numbers with a decimal point and without thousands separators"
        elif re.match(r"\d{4}-\d\d-\d\d", cell):
            mend = "give times as numbers, e.g. seconds since the first row"
        shown = cell if len(cell) <= 30 else cell[:27] + "..."
        raise DataError(f"line {line:,} of {self.name}, column {name!r}: {shown!r} is not a number; {mend}")

    def _wrong_count(self, line: int, cells: int) -> DataError:
        names = len(self._header)
        mend = "an empty cell needs its comma too" if cells < names else "put text that holds a comma in quotes"
        have = f"{cells:,} cell" + "s" * (cells != 1)
        return DataError(f"line {line:,} of {self.name} has {have}, but its header has {names:,}; {mend}")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The rows after the header: the line each begins on, and its cells; blank lines are no rows."""
        with self._path.open(encoding="utf-8", errors="replace", newline="") as file:
            reader = csv.reader(file)
            begin = 0
            try:
                for cells in reader:
                    if cells and begin >= self._lines:
                        yield begin + 1, cells
                    begin = reader.line_num
            except csv.Error as error:
                raise DataError(f"line {begin + 1:,} of {self.name} cannot be read ({error}); {_OPEN_QUOTE}") from error


class _CsvTable(Table):
    """The used columns of a CSV file, in memory."""

    def __init__(self, source: CsvSource, columns: dict[str, NDArray[np.float64]], rows: int) -> None:
        self.name = source.name
        super().__init__(columns, rows)
        self.fingerprint: dict[str, Any] = source.fingerprint
        self._source = source

    def locate(self, row: int) -> str:
        line = self._source.line(row)  # found by reading again: only an error asks
        return f"row {row:,} of {self.name}" if line is None else f"line {line:,} of {self.name}"


def _header(path: Path) -> tuple[list[str], int]:
    """The column names, and how many lines they and the blank lines before them take."""
    try:
        # only the header has to be UTF-8: columns that are not used may hold anything
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            cells = next((cells for cells in reader if cells), None)
            lines = reader.line_num
    except csv.Error as error:
        raise DataError(f"the header of {path.name} cannot be read ({error}); {_OPEN_QUOTE}") from error
    if cells is None:
        raise DataError(f"{path.name} is empty")
    names = [cell.strip() for cell in cells]
    if any("\0" in name or "\udc80" <= max(name, default="") <= "\udcff" for name in names):
        raise DataError(f"the header of {path.name} is not text in UTF-8; save the file again as CSV in UTF-8")
    if len(names) == 1:
        for mark, word in {";": "semicolons", "\t": "tabs", "|": "bars"}.items():
            if mark in names[0]:
                decimal = ", and decimal=',' if its numbers have commas" if mark == ";" else ""
                raise DataError(
                    f"{path.name} is separated by {word}, not commas; "
                    f"read it into a frame first: pandas.read_csv({path.name!r}, sep={mark!r}){decimal}"
                )
    if all(_NUMBER.fullmatch(name) for name in names):
        raise DataError(
            f"{path.name} has no header: its first line is {_line(names)}; put a line with the column names above it"
        )
    return names, lines


def _line(names: list[str]) -> str:
    text = ",".join(names)
    return repr(text if len(text) <= 40 else text[:37] + "...")
