"""The one loop: a generator of Step. Everything else is five lines above it.

Full batch, mini-batch and SGD differ in where an evaluation comes from; first and second order in what the method makes
of it. The loop keeps the best point seen on full passes, so that nothing is lost whatever ends the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .methods.first_order import FirstOrder
from .methods.method import State
from .methods.stopping import Limits
from .methods.trust_region import TrustRegion
from .strategy import Guarantee, Plan, settle_rate
from .surface import Surface
from .types import Array, Evaluation, Need, Status, Step, Stop
from .verdict import Verdict, judge

DIVERGED = 1e6  # times the scale of the loss at the start


@dataclass
class Descent:
    """One run over a surface. Iterate `steps()`; what is left behind is the answer, also after an interruption.

    `theta`, `evaluation` are the last point; `best` the best seen on full passes; `status`, `message`, `verdict` how it
    ended; `guarantee` what is proved of a quadratic.
    """

    surface: Surface
    plan: Plan
    start: Array
    stop: Stop | None = None
    seed: int = 0
    shuffle: bool = True
    callbacks: Sequence[Callable[[Step], Any]] = ()
    warn: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.theta = self.start
        self.evaluation: Evaluation | None = None
        self.best: tuple[float, Array, Evaluation] | None = None
        self.first: Evaluation | None = None
        self.status = Status.RUNNING
        self.message = ""
        self.verdict: Verdict | None = None
        self.guarantee: Guarantee | None = None
        self.number = 0
        self.default_limit = False
        self._first_move = 0.0

    # the run -----------------------------------------------------------------------------------------------
    def steps(self) -> Iterator[Step]:
        """Step 0 is the start, Step k the point after k updates; the last one carries the final status."""
        objective, surface = self.surface.objective, self.surface
        method = self.plan.method
        need = Need.HESSIAN if not objective.squares else Need.NORMAL
        fixed_quadratic = isinstance(method, FirstOrder) and self.plan.batch is None and method.rate_limit is not None
        with_curvature = not isinstance(method, FirstOrder) or (
            fixed_quadratic and objective.quadratic and objective.reduce != "rmse" and objective.layout.size <= 1_000
        )
        first_need = method.need if not isinstance(method, FirstOrder) else need if with_curvature else Need.GRADIENT
        evaluation = surface.at(self.theta, first_need)
        if not evaluation.finite:
            raise surface.not_finite(self.theta, evaluation)
        self.first = self.evaluation = evaluation
        self._remember(self.theta, evaluation)
        if objective.layout.size == 0:
            yield self._end(Status.CONVERGED, "nothing is free: the formula was computed", 0, evaluation)
            return
        self._settle(evaluation, with_curvature)
        if self.plan.warning:
            self.warn(self.plan.warning)
        limits = Limits.of(self.stop, surface.reader.rows, self.plan.batch, objective.sign < 0)
        runner = self._full if self.plan.batch is None else self._batches
        yield from runner(limits, evaluation)

    def _settle(self, evaluation: Evaluation, with_curvature: bool) -> None:
        """The guarantee of a quadratic, and the rate that the curvature gives."""
        objective = self.surface.objective
        if objective.quadratic and evaluation.curvature is not None and objective.reduce != "rmse":
            factor = 1.0 if objective.reduce == "sum" else 1.0 / evaluation.weight
            self.guarantee = Guarantee.of(evaluation.curvature, factor)
        row_curvature = None
        if (
            self.plan.batch is not None
            and self.plan.open_rate
            and objective.squares
            and objective.quadratic
            and objective.reduce != "rmse"
        ):
            row_curvature = self.surface.largest_row_curvature(self.theta)
            if objective.penalty is not None:
                bend = objective.penalty.at(self.theta)[2]
                row_curvature += float(np.linalg.eigvalsh(bend)[-1]) / self.surface.rows
        proved = self.guarantee if self.guarantee is not None and self.guarantee.convex else None
        self.plan = settle_rate(self.plan, objective, proved, row_curvature, self.surface.weight, self.surface.rows)

    def _full(self, limits: Limits, evaluation: Evaluation) -> Iterator[Step]:
        """Every step on all rows."""
        objective, surface, method = self.surface.objective, self.surface, self.plan.method
        second_order = isinstance(method, TrustRegion)
        state: State = method.init(self.theta)
        theta, trials, next_test = self.theta, 0, 1
        while True:
            proposal, state = method.update(evaluation, state, theta, self.number + 1, self.number)
            if state.accepted:
                if trials:
                    self.number += 1
                    if self.number == 1:
                        self._first_move = float(
                            np.linalg.norm(evaluation.gradient if self.first is None else self.first.gradient)
                        ) * float(np.linalg.norm(theta - self.start))
                self.theta, self.evaluation = theta, evaluation
                self._remember(theta, evaluation)
                ended = self._ended(limits, evaluation, trials)
                test = second_order or self.number >= next_test
                if (
                    ended is None
                    and test
                    and not (limits.by_target and not second_order)
                    and (second_order or not limits.in_full)
                    and (trials or second_order)
                ):
                    next_test = max(2 * next_test, 1)
                    ended = self._tested(evaluation)
                if ended is None and state.stalled:
                    ended = self._stalled(state.stalled)
                if ended is not None:
                    yield self._end(*ended, self.number, self.evaluation)
                    return
                if self._emit(self._step(evaluation)):
                    yield self._end(Status.STOPPED, "stopped by a callback", self.number, evaluation)
                    return
                yield self._step(evaluation)
            elif state.stalled:
                assert self.evaluation is not None
                yield self._end(*self._stalled(state.stalled), self.number, self.evaluation)
                return
            else:
                assert self.evaluation is not None
                over = limits.reached(
                    -1, float(trials), math.inf, math.inf if not limits.maximise else -math.inf, full=False
                )
                if over:
                    yield self._end(*self._limit(over, limits), self.number, self.evaluation)
                    return
            theta = (
                proposal
                if second_order or not objective.bounded()
                else np.clip(proposal, objective.lower, objective.upper)
            )
            trials += 1
            if not np.isfinite(theta).all():
                yield self._end(*self._diverged("the parameters are not finite any more"), self.number, self.evaluation)
                return
            evaluation = surface.at(theta, method.need)

    def _batches(self, limits: Limits, evaluation: Evaluation) -> Iterator[Step]:
        """Every step on the next rows of the order; full passes for the tests only."""
        objective, surface, method, size = self.surface.objective, self.surface, self.plan.method, self.plan.batch
        assert size is not None
        state = method.init(self.theta)
        epoch, read, next_test = 0, 0, 1
        rows = surface.reader.rows
        yield self._step(evaluation)
        while True:
            for block in surface.batches(size, seed=self.seed, shuffle=self.shuffle, epoch=epoch):
                read += block.rows
                batch = surface.batch(block, self.theta)
                if batch is None:
                    continue
                proposal, state = method.update(batch, state, self.theta, self.number + 1, epoch)
                self.number += 1
                if self.number == 1:
                    self._first_move = float(np.linalg.norm(batch.gradient)) * float(
                        np.linalg.norm(proposal - self.theta)
                    )
                self.theta = np.clip(proposal, objective.lower, objective.upper) if objective.bounded() else proposal
                if not np.isfinite(self.theta).all():
                    yield self._end(
                        *self._diverged("the parameters are not finite any more"), self.number, self.evaluation
                    )
                    return
                over = limits.reached(self.number, read / rows, math.inf, math.nan, full=False, epochs=epoch)
                step = self._step(batch)
                if over or self._emit(step):
                    yield self._end(
                        *self._finish(over or "stopped by a callback", limits), self.number, self.evaluation
                    )
                    return
                yield step
            epoch += 1
            if epoch >= next_test:
                next_test *= 2
                full = surface.at(self.theta, Need.GRADIENT)
                self.evaluation = full
                self._remember(self.theta, full)
                if not full.finite or self._runaway(full):
                    yield self._end(*self._diverged("the loss has run away"), self.number, full)
                    return
                over = limits.reached(-1, -1.0, float(np.linalg.norm(full.gradient)), full.loss, full=True)
                if over:
                    yield self._end(*self._finish(over, limits), self.number, full)
                    return
                if not limits.in_full and not limits.by_target:
                    ended = self._tested(None)
                    if ended is not None:
                        yield self._end(*ended, self.number, full)
                        return

    # endings -----------------------------------------------------------------------------------------------
    def _ended(self, limits: Limits, evaluation: Evaluation, trials: int) -> tuple[Status, str] | None:
        """Divergence and the limits, at an accepted point."""
        if not evaluation.finite:
            return self._diverged("the loss or its gradient is not finite any more")
        if self._runaway(evaluation):
            return self._diverged("the loss has run away")
        norm = float(np.linalg.norm(evaluation.gradient))
        over = limits.reached(self.number, float(trials), norm, evaluation.loss, full=True)
        return self._limit(over, limits) if over else None

    def _limit(self, over: str, limits: Limits) -> tuple[Status, str]:
        """A limit is met: converged if the test holds all the same."""
        verdict = self._judge(self.evaluation)
        if verdict.status in (Status.CONVERGED, Status.UNIDENTIFIABLE):
            return verdict.status, f"{over}; {verdict.sentence}"
        self.default_limit = limits.default
        if over.startswith("|gradient|"):
            return Status.STOPPED, f"stopped: gradient: {over}, but {verdict.sentence}{self._ahead()}"
        return Status.STOPPED, f"stopped: {over}; {verdict.sentence}{self._ahead()}"

    def _finish(self, over: str, limits: Limits) -> tuple[Status, str]:
        """The end of a mini-batch run: one full pass for the answer, and the verdict."""
        self.evaluation = self.surface.at(self.theta, Need.GRADIENT)
        self._remember(self.theta, self.evaluation)
        if not self.evaluation.finite or self._runaway(self.evaluation):
            return self._diverged("the loss has run away")
        verdict = self._judge(None)
        if verdict.status in (Status.CONVERGED, Status.UNIDENTIFIABLE):
            return verdict.status, f"{over}; {verdict.sentence}"
        return (
            Status.STOPPED,
            f"stopped: {over}; {verdict.sentence}, mini-batches hover around it: lower the rate to come nearer",
        )

    def _tested(self, evaluation: Evaluation | None) -> tuple[Status, str] | None:
        verdict = self._judge(evaluation)
        if verdict.status in (Status.CONVERGED, Status.UNIDENTIFIABLE):
            return verdict.status, verdict.sentence
        if verdict.near and isinstance(self.plan.method, TrustRegion) and self.plan.method.need is Need.NORMAL:
            return Status.STOPPED, f"stopped: {verdict.sentence}"
        return None

    def _stalled(self, why: str) -> tuple[Status, str]:
        verdict = self._judge(self.evaluation)
        if verdict.status in (Status.CONVERGED, Status.UNIDENTIFIABLE):
            return verdict.status, verdict.sentence
        self.default_limit = True
        return Status.STOPPED, f"stopped: {why}; {verdict.sentence}"

    def _diverged(self, what: str) -> tuple[Status, str]:
        """Go back to the best point, and say what to do."""
        mend = (
            "lower the rate"
            if isinstance(self.plan.method, FirstOrder) or not isinstance(self.plan.method, TrustRegion)
            else "start nearer"
        )
        if self.guarantee is not None and self.plan.rate is not None and self.plan.rate > self.guarantee.limit:
            mend = f"the rate {self.plan.rate:g} is above 2/L = {self.guarantee.limit:.4g}; {self.guarantee.safe:.4g} is safe"
        at = f"after {self.number:,} step{'s' * (self.number != 1)}"
        if self.best is not None:
            _, self.theta, self.evaluation = self.best
        return Status.DIVERGED, f"diverged: {what} {at}; {mend}. The best point is kept"

    def interrupt(self) -> None:
        """Ctrl-C: keep the best point seen on full passes."""
        if self.best is not None:
            _, self.theta, self.evaluation = self.best
        self.status = Status.INTERRUPTED
        self.message = f"interrupted after {self.number:,} steps; the best point is kept"

    def _end(self, status: Status, message: str, number: int, evaluation: Evaluation | None) -> Step:
        assert evaluation is not None
        self.status, self.message, self.evaluation = status, message, evaluation
        step = replace(self._step(evaluation), status=status, message=message)
        self._emit(step)
        return step

    # pieces ------------------------------------------------------------------------------------------------
    def _judge(self, evaluation: Evaluation | None) -> Verdict:
        self.verdict = judge(self.surface, self.theta, self.start, evaluation)
        return self.verdict

    def _ahead(self) -> str:
        """How many more steps the guarantee predicts."""
        if self.guarantee is None or self.plan.rate is None or not isinstance(self.plan.method, FirstOrder):
            return ""
        if self.plan.method.name not in ("gd", "sgd") or not self.guarantee.smallest > 0:
            return ""
        tenth = self.guarantee.steps(self.plan.rate, 0.1)
        if not math.isfinite(tenth):
            return ""
        return (
            f"; condition {self.guarantee.condition:.4g}: each further digit takes some {tenth:,.0f} steps at this rate"
        )

    def _remember(self, theta: Array, evaluation: Evaluation) -> None:
        if evaluation.finite and (self.best is None or evaluation.total < self.best[0]):
            self.best = (evaluation.total, theta, evaluation)

    def _runaway(self, evaluation: Evaluation) -> bool:
        assert self.first is not None
        scale = max(abs(self.first.loss), self._first_move)
        return self.surface.objective.sign * (evaluation.loss - self.first.loss) > DIVERGED * scale and self.number > 0

    def _step(self, evaluation: Evaluation) -> Step:
        layout = self.surface.objective.layout
        norm = float(np.linalg.norm(evaluation.gradient))
        return Step(
            self.number, self.theta, evaluation.loss, norm, self.surface.reader.passes, Status.RUNNING, layout.flat,
            unpack=layout.values,
        )  # fmt: skip

    def _emit(self, step: Step) -> bool:
        """Tell the callbacks; one that returns True ends the run."""
        return any([callback(step) is True for callback in self.callbacks])
