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

Permuted = Callable[[np.random.Generator, int], NDArray[np.int64]]

WINDOW = UNIT
"""Rows of a window; constant, because the order must not depend on memory or batch size."""


def unit_order(seed: int, epoch: int, units: int) -> NDArray[np.int64]:
    """The order in which an epoch reads `units` units: a permutation of 0 .. units - 1."""
    if units < 2:  # seeding takes longer than an epoch of a small table
        return np.arange(units, dtype=np.int64)
    return _generator(seed, epoch, 0).permutation(units)


def window_permutation(
    seed: int, epoch: int, window: int, rows: int, permuted: Permuted = np.random.Generator.permutation
) -> NDArray[np.int64]:
    """The order of the `rows` rows within a window of the stream: a permutation of 0 .. rows - 1.

    `permuted` makes it of a fresh generator: whatever does must make NumPy's.
    """
    return permuted(_generator(seed, epoch, 1 + window), rows)


def _generator(seed: int, epoch: int, stream: int) -> np.random.Generator:
    key = np.random.SeedSequence(seed, spawn_key=(epoch, stream))
    return np.random.Generator(np.random.SFC64(key))
