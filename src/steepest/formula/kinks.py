"""Kinks that are known: absolute values, and the larger or smaller of two, of what is affine in the parameters.

max(u, v) = (u + v + |u - v|)/2: an expression that adds such terms, with factors that make them open upwards, is smooth
but for Σ scale·|u|, and where a u is zero any slope between -scale and scale belongs to its subgradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..types import Array
from ..vertex import Rows
from .derive import gradient
from .evaluate import Evaluator
from .program import Graph

KINKED = frozenset(("abs", "sign", "min", "max", "clip", "where"))
Term = tuple[float, int, float]  # scale, u, and the slope of |u| that a derivative takes at u = 0


@dataclass(frozen=True)
class Kinks:
    """Σ scaleₖ·|uₖ| of p numbers: `nodes` u of a graph, their constant slopes (K, p)."""

    graph: Graph
    terms: tuple[Term, ...]
    slopes: Array
    places: Mapping[str, Any]

    @cached_property
    def scale(self) -> Array:
        """(K,)."""
        return np.array([scale for scale, *_ in self.terms])

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.graph, [node for _, node, _ in self.terms], (), self.places)

    def rows(self, u: Array) -> Rows:
        """Each as a row whose residual is u."""
        return -self.slopes, u, self.scale, self.scale

    def at(self, theta: Array) -> tuple[Array, Array]:
        """u (K,), and the part of a derivative (p,) that the kinks have given."""
        u = np.array([float(value) for value in self._evaluator(theta)])
        signs = np.where(u == 0, [tie for *_, tie in self.terms], np.sign(u))
        return u, (self.scale * signs) @ self.slopes


def kinks(graph: Graph, output: int, names: Sequence[str]) -> frozenset[str]:
    """The operations with a kink or a jump that depend on some names."""

    def depends(node: int) -> bool:  # a choice by columns alone has no kink, whatever it chooses between
        decides = graph.nodes[node][1] if graph.nodes[node][0] == "where" else node
        return graph.depends([decides], names)

    nodes = [n for n in graph.reachable([output]) if graph.nodes[n][0] in KINKED]
    return frozenset(graph.nodes[n][0] for n in nodes if depends(n))


def deciding(graph: Graph, output: int, names: Sequence[str]) -> list[int] | None:
    """The expressions whose zeros are the kinks of an output; None where a choice is one of these."""
    found: list[int] = []
    for node in graph.reachable([output]):
        op, *args = graph.nodes[node]
        if op not in KINKED or not graph.depends(args[:1] if op == "where" else args, names):
            continue
        if op == "where":
            return None
        others = args[1:] if op in ("min", "max", "clip") else [graph.number(0)]
        found += [graph.apply("-", args[0], other) for other in others]
    return found


def known_kinks(graph: Graph, output: int, names: Sequence[str]) -> Kinks | None:
    """The kinks of an expression of the scalars `names` alone; None where one is not of this kind."""
    with graph.growing:
        try:
            terms = tuple(_terms(graph, output, 1.0, names))
        except ValueError:
            return None
        partials = [gradient(graph, node, names) for _, node, _ in terms]
        nodes = [partial[name].node for partial in partials for name in names]
        zero = graph.number(0)
        values = Evaluator(graph, [zero if n is None else n for n in nodes], (), {})(np.zeros(0)) if nodes else []
    slopes = np.array([float(v) for v in values]).reshape(len(terms), len(names))
    return Kinks(graph, terms, slopes, {name: i for i, name in enumerate(names)})


def _terms(graph: Graph, node: int, factor: float, names: Sequence[str]) -> Iterator[Term]:
    """The kinks of a sum; ValueError where there is another one."""
    if not kinks(graph, node, names):
        return
    op, *args = graph.nodes[node]
    if op in ("+", "-"):
        yield from _terms(graph, args[0], factor, names)
        yield from _terms(graph, args[1], -factor if op == "-" else factor, names)
    elif op == "neg":
        yield from _terms(graph, args[0], -factor, names)
    elif op in ("*", "/") and graph.is_constant(args[1]):
        value = _number(graph, args[1])
        yield from _terms(graph, args[0], factor * value if op == "*" else factor / value, names)
    elif op == "*" and graph.is_constant(args[0]):
        yield from _terms(graph, args[1], factor * _number(graph, args[0]), names)
    elif op == "abs" and factor > 0 and _affine(graph, args[0], names):
        yield factor, args[0], 0.0
    elif op in ("max", "min") and (factor > 0) == (op == "max"):
        difference = graph.apply("-", args[0], args[1])
        if not _affine(graph, difference, names):
            raise ValueError
        yield 0.5 * abs(factor), difference, 1.0 if op == "max" else -1.0
    else:
        raise ValueError


def _affine(graph: Graph, node: int, names: Sequence[str]) -> bool:
    partials = gradient(graph, node, names).values()
    return not kinks(graph, node, names) and not graph.depends([n for q in partials for n, _ in q.terms], names)


def _number(graph: Graph, node: int) -> float:
    return float(Evaluator(graph, [node], (), {})(np.zeros(0))[0])
