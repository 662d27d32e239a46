"""What a run of compiled steps is told and tells: the words of its control block, and what is compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from ..formula.objective import Penalty, RowSums
from ..formula.program import UpdateRule
from .emission import POINTER, Memory, evaluated, integer
from .lanes import DOUBLE, INTEGER, WIDTH, Lanes, Value
from .running import program, sums_program

#: the words of a control block: where a run of steps stands, and what ends it
(ROW, END, BATCH, STEP, EPOCH, LIMIT, STATUS, RECORDED, ORDER, MEMORY, RECORDS, WIDE,
 ALL_ROWS, WEIGHT, RATE, GRADIENT, LOSS, VALUE, NORM, WORDS) = range(20)  # fmt: skip

#: why a run of steps ended
GOING, LIMITED, AT_GRADIENT, AT_LOSS, NOT_FINITE, RATE_UNFIT, PARAMETERS_NOT_FINITE = range(7)


@dataclass(frozen=True)
class Steps:
    """What is compiled: sums of loss and gradient (None: a quadratic), the rule, what is added, how it is reduced.

    `whole`: every step is on all rows, and the tests of loss and gradient stand before the update; else on a batch:
    `ordered`: its rows are taken in an order; `single`: it is one row; `small`: it is few; `screened`: some may be
    dead; `kept`: every step is recorded, and not the last one only.
    """

    size: int
    rule: UpdateRule
    rows: RowSums | None
    penalty: Penalty | None
    reduce: str
    sign: float
    whole: bool
    bounded: bool = True
    ordered: bool = False
    single: bool = False
    small: bool = False
    screened: bool = True
    kept: bool = True
    apart: bool = False  # whether the sums are made elsewhere, between two calls
    scaled: bool = False  # whether the rule runs in standardised parameters
    centre: int | None = None  # the place of an intercept against which these are centred

    @property
    def key(self) -> Any:
        """What tells these steps from others, whatever graphs their programs stand in."""
        rule, penalty = self.rule, self.penalty
        programs = [program(rule.graph, [rule.theta, *(node for _, node in rule.state)])]
        programs += [program(graph, [node]) for graph, node in filter(None, [rule.schedule])]
        if penalty is not None:
            programs.append((program(penalty.graph, [penalty.node, *penalty.slopes]), penalty.layout))
        plain = {name: value for name, value in vars(self).items() if name not in ("rule", "rows", "penalty")}
        return (tuple(programs), rule.schedule is None, penalty is None, tuple(name for name, _ in rule.state),
                rule.numbers, None if self.rows is None else sums_program(self.rows), *plain.items())  # fmt: skip

    @property
    def padded(self) -> int:
        """Doubles of a vector of parameters in memory."""
        return -(-self.size // WIDTH) * WIDTH

    @property
    def vectors(self) -> int:
        """Vectors of parameters in memory: theta, gradient, lower, upper, the trial, each state, and four of `scaled`:
        phi, its units, the means, the theta of the trial."""
        return self.scaling + 4 * self.scaled

    @property
    def scaling(self) -> int:
        """The first vector of standardised parameters."""
        return 5 + len(self.rule.state)


class Controlled:
    """Code that reads and writes a control block."""

    builder: ir.IRBuilder
    lanes: Lanes
    memory: Memory
    control: Value
    steps: Steps

    def _control(self, place: int, typ: ir.Type = INTEGER) -> Value:
        return self.memory.word(self.control, place, typ)

    def _set(self, place: int, value: Value) -> None:
        self.builder.store(value, self.memory.at(self.control, integer(place), INTEGER), align=8)

    def _vector(self, number: int) -> Value:
        """The address of a vector of parameters: 0 theta, 1 gradient, 2 lower, 3 upper, 4 trial, then the states."""
        return self.memory.at(self._control(MEMORY, POINTER), integer(number * self.steps.padded))

    def _scalar(self, value: Value) -> Value:
        return self.builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    def _splat(self, place: int) -> Value:
        return self.lanes.splat(self._control(place, DOUBLE))

    def _count(self, place: int) -> Value:
        """An integer of the control block as a double, in every lane."""
        return self.lanes.splat(self.builder.sitofp(self._control(place), DOUBLE))

    def _unfit(self, *values: Value) -> Value:
        """Whether any lane of any is not finite: a scalar."""
        lanes, found = self.lanes, None
        for value in values:
            odd = lanes.is_nan(lanes.sub(value, value))
            found = odd if found is None else lanes.either(found, odd)
        return lanes.any(found)

    def _penalty(self, share: Value, parameter: Callable[[int], Value]) -> list[Value]:
        """Value and derivatives of the penalty, times its share; nothing where there is none."""
        penalty = self.steps.penalty
        if penalty is None:
            return []
        names = {name: parameter(j) for j, name in enumerate(penalty.layout.flat)}
        outputs = [penalty.node, *penalty.slopes]
        values = evaluated(self.lanes, penalty.graph, outputs, names)
        return [self.lanes.mul(share, values[node]) for node in outputs]
