"""The random order of rows: a pure function of (seed, epoch, unit or window), so that a fit resumes from integers.

Units (Parquet row groups, else runs of 65,536 rows) come in random order; the stream they make is cut into windows of
65,536 rows, and each window is permuted. Every row comes once in an epoch; no buffer outlives its window.

An order is a Fisher-Yates shuffle, every permutation alike, by the small fast counting generator of C. Doty-Humphrey
(PractRand, 2010): the time goes into drawing, and this one draws fastest of those that NumPy seeds by such a key.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .source import UNIT

Shuffle = Callable[[np.random.Generator, NDArray[np.int64]], None]

WINDOW = UNIT
"""Rows of a window; constant, because the order must not depend on memory or batch size."""


def unit_order(seed: int, epoch: int, units: int) -> NDArray[np.int64]:
    """The order in which an epoch reads `units` units: a permutation of 0 .. units - 1."""
    if units < 2:  # seeding takes longer than an epoch of a small table
        return np.arange(units, dtype=np.int64)
    return _generator(seed, epoch, 0).permutation(units)


def window_permutation(
    seed: int, epoch: int, window: int, rows: int, shuffle: Shuffle = np.random.Generator.shuffle
) -> NDArray[np.int64]:
    """The order of the `rows` rows within a window of the stream: a permutation of 0 .. rows - 1."""
    order = np.arange(rows, dtype=np.int64)
    shuffle_window(seed, epoch, window, order, shuffle)
    return order


def shuffle_window(
    seed: int, epoch: int, window: int, numbers: NDArray[np.int64], shuffle: Shuffle = np.random.Generator.shuffle
) -> None:
    """Bring the numbers of a window's rows into its order, in place. `shuffle` does it as NumPy's, or is that."""
    shuffle(_generator(seed, epoch, 1 + window), numbers)


def _generator(seed: int, epoch: int, stream: int) -> np.random.Generator:
    key = np.random.SeedSequence(seed, spawn_key=(epoch, stream))
    return np.random.Generator(np.random.SFC64(key))
