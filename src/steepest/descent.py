"""The one loop: a generator of Step. Everything else is five lines above it.

Full batch, mini-batch and SGD differ in where an evaluation comes from, first and second order in what the method makes
of it. The loop keeps the best point seen on full passes, so that nothing is lost whatever ends the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .data.drift import drift
from .data.source import UNIT, Block
from .kernels.quadratic import Quadratic
from .kernels.surface import Surface
from .methods.first_order import FirstOrder
from .methods.stopping import Limits, Reached
from .methods.trust_region import TrustRegion
from .spectrum import length
from .strategy import Guarantee, Plan, settle_rate
from .types import Array, Evaluation, Need, Status, Step, Stop
from .verdict import Verdict, judge, near

if TYPE_CHECKING:
    from .kernels.stepper import Records, Stepper

SMALL = 1e-6  # a correction relative to what is corrected
WORN = 1e-6  # a loss smaller by this than where its sums were collected is read anew: they have ten digits left
MANY = 1 << 12  # steps on a collected quadratic that are made at once
CHUNK = 1 << 18  # rows that machine code goes through before clock, keyboard and limits are looked at
DIVERGED = 1e6  # times the scale of the loss at the start
FAR = 1e30  # times the start, after a hundred steps: no minimum lies there
NOT_FINITE = "the parameters are not finite any more"
RUN_AWAY = "the loss has run away"
HOVER = "; mini-batches hover around it: a lower rate comes nearer"
Ending = tuple[Status, str]


@dataclass
class Descent:
    """One run over a surface. Iterate `steps()`; what is left behind is the answer, also after an interruption.

    `theta`, `evaluation` are the last point and `verdict` what was judged of it; `best` the best seen on full passes;
    `first` the evaluation at the start; `status`, `message` how it ended; `guarantee` what is proved of a quadratic;
    `default_limit` whether it stopped short of a minimum by no limit of the user's.
    """

    surface: Surface
    plan: Plan
    start: Array
    stop: Stop | None = None
    seed: int = 0
    shuffle: bool = True
    callbacks: Sequence[Callable[[Step], Any]] = ()
    warn: Callable[[str], None] = lambda _: None
    watched: bool = True  # whether every step is wanted, and not the last one only

    def __post_init__(self) -> None:
        self.theta = self.start
        self.evaluation: Evaluation | None = None
        self.first: Evaluation | None = None
        self.best: tuple[float, Array, Evaluation | None] | None = None  # by its loss; evaluated when it is wanted
        self.status, self.message = Status.RUNNING, ""
        self.verdict: Verdict | None = None
        self.guarantee: Guarantee | None = None
        self.number = 0
        self.default_limit = False
        self.passes = 0.0  # readings of all rows that count against limits: no pass 0, no tests
        self.collected: Quadratic | None = None  # the sums of a quadratic loss, which stand for its rows
        self._first_move = 0.0
        self._polished = False
        self._next_test = 1  # passes of mini-batches after which all rows are looked at

    # the run -----------------------------------------------------------------------------------------------
    def steps(self) -> Iterator[Step]:
        """Step 0 is the start, Step k the point after k updates; the last one carries the final status."""
        surface, objective = self.surface, self.surface.objective
        evaluation = surface.at(self.theta, self._first_need())
        if not evaluation.finite:
            raise surface.not_finite(self.theta, evaluation)
        self.first = evaluation
        self._arrive(self.theta, evaluation)
        if objective.layout.size == 0:
            self.verdict = judge(surface, self.theta, self.start)
            yield self._announce(self._step(evaluation), (Status.CONVERGED, self.verdict.sentence))[0]
            return
        self._settle(evaluation)
        if self.plan.warning:
            self.warn(self.plan.warning)
        if self.plan.batch is not None and not self.shuffle:
            self._call_out_order()
        limits = Limits.of(self.stop, surface.reader.rows, self.plan.batch, objective.sign < 0)
        if self.plan.batch is not None:
            yield from self._batches(limits, self.plan.batch, evaluation)
        elif isinstance(self.plan.method, TrustRegion):
            yield from self._full(limits, evaluation, self._second_order)
        else:
            yield from self._first_order_steps(limits, evaluation)

    def _call_out_order(self) -> None:
        """A file that is sorted ruins mini-batches in file order: each sees one end of the data only."""
        found = drift(self.surface.reader)
        if found is not None:
            self.warn(
                f"the rows are ordered by {found[0]} (its mean wanders {found[1]:,.0f} times as far as by chance): "
                "mini-batches in file order see one part of the data at a time; leave shuffle on"
            )

    def _full(
        self, limits: Limits, evaluation: Evaluation, ended: Callable[[Limits, Evaluation, int], Ending | None]
    ) -> Iterator[Step]:
        """Every step on all rows; `ended` says whether an accepted point is the last."""
        surface, method = self.surface, self.plan.method
        at = surface.at if self.collected is None else self.collected.at
        theta, trials, state = self.theta, 0, method.init(self.theta)
        while True:
            done = self.number + (1 if trials else 0)  # updates, if this point is accepted
            proposal, state = method.update(evaluation, state, theta, done + 1, done)
            if state.accepted:
                self.number = done
                self._arrive(theta, evaluation)
                here = self._step(evaluation)
                ending = ended(limits, evaluation, trials)
                if ending is not None and ending[0] is Status.CONVERGED:
                    here = self._step(evaluation)  # it may have been corrected
            else:
                over = limits.reached(-1, trials)
                ending = self._limit(over) if over else None
            if ending is None and state.stalled:
                ending = self._stalled(state.stalled)
            if state.accepted or ending is not None:
                step, last = self._announce(here, ending)
                yield step
                if last:
                    return
            theta, trials = self._inside(proposal), trials + 1
            if not np.isfinite(theta).all():
                yield self._announce(here, self._diverged(NOT_FINITE))[0]
                return
            evaluation = at(theta, method.need)
            if self._worn(evaluation):
                evaluation = self._collect(theta)
                at = self.collected.at if self.collected is not None else at
            self.passes = float(trials)

    def _first_order_steps(self, limits: Limits, evaluation: Evaluation) -> Iterator[Step]:
        """A first-order method on all rows; of a quadratic the rows are read once, and once more at the end."""
        surface, method, objective = self.surface, self.plan.method, self.surface.objective
        rule = isinstance(method, FirstOrder)
        if rule and objective.quadratic and objective.reduce != "rmse" and evaluation.curvature is not None:
            self.collected = Quadratic(objective, self.theta, evaluation)
        stepper = None
        if isinstance(method, FirstOrder):
            most = limits.most_steps(surface.reader.rows, surface.reader.rows)
            stepper = surface.full_stepper(method.program, self.theta, most, self.collected)
        if stepper is None or not isinstance(method, FirstOrder):
            yield from self._full(limits, evaluation, self._first_order)
        else:
            yield from self._compiled_full(limits, evaluation, method, stepper)

    def _first_order(self, limits: Limits, evaluation: Evaluation, trials: int) -> Ending | None:
        """Divergence, the limits, and at steps 1, 2, 4, 8, ... the converged test unless the user set the length."""
        ending = self._over(limits, evaluation, trials)
        power_of_two = self.number & (self.number - 1) == 0
        if ending is None and self.number and power_of_two and not limits.in_full and not limits.by_target:
            if self.collected is None:
                return self._tested(None)
            if near(self.surface, self.theta, self.start, evaluation):  # by the collected sums, which costs no pass
                return self._tested(self._fresh())
        return ending

    def _worn(self, evaluation: Evaluation) -> bool:
        """Whether the loss has fallen so far that the collected sums have too few digits left for it."""
        collected = self.collected
        return collected is not None and abs(evaluation.total) < WORN * abs(collected.evaluation.total)

    def _collect(self, theta: Array) -> Evaluation:
        """The sums of a quadratic collected anew, at a point where the loss has their digits."""
        evaluation = self.surface.at(theta, self._curved)
        self.collected = Quadratic(self.surface.objective, theta, evaluation)
        return evaluation

    def _fresh(self) -> Evaluation:
        """The rows read again where a run on collected sums stands."""
        self._arrive(self.theta, self.surface.at(self.theta, self._curved))
        assert self.evaluation is not None
        return self.evaluation

    def _compiled_full(
        self, limits: Limits, evaluation: Evaluation, method: FirstOrder, stepper: Stepper
    ) -> Iterator[Step]:
        """The same in machine code, up to the next test or limit at a time."""
        surface, rows = self.surface, self.surface.reader.rows
        self._arrive(self.theta, evaluation)
        step, last = self._announce(self._step(evaluation), self._first_order(limits, evaluation, 0))
        yield step
        stepper.begin(evaluation)
        most = max(1, min(CHUNK // rows, CHUNK // (8 * len(self.theta)))) if self.collected is None else MANY
        while not last:
            test = 1 << self.number.bit_length()  # the next power of two
            passes = math.inf if limits.stop.passes is None else math.ceil(limits.stop.passes)
            target = int(min(limits.last_step(first_epoch=False), limits.passes, passes, test, self.number + most))
            stepper.aim(limits.stop.gradient, limits.stop.loss, self._floor(evaluation))
            records = stepper.run(row=0, end=rows, batch=rows, number=self.number, in_epoch=0, limit=target,
                                  rate=method.schedule.rate, capacity=target - self.number + 1, keep=True)  # fmt: skip
            assert records.theta is not None
            losses, norms, thetas = records.loss, records.norm, records.theta
            read, each, before = surface.reader.rows_read, 0 if self.collected is not None else rows, self.number
            if each and surface.watch is not None:
                surface.watch(each * len(losses))
            if self.number == 0 and len(losses):
                self._first_move = length(evaluation.gradient) * length(thetas[0] - self.theta)
            ending: Ending | None = None
            wrong = self._first_wrong(losses, thetas)
            count = min(len(losses), wrong + 1)
            made = [self._at(before + i + 1, thetas[i].copy(), float(losses[i]), float(norms[i]),
                             (read + (i + 1) * each) / rows)
                    for i in range(count) if self.watched or i == count - 1]  # fmt: skip
            for step in made:
                self.number, self.theta, self.passes = step.number, step.theta, float(step.number)
                surface.reader.rows_read = read + (step.number - before) * each
                if step is not made[-1]:
                    self._keep_best(step.theta, step.loss)
                    step, last = self._announce(step, None)
                    if last:
                        self._arrive(self.theta, self._once_more())
                    yield step
                    if last:
                        return
            if stepper.failure == "rate":
                method.schedule.at(before + len(losses) + 1, before + len(losses))  # says what is wrong
            if wrong and len(losses):
                best = int(np.argmin(surface.objective.sign * losses[:wrong]))
                self._keep_best(thetas[best].copy(), float(losses[best]))
            if stepper.failure == "parameters" and wrong >= len(losses):
                ending = self._diverged(NOT_FINITE)
            elif made:
                evaluation = self._evaluation_at(stepper, losses, wrong)
                if wrong >= len(losses) and self._worn(evaluation):
                    evaluation = self._collect(self.theta)
                    assert self.collected is not None
                    stepper.collect(self.collected)
                    stepper.begin(evaluation)
                    step = self._step(evaluation)
                self._arrive(self.theta, evaluation)
                ending = self._first_order(limits, evaluation, self.number)
                if ending is None and stepper.early:
                    stepper.begin(evaluation)  # what ended the steps was no end, but for rounding: go on from here
            step, last = self._announce(step, ending)
            yield step

    def _evaluation_at(self, stepper: Stepper, losses: Array, wrong: int) -> Evaluation:
        """The evaluation of the last step that was made, or of the first that has diverged."""
        if self.collected is not None:
            return self.collected.at(self.theta, Need.GRADIENT)
        if wrong >= len(losses) and stepper.failure != "loss":
            return stepper.evaluation(float(losses[-1]))
        return self._once_more()  # to have the place of what is not finite

    def _once_more(self) -> Evaluation:
        """The evaluation where the run stands, of sums that machine code has made before: it counts as no pass."""
        if self.collected is not None:
            return self.collected.at(self.theta, Need.GRADIENT)
        read = self.surface.reader.rows_read
        evaluation = self.surface.at(self.theta, Need.GRADIENT)
        self.surface.reader.rows_read = read
        return evaluation

    def _floor(self, evaluation: Evaluation) -> float | None:
        """The loss below which collected sums are worn; None where they do not wear by falling further."""
        if self.collected is None:
            return None
        floor = WORN * abs(self.collected.evaluation.loss)
        return floor if evaluation.loss > floor else None

    def _first_wrong(self, losses: Array, thetas: Array) -> int:
        """The place of the first of some steps at which a run has diverged; their number where none has."""
        assert self.first is not None
        scale = max(abs(self.first.loss), self._first_move)
        with np.errstate(all="ignore"):
            bad = ~np.isfinite(losses)
            bad |= self.surface.objective.sign * (losses - self.first.loss) > DIVERGED * scale
            if self.number + len(losses) > 100 and len(losses):
                far = np.abs(thetas).max(axis=1) > FAR * max(1.0, float(np.abs(self.start).max()))
                bad |= far & (self.number + 1 + np.arange(len(losses)) > 100)
        return int(np.argmax(bad)) if bad.any() else len(losses)

    def _second_order(self, limits: Limits, evaluation: Evaluation, trials: int) -> Ending | None:
        """At every step the gap test, which costs no pass; once it holds, one more step and then the whole test."""
        ending = self._over(limits, evaluation, trials)
        if ending is not None:
            return ending
        close = near(self.surface, self.theta, self.start, evaluation)
        if close and self._polished:
            return self._tested(evaluation) or self._saddle()
        if close and self.number and self.surface.objective.quadratic:
            ending = self._corrected(evaluation)
            if ending is not None:
                return ending
        self._polished = close
        return None

    def _corrected(self, evaluation: Evaluation) -> Ending | None:
        """The minimum of a quadratic: one correction by the fresh gradient, which has given the certificate too.

        None where the correction is not small: then one more pass tells more.
        """
        ending = self._tested(evaluation)
        step = None if self.verdict is None else self.verdict.step
        if ending is None or ending[0] is not Status.CONVERGED or step is None:
            return ending
        corrected = self._inside(self.theta + step)
        if not np.all(np.abs(corrected - self.theta) <= SMALL * np.abs(corrected)):
            return None
        self.theta = corrected
        return ending

    def _batches(self, limits: Limits, size: int, evaluation: Evaluation) -> Iterator[Step]:
        """Every step on the next rows of the order; full passes, after epochs 1, 2, 4, ..., for the tests only."""
        surface, method, rows = self.surface, self.plan.method, self.surface.reader.rows
        if isinstance(method, FirstOrder) and size <= UNIT:
            stepper = surface.stepper(method.program, self.theta, limits.most_steps(rows, size))
            if stepper is not None:
                yield from self._compiled_batches(limits, size, evaluation, method, stepper)
                return
        state, epoch, read = method.init(self.theta), 0, 0
        step, last = self._before_batches(limits, evaluation)
        yield step
        while not last:
            for block in surface.batches(size, seed=self.seed, shuffle=self.shuffle, epoch=epoch):
                read += block.rows
                self.passes = read / rows
                batch = surface.batch(block, self.theta)
                ending: Ending | None = None
                if batch is not None:
                    before = self.theta
                    proposal, state = method.update(batch, state, before, self.number + 1, epoch)
                    if np.isfinite(proposal).all():
                        self.theta, self.number = self._inside(proposal), self.number + 1
                        step = self._step(batch)
                        if self.number == 1:
                            self._first_move = length(batch.gradient) * length(self.theta - before)
                    else:
                        ending = self._diverged(NOT_FINITE)
                ending = ending or self._after_batches(limits, read)
                if batch is not None or ending is not None:
                    step, last = self._announce(step, ending)
                    yield step
                    if last:
                        return
            epoch += 1

    def _compiled_batches(
        self, limits: Limits, size: int, evaluation: Evaluation, method: FirstOrder, stepper: Stepper
    ) -> Iterator[Step]:
        """The same in machine code: many steps at a time, handed out one by one only where somebody watches."""
        surface, rows = self.surface, self.surface.reader.rows
        epoch, read = 0, 0
        step, last = self._before_batches(limits, evaluation)
        yield step
        while not last:
            for block, order in surface.windows(size, seed=self.seed, shuffle=self.shuffle, epoch=epoch):
                piece, row = stepper.take(block, order), 0
                while row < piece:
                    end = min(piece, row + limits.rows_left(read, rows, size), row + -(-CHUNK // size) * size)
                    records = stepper.run(
                        row=row, end=end, batch=size, number=self.number, in_epoch=epoch,
                        limit=limits.last_step(first_epoch=read < rows), capacity=(end - row) // size + 1,
                        rate=method.schedule.rate, keep=self.watched or self.number == 0,
                    )  # fmt: skip
                    counted, first, before = surface.reader.rows_read, self.number, read
                    gone = _gone(block, order, row, stepper.row, size)
                    read, row = read + stepper.row - row, stepper.row
                    if surface.watch is not None:
                        surface.watch(read - before)
                    made = self._made(records, stepper.theta, counted + gone)
                    for step in made:
                        self.number, self.theta = step.number, step.theta
                        done = read - before if step is made[-1] else int(gone[step.number - first - 1])
                        self.passes, surface.reader.rows_read = (before + done) / rows, counted + done
                        if step is not made[-1]:  # of the last one it is not known yet whether it is the end
                            step, last = self._announce(step, None)
                            yield step
                            if last:
                                return
                    surface.reader.rows_read = counted + read - before
                    if stepper.failure == "rate":
                        if made:
                            step, last = self._announce(step, None)
                            yield step
                            if last:
                                return
                        method.schedule.at(first + len(records.loss) + 1, epoch)  # says what is wrong with it
                        made = []
                    ending = self._diverged(NOT_FINITE) if stepper.failure == "parameters" else None
                    ending = ending or self._after_batches(limits, read)
                    if made or ending is not None:
                        step, last = self._announce(step, ending)
                        yield step
                        if last:
                            return
            epoch += 1

    def _made(self, records: Records, theta: Array, read: NDArray[np.int64]) -> list[Step]:
        """The steps that machine code has made: all of them where somebody watches, else the last.

        `read`: the rows read when each was made.
        """
        count, first = len(records.loss), self.number
        if first == 0 and count and records.theta is not None:
            self._first_move = float(records.norm[0]) * length(records.theta[0] - self.theta)
        thetas = records.theta if self.watched and records.theta is not None else [theta] * count
        return [
            self._at(first + i + 1, thetas[i].copy(), float(records.loss[i]), float(records.norm[i]),
                     int(read[i]) / self.surface.reader.rows)
            for i in range(0 if self.watched else max(count - 1, 0), count)
        ]  # fmt: skip

    def _before_batches(self, limits: Limits, evaluation: Evaluation) -> tuple[Step, bool]:
        """The start of a run on mini-batches, and whether it is the end as well."""
        over = limits.reached(0, 0.0, length(evaluation.gradient), evaluation.loss)
        return self._announce(self._step(evaluation), self._limit(over) if over else None)

    def _after_batches(self, limits: Limits, read: int) -> Ending | None:
        """The limits after some batches, and the tests after passes 1, 2, 4, ...; `read`: rows read by steps."""
        rows = self.surface.reader.rows
        # a limit of ours waits for the end of the first epoch
        over = None if limits.ours and read < rows else limits.reached(self.number, read / rows)
        ending = self._limit(over, arrive=True) if over else None
        if ending is None and read >= self._next_test * rows:
            self._next_test *= 2
            ending = self._epoch(limits)
        return ending

    def _epoch(self, limits: Limits) -> Ending | None:
        """A full pass between two epochs."""
        full = self.surface.at(self.theta, Need.GRADIENT)
        self._arrive(self.theta, full)
        if not full.finite or self._runaway(full):
            return self._diverged(RUN_AWAY, full)
        over = limits.reached(-1, -1.0, length(full.gradient), full.loss)
        if over:
            return self._limit(over)
        return None if limits.in_full or limits.by_target else self._tested(None)

    # endings -----------------------------------------------------------------------------------------------
    def _over(self, limits: Limits, evaluation: Evaluation, trials: int) -> Ending | None:
        """Divergence and the limits, at an accepted point."""
        if not evaluation.finite:
            return self._diverged("the loss or its gradient is not finite any more", evaluation)
        if self._runaway(evaluation):
            return self._diverged(RUN_AWAY)
        if self.number > 100 and float(np.abs(self.theta).max()) > FAR * max(1.0, float(np.abs(self.start).max())):
            way = "rises" if self.surface.objective.sign < 0 else "falls"
            return self._diverged(f"the parameters run to infinity: it {way} without bound")
        over = limits.reached(self.number, trials, length(evaluation.gradient), evaluation.loss)
        return self._limit(over) if over else None

    def _tested(self, evaluation: Evaluation | None) -> Ending | None:
        """The converged test."""
        self.verdict = judge(self.surface, self.theta, self.start, evaluation)
        if self.verdict.status is Status.STOPPED:
            return None
        return self.verdict.status, self.verdict.sentence

    def _saddle(self) -> Ending | None:
        """A second-order method at a stationary point that is no minimum: only negative curvature leads on."""
        assert self.verdict is not None
        if self.plan.method.need is Need.HESSIAN:
            return None
        self.default_limit = True
        return Status.STOPPED, f"stopped: {self.verdict.sentence}"

    def _limit(self, over: Reached, *, arrive: bool = False) -> Ending:
        """A limit is met: converged if the test holds all the same. `arrive`: at a point that no full pass has seen."""
        if arrive:
            full = self.surface.at(self.theta, Need.GRADIENT)
            if not full.finite or self._runaway(full):
                return self._diverged(RUN_AWAY, full)
            self._arrive(self.theta, full)
        ending = self._tested(self.evaluation if self.collected is None else self._fresh())
        assert self.verdict is not None
        if ending is not None:
            return ending[0], f"{over.sentence}; {ending[1]}"
        batches = self.plan.batch is not None
        self.default_limit = over.rule == "default" and not batches
        kind = "stopped: gradient" if over.rule == "gradient" else "stopped"
        after = HOVER if batches else self._ahead()
        return Status.STOPPED, f"{kind}: {over.sentence}; {self.verdict.sentence}{after}"

    def _stalled(self, why: str) -> Ending:
        """No further step: converged, or put back to 0 what began there and only rounding keeps from it, or stopped."""
        ending = self._tested(self.evaluation)
        assert self.verdict is not None and self.evaluation is not None
        back = self._zeroed()
        if ending is None and back is not None:
            here = self.theta, self.evaluation, self.verdict
            self.theta, self.evaluation = back, self.surface.at(back, self.plan.method.need)
            ending = self._tested(self.evaluation)
            if ending is None:
                self.theta, self.evaluation, self.verdict = here
        self.default_limit = ending is None
        return ending or (Status.STOPPED, f"stopped: {why}; {self.verdict.sentence}")

    def _zeroed(self) -> Array | None:
        """theta with the parameters at 0 that started there and that a Newton step would bring nearer to it."""
        assert self.verdict is not None
        if self.verdict.step is None:
            return None
        nearer = np.abs(self.theta + self.verdict.step) <= 0.5 * np.abs(self.theta)
        back = (self.start == 0) & (self.theta != 0) & nearer
        return np.where(back, 0.0, self.theta) if back.any() else None

    def _diverged(self, what: str, evaluation: Evaluation | None = None) -> Ending:
        """Go back to the best point, and say what to do; of an evaluation that is not finite, where."""
        objective = self.surface.objective
        place = ""
        if evaluation is not None and not evaluation.finite:
            place = f" ({self.surface.offence(self.theta, evaluation)})"
        mend = "start nearer" if isinstance(self.plan.method, TrustRegion) else "lower the rate"
        if "without bound" in what:
            mend = "there is no end that way: set bounds, or start elsewhere"
            if objective.formula.left is None and objective.columns:
                mend = "without = the formula is the loss of a row: was y = ... meant?"
        if self.guarantee is not None and self.plan.rate is not None and self.plan.rate > self.guarantee.limit:
            limit, safe = self.guarantee.limit, self.guarantee.safe
            mend = f"the rate {self.plan.rate:g} is above 2/L = {limit:.4g}; {safe:.4g} is safe"
        self._return_to_best()
        return Status.DIVERGED, f"{what} after {_steps(self.number)}{place}; {mend}; the best point is kept"

    def interrupt(self) -> None:
        """Ctrl-C: keep the best point seen on full passes; a mini-batch run is looked at once more where it stands."""
        if self.plan.batch is not None and self.number:
            full = self.surface.at(self.theta, Need.GRADIENT)
            self._arrive(self.theta, full)
        self._return_to_best()
        self.status = Status.INTERRUPTED
        self.message = f"interrupted after {_steps(self.number)}; the best point is kept"

    def _announce(self, step: Step, ending: Ending | None) -> tuple[Step, bool]:
        """Tell the callbacks, each once; one that returns True ends the run. The step, and whether it is the last."""
        if ending is not None:
            step = replace(step, status=ending[0], message=ending[1])
        answers = [callback(step) for callback in self.callbacks]
        if ending is None and any(answer is True for answer in answers):
            ending = Status.STOPPED, f"stopped by a callback after {_steps(self.number)}"
            step = replace(step, status=ending[0], message=ending[1])
            if self.plan.batch is not None:
                self._arrive(self.theta, self.surface.at(self.theta, Need.GRADIENT))
        if ending is not None:
            self.status, self.message = ending
        return step, ending is not None

    # pieces ------------------------------------------------------------------------------------------------
    def _first_need(self) -> Need:
        """What pass 0 must deliver: for a first-order method the curvature too, where it proves or refutes the rate."""
        method, objective = self.plan.method, self.surface.objective
        if isinstance(method, TrustRegion):
            return method.need
        proves = isinstance(method, FirstOrder) and self.plan.batch is None
        if proves and objective.quadratic and objective.reduce != "rmse" and not objective.large:
            return self._curved
        return Need.GRADIENT

    @property
    def _curved(self) -> Need:
        """What delivers the curvature of a quadratic at the least cost."""
        return Need.NORMAL if self.surface.objective.squares else Need.HESSIAN

    def _settle(self, evaluation: Evaluation) -> None:
        """The guarantee of a quadratic, and the rate that the curvature gives."""
        objective, surface = self.surface.objective, self.surface
        bounded = objective.quadratic and objective.reduce != "rmse"
        if bounded and evaluation.curvature is not None:
            factor = 1.0 if objective.reduce == "sum" else 1.0 / evaluation.weight
            self.guarantee = Guarantee.of(evaluation.curvature, factor)
        steepest_row = None
        if bounded and objective.squares and self.plan.batch is not None and self.plan.open_rate:
            steepest_row = surface.largest_row_curvature(self.theta)
            if objective.penalty is not None:
                steepest_row += float(np.linalg.eigvalsh(objective.penalty.at(self.theta)[2])[-1]) / surface.rows
        proved = self.guarantee if self.guarantee is not None and self.guarantee.convex else None
        self.plan = settle_rate(self.plan, objective, proved, steepest_row, surface.weight, surface.rows)

    def _arrive(self, theta: Array, evaluation: Evaluation) -> None:
        """A point on a full pass."""
        if self.number == 1 and self.plan.batch is None and self.first is not None:
            self._first_move = length(self.first.gradient) * length(theta - self.start)
        self.theta, self.evaluation, self.verdict = theta, evaluation, None
        if evaluation.finite:
            self._keep_best(theta, evaluation.loss, evaluation)

    def _keep_best(self, theta: Array, loss: float, evaluation: Evaluation | None = None) -> None:
        loss *= self.surface.objective.sign
        if self.best is None or loss < self.best[0]:
            self.best = (loss, theta, evaluation)

    def _return_to_best(self) -> None:
        if self.best is not None:
            _, self.theta, self.evaluation = self.best
            self.verdict = None
            if self.collected is not None:
                self.evaluation = self.surface.at(self.theta, Need.GRADIENT)
            elif self.evaluation is None:
                self.evaluation = self._once_more()

    def _inside(self, theta: Array) -> Array:
        objective = self.surface.objective
        return np.clip(theta, objective.lower, objective.upper) if objective.bounded else theta

    def _runaway(self, evaluation: Evaluation) -> bool:
        assert self.first is not None
        scale = max(abs(self.first.loss), self._first_move)
        return self.number > 0 and self.surface.objective.sign * (evaluation.loss - self.first.loss) > DIVERGED * scale

    def _ahead(self) -> str:
        """What the curvature says of a first-order run that has not arrived."""
        method, rate = self.plan.method, self.plan.rate
        if not isinstance(method, FirstOrder) or rate is None or method.name not in ("gd", "sgd"):
            return ""
        objective, verdict, evaluation = self.surface.objective, self.verdict, self.evaluation
        if objective.reduce == "rmse" and verdict is not None and verdict.largest and evaluation is not None:
            safe = evaluation.weight * evaluation.loss / verdict.largest
            if rate > safe:
                return (
                    f"; the rate {rate:g} is above n·rms/λmax = {safe:.3g}: near an exact fit a fixed rate oscillates"
                )
        if self.guarantee is None or not self.guarantee.smallest > 0 or rate > self.guarantee.limit:
            return ""
        tenth = self.guarantee.steps(rate, 0.1)
        return (
            f"; condition {self.guarantee.condition:.4g}: each further digit takes some {tenth:,.0f} steps at this rate"
        )

    def _step(self, evaluation: Evaluation) -> Step:
        return self._at(self.number, self.theta.view(), evaluation.loss, length(evaluation.gradient))

    def _at(self, number: int, theta: Array, loss: float, norm: float, passes: float | None = None) -> Step:
        layout = self.surface.objective.layout
        theta.flags.writeable = False
        passes = self.surface.reader.passes if passes is None else passes
        return Step(number, theta, loss, norm, passes, Status.RUNNING, layout.flat,
                    unpack=layout.values)  # fmt: skip


def _gone(block: Block, order: NDArray[np.int64] | None, first: int, last: int, size: int) -> NDArray[np.int64]:
    """For each batch with a live row of a part of a window: the rows gone through at its end."""
    if first == last:
        return np.zeros(0, np.int64)
    begins = np.arange(0, last - first, size)
    ends = np.append(begins[1:], last - first)
    if block.live is None:
        return ends
    live = block.live[first:last] if order is None else block.live[order[first:last]]
    return np.asarray(ends[np.logical_or.reduceat(live, begins)])


def _steps(number: int) -> str:
    return f"{number:,} step{'s' * (number != 1)}"
