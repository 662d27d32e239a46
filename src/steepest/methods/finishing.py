"""Gauss and Newton's steps on the way, Newton's own at the end.

Near the minimum of squares that remain, Gauss-Newton gains digits one by one; with the exact Hessian each step doubles
them. The verdict asks for that Hessian anyway: from where a whole step promises less than a tenth of a standard error,
every pass brings it, and the last one is the verdict's too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..spectrum import U
from ..types import Array, Evaluation, Need
from .method import State
from .projected import Projected
from .trust_region import TrustRegion

CLOSE = 0.1  # standard errors


@dataclass(frozen=True)
class Memory:
    """The state of the method that is at work; `accepted`: T at the accepted point. `arriving`: the first of `near`."""

    inner: State
    accepted: float
    near: bool = False
    arriving: bool = False


@dataclass(frozen=True)
class Finishing:
    """`far` takes the first steps, `near` (with the exact Hessian) the last."""

    far: TrustRegion | Projected
    near: TrustRegion
    name: str = "gauss-newton"

    @property
    def need(self) -> Need:
        """That of the method which begins."""
        return self.far.need

    def init(self, theta: Array) -> State:
        """Nothing accepted yet."""
        return State(memory=Memory(self.far.init(theta), math.inf))

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """The update of the method that is at work; the trial that begins the last steps must lower T as any other."""
        here: Memory = state.memory
        if here.arriving and evaluation.finite and evaluation.total <= here.accepted * (1.0 + 16.0 * U):
            here = Memory(self.near.init(theta), here.accepted, near=True)
        elif here.arriving:
            evaluation = replace(evaluation, total=math.nan)  # go on as before, nearer
        method = self.near if here.near else self.far
        proposal, inner = method.update(evaluation, here.inner, theta, step, epoch)
        point: Evaluation = inner.memory.evaluation  # the accepted one, with its linear parameters solved or not
        arriving = not here.near and self._close(inner, point)
        need = self.near.need if here.near or arriving else inner.need
        memory = Memory(inner, point.total, here.near, arriving)
        return proposal, State(inner.accepted, inner.stalled, memory, need, inner.note, inner.gap)

    def _close(self, inner: State, evaluation: Evaluation) -> bool:
        """Whether the next step is a small part of a standard error, by digits that the Gram matrix has."""
        p, rows = len(evaluation.slope), evaluation.rows
        variance = 2.0 * evaluation.total / (rows - p) if rows > p else 0.0
        return evaluation.factor is None and 2.0 * inner.gap <= CLOSE**2 * p * variance


Region = TrustRegion | Projected | Finishing
