"""The functions of a formula over eight lanes: one table, by the names of `formula.functions`.

Each takes `Lanes` and its arguments and gives the value; comparisons give a mask, "and", "or", "not" take masks, and
"where" takes one first. What they mean at zeros, infinities, NaN and outside the domain is what NumPy makes of the
table's own forms; errors are at most 2 ulp, and each function says its own.
"""

from __future__ import annotations

from collections.abc import Callable

from . import special, trigonometry
from .exponential import exp, expm1
from .hyperbolic import acosh, asinh, atanh, cosh, sinh, tanh
from .lanes import Lanes, Value
from .logarithm import log, log1p, log2, log10
from .logistic import logit, sigmoid, softplus
from .power import cbrt, power


def sign(lanes: Lanes, x: Value) -> Value:
    """-1, 0 or 1; NaN for NaN."""
    zero, one = lanes.number(0.0), lanes.number(1.0)
    size = lanes.select(lanes.compare("!=", x, zero), lanes.copysign(one, x), zero)
    return lanes.select(lanes.is_nan(x), x, size)


def minimum(lanes: Lanes, a: Value, b: Value) -> Value:
    """The smaller one, NaN if either is."""
    return lanes.select(lanes.is_nan(a), a, lanes.select(lanes.compare("<", a, b), a, b))


def maximum(lanes: Lanes, a: Value, b: Value) -> Value:
    """The larger one, NaN if either is."""
    return lanes.select(lanes.is_nan(a), a, lanes.select(lanes.compare(">", a, b), a, b))


def clip(lanes: Lanes, x: Value, low: Value, high: Value) -> Value:
    """min(max(x, low), high)."""
    return minimum(lanes, maximum(lanes, x, low), high)


def nonzero(lanes: Lanes, x: Value) -> Value:
    """Whether x != 0, true for NaN."""
    return lanes.compare("!=", x, lanes.number(0.0))


def _comparison(op: str) -> Callable[..., Value]:
    return lambda lanes, a, b: lanes.compare(op, a, b)


EMITTERS: dict[str, Callable[..., Value]] = {
    "+": Lanes.add,
    "-": Lanes.sub,
    "*": Lanes.mul,
    "/": Lanes.div,
    "neg": Lanes.neg,
    "**": power,
    **{op: _comparison(op) for op in ("<", "<=", ">", ">=", "==", "!=")},
    "and": Lanes.both,
    "or": Lanes.either,
    "not": Lanes.not_,
    "_nonzero": nonzero,
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log2": log2,
    "log10": log10,
    "log1p": log1p,
    "sqrt": Lanes.sqrt,
    "cbrt": cbrt,
    "sigmoid": sigmoid,
    "logit": logit,
    "softplus": softplus,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "asinh": asinh,
    "acosh": acosh,
    "atanh": atanh,
    "abs": Lanes.abs,
    "sign": sign,
    "min": minimum,
    "max": maximum,
    "clip": clip,
    "where": Lanes.select,
    **trigonometry.EMITTERS,
    **special.EMITTERS,
}
