"""When a run ends, and the sentence that each rule says."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from ..types import Stop

DEFAULT_PASSES = 10_000
DEFAULT_STEPS = 1_000_000


@dataclass(frozen=True)
class Limits:
    """The limits of a run: the user's, and ours where the user set no length.

    A limit of ours is a failure of a full-batch method; one of the user's is a success.
    """

    stop: Stop
    passes: float
    steps: float
    default: bool
    started: float
    maximise: bool = False

    @staticmethod
    def of(stop: Stop | None, rows: int, batch: int | None, maximise: bool) -> Limits:
        """10,000 passes or a million steps; for mini-batches max(100, 10⁶/rows) passes, which is how long they run."""
        stop = stop or Stop()
        default = stop.steps is None and stop.passes is None and stop.seconds is None
        passes = DEFAULT_PASSES if batch is None else max(100, -(-1_000_000 // rows))
        ours = (float(passes), float(DEFAULT_STEPS)) if default else (math.inf, math.inf)
        return Limits(stop, *ours, default, time.monotonic(), maximise)

    def reached(self, steps: int, passes: float, gradient_norm: float = math.inf, loss: float = math.nan) -> str:
        """The sentence of the first rule that is met, or "". Gradient and loss: those of all rows, where known."""
        stop = self.stop
        if stop.gradient is not None and gradient_norm < stop.gradient:
            return f"|gradient| = {gradient_norm:.3g} is below {stop.gradient:g}"
        if stop.loss is not None and (loss >= stop.loss if self.maximise else loss <= stop.loss):
            return f"the loss {loss:.6g} has reached {stop.loss:g}"
        for done, limit, what in ((steps, stop.steps, "step"), (passes, stop.passes, "pass")):
            if limit is not None and done >= limit:
                return f"ran {_count(done, what)}"
        for done, limit, what in ((steps, self.steps, "step"), (passes, self.passes, "pass")):
            if done >= limit:
                return f"ran {_count(done, what)}, the default limit"
        if stop.seconds is not None and time.monotonic() - self.started >= stop.seconds:
            return f"ran {stop.seconds:g} seconds"
        return ""

    def default_reached(self, sentence: str) -> bool:
        """Whether a sentence is that of a limit of ours."""
        return sentence.endswith("the default limit")

    @property
    def in_full(self) -> bool:
        """Whether the user fixed the length of a first-order run: then no earlier end by the converged test."""
        return self.stop.steps is not None or self.stop.passes is not None

    @property
    def by_target(self) -> bool:
        """Whether a gradient or a loss ends the run in place of the converged test."""
        return self.stop.gradient is not None or self.stop.loss is not None


def _count(number: float, what: str) -> str:
    plural = "" if number == 1 else "es" if what == "pass" else "s"
    return f"{number:,.6g} {what}{plural}" if number != int(number) else f"{int(number):,} {what}{plural}"
