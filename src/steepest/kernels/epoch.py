"""Steps of a first-order method as one loop of machine code: rows, gradient and update rule together.

Every step sums loss and gradient over its batch as a pass does (`loops.py`), adds the penalty, reduces, and applies the
rule to all parameters, eight at a time. Where the loss is a quadratic whose sums (S, g, H) are known, the gradient
comes from these instead, and no row is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from llvmlite import ir

from ..data.source import TILE
from ..formula.objective import RowSums
from .control import (
    ALL_ROWS,
    AT_GRADIENT,
    AT_LOSS,
    BATCH,
    END,
    EPOCH,
    GOING,
    GRADIENT,
    LIMIT,
    LIMITED,
    LOSS,
    NOT_FINITE,
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
from .emission import POINTER, Kind, Memory, evaluated, integer, repeat
from .held import HeldLoop
from .lanes import DOUBLE, INTEGER, INTEGERS, WIDTH, Lanes, Value
from .lookahead import LookaheadLoop
from .loops import SumsLoop


def steps_loop(steps: Steps, kinds: Mapping[str, Kind]) -> str:
    """IR of `run(frame, scratch, control)`."""
    if steps.apart:
        return _UpdateLoop(steps).text()
    if steps.rows is None:
        return _QuadraticLoop(steps).text()
    loop = next((loop for loop in (LookaheadLoop, HeldLoop) if loop.fits(steps, kinds)), _RowsLoop)
    return loop(steps, steps.rows, kinds).text()


class _Step(Controlled):
    """What follows the sums: penalty, reduction, records, tests, rule."""

    totals: Value

    def begin(self, head: ir.Block) -> None:
        """Enter: at the first step, or in the middle of one that a limit had cut in two, before its update."""
        builder = self.builder
        self.advance = builder.append_basic_block("advance")
        if self.steps.whole:
            cut = builder.icmp_signed("==", self._control(STATUS), integer(LIMITED))
            builder.cbranch(cut, self.advance, head)
        else:
            builder.branch(head)

    def finish(self, used: Value, stop: ir.Block) -> None:
        """From the sums in `totals` to the next theta; leaves for `stop` where the run ends, else goes on."""
        builder, lanes = self.builder, self.lanes
        loss = self._reduced(used)
        norm = self._norm()
        builder.store(loss, self.memory.at(self.control, integer(VALUE), INTEGER), align=8)
        if self.steps.whole:
            self._record(loss, norm)
            self._leave(self._unfit(lanes.splat(loss), lanes.splat(norm)), NOT_FINITE, stop)
            self._leave(builder.fcmp_ordered("<", norm, self._control(GRADIENT, DOUBLE)), AT_GRADIENT, stop)
            target = self._control(LOSS, DOUBLE)
            self._leave(builder.fcmp_ordered("<=" if self.steps.sign > 0 else ">=", loss, target), AT_LOSS, stop)
            self._leave(builder.icmp_signed(">=", self._control(STEP), self._control(LIMIT)), LIMITED, stop)
        builder.branch(self.advance)
        builder.position_at_end(self.advance)
        self._set(STEP, builder.add(self._control(STEP), integer(1)))  # the number of the update that is made now
        self._update(self._splat(VALUE), stop)
        if not self.steps.whole:  # never entered in the middle: loss and norm are those of above
            self._record(loss, norm)
            self._leave(builder.icmp_signed(">=", self._control(STEP), self._control(LIMIT)), LIMITED, stop)

    def _leave(self, condition: Value, status: int, stop: ir.Block) -> None:
        out, on = (self.builder.append_basic_block(name) for name in ("leave", "on"))
        self.builder.cbranch(condition, out, on)
        self.builder.position_at_end(out)
        self._set(STATUS, integer(status))
        self.builder.branch(stop)
        self.builder.position_at_end(on)

    def _record(self, loss: Value, norm: Value) -> None:
        """Loss and gradient norm of a step, and theta where it is asked for."""
        builder, memory = self.builder, self.memory
        count, wide = self._control(RECORDED), self._control(WIDE)
        line = memory.at(self._control(RECORDS, POINTER), builder.mul(count, wide))
        builder.store(loss, line, align=8)
        builder.store(norm, memory.at(line, integer(1)), align=8)
        theta = self._vector(0)

        def copy(j: Value, _: list[Value]) -> Sequence[Value]:
            value = builder.load(memory.at(theta, j), typ=DOUBLE, align=8)
            builder.store(value, memory.at(line, builder.add(j, integer(2))), align=8)
            return ()

        repeat(builder, integer(0), builder.sub(wide, integer(2)), 1, [], copy)
        self._set(RECORDED, builder.add(count, integer(1)))

    def _reduced(self, used: Value) -> Value:
        """Loss (a scalar, given back) and gradient (into memory) of the reduced objective; `used` rows of the batch."""
        builder, lanes, memory, steps = self.builder, self.lanes, self.memory, self.steps
        one = lanes.number(1.0)
        share = lanes.div(lanes.splat(builder.sitofp(used, DOUBLE)), self._splat(ALL_ROWS))
        factor = one if steps.reduce == "sum" else lanes.div(one, share)
        scale = one if steps.reduce == "sum" else lanes.div(one, self._splat(WEIGHT))
        total = lanes.mul(lanes.splat(builder.load(self.totals, typ=DOUBLE, align=8)), factor)
        theta = self._vector(0)

        def parameter(j: int) -> Value:
            return lanes.splat(builder.load(memory.at(theta, integer(j)), typ=DOUBLE, align=8))

        penalty = self._penalty(share if steps.reduce == "sum" else one, parameter)
        if penalty:
            total = lanes.add(total, penalty[0])
        if steps.reduce == "rmse":
            loss = lanes.sqrt(lanes.div(lanes.mul(lanes.number(2.0), total), self._splat(WEIGHT)))
            below = lanes.mul(self._splat(WEIGHT), loss)
        else:
            loss = lanes.mul(total, scale)
        gradient = self._vector(1)
        for j in range(len(penalty) - 1):  # into the sums, element by element
            place = memory.at(self.totals, integer(1 + j))
            value = lanes.mul(lanes.splat(builder.load(place, typ=DOUBLE, align=8)), factor)
            builder.store(self._scalar(lanes.add(value, penalty[1 + j])), place, align=8)

        def slope(j: Value, _: list[Value]) -> Sequence[Value]:
            value = memory.load(self.totals, builder.add(j, integer(1)))
            if not penalty:
                value = lanes.mul(value, factor)
            if steps.reduce == "rmse":
                value = lanes.div(value, below)
                value = lanes.select(lanes.compare(">", loss, lanes.number(0.0)), value, lanes.number(0.0))
            else:
                value = lanes.mul(value, scale)
            memory.store(lanes.select(self._real(j), value, lanes.number(0.0)), gradient, j)
            return ()

        repeat(builder, integer(0), integer(steps.padded), WIDTH, [], slope)
        return self._scalar(loss if steps.sign > 0 else lanes.neg(loss))

    def _norm(self) -> Value:
        """The Euclidean norm of the gradient, a scalar."""
        gradient = self._vector(1)

        def square(j: Value, held: list[Value]) -> Sequence[Value]:
            value = self.memory.load(gradient, j)
            return [self.lanes.fma(value, value, held[0])]

        zero = self.lanes.number(0.0)
        total = repeat(self.builder, integer(0), integer(self.steps.padded), WIDTH, [zero], square)[0]
        return self._scalar(self.lanes.sqrt(self.lanes.splat(self._across(total))))

    def _real(self, j: Value) -> Value:
        """Which of eight parameters there are."""
        builder = self.builder
        lane = ir.Constant(INTEGERS, [ir.Constant(INTEGER, k) for k in range(WIDTH)])
        left = builder.sub(integer(self.steps.size), j)
        one = builder.insert_element(ir.Constant(INTEGERS, ir.Undefined), left, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
        return builder.icmp_signed("<", lane, builder.shuffle_vector(one, ir.Constant(INTEGERS, ir.Undefined), zeros))

    def _update(self, loss: Value, stop: ir.Block) -> None:
        """The rule, eight parameters at a time; theta changes only where all of it stays finite."""
        builder, lanes, memory, rule = self.builder, self.lanes, self.memory, self.steps.rule
        names = {name: lanes.number(value) for name, value in rule.numbers}
        step = self._count(STEP)
        passed = lanes.sub(step, lanes.number(1.0)) if self.steps.whole else self._count(EPOCH)
        names |= {"step": step, "epoch": passed, "loss": loss}
        if rule.schedule is None:
            names["rate"] = self._splat(RATE)
        else:
            graph, node = rule.schedule
            names["rate"] = evaluated(lanes, graph, [node], names)[node]
            fit = lanes.both(lanes.compare(">=", names["rate"], lanes.number(0.0)),
                             lanes.compare("<", names["rate"], lanes.number(float("inf"))))  # fmt: skip
            self._leave(lanes.any(lanes.not_(fit)), RATE_UNFIT, stop)
        outputs = [rule.theta, *(node for _, node in rule.state)]
        known = evaluated(lanes, rule.graph, outputs, names)  # what is the same for all parameters
        state = [self._vector(5 + k) for k in range(len(rule.state))]
        trial, theta = self._vector(4), self._vector(self.steps.scaling if self.steps.scaled else 0)
        slope = self._scaled_slope() if self.steps.scaled else lambda j: memory.load(self._vector(1), j)

        def eight(j: Value, held: list[Value]) -> Sequence[Value]:
            here = {"theta": memory.load(theta, j), "g": slope(j)}
            here |= {name: memory.load(place, j) for (name, _), place in zip(rule.state, state, strict=True)}
            values = evaluated(lanes, rule.graph, outputs, {**names, **here}, known)
            real = self._real(j)
            for node, place in zip(outputs, [trial, *state], strict=True):
                memory.store(lanes.select(real, values[node], lanes.number(0.0)), place, j)
            value = memory.load(trial, j)
            return [lanes.either(held[0], lanes.is_nan(lanes.sub(value, value)))]

        odd = repeat(builder, integer(0), integer(self.steps.padded), WIDTH, [lanes.truth(False)], eight)[0]
        if self.steps.scaled:
            odd = self._outward(odd)
        self._leave(lanes.any(odd), PARAMETERS_NOT_FINITE, stop)
        proposal = self._vector(self.steps.scaling + 3) if self.steps.scaled else trial

        def keep(j: Value, _: list[Value]) -> Sequence[Value]:
            value = memory.load(proposal, j)
            low, high = memory.load(self._vector(2), j), memory.load(self._vector(3), j)
            inside = lanes.select(lanes.compare("<", value, low), low, value)
            inside = lanes.select(lanes.compare(">", inside, high), high, inside)
            memory.store(inside, self._vector(0), j)
            if self.steps.scaled:  # phi follows where a bound has moved theta: nothing is centred there
                unit = memory.load(self._vector(self.steps.scaling + 1), j)
                back = lanes.div(inside, unit)
                phi = lanes.select(lanes.compare("==", inside, value), memory.load(trial, j), back)
                memory.store(phi, theta, j)
            return ()

        repeat(builder, integer(0), integer(self.steps.padded), WIDTH, [], keep)

    def _scaled_slope(self) -> Callable[[Value], Value]:
        """Aᵀg, eight parameters at a time, as in `scaling.Scaling`."""
        lanes, memory, centre = self.lanes, self.memory, self.steps.centre
        gradient, unit, mean = (self._vector(k) for k in (1, self.steps.scaling + 1, self.steps.scaling + 2))
        middle = None
        if centre is not None:
            middle = lanes.splat(self.builder.load(memory.at(gradient, integer(centre)), typ=DOUBLE, align=8))

        def slope(j: Value) -> Value:
            value = memory.load(gradient, j)
            if middle is not None:
                value = lanes.sub(value, lanes.mul(memory.load(mean, j), middle))
            return lanes.mul(memory.load(unit, j), value)

        return slope

    def _outward(self, odd: Value) -> Value:
        """The theta of the trial, A phi; whether it, too, is not finite somewhere."""
        builder, lanes, memory, centre = self.builder, self.lanes, self.memory, self.steps.centre
        trial, unit, mean, proposal = (self._vector(k) for k in (4, *(self.steps.scaling + i for i in (1, 2, 3))))

        def eight(j: Value, held: list[Value]) -> Sequence[Value]:
            value = lanes.mul(memory.load(unit, j), memory.load(trial, j))
            memory.store(value, proposal, j)
            odd, shift = held
            odd = lanes.either(odd, lanes.is_nan(lanes.sub(value, value)))
            return [odd, lanes.add(shift, lanes.mul(memory.load(mean, j), value))]

        begun = [odd, lanes.number(0.0)]
        odd, shift = repeat(builder, integer(0), integer(self.steps.padded), WIDTH, begun, eight)
        if centre is not None:
            place = memory.at(proposal, integer(centre))
            value = builder.fsub(builder.load(place, typ=DOUBLE, align=8), self._across(shift))
            builder.store(value, place, align=8)
            odd = lanes.either(odd, lanes.is_nan(lanes.splat(builder.fsub(value, value))))
        return odd

    def _across(self, vector: Value) -> Value:
        """The sum of eight lanes, a scalar."""
        parts = [self.builder.extract_element(vector, ir.Constant(ir.IntType(32), k)) for k in range(WIDTH)]
        while len(parts) > 1:
            parts = [self.builder.fadd(a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]


class _RowsLoop(SumsLoop, _Step):
    """Steps over the rows of a window."""

    def __init__(self, steps: Steps, rows: RowSums, kinds: Mapping[str, Kind]) -> None:
        self.steps = steps
        super().__init__(rows, kinds, control=True, ordered=steps.ordered)

    def text(self) -> str:
        """Batch after batch until the window, or the number of steps, ends."""
        builder = self.builder
        self.totals = self.out
        self.clean = builder.icmp_unsigned("==", self.rows.live_stride, integer(0))
        head, work, stop = (builder.append_basic_block(name) for name in ("batch", "work", "stop"))
        if self.steps.ordered:
            self._set(ORDER, self.rows.sweep(self._control(ROW), self._control(END)))
        self.begin(head)
        builder.position_at_end(head)
        first = self._control(ROW)
        if self.steps.whole:
            builder.branch(work)
        else:
            builder.cbranch(builder.icmp_signed("<", first, self._control(END)), work, stop)
        builder.position_at_end(work)
        end = self._least(builder.add(first, self._control(BATCH)), self._control(END))
        self._set(ROW, integer(0) if self.steps.whole else end)
        used = self._used(first, end)
        some = builder.append_basic_block("some")
        builder.cbranch(builder.icmp_signed(">", used, integer(0)), some, head)  # no live row: no step
        builder.position_at_end(some)
        self.rows.begin()
        self._sum(first, end)
        self.finish(used, stop)
        builder.branch(head)
        builder.position_at_end(stop)
        builder.ret_void()
        return str(self.module)

    def _used(self, first: Value, end: Value) -> Value:
        """Live rows of a batch."""
        builder, rows = self.builder, self.rows
        stop = builder.select(self.clean, first, end)

        def count(i: Value, held: list[Value]) -> Sequence[Value]:
            row = i
            if rows.order is not None:
                row = builder.load(self.memory.at(rows.order, i, INTEGER), typ=INTEGER, align=8)
            flag = builder.load(self.memory.at(rows.live, row, ir.IntType(8)), typ=ir.IntType(8), align=1)
            return [builder.add(held[0], builder.zext(flag, INTEGER))]

        found = repeat(builder, first, stop, 1, [integer(0)], count)[0]
        return builder.select(self.clean, builder.sub(end, first), found)

    def _sum(self, first: Value, end: Value) -> None:
        """The sums of a batch, on a grid of tiles that begins with it."""
        builder, size = self.builder, self.shape.size

        def clear(j: Value, _: list[Value]) -> Sequence[Value]:
            self.memory.store(self.lanes.number(0.0), self.totals, j)
            return ()

        repeat(builder, integer(0), integer(size), WIDTH, [], clear)

        def tile(start: Value, _: list[Value]) -> Sequence[Value]:
            stop = self._least(builder.add(start, integer(TILE)), end)
            (self._in_registers if self.shape.in_registers else self._in_memory)(integer(0), start, stop)
            return ()

        repeat(builder, first, end, TILE, [], tile)

    def _add_lanes(self, number: Value) -> None:
        """The sums of a tile, eight at a time turned over, added to those of the batch in the order of a pass."""
        builder, lanes = self.builder, self.lanes

        def eight(j: Value, _: list[Value]) -> Sequence[Value]:
            rows = [self.memory.load(self.scratch, builder.mul(builder.add(j, integer(k)), integer(WIDTH)))
                    for k in range(WIDTH)]  # fmt: skip
            parts = self.rows.turned(rows)
            while len(parts) > 1:
                half = len(parts) // 2
                parts = [lanes.add(parts[k], parts[k + half]) for k in range(half)]
            self.memory.store(lanes.add(self.memory.load(self.totals, j), parts[0]), self.totals, j)
            return ()

        repeat(builder, integer(0), integer(self.shape.size), WIDTH, [], eight)


class _UpdateLoop(_Step):
    """All of a step but its sums: called with these at hand, it comes back, GOING, with the next theta.

    The frame holds the address of the sums.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.module = ir.Module("update")
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [POINTER] * 3), "run")
        self.frame, _, self.control = function.args
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.lanes, self.memory = Lanes(self.builder), Memory(self.builder)
        self.totals = self.memory.word(self.frame, 0, POINTER)

    def text(self) -> str:
        """What follows the sums, once."""
        builder = self.builder
        summed, stop = builder.append_basic_block("summed"), builder.append_basic_block("stop")
        self.begin(summed)
        builder.position_at_end(summed)
        self.finish(builder.fptosi(self._control(ALL_ROWS, DOUBLE), INTEGER), stop)
        self._set(STATUS, integer(GOING))
        builder.branch(stop)
        builder.position_at_end(stop)
        builder.ret_void()
        return str(self.module)


class _QuadraticLoop(_Step):
    """Steps on a quadratic: S + g·d + ½ d·H·d with d = theta - theta₀.

    The frame holds addresses: H (padded rows of `size`), g, theta₀, the place of S, and of the sums.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.module = ir.Module("quadratic")
        kinds = [POINTER] * 3
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), kinds), "run")
        self.frame, _, self.control = function.args
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.lanes, self.memory = Lanes(self.builder), Memory(self.builder)
        self.hessian, self.slope, self.centre, self.totals = (
            self.memory.word(self.frame, k, POINTER) for k in range(4)
        )

    def text(self) -> str:
        """Step after step until a test or the number of steps ends them."""
        builder = self.builder
        head, stop = builder.append_basic_block("step"), builder.append_basic_block("stop")
        self.begin(head)
        builder.position_at_end(head)
        self._sums()
        self.finish(self.builder.fptosi(self._control(ALL_ROWS, DOUBLE), INTEGER), stop)
        builder.branch(head)
        builder.position_at_end(stop)
        builder.ret_void()
        return str(self.module)

    def _sums(self) -> None:
        """Value and gradient of the quadratic at theta, as if rows had been summed."""
        builder, lanes, memory, padded = self.builder, self.lanes, self.memory, self.steps.padded
        theta, zero = self._vector(0), lanes.number(0.0)

        def eight(j: Value, held: list[Value]) -> Sequence[Value]:
            def add(k: Value, sums: list[Value]) -> Sequence[Value]:
                d = [builder.load(memory.at(place, k), typ=DOUBLE, align=8) for place in (theta, self.centre)]
                line = memory.load(self.hessian, builder.add(builder.mul(k, integer(padded)), j))
                return [lanes.fma(lanes.splat(builder.fsub(*d)), line, sums[0])]

            turned = repeat(builder, integer(0), integer(self.steps.size), 1, [zero], add)[0]
            slope = memory.load(self.slope, j)
            memory.store(lanes.add(slope, turned), self.totals, builder.add(j, integer(1)))
            d = lanes.sub(memory.load(theta, j), memory.load(self.centre, j))
            middle = lanes.fma(turned, lanes.number(0.5), slope)
            return [lanes.fma(d, middle, held[0])]

        total = repeat(builder, integer(0), integer(padded), WIDTH, [zero], eight)[0]
        start = self.memory.word(self.frame, 4, DOUBLE)
        builder.store(builder.fadd(start, self._across(total)), self.totals, align=8)
