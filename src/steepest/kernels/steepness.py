"""How steep an objective can get on its rows: a bound of its Hessian, and of that of the steepest row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..data.source import UNIT
from ..formula.curvature import Curvature
from ..formula.derive import gradient
from ..formula.evaluate import Evaluator
from ..formula.objective import Item, Objective, Penalty, RowSums
from ..scaling import Scaling
from ..types import Array
from .numpy import NumpyKernel, live_tiles
from .surface import Surface

Bounds = Sequence[Array]  # (p, p): of the Hessian from above, or at some points, and last of its negative
CORNERS, LOOKS = 64, 1 << 21  # of a box that are looked at; and times the rows


def steepest(
    surface: Surface, scaling: Scaling | None = None, most: int | None = None
) -> tuple[Bounds, float, str] | str:
    """Bounds of the Hessian of S, the curvature of the steepest row with its weight, and why; or why there are none.

    One pass in NumPy, which counts as none: it takes the place of trials. `most`: of the first rows alone.
    """
    objective = surface.objective
    proof, p = surface.proof, objective.layout.size
    with objective.graph.growing:
        curve = Curvature(proof)
        kernel = NumpyKernel(_atoms(objective, curve))
    weight = () if objective.weight is None else (objective.weight,)
    evaluator = Evaluator(objective.graph, [*curve.constants, *weight], objective.columns, {})
    bounds = _intervals(objective)
    corners = list(_corners(objective)) if curve.cornered and most is None else []
    corners = corners if len(corners) * surface.reader.rows <= LOOKS else []
    above, below, row = np.zeros((max(1, len(corners)), p, p)), np.zeros((p, p)), 0.0
    read, prepared, why = surface.reader.rows_read, evaluator.prepare(np.zeros(0)), ""
    for block in surface.reader.full(UNIT):
        if most is not None and block.first_row >= most:
            break
        tiles = kernel.column_tiles(np.zeros(p), block)
        for (_, rows, columns), slopes in zip(live_tiles(block), tiles, strict=True):
            with np.errstate(all="ignore"):
                values = evaluator.rows(prepared, columns)
                constants = dict(zip(curve.constants, values, strict=False))
                bends = curve.at(constants, bounds)
                if bends is None:
                    surface.reader.rows_read = read
                    return curve.why
                w = values[-1] if weight else 1.0
                up, down, top = _summed(curve, bends, slopes, w, rows, scaling)
                why, below, row = curve.why, below + down, max(row, top)
                for i, corner in enumerate(corners):  # the largest there is no sum of what each row has at its own
                    bends = curve.at(constants, corner)
                    assert bends is not None
                    above[i] += _summed(curve, bends, slopes, w, rows, scaling)[0]
                above[0] += 0.0 if corners else up
    surface.reader.rows_read = read
    return (*above, below), row, why


def penalty_curvature(penalty: Penalty, lower: Array, upper: Array) -> Bounds | str:
    """The same of a penalty, of which there is one."""
    curve = Curvature(penalty.convexity(lower, upper))
    flat = penalty.layout.flat
    with penalty.graph.growing:
        slopes = [gradient(penalty.graph, atom, flat) for atom in curve.atoms]
    nodes = [[s[name].node for name in flat] for s in slopes]
    with np.errstate(all="ignore"):
        constants = Evaluator(penalty.graph, curve.constants, (), {})(np.zeros(0))
        bounds = dict(zip(flat, zip(lower, upper, strict=True), strict=True))
        bends = curve.at(dict(zip(curve.constants, constants, strict=True)), bounds)
        if bends is None:
            return curve.why
        rows = [[0.0 if n is None else float(Evaluator(penalty.graph, [n], (), {})(np.zeros(0))[0]) for n in node]
                for node in nodes]  # fmt: skip
    beside = np.array([number for row in rows for number in row])[None, :]
    return _summed(curve, bends, beside, 1.0, 1, None)[:2]


def _summed(
    curve: Curvature, bends: Mapping[int, Any], slopes: Array, weight: Any, rows: int, scaling: Scaling | None
) -> tuple[Array, Array, float]:
    """Σ of w·bend·a·aᵀ over rows and atoms, from above and of the negative; and the largest trace of a row."""
    p = slopes.shape[1] // max(1, len(curve.atoms))
    above, below, traces = np.zeros((p, p)), np.zeros((p, p)), np.zeros((2, rows))
    for i, atom in enumerate(curve.atoms):
        low, high = bends.get(atom, (0.0, 0.0))
        columns = slopes[:, i * p : (i + 1) * p]
        columns = columns if scaling is None else scaling.columns(columns)
        squares = np.einsum("ij,ij->i", columns, columns)
        for place, matrix, bend in ((0, above, np.maximum(high, 0.0)), (1, below, np.maximum(-low, 0.0))):
            steep = np.broadcast_to(weight * bend, (rows,))
            if steep.any():
                matrix += np.einsum("ij,ik->jk", steep[:, None] * columns, columns)  # no BLAS: always the same bits
                traces[place] += steep * squares
    return above, below, float(traces.max(initial=0.0))


def _atoms(objective: Objective, curve: Curvature) -> RowSums:
    """The gradients of the atoms side by side, p columns each."""
    graph, layout, items = objective.graph, objective.layout, []
    zero = graph.number(0)
    for atom in curve.atoms:
        for name, partial in gradient(graph, atom, layout.names).items():
            items.append(Item(partial.terms or ((zero, None),), layout.width_of[name] or 1))
    return RowSums(graph, layout, objective.columns, (), tuple(items))


def _corners(objective: Objective) -> Iterator[dict[str, tuple[Any, Any]]]:
    """The corners of the box, as intervals of no width; none where a side is open or there are too many."""
    lower, upper, layout = objective.lower, objective.upper, objective.layout
    if 2**layout.size > CORNERS or not np.isfinite([lower, upper]).all():
        return
    for sides in product((False, True), repeat=layout.size):
        at = np.where(sides, upper, lower)
        yield {name: (at[place], at[place]) for name, place in layout.places.items()}


def _intervals(objective: Objective) -> dict[str, tuple[Any, Any]]:
    """Between which values each parameter stays: numbers, arrays (q,) for a vector."""
    return {name: (objective.lower[place], objective.upper[place]) for name, place in objective.layout.places.items()}
