"""Which kernel sums: machine code, or NumPy where that is quicker or the functions are rare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from ..data.source import Block
from ..formula.objective import RowSums
from ..formula.program import Graph
from ..types import Array, Total
from .numpy import NumpyKernel

WIDEST = 1 << 13  # columns of a matrix that machine code holds on the stack of a thread, eight rows at a time
WORTH = 1 << 17  # rows × operations from which on machine code is worth its compilation


class Sums(Protocol):
    """(theta, block) -> Total."""

    @property
    def at_once(self) -> int:
        """Rows of the largest block, in whole tiles: until it is summed no progress is seen and no key heard."""

    def total(self, theta: Array, block: Block, before: Total | None = None) -> Total:
        """Sums over a block, added to `before` tile after tile."""


class Kernel(Sums, Protocol):
    """What can also show the columns that it multiplies."""

    def column_tiles(self, theta: Array, block: Block) -> Iterator[Array]:
        """The columns of each tile's live rows side by side, (rows, width): what a QR factors."""


def kernel_for(rows: RowSums, count: int) -> Kernel:
    """The kernel of passes over so many rows: decided by the rows and the program, never by a clock."""
    if not (is_native(rows.graph, rows.outputs, count) and worthy(rows)):
        return NumpyKernel(rows)
    from .native import NativeKernel

    return NativeKernel(rows)


def twofold_kernel_for(rows: RowSums, count: int) -> Sums:
    """The same in twice the precision: a Total holds the high parts of the sums, then the low ones."""
    if not (is_native(rows.graph, rows.outputs, count) and worthy(rows)):
        from .twofold import TwofoldNumpyKernel

        return TwofoldNumpyKernel(rows)
    from .twofold_loop import TwofoldNativeKernel

    return TwofoldNativeKernel(rows)


def worthy(rows: RowSums) -> bool:
    """Whether rows can be summed by machine code, however many: they have columns, and no matrix is too wide."""
    narrow = max((width or 1 for width in rows.layout.widths), default=1) <= WIDEST
    return bool(rows.columns_used) and narrow


def is_native(graph: Graph, outputs: Sequence[int], count: int) -> bool:
    """Whether machine code runs over `count` rows."""
    if count * len(graph.nodes) < WORTH:  # a bound that needs no walk
        return False
    return count >= _worth(graph, outputs) and not _obstacle(graph, outputs)


def described(rows: RowSums, count: int) -> str:
    """Which kernel runs, and why, in words."""
    reason, needed = _obstacle(rows.graph, rows.outputs), _worth(rows.graph, rows.outputs)
    if not reason and count >= needed:
        return "machine code: one loop over the rows, eight at a time"
    few = f"{count:,} row{'s' * (count != 1)}; machine code from {needed:,} rows on"
    return f"NumPy, tile by tile: {reason or few}"


def _worth(graph: Graph, outputs: Sequence[int]) -> int:
    """Rows from which on machine code is worth its compilation."""
    return -(-WORTH // len(graph.reachable(outputs)))


def _obstacle(graph: Graph, outputs: Sequence[int]) -> str:
    """Why a program cannot be machine code, or nothing."""
    from .emission import without_native_form
    from .machine import Target

    rare = without_native_form(graph, outputs)
    if rare:
        return f"{', '.join(rare)} has no form in machine code"
    return "" if Target.chosen().fuses else "this processor has no fused multiply-add"
