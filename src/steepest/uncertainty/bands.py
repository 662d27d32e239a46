"""Bands about a prediction: what the uncertainty of the parameters leaves open, row by row.

The variance of a prediction is g·C·gᵀ, g its exact gradient by the free parameters, C their covariance (Seber and Wild,
Nonlinear Regression, 1989, sec. 5.1); that of a new observation there is larger by its own: s²/weight, or σ².
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..data.source import Source, blocks
from ..formula.binding import hold, precision
from ..formula.derive import gradient
from ..formula.grammar import Formula
from ..formula.objective import Item, Layout, RowSums
from ..kernels.numpy import NumpyKernel
from ..types import Array


def spread_parts(
    formula: Formula,
    source: Source,
    layout: Layout,
    theta: Array,
    covariance: Array,
    fixed: Mapping[str, object],
    observed: tuple[float, str | None, str | float | None] | None = None,
) -> Iterator[tuple[Array, Array]]:
    """Prediction and its standard deviation for every row, in consecutive parts: (rows,), (rows,).

    `observed`: s², weights and sigma of a new observation, whose own variance is then added.
    """
    graph = formula.graph
    schema = {name: column.width for name, column in source.schema.items()}
    names = [*layout.names, *fixed]
    held = hold(fixed, names, layout.width_of, schema).nodes(graph)
    (prediction,) = graph.substitute([formula.right], {graph.name(name): node for name, node in held.items()})
    zero = graph.number(0)
    columns = [
        Item(partial.terms or ((zero, None),), layout.width_of[name] or 1)
        for name, partial in gradient(graph, prediction, layout.names).items()
    ]
    weight = None if observed is None else precision(graph, *observed[1:], schema)
    own = graph.number(1) if weight is None else graph.apply("/", graph.number(1), weight)
    columns += [Item(((prediction, None),)), Item(((own, None),))]
    rows = RowSums(graph, layout, (), columns=tuple(columns))
    used = [n for n in graph.names(rows.outputs) if n not in layout.names]
    kernel = NumpyKernel(RowSums(graph, layout, tuple(used), columns=tuple(columns)))
    noise = 0.0 if observed is None else observed[0]
    for block in blocks(source.select(used)):
        for tile in kernel.column_tiles(theta, block):
            slope = tile[:, : layout.size]
            with np.errstate(all="ignore"):
                variance = np.einsum("ij,ij->i", np.einsum("ij,jk->ik", slope, covariance), slope)
                yield tile[:, -2].copy(), np.sqrt(np.maximum(variance, 0.0) + noise * tile[:, -1])
