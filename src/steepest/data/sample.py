"""A small, seeded sample of the rows that count, spread over the whole table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .reader import Reader
from .table import Table

READ = 8  # units of a file that are read for a sample: the first, the last, and some between
Columns = dict[str, NDArray[np.float64]]


def sample(reader: Reader, most: int, seed: int) -> tuple[Columns, bool]:
    """The columns of at most `most` live rows: one drawn from each of equal parts of what is read, in file order.

    A table in memory is looked at as a whole, of a file a few units; what is read counts in `reader.passes`. A table
    with no more rows comes whole, whatever the seed: then the second answer is True.
    """
    rng = np.random.default_rng((seed, reader.rows))
    units = len(reader.source.units)
    few = isinstance(reader.source, Table) or units <= READ
    chosen = range(units) if few else [round(i * (units - 1) / (READ - 1)) for i in range(READ)]
    parts = [part for part in reader.some(chosen) if part]
    columns: Columns = {}
    if parts:
        columns = {name: np.concatenate([part[name] for part in parts], dtype=np.float64) for name in parts[0]}
    rows = min(map(len, columns.values()), default=0)
    if rows <= most:
        return columns, few
    edges = np.arange(most + 1) * rows // most
    taken = edges[:-1] + (rng.random(most) * np.diff(edges)).astype(np.int64)
    return {name: column[taken] for name, column in columns.items()}, False
