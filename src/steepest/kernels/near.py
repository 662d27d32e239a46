"""The rows near a kink, gathered in one pass: those with the smallest residuals are held, all others are added up."""

from __future__ import annotations

import numpy as np

from ..formula.objective import bounds_as_rows
from ..types import Array
from ..vertex import Near


class Held:
    """Rows as they come, tile after tile: at most twice `most` at a time, in the end the `most` nearest.

    `sides`: what the loss of a row rises by, for its weight, above and below zero. With `every` > 1 it holds a sample:
    each row of that number. `total`, `slope` (p,), `weight`: of all rows, Σ w·loss, its derivative, Σ w.
    """

    def __init__(self, most: int, sides: tuple[float, float]) -> None:
        self.most, self.every = most, 1
        self.total, self.weight, self.slope = 0.0, 0.0, np.zeros(0)
        self._sides, self._seen = sides, 0
        self._tiles: list[Array] = []  # (rows, p + 3): slopes of the prediction, residual, weight, key
        self._count, self._limit = 0, np.inf
        self._tilt = self._mass = np.zeros(0)

    def add(self, tile: Array, root: Array) -> None:
        """A tile (rows, p + 2): slopes of the prediction, residual, weight. `root` (p, p) measures the slopes."""
        slopes, residual, weight = tile[:, :-2], tile[:, -2], tile[:, -1]
        up, down = self._sides
        turn = np.where(residual > 0, up * weight, -down * weight)
        slope = -np.einsum("ij,i->j", slopes, turn)
        if not self._seen:
            self.slope = self._tilt = self._mass = np.zeros(len(slope))
        self.total += float((turn * residual).sum())
        self.weight += float(weight.sum())
        self.slope = self.slope + slope
        self._mass = self._mass + np.einsum("ij,i->j", np.abs(slopes), np.abs(turn))
        if self.every > 1:
            tile = tile[-self._seen % self.every :: self.every]
            self._keep(np.column_stack([tile, np.zeros(len(tile))]))
        else:
            square = np.zeros(len(residual))
            for axis in root.T:
                square += np.einsum("ij,j->i", slopes, axis) ** 2
            key = np.abs(residual) / np.sqrt(np.maximum(square, 1e-300))
            near = key <= self._limit
            self._tilt = self._tilt + slope + np.einsum("ij,i->j", slopes[near], turn[near])
            self._keep(np.column_stack([tile, key])[near])
            if self._count > 2 * self.most:
                self._shrink()
        self._seen += len(residual)

    def near(self, theta: Array, lower: Array, upper: Array, pull: Array) -> Near:
        """What is held at the end, and each bound as a row that may not be crossed; `pull` (p,): what else pulls."""
        if self.every == 1 and self._count > self.most:
            self._shrink()
        held = np.concatenate(self._tiles)
        up, down = self._sides
        weight = held[:, -2] * self.every
        rows = held[:, :-3], held[:, -3], up * weight, down * weight
        return Near.of([rows, bounds_as_rows(theta, lower, upper, self._mass + pull)], self._tilt, self.every > 1)

    def _keep(self, rows: Array) -> None:
        self._tiles.append(rows)
        self._count += len(rows)

    def _shrink(self) -> None:
        """Let go of all but the nearest."""
        held = np.concatenate(self._tiles)
        self._limit = float(np.partition(held[:, -1], self.most - 1)[self.most - 1])
        near = held[:, -1] <= self._limit
        gone = held[~near]
        up, down = self._sides
        turn = np.where(gone[:, -3] > 0, up, -down) * gone[:, -2]
        self._tilt = self._tilt - np.einsum("ij,i->j", gone[:, :-3], turn)
        self._tiles, self._count = [held[near]], int(near.sum())
