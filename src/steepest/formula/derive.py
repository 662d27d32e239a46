"""Derivatives: one reverse sweep over a program, whose result is nodes of the same graph; the Hessian is the sweep twice.

Reverse accumulation (Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 3): every node hands its adjoint to its
arguments, times the partial derivative that the table of functions writes down as a formula. Where a formula chooses
(`where`, `min`, `max`, `clip`, the removable 0·log 0 of a power) the adjoint carries the condition of its path along,
and is cut by it only at the end: what the branch not taken evaluates to can then never reach the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from .functions import FUNCTIONS
from .program import LEAVES, Graph

#: paths under different conditions that one node may carry before they are cut and added
MAX_GUARDS = 8
NO_GUARD = -1
ARGUMENTS = ("u", "v", "w")


@dataclass(frozen=True)
class Partial:
    """The derivative of one output by one name.

    `terms` add up to it: (row scalar, None) for a scalar parameter; for a vector parameter B of `X @ B` (row scalar, X):
    the derivative by B is X times the scalar.
    """

    terms: tuple[tuple[int, int | None], ...]

    @property
    def node(self) -> int | None:
        """The derivative by a scalar name; None where it is identically zero."""
        return self.terms[0][0] if self.terms else None


def gradient(graph: Graph, output: int, names: Sequence[str]) -> dict[str, Partial]:
    """∂output/∂name for every name, as nodes of the same graph; names that the output does not hold have no terms."""
    wanted = {graph.name(name): name for name in names}
    active = _dependents(graph, output, set(wanted))
    adjoints: dict[int, dict[int, int]] = {output: {NO_GUARD: graph.number(1)}} if output in active else {}
    terms: dict[str, list[tuple[int, int | None]]] = {name: [] for name in names}
    for node in sorted(active, reverse=True):
        paths = adjoints.pop(node, None)
        if paths is None:
            continue
        if node in wanted:
            terms[wanted[node]].insert(0, (_cut(graph, paths), None))
            continue
        op, *arguments = graph.nodes[node]
        if op == "@":
            matrix, vector = arguments
            if vector in wanted:
                terms[wanted[vector]].append((_cut(graph, paths), matrix))
            continue
        partials = _partials(op)
        for position, argument in enumerate(arguments):
            if argument not in active or partials[position] is None:
                continue
            local, condition = _instantiate(graph, op, position, node)
            slot = adjoints.setdefault(argument, {})
            for guard, adjoint in paths.items():
                path = guard if condition is None else condition if guard < 0 else graph.apply("and", guard, condition)
                if path >= 0 and graph.truth(path) is True:
                    path = NO_GUARD
                if path >= 0 and graph.truth(path) is False:
                    continue
                flow = times(graph, adjoint, local)
                slot[path] = plus(graph, slot[path], flow) if path in slot else flow
            if len(slot) > MAX_GUARDS:
                adjoints[argument] = {NO_GUARD: _cut(graph, slot)}
    return {name: Partial(tuple(t for t in found if graph.value(t[0]) != 0)) for name, found in terms.items()}


def hessian(graph: Graph, first: dict[str, Partial], names: Sequence[str]) -> dict[tuple[str, str], int]:
    """∂²output/∂a∂b for scalar names a, b in the order given (a before b or a = b); zeros are left out."""
    second: dict[tuple[str, str], int] = {}
    for i, a in enumerate(names):
        node = first[a].node
        if node is None:
            continue
        for b, partial in gradient(graph, node, names[i:]).items():
            if partial.node is not None:
                second[a, b] = partial.node
    return second


def times(graph: Graph, a: int, b: int) -> int:
    """a·b with signs and quotients pulled out: fewer operations, fewer roundings."""
    for one, other in ((a, b), (b, a)):
        op, *arguments = graph.nodes[one]
        if op == "neg" or graph.value(one) == -1:
            inner = arguments[0] if op == "neg" else graph.number(1)
            return graph.apply("neg", times(graph, other, inner))
    op, *arguments = graph.nodes[b]
    if op == "/":
        return graph.apply("/", times(graph, a, arguments[0]), arguments[1])
    return graph.apply("*", a, b)


def plus(graph: Graph, a: int, b: int) -> int:
    """a + b, written as a difference where one is negated."""
    if graph.nodes[b][0] == "neg":
        return graph.apply("-", a, graph.nodes[b][1])
    if graph.nodes[a][0] == "neg":
        return graph.apply("-", b, graph.nodes[a][1])
    return graph.apply("+", a, b)


def _cut(graph: Graph, paths: dict[int, int]) -> int:
    """The sum of the adjoints over their paths, each zero where its condition does not hold."""
    zero = graph.number(0)
    total = paths.get(NO_GUARD, zero)
    for guard, adjoint in paths.items():
        if guard != NO_GUARD:
            total = plus(graph, total, graph.apply("where", guard, adjoint, zero))
    return total


def _dependents(graph: Graph, output: int, wanted: set[int]) -> set[int]:
    """The nodes below the output that hold a wanted name."""
    active: set[int] = set()
    for node in graph.reachable([output]):
        op, *arguments = graph.nodes[node]
        if node in wanted or (op not in LEAVES and any(a in active for a in arguments)):
            active.add(node)
    return active


def _instantiate(graph: Graph, op: str, position: int, node: int) -> tuple[int, int | None]:
    """The partial derivative of a node by one argument, and the condition of that path, built in its graph."""
    template = _partials(op)[position]
    assert template is not None
    source, outputs = template
    replace = dict(zip(ARGUMENTS, graph.nodes[node][1:], strict=False))
    replace["out"] = node
    built = graph.copy_from(source, outputs, replace)
    return built[0], built[1] if len(built) > 1 else None


@cache
def _partials(op: str) -> tuple[tuple[Graph, list[int]] | None, ...]:
    """The table's formulas of an operation, read once."""
    from .grammar import parse  # grammar reads the same table

    templates: list[tuple[Graph, list[int]] | None] = []
    for text in FUNCTIONS[op].partials:
        if text in ("", "0"):
            templates.append(None)
            continue
        value, _, condition = text.partition(" if ")
        formula = parse(value, private=True)
        outputs = [formula.right]
        if condition:
            guard = parse(condition, condition=True, private=True) if condition not in ("u", "not u") else None
            if guard is not None:
                outputs += formula.graph.copy_from(guard.graph, [guard.right], {})
            else:
                u = formula.graph.name("u")
                outputs.append(u if condition == "u" else formula.graph.apply("not", u))
        templates.append((formula.graph, outputs))
    return tuple(templates)
