"""Row expressions -> instructions, for eight rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from ..data.source import TILE
from ..formula.objective import Layout
from ..formula.program import LEAVES, Graph
from ..types import Array
from .lanes import DOUBLE, INTEGER, INTEGERS, MASK, VECTOR, WIDTH, Lanes, Value
from .power import power, power_and_log
from .trigonometry import sincos
from .vectormath import EMITTERS

UNROLLED = 16  # columns of a matrix up to here are values of their own; more are looped over

LINE = 64  # bytes of a line of the cache

BYTE = ir.IntType(8)
POINTER = ir.PointerType()
BYTES = ir.VectorType(BYTE, WIDTH)

#: the words of a frame, before a pointer and two strides (bytes: between rows, between columns) for each column
THETA, OUT, ROWS, LIVE, LIVE_STRIDE, COUNTER, FIRST, TILES, CHUNK, COLUMNS = range(10)

#: what a column may hold: its LLVM type, and how it becomes a double
NUMBERS: dict[str, tuple[ir.Type, str]] = {
    "f8": (DOUBLE, ""), "f4": (ir.FloatType(), "fpext"),
    "i8": (ir.IntType(64), "sitofp"), "i4": (ir.IntType(32), "sitofp"), "i2": (ir.IntType(16), "sitofp"),
    "i1": (BYTE, "sitofp"), "u8": (ir.IntType(64), "uitofp"), "u4": (ir.IntType(32), "uitofp"),
    "u2": (ir.IntType(16), "uitofp"), "u1": (BYTE, "uitofp"), "b1": (BYTE, "uitofp"),
}  # fmt: skip
CONDITIONS = frozenset(("and", "or", "not"))


@dataclass(frozen=True)
class Kind:
    """How a column lies in memory: its numbers, its width (None: one a row), and what is contiguous in it."""

    number: str
    width: int | None
    along_rows: bool  # the next row is the next number
    along_columns: bool = False  # the next column is the next number

    @staticmethod
    def of(column: Array) -> Kind:
        """The kind of an array (rows,) or (rows, q)."""
        size = column.itemsize
        width = None if column.ndim == 1 else column.shape[1]
        return Kind(column.dtype.str[1:], width, column.strides[0] == size, column.strides[-1] == size)


def without_native_form(graph: Graph, nodes: Sequence[int]) -> list[str]:
    """The functions that have no emitter."""
    used = {graph.nodes[n][0] for n in graph.reachable(nodes)}
    return sorted(used - LEAVES - EMITTERS.keys() - {"@", "stack"})


def repeat(builder: ir.IRBuilder, start: Value, stop: Value, step: int, carried: Sequence[Value],
           body: Callable[[Value, list[Value]], Sequence[Value]]) -> list[Value]:  # fmt: skip
    """`for i in range(start, stop, step): carried = body(i, carried)`; what is carried at the end."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(INTEGER)
    held = [builder.phi(value.type) for value in carried]
    builder.cbranch(builder.icmp_signed("<", i, stop), inside, after)
    builder.position_at_end(inside)
    new = body(i, list(held))
    following = builder.add(i, ir.Constant(INTEGER, step))
    end = builder.block
    builder.branch(head)
    for phi, first, last in zip([i, *held], [start, *carried], [following, *new], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, end)
    builder.position_at_end(after)
    return held


def integer(value: int) -> Value:
    """A 64-bit constant."""
    return ir.Constant(INTEGER, value)


class Memory:
    """Addresses."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def word(self, frame: Value, place: int, typ: ir.Type = INTEGER) -> Value:
        return self.builder.load(self.builder.gep(frame, [integer(place)], source_etype=INTEGER), typ=typ, align=8)

    def at(self, base: Value, index: Value, typ: ir.Type = DOUBLE) -> Value:
        return self.builder.gep(base, [index], source_etype=typ)

    def load(self, base: Value, index: Value) -> Value:
        """Eight doubles from an index on."""
        return self.builder.load(self.at(base, index), typ=VECTOR, align=8)

    def store(self, value: Value, base: Value, index: Value) -> None:
        self.builder.store(value, self.at(base, index), align=8)


def as_number(lanes: Lanes, value: Value) -> Value:
    """A mask as the numbers 1 and 0."""
    return lanes.select(value, lanes.number(1.0), lanes.number(0.0)) if value.type == MASK else value


def as_truth(lanes: Lanes, value: Value) -> Value:
    """A number as the mask of what is not zero."""
    return value if value.type == MASK else lanes.compare("!=", value, lanes.number(0.0))


def operation(lanes: Lanes, graph: Graph, node: int, given: Sequence[Value]) -> Value:
    """The value of a node that is no leaf, of its arguments."""
    op, *args = graph.nodes[node]
    if op in CONDITIONS:
        given = [as_truth(lanes, v) for v in given]
    elif op == "where":
        given = [as_truth(lanes, given[0]), *(as_number(lanes, v) for v in given[1:])]
    else:
        given = [as_number(lanes, v) for v in given]
    if op == "**":
        exponent = graph.value(args[1])
        return power(lanes, given[0], given[1], None if exponent is None else float(exponent))
    return EMITTERS[op](lanes, *given)


def evaluated(lanes: Lanes, graph: Graph, outputs: Sequence[int], names: Mapping[str, Value],
              known: Mapping[int, Value] | None = None) -> dict[int, Value]:  # fmt: skip
    """The nodes that the outputs need, as far as the names lead; `known` are those that were evaluated before."""
    values = dict(known or {})
    for node in graph.reachable(outputs):
        op, *args = graph.nodes[node]
        if node in values:
            continue
        if op == "number":
            values[node] = lanes.number(float(args[0]))
        elif op == "pi":
            values[node] = lanes.number(math.pi)
        elif op == "name":
            if args[0] in names:
                values[node] = names[args[0]]
        elif all(a in values for a in args):
            values[node] = operation(lanes, graph, node, [values[a] for a in args])
    return values


Packed = tuple[Value, int]
"""Where the columns of a matrix stand at eight rows: the first one's address, and doubles from one to the next."""


# one group of eight rows -----------------------------------------------------------------------------------
class Matrix:
    """The columns of a matrix at eight rows: values of their own, or packed in the cache, column after column."""

    def __init__(self, width: int, values: Sequence[Value] | None, packed: Packed | None, memory: Memory) -> None:
        self.width, self.values, self._packed, self._memory = width, values, packed, memory

    def column(self, j: int | Value) -> Value:
        """Column j; only a packed one may be named at run time."""
        if self.values is not None:
            return self.values[j]
        assert self._packed is not None
        base, leading = self._packed
        at = integer(j * leading) if isinstance(j, int) else self._memory.builder.mul(j, integer(leading))
        return self._memory.load(base, at)


class Rows:
    """Emits row expressions for eight rows at a time.

    `begin` computes what does not depend on the row, `group` the rest. `order`: the address of row numbers, where the
    rows are taken in another order than they lie in; `along`: matrices whose rows are vectors over their columns.
    Where `held` is set, theta is there and not in memory.
    """

    def __init__(self, lanes: Lanes, graph: Graph, outputs: Sequence[int], layout: Layout, columns: Sequence[str],
                 kinds: Mapping[str, Kind], frame: Value, order: Value | None = None,
                 along: frozenset[int] = frozenset()) -> None:  # fmt: skip
        self.lanes, self.graph, self.kinds, self.order = lanes, graph, kinds, order
        self.builder, self.memory = lanes.builder, Memory(lanes.builder)
        self._layout, self._along = layout, along
        self.held: list[Value] | None = None  # theta, eight parameters each
        self._single = False  # one row in every lane
        memory, builder = self.memory, self.builder
        self.theta = memory.word(frame, THETA, POINTER)
        self.rows = memory.word(frame, ROWS)
        self.live, self.live_stride = memory.word(frame, LIVE, POINTER), memory.word(frame, LIVE_STRIDE)
        self.pointers, self.strides = {}, {}
        for k, name in enumerate(columns):
            self.pointers[name] = memory.word(frame, COLUMNS + 3 * k, POINTER)
            self.strides[name] = [memory.word(frame, COLUMNS + 3 * k + s) for s in (1, 2)]
        self._nodes = graph.reachable(outputs)
        self._rowwise: set[int] = set()
        for node in self._nodes:
            op, *args = graph.nodes[node]
            column = op == "name" and args[0] in self.pointers and args[0] not in layout.places
            if column or op == "stack" or any(a in self._rowwise for a in graph.arguments(node)):
                self._rowwise.add(node)
        self._fused = self._products_in_sums(outputs)
        self._twins = self._sines_and_cosines()
        self._logs = self._powers_and_logs()
        self._packed: dict[int, Packed] = {}
        for node in self._nodes:
            width = self._loaded_width(node)
            if width is not None and width > UNROLLED and node not in along:
                self._packed[node] = builder.alloca(VECTOR, size=width), WIDTH
        self._uniform: dict[int, Value] = {}

    def begin(self) -> None:
        """Compute what theta alone decides."""
        self._uniform = {}
        for node in self._nodes:
            if node not in self._rowwise and not self._is_vector(node):
                self._uniform[node] = self._value(node, self._uniform)

    def _products_in_sums(self, outputs: Sequence[int]) -> dict[int, int]:
        """The sum (or difference) of each product that nothing else uses: both are one fma."""
        users: dict[int, list[int]] = {}
        for node in self._nodes:
            for argument in self.graph.arguments(node):
                users.setdefault(argument, []).append(node)
        taken: dict[int, int] = {}
        for node in self._nodes:
            if self.graph.nodes[node][0] == "*" and node in self._rowwise and node not in outputs:
                by = users[node]
                sums = len(by) == 1 and self.graph.nodes[by[0]][0] in ("+", "-")
                if sums and by[0] not in taken.values() and not self._may_cancel(by[0]):
                    taken[node] = by[0]
        return taken

    def _may_cancel(self, node: int) -> bool:
        """Whether a sum is the difference of two products: where these are equal it is 0 only if both are rounded.

        A root of x·x - z·z would else have no value there.
        """
        op, *args = self.graph.nodes[node]
        plain = [self.graph.nodes[a][1] if self.graph.nodes[a][0] == "neg" else a for a in args]
        minus = op == "-" or plain != args
        return minus and all(self.graph.nodes[a][0] in ("*", "**") for a in plain)

    def _sines_and_cosines(self) -> dict[int, int]:
        """The cosine of each sine, and the reverse, where both are wanted: together little more than one."""
        place = {self.graph.nodes[n]: n for n in self._nodes if self.graph.nodes[n][0] in ("sin", "cos")}
        return {
            n: place[twin] for (op, a), n in place.items() if (twin := ("cos" if op == "sin" else "sin", a)) in place
        }

    def _powers_and_logs(self) -> dict[int, int]:
        """The log of the base of each power whose exponent is not a number."""
        place = {self.graph.nodes[n]: n for n in self._nodes if self.graph.nodes[n][0] == "log"}
        powers = [n for n in self._nodes if self.graph.nodes[n][0] == "**"]
        pairs = {n: place.get(("log", self.graph.nodes[n][1])) for n in powers}
        return {n: log for n, log in pairs.items() if log is not None and n < log and not self._is_known(n)}

    def _is_known(self, power: int) -> bool:
        return self.graph.is_number(self.graph.nodes[power][2])

    def _is_vector(self, node: int) -> bool:
        op, *args = self.graph.nodes[node]
        return op == "name" and isinstance(self._layout.places.get(args[0]), slice)

    def _loaded_width(self, node: int) -> int | None:
        """The width of a matrix column."""
        op, *args = self.graph.nodes[node]
        return self.kinds[args[0]].width if op == "name" and node in self._rowwise else None

    def mask(self, i: Value, stop: Value) -> Value:
        """The rows from i on that are live and before the end."""
        builder, lanes = self.builder, self.lanes
        count = builder.sub(stop, i)
        lane = ir.Constant(INTEGERS, [ir.Constant(INTEGER, k) for k in range(WIDTH)])
        one = builder.insert_element(ir.Constant(INTEGERS, ir.Undefined), count, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
        left = builder.shuffle_vector(one, ir.Constant(INTEGERS, ir.Undefined), zeros)
        if self.order is None:
            place = self.memory.at(self.live, builder.mul(i, self.live_stride), BYTE)
            flags = builder.load(place, typ=BYTES, align=1)
        else:
            flags = ir.Constant(BYTES, ir.Undefined)
            for k, row in enumerate(self._eight_rows(i, lane)):
                place = self.memory.at(self.live, builder.mul(row, self.live_stride), BYTE)
                one = builder.load(place, typ=BYTE, align=1)
                flags = builder.insert_element(flags, one, ir.Constant(ir.IntType(32), k))
        alive = builder.icmp_unsigned("!=", flags, ir.Constant(BYTES, None))
        return lanes.both(builder.icmp_signed("<", lane, left), alive)

    def group(self, i: Value, mask: Value | None, places: Mapping[int, Packed] | None = None) -> dict[int, Any]:
        """The value of every node at the rows from i on: a vector, a mask, or a Matrix.

        `places`: where to put wide matrices that whoever calls wants to find there.
        """
        self._packed.update(places or {})
        return self._group(i, mask)

    def single(self, i: Value, known: Mapping[int, Any] | None = None) -> dict[int, Any]:
        """The same at one row, which stands in every lane; `known` are values that are at hand."""
        self._single = True
        values = self._group(i, None, known)
        self._single = False
        return values

    def _group(self, i: Value, mask: Value | None, known: Mapping[int, Any] | None = None) -> dict[int, Any]:
        values: dict[int, Any] = {**self._uniform, **(known or {})}
        for node in self._nodes:
            if node in self._rowwise and node not in values:
                op, *args = self.graph.nodes[node]
                if op == "name":
                    values[node] = self._load(args[0], node, i, mask)
                elif op == "stack":
                    values[node] = Matrix(len(args), [self.number(values[a]) for a in args], None, self.memory)
                elif op == "@":
                    values[node] = self._dot(values[args[0]], self.graph.nodes[args[1]][1])
                elif node not in self._fused:
                    values[node] = self._value(node, values)
        return values

    def lengthwise(self, node: int, i: Value) -> list[Value]:
        """The row at i of a matrix whose rows are vectors over its columns."""
        kind = self.kinds[name := self.graph.nodes[node][1]]
        assert kind.width is not None
        return self._stretch(self._address(name, self._row(i)), kind.width)

    def number(self, value: Value) -> Value:
        """A mask as the numbers 1 and 0."""
        return as_number(self.lanes, value)

    def _value(self, node: int, values: dict[int, Any]) -> Value:
        lanes, graph = self.lanes, self.graph
        op, *args = graph.nodes[node]
        if op == "number":
            return lanes.number(float(args[0]))
        if op == "pi":
            return lanes.number(math.pi)
        if op == "name":
            return self.parameter(self._layout.slices[args[0]].start)
        for place, argument in enumerate(args):
            if self._fused.get(argument) == node:
                product = [values[a] for a in graph.arguments(argument)]
                return self._fuse(op, [values.get(a) for a in args], place, product)
        given = [values[a] for a in args]
        if node in self._twins:
            both = sincos(lanes, *map(self.number, given))
            values[self._twins[node]] = both[op == "sin"]
            return both[op == "cos"]
        if node in self._logs:
            value, values[self._logs[node]] = power_and_log(lanes, *map(self.number, given))
            return value
        return operation(lanes, graph, node, given)

    def _fuse(self, op: str, given: Sequence[Value], place: int, product: Sequence[Value]) -> Value:
        """A product plus or minus something, in one rounding."""
        left, right = map(self.number, product)
        other = self.number(given[1 - place])
        if op == "-":
            left, other = (left, self.lanes.neg(other)) if place == 0 else (self.lanes.neg(left), other)
        return self.lanes.fma(left, right, other)

    # loads -------------------------------------------------------------------------------------------------
    def _load(self, name: str, node: int, i: Value, mask: Value | None) -> Any:
        kind = self.kinds[name]
        if node in self._along:
            assert kind.width is not None
            rows = [self._row(i)] if self._single else self._eight_rows(i, mask)
            vectors = [self._stretch(self._address(name, row), kind.width) for row in rows]
            return vectors if mask is None else self._alive(vectors, mask)
        if kind.width is None:
            return self._vector(name, i, mask, integer(0))
        if kind.width > UNROLLED:
            self._pack(name, kind.width, self._packed[node], i, mask)
            return Matrix(kind.width, None, self._packed[node], self.memory)
        if kind.number == "f8" and kind.along_columns and kind.width > 1 and not kind.along_rows and not self._single:
            values = self._transposed(name, kind.width, i, mask)
        else:
            values = [self._vector(name, i, mask, integer(j)) for j in range(kind.width)]
        return Matrix(kind.width, values, None, self.memory)

    def _vector(self, name: str, i: Value, mask: Value | None, j: Value) -> Value:
        """Column j of eight rows, widened."""
        builder, kind = self.builder, self.kinds[name]
        typ, widen = NUMBERS[kind.number]
        size = int(kind.number[1:])
        eight = ir.VectorType(typ, WIDTH)
        row_stride, column_stride = self.strides[name]
        base = self.pointers[name]
        if kind.width is not None:
            base = self.memory.at(base, builder.mul(j, column_stride), BYTE)
        if self._single:
            one = builder.load(self.memory.at(base, builder.mul(self._row(i), row_stride), BYTE), typ=typ, align=1)
            return self.lanes.splat(getattr(builder, widen)(one, DOUBLE) if widen else one)
        if kind.along_rows and self.order is None:
            where = self.memory.at(base, i, typ)
            if mask is None:
                value = builder.load(where, typ=eight, align=1)
            else:
                intrinsic = f"llvm.masked.load.v8{'f' if kind.number[0] == 'f' else 'i'}{8 * size}.p0"
                align = ir.Constant(ir.IntType(32), 1)
                value = self.lanes.call(intrinsic, eight, where, align, mask, ir.Constant(eight, None))
        else:
            value = ir.Constant(eight, ir.Undefined)
            for k, row in enumerate(self._eight_rows(i, mask)):
                where = self.memory.at(base, builder.mul(row, row_stride), BYTE)
                one = builder.load(where, typ=typ, align=1)
                value = builder.insert_element(value, one, ir.Constant(ir.IntType(32), k))
        return getattr(builder, widen)(value, VECTOR) if widen else value

    def _eight_rows(self, i: Value, mask: Value | None) -> Iterator[Value]:
        """Where eight rows lie; beyond the end the last row again."""
        for k in range(WIDTH):
            row = self.builder.add(i, integer(k))
            if mask is not None:
                last = self.builder.sub(self.rows, integer(1))
                row = self.builder.select(self.builder.icmp_signed("<", row, last), row, last)
            yield self._row(row)

    def _row(self, i: Value) -> Value:
        """The number of the row that is taken at i."""
        if self.order is None:
            return i
        return self.builder.load(self.memory.at(self.order, i, INTEGER), typ=INTEGER, align=8)

    def _address(self, name: str, row: Value) -> Value:
        """Where a row of a column begins."""
        return self.memory.at(self.pointers[name], self.builder.mul(row, self.strides[name][0]), BYTE)

    def live_at(self, i: Value) -> Value:
        """Whether the row that is taken at i counts: a scalar."""
        place = self.memory.at(self.live, self.builder.mul(self._row(i), self.live_stride), BYTE)
        return self.builder.icmp_unsigned("!=", self.builder.load(place, typ=BYTE, align=1), ir.Constant(BYTE, 0))

    def prefetch(self, i: Value) -> None:
        """Have the row that is taken at i, or the last one, brought into the first cache."""
        builder = self.builder
        last = builder.sub(self.rows, integer(1))
        row = self._row(builder.select(builder.icmp_signed("<", i, last), i, last))
        for name, kind in self.kinds.items():
            start, size = self._address(name, row), int(kind.number[1:])
            bytes_ = size * (kind.width or 1) if kind.along_columns or kind.width is None else size
            for at in dict.fromkeys([*range(0, bytes_, LINE), bytes_ - 1]):
                self._fetch(self.memory.at(start, integer(at), BYTE), 3)

    def sweep(self, first: Value, end: Value) -> Value:
        """Have what is taken from first to end brought into the cache as it lies, which memory gives several times as
        fast as row by row. Not where much more lies between these rows than they are: they may come from two pieces
        of a table. A number that depends on all that was read, so that it is.
        """
        builder, lanes = self.builder, self.lanes
        whole = builder.add(first, builder.and_(builder.sub(end, first), integer(-WIDTH)))
        least, most = lanes.integer(-1 << 63), lanes.integer((1 << 63) - 1)

        def bounds(low: Value, high: Value) -> list[Value]:
            """The lowest and the highest row, both within limits that are given in every lane."""

            def look(i: Value, held: list[Value]) -> Sequence[Value]:
                eight = builder.load(self.memory.at(self.order, i, INTEGER), typ=INTEGERS, align=8)
                inside = lanes.both(builder.icmp_signed(">=", eight, low), builder.icmp_signed("<", eight, high))
                return [builder.select(lanes.both(inside, builder.icmp_signed(op, eight, value)), eight, value)
                        for op, value in zip("<>", held, strict=True)]  # fmt: skip

            found = repeat(builder, first, whole, WIDTH, [most, least], look)
            return [lanes.call(f"llvm.vector.reduce.{op}.v8i64", INTEGER, value)
                    for op, value in zip(("smin", "smax"), found, strict=True)]  # fmt: skip

        low, high = bounds(least, most)
        middle = lanes.whole(builder.add(low, builder.ashr(builder.sub(high, low), integer(1))))
        pieces = [bounds(least, middle), bounds(middle, most)]
        counts = [builder.add(builder.sub(high, low), integer(1)) for low, high in pieces]
        taken = builder.sub(end, first)
        dense = builder.icmp_signed("<=", builder.add(*counts), builder.add(taken, builder.ashr(taken, integer(1))))
        dense = builder.and_(dense, builder.icmp_signed(">=", taken, integer(TILE)))
        seen = integer(0)
        for (low, _), count in zip(pieces, counts, strict=True):
            low, count = (builder.select(dense, value, integer(0)) for value in (low, count))
            pieces_of = [(name, j) for name, kind in self.kinds.items()
                         for j in range(1 if kind.along_columns else min(kind.width or 1, UNROLLED))]  # fmt: skip
            for name, j in pieces_of:
                size = builder.mul(count, self.strides[name][0])
                start = self.memory.at(self._address(name, low), builder.mul(self.strides[name][1], integer(j)), BYTE)

                def line(at: Value, held: list[Value], start: Value = start) -> Sequence[Value]:
                    place = self.memory.at(start, at, BYTE)
                    return [builder.or_(held[0], builder.zext(builder.load(place, typ=BYTE, align=1), INTEGER))]

                seen = repeat(builder, integer(0), size, LINE, [seen], line)[0]
        return seen

    def _fetch(self, place: Value, cache: int) -> None:
        """Bring a line to be read into a cache: 3 the first, 2 the second."""
        number = [ir.Constant(ir.IntType(32), n) for n in (0, cache, 1)]
        self.lanes.call("llvm.prefetch.p0", ir.VoidType(), place, *number)

    def _transposed(
        self, name: str, width: int, i: Value, mask: Value | None, first: Value | None = None
    ) -> list[Value]:
        """Columns of a row-major matrix at eight rows: eight rows loaded, eight by eight numbers turned over.

        `first`: the first of eight columns at run time; else all `width` columns.
        """
        builder = self.builder
        starts = [self.memory.at(self.pointers[name], builder.mul(row, self.strides[name][0]), BYTE)
                  for row in self._eight_rows(i, mask)]  # fmt: skip
        if first is not None:
            return self.turned([self.memory.load(start, first) for start in starts])
        if width < WIDTH:
            return self.turned([self._stretch(start, width)[0] for start in starts])[:width]
        columns: list[Value] = []
        while len(columns) < width:  # the last eight may overlap the ones before
            at = min(len(columns), width - WIDTH)
            turned = self.turned([self.memory.load(start, integer(at)) for start in starts])
            columns += turned[len(columns) - at :]
        return columns

    def _alive(self, rows: list[list[Value]], mask: Value) -> list[list[Value]]:
        """Rows as vectors over their columns, 0 where they are dead."""
        lanes, bits = self.lanes, self.builder.sext(mask, INTEGERS)
        every = [lanes.spread(bits, k) for k in range(WIDTH)]
        return [[lanes.from_bits(lanes.both(lanes.bits(x), alive)) for x in row]
                for row, alive in zip(rows, every, strict=True)]  # fmt: skip

    def _stretch(self, start: Value, width: int) -> list[Value]:
        """So many doubles from an address on, eight each; 0 beyond the last."""
        parts = [self.memory.load(start, integer(at)) for at in range(0, width // WIDTH * WIDTH, WIDTH)]
        if width % WIDTH:
            zero, align = ir.Constant(VECTOR, None), ir.Constant(ir.IntType(32), 1)
            rest = self.memory.at(start, integer(width // WIDTH * WIDTH))
            within = self.lanes.where(range(width % WIDTH))
            parts.append(self.lanes.call("llvm.masked.load.v8f64.p0", VECTOR, rest, align, within, zero))
        return parts

    def turned(self, rows: list[Value]) -> list[Value]:
        """The transpose of eight vectors, in three rounds of exchanging halves."""
        number = ir.IntType(32)
        for distance in (1, 2, 4):
            turned = list(rows)
            for k in range(WIDTH):
                if not k & distance:
                    a, b = rows[k], rows[k + distance]
                    low = [l if not l & distance else WIDTH + l - distance for l in range(WIDTH)]
                    high = [l + distance if not l & distance else WIDTH + l for l in range(WIDTH)]
                    for place, mask in ((k, low), (k + distance, high)):
                        chosen = ir.Constant(ir.VectorType(number, WIDTH), [ir.Constant(number, m) for m in mask])
                        turned[place] = self.builder.shuffle_vector(a, b, chosen)
            rows = turned
        return rows

    def _pack(self, name: str, width: int, packed: Packed, i: Value, mask: Value | None) -> None:
        """Put the columns of a wide matrix at eight rows into the cache, 0 where a row is dead."""
        builder, kind = self.builder, self.kinds[name]

        def put(j: Value, value: Value) -> None:
            if mask is not None:
                value = self.lanes.select(mask, value, self.lanes.number(0.0))
            self.memory.store(value, packed[0], builder.mul(j, integer(packed[1])))

        if kind.number == "f8" and kind.along_columns and not kind.along_rows:

            def eight(j: Value, _: list[Value]) -> Sequence[Value]:
                last = integer(width - WIDTH)
                at = builder.select(builder.icmp_signed("<", j, last), j, last)
                for k, value in enumerate(self._transposed(name, width, i, mask, at)):
                    put(builder.add(at, integer(k)), value)
                return ()

            repeat(builder, integer(0), integer(width), WIDTH, [], eight)
        else:

            def single(j: Value, _: list[Value]) -> Sequence[Value]:
                put(j, self._vector(name, i, mask, j))
                return ()

            repeat(builder, integer(0), integer(width), 1, [], single)

    def inner(self, a: Sequence[Value], b: Sequence[Value]) -> Value:
        """The inner product of two vectors, eight sums that are still to be added."""
        total = self.lanes.number(0.0)
        for x, y in zip(a, b, strict=True):
            total = self.lanes.fma(x, y, total)
        return total

    def _dots(self, rows: list[list[Value]], name: str) -> Value:
        """Rows as vectors over their columns @ vector of parameters."""
        place, lanes = self._layout.slices[name], self.lanes
        theta = self.stretch(place.start, place.stop)
        sums = [self.inner(row, theta) for row in rows]
        return lanes.total(sums[0]) if self._single else lanes.totals(sums)

    def _dot(self, matrix: Matrix | list[list[Value]], name: str) -> Value:
        """matrix @ vector of parameters: one sum, or where it is wide four, which do not wait for one another."""
        if isinstance(matrix, list):
            return self._dots(matrix, name)
        start, zero = self._layout.slices[name].start, self.lanes.number(0.0)  # from 0: no sum of zeros is -0
        sums = [zero] * (4 if matrix.width > UNROLLED else 1)
        many = len(sums)

        def add(j: int, held: list[Value]) -> None:
            held[j % many] = self.lanes.fma(matrix.column(j), self.parameter(start + j), held[j % many])

        def four(j: Value, held: list[Value]) -> Sequence[Value]:
            places = [self.builder.add(j, integer(k)) for k in range(many)]
            elements = [self._element(self.builder.add(place, integer(start))) for place in places]
            return [self.lanes.fma(matrix.column(place), element, total)
                    for place, element, total in zip(places, elements, held, strict=True)]  # fmt: skip

        whole = 0
        if matrix.values is None:
            whole = matrix.width // many * many
            sums = repeat(self.builder, integer(0), integer(whole), many, sums, four)
        for j in range(whole, matrix.width):
            add(j, sums)
        while len(sums) > 1:
            sums = [self.lanes.add(x, y) for x, y in zip(sums[::2], sums[1::2], strict=True)]
        return sums[0]

    def _element(self, place: Value) -> Value:
        return self.lanes.splat(self.builder.load(self.memory.at(self.theta, place), typ=DOUBLE, align=8))

    def parameter(self, place: int) -> Value:
        """A number of theta in every lane."""
        if self.held is None:
            return self._element(integer(place))
        return self.lanes.spread(self.held[place // WIDTH], place % WIDTH)

    def stretch(self, start: int, stop: int) -> list[Value]:
        """A piece of theta, eight each; beyond its last comes what may be there, or 0."""
        assert self.held is not None
        return [self.lanes.window(self.held, at) for at in range(start, stop, WIDTH)]
