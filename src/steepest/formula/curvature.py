"""How steep a loss can get: bounds of its second derivatives, by interval arithmetic over the program.

Of an expression f of the parameters is known: an interval of its values, and with the gradients a₁, a₂, ... of the
affine expressions that it is made of (its atoms), intervals with ∇f = Σ dₖaₖ and Σ lowₖ·aₖaₖᵀ ≼ ∇²f ≼ Σ highₖ·aₖaₖᵀ.
Sums add these; the chain rule is φ'·∇²u + φ''·∇u∇uᵀ; a mixed product aᵢaⱼᵀ + aⱼaᵢᵀ lies between ∓(aᵢaᵢᵀ + aⱼaⱼᵀ).
Every interval is one for each row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .convexity import Convexity, slopes
from .functions import sigmoid
from .intervals import EVERYWHERE, Interval, enclose, hull, magnitude, plus, power, reciprocal, times
from .printing import to_text

CLOSE = 1e-9  # of the slopes of two pieces: a kink has no bounded curvature
UNIT: Interval = (1.0, 1.0)
Terms = dict[int, Interval]
Derivatives = tuple[Interval, Interval]  # the first and the second derivative over an interval

#: |φ''| everywhere, of functions that are bounded together with their derivatives
BENDS = {
    "sin": 1.0, "cos": 1.0, "sigmoid": 1 / (6 * math.sqrt(3)), "tanh": 4 / (3 * math.sqrt(3)),
    "atan": 3 * math.sqrt(3) / 8, "erf": 2 * math.sqrt(2 / (math.pi * math.e)),
    "erfc": 2 * math.sqrt(2 / (math.pi * math.e)), "asinh": 2 / (3 * math.sqrt(3)),
}  # fmt: skip
SLOPES: dict[str, Interval] = {
    "sin": (-1.0, 1.0), "cos": (-1.0, 1.0), "sigmoid": (0.0, 0.25), "tanh": (0.0, 1.0), "atan": (0.0, 1.0),
    "erf": (0.0, 2 / math.sqrt(math.pi)), "erfc": (-2 / math.sqrt(math.pi), 0.0), "asinh": (0.0, 1.0),
}  # fmt: skip


@dataclass
class Bent:
    """Terms of the gradient and of the bounds of the Hessian by atom; `bends` None: no bound."""

    slopes: Terms = field(default_factory=dict)
    bends: Terms | None = field(default_factory=dict)


class Curvature:
    """The curvature of what a proof looked at. `atoms`: nodes whose gradients span it; `constants`: of a row."""

    def __init__(self, proof: Convexity) -> None:
        self.proof, self.graph = proof, proof.graph
        self.nodes = [n for n in self.graph.reachable([proof.output]) if n in proof.moving]
        held = dict.fromkeys(a for n in self.nodes for a in self.graph.arguments(n) if a not in proof.moving)
        self.constants = tuple(held) if self.nodes else (proof.output,)
        self._largest: dict[int, tuple[str, float]] = {}  # second derivatives of functions of affine expressions so far
        self._inner: dict[int, int] = {}  # node -> the argument of what is bounded as a whole

    @cached_property
    def atoms(self) -> tuple[int, ...]:
        """The affine expressions, without factors and summands of columns, that the rest is a function of."""
        affine = {n for n in self.nodes if self.affine(n)}
        tops = [a for n in self.nodes if n not in affine for a in self.graph.arguments(n) if a in affine]
        tops += [self.proof.output] if self.proof.output in affine else []
        return tuple(dict.fromkeys(self.core(n)[0] for n in tops))

    @cached_property
    def cornered(self) -> bool:
        """Whether the Hessian is Σ dₖ(θ)·aₖaₖᵀ with every dₖ convex.

        Its largest eigenvalue is so too, as the largest of functions vᵀHv that are, and takes its maximum over a box
        at a corner (Rockafellar, Convex Analysis, 1970, corollary 32.3.4).
        """
        shapes: dict[int, tuple[bool, bool]] = {}  # whether the second derivatives are convex, and concave
        for node in self.nodes:
            shapes[node] = (True, True) if self.affine(node) else self._corners_of(node, shapes)
        return bool(self.nodes) and shapes[self.proof.output][0]

    def _corners_of(self, node: int, shapes: Mapping[int, tuple[bool, bool]]) -> tuple[bool, bool]:
        op, *args = self.graph.nodes[node]
        still = True, True
        if op == "neg":
            return shapes[args[0]][::-1]
        if op in ("+", "-"):
            u, v = (shapes.get(a, still) for a in args)
            v = v if op == "+" else v[::-1]
            return u[0] and v[0], u[1] and v[1]
        if op in ("*", "/"):
            moving = [a for a in args if a in self.proof.moving]
            if len(moving) == 1 and (op == "*" or args[0] in self.proof.moving):
                low, high = self.proof.range[args[1] if moving[0] == args[0] else args[0]]
                u = shapes[moving[0]]
                return u if low >= 0 else u[::-1] if high <= 0 else (u[0] and u[1],) * 2
            return (True, True) if op == "*" and args[0] == args[1] and self.affine(args[0]) else (False, False)
        if op == "**":
            p = self.graph.value(args[1])
            known = p is not None and self.affine(args[0]) and p in (2, 3, 4, 6, 8)
            return known, p in (2, 3)
        if not (args and self.affine(args[0])):
            return False, False
        return op in ("exp", "expm1", "cosh"), op in ("log", "log2", "log10", "log1p")

    def _plain(self, node: int) -> bool:
        """Whether an affine node is so by its operations, with a gradient that holds no parameter."""
        op, *args = self.graph.nodes[node]
        if op in ("+", "-", "neg"):
            return all(a not in self.proof.moving or self.affine(a) for a in args)
        if op in ("*", "/"):
            moving = [a for a in args if a in self.proof.moving]
            return len(moving) == 1 and (op == "*" or args[0] in self.proof.moving) and self.affine(moving[0])
        return op in ("name", "@")

    def affine(self, node: int) -> bool:
        """Whether a node is affine by sums and factors alone."""
        if node not in self._affine:
            self._affine[node] = self.proof.curvature[node].affine and self._plain(node)
        return self._affine[node]

    @cached_property
    def _affine(self) -> dict[int, bool]:
        return {}

    def core(self, node: int) -> tuple[int, list[tuple[str, int]]]:
        """An affine node without the constants beside it, and the factors that were taken from it."""
        factors: list[tuple[str, int]] = []
        while True:
            op, *args = self.graph.nodes[node]
            moving = [a for a in args if a in self.proof.moving] if op not in ("name", "@") else []
            if op == "neg":
                factors.append(("neg", 0))
                node = args[0]
            elif op in ("+", "-", "*", "/") and len(moving) == 1:
                if op in ("*", "/"):
                    factors.append((op, args[1] if moving[0] == args[0] else args[0]))
                elif op == "-" and moving[0] == args[1]:
                    factors.append(("neg", 0))
                node = moving[0]
            else:
                return node, factors

    def at(self, constants: Mapping[int, Any], bounds: Mapping[str, tuple[Any, Any]]) -> Terms | None:
        """Bounds of the Hessian of the output by atom; None where there are none. `constants`: values by row.

        `bounds`: the interval of each parameter, arrays (q,) for a vector.
        """
        self._value: dict[int, Interval] = {n: (v, v) for n, v in constants.items()}
        self._bent: dict[int, Bent] = {n: Bent() for n in constants}
        with np.errstate(all="ignore"):
            for node in self.nodes:
                self._value[node] = self._range(node, bounds)
                self._bent[node] = self._visit(node)
        bends = self._bent[self.proof.output].bends
        return None if self._open(self._bent[self.proof.output]) else bends

    @staticmethod
    def _open(bent: Bent) -> bool:
        return bent.bends is None or not all(np.all(np.isfinite(e)) for bend in bent.bends.values() for e in bend)

    @property
    def why(self) -> str:
        """After `at`: what the bounds rest on, or what has none, in words."""
        used = [n for n in self._used() if n in self._bent]
        for node in used:
            if self._open(self._bent[node]):
                return f"the second derivative of {to_text(self.graph, node, 60)} has no bound"
        largest: dict[str, float] = {}
        for name, most in (self._largest[n] for n in used if n in self._largest):
            largest[name] = max(most, largest.get(name, 0.0))
        words = [
            f"of {name}{' is' * (not i)} at most {_fraction(most)}" for i, (name, most) in enumerate(largest.items())
        ]
        return f"the second derivative {', '.join(words)}" if words else "it has no second derivative"

    def _used(self) -> list[int]:
        """The nodes that the bound of the output rests on, in order."""
        used, todo = set(), [self.proof.output]
        while todo:
            node = todo.pop()
            if node not in used and node in self.proof.moving:
                used.add(node)
                todo += [self._inner[node]] if node in self._inner else self.graph.arguments(node)
        return sorted(used)

    # one node ----------------------------------------------------------------------------------------------------
    def _range(self, node: int, bounds: Mapping[str, tuple[Any, Any]]) -> Interval:
        op, *args = self.graph.nodes[node]
        if op == "name":
            return bounds[args[0]]
        if op == "@":
            if args[0] in self.proof.moving or self.graph.nodes[args[1]][0] != "name":
                return EVERYWHERE
            low, high = times(self._value[args[0]], self._value[args[1]])
            return np.sum(low, axis=-1), np.sum(high, axis=-1)
        if op == "stack":
            return EVERYWHERE
        arguments = self.graph.arguments(node)
        if op == "*" and arguments[0] == arguments[1]:
            return power(self._value[arguments[0]], 2.0)
        return enclose(op, [self._value[a] for a in arguments])

    def _visit(self, node: int) -> Bent:
        if self.affine(node):
            return self._atom(node)
        op, *args = self.graph.nodes[node]
        fused = self._fused(node, op, args)
        if fused is not None:
            self._inner[node], derivatives, name = fused
            return self._chain(node, self._inner[node], derivatives, name)
        if op == "log" and self.graph.nodes[args[0]][0] == "exp":
            self._inner[node] = self.graph.nodes[args[0]][1]
            return self._bent[self._inner[node]]
        together = self._together(node, op, args[0])
        if together is not None:
            return together
        if op == "neg":
            return _scaled(self._bent[args[0]], (-1.0, -1.0))
        if op in ("+", "-"):
            second = self._bent[args[1]] if op == "+" else _scaled(self._bent[args[1]], (-1.0, -1.0))
            return _sum(self._bent[args[0]], second)
        if op == "*":
            return self._product(node, args[0], args[1], self._bent[args[1]], self._value[args[1]])
        if op == "/":
            u = self._value[args[1]]
            inverse = (
                self._chain(node, args[1], _power(u, -1.0), "a reciprocal") if args[1] in self.proof.moving else Bent()
            )
            return self._product(node, args[0], args[1], inverse, reciprocal(u))
        if op == "**":
            return self._raised(node, args)
        if op == "where" and args[0] not in self.proof.moving:
            return _either(self._bent[args[1]], self._bent[args[2]])
        if op == "abs":
            low, high = self._value[args[0]]
            sign = np.where(np.asarray(low) >= 0, 1.0, -1.0)
            apart = np.all((np.asarray(low) >= 0) | (np.asarray(high) <= 0))
            return _scaled(self._bent[args[0]], (sign, sign)) if apart else Bent(bends=None)
        made = DERIVATIVES.get(op)
        if made is not None:
            return self._chain(node, args[0], made(self._value[args[0]]), op)
        if op in BENDS:
            return self._chain(node, args[0], (SLOPES[op], (-BENDS[op], BENDS[op])), op)
        return Bent(bends=None)

    def _atom(self, node: int) -> Bent:
        core, factors = self.core(node)
        if core not in self.atoms:  # a summand of an affine expression: nothing above asks for it
            return Bent()
        scale: Any = 1.0
        for op, factor in factors:
            scale = -scale if op == "neg" else scale * self._value[factor][0] if op == "*" else (
                scale / self._value[factor][0])  # fmt: skip
        return Bent({core: (scale, scale)})

    def _chain(self, node: int, inner: int, derivatives: Derivatives, name: str) -> Bent:
        """φ(u) from φ' and φ'', u the node `inner`."""
        u, (first, second) = self._bent[inner], derivatives
        if u.bends is None:
            return u
        if self.affine(inner):
            most = max(float(np.max(np.abs(end))) for end in second)
            self._largest[node] = name, max(most, self._largest.get(node, (name, 0.0))[1])
        bent = _scaled(u, first)
        assert bent.bends is not None
        for atom, slope in u.slopes.items():
            square = power(slope, 2.0)
            if len(u.slopes) > 1:  # (Σ dₖaₖ)(Σ dₖaₖ)ᵀ ≼ m·Σ dₖ²aₖaₖᵀ
                square = 0.0, len(u.slopes) * square[1]
            bent.bends[atom] = plus(bent.bends.get(atom, (0.0, 0.0)), times(second, square))
        return bent

    def _product(self, node: int, a: int, b: int, v: Bent, value: Interval) -> Bent:
        """u·v, u the node a; v of that value is the node b or its reciprocal."""
        u = self._bent[a]
        if a == b:
            return self._chain(node, a, _power(self._value[a], 2.0), "a square")
        bent = _sum(_scaled(u, value), _scaled(v, self._value[a]))
        if bent.bends is None:
            return bent
        for i, d in u.slopes.items():
            for j, e in v.slopes.items():
                if i == j:
                    mixed = times((2.0, 2.0), times(d, e))
                    bent.bends[i] = plus(bent.bends.get(i, (0.0, 0.0)), mixed)
                    continue
                size = times(magnitude(d), magnitude(e))[1]
                for k in (i, j):
                    bent.bends[k] = plus(bent.bends.get(k, (0.0, 0.0)), (-size, size))
        return bent

    def _raised(self, node: int, args: Sequence[int]) -> Bent:
        base, exponent = args
        p = self.graph.value(exponent)
        if p is not None:
            return self._chain(node, base, _power(self._value[base], float(p)), "a square" if p == 2 else "a power")
        if base in self.proof.moving:
            return Bent(bends=None)
        rate = enclose("log", [self._value[base]])
        value = self._value[node]
        return self._chain(node, exponent, (times(rate, value), times(power(rate, 2.0), value)), "an exponential")

    # functions of functions whose second derivative is bounded as a whole ------------------------------------------
    def _fused(self, node: int, op: str, args: Sequence[int]) -> tuple[int, Derivatives, str] | None:
        if op == "where" and args[0] in self.proof.moving:
            return self._pieces(node)
        if op not in ("log", "log1p", "sqrt"):
            return None
        inner, *parts = self.graph.nodes[args[0]]
        if op == "log" and inner == "cosh":
            tanh = enclose("tanh", [self._value[parts[0]]])
            low, high = magnitude(tanh)
            return parts[0], (tanh, (1.0 - high**2, 1.0 - low**2)), "log(cosh)"
        if op == "log1p":
            constant, other = (1.0, 1.0), args[0]
        elif inner == "+" and (parts[0] in self.proof.moving) != (parts[1] in self.proof.moving):
            still, other = parts if parts[1] in self.proof.moving else parts[::-1]
            constant = self._value[still]
        else:
            return None
        if not np.all(np.asarray(constant[0]) > 0):
            return None
        if op != "sqrt" and self.graph.nodes[other][0] == "exp":
            shift = np.log(constant[0])
            u = self.graph.nodes[other][1]
            low, high = self._value[u]
            return u, _softplus((low - shift, high - shift)), "log(c + exp)"
        base = self.proof.square(other)[1]
        if base is None or other not in self.proof.moving:
            return None
        s = self._square_scale(other)
        if not np.all(np.asarray(s) >= 0):
            return None
        root = np.sqrt(s)
        if op == "sqrt":
            return base, ((-root, root), (0.0, s / np.sqrt(constant[0]))), "sqrt(c + square)"
        steep = root / np.sqrt(constant[0])
        return base, ((-steep, steep), (-0.25 * steep**2, 2.0 * steep**2)), "log(c + square)"

    def _together(self, node: int, op: str, inner: int) -> Bent | None:
        """log of a sum of exponentials, and the root of a constant and a sum of squares, of affine expressions.

        The Hessian of log Σ exp(uₖ) by u is diag(p) - ppᵀ ≼ ½ (Böhning, Ann. Inst. Statist. Math. 44, 1992); that of
        √(c + Σ sₖuₖ²) is at most diag(s)/√c.
        """
        if op not in ("log", "sqrt"):
            return None
        terms, still = self._terms(inner)
        bases: list[tuple[int, Any]] = []
        for term in terms:
            if op == "log":
                first, *rest = self.graph.nodes[term]
                base, scale = (rest[0], 1.0) if first == "exp" and self.affine(rest[0]) else (None, 0.0)
            else:
                base, scale = self.proof.square(term)[1], self._square_scale(term)
            if base is None or not self.affine(base) or not np.all(np.asarray(scale) >= 0):
                return None
            bases.append((base, scale))
        constant = sum(still, start=np.float64(0.0))
        if not all(np.all(np.asarray(c) >= 0) for c in still) or (op == "sqrt" and not np.all(constant > 0)):
            return None
        bent, name = Bent(), "log of a sum of exp" if op == "log" else "sqrt(c + squares)"
        for base, scale in bases:
            root = np.sqrt(scale)
            slope, second = ((0.0, 1.0), (0.0, 0.5)) if op == "log" else (
                (-root, root), (0.0, scale / np.sqrt(constant)))  # fmt: skip
            bent = _sum(bent, self._chain(node, base, (slope, second), name))
        self._inner[node] = bases[0][0]
        return bent

    def _terms(self, node: int) -> tuple[list[int], list[Any]]:
        """The summands that move, and the values of those that do not."""
        terms, still, todo = [], [], [node]
        while todo:
            one = todo.pop()
            if one not in self.proof.moving:
                still.append(self._value[one][0])
            elif self.graph.nodes[one][0] == "+":
                todo += self.graph.arguments(one)
            else:
                terms.append(one)
        return terms, still

    def _square_scale(self, node: int) -> Any:
        """The number before a square."""
        scale: Any = 1.0
        while True:
            op, *args = self.graph.nodes[node]
            if op not in ("*", "/") or all(a in self.proof.moving for a in args):
                return scale
            still = args[1] if args[0] in self.proof.moving else args[0]
            scale = scale * self._value[still][0] if op == "*" else scale / self._value[still][0]
            node = args[0] if args[0] in self.proof.moving else args[1]

    def _pieces(self, node: int) -> tuple[int, Derivatives, str] | None:
        """A choice by one affine expression, whose pieces meet with one slope."""
        found = self.proof.pieces(node)
        if found is None:
            return None
        t, pieces = found
        if any(abs(a[0] - b[0]) > CLOSE * (abs(a[0]) + abs(b[0]) + 1e-300) for a, b in slopes(pieces)):
            return None
        first: Interval | None = None
        second: Interval | None = None
        for piece in pieces:
            curve = Curvature(Convexity(piece.graph, piece.node, {"t": piece.region}))
            t_node = piece.graph.name("t")
            constants = {n: _number(piece.graph.nodes[n], piece.graph, n) for n in curve.constants}
            bends = curve.at(constants, {"t": piece.region})
            if bends is None or set(curve.atoms) - {t_node}:
                return None
            slope = curve.slopes.get(t_node, (0.0, 0.0))
            bend = bends.get(t_node, (0.0, 0.0))
            first = slope if first is None else hull(first, slope)
            second = bend if second is None else hull(second, bend)
        assert first is not None and second is not None
        return t, (first, second), "its pieces"

    @property
    def slopes(self) -> Terms:
        """The gradient of the output by atom, after `at`."""
        found = self._bent.get(self.proof.output)
        return {} if found is None else found.slopes


def _number(node: Any, graph: Any, place: int) -> float:
    if node[0] == "number":
        return float(node[1])
    if node[0] == "pi":
        return math.pi
    from .evaluate import Evaluator

    return float(Evaluator(graph, [place], (), {})(np.zeros(0))[0])


def _scaled(u: Bent, factor: Interval) -> Bent:
    bends = None if u.bends is None else {k: times(factor, bend) for k, bend in u.bends.items()}
    return Bent({k: times(factor, slope) for k, slope in u.slopes.items()}, bends)


def _sum(u: Bent, v: Bent) -> Bent:
    bends = None if u.bends is None or v.bends is None else dict(_added(u.bends, v.bends))
    return Bent(dict(_added(u.slopes, v.slopes)), bends)


def _added(u: Terms, v: Terms) -> Iterator[tuple[int, Interval]]:
    for atom in {**u, **v}:
        yield atom, plus(u[atom], v[atom]) if atom in u and atom in v else u.get(atom) or v[atom]


def _either(u: Bent, v: Bent) -> Bent:
    """One or the other, row by row."""
    zero = (0.0, 0.0)
    first = {k: hull(u.slopes.get(k, zero), v.slopes.get(k, zero)) for k in {**u.slopes, **v.slopes}}
    if u.bends is None or v.bends is None:
        return Bent(first, None)
    return Bent(first, {k: hull(u.bends.get(k, zero), v.bends.get(k, zero)) for k in {**u.bends, **v.bends}})


def _power(u: Interval, p: float) -> Derivatives:
    if p == 2:
        return times((2.0, 2.0), u), (2.0, 2.0)
    return times((p, p), power(u, p - 1.0)), times((p * (p - 1.0),) * 2, power(u, p - 2.0))


def _softplus(u: Interval) -> Derivatives:
    low, high = sigmoid(np.asarray(u[0], float)), sigmoid(np.asarray(u[1], float))
    ends = [p * (1.0 - p) for p in (low, high)]
    top = np.where((low <= 0.5) & (high >= 0.5), 0.25, np.maximum(*ends))
    return (low, high), (np.minimum(*ends), top)


def _log(base: float) -> Callable[[Interval], Derivatives]:
    def derivatives(u: Interval) -> Derivatives:
        inverse = reciprocal((np.maximum(u[0], 0.0), u[1]))
        first = times(inverse, (1.0 / math.log(base),) * 2)
        return first, times((-1.0, -1.0), times(first, inverse))

    return derivatives


def _exp(u: Interval) -> Derivatives:
    value = np.exp(u[0]), np.exp(u[1])
    return value, value


def _log1p(u: Interval) -> Derivatives:
    return DERIVATIVES["log"]((u[0] + 1.0, u[1] + 1.0))


def _hyperbolic(first: str, second: str) -> Callable[[Interval], Derivatives]:
    return lambda u: (enclose(first, [u]), enclose(second, [u]))


DERIVATIVES: dict[str, Callable[[Interval], Derivatives]] = {
    "exp": _exp,
    "expm1": _exp,
    "log": _log(math.e),
    "log2": _log(2.0),
    "log10": _log(10.0),
    "log1p": _log1p,
    "sqrt": lambda u: _power((np.maximum(u[0], 0.0), u[1]), 0.5),
    "softplus": _softplus,
    "cosh": _hyperbolic("sinh", "cosh"),
    "sinh": _hyperbolic("cosh", "sinh"),
}


def _fraction(value: float) -> str:
    inverse = 1.0 / value if value else math.inf
    return f"1/{inverse:.0f}" if 1 < inverse < 100 and abs(inverse - round(inverse)) < 1e-9 else f"{value:.4g}"
