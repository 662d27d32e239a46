"""Which kernel runs, and how the native one is run: compiled once for each program, over tiles on every core."""

from __future__ import annotations

import ctypes
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import Any, Protocol

import numpy as np

from ..data.source import TILE, Block
from ..formula.objective import Layout, RowSums
from ..formula.program import Graph
from ..types import Array, Total
from .numpy import NumpyKernel

MOST = 1 << 20  # doubles: sums of tiles that are held before they are added up
KEPT = 256  # compiled programs that are kept
ALONE = 1 << 23  # rows × operations from which on a pass is shared among threads
WORTH = 1 << 16  # rows × operations from which on machine code is worth its compilation


def threads() -> int:
    """Threads of a pass: STEEPEST_THREADS, else the processors that this process may use."""
    given = os.environ.get("STEEPEST_THREADS", "")
    return max(1, int(given)) if given.isdigit() else len(os.sched_getaffinity(0))


class Cache:
    """What was compiled last, by program; safe among threads."""

    def __init__(self, most: int) -> None:
        self._most, self._lock, self._held = most, threading.Lock(), OrderedDict[Any, Any]()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._held:
                self._held[key] = make()
                if len(self._held) > self._most:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]


_COMPILED = Cache(KEPT)


def canonical(graph: Graph, outputs: Sequence[int]) -> tuple[Any, ...]:
    """A program apart from where it stands in its graph: equal for equal formulas."""
    number: dict[int, int] = {}
    lines = []
    for node in graph.reachable(outputs):
        op, *args = graph.nodes[node]
        arguments = graph.arguments(node)
        lines.append((op, *(number[a] for a in arguments)) if arguments else (op, *map(repr, args)))
        number[node] = len(number)
    return (*lines, tuple(number[n] for n in outputs))


class Kernel(Protocol):
    """(theta, block) -> Total."""

    def total(self, theta: Array, block: Block, before: Total | None = None) -> Total:
        """Sums over a block, added to `before` tile after tile."""

    def column_tiles(self, theta: Array, block: Block) -> Iterator[Array]:
        """The columns of each tile's live rows side by side, (rows, width): what a QR factors."""


def kernel_for(rows: RowSums, count: int) -> Kernel:
    """The kernel of a pass over so many rows: decided by the rows and the program, never by a clock."""
    return NativeKernel(rows) if is_native(rows, count) else NumpyKernel(rows)


def is_native(rows: RowSums, count: int) -> bool:
    """Whether machine code runs: it is worth its compilation, and knows every function."""
    operations = len(rows.graph.reachable(rows.outputs))
    if not rows.columns_used or count * operations < WORTH:
        return False
    from .native import has_native_form

    return has_native_form(rows.graph, rows.outputs)


class Pool:
    """The threads beside the calling one; made again after a fork, which takes none of them along."""

    def __init__(self) -> None:
        self._process, self._executor, self._size = 0, None, 0

    def run(self, task: Callable[[int], None], number: int) -> None:
        """`task(k)` for k < number at once."""
        if number > 1 and (self._process != os.getpid() or self._size < number - 1):
            self._process, self._size = os.getpid(), number - 1
            self._executor = ThreadPoolExecutor(number - 1, "steepest")
        others = [self._executor.submit(task, k) for k in range(1, number)]
        task(0)
        for other in others:
            other.result()


_POOL = Pool()


class Compiled:
    """A loop over tiles in machine code, for columns that lie in memory in one way."""

    def __init__(self, text: str, scratch: int) -> None:
        from .machine import Target, build

        self._library = build(text, Target.chosen())
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(self._library.address("run"))
        self._scratch = scratch

    def __call__(self, columns: Sequence[Array], theta: Array, live: Array | None, rows: int, out: Array,
                 share: int) -> None:  # fmt: skip
        """One pass over `rows` rows with `share` threads."""
        tiles = -(-rows // TILE)
        flags = _ALIVE if live is None else live
        frame = [theta.ctypes.data, out.ctypes.data, rows, flags.ctypes.data, int(live is not None), 0, tiles,
                 max(1, min(16, tiles // (4 * share)))]  # fmt: skip
        for column in columns:
            frame += [column.ctypes.data, column.strides[0], column.strides[-1]]
        words = np.array(frame, dtype=np.int64)
        scratch = [np.empty(self._scratch + 8) for _ in range(share)]
        places = [s.ctypes.data for s in scratch]
        address = words.ctypes.data
        if share == 1:
            self._run(address, places[0])
        else:
            _POOL.run(lambda k: self._run(address, places[k]), share)


_ALIVE = np.ones(8, dtype=np.uint8)


@cache
def _fold() -> Callable[..., None]:
    from .machine import Target, build
    from .native import fold_loop

    library = build(fold_loop(), Target.chosen())
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    native = call(library.address("fold"))
    native.library = library  # it owns the code
    return native


class NativeKernel:
    """(theta, block) -> Total, in machine code; the same bits for any number of threads."""

    def __init__(self, rows: RowSums) -> None:
        from .native import Shape

        self.rows = rows
        self._shape = Shape(rows)
        self._operations = len(rows.graph.reachable(rows.outputs)) + self._shape.products

    @cached_property
    def _program(self) -> tuple[Any, ...]:
        rows = self.rows
        items = (*rows.sums, *rows.columns, *(side for pair in rows.crosses for side in pair))
        index = {n: i for i, n in enumerate(rows.outputs)}
        terms = tuple((tuple((index[a], None if b is None else index[b]) for a, b in item.terms), item.width)
                      for item in items)  # fmt: skip
        counts = (len(rows.sums), len(rows.columns), rows.weight is not None)
        return canonical(rows.graph, rows.outputs), terms, counts, rows.layout, rows.columns_used

    @cached_property
    def reference(self) -> NumpyKernel:
        """The reference kernel of the same sums."""
        return NumpyKernel(self.rows)

    def total(self, theta: Array, block: Block, before: Total | None = None) -> Total:
        """Sums over a block, added to `before` tile after tile."""
        shape, columns = self._shape, [block.columns[name] for name in self.rows.columns_used]
        compiled = self._compiled(columns)
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        live = None if block.live is None else np.concatenate([block.live.view(np.uint8), _ALIVE])
        total = np.zeros(shape.size)
        if before is not None:
            total[shape.places] = before.values
            if shape.weight_place is not None:
                total[shape.weight_place] = before.weight
        bad = None if before is None else before.bad
        most = max(1, MOST // shape.size) * TILE
        for start in range(0, block.rows, most):
            rows = min(most, block.rows - start)
            tiles = -(-rows // TILE)
            out = np.empty((tiles, shape.size))
            share = min(threads(), tiles) if rows * self._operations >= ALONE else 1
            here = columns if start == 0 else [column[start:] for column in columns]
            compiled(here, theta, None if live is None else live[start:], rows, out, share)
            _fold()(total.ctypes.data, out.ctypes.data, tiles, shape.size)
            if bad is None and not np.isfinite(total[shape.places]).all():
                bad = self._first_bad(theta, block, start, out)
        used = block.rows if block.live is None else int(np.count_nonzero(block.live))
        rows = used + (0 if before is None else before.rows)
        weight = float(rows) if shape.weight_place is None else float(total[shape.weight_place])
        return Total(rows, weight, bad, total[shape.places])

    def _first_bad(self, theta: Array, block: Block, start: int, out: Array) -> int:
        """The first row that is not finite, looked for in its tile; the first tile's where only the sum is not."""
        fine = np.isfinite(out[:, self._shape.places]).all(axis=1)
        tile = 0 if fine.all() else int(np.argmin(fine))
        first = start + tile * TILE
        return self.reference.first_bad(theta, block, first)

    def column_tiles(self, theta: Array, block: Block) -> Iterator[Array]:
        """The columns of each tile's live rows side by side, (rows, width): what a QR factors."""
        return self.reference.column_tiles(theta, block)

    def _compiled(self, columns: Sequence[Array]) -> Compiled:
        from .native import Kind, sums_loop

        kinds = tuple(map(Kind.of, columns))
        named = dict(zip(self.rows.columns_used, kinds, strict=True))
        key = self._program, kinds, os.environ.get("STEEPEST_CPU")
        found: Compiled = _COMPILED.get(key, lambda: Compiled(sums_loop(self.rows, named), self._shape.scratch))
        return found


def row_values(graph: Graph, nodes: Sequence[int], layout: Layout, columns: Mapping[str, Array], theta: Array) -> Array:
    """Row expressions at every row, (nodes, rows)."""
    from .native import Kind, values_loop

    kinds = {name: Kind.of(column) for name, column in columns.items()}
    key = canonical(graph, nodes), tuple(kinds.items()), layout, os.environ.get("STEEPEST_CPU")
    compiled = _COMPILED.get(key, lambda: Compiled(values_loop(graph, nodes, layout, list(columns), kinds), 8))
    rows = len(next(iter(columns.values())))
    out = np.empty((len(nodes), rows))
    compiled(list(columns.values()), np.ascontiguousarray(theta), None, rows, out, threads() if rows > 1 << 18 else 1)
    return out
