"""A small, seeded sample of the rows that count, spread over the whole table."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from .reader import Reader
from .source import cut

WINDOWS = 32  # runs of rows that are looked at, evenly over the table
WINDOW = 16_384  # rows of each
SPARE, SPARED = 8, 16_384  # times as many rows, or so many more, are taken at first: enough are left where few count
LEAST = 256  # rows of a window that are taken at first, where so many count
Columns = dict[str, NDArray[np.float64]]


def sample(reader: Reader, most: int, seed: int) -> tuple[Columns, bool]:
    """The columns of at most `most` rows that count, in their order, and whether these are all.

    The rows are a function of the seed, the number of rows and which of them count, never of how a file is laid out.
    The units of a file that hold a window are read, which counts in `reader.passes`.
    """
    rng, rows = np.random.default_rng((seed, reader.rows)), reader.rows
    count = min(WINDOWS, math.ceil(rows / WINDOW))
    apart = WINDOW if rows <= WINDOWS * WINDOW else (rows - WINDOW) / (WINDOWS - 1)
    windows = [(round(i * apart), min(round(i * apart) + WINDOW, rows)) for i in range(count)]
    pieces: list[list[Columns]] = [[] for _ in windows]
    units = enumerate(pairwise(accumulate(reader.source.units, initial=0)))
    for block in reader.some([i for i, (a, b) in units if any(a < end and start < b for start, end in windows)]):
        first, last = block.first_row, block.first_row + block.rows
        for (start, end), within in zip(windows, pieces, strict=True):
            if first < end and start < last:
                part = cut(block, max(start - first, 0), min(end - first, block.rows))
                live = slice(None) if part.live is None else part.live
                within.append({name: np.asarray(c[live], dtype=np.float64) for name, c in part.columns.items()})
    share = min(1.0, (most + min((SPARE - 1) * most, SPARED)) / sum(end - start for start, end in windows))
    thinned = [_thinned(_joined(within), share, rng) for within in pieces]
    columns = _joined(thinned)
    if _rows(columns) <= most:
        return columns, share == 1.0
    taken = _spread(_rows(columns), most, rng)
    return {name: column[taken] for name, column in columns.items()}, False


def _thinned(columns: Columns, share: float, rng: np.random.Generator) -> Columns:
    """Some of the rows."""
    rows = _rows(columns)
    taken = _spread(rows, max(math.ceil(share * rows), min(rows, LEAST)), rng)
    return {name: column[taken] for name, column in columns.items()}


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _rows(columns: Columns) -> int:
    return min(map(len, columns.values()), default=0)


def _spread(rows: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The numbers of `count` rows: one drawn from each of as many equal parts."""
    edges = np.arange(count + 1) * rows // max(count, 1)
    return edges[:-1] + (rng.random(count) * np.diff(edges)).astype(np.int64)
