"""A source of rows, and how its rows become blocks on the grid of addition."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .ahead import ahead

TILE = 4_096
"""Rows of a tile. Tiles are counted from row 0 and totals are added tile by tile: the same bits for any file layout."""

UNIT = 65_536
"""Rows of a unit where a file does not set its own, of the largest block, and of a window of the random order."""

HELD = 64 << 20
"""Bytes: used columns of files and streams that take no more, as float64, stay in memory. Constant; the answer never
depends on it."""


@dataclass(frozen=True)
class ColumnType:
    """What a column holds, before any of it is used.

    `kind` is "number", "text", "complex", "time", "other", or "unknown" (a CSV column that is not read yet).
    `width` is None for a column of single values and q for a matrix column of q values a row.
    """

    kind: str
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of a stream.

    `first_row` is the position of the first row, from 0. Each column is an array of real numbers, (rows,) or (rows, q):
    float64, or what the caller's table holds, of any width and stride, to be widened where it is computed with. It may
    be a view of the caller's data, so nobody writes to it. `live` is a bool array (rows,), or None
    where every row is used: rows that are not used are marked, never squeezed out, so that the grid stays fixed.
    """

    first_row: int
    rows: int
    columns: Mapping[str, NDArray[np.float64]]
    live: NDArray[np.bool_] | None = None


Piece = tuple[int, dict[str, NDArray[np.float64]]]


class Source(Protocol):
    """A table. `select` comes first; all that stands after it here speaks of the selected table."""

    @property
    def name(self) -> str:
        """The name in messages: a file name, or "data"."""

    @property
    def schema(self) -> Mapping[str, ColumnType]:
        """What each column holds, by name."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """`name`, `size` (bytes), `mtime` (seconds) of a file; `name`, `files` of several; empty without a file."""

    def select(self, columns: Sequence[str]) -> Source:
        """Narrow to the columns that are used. Raises DataError where one is absent or does not hold numbers."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    @property
    def units(self) -> tuple[int, ...]:
        """Rows of each unit: what is read at once, and what is put in random order."""

    def read(self, unit: int) -> dict[str, NDArray[np.float64]]:
        """The columns of one unit, float64 and C-contiguous, (rows,) or (rows, q); a null is NaN."""

    def pieces(self, unit: int) -> Iterator[Piece]:
        """The same, in consecutive pieces where a unit is too large to be held: the rows of each, and its columns.

        A slow source is asked for several units at once, each by a thread of its own.
        """

    @property
    def slow(self) -> bool:
        """Whether reading takes long enough to be done ahead by threads."""

    def locate(self, row: int) -> str:
        """The place of a row for people: "row 17", "row 81,204 of part.parquet", "line 14 of a.csv"."""


class Unselected:
    """Base of a source that reads nothing before `select`."""

    @property
    def rows(self) -> int:
        self._refuse()

    @property
    def units(self) -> tuple[int, ...]:
        self._refuse()

    def read(self, unit: int) -> dict[str, NDArray[np.float64]]:
        self._refuse()

    def pieces(self, unit: int) -> Iterator[Piece]:
        self._refuse()

    @property
    def slow(self) -> bool:
        self._refuse()

    def locate(self, row: int) -> str:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TypeError("select the columns before reading rows")


def blocks(source: Source) -> Iterator[Block]:
    """One full pass over a selected source, in file order.

    Each Block is a run of whole tiles, at most UNIT rows; only the last may end within a tile. A tile that straddles
    units is stitched (copied); all else are slices of what the source holds.
    """
    return recut(read(source, range(len(source.units))), source.rows, TILE, UNIT)


def read(source: Source, order: Sequence[int]) -> Iterator[Block]:
    """The units of a selected source in this order, in pieces; `first_row` is the place of each in the table."""
    first_rows = list(accumulate(source.units, initial=0))

    def pieces(unit: int) -> Iterator[Block]:
        at = first_rows[unit]
        for rows, columns in source.pieces(unit):
            if rows:
                yield Block(at, rows, columns)
            at += rows

    return ahead(order, pieces) if source.slow else chain.from_iterable(map(pieces, order))


def recut(pieces: Iterable[Block], rows: int, grid: int, most: int) -> Iterator[Block]:
    """Cut a stream of `rows` rows into runs of whole cells of `grid` rows, at most `most` (a multiple) at a time.

    The grid starts at the first row of the stream. Only a cell that straddles pieces is copied; the last run of the
    stream may end within a cell.
    """
    begun: list[Block] = []  # the parts of a cell that straddles pieces
    absent = 0  # its rows that are still to come
    left = rows
    for piece in pieces:
        left -= piece.rows
        at = 0
        if begun:
            at = min(absent, piece.rows)
            absent -= at
            begun.append(cut(piece, 0, at))
            if absent:
                continue
            yield _join(begun)
            begun = []
        whole = piece.rows if left == 0 else at + (piece.rows - at) // grid * grid
        while at < whole:
            stop = min(at + most, whole)
            yield cut(piece, at, stop)
            at = stop
        if at < piece.rows:
            begun = [cut(piece, at, piece.rows)]
            absent = grid - begun[0].rows
    if begun:
        yield _join(begun)


def cut(block: Block, start: int, stop: int) -> Block:
    """Rows `start:stop` of a block, without a copy."""
    if stop - start == block.rows:
        return block
    columns = {name: column[start:stop] for name, column in block.columns.items()}
    live = None if block.live is None else block.live[start:stop]
    return Block(block.first_row + start, stop - start, columns, live)


def _join(parts: list[Block]) -> Block:
    """Consecutive blocks as one."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    live = None
    if any(part.live is not None for part in parts):
        live = np.concatenate([np.ones(p.rows, np.bool_) if p.live is None else p.live for p in parts])
    return Block(parts[0].first_row, sum(part.rows for part in parts), columns, live)


def even_units(rows: int) -> tuple[int, ...]:
    """Runs of UNIT rows, the last one shorter."""
    whole, rest = divmod(rows, UNIT)
    return (UNIT,) * whole + ((rest,) if rest else ())


def check_names(
    columns: Sequence[str], schema: Mapping[str, ColumnType], repeated: Collection[str], where: str
) -> tuple[str, ...]:
    """The wanted columns, each once, in the order of their first mention.

    Raises DataError for a column that `where` does not have, and for one whose name stands there more than once.
    """
    for name in columns:
        if name not in schema:
            near = difflib.get_close_matches(name, schema, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"no column {name!r} in {where}, which has {listed(schema)}{hint}")
        if name in repeated:
            raise DataError(f"more than one column of {where} is named {name!r}; rename all but one")
    return tuple(dict.fromkeys(columns))


def label(column: str, where: str) -> str:
    """How messages name a column: "column 'x'", "column 'x' of part.parquet"."""
    return f"column {column!r}" if where == "data" else f"column {column!r} of {where}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names for a message, shortened where they are many."""
    shown = [repr(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more or "no columns"


def repeats(names: Sequence[str]) -> frozenset[str]:
    """The names that stand more than once."""
    seen: set[str] = set()
    return frozenset(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
