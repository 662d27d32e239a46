"""Tables, objectives and sums for the tests of the kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from steepest.data.source import TILE, Block
from steepest.formula.binding import bind
from steepest.formula.functions import FUNCTIONS
from steepest.formula.grammar import parse
from steepest.formula.losses import find_loss
from steepest.formula.objective import Item, Layout, Objective, RowSums
from steepest.formula.program import Graph
from steepest.types import Array, Need, Total


def table(rows: int, seed: int = 0) -> dict[str, Array]:
    """Columns y, x, z, w (positive) and a matrix M of three."""
    random = np.random.default_rng(seed)
    return {
        "y": random.normal(size=rows),
        "x": random.normal(size=rows),
        "z": random.normal(size=rows),
        "w": random.uniform(0.1, 2.0, rows),
        "M": random.normal(size=(rows, 3)),
    }


def mask(kind: str, rows: int, seed: int = 1) -> Array | None:
    """Which rows live: "all", "some", "a dead tile" (the first), "one row"."""
    random = np.random.default_rng(seed)
    if kind == "all" or rows == 0:
        return None
    if kind == "one row":
        live = np.zeros(rows, bool)
        live[random.integers(rows)] = True
        return live
    live = random.uniform(size=rows) < 0.6
    if kind == "a dead tile" and rows > TILE:
        live[:TILE] = False
    if not live.any():
        live[-1] = True
    return live


def made(text: str, weights: str | None = None, loss: str = "squares", **widths: int | None) -> Objective:
    """The objective of a formula in the columns of `table`, and in those given by their widths."""
    schema = {"y": None, "x": None, "z": None, "w": None, "M": 3, **widths}
    return bind(parse(text), schema, loss=find_loss(loss), weights=weights)


def picked(objective: Objective, columns: Mapping[str, Array]) -> dict[str, Array]:
    """The columns that an objective uses."""
    return {name: columns[name] for name in objective.columns}


def block_of(objective: Objective, columns: Mapping[str, Array], live: Array | None = None, first: int = 0) -> Block:
    """All rows as one block."""
    return Block(first, len(columns["y"]), picked(objective, columns), live)


def some_theta(objective: Objective) -> Array:
    """Small, different numbers."""
    return np.linspace(0.1, 0.5, objective.layout.size)


def close(found: float, terms: Sequence[float]) -> bool:
    """A sum against the exactly rounded one: within the rounding of its terms."""
    terms = [float(t) for t in terms]
    scale = math.fsum(map(abs, terms))
    return abs(found - math.fsum(terms)) <= 1e-13 * scale + 1e-300


def bits(total: Total) -> tuple[object, ...]:
    """All of a Total, to be compared to the last bit."""
    return (total.rows, total.weight, total.bad, total.values.tobytes())


# an oracle that needs no kernel ----------------------------------------------------------------------------
Nudge = Callable[[Any], Any]


def nudge_by(seed: int, ulp: float = 4.0) -> Nudge:
    """Every operation off by up to so many units in the last place: what rounding may do to a formula."""
    random = np.random.default_rng(seed)
    return lambda value: value * (1.0 + ulp * 2.0**-53 * random.uniform(-1.0, 1.0, np.shape(value)))


def node_values(graph: Graph, outputs: Sequence[int], layout: Layout, theta: Array, columns: Mapping[str, Array],
                nudge: Nudge = lambda value: value) -> list[Any]:  # fmt: skip
    """The outputs at every row, node after node: numbers, arrays (rows,) or matrices (rows, q)."""
    values: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for node in graph.reachable(outputs):
            op, *args = graph.nodes[node]
            if op == "name":
                name = args[0]
                found = theta[layout.places[name]] if name in layout.places else np.asarray(columns[name], float)
            elif op in ("number", "pi"):
                found = np.float64(math.pi if op == "pi" else args[0])
            elif op == "stack":
                found = np.stack(np.broadcast_arrays(*(np.asarray(values[a], float) for a in args)), axis=-1)
            elif op == "@":
                found = nudge(values[args[0]] * values[args[1]]).sum(axis=-1)
            else:
                found = FUNCTIONS[op].numpy(*(values[a] for a in args))
                if not FUNCTIONS[op].condition and op != "where":
                    found = nudge(found)
            values[node] = found
    return [values[node] for node in outputs]


def row_terms(rows: RowSums, theta: Array, block: Block, nudge: Nudge = lambda value: value) -> Array:
    """What is added up for every live row: (live rows, numbers of a Total)."""
    live = slice(None) if block.live is None else block.live
    columns = {name: column[live] for name, column in block.columns.items()}
    count = block.rows if block.live is None else int(block.live.sum())
    values = dict(zip(rows.outputs, node_values(rows.graph, rows.outputs, rows.layout, theta, columns, nudge),
                      strict=True))  # fmt: skip

    def columns_of(items: Sequence[Item]) -> Array:
        parts = [np.zeros((count, 0))]
        for item in items:
            part = np.zeros((count, item.width))
            for node, matrix in item.terms:
                factor = np.broadcast_to(np.asarray(values[node], float), (count,))[:, None]
                part = part + (factor if matrix is None else factor * values[matrix])
            parts.append(part)
        return np.hstack(parts)

    with np.errstate(all="ignore"):
        parts = [columns_of(rows.sums)]
        pairs = [(rows.columns, rows.columns)] * bool(rows.columns) + [((a,), (b,)) for a, b in rows.crosses]
        for left, right in pairs:
            product = columns_of(left)[:, :, None] * columns_of(right)[:, None, :]
            parts.append(product.reshape(count, product.shape[1] * product.shape[2]))
    return np.hstack(parts)


def check_total(total: Total, rows: RowSums, theta: Array, block: Block, samples: int = 4) -> None:
    """A Total against the terms of all rows: within the rounding of the sum and of the terms, as far as it is known.

    What a rounding does to a term is found by nudging every operation; a sum that is finite for some nudges only may
    be either.
    """
    terms = row_terms(rows, theta, block)
    assert total.values.shape == terms.shape[1:]
    nudged = [row_terms(rows, theta, block, nudge_by(seed)) for seed in range(samples)]
    with np.errstate(all="ignore"):
        finite = [np.isfinite(_by_column(t)) for t in (terms, *nudged)]
        spread = _by_column(np.max([np.abs(t - terms) for t in nudged], axis=0))
        allowed = 1e-13 * _by_column(np.abs(terms)) + 20 * spread + 1e-300
        sums = _by_column(terms)
        sure, never = np.all(finite, axis=0), ~np.any(finite, axis=0)
        found = np.isfinite(total.values)
        assert found[sure].all(), "not finite where it should be"
        assert not found[never].any(), "finite where it should not be"
        both = sure & found
        off = np.abs(total.values - sums)[both] / allowed[both]
    assert (off <= 1).all(), f"{off.max()} times what rounding allows, at {np.flatnonzero(both)[off.argmax()]}"
    assert total.rows == len(terms)


def _by_column(terms: Array) -> Array:
    """The sum of each column, pairwise: NumPy adds pairwise only what is contiguous."""
    return np.ascontiguousarray(terms.T).sum(axis=1)


def needs(objective: Objective) -> Iterator[Need]:
    """What may be asked of an objective."""
    missing = set() if objective.squares else {Need.NORMAL}
    if isinstance(objective.projection, str):
        missing.add(Need.PROJECTED)
    return (need for need in Need if need not in missing)
