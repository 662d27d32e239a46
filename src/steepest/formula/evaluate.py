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
        self._values: list[Any] = []
        self._parameters: list[tuple[int, Any]] = []
        self._columns: list[tuple[int, str]] = []
        self._once: list[Operation] = []
        self._each: list[Operation] = []
        nodes, kept = graph.reachable(outputs), set(outputs)
        last = {argument: node for node in nodes for argument in graph.arguments(node)}
        slot: dict[int, int] = {}
        free: list[int] = []  # slots of row values that nothing reads any more
        rowwise: set[int] = set()  # nodes that differ from row to row
        moving: set[int] = set()  # nodes that differ from call to call
        with np.errstate(all="ignore"):
            for node in nodes:
                op, *args = graph.nodes[node]
                arguments = graph.arguments(node)
                is_column = op == "name" and args[0] in columns and args[0] not in parameters
                if is_column or not rowwise.isdisjoint(arguments):
                    rowwise.add(node)
                elif op == "name" or not moving.isdisjoint(arguments):
                    moving.add(node)
                slot[node] = self._slot(free if node in rowwise and op not in LEAVES else [])
                if is_column:
                    self._columns.append((slot[node], args[0]))
                elif op == "name":
                    self._parameters.append((slot[node], parameters[args[0]]))
                elif op in LEAVES:
                    self._values[slot[node]] = np.float64(math.pi if op == "pi" else args[0])
                else:
                    compute = _dot if op == "@" else _stack if op == "stack" else FUNCTIONS[op].numpy
                    operation = (compute, slot[node], tuple(slot[a] for a in arguments))
                    if node in rowwise:
                        self._each.append(operation)
                        free += [slot[a] for a in set(arguments) if last[a] == node and a in rowwise
                                 and graph.nodes[a][0] not in LEAVES and a not in kept]  # fmt: skip
                    elif node in moving:
                        self._once.append(operation)
                    else:
                        self._values[slot[node]] = compute(*(self._values[s] for s in operation[2]))
        self._output_slots = tuple(slot[node] for node in outputs)

    def _slot(self, free: list[int]) -> int:
        """A slot that is free again after its last reader, so that a tile stays in the cache; else a new one."""
        if free:
            return free.pop()
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
            values[target] = np.asarray(columns[name], dtype=np.float64)  # widened where it is narrower
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
    """X @ B (rows,); of several vectors (S, q) at once (S, rows)."""
    if np.ndim(vector) == 2:
        return np.asarray(np.einsum("nj,sj->sn", np.atleast_2d(matrix), vector))
    product: Array = np.einsum("...j,j->...", matrix, vector)
    return product  # no BLAS: the same bits for any number of threads
