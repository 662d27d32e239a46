"""A program -> one fused loop of machine code over rows.

The loop goes over tiles of rows, eight rows at a time: it loads the columns, evaluates every row expression in
registers and adds to the sums. Whole groups of eight run unmasked; the last rows of a block, and tiles with dead rows,
run through a second body whose lanes are masked. Each tile leaves its sums in a row of `out`, and whoever calls adds
them in the order of the tiles: the bits depend on nothing but the rows.

Few sums live in registers. Where there are many (more than REGISTERS), they live in the cache, and products of columns
are made from a strip of rows at a time: the columns side by side in the cache, multiplied in blocks of 4 × 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from llvmlite import ir

from ..data.source import TILE
from ..formula.objective import Item, Layout, RowSums
from ..formula.program import LEAVES, Graph
from ..types import Array
from .lanes import DOUBLE, INTEGER, INTEGERS, MASK, VECTOR, WIDTH, Lanes, Splat, Value
from .vectormath import EMITTERS, power

REGISTERS = 72  # sums up to here are kept in registers (and in the stack beyond the 32 that there are)
UNROLLED = 16  # columns of a matrix up to here are values of their own; more are looped over
LARGE = 400  # nodes from which on the one masked body serves all rows: it is the arithmetic that takes the time
STRIP = 256 << 10  # bytes of a strip of columns, which is to stay in the second cache
BLOCK = 4  # columns of a block of products, on either side
PADDING = 8  # doubles between the columns of a strip, so that they do not fall on the same places of the cache

BYTE, FLAG = ir.IntType(8), ir.IntType(1)
POINTER = ir.PointerType()
BYTES = ir.VectorType(BYTE, WIDTH)

#: the words of a frame, before a pointer and two strides (bytes: between rows, between columns) for each column
THETA, OUT, ROWS, LIVE, LIVE_STRIDE, COUNTER, TILES, CHUNK, COLUMNS = range(9)

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


def has_native_form(graph: Graph, nodes: Sequence[int]) -> bool:
    """Whether every operation has an emitter."""
    return all(graph.nodes[n][0] in LEAVES or graph.nodes[n][0] in EMITTERS or graph.nodes[n][0] in ("@", "stack")
               for n in graph.reachable(nodes))  # fmt: skip


# the shape of the sums -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Shape:
    """Where each number of a Total stands among the sums that the loop makes (`places`), and how these are made."""

    rows: RowSums

    @cached_property
    def sums(self) -> int:
        """Plain sums: those of the items, and of the weight."""
        return sum(item.width for item in self.rows.sums) + (self.rows.weight is not None)

    @cached_property
    def groups(self) -> tuple[tuple[Item, ...], ...]:
        """The items side by side whose products are summed: the columns, then each side of each cross."""
        crosses = [(side,) for pair in self.rows.crosses for side in pair]
        return (self.rows.columns, *crosses) if self.rows.columns else tuple(crosses)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Columns of each group."""
        return tuple(sum(item.width for item in group) for group in self.groups)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The groups multiplied with one another."""
        own = 1 if self.rows.columns else 0
        return (*((0, 0),) * own, *((own + 2 * c, own + 2 * c + 1) for c in range(len(self.rows.crosses))))

    @cached_property
    def products(self) -> int:
        """Products of pairs of columns."""
        return sum(self.widths[a] * (self.widths[a] + 1) // 2 if a == b else self.widths[a] * self.widths[b]
                   for a, b in self.pairs)  # fmt: skip

    @cached_property
    def in_registers(self) -> bool:
        """Whether the sums are few enough, and no matrix is looped over."""
        items = (*self.rows.sums, *(item for group in self.groups for item in group))
        narrow = all(item.width <= UNROLLED or all(m is None for _, m in item.terms) for item in items)
        narrow = narrow and all(w is None or w <= UNROLLED for w in self.rows.layout.widths)
        return narrow and self.sums + self.products <= REGISTERS

    @cached_property
    def padded(self) -> tuple[int, ...]:
        """Columns of each group in a strip: whole blocks."""
        return tuple(-(-width // BLOCK) * BLOCK for width in self.widths)

    @cached_property
    def size(self) -> int:
        """Numbers of a tile, a multiple of eight."""
        products = self.products
        if not self.in_registers:
            blocks = 0
            for a, b in self.pairs:
                m, n = self.padded[a] // BLOCK, self.padded[b] // BLOCK
                blocks += m * (m + 1) // 2 if a == b else m * n
            products = blocks * BLOCK**2
        return max(-(-(self.sums + products) // WIDTH) * WIDTH, WIDTH)

    @cached_property
    def places(self) -> Array:
        """For each number of a Total the place of its sum."""
        plain = sum(item.width for item in self.rows.sums)
        found = list(range(plain))
        at = self.sums
        for a, b in self.pairs:
            m, n = self.widths[a], self.widths[b]
            table = np.zeros((m, n), dtype=np.intp)
            if self.in_registers:
                for i in range(m):
                    for j in range(i if a == b else 0, n):
                        table[i, j] = at
                        at += 1
            else:
                for k in range(self.padded[a] // BLOCK):
                    for l in range(k if a == b else 0, self.padded[b] // BLOCK):
                        for i in range(k * BLOCK, min((k + 1) * BLOCK, m)):
                            for j in range(l * BLOCK, min((l + 1) * BLOCK, n)):
                                table[i, j] = at + (i % BLOCK) * BLOCK + j % BLOCK
                        at += BLOCK**2
            if a == b:
                table = np.triu(table) + np.triu(table, 1).T
            found += table.ravel().tolist()
        return np.array(found, dtype=np.intp)

    @property
    def weight_place(self) -> int | None:
        """Where the sum of the weights stands."""
        return None if self.rows.weight is None else self.sums - 1

    @cached_property
    def strip(self) -> int:
        """Rows of a strip."""
        if self.in_registers or not self.groups:
            return TILE
        rows = STRIP // (8 * sum(self.padded)) // WIDTH * WIDTH
        return max(WIDTH, 1 << (min(rows, 1024).bit_length() - 1))

    @cached_property
    def scratch(self) -> int:
        """Doubles that a thread works in."""
        strip = 0 if self.in_registers else sum(self.padded) * (self.strip + PADDING)
        return self.size * WIDTH + strip


# loops -----------------------------------------------------------------------------------------------------
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


class _Memory:
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


# one group of eight rows -----------------------------------------------------------------------------------
class _Matrix:
    """The columns of a matrix at eight rows: values of their own, or packed in the cache, column after column."""

    def __init__(self, width: int, values: Sequence[Value] | None, packed: Value | None, memory: _Memory) -> None:
        self.width, self.values, self.packed, self._memory = width, values, packed, memory

    def column(self, j: int | Value) -> Value:
        """Column j; only a packed one may be named at run time."""
        if self.values is not None:
            return self.values[j]
        at = integer(j * WIDTH) if isinstance(j, int) else self._memory.builder.mul(j, integer(WIDTH))
        return self._memory.load(self.packed, at)


class Rows:
    """Emits row expressions for eight rows at a time.

    What does not depend on the row is computed once, where this is made; `group` evaluates the rest.
    """

    def __init__(self, lanes: Lanes, graph: Graph, outputs: Sequence[int], layout: Layout,
                 columns: Sequence[str], kinds: Mapping[str, Kind], frame: Value) -> None:  # fmt: skip
        self.lanes, self.graph, self.kinds = lanes, graph, kinds
        self.builder, self.memory = lanes.builder, _Memory(lanes.builder)
        self._layout = layout
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
        self._packed: dict[int, Value] = {}
        for node in self._nodes:
            width = self._loaded_width(node)
            if width is not None and width > UNROLLED:
                self._packed[node] = builder.alloca(VECTOR, size=width)
        self._uniform: dict[int, Value] = {}
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
                if len(by) == 1 and self.graph.nodes[by[0]][0] in ("+", "-") and by[0] not in taken.values():
                    taken[node] = by[0]
        return taken

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
        flags = self.memory.at(self.live, builder.mul(i, self.live_stride), BYTE)
        alive = builder.icmp_unsigned("!=", builder.load(flags, typ=BYTES, align=1), ir.Constant(BYTES, None))
        return lanes.both(builder.icmp_signed("<", lane, left), alive)

    def group(self, i: Value, mask: Value | None) -> dict[int, Any]:
        """The value of every node at the rows from i on: a vector, a mask, or a _Matrix."""
        values: dict[int, Any] = dict(self._uniform)
        for node in self._nodes:
            if node in self._rowwise and node not in values:
                op, *args = self.graph.nodes[node]
                if op == "name":
                    values[node] = self._load(args[0], node, i, mask)
                elif op == "stack":
                    values[node] = _Matrix(len(args), [self.number(values[a]) for a in args], None, self.memory)
                elif op == "@":
                    values[node] = self._dot(values[args[0]], self.graph.nodes[args[1]][1])
                elif node not in self._fused:
                    values[node] = self._value(node, values)
        return values

    def number(self, value: Value) -> Value:
        """A mask as the numbers 1 and 0."""
        return self.lanes.select(value, self.lanes.number(1.0), self.lanes.number(0.0)) if value.type == MASK else value

    def truth(self, value: Value) -> Value:
        """A number as the mask of what is not zero."""
        return value if value.type == MASK else self.lanes.compare("!=", value, self.lanes.number(0.0))

    def _value(self, node: int, values: dict[int, Any]) -> Value:
        lanes, graph = self.lanes, self.graph
        op, *args = graph.nodes[node]
        if op == "number":
            return lanes.number(float(args[0]))
        if op == "pi":
            return lanes.number(math.pi)
        if op == "name":
            place = self._layout.places[args[0]]
            return lanes.splat(self.builder.load(self.memory.at(self.theta, integer(place)), typ=DOUBLE, align=8))

        for place, argument in enumerate(args):
            if self._fused.get(argument) == node:
                product = [values[a] for a in graph.arguments(argument)]
                return self._fuse(op, [values.get(a) for a in args], place, product)
        given = [values[a] for a in args]
        if op in CONDITIONS:
            given = [self.truth(v) for v in given]
        elif op == "where":
            given = [self.truth(given[0]), *map(self.number, given[1:])]
        else:
            given = [self.number(v) for v in given]
        if op == "**":
            exponent = graph.value(args[1])
            return power(lanes, *given, exponent=None if exponent is None else float(exponent))
        return EMITTERS[op](lanes, *given)

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
        if kind.width is None:
            return self._vector(name, i, mask, integer(0))
        if kind.width > UNROLLED:
            return _Matrix(kind.width, None, self._pack(name, kind.width, self._packed[node], i, mask), self.memory)
        if kind.number == "f8" and kind.along_columns and kind.width > 1 and not kind.along_rows:
            values = self._transposed(name, kind.width, i, mask)
        else:
            values = [self._vector(name, i, mask, integer(j)) for j in range(kind.width)]
        return _Matrix(kind.width, values, None, self.memory)

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
        if kind.along_rows:
            where = self.memory.at(base, i, typ)
            if mask is None:
                value = builder.load(where, typ=eight, align=size)
            else:
                intrinsic = f"llvm.masked.load.v8{'f' if kind.number[0] == 'f' else 'i'}{8 * size}.p0"
                align = ir.Constant(ir.IntType(32), size)
                value = self.lanes.call(intrinsic, eight, where, align, mask, ir.Constant(eight, None))
        else:
            value = ir.Constant(eight, ir.Undefined)
            for k, row in enumerate(self._eight_rows(i, mask)):
                where = self.memory.at(base, builder.mul(row, row_stride), BYTE)
                one = builder.load(where, typ=typ, align=size)
                value = builder.insert_element(value, one, ir.Constant(ir.IntType(32), k))
        return getattr(builder, widen)(value, VECTOR) if widen else value

    def _eight_rows(self, i: Value, mask: Value | None) -> Iterator[Value]:
        """The numbers of eight rows; beyond the end the last row again."""
        for k in range(WIDTH):
            row = self.builder.add(i, integer(k))
            if mask is not None:
                last = self.builder.sub(self.rows, integer(1))
                row = self.builder.select(self.builder.icmp_signed("<", row, last), row, last)
            yield row

    def _transposed(self, name: str, width: int, i: Value, mask: Value | None, first: Value | None = None) -> list[Value]:
        """Columns of a row-major matrix at eight rows: eight rows loaded, eight by eight numbers turned over.

        `first`: the first of eight columns at run time; else all `width` columns.
        """
        builder = self.builder
        starts = [self.memory.at(self.pointers[name], builder.mul(row, self.strides[name][0]), BYTE)
                  for row in self._eight_rows(i, mask)]  # fmt: skip
        if first is not None:
            return self._turn([self.memory.load(start, first) for start in starts])
        if width < WIDTH:
            within = ir.Constant(MASK, [ir.Constant(FLAG, int(k < width)) for k in range(WIDTH)])
            zero, align = ir.Constant(VECTOR, None), ir.Constant(ir.IntType(32), 8)
            loaded = [self.lanes.call("llvm.masked.load.v8f64.p0", VECTOR, s, align, within, zero) for s in starts]
            return self._turn(loaded)[:width]
        columns: list[Value] = []
        while len(columns) < width:  # the last eight may overlap the ones before
            at = min(len(columns), width - WIDTH)
            turned = self._turn([self.memory.load(start, integer(at)) for start in starts])
            columns += turned[len(columns) - at :]
        return columns

    def _turn(self, rows: list[Value]) -> list[Value]:
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

    def _pack(self, name: str, width: int, packed: Value, i: Value, mask: Value | None) -> Value:
        """The columns of a wide matrix at eight rows, one after the other in the cache."""
        builder, kind = self.builder, self.kinds[name]

        def put(j: Value, value: Value) -> None:
            self.memory.store(value, packed, builder.mul(j, integer(WIDTH)))

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
        return packed

    def _dot(self, matrix: _Matrix, name: str) -> Value:
        """matrix @ vector of parameters."""
        start = self._layout.slices[name].start
        if matrix.values is not None:
            total = self.lanes.mul(matrix.values[0], self._element(integer(start)))
            for j in range(1, matrix.width):
                total = self.lanes.fma(matrix.values[j], self._element(integer(start + j)), total)
            return total

        def step(j: Value, sums: list[Value]) -> Sequence[Value]:
            element = self._element(self.builder.add(j, integer(start)))
            return [self.lanes.fma(matrix.column(j), element, sums[0])]

        return repeat(self.builder, integer(0), integer(matrix.width), 1, [self.lanes.number(0.0)], step)[0]

    def _element(self, place: Value) -> Value:
        return self.lanes.splat(self.builder.load(self.memory.at(self.theta, place), typ=DOUBLE, align=8))


# the loop over tiles ---------------------------------------------------------------------------------------
class _Loop:
    """The function `run(frame, scratch)`: takes chunks of tiles off a counter until none is left."""

    def __init__(self, graph: Graph, outputs: Sequence[int], layout: Layout, columns: Sequence[str],
                 kinds: Mapping[str, Kind]) -> None:  # fmt: skip
        self.module = ir.Module("rows")
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [POINTER, POINTER]), "run")
        self.frame, self.scratch = function.args
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.lanes = Lanes(self.builder)
        self.memory = _Memory(self.builder)
        self.out = self.memory.word(self.frame, OUT, POINTER)
        self.rows = Rows(self.lanes, graph, outputs, layout, columns, kinds, self.frame)
        self.only_masked = len(graph.reachable(outputs)) > LARGE

    def over_tiles(self, tile: Callable[[Value, Value, Value], None]) -> str:
        """`tile(number, first row, end)` for every tile; the text of the module."""
        builder, memory = self.builder, self.memory
        tiles, chunk = memory.word(self.frame, TILES), memory.word(self.frame, CHUNK)
        counter = memory.at(self.frame, integer(COUNTER), INTEGER)
        grab, work, done = (builder.append_basic_block(name) for name in ("grab", "work", "done"))
        builder.branch(grab)
        builder.position_at_end(grab)
        first = builder.atomic_rmw("add", counter, chunk, "monotonic")
        builder.cbranch(builder.icmp_signed("<", first, tiles), work, done)
        builder.position_at_end(work)
        end = self._least(builder.add(first, chunk), tiles)

        def one(number: Value, _: list[Value]) -> Sequence[Value]:
            start = builder.mul(number, integer(TILE))
            stop = self._least(builder.add(start, integer(TILE)), self.rows.rows)
            self.clean = self._all_alive(start, stop)
            tile(number, start, stop)
            return ()

        repeat(builder, first, end, 1, [], one)
        builder.branch(grab)
        builder.position_at_end(done)
        builder.ret_void()
        return str(self.module)

    def over_rows(self, start: Value, stop: Value, carried: Sequence[Value],
                  group: Callable[[Value, Value | None, list[Value]], Sequence[Value]]) -> list[Value]:  # fmt: skip
        """`group(i, mask, carried)` for every eight rows: unmasked (None) as far as that goes, then masked."""
        builder = self.builder
        held = list(carried)
        if not self.only_masked:
            whole = builder.add(start, builder.and_(builder.sub(stop, start), integer(-WIDTH)))
            middle = builder.select(self.clean, whole, start)
            held = repeat(builder, start, middle, WIDTH, held, lambda i, c: group(i, None, c))
            start = middle
        return repeat(builder, start, stop, WIDTH, held, lambda i, c: group(i, self.rows.mask(i, stop), c))

    def _all_alive(self, start: Value, stop: Value) -> Value:
        """Whether no row of the tile is dead; a tile that is not full and may have dead rows counts as if it had."""
        builder, rows = self.builder, self.rows
        eight = ir.VectorType(INTEGER, WIDTH)  # 64 flags
        full = builder.icmp_signed("==", builder.sub(stop, start), integer(TILE))
        free = builder.icmp_unsigned("==", rows.live_stride, integer(0))
        flags = self.memory.at(rows.live, builder.mul(start, rows.live_stride), BYTE)
        ones = Splat(eight, f"i64 {0x0101010101010101}")

        def look(k: Value, held: list[Value]) -> Sequence[Value]:
            return [builder.and_(held[0], builder.load(self.memory.at(flags, k, BYTE), typ=eight, align=1))]

        end = builder.select(builder.and_(full, builder.not_(free)), integer(TILE), integer(0))
        seen = repeat(builder, integer(0), end, WIDTH * 8, [ones], look)[0]
        same = builder.bitcast(builder.icmp_unsigned("==", seen, ones), BYTE)
        alive = builder.icmp_unsigned("==", same, ir.Constant(BYTE, 255))
        return builder.or_(free, builder.and_(full, alive))

    def _least(self, a: Value, b: Value) -> Value:
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)


def values_loop(graph: Graph, outputs: Sequence[int], layout: Layout, columns: Sequence[str],
                kinds: Mapping[str, Kind]) -> str:  # fmt: skip
    """IR that writes each output at every row: out is (outputs, rows)."""
    loop = _Loop(graph, outputs, layout, columns, kinds)
    builder, memory = loop.builder, loop.memory

    def group(i: Value, mask: Value | None, _: list[Value]) -> Sequence[Value]:
        values = loop.rows.group(i, mask)
        for j, node in enumerate(outputs):
            value = loop.rows.number(values[node])
            place = memory.at(loop.out, builder.add(builder.mul(loop.rows.rows, integer(j)), i))
            if mask is None:
                builder.store(value, place, align=8)
            else:
                align = ir.Constant(ir.IntType(32), 8)
                loop.lanes.call("llvm.masked.store.v8f64.p0", ir.VoidType(), value, place, align, mask)
        return ()

    return loop.over_tiles(lambda _, start, stop: [loop.over_rows(start, stop, [], group)] and None)


def sums_loop(rows: RowSums, kinds: Mapping[str, Kind]) -> str:
    """IR that leaves the sums of each tile, lanes added, in `out` (tiles, Shape.size)."""
    return _SumsLoop(rows, kinds).text()


def _is_scalar(item: Item) -> bool:
    return len(item.terms) == 1 and item.terms[0][1] is None


class _SumsLoop(_Loop):
    def __init__(self, rows: RowSums, kinds: Mapping[str, Kind]) -> None:
        self.spec, self.shape = rows, Shape(rows)
        weight = () if rows.weight is None else (Item(((rows.weight, None),)),)
        self.sums = (*rows.sums, *weight)
        parts: list[int | None] = []
        for item in self.sums:
            parts += self._factors(item.terms[0][0])[1] if _is_scalar(item) else [n for t in item.terms for n in t]
        parts += [n for group in self.shape.groups for item in group for t in item.terms for n in t]
        needed = list(dict.fromkeys(n for n in parts if n is not None))
        super().__init__(rows.graph, needed, rows.layout, rows.columns_used, kinds)
        self.leading = self.shape.strip + PADDING
        self.strip = self.memory.at(self.scratch, integer(self.shape.size * WIDTH))

    def text(self) -> str:
        if not self.shape.in_registers:
            self._clear(self.strip, sum(self.shape.padded) * self.leading // WIDTH)  # the columns that fill up a block
        return self.over_tiles(self._in_registers if self.shape.in_registers else self._in_memory)

    # few sums ----------------------------------------------------------------------------------------------
    def _in_registers(self, number: Value, start: Value, stop: Value) -> None:
        zero = self.lanes.number(0.0)
        held = self.over_rows(start, stop, [zero] * (self.shape.sums + self.shape.products), self._add)
        for j, value in enumerate(held):
            self.memory.store(value, self.scratch, integer(j * WIDTH))
        self._add_lanes(number, len(held))

    def _add(self, i: Value, mask: Value | None, held: list[Value]) -> Sequence[Value]:
        values = self.rows.group(i, mask)
        new = [self._plus(total, item, j, values, mask)
               for total, (item, j) in zip(held, ((s, j) for s in self.sums for j in range(s.width)), strict=False)]  # fmt: skip
        columns = [[self._column(item, j, values, mask) for item in group for j in range(item.width)]
                   for group in self.shape.groups]  # fmt: skip
        for a, b in self.shape.pairs:
            for k, left in enumerate(columns[a]):
                for right in columns[b][k if a == b else 0 :]:
                    new.append(self.lanes.fma(left, right, held[len(new)]))
        return new

    # many sums ---------------------------------------------------------------------------------------------
    def _in_memory(self, number: Value, start: Value, stop: Value) -> None:
        self._clear(self.scratch, self.shape.size)

        def strip(first: Value, _: list[Value]) -> Sequence[Value]:
            end = self._least(self.builder.add(first, integer(self.shape.strip)), stop)
            self.over_rows(first, end, [], lambda i, mask, _: self._fill(i, self.builder.sub(i, first), mask))
            self._multiply(self.builder.sub(end, first))
            return ()

        repeat(self.builder, start, stop, self.shape.strip, [], strip)
        self._add_lanes(number, self.shape.size)

    def _fill(self, i: Value, within: Value, mask: Value | None) -> Sequence[Value]:
        """Add to the plain sums, and put the columns into the strip."""
        values = self.rows.group(i, mask)
        at = 0
        for item in self.sums:

            def add(j: Any, item: Item = item, at: int = at) -> None:
                place = self._times(self._plus_index(j, at), WIDTH)
                total = self.memory.load(self.scratch, place)
                self.memory.store(self._plus(total, item, j, values, mask), self.scratch, place)

            self._each(item, values, add)
            at += item.width
        at = 0
        for group, padded in zip(self.shape.groups, self.shape.padded, strict=True):
            column = at
            for item in group:

                def put(j: Any, item: Item = item, column: int = column) -> None:
                    place = self.builder.add(self._times(self._plus_index(j, column), self.leading), within)
                    self.memory.store(self._column(item, j, values, mask), self.strip, place)

                self._each(item, values, put)
                column += item.width
            at += padded
        return ()

    def _multiply(self, rows: Value) -> None:
        """Add the products of the columns in the strip, block by block of 4 × 4."""
        builder = self.builder
        offsets = np.concatenate([[0], np.cumsum(self.shape.padded)]).astype(int)
        at = integer(self.shape.sums)
        for a, b in self.shape.pairs:
            m, n = self.shape.padded[a] // BLOCK, self.shape.padded[b] // BLOCK

            def line(k: Value, carried: list[Value], a: int = a, b: int = b, n: int = n) -> Sequence[Value]:
                def block(l: Value, carried: list[Value]) -> Sequence[Value]:
                    left = self._columns_at(k, int(offsets[a]))
                    right = self._columns_at(l, int(offsets[b]))
                    self._product(left, right, rows, carried[0])
                    return [builder.add(carried[0], integer(BLOCK**2))]

                return repeat(builder, k if a == b else integer(0), integer(n), 1, carried, block)

            at = repeat(builder, integer(0), integer(m), 1, [at], line)[0]

    def _columns_at(self, block: Value, offset: int) -> list[Value]:
        """The four columns of a block."""
        first = self.builder.add(self._times(block, BLOCK * self.leading), integer(offset * self.leading))
        start = self.memory.at(self.strip, first)
        return [self.memory.at(start, integer(k * self.leading)) for k in range(BLOCK)]

    def _product(self, left: list[Value], right: list[Value], rows: Value, at: Value) -> None:
        places = [self._times(self.builder.add(at, integer(k)), WIDTH) for k in range(BLOCK**2)]
        held = [self.memory.load(self.scratch, place) for place in places]

        def step(i: Value, sums: list[Value]) -> Sequence[Value]:
            a, b = ([self.memory.load(column, i) for column in side] for side in (left, right))
            return [self.lanes.fma(x, y, sums[BLOCK * k + l]) for k, x in enumerate(a) for l, y in enumerate(b)]

        held = repeat(self.builder, integer(0), rows, WIDTH, held, step)
        for value, place in zip(held, places, strict=True):
            self.memory.store(value, self.scratch, place)

    # items -------------------------------------------------------------------------------------------------
    def _each(self, item: Item, values: Mapping[int, Any], action: Callable[[Any], None]) -> None:
        """`action(j)` for every column of an item: a number each, or a loop of the program where they are many."""
        matrices = [values[m] for _, m in item.terms if m is not None]
        if item.width > UNROLLED and all(m.values is None for m in matrices):
            repeat(self.builder, integer(0), integer(item.width), 1, [], lambda j, _: [action(j)] and ())
        else:
            for j in range(item.width):
                action(j)

    def _factors(self, node: int) -> tuple[bool, tuple[int, ...]]:
        """A summand as plus (True) or minus one or two factors."""
        plus = True
        while self.spec.graph.nodes[node][0] == "neg":
            plus, node = not plus, self.spec.graph.nodes[node][1]
        return plus, self.spec.graph.arguments(node) if self.spec.graph.nodes[node][0] == "*" else (node,)

    def _plus(self, total: Value, item: Item, j: Any, values: Mapping[int, Any], mask: Value | None) -> Value:
        """total + column j of an item, in one rounding where it is a product; dead lanes add nothing."""
        lanes, (node, matrix) = self.lanes, item.terms[0]
        if _is_scalar(item):
            plus, factors = self._factors(node)
            first, *second = (self.rows.number(values[n]) for n in factors)
            if second:
                new = lanes.fma(first if plus else lanes.neg(first), second[0], total)
            else:
                new = lanes.add(total, first) if plus else lanes.sub(total, first)
        elif len(item.terms) == 1:
            new = lanes.fma(self.rows.number(values[node]), values[matrix].column(j), total)
        else:
            new = lanes.add(total, self._column(item, j, values, None))
        return new if mask is None else lanes.select(mask, new, total)

    def _column(self, item: Item, j: Any, values: Mapping[int, Any], mask: Value | None) -> Value:
        """Column j of an item, 0 in dead lanes."""
        total = None
        for node, matrix in item.terms:
            value = self.rows.number(values[node])
            if matrix is not None and self.spec.graph.value(node) == 1:
                value = values[matrix].column(j)
            elif matrix is not None:
                value = self.lanes.mul(value, values[matrix].column(j))
            total = value if total is None else self.lanes.add(total, value)
        return self._alive(total, mask)

    def _alive(self, value: Value, mask: Value | None) -> Value:
        return value if mask is None else self.lanes.select(mask, value, self.lanes.number(0.0))

    # memory ------------------------------------------------------------------------------------------------
    def _times(self, index: Any, factor: int) -> Value:
        return integer(index * factor) if isinstance(index, int) else self.builder.mul(index, integer(factor))

    def _plus_index(self, index: Any, offset: int) -> Any:
        return index + offset if isinstance(index, int) else self.builder.add(index, integer(offset))

    def _clear(self, base: Value, vectors: int) -> None:
        def zero(j: Value, _: list[Value]) -> Sequence[Value]:
            self.memory.store(self.lanes.number(0.0), base, self.builder.mul(j, integer(WIDTH)))
            return ()

        repeat(self.builder, integer(0), integer(vectors), 1, [], zero)

    def _add_lanes(self, number: Value, count: int) -> None:
        """The eight lanes of each sum added, always in the same order, into the row of the tile."""
        builder = self.builder
        row = self.memory.at(self.out, builder.mul(number, integer(self.shape.size)))

        def one(j: Value, _: list[Value]) -> Sequence[Value]:
            value = self.memory.load(self.scratch, builder.mul(j, integer(WIDTH)))
            lanes = [builder.extract_element(value, ir.Constant(ir.IntType(32), k)) for k in range(WIDTH)]
            while len(lanes) > 1:
                half = len(lanes) // 2
                lanes = [builder.fadd(lanes[k], lanes[k + half]) for k in range(half)]
            builder.store(lanes[0], self.memory.at(row, j), align=8)
            return ()

        repeat(builder, integer(0), integer(count), 1, [], one)


def fold_loop() -> str:
    """IR of `fold(total, out, tiles, size)`: the rows of `out` added to `total`, one after the other."""
    module = ir.Module("fold")
    kinds = [POINTER, POINTER, INTEGER, INTEGER]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "fold")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    memory, lanes = _Memory(builder), Lanes(builder)
    total, out, tiles, size = function.args

    def columns(j: Value, _: list[Value]) -> Sequence[Value]:
        def add(t: Value, held: list[Value]) -> Sequence[Value]:
            return [lanes.add(held[0], memory.load(out, builder.add(builder.mul(t, size), j)))]

        held = repeat(builder, integer(0), tiles, 1, [memory.load(total, j)], add)
        memory.store(held[0], total, j)
        return ()

    repeat(builder, integer(0), size, WIDTH, [], columns)
    builder.ret_void()
    return str(module)
