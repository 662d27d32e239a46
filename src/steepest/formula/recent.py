"""Objectives of late, kept in memory: a formula that was bound before is there at once, with all its derivatives.

An objective follows from its formula, the schema and the options, never from data or start values: written out as JSON
these are its key. What JSON cannot write down (an array, a SymPy expression) is bound anew each time. A kept objective
is shared by every run that asks for it: nothing in it changes but its graph, which grows under a lock of its own.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from .binding import bind
from .grammar import Formula
from .losses import Loss
from .objective import Objective

KEPT = 64  # objectives at most
NODES = 100_000  # in all their graphs together at most: some 50 MB

_recent: OrderedDict[str, Objective] = OrderedDict()
_lock = Lock()


def bound(
    formula: Any,
    schema: Mapping[str, int | None] | None,
    read: Callable[[], Formula],
    *,
    loss: Loss | None = None,
    start: Mapping[str, object] | None = None,
    **options: Any,
) -> Objective:
    """`bind(read(), schema, ...)`, or what the same call made before; `read` reads the formula."""
    known = {"names": list(start)} if isinstance(start, Mapping) else start
    key = _key(formula, schema, loss and loss.name, known, {name: _items(value) for name, value in options.items()})
    with _lock:
        if key in _recent:
            _recent.move_to_end(key)
            return _recent[key]
    objective = bind(read(), schema, loss=loss, start=start, **options)
    if key:
        with _lock:
            _recent[key] = objective
            _forget()
    return objective


def _forget() -> None:
    """Let the oldest go where there are too many."""
    nodes = sum(kept.nodes for kept in _recent.values())
    while len(_recent) > KEPT or nodes > NODES:
        nodes -= _recent.popitem(last=False)[1].nodes


def _key(*parts: Any) -> str:
    """The parts as JSON, which tells 1, 1.0 and True apart; "" where it cannot say them."""
    try:
        return json.dumps(parts)
    except (TypeError, ValueError, RecursionError):
        return ""


def _items(option: Any) -> Any:
    """A mapping by its items, since JSON would make text of all its keys; in a dict, since a list is no mapping."""
    return {"items": list(option.items())} if option is not None and isinstance(option, Mapping) else option
