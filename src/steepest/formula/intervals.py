"""Interval arithmetic over the operations of a formula: between which values an expression stays.

An end is a number or an array (rows,), one interval for each row. What is not known is unbounded, never narrower than
the truth; roundings of the ends are left to a margin of whoever uses them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .functions import FUNCTIONS

Interval = tuple[Any, Any]
EVERYWHERE: Interval = (-math.inf, math.inf)

#: functions that rise, and those that fall, where they are defined; with the ends of that domain
RISING: dict[str, Interval] = {
    "exp": EVERYWHERE, "expm1": EVERYWHERE, "log": (0.0, math.inf), "log2": (0.0, math.inf), "log10": (0.0, math.inf),
    "log1p": (-1.0, math.inf), "sqrt": (0.0, math.inf), "cbrt": EVERYWHERE, "sigmoid": EVERYWHERE, "logit": (0.0, 1.0),
    "softplus": EVERYWHERE, "asin": (-1.0, 1.0), "atan": EVERYWHERE, "sinh": EVERYWHERE, "tanh": EVERYWHERE,
    "asinh": EVERYWHERE, "acosh": (1.0, math.inf), "atanh": (-1.0, 1.0), "erf": EVERYWHERE,
}  # fmt: skip
FALLING: dict[str, Interval] = {"acos": (-1.0, 1.0), "erfc": EVERYWHERE}
RANGES: dict[str, Interval] = {
    "sin": (-1.0, 1.0), "cos": (-1.0, 1.0), "sign": (-1.0, 1.0), "atan2": (-math.pi, math.pi),
}  # fmt: skip


def enclose(op: str, parts: Sequence[Interval]) -> Interval:
    """The interval of an operation of the table, from those of its arguments."""
    u = parts[0]
    if op == "+":
        return u[0] + parts[1][0], u[1] + parts[1][1]
    if op in ("-", "neg"):
        return (u[0] - parts[1][1], u[1] - parts[1][0]) if op == "-" else (-u[1], -u[0])
    if op == "*":
        return times(u, parts[1])
    if op == "/":
        return times(u, reciprocal(parts[1]))
    if op == "**":
        return _power(u, parts[1])
    if op in RISING or op in FALLING:
        low, high = RISING.get(op) or FALLING[op]
        ends = [FUNCTIONS[op].numpy(np.clip(end, low, high)) for end in u]
        return (ends[0], ends[1]) if op in RISING else (ends[1], ends[0])
    if op == "abs":
        return magnitude(u)
    if op == "cosh":
        low, high = magnitude(u)
        return np.cosh(low), np.cosh(high)
    if op in ("min", "max"):
        least = np.minimum if op == "min" else np.maximum
        return least(u[0], parts[1][0]), least(u[1], parts[1][1])
    if op == "where":
        return hull(parts[1], parts[2])
    if op in FUNCTIONS and FUNCTIONS[op].condition:
        return 0.0, 1.0
    return RANGES.get(op, EVERYWHERE)


def times(u: Interval, v: Interval) -> Interval:
    """u·v; 0·∞ is 0: an end that is infinite is one that is not reached."""
    ends = [_product(a, b) for a in u for b in v]
    return (np.minimum(np.minimum(ends[0], ends[1]), np.minimum(ends[2], ends[3])),
            np.maximum(np.maximum(ends[0], ends[1]), np.maximum(ends[2], ends[3])))  # fmt: skip


def _product(a: Any, b: Any) -> Any:
    return np.where((np.asarray(a) == 0) | (np.asarray(b) == 0), 0.0, np.multiply(a, b))


def reciprocal(u: Interval) -> Interval:
    """1/u; unbounded where 0 may be inside."""
    low, high = np.asarray(u[0], float), np.asarray(u[1], float)
    below, above = np.divide(1.0, np.where(high == 0, -0.0, high)), np.divide(1.0, np.where(low == 0, 0.0, low))
    apart = (low >= 0) | (high <= 0)
    return np.where(apart, below, -np.inf), np.where(apart, above, np.inf)


def hull(u: Interval, v: Interval) -> Interval:
    """The smallest interval that holds both."""
    return np.minimum(u[0], v[0]), np.maximum(u[1], v[1])


def plus(u: Interval, v: Interval) -> Interval:
    """u + v."""
    return u[0] + v[0], u[1] + v[1]


def magnitude(u: Interval) -> Interval:
    """|u|."""
    low, high = np.abs(u[0]), np.abs(u[1])
    inside = (np.asarray(u[0]) <= 0) & (np.asarray(u[1]) >= 0)
    return np.where(inside, 0.0, np.minimum(low, high)), np.maximum(low, high)


def power(u: Interval, p: float) -> Interval:
    """u**p for a number p."""
    if p == int(p) and int(p) % 2 == 0:
        u = magnitude(u)
    elif p != int(p):
        u = np.maximum(u[0], 0.0), np.maximum(u[1], 0.0)
    if p >= 0:
        return np.power(u[0], p), np.power(u[1], p)
    return reciprocal(power(u, -p))


def _power(u: Interval, v: Interval) -> Interval:
    if np.ndim(v[0]) == 0 and v[0] == v[1]:
        return power(u, float(v[0]))
    if not np.all(np.asarray(u[0]) >= 0):
        return EVERYWHERE
    low, high = times(v, enclose("log", [u]))
    return np.exp(low), np.exp(high)
