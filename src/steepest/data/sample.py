"""A small, seeded sample of the rows that count, spread over the whole table."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .reader import Reader
from .table import Table

SPARE = 8  # times as many rows are looked at as are taken: where few count, enough are left
LEAST = 256  # rows of a piece that are looked at, where so many count
READ = 8  # units of a file that are read for a sample: the first, the last, and some between
Columns = dict[str, NDArray[np.float64]]


def sample(reader: Reader, most: int, seed: int) -> tuple[Columns, bool]:
    """The columns of at most `most` live rows: one drawn from each of equal parts of what is read, in file order.

    A table in memory is looked at as a whole, of a file a few units; what is read counts in `reader.passes`. A table
    with no more rows comes whole, whatever the seed: then the second answer is True.
    """
    rng = np.random.default_rng((seed, reader.rows))
    units = reader.source.units
    few = isinstance(reader.source, Table) or len(units) <= READ
    chosen = range(len(units)) if few else [round(i * (len(units) - 1) / (READ - 1)) for i in range(READ)]
    share = min(1.0, SPARE * most / sum(units[i] for i in chosen))  # of each piece, so that few rows are ever held
    parts = []
    for piece in reader.some(chosen):
        rows = min(map(len, piece.values()), default=0)
        taken = _spread(rows, max(math.ceil(share * rows), min(rows, LEAST)), rng)
        parts.append({name: np.asarray(column[taken], dtype=np.float64) for name, column in piece.items()})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    rows = min(map(len, columns.values()), default=0)
    if rows <= most:
        return columns, few and share == 1.0
    taken = _spread(rows, most, rng)
    return {name: column[taken] for name, column in columns.items()}, False


def _spread(rows: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The numbers of `count` rows: one drawn from each of as many equal parts."""
    edges = np.arange(count + 1) * rows // max(count, 1)
    return edges[:-1] + (rng.random(count) * np.diff(edges)).astype(np.int64)
