"""Sums in twice the precision: every number on the way from the parameters to a sum is a pair high + low.

The rounding of a sum (Knuth) and of a product (Dekker; one fma in machine code) is itself a double, and the low part
carries it along: sums come out as if computed with some 100 bits and then rounded (Ogita, Rump and Oishi, Accurate sum
and dot product, 2005). The low part is not kept below the last bit of the high one: it is added in at the end, or
where a value is divided by or handed to a function, which has double precision alone.

What overflows is not looked after: a sum is then not a number, and whoever calls sums again in plain precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from ..data.source import UNIT, Block
from ..formula.functions import FUNCTIONS
from ..formula.objective import Item, RowSums
from ..formula.program import Graph, Number
from ..types import Array, Total
from .numpy import live_tiles

SPLIT = 2.0**27 + 1.0  # Veltkamp: what cuts a double into two halves whose products are exact
LARGEST_POWER = 64  # whole exponents up to here are products

Value = Any  # a Twofold, or what is one number: of NumPy, or in eight lanes


@dataclass(frozen=True, slots=True)
class Twofold:
    """high + low."""

    high: Any
    low: Any


class Plain(Protocol):
    """Correctly rounded arithmetic, and the rounding of a product."""

    def add(self, a: Any, b: Any) -> Any: ...
    def sub(self, a: Any, b: Any) -> Any: ...
    def mul(self, a: Any, b: Any) -> Any: ...
    def div(self, a: Any, b: Any) -> Any: ...
    def neg(self, a: Any) -> Any: ...
    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a·b + c, rounded once or twice."""

    def number(self, value: float) -> Any: ...
    def rest(self, a: Any, b: Any, product: Any) -> Any:
        """a·b - product, exactly."""


class Arithmetic:
    """Sums, products and quotients of Twofolds and plain numbers, by any plain arithmetic."""

    def __init__(self, plain: Plain) -> None:
        self.plain = plain

    def constant(self, value: Number) -> Value:
        """A number as it is written: a third is no double."""
        high = float(value)
        low = 0.0 if isinstance(value, float) else float(value - Fraction(high))
        return Twofold(self.plain.number(high), self.plain.number(low)) if low else self.plain.number(high)

    def two_sum(self, a: Any, b: Any) -> tuple[Any, Any]:
        """a + b rounded, and what that lacks."""
        add, sub = self.plain.add, self.plain.sub
        total = add(a, b)
        of_b = sub(total, a)
        return total, add(sub(a, sub(total, of_b)), sub(b, of_b))

    def rounded(self, value: Value) -> Any:
        """One number."""
        return self.plain.add(value.high, value.low) if isinstance(value, Twofold) else value

    def plus(self, a: Value, b: Value) -> Twofold:
        (a, a_low), (b, b_low) = _parts(a), _parts(b)
        high, low = self.two_sum(a, b)
        for other in (a_low, b_low):
            low = low if other is None else self.plain.add(low, other)
        return Twofold(high, low)

    def neg(self, a: Value) -> Value:
        return Twofold(self.plain.neg(a.high), self.plain.neg(a.low)) if isinstance(a, Twofold) else self.plain.neg(a)

    def times(self, a: Value, b: Value) -> Twofold:
        plain, (a, a_low), (b, b_low) = self.plain, _parts(a), _parts(b)
        high = plain.mul(a, b)
        low = plain.rest(a, b, high)
        for x, y in ((a, b_low), (a_low, b), (a_low, b_low)):
            if x is not None and y is not None:
                low = plain.fma(x, y, low)
        return Twofold(high, low)

    def scaled(self, a: Value, power_of_two: Any) -> Value:
        """What times a power of two is, without rounding."""
        high, low = (None if part is None else self.plain.mul(part, power_of_two) for part in _parts(a))
        return high if low is None else Twofold(high, low)

    def over(self, a: Value, b: Value) -> Twofold:
        divisor = self.rounded(b)
        high = self.plain.div(self.rounded(a), divisor)
        rest = self.plus(a, self.neg(self.times(high, b)))
        return Twofold(high, self.plain.div(self.rounded(rest), divisor))

    def power(self, a: Value, exponent: int) -> Value:
        """A whole power by repeated squares."""
        if exponent < 0:
            return self.over(self.plain.number(1.0), self.power(a, -exponent))
        if exponent == 1:
            return a
        half = self.power(a, exponent // 2)
        square = self.times(half, half)
        return self.times(square, a) if exponent % 2 else square

    def operation(self, graph: Graph, node: int, given: Sequence[Value], otherwise: Callable[..., Any]) -> Value:
        """The value of a node of its arguments; `otherwise(*numbers)` is that of a function, in double precision."""
        op, *args = graph.nodes[node]
        if op == "*":
            for one, other in ((0, 1), (1, 0)):
                if abs(math.frexp(graph.value(args[one]) or 0.0)[0]) == 0.5:
                    return self.scaled(given[other], given[one])
        if op in _ARITHMETIC:
            return _ARITHMETIC[op](self, *given)
        if op == "**":
            exponent = float(graph.value(args[1]) or 0.0)
            if exponent.is_integer() and 0 < abs(exponent) <= LARGEST_POWER:
                return self.power(given[0], int(exponent))
        if op == "where" and any(isinstance(v, Twofold) for v in given[1:]):
            sides, zero = [_parts(v) for v in given[1:]], self.plain.number(0.0)
            low = otherwise(given[0], *(zero if low is None else low for _, low in sides))
            return Twofold(otherwise(given[0], *(high for high, _ in sides)), low)
        return otherwise(*map(self.rounded, given))


_ARITHMETIC: dict[str, Callable[..., Value]] = {
    "+": Arithmetic.plus,
    "-": lambda by, a, b: by.plus(a, by.neg(b)),
    "neg": Arithmetic.neg,
    "*": Arithmetic.times,
    "/": Arithmetic.over,
}


def _parts(value: Value) -> tuple[Any, Any]:
    return (value.high, value.low) if isinstance(value, Twofold) else (value, None)


# NumPy -----------------------------------------------------------------------------------------------------
class _Numbers:
    """The plain arithmetic of NumPy, which has no fma."""

    add, sub, mul, div, neg = np.add, np.subtract, np.multiply, np.divide, np.negative

    @staticmethod
    def number(value: float) -> Any:
        return np.float64(value)

    @staticmethod
    def fma(a: Any, b: Any, c: Any) -> Any:
        return a * b + c

    @staticmethod
    def rest(a: Any, b: Any, product: Any) -> Any:
        """a·b - product by halves of 26 bits (Dekker)."""
        (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
        return a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _halves(a: Any) -> tuple[Any, Any]:
    large = SPLIT * a
    high = large - (large - a)
    return high, a - high


NUMBERS = Arithmetic(_Numbers())


def added(terms: Twofold) -> Twofold:
    """The sums along the last axis, half to half: the same order whatever runs it."""
    high, low = terms.high, terms.low
    size = high.shape[-1]
    missing = (1 << max(size - 1, 0).bit_length()) - size
    if missing:
        high, low = (np.concatenate([part, np.zeros((*part.shape[:-1], missing))], axis=-1) for part in (high, low))
    while (half := high.shape[-1] // 2) > 0:
        high, rest = NUMBERS.two_sum(high[..., :half], high[..., half:])
        low = low[..., :half] + low[..., half:] + rest
    return Twofold(high[..., 0], low[..., 0])


class TwofoldNumpyKernel:
    """(theta, block) -> Total: the high parts of the sums of items, then the low ones; weights are not summed."""

    at_once = UNIT

    def __init__(self, rows: RowSums) -> None:
        self.rows = rows

    def total(self, theta: Array, block: Block, before: Total | None = None) -> Total:
        """Sums over a block, added to `before` tile after tile."""
        count = 0 if before is None else before.rows
        width = sum(item.width for item in self.rows.sums)
        sums = Twofold(*(np.zeros((2, width)) if before is None else before.values.reshape(2, width)))
        with np.errstate(all="ignore"):
            for _, rows, columns in live_tiles(block):
                values = self._values(theta, columns)
                beside, at = np.zeros((2, width, rows)), 0
                for item in self.rows.sums:
                    high, low = _parts(self._terms(item, values))
                    beside[0, at : at + item.width] = high
                    beside[1, at : at + item.width] = 0.0 if low is None else low
                    at += item.width
                sums, count = NUMBERS.plus(sums, added(Twofold(*beside))), count + rows
        return Total(count, float(count), None, np.concatenate([sums.high, sums.low]))

    def _values(self, theta: Array, columns: Mapping[str, Array]) -> dict[int, Value]:
        """Every node at some rows: numbers, (rows,) or (rows, q)."""
        graph, places = self.rows.graph, self.rows.layout.places
        values: dict[int, Value] = {}
        for node in self.rows.nodes:
            op, *args = graph.nodes[node]
            if op == "name":
                values[node] = theta[places[args[0]]] if args[0] in places else np.asarray(columns[args[0]], float)
            elif op in ("number", "pi"):
                values[node] = NUMBERS.constant(math.pi if op == "pi" else args[0])
            elif op == "stack":
                values[node] = _beside([values[a] for a in args])
            elif op == "@":
                values[node] = added(NUMBERS.times(values[args[0]], values[args[1]]))
            else:
                values[node] = NUMBERS.operation(graph, node, [values[a] for a in args], FUNCTIONS[op].numpy)
        return values

    def _terms(self, item: Item, values: Mapping[int, Value]) -> Value:
        """What an item adds at every row: (width, rows), (rows,), or a number that is the same for all."""
        total: Value = None
        for node, matrix in item.terms:
            term = values[node]
            if matrix is not None:
                columns = values[matrix]
                across = Twofold(columns.high.T, columns.low.T) if isinstance(columns, Twofold) else columns.T
                term = NUMBERS.times(term, across)
            total = term if total is None else NUMBERS.plus(total, term)
        return total


def _beside(columns: Sequence[Value]) -> Value:
    """The matrix of some columns."""
    parts = [_parts(c) for c in columns]
    exact = all(low is None for _, low in parts)
    sides = [[high for high, _ in parts], [0.0 if low is None else low for _, low in parts]]
    high, low = (np.stack(np.broadcast_arrays(sides[0][0], *side)[1:], axis=-1) for side in sides)
    return high if exact else Twofold(high, low)
