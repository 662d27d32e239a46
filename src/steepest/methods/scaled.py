"""A first-order method in standardised parameters: the rule sees phi and Aᵀg, everybody else theta and g."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..scaling import Scaling
from ..types import Array, Evaluation, Need
from .method import Method, State


@dataclass(frozen=True)
class Scaled:
    """`inner` in the parameters phi of theta = A phi. The state is phi beside that of `inner`."""

    inner: Method
    scaling: Scaling
    need: Need = Need.GRADIENT

    @property
    def name(self) -> str:
        """That of the rule."""
        return self.inner.name

    def init(self, theta: Array) -> State:
        """phi of the start."""
        phi = self.scaling.inward(theta)
        return State(memory=(phi, self.inner.init(phi)))

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """One update of `inner`. Where a bound has moved theta, phi follows; elsewhere it is not rounded anew."""
        scaling, (phi, inner) = self.scaling, state.memory
        moved = theta != scaling.outward(phi)
        phi = np.where(moved, scaling.inward(theta), phi)
        seen = replace(
            evaluation, gradient=scaling.gradient(evaluation.gradient), slope=scaling.gradient(evaluation.slope),
            curvature=None, gauss=None, factor=None,
        )  # fmt: skip
        proposal, after = self.inner.update(seen, inner, phi, step, epoch)
        return scaling.outward(proposal), replace(after, memory=(proposal, after))
