"""Program -> text that parses back to the same program, and LaTeX. A user's name is plain text there, never markup."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from .functions import FUNCTIONS
from .program import Graph, Number

LONGEST = 100_000  # characters: a program shares its parts, and written out some are as long as you like
Shown = tuple[str, int]  # a text, and how tightly it holds together

# how tightly each kind of text holds together; a part that holds less is put in parentheses
OR, AND, NOT, COMPARISON, SUM, SIGN, PRODUCT, POWER, ATOM = range(9)
TEXT: dict[str, tuple[str, int, tuple[int, ...]]] = {  # the text, its hold, and the hold that each part needs
    "+": ("{0} + {1}", SUM, (SUM, SIGN)),
    "-": ("{0} - {1}", SUM, (SUM, SIGN)),
    "*": ("{0}*{1}", PRODUCT, (SIGN, POWER)),
    "/": ("{0}/{1}", PRODUCT, (SIGN, POWER)),
    "@": ("{0} @ {1}", PRODUCT, (ATOM, ATOM)),
    "neg": ("-{0}", SIGN, (PRODUCT,)),
    "**": ("{0}**{1}", POWER, (ATOM, POWER)),
    "and": ("{0} and {1}", AND, (AND, NOT)),
    "or": ("{0} or {1}", OR, (OR, AND)),
    "not": ("not {0}", NOT, (NOT,)),
    "_nonzero": ("{0} != 0", COMPARISON, (SUM,)),
    **{op: (f"{{0}} {op} {{1}}", COMPARISON, (SUM, SUM)) for op in ("<", "<=", ">", ">=", "==", "!=")},
}
GREEK = frozenset(
    (
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu",
        "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
        "Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
    )
)  # fmt: skip
PLAIN = re.compile(r"[^\W\d]\w*")
WORDS = frozenset(("and", "or", "not", "pi"))


def to_text(graph: Graph, node: int, limit: int = LONGEST) -> str:
    """The formula of a node; one longer than `limit` characters ends in "..."."""

    def write(op: str, args: Sequence[Any], parts: Sequence[Shown]) -> Shown:
        text, strength = _text(graph, op, args, parts)
        return (text, strength) if len(text) <= limit else (text[: limit // 2].rstrip() + "...", ATOM)

    return _written(graph, node, write)


def to_latex(graph: Graph, node: int, limit: int = LONGEST) -> str:
    """The LaTeX of a node; a part that is longer than `limit` characters is left out as dots."""

    def write(op: str, args: Sequence[Any], parts: Sequence[Shown]) -> Shown:
        latex, strength = _latex(graph, op, args, parts)
        return (latex, strength) if len(latex) <= limit else (r"\ldots", ATOM)

    return _written(graph, node, write)


def _written(graph: Graph, node: int, write: Callable[[str, Sequence[Any], Sequence[Shown]], Shown]) -> str:
    """The text of a node, from those of its arguments; what is no longer needed is let go: a long sum is n texts."""
    order = graph.reachable([node])
    last = {argument: i for i in order for argument in graph.arguments(i)}
    shown: dict[int, Shown] = {}
    for i in order:
        op, *args = graph.nodes[i]
        arguments = graph.arguments(i)
        shown[i] = write(op, args, [shown[a] for a in arguments])
        for a in set(arguments):
            if last[a] == i:
                del shown[a]
    return shown[node][0]


def _text(graph: Graph, op: str, args: Sequence[Any], parts: Sequence[Shown]) -> Shown:
    if op == "number":
        return _number(args[0])
    if op in ("pi", "name"):
        return "pi" if op == "pi" else quote(args[0]), ATOM
    words = [text for text, _ in parts]
    if op == "stack":
        return f"[{', '.join(words)}]", ATOM
    if op in ("min", "max") and graph.nodes[args[0]][0] == op and words[0][-1] == ")":
        return f"{words[0][:-1]}, {words[1]})", ATOM  # min(a, b, c), however many
    if op not in TEXT:
        return f"{op}({', '.join(words)})", ATOM
    template, strength, needs = TEXT[op]
    held = [_hold(part, need) for part, need in zip(parts, needs, strict=True)]
    if op == "neg" and parts[0][1] >= POWER:
        strength = POWER  # 2**-x needs no parentheses
    elif strength == PRODUCT and held[0][0] == "-":
        strength = SIGN  # -x*y is read as -(x*y)
    return template.format(*held), strength


def _latex(graph: Graph, op: str, args: Sequence[Any], parts: Sequence[Shown]) -> Shown:
    if op == "number":
        return _latex_number(args[0])
    if op in ("pi", "name"):
        return r"\pi" if op == "pi" else latex_name(args[0]), ATOM
    words = [text for text, _ in parts]
    if op == "stack":
        return r"\begin{pmatrix} " + " & ".join(words) + r" \end{pmatrix}", ATOM
    if op == "@":
        return rf"{words[0]} \, {words[1]}", PRODUCT
    if op in ("min", "max") and graph.nodes[args[0]][0] == op:
        return words[0].removesuffix(r"\right)") + rf", {words[1]}\right)", ATOM
    _, strength, needs = TEXT.get(op, ("", ATOM, (OR, OR, OR)))
    if op == "/":
        needs, strength = (OR, OR), POWER
    elif op == "**":
        needs = (ATOM, OR)
    elif op == "where":
        strength = OR
    held = [_hold(part, need, r"\left({0}\right)") for part, need in zip(parts, needs, strict=False)]
    template = r"{0} \cdot {1}" if op == "*" and held[1][0].isdigit() else FUNCTIONS[op].latex
    return template.format(*held), strength


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
