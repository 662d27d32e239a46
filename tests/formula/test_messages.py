"""What a wrong formula is answered: in full, so that each message can be read aloud."""

from __future__ import annotations

import pytest

from steepest.errors import FormulaError
from steepest.formula.grammar import parse, parse_rule

FORMULAS: list[tuple[str, list[str]]] = [
    ("", [
        "the formula is empty",
        "as in y = a*exp(-b*x) + c",
    ]),
    ("y = ", [
        "the formula ends too early",
        "  y = ",
        "    ^",
        "something is missing after =",
    ]),
    ("= a*x", [
        "something is missing before =",
        "  = a*x",
        "  ^",
        "write y = ..., with y a column",
    ]),
    ("y = a*x + ", [
        "the formula ends too early",
        "  y = a*x + ",
        "          ^",
        "something is missing after +",
    ]),
    ("y = 2x", [
        "a sign is missing between the two",
        "  y = 2x",
        "      ^^",
        "write 2*x for a product",
    ]),
    ("y = a x", [
        "a sign is missing between the two",
        "  y = a x",
        "      ^^^",
        "write a*x for a product",
    ]),
    ("y = (a + b)(x)", [
        "a sign is missing between the two",
        "  y = (a + b)(x)",
        "            ^^",
        "write (...)*(...) for a product",
    ]),
    ("y = exp(-b*x", [
        "this parenthesis is not closed",
        "  y = exp(-b*x",
        "         ^",
        "write ) where it ends",
    ]),
    ("y = a*x)", [
        "a parenthesis closes that was not opened",
        "  y = a*x)",
        "         ^",
        "delete it, or write ( where it begins",
    ]),
    ("y = a */ x", [
        "two signs in a row",
        "  y = a */ x",
        "        ^^",
        "a power is written ** or ^",
    ]),
    ("y == a*x", [
        "a comparison is no number",
        "  y == a*x",
        "  ^^^^^^^^",
        "write = between both sides of a model",
    ]),
    ("y = a*x = 3", [
        "a second = in the formula",
        "  y = a*x = 3",
        "          ^",
        "write == to compare, inside where(...)",
    ]),
    ("y = x > 0", [
        "a comparison is no number",
        "  y = x > 0",
        "      ^^^^^",
        "write where(x > 0, a, b) to choose between two",
    ]),
    ("1 + (x > 0)", [
        "a comparison is no number",
        "  1 + (x > 0)",
        "      ^^^^^^^",
        "write where(x > 0, a, b) to choose between two",
    ]),
    ("where(x, a, b)", [
        "where(condition, a, b) begins with a condition",
        "  where(x, a, b)",
        "        ^",
        "as in where(x > 0, a, b)",
    ]),
    ("where(x > 0, a)", [
        "where takes three arguments, not 2",
        "  where(x > 0, a)",
        "  ^^^^^^^^^^^^^^^",
        "write where(condition, a, b)",
    ]),
    ("sin(a, b)", [
        "sin takes one argument, not 2",
        "  sin(a, b)",
        "  ^^^^^^^^^",
        "write sin(x)",
    ]),
    ("max(a)", [
        "max takes two arguments or more, not 1",
        "  max(a)",
        "  ^^^^^^",
        "write max(a, b)",
    ]),
    ("y = ()", [
        "empty parentheses",
        "  y = ()",
        "      ^^",
        "write something between them, or delete them",
    ]),
    ("y = expp(a*x)", [
        "expp is not a function that steepest knows",
        "  y = expp(a*x)",
        "      ^^^^",
        "did you mean exp(...)? Else write expp*(...) for a product",
    ]),
    ("y = foo(x)", [
        "foo is not a function that steepest knows",
        "  y = foo(x)",
        "      ^^^",
        "write foo*(...) for a product",
    ]),
    ("y = sum(x)", [
        "sum is not a function that steepest knows",
        "  y = sum(x)",
        "      ^^^",
        "the sum over rows is taken by itself; over columns write X @ B, over squares in a penalty B @ B",
    ]),
    ("y = if(x > 0, 1, 2)", [
        "if is not a function that steepest knows",
        "  y = if(x > 0, 1, 2)",
        "      ^^",
        "write where(condition, a, b)",
    ]),
    ("x if x > 0 else y", [
        "a choice is written as a function",
        "  x if x > 0 else y",
        "  ^^^^",
        "write where(condition, a, b)",
    ]),
    ("y ~ x", [
        "~ has no meaning in a formula",
        "  y ~ x",
        "    ^",
        "R's ~ is written = here, and every parameter by name: y = a + b*x",
    ]),
    ("a % b", [
        "% has no meaning in a formula",
        "  a % b",
        "    ^",
        "there is no remainder; percentages are written as numbers",
    ]),
    ("|x|", [
        "| has no meaning in a formula",
        "  |x|",
        "  ^",
        "write or between conditions, abs(x) for |x|",
    ]),
    ("a && b", [
        "&& has no meaning in a formula",
        "  a && b",
        "    ^^",
        "write and",
    ]),
    ("x and y", [
        "and stands between two conditions",
        "  x and y",
        "    ^^^",
        "as in x > 0 and x < 1",
    ]),
    ("not x", [
        "not stands before a condition",
        "  not x",
        "  ^^^",
        "as in not x > 0",
    ]),
    ("y = a[device]*x", [
        "an indexed parameter (one value for each value of a column) is not built yet",
        "  y = a[device]*x",
        "      ^^^^^^^^^",
        "fit each group by itself, with where=",
    ]),
    ("y = [x1, x2]", [
        "a list of columns stands only before @",
        "  y = [x1, x2]",
        "      ^^^^^^^^",
        "as in [x1, x2] @ B",
    ]),
    ("[x1, x2 @ B", [
        "this bracket is not closed",
        "  [x1, x2 @ B",
        "  ^",
        "write ] where it ends",
    ]),
    ("[x1, x2] @ (a + b)", [
        "@ stands between a matrix and the name of its parameters",
        "  [x1, x2] @ (a + b)",
        "           ^",
        "write X @ B, X a matrix column or a list [x1, x2] and B a name; a ridge penalty is 5*(B @ B)",
    ]),
    ("y = 1.2.3", [
        "1.2.3 is no number",
        "  y = 1.2.3",
        "      ^^^^^",
        "a number has one decimal point, as in 1.5",
    ]),
    ("y = 1,5*x", [
        "a comma stands only between the arguments of a function",
        "  y = 1,5*x",
        "       ^",
        "write a decimal point, as in 1.5",
    ]),
    ("1e400", [
        "this number is out of range",
        "  1e400",
        "  ^^^^^",
        "the largest is about 1.8e308",
    ]),
    ("1e-400", [
        "this number is too small",
        "  1e-400",
        "  ^^^^^^",
        "the smallest is about 4.9e-324; write 0",
    ]),
    ("2e*x", [
        "a sign is missing between the two",
        "  2e*x",
        "  ^^",
        "2*e is a product, 2e3 a number",
    ]),
    ("y = 3 + 1/0", [
        "1/0 is not a finite number",
        "  y = 3 + 1/0",
        "          ^^^",
        "a formula is computed in real numbers",
    ]),
    ("y = a*log(0)", [
        "log(0) is not a finite number",
        "  y = a*log(0)",
        "        ^^^^^^",
        "a formula is computed in real numbers",
    ]),
    ("tan(exp(exp(20.0)))", [
        "exp(exp(20.0)) is not a finite number",
        "  tan(exp(exp(20.0)))",
        "      ^^^^^^^^^^^^^^",
        "a formula is computed in real numbers",
    ]),
    ("np.exp(x)", [
        ". has no meaning in a formula",
        "  np.exp(x)",
        "    ^",
        "functions stand alone, as in exp(x); a column with a dot in its name stands in backticks",
    ]),
    ("y = x²", [
        "the name x² looks like another",
        "  y = x²",
        "      ^^",
        "for a power write x**2, for a name x2",
    ]),
    ("y = a·x", [
        "· has no meaning in a formula",
        "  y = a·x",
        "       ^",
        "write * for a product",
    ]),
    ("y = a − b", [
        "− has no meaning in a formula",
        "  y = a − b",
        "        ^",
        "write the minus sign of the keyboard, -",
    ]),
    ("x ≤ 3", [
        "≤ has no meaning in a formula",
        "  x ≤ 3",
        "    ^",
        "write <=",
    ]),
    ("`my col", [
        "` has no meaning in a formula",
        "  `my col",
        "  ^",
        "a name in backticks must end with a backtick",
    ]),
    ('"x"', [
        '" has no meaning in a formula',
        '  "x"',
        "  ^",
        "names need no quotes",
    ]),
    ("y = a*x;", [
        "one formula at a time",
        "  y = a*x;",
        "         ^",
        "only an update rule has several assignments",
    ]),
    ("a // b", [
        "// has no meaning in a formula",
        "  a // b",
        "    ^^",
        "write / for a quotient",
    ]),
    ('\\frac{a}{b}', [
        '\\ has no meaning in a formula',
        '  \\frac{a}{b}',
        "  ^",
        "a formula is plain text, not LaTeX",
    ]),
    ("__import__('os').system('x')", [
        "' has no meaning in a formula",
        "  __import__('os').system('x')",
        "             ^",
        "names need no quotes; odd column names stand in backticks, `my column`",
    ]),
    ("lambda x: x", [
        ": has no meaning in a formula",
        "  lambda x: x",
        "          ^",
        "a formula has no colon",
    ]),
    ("sin x", [
        "a sign is missing between the two",
        "  sin x",
        "  ^^^^^",
        "write sin(x)",
    ]),
    ("log[x]", [
        "a function takes round parentheses",
        "  log[x]",
        "  ^^^^",
        "write log(...)",
    ]),
    ("ﬁt*x", [
        "the name ﬁt looks like another",
        "  ﬁt*x",
        "  ^^",
        "write fit",
    ]),
    ('a*x\u200b', [
        "the character U+200B has no meaning in a formula",
        "  a*x ",
        "     ^",
        "delete it: it cannot be seen",
    ]),
    ('a\n*\n$b', [
        "$ has no meaning in a formula",
        "  a * $b",
        "      ^",
        "a column with an odd name stands in backticks",
    ]),
    ('\ta\t$', [
        "$ has no meaning in a formula",
        "   a $",
        "     ^",
        "a column with an odd name stands in backticks",
    ]),
    ("a =< b", [
        "=< has no meaning in a formula",
        "  a =< b",
        "    ^^",
        "write <=",
    ]),
    ("y = *x", [
        "a number, a name or a parenthesis is missing before *",
        "  y = *x",
        "      ^",
        "delete *, or write what is missing",
    ]),
    ("١٢*x", [
        "١ has no meaning in a formula",
        "  ١٢*x",
        "  ^",
        "write the digits 0 to 9",
    ]),
    ("tanh(a, )", [
        "a number, a name or a parenthesis is missing before )",
        "  tanh(a, )",
        "          ^",
        "delete ), or write what is missing",
    ]),
    ("y = " + "a*x + " * 30 + "2x" + " + a*x" * 30, [
        "a sign is missing between the two",
        "  ...a*x + a*x + a*x + a*x + 2x + a*x + a*x + a*x + a*x + a*x + a*x + a*x + a...",
        "                             ^^",
        "write 2*x for a product",
    ]),
]  # fmt: skip

RULES: list[tuple[str, list[str]]] = [
    ("v = 0.9*v + g; theta", [
        "an assignment needs =, as in theta = theta - rate*g",
        "  v = 0.9*v + g; theta",
        "                      ^",
    ]),
    ("2*v = g", [
        "an update rule is assignments",
        "  2*v = g",
        "  ^",
        "as in v = 0.9*v + g; theta = theta - rate*v",
    ]),
    ("pi = 3", [
        "pi cannot be assigned",
        "  pi = 3",
        "  ^^",
        "choose another name",
    ]),
    ("v + g", [
        "an assignment needs =, as in theta = theta - rate*g",
        "  v + g",
        "    ^",
    ]),
]  # fmt: skip

CONDITIONS: list[tuple[str, list[str]]] = [
    ("x", [
        "a condition is needed here",
        "  x",
        "  ^",
        "compare something, as in x > 0",
    ]),
    ("x = 3", [
        "a condition compares",
        "  x = 3",
        "    ^",
        "write == for equality",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), FORMULAS)
def test_a_wrong_formula_is_answered_with_its_place_and_its_mend(text: str, lines: list[str]) -> None:
    with pytest.raises(FormulaError) as error:
        parse(text)
    assert str(error.value).split("\n") == lines


@pytest.mark.parametrize(("text", "lines"), RULES)
def test_a_wrong_rule_is_answered_with_its_place_and_its_mend(text: str, lines: list[str]) -> None:
    with pytest.raises(FormulaError) as error:
        parse_rule(text)
    assert str(error.value).split("\n") == lines


@pytest.mark.parametrize(("text", "lines"), CONDITIONS)
def test_a_wrong_condition_is_answered_with_its_place_and_its_mend(text: str, lines: list[str]) -> None:
    with pytest.raises(FormulaError) as error:
        parse(text, condition=True)
    assert str(error.value).split("\n") == lines


def test_nearly_every_message_holds_its_mend() -> None:
    marked = [lines for _, lines in FORMULAS if len(lines) > 1]
    assert len(FORMULAS) >= 60
    assert sum(len(lines) in (2, 4) for lines in marked) >= 0.8 * len(marked)


@pytest.mark.parametrize("lead", ["", "a*b + ", "\t", "\n\n", " " * 20, "x + " * 50])
@pytest.mark.parametrize("tail", ["", " + b", " + b*x" * 50])
def test_the_mark_stands_under_what_offends(lead: str, tail: str) -> None:
    text = f"{lead}2.5qq{tail}"
    with pytest.raises(FormulaError) as error:
        parse(text)
    _, shown, mark, mend = str(error.value).split("\n")
    assert shown[mark.index("^") : mark.rindex("^") + 1] == "2.5qq"
    assert mend == "write 2.5*qq for a product"


def test_a_long_formula_is_shown_around_the_place() -> None:
    with pytest.raises(FormulaError) as error:
        parse("x + " * 2000 + "$ + x")
    assert max(map(len, str(error.value).split("\n"))) < 100


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("y = 농도 * $", "             ^"),
        ("y = 온도 온도2", "      ^^^^^^^^^^"),
        ("e\u0301*$", "   ^"),
        ("`🌡 temp` $", "           ^"),
    ],
)
def test_the_mark_stands_under_what_offends_behind_wide_characters_too(text: str, mark: str) -> None:
    with pytest.raises(FormulaError) as error:
        parse(text)
    assert str(error.value).split("\n")[2] == mark
