"""Steps of gradient descent on single rows, four at a time: theta waits for four rows, and not for each.

Where the parameters enter a formula by one product x·theta, a row adds a multiple of itself to them. What the next rows
find then follows from inner products of rows alone,

    x_k·(theta + Σ c_i x_i) = x_k·theta + Σ c_i (x_i·x_k),   i < k,

which need no theta: what goes from step to step is a number, and not a vector that is to be multiplied and summed. The
products differ from those of steps one by one by rounding, 1e-16 of their terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llvmlite import ir

from ..formula.objective import RowSums
from ..formula.program import UpdateRule
from .control import Steps
from .emission import Kind, integer
from .held import AHEAD, HeldLoop, along
from .lanes import WIDTH, Value

ROWS = 4  # taken at a time: they begin at a multiple of it, wherever a run is cut into pieces


class LookaheadLoop(HeldLoop):
    """A held loop that goes four steps ahead where there are four, and else makes them one by one."""

    @staticmethod
    def fits(steps: Steps, kinds: Mapping[str, Kind]) -> bool:
        """Whether this is plain descent on single rows, all alive, with all parameters in one product."""
        rows = steps.rows
        if rows is None or not steps.single or not HeldLoop.fits(steps, kinds):
            return False
        if steps.screened or steps.bounded or steps.penalty is not None or steps.reduce == "rmse":
            return False
        products = [rows.graph.arguments(n) for n in _products(rows)]
        multiples = [[matrix for _, matrix in item.terms] for item in rows.sums[1:]]
        alone = len(rows.layout.slices) == 1 == len(products) and multiples == [[matrix] for matrix, _ in products]
        return alone and products[0][0] in along(rows, kinds) and _descends(steps.rule)

    def _ahead(self, head: ir.Block, carried: Sequence[Value], end: Value) -> None:
        builder = self.builder
        row, step, *theta = carried
        several, fine, singly = (builder.append_basic_block(name) for name in ("several", "fine", "singly"))
        after, number = (builder.add(at, integer(ROWS)) for at in (row, step))
        odd = builder.and_(builder.or_(row, builder.sub(step, self.first_step)), integer(ROWS - 1))
        there = builder.and_(builder.icmp_signed("<=", after, end), builder.icmp_signed("<", number, self.limit))
        builder.cbranch(builder.and_(there, builder.icmp_signed("==", odd, integer(0))), several, singly)
        builder.position_at_end(several)
        new, whole = self._several(row, step, theta)
        builder.cbranch(whole, fine, singly)
        builder.position_at_end(fine)
        self._enter(carried, [after, number, *new], fine)
        builder.branch(head)
        builder.position_at_end(singly)

    def _several(self, row: Value, step: Value, theta: list[Value]) -> tuple[list[Value], Value]:
        """theta after ROWS steps, and whether it and the rates are finite: a scalar."""
        builder, lanes, rows = self.builder, self.lanes, self.rows
        ((item, _),) = self.lengthwise
        ((node, matrix),) = item.terms
        (product,) = _products(self.spec)
        assert matrix is not None
        places = [builder.add(row, integer(k)) for k in range(ROWS)]
        for i in places if self.steps.ordered else ():
            rows.prefetch(builder.add(i, integer(AHEAD)))
        x = [rows.lengthwise(matrix, i) for i in places]
        pairs = [(i, k) for k in range(ROWS) for i in range(k)]
        inner = [rows.inner(a, theta) for a in x] + [rows.inner(x[i], x[k]) for i, k in pairs]
        together = lanes.totals(inner[1 : 1 + WIDTH])
        sums = [lanes.total(inner[0]), *(lanes.spread(together, k) for k in range(WIDTH))]
        sums += [lanes.total(vector) for vector in inner[1 + WIDTH :]]
        between = dict(zip(pairs, sums[ROWS:], strict=True))
        factor, scale = self._multiples(integer(1))
        rates, whole = self._rates(step)
        moves: list[Value] = []
        for k, i in enumerate(places):
            at = sums[k]
            for earlier, move in enumerate(moves):
                at = lanes.fma(move, between[earlier, k], at)
            values = rows.single(i, {matrix: [x[k]], product: at})
            slope = rows.number(values[node])
            moves.append(lanes.mul(slope, lanes.neg(lanes.mul(rates[k], lanes.mul(factor, scale)))))
            theta = [lanes.fma(moves[k], part, was) for part, was in zip(x[k], theta, strict=True)]
            if self.steps.kept or k == ROWS - 1:
                total = self._plus(lanes.number(0.0), self.sums[0], 0, values, None)
                loss, gradient = self._reduced(integer(1), total, [lanes.mul(slope, part) for part in x[k]])
                self._note(builder.add(step, integer(k)), loss, gradient, theta)
        return theta, builder.and_(whole, builder.not_(self._unfit(*theta)))

    def _rates(self, step: Value) -> tuple[list[Value], Value]:
        """The rates of ROWS steps, and whether all are fit."""
        if self.steps.rule.schedule is None:
            return [self.names["rate"]] * ROWS, ir.Constant(ir.IntType(1), 1)
        builder = self.builder
        place = self._timetable(builder.add(step, integer(1)))
        rates = [self._of_step(builder.add(place, integer(k)))[-1] for k in range(ROWS)]
        fit = self._fit(rates[0])
        for rate in rates[1:]:
            fit = builder.and_(fit, self._fit(rate))
        return [self.lanes.splat(rate) for rate in rates], fit


def _products(rows: RowSums) -> list[int]:
    """The products of a matrix with parameters."""
    return [n for n in rows.graph.reachable(rows.outputs) if rows.graph.nodes[n][0] == "@"]


def _descends(rule: UpdateRule) -> bool:
    """Whether a rule is theta - rate*g."""
    graph = rule.graph
    op, *args = graph.nodes[rule.theta]
    if rule.state or op != "-" or graph.nodes[args[0]] != ("name", "theta") or graph.nodes[args[1]][0] != "*":
        return False
    return {graph.nodes[n] for n in graph.arguments(args[1])} == {("name", "rate"), ("name", "g")}
