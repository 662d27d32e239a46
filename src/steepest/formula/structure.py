"""What follows from a formula alone: linear parameters, what cannot be told apart, symmetries, domain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from .derive import Partial, gradient
from .functions import FUNCTIONS
from .invariance import Combination, Scalar, combined, in_words, lifts, symmetries
from .printing import to_text
from .program import Graph

COMPONENT = 14  # parameters in conflict up to which the largest linear set is searched for among all


@dataclass(frozen=True)
class Structure:
    """What follows from the node `output` of a graph, a function of the parameters `names`; other names are columns.

    `linear`: the parameters (scalars, and vectors B of X @ B) in which it is jointly linear, the largest such set;
    `nonlinear` the others, both in the order of `names`.
    """

    graph: Graph
    output: int
    names: tuple[str, ...]
    widths: Mapping[str, int | None]

    @cached_property
    def partials(self) -> dict[str, Partial]:
        """The derivative by each parameter."""
        with self.graph.growing:
            return gradient(self.graph, self.output, self.names)

    @cached_property
    def linear(self) -> tuple[str, ...]:
        """A largest set of parameters whose second derivatives by one another are all zero.

        Of two as many the one by which all is multiplied: the amplitude, whose size a formula says least of.
        """
        return self._largest(amplitudes=True)

    @cached_property
    def solved(self) -> tuple[str, ...]:
        """The same for steps that solve it: of two as many rather the one by which not all is multiplied.

        With k solved in a*(x + k), what is left is linear in a; with a solved, k may run to infinity and come back.
        """
        return self._largest(amplitudes=False)

    def _largest(self, *, amplitudes: bool) -> tuple[str, ...]:
        touched = _touched(self.graph, self.output, self.names)
        neighbours: dict[str, set[str]] = {name: set() for name in self.names}
        holds = _holds(self.graph, [n for p in self.partials.values() for n, _ in p.terms], self.names)
        for name, partial in self.partials.items():
            for other in {o for node, _ in partial.terms for o in holds[node]}:
                neighbours[name].add(other)
                neighbours[other].add(name)
        able = [n for n in self.names if n not in neighbours[n] and n not in touched and self.partials[n].terms]
        factors = _factors(self.graph, self.output)
        weight = {n: (self.widths.get(n) or 1, (n in factors) == amplitudes) for n in able}
        chosen = {n for part in _components(able, neighbours) for n in _independent(part, neighbours, weight)}
        return tuple(n for n in self.names if n in chosen)

    @cached_property
    def nonlinear(self) -> tuple[str, ...]:
        """The parameters that are not among the linear ones."""
        return tuple(n for n in self.names if n not in self.linear)

    @cached_property
    def rest(self) -> int:
        """The node of the output with the linear parameters at 0."""
        with self.graph.growing:
            return _without(self.graph, self.output, frozenset(self.linear))

    @cached_property
    def combinations(self) -> tuple[Combination, ...]:
        """What no data can tell apart."""
        return combined(self._scalar, self.names) if self._scalar is not None else ()

    @cached_property
    def symmetries(self) -> tuple[str, ...]:
        """Changes of the parameters that leave the output as it is, in words."""
        return symmetries(self._scalar, self.combinations) if self._scalar is not None else ()

    @cached_property
    def lifts(self) -> bool:
        """Whether the parameters can move the output of every row alike, as an intercept does."""
        return self._scalar is not None and lifts(self._scalar)

    @cached_property
    def poles(self) -> tuple[int, ...]:
        """The denominators that hold a parameter and may change their sign."""
        graph, least = self.graph, _least(self.graph, self.output)
        below = [graph.arguments(n)[1] for n in graph.reachable([self.output]) if graph.nodes[n][0] == "/"]
        holds = _holds(graph, below, self.names)
        return tuple(d for d in dict.fromkeys(below) if holds[d] and not least[d] > 0)

    @cached_property
    def domain(self) -> tuple[str, ...]:
        """The conditions under which the output is defined, as text."""
        return tuple(dict.fromkeys(_domain(self.graph, self.output)))

    @cached_property
    def _scalar(self) -> Scalar | None:
        """The output for the search; of parameters that a condition holds nothing is said."""
        touched = _touched(self.graph, self.output, self.names)
        return Scalar.of(self.graph, self.output, [n for n in self.names if n not in touched])

    def lines(self, *, roles: bool = True) -> Iterator[str]:
        """All of it in words; `roles`: which names are columns is known, so that it can be said what no data tell."""
        if self.linear:
            alone = len(self.linear) == len(self.names)
            rest = "" if alone else f"; nonlinear: {in_words(self.nonlinear)}"
            yield f"linear in {in_words(self.linear)}{' together' * (len(self.linear) > 1)}{rest}"
        elif self.names and roles:
            yield "linear in no parameter"
        if roles:
            yield from map(str, self.combinations)
            yield from self.symmetries
        if self.domain:
            yield f"defined where {in_words(self.domain)}"


# the linear set ------------------------------------------------------------------------------------------------
def _holds(graph: Graph, outputs: Sequence[int], names: Sequence[str]) -> dict[int, frozenset[str]]:
    """Which of the names each node below some outputs holds."""
    wanted, empty = set(names), frozenset[str]()
    holds: dict[int, frozenset[str]] = {}
    for node in graph.reachable(outputs):
        op, *args = graph.nodes[node]
        if op == "name":
            holds[node] = frozenset(args) if args[0] in wanted else empty
        else:
            parts = [holds[a] for a in graph.arguments(node)]
            holds[node] = parts[0] if len(set(parts)) == 1 else empty.union(*parts)
    return holds


def _touched(graph: Graph, output: int, names: Sequence[str]) -> set[str]:
    """The names that a condition holds, or another argument whose derivative is 0 wherever there is one."""
    holds = _holds(graph, [output], names)
    touched: set[str] = set()
    for node in holds:
        row = FUNCTIONS.get(graph.nodes[node][0])
        for partial, argument in zip(row.partials if row else (), graph.arguments(node), strict=False):
            if partial in ("", "0"):
                touched |= holds[argument]
    return touched


def _factors(graph: Graph, output: int) -> set[str]:
    """The names by which all of the output is multiplied."""
    found, todo = set(), [output]
    while todo:
        op, *args = graph.nodes[todo.pop()]
        if op == "name":
            found.add(args[0])
        elif op in ("*", "neg"):
            todo += args
        elif op == "/":
            todo.append(args[0])
    return found


def _components(names: Sequence[str], neighbours: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """The names in parts without a conflict between one another."""
    left = dict.fromkeys(names)
    while left:
        part, todo = set(), [next(iter(left))]
        while todo:
            name = todo.pop()
            if name in left:
                del left[name]
                part.add(name)
                todo += neighbours[name]
        yield [n for n in names if n in part]


def _independent(
    part: Sequence[str], neighbours: Mapping[str, set[str]], weight: Mapping[str, tuple[int, bool]]
) -> Sequence[str]:
    """The heaviest set without a conflict: the most numbers, then the most that are preferred, then the first."""
    if len(part) > COMPONENT:  # by few conflicts first
        chosen: list[str] = []
        for name in sorted(part, key=lambda n: (len(neighbours[n] & set(part)) / weight[n][0], not weight[n][1])):
            if neighbours[name].isdisjoint(chosen):
                chosen.append(name)
        return chosen
    best: tuple[tuple[int, int], tuple[str, ...]] = ((0, 0), ())
    for size in range(len(part), 0, -1):
        for some in combinations(part, size):
            key = (sum(weight[n][0] for n in some), sum(weight[n][1] for n in some))
            if key > best[0] and all(neighbours[n].isdisjoint(some) for n in some):
                best = key, some
    return best[1]


def _without(graph: Graph, output: int, linear: frozenset[str]) -> int:
    """The output with the names in which it is linear at 0; products with 0 are left out."""
    holds, zero = _holds(graph, [output], tuple(linear)), graph.number(0)
    new: dict[int, int] = {}
    for node in graph.reachable([output]):
        op = graph.nodes[node][0]
        parts = [new[a] for a in graph.arguments(node)]
        if not holds[node]:
            new[node] = node
        elif op == "name" or op == "@" or (op in ("*", "neg") and zero in parts) or (op == "/" and parts[0] == zero):
            new[node] = zero
        else:
            new[node] = graph.rebuild(op, parts)
    return new[output]


# domain -------------------------------------------------------------------------------------------------------
def _domain(graph: Graph, output: int) -> Iterator[str]:
    """The condition of every operation that is not defined everywhere, where it is not fulfilled by itself."""
    least = _least(graph, output)
    for node in graph.reachable([output]):
        op, *args = graph.nodes[node]
        if op not in FUNCTIONS or not FUNCTIONS[op].domain or all(graph.is_constant(a) for a in args):
            continue
        u = to_text(graph, args[0], 60)
        if op == "/":
            if not least[args[1]] > 0 and not graph.is_constant(args[1]):
                yield f"{to_text(graph, args[1], 60)} != 0"
        elif op == "**":
            yield from _power_domain(graph, args[0], args[1], least[args[0]])
        elif FUNCTIONS[op].domain == "u > 0":
            if not least[args[0]] > 0:
                yield f"{u} > 0"
        elif FUNCTIONS[op].domain == "u >= 0":
            if not least[args[0]] >= 0:
                yield f"{u} >= 0"
        else:
            low, high = {"log1p": ("> -1", ""), "logit": ("> 0", "< 1"), "acosh": (">= 1", ""), "atanh": ("> -1", "< 1")
                         }.get(op, (">= -1", "<= 1"))  # fmt: skip
            yield f"{u} {low}" + (f" and {u} {high}" if high else "")


def _power_domain(graph: Graph, base: int, exponent: int, least: float) -> Iterator[str]:
    text, value = to_text(graph, base, 60), graph.value(exponent)
    if value is None:
        if not least > 0 and not graph.is_constant(base):
            yield f"{text} > 0"
    elif value == int(value):
        if value < 0 and not least > 0:
            yield f"{text} != 0"
    elif not (least > 0 or (least == 0 and value > 0)):
        yield f"{text} > 0" if value < 0 else f"{text} >= 0"


def _least(graph: Graph, output: int) -> dict[int, float]:
    """A lower bound of every node for which its sign matters: tiny where it is positive, 0, or -inf."""
    least: dict[int, float] = {}
    tiny = math.ulp(0.0)
    for node in graph.reachable([output]):
        op, *args = graph.nodes[node]
        below = [least[a] for a in graph.arguments(node)]
        bound = -math.inf
        if op == "number":
            bound = float(args[0])
        elif op == "pi" or op in ("exp", "cosh", "sigmoid", "erfc", "softplus"):
            bound = tiny
        elif op in ("abs", "sqrt"):
            bound = 0.0
        elif op == "**":
            power = graph.value(args[1])
            even = power is not None and power == int(power) and int(power) % 2 == 0
            bound = tiny if below[0] > 0 else 0.0 if below[0] >= 0 or even else -math.inf
        elif op in ("+", "*") and min(below) >= 0:
            positive = max(below) > 0 if op == "+" else min(below) > 0
            bound = tiny if positive else 0.0
        elif op == "/" and below[0] >= 0 and below[1] >= 0:
            bound = tiny if below[0] > 0 else 0.0
        elif op == "*" and args[0] == args[1]:
            bound = 0.0
        least[node] = bound
    return least
