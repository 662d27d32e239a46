"""LaTeX and text of programs."""

from __future__ import annotations

import random

import pytest
from matplotlib.mathtext import MathTextParser
from oracle import random_formula

from steepest.errors import FormulaError
from steepest.formula.derive import gradient
from steepest.formula.grammar import parse
from steepest.formula.printing import latex_name, to_latex, to_text

GOLDEN = {
    "a*exp(-b*x) + c": r"a \, \exp\left(-b \, x\right) + c",
    "1/(1 + exp(-k*(x - m)))": r"\frac{1}{1 + \exp\left(-k \, \left(x - m\right)\right)}",
    "a*x**b": r"a \, x^{b}",
    "(a + b)**2": r"\left(a + b\right)^{2}",
    "x**-2": r"x^{-2}",
    "2**-x": r"2^{-x}",
    "-x**2/(2*s**2)": r"-\frac{x^{2}}{2 \, s^{2}}",
    "(x/y)**2": r"\left(\frac{x}{y}\right)^{2}",
    "sqrt(a**2 + b**2)": r"\sqrt{a^{2} + b^{2}}",
    "cbrt(x)": r"\sqrt[3]{x}",
    "beta*theta_1 + lambda*x12": r"\beta \, \theta_{1} + \lambda \, x_{12}",
    "k_cat*Omega": r"k_{\mathrm{cat}} \, \Omega",
    "abs(x - 1)": r"\left|x - 1\right|",
    "log10(x) - log2(x) + log1p(x)": r"\log_{10}\left(x\right) - \log_{2}\left(x\right) + \log\left(1 + x\right)",
    "sigmoid(x)*softplus(x)": r"\sigma\left(x\right) \, \mathrm{softplus}\left(x\right)",
    "asin(x) + acosh(x)": r"\arcsin\left(x\right) + \mathrm{arcosh}\left(x\right)",
    "atan2(y, x)": r"\mathrm{atan2}\left(y, x\right)",
    "max(a, b)": r"\max\left(a, b\right)",
    "where(x >= 0, a, b)": r"\begin{cases} a & x \ge 0 \\ b & \text{otherwise} \end{cases}",
    "2*where(x > 0, 1, 0)": r"2 \, \left(\begin{cases} 1 & x > 0 \\ 0 & \text{otherwise} \end{cases}\right)",
    "X @ B": r"X \, B",
    "[x1, x2] @ B": r"\begin{pmatrix} x_{1} & x_{2} \end{pmatrix} \, B",
    "1.5e-7*x": r"1.5 \cdot 10^{-7} \, x",
    "x*2": r"x \cdot 2",
    "2/3*x": r"\frac{2}{3} \, x",
    "2*pi*x": r"2 \, \pi \, x",
    "a - (b - c)": r"a - \left(b - c\right)",
    "(a*b)**(c + 1)": r"\left(a \, b\right)^{c + 1}",
    "`my column` + `temp[degC]`": r"\mathrm{my\ column} + \mathrm{temp[degC]}",
    r"`\input{x}`*`a_b_c`*`50%`": r"\mathrm{\backslash{}input\{x\}} \, \mathrm{a\_b\_c} \, \mathrm{50\%}",
    "expm1(x)**2": r"\left(e^{x} - 1\right)^{2}",
    "exp(x)**2": r"\exp\left(x\right)^{2}",
    "alpha_max*velocity": r"\alpha_{\mathrm{max}} \, \mathrm{velocity}",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_a_formula_has_its_latex(text: str) -> None:
    formula = parse(text)
    assert to_latex(formula.graph, formula.right) == GOLDEN[text]


def mathtext(latex: str) -> None:
    MathTextParser("path").parse(f"${latex}$")


@pytest.mark.parametrize("text", [t for t in GOLDEN if "where" not in t and "[x1" not in t])
def test_the_latex_of_a_formula_is_read_by_matplotlib(text: str) -> None:
    mathtext(GOLDEN[text])


def test_the_latex_of_a_random_formula_and_of_its_gradient_is_read_by_matplotlib() -> None:
    generator, read = random.Random(7), 0
    while read < 60:
        try:
            formula = parse(random_formula(generator, 3))
        except FormulaError:
            continue
        partials = gradient(formula.graph, formula.right, list(formula.names)).values()
        for node in [formula.right, *(p.node for p in partials if p.node is not None)]:
            latex = to_latex(formula.graph, node)
            assert latex.count("{") == latex.count("}") and latex.count(r"\left") == latex.count(r"\right")
            if "cases" not in latex:
                mathtext(latex)
                read += 1


@pytest.mark.parametrize(
    "name",
    [
        "$x$",
        "a\nb",
        "\\alpha",
        "x^2",
        "~",
        "100%",
        "#1",
        "a&b",
        "{",
        "}",
        "농도",
        "β",
        "a'",
        "x_",
        "_x",
        "__",
        "a_b",
        "x_1_2",
        "<b>",
        "[red]x",
    ],
)
def test_an_odd_name_is_plain_text_in_latex(name: str) -> None:
    latex = latex_name(name)
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    assert "\n" not in latex and "$" not in latex.replace(r"\$", "")
    if name.isascii() and "&" not in name:  # which LaTeX knows as \\& and matplotlib does not
        mathtext(latex)


def test_a_long_text_is_cut_where_asked() -> None:
    formula = parse("+".join(f"a{i}*x" for i in range(500)))
    shown = to_text(formula.graph, formula.right, 60)
    assert len(shown) < 120 and "..." in shown


def test_the_text_of_a_derivative_is_a_formula_again() -> None:
    for text in (
        "a*x**b",
        "where(x > 0, a*log(x), b)",
        "clip(a*x, 0, b)",
        "a*exp(-b*exp(-c*x))",
        "1/(1 + exp(-k*(x - m)))",
    ):
        formula = parse(text)
        for partial in gradient(formula.graph, formula.right, list(formula.names)).values():
            if partial.node is not None:
                shown = to_text(formula.graph, partial.node)
                again = parse(shown)
                assert to_text(again.graph, again.right) == shown
