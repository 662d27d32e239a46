"""One BLAS thread for the small solves and the QR, so that answers have the same bits on any number of cores."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

SMALL = 32  # matrices up to this size are never split among threads


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_thread(size: int) -> AbstractContextManager[Any]:
    """A context in which BLAS and LAPACK run on one thread; nothing for sizes that run on one anyway."""
    return nullcontext() if size <= SMALL else _controller().limit(limits=1, user_api="blas")
