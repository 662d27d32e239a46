"""Texts to be read: valid ones, pieces to break them with, and those that are hard to read."""

from __future__ import annotations

import random

from oracle import random_formula

from steepest.formula.grammar import MAX_LENGTH

VALID = [
    "y = a*exp(-b*x) + c",
    "log(y) = log(a) + b*log(x)",
    "y = where(x > 0 and not x >= 3, a*x**2, b/(c + x))",
    "y = [x1, x2, `x 3`] @ B + c",
    "y = X @ B",
    "y = -2^-x^2*pi/3 - -1.5e-3",
    "1/(1 + exp(-k*(x - m)))",
    "y = min(a, b*x, 3)*max(x, 1) - clip(x, -1, +1)",
    "lambda*x + beta - gamma*E**I",
    "0 < x <= 1 or x != 2",
]
PIECES = [
    "a",
    "x",
    "lambda",
    "pi",
    "1",
    "2.5",
    "1e9",
    ".5",
    "+",
    "-",
    "*",
    "/",
    "**",
    "^",
    "@",
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
    "<",
    "<=",
    "==",
    "!=",
    " and ",
    " or ",
    " not ",
    "exp",
    "log(",
    "sin(",
    "where(",
    "min(",
    "clip(",
    "`odd name`",
    "`",
    ";",
    " ",
    "\n",
    "β",
    "²",
    "−",
    "'",
    '"',
    "\\",
    "{",
    "0",
    "e5",
    "9**9",
    "_",
    "#",
    "$",
    "%",
]

HARD = {
    "parentheses": "(" * 5000 + ")" * 5000,
    "open parentheses": "(" * MAX_LENGTH,
    "signs": "-" * 9999 + "x",
    "powers": "**".join("x" * 3000),
    "calls": "sin(" * 2000 + "x" + ")" * 2000,
    "brackets": "[" * MAX_LENGTH,
    "a sum of 2,000 terms": "+".join(f"a{i}*x" for i in range(1200)) + "+x" * 800,
    "a product": "*".join("x" * 5000),
    "10,000 characters": "x" * MAX_LENGTH,
    "10,001 characters": "x" * (MAX_LENGTH + 1),
    "one number": "9" * MAX_LENGTH,
    "a decimal": "1." + "9" * (MAX_LENGTH - 2),
    "an exponent": "1e" + "9" * (MAX_LENGTH - 2),
    "comparisons": "<".join("x" * 5000),
    "ands": " and ".join(["x>0"] * 1250),
    "nots": "not " * 2000 + "x > 0",
    "minimum of many": "min(" + ",".join("x" * 4990) + ")",
    "columns": "[" + ",".join("x" * 4990) + "] @ B",
    "towers": "9**9**9**9**9**9",
    "tower of integers": "((9**16)**16)**16",
    "factorial growth": "*".join(["999999999999999999"] * 500),
    "tangent": "tan(exp(exp(20.0)))",
    "fractions": "+".join(f"1/{p}" for p in range(3, 1800, 2)),
    "spaces": " " * (MAX_LENGTH - 1) + "x",
    "backticks": "`" * MAX_LENGTH,
    "an unknown function": "q" * 9000 + "(x)",
    "nested choices": "where(x > 0, " * 90 + "x" + ", 1)" * 90,
}


def random_text(generator: random.Random) -> str:
    """Bytes, pieces in a row, a valid formula with some characters changed, or one that the grammar makes."""
    kind = generator.randrange(4)
    if kind == 0:
        return generator.randbytes(generator.randrange(200)).decode("latin-1")
    if kind == 1:
        return "".join(generator.choice(PIECES) for _ in range(generator.randrange(60)))
    if kind == 2:
        return random_formula(generator, generator.randrange(2, 7), ("a", "x", "E", "`b c`"))
    text = generator.choice(VALID)
    for _ in range(generator.randrange(1, 5)):
        at = generator.randrange(len(text) + 1)
        until = min(len(text), at + generator.randrange(6))
        text = text[:at] + generator.choice([*PIECES, text[at:until] * 2, ""]) + text[until:]
    return text
