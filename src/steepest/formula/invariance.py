"""Changes of the parameters that no data can see: combinations that alone are determined, swaps, signs, periods.

What cannot be told apart is found by a test of Lie's kind: a field v(θ) with Σ v_j·∂f/∂θ_j = 0 at every θ and in every
row is a direction in which no data say anything. Fields v_j = k_j (a shift), k_j·θ_j (a scaling) and k_j·θ_j·log θ_j (a
power) are looked for on random points, rounded to small fractions and tested again on other points; the flow of each
carries one parameter to 0, 1 or Euler's number, and the others to the combinations that are determined. Where a formula
chooses (`where`, `min`, `max`, `clip`), each branch counts by itself, so that what is said holds in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations, count

import numpy as np

from ..types import Array
from .derive import gradient
from .evaluate import Evaluator
from .functions import FUNCTIONS
from .printing import quote, to_text
from .program import LEAVES, Graph

LARGEST_SEARCHED = 40  # parameters up to which fields and symmetries are looked for
NODES_SEARCHED = 2_000
POINTS = 400
TOLERANCE = 1e-9
JUMPS = 6  # points as good as one at which a derivative is looked at
SHIFT, SCALE, POWER = range(3)  # v = 1, θ, θ·log θ


@dataclass(frozen=True)
class Combination:
    """Parameters that no data tell apart, and the expressions of them that data can determine."""

    names: tuple[str, ...]
    determined: tuple[str, ...]

    def __str__(self) -> str:
        if not self.determined:
            return f"{in_words(self.names)} {'has' if len(self.names) == 1 else 'have'} no effect"
        return f"no data tell {in_words(self.names)} apart: only {in_words(self.determined)} {self._are} determined"

    @property
    def _are(self) -> str:
        return "is" if len(self.determined) == 1 else "are"


# the formula as scalars, on random points ---------------------------------------------------------------------
class Scalar:
    """The output in a graph of its own, matrices written out by element, and each choice made by a column's sign."""

    def __init__(self, graph: Graph, output: int, names: Sequence[str], vectors: Mapping[str, tuple[str, ...]]) -> None:
        self.graph, self.output, self.names, self.vectors = graph, output, tuple(names), vectors
        self.columns = tuple(n for n in graph.names([output]) if n not in self.names)
        self.places = {n: i for i, n in enumerate(self.names)}
        self.partials = gradient(graph, output, self.names)
        zero = graph.number(0)
        slopes = [zero if p.node is None else p.node for p in self.partials.values()]
        self._evaluator = Evaluator(graph, [output, *slopes], self.columns, self.places)
        self._random = np.random.default_rng(0)

    @staticmethod
    def of(source: Graph, output: int, names: Sequence[str]) -> Scalar | None:
        """None where it is too large for a search."""
        if len(source.reachable([output])) > NODES_SEARCHED:
            return None
        graph, fresh = Graph(), count()
        vectors: dict[str, tuple[str, ...]] = {}
        new: dict[int, int] = {}

        def choose(a: int, b: int) -> int:
            sign = graph.apply(">", graph.name(f"\0choice{next(fresh)}"), graph.number(0))
            return graph.apply("where", sign, a, b)

        for node in source.reachable([output]):
            op, *args = source.nodes[node]
            if op == "name":
                new[node] = graph.name(args[0])
            elif op == "number":
                new[node] = graph.number(args[0])
            elif op == "pi":
                new[node] = graph.pi()
            elif op == "stack":
                new[node] = node  # looked at by its product
            elif op == "@":
                matrix, vector = args[0], source.nodes[args[1]][1]
                stacked = source.nodes[matrix][0] == "stack"
                width = len(source.arguments(matrix)) if stacked else 2  # of a matrix column two stand for all
                vectors[vector] = tuple(f"{vector}[{j}]" for j in range(width))
                total = graph.number(0)
                for j, element in enumerate(vectors[vector]):
                    column = new[source.arguments(matrix)[j]] if stacked else graph.name(f"{source.nodes[matrix]}{j}")
                    total = graph.apply("+", total, graph.apply("*", column, graph.name(element)))
                new[node] = total
            elif FUNCTIONS[op].condition:
                new[node] = graph.number(1)
            elif op == "where":
                new[node] = choose(new[args[1]], new[args[2]])
            elif op in ("min", "max"):
                new[node] = choose(*[new[a] for a in args])
            elif op == "clip":
                new[node] = choose(new[args[0]], choose(new[args[1]], new[args[2]]))
            elif op == "sign":
                new[node] = choose(graph.number(1), graph.number(-1))
            else:
                new[node] = graph.apply(op, *[new[a] for a in args])
        present = set(graph.names([new[output]]))
        flat = [e for n in names for e in vectors.get(n, (n,)) if e in present]
        return Scalar(graph, new[output], flat, vectors) if 0 < len(flat) <= LARGEST_SEARCHED else None

    def draw(self) -> tuple[Array, dict[str, Array]]:
        """Random parameters (p, points), all positive, and columns of both signs."""
        theta = np.exp(self._random.uniform(-0.7, 0.7, (len(self.names), POINTS)))
        sizes = np.exp(self._random.uniform(-1.2, 1.2, (len(self.columns), POINTS)))
        signs = self._random.choice([-1.0, 1.0], sizes.shape)
        return theta, dict(zip(self.columns, sizes * signs, strict=True))

    def at(self, theta: Array, columns: Mapping[str, Array]) -> tuple[Array, Array]:
        """The output (points,) and its derivatives (p, points)."""
        with np.errstate(all="ignore"):
            value, *slopes = self._evaluator(theta, columns)
        shape = (POINTS,)
        return np.broadcast_to(value, shape), np.array([np.broadcast_to(s, shape) for s in slopes])

    @cached_property
    def idle(self) -> tuple[str, ...]:
        """The parameters without effect: no derivative, or one that is what rounding leaves of terms that cancel.

        That is told by its jumps between points that differ by a ten-billionth, whatever the units.
        """
        theta, columns = self.draw()
        near = [self.at(theta * (1.0 + 1e-10 * k), columns)[1] for k in range(JUMPS)]
        least, most = np.min(near, axis=0), np.max(near, axis=0)
        steady = most - least <= 1e-3 * np.maximum(np.abs(least), np.abs(most))
        felt = np.isfinite(least) & np.isfinite(most) & steady & ((least != 0) | (most != 0))
        seen = np.count_nonzero(np.isfinite(least) & np.isfinite(most), axis=1)
        noise = (np.count_nonzero(felt, axis=1) < 0.1 * seen) & (seen > POINTS // 20)
        return tuple(
            n for n, n_noise in zip(self.names, noise, strict=True) if n_noise or self.partials[n].node is None
        )

    def same(
        self, change: Mapping[str, tuple[float, float]] | None = None, swap: Mapping[str, str] | None = None
    ) -> bool:
        """Whether the output stays as it is where parameters become factor·θ + shift, or change places."""
        theta, columns = self.draw()
        moved = theta.copy()
        for name, (factor, shift) in (change or {}).items():
            moved[self.places[name]] = factor * theta[self.places[name]] + shift
        for name, other in (swap or {}).items():
            moved[self.places[name]] = theta[self.places[other]]
        before, after = self.at(theta, columns)[0], self.at(moved, columns)[0]
        fine = np.isfinite(before) & np.isfinite(after)
        if np.count_nonzero(fine) < POINTS // 20 or np.any(np.isfinite(before) & ~np.isfinite(after)):
            return False
        close = np.abs(before - after)[fine] <= TOLERANCE * np.maximum(np.abs(before), np.abs(after))[fine]
        return bool(close.all())


# what cannot be told apart ------------------------------------------------------------------------------------
def combined(scalar: Scalar, names: Sequence[str]) -> tuple[Combination, ...]:
    """Fields one after the other; each takes one parameter out, and makes the others that it moves combinations."""
    shown = {n: n if "[" in n and n not in names else quote(n) for n in scalar.names}  # name -> what is determined
    held: dict[str, float] = {}
    groups: list[set[str]] = []
    while len(held) < len(scalar.names):
        field = _field(scalar, held)
        if field is None:
            break
        pivot = _pivot(field, scalar.names)
        for name in field:
            if name != pivot:
                shown[name] = _invariant(shown, name, field[name], pivot, field[pivot], scalar.names)
        held[pivot] = (0.0, 1.0, math.e)[field[pivot][0]]
        group = set(field)
        for other in [g for g in groups if g & group]:
            groups.remove(other)
            group |= other
        groups.append(group)
    found = [Combination(tuple(_whole(scalar.idle, scalar.vectors)), ())] if scalar.idle else []
    for group in sorted(groups, key=lambda g: min(scalar.places[n] for n in g)):
        members = [n for n in scalar.names if n in group]
        determined = [shown[n] for n in members if n not in held]
        for vector, elements in scalar.vectors.items():  # a*B[0], a*B[1]: a*B
            together = {shown[e].replace(e, vector) for e in elements if e in group and e not in held}
            if len(together) == 1 and all(e in group and e not in held for e in elements):
                determined = [d for d in determined if d not in [shown[e] for e in elements]] + list(together)
        found.append(Combination(tuple(_whole(members, scalar.vectors)), tuple(determined)))
    return tuple(found)


def _whole(names: Sequence[str], vectors: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Names, the elements of a whole vector as the vector."""
    of = {e: v for v, elements in vectors.items() if set(elements) <= set(names) for e in elements}
    return iter(dict.fromkeys(of.get(n, n) for n in names))


Field = dict[str, tuple[int, Fraction]]  # name -> the kind of its part, and its factor


def _field(scalar: Scalar, held: Mapping[str, float]) -> Field | None:
    """The field of the fewest parameters along which the output does not change, those that are held left out."""
    free = [n for n in scalar.names if n not in held and n not in scalar.idle]
    keys = [(n, kind) for kind in (SHIFT, SCALE, POWER) for n in reversed(free)]
    matrix = _moves(scalar, held, keys)
    if matrix is None or not keys:
        return None
    size = np.linalg.norm(matrix, axis=0)
    _, singular, right = np.linalg.svd(matrix / size, full_matrices=False)
    kernel = right[singular <= 1e-10 * singular[0]] / size
    found: Field | None = None
    for vector in _reduced_rows(kernel):
        factors = [Fraction(float(v)).limit_denominator(6) for v in vector]
        if not np.allclose(vector, [float(f) for f in factors], atol=1e-6) or max(map(abs, factors)) > 6:
            continue
        field = {n: (kind, f) for (n, kind), f in zip(keys, factors, strict=True) if f}
        if len(field) == sum(map(bool, factors)) and 1 < len(field) <= (len(found) if found else math.inf):
            again = _moves(scalar, held, keys)
            exact = np.array([float(f) for f in factors])
            if again is not None and np.all(np.abs(again @ exact) <= TOLERANCE * (np.abs(again) @ np.abs(exact))):
                found = field
    return found


def _moves(scalar: Scalar, held: Mapping[str, float], keys: Sequence[tuple[str, int]]) -> Array | None:
    """v_j·∂f/∂θ_j (points, keys) for every part of a field, each row scaled; None where too few points are finite."""
    theta, columns = scalar.draw()
    for name, value in held.items():
        theta[scalar.places[name]] = value
    _, slopes = scalar.at(theta, columns)
    index = [scalar.places[n] for n, _ in keys]
    kinds = np.array([kind for _, kind in keys])[:, None]
    with np.errstate(all="ignore"):
        along = theta[index]
        parts = slopes[index] * np.where(kinds == SHIFT, 1.0, np.where(kinds == SCALE, along, along * np.log(along)))
        rows = parts.T / np.max(np.abs(parts), axis=0)[:, None] if keys else parts.T
    rows = rows[np.isfinite(rows).all(axis=1)]
    return rows if len(rows) > len(keys) + 20 and np.all(np.any(rows != 0, axis=0)) else None


def _reduced_rows(kernel: Array) -> Iterator[Array]:
    """The reduced row echelon form of a basis: vectors of few entries, with a 1 in each."""
    rows = kernel.copy()
    done = 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        at = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[at, column]) <= 1e-7 * np.abs(rows).max():
            continue
        rows[[done, at]] = rows[[at, done]]
        rows[done] /= rows[done, column]
        for other in range(len(rows)):
            if other != done:
                rows[other] -= rows[other, column] * rows[done]
        done += 1
    return iter(np.where(np.abs(rows) <= 1e-7, 0.0, rows))


def _pivot(field: Field, names: Sequence[str]) -> str:
    """The parameter that is taken out: one in a power, then one in a shift, the one that makes plain products."""

    def cost(name: str) -> tuple[int, int, int, int]:
        kind, factor = field[name]
        ratios = [-f / factor for n, (_, f) in field.items() if n != name]
        return (
            -kind if kind == POWER else kind,
            sum(r.denominator > 1 for r in ratios),
            sum(r < 0 for r in ratios),
            -names.index(name),
        )

    return min(field, key=cost)


def _invariant(
    shown: Mapping[str, str],
    name: str,
    part: tuple[int, Fraction],
    pivot: str,
    pivot_part: tuple[int, Fraction],
    names: Sequence[str],
) -> str:
    """What the flow makes of a parameter when it has carried the pivot to 0 (a shift), 1 (a scaling) or e (a power)."""
    ratio = -part[1] / pivot_part[1]
    mine, other = shown[name], shown[pivot]
    first = names.index(pivot) < names.index(name)
    if part[0] == SHIFT:
        if pivot_part[0] != SHIFT:
            other = f"log({other})" if pivot_part[0] == SCALE else f"log(log({other}))"
        size = "" if abs(ratio) == 1 else f"{abs(ratio)}*"
        scaled = size + (_held(other) if size or ratio < 0 else other)
        return f"{mine} - {scaled}" if ratio < 0 else f"{scaled} + {mine}" if first else f"{mine} + {scaled}"
    if pivot_part[0] == SHIFT:
        inner = {1: other, -1: f"-{_held(other)}"}.get(int(ratio) if ratio.denominator == 1 else 0)
        return f"{_held(mine)}*exp({inner or f'{ratio}*{_held(other)}'})"
    factor = f"log({other})" if pivot_part[0] == POWER else _held(other)
    if abs(ratio) != 1:
        factor += f"**{abs(ratio)}" if ratio.denominator == 1 else f"**({abs(ratio)})"
    if ratio < 0:
        return f"{_held(mine)}/{factor}" if "*" not in factor or "**" in factor else f"{_held(mine)}/({factor})"
    return f"{factor}*{_held(mine)}" if first else f"{_held(mine)}*{factor}"


def _held(text: str) -> str:
    """In parentheses where it is a sum."""
    return f"({text})" if " + " in text or " - " in text else text


def lifts(scalar: Scalar) -> bool:
    """Whether the parameters can move the output of every row alike: a combination of its derivatives is 1."""
    theta, columns = scalar.draw()
    slopes = scalar.at(np.repeat(theta[:, :1], POINTS, axis=1), columns)[1].T
    slopes = slopes[np.isfinite(slopes).all(axis=1)]
    if len(slopes) <= len(scalar.names) + 20:
        return False
    weights = np.linalg.lstsq(slopes, np.ones(len(slopes)))[0]
    return bool(np.all(np.abs(slopes @ weights - 1.0) <= TOLERANCE * (np.abs(slopes) @ np.abs(weights))))


# symmetries ---------------------------------------------------------------------------------------------------
def symmetries(scalar: Scalar, known: Sequence[Combination]) -> tuple[str, ...]:
    """Terms that may swap, signs that may change, periods."""
    together = [{e for n in c.names for e in scalar.vectors.get(n, (n,))} for c in known]
    swaps = _swaps(scalar, together)
    signed: list[tuple[str, ...]] = []
    for size in (1, 2, 3) if len(scalar.names) <= 8 else (1, 2):
        for some in combinations(scalar.names, size):
            implied = any(set(s) <= set(some) for s in signed) or any(len(t & set(some)) > 1 for t in together)
            if not implied and scalar.same(dict.fromkeys(some, (-1.0, 0.0))):
                signed.append(some)
    signs = [f"the sign of {in_words(s)}{' together' * (len(s) > 1)} does not matter" for s in signed]
    return (*swaps, *signs, *_periods(scalar))


def _periods(scalar: Scalar) -> Iterator[str]:
    graph = scalar.graph
    waves = [a for n in graph.reachable([scalar.output]) for a in graph.arguments(n)
             if graph.nodes[n][0] in ("sin", "cos", "tan")]  # fmt: skip
    for name in graph.names(waves):
        if name in scalar.places and not scalar.same({name: (1.0, 1.0)}):
            for text, period in (("pi", math.pi), ("2*pi", 2.0 * math.pi)):
                if scalar.same({name: (1.0, period)}):
                    yield f"{name} has the period {text}"
                    break


def _swaps(scalar: Scalar, together: Sequence[set[str]]) -> Iterator[str]:
    """Pairs of terms, or factors, of the same shape with other parameters."""
    graph, seen = scalar.graph, set[tuple[str, ...]]()
    inner = {a for n in graph.reachable([scalar.output]) for a in graph.arguments(n)
             if graph.nodes[n][0] in ("+", "*") and graph.nodes[a][0] == graph.nodes[n][0]}  # fmt: skip
    for node in graph.reachable([scalar.output]):
        op = graph.nodes[node][0]
        if op not in ("+", "*") or node in inner:
            continue
        terms = list(_flat(graph, node, op))
        shapes = [_shape(graph, t, scalar.places) for t in terms]
        for i, j in combinations(range(len(terms)), 2):
            (shape, mine), (other_shape, others) = shapes[i], shapes[j]
            key = tuple(sorted((*mine, *others)))
            apart = set(mine).isdisjoint(others) and not any(t >= set(key) for t in together)
            if shape != other_shape or not mine or not apart or key in seen:
                continue
            swap = dict(zip((*mine, *others), (*others, *mine), strict=True))
            if scalar.same(swap=swap):
                seen.add(key)
                one, two = to_text(graph, terms[i], 60), to_text(graph, terms[j], 60)
                yield f"{one} and {two} may change places"


def _flat(graph: Graph, node: int, op: str) -> Iterator[int]:
    """The terms of a sum, or factors of a product, in order."""
    todo = [node]
    while todo:
        node = todo.pop()
        if graph.nodes[node][0] == op:
            todo += reversed(graph.arguments(node))
        else:
            yield node


def _shape(graph: Graph, node: int, parameters: Iterable[str]) -> tuple[tuple[object, ...], tuple[str, ...]]:
    """A term as it is written, with its parameters numbered as they come, and these parameters."""
    names: dict[str, int] = {}
    tokens: list[object] = []
    todo = [node]
    while todo:
        op, *args = graph.nodes[todo.pop()]
        if op == "name" and args[0] in parameters:
            tokens.append(names.setdefault(args[0], len(names)))
        elif op in LEAVES:
            tokens.append((op, *args))
        else:
            tokens.append(op)
            todo += reversed(args)
    return tuple(tokens), tuple(names)


def in_words(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
