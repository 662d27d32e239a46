"""placeholder, replaced on merge"""

import math

from .lanes import *


def exp(L, x):
    t = L.fma(x, L.number(1.4426950408889634), L.number(6755399441055744.0))
    k = L.sub(t, L.number(6755399441055744.0))
    r = L.fma(k, L.number(-0.6931471805599453), x)
    r = L.fma(k, L.number(-2.3190468138462996e-17), r)
    p = L.polynomial(r, [1 / math.factorial(i) for i in range(13)])
    b = L.builder
    bits = b.shl(b.add(L.bits(t), L.integer(1023)), L.integer(52))
    return L.mul(p, L.from_bits(bits))


EMITTERS = {
    "+": lambda L, a, b: L.add(a, b),
    "-": lambda L, a, b: L.sub(a, b),
    "*": lambda L, a, b: L.mul(a, b),
    "/": lambda L, a, b: L.div(a, b),
    "neg": lambda L, a: L.neg(a),
    "exp": exp,
    "sqrt": lambda L, a: L.sqrt(a),
    "abs": lambda L, a: L.abs(a),
    "where": lambda L, c, a, b: L.select(c, a, b),
    **{op: (lambda op: lambda L, a, b: L.compare(op, a, b))(op) for op in ("<", "<=", ">", ">=", "==", "!=")},
    "and": lambda L, a, b: L.both(a, b),
    "or": lambda L, a, b: L.either(a, b),
    "not": lambda L, a: L.not_(a),
    "_nonzero": lambda L, a: L.compare("!=", a, L.number(0.0)),
}


def power(L, x, y, exponent=None):
    if exponent == 2:
        return L.mul(x, x)
    raise KeyError


EMITTERS["**"] = power
