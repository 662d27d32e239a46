"""The boundary to SymPy: what comes in, what goes out, and that no number hangs it."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings

import pytest
import sympy as sp
from sympy.abc import a, b, c, k, m, x, y
from sympy.core.function import AppliedUndef

from steepest.errors import FormulaError
from steepest.formula.derive import gradient, hessian
from steepest.formula.functions import FUNCTIONS
from steepest.formula.grammar import Formula, parse
from steepest.formula.printing import to_latex, to_text
from steepest.formula.sympy import FORMS, from_sympy, tidy, to_sympy, to_sympy_many


def mixed() -> sp.Expr:
    """The notes' second cell: a Poly in a sum, over which SymPy itself warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sp.poly(x**2 + 2 * x * y + 3) + sp.cos(x + 2 * y)


def held() -> sp.Expr:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sp.Add(sp.poly(x**2 + 2 * x * y + 3), sp.cos(x + 2 * y), evaluate=False)


def partials(formula: Formula) -> dict[str, sp.Expr]:
    found = gradient(formula.graph, formula.right, list(formula.names))
    return {n: to_sympy(formula.graph, p.node) for n, p in found.items() if p.node is not None}


# the notes -----------------------------------------------------------------------------------------------------------
def test_the_first_cell_of_the_notes_has_the_derivative_that_sympy_gives() -> None:
    polynomial = sp.poly(x**2 + 2 * x + 3)
    ours = partials(from_sympy(polynomial))["x"]
    assert ours == 2 * x + 2
    assert sp.diff(polynomial, x) == ours and sp.diff(polynomial, x).as_expr() == ours


@pytest.mark.parametrize("cell", [mixed, held])
def test_the_second_cell_of_the_notes_has_the_partial_derivatives_that_sympy_gives(cell: object) -> None:
    expression = cell()  # type: ignore[operator]
    ours = partials(from_sympy(expression))
    assert ours == {"x": 2 * x + 2 * y - sp.sin(x + 2 * y), "y": 2 * x - 2 * sp.sin(x + 2 * y)}
    if cell is mixed:
        assert ours == {"x": sp.diff(expression, x), "y": sp.diff(expression, y)}


def test_the_second_derivatives_of_the_notes_are_those_that_sympy_gives() -> None:
    formula = from_sympy(mixed())
    first = gradient(formula.graph, formula.right, ["x", "y"])
    second = hessian(formula.graph, first, ["x", "y"])
    for pair, node in second.items():
        assert to_sympy(formula.graph, node, order=2) == sp.diff(mixed(), *pair)
        assert to_sympy(formula.graph, node) == sp.diff(sp.diff(mixed(), pair[0]), pair[1])


def test_the_text_of_the_notes_and_its_sympy_form_are_one_formula() -> None:
    assert partials(parse("x^2 + 2*x*y + 3 + cos(x + 2*y)")) == partials(from_sympy(mixed()))


# coming in -----------------------------------------------------------------------------------------------------------
E = sp.Symbol("E")
COMES_IN = [
    (sp.Eq(y, a * sp.exp(-b * x) + c), "y = a*exp(-b*x) + c"),
    (sp.Eq(sp.log(y), sp.poly(x**2 + 1)), "log(y) = x**2 + 1"),
    (sp.Poly(a * x**2 + x, x), "a*x**2 + x"),
    (sp.sqrt(x) / 2 - 3 * x / y**2 + 1 / sp.sqrt(x), "sqrt(x)/2 - 3*x/y**2 + 1/sqrt(x)"),
    (sp.cbrt(x) + x ** sp.Rational(-2, 3), "x**(1/3) + 1/x**(2/3)"),
    (-x - 3, "-x - 3"),
    (x - y / 3, "x - y/3"),
    (sp.exp(-((x - m) ** 2) / (2 * k**2)), "exp(-(x - m)**2/(2*k**2))"),
    (sp.Piecewise((sp.log(x), x > 0), (y, x < -1), (0, True)), "where(x > 0, log(x), where(x < -1, y, 0))"),
    (sp.Piecewise((1, sp.Or(sp.Eq(x, 1), sp.Ne(y, 2))), (0, True)), "where(x == 1 or y != 2, 1, 0)"),
    (sp.Piecewise((1, sp.Not(sp.And(x > 0, y > 0), evaluate=False)), (0, True)), "where(not (x > 0 and y > 0), 1, 0)"),
    (sp.Heaviside(x), "where(x > 0, 1, where(x < 0, 0, 1/2))"),
    (sp.Max(x, y) + sp.Min(x, 3), "max(x, y) + min(3, x)"),
    (sp.Abs(x) * sp.sign(y), "abs(x)*sign(y)"),
    (sp.atan2(y, x), "atan2(y, x)"),
    (sp.sec(x) + sp.coth(y), "1/tanh(y) + 1/cos(x)"),
    (sp.erf(x) + sp.erfc(y), "erf(x) + erfc(y)"),
    (sp.loggamma(x) + sp.digamma(y), "lgamma(x) + digamma(y)"),
    (sp.polygamma(2, x + y), "polygamma(2, x + y)"),
    (sp.sinh(x) + sp.acosh(y), "sinh(x) + acosh(y)"),
    (sp.log(x, b), "log(x)/log(b)"),
    (sp.pi * x, "pi*x"),
    (sp.E * x, "2.718281828459045*x"),
    (sp.Float("0.1") * x, "0.1*x"),
    (sp.Rational(2, 3) * x, "2*x/3"),
    (x**100000, "x**100000"),
    (sp.Function("softplus")(x), "softplus(x)"),
    (sp.Symbol("my column") * sp.Symbol("lambda") * E, "E*lambda*`my column`"),
    (sp.Dummy("q") + sp.Symbol("p", positive=True), "p + q"),
    (sp.UnevaluatedExpr(x) + y, "y + x"),
]


@pytest.mark.parametrize(("expression", "text"), COMES_IN)
def test_an_expression_of_sympy_comes_in_as_the_formula_one_would_write(expression: sp.Basic, text: str) -> None:
    formula = from_sympy(expression)
    if isinstance(expression, sp.Add) and expression.has(sp.Dummy, sp.UnevaluatedExpr):  # SymPy orders them as it likes
        assert sorted(formula.text.split(" + ")) == sorted(text.split(" + "))
    else:
        assert formula.text == text


def test_a_symbol_goes_by_its_name_whatever_is_assumed_of_it() -> None:
    assert from_sympy(sp.Symbol("x", positive=True) + 2 * sp.Symbol("x")).names.keys() == {"x"}


STAYS_OUT = [
    (sp.Integral(x, x), "Integral"),
    (sp.Derivative(sp.Function("f")(x), x), "Derivative"),
    (sp.Sum(x, (x, 0, 3)), "Sum"),
    (sp.zoo, "zoo"),
    (sp.nan, "nan"),
    (sp.oo, "oo"),
    (-sp.oo, "-oo"),
    (sp.I * x, "I, the imaginary unit"),
    (sp.Function("f")(x), "the function f"),
    (sp.erfi(x), "erfi"),
    (sp.gamma(x), "gamma"),
    (sp.polygamma(y, x), "the order of polygamma"),
    (sp.ImmutableMatrix([x]), "Matrix"),
    (sp.MatrixSymbol("A", 2, 2), "MatrixSymbol"),
    (sp.Mod(x, 2), "Mod"),
    (sp.re(x), "re"),
    (sp.Lambda(x, x + 1), "Lambda"),
    (sp.GoldenRatio * x, "GoldenRatio"),
    (sp.Poly(x + 1, x, modulus=5), "Poly over GF(5)"),
    (sp.Tuple(x), "Tuple"),
    (sp.Piecewise((x, x > 0)), "end it with (value, True)"),
    (x > 0, "a comparison is no number"),
    (sp.true, "comparison"),
    (sp.Integer(10) ** 400, "out of range"),
    (sp.Float("1e400"), "out of range"),
    (sp.Rational(1, 10**400), "too small"),
    (sp.Symbol("a`b"), "cannot be written"),
    (sp.Symbol(" "), "cannot be written"),
    (sp.ITE(x > 0, y > 0, x < -1), "ITE"),
    (sp.tan(sp.exp(sp.exp(sp.Float(20), evaluate=False), evaluate=False), evaluate=False), "not a finite number"),
    (sp.Pow(sp.Integer(9), sp.Integer(9) ** 9, evaluate=False), "not a finite number"),
    (3, "not int"),
    ("x", "not str"),
    (sp.Matrix([x]), "Matrix"),
    (sp.log(sp.Integer(0), evaluate=False), "not a finite number"),
]


@pytest.mark.parametrize(("expression", "named"), STAYS_OUT)
def test_what_no_formula_can_hold_is_refused_by_name(expression: object, named: str) -> None:
    with pytest.raises(FormulaError) as error:
        from_sympy(expression)
    assert named in str(error.value)


def test_no_warning_of_ours_is_added_to_an_expression_that_holds_a_poly() -> None:
    expression = held()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_sympy(expression)


def nested(levels: int, shared: bool) -> sp.Expr:
    expression = x
    for _ in range(levels):
        expression = sp.sin(expression) + sp.cos(expression) if shared else sp.sin(expression)
    return expression


LARGE = {
    "deep": lambda: nested(150, False),
    "shared": lambda: nested(60, True),
    "3,000 terms": lambda: sp.Add(*[sp.Symbol(f"xxxxxx{i}") for i in range(3000)]),
    "20,000 terms": lambda: sp.Add(*[sp.Symbol(f"x{i}") for i in range(20000)]),
    "a large Poly": lambda: sp.Poly.from_list([1] * 30000, x),
}


@pytest.mark.parametrize("name", LARGE)
def test_an_expression_beyond_the_limits_is_refused_at_once(name: str) -> None:
    expression = LARGE[name]()
    start = time.perf_counter()
    with pytest.raises(FormulaError):
        from_sympy(expression)
    assert time.perf_counter() - start < 5


def test_800_terms_come_in() -> None:
    assert len(from_sympy(sp.Add(*[sp.Symbol(f"x{i}") for i in range(800)])).names) == 800


# going out -----------------------------------------------------------------------------------------------------------
def test_every_operation_of_the_table_has_a_form_in_sympy() -> None:
    assert set(FORMS) == set(FUNCTIONS)


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if not FUNCTIONS[n].condition and n != "where"])
def test_the_form_of_an_operation_in_sympy_has_its_value(name: str) -> None:
    import numpy as np

    row = FUNCTIONS[name]
    point = [1.3, 0.4, 2.2] if name in ("acosh", "clip") else [0.4, 1.3, 2.2]
    point = [2.0, 1.3] if name == "polygamma" else point  # SymPy takes an order to be an integer
    u = sp.symbols("u v w")[: row.arity]
    expression = FORMS[name](*u)
    value = expression.evalf(30, subs=dict(zip(u, point, strict=False)))
    assert float(value) == pytest.approx(float(row.numpy(*(np.float64(p) for p in point[: row.arity]))), rel=1e-14)


@pytest.mark.parametrize(
    "expression",
    [
        e
        for e, _ in COMES_IN
        if isinstance(e, sp.Expr) and not e.has(sp.Heaviside, sp.Float, sp.E, sp.Not, AppliedUndef)
    ],
)
def test_an_expression_goes_out_as_it_came_in(expression: sp.Expr) -> None:
    plain = expression.xreplace({s: sp.Symbol(s.name) for s in expression.free_symbols}).replace(
        sp.UnevaluatedExpr, lambda e: e
    )
    formula = from_sympy(expression)
    out = to_sympy(formula.graph, formula.right)
    assert out == plain or sp.simplify(out - plain) == 0


def test_the_guard_of_a_power_is_true_and_a_choice_is_a_piecewise() -> None:
    assert partials(parse("a*x**b"))["x"] == a * b * x ** (b - 1)
    assert partials(parse("where(x > 0, a*x, b)"))["a"] == sp.Piecewise((x, x > 0), (0, True))


def test_integers_and_fractions_go_out_exact() -> None:
    formula = parse("2/3*x**2 + 10**18*x + 0.5")
    assert to_sympy(formula.graph, formula.right) == sp.Rational(2, 3) * x**2 + 10**18 * x + sp.Float(0.5)


def test_symbols_of_the_callers_are_used() -> None:
    positive = sp.Symbol("x", positive=True)
    formula = parse("a*x")
    assert to_sympy(formula.graph, formula.right, {"x": positive}) == a * positive


def test_a_product_with_a_vector_is_written_out_over_its_elements() -> None:
    B0, B1, x1, x2 = sp.symbols("B[0] B[1] x1 x2")
    formula = parse("[x1, x2] @ B + c")
    assert to_sympy(formula.graph, formula.right) == B0 * x1 + B1 * x2 + c
    formula = parse("X @ B + c")
    assert to_sympy(formula.graph, formula.right) == sp.Symbol("X @ B") + c


def test_several_nodes_go_out_together() -> None:
    formula = parse("a*exp(-b*x)")
    found = gradient(formula.graph, formula.right, ["a", "b"])
    nodes = [p.node for p in found.values() if p.node is not None]
    assert to_sympy_many(formula.graph, nodes) == [sp.exp(-b * x), -a * x * sp.exp(-b * x)]


TRAPS = [
    "tan(exp(exp(20.0 + x - x)))",
    "(2*x)**(10**18)",
    "((2*x)**1000)**1000*x",
    "((((2*x)**1000)**1000)**1000)**1000",
    "2**(x + 10**18)*3",
    "(x - x + 2)**(10**18)",
    "(2*x)**(10**18/3)",
    "(12*x)**(1/999999999999)",
    "1/(x - x)",
    "sin(x - x + 1e300)",
    "exp(exp(exp(x - x + 100)))",
    "(2*(x + y))**(10**17)",
    "2**(10**18*x)*2**x",
    "(2**x)**(10**18)",
    "(7*x/3)**-(10**17)",
    "g*x**1e308*x**1e308",
    "atan2(x - x, y - y)",
    "where(x - x > 0, 1, x)",
    "log(x - x)",
    "0**x",
    "(3**x)**(10**18)*9**x",
    "(-8*x)**(1/3)",
    "(x - x - 8)**(1/3)",
    "cos(pi*x/(10**17 + 3))",
    "x**x**x**x**x",
    "+".join(f"x{i}" for i in range(1400)),
    "*".join(f"x{i}" for i in range(1400)),
    "max(" + ",".join("xyz") * 300 + ")",
    "sin(" * 80 + "x" + ")" * 80,
    "where(x > 0, " * 60 + "x" + ", y)" * 60,
    "abs(exp(x))*sign(exp(x)*y)",
    "(x + y)**100*(x - y)**99",
    "-".join(f"(x - {i})**{i}" for i in range(60)),
    "1/(" * 60 + "x" + ")" * 60,
    "(1.5*x)**(10**18)",
    "2.0**(1e308*x)",
]


def test_no_number_of_a_formula_hangs_sympy() -> None:
    """In a process of its own, which can be ended: each of the traps, its gradient, and both tidied."""
    program = f"""
import time
from steepest.errors import FormulaError
from steepest.formula.derive import gradient
from steepest.formula.grammar import parse
from steepest.formula.printing import to_latex, to_text
from steepest.formula.sympy import from_sympy, tidy, to_sympy
for text in {TRAPS!r}:
    start = time.perf_counter()
    formula = parse(text)
    partials = gradient(formula.graph, formula.right, list(formula.names)[:2]).values()
    for node in [formula.right, *(p.node for p in partials if p.node is not None)]:
        graph, neat = tidy(formula.graph, node)
        to_text(graph, neat), to_latex(graph, neat)
        try:
            expression = to_sympy(formula.graph, node)
            str(expression)
            from_sympy(expression)
        except FormulaError:
            pass
    print(f"{{time.perf_counter() - start:.2f}} s", text[:40])
"""
    path = [p for p in sys.path if p]
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{program}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr[-2000:] + run.stdout[-500:]
    assert run.stdout.count("\n") == len(TRAPS)
    print(run.stdout)


# for people ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "name", "shown", "latex"),
    [
        ("a*exp(-b*x) + c", "b", "-a*x*exp(-b*x)", r"-a \, x \, \exp\left(-b \, x\right)"),
        (
            "x**2 + 2*x*y + 3 + cos(x + 2*y)",
            "x",
            "2*x + 2*y - sin(x + 2*y)",
            r"2 \, x + 2 \, y - \sin\left(x + 2 \, y\right)",
        ),
        ("a*x**b", "x", "a*b*x**(b - 1)", r"a \, b \, x^{b - 1}"),
        ("0.5*(y - a*x)**2", "a", "-x*(y - a*x)", r"-x \, \left(y - a \, x\right)"),
        ("a*exp(-(x - m)**2/(2*s**2))", "s", "a*(x - m)**2*exp(-(x - m)**2/(2*s**2))/s**3", None),
        ("softplus(a*x)", "a", "x*sigmoid(a*x)", r"x \, \sigma\left(a \, x\right)"),
        ("cbrt(a*x)", "a", "x/(3*cbrt(a*x)**2)", r"\frac{x}{3 \, \sqrt[3]{a \, x}^{2}}"),
        ("where(x > 0, a*log(x), b)", "b", "where(x <= 0, 1, 0)", None),
        ("a*([x1, x2] @ B)", "a", "[x1, x2] @ B", None),
        ("a*(X @ B)**2", "a", "(X @ B)**2", None),
        ("`my x`*a**2", "a", "2*a*`my x`", r"2 \, a \, \mathrm{my\ x}"),
    ],
)
def test_a_derivative_is_tidied_for_people(text: str, name: str, shown: str, latex: str | None) -> None:
    formula = parse(text)
    graph, node = tidy(formula.graph, gradient(formula.graph, formula.right, [name])[name].node or 0)
    assert to_text(graph, node) == shown
    assert latex is None or to_latex(graph, node) == latex


def test_what_sympy_cannot_hold_is_shown_as_it_is() -> None:
    formula = parse("tan(exp(exp(20.0 + x - x)))")
    assert tidy(formula.graph, formula.right) == (formula.graph, formula.right)
