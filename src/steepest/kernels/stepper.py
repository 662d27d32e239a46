"""Runs the compiled steps of a first-order method: over windows of rows, over all rows, or on a collected quadratic."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.source import Block
from ..formula.objective import Objective
from ..formula.program import UpdateRule
from ..scaling import Scaling
from ..types import Array, Evaluation, Need, Total
from . import control
from .control import Steps
from .emission import COLUMNS, COUNTER, LINE, ROWS, Kind
from .epoch import steps_loop
from .held import HeldLoop
from .kernel import worthy
from .lanes import WIDTH
from .loops import Shape
from .machine import Target, build
from .quadratic import Quadratic
from .running import address, aligned, framed, remembered

SMALL = 128  # rows of a batch up to which what is between batches counts

PATIENCE = 0.05  # seconds of steps with sums made elsewhere, before clock, keyboard and limits are looked at


@dataclass(frozen=True)
class Records:
    """What a run of steps leaves: loss (k,) and gradient norm (k,) of each, theta (k, p) where it was kept.

    Where it was not, loss and norm may be those of the last step, which stands for all.
    """

    loss: Array
    norm: Array
    theta: Array | None


class Stepper:
    """theta and the state of a rule in memory that machine code works on.

    `status` says why the last run ended, as in `control`; `number` of updates.
    """

    def __init__(self, objective: Objective, rule: UpdateRule, theta: Array, rows: int, weight: float, *,
                 whole: bool, collected: Quadratic | None = None, scaling: Scaling | None = None,
                 summed: Callable[[Array], Total] | None = None) -> None:  # fmt: skip
        self._objective, self._rule, self._whole, self._summed = objective, rule, whole, summed
        self._scaling = scaling
        self._sums = None if collected is not None else objective.rows(Need.GRADIENT)
        p = objective.layout.size
        steps = self._steps()
        self._memory = np.zeros((steps.vectors, steps.padded))
        self.theta, self._all = self._memory[0, :p], (rows, weight)
        self.theta[:] = theta
        self._memory[2], self._memory[3] = -np.inf, np.inf
        self._memory[2, :p], self._memory[3, :p] = objective.lower, objective.upper
        if scaling is not None:
            phi, unit, mean, _ = self._memory[steps.scaling :]
            unit[:] = 1.0
            phi[:p], unit[:p], mean[:p] = scaling.inward(theta), scaling.unit, scaling.mean
        self._control = np.zeros(control.WORDS, dtype=np.int64)
        self._numbers = self._control.view(np.float64)
        self._control[control.MEMORY] = address(self._memory)
        self._numbers[control.ALL_ROWS], self._numbers[control.WEIGHT] = rows, weight
        self.aim(None, None, None)
        size = 2 * WIDTH + steps.padded if self._sums is None else Shape(self._sums).size + WIDTH
        self._totals = np.zeros(max(size, steps.padded + 2 * WIDTH))
        scratch = LINE if self._sums is None else Shape(self._sums).scratch
        self._scratch = np.empty(scratch + LINE // 8)
        self._loops: dict[Any, Any] = {}
        self._frame = np.zeros(COLUMNS, dtype=np.int64)
        self._held = False  # whether the loop is the one that may leave the records of all steps but the last
        self._kept: tuple[Any, ...] = ()  # addresses do not keep what stands there
        self._block: Block | None = None
        self._order: NDArray[np.int64] | None = None
        self._kinds: tuple[Kind, ...] = ()
        if collected is not None:
            self.collect(collected)
        elif summed is not None:
            self._frame[0] = address(self._totals)

    def _steps(self, **how: bool) -> Steps:
        objective = self._objective
        penalty = None if self._sums is None else objective.penalty  # a collected quadratic holds it already
        return Steps(objective.layout.size, self._rule, self._sums, penalty, objective.reduce, objective.sign,
                     self._whole, objective.bounded, apart=self.apart, scaled=self._scaling is not None,
                     centre=None if self._scaling is None else self._scaling.centre, **how)  # fmt: skip

    def collect(self, collected: Quadratic) -> None:
        """Take T, its gradient and its Hessian from the point where they were collected."""
        evaluation, theta = collected.evaluation, collected.theta
        assert evaluation.curvature is not None
        p, padded = len(theta), self._memory.shape[1]
        hessian = np.zeros((p, padded))
        hessian[:, :p] = evaluation.curvature
        slope, centre = np.zeros(padded), np.zeros(padded)
        slope[:p], centre[:p] = evaluation.slope, theta
        self._frame = np.array([address(a) for a in (hessian, slope, centre, self._totals)] + [0], dtype=np.int64)
        self._frame.view(np.float64)[4] = evaluation.total
        self._kept = (hessian, slope, centre)

    def begin(self, evaluation: Evaluation) -> None:
        """Go on from an evaluation at theta: the next thing is the update."""
        self._memory[1, : len(self.theta)] = evaluation.gradient
        self._numbers[control.VALUE], self._control[control.STATUS] = evaluation.loss, control.LIMITED

    def evaluation(self, loss: float) -> Evaluation:
        """The last evaluation on all rows, whose reduced loss is given, from what the loop has left."""
        objective, (rows, weight) = self._objective, self._all
        gradient = self._memory[1, : len(self.theta)].copy()
        total, slope = objective.sign * loss, gradient.copy()
        if objective.reduce == "mean":
            total, slope = total * weight, slope * weight
        elif objective.reduce == "rmse":
            total, slope = 0.5 * weight * loss**2, slope * (weight * loss)
        penalty = 0.0 if objective.penalty is None else objective.penalty.at(self.theta)[0]
        return Evaluation(total, total - penalty, slope, None, None, loss, gradient, rows, weight)

    def aim(self, gradient: float | None, loss: float | None, floor: float | None) -> None:
        """Where to end early: a gradient norm below, a loss at or below (maximising: at or above) either of two."""
        lower = [x for x in (loss, floor if self._objective.sign > 0 else None) if x is not None]
        self._numbers[control.GRADIENT] = -1.0 if gradient is None else gradient
        self._numbers[control.LOSS] = max(lower) if lower else -np.inf * self._objective.sign

    def take(self, block: Block, order: NDArray[np.int64] | None = None) -> int:
        """The rows that the next steps are about; `order`: the numbers of those that are taken. How many they are."""
        assert self._sums is not None
        if block is not self._block:
            columns = [block.columns[name] for name in self._sums.columns_used]
            self._frame, flags = framed(self._memory, self._totals, 0, block.live, columns)
            self._block, self._kept, self._kinds = block, (columns, flags), tuple(map(Kind.of, columns))
            self._held = HeldLoop.fits(self._steps(small=True), self._named)
        rows = block.rows if order is None else len(order)
        self._frame[ROWS], self._frame[COUNTER] = rows, 0 if order is None else address(order)
        self._order = order
        return rows

    def run(self, *, row: int, end: int, batch: int, number: int, in_epoch: int, limit: int, rate: float,
            capacity: int, keep: bool) -> Records:  # fmt: skip
        """Steps from row to end in batches, until `number` of updates is at the limit; `capacity` records at most."""
        words, p = self._control, len(self.theta)
        small = batch <= SMALL and not self._whole
        kept = keep or not (small and self._held)
        self._choose(batch == 1, small, kept)
        wide = 2 + self._memory.shape[1] * keep
        records = np.empty((capacity if kept else 1, wide))
        words[[control.ROW, control.END, control.BATCH, control.STEP, control.EPOCH, control.LIMIT, control.RECORDED,
                 control.RECORDS, control.WIDE]] = (
            row, end, batch, number, in_epoch, limit, 0, address(records), wide)  # fmt: skip
        self._numbers[control.RATE] = rate
        if not self._whole:
            words[control.STATUS] = control.GOING
        arguments = address(self._frame), aligned(self._scratch), address(words)
        self._run(*arguments)
        if self._summed is not None:
            self._alternate(self._summed, arguments)
        count = int(words[control.RECORDED])
        if not kept:
            loss, norm = (np.broadcast_to(self._numbers[k], count) for k in (control.VALUE, control.NORM))
            return Records(loss, norm, None)
        found = records[:count]
        return Records(found[:, 0], found[:, 1], found[:, 2 : 2 + p] if keep else None)

    def _alternate(self, summed: Callable[[Array], Total], arguments: tuple[int, int, int]) -> None:
        """Sums made elsewhere and updates in turn, until a step is the last, or the time to look up has come."""
        words, end = self._control, time.monotonic() + PATIENCE
        sums = self._totals[: 1 + len(self.theta)]
        while words[control.STATUS] == control.GOING:
            sums[:] = summed(self.theta).values
            if time.monotonic() > end:
                words[control.LIMIT] = words[control.STEP]
            self._run(*arguments)

    @property
    def apart(self) -> bool:
        """Whether sums are made elsewhere, where their rows are counted."""
        return self._summed is not None

    @property
    def status(self) -> int:
        """Why the last run ended: GOING where its rows did."""
        return int(self._control[control.STATUS])

    @property
    def failure(self) -> str:
        """What of the last step failed, which was not made: "rate", "parameters", "loss", or nothing."""
        words = {control.RATE_UNFIT: "rate", control.PARAMETERS_NOT_FINITE: "parameters", control.NOT_FINITE: "loss"}
        return words.get(self.status, "")

    @property
    def early(self) -> bool:
        """Whether the last run on all rows ended before its limit: only `begin` makes it go on."""
        return self.status != control.LIMITED

    @property
    def number(self) -> int:
        return int(self._control[control.STEP])

    @property
    def row(self) -> int:
        """The next row of the window."""
        return int(self._control[control.ROW])

    @property
    def _named(self) -> dict[str, Kind]:
        """The kinds of the columns by name."""
        names = self._sums.columns_used if self._sums is not None and not self.apart else ()
        return dict(zip(names, self._kinds, strict=True))

    def _choose(self, single: bool, small: bool, kept: bool) -> None:
        """Choose the machine code for the rows that were taken, compiled where it was not before."""
        screened = self._block is not None and self._block.live is not None
        key = self._kinds, self._order is not None, single, small, screened, kept
        if key not in self._loops:
            steps = self._steps(ordered=key[1], single=single, small=small, screened=screened, kept=kept)
            self._loops[key] = remembered((steps.key, self._kinds), lambda: _Code(steps_loop(steps, self._named)))
        self._run = self._loops[key].run


class _Code:
    """`run(frame, scratch, control)` in machine code."""

    def __init__(self, text: str) -> None:
        self._library = build(text, Target.chosen())
        self.run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(self._library.address("run"))


def without_form(rule: UpdateRule, objective: Objective) -> Sequence[str]:
    """What of the rule, its schedule, the penalty or the rows has no form in machine code."""
    from .emission import without_native_form

    parts = [(rule.graph, [rule.theta, *(n for _, n in rule.state)])]
    if rule.schedule is not None:
        parts.append((rule.schedule[0], [rule.schedule[1]]))
    if objective.penalty is not None:
        parts.append((objective.penalty.graph, [objective.penalty.node, *objective.penalty.slopes]))
    rows = objective.rows(Need.GRADIENT)
    parts.append((rows.graph, list(rows.outputs)))
    return [name for graph, nodes in parts for name in without_native_form(graph, nodes)]


def possible(rule: UpdateRule, objective: Objective) -> bool:
    """Whether steps of this rule on this objective can be machine code."""
    return worthy(objective.rows(Need.GRADIENT)) and not without_form(rule, objective) and Target.chosen().fuses


assert COUNTER == 5  # the word in which a loop over tiles counts holds the order here
