"""What lies around a stationary point: a lower point that its second derivatives hide, a valley without an end.

Where the Hessian is singular, a straight look along its flat directions is not enough: (y - x²)(y - 3x²) rises from 0
along every line and falls along y = 2x² (Peano). So each look is a step along a direction and some Newton steps across
it (the reduction of Lyapunov and Schmidt), and so is each step down a valley.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .kernels.surface import Surface
from .spectrum import Mask, Spectrum, U, length
from .types import Array, Evaluation, Need

NEAR = (1e-3, 1e-2, 1e-1)  # of a parameter's size: as far as "beside a point" goes
AWAY = (1e-1, 1e-2, 1e-3, 1e-4)  # where the curvature is negative a step of some length falls
ACROSS = 3  # Newton steps across a direction
FLAT, MIXED = 8, 16  # directions looked along: eigenvectors, and mixtures of them where there are several
STRIDE, STRIDES = 0.5, 24  # of a parameter's size; how many
LEAP = 10.0  # times its size: no step across a direction moves a parameter as far
FAR, NAMED = 100.0, 1.0  # times its size one parameter must go, for no end to be near; those that went with it


@dataclass(frozen=True)
class Around:
    """A point with its evaluation, the free parameters, their curvature's spectrum and their sizes (p,)."""

    surface: Surface
    theta: Array
    evaluation: Evaluation
    free: Mask
    parts: Spectrum
    size: Array

    @property
    def noise(self) -> float:
        """A fall of the loss that says nothing: its rounding, what a Newton step still promises, dust near zero."""
        total, parts = self.evaluation.total, self.parts
        keep = ~parts.flat
        gap = 0.5 * float(np.sum(parts.slope[keep] ** 2 / np.abs(parts.values[keep])))
        dust = U**2 * float(np.sum((parts.scale * self.size[self.free]) ** 2))
        return max(4.0 * U * abs(total), 4.0 * gap, dust)

    def lower(self) -> Array | None:
        """A lower point along the flat or falling directions; None where none was found."""
        for direction in self._directions():
            for distance in NEAR:
                for sign in (1.0, -1.0):
                    there, change = self._beside(sign * distance * direction)
                    if change < -self.noise:
                        return there
        return None

    def _directions(self) -> Iterator[Array]:
        """The eigenvectors that are flat or fall, and mixtures of them, as moves that reach one parameter's size."""
        chosen = np.flatnonzero(self.parts.flat | (self.parts.values < 0))[:FLAT]
        vectors = self.parts.vectors[:, chosen]
        for column in vectors.T:
            yield self._move(column)
        if len(chosen) > 1:
            for mixture in np.random.default_rng(0).normal(size=(MIXED, len(chosen))):
                yield self._move(vectors @ mixture)

    def _move(self, vector: Array) -> Array:
        move = np.zeros_like(self.theta)
        move[self.free] = vector / self.parts.scale
        return move / max(float(np.max(np.abs(move) / self.size)), 1e-300)

    def downhill(self, vector: Array) -> Array | None:
        """The lowest point on both sides along one direction, of negative curvature; None where nothing is lower."""
        move = np.zeros_like(self.theta)
        move[self.free] = vector
        move /= max(float(np.max(np.abs(move) / self.size)), 1e-300)
        found = [(self._value(self._inside(self.theta + sign * distance * move)), sign * distance)
                 for distance in AWAY for sign in (1.0, -1.0)]  # fmt: skip
        total, at = min(found)
        fall = self.evaluation.total - total
        return self._inside(self.theta + at * move) if fall > 4.0 * U * abs(self.evaluation.total) else None

    def valley(self, tolerance: float) -> tuple[str, ...]:
        """The parameters that run to infinity while the loss never rises by more than a tolerance; () if it does."""
        for way in (0.0, 1.0, -1.0):
            moved = self._ride(way, tolerance)
            if moved is not None:
                names = self.surface.objective.layout.flat
                return tuple(name for name, far in zip(names, moved, strict=True) if far)
        return ()

    def _ride(self, way: float, tolerance: float) -> Mask | None:
        """Stride after stride, by the weakest direction of where it stands; which parameters have left their size.

        `way` is the side on which it sets out; 0: stride after stride by the Newton step, where that is not weak.
        """
        theta, evaluation, most = self.theta, self.evaluation, self.evaluation.total
        most += max(tolerance, 4.0 * U * abs(most))
        ahead = way * self._move(self.parts.vectors[:, 0])
        for _ in range(STRIDES):
            size = np.where(theta == 0, self.size, np.abs(theta))
            move = np.zeros_like(theta)
            move[self.free] = self._weakest(evaluation, newton=way == 0.0)
            if not (np.isfinite(move).all() and move.any()):  # the slope has vanished in rounding: straight on
                move = np.array(ahead)
            move *= STRIDE / max(float(np.max(np.abs(move) / size)), 1e-300)
            scale = 1.0 / size**2
            move = move if float(np.sum(scale * move * ahead)) >= 0 else -move
            there, found = self._across(self._inside(theta + move), move)
            if found is None or found.total > most:
                return None
            ahead, theta, evaluation = there - theta, there, found
            far = np.abs(theta - self.theta) > FAR * self.size
            if far.any():  # a minimum so flat that it hides below the tolerance lies lower than what is far from it
                falls = evaluation.total <= self.evaluation.total + 4.0 * U * abs(self.evaluation.total)
                return np.asarray(np.abs(theta - self.theta) > NAMED * self.size) if falls else None
        return None

    def _weakest(self, evaluation: Evaluation, newton: bool) -> Array:
        """The direction of the smallest curvature of a point, in units of its own diagonal; or the Newton step."""
        curvature = evaluation.curvature if evaluation.gauss is None else evaluation.gauss
        assert curvature is not None
        block = curvature[np.ix_(self.free, self.free)]
        scale = np.sqrt(np.maximum(np.abs(block.diagonal()), 1e-300))
        scaled = block / scale / scale[:, None]
        if not np.isfinite(scaled).all():  # beyond what doubles can tell: no way on
            return np.zeros(len(scale))
        values, vectors = np.linalg.eigh(scaled)
        if newton:
            slope = vectors.T @ (evaluation.slope[self.free] / scale)
            return np.asarray(vectors @ (-slope / np.maximum(np.abs(values), 1e-300)) / scale)
        return np.asarray(vectors[:, 0] / scale)

    def _beside(self, move: Array) -> tuple[Array, float]:
        """A point beside this one, as low as Newton steps across the move bring it, and its change of the loss."""
        there = self._inside(self.theta + move)
        change = self._value(there) - self.evaluation.total
        if change < -self.noise or np.count_nonzero(self.free) == 1:
            return there, change
        point, found = self._across(there, move)
        return point, np.inf if found is None else found.total - self.evaluation.total

    def _across(self, theta: Array, move: Array) -> tuple[Array, Evaluation | None]:
        """Newton steps in what is orthogonal to a move, by curvatures made positive, while the loss falls."""
        need = Need.NORMAL if self.surface.objective.squares else Need.HESSIAN
        best, found = theta, self.surface.at(theta, need)
        for _ in range(ACROSS):
            if not found.finite:
                return best, None
            step = self._newton_across(found, move)
            if np.any(np.abs(step) > LEAP * np.maximum(np.abs(best), self.size)):  # that is another valley
                break
            there = self._inside(best + step)
            seen = self.surface.at(there, need)
            if not (seen.finite and seen.total < found.total):
                break
            best, found = there, seen
        return best, found if found.finite else None

    def _newton_across(self, evaluation: Evaluation, move: Array) -> Array:
        curvature, free = evaluation.curvature, self.free
        assert curvature is not None
        scale = np.sqrt(np.maximum(np.abs(curvature.diagonal()[free]), 1e-300))
        along = scale * move[free]
        along /= max(length(along), 1e-300)
        basis = np.linalg.qr(np.column_stack([along, np.eye(len(along))]))[0][:, 1:]
        inner = basis.T @ (curvature[np.ix_(free, free)] / scale / scale[:, None]) @ basis
        step = np.zeros_like(self.theta)
        if not np.isfinite(inner).all():
            return step
        values, vectors = np.linalg.eigh(inner)
        values = np.maximum(np.abs(values), 1e-10 * max(float(np.abs(values).max(initial=0.0)), 1e-300))
        slope = vectors.T @ (basis.T @ (evaluation.slope[free] / scale))
        step[free] = basis @ (vectors @ (-slope / values)) / scale
        return step

    def _inside(self, theta: Array) -> Array:
        return np.clip(theta, self.surface.objective.lower, self.surface.objective.upper)

    def _value(self, theta: Array) -> float:
        total = self.surface.at(theta, Need.VALUE).total
        return total if np.isfinite(total) else np.inf
