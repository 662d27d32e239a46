"""The native kernel: sums over rows in machine code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from threading import get_ident

import numpy as np

from ..data.source import TILE, Block
from ..formula.objective import RowSums
from ..types import Array, Total
from .emission import Kind
from .loops import Shape, sums_loop
from .numpy import NumpyKernel
from .running import Loop, Pass, fold, remembered, sums_program

AT_ONCE = 1 << 29  # rows × operations of a call: some 20 to 200 ms, beside which the call itself costs nothing
HELD = 1 << 18  # numbers: sums of tiles that are held before they are added up


class NativeKernel:
    """(theta, block) -> Total, in machine code; the same bits for any number of threads."""

    def __init__(self, rows: RowSums) -> None:
        self.rows = rows
        self._shape = Shape(rows)
        self._loops: dict[tuple[Kind, ...], Loop] = {}
        self._last: tuple[int, Block, Pass] | None = None

    @cached_property
    def at_once(self) -> int:
        """Rows of the largest block."""
        return max(1, AT_ONCE // (self._operations * TILE)) * TILE

    @cached_property
    def reference(self) -> NumpyKernel:
        """The reference kernel of the same sums."""
        return NumpyKernel(self.rows)

    def total(self, theta: Array, block: Block, before: Total | None = None) -> Total:
        """Sums over a block, added to `before` tile after tile."""
        shape = self._shape
        used = block.rows if block.live is None else int(np.count_nonzero(block.live))
        total, bad, first = np.zeros(shape.size), None, 0
        if before is not None:
            total[shape.places], bad, used = before.values, before.bad, used + before.rows
            if shape.weight_place is not None:
                total[shape.weight_place] = before.weight
        bound = self._pass(block)
        for tiles in bound(theta):
            so_far = total.copy()
            fold(total, tiles)
            if bad is None and not np.isfinite(total).all():
                bad = self._first_bad(theta, block, first, np.vstack([so_far, tiles]))
            first += len(tiles) * TILE
        self._last = get_ident(), block, bound
        weight = float(used) if shape.weight_place is None else float(total[shape.weight_place])
        return Total(used, weight, bad, total[shape.places])

    def column_tiles(self, theta: Array, block: Block) -> Iterator[Array]:
        """The columns of each tile's live rows side by side, (rows, width): what a QR factors."""
        return self.reference.column_tiles(theta, block)

    def _first_bad(self, theta: Array, block: Block, first: int, sums: Array) -> int:
        """The first row that is not finite, in the tile where the sum so far ceases to be: the tile's first live one
        where only the sum overflows. `sums` are those before the tile at row `first`, then those of each tile.
        """
        with np.errstate(all="ignore"):
            fine = np.isfinite(np.add.accumulate(sums)).all(axis=1)
        return self.reference.first_bad(theta, block, first + (int(np.argmin(fine)) - 1) * TILE)

    def _pass(self, block: Block) -> Pass:
        """The machine code bound to a block: that of the last call, which was most often about the same rows.

        It is kept only when a call has ended: after an interrupt threads may still be at work on its memory.
        """
        last, self._last = self._last, None
        if last is not None and last[0] == get_ident() and last[1] is block:
            return last[2]
        columns = [block.columns[name] for name in self.rows.columns_used]
        held = max(1, min(HELD // self._shape.size, -(-block.rows // TILE)))
        return Pass(self.loop(columns), columns, block.rows, block.live, self.rows.layout.size,
                    np.empty((held, self._shape.size)), self._operations)  # fmt: skip

    @cached_property
    def _operations(self) -> int:
        return len(self.rows.nodes) + self._shape.products

    def loop(self, columns: Sequence[Array]) -> Loop:
        """The machine code for columns that lie in memory like these."""
        kinds = tuple(map(Kind.of, columns))
        if kinds not in self._loops:
            rows, named = self.rows, dict(zip(self.rows.columns_used, kinds, strict=True))
            self._loops[kinds] = remembered((sums_program(rows), kinds),
                                            lambda: Loop(sums_loop(rows, named), self._shape.scratch))  # fmt: skip
        return self._loops[kinds]
