"""Convexity by composition: the rules of disciplined convex programming over a program.

Every node gets its curvature in the free parameters from those of its arguments, an interval of its values, and whether
its logarithm is convex or concave (Grant, Boyd, Ye, Disciplined Convex Programming, 2006; Agrawal, Diamond, Boyd,
Disciplined Geometric Programming, 2019). What the rules do not reach is "not proved", never "not convex".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from .derive import gradient
from .evaluate import Evaluator
from .intervals import EVERYWHERE, RISING, Interval, enclose
from .printing import to_text
from .program import Graph

CLOSE = 1e-12  # of the values and slopes of two pieces that meet
CONVEX = frozenset(("exp", "expm1", "softplus", "cosh", "abs"))
CONCAVE = frozenset(("log", "log2", "log10", "log1p", "sqrt", "acosh"))
#: convex below 0 and concave above, and the other way round
SHOULDERS = frozenset(("sigmoid", "tanh", "erf", "atan", "asinh", "cbrt", "acos"))
VALLEYS = frozenset(("sinh", "asin", "atanh", "erfc"))


@dataclass(frozen=True)
class Curvature:
    """What is proved of an expression as a function of the free parameters; affine is both, not proved neither."""

    convex: bool = False
    concave: bool = False

    @property
    def affine(self) -> bool:
        return self.convex and self.concave

    @property
    def turned(self) -> Curvature:
        """Of the negative."""
        return Curvature(self.concave, self.convex)

    def __and__(self, other: Curvature) -> Curvature:
        return Curvature(self.convex and other.convex, self.concave and other.concave)

    def __or__(self, other: Curvature) -> Curvature:
        return Curvature(self.convex or other.convex, self.concave or other.concave)


UNKNOWN, AFFINE = Curvature(), Curvature(True, True)


@dataclass(frozen=True)
class Piece:
    """One piece of a choice: the interval of the decisive expression in which the branch `node` of `graph` holds."""

    region: Interval
    graph: Graph
    node: int


class Convexity:
    """The curvature of the node `output` in the names of `bounds`, each with the interval that it is bound to.

    `known`: intervals of expressions that hold no such name, over the data. `asked` are those whose sign would decide
    more. `curvature`, `logarithm`, `range` by node.
    """

    def __init__(
        self, graph: Graph, output: int, bounds: Mapping[str, Interval], known: Mapping[int, Interval] | None = None
    ) -> None:
        self.graph, self.output, self.bounds, self.known = graph, output, bounds, known or {}
        self.curvature: dict[int, Curvature] = {}
        self.logarithm: dict[int, Curvature] = {}
        self.range: dict[int, Interval] = {}
        self.moving: set[int] = set()
        self.asked: dict[int, None] = {}
        with np.errstate(all="ignore"):
            for node in graph.reachable([output]):
                self._visit(node)

    @property
    def proved(self) -> bool:
        """Whether the output is convex."""
        return self.curvature[self.output].convex

    @cached_property
    def why(self) -> str:
        """The reason in words, of either."""
        if not self.proved:
            return f"not proved: {self._breaks()}"
        words = list(dict.fromkeys(self._words(self.output))) or ["a constant"]
        some = [words[0], *("an affine one" if w == "an affine expression" else w for w in words[1:4])]
        return " + ".join(some + ["..."] * (len(words) > 4)).replace("+ minus", "-")

    # the rules ---------------------------------------------------------------------------------------------------
    def _visit(self, node: int) -> None:
        op, *args = self.graph.nodes[node]
        arguments = self.graph.arguments(node)
        if op == "name" and args[0] in self.bounds:
            self.moving.add(node)
            self.range[node], self.curvature[node] = self.bounds[args[0]], AFFINE
        else:
            if not self.moving.isdisjoint(arguments):
                self.moving.add(node)
            self.range[node] = self._enclosed(node, op, args)
            self.curvature[node] = self._curvature(node, op, arguments) if node in self.moving else AFFINE
        self.logarithm[node] = self._logarithm(node, op, arguments)
        if self.logarithm[node].convex and node in self.moving:  # exp of a convex function
            self.curvature[node] |= Curvature(convex=True)

    def _enclosed(self, node: int, op: str, args: Sequence[object]) -> Interval:
        if node in self.known:
            return self.known[node]
        if op == "number":
            return float(args[0]), float(args[0])  # type: ignore[arg-type]
        if op == "pi":
            return math.pi, math.pi
        if op in ("name", "stack", "@"):
            return EVERYWHERE
        arguments = self.graph.arguments(node)
        if op == "*" and arguments[0] == arguments[1]:
            return enclose("**", [self.range[arguments[0]], (2.0, 2.0)])
        return enclose(op, [self.range[a] for a in arguments])

    def sign(self, node: int) -> int:
        """1 where a node is never negative, -1 where never positive, else 0, and it is asked for."""
        low, high = self.range[node]
        if low >= 0:
            return 1
        if high <= 0:
            return -1
        self._ask(node)
        return 0

    def _ask(self, node: int) -> None:
        if node in self.moving and any(self.bounds.get(n) == EVERYWHERE for n in self.graph.names([node])):
            return  # no sign of a column decides then
        todo = [node]
        while todo:
            one = todo.pop()
            if one in self.moving:
                todo += self.graph.arguments(one)
            elif not self.graph.is_constant(one) and one not in self.known and self.graph.nodes[one][0] not in (
                "stack", "@"):  # fmt: skip
                self.asked[one] = None

    def _curvature(self, node: int, op: str, arguments: Sequence[int]) -> Curvature:
        parts = [self.curvature[a] for a in arguments]
        if op == "neg":
            return parts[0].turned
        if op in ("+", "-"):
            return parts[0] & (parts[1] if op == "+" else parts[1].turned)
        if op == "@":
            return AFFINE if arguments[0] not in self.moving else UNKNOWN
        if op in ("*", "/"):
            return self._product(node, op, arguments)
        if op == "**":
            return self._power(arguments)
        if op in ("max", "min"):
            both = parts[0] & parts[1]
            return Curvature(convex=both.convex) if op == "max" else Curvature(concave=both.concave)
        if op == "where":
            return self._choice(node, arguments)
        if len(arguments) == 1:
            if op in ("log", "log2", "log10"):
                return self._composed(op, arguments[0]) | self.logarithm[arguments[0]]
            return self._composed(op, arguments[0]) | self._one_more(op, arguments[0])
        return UNKNOWN

    def _one_more(self, op: str, argument: int) -> Curvature:
        """log1p of what is log-convex: log(1 + exp(u)); √(c + u²), which is a norm."""
        if op == "log1p":
            return Curvature(convex=self.logarithm[argument].convex)
        return Curvature(convex=op == "sqrt" and self._norm(argument))

    def _norm(self, node: int) -> bool:
        """Whether a node is a sum of squares of affine expressions and constants that are not negative."""
        todo = [node]
        while todo:
            one = todo.pop()
            op, *args = self.graph.nodes[one]
            if op == "+":
                todo += args
            elif one in self.moving:
                scale, base = self.square(one)
                if base is None or not all(self.sign(s) > 0 for s in scale):
                    return False
            elif self.sign(one) <= 0:
                return False
        return True

    def square(self, node: int) -> tuple[list[int], int | None]:
        """The factors before a square of an affine expression, and that expression; (…, None) where it is none."""
        scale: list[int] = []
        while True:
            op, *args = self.graph.nodes[node]
            if op in ("*", "/") and args[1] not in self.moving:
                scale.append(args[1])
                node = args[0]
            elif op == "*" and args[0] not in self.moving:
                scale.append(args[0])
                node = args[1]
            else:
                break
        twice = (op == "*" and args[0] == args[1]) or (op == "**" and self.graph.value(args[1]) == 2)
        return scale, args[0] if twice and self.curvature[args[0]].affine else None

    def _product(self, node: int, op: str, arguments: Sequence[int]) -> Curvature:
        a, b = arguments
        if a in self.moving and b in self.moving:
            return self._composed("**", a, 2.0) if op == "*" and a == b else UNKNOWN
        if op == "/" and b in self.moving:
            return self._scaled(a, self._composed("**", b, -1.0))
        factor, other = (b, a) if op == "/" or a in self.moving else (a, b)
        return self._scaled(factor, self.curvature[other])

    def _scaled(self, factor: int, curvature: Curvature) -> Curvature:
        if curvature.affine or curvature == UNKNOWN:
            return curvature
        sign = self.sign(factor)
        return curvature if sign > 0 else curvature.turned if sign < 0 else UNKNOWN

    def _power(self, arguments: Sequence[int]) -> Curvature:
        base, exponent = arguments
        power = self.graph.value(exponent)
        if exponent not in self.moving:
            return UNKNOWN if power is None else self._composed("**", base, float(power))
        return UNKNOWN  # of a constant base it is log-affine

    def _composed(self, op: str, argument: int, power: float = 1.0) -> Curvature:
        """A function of one argument by its own curvature and direction, over the interval of the argument."""
        u, (low, high) = self.curvature[argument], self.range[argument]
        if u == UNKNOWN:
            return UNKNOWN
        own, rises = _shape(op, low, high, power)
        if own == UNKNOWN and (low < 0 < high):
            self._ask(argument)
        if u.affine:
            return own
        if rises == 0:
            if own != UNKNOWN:
                self._ask(argument)
            return UNKNOWN
        return own & (u if rises > 0 else u.turned)

    def _logarithm(self, node: int, op: str, arguments: Sequence[int]) -> Curvature:
        """Of the logarithm of a node that is never negative."""
        logs = [self.logarithm[a] for a in arguments]
        if node not in self.moving:
            return AFFINE if self.range[node][0] >= 0 else UNKNOWN
        if op == "exp":
            return self.curvature[arguments[0]]
        if op == "cosh":
            return Curvature(convex=self.curvature[arguments[0]].affine)
        if op in ("sigmoid", "softplus"):
            return Curvature(concave=self.curvature[arguments[0]].concave)
        if op == "erfc":
            return Curvature(concave=self.curvature[arguments[0]].convex)
        if op == "*":
            return logs[0] & logs[1]
        if op == "/":
            return logs[0] & logs[1].turned
        if op == "sqrt":
            return logs[0]
        if op == "**":
            return self._log_power(arguments)
        if op == "+":
            return Curvature(convex=logs[0].convex and logs[1].convex)
        if op == "-" and self.graph.value(arguments[0]) == 1 and self.graph.nodes[arguments[1]][0] == "sigmoid":
            inner = self.graph.nodes[arguments[1]][1]  # 1 - sigmoid(u) is sigmoid(-u)
            return Curvature(concave=self.curvature[inner].convex)
        return Curvature(concave=self.curvature[node].concave and self.range[node][0] >= 0)

    def _log_power(self, arguments: Sequence[int]) -> Curvature:
        base, exponent = arguments
        power = self.graph.value(exponent)
        if power is not None:
            return self.logarithm[base] if power > 0 else self.logarithm[base].turned
        if base in self.moving or not self.range[base][0] > 0:
            return UNKNOWN
        u, (low, high) = self.curvature[exponent], self.range[base]
        return AFFINE if u.affine else u if low >= 1 else u.turned if high <= 1 else UNKNOWN

    # choices -----------------------------------------------------------------------------------------------------
    def _choice(self, node: int, arguments: Sequence[int]) -> Curvature:
        condition, *branches = arguments
        if condition not in self.moving:
            return self.curvature[branches[0]] & self.curvature[branches[1]]
        found = self.pieces(node)
        if found is None:
            return UNKNOWN
        pieces = found[1]
        meet = all(left[0] <= right[0] + CLOSE * (abs(right[0]) + 1) for left, right in slopes(pieces))
        convex = all(Convexity(p.graph, p.node, {"t": p.region}).proved for p in pieces)
        return Curvature(convex=meet and convex)

    def pieces(self, node: int) -> tuple[int, list[Piece]] | None:
        """The affine expression that a choice is made by, and its pieces from left to right, if they join."""
        _, condition, *branches = self.graph.nodes[node]
        decided = self._decided(condition)
        if decided is None:
            return None
        t, size, limit, below = decided
        inner, outer = branches if below else branches[::-1]
        regions = [((-math.inf, limit), inner), ((limit, math.inf), outer)]
        if size:
            regions = [((-math.inf, -limit), outer), ((-limit, limit), inner), ((limit, math.inf), outer)]
        pieces = []
        for region, branch in regions:
            graph = Graph()
            (start,) = graph.copy_from(self.graph, [t], {})
            (whole,) = graph.copy_from(self.graph, [branch], {})
            (cut,) = graph.substitute([whole], {start: graph.name("t")})
            if set(graph.names([cut])) - {"t"} or "t" in self.graph.names([node]):
                return None
            pieces.append(Piece(region, graph, cut))
        joined = all(abs(a[1] - b[1]) <= CLOSE * (abs(a[1]) + abs(b[1]) + 1e-300) for a, b in slopes(pieces))
        return (t, pieces) if joined else None

    def _decided(self, condition: int) -> tuple[int, bool, float, bool] | None:
        """Of `|t| <= c` or `t <= c`: t, whether its size decides, c, and whether it is so below."""
        op, *args = self.graph.nodes[condition]
        if op not in ("<", "<=", ">", ">="):
            return None
        t, limit = args
        below = op in ("<", "<=")
        if t not in self.moving:
            t, limit, below = limit, t, not below
        if not self.graph.is_constant(limit):
            return None
        size = self.graph.nodes[t][0] == "abs"
        t = self.graph.nodes[t][1] if size else t
        value = float(self.range[limit][0])
        return (t, size, value, below) if self.curvature[t].affine and not (size and value <= 0) else None

    # words -------------------------------------------------------------------------------------------------------
    def _words(self, node: int, sign: int = 1) -> Iterator[str]:
        """What the summands are; `sign` before them."""
        if node not in self.moving:
            return
        op, *args = self.graph.nodes[node]
        if self.curvature[node].affine:
            yield "an affine expression"
        elif op in ("+", "-", "neg") and self._adds(node, op):
            for i, argument in enumerate(args):
                yield from self._words(argument, -sign if op == "neg" or (op == "-" and i) else sign)
        elif (
            op in ("*", "/")
            and (args[0] in self.moving) != (args[1] in self.moving)
            and (op == "*" or args[0] in self.moving)
        ):
            other, factor = args if args[0] in self.moving else args[::-1]
            yield from self._words(other, -sign if self.range[factor][1] <= 0 else sign)
        else:
            yield ("minus " if sign < 0 else "") + self._named(node, op, args)

    def _adds(self, node: int, op: str) -> bool:
        """Whether a sum is convex or concave because its parts are."""
        parts = [self.curvature[a] for a in self.graph.arguments(node)]
        whole = parts[0].turned if op == "neg" else parts[0] & (parts[1] if op == "+" else parts[1].turned)
        return whole != UNKNOWN

    def _named(self, node: int, op: str, args: Sequence[int]) -> str:
        logs = self.logarithm[node]
        kind = "convex" if self.curvature[node].convex else "concave"
        if op == "/" and args[0] not in self.moving and not logs.affine:
            return f"the reciprocal of {self._inner(args[1])}"
        if op in ("*", "+", "-", "/") and logs.convex:
            return f"an expression whose logarithm is {'affine' if logs.affine else 'convex'}"
        if (op == "*" and args[0] == args[1]) or (op == "**" and self.graph.value(args[1]) == 2):
            return f"the square of {self._inner(args[0])}"
        if op == "where":
            return "pieces that meet with one slope" if args[0] in self.moving else f"{kind} branches"
        if op in ("max", "min"):
            return f"the {'larger' if op == 'max' else 'smaller'} of {kind} expressions"
        if op in ("log", "log2", "log10", "log1p") and self.curvature[node].convex:
            return f"{op} of {'a log-convex' if self.logarithm[args[0]].convex else 'a log-concave'} expression"
        if op == "/":
            return f"the reciprocal of {self._inner(args[1])}"
        if op == "**" and args[1] in self.moving:
            return "an exponential"
        name = "a power" if op == "**" else "the absolute value" if op == "abs" else op
        return f"{name} of {self._inner(args[0])}"

    def _inner(self, node: int) -> str:
        found = self.curvature[node]
        return f"{'an affine' if found.affine else 'a convex' if found.convex else 'a concave'} expression"

    def _breaks(self) -> str:
        """The innermost node that the rules do not reach, as text, and why."""
        node = self.output
        if self.curvature[node].concave:
            return f"{to_text(self.graph, node, 60)} is concave"
        while True:
            deeper = [a for a in self.graph.arguments(node) if a in self.moving and self.curvature[a] == UNKNOWN
                      and not self.graph.is_condition(a)]  # fmt: skip
            if not deeper:
                break
            node = deeper[0]
        op, *args = self.graph.nodes[node]
        text = to_text(self.graph, node, 60)
        unknown = [a for a in args if isinstance(a, int) and a in self.asked]
        if op in ("*", "/") and all(a in self.moving for a in args):
            names = all(self.graph.nodes[a][0] == "name" for a in args)
            kind = "product" if op == "*" else "quotient"
            return f"{text} is a {kind} of two {'parameters' if names else 'expressions with parameters'}"
        if unknown:
            return f"{text} bends either way with the sign of {to_text(self.graph, unknown[0], 60)}"
        if op in ("+", "-"):
            return f"{text} adds a convex and a concave part"
        if op == "where":
            return f"the pieces of {text} are not proved to meet convexly"
        inner = args[0]
        if not self.curvature[inner].affine:
            return f"{text} is no convex function of {to_text(self.graph, inner, 60)}, which bends itself"
        return f"{text} bends both ways"


def slopes(pieces: Sequence[Piece]) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Slope and value of both pieces at each place where two meet, from the left and from the right."""
    for left, right in pairwise(pieces):
        at = np.array([left.region[1]])
        ends = []
        for piece in (left, right):
            partial = gradient(piece.graph, piece.node, ["t"])["t"].node
            outputs = [piece.graph.number(0) if partial is None else partial, piece.node]
            with np.errstate(all="ignore"):
                slope, value = Evaluator(piece.graph, outputs, (), {"t": 0})(at)
            ends.append((float(slope), float(value)))
        yield ends[0], ends[1]


def _shape(op: str, low: float, high: float, power: float) -> tuple[Curvature, int]:
    """The curvature of a function over an interval, and 1 where it rises, -1 where it falls, 0 where neither."""
    side = 1 if low >= 0 else -1 if high <= 0 else 0
    convex, concave = Curvature(convex=True), Curvature(concave=True)
    if op == "**":
        return _power_shape(side, power)
    if op == "abs":
        return (AFFINE if side else convex), side
    if op in CONVEX:
        return convex, side if op == "cosh" else 1
    if op in CONCAVE:
        return concave, 1
    rises = 1 if op in RISING else -1
    if op in SHOULDERS:
        return (convex if side < 0 else concave if side > 0 else UNKNOWN), rises
    if op in VALLEYS:
        return (concave if side < 0 else convex if side > 0 else UNKNOWN), rises
    if op == "lgamma":
        return (convex if low > 0 else UNKNOWN), 1 if low >= 2 else 0
    if op == "digamma":
        return (concave if low > 0 else UNKNOWN), 1
    return UNKNOWN, 0


def _power_shape(side: int, p: float) -> tuple[Curvature, int]:
    convex, concave = Curvature(convex=True), Curvature(concave=True)
    whole = p == int(p)
    if not whole:
        side = 1  # it is defined there alone
    if p >= 1:
        if p == 1:
            return AFFINE, 1
        if whole and int(p) % 2 == 0:
            return convex, side
        return (convex if side > 0 else concave if side < 0 else UNKNOWN), 1
    if p > 0:
        return concave, 1
    if side == 0 or p == 0:
        return UNKNOWN, 0
    if side > 0:
        return convex, -1
    return (convex, 1) if int(p) % 2 == 0 else (concave, -1)
