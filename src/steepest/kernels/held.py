"""Steps on mini-batches with parameters and state in registers: what few parameters and small batches want.

A row of a matrix that lies in one piece is a vector over the parameters: its dot with theta, and what it adds to the
gradient, need no turning over. The scalar rest of the program runs once for eight rows; for one row in all lanes where
every row is a step and, if it is light, for rows that do not make up eight, or of which some are dead. The sums are
added in the order of a pass, but for dots along a row, whose products are added by halves: there a step is that of a
pass to 1e-15 of its terms, elsewhere to the last bit.

What a rule computes of `step` alone, as `beta1**step`, is computed for eight steps at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llvmlite import ir

from ..formula.objective import RowSums
from ..formula.program import LEAVES
from .control import (
    ALL_ROWS,
    BATCH,
    END,
    EPOCH,
    GOING,
    LIMIT,
    LIMITED,
    NORM,
    ORDER,
    PARAMETERS_NOT_FINITE,
    RATE,
    RATE_UNFIT,
    RECORDED,
    RECORDS,
    ROW,
    STATUS,
    STEP,
    VALUE,
    WEIGHT,
    WIDE,
    Controlled,
    Steps,
)  # fmt: skip
from .emission import UNROLLED, Kind, evaluated, integer, repeat
from .lanes import DOUBLE, INTEGER, INTEGERS, VECTOR, WIDTH, Value
from .loops import LARGE, REGISTERS, SumsLoop

MOST = 64  # parameters up to here are held
SIDES = 4  # sums of rows along their columns that do not wait for one another
LIGHT = LEAVES | {
    "+",
    "-",
    "*",
    "/",
    "neg",
    "@",
    "where",
    "abs",
    "sign",
    "min",
    "max",
    "<",
    "<=",
    ">",
    ">=",
    "==",
    "!=",
}
AHEAD = 16  # rows that are fetched before they are needed, where the order is a random one


def along(rows: RowSums, kinds: Mapping[str, Kind]) -> frozenset[int]:
    """The matrices whose rows lie in one piece and are only multiplied with parameters, or with a number of the row."""
    graph, names = rows.graph, set(rows.columns_used) - rows.layout.places.keys()
    found = set()
    for node in graph.reachable(rows.outputs):
        op, *args = graph.nodes[node]
        kind = kinds[args[0]] if op == "name" and args[0] in names else None
        if kind is not None and kind.width is not None and kind.number == "f8" and kind.along_columns:
            found.add(node)
        elif op != "@":
            found -= set(graph.arguments(node))
    mixed = {m for item in rows.sums for _, m in item.terms if not found.issuperset(m for _, m in item.terms)}
    return frozenset() if found & mixed else frozenset(found)


class HeldLoop(SumsLoop, Controlled):
    """Steps over the rows of a window; what a step leaves to the next one are the values of a phi."""

    def __init__(self, steps: Steps, rows: RowSums, kinds: Mapping[str, Kind]) -> None:
        self.steps, self.along = steps, along(rows, kinds)
        self.single: tuple[Value, Value] | None = None  # the multiples of one row, which are those of every step
        super().__init__(rows, kinds, control=True, ordered=steps.ordered, along=self.along)
        places = [slice(-1, 0), *rows.layout.slices.values()]  # that of the loss, which stands nowhere, is unused
        items = list(zip(rows.sums, places, strict=True))
        nodes = [rows.graph.nodes[n] for n in rows.graph.reachable(rows.outputs)]
        self.light = all(op in LIGHT or (op == "**" and rows.graph.value(args[1]) == 2) for op, *args in nodes)
        self.lengthwise = [(item, place) for item, place in items if item.terms[0][1] in self.along]
        self.crosswise = [(item, place) for item, place in items if item.terms[0][1] not in self.along]

    @staticmethod
    def fits(steps: Steps, kinds: Mapping[str, Kind]) -> bool:
        """Whether registers hold what this loop keeps there."""
        if not steps.small or steps.scaled or steps.rows is None or steps.size > MOST:
            return False
        rows, taken = steps.rows, along(steps.rows, kinds)
        wide = {
            node for node in rows.graph.reachable(rows.outputs)
            if rows.graph.nodes[node][0] == "name" and node not in taken
            and (kind := kinds.get(rows.graph.nodes[node][1])) is not None and (kind.width or 0) > UNROLLED
        }  # fmt: skip
        sums = sum(item.width for item in rows.sums if item.terms[0][1] not in taken)
        return not wide and sums <= REGISTERS and len(rows.graph.reachable(rows.outputs)) <= LARGE

    # the loop ------------------------------------------------------------------------------------------------
    def text(self) -> str:
        """Batch after batch until the window, or the number of steps, ends."""
        builder, steps = self.builder, self.steps
        vectors = range(0, steps.padded, WIDTH)
        held = [self.memory.load(self._vector(k), integer(j)) for k in self._held_places for j in vectors]
        self.first_step, end = self._control(STEP), self._control(END)
        self.batch = integer(1) if steps.single else self._control(BATCH)
        self.limit = self._control(LIMIT)
        self.bounds = [[self.memory.load(self._vector(k), integer(j)) for j in vectors] for k in (2, 3)]
        self._prepare()
        self.single = self._multiples(integer(1)) if steps.single else None
        begun = self._control(ROW)
        if steps.ordered:
            self._set(ORDER, self.rows.sweep(begun, end))
        self.stop, head, work = (builder.append_basic_block(name) for name in ("stop", "batch", "work"))
        self.leaving: list[tuple[ir.Block, list[Value]]] = []
        before = builder.block
        builder.branch(head)
        builder.position_at_end(head)
        row, step, *rest = carried = [builder.phi(v.type) for v in (begun, self.first_step, *held)]
        self._enter(carried, [begun, self.first_step, *held], before)
        self._to_stop(builder.icmp_signed("<", row, end), work, [integer(GOING), row, step, step, *rest])
        builder.position_at_end(work)
        self._ahead(head, carried, end)
        following = builder.add(row, self.batch)
        following = following if steps.single else self._least(following, end)
        used = self._used(row, following)
        if steps.screened:  # a batch without a live row makes no step
            some = builder.append_basic_block("some")
            builder.cbranch(builder.icmp_signed(">", used, integer(0)), some, head)
            self._enter(carried, [following, step, *rest], builder.block)
            builder.position_at_end(some)
        size = len(vectors)
        theta, state = rest[:size], [rest[k : k + size] for k in range(size, len(rest), size)]
        self.rows.held = theta
        self.rows.begin()
        loss, gradient = self._reduced(used, *self._sums(row, following))
        number = builder.add(step, integer(1))
        new = self._updated(number, loss, gradient, theta, state, [following, number, step, *rest])
        self._note(step, loss, gradient, new[:size])
        there = builder.icmp_signed("<", number, self.limit)
        on = builder.append_basic_block("on")
        self._to_stop(there, on, [integer(LIMITED), following, number, number, *new])
        builder.position_at_end(on)
        self._enter(carried, [following, number, *new], on)
        builder.branch(head)
        self._finish()
        return str(self.module)

    def _ahead(self, head: ir.Block, carried: list[Value], end: Value) -> None:
        """Where several steps can be made at once: make them, and go back to the head."""

    @property
    def _held_places(self) -> list[int]:
        """The vectors in memory of what is held: theta, and each state."""
        return [0, *range(5, 5 + len(self.steps.rule.state))]

    def _enter(self, phis: Sequence[Value], values: Sequence[Value], block: ir.Block) -> None:
        for phi, value in zip(phis, values, strict=True):
            phi.add_incoming(value, block)

    def _to_stop(self, going: Value, on: ir.Block, values: list[Value]) -> None:
        """Go on, or stop with these: status, row, the number of the step, of those that are made, theta and state."""
        self.leaving.append((self.builder.block, values))
        self.builder.cbranch(going, on, self.stop)

    def _finish(self) -> None:
        """What the memory is to hold at the end."""
        builder = self.builder
        builder.position_at_end(self.stop)
        phis = [builder.phi(v.type) for v in self.leaving[0][1]]
        for block, values in self.leaving:
            self._enter(phis, values, block)
        for place, value in zip((STATUS, ROW, STEP), phis, strict=False):
            self._set(place, value)
        self._set(RECORDED, builder.sub(phis[3], self.first_step))
        vectors = range(0, self.steps.padded, WIDTH)
        at = [(k, j) for k in self._held_places for j in vectors]
        for (k, j), value in zip(at, phis[4:], strict=True):
            self.memory.store(value, self._vector(k), integer(j))
        self._set(NORM, self._norm([self.memory.load(self._vector(1), integer(j)) for j in vectors]))
        builder.ret_void()

    def _note(self, step: Value, loss: Value, gradient: list[Value], theta: list[Value]) -> None:
        """Loss, gradient, and where every step is kept theta of a step that is made."""
        builder, memory = self.builder, self.memory
        if not self.steps.kept:
            builder.store(self._scalar(loss), memory.at(self.control, integer(VALUE), INTEGER), align=8)
            for j, value in enumerate(gradient):
                memory.store(value, self._vector(1), integer(WIDTH * j))
            return
        line = memory.at(self.records, builder.mul(builder.sub(step, self.first_step), self.wide))
        builder.store(self._scalar(loss), line, align=8)
        builder.store(self._norm(gradient), memory.at(line, integer(1)), align=8)
        for j, value in enumerate(theta):
            memory.store(value, line, integer(2 + WIDTH * j))

    def _norm(self, gradient: list[Value]) -> Value:
        total = self.lanes.number(0.0)
        for value in gradient:
            total = self.lanes.fma(value, value, total)
        return self._scalar(self.lanes.sqrt(self.lanes.total(total)))

    # sums ----------------------------------------------------------------------------------------------------
    def _used(self, first: Value, end: Value) -> Value:
        """Live rows of a batch."""
        builder = self.builder
        if not self.steps.screened:
            return builder.sub(end, first)

        def count(i: Value, held: list[Value]) -> Sequence[Value]:
            return [builder.add(held[0], builder.zext(self.rows.live_at(i), INTEGER))]

        return repeat(builder, first, end, 1, [integer(0)], count)[0]

    def _sums(self, first: Value, end: Value) -> tuple[Value, list[Value]]:
        """Sums of loss, in every lane, and of the gradient, over a batch."""
        zero = self.lanes.number(0.0)
        self.sides = 1 if self.steps.single else SIDES
        crosswise = sum(item.width for item, _ in self.crosswise)
        lengthwise = sum(-(-item.width // WIDTH) for item, _ in self.lengthwise)
        sums = [zero] * (crosswise + self.sides * lengthwise)
        if self.steps.single:
            sums = self._one(first, None, sums)
        else:
            sums = repeat(self.builder, first, end, WIDTH, sums, lambda i, held: self._some(i, end, held))
        return self._gathered(sums[:crosswise], sums[crosswise:])

    def _some(self, i: Value, end: Value, held: list[Value]) -> list[Value]:
        """Add eight rows, or those of them that are before the end and alive."""
        builder = self.builder
        whole = builder.icmp_signed("<=", builder.add(i, integer(WIDTH)), end)
        every, some, after = (builder.append_basic_block(name) for name in ("every", "some", "after"))
        if self.steps.screened:
            whole = builder.and_(whole, self.lanes.all(self.rows.mask(i, end)))
        builder.cbranch(whole, every, some)
        builder.position_at_end(every)
        results = [(self._eight(i, None, held), builder.block)]
        builder.branch(after)
        builder.position_at_end(some)
        fewer = self._singly(i, end, held) if self.light else self._eight(i, self.rows.mask(i, end), held)
        results.append((fewer, builder.block))
        builder.branch(after)
        builder.position_at_end(after)
        return self._met(results)

    def _singly(self, start: Value, end: Value, held: list[Value]) -> list[Value]:
        """Add the live ones of up to eight rows, one after the other."""
        builder = self.builder
        lane = ir.Constant(INTEGERS, [ir.Constant(INTEGER, k) for k in range(WIDTH)])

        def row(i: Value, sums: list[Value]) -> Sequence[Value]:
            mask = self.lanes.same(lane, builder.sub(i, start))
            if not self.steps.screened:
                return self._one(i, mask, sums)
            alive, on, before = builder.append_basic_block("alive"), builder.append_basic_block("on"), builder.block
            builder.cbranch(self.rows.live_at(i), alive, on)
            builder.position_at_end(alive)
            new, inside = self._one(i, mask, sums), builder.block
            builder.branch(on)
            builder.position_at_end(on)
            return self._met([(list(sums), before), (new, inside)])

        return repeat(builder, start, self._least(builder.add(start, integer(WIDTH)), end), 1, held, row)

    def _met(self, results: Sequence[tuple[list[Value], ir.Block]]) -> list[Value]:
        phis = [self.builder.phi(value.type) for value in results[0][0]]
        for values, block in results:
            self._enter(phis, values, block)
        return phis

    def _eight(self, i: Value, mask: Value | None, held: list[Value]) -> list[Value]:
        """Add eight rows: to lanes of their own, and along the parameters."""
        if self.steps.ordered:
            for k in range(WIDTH):
                self.rows.prefetch(self.builder.add(i, integer(AHEAD + k)))
        return self._added(self.rows.group(i, mask), mask, held)

    def _one(self, i: Value, mask: Value | None, held: list[Value]) -> list[Value]:
        """Add one row: to the lanes of the mask, and along the parameters."""
        if self.steps.ordered:
            self.rows.prefetch(self.builder.add(i, integer(AHEAD)))
        return self._added(self.rows.single(i), mask, held)

    def _added(self, values: Mapping[int, Any], mask: Value | None, held: list[Value]) -> list[Value]:
        lanes, new = self.lanes, list(held)
        at = 0
        for item, _ in self.crosswise:
            for j in range(item.width):
                new[at] = self._plus(new[at], item, j, values, mask)
                at += 1
        for item, _ in self.lengthwise:
            parts = -(-item.width // WIDTH)
            for node, matrix in item.terms:
                assert matrix is not None
                rows = values[matrix]
                factor = self._alive(self.rows.number(values[node]), mask if len(rows) > 1 else None)
                for k, row in enumerate(rows):
                    share = factor if len(rows) == 1 else lanes.spread(factor, k)
                    for j, x in enumerate(row):
                        place = at + k % self.sides * parts + j
                        new[place] = lanes.fma(share, x, new[place])
            at += self.sides * parts
        return new

    def _gathered(self, crosswise: list[Value], lengthwise: list[Value]) -> tuple[Value, list[Value]]:
        """The sums of lanes and of sides: the loss in every lane, and the gradient as theta stands."""
        lanes, size = self.lanes, self.steps.padded
        loss = crosswise[0] if self.steps.single else lanes.total(crosswise[0])
        slots: list[Value | None] = [None] * size
        at = 1
        for item, place in self.crosswise[1:]:
            slots[place] = crosswise[at : at + item.width]
            at += item.width
        gradient = []
        for j in range(0, size, WIDTH):
            eight = slots[j : j + WIDTH]
            if self.steps.single:
                total = lanes.number(0.0)
                for k, value in enumerate(eight):
                    total = total if value is None else lanes.select(lanes.where([k]), value, total)
                gradient.append(total)
            else:
                gradient.append(lanes.totals(eight))
        at = 0
        for item, place in self.lengthwise:
            parts = -(-item.width // WIDTH)
            sides = [lengthwise[at + k * parts : at + (k + 1) * parts] for k in range(self.sides)]
            at += self.sides * parts
            while len(sides) > 1:
                half = len(sides) // 2
                sides = [[lanes.add(a, b) for a, b in zip(sides[k], sides[k + half], strict=True)]
                         for k in range(half)]  # fmt: skip
            for j in range(place.start // WIDTH, -(-place.stop // WIDTH)):
                here = range(max(place.start - j * WIDTH, 0), min(place.stop - j * WIDTH, WIDTH))
                moved = lanes.window(sides[0], j * WIDTH - place.start)
                alone = len(here) == min(self.steps.size - j * WIDTH, WIDTH)
                gradient[j] = moved if alone else lanes.select(lanes.where(here), moved, gradient[j])
        return loss, gradient

    # reduction, rule -----------------------------------------------------------------------------------------
    def _reduced(self, used: Value, loss: Value, gradient: list[Value]) -> tuple[Value, list[Value]]:
        """Loss and gradient of the reduced objective; `used` rows of the batch."""
        lanes, steps = self.lanes, self.steps
        factor, scale = self._multiples(used)
        total = lanes.mul(loss, factor)
        gradient = [lanes.mul(value, factor) for value in gradient]
        share = self._share(used) if steps.reduce == "sum" else ir.Constant(DOUBLE, 1.0)
        penalty = self._penalty(lanes.splat(share), self.rows.parameter)
        if penalty:
            total = lanes.add(total, penalty[0])
            for j, slope in enumerate(penalty[1:]):
                place = lanes.where([j % WIDTH])
                here = gradient[j // WIDTH]
                gradient[j // WIDTH] = lanes.select(place, lanes.add(here, slope), here)
        if steps.reduce != "rmse":
            loss, gradient = lanes.mul(total, scale), [lanes.mul(value, scale) for value in gradient]
        else:
            weight, zero = self._splat(WEIGHT), lanes.number(0.0)
            loss = lanes.sqrt(lanes.div(lanes.mul(lanes.number(2.0), total), weight))
            below = lanes.mul(weight, loss)
            positive = lanes.compare(">", loss, zero)
            gradient = [lanes.select(positive, lanes.div(value, below), zero) for value in gradient]
        return loss if steps.sign > 0 else lanes.neg(loss), gradient

    def _share(self, used: Value) -> Value:
        """The share of all rows that a batch is."""
        return self.builder.fdiv(self.builder.sitofp(used, DOUBLE), self._control(ALL_ROWS, DOUBLE))

    def _multiples(self, used: Value) -> tuple[Value, Value]:
        """What turns the sums of a batch into those of all rows, and these into the reduced objective."""
        lanes, one = self.lanes, self.lanes.number(1.0)
        if self.steps.reduce == "sum":
            return one, one
        if self.single is not None:
            return self.single
        return lanes.div(one, lanes.splat(self._share(used))), lanes.div(one, self._splat(WEIGHT))

    def _prepare(self) -> None:
        """Before the first step: what the rule computes of numbers alone, and room for what it computes of `step`."""
        rule, lanes = self.steps.rule, self.lanes
        self.outputs = [rule.theta, *(node for _, node in rule.state)]
        self.names = {name: lanes.number(value) for name, value in rule.numbers} | {"epoch": self._count(EPOCH)}
        if rule.schedule is None:
            self.names["rate"] = self._splat(RATE)
        if self.steps.kept:
            self.records, self.wide = self._control(RECORDS, ir.PointerType()), self._control(WIDE)
        self.constant = evaluated(lanes, rule.graph, self.outputs, self.names)
        graph, changing = rule.graph, ["theta", "g", "loss", *(name for name, _ in rule.state)]
        nodes = graph.reachable(self.outputs)
        timed = {node for node in nodes if node not in self.constant and not graph.depends([node], changing)}
        users = {a for node in nodes if node not in timed for a in graph.arguments(node)}
        self.timed = [node for node in nodes if node in timed and (node in users or node in self.outputs)]
        self.table = None
        if self.timed or rule.schedule is not None:
            with self.builder.goto_entry_block():
                self.table = self.builder.alloca(VECTOR, size=len(self.timed) + 1)

    def _timetable(self, number: Value) -> Value:
        """Where the step stands among the eight for which is computed what the rule computes of `step` alone."""
        builder, lanes, rule = self.builder, self.lanes, self.steps.rule
        since = builder.sub(builder.sub(number, integer(1)), self.first_step)
        place = builder.and_(since, integer(WIDTH - 1))
        fill, filled = builder.append_basic_block("fill"), builder.append_basic_block("filled")
        builder.cbranch(builder.icmp_signed("==", place, integer(0)), fill, filled)
        builder.position_at_end(fill)
        counted = ir.Constant(VECTOR, [ir.Constant(DOUBLE, float(k)) for k in range(WIDTH)])
        names = dict(self.names) | {"step": lanes.add(lanes.splat(builder.sitofp(number, DOUBLE)), counted)}
        if rule.schedule is not None:
            graph, node = rule.schedule
            names["rate"] = evaluated(lanes, graph, [node], names)[node]
            self.memory.store(names["rate"], self.table, integer(WIDTH * len(self.timed)))
        values = evaluated(lanes, rule.graph, self.timed, names, self.constant)
        for k, node in enumerate(self.timed):
            self.memory.store(self.rows.number(values[node]), self.table, integer(WIDTH * k))
        builder.branch(filled)
        builder.position_at_end(filled)
        return place

    def _of_step(self, place: Value) -> list[Value]:
        """The numbers of one of the eight steps, last the rate where a schedule gives it."""
        return [self.builder.load(self.memory.at(self.table, self.builder.add(place, integer(WIDTH * k))), typ=DOUBLE,
                                  align=8)
                for k in range(len(self.timed) + (self.steps.rule.schedule is not None))]  # fmt: skip

    def _fit(self, rate: Value) -> Value:
        """Whether a rate is finite and not negative."""
        builder = self.builder
        return builder.and_(builder.fcmp_ordered(">=", rate, ir.Constant(DOUBLE, 0.0)),
                            builder.fcmp_ordered("<", rate, ir.Constant(DOUBLE, float("inf"))))  # fmt: skip

    def _updated(self, number: Value, loss: Value, gradient: list[Value], theta: list[Value],
                 state: list[list[Value]], failed: list[Value]) -> list[Value]:  # fmt: skip
        """theta and state by the rule; leaves with what there was where the rate or the new theta is unfit."""
        builder, lanes, rule = self.builder, self.lanes, self.steps.rule
        slots = self._of_step(self._timetable(number)) if self.table is not None else []
        known = {node: lanes.splat(slot) for node, slot in zip(self.timed, slots, strict=False)}
        if rule.schedule is not None:
            self._stop_unless(self._fit(slots[-1]), [integer(RATE_UNFIT), *failed])
        new: list[list[Value]] = [[] for _ in self.outputs]
        proposed = []
        for j, (here, slope) in enumerate(zip(theta, gradient, strict=True)):
            names = {**self.names, "loss": loss, "theta": here, "g": slope}
            names |= {name: one[j] for (name, _), one in zip(rule.state, state, strict=True)}
            values = evaluated(lanes, rule.graph, self.outputs, names, {**self.constant, **known})
            there = [self.rows.number(values[node]) for node in self.outputs]
            left = self.steps.size - WIDTH * j
            if left < WIDTH:  # the lanes of no parameter
                there[0] = lanes.select(lanes.where(range(left)), there[0], lanes.number(0.0))
            proposed.append(there[0])
            if self.steps.bounded:
                low, high = (bound[j] for bound in self.bounds)
                there[0] = lanes.select(lanes.compare("<", there[0], low), low, there[0])
                there[0] = lanes.select(lanes.compare(">", there[0], high), high, there[0])
            for values_of, value in zip(new, there, strict=True):
                values_of.append(value)
        self._stop_unless(builder.not_(self._unfit(*proposed)), [integer(PARAMETERS_NOT_FINITE), *failed])
        return [value for values_of in new for value in values_of]

    def _stop_unless(self, fine: Value, values: list[Value]) -> None:
        on = self.builder.append_basic_block("fine")
        self._to_stop(fine, on, values)
        self.builder.position_at_end(on)
