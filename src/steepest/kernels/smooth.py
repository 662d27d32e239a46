"""Whether a formula with kinks is smooth about a point: whether none of them lies near it in any row."""

from __future__ import annotations

import numpy as np

from ..data.source import UNIT
from ..formula.derive import gradient
from ..formula.evaluate import Evaluator
from ..formula.kinks import deciding
from ..types import Array
from .numpy import live_tiles
from .surface import Surface

BESIDE = 1e-6  # of the parameters' sizes: a kink nearer than this lies at the point


def smooth_about(surface: Surface, theta: Array, size: Array) -> bool:
    """Whether every kink lies farther from theta than a millionth of the sizes (p,); one pass, that counts as none.

    False where that cannot be said: of choices, and beside vectors.
    """
    objective = surface.objective
    layout, penalty = objective.layout, objective.penalty
    graphs = [(objective.graph, objective.loss, objective.columns, layout.names)]
    graphs += [] if penalty is None else [(penalty.graph, penalty.node, (), layout.flat)]
    for graph, output, columns, names in graphs:
        with graph.growing:
            found = deciding(graph, output, names)
            if found is None or (found and any(width is not None for width in layout.widths)):
                return False
            zero, outputs = graph.number(0), list(found)
            for node in found:
                partials = gradient(graph, node, names)
                outputs += [zero if partials[n].node is None else partials[n].terms[0][0] for n in names]
        if not found:
            continue
        places = {name: i for i, name in enumerate(names)}
        evaluator = Evaluator(graph, outputs, columns, places)
        prepared, read = evaluator.prepare(theta), surface.reader.rows_read
        tiles = (
            (part for block in surface.reader.full(UNIT) for *_, part in live_tiles(block)) if columns else iter([{}])
        )
        for part in tiles:
            with np.errstate(all="ignore"):
                values = evaluator.rows(prepared, part)
                slopes = np.array([np.max(np.abs(v)) for v in values[len(found) :]]).reshape(len(found), -1)
                nearest = np.array([np.min(np.abs(v)) for v in values[: len(found)]])
            if not (nearest > BESIDE * (slopes @ size)).all():
                surface.reader.rows_read = read
                return False
        surface.reader.rows_read = read
    return True
