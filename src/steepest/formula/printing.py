"""Program -> text that parses back to the same program, and LaTeX. A user's name is printed as plain text, never as markup."""

from __future__ import annotations

import re
from fractions import Fraction

from .functions import FUNCTIONS
from .program import Graph, Number

# how tightly each kind of text holds together; a part that holds less is put in parentheses
OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(9)
TEXT = {
    "+": ("{0} + {1}", SUM, SUM, PRODUCT), "-": ("{0} - {1}", SUM, SUM, PRODUCT),
    "*": ("{0}*{1}", PRODUCT, PRODUCT, SIGN), "/": ("{0}/{1}", PRODUCT, PRODUCT, SIGN), "@": ("{0} @ {1}", PRODUCT, ATOM, ATOM),
    "neg": ("-{0}", SIGN, SIGN, SIGN), "**": ("{0}**{1}", POWER, ATOM, SIGN),
    "and": ("{0} and {1}", AND, AND, NOT), "or": ("{0} or {1}", OR, OR, AND), "not": ("not {0}", NOT, NOT, NOT),
    **{op: (f"{{0}} {op} {{1}}", COMPARISON, SUM, SUM) for op in ("<", "<=", ">", ">=", "==", "!=")},
}  # fmt: skip
GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi Omega".split()
)
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
            parts = [_hold(shown[a], need) for a, need in zip(args, needs, strict=False)]
            shown[i] = (template.format(*parts), strength)
        else:
            shown[i] = (f"{op.lstrip('_')}({', '.join(shown[a][0] for a in args)})", ATOM)
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
            shown[i] = (FUNCTIONS[op].latex.format(*parts), strength)
    return shown[node][0]


def quote(name: str) -> str:
    """A name as a formula writes it: in backticks where it is no plain word."""
    return name if PLAIN.fullmatch(name) and name not in WORDS else f"`{name}`"


def latex_name(name: str) -> str:
    """A name as plain LaTeX: Greek letters and one index are set as such, everything else upright and escaped."""
    head, _, index = name.partition("_") if name.count("_") == 1 else (name, "", "")
    match = re.fullmatch(r"([A-Za-z]+?)_?(\d*)", name)
    if match and match[2]:
        head, index = match[1], match[2]
    if index.isascii() and index.isalnum() and (len(head) == 1 or head in GREEK) and head.isalpha() and head.isascii():
        return (
            f"{_latex_head(head)}_{{{index}}}"
            if len(index) == 1 or index.isdigit()
            else rf"{_latex_head(head)}_{{\mathrm{{{index}}}}}"
        )
    return _latex_head(name)


def _latex_head(name: str) -> str:
    if name in GREEK:
        return "\\" + name
    if len(name) == 1 and name.isascii() and name.isalpha():
        return name
    special = {"\\": r"\backslash{}", "~": r"\sim{}", "^": r"\wedge{}", " ": r"\ "}
    escaped = "".join(special.get(c, "\\" + c if c in "{}_$%#&" else c) for c in name)
    return rf"\mathrm{{{escaped}}}"


def _hold(part: tuple[str, int], need: int, parentheses: str = "({0})") -> str:
    text, strength = part
    return text if strength >= need else parentheses.format(text)


def _number(value: Number) -> tuple[str, int]:
    strength = ATOM if value >= 0 and "-" != repr(float(value))[0] else SIGN
    return (str(value), min(strength, PRODUCT)) if isinstance(value, Fraction) else (repr(value), strength)


def _latex_number(value: Number) -> tuple[str, int]:
    sign, strength = ("-", SIGN) if value < 0 else ("", ATOM)
    if isinstance(value, Fraction):
        return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}", min(strength, POWER)
    mantissa, _, exponent = repr(abs(value)).partition("e")
    return (
        (f"{sign}{mantissa}", strength)
        if not exponent
        else (rf"{sign}{mantissa} \cdot 10^{{{int(exponent)}}}", min(strength, PRODUCT))
    )
