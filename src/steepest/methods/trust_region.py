"""Gauss-Newton and Newton: one trust region, two curvatures.

`gauss-newton` takes JᵀWJ + ∂²penalty: the method of Levenberg and Marquardt in Moré's form (The Levenberg-Marquardt
algorithm, 1978): Marquardt's scaling by the norms of the Jacobian's columns, the damping chosen so that the step keeps
within a radius in which the model has proved right. `newton` takes the exact Hessian, whose negative eigenvalues the
same equation handles (Moré and Sorensen 1983). The step comes from the spectrum of the scaled curvature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..spectrum import Mask, Spectrum, U, every, length, some, spectrum, unit_scale
from ..types import Array, Evaluation, Need
from .method import State

FIRST_RADIUS = 1.0  # times the length of the scaled start; MINPACK's 100 leaps over the valley it starts in
FIRST_EASE, EASE, HARDEN = 100.0, 5.0, 3.0  # Marquardt: 1/λ at first, and its factors after a step and a rejected trial
NO_STEP = "no step, however small, lowers the loss any further"
BLIND = 200  # steps in a row below the rounding of the loss, by the slope alone: Newton's need a few, a walk never ends
NOISE = 16.0 * U  # relative rounding of a loss: differences below it say nothing


def restrict(factor: Array | None, free: Mask) -> Array | None:
    """The factor of some of the columns."""
    if factor is None or every(free):
        return factor
    columns = np.append(free, np.ones(factor.shape[1] - len(free), bool))  # the residual's, where it has one, stays
    kept = np.linalg.qr(factor[:, columns], mode="r")
    return np.asarray(kept)


def part(matrix: Array, free: Mask) -> Array:
    """The rows and columns of some of the parameters."""
    return matrix if every(free) else matrix[np.ix_(free, free)]


@dataclass(frozen=True)
class Memory:
    """The accepted point and the region around it."""

    theta: Array
    evaluation: Evaluation
    radius: float
    predicted: float
    scale: Array
    typical: float = 0.0  # |loss| at the start
    clipped: bool = False  # a bound cuts the step off: the model may then promise nothing along what is left
    blind: int = 0  # steps in a row that only the slope has judged


@dataclass(frozen=True)
class TrustRegion:
    """`gauss-newton` with Need.NORMAL, `newton` with Need.HESSIAN; `lower` and `upper` bound theta.

    On a convex `quadratic` the model is exact: its first step is not kept near.
    """

    name: str
    need: Need
    lower: Array
    upper: Array
    quadratic: bool = False

    def init(self, theta: Array) -> State:
        """Nothing accepted yet."""
        return State(memory=None)

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """Accept or reject the trial by the ratio of the actual to the predicted fall; propose the next."""
        here: Memory | None = state.memory
        assert evaluation.curvature is not None
        if here is None:
            scale = unit_scale(evaluation.curvature)
            radius = self._first_radius(evaluation, length(scale * theta) or length(scale) or 1.0)
            return self._propose(Memory(theta, evaluation, radius, 0.0, scale, abs(evaluation.total)), True)
        moved = length(here.scale * (theta - here.theta))
        if not evaluation.finite:
            return self._reject(here, 0.1 * moved)
        fall, noise = here.evaluation.total - evaluation.total, NOISE * abs(here.evaluation.total)
        ratio = fall / here.predicted if here.predicted > 0 else -np.inf
        if not ratio > 1e-4:  # terms as large as the loss at the start may have cancelled in this one
            noise = max(noise, NOISE * here.typical)
        if here.predicted <= noise and fall >= -noise:
            return self._by_gradient(here, evaluation, theta, moved)
        if not ratio > 1e-4:
            return self._reject(here, 0.25 * moved)
        return self._propose(self._moved(here, theta, evaluation, self._next_radius(here, ratio, moved)), True)

    def _first_radius(self, evaluation: Evaluation, size: float) -> float:
        # its signs in the scaled one: units apart, rounding would make it indefinite
        exact = self.quadratic and (self.need is Need.NORMAL or evaluation.spectrum.values[0] > 0)
        return math.inf if exact else FIRST_RADIUS * size

    def _next_radius(self, here: Memory, ratio: float, moved: float) -> float:
        return 0.5 * moved if ratio < 0.25 else max(here.radius, 2.0 * moved) if ratio > 0.75 else here.radius

    def _along(self, parts: Spectrum, radius: float) -> Array:
        return constrained_step(parts, radius)

    def _by_gradient(self, here: Memory, evaluation: Evaluation, theta: Array, moved: float) -> tuple[Array, State]:
        """Below its rounding the loss says nothing any more, but the gradient does: go by the fall that it promises."""
        if here.blind >= BLIND:
            return here.theta, State(False, NO_STEP, here)
        there = replace(self._moved(here, theta, evaluation, here.radius), blind=here.blind + 1)
        proposal, new = self._propose(there, True)
        return (proposal, new) if new.memory.predicted < here.predicted else self._reject(here, 0.25 * moved)

    def _reject(self, here: Memory, radius: float) -> tuple[Array, State]:
        """Back to the accepted point with a smaller radius."""
        if radius <= U * max(length(here.scale * here.theta), 1e-300) or not (here.predicted > 0 or here.clipped):
            return here.theta, State(False, NO_STEP, here)
        return self._propose(replace(here, radius=radius), False)

    def _moved(self, here: Memory, theta: Array, evaluation: Evaluation, radius: float) -> Memory:
        """The next accepted point. Marquardt's scaling never shrinks (Moré); that of an exact Hessian stays."""
        assert evaluation.curvature is not None
        marquardt = self.need is Need.NORMAL
        scale = np.maximum(here.scale, unit_scale(evaluation.curvature)) if marquardt else here.scale
        return Memory(theta, evaluation, radius, here.predicted, scale, here.typical)

    def _propose(self, here: Memory, accepted: bool) -> tuple[Array, State]:
        """The minimum of the quadratic model within the radius, on the parameters that no bound holds."""
        evaluation, theta = here.evaluation, here.theta
        slope, curvature = evaluation.slope, evaluation.curvature
        assert curvature is not None
        stuck = held(theta, slope, self.lower, self.upper)
        if every(stuck):
            return theta, State(accepted, "every parameter is held at a bound", here)
        free = ~stuck
        # an exact Hessian has a factor of residuals only where it is that of a quadratic
        factor = restrict(evaluation.factor, free) if self.need is Need.NORMAL or self.quadratic else None
        parts = spectrum(part(curvature, free), slope[free], factor, here.scale[free])
        along = self._along(parts, here.radius)
        step = np.zeros(len(theta))
        step[free] = parts.vectors.dot(along) / parts.scale
        whole = theta + step
        trial = np.minimum(np.maximum(whole, self.lower), self.upper)
        predicted = -float(parts.slope.dot(along) + 0.5 * along.dot(parts.values * along))
        clipped = not every(trial == whole)
        if clipped:
            choices = [trial, self._along_bounds(here, free, trial - theta, trial != whole)]
            predicted, trial = max(((promise(slope, curvature, t - theta), t) for t in choices), key=lambda c: c[0])
        stalled = "" if not every(trial == theta) else "the gradient is zero to rounding"
        memory = Memory(theta, evaluation, here.radius, predicted, here.scale, here.typical, clipped, here.blind)
        return trial, State(accepted, stalled, memory, gap=parts.gap)

    def _along_bounds(self, here: Memory, free: Mask, moved: Array, hit: Mask) -> Array:
        """The minimum of the model within the radius where the bounds that a step has hit are held, one set by one."""
        evaluation, theta = here.evaluation, here.theta
        curvature = evaluation.curvature
        assert curvature is not None
        while True:
            moved, free = np.where(hit, moved, 0.0), free & ~hit
            if not np.count_nonzero(free):
                return theta + moved
            slope = evaluation.slope + curvature @ moved
            parts = spectrum(part(curvature, free), slope[free], None, here.scale[free])
            moved[free] = parts.vectors @ self._along(parts, here.radius) / parts.scale
            whole = theta + moved
            trial = np.minimum(np.maximum(whole, self.lower), self.upper)
            beyond = free & (trial != whole)
            if not np.count_nonzero(beyond):
                return trial
            moved, hit = trial - theta, hit | beyond


@dataclass(frozen=True)
class Marquardt(TrustRegion):
    """The damping itself is changed by constant factors (Marquardt, J. SIAM 11, 1963): `radius` is its reciprocal.

    It comes through valleys in which the nonlinear parameters of a projected problem may run to infinity.
    """

    def _first_radius(self, evaluation: Evaluation, size: float) -> float:
        return FIRST_EASE

    def _next_radius(self, here: Memory, ratio: float, moved: float) -> float:
        return EASE * here.radius

    def _reject(self, here: Memory, radius: float) -> tuple[Array, State]:
        """Back to the accepted point with more damping."""
        if here.radius <= U or not (here.predicted > 0 or here.clipped):
            return here.theta, State(False, NO_STEP, here)
        return self._propose(replace(here, radius=here.radius / HARDEN), False)

    def _along(self, parts: Spectrum, radius: float) -> Array:
        return parts.along(1.0 / radius)


def promise(slope: Array, curvature: Array, moved: Array) -> float:
    """What the quadratic model promises of a step."""
    return -float(slope @ moved + 0.5 * moved @ curvature @ moved)


def held(theta: Array, slope: Array, lower: Array, upper: Array) -> Mask:
    """Which parameters stand at a bound that the descent pushes against."""
    low, high = theta <= lower, theta >= upper
    if not some(low | high):
        return low
    return np.asarray((low & (slope > 0)) | (high & (slope < 0)))


def constrained_step(parts: Spectrum, radius: float) -> Array:
    """argmin of the model with ‖D·step‖ ≤ radius, in coordinates of the vectors.

    The full step where it fits and the curvature is positive; else the damping λ at which the step has the length of
    the radius (Moré and Sorensen 1983): ‖s/(Λ + λ)‖ falls monotonically for λ > -lowest.
    """
    slope, flat, lowest = parts.slope, parts.flat, float(parts.values[0])
    if math.isinf(radius):
        return parts.along(0.0, ~flat)
    size = length(slope)
    if (lowest > 0 or flat[0]) and every(~flat | (np.abs(slope) <= 1e3 * U * size)):
        full = parts.along(0.0, ~flat)
        if length(full) <= radius:
            return full
    tiny = parts.rounding * max(abs(lowest), abs(float(parts.values[-1])), 1e-300)
    floor = max(0.0, -lowest)
    low, high = floor, floor + size / radius + tiny
    if lowest < 0 and not flat[0] and length(parts.along(floor + tiny)) <= radius:
        # the hard case: the slope has no part along the most negative curvature; go along it to the edge
        along = parts.along(floor + tiny)
        along[0] = 0.0
        along[0] = math.copysign(max(radius**2 - float(along @ along), 0.0) ** 0.5, -float(slope[0]))
        return along
    coordinates = list(zip(slope.tolist(), parts.values.tolist(), strict=True))
    for _ in range(100):
        middle = 0.5 * (low + high)
        if high - low <= 1e-3 * (middle - floor) or not low < middle < high:
            break
        # in plain floats: above the floor no denominator is zero
        if math.hypot(*[s / (value + middle) for s, value in coordinates]) > radius:
            low = middle
        else:
            high = middle
    along = parts.along(high)
    longer = length(along) / radius  # where λ and the curvatures differ by their rounding alone
    return along / longer if longer > 1.01 else along
