"""Sums in twice the precision, in machine code: one loop over tiles of rows, as in `loops.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from ..data.source import TILE, Block
from ..formula.objective import Item, RowSums
from ..types import Array, Total
from .emission import FIRST, POINTER, UNROLLED, Kind, Matrix, Memory, Rows, integer, operation, repeat
from .lanes import INTEGER, WIDTH, Lanes
from .loops import REGISTERS, TileLoop
from .native import AT_ONCE, HELD
from .running import Loop, Pass, fold, remembered, sums_program
from .twofold import Arithmetic, Twofold, Value

PLAIN = 8  # operations on plain numbers that one on pairs is, about


class TwofoldRows(Rows):
    """Row expressions in twice the precision: a value is a Twofold or, where it has no low part, eight lanes."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.arithmetic = Arithmetic(self.lanes)
        self._fused, self._twins, self._logs = {}, {}, {}

    def number(self, value: Value) -> Value:
        return value if isinstance(value, Twofold) else super().number(value)

    def _value(self, node: int, values: dict[int, Any]) -> Value:
        args, number = self.graph.arguments(node), self.graph.value(node)
        if not args:
            return super()._value(node, values) if number is None else self.arithmetic.constant(number)
        given = [values[a] for a in args]
        return self.arithmetic.operation(self.graph, node, given, lambda *g: operation(self.lanes, self.graph, node, g))

    def _dot(self, matrix: Matrix | list[list[Value]], name: str) -> Value:
        assert isinstance(matrix, Matrix)  # no rows are vectors over their columns here
        start, zero = self._layout.slices[name].start, self.lanes.number(0.0)

        def add(j: Any, held: list[Value]) -> list[Value]:
            place = integer(start + j) if isinstance(j, int) else self.builder.add(j, integer(start))
            return self.plus(held, self.arithmetic.times(matrix.column(j), self._element(place)))

        held = [zero, zero]
        if matrix.values is None:
            held = repeat(self.builder, integer(0), integer(matrix.width), 1, held, add)
        else:
            for j in range(matrix.width):
                held = add(j, held)
        return Twofold(*held)

    def plus(self, held: Sequence[Value], value: Value) -> list[Value]:
        """A pair and a value added."""
        total = self.arithmetic.plus(Twofold(*held), value)
        return [total.high, total.low]


class TwofoldLoop(TileLoop):
    """Leaves the sums of each tile in `out` (tiles, 2·padded): the high parts, then the low ones."""

    emitter = TwofoldRows
    rows: TwofoldRows

    def __init__(self, rows: RowSums, kinds: Mapping[str, Kind]) -> None:
        self.items, self.padded = rows.sums, padded(rows)
        nodes = list(dict.fromkeys(n for item in rows.sums for term in item.terms for n in term if n is not None))
        super().__init__(rows.graph, nodes, rows.layout, rows.columns_used, kinds)
        self.only_masked = True  # the arithmetic takes the time, and half as much code is compiled
        narrow = max((width or 1 for width in rows.layout.widths), default=1) <= UNROLLED
        parts = 2 * sum(item.width for item in rows.sums)
        self.registers = parts if narrow and parts <= REGISTERS else 0

    def text(self) -> str:
        return self.over_tiles(self._tile)

    def _tile(self, number: Value, start: Value, stop: Value) -> None:
        builder, zero = self.builder, self.lanes.number(0.0)

        def clear(j: Value, _: list[Value]) -> Sequence[Value]:
            self._store([zero, zero], j)
            return ()

        repeat(builder, integer(0), integer(self.padded), 1, [], clear)
        held = self.over_rows(start, stop, [zero] * self.registers, self._add)
        for j in range(0, self.registers, 2):
            self._store(held[j : j + 2], integer(j // 2))
        line = builder.sub(number, self.memory.word(self.frame, FIRST))
        row = self.memory.at(self.out, builder.mul(line, integer(2 * self.padded)))

        def fold(j: Value, _: list[Value]) -> Sequence[Value]:
            """The eight lanes added, half to half."""
            pairs = [Twofold(*(builder.extract_element(part, ir.Constant(ir.IntType(32), k)) for part in self._load(j)))
                     for k in range(WIDTH)]  # fmt: skip
            while len(pairs) > 1:
                half = len(pairs) // 2
                pairs = [self.rows.arithmetic.plus(a, b) for a, b in zip(pairs[:half], pairs[half:], strict=True)]
            for part, at in ((pairs[0].high, j), (pairs[0].low, builder.add(j, integer(self.padded)))):
                builder.store(part, self.memory.at(row, at), align=8)
            return ()

        repeat(builder, integer(0), integer(self.padded), 1, [], fold)

    def _add(self, i: Value, mask: Value | None, held: list[Value]) -> Sequence[Value]:
        """Add what eight rows give to each sum: to those in registers, or in memory where there are none."""
        values, sums = self.rows.group(i, mask), list(held)
        at = 0
        for item in self.items:

            def add(j: Any, item: Item = item, at: int = at) -> None:
                place = integer(at + j) if isinstance(j, int) else self.builder.add(j, integer(at))
                before = sums[2 * (at + j) : 2 * (at + j) + 2] if sums else self._load(place)
                new = self.rows.plus(before, self._term(item, j, values))
                if mask is not None:
                    new = [self.lanes.select(mask, a, b) for a, b in zip(new, before, strict=True)]
                if sums:
                    sums[2 * (at + j) : 2 * (at + j) + 2] = new
                else:
                    self._store(new, place)

            self._each(item, values, add)
            at += item.width
        return sums

    def _term(self, item: Item, j: Any, values: Mapping[int, Any]) -> Value:
        """Column j of an item."""
        arithmetic, total = self.rows.arithmetic, None
        for node, matrix in item.terms:
            value = self.rows.number(values[node])
            if matrix is not None:
                value = arithmetic.times(value, values[matrix].column(j))
            total = value if total is None else arithmetic.plus(total, value)
        return total

    def _load(self, j: Value) -> list[Value]:
        """The high and the low part of a sum, in eight lanes each."""
        at = self.builder.mul(j, integer(2 * WIDTH))
        return [self.memory.load(self.scratch, self.builder.add(at, integer(k))) for k in (0, WIDTH)]

    def _store(self, pair: Sequence[Value], j: Value) -> None:
        at = self.builder.mul(j, integer(2 * WIDTH))
        for part, k in zip(pair, (0, WIDTH), strict=True):
            self.memory.store(part, self.scratch, self.builder.add(at, integer(k)))


def padded(rows: RowSums) -> int:
    """Sums, filled up to whole vectors."""
    return -(-sum(item.width for item in rows.sums) // WIDTH) * WIDTH


class TwofoldNativeKernel:
    """(theta, block) -> Total, as `TwofoldNumpyKernel` makes it, in machine code; the same bits for any threads."""

    def __init__(self, rows: RowSums) -> None:
        self.rows, self._padded = rows, padded(rows)
        self._width = sum(item.width for item in rows.sums)
        self._operations = PLAIN * len(rows.nodes)

    @property
    def at_once(self) -> int:
        """Rows of the largest block."""
        return max(1, AT_ONCE // (self._operations * TILE)) * TILE

    def total(self, theta: Array, block: Block, before: Total | None = None) -> Total:
        """Sums over a block, added to `before` tile after tile."""
        used = block.rows if block.live is None else int(np.count_nonzero(block.live))
        sums = np.zeros((2, self._padded))
        if before is not None:
            sums[:, : self._width], used = before.values.reshape(2, -1), used + before.rows
        columns = [block.columns[name] for name in self.rows.columns_used]
        held = max(1, min(HELD // sums.size, -(-block.rows // TILE)))
        bound = Pass(self._loop(columns), columns, block.rows, block.live, self.rows.layout.size,
                     np.empty((held, sums.size)), self._operations)  # fmt: skip
        for tiles in bound(theta):
            fold(sums, tiles, fold_loop)
        return Total(used, float(used), None, sums[:, : self._width].ravel())

    def _loop(self, columns: Sequence[Array]) -> Loop:
        rows, kinds = self.rows, tuple(map(Kind.of, columns))
        named = dict(zip(rows.columns_used, kinds, strict=True))
        loop: Loop = remembered(("twofold", sums_program(rows), kinds),
                                lambda: Loop(TwofoldLoop(rows, named).text(), 2 * self._padded * WIDTH))  # fmt: skip
        return loop


def fold_loop() -> str:
    """IR of `fold(sums, tiles, count, size)`: rows of high and low parts, `size` each, added one after the other."""
    module = ir.Module("fold")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, POINTER, INTEGER, INTEGER]), "fold")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    memory, arithmetic = Memory(builder), Arithmetic(Lanes(builder))
    sums, tiles, count, size = function.args

    def pair(base: Value, at: Value) -> Twofold:
        return Twofold(memory.load(base, at), memory.load(base, builder.add(at, size)))

    def columns(j: Value, _: list[Value]) -> Sequence[Value]:
        def add(t: Value, held: list[Value]) -> Sequence[Value]:
            line = builder.add(builder.mul(t, builder.mul(size, integer(2))), j)
            total = arithmetic.plus(Twofold(*held), pair(tiles, line))
            return [total.high, total.low]

        first = pair(sums, j)
        held = repeat(builder, integer(0), count, 1, [first.high, first.low], add)
        memory.store(held[0], sums, j)
        memory.store(held[1], sums, builder.add(j, size))
        return ()

    repeat(builder, integer(0), size, WIDTH, [], columns)
    builder.ret_void()
    return str(module)
