"""CSV and TSV files, packed or not: the header when opened, the used columns, once, when selected.

pyarrow reads; where it stumbles, the same file is read again by the `csv` module, cell by cell, which either copes
(a blank cell) or says exactly which line, column and cell is wrong.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import DataError
from .files import TableFile, fingerprint, same_columns
from .source import UNIT, ColumnType, Piece, Source, Unselected, check_names, repeats
from .store import Store

_NULLS = ("", "NA", "NaN", "nan", "null")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_OPEN_QUOTE = "is a quotation mark left open there?"
_WORDS = {",": "comma", "\t": "tab"}
_UNPACKING = (EOFError, gzip.BadGzipFile, zlib.error)
_BYTES_AT_A_TIME = 1 << 20  # constant: nothing may depend on the machine


class CsvFile(TableFile):
    """One file in UTF-8 whose first line names the columns; `mark` separates the cells, `.gz` is unpacked on the way.

    Empty cells, NA, NaN, nan and null are nulls. Raises DataError, naming the line, for whatever cannot be read.
    """

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, name)
        self.mark = "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
        self.header, self._lines = self._read_header()

    def quick(self, places: Mapping[str, int]) -> Iterator[Piece]:
        """The rows as pyarrow reads them, block by block; it stumbles (ArrowException, OSError) over odd cells."""
        import pyarrow as pa
        import pyarrow.csv as pc

        from .arrow import to_float64

        wanted = {str(place): pa.float64() for place in places.values()} or {"0": pa.string()}  # "0" counts the rows
        packed = pa.CompressedInputStream(str(self.path), "gzip") if self._packed else str(self.path)
        batches = pc.open_csv(
            packed,
            read_options=pc.ReadOptions(
                column_names=[str(place) for place in range(len(self.header))],
                skip_rows=self._lines,
                block_size=_BYTES_AT_A_TIME,
            ),
            parse_options=pc.ParseOptions(newlines_in_values=True, delimiter=self.mark),
            convert_options=pc.ConvertOptions(
                include_columns=list(wanted),
                column_types=wanted,
                null_values=[*_NULLS, *(" " + null for null in _NULLS)],
                check_utf8=False,
            ),
        )
        for batch in batches:
            columns = {name: to_float64(pa.chunked_array([batch.column(str(place))])) for name, place in places.items()}
            yield batch.num_rows, columns

    def careful(self, places: Mapping[str, int]) -> Iterator[Piece]:
        """The same rows cell by cell. Raises DataError with the line, the column and the cell that is wrong."""
        values = {name: array("d") for name in places}
        rows = 0
        for line, cells in self._records():
            rows += 1
            if len(cells) != len(self.header):
                raise self._wrong_count(line, len(cells))
            for name, place in places.items():
                values[name].append(self._number(cells[place].strip(), line, name))
            if rows == UNIT:
                yield rows, {name: np.array(column, np.float64) for name, column in values.items()}
                values, rows = {name: array("d") for name in places}, 0
        yield rows, {name: np.array(column, np.float64) for name, column in values.items()}

    def line(self, row: int) -> int | None:
        """The line on which a row begins, from 1 with the header; None where the file no longer has that row."""
        try:
            return next((line for at, (line, _) in enumerate(self._records()) if at == row), None)
        except (OSError, DataError):
            return None

    @property
    def _packed(self) -> bool:
        return self.path.suffix.lower() == ".gz"

    def _text(self, encoding: str, errors: str) -> IO[str]:
        if self._packed:
            return gzip.open(self.path, "rt", encoding=encoding, errors=errors, newline="")
        return self.path.open(encoding=encoding, errors=errors, newline="")

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
        names = len(self.header)
        mend = "an empty cell needs its comma too" if cells < names else "put text that holds a comma in quotes"
        mend = mend.replace("comma", _WORDS[self.mark])
        have = f"{cells:,} cell" + "s" * (cells != 1)
        return DataError(f"line {line:,} of {self.name} has {have}, but its header has {names:,}; {mend}")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The rows after the header: the line each begins on, and its cells; blank lines are no rows."""
        with self._text("utf-8", "replace") as file:
            reader = csv.reader(file, delimiter=self.mark)
            begin = 0
            try:
                for cells in reader:
                    if cells and begin >= self._lines:
                        yield begin + 1, cells
                    begin = reader.line_num
            except csv.Error as error:
                raise DataError(f"line {begin + 1:,} of {self.name} cannot be read ({error}); {_OPEN_QUOTE}") from error
            except _UNPACKING as error:
                raise self._unpacked(error) from error

    def _read_header(self) -> tuple[list[str], int]:
        """The column names, and how many lines they and the blank lines before them take."""
        try:
            # only the header has to be UTF-8: columns that are not used may hold anything
            with self._text("utf-8-sig", "surrogateescape") as file:
                reader = csv.reader(file, delimiter=self.mark)
                cells = next((cells for cells in reader if cells), None)
                lines = reader.line_num
        except csv.Error as error:
            raise DataError(f"the header of {self.name} cannot be read ({error}); {_OPEN_QUOTE}") from error
        except _UNPACKING as error:
            raise self._unpacked(error) from error
        if cells is None:
            raise DataError(f"{self.name} is empty")
        return _names(cells, self.name, self.mark), lines

    def _unpacked(self, error: Exception) -> DataError:
        reason = "it ends too early" if isinstance(error, EOFError) else str(error).rstrip(".")
        return DataError(f"{self.name} cannot be unpacked ({reason}); copy or write it again")


class CsvSource(Unselected):
    """Files of comma- or tab-separated values, read as one table in this order: one reading, kept for every pass.

    Every used column is read as float64, whatever its first rows look like.
    """

    def __init__(self, name: str, files: Sequence[CsvFile]) -> None:
        self.name = name
        self.fingerprint = fingerprint(name, files)
        self.schema = {column: ColumnType("unknown") for column in files[0].header if column}
        self._files = files
        same_columns([(file.name, [column for column in file.header if column]) for file in files])

    def select(self, columns: Sequence[str]) -> Source:
        for file in self._files:
            names = check_names(columns, self.schema, repeats(file.header), file.name)
        store = Store(self.name, dict.fromkeys(names))
        ends = []
        for file in self._files:
            begin = store.rows
            try:
                self._read(file, {name: file.header.index(name) for name in names}, store)
            except OSError as error:
                raise DataError(f"cannot read {file.name}: {error.strerror or error}") from error
            file.check()
            if store.rows == begin:
                raise DataError(f"{file.name} has a header and no rows")
            ends.append(store.rows)
        return store.table(lambda row: self._locate(row, ends), self.fingerprint, self._check)

    @staticmethod
    def _read(file: CsvFile, places: Mapping[str, int], store: Store) -> None:
        import pyarrow as pa

        begin = store.rows
        try:
            for rows, columns in file.quick(places):
                store.append(rows, columns)
        except pa.lib.ArrowCancelled:  # Arrow catches Ctrl-C in its own reader
            raise KeyboardInterrupt from None
        except (pa.ArrowException, OSError):
            store.truncate(begin)
            for rows, columns in file.careful(places):
                store.append(rows, columns)

    def _check(self) -> None:
        for file in self._files:
            file.check()

    def _locate(self, row: int, ends: Sequence[int]) -> str:
        place = min(bisect_right(ends, row), len(ends) - 1)
        file, row = self._files[place], row - (ends[place - 1] if place else 0)
        line = file.line(row)  # found by reading again: only an error asks
        return f"row {row:,} of {file.name}" if line is None else f"line {line:,} of {file.name}"


def _names(cells: Sequence[str], name: str, mark: str) -> list[str]:
    """The column names of a header. Raises DataError for a first line that is none."""
    names = [cell.strip() for cell in cells]
    if any("\0" in column or "\udc80" <= max(column, default="") <= "\udcff" for column in names):
        raise DataError(f"the header of {name} is not text in UTF-8; save the file again as CSV in UTF-8")
    if len(names) == 1:
        for other, word in {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}.items():
            if other != mark and other in names[0]:
                decimal = ", and decimal=',' if its numbers have commas" if other == ";" else ""
                mend = f"read it into a frame first: pandas.read_csv({name!r}, sep={other!r}){decimal}"
                if other in _WORDS:
                    mend = f"give it a name that ends in {'.csv' if other == ',' else '.tsv'}"
                raise DataError(f"{name} is separated by {word}, not {_WORDS[mark]}s; {mend}")
    if all(_NUMBER.fullmatch(column) for column in names):
        shown = mark.join(names)
        shown = repr(shown if len(shown) <= 40 else shown[:37] + "...")
        raise DataError(f"{name} has no header: its first line is {shown}; put a line with the column names above it")
    return names
