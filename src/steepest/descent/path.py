"""The points that a run comes through, kept in memory that never grows beyond a limit."""

from __future__ import annotations

import numpy as np

from ..types import Array


class Path:
    """Number, loss, gradient norm and theta of steps: of each while they take no more than `limit` bytes, then of every
    second, every fourth, ...; the first and the last step are always there.

    `every` is the distance of two steps that are kept, a power of two.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.every = 1
        self._most = max(2, limit // (8 * (3 + size)))
        self._rows = np.empty((0, 3 + size))
        self._count = 0
        self._last = self._rows

    def extend(self, first: int, loss: Array, norm: Array, theta: Array) -> None:
        """Add the steps `first`, `first` + 1, ...: (m,), (m,), (m, p). A step that is said once more is replaced."""
        if self._count and self._rows[self._count - 1, 0] == first:
            self._count -= 1
        at = -first % self.every
        while at < len(loss):
            if self._count == self._most:
                self._thin()
                at += -(first + at) % self.every
                continue
            self._make_room()
            taken = slice(at, at + self.every * (len(self._rows) - self._count), self.every)
            count = len(loss[taken])
            rows = self._rows[self._count : self._count + count]
            rows[:, 0] = first + at + self.every * np.arange(count)
            rows[:, 1], rows[:, 2], rows[:, 3:] = loss[taken], norm[taken], theta[taken]
            self._count += count
            at += self.every * count
        self._last = np.concatenate([[first + len(loss) - 1, loss[-1], norm[-1]], theta[-1]])[None]

    def rows(self) -> Array:
        """What is kept: (m, 3 + p), a step each."""
        kept = self._rows[: self._count]
        ended = not len(self._last) or (len(kept) and kept[-1, 0] == self._last[0, 0])
        return kept if ended else np.concatenate([kept, self._last])

    def _thin(self) -> None:
        """Forget every other step."""
        self.every *= 2
        kept = self._rows[: self._count : 2]
        self._rows[: len(kept)] = kept
        self._count = len(kept)

    def _make_room(self) -> None:
        if self._count == len(self._rows):
            wider = np.empty((min(max(1024, 2 * self._count), self._most), self._rows.shape[1]))
            wider[: self._count] = self._rows
            self._rows = wider
