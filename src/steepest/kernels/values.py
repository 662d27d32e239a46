"""Row expressions at every row, into arrays: predictions, weights, conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.source import TILE
from ..formula.evaluate import Evaluator
from ..formula.objective import Layout
from ..formula.program import Graph
from ..types import Array
from .kernel import is_native


class RowValues:
    """A row expression as a function: columns by name -> its value at every row, (rows,).

    `values`: the parameters by name, numbers or vectors; `count` rows in all decide on the kernel.
    """

    def __init__(
        self, graph: Graph, node: int, columns: Sequence[str], values: Mapping[str, float | Array], count: int
    ) -> None:
        self._is_native = bool(columns) and is_native(graph, [node], count)
        self._graph, self._node, self._columns = graph, node, tuple(columns)
        widths = tuple(len(v) if isinstance(v, np.ndarray) else None for v in values.values())
        self._layout = Layout(tuple(values), widths)
        self._theta = np.concatenate([np.zeros(0), *(np.atleast_1d(np.asarray(v, float)) for v in values.values())])
        self._loops: dict[Any, Any] = {}
        self._evaluator = Evaluator(graph, [node], columns, self._layout.places)

    def __call__(self, columns: Mapping[str, Array], rows: int) -> Array:
        """The values at every row of some."""
        if self._is_native:
            return self._native([columns[name] for name in self._columns], rows)
        out = np.empty(rows)
        with np.errstate(all="ignore"):
            prepared = self._evaluator.prepare(self._theta)
            for start in range(0, rows, TILE):
                tile = {name: columns[name][start : start + TILE] for name in self._columns}
                out[start : start + TILE] = self._evaluator.rows(prepared, tile)[0]
        return out

    def _native(self, columns: Sequence[Array], rows: int) -> Array:
        from .emission import Kind
        from .loops import values_loop
        from .running import Loop, Pass, program, remembered

        kinds, nodes = tuple(map(Kind.of, columns)), [self._node]
        if kinds not in self._loops:
            named = dict(zip(self._columns, kinds, strict=True))
            self._loops[kinds] = remembered(
                (program(self._graph, nodes), self._layout, *named.items()),
                lambda: Loop(values_loop(self._graph, nodes, self._layout, self._columns, named)),
            )  # fmt: skip
        out = np.empty(rows)
        operations = len(self._graph.reachable(nodes))
        bound = Pass(self._loops[kinds], columns, rows, None, self._layout.size, out, operations, whole=True)
        for _ in bound(self._theta):
            pass
        return out
