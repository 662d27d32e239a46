"""The boundary to SymPy, and the only module that imports it: expressions come in, and go out for people to read.

SymPy evaluates what it is handed, and some numbers hang it (`tan(exp(exp(20.0)))`, `(2*x)**(10**18)`). So nothing here
calls `sympify`, `simplify`, `expand` or `lambdify`; an expression that comes in is walked node by node; on the way out
no function of SymPy is ever applied to a number, and exact coefficients that would grow without bound become floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.exprtools import factor_terms
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.simplify.simplify import signsimp

from ..errors import FormulaError
from .derive import plus
from .functions import FUNCTIONS, callable_names
from .grammar import MAX_LENGTH, Formula, parse
from .printing import to_text
from .program import LEAVES, Graph

Expr = Any  # SymPy comes without types

MAX_TERMS = 2_000  # of a Poly
MAX_ORDERED = 100  # terms that are put into SymPy's order of reading
MAX_TREE = 100_000  # operations of an expression that is written out
MAX_GATHERED = 300  # operations of a second derivative whose common factors are gathered
MAX_BITS = 2_000  # of an exact coefficient

CALLS = {
    sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.asin: "asin", sp.acos: "acos",
    sp.atan: "atan", sp.atan2: "atan2", sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh", sp.asinh: "asinh",
    sp.acosh: "acosh", sp.atanh: "atanh", sp.Abs: "abs", sp.sign: "sign", sp.Min: "min", sp.Max: "max",
    sp.erf: "erf", sp.erfc: "erfc", sp.loggamma: "lgamma", sp.digamma: "digamma", sp.polygamma: "polygamma",
}  # fmt: skip
RECIPROCALS = {sp.sec: "cos", sp.csc: "sin", sp.cot: "tan", sp.sech: "cosh", sp.csch: "sinh", sp.coth: "tanh"}
RELATIONS = {sp.Eq: "==", sp.Ne: "!=", sp.Lt: "<", sp.Le: "<=", sp.Gt: ">", sp.Ge: ">="}

#: each operation of the table as SymPy has it; a test holds the keys equal to the table's
FORMS: dict[str, Callable[..., Expr]] = {
    "+": sp.Add,
    "-": lambda u, v: sp.Add(u, sp.Mul(-1, v)),
    "*": sp.Mul,
    "/": lambda u, v: sp.Mul(u, sp.Pow(v, -1)),
    "neg": lambda u: sp.Mul(-1, u),
    "**": sp.Pow,
    **{op: lambda u, v, relation=relation: relation(u, v, evaluate=False) for relation, op in RELATIONS.items()},
    "and": lambda u, v: _join(sp.And, u, v),
    "or": lambda u, v: _join(sp.Or, u, v),
    "not": lambda u: _negated(u),
    "_nonzero": lambda u: sp.true,
    **{op: form for form, op in CALLS.items() if op not in ("abs", "sign", "min", "max")},
    "expm1": lambda u: sp.exp(u) - 1,
    "log2": lambda u: sp.log(u) / sp.log(2),
    "log10": lambda u: sp.log(u) / sp.log(10),
    "log1p": lambda u: sp.log(1 + u),
    "sqrt": sp.sqrt,
    "cbrt": lambda u: sp.sign(u, evaluate=False) * sp.Abs(u, evaluate=False) ** sp.Rational(1, 3),
    "sigmoid": lambda u: 1 / (1 + sp.exp(-u)),
    "logit": lambda u: sp.log(u / (1 - u)),
    "softplus": lambda u: sp.log(1 + sp.exp(u)),
    # unevaluated: SymPy's names are complex numbers, and it would write abs(exp(x)) as exp(re(x))
    "abs": lambda u: sp.Abs(u, evaluate=False),
    "sign": lambda u: sp.sign(u, evaluate=False),
    "min": lambda u, v: sp.Min(u, v, evaluate=False),
    "max": lambda u, v: sp.Max(u, v, evaluate=False),
    "clip": lambda u, v, w: sp.Min(sp.Max(u, v, evaluate=False), w, evaluate=False),
    "where": lambda c, u, v: _choose(c, u, v),
}  # fmt: skip
#: operations that are written out at once however many stand in a row: SymPy flattens them, or nests too deep
CHAINS = {op: family for family in (("+", "-"), ("*", "/"), ("min",), ("max",), ("and",), ("or",)) for op in family}
#: what SymPy has no word for, and `tidy` keeps as it is
OURS = frozenset(("expm1", "log2", "log10", "log1p", "cbrt", "sigmoid", "logit", "softplus", "clip"))


# SymPy -> formula ----------------------------------------------------------------------------------------------
def from_sympy(expression: object) -> Formula:
    """A SymPy `Expr`, `Eq` or `Poly`, or an `Expr` that holds a `Poly`, as a formula.

    It is written as text and read like any other text, so the same limits and errors hold; symbols go by their names.
    """
    if not isinstance(expression, sp.Basic):
        raise FormulaError(f"a formula is text or a SymPy expression, not {type(expression).__name__}")
    graph = Graph()
    nodes = _read(graph, expression.args if isinstance(expression, sp.Eq) else (expression,), {})
    if max(_sizes(graph, nodes).values()) > MAX_LENGTH:
        raise _too_long()
    return parse(" = ".join(to_text(graph, node) for node in nodes))


def _read(graph: Graph, expressions: Sequence[Expr], known: Mapping[Expr, int]) -> list[int]:
    """Nodes of the expressions; `known` gives those of some symbols. An explicit stack: SymPy's depth is the user's."""
    done: dict[int, int] = {}
    kept: list[tuple[Expr, tuple[Expr, ...]]] = []  # keeps alive what the identities in `done` belong to
    parts: dict[int, tuple[Expr, ...]] = {}
    todo = list(reversed(expressions))
    while todo:
        expression = todo[-1]
        key = id(expression)
        if key in done:
            todo.pop()
            continue
        if key not in parts:
            if isinstance(expression, sp.Symbol) and expression in known:
                done[key] = known[expression]
                continue
            try:
                parts[key] = _parts(expression)
            except RecursionError:
                raise FormulaError("the expression is nested too deep for SymPy") from None
            kept.append((expression, parts[key]))
            if len(kept) > MAX_LENGTH:
                raise _too_long()
        missing = [part for part in parts[key] if id(part) not in done]
        if missing:
            todo.extend(reversed(missing))
            continue
        done[key] = _node(graph, expression, [done[id(part)] for part in parts[key]])
        todo.pop()
    return [done[id(expression)] for expression in expressions]


def _parts(expression: Expr) -> tuple[Expr, ...]:
    """The parts that an expression is built from, in the order of reading."""
    if isinstance(expression, sp.Poly):
        if expression.get_domain().is_FiniteField:
            raise _unknown(f"Poly over {expression.get_domain()}")
        if len(expression.terms()) > MAX_TERMS:
            raise FormulaError(f"the Poly has {len(expression.terms()):,} terms; at most {MAX_TERMS:,} are read")
        return (expression.as_expr(),)
    if isinstance(expression, sp.Add | sp.Mul):
        return _ordered(expression)
    if isinstance(expression, sp.Piecewise):
        return tuple(part for pair in expression.args for part in pair.args)
    if isinstance(expression, sp.Pow):
        base, exponent = expression.args
        if exponent.is_Rational and exponent.p < 0:
            return (sp.Pow(base, -exponent, evaluate=False) if exponent != -1 else base,)
        return (base,) if exponent == sp.S.Half else (base, exponent)
    if isinstance(expression, sp.Symbol | sp.Number | sp.NumberSymbol) or expression in (sp.true, sp.false):
        return ()
    if isinstance(expression, AppliedUndef) and expression.func.__name__ not in callable_names():
        raise _unknown(f"the function {expression.func.__name__}")
    if isinstance(
        expression, sp.Function | sp.Min | sp.Max | Relational | sp.And | sp.Or | sp.Not | sp.UnevaluatedExpr
    ):
        return tuple(expression.args)
    raise _unknown(_head(expression))


def _ordered(expression: Expr) -> tuple[Expr, ...]:
    """Terms or factors as SymPy prints them, where it can tell without evaluating a number of the user's."""
    parts = expression.args
    if len(parts) > MAX_ORDERED:
        return tuple(parts)
    if isinstance(expression, sp.Mul):
        plain = all(not part.is_Mul for part in parts)  # an unevaluated product keeps the order of its factors
        return tuple(expression.as_ordered_factors()) if plain and not _held(expression) else tuple(parts)
    if any(isinstance(part, sp.Poly) for part in parts):
        return tuple(parts)
    factors = [factor for term in parts for factor in sp.Mul.make_args(term)]
    if all(factor.is_Float or factor is sp.pi or _small(factor) or not factor.is_number for factor in factors):
        return tuple(expression.as_ordered_terms())
    return tuple(parts)


def _held(expression: Expr) -> bool:
    return any(part.is_Number and i for i, part in enumerate(expression.args))


def _small(number: Expr) -> bool:
    return bool(number.is_Rational and max(abs(number.p), number.q) < 10**300)


def _node(graph: Graph, expression: Expr, parts: list[int]) -> int:
    """The node of an expression, given those of its parts."""
    if isinstance(expression, sp.Symbol):
        name = expression.name
        if not name.strip() or "`" in name:
            raise FormulaError(f"a symbol with the name {name!r} cannot be written in a formula", mend="rename it")
        return graph.name(name)
    if isinstance(expression, sp.Number | sp.NumberSymbol):
        return _number(graph, expression)
    if isinstance(expression, sp.Poly | sp.UnevaluatedExpr):
        return parts[0]
    if isinstance(expression, sp.Add):
        return _sum(graph, parts)
    if isinstance(expression, sp.Mul):
        return _product(graph, parts)
    if isinstance(expression, sp.Pow):
        exponent = expression.args[1]
        if exponent.is_Rational and exponent.p < 0:
            return graph.apply("/", graph.number(1), parts[0])
        return graph.apply("sqrt", parts[0]) if exponent == sp.S.Half else graph.apply("**", *parts)
    if isinstance(expression, sp.Piecewise):
        if expression.args[-1].args[1] is not sp.true:
            raise FormulaError("a Piecewise has no value where no condition holds", mend="end it with (value, True)")
        node = parts[-2]
        for i in range(len(parts) - 4, -1, -2):
            node = graph.apply("where", parts[i + 1], parts[i], node)
        return node
    if isinstance(expression, Relational):
        return graph.apply(RELATIONS[type(expression)], *parts)
    if expression in (sp.true, sp.false):
        return graph.apply("==" if expression is sp.true else "!=", graph.number(1), graph.number(1))
    if isinstance(expression, sp.Not):
        return graph.apply("not", parts[0])
    if isinstance(expression, sp.And | sp.Or):
        return _fold(graph, "and" if isinstance(expression, sp.And) else "or", parts)
    return _call(graph, expression, parts)


def _call(graph: Graph, expression: Expr, parts: list[int]) -> int:
    """The node of a function applied to parts."""
    head = type(expression)
    one = graph.number(1)
    if head in RECIPROCALS:
        return graph.apply("/", one, graph.apply(RECIPROCALS[head], *parts))
    if head is sp.Heaviside:
        zero = graph.number(0)
        at_zero = graph.apply("where", graph.apply("<", parts[0], zero), zero, parts[1])
        return graph.apply("where", graph.apply(">", parts[0], zero), one, at_zero)
    name = CALLS.get(head) or (expression.func.__name__ if isinstance(expression, AppliedUndef) else "")
    if name in ("min", "max") and parts:
        return _fold(graph, name, parts)
    if name == "polygamma" and graph.value(parts[0]) == 0:  # what SymPy makes of digamma(x)
        return graph.apply("digamma", parts[1])
    if name not in FUNCTIONS or FUNCTIONS[name].arity != len(parts):
        raise _unknown(_head(expression))
    return graph.apply(name, *parts)


def _fold(graph: Graph, op: str, parts: Sequence[int]) -> int:
    node = parts[0]
    for part in parts[1:]:
        node = graph.apply(op, node, part)
    return node


def _number(graph: Graph, expression: Expr) -> int:
    if expression is sp.pi:
        return graph.pi()
    if expression is sp.E:
        return graph.apply("exp", graph.number(1))
    if expression.is_Rational:
        size = max(abs(expression.p), expression.q)
        if size.bit_length() > 1000 and abs(expression) > 10**300:
            raise FormulaError("a number of the expression is out of range", mend="the largest is about 1.8e308")
        if expression and float(Fraction(expression.p, expression.q)) == 0.0:
            raise FormulaError(
                "a number of the expression is too small", mend="the smallest is about 4.9e-324; write 0"
            )
        return graph.number(Fraction(expression.p, expression.q))
    if expression.is_Float:
        value = float(expression)
        if math.isfinite(value) and (value or not expression):
            return graph.number(value)
        raise FormulaError("a number of the expression is out of range", mend="the largest is about 1.8e308")
    raise _unknown(_head(expression))


def _sum(graph: Graph, parts: Sequence[int]) -> int:
    node = parts[0]
    for part in parts[1:]:
        value = graph.value(part)
        if value is not None and value < 0:
            node = graph.apply("-", node, graph.number(-value))
        else:
            node = plus(graph, node, part)
    return node


def _product(graph: Graph, parts: Sequence[int]) -> int:
    """Factors above and below one fraction line, the sign before it."""
    above: list[int] = []
    below: list[int] = []
    negative = False
    for part in parts:
        value, node = graph.value(part), graph.nodes[part]
        if value is not None and value < 0:
            negative, value = not negative, -value
        if isinstance(value, Fraction):
            above.append(graph.number(value.numerator))
            below.append(graph.number(value.denominator))
        elif value is not None:
            above.append(graph.number(value))
        elif node[0] == "/" and graph.value(node[1]) == 1:
            below.append(node[2])
        else:
            above.append(part)
    numerator = _fold(graph, "*", above) if above else graph.number(1)
    node_ = graph.apply("/", numerator, _fold(graph, "*", below)) if below else numerator
    return graph.apply("neg", node_) if negative else node_


def _head(expression: Expr) -> str:
    """What people call an expression that has no counterpart here."""
    special = {sp.I: "I, the imaginary unit,", sp.zoo: "zoo, complex infinity,", sp.nan: "nan", sp.oo: "oo, infinity,"}
    if expression in special or expression == -sp.oo:
        return special.get(expression, "-oo, infinity,")
    if isinstance(expression, sp.NumberSymbol):
        return str(expression)
    return type(expression).__name__


def _unknown(what: str) -> FormulaError:
    known = ", ".join(callable_names())
    return FormulaError(
        f"the expression holds {what}".rstrip(",") + ", which steepest does not know", mend=f"known are {known}"
    )


def _too_long() -> FormulaError:
    return FormulaError(
        f"written as text the expression is more than {MAX_LENGTH:,} characters long, the most that is read"
    )


# program -> SymPy ----------------------------------------------------------------------------------------------
def to_sympy(graph: Graph, node: int, symbols: Mapping[str, Expr] | None = None, *, order: int = 1) -> Expr:
    """The SymPy expression of a node, over plain symbols by name (or over those given).

    `[x1, x2] @ B` is written out with symbols `B[0]`, `B[1]`; for a matrix column X, whose width only the data know,
    `X @ B` is one symbol. `order` = 2: a second derivative, whose common factors SymPy's own `diff(f, x, y)` gathers,
    and so does this. Raises FormulaError where the expression written out would be too large.
    """
    return to_sympy_many(graph, [node], symbols, order=order)[0]


def to_sympy_many(
    graph: Graph, nodes: Sequence[int], symbols: Mapping[str, Expr] | None = None, *, order: int = 1
) -> list[Expr]:
    """The SymPy expressions of several nodes, sharing what they have in common."""
    expressions = _Writer(graph, nodes, symbols or {}).expressions()
    if order > 1:
        sizes = _sizes(graph, nodes)
        # not of a long one: gathering takes seconds there, and nobody compares it by eye
        return [
            factor_terms(signsimp(e)) if sizes[n] <= MAX_GATHERED else e
            for n, e in zip(nodes, expressions, strict=True)
        ]
    return expressions


def tidy(graph: Graph, node: int) -> tuple[Graph, int]:
    """The same formula in SymPy's order and with its cancellations, for people to read.

    It is for display alone: SymPy drops the domain (`x/x` is 1). What SymPy cannot hold is given back as it is.
    """
    keep: dict[Expr, int] = {}
    try:
        writer = _Writer(graph, [node], {}, keep)
        expressions = writer.expressions()
        neat = Graph()
        known = dict(zip(keep, neat.copy_from(graph, list(keep.values()), {}), strict=True))
        return neat, _read(neat, expressions, known)[0]
    except FormulaError:
        return graph, node


class _Writer:
    """Nodes of a graph -> SymPy expressions; `keep` collects what stays as it is: products with a matrix."""

    def __init__(
        self, graph: Graph, nodes: Sequence[int], symbols: Mapping[str, Expr], keep: dict[Expr, int] | None = None
    ) -> None:
        self.graph, self.nodes, self.symbols, self.keep = graph, nodes, symbols, keep
        sizes = _sizes(graph, nodes)
        if max(sizes[node] for node in nodes) > MAX_TREE:
            raise FormulaError(f"written out the formula has more than {MAX_TREE:,} operations: too many for SymPy")
        self.uses: dict[int, int] = dict.fromkeys(nodes, 2)
        for node in sizes:
            for argument in graph.arguments(node):
                self.uses[argument] = self.uses.get(argument, 0) + 1
        self.done: dict[int, Expr] = {}

    def expressions(self) -> list[Expr]:
        inner: set[int] = set()  # parts of a longer sum or product, which is built at once
        try:
            for node in reversed(self.graph.reachable(self.nodes)):
                if node not in inner:
                    inner.update(self._chain(node)[1])
            for node in self.graph.reachable(self.nodes):
                if node not in inner:
                    self.done[node] = _bounded(self._write(node))
        except RecursionError:
            raise FormulaError("the formula is nested too deep for SymPy") from None
        return [self.done[node] for node in self.nodes]

    def _chain(self, node: int) -> tuple[list[tuple[int, bool]], list[int]]:
        """Terms of a sum (with "negative") or factors of a product (with "below"), and the nodes in between."""
        nodes = self.graph.nodes
        family = CHAINS.get(nodes[node][0], ())
        parts: list[tuple[int, bool]] = []
        between: list[int] = []
        todo = [(node, False)]
        while todo:
            at, flipped = todo.pop()
            op = nodes[at][0]
            if op in family and (at == node or self.uses[at] == 1):
                if at != node:
                    between.append(at)
                _, left, right = nodes[at]
                todo += [(right, flipped != (op in ("-", "/"))), (left, flipped)]
            else:
                parts.append((at, flipped))
        return parts, between

    def _write(self, node: int) -> Expr:
        op, *args = self.graph.nodes[node]
        if op == "number":
            value = args[0]
            if isinstance(value, float):
                return sp.Float(value)
            return sp.Integer(value) if isinstance(value, int) else sp.Rational(value.numerator, value.denominator)
        if op == "pi":
            return sp.pi
        if op == "name":
            return self._symbol(args[0])
        if op in ("@", "stack"):
            return self._matrix(node)
        if op in ("+", "-"):
            return sp.Add(
                *[sp.Mul(-1, self.done[part]) if minus else self.done[part] for part, minus in self._chain(node)[0]]
            )
        if op in ("*", "/"):
            factors = [
                self._power(self.done[part], sp.S.NegativeOne) if below else self.done[part]
                for part, below in self._chain(node)[0]
            ]
            return sp.Mul(*factors)
        if op in CHAINS:
            return _row(op, [self.done[part] for part, _ in self._chain(node)[0]])
        return self._apply(op, [self.done[a] for a in args])

    def _apply(self, op: str, values: list[Expr]) -> Expr:
        if op == "neg":
            return sp.Mul(-1, values[0])
        if all(getattr(v, "is_number", False) for v in values):
            return _computed(op, values)
        if op == "**":
            return self._power(*values)
        if op == "sqrt":
            return self._power(values[0], sp.S.Half)
        if self.keep is not None and op in OURS:
            return sp.Function(op)(*values)
        return FORMS[op](*values)

    def _power(self, base: Expr, exponent: Expr) -> Expr:
        """base**exponent; a coefficient whose exact power would be huge goes on as a float."""
        if base.is_number and exponent.is_number and not (base.is_Rational and exponent in (1, -1) and base != 0):
            return _computed("**", [base, exponent])
        if exponent.is_Number:
            coefficient, rest = base.as_coeff_Mul()
            if coefficient.is_Rational and rest is not sp.S.One:
                bits = max(abs(coefficient.p), coefficient.q).bit_length()
                if abs(coefficient) != 1 and bits * abs(float(exponent)) > MAX_BITS:
                    base = sp.Mul(sp.Float(coefficient), rest)
        return sp.Pow(base, exponent)

    def _symbol(self, name: str) -> Expr:
        return self.symbols[name] if name in self.symbols else sp.Symbol(name)

    def _matrix(self, node: int) -> Expr:
        op, *args = self.graph.nodes[node]
        if self.keep is not None:
            symbol = sp.Dummy(to_text(self.graph, node, 200))
            self.keep[symbol] = node
            return symbol
        if op == "@" and self.graph.nodes[args[0]][0] == "stack":
            name = self.graph.nodes[args[1]][1]
            columns = self.graph.arguments(args[0])
            return sp.Add(*[sp.Mul(self.done[c], self._symbol(f"{name}[{j}]")) for j, c in enumerate(columns)])
        return self._symbol(to_text(self.graph, node))


def _row(op: str, values: Sequence[Expr]) -> Expr:
    """min, max, and, or of any number of values."""
    if op in ("and", "or"):
        return _join(sp.And if op == "and" else sp.Or, *values)
    if all(v.is_number for v in values):
        value = values[0]
        for other in values[1:]:
            value = _computed(op, [value, other])
        return value
    return (sp.Min if op == "min" else sp.Max)(*values, evaluate=False)


def _computed(op: str, values: Sequence[Expr]) -> Expr:
    """An operation on numbers alone, by the table and not by SymPy, which would not come back from some of them."""
    if op in ("and", "or", "not", "_nonzero"):
        return FORMS[op](*values)
    numbers = [float(v) if not v.is_Rational else _float(v) for v in values]
    with np.errstate(all="ignore"):
        value = FUNCTIONS[op].numpy(*(np.float64(n) for n in numbers))
    if FUNCTIONS[op].condition:
        return sp.true if value else sp.false
    return sp.Float(float(value)) if math.isfinite(value) else sp.nan


def _float(number: Expr) -> float:
    try:
        return int(number.p) / int(number.q)
    except OverflowError:
        return math.inf if number.p > 0 else -math.inf


def _bounded(expression: Expr) -> Expr:
    """The expression with an exact coefficient of bounded length."""
    if not isinstance(expression, sp.Expr):
        return expression
    coefficient, rest = expression.as_coeff_Mul()
    if coefficient.is_Rational and max(abs(coefficient.p), coefficient.q).bit_length() > MAX_BITS:
        return sp.Mul(sp.Float(coefficient), rest)
    return expression


def _choose(condition: Expr, a: Expr, b: Expr) -> Expr:
    if condition in (sp.true, sp.false):
        return a if condition is sp.true else b
    return sp.Piecewise((a, condition), (b, sp.true), evaluate=False)


def _join(head: Any, *conditions: Expr) -> Expr:
    absorbing, neutral = (sp.false, sp.true) if head is sp.And else (sp.true, sp.false)
    if absorbing in conditions:
        return absorbing
    rest = list(dict.fromkeys(c for c in conditions if c != neutral))
    return head(*rest, evaluate=False) if len(rest) > 1 else rest[0] if rest else neutral


def _negated(condition: Expr) -> Expr:
    if condition in (sp.true, sp.false):
        return sp.false if condition is sp.true else sp.true
    return condition.negated if isinstance(condition, Relational) else sp.Not(condition, evaluate=False)


def _sizes(graph: Graph, nodes: Sequence[int]) -> dict[int, int]:
    """How many operations each node is when it is written out."""
    sizes: dict[int, int] = {}
    for node in graph.reachable(nodes):
        op = graph.nodes[node][0]
        sizes[node] = 1 if op in LEAVES else 1 + sum(sizes[a] for a in graph.arguments(node))
    return sizes
