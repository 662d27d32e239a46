"""Whether a file is ordered by a column: what ruins mini-batches that are read in file order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .reader import Reader

CHUNKS = 16  # runs of rows whose means are compared
ORDERED = 20.0  # for rows in random order the ratio is near 1; this has a chance below 1e-6


def drift(reader: Reader) -> tuple[str, float] | None:
    """The column whose mean wanders most along the file, with its ratio, if that is no chance: costs one pass.

    The ratio is that of an analysis of variance: the variance of the means of 16 runs of rows, times the rows of a run,
    over the variance of the column. None where no column drifts, or the rows are too few to tell.
    """
    if reader.rows < 8 * CHUNKS:
        return None
    count, sums, squares = np.zeros(CHUNKS), dict[str, NDArray[np.float64]](), dict[str, float]()
    for block in reader.full():
        rows = np.arange(block.rows) if block.live is None else np.flatnonzero(block.live)
        chunk = (block.first_row + rows) * CHUNKS // reader.rows
        count += np.bincount(chunk, minlength=CHUNKS)
        for name, column in block.columns.items():
            if column.ndim == 1:
                values = column[rows].astype(np.float64, copy=False)
                sums[name] = sums.get(name, np.zeros(CHUNKS)) + np.bincount(chunk, values, CHUNKS)
                squares[name] = squares.get(name, 0.0) + float(np.sum(values**2))
    used = count > 0
    ratios = {}
    for name, total in sums.items():
        mean = total.sum() / count.sum()
        variance = squares[name] / count.sum() - mean**2
        if variance > 1e-12 * mean**2:
            means = total[used] / count[used]
            ratios[name] = float(np.sum(count[used] * (means - mean) ** 2)) / max(int(used.sum()) - 1, 1) / variance
    name = max(ratios, key=ratios.__getitem__, default="")
    return (name, ratios[name]) if name and ratios[name] > ORDERED else None
