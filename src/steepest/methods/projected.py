"""Variable projection: the trust region works on the nonlinear parameters, the linear ones are solved at each point.

An evaluation comes with the linear parameters c at their best for its α (`Evaluation.solved`). The reduced problem has
the Schur complement for its curvature: its step is that of Gauss and Newton in all parameters, without damping on c
(Kaufman, BIT 15, 1975). Where c leaves its bounds, or the reduced problem has no step left, all parameters take steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..spectrum import SINGULAR, eigen, every, some, unit_scale
from ..types import Array, Evaluation, Need
from .method import State
from .trust_region import Marquardt, TrustRegion

LAST = "the last steps are in all parameters"


@dataclass(frozen=True)
class Memory:
    """The accepted point with its evaluation; `inner` is the state of the trust region.

    `follows` (q, a): how the best c follows α, δc = -K·δα; None once all parameters take steps.
    """

    inner: State
    theta: Array
    evaluation: Evaluation
    follows: Array | None = None


@dataclass(frozen=True)
class Projected:
    """`whole` is the trust region in all parameters; `linear` (q,) and `rest` (a,): the places of c and α in theta."""

    whole: TrustRegion
    linear: NDArray[np.intp]
    rest: NDArray[np.intp]
    name: str = "gauss-newton"
    need: Need = Need.PROJECTED

    def init(self, theta: Array) -> State:
        """Nothing accepted yet."""
        return State(memory=None)

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """Accept or reject the trial in α, propose the next α and with it the c that the model expects there.

        The first evaluation is that of the start as it was given; all others are solved.
        """
        here: Memory | None = state.memory
        if here is not None and here.follows is None:
            return self._in_all(here, evaluation, theta, step, epoch)
        first = here is None
        if here is None:
            here = Memory(self._reduced_region.init(theta), theta, evaluation)
            solved = evaluation.solved
            if solved is None or solved.theta is None:
                return self._go_on(here, True, "the derivatives of the linear parameters overflow at the start")
            evaluation, theta = solved, solved.theta
        c, (lower, upper) = theta[self.linear], self._limits
        if evaluation.theta is not None and some((c < lower) | (c > upper)):
            return self._go_on(here, first, "the best linear parameters leave their bounds")
        reduced, follows = self._reduced(evaluation)
        if not first and evaluation.signs != here.evaluation.signs:  # a denominator went through 0 on the way
            reduced = replace(reduced, total=math.nan)
        proposal, inner = self._reduced_region.update(reduced, here.inner, theta[self.rest], step, epoch)
        now = Memory(inner, theta, evaluation, follows) if inner.accepted else replace(here, inner=inner)
        if inner.stalled and first:  # the start as it was given is left for where it is solved
            whole = Memory(self.whole.init(theta), theta, evaluation)
            return theta, State(True, memory=whole, need=self.whole.need, note=LAST)
        if inner.stalled:
            return self._go_on(now, inner.accepted, LAST)
        assert now.follows is not None
        trial = now.theta.copy()
        trial[self.rest] = proposal
        trial[self.linear] -= now.follows @ (proposal - now.theta[self.rest])
        return trial, State(inner.accepted, memory=now, gap=inner.gap)

    @cached_property
    def _limits(self) -> tuple[Array, Array]:
        return self.whole.lower[self.linear], self.whole.upper[self.linear]

    @cached_property
    def _order(self) -> tuple[NDArray[np.intp], tuple[NDArray[np.intp], ...]]:
        """The linear parameters, then the others."""
        order = np.append(self.linear, self.rest)
        return order, np.ix_(order, order)

    @cached_property
    def _reduced_region(self) -> Marquardt:
        return Marquardt(self.name, Need.NORMAL, self.whole.lower[self.rest], self.whole.upper[self.rest])

    def _reduced(self, evaluation: Evaluation) -> tuple[Evaluation, Array]:
        """The evaluation as a function of α alone, and K."""
        q, (order, square), parts = len(self.linear), self._order, evaluation.linear
        if parts is None or not evaluation.finite:  # c could not be solved
            return replace(evaluation, total=math.nan), np.zeros((q, len(self.rest)))
        assert evaluation.curvature is not None
        curvature = evaluation.curvature[square]
        slope = evaluation.slope[order]
        root = parts.vectors / np.sqrt(parts.values)
        root = (root if every(parts.determined) else root[:, parts.determined]) / parts.scale[:, None]
        cross = root.T @ curvature[:q, q:]
        follows, bend = root @ cross, curvature[q:, q:] - cross.T @ cross
        factor: Array | None = None
        if evaluation.factor is not None:
            ordered = evaluation.factor[:, np.append(order, len(order))]
            factor = np.asarray(np.linalg.qr(ordered, mode="r"))[q:, q:]
            bend = factor[:-1, :-1].T @ factor[:-1, :-1]
        slope = slope[q:] - slope[:q] @ follows
        scale = unit_scale(curvature[q:, q:])
        values, vectors = eigen(bend / (scale[:, None] * scale))
        rounding = SINGULAR * len(order) if factor is None else (SINGULAR * len(order)) ** 2
        if not values.item(0) > rounding:  # along such vectors Φ follows, and what is left is rounding
            told = vectors[:, values > rounding]
            onto = scale[:, None] * (told @ told.T) / scale
            onto[np.diag(bend) <= rounding * scale**2] = 0.0
            bend, slope = onto @ bend @ onto.T, onto @ slope
            if factor is not None:
                factor = np.column_stack([factor[:, :-1] @ onto.T, factor[:, -1]])
        seen = Evaluation(evaluation.total, evaluation.sum, slope, bend, bend, evaluation.loss, slope,
                          evaluation.rows, evaluation.weight, evaluation.bad, factor=factor)  # fmt: skip
        return seen, follows

    def _go_on(self, here: Memory, accepted: bool, note: str) -> tuple[Array, State]:
        """From the accepted point in all parameters."""
        proposal, inner = self.whole.update(here.evaluation, self.whole.init(here.theta), here.theta, 0, 0)
        memory = Memory(inner, here.theta, here.evaluation)
        return proposal, State(accepted, inner.stalled, memory, self.whole.need, note, inner.gap)

    def _in_all(self, here: Memory, evaluation: Evaluation, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        proposal, inner = self.whole.update(evaluation, here.inner, theta, step, epoch)
        memory = replace(here, inner=inner)
        return proposal, State(inner.accepted, inner.stalled, memory, self.whole.need, gap=inner.gap)
