"""Programs: every formula, derivative and update rule is a straight line of hash-consed operations.

A `Graph` is an arena of nodes that only grows; equal nodes are one node; arguments stand before their user, so walking
the ids upwards evaluates and walking them downwards differentiates, with no recursion however deep the formula is.
A `Program` is a view of it: some output nodes and what they need.

A node is a tuple: `("number", value)`, `("pi",)`, `("name", text)`, `("stack", *nodes)` (the columns of a matrix),
`("@", matrix, vector)` or `(function of the table, *nodes)`. Numbers are int or Fraction while exact, else float.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from threading import RLock
from typing import Any

import numpy as np

from .functions import FUNCTIONS, PI

Number = int | Fraction | float
Node = tuple[Any, ...]

EXACT_LIMIT = 10**18  # larger integers and fractions go on as floats
COMMUTATIVE = frozenset(("+", "*", "==", "!=", "and", "or"))
LEAVES = frozenset(("number", "pi", "name"))
#: what overflows long before its argument does, and what stays finite whatever its argument
GROWING = frozenset(("exp", "expm1", "sinh", "cosh"))
BOUNDED = frozenset(("sin", "cos", "asin", "acos", "atan", "atan2", "tanh", "sigmoid", "sign", "erf", "erfc"))
SMALL_POWER = 3  # a written exponent up to here overflows no sooner than a product of names


class Graph:
    """An arena of hash-consed nodes; a node is known by its index. `places[node]` is its slice of the text."""

    __slots__ = ("_constants", "_grows", "_index", "growing", "nodes", "places")

    def __init__(self) -> None:
        self.growing = RLock()  # held by what derives nodes of a graph that several runs may share
        self.nodes: list[Node] = []
        self.places: dict[int, tuple[int, int]] = {}
        self._index: dict[Any, int] = {}
        self._grows: list[bool] = []
        self._constants: dict[int, Number] = {}  # what holds no name, by value: numbers, and pi with its multiples

    # leaves ------------------------------------------------------------------------------------------------
    def number(self, value: Number) -> int:
        """The node of a number."""
        if not isinstance(value, float):
            if isinstance(value, Fraction) and value.denominator == 1:
                value = value.numerator
            if max(abs(value.numerator), value.denominator) > EXACT_LIMIT:
                value = float(value)
        node = self._intern(("number", value), ("number", type(value), value, math.copysign(1.0, value)))
        self._constants[node] = value
        return node

    def pi(self) -> int:
        """The node of π."""
        node = self._intern(("pi",), "pi")
        self._constants[node] = PI
        return node

    def name(self, name: str) -> int:
        """The node of a name: a column or a parameter, which only the data decide."""
        return self._intern(("name", name), ("name", name))

    def stack(self, columns: Sequence[int]) -> int:
        """The matrix whose columns are these row expressions."""
        return self._intern(("stack", *columns), ("stack", *columns))

    def dot(self, matrix: int, vector: int) -> int:
        """matrix @ vector: one node, never unrolled."""
        return self._intern(("@", matrix, vector), ("@", matrix, vector))

    # operations --------------------------------------------------------------------------------------------
    def apply(self, op: str, *args: int) -> int:
        """The node of `op(args)`, folded where it is a number, simplified where that changes no value."""
        folded = self._fold(op, args)
        if folded is not None:
            return self.number(folded)
        same = self._simplify(op, args)
        if same is not None:
            return same
        key = (op, *args)
        if op in COMMUTATIVE and key not in self._index:
            key = (op, *sorted(args))
        node = self._intern((op, *args), key)
        if op in ("+", "-", "*", "/", "neg") and self._constants.keys() >= {*args}:
            value = _compute(op, [float(self._constants[a]) for a in args])
            if math.isfinite(value):
                self._constants[node] = value
        return node

    def value(self, node: int) -> Number | None:
        """The number that a node is, or None."""
        return self.nodes[node][1] if self.nodes[node][0] == "number" else None

    def is_number(self, node: int) -> bool:
        """Whether the node is a written or folded number."""
        return bool(self.nodes[node][0] == "number")

    def grows(self, node: int) -> bool:
        """Whether the node may overflow at moderate values of the names: an exponential or a power stands in it."""
        for i in range(len(self._grows), node + 1):
            op, *args = self.nodes[i]
            if op in LEAVES or op in BOUNDED:
                grows = False
            elif op == "**":
                power = self.value(args[1])
                grows = power is None or abs(float(power)) > SMALL_POWER or self._grows[args[0]]
            else:
                grows = op in GROWING or any(self._grows[a] for a in args)
            self._grows.append(grows)
        return self._grows[node]

    def is_constant(self, node: int) -> bool:
        """Whether the node holds no name."""
        return node in self._constants

    def is_condition(self, node: int) -> bool:
        """Whether the node is true or false rather than a number."""
        row = FUNCTIONS.get(self.nodes[node][0])
        return row is not None and row.condition

    def _intern(self, node: Node, key: Any) -> int:
        found = self._index.get(key)
        if found is None:
            found = self._index[key] = len(self.nodes)
            self.nodes.append(node)
        return found

    def _fold(self, op: str, args: tuple[int, ...]) -> Number | None:
        """The value of an operation on constants. Exact stays exact; π keeps its sums and products; else a float."""
        if not self._constants.keys() >= {*args} or FUNCTIONS[op].condition or op == "where":
            return None
        numbers = [self._constants[a] for a in args]
        if all(self.nodes[a][0] == "number" for a in args) and not any(isinstance(v, float) for v in numbers):
            exact = _exact(op, numbers)
            if exact is not None:
                return exact
        elif op in ("+", "-", "*", "/", "neg") and not any(
            isinstance(self.value(a), float) for a in args
        ):  # 2*pi stays as it is written
            return None
        value = _compute(op, [float(v) for v in numbers])
        return value if math.isfinite(value) else None

    def _simplify(self, op: str, args: tuple[int, ...]) -> int | None:
        """Rules that hold for every finite value of the names, and keep every domain."""
        first = self.value(args[0])
        second = self.value(args[1]) if len(args) > 1 else None
        if op == "+":
            return args[1] if first == 0 else args[0] if second == 0 else None
        if op == "-":
            return self.apply("neg", args[1]) if first == 0 else args[0] if second == 0 else None
        if op == "*":
            if first == 1:
                return args[1]
            if second == 1:
                return args[0]
            if first == 0 and self._finite(args[1]):
                return args[0]
            if second == 0 and self._finite(args[0]):
                return args[1]
        if op == "/" and second == 1:
            return args[0]
        if op in ("*", "/"):  # a sign stands before the whole: the same bits, and one way to write it
            plain = [self._unsigned(a) for a in args]
            if plain[0] != args[0] or plain[1] != args[1]:
                node = self.apply(op, *plain)
                return node if plain[0] != args[0] and plain[1] != args[1] else self.apply("neg", node)
            return None
        if op == "**":
            if second == 1:
                return args[0]
            return self.number(1) if second == 0 and self._finite(args[0]) else None
        if op == "neg":
            inner = self.nodes[args[0]]
            return int(inner[1]) if inner[0] == "neg" else None
        if op == "_nonzero":
            return self.apply("==", self.number(1), self.number(1)) if first else None
        if op in ("and", "or"):
            if args[0] == args[1]:
                return args[0]
            truths = [self.truth(a) for a in args]
            for mine, other in ((0, 1), (1, 0)):
                if truths[mine] is not None:
                    return args[other] if truths[mine] == (op == "and") else args[mine]
        if op == "where":
            truth = self.truth(args[0])
            return None if truth is None else args[1] if truth else args[2]
        return None

    def _unsigned(self, node: int) -> int:
        """The node without its minus sign."""
        if self.nodes[node][0] == "neg":
            return int(self.nodes[node][1])
        value = self.value(node)
        return node if value is None or math.copysign(1.0, value) > 0 else self.number(-value)

    def truth(self, node: int) -> bool | None:
        """Whether a condition is true or false whatever the names are, else None."""
        op, *args = self.nodes[node]
        if op in ("<", "<=", ">", ">=", "==", "!="):
            left, right = self._constants.get(args[0]), self._constants.get(args[1])
            if left is not None and right is not None:
                return bool(FUNCTIONS[op].numpy(float(left), float(right)))
        return None

    def _finite(self, node: int) -> bool:
        return self.nodes[node][0] in LEAVES  # columns and parameters are finite by their contract

    # walks -------------------------------------------------------------------------------------------------
    def reachable(self, outputs: Iterable[int]) -> list[int]:
        """Every node that the outputs need, in order of evaluation."""
        seen: set[int] = set()
        todo = list(outputs)
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                if self.nodes[node][0] not in LEAVES:
                    todo.extend(self.nodes[node][1:])
        return sorted(seen)

    def arguments(self, node: int) -> tuple[int, ...]:
        """The nodes that a node is computed from."""
        found = self.nodes[node]
        return () if found[0] in LEAVES else found[1:]

    def names(self, outputs: Iterable[int]) -> list[str]:
        """The names that the outputs hold, in the order in which they were first written."""
        return [self.nodes[i][1] for i in self.reachable(outputs) if self.nodes[i][0] == "name"]

    def depends(self, outputs: Iterable[int], names: Iterable[str]) -> bool:
        """Whether any output holds any of the names."""
        return not set(names).isdisjoint(self.names(outputs))

    def substitute(self, outputs: Sequence[int], replace: Mapping[int, int]) -> list[int]:
        """The outputs with some nodes replaced by others (a fixed parameter by its number, say)."""
        new: dict[int, int] = dict(replace)
        for node in self.reachable(outputs):
            if node not in new:
                op, *args = self.nodes[node]
                new[node] = node if op in LEAVES else self.rebuild(op, [new[a] for a in args])
                if node in self.places:
                    self.places.setdefault(new[node], self.places[node])
        return [new[node] for node in outputs]

    def copy_from(self, other: Graph, outputs: Sequence[int], replace: Mapping[str, int]) -> list[int]:
        """Outputs of another graph built again here, with names replaced by nodes of this graph."""
        new: dict[int, int] = {}
        for node in other.reachable(outputs):
            op, *args = other.nodes[node]
            if op == "name":
                new[node] = replace[args[0]] if args[0] in replace else self.name(args[0])
            elif op == "number":
                new[node] = self.number(args[0])
            elif op == "pi":
                new[node] = self.pi()
            else:
                new[node] = self.rebuild(op, [new[a] for a in args])
        return [new[node] for node in outputs]

    def rebuild(self, op: str, args: Sequence[int]) -> int:
        """The node of any operation that is not a leaf."""
        if op == "stack":
            return self.stack(args)
        return self.dot(*args) if op == "@" else self.apply(op, *args)


@dataclass(frozen=True)
class Program:
    """Some outputs of a graph, readable line by line: what `explain` shows and a kernel compiles."""

    graph: Graph
    outputs: tuple[tuple[str, int], ...]

    def lines(self) -> Iterator[str]:
        """`v3 = exp(v2)`: one line for each operation, then the outputs by name."""
        nodes = self.graph.nodes
        shown: dict[int, str] = {}
        count, taken = 0, set(self.graph.names(i for _, i in self.outputs))
        for node in self.graph.reachable(i for _, i in self.outputs):
            op, *args = nodes[node]
            if op in LEAVES:
                shown[node] = "pi" if op == "pi" else str(args[0])
                continue
            count += 1
            while f"v{count}" in taken:
                count += 1
            shown[node] = f"v{count}"
            words = [shown[a] for a in args]
            if op == "stack":
                text = f"[{', '.join(words)}]"
            elif op == "neg":
                text = f"-{words[0]}"
            elif op == "_nonzero":
                text = f"{words[0]} != 0"
            elif op == "@" or FUNCTIONS[op].operator:
                text = f"{words[0]} {op} {words[1]}" if len(words) == 2 else f"{op} {words[0]}"
            else:
                text = f"{op}({', '.join(words)})"
            yield f"{shown[node]} = {text}"
        for name, node in self.outputs:
            yield f"{name} = {shown[node]}"


@dataclass(frozen=True)
class UpdateRule:
    """An update rule as a program: the nodes of the new theta and of each state; `numbers` are those of the call.

    `schedule`: graph and node of the rate, in `step` and `epoch`; None where the rate is a number.
    """

    graph: Graph
    theta: int
    state: tuple[tuple[str, int], ...]
    numbers: tuple[tuple[str, float], ...]
    schedule: tuple[Graph, int] | None = None


def _compute(op: str, values: Sequence[float]) -> float:
    with np.errstate(all="ignore"):
        return float(FUNCTIONS[op].numpy(*(np.float64(v) for v in values)))


def _exact(op: str, values: Sequence[Number]) -> Number | None:
    """Arithmetic on int and Fraction that stays exact and small, else None."""
    a, b = Fraction(values[0]), Fraction(values[-1])
    if op == "neg":
        return -a
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    if op == "*":
        return a * b
    if op == "/" and b != 0:
        return a / b
    if op == "**" and b.denominator == 1 and abs(b) <= 64 and (a != 0 or b >= 0):
        power = a ** int(b)
        return power if max(abs(power.numerator), power.denominator) <= EXACT_LIMIT else None
    return None
