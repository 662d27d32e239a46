"""Threads that read the next units while the present one is summed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

LANES = 2
"""Units that are read at once: pyarrow decodes a column in one thread, so that a unit of few columns leaves processors
idle. Each lane holds a piece in memory."""


def ahead(units: Sequence[int], pieces: Callable[[int], Iterator[T]]) -> Iterator[T]:
    """The pieces of the units in their order, made by threads while the ones before are in use.

    One piece in use and one for each lane are alive at most. What `pieces` raises is raised here, where its piece would
    have come; leaving early waits for those that are being made.
    """
    with ExitStack() as stack:
        lanes = [_Lane(units[k::LANES], pieces) for k in range(min(LANES, len(units)))]
        for lane in lanes:
            stack.callback(lane.close)
        for place in range(len(units)):
            yield from iter(lanes[place % LANES].next, None)


class _Lane(Generic[T]):
    """One thread and its share of the units: the pieces of each, and None after them."""

    def __init__(self, units: Sequence[int], pieces: Callable[[int], Iterator[T]]) -> None:
        self._items = _marked(units, pieces)
        self._made = SimpleQueue[T | BaseException | None]()
        self._pool = ThreadPoolExecutor(1, "steepest-read")
        self._pool.submit(self._make)

    def next(self) -> T | None:
        found = self._made.get()
        if isinstance(found, BaseException):
            raise found
        if found is not None:
            self._pool.submit(self._make)
        return found

    def close(self) -> None:
        self._pool.shutdown()

    def _make(self) -> None:
        """The next piece, and that a unit has ended before it: the lane begins another while its last is in use."""
        try:
            for item in self._items:
                self._made.put(item)
                if item is not None:
                    return
        except BaseException as error:  # raised by whoever takes it
            self._made.put(error)


def _marked(units: Sequence[int], pieces: Callable[[int], Iterator[T]]) -> Iterator[T | None]:
    for unit in units:
        yield from pieces(unit)
        yield None
