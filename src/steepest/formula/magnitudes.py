"""Values that parameters may have, by dimensional analysis of the formula: where a search for a start begins.

The logarithm of a node's magnitude is a sum of those of its parameters. The argument of exp, sin, tanh, ... is of
order 1 over the rows, an exponent is a small number, and the terms of a sum are alike: equations that are linear in
these logarithms. A candidate is their solution for right-hand sides that are drawn. A parameter that is added to an
expression of columns, as m in (x - m)/s, may also be where that expression is at some row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..types import Array
from .evaluate import Evaluator
from .functions import FUNCTIONS
from .program import LEAVES, Graph

PERIODIC = frozenset(("sin", "cos", "tan"))
ROOTS = {"sqrt": 0.5, "cbrt": 1 / 3, "abs": 1.0, "neg": 1.0}
TINY = 1e-300
POSITIVE = 0.7  # share of candidates in which a parameter's sign is plus: as people write formulas
LOCATED = 0.6  # share in which a location is taken from a row
Magnitude = tuple[float, dict[str, float]]  # log10 of a constant, and the power of each parameter


@dataclass(frozen=True)
class _Equation:
    """log10 of a product of powers of parameters is to be near `target` of a kind."""

    powers: Mapping[str, float]
    spans: tuple[float, float]  # log10 of what the columns add: by their range, by their size
    kind: str


@dataclass(frozen=True)
class _Location:
    """A parameter times ±1, added to `rest`: sign·parameter + rest is zero somewhere among the rows."""

    name: str
    sign: float
    rest: int


class Magnitudes:
    """The draws of the scalar parameters `names` of a node; `known` are those whose values are given.

    `columns` (n,) or (n, q) are a sample of the rows. Other names, in which the node is linear, are left out.
    """

    def __init__(
        self, graph: Graph, output: int, names: Sequence[str], known: Mapping[str, float], columns: Mapping[str, Array]
    ) -> None:
        self.graph, self.names, self.known, self.columns = graph, tuple(names), known, columns
        self._reachable = graph.reachable([output])
        self._holds: dict[int, set[str]] = {}
        for node in self._reachable:
            op, *args = graph.nodes[node]
            held = {args[0]} if op == "name" else set()
            self._holds[node] = held.union(*(self._holds[a] for a in graph.arguments(node)))
        self._sizes = self._column_sizes()
        self.equations: list[_Equation] = []
        self.locations: list[_Location] = []
        self._arguments: set[frozenset[str]] = set()
        with graph.growing:
            self._read(output)

    # reading the formula -----------------------------------------------------------------------------------
    def _column_sizes(self) -> dict[int, tuple[float, float]]:
        """log10 of range and of size over the rows, of every node without a parameter."""
        plain = [n for n in self._reachable if self._holds[n] <= self.columns.keys() and not self.graph.is_condition(n)]
        values = Evaluator(self.graph, plain, tuple(self.columns), {})(np.empty(0), self.columns)
        sizes = {}
        for node, value in zip(plain, values, strict=True):
            flat = np.atleast_1d(np.asarray(value, dtype=float)).ravel()
            flat = flat[np.isfinite(flat)]
            size = float(np.abs(flat).max(initial=0.0))
            span = float(np.ptp(flat)) if len(flat) else 0.0
            size = size if size > 0 else 1.0
            sizes[node] = (float(np.log10(max(span if span > 0 else size, TINY))), float(np.log10(max(size, TINY))))
        return sizes

    def _terms(self, node: int, sign: float = 1.0) -> list[tuple[int, float]]:
        """The terms of a sum, each with its sign."""
        op, *args = self.graph.nodes[node]
        if op in ("+", "-"):
            return [*self._terms(args[0], sign), *self._terms(args[1], sign if op == "+" else -sign)]
        return self._terms(args[0], -sign) if op == "neg" else [(node, sign)]

    def _magnitude(self, node: int, which: int) -> Magnitude | None:
        """The magnitude by range (0) or size (1) of the columns; None where a parameter in it is left out."""
        op, *args = self.graph.nodes[node]
        if node in self._sizes:
            return self._sizes[node][which], {}
        if op == "name":
            if args[0] in self.known:
                return float(np.log10(abs(self.known[args[0]]) or 1.0)), {}
            return (0.0, {args[0]: 1.0}) if args[0] in self.names else None
        if op in ROOTS:
            return _power(self._magnitude(args[0], which), ROOTS[op])
        if op == "**":
            exponent = self.graph.value(args[1])
            return (0.0, {}) if exponent is None else _power(self._magnitude(args[0], which), float(exponent))
        if op in ("*", "/"):
            left, right = (self._magnitude(a, which) for a in args)
            return _product(left, right, 1.0 if op == "*" else -1.0)
        if op in ("+", "-"):
            return self._reference(node, which)
        if op in ("where", "min", "max", "clip"):
            return self._magnitude(args[1] if op == "where" else args[0], which)
        return 0.0, {}

    def _reference(self, node: int, which: int) -> Magnitude | None:
        """The magnitude that the terms of a sum are measured by: the largest without a parameter, else the first."""
        terms = [t for t, _ in self._terms(node)]
        plain = [self._sizes[t][which] for t in terms if t in self._sizes]
        if plain:
            return max(plain), {}
        rows = [t for t in terms if self._holds[t] & self.columns.keys()]
        for term in rows or terms:
            found = self._magnitude(term, which)
            if found is not None:
                return found
        return None

    def _read(self, output: int) -> None:
        graph = self.graph
        within: set[int] = set()  # sums that an argument has spoken for, and the parts of a sum
        for node in reversed(self._reachable):
            op, *args = graph.nodes[node]
            if op in LEAVES or node in self._sizes:
                continue
            if op in ("+", "-") and node not in within:
                self._sum(node, "term" if node != output else "outer")
                within.update(self._parts(node))
            elif op == "**" and graph.value(args[1]) is None:
                self._argument(args[1], "exponent")
                self._add(self._magnitudes(args[0]), "base")
                within.update(self._parts(args[1]))
            elif op in FUNCTIONS and FUNCTIONS[op].arity == 1 and op not in ROOTS:
                kind = "periodic" if op in PERIODIC else "sum" if op.startswith("log") else "argument"
                if kind == "sum":
                    continue
                self._argument(args[0], kind)
                within.update(self._parts(args[0]))

    def _parts(self, node: int) -> list[int]:
        op, *args = self.graph.nodes[node]
        return [node, *(p for a in args for p in self._parts(a))] if op in ("+", "-", "neg") else []

    def _magnitudes(self, node: int) -> list[Magnitude | None]:
        return [self._magnitude(node, which) for which in (0, 1)]

    def _argument(self, node: int, kind: str) -> None:
        """Each term of an argument is of order 1 over the rows."""
        terms = self._terms(node)
        self._arguments.add(frozenset(self._holds[node]))
        for term, _ in terms:
            rowless = "phase" if kind == "periodic" else kind if kind == "exponent" else "argument"
            self._add(self._magnitudes(term), kind if self._of_rows(term) else rowless)
        if kind != "periodic":
            self._locate(terms)

    def _sum(self, node: int, kind: str) -> None:
        """The terms of a sum are alike."""
        terms = self._terms(node)
        if kind == "outer":
            return
        references = [self._reference(node, which) for which in (0, 1)]
        for term, _ in terms:
            pairs = zip(self._magnitudes(term), references, strict=True)
            self._add([_product(one, other, -1.0) for one, other in pairs], kind)
        self._locate(terms)

    def _of_rows(self, node: int) -> bool:
        return bool(self._holds[node] & self.columns.keys())

    def _locate(self, terms: Sequence[tuple[int, float]]) -> None:
        """A lone parameter beside terms of the rows is a location."""
        for term, sign in terms:
            op, *args = self.graph.nodes[term]
            others = [(t, s) for t, s in terms if t != term]
            if op != "name" or args[0] not in self.names or not any(self._of_rows(t) for t, _ in others):
                continue
            rest = self.graph.number(0)
            for other, s in others:
                rest = self.graph.apply("+" if s > 0 else "-", rest, other)
            free = set(self.graph.names([rest])) - self.columns.keys() - self.known.keys()
            if free <= set(self.names) - {args[0]}:
                self.locations.append(_Location(args[0], sign, rest))

    def _add(self, magnitudes: Sequence[Magnitude | None], kind: str) -> None:
        one, other = magnitudes
        if one is not None and other is not None and one[1]:
            equation = _Equation(one[1], (one[0], other[0]), kind)
            if equation not in self.equations:
                self.equations.append(equation)

    # drawing -----------------------------------------------------------------------------------------------
    @cached_property
    def periods(self) -> float:
        """How many periods the rows can tell at most: one for two rows; where they lie unevenly, more."""
        most = 1.0
        for column in self.columns.values():
            steps = np.diff(np.unique(column))
            even = len(steps) > 0 and np.ptp(steps) < 1e-6 * steps.max()
            most = max(most, (len(steps) + 1) / (2 if even else 1))
        return most

    @cached_property
    def together(self) -> NDArray[np.bool_]:
        """(blocks, names): each parameter alone, and those that stand in one argument."""
        blocks = {frozenset((name,)) for name in self.names} | {b & set(self.names) for b in self._arguments}
        return np.array(sorted([n in block for n in self.names] for block in blocks if block))

    @property
    def periodic(self) -> bool:
        """Whether a frequency is to be found."""
        return any(e.kind == "periodic" for e in self.equations)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Candidates (count, names)."""
        m, k = len(self.names), len(self.equations)
        index = {name: i for i, name in enumerate(self.names)}
        matrix, right = np.zeros((k, m)), np.empty((k, count))
        by_size = rng.random(count) < 0.5
        for i, equation in enumerate(self.equations):
            for name, power in equation.powers.items():
                matrix[i, index[name]] = power
            spans = np.where(by_size & (equation.kind != "periodic"), equation.spans[1], equation.spans[0])
            right[i] = self._targets(equation.kind, count, rng) - spans
        inverse = np.linalg.pinv(matrix) if k else np.zeros((m, 0))
        logs = inverse @ right + (np.eye(m) - inverse @ matrix) @ rng.normal(0.0, 0.7, (m, count))
        signs = np.where(rng.random((m, count)) < POSITIVE, 1.0, -1.0)
        found = signs * 10.0 ** np.clip(logs, -150, 150)
        self._place(found, index, rng)
        return np.asarray(found.T)

    def _targets(self, kind: str, count: int, rng: np.random.Generator) -> Array:
        if kind == "periodic":
            low, high = 0.25, max(self.periods, 1.0)
            even = rng.uniform(low, high, count)
            logs = np.exp(rng.uniform(np.log(low), np.log(high), count))
            return np.asarray(np.log10(2 * np.pi * np.where(rng.random(count) < 0.7, even, logs)))
        if kind == "argument":  # mostly moderate; a sharp peak or a steep law far out
            return np.asarray(np.where(rng.random(count) < 0.7, rng.uniform(-1, 1.5, count), rng.uniform(1, 4, count)))
        if kind == "phase":
            return np.asarray(np.log10(np.pi * rng.random(count)))
        if kind == "exponent":
            return np.asarray(rng.uniform(-1.0, 0.8, count))
        if kind == "base":
            return np.asarray(rng.normal(0.0, 0.5, count))
        return np.asarray(rng.normal(0.0, 0.8, count))

    def _place(self, found: Array, index: Mapping[str, int], rng: np.random.Generator) -> None:
        """Put some of the locations to where the rest is at a row."""
        count = found.shape[1]
        rows = min(map(len, self.columns.values()), default=0)
        for location in self.locations:
            row = rng.integers(0, rows, count)
            values = self._rest(location, found, index, {n: c[row] for n, c in self.columns.items()}, count)
            use = (rng.random(count) < LOCATED) & np.isfinite(values)
            found[index[location.name], use] = -location.sign * values[use]

    def _rest(
        self, location: _Location, found: Array, index: Mapping[str, int], columns: Mapping[str, Array], count: int
    ) -> Array:
        known = tuple(self.known)
        places = {**index, **{n: len(index) + i for i, n in enumerate(known)}}
        theta = [*found, *(np.full(count, self.known[n]) for n in known)]
        with np.errstate(all="ignore"):
            value = Evaluator(self.graph, [location.rest], tuple(columns), places)(theta, columns)[0]
        return np.broadcast_to(value, (count,))


def _power(magnitude: Magnitude | None, power: float) -> Magnitude | None:
    if magnitude is None:
        return None
    return power * magnitude[0], {name: power * p for name, p in magnitude[1].items()}


def _product(left: Magnitude | None, right: Magnitude | None, power: float) -> Magnitude | None:
    """left · right**power."""
    if left is None or right is None:
        return None
    powers = dict(left[1])
    for name, p in right[1].items():
        powers[name] = powers.get(name, 0.0) + power * p
    return left[0] + power * right[0], {n: p for n, p in powers.items() if p}
