"""L-BFGS: the curvature from the last few steps, for functions of many parameters.

The direction is -Hg by the two-loop recursion over the last ten pairs (Nocedal 1980; Liu and Nocedal 1989), each step
found by a search for the strong Wolfe conditions whose trials are states. Bounds hold by projection: parameters that
the descent pushes against a bound stay there, the others move along the projected path (Bertsekas 1982; the active set
is that of Byrd, Lu, Nocedal and Zhu 1995). Below the rounding of the loss its fall is read off the slopes
(Hager and Zhang 2005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..spectrum import Mask, U, every, length
from ..types import Array, Evaluation, Need
from .method import State
from .trust_region import NOISE, held

PAIRS = 10
FALL, FLATTER = 1e-4, 0.9  # of the strong Wolfe conditions, as in Liu and Nocedal
HARD, HARDEST = 15, 3  # trials that make a search hard; such searches in a row that end the run
TRIALS = 40  # of one search; a factor of ten for each leads from one end of the floats to where rounding is
STRETCH = 10.0  # times the last trial, at most, where the loss still falls
NO_STEP = "no step, however small, lowers the loss any further"


@dataclass(frozen=True)
class Trial:
    """A point of the search at `at` times the direction: the loss there and its slope along the path."""

    at: float
    loss: float
    slope: float


@dataclass(frozen=True)
class Memory:
    """The accepted point, the pairs (step, change of the slope), and the search from the point."""

    theta: Array
    evaluation: Evaluation
    pairs: tuple[tuple[Array, Array], ...]
    direction: Array
    low: Trial  # falls enough, and still falls there
    high: Trial | None = None  # does not fall enough, or rises there: a Wolfe point lies between
    at: float = 1.0
    trials: int = 0
    hard: int = 0  # searches in a row that found no Wolfe point for many trials: the loss is rounding along them


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS with projection onto `lower` and `upper`."""

    lower: Array
    upper: Array
    name: str = "lbfgs"
    need: Need = Need.GRADIENT

    def init(self, theta: Array) -> State:
        """Nothing accepted yet."""
        return State(memory=None)

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """Accept the trial where it meets the conditions, and turn; else look between or beyond."""
        here: Memory | None = state.memory
        with np.errstate(all="ignore"):
            if here is None:
                return self._turn(theta, evaluation, (), 0)
            moved, path = theta - here.theta, here.direction
            clipped = (theta != here.theta + here.at * path) & ((theta <= self.lower) | (theta >= self.upper))
            slope = float(evaluation.slope @ np.where(clipped, 0.0, path)) if evaluation.finite else math.inf
            trial = Trial(here.at, evaluation.total, slope)
            first, promised = float(here.evaluation.slope @ path), float(here.evaluation.slope @ moved)
            falls = evaluation.finite and self._falls(here, trial, first, promised)
            if falls and (abs(slope) <= -FLATTER * first or here.trials >= TRIALS or every(theta == here.theta)):
                return self._accept(here, theta, evaluation)
            if falls and slope < 0 and not every(clipped | (path == 0)) and self._onward(here):
                return self._look(replace(here, low=trial))
            if falls and (slope <= 0 or here.trials >= TRIALS // 2):
                return self._accept(here, theta, evaluation)
            return self._look(replace(here, high=trial))

    def _falls(self, here: Memory, trial: Trial, first: float, promised: float) -> bool:
        """The sufficient fall; where it drowns in the rounding of the loss, by the slopes at both ends."""
        before = here.evaluation.total
        if trial.loss - before <= FALL * promised < 0:
            return True
        noise = NOISE * abs(before)
        return abs(trial.loss - before) <= noise and abs(promised) <= 1e3 * noise and trial.slope <= -0.8 * first

    def _onward(self, here: Memory) -> bool:
        """Whether a search that still falls goes on: it is bracketed, or has not been stretched ten times yet."""
        return here.high is not None or here.trials < PAIRS

    def _accept(self, here: Memory, theta: Array, evaluation: Evaluation) -> tuple[Array, State]:
        step, change = theta - here.theta, evaluation.slope - here.evaluation.slope
        pairs = here.pairs
        if float(step @ change) > U * float(change @ change):  # else the curvature along the step is not positive
            pairs = (*pairs, (step, change))[-PAIRS:]
        return self._turn(theta, evaluation, pairs, here.hard + 1 if here.trials >= HARD else 0)

    def _turn(self, theta: Array, evaluation: Evaluation, pairs: tuple[tuple[Array, Array], ...], hard: int
              ) -> tuple[Array, State]:  # fmt: skip
        """At an accepted point: the next direction, and the first trial along it."""
        stuck = held(theta, evaluation.slope, self.lower, self.upper)
        slope = np.where(stuck, 0.0, evaluation.slope)
        here = Memory(theta, evaluation, pairs, np.zeros_like(theta), Trial(0.0, evaluation.total, 0.0))
        here, size = replace(here, hard=hard), length(slope)
        if hard >= HARDEST:
            return theta, State(True, NO_STEP, here)
        if not size > 0:
            why = "every parameter is held at a bound" if every(stuck) else "the gradient is zero to rounding"
            return theta, State(True, why, here)
        path = self._direction(theta, slope, ~stuck, pairs)
        fall = float(slope @ path)
        if not fall < -1e-14 * size * length(path):
            pairs, path, fall = (), -slope, -size * size
        at = 1.0 if pairs else min(1.0, max(length(theta), 1.0)) / size
        here = replace(here, pairs=pairs, direction=path, low=Trial(0.0, evaluation.total, fall), at=at)
        return self._try(here, True)

    def _direction(self, theta: Array, slope: Array, free: Mask, pairs: tuple[tuple[Array, Array], ...]) -> Array:
        """-Hg on the free parameters; those at a bound that it would leave are held too."""
        path = -recursion(np.where(free, slope, 0.0), pairs, free)
        outward = free & (((theta <= self.lower) & (path < 0)) | ((theta >= self.upper) & (path > 0)))
        if np.count_nonzero(outward):
            free = free & ~outward
            path = -recursion(np.where(free, slope, 0.0), pairs, free)
            again = ((theta <= self.lower) & (path < 0)) | ((theta >= self.upper) & (path > 0))
            path = np.where(again, 0.0, path)
        return path

    def _look(self, here: Memory) -> tuple[Array, State]:
        """The next trial: between both ends by a cubic, or further out."""
        if here.trials >= TRIALS:
            return self._give_up(here)
        low, high = here.low, here.high
        if high is None:
            at = min(max(cubic(Trial(0.0, here.evaluation.total, 0.0), low), 2.0 * low.at), STRETCH * low.at)
            at = at if math.isfinite(at) else STRETCH * low.at
        else:
            width = high.at - low.at
            at = cubic(low, high) if math.isfinite(high.loss) and here.trials % 3 != 2 else low.at + 0.5 * width
            if not math.isfinite(high.loss):
                at = low.at + 0.1 * width
            at = min(max(at, low.at + 0.1 * width), high.at - 0.1 * width) if math.isfinite(at) else low.at + width / 2
        return self._try(replace(here, at=at, trials=here.trials + 1), False)

    def _try(self, here: Memory, accepted: bool) -> tuple[Array, State]:
        trial = np.minimum(np.maximum(here.theta + here.at * here.direction, self.lower), self.upper)
        if every(trial == here.theta):
            return self._give_up(here, accepted)
        return trial, State(accepted, memory=here)

    def _give_up(self, here: Memory, accepted: bool = False) -> tuple[Array, State]:
        """Without a step: forget the pairs and go down the slope; if there were none, there is no step."""
        if not here.pairs:
            return here.theta, State(accepted, NO_STEP, here)
        proposal, new = self._turn(here.theta, here.evaluation, (), here.hard + 1)
        return proposal, replace(new, accepted=accepted)


def recursion(slope: Array, pairs: tuple[tuple[Array, Array], ...], free: Mask) -> Array:
    """H·slope by two loops over the pairs (Nocedal and Wright, 2nd ed., algorithm 7.4), on the free parameters."""
    whole = every(free)
    kept = []
    for step, change in pairs:
        s, y = (step, change) if whole else (np.where(free, step, 0.0), np.where(free, change, 0.0))
        along = float(s @ y)
        if along > U * float(y @ y):
            kept.append((s, y, along))
    q, factors = slope.copy(), []
    for s, y, along in reversed(kept):
        factors.append(float(s @ q) / along)
        q -= factors[-1] * y
    if kept:
        _, y, along = kept[-1]
        q *= along / float(y @ y)
    for (s, y, along), factor in zip(kept, reversed(factors), strict=True):
        q += (factor - float(y @ q) / along) * s
    return q


def cubic(a: Trial, b: Trial) -> float:
    """Where the cubic through two points and their slopes is least; nan where it has no such point."""
    secant = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.at - b.at)
    root = secant * secant - a.slope * b.slope
    if not 0 <= root < math.inf:
        return math.nan
    root = math.copysign(math.sqrt(root), b.at - a.at)
    below = b.slope - a.slope + 2.0 * root
    return b.at - (b.at - a.at) * (b.slope + root - secant) / below if below else math.nan
