"""Sums of row expressions -> one fused loop of machine code over tiles of rows.

The loop goes over tiles of rows, eight rows at a time: it loads the columns, evaluates every row expression in
registers and adds to the sums. Whole groups of eight run unmasked; the last rows of a block, and tiles with dead rows,
run through a second body whose lanes are masked. Each tile leaves its sums in a line of `out`, and whoever calls adds
them in the order of the tiles: the bits depend on nothing but the rows.

Few sums live in registers. Where there are many (more than REGISTERS), they live in the cache, and products of columns
are made from a strip of rows at a time: the columns side by side in the cache, multiplied in blocks of 4 × 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from ..data.source import TILE
from ..formula.objective import Item, Layout, RowSums
from ..formula.program import Graph
from .emission import BYTE, CHUNK, COUNTER, FIRST, OUT, POINTER, TILES, UNROLLED, Kind, Memory, Rows, integer, repeat
from .lanes import INTEGER, WIDTH, Lanes, Splat, Value
from .machine import Target

REGISTERS = 72  # sums up to here are kept in registers (and in the stack beyond the 32 that there are)
SPILLING = 24  # products from which on registers do not hold all sums
LARGE = 400  # nodes from which on the one masked body serves all rows: it is the arithmetic that takes the time
STRIP = 256 << 10  # bytes of a strip of columns, which is to stay in the second cache
BLOCK = 4  # columns of a block of products, on either side
PADDING = 8  # doubles between the columns of a strip, so that they do not fall on the same places of the cache


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
    def places(self) -> NDArray[np.intp]:
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
        rows = STRIP // (8 * sum(self.padded))
        return 1 << (min(max(rows, WIDTH), 512).bit_length() - 1)

    @cached_property
    def scratch(self) -> int:
        """Doubles that a thread works in."""
        strip = 0 if self.in_registers else sum(self.padded) * (self.strip + PADDING)
        return self.size * WIDTH + strip


# the loop over tiles ---------------------------------------------------------------------------------------
class TileLoop:
    """The function `run(frame, scratch)`: takes chunks of tiles off a counter until none is left."""

    emitter: type[Rows] = Rows

    def __init__(self, graph: Graph, outputs: Sequence[int], layout: Layout, columns: Sequence[str],
                 kinds: Mapping[str, Kind], control: bool = False, ordered: bool = False,
                 along: frozenset[int] = frozenset()) -> None:  # fmt: skip
        self.module = ir.Module("rows")
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [POINTER] * (2 + control)), "run")
        self.frame, self.scratch = function.args[:2]
        self.control = function.args[-1]
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.lanes = Lanes(self.builder, Target.chosen().permutes)
        self.memory = Memory(self.builder)
        self.out = self.memory.word(self.frame, OUT, POINTER)
        order = self.memory.word(self.frame, COUNTER, POINTER) if ordered else None
        self.rows = self.emitter(self.lanes, graph, outputs, layout, columns, kinds, self.frame, order, along)
        self.rows.begin()
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
                  group: Callable[[Value, Value | None, list[Value]], Sequence[Value]],
                  twice: Callable[[Value, list[Value]], Sequence[Value]] | None = None) -> list[Value]:  # fmt: skip
        """`group(i, mask, carried)` for every eight rows: unmasked (None) as far as that goes, then masked.

        `twice(i, carried)`, where given, does the unmasked ones two by two.
        """
        builder = self.builder
        held = list(carried)
        if not self.only_masked:
            step = WIDTH if twice is None else 2 * WIDTH
            whole = builder.add(start, builder.and_(builder.sub(stop, start), integer(-step)))
            middle = builder.select(self.clean, whole, start)
            held = repeat(builder, start, middle, step, held, twice or (lambda i, c: group(i, None, c)))
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

    def _each(self, item: Item, values: Mapping[int, Any], action: Callable[[Any], None]) -> None:
        """`action(j)` for every column of an item: a number each, or a loop of the program where they are many."""
        matrices = [values[m] for _, m in item.terms if m is not None]
        if item.width > UNROLLED and all(m.values is None for m in matrices):

            def one(j: Value, _: list[Value]) -> Sequence[Value]:
                action(j)
                return ()

            repeat(self.builder, integer(0), integer(item.width), 1, [], one)
        else:
            for j in range(item.width):
                action(j)


def values_loop(graph: Graph, outputs: Sequence[int], layout: Layout, columns: Sequence[str],
                kinds: Mapping[str, Kind]) -> str:  # fmt: skip
    """IR that writes each output at every row: out is (outputs, rows)."""
    loop = TileLoop(graph, outputs, layout, columns, kinds)
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

    def tile(_: Value, start: Value, stop: Value) -> None:
        loop.over_rows(start, stop, [], group)

    return loop.over_tiles(tile)


def sums_loop(rows: RowSums, kinds: Mapping[str, Kind]) -> str:
    """IR that leaves the sums of each tile, lanes added, in `out` (tiles, Shape.size)."""
    return SumsLoop(rows, kinds).text()


def _is_scalar(item: Item) -> bool:
    return len(item.terms) == 1 and item.terms[0][1] is None


class SumsLoop(TileLoop):
    """Sums, and the loop over tiles that makes them."""

    def __init__(self, rows: RowSums, kinds: Mapping[str, Kind], control: bool = False, ordered: bool = False,
                 along: frozenset[int] = frozenset()) -> None:  # fmt: skip
        self.spec, self.shape = rows, Shape(rows)
        weight = () if rows.weight is None else (Item(((rows.weight, None),)),)
        self.sums = (*rows.sums, *weight)
        parts: list[int | None] = []
        for item in self.sums:
            parts += self._factors(item.terms[0][0])[1] if _is_scalar(item) else [n for t in item.terms for n in t]
        parts += [n for group in self.shape.groups for item in group for t in item.terms for n in t]
        needed = list(dict.fromkeys(n for n in parts if n is not None))
        super().__init__(rows.graph, needed, rows.layout, rows.columns_used, kinds, control, ordered, along)
        self.leading = self.shape.strip + PADDING
        self.strip = self.memory.at(self.scratch, integer(self.shape.size * WIDTH))

    @cached_property
    def direct(self) -> dict[int, int]:
        """Wide matrices that are columns of the strip as they are: they are loaded into it, and read there."""
        found: dict[int, int] = {}
        at = 0
        for group, padded in zip(self.shape.groups, self.shape.padded, strict=True):
            column = at
            for item in group:
                matrix = self._plain_matrix(item)
                if matrix is not None:
                    found.setdefault(matrix, column)
                column += item.width
            at += padded
        return found

    def _plain_matrix(self, item: Item) -> int | None:
        """The matrix that an item is, without any factor, where it is wide."""
        node, matrix = item.terms[0]
        if matrix is None or len(item.terms) > 1 or item.width <= UNROLLED:
            return None
        graph = self.spec.graph
        return matrix if graph.value(node) == 1 and graph.nodes[matrix][0] == "name" else None

    def text(self) -> str:
        if not self.shape.in_registers:
            self._clear(self.strip, sum(self.shape.padded) * self.leading // WIDTH)  # the columns that fill up a block
        return self.over_tiles(self._in_registers if self.shape.in_registers else self._in_memory)

    # few sums ----------------------------------------------------------------------------------------------
    def _in_registers(self, number: Value, start: Value, stop: Value) -> None:
        zero = self.lanes.number(0.0)
        count = self.shape.sums + self.shape.products
        twice = self._add_twice if self.shape.products > SPILLING else None
        held = self.over_rows(start, stop, [zero] * count, lambda i, mask, held: self._add([i], mask, held), twice)
        for j in range(self.shape.size):
            self.memory.store(held[j] if j < len(held) else zero, self.scratch, integer(j * WIDTH))
        self._add_lanes(number)

    def _add_twice(self, i: Value, held: list[Value]) -> Sequence[Value]:
        return self._add([i, self.builder.add(i, integer(WIDTH))], None, held)

    def _add(self, rows: Sequence[Value], mask: Value | None, held: list[Value]) -> Sequence[Value]:
        """Add what eight rows give, or twice eight, to each sum: one that lies in the stack is then fetched once."""
        both = [self.rows.group(i, mask) for i in rows]
        new: list[Value] = []
        for item in self.sums:
            for j in range(item.width):
                total = held[len(new)]
                for values in both:
                    total = self._plus(total, item, j, values, mask)
                new.append(total)
        columns = [[[self._column(item, j, values, mask) for item in group for j in range(item.width)]
                    for group in self.shape.groups] for values in both]  # fmt: skip
        for a, b in self.shape.pairs:
            for k in range(self.shape.widths[a]):
                for l in range(k if a == b else 0, self.shape.widths[b]):
                    total = held[len(new)]
                    for sides in columns:
                        total = self.lanes.fma(sides[a][k], sides[b][l], total)
                    new.append(total)
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
        self._add_lanes(number)

    def _fill(self, i: Value, within: Value, mask: Value | None) -> Sequence[Value]:
        """Add to the plain sums, and put the columns into the strip."""
        places = {matrix: (self.memory.at(self.strip, self.builder.add(within, integer(column * self.leading))),
                           self.leading) for matrix, column in self.direct.items()}  # fmt: skip
        values = self.rows.group(i, mask, places)
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
                matrix = self._plain_matrix(item)
                if matrix is not None and self.direct[matrix] == column:
                    column += item.width
                    continue

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
        elif len(item.terms) == 1 and matrix is not None:
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

    def _add_lanes(self, number: Value) -> None:
        """The eight lanes of each sum added, always in the same order, into the row of the tile."""
        builder = self.builder
        line = builder.sub(number, self.memory.word(self.frame, FIRST))
        row = self.memory.at(self.out, builder.mul(line, integer(self.shape.size)))

        def one(j: Value, _: list[Value]) -> Sequence[Value]:
            value = self.memory.load(self.scratch, builder.mul(j, integer(WIDTH)))
            lanes = [builder.extract_element(value, ir.Constant(ir.IntType(32), k)) for k in range(WIDTH)]
            while len(lanes) > 1:
                half = len(lanes) // 2
                lanes = [builder.fadd(lanes[k], lanes[k + half]) for k in range(half)]
            builder.store(lanes[0], self.memory.at(row, j), align=8)
            return ()

        repeat(builder, integer(0), integer(self.shape.size), 1, [], one)


def fold_loop() -> str:
    """IR of `fold(total, out, tiles, size)`: the rows of `out` added to `total`, one after the other."""
    module = ir.Module("fold")
    kinds = [POINTER, POINTER, INTEGER, INTEGER]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "fold")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    memory, lanes = Memory(builder), Lanes(builder)
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
