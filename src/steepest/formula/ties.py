"""Parameters that are not free: numbers, and ties, formulas of other parameters; put in before anything is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import FitError
from ..types import Array
from .evaluate import Evaluator
from .grammar import Formula
from .program import Graph


@dataclass(frozen=True)
class Held:
    """What stands in the place of parameters; a tie comes after those that it holds."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    ties: Mapping[str, Formula] = field(default_factory=dict)

    def __contains__(self, name: object) -> bool:
        return name in self.numbers or name in self.ties

    def nodes(self, graph: Graph) -> dict[str, int]:
        """By name, in a graph: the numbers, and the ties in terms of free parameters alone."""
        nodes = {name: graph.number(value) for name, value in self.numbers.items()}
        for name, formula in self.ties.items():
            nodes[name] = graph.copy_from(formula.graph, [formula.right], nodes)[0]
        return nodes

    def values(self, places: Mapping[str, Any], theta: Array) -> dict[str, float]:
        """By name, where the free parameters stand at theta; `places` as in a `Layout`."""
        if not self.ties:
            return dict(self.numbers)
        graph = Graph()
        nodes = self.nodes(graph)
        with np.errstate(all="ignore"):
            found = Evaluator(graph, list(nodes.values()), (), places)(theta)
        return {name: float(value) for name, value in zip(nodes, found, strict=True)}


def ordered(ties: Mapping[str, Formula]) -> list[str]:
    """The ties, each after those that it holds. Raises FitError where they go round in a circle."""
    order: list[str] = []
    while len(order) < len(ties):
        ready = [n for n in ties if n not in order and not (ties.keys() & ties[n].names.keys()) - set(order)]
        if not ready:
            circle = {n: f.text for n, f in ties.items() if n not in order}
            said = ", ".join(f"{name} = {text}" for name, text in circle.items())
            raise FitError(f"the ties go round in a circle: {said}; leave one of these parameters free")
        order += ready
    return order
