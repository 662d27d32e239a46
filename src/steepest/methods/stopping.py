"""When a run ends, and the sentence that each rule says."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..types import Stop

DEFAULT_PASSES = 10_000
DEFAULT_STEPS = 1_000_000


@dataclass(frozen=True)
class Limits:
    """The limits of a run. `default` limits are ours and a failure of a full-batch method; the user's are a success."""

    stop: Stop
    default: bool
    started: float
    maximise: bool = False

    @staticmethod
    def of(stop: Stop | None, rows: int, batch: int | None, maximise: bool) -> Limits:
        """The user's stop, or the defaults: 10,000 passes or a million steps; mini-batches max(100, 10⁶/rows) passes."""
        if stop is not None and not stop.empty:
            return Limits(stop, False, time.monotonic(), maximise)
        passes = DEFAULT_PASSES if batch is None else max(100, -(-1_000_000 // rows))
        return Limits(Stop(passes=passes, steps=DEFAULT_STEPS), True, time.monotonic(), maximise)

    def reached(
        self, steps: int, passes: float, gradient_norm: float, loss: float, *, full: bool, epochs: int = 1
    ) -> str:
        """The sentence of the first rule that is met, or "". `full`: loss and gradient are those of all rows."""
        stop = self.stop
        if full and stop.gradient is not None and gradient_norm < stop.gradient:
            return f"|gradient| = {gradient_norm:.3g} is below {stop.gradient:g}"
        if full and stop.loss is not None and (loss >= stop.loss if self.maximise else loss <= stop.loss):
            return f"the loss {loss:.6g} has reached {stop.loss:g}"
        if stop.steps is not None and steps >= stop.steps and (not self.default or epochs >= 1):
            return f"ran {steps:,} step{'s' * (steps != 1)}" + ("" if not self.default else ", the default limit")
        if stop.passes is not None and passes >= stop.passes:
            return f"ran {passes:,.6g} pass{'es' * (passes != 1)}" + ("" if not self.default else ", the default limit")
        if stop.seconds is not None and time.monotonic() - self.started >= stop.seconds:
            return f"ran {stop.seconds:g} seconds"
        return ""

    @property
    def in_full(self) -> bool:
        """Whether the user fixed the length of a first-order run: then no earlier end by the converged test."""
        return not self.default and (self.stop.steps is not None or self.stop.passes is not None)

    @property
    def by_target(self) -> bool:
        """Whether a gradient or a loss ends the run in place of the converged test."""
        return self.stop.gradient is not None or self.stop.loss is not None
