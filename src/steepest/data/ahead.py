"""One thread that reads the next piece while the present one is summed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items of an iterator in their order, each made by a thread of its own while the one before it is in use.

    Two items are alive at most. What the iterator raises is raised here; leaving early waits for the one that is made.
    """
    with ThreadPoolExecutor(1, "steepest-read") as pool:
        coming = pool.submit(_next, items)
        while found := coming.result():
            (item,) = found
            coming = pool.submit(_next, items)
            del found
            yield item
            del item


def _next(items: Iterator[T]) -> tuple[T] | None:
    for item in items:
        return (item,)
    return None
