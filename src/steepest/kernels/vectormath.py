"""placeholder, replaced on merge"""

from . import trigonometry
from .exponential import exp
from .logarithm import log
from .power import power

EMITTERS = {
    **trigonometry.EMITTERS,
    "+": lambda L, a, b: L.add(a, b),
    "-": lambda L, a, b: L.sub(a, b),
    "*": lambda L, a, b: L.mul(a, b),
    "/": lambda L, a, b: L.div(a, b),
    "neg": lambda L, a: L.neg(a),
    "exp": exp,
    "log": log,
    "**": power,
    "sqrt": lambda L, a: L.sqrt(a),
    "abs": lambda L, a: L.abs(a),
    "where": lambda L, c, a, b: L.select(c, a, b),
    **{op: (lambda op: lambda L, a, b: L.compare(op, a, b))(op) for op in ("<", "<=", ">", ">=", "==", "!=")},
    "and": lambda L, a, b: L.both(a, b),
    "or": lambda L, a, b: L.either(a, b),
    "not": lambda L, a: L.not_(a),
    "_nonzero": lambda L, a: L.compare("!=", a, L.number(0.0)),
}
