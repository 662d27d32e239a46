"""Program -> text that parses back to the same program, and LaTeX. A user's name is printed as plain text, never as markup."""

from __future__ import annotations

import math
import re
import unicodedata
from fractions import Fraction

from .functions import FUNCTIONS
from .program import Graph, Number

# how tightly each kind of text holds together; a part that holds less is put in parentheses
OR, AND, NOT, COMPARISON, SUM, SIGN, PRODUCT, POWER, ATOM = range(9)
TEXT = {
    "+": ("{0} + {1}", SUM, SUM, SIGN),
    "-": ("{0} - {1}", SUM, SUM, SIGN),
    "*": ("{0}*{1}", PRODUCT, SIGN, POWER),
    "/": ("{0}/{1}", PRODUCT, SIGN, POWER),
    "@": ("{0} @ {1}", PRODUCT, ATOM, ATOM),
    "neg": ("-{0}", SIGN, PRODUCT),
    "**": ("{0}**{1}", POWER, ATOM, POWER),
    "and": ("{0} and {1}", AND, AND, NOT),
    "or": ("{0} or {1}", OR, OR, AND),
    "not": ("not {0}", NOT, NOT),
    "_nonzero": ("{0} != 0", COMPARISON, SUM),
    **{op: (f"{{0}} {op} {{1}}", COMPARISON, SUM, SUM) for op in ("<", "<=", ">", ">=", "==", "!=")},
}
GREEK = frozenset(
    (
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
        "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
        "Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
    )
)  # fmt: skip
PLAIN = re.compile(r"[^\W\d]\w*")
WORDS = frozenset(("and", "or", "not", "pi"))


def to_text(graph: Graph, node: int, limit: int | None = None) -> str:
    """The formula of a node; one longer than `limit` characters ends in "..."."""
    shown: dict[int, tuple[str, int]] = {}
    for i in graph.reachable([node]):
        op, *args = graph.nodes[i]
        if op == "number":
            shown[i] = _number(args[0])
        elif op == "pi":
            shown[i] = ("pi", ATOM)
        elif op == "name":
            shown[i] = (quote(args[0]), ATOM)
        elif op == "stack":
            shown[i] = ("[" + ", ".join(shown[a][0] for a in args) + "]", ATOM)
        elif op in TEXT:
            template, strength, *needs = TEXT[op]
            parts = [_hold(shown[a], need) for a, need in zip(args, needs, strict=True)]
            if op == "neg" and shown[args[0]][1] >= POWER:
                strength = POWER  # 2**-x needs no parentheses
            elif strength == PRODUCT and parts[0][0] == "-":
                strength = SIGN  # -x*y is read as -(x*y)
            shown[i] = (template.format(*parts), strength)
        elif op in ("min", "max") and graph.nodes[args[0]][0] == op and shown[args[0]][0][-1] == ")":
            shown[i] = (f"{shown[args[0]][0][:-1]}, {shown[args[1]][0]})", ATOM)  # min(a, b, c), however many
        else:
            shown[i] = (f"{op}({', '.join(shown[a][0] for a in args)})", ATOM)
        if limit is not None and len(shown[i][0]) > limit:
            shown[i] = (shown[i][0][: limit // 2].rstrip() + "...", ATOM)
    return shown[node][0]


def to_latex(graph: Graph, node: int) -> str:
    """The LaTeX of a node."""
    shown: dict[int, tuple[str, int]] = {}
    for i in graph.reachable([node]):
        op, *args = graph.nodes[i]
        if op == "number":
            shown[i] = _latex_number(args[0])
        elif op == "pi":
            shown[i] = (r"\pi", ATOM)
        elif op == "name":
            shown[i] = (latex_name(args[0]), ATOM)
        elif op == "stack":
            row = " & ".join(shown[a][0] for a in args)
            shown[i] = (r"\begin{pmatrix} " + row + r" \end{pmatrix}", ATOM)
        elif op == "@":
            shown[i] = (rf"{shown[args[0]][0]} \, {shown[args[1]][0]}", PRODUCT)
        else:
            _, strength, *needs = TEXT.get(op, ("", ATOM, OR, OR, OR))
            if op == "/":
                needs, strength = [OR, OR], POWER
            if op == "**":
                needs = [ATOM, OR]
            parts = [_hold(shown[a], need, r"\left({0}\right)") for a, need in zip(args, needs, strict=False)]
            template = FUNCTIONS[op].latex
            if op == "*" and parts[1][0].isdigit():
                template = r"{0} \cdot {1}"
            shown[i] = (template.format(*parts), OR if op == "where" else strength)
    return shown[node][0]


def quote(name: str) -> str:
    """A name as a formula writes it: in backticks where it is no plain word."""
    plain = PLAIN.fullmatch(name) and name not in WORDS and unicodedata.normalize("NFKC", name) == name
    return name if plain else f"`{name}`"


def latex_name(name: str) -> str:
    """A name as plain LaTeX: Greek letters and one index are set as such, everything else upright and escaped."""
    match = re.fullmatch(r"([A-Za-z]+?)(?:(\d+)|_([A-Za-z0-9]+))", name)
    if match and (len(match[1]) == 1 or match[1] in GREEK):
        index = match[2] or match[3]
        upright = len(index) > 1 and not index.isdigit()
        return _letter(match[1]) + (rf"_{{\mathrm{{{index}}}}}" if upright else f"_{{{index}}}")
    return _letter(name) if name in GREEK or re.fullmatch("[A-Za-z]", name) else rf"\mathrm{{{_escaped(name)}}}"


def _letter(name: str) -> str:
    return "\\" + name if name in GREEK else name


def _escaped(name: str) -> str:
    special = {"\\": r"\backslash{}", "~": r"\sim{}", "^": r"\wedge{}", "'": r"{\prime}"}
    return "".join(
        special.get(c, "\\" + c if c in "{}_$%#&" else c if c.isprintable() and c != " " else r"\ ") for c in name
    )


def _hold(part: tuple[str, int], need: int, parentheses: str = "({0})") -> str:
    text, strength = part
    return text if strength >= need else parentheses.format(text)


def _number(value: Number) -> tuple[str, int]:
    negative = math.copysign(1.0, value) < 0
    if isinstance(value, Fraction):
        return str(value), SIGN if negative else PRODUCT
    return repr(value), POWER if negative else ATOM


def _latex_number(value: Number) -> tuple[str, int]:
    sign, strength = ("-", SIGN) if math.copysign(1.0, value) < 0 else ("", ATOM)
    if isinstance(value, Fraction):
        return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}", min(strength, POWER)
    mantissa, _, exponent = repr(abs(value)).partition("e")
    if exponent:
        return rf"{sign}{mantissa} \cdot 10^{{{int(exponent)}}}", min(strength, PRODUCT)
    return f"{sign}{mantissa}", strength
