"""The one table of what a formula may call.

Each row says where the function is defined, its partial derivatives, how NumPy computes it and how LaTeX shows it.
The partials are formulas themselves, in `u`, `v`, `w` (the arguments) and `out` (the value), read by the same grammar
as the user's. `p if c` means: the adjoint takes the path `p` where `c` holds and no path elsewhere, so that a branch
not taken never contributes a NaN. Operators are rows like any other.

To add a function: add a row here, its SymPy form in `sympy.py`, and the tests find it by themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ..types import Array

Compute = Callable[..., Any]


@dataclass(frozen=True)
class Function:
    """One row: `arity` arguments; `partials[i]` is ∂out/∂(argument i), `""` where there is none to follow."""

    arity: int
    partials: tuple[str, ...]
    numpy: Compute
    latex: str
    domain: str = ""  # a condition on u, v; "" = everywhere
    operator: bool = False  # written with a sign, not called by name
    condition: bool = False  # the value is true or false


def sigmoid(u: Array) -> Any:
    """1/(1 + exp(-u)) without overflow."""
    decay = np.exp(-np.abs(u))
    return np.where(u >= 0, 1.0, decay) / (1.0 + decay)


def power(u: Any, v: Any) -> Any:
    """u**v; the exponents that formulas are full of skip the general routine."""
    if np.ndim(v) == 0:
        if v == 2:
            return u * u
        if v == 3:
            return u * u * u
        if v == -1:
            return 1.0 / u
        if v == 0.5:
            return np.sqrt(u)
    return np.power(u, v)


def _special(name: str) -> Compute:
    """A function of scipy.special, imported when it is first called: `import steepest` stays light."""

    def compute(*arguments: Any) -> Any:
        from scipy import special

        return getattr(special, name)(*arguments)

    return compute


@cache
def _cotangent(order: int) -> tuple[float, ...]:
    """P of (d/dx)ⁿ cot x = (-1)ⁿ·P(cot x), lowest coefficient first: all of them ≥ 0, so that nothing cancels."""
    coefficients = [0, 1]
    for _ in range(order):
        slope = [i * c for i, c in enumerate(coefficients)][1:]
        coefficients = [a + b for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return tuple(float(c) for c in coefficients)


def polygamma(order: Any, u: Any) -> Any:
    """The derivative of digamma of an order from 0 on.

    Reflected where u < 0 (Abramowitz & Stegun 6.4.7): SciPy adds up one term for each integer on the way to zero.
    """
    from scipy import special

    n = int(order)
    if n == 0:
        return special.psi(u)
    sign = 1.0 if n % 2 else -1.0
    folded = np.where(u < 0, 1.0 - u, u)
    value = sign * math.gamma(n + 1.0) * special.zeta(n + 1.0, folded)
    if np.any(u < 0):
        with np.errstate(all="ignore"):
            r = u - np.rint(u)  # exact: no digit of a large u is lost
            turned = np.copysign(np.tan(np.pi * (0.5 - np.abs(r))), r)  # and none of a cotangent near 0
            cotangent = np.where(np.abs(r) > 0.25, turned, 1.0 / np.tan(np.pi * r))
            poles = sign * np.pi ** (n + 1.0) * np.polynomial.polynomial.polyval(cotangent, _cotangent(n))
        reflected = np.where(u == np.rint(u), sign * np.inf, poles - sign * value)
        value = np.where(u < 0, reflected, value)
    return value


def _where(c: Any, a: Any, b: Any) -> Any:
    return np.where(c, a, b)


def _operator(arity: int, partials: tuple[str, ...], compute: Compute, latex: str, domain: str = "") -> Function:
    return Function(arity, partials, compute, latex, domain, operator=True)


def _comparison(compute: Compute, latex: str) -> Function:
    return Function(2, ("", ""), compute, latex, operator=True, condition=True)


def _call(latex: str) -> str:
    return latex + r"\left({0}\right)"


def _one(partial: str, compute: Compute, latex: str = "", domain: str = "") -> Function:
    name = getattr(compute, "__name__", "")
    return Function(1, (partial,), compute, latex or _call("\\" + name), domain)


FUNCTIONS: dict[str, Function] = {
    # operators: {0} and {1} come with the parentheses that they need
    "+": _operator(2, ("1", "1"), np.add, "{0} + {1}"),
    "-": _operator(2, ("1", "-1"), np.subtract, "{0} - {1}"),
    "*": _operator(2, ("v", "u"), np.multiply, r"{0} \, {1}"),
    "/": _operator(2, ("1/v", "-out/v"), np.divide, r"\frac{{{0}}}{{{1}}}", "v != 0"),
    "neg": _operator(1, ("-1",), np.negative, "-{0}"),
    "**": _operator(
        2,
        ("v*u**(v - 1) if _nonzero(v) or _nonzero(u)", "out*log(u) if _nonzero(u)"),
        power,
        "{0}^{{{1}}}",
        "u >= 0 or v == sign(v)*abs(v)",
    ),
    "<": _comparison(np.less, "{0} < {1}"),
    "<=": _comparison(np.less_equal, r"{0} \le {1}"),
    ">": _comparison(np.greater, "{0} > {1}"),
    ">=": _comparison(np.greater_equal, r"{0} \ge {1}"),
    "==": _comparison(np.equal, "{0} = {1}"),
    "!=": _comparison(np.not_equal, r"{0} \ne {1}"),
    "and": Function(2, ("", ""), np.logical_and, r"{0} \wedge {1}", operator=True, condition=True),
    "or": Function(2, ("", ""), np.logical_or, r"{0} \vee {1}", operator=True, condition=True),
    "not": Function(1, ("",), np.logical_not, r"\neg {0}", operator=True, condition=True),
    # the guard of a removable 0·∞: shown and given to SymPy as "true"
    "_nonzero": Function(1, ("",), lambda u: np.not_equal(u, 0), r"{0} \ne 0", condition=True),
    # exponentials and logarithms
    "exp": _one("out", np.exp),
    "expm1": _one("exp(u)", np.expm1, r"\left(e^{{{0}}} - 1\right)"),
    "log": _one("1/u", np.log, domain="u > 0"),
    "log2": _one("1/(u*log(2))", np.log2, _call(r"\log_{{2}}"), "u > 0"),
    "log10": _one("1/(u*log(10))", np.log10, _call(r"\log_{{10}}"), "u > 0"),
    "log1p": _one("1/(1 + u)", np.log1p, r"\log\left(1 + {0}\right)", "u > -1"),
    "sqrt": _one("1/(2*out)", np.sqrt, r"\sqrt{{{0}}}", "u >= 0"),
    "cbrt": _one("1/(3*out**2)", np.cbrt, r"\sqrt[3]{{{0}}}"),
    "sigmoid": _one("out*sigmoid(-u)", sigmoid, _call(r"\sigma")),
    "logit": _one("1/(u*(1 - u))", lambda u: np.log(u) - np.log1p(-u), _call(r"\mathrm{{logit}}"), "u > 0 and u < 1"),
    "softplus": _one("sigmoid(u)", lambda u: np.logaddexp(0.0, u), _call(r"\mathrm{{softplus}}")),
    # trigonometry, in radians
    "sin": _one("cos(u)", np.sin),
    "cos": _one("-sin(u)", np.cos),
    "tan": _one("1 + out**2", np.tan),
    "asin": _one("1/sqrt((1 - u)*(1 + u))", np.arcsin, domain="abs(u) <= 1"),
    "acos": _one("-1/sqrt((1 - u)*(1 + u))", np.arccos, domain="abs(u) <= 1"),
    "atan": _one("1/(1 + u**2)", np.arctan),
    "atan2": Function(2, ("v/(u**2 + v**2)", "-u/(u**2 + v**2)"), np.arctan2, r"\mathrm{{atan2}}\left({0}, {1}\right)"),
    "sinh": _one("cosh(u)", np.sinh),
    "cosh": _one("sinh(u)", np.cosh),
    "tanh": _one("1/cosh(u)**2", np.tanh),
    "asinh": _one("1/sqrt(u**2 + 1)", np.arcsinh, _call(r"\mathrm{{arsinh}}")),
    "acosh": _one("1/(sqrt(u - 1)*sqrt(u + 1))", np.arccosh, _call(r"\mathrm{{arcosh}}"), "u >= 1"),
    "atanh": _one("1/((1 - u)*(1 + u))", np.arctanh, _call(r"\mathrm{{artanh}}"), "abs(u) < 1"),
    # special functions; the last three have poles at 0, -1, -2, ..., which no condition of a formula can say
    "erf": _one("2/sqrt(pi)*exp(-u**2)", _special("erf"), _call(r"\mathrm{{erf}}")),
    "erfc": _one("-2/sqrt(pi)*exp(-u**2)", _special("erfc"), _call(r"\mathrm{{erfc}}")),
    "lgamma": _one("digamma(u)", _special("gammaln"), r"\log\left|\Gamma\left({0}\right)\right|"),
    "digamma": _one("polygamma(1, u)", _special("psi"), _call(r"\psi")),
    # the order is a written number: the grammar sees to it, and no path leads there
    "polygamma": Function(2, ("", "polygamma(u + 1, v)"), polygamma, r"\psi^{{\left({0}\right)}}\left({1}\right)"),
    # pieces; at a kink the derivative is that of the side which is taken
    "abs": _one("sign(u)", np.abs, r"\left|{0}\right|"),
    "sign": _one("0", np.sign, _call(r"\mathrm{{sign}}")),
    "min": Function(2, ("1 if u <= v", "1 if u > v"), np.minimum, r"\min\left({0}, {1}\right)"),
    "max": Function(2, ("1 if u >= v", "1 if u < v"), np.maximum, r"\max\left({0}, {1}\right)"),
    "clip": Function(
        3,
        ("1 if u >= v and u <= w", "1 if u < v and v <= w", "1 if u > w or v > w"),
        lambda u, v, w: np.minimum(np.maximum(u, v), w),
        r"\mathrm{{clip}}\left({0}, {1}, {2}\right)",
    ),
    "where": Function(
        3,
        ("", "1 if u", "1 if not u"),
        _where,
        r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
    ),
}

#: other spellings of a row above, and constants
ALIASES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "pow": "**"}
PI = float(np.pi)


def callable_names() -> list[str]:
    """The functions that a user may write, in the order of the table."""
    return [name for name, row in FUNCTIONS.items() if not row.operator and not name.startswith("_")]
