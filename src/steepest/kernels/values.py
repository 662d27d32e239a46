"""Row expressions at every row, into arrays: predictions, weights, conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..data.source import TILE
from ..formula.evaluate import Evaluator
from ..formula.objective import Layout
from ..formula.program import Graph
from ..types import Array
from .kernel import is_native


class RowValues:
    """A row expression as a function: columns by name -> its value at every row, (rows,).

    `values`: the parameters by name, numbers or vectors.
    """

    def __init__(self, graph: Graph, node: int, columns: Sequence[str], values: Mapping[str, float | Array]) -> None:
        self._graph, self._node, self._columns = graph, node, tuple(columns)
        widths = tuple(len(v) if isinstance(v, np.ndarray) else None for v in values.values())
        self._layout = Layout(tuple(values), widths)
        self._theta = np.concatenate([np.zeros(0), *(np.atleast_1d(np.asarray(v, float)) for v in values.values())])
        self._evaluator = Evaluator(graph, [node], columns, self._layout.places)

    def __call__(self, columns: Mapping[str, Array], rows: int) -> Array:
        """The values, by machine code where that is worth it."""
        if self._columns and is_native(self._graph, [self._node], rows):
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
        from .running import Loop, Pass, compiled

        kinds = dict(zip(self._columns, map(Kind.of, columns), strict=True))

        nodes = [self._node]
        loop = compiled(self._graph, nodes, (self._layout, *kinds.items()),
                        lambda: Loop(values_loop(self._graph, nodes, self._layout, self._columns, kinds)))  # fmt: skip
        out = np.empty(rows)
        operations = len(self._graph.reachable(nodes))
        list(Pass(loop, columns, rows, None, self._layout.size, out, operations, whole=True)(self._theta))
        return out
