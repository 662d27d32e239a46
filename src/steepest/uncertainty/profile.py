"""Intervals by the profile of the likelihood: one parameter is held, all others are fitted again.

τ(t) = ±√(2·(T(t) - T)/s²), T(t) the lowest T with the parameter at t, is a straight line where the model is linear; the
interval ends where |τ| is the quantile of Student's t (s² known or a likelihood: the normal one): Bates and Watts,
Nonlinear Regression Analysis, 1988, ch. 6; Venzon and Moolgavkar, Applied Statistics 37, 1988. dT/dt is the derivative
of T by the parameter held, so that each end is found by Newton's method, from a start that follows the valley.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..blas import one_thread
from ..errors import FitError
from ..kernels.surface import Surface
from ..methods.trust_region import TrustRegion
from ..types import Array, Evaluation, Need

CLOSE = 1e-6  # of the quantile: how near τ must come to it
FALL = 1e-9  # of s²: what a refit may still fall by
LOWER = 1e-6  # of s²: a fall below the minimum that is no rounding
FAR = 1e4  # times the half width by curvature: an end beyond it is no end
GROWTH = 3.0  # of the distance from one trial to the next
TRIALS, STEPS = 100, 200


@dataclass(frozen=True)
class End:
    """One end of an interval; `why` says what it is where it is not where the likelihood has fallen far enough."""

    value: float
    why: str = ""


class Profile:
    """The profiles of a minimum `theta` (p,) with its `covariance` (p, p) and s² = `noise`; `width`: the quantile."""

    def __init__(self, surface: Surface, theta: Array, covariance: Array, noise: float, width: float) -> None:
        self._surface, self._theta, self._noise, self._width = surface, theta, noise, width
        self._covariance = covariance
        self._need = Need.NORMAL if surface.objective.squares else Need.HESSIAN
        self._lowest = surface.at(theta, Need.VALUE).total

    def interval(self, place: int) -> tuple[End, End]:
        """Both ends for one parameter. Raises FitError where a lower minimum is found on the way."""
        with np.errstate(all="ignore"), one_thread(len(self._theta)):
            return self._end(place, -1.0), self._end(place, 1.0)

    def _end(self, place: int, sign: float) -> End:
        theta, objective, width = self._theta, self._surface.objective, self._width
        edge = float(objective.lower[place] if sign < 0 else objective.upper[place])
        spread = math.sqrt(float(self._covariance[place, place]))
        best = float(theta[place])
        direction = self._covariance[:, place] / self._covariance[place, place]
        # distances from the minimum: of the best point within, of the first beyond, and from where that one was reached
        inside, outside, reached, at = 0.0, math.inf, 0.0, theta
        distance = width * spread
        for _ in range(TRIALS):
            distance = min(distance, abs(edge - best))
            found = self._refit(place, best + sign * distance, at + direction * sign * (distance - inside))
            if found is None:
                if inside > 0.1 * FAR * width * spread:
                    return self._open(sign)
                outside, reached = distance, inside
                if outside - inside <= CLOSE * width * spread:
                    return End(
                        best + sign * inside, "ends where the formula is not finite any more, or no minimum is found"
                    )
                distance = 0.5 * (inside + outside)
                continue
            here, evaluation, lowest = found
            root = self._root(here, lowest)
            if abs(root - width) <= CLOSE * width:
                return End(best + sign * distance)
            if root < width:
                if distance >= abs(edge - best):
                    return End(edge, "ends at its bound")
                if distance >= FAR * width * spread:
                    return self._open(sign)
                outside = math.inf if distance >= outside else outside
                inside, at, direction = distance, here, self._direction(place, evaluation)
            else:
                outside, reached = distance, inside
            if math.isfinite(outside) and outside - inside <= 1e-12 * outside:
                return End(best + sign * inside, "ends where the likelihood jumps")
            slope = abs(float(evaluation.slope[place])) / (self._noise * root) if root > 0 else 0.0
            newton = distance + (width - root) / slope if slope > 0 else math.inf
            if math.isinf(outside):
                distance = min(max(newton, 1.01 * distance), GROWTH * distance)
            elif newton >= outside and reached < inside:
                distance = outside  # reached from afar it may lie in another valley: once more from nearer by
            else:
                distance = newton if inside < newton < outside else 0.5 * (inside + outside)
        raise FitError(f"the profile of {objective.layout.flat[place]} cannot be followed to its end")

    def _root(self, here: Array, lowest: float) -> float:
        """|τ|."""
        rise = lowest - self._lowest
        if rise < -LOWER * self._noise:
            layout = self._surface.objective.layout
            start = ", ".join(f"{n} = {v:.6g}" for n, v in zip(layout.flat, here, strict=True))
            raise FitError(f"a lower minimum lies beside this one, no interval holds: fit again from {start}")
        return math.sqrt(2.0 * max(rise, 0.0) / self._noise)

    def _open(self, sign: float) -> End:
        return End(sign * math.inf, f"is not bounded {'above' if sign > 0 else 'below'} by the data")

    def _direction(self, place: int, evaluation: Evaluation) -> Array:
        """How the minimum over all others moves with the parameter held."""
        assert evaluation.curvature is not None
        direction = np.zeros(len(self._theta))
        direction[place] = 1.0
        others = np.arange(len(self._theta)) != place
        curvature = evaluation.curvature
        moved, *_ = np.linalg.lstsq(curvature[np.ix_(others, others)], -curvature[others, place], rcond=1e-12)
        direction[others] = moved if np.isfinite(moved).all() else 0.0
        return direction

    def _refit(self, place: int, value: float, start: Array) -> tuple[Array, Evaluation, float] | None:
        """The minimum over all others with one parameter held: point, evaluation, T; None where none is found."""
        objective = self._surface.objective
        lower, upper = objective.lower.copy(), objective.upper.copy()
        lower[place] = upper[place] = value
        method = TrustRegion("profile", self._need, lower, upper, objective.quadratic)
        theta = np.clip(start, lower, upper)
        evaluation = self._surface.at(theta, self._need)
        if not evaluation.finite:  # the straight way on leads out of the domain: hold the others where they are
            theta = np.where(np.arange(len(theta)) == place, value, np.clip(self._theta, lower, upper))
            evaluation = self._surface.at(theta, self._need)
            if not evaluation.finite:
                return None
        state = method.init(theta)
        for _ in range(STEPS):
            theta, state = method.update(evaluation, state, theta, 1, 0)
            memory = state.memory
            if state.stalled or (state.accepted and memory.predicted <= FALL * self._noise):
                break
            evaluation = self._surface.at(theta, self._need)
        else:
            return None  # no minimum is found there: it is looked for from nearer by
        fall = 0.0 if state.stalled else max(memory.predicted, 0.0)
        return memory.theta, memory.evaluation, memory.evaluation.total - fall
