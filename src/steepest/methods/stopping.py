"""When a run ends, and the sentence that each rule says."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from ..types import Stop

DEFAULT_PASSES = 10_000
DEFAULT_STEPS = 1_000_000


@dataclass(frozen=True)
class Reached:
    """A rule that is met: the name of it in `Stop`, or "default" for a limit of ours, and what it says."""

    rule: str
    sentence: str


@dataclass(frozen=True)
class Limits:
    """The limits of a run: the user's in `stop`; ours, `passes` and `steps`, are infinite where the user set a length.

    `batches`: a limit of ours is then how long a run lasts; of a full-batch method it is a failure.
    """

    stop: Stop
    passes: float
    steps: float
    started: float
    batches: bool = False
    maximise: bool = False

    @staticmethod
    def of(stop: Stop | None, rows: int, batch: int | None, maximise: bool) -> Limits:
        """10,000 passes or a million steps; for mini-batches max(100, 10⁶/rows) passes, which is how long they run."""
        stop = stop or Stop()
        passes, steps = math.inf, math.inf
        if stop.steps is None and stop.passes is None and stop.seconds is None:
            passes = DEFAULT_PASSES if batch is None else max(100, -(-1_000_000 // rows))
            steps = DEFAULT_STEPS
        return Limits(stop, passes, steps, time.monotonic(), batch is not None, maximise)

    def reached(
        self, steps: int, passes: float, gradient_norm: float = math.inf, loss: float = math.nan
    ) -> Reached | None:
        """The first rule that is met. Gradient and loss: those of all rows, where known."""
        stop = self.stop
        if stop.gradient is not None and gradient_norm < stop.gradient:
            return Reached("gradient", f"|gradient| = {gradient_norm:.3g} is below {stop.gradient:g}")
        if stop.loss is not None and (loss >= stop.loss if self.maximise else loss <= stop.loss):
            return Reached("loss", f"the loss {loss:.6g} has reached {stop.loss:g}")
        if stop.steps is not None and steps >= stop.steps:
            return Reached("steps", f"ran {_count(steps, 'step')}")
        if stop.passes is not None and passes >= stop.passes:
            return Reached("passes", f"ran {_count(passes, 'pass')}")
        for done, limit, what in ((steps, self.steps, "step"), (passes, self.passes, "pass")):
            if done >= limit:
                ran = _count(done, what)
                said = f"ran its passes: it ran {ran}" if self.batches else f"ran {ran}, the default limit"
                return Reached("default", said)
        if stop.seconds is not None and time.monotonic() - self.started >= stop.seconds:
            return Reached("seconds", f"ran {stop.seconds:g} seconds")
        return None

    def most_steps(self, rows: int, batch: int) -> float:
        """How many steps there will be at most, on batches of so many rows."""
        passes = self.passes if self.stop.passes is None else self.stop.passes
        return min(self.last_step(first_epoch=False), passes * -(-rows // batch))

    def last_step(self, *, first_epoch: bool) -> int:
        """The number of the last step; a limit of ours waits for the end of the first epoch."""
        steps = self.stop.steps if self.stop.steps is not None else math.inf if first_epoch else self.steps
        return int(min(steps, 1 << 62))

    def rows_left(self, read: int, rows: int, batch: int) -> int:
        """Rows until the limit of passes is met, in whole batches; one batch where it is met already."""
        if self.stop.passes is None:
            return 1 << 62
        return max(1, math.ceil((self.stop.passes * rows - read) / batch)) * batch

    @property
    def ours(self) -> bool:
        """Whether the user set no length."""
        return math.isfinite(self.steps)

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
