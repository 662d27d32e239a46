"""Independent answers: formulas read by Python's own `ast` and computed by mpmath or SymPy; how far rounding may go.

Nothing here uses the parser, the table of functions or the sweep of steepest; `allowance` alone walks a program,
because the rounding that is allowed is a property of that program.
"""

from __future__ import annotations

import ast
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp

from steepest.errors import FormulaError
from steepest.formula.derive import gradient, hessian
from steepest.formula.evaluate import Evaluator
from steepest.formula.grammar import Formula, parse
from steepest.formula.program import LEAVES, Graph

U = 2.0**-52
DIGITS = 50
TINY = 1e-90  # differences below are those of the oracle: truncation, and a true 0 that is a difference of equals

# definitions of the functions in mpmath ------------------------------------------------------------------------------
VALUES: dict[str, Callable[..., Any]] = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log2": lambda u: mp.log(u) / mp.log(2),
    "log10": mp.log10,
    "log1p": mp.log1p,
    "sqrt": lambda u: mp.sqrt(_inside(u, u > 0)),
    "cbrt": lambda u: mp.sign(_inside(u, u != 0)) * mp.root(abs(u), 3),
    "sigmoid": lambda u: 1 / (1 + mp.exp(-u)),
    "logit": lambda u: mp.log(u) - mp.log1p(-u),
    "softplus": lambda u: u + mp.log1p(mp.exp(-u)) if u > 0 else mp.log1p(mp.exp(u)),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": lambda u: mp.asin(_inside(u, abs(u) < 1)),
    "acos": lambda u: mp.acos(_inside(u, abs(u) < 1)),
    "atan": mp.atan,
    "atan2": lambda u, v: mp.atan2(u, _inside(v, u or v)),
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "asinh": mp.asinh,
    "acosh": lambda u: mp.acosh(_inside(u, u > 1)),
    "atanh": mp.atanh,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "lgamma": lambda u: mp.re(mp.loggamma(_inside(u, u > 0 or u != int(u)))),
    "digamma": lambda u: mp.digamma(_inside(u, u > 0 or u != int(u))),
    "polygamma": lambda n, u: mp.psi(int(n), _inside(u, u > 0 or u != int(u))),
    "abs": abs,
    "sign": mp.sign,
    "min": min,
    "max": max,
    "clip": lambda u, v, w: min(max(u, v), w),
    "where": lambda c, u, v: u if c else v,
}
SAME = ["exp", "log", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh"]
SAME += ["asinh", "acosh", "atanh"]
SYMBOLIC: dict[str, Callable[..., Any]] = {
    **{n: getattr(sp, n) for n in SAME},
    "expm1": lambda u: sp.exp(u) - 1,
    "log2": lambda u: sp.log(u) / sp.log(2),
    "log10": lambda u: sp.log(u) / sp.log(10),
    "log1p": lambda u: sp.log(1 + u),
    "sigmoid": lambda u: 1 / (1 + sp.exp(-u)),
    "softplus": lambda u: sp.log(1 + sp.exp(u)),
    "logit": lambda u: sp.log(u / (1 - u)),
    "abs": sp.Abs,
    "sign": sp.sign,
    "min": sp.Min,
    "max": sp.Max,
}


class NoValue(ArithmeticError):
    """No true value: not a finite real number, a kink, or a function on the edge where its slope is infinite."""


def _inside(value: Any, inside: Any) -> Any:
    if not inside:
        raise NoValue
    return value


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """The value of a formula at a point, to the digits that mpmath is set to; NoValue where there is none."""
    tree = ast.parse(text.replace("^", "**"), mode="eval").body
    try:
        value = _number(_walk(tree, values))
    except (ZeroDivisionError, ValueError, OverflowError, TypeError):
        raise NoValue(text) from None
    return value


def _number(value: Any) -> Any:
    if isinstance(value, mp.mpc):
        if value.imag != 0:
            raise NoValue
        value = value.real
    if isinstance(value, mp.mpf) and not mp.isfinite(value):
        raise NoValue
    return value


def _walk(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    match tree:
        case ast.Constant(value=number):
            return mp.mpf(number)
        case ast.Name(id="pi"):
            return mp.mpf(math.pi)  # the double: what a formula means by it
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=op, operand=operand):
            inner = _walk(operand, values)
            return not inner if isinstance(op, ast.Not) else -inner if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=ast.Pow(), right=right) if _negative_power(left, right, values):
            raise NoValue
        case ast.BinOp(left=left, op=op, right=right):
            return _number(_binary(op, _walk(left, values), _walk(right, values)))
        case ast.BoolOp(op=op, values=parts):
            return (all if isinstance(op, ast.And) else any)(_walk(part, values) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_walk(left, values), *(_walk(o, values) for o in others)]
            signs = {ast.Lt: "__lt__", ast.LtE: "__le__", ast.Gt: "__gt__", ast.GtE: "__ge__", ast.Eq: "__eq__"}
            return all(
                a != b if isinstance(op, ast.NotEq) else getattr(a, signs[type(op)])(b)
                for op, a, b in zip(ops, sides, sides[1:], strict=False)
            )
        case ast.Call(func=ast.Name(id="where"), args=[condition, yes, no]):
            return _walk(yes if _walk(condition, values) else no, values)
        case ast.Call(func=ast.Name(id=name), args=args):
            return _number(VALUES[name](*(_walk(a, values) for a in args)))
    raise AssertionError(ast.dump(tree))


def _negative_power(base: ast.expr, exponent: ast.expr, values: Mapping[str, Any]) -> bool:
    """Whether a negative number is raised to something that can vary: there is no slope by the exponent."""
    varies = any(isinstance(part, ast.Name) for part in ast.walk(exponent))
    return varies and _walk(base, values) < 0


def _binary(op: ast.operator, a: Any, b: Any) -> Any:
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b
    if a == 0 and b < 1:
        raise NoValue
    if a < 0 and b != int(b):
        raise NoValue
    if b != 0 and a != 0 and abs(b * mp.log(abs(a))) > 1e6:
        raise NoValue  # no double comes near
    return mp.mpf(a) ** b


def derivative(text: str, values: Mapping[str, float], *names: str) -> Any:
    """∂text/∂name (∂²/∂a∂b for two names) by central differences of 50 digits and more; NoValue where there is none."""
    with mp.workdps(10 * DIGITS if len(names) == 1 else 12 * DIGITS):
        point = {name: mp.mpf(value) for name, value in values.items()}
        return +_difference(text, point, names)


def _difference(text: str, point: dict[str, Any], names: Sequence[str]) -> Any:
    if not names:
        return evaluate(text, point)
    name = names[0]
    step = mp.mpf(10) ** -(DIGITS + 10) * (abs(point[name]) or 1)

    def at(steps: int) -> Any:
        return _difference(text, {**point, name: point[name] + steps * step}, names[1:])

    here, above, below = at(0), at(1), at(-1)
    slope = (above - below) / (2 * step)
    wide = (at(2) - at(-2)) / (4 * step)
    agree = mp.mpf(10) ** -(DIGITS - 10) * abs(slope) + mp.mpf(10) ** -(2 * DIGITS)
    if max(abs(slope - wide), abs(above - 2 * here + below) / step) > agree:
        raise NoValue  # a kink or a jump
    return slope


def symbolic(text: str) -> Any:
    """The formula as SymPy would have it, from Python's syntax tree."""
    names = set(re.findall(r"[A-Za-z_]\w*", text)) - set(SYMBOLIC) - {"pi"}
    scope = {**SYMBOLIC, **{n: sp.Symbol(n) for n in names}, "pi": sp.pi, "__builtins__": {}}
    exact = re.sub(r"(?<![\w.])(\d+)(?![\w.])", r"Integer(\1)", text)
    return eval(exact, {**scope, "Integer": sp.Integer})  # noqa: S307 - the test's own formulas


# rounding ------------------------------------------------------------------------------------------------------------
#: ∂op/∂argument as plain numbers, for the allowance alone
SLOPES: dict[str, tuple[Callable[..., float], ...]] = {
    "+": (lambda u, v: 1, lambda u, v: 1),
    "-": (lambda u, v: 1, lambda u, v: -1),
    "neg": (lambda u: -1,),
    "*": (lambda u, v: v, lambda u, v: u),
    "/": (lambda u, v: 1 / v, lambda u, v: -u / v / v),
    "**": (lambda u, v: v * u ** (v - 1) if v else 0.0, lambda u, v: u**v * np.log(abs(u)) if u else 0.0),
    "exp": (np.exp,),
    "expm1": (np.exp,),
    "log": (lambda u: 1 / u,),
    "log2": (lambda u: 1.4426950408889634 / u,),
    "log10": (lambda u: 0.4342944819032518 / u,),
    "log1p": (lambda u: 1 / (1 + u),),
    "sqrt": (lambda u: 0.5 / np.sqrt(u),),
    "cbrt": (lambda u: np.cbrt(u) / (3 * u) if u else np.inf,),
    "sigmoid": (lambda u: 0.25 / np.cosh(u / 2) ** 2,),
    "logit": (lambda u: 1 / u / (1 - u),),
    "softplus": (lambda u: 0.5 * (1 + np.tanh(u / 2)),),
    "sin": (np.cos,),
    "cos": (lambda u: -np.sin(u),),
    "tan": (lambda u: 1 + np.tan(u) ** 2,),
    "asin": (lambda u: 1 / np.sqrt((1 - u) * (1 + u)),),
    "acos": (lambda u: -1 / np.sqrt((1 - u) * (1 + u)),),
    "atan": (lambda u: 1 / (1 + u * u),),
    "atan2": (lambda u, v: v / (u * u + v * v), lambda u, v: -u / (u * u + v * v)),
    "sinh": (np.cosh,),
    "cosh": (np.sinh,),
    "tanh": (lambda u: 1 / np.cosh(u) ** 2,),
    "asinh": (lambda u: 1 / np.hypot(u, 1),),
    "acosh": (lambda u: 1 / np.sqrt(u - 1) / np.sqrt(u + 1),),
    "atanh": (lambda u: 1 / (1 - u) / (1 + u),),
    "erf": (lambda u: 2 / np.sqrt(np.pi) * np.exp(-u * u),),
    "erfc": (lambda u: -2 / np.sqrt(np.pi) * np.exp(-u * u),),
    "lgamma": (lambda u: float(mp.digamma(u)),),
    "digamma": (lambda u: float(mp.psi(1, u)),),
    "polygamma": (lambda n, u: 0, lambda n, u: float(mp.psi(int(n) + 1, u))),
    "abs": (np.sign,),
    "sign": (lambda u: 0,),
    "min": (lambda u, v: float(u <= v), lambda u, v: float(u > v)),
    "max": (lambda u, v: float(u >= v), lambda u, v: float(u < v)),
    "clip": (
        lambda u, v, w: float(v <= u <= w),
        lambda u, v, w: float(u < v <= w),
        lambda u, v, w: float(max(u, v) > w),
    ),
    "where": (lambda c, u, v: 0, lambda c, u, v: float(c), lambda c, u, v: float(not c)),
}
SLOPES |= dict.fromkeys(("<", "<=", ">", ">=", "==", "!=", "and", "or"), (lambda u, v: 0, lambda u, v: 0))
SLOPES |= dict.fromkeys(("not", "_nonzero"), (lambda u: 0,))


def allowance(graph: Graph, output: int, values: Mapping[str, float]) -> float:
    """Σ |node · ∂output/∂node| over the operations of a program: one rounding of each, carried to the output.

    The names are exact and do not count. Terms that are 0·∞ are left out, which makes the allowance smaller.
    Infinite where rounding alone has brought a node onto the edge of a domain, as tanh(30) is 1.
    """
    order = graph.reachable([output])
    names = list(values)
    evaluator = Evaluator(graph, order, (), {name: i for i, name in enumerate(names)})
    with np.errstate(all="ignore"):
        numbers = dict(zip(order, evaluator(np.array([values[n] for n in names])), strict=True))
        adjoint = dict.fromkeys(order, 0.0)
        adjoint[output] = 1.0
        total = 0.0
        for node in reversed(order):
            op = graph.nodes[node][0]
            weight = adjoint[node]
            if math.isinf(weight):
                return math.inf
            share = abs(float(numbers[node]) * weight)
            if op != "name" and not math.isnan(share):
                total += share
            if op in LEAVES or weight == 0.0:
                continue
            arguments = graph.arguments(node)
            points = [np.float64(numbers[a]) for a in arguments]
            for argument, slope in zip(arguments, SLOPES[op], strict=True):
                part = weight * float(slope(*points))
                adjoint[argument] += 0.0 if math.isnan(part) else part
    return total


class Checked:
    """A formula with its gradient and Hessian programs, to be compared with the oracles at points."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.formula: Formula = parse(text)
        self.graph = self.formula.graph
        self.names = list(self.formula.names)
        self.first = gradient(self.graph, self.formula.right, self.names)
        self.second = hessian(self.graph, self.first, self.names)

    def compute(self, nodes: Sequence[int], values: Mapping[str, float]) -> list[float]:
        """Nodes at a point, in doubles."""
        evaluator = Evaluator(self.graph, nodes, (), {name: i for i, name in enumerate(self.names)})
        with np.errstate(all="ignore"):
            return [float(v) for v in evaluator(np.array([values[n] for n in self.names], dtype=np.float64))]

    def ratio(self, node: int | None, truth: Any, values: Mapping[str, float]) -> float:
        """The error of a node as a multiple of u·Σ|node·∂/∂node|; nan if the node is not finite where the truth is."""
        if node is None:
            return 0.0 if abs(truth) <= TINY else math.inf
        (value,) = self.compute([node], values)
        if math.isnan(value):
            return math.nan
        if math.isinf(value):
            return 0.0 if abs(truth) > 1e308 or allowance(self.graph, node, values) == math.inf else math.inf
        error = float(abs(mp.mpf(value) - truth) - TINY - abs(truth) * mp.mpf(10) ** -DIGITS)
        return 0.0 if error <= 0 else error / (U * max(allowance(self.graph, node, values), TINY))


# random formulas -----------------------------------------------------------------------------------------------------
ONE = [
    "exp",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "cbrt",
    "sigmoid",
    "logit",
    "softplus",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "abs",
    "sign",
]
TWO = ["min", "max", "atan2"]


def random_formula(generator: random.Random, depth: int = 4, names: Sequence[str] = ("a", "b", "x")) -> str:
    """A formula of the grammar: every function, operator and kind of condition may stand anywhere."""
    pick = generator.random()
    if depth == 0 or pick < 0.08:
        leaves = [*names, *names, str(generator.randint(0, 9)), f"{generator.uniform(0, 3):.2f}", "pi"]
        return generator.choice(leaves)

    def part() -> str:
        return random_formula(generator, depth - 1, names)

    if pick < 0.55:
        op = generator.choice(["+", "-", "*", "*", "/"])
        return f"({part()} {op} {part()})"
    if pick < 0.65:
        exponent = generator.choice(["2", "3", "-1", "0.5", "-2", "1.5", part()])
        return f"({part()})**({exponent})"
    if pick < 0.70:
        return f"(-{part()})"
    if pick < 0.88:
        return f"{generator.choice(ONE)}({part()})"
    if pick < 0.94:
        return f"{generator.choice(TWO)}({part()}, {part()})"
    if pick < 0.96:
        return f"clip({part()}, {part()}, {part()})"
    sign = generator.choice(["<", "<=", ">", ">=", "==", "!="])
    condition = f"{part()} {sign} {part()}"
    if generator.random() < 0.3:
        condition = f"({condition}) {generator.choice(['and', 'or'])} not {generator.choice(names)} > 0"
    return f"where({condition}, {part()}, {part()})"


def random_point(generator: random.Random, names: Sequence[str]) -> dict[str, float]:
    """Values of all sizes that data have, and some that are special."""
    return {
        name: generator.choice([0.0, 1.0, -1.0, 0.5, 30.0, 1e-6])
        if generator.random() < 0.15
        else generator.gauss(0.0, 1.0) * 10.0 ** generator.choice([-1, 0, 0, 0, 1])
        for name in names
    }


class Tally:
    """Many comparisons: how many there were, the worst ratio with its case, and what is NaN.

    `edges` counts apart the points where rounding alone has brought a node onto the edge of a domain, where the slope
    is infinite: expm1(-800) is -1, and asin of it has none.
    """

    def __init__(self) -> None:
        self.formulas = self.points = self.numbers = self.edges = 0
        self.worst: tuple[float, str] = (0.0, "")
        self.bad: list[str] = []

    def add(self, ratio: float, case: str) -> None:
        """Count one comparison; `bad` collects what is NaN, or off by infinitely much."""
        self.numbers += 1
        if not math.isfinite(ratio):
            self.bad.append(f"{ratio}: {case}")
        else:
            self.worst = max(self.worst, (ratio, case))


def compare_random_formulas(count: int, points: int, seed: int, *, second: bool = False, depth: int = 4) -> Tally:
    """Gradients (and Hessians) of random formulas against the oracle, wherever value and truth are finite.

    Left out are points where the doubles take another branch than the truth, which shows in the value of the formula.
    """
    generator, tally = random.Random(seed), Tally()
    while tally.formulas < count:
        try:
            checked = Checked(random_formula(generator, depth))
        except FormulaError:
            continue
        used = 0
        for _ in range(6 * points if checked.names else 0):
            values = random_point(generator, checked.names)
            (value,) = checked.compute([checked.formula.right], values)
            try:
                with mp.workdps(10 * DIGITS):
                    truth = evaluate(checked.text, {n: mp.mpf(v) for n, v in values.items()})
                if not math.isfinite(value) or checked.ratio(checked.formula.right, truth, values) > 64:
                    continue
                wanted = {(a,): derivative(checked.text, values, a) for a in checked.names}
                if second:
                    pairs = [(a, b) for i, a in enumerate(checked.names) for b in checked.names[i:]]
                    wanted |= {pair: derivative(checked.text, values, *pair) for pair in pairs}
            except NoValue:
                continue
            if max(abs(w) for w in wanted.values()) > 1e300:
                continue
            if allowance(checked.graph, checked.formula.right, values) == math.inf:
                tally.edges += 1
                continue
            used += 1
            for names, truth in wanted.items():
                node = checked.first[names[0]].node if len(names) == 1 else checked.second.get(names)  # type: ignore[call-overload]
                tally.add(
                    checked.ratio(node, truth, values), f"∂{names} of {checked.text} at {values}, true {float(truth)}"
                )
            if used == points:
                break
        tally.points += used
        tally.formulas += used == points
    return tally


# the functions of the table, one by one ----------------------------------------------------------------------------
ALL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    1e-8,
    -1e-8,
    1e-300,
    -1e-300,
    1e-150,
    30.0,
    -30.0,
    400.0,
    -400.0,
    700.0,
    -700.0,
]
HUGE = [1e5, -1e5, 1e22, -1e22, 1e150, -1e150]
POSITIVE = [5e-324, 1e-300, 1e-150, 1e-8, 0.5, 1 - U / 2, 1.0, 1 + U, 2.0, 1e8, 1e150, 1e300]
UNIT = [0.0, 1e-300, 1e-8, 0.3, -0.3, 0.5, -0.5, 1 - 1e-8, 1 - U / 2, -1 + U / 2, -1 + 1e-8]
ANY = [*ALL, *HUGE]
GAMMA = [1.4616321449683622, 1 - 1e-8, 2 + 1e-8, 2 - 1e-8, 3.0, 7.5, 13.0, 33.0, 171.7, 1e5, -0.5, -1e-8, -3.5, -20.3]
#: arguments that are hard, by the domain of the function; as many random ones of its kind are added
ARGUMENTS: dict[str, list[float]] = {
    **dict.fromkeys(("log", "log2", "log10", "sqrt"), POSITIVE),
    **dict.fromkeys(("asin", "acos", "atanh"), UNIT),
    "log1p": [*UNIT, *POSITIVE],
    "logit": [p for p in (*POSITIVE, *UNIT) if 0 < p < 1],
    "acosh": [1 + U, 1 + 1e-8, 1.5, 2.0, 1e8, 1e150, 1e300],
    **{name: [*ANY, math.pi / 2, math.pi, 3 * math.pi / 2] for name in ("sin", "cos", "tan")},
    **dict.fromkeys(("sigmoid", "softplus", "tanh", "atan", "asinh", "cbrt", "abs", "sign"), ANY),
    "erf": ANY,
    "erfc": [p for p in ANY if p < 25],
    **{name: [*POSITIVE[2:], *GAMMA] for name in ("lgamma", "digamma")},
    **{name: [*ALL, 709.7, -745.0, -1e5] for name in ("exp", "expm1", "sinh", "cosh")},
}
RANDOM = {
    "erfc": (-20.0, 25.0),
    "lgamma": (0.0, 40.0),
    "digamma": (0.0, 40.0),
    "log1p": (-0.999, 5.0),
    "logit": (0.0, 1.0),
    "acosh": (1.0, 50.0),
}
RANDOM |= dict.fromkeys(("asin", "acos", "atanh"), (-1.0, 1.0)) | dict.fromkeys(
    ("log", "log2", "log10", "sqrt"), (0.0, 9.0)
)
#: the slope of asinh and atan beyond 1e150, and the square of what is below 1e-150, are no doubles
TOO_FAR = 1e140


#: first and second derivatives that mpmath knows by itself; differences of them take seconds
KNOWN: dict[str, tuple[Callable[..., Any], ...]] = {
    "erf": (lambda u: _bell(u), lambda u: -2 * u * _bell(u)),
    "erfc": (lambda u: -_bell(u), lambda u: 2 * u * _bell(u)),
    "lgamma": (mp.digamma, lambda u: mp.psi(1, u)),
    "digamma": (lambda u: mp.psi(1, u), lambda u: mp.psi(2, u)),
}


def _bell(u: Any) -> Any:
    return 2 / mp.sqrt(mp.pi) * mp.exp(-(u**2))


def arguments(name: str) -> list[float]:
    generator = random.Random(name)
    low, high = RANDOM.get(name, (-20.0, 20.0))
    return ARGUMENTS[name] + [generator.uniform(low, high) for _ in range(60)]


def compare_table(names: Sequence[str] = tuple(ARGUMENTS)) -> Tally:
    """First and second derivatives of functions of one argument against the oracle."""
    tally = Tally()
    for name in names:
        text = f"{name}(x)"
        checked = Checked(text)
        nodes = {1: checked.first["x"].node, 2: checked.second.get(("x", "x"))}
        tally.formulas += 1
        for u in arguments(name):
            if 0 < abs(u) < 1 / TOO_FAR or abs(u) > TOO_FAR:
                continue
            tally.points += 1
            for order, node in nodes.items():
                try:
                    if name in KNOWN:
                        with mp.workdps(DIGITS):
                            truth = KNOWN[name][order - 1](mp.mpf(u))
                    else:
                        truth = derivative(text, {"x": u}, *["x"] * order)
                except NoValue:  # a kink, or an end of the domain where the slope is infinite
                    continue
                if abs(truth) < 1e300:
                    tally.add(checked.ratio(node, truth, {"x": u}), f"derivative {order} of {text} at {u}")
    return tally
