"""A quadratic loss whose sums are collected: after one pass no step needs the rows."""

from __future__ import annotations

import numpy as np

from ..formula.objective import Objective
from ..types import Array, Evaluation, Need, Total


class Quadratic:
    """T(θ) = T₀ + g·d + ½ d·H·d with d = θ - θ₀, from one evaluation with its curvature."""

    def __init__(self, objective: Objective, theta: Array, evaluation: Evaluation) -> None:
        self.objective, self.theta, self.evaluation = objective, theta.copy(), evaluation

    def at(self, theta: Array, need: Need) -> Evaluation:
        """The evaluation that a pass over the rows would give, but for rounding."""
        here, d = self.evaluation, theta - self.theta
        assert here.curvature is not None
        bend = np.einsum("ij,j->i", here.curvature, d)  # no BLAS: the same bits for any number of threads
        total = here.total + float(np.add.reduce(d * (here.slope + 0.5 * bend)))
        penalty = 0.0 if self.objective.penalty is None else self.objective.penalty.at(theta)[0]
        if self.objective.squares:
            total = max(total, penalty)  # squares that rounding has made negative
        used = Total(here.rows, here.weight, None, np.zeros(0))
        return self.objective.reduced(total, total - penalty, here.slope + bend, None, None, used).bent_as(here)
