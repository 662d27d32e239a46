"""Derivatives: one reverse sweep over a program, whose result is nodes of the same graph; twice gives the Hessian.

Reverse accumulation (Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 3): every node hands its adjoint to its
arguments, times the partial derivative that the table of functions writes down as a formula. Where a formula chooses
(`where`, `min`, `max`, `clip`, the removable 0·log 0 of a power) the adjoint carries the condition of its path along,
and is cut by it only at the end: what the branch not taken evaluates to can then never reach the answer.

Far out, exp(t) overflows while 1/(1 + exp(t)) is a good 0, whose derivative must not become 0·∞. Two remedies:
- x/(c + E)·E is written x/(c/E + 1), and x/E·E is x, for an exponential or a power E: no overflow, no underflow.
- elsewhere below a function that settles down (tanh, exp, a denominator ...) an adjoint that is exactly zero hands on
  zero where the factor that it meets has overflowed. A pole is no overflow: there NaN stays NaN.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from .functions import FUNCTIONS
from .program import LEAVES, Graph

#: paths under different conditions that one node may carry before they are cut and added
MAX_GUARDS = 8
NO_GUARD = -1
ARGUMENTS = ("u", "v", "w")
#: the arguments by which a function settles down to a finite value as they grow
SETTLING = {
    "/": (1,), "**": (0, 1), "exp": (0,), "expm1": (0,), "sigmoid": (0,), "softplus": (0,),
    "tanh": (0,), "atan": (0,), "atan2": (0, 1), "erf": (0,), "erfc": (0,), "polygamma": (1,),
}  # fmt: skip
#: whose partial derivative overflows where its arguments are finite
OVERFLOWING = frozenset(("*", "/", "**", "exp", "expm1", "sinh", "cosh"))
LARGEST = sys.float_info.max
SEARCH = 6  # how deep a product is searched for a quotient


@dataclass(frozen=True)
class Partial:
    """The derivative of one output by one name.

    `terms` add up to it: (row scalar, None) for a scalar parameter; for a vector parameter B of `X @ B` (row scalar,
    X): the derivative by B is X times the scalar, and the one by X is B times it.
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
    settled: set[int] = set()  # nodes below a function that settles down
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
            for one, other in ((vector, matrix), (matrix, vector)):
                if one in wanted:
                    terms[wanted[one]].append((_cut(graph, paths), other))
            if graph.nodes[matrix][0] == "stack":
                for j, column in enumerate(graph.arguments(matrix)):
                    if column in active:
                        element = graph.name(f"{graph.nodes[vector][1]}[{j}]")
                        _add(graph, adjoints, column, {g: times(graph, a, element) for g, a in paths.items()})
            continue
        partials = _partials(op)
        for position, argument in enumerate(arguments):
            if argument not in active or partials[position] is None:
                continue
            if node in settled or position in SETTLING.get(op, ()):
                settled.add(argument)
            local, condition = _instantiate(graph, op, position, node)
            steep = node in settled and op in OVERFLOWING and graph.grows(local)
            both = graph.nodes[local][0] == "*" and all(graph.grows(a) for a in graph.arguments(local))
            flows: dict[int, int] = {}
            for guard, adjoint in paths.items():
                path = _both(graph, guard, condition)
                if steep and (both or _absorb(graph, adjoint, local) is None):
                    path = _both(graph, path, _alive(graph, adjoint, local, node))
                flow = times(graph, adjoint, local)
                if path is not None:
                    flows[path] = plus(graph, flows[path], flow) if path in flows else flow
            _add(graph, adjoints, argument, flows)
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
    """a·b with signs, and a quotient b, pulled out: fewer operations, fewer roundings.

    A quotient a stays: its small value tames b, and (numerator·b)/denominator might overflow.
    """
    for position, factor in enumerate((a, b)):
        if graph.nodes[factor][0] == "neg" or graph.value(factor) == -1:
            inner = graph.nodes[factor][1] if graph.value(factor) is None else graph.number(1)
            return graph.apply("neg", times(graph, inner, b) if position == 0 else times(graph, a, inner))
    absorbed = _absorb(graph, a, b)
    if absorbed is not None:
        return absorbed
    op, *arguments = graph.nodes[b]
    if op == "/":
        return graph.apply("/", times(graph, a, arguments[0]), arguments[1])
    if op == "*" and graph.is_number(a) and graph.is_number(arguments[0]):  # 0.5*(2*x) is x
        return times(graph, graph.apply("*", a, arguments[0]), arguments[1])
    return graph.apply("*", a, b)


def plus(graph: Graph, a: int, b: int) -> int:
    """a + b, written as a difference where one is negated."""
    if graph.nodes[b][0] == "neg":
        return graph.apply("-", a, graph.nodes[b][1])
    if graph.nodes[a][0] == "neg":
        return graph.apply("-", b, graph.nodes[a][1])
    return graph.apply("+", a, b)


def _absorb(graph: Graph, a: int, b: int) -> int | None:
    """a·b where b is an exponential or a power that stands in a denominator of a, written without it; else None."""
    op, *arguments = graph.nodes[b]
    if op == "*":
        for one, other in (arguments, reversed(arguments)):
            found = _over(graph, a, one, SEARCH) if graph.nodes[one][0] in ("exp", "**") else None
            if found is not None:
                return times(graph, found, other)
        return None
    if op == "/":
        if graph.value(arguments[0]) != 1:
            above = _absorb(graph, a, arguments[0])
            return None if above is None else graph.apply("/", above, arguments[1])
        op = graph.nodes[arguments[1]][0]
    return _over(graph, a, b, SEARCH) if op in ("exp", "**") else None


def _over(graph: Graph, a: int, b: int, depth: int) -> int | None:
    """a·b with b taken out of a quotient within a."""
    op, *arguments = graph.nodes[a]
    if depth == 0 or op not in ("neg", "*", "/"):
        return None
    if op == "/":
        below = _divided(graph, arguments[1], b, SEARCH)
        if below is not None:
            return graph.apply("/", arguments[0], below)
    above = _over(graph, arguments[0], b, depth - 1)
    if op == "neg":
        return None if above is None else graph.apply("neg", above)
    if above is not None:
        return graph.apply("/", above, arguments[1]) if op == "/" else times(graph, above, arguments[1])
    if op == "/":
        return None
    above = _over(graph, arguments[1], b, depth - 1)
    return None if above is None else times(graph, arguments[0], above)


def _divided(graph: Graph, v: int, b: int, depth: int) -> int | None:
    """v/b term by term, if b is a factor of one of its terms; else None."""
    if v == b:
        return graph.number(1)
    op, *arguments = graph.nodes[v]
    if depth == 0 or op not in ("+", "-", "*", "neg"):
        return None
    parts = [_divided(graph, argument, b, depth - 1) for argument in arguments]
    if all(part is None for part in parts):
        return None
    if op == "*":
        return _product(graph, arguments, parts)
    if any(part is None and graph.grows(a) for a, part in zip(arguments, parts, strict=True)):
        return None  # exp(2*x)/exp(x) would be no better
    return graph.apply(
        op, *[_rest(graph, a, b) if part is None else part for a, part in zip(arguments, parts, strict=True)]
    )


def _product(graph: Graph, arguments: Sequence[int], parts: Sequence[int | None]) -> int:
    """A product with the first factor that could be divided replaced."""
    left, right = parts
    if left is not None:
        return graph.apply("*", left, arguments[1])
    assert right is not None
    return graph.apply("*", arguments[0], right)


def _rest(graph: Graph, a: int, b: int) -> int:
    """a/b, where b may be a reciprocal itself; a product with 1/b, so that the same holds of its own derivative."""
    op, *arguments = graph.nodes[b]
    return graph.apply("*", a, arguments[1] if op == "/" else graph.apply("/", graph.number(1), b))


def _both(graph: Graph, guard: int | None, condition: int | None) -> int | None:
    """The guard of a path under one more condition; None where it can never be taken."""
    if guard is None or condition is None:
        return guard
    truth = graph.truth(condition)
    if truth is not None:
        return guard if truth else None
    path = condition if guard == NO_GUARD else graph.apply("and", guard, condition)
    truth = graph.truth(path)
    return path if truth is None else NO_GUARD if truth else None


def _alive(graph: Graph, adjoint: int, local: int, node: int) -> int:
    """The condition under which an adjoint counts: it is not zero, or what it meets has not overflowed."""
    while graph.nodes[adjoint][0] == "neg":
        adjoint = graph.nodes[adjoint][1]
    op, *arguments = graph.nodes[node]
    finite = graph.apply("<=", graph.apply("abs", local), graph.number(LARGEST))
    condition = graph.apply("or", graph.apply("_nonzero", adjoint), finite)
    if op == "/":  # an infinity from a pole is none from an overflow
        condition = graph.apply("or", condition, graph.apply("==", arguments[1], graph.number(0)))
    if op == "**":
        small = graph.apply("<=", graph.apply("abs", arguments[0]), graph.number(1))
        condition = graph.apply("or", condition, small)
    return condition


def _add(graph: Graph, adjoints: dict[int, dict[int, int]], node: int, flows: dict[int, int]) -> None:
    """Add flows to the adjoint of a node, path by path; too many paths become one, open where any of them is."""
    slot = adjoints.setdefault(node, {})
    for path, flow in flows.items():
        slot[path] = plus(graph, slot[path], flow) if path in slot else flow
    if len(slot) > MAX_GUARDS:
        merged = _cut(graph, slot)
        guards = list(slot)
        path = guards[0]
        for guard in guards[1:]:
            path = NO_GUARD if NO_GUARD in (path, guard) else graph.apply("or", path, guard)
        adjoints[node] = {path: merged}


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
