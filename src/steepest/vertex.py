"""Absolute deviations and quantiles: the vertex at which no exchange of one row for another lowers the sum.

Σ up·max(r, 0) + down·max(-r, 0), r = y - Xδ, and a linear term beside it: convex, made of planes. Its minimum lies at a
vertex, where as many rows as there are parameters have no residual: the basis. Any other vertex is left along an edge,
on which the residual of one row of the basis leaves zero, past every row at which the sum still falls (Barrodale and
Roberts 1973, Bloomfield and Steiger 1983; of quantiles Koenker and d'Orey 1987). A vertex is the minimum where every
multiplier of its basis lies between -down and up: the subgradient that is zero, written out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .spectrum import Array, U

ZERO = 256.0 * U  # relative rounding of a residual and of a multiplier
REFRESH = 32  # exchanges after which all is computed anew
FIRST = 64  # rows nearest to a vertex that are looked at first
GOLDEN = 0.6180339887498949
MOST = 100_000  # exchanges


@dataclass(frozen=True)
class Vertex:
    """`delta` (p,) leads to a vertex; `fall` is how much lower it lies than where it began.

    `optimal`: no edge leads down. `slack`: how near a multiplier comes to its limits, in parts of what lies between
    them; where it is 0 other minima lie beside. `loose` (p, k): directions that no row decides, by column.
    """

    delta: Array
    fall: float
    optimal: bool
    slack: float
    loose: Array


@dataclass(frozen=True)
class Near:
    """The rows about a point that decide where the sum is lowest, and what all others add.

    columns (p, m): the slopes of the predictions, a parameter a row; residual, up, down (m,): r, and what the loss
    rises by as it grows or falls below zero; tilt (p,): the slope of the rows that are not held. `sampled`: the rows
    are a sample of all, and nothing is proved by them.
    """

    columns: Array
    residual: Array
    up: Array
    down: Array
    tilt: Array
    sampled: bool

    @cached_property
    def vertex(self) -> Vertex:
        """The minimum of their sum."""
        return _Walk(self).minimum()


class _Walk:
    """From δ = 0 by exchanges to the minimum.

    Places of the basis that no row has taken yet are free directions. Rows whose residual is zero but for rounding
    are told apart by a second y, as if each had been moved a little: then no exchange comes round again.
    """

    residual: Array
    second: Array  # residuals of the y that only tells apart
    tiny: Array  # what is rounding in a residual
    slopes: Array
    gradient: Array

    def __init__(self, near: Near) -> None:
        self.near, self.columns = near, near.columns
        p, m = near.columns.shape
        size = np.sqrt(np.einsum("ij,ij->i", near.columns, near.columns) / max(m, 1))
        self.size = np.where(size > 0, size, 1.0)
        self.basis = np.full(p, -1)
        self.dead = np.zeros(p, np.bool_)  # free places along which no row moves
        self.inverse = np.diag(1.0 / self.size)  # of the rows of the basis, one above the other
        self.apart = np.modf(np.arange(1, m + 1) * GOLDEN)[0] - 0.5
        self.mass = np.abs(near.tilt) + np.einsum("ij,j->i", np.abs(near.columns), np.maximum(near.up, near.down))
        self.reach = np.einsum("ij,i->j", np.abs(near.columns), 1.0 / self.size)
        self.delta = np.zeros(p)
        self.refresh()

    def minimum(self) -> Vertex:
        """Exchange rows until no edge leads down."""
        near, optimal, exchanges = self.near, False, 0
        while exchanges < MOST:
            place, sign, excess = self.leaving()
            if place < 0:
                optimal = True
                break
            if self.exchange(place, sign, excess):
                exchanges += 1
                if exchanges % REFRESH == 0:
                    self.refresh()
            elif self.basis[place] < 0 and excess <= 0:
                self.dead[place] = True
            else:
                break  # without end: what is left out of these rows must stop it
        self.refresh()
        multipliers, lower, upper = self.multipliers()
        kept = self.basis >= 0
        room = np.minimum(upper - multipliers, multipliers - lower)[kept] / (upper - lower)[kept]
        before, after = near.residual, self.residual
        falls = near.up * (np.maximum(before, 0) - np.maximum(after, 0))
        falls += near.down * (np.maximum(-before, 0) - np.maximum(-after, 0))
        fall = float(falls.sum()) - float(near.tilt @ self.delta)
        return Vertex(self.delta, fall, optimal, float(room.min(initial=1.0)), self.inverse[:, ~kept])

    def multipliers(self) -> tuple[Array, Array, Array]:
        """One for each place of the basis, and between what it must lie."""
        kept = self.basis >= 0
        lower = np.where(kept, -self.near.down[self.basis], 0.0)
        upper = np.where(kept, self.near.up[self.basis], 0.0)
        return np.einsum("ij,i->j", self.inverse, self.gradient), lower, upper

    def leaving(self) -> tuple[int, float, float]:
        """The place of the basis along whose edge the sum falls fastest, to which side, and how fast; -1: none.

        A free place is left even where the sum is level, since a vertex is wanted.
        """
        multipliers, lower, upper = self.multipliers()
        noise = ZERO * (np.einsum("ij,i->j", np.abs(self.inverse), self.mass) + upper - lower)
        excess = np.maximum(multipliers - upper, lower - multipliers)
        length = np.sqrt(np.einsum("ij,i->j", self.inverse**2, self.size**2))
        gain = np.where(excess > noise, excess / length, 0.0)
        place = int(np.argmax(gain))
        if gain[place] > 0:
            return place, 1.0 if multipliers[place] > upper[place] else -1.0, float(excess[place])
        free = np.flatnonzero((self.basis < 0) & ~self.dead)
        return (int(free[0]), 1.0, 0.0) if len(free) else (-1, 1.0, 0.0)

    def exchange(self, place: int, sign: float, excess: float) -> bool:
        """Move along an edge to the row at which the sum ceases to fall, which takes the place. False: none does."""
        edge = -sign * self.inverse[:, place]
        moves = np.einsum("ij,i->j", self.columns, edge)
        moves[np.abs(moves) <= ZERO * self.reach * float(np.abs(edge * self.size).max())] = 0.0
        moves[self.basis[self.basis >= 0]] = 0.0
        entering = self.line(moves, excess)
        if entering < 0 and excess <= 0:  # along a free place that is level: to the other side
            edge, moves = -edge, -moves
            entering = self.line(moves, excess)
        if entering < 0:
            return False
        row, old = self.columns[:, entering], self.basis[place]
        step, second = self.residual[entering] / moves[entering], self.second[entering] / moves[entering]
        if abs(self.residual[entering]) <= self.tiny[entering]:
            step = 0.0
        self.residual = self.residual - step * moves
        self.second = self.second - second * moves
        if old >= 0:
            self.residual[old], self.second[old] = sign * step, sign * second
        self.residual[entering] = self.second[entering] = 0.0
        self.delta = self.delta + step * edge
        along = np.einsum("i,ij->j", row, self.inverse)
        pivot = along[place]
        along[place] -= 1.0
        self.inverse = self.inverse - np.outer(self.inverse[:, place] / pivot, along)
        self.basis[place] = entering
        slopes = self.slope()
        turned = np.flatnonzero(slopes != self.slopes)
        change = slopes[turned] - self.slopes[turned]
        self.gradient = self.gradient - np.einsum("ij,j->i", self.columns[:, turned], change)
        self.slopes = slopes
        return True

    def line(self, moves: Array, excess: float) -> int:
        """The row at which the sum along an edge ceases to fall, -1 where it never does."""
        level = np.abs(self.residual) <= self.tiny
        with np.errstate(divide="ignore", invalid="ignore"):
            first = np.where(level, 0.0, self.residual / moves)
            second = self.second / moves
        kinked = self.near.up + self.near.down
        met = np.flatnonzero((moves != 0) & (kinked > 0) & ((first > 0) | (level & (second > 0))))
        rise = np.abs(moves) * kinked
        count = FIRST
        while len(met):
            count = min(count, len(met))
            some = met[np.argpartition(first[met], count - 1)[:count]]
            order = some[np.argsort(first[some])]
            apart = np.diff(first[order], prepend=0.0) > self.tiny[order] / np.abs(moves[order])
            order = order[np.lexsort((second[order], np.cumsum(apart)))]
            reached = np.cumsum(rise[order])
            at = int(np.searchsorted(reached, excess))
            if at < len(order):
                return int(order[at])
            if len(order) == len(met):
                break
            count *= 8
        return -1

    def slope(self) -> Array:
        """What the loss of each row rises by as its residual grows: up above zero, -down below, 0 in the basis."""
        above = np.where(np.abs(self.residual) <= self.tiny, self.second, self.residual) > 0
        slopes = np.where(above, self.near.up, -self.near.down)
        slopes[self.basis[self.basis >= 0]] = 0.0
        return slopes

    def refresh(self) -> None:
        """Everything that follows from the basis, computed from it."""
        near, kept, p = self.near, self.basis >= 0, len(self.delta)
        if kept.any():
            rows = np.diag(self.size)
            rows[kept] = self.columns[:, self.basis[kept]].T
            self.inverse = np.linalg.inv(rows)
            away = near.residual[self.basis[kept]] - np.einsum("ij,i->j", self.columns[:, self.basis[kept]], self.delta)
            self.delta = self.delta + self.inverse[:, kept] @ away
        apart = self.inverse[:, kept] @ self.apart[self.basis[kept]] if kept.any() else np.zeros(p)
        self.residual = near.residual - np.einsum("ij,i->j", self.columns, self.delta)
        self.second = self.apart - np.einsum("ij,i->j", self.columns, apart)
        self.residual[self.basis[kept]] = self.second[self.basis[kept]] = 0.0
        reach = float(np.abs(self.delta * self.size).max(initial=0.0))
        self.tiny = ZERO * (np.abs(near.residual) + self.reach * reach)
        self.slopes = self.slope()
        self.gradient = near.tilt - np.einsum("ij,j->i", self.columns, self.slopes)
