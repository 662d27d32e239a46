"""The simplex method for absolute deviations and quantiles: from vertex to vertex of the model's linear part.

What is smooth beside the kinks, as a ridge is, or squares beside a penalty of absolute values, counts by its value,
slope and curvature: a step leads to the minimum of that quadratic and of the kinks, which are exact (a proximal Newton
method: Lee, Sun and Saunders, SIAM J. Optim. 24, 2014).

A pass brings the rows near zero; `vertex.py` finds the minimum of their sum. Of a model that is linear in its
parameters that is the minimum over all rows as soon as no other row changes its side (Portnoy and Koenker, Statistical
Science 12, 1997); any other model is made linear anew at each step (Osborne and Watson 1971), and the step halved until
it falls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..spectrum import U, length
from ..types import Array, Evaluation, Need
from .method import State

HALVINGS = 40
CHANCE = 0.01  # by which the vertex of a sample may lie higher than the point before it
NOISE = 16.0 * U  # relative rounding of a sum
ZERO = 4.0 * U  # of a parameter or its move: what is left where the two cancel
SLOW, CRAWL = 1e-6, 100  # a fall relative to the sum; so many in a row are a crawl towards what is no vertex


@dataclass(frozen=True)
class Memory:
    """The accepted point, where its vertex lies, how often the way there was halved; slow steps in a row."""

    theta: Array
    total: float
    aim: Array
    halved: int = 0
    slow: int = 0

    @property
    def way(self) -> float:
        """How far the vertex lies away."""
        return length(self.aim - self.theta)


@dataclass(frozen=True)
class Simplex:
    """theta -> the vertex that is the minimum for the rows at hand."""

    name: str = "simplex"
    need: Need = Need.VERTEX

    def init(self, theta: Array) -> State:
        """Nothing accepted yet."""
        return State(memory=None)

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """On to the next vertex where the sum has fallen, else half the way back."""
        here: Memory | None = state.memory
        if here is None and evaluation.near is None:  # not finite: the run ends here
            return theta, State()
        if evaluation.near is not None:
            delta = evaluation.near.vertex.delta
            level = here is not None and evaluation.total - here.total <= NOISE * abs(here.total)
            if here is None or evaluation.total < here.total or (level and length(delta) < 0.5 * here.way):
                total = evaluation.total * (1.0 + CHANCE * evaluation.near.sampled)
                aim = theta + delta
                aim = np.where(np.abs(aim) <= ZERO * np.maximum(np.abs(theta), np.abs(delta)), 0.0, aim)
                crawls = here is not None and here.total - total <= SLOW * abs(here.total)
                slow = here.slow + 1 if here is not None and crawls else 0
                stalled = "the loss hardly falls any more" if slow >= CRAWL else ""
                return aim, State(True, stalled, Memory(theta, total, aim, slow=slow))
        assert here is not None
        if here.halved >= HALVINGS:
            return here.theta, State(False, "no step, however small, lowers the loss any further", here)
        here = replace(here, halved=here.halved + 1)
        return here.theta + 0.5**here.halved * (here.aim - here.theta), State(False, memory=here)
