"""Derivatives by none of steepest's programs: Python's `ast` reads a formula, jets differentiate it.

A jet is a value with its exact gradient and Hessian by the parameters, in the extended precision of the machine (64
bits of mantissa on x86).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

LONG = np.longdouble
TINY = 1e-300


class Jet:
    """A value (rows,), its gradient (p, rows), None of a constant, and its Hessian (p, p, rows), None if unasked."""

    __slots__ = ("bent", "slope", "value")

    def __init__(self, value: Any, slope: Any, bent: Any) -> None:
        self.value, self.slope, self.bent = value, slope, bent

    def map(self, value: Any, first: Any, second: Any) -> Jet:
        """f(u), by its first and second derivative."""
        if self.slope is None:
            return Jet(value, None, None)
        if self.bent is None:
            return Jet(value, first * self.slope, None)
        return Jet(value, first * self.slope, first * self.bent + second * _outer(self.slope, self.slope))

    def __add__(self, other: Jet) -> Jet:
        return Jet(self.value + other.value, _plus(self.slope, other.slope), _plus(self.bent, other.bent))

    def __neg__(self) -> Jet:
        return self.map(-self.value, -1.0, 0.0)

    def __sub__(self, other: Jet) -> Jet:
        return self + -other

    def __mul__(self, other: Jet) -> Jet:
        value = self.value * other.value
        if self.slope is None or other.slope is None:
            moving, still = (other, self) if self.slope is None else (self, other)
            return moving.map(value, still.value, 0.0)
        slope = self.slope * other.value + other.slope * self.value
        if self.bent is None:
            return Jet(value, slope, None)
        mixed = _outer(self.slope, other.slope)
        return Jet(value, slope, self.bent * other.value + other.bent * self.value + mixed + mixed.swapaxes(0, 1))

    def __truediv__(self, other: Jet) -> Jet:
        return self * other.map(1 / other.value, -1 / other.value**2, 2 / other.value**3)

    def power(self, other: Jet) -> Jet:
        """u**v: of a constant v by the rule of powers, else exp(v·log u)."""
        if other.slope is not None:
            return EXP(other * LOG(self))
        u, v = self.value, other.value
        first = np.where(v == 0, 0.0, v * u ** (v - 1))
        second = np.where((v == 0) | (v == 1), 0.0, v * (v - 1) * u ** (v - 2))
        return self.map(u**v, first, second)


def _outer(a: Any, b: Any) -> Any:
    return a[:, None] * b[None]


def _plus(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def sigmoid(u: Any) -> Any:
    return 1 / (1 + np.exp(-u))


def EXP(u: Jet) -> Jet:
    e = np.exp(u.value)
    return u.map(e, e, e)


def LOG(u: Jet) -> Jet:
    return u.map(np.log(u.value), 1 / u.value, -1 / u.value**2)


FUNCTIONS: dict[str, Callable[[Any], tuple[Any, Any, Any]]] = {
    "exp": lambda u: (np.exp(u),) * 3,
    "log": lambda u: (np.log(u), 1 / u, -1 / u**2),
    "log1p": lambda u: (np.log1p(u), 1 / (1 + u), -1 / (1 + u) ** 2),
    "sqrt": lambda u: (np.sqrt(u), 0.5 / np.sqrt(u), -0.25 / np.sqrt(u) ** 3),
    "sin": lambda u: (np.sin(u), np.cos(u), -np.sin(u)),
    "cos": lambda u: (np.cos(u), -np.sin(u), -np.cos(u)),
    "tanh": lambda u: (np.tanh(u), 1 / np.cosh(u) ** 2, -2 * np.tanh(u) / np.cosh(u) ** 2),
    "cosh": lambda u: (np.cosh(u), np.sinh(u), np.cosh(u)),
    "atan": lambda u: (np.arctan(u), 1 / (1 + u**2), -2 * u / (1 + u**2) ** 2),
    "sigmoid": lambda u: (sigmoid(u), sigmoid(u) * sigmoid(-u), sigmoid(u) * sigmoid(-u) * (1 - 2 * sigmoid(u))),
    "softplus": lambda u: (np.logaddexp(LONG(0), u), sigmoid(u), sigmoid(u) * sigmoid(-u)),
}


@dataclass
class Reader:
    """Evaluates the text of a formula at jets; `margin` is how near any row is to a kink that parameters move."""

    names: Mapping[str, Jet]
    rows: int
    margin: float = math.inf

    def read(self, text: str) -> Jet:
        return self._walk(ast.parse(text.strip(), mode="eval").body)

    def condition(self, text: str) -> Any:
        """A condition of columns alone, true or false by rows."""
        found = self._walk(ast.parse(text.strip(), mode="eval").body)
        return np.broadcast_to(found.value != 0, (self.rows,))

    def _near(self, difference: Jet, size: Any) -> None:
        if difference.slope is not None:
            moved = np.abs(difference.slope).max(axis=0) > 0
            apart = np.abs(difference.value) / np.maximum(size, TINY)
            self.margin = min(self.margin, float(np.where(moved & np.isfinite(apart), apart, np.inf).min()))

    def _choose(self, yes: Any, left: Jet, right: Jet) -> Jet:
        value = np.where(yes, left.value, right.value)
        if left.slope is None and right.slope is None:
            return Jet(value, None, None)
        moving = left if left.slope is not None else right
        p = len(moving.slope)
        slopes = [np.zeros((p, 1)) if j.slope is None else j.slope for j in (left, right)]
        if moving.bent is None:
            return Jet(value, np.where(yes, *slopes), None)
        bents = [np.zeros((p, p, 1)) if j.bent is None else j.bent for j in (left, right)]
        return Jet(value, np.where(yes, *slopes), np.where(yes, *bents))

    def _walk(self, tree: ast.expr) -> Jet:
        match tree:
            case ast.Constant(value=number):
                return Jet(np.full(1, LONG(number)), None, None)
            case ast.Name(id=name):
                return self.names[name]
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -self._walk(inner)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = self._walk(left), self._walk(right)
                match op:
                    case ast.Add():
                        return a + b
                    case ast.Sub():
                        return a - b
                    case ast.Mult():
                        return a * b
                    case ast.Div():
                        return a / b
                    case ast.Pow():
                        return a.power(b)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                a, b = self._walk(left), self._walk(right)
                self._near(a - b, np.abs(a.value) + np.abs(b.value))
                yes = {"Gt": a.value > b.value, "GtE": a.value >= b.value, "Lt": a.value < b.value,
                       "LtE": a.value <= b.value}[type(op).__name__]  # fmt: skip
                return Jet(yes, None, None)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                inner = [self._walk(a) for a in arguments]
                if name == "where":
                    return self._choose(inner[0].value, inner[1], inner[2])
                if name in ("min", "max"):
                    a, b = inner
                    self._near(a - b, np.abs(a.value) + np.abs(b.value))
                    return self._choose(a.value <= b.value if name == "min" else a.value >= b.value, a, b)
                if name == "abs":
                    u = inner[0]
                    self._near(u, np.abs(u.value) + 1)
                    return u.map(np.abs(u.value), np.sign(u.value), 0.0)
                return inner[0].map(*FUNCTIONS[name](inner[0].value))
        raise ValueError(ast.dump(tree))
