"""Where a run stands: its point, the best one so far, who is told of its steps, and what ended it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..kernels.quadratic import Quadratic
from ..kernels.surface import Surface
from ..methods.finishing import Finishing
from ..methods.projected import Projected
from ..methods.stopping import Limits
from ..spectrum import length
from ..strategy import Guarantee, Plan
from ..types import Array, Evaluation, Need, Status, Step, Stop
from ..verdict import Verdict
from .path import Path

WORN = 1e-6  # a loss smaller by this than where its sums were collected is read anew: they have ten digits left
DIVERGED = 1e6  # times the scale of the loss at the start
LEFT = 50  # stationary points that a run leaves for lower ones beside them
CHUNK = 1 << 18  # rows that machine code goes through before clock, keyboard and limits are looked at
HANDED = 1 << 14  # steps that are made at once where each is handed out
RECORDED = 1 << 21  # numbers that are recorded of steps made at once: 16 MiB
Ending = tuple[Status, str]


@dataclass
class Course:
    """A run over a surface: what it was asked, and where it stands.

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
    watched: bool = True  # whether every step is handed out, and not some last one only
    path: Path | None = None  # takes every step, handed out or not
    pilot: Surface | None = None  # least squares that give the start, where none was given

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
        self.away: Array | None = None  # where to go on from a stationary point that is no minimum
        self.left = 0  # how many such points were left
        self.first_move = 0.0  # how far the first update would have changed the loss along a straight line

    def arrive(self, theta: Array, evaluation: Evaluation) -> None:
        """A point on a full pass."""
        if self.number == 1 and self.plan.batch is None and self.first is not None:
            self.first_move = length(self.first.gradient) * length(theta - self.start)
        self.theta, self.evaluation, self.verdict = theta, evaluation, None
        if evaluation.finite:
            self.keep_best(theta, evaluation.loss, evaluation)

    def keep_best(self, theta: Array, loss: float, evaluation: Evaluation | None = None) -> None:
        loss *= self.surface.objective.sign
        if self.best is None or loss < self.best[0]:
            self.best = (loss, theta, evaluation)

    def return_to_best(self) -> None:
        if self.best is not None:
            _, self.theta, self.evaluation = self.best
            self.verdict = None
            if self.collected is not None:
                self.evaluation = self.surface.at(self.theta, Need.GRADIENT)
            elif self.evaluation is None:
                self.evaluation = self.once_more()

    def once_more(self) -> Evaluation:
        """The evaluation where the run stands, of sums that machine code has made before: it counts as no pass."""
        if self.collected is not None:
            return self.collected.at(self.theta, Need.GRADIENT)
        read = self.surface.reader.rows_read
        evaluation = self.surface.at(self.theta, Need.GRADIENT)
        self.surface.reader.rows_read = read
        return evaluation

    def worn(self, evaluation: Evaluation) -> bool:
        """Whether the loss has fallen so far that the collected sums have too few digits left for it."""
        collected = self.collected
        return collected is not None and abs(evaluation.total) < WORN * abs(collected.evaluation.total)

    def collect(self, theta: Array) -> Evaluation:
        """The sums of a quadratic collected anew, at a point where the loss has their digits."""
        evaluation = self.surface.at(theta, self.curved)
        self.collected = Quadratic(self.surface.objective, theta, evaluation)
        return evaluation

    def look(self, theta: Array, need: Need) -> Evaluation:
        """One pass; of residuals whose curvature is known everywhere it is about the loss and the slope alone."""
        known, objective = self.first, self.surface.objective
        if need in (Need.NORMAL, Need.HESSIAN) and objective.quadratic and objective.squares and known is not None:
            return self.surface.fresh(theta, known)
        return self.surface.at(theta, need)

    def fresh(self) -> Evaluation:
        """The rows read again where a run on collected sums stands."""
        self.arrive(self.theta, self.look(self.theta, self.curved))
        assert self.evaluation is not None
        return self.evaluation

    def announce(self, step: Step, ending: Ending | None) -> tuple[Step, bool]:
        """Tell the callbacks, each once; one that returns True ends the run. The step, and whether it is the last."""
        if ending is not None:
            step = replace(step, status=ending[0], message=ending[1])
        answers = [callback(step) for callback in self.callbacks]
        if self.path is not None:
            self.path.extend(step.number, *(np.array([x]) for x in (step.loss, step.gradient_norm, step.theta)))
        if ending is None and any(answer is True for answer in answers):
            ending = Status.STOPPED, f"stopped by a callback after {counted(self.number)}"
            step = replace(step, status=ending[0], message=ending[1])
            if self.plan.batch is not None:
                self.arrive(self.theta, self.surface.at(self.theta, Need.GRADIENT))
        if ending is not None:
            self.status, self.message = ending
        return step, ending is not None

    def passed(self, losses: Array, norms: Array, thetas: Array | None) -> None:
        """Tell the path the next steps (m,), (m,), (m, p), which are not handed out one by one."""
        if self.path is not None and not self.watched and thetas is not None and len(losses):
            self.path.extend(self.number + 1, losses, norms, thetas)

    def at_once(self, kept: bool) -> int:
        """How many steps machine code may make at once; `kept`: with the theta of each."""
        most = 1 << (max(1, RECORDED // (2 + len(self.theta) * kept)).bit_length() - 1)  # cut where others would be
        return min(most, HANDED) if self.watched else most

    def read(self, rows: int) -> None:
        """Tell whoever shows progress of rows that machine code has read."""
        if self.surface.watch is not None:
            self.surface.watch(rows)

    def note(self, what: str) -> None:
        """A change in the way the run goes; where it comes at the start, the linear parameters begin there as well."""
        self.plan = replace(self.plan, why=f"{self.plan.why}; {what}", solved=self.plan.solved if self.number else ())

    def begins_again(self, ending: Ending, limits: Limits, trials: int) -> bool:
        """Whether steps with the linear parameters solved have led to no minimum, and all parameters take steps now.

        Not where a limit ended them, nor where no data could tell the parameters apart.
        """
        method, status = self.plan.method, ending[0]
        if not (isinstance(method, Finishing) and isinstance(method.far, Projected)) or status is Status.CONVERGED:
            return False
        if limits.by_target or limits.reached(self.number, trials) or self.surface.objective.structure.combinations:
            return False
        rest = method.far.rest
        if np.array_equal(self.theta[rest], self.start[rest]):  # nowhere else to come from
            return False
        whole = replace(method, far=method.far.whole)
        self.plan = replace(self.plan, method=whole)
        self.note("that led to no minimum, so that all parameters took steps, from the start")
        self.default_limit = False
        return True

    def step(self, evaluation: Evaluation) -> Step:
        return self.at(self.number, self.theta.view(), evaluation.loss, length(evaluation.gradient))

    def at(self, number: int, theta: Array, loss: float, norm: float, passes: float | None = None) -> Step:
        layout = self.surface.objective.layout
        theta.flags.writeable = False
        passes = self.surface.reader.passes if passes is None else passes
        return Step(number, theta, loss, norm, passes, Status.RUNNING, layout.flat,
                    unpack=layout.values)  # fmt: skip

    def inside(self, theta: Array) -> Array:
        objective = self.surface.objective
        return np.clip(theta, objective.lower, objective.upper) if objective.bounded else theta

    def runaway(self, evaluation: Evaluation) -> bool:
        assert self.first is not None
        scale = max(abs(self.first.loss), self.first_move)
        return self.number > 0 and self.surface.objective.sign * (evaluation.loss - self.first.loss) > DIVERGED * scale

    def leave(self) -> bool:
        """Go on from the lower point that the verdict has found beside a stationary one; whether there is one."""
        lower = None if self.verdict is None else self.verdict.lower
        if lower is None or self.left >= LEFT:
            return False
        self.away, self.left = lower, self.left + 1
        return True

    @property
    def curved(self) -> Need:
        """What delivers the curvature at the least cost, of a quadratic exactly."""
        return Need.NORMAL if self.surface.objective.squares else Need.HESSIAN


def counted(number: int) -> str:
    """A number of steps in words."""
    return f"{number:,} step{'s' * (number != 1)}"
