"""Program + numbers -> numbers, with NumPy: the reference evaluator, for rows, penalties, rules and schedules alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..types import Array
from .functions import FUNCTIONS
from .program import LEAVES, Graph

Operation = tuple[Callable[..., Any], int, tuple[int, ...]]


class Evaluator:
    """The outputs of a graph as straight lines of NumPy calls over reusable slots.

    What holds no name is computed once, here; what holds parameters alone once a call; the rest once for each block of
    rows. `parameters` maps a name to its place in theta: an index (a number) or a slice (a vector).
    """

    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[int],
        columns: Sequence[str],
        parameters: Mapping[str, Any],
    ) -> None:
        self.outputs = tuple(outputs)
        self._values: list[Any] = []
        self._parameters: list[tuple[int, Any]] = []
        self._columns: list[tuple[int, str]] = []
        self._once: list[Operation] = []
        self._each: list[Operation] = []
        nodes = graph.reachable(outputs)
        last = {argument: node for node in nodes for argument in graph.arguments(node)}
        slot: dict[int, int] = {}
        free: list[int] = []
        rowwise: set[int] = set()
        with np.errstate(all="ignore"):
            for node in nodes:
                op, *args = graph.nodes[node]
                arguments = graph.arguments(node)
                is_row = (op == "name" and args[0] in columns and args[0] not in parameters) or any(
                    a in rowwise for a in arguments
                )
                if is_row:
                    rowwise.add(node)
                slot[node] = free.pop() if is_row and op not in LEAVES and free else self._new()
                target = slot[node]
                if op == "number":
                    self._values[target] = np.float64(args[0])
                elif op == "pi":
                    self._values[target] = np.float64(math.pi)
                elif op == "name":
                    if is_row:
                        self._columns.append((target, args[0]))
                    else:
                        self._parameters.append((target, parameters[args[0]]))
                else:
                    compute = _dot if op == "@" else _stack if op == "stack" else FUNCTIONS[op].numpy
                    operation = (compute, target, tuple(slot[a] for a in arguments))
                    if is_row:
                        self._each.append(operation)
                        # a slot is free again after its last reader, so that a tile stays in the cache
                        for a in set(arguments):
                            if (
                                last[a] == node
                                and a in rowwise
                                and graph.nodes[a][0] not in LEAVES
                                and a not in self.outputs
                            ):
                                free.append(slot[a])
                    elif any(slot[a] in self._moving for a in arguments):
                        self._once.append(operation)
                    else:
                        self._values[target] = compute(*(self._values[s] for s in operation[2]))
                        continue
                if op == "name" or (arguments and not is_row):
                    self._moving.add(target)
        self._output_slots = tuple(slot[node] for node in self.outputs)
        self.rowwise = tuple(node in rowwise for node in self.outputs)

    def _new(self) -> int:
        if not self._values:
            self._moving: set[int] = set()
        self._values.append(None)
        return len(self._values) - 1

    def prepare(self, theta: Any) -> list[Any]:
        """The slots filled with everything that does not depend on the row."""
        values = self._values.copy()
        for target, place in self._parameters:
            values[target] = theta[place]
        for compute, target, arguments in self._once:
            values[target] = compute(*[values[a] for a in arguments])
        return values

    def rows(self, prepared: Sequence[Any], columns: Mapping[str, Array]) -> list[Any]:
        """The outputs over some rows: arrays (rows,), or numbers where the row does not matter."""
        values = list(prepared)
        for target, name in self._columns:
            values[target] = columns[name]
        for compute, target, arguments in self._each:
            values[target] = compute(*[values[a] for a in arguments])
        return [values[s] for s in self._output_slots]

    def __call__(self, theta: Any, columns: Mapping[str, Array] | None = None) -> list[Any]:
        """Both at once; call it under `np.errstate(all="ignore")`."""
        return self.rows(self.prepare(theta), columns or {})


def _stack(*columns: Any) -> Array:
    rows = max(np.size(c) for c in columns)
    if all(np.ndim(c) == 0 for c in columns):  # numbers alone: the same for every row
        return np.array(columns, dtype=np.float64)
    return np.stack([np.broadcast_to(c, (rows,)) for c in columns], axis=1)


def _dot(matrix: Array, vector: Array) -> Array:
    product: Array = np.einsum("...j,j->...", matrix, vector)
    return product  # no BLAS: the same bits for any number of threads
