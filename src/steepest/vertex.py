"""Absolute deviations and quantiles: the vertex at which no exchange of one row for another lowers the sum.

Σ up·max(r, 0) + down·max(-r, 0), r = y - Xδ, and a linear term beside it: convex, made of planes. Its minimum lies at a
vertex, where as many rows as there are parameters have no residual: the basis. Any other vertex is left along an edge,
on which the residual of one row of the basis leaves zero, past every row at which the sum still falls (Barrodale and
Roberts 1973, Bloomfield and Steiger 1983; of quantiles Koenker and d'Orey 1987). A vertex is the minimum where every
multiplier of its basis lies between -down and up: the subgradient that is zero, written out.

With a quadratic ½δᵀQδ beside it, as of a ridge, or of squares under a penalty of absolute values, fewer rows than
parameters are at zero: `_Bent` holds those, and minimises what is smooth on the subspace that they leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .spectrum import Array, U

ZERO = 256.0 * U  # relative rounding of a residual and of a multiplier
REFRESH = 32  # exchanges after which all is computed anew
FIRST = 64  # rows nearest to a vertex that are looked at first
GOLDEN = 0.6180339887498949
MOST = 100_000  # exchanges
LONG = 100.0  # where there is no end: as far as a quadratic of curvature 1 would change by 5,000
FLAT = 1e-12  # of the largest: an eigenvalue of Q that is zero


Rows = tuple[Array, Array, Array, Array]  # slopes (m, p), residual, and what it rises by above and below zero (m,)


@dataclass(frozen=True)
class Vertex:
    """`delta` (p,) leads to a vertex; `fall` is how much lower it lies than where it began.

    `optimal`: no edge leads down. `slack`: how near a multiplier comes to its limits, in parts of what lies between
    them; where it is 0 other minima lie beside. `loose` (p, k): directions that no row decides, by column. `open`
    (p, k): directions in which no row is held at zero.
    """

    delta: Array
    fall: float
    optimal: bool
    slack: float
    loose: Array
    open: Array


@dataclass(frozen=True)
class Near:
    """The rows about a point that decide where the sum is lowest, and what all others add.

    columns (p, m): the slopes of the predictions, a parameter a row; residual, up, down (m,): r, and what the loss
    rises by as it grows or falls below zero; tilt (p,): the slope of all else, and `bend` (p, p) its curvature, where
    it has any. `sampled`: the rows are a sample of all, and nothing is proved by them.
    """

    columns: Array
    residual: Array
    up: Array
    down: Array
    tilt: Array
    sampled: bool
    bend: Array | None = None

    @staticmethod
    def of(rows: Sequence[Rows], tilt: Array, sampled: bool = False, bend: Array | None = None) -> Near:
        """Rows of several kinds, one below the other."""
        slopes, residual, up, down = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        return Near(np.ascontiguousarray(slopes.T), residual, up, down, tilt, sampled, bend)

    def beside(self, rows: Rows, tilt: Array, bend: Array | None) -> Near:
        """With more rows, and with what is smooth beside them."""
        mine = self.columns.T, self.residual, self.up, self.down
        return Near.of([mine, rows], self.tilt + tilt, self.sampled, bend)

    @cached_property
    def vertex(self) -> Vertex:
        """The minimum of their sum."""
        return _Walk(self).minimum() if self.bend is None else _Bent(self, self.bend).minimum()

    def fall(self, residual: Array, delta: Array) -> float:
        """How much lower the sum lies at δ, where the residuals are these."""
        before = self.residual
        falls = self.up * (np.maximum(before, 0) - np.maximum(residual, 0))
        falls += self.down * (np.maximum(-before, 0) - np.maximum(-residual, 0))
        bent = 0.0 if self.bend is None else 0.5 * float(delta @ self.bend @ delta)
        return float(falls.sum()) - float(self.tilt @ delta) - bent


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
        self.sound = True
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
        fall, loose = near.fall(self.residual, self.delta), self.inverse[:, ~kept]
        return Vertex(self.delta, fall, optimal and self.sound, float(room.min(initial=1.0)), loose, loose)

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
            try:
                self.inverse = np.linalg.inv(rows)
            except np.linalg.LinAlgError:  # a pivot was rounding: what this basis says proves nothing
                self.sound = False
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


class _Bent:
    """An active set: rows that are held at zero, and the minimum of what is left on the subspace where they stay there.

    A step goes along a line past every row at which the sum still falls; the row at which it ceases to is held. At the
    minimum of a subspace the row whose multiplier is farthest beyond its limits is let go (Nocedal and Wright 2006,
    section 16.5). All is done in parameters measured by the curvature, or by the rows where there is none.
    """

    def __init__(self, near: Near, bend: Array) -> None:
        diagonal = np.sqrt(np.abs(bend.diagonal()))
        rows = np.sqrt(np.einsum("ij,ij->i", near.columns, near.columns))
        self.size = np.where(diagonal > 0, diagonal, np.where(rows > 0, rows, 1.0))
        self.near, p = near, len(bend)
        self.wall = (near.up == 0) | (near.down == 0)  # a bound, at which a way ends
        values, vectors = np.linalg.eigh(bend / self.size / self.size[:, None])
        values = np.where(values > FLAT * max(float(values[-1]), 0.0), values, 0.0)  # a model to step by is convex
        self.bend = np.asarray((vectors * values) @ vectors.T)
        self.columns = near.columns / self.size[:, None]
        self.tilt, self.phi = near.tilt / self.size, np.zeros(p)
        self.held: list[int] = []
        self.residual = near.residual.copy()
        self.reach = np.sqrt(np.einsum("ij,ij->j", self.columns, self.columns))
        self.tiny = ZERO * np.abs(near.residual)
        self.above = near.residual >= 0
        self.mass = np.abs(self.tilt) + np.einsum("ij,j->i", np.abs(self.columns), np.maximum(near.up, near.down))

    def minimum(self) -> Vertex:
        """Hold rows and let rows go until every multiplier lies between its limits."""
        optimal, slack, near = False, 1.0, self.near
        loose = opened = np.zeros((len(self.phi), 0))
        for _ in range(MOST):
            basis, triangle, opened = self.subspace(self.held)
            gradient = self.gradient()
            noise = ZERO * (self.mass + np.abs(self.bend) @ np.abs(self.phi))
            along, loose = self.direction(opened, gradient, noise)
            if along is not None:
                if not self.line(along, gradient):
                    break
                continue
            multipliers = np.linalg.solve(triangle, basis.T @ gradient) if self.held else np.zeros(0)
            up, down = near.up[self.held], near.down[self.held]
            rounding = ZERO * (up + down) + np.abs(np.linalg.pinv(triangle)) @ (np.abs(basis).T @ noise)
            excess = np.maximum(multipliers - up, -down - multipliers)
            place = int(np.argmax(excess / np.maximum(up + down, 1e-300))) if self.held else -1
            if not self.held or not excess[place] > rounding[place]:
                optimal = True
                slack = float(np.min(-excess / np.maximum(up + down, 1e-300), initial=1.0))
                idle = np.abs(multipliers) <= rounding  # a bound that nothing pushes against decides nothing
                deciding = [r for r, still in zip(self.held, idle, strict=True) if not (still and self.wall[r])]
                loose = self.direction(self.subspace(deciding)[2], gradient, noise)[1]
                break
            row = self.held.pop(place)
            self.above[row] = multipliers[place] > up[place]
        delta = self.phi / self.size
        for row in self.held:  # what one parameter alone decides comes out exactly
            alone = np.flatnonzero(near.columns[:, row])
            if len(alone) == 1:
                delta[alone] = near.residual[row] / near.columns[alone, row]
        met = np.einsum("ij,ik->jk", self.columns[:, ~self.wall], loose)
        free = np.abs(met).max(axis=0, initial=0.0) <= ZERO * max(float(self.reach.max(initial=0.0)), 1e-300)
        slack = slack if free.all() else 0.0
        scaled = self.size[:, None]
        return Vertex(delta, near.fall(self.residual, delta), optimal, slack, loose[:, free] / scaled, opened / scaled)

    def subspace(self, held: Sequence[int]) -> tuple[Array, Array, Array]:
        """QR of held rows, and the directions that leave them at zero."""
        whole, triangle = np.linalg.qr(self.columns[:, held], mode="complete")
        k = len(held)
        return whole[:, :k], triangle[:k], whole[:, k:]

    def gradient(self) -> Array:
        """Of the sum, without the held rows."""
        slopes = np.where(self.above, self.near.up, -self.near.down)
        slopes[self.held] = 0.0
        return np.asarray(self.tilt + self.bend @ self.phi - np.einsum("ij,j->i", self.columns, slopes))

    def direction(self, opened: Array, gradient: Array, noise: Array) -> tuple[Array | None, Array]:
        """Downhill on a subspace: where it has no curvature by the slope, else to its minimum; None at that.

        And the directions without curvature.
        """
        slope, bend = opened.T @ gradient, opened.T @ self.bend @ opened
        values, vectors = np.linalg.eigh(bend)
        flat = values <= FLAT * max(float(np.abs(self.bend).max(initial=0.0)), 1e-300)
        inner, loud = vectors.T @ slope, np.abs(vectors.T) @ (np.abs(opened).T @ noise)
        heard = np.abs(inner) > loud
        loose = np.asarray(opened @ vectors[:, flat])
        chosen = flat if (heard & flat).any() else ~flat
        if not (heard & chosen).any():
            return None, loose
        falls = inner[chosen] / (np.abs(inner[chosen]).max() if chosen is flat else values[chosen])
        return np.asarray(-(opened @ (vectors[:, chosen] @ falls))), loose

    def line(self, along: Array, gradient: Array) -> bool:
        """On along a line to the minimum on it, where a row may have to be held. False: it has no end."""
        near = self.near
        moves = np.einsum("ij,i->j", self.columns, along)
        moves[np.abs(moves) <= ZERO * self.reach * float(np.linalg.norm(along))] = 0.0
        moves[self.held] = 0.0
        ahead = (moves != 0) & (self.above == (moves > 0)) & (near.up + near.down > 0)
        met = np.flatnonzero(ahead)
        side = np.where(self.above[met], self.residual[met], -self.residual[met])
        reached = np.where(side > self.tiny[met], side, 0.0) / np.abs(moves[met])
        order = np.argsort(reached, kind="stable")
        met, reached = met[order], reached[order]
        rise = np.abs(moves[met]) * (near.up + near.down)[met]
        slope, bent = float(gradient @ along), float(along @ self.bend @ along)
        before = slope + bent * reached + np.cumsum(rise) - rise
        stop = np.flatnonzero(before + rise >= 0)
        at = int(stop[0]) if len(stop) else len(met)
        level = bent <= FLAT * float(along @ along) * float(np.abs(self.bend).max(initial=0.0))
        entering, endless = -1, False
        if at < len(met) and before[at] < 0:
            step, entering = float(reached[at]), int(met[at])
        elif level:  # some way on: the curvature is that of this point, and may not stay so small
            step, endless = LONG / float(np.linalg.norm(along)), True
        else:
            step = -(slope + float(rise[:at].sum())) / bent
        self.phi = self.phi + step * along
        self.residual = near.residual - np.einsum("ij,i->j", self.columns, self.phi)
        self.above[met[:at]] ^= True
        if entering >= 0:
            self.held.append(entering)
        self.residual[self.held] = 0.0
        return not endless
