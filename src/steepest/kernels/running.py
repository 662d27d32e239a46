"""Machine code at work: compiled once for each program, run over tiles by as many threads as the rows are worth."""

from __future__ import annotations

import ctypes
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.source import TILE
from ..formula.objective import RowSums
from ..formula.program import Graph
from ..types import Array
from . import SHARED
from .emission import CHUNK, COLUMNS, COUNTER, LINE, TILES
from .lanes import WIDTH
from .loops import fold_loop
from .machine import Library, Target, build

KEPT = 256  # compiled programs that are kept
GRAB = 16  # tiles that a thread takes at once


def threads() -> int:
    """Threads of a pass: STEEPEST_THREADS, else the processors that this process may use."""
    given = os.environ.get("STEEPEST_THREADS", "")
    if given.isascii() and given.isdigit():
        return max(1, int(given))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Loop:
    """A loop over tiles in machine code, for columns that lie in memory in one way."""

    def __init__(self, text: str, scratch: int = 0) -> None:
        self._library = build(text, Target.chosen())
        self.run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(self._library.address("run"))
        self.scratch = scratch + LINE // 8  # doubles that a thread works in


class Pass:
    """A loop bound to the rows of a block, with all that a call needs in place; for one thread at a time.

    `live`: a bool array (rows,), or None; `parameters`: how many; `out`: where the loop writes, a line for each of
    `len(out)` tiles or, where `whole`, the values of all rows; `operations` of a row decide on the threads.
    """

    def __init__(self, loop: Loop, columns: Sequence[Any], rows: int, live: Any, parameters: int, out: Array,
                 operations: int, *, whole: bool = False) -> None:  # fmt: skip
        self._loop, self._tiles, self._whole = loop, -(-rows // TILE), whole
        self._theta, self._out = np.empty(parameters), out
        share = min(threads(), self._tiles) if rows * operations >= SHARED else 1
        self._frame, flags = framed(self._theta, out, rows, live, columns)
        self._frame[CHUNK] = max(1, min(GRAB, self._tiles // (4 * share)))
        scratch = [np.empty(loop.scratch) for _ in range(share)]
        self._arguments = [(address(self._frame), aligned(s)) for s in scratch]
        self._kept = (columns, flags, scratch)  # addresses do not keep what stands there

    def __call__(self, theta: Array) -> Iterator[Array]:
        """The lines of all tiles, in order, as many at a time as `out` holds."""
        self._theta[:] = theta
        most = max(1, self._tiles) if self._whole else len(self._out)
        for first in range(0, self._tiles, most):
            end = min(first + most, self._tiles)
            self._frame[COUNTER : TILES + 1] = first, first, end
            if len(self._arguments) == 1:
                self._loop.run(*self._arguments[0])
            else:
                _POOL.run(lambda k: self._loop.run(*self._arguments[k]), len(self._arguments))
            yield self._out if self._whole else self._out[: end - first]


def framed(theta: Array, out: Array, rows: int, live: Any, columns: Sequence[Any]) -> tuple[NDArray[np.int64], Any]:
    """The words by which a loop finds its rows, the counters at 0; and the flags of live rows that they point to."""
    flags = np.ones(WIDTH, np.bool_) if live is None else np.append(live, np.zeros(WIDTH, np.bool_))
    words = [address(theta), address(out), rows, address(flags), int(live is not None)]
    words += [0] * (COLUMNS - len(words))
    for column in columns:
        words += (address(column), column.strides[0], column.strides[-1])
    return np.array(words, dtype=np.int64), flags


def aligned(scratch: Array) -> int:
    """The first line of the cache within some memory: vectors that begin at one never straddle two."""
    return -(-address(scratch) // LINE) * LINE


def address(array: Any) -> int:
    """Where the numbers of an array begin."""
    return int(array.__array_interface__["data"][0])


class _Pool:
    """Threads beside the calling one; made again after a fork, which takes none of them along.

    An interrupt may come at any moment and must leave no lock taken, as it may in `concurrent.futures`: queues of C
    are all that callers and threads share. What was begun then runs to its end on the memory of its own Pass.
    """

    def __init__(self) -> None:
        self._lock, self._made, self._tasks = threading.Lock(), 0, SimpleQueue[Any]()

    def run(self, task: Callable[[int], None], number: int) -> None:
        """`task(k)` for k < number at once."""
        with self._lock:
            while self._made < number - 1:
                threading.Thread(target=_work, args=(self._tasks,), name="steepest", daemon=True).start()
                self._made += 1
        done = SimpleQueue[BaseException | None]()
        for k in range(1, number):
            self._tasks.put((task, k, done))
        task(0)
        errors = [done.get() for _ in range(1, number)]
        for error in errors:
            if error is not None:
                raise error


def _work(tasks: SimpleQueue[Any]) -> None:
    """What a thread does all its life."""
    while True:
        task, k, done = tasks.get()
        try:
            task(k)
            done.put(None)
        except BaseException as error:  # raised by the caller
            done.put(error)
        del task, done  # they hold the arrays of a pass


_POOL = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.__init__)  # type: ignore[misc]


class _Cache:
    """What was compiled last; safe among threads."""

    def __init__(self) -> None:
        self._lock, self._held = threading.Lock(), OrderedDict[Any, Any]()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._held:
                self._held[key] = make()
                if len(self._held) > KEPT:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]


_COMPILED = _Cache()
if hasattr(os, "register_at_fork"):  # another thread may have been compiling
    os.register_at_fork(after_in_child=_COMPILED.__init__)  # type: ignore[misc]


def remembered(key: Any, make: Callable[[], Any]) -> Any:
    """What was made of the same before."""
    return _COMPILED.get((key, Target.chosen()), make)


def program(graph: Graph, outputs: Sequence[int]) -> tuple[Any, ...]:
    """What tells a program from others, in whatever graph it stands."""
    number: dict[int, int] = {}
    lines = []
    for node in graph.reachable(outputs):
        op, *args = graph.nodes[node]
        arguments = graph.arguments(node)
        lines.append((op, *(number[a] for a in arguments)) if arguments else (op, *map(repr, args)))
        number[node] = len(number)
    return tuple(lines), tuple(number[n] for n in outputs)


def sums_program(rows: RowSums) -> tuple[Any, ...]:
    """The same of sums over rows."""
    index = {node: i for i, node in enumerate(rows.outputs)}
    parts = (*rows.sums, *rows.columns, *(side for pair in rows.crosses for side in pair))
    items = tuple((item.width, *((index[n], None if m is None else index[m]) for n, m in item.terms)) for item in parts)
    return (program(rows.graph, rows.outputs), items, len(rows.sums), len(rows.columns), rows.weight is None,
            rows.layout, rows.columns_used)  # fmt: skip


@cache
def _folding(loop: Callable[[], str], target: Target) -> tuple[Callable[..., None], Library]:
    library = build(loop(), target)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return call(library.address("fold")), library


def fold(total: Array, tiles: Array, loop: Callable[[], str] = fold_loop) -> None:
    """The rows of `tiles` (tiles, ...) added to `total` (..., size), one after the other."""
    _folding(loop, Target.chosen())[0](address(total), address(tiles), len(tiles), total.shape[-1])
