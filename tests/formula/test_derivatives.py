"""Gradients and Hessians of whole formulas: against 50 digits, against SymPy, and where a branch is not taken."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from oracle import Checked, NoValue, compare_random_formulas, derivative, symbolic

from steepest.formula.derive import gradient, hessian
from steepest.formula.evaluate import Evaluator
from steepest.formula.grammar import parse
from steepest.formula.sympy import to_sympy

NIST = [
    "b1*(1 - exp(-b2*x))",
    "b1 + b2*exp(-x*b4) + b3*exp(-x*b5)",
    "exp(-b1*x)/(b2 + b3*x)",
    "b1*x**b2",
    "b1/(1 + exp(b2 - b3*x))",
    "b1/(1 + exp(b2 - b3*x))**(1/b4)",
    "b1*(x**2 + x*b2)/(x**2 + x*b3 + b4)",
    "(b1 + b2*x + b3*x**2 + b4*x**3)/(1 + b5*x + b6*x**2 + b7*x**3)",
    "b1*exp(b2/(x + b3))",
    "b1*exp(-(x - b2)**2/b3**2)",
    "b1 - b2*x - atan(b3/(x - b4))/pi",
    "b1*(b2 + x)**(-1/b3)",
    "b1 + b2*cos(2*pi*x/12) + b3*sin(2*pi*x/b4)",
    "(b1/b2)*exp(-0.5*((x - b3)/b2)**2)",
    "b1*b2*x/(1 + b2*x)",
]


def check(tally: object) -> None:
    assert tally.bad == []  # type: ignore[attr-defined]
    assert tally.worst[0] <= 64, tally.worst  # type: ignore[attr-defined]


def test_the_gradient_of_random_formulas_is_that_of_50_digits_with_no_nan() -> None:
    check(compare_random_formulas(40, 10, seed=1))


def test_the_hessian_of_random_formulas_is_that_of_50_digits_with_no_nan() -> None:
    check(compare_random_formulas(8, 5, seed=2, second=True, depth=3))


@pytest.mark.slow
def test_the_gradient_of_200_random_formulas_at_10_points_is_that_of_50_digits_with_no_nan() -> None:
    check(compare_random_formulas(200, 10, seed=3))


@pytest.mark.slow
def test_the_hessian_of_60_random_formulas_at_10_points_is_that_of_50_digits_with_no_nan() -> None:
    check(compare_random_formulas(60, 10, seed=4, second=True, depth=3))


@pytest.mark.parametrize("text", NIST)
def test_the_hessian_of_a_published_model_is_that_of_sympy_at_points(text: str) -> None:
    checked, expression = Checked(text), symbolic(text)
    generator = np.random.default_rng(5)
    for _ in range(5):
        point = {name: float(generator.uniform(0.5, 2.0)) for name in checked.names}
        exact = {sp.Symbol(name): sp.Float(value, 60) for name, value in point.items()}
        for i, a in enumerate(checked.names):
            for b in checked.names[i:]:
                truth = mp.mpf(sp.diff(expression, sp.Symbol(a), sp.Symbol(b)).evalf(50, subs=exact))
                assert checked.ratio(checked.second.get((a, b)), truth, point) <= 64, (a, b, point)


@pytest.mark.parametrize(
    "text",
    [
        "a*exp(-b*x) + c",
        "x**2 + 2*x*y + cos(x + 2*y)",
        "a*x**3 + b*x**2",
        "a*log(b*x)",
        "sin(a*x)*cos(b*x)",
        "a/(b + x)",
        "1/(1 + exp(-k*(x - m)))",
        "a*exp(-(x - m)**2/(2*s**2))",
        "sqrt(a**2 + b**2)",
        "tanh(a*x)/x",
        "atan2(a, b)",
        "x**n",
    ],
)
def test_the_gradient_and_hessian_are_those_of_sympy_as_expressions(text: str) -> None:
    checked, expression = Checked(text), symbolic(text)
    zero = [
        (to_sympy(checked.graph, checked.first[a].node), sp.diff(expression, a))
        for a in checked.names
        if checked.first[a].node
    ]
    zero += [(to_sympy(checked.graph, node), sp.diff(expression, *pair)) for pair, node in checked.second.items()]
    for ours, theirs in zero:
        difference = ours - theirs
        assert sp.simplify(difference.rewrite(sp.exp)) == 0 or sp.simplify(difference) == 0, (ours, theirs)


# branches not taken ------------------------------------------------------------------------------------------------
BRANCHES = [
    ("where(x > 0, a*log(x), b)", {"x": -1.0}),
    ("where(x > 0, a*log(x), b)", {"x": 0.0}),
    ("where(x >= 0, sqrt(x)*a, -a*sqrt(-x))", {"x": -2.0}),
    ("where(x < 1, a*x, exp(1000*x*a))", {"x": 0.5}),
    ("where(x < 1, exp(1000*x*a), a*x)", {"x": 2.0}),
    ("where(x == 0, a, sin(a*x)/x)", {"x": 0.0}),
    ("where(abs(x) < 1e-3, a - (a*x)**2, a*sin(x)/x)", {"x": 0.0}),
    ("where(x > 0, where(x > 1, log(x - 1)*a, sqrt(x)*b), a)", {"x": -1.0}),
    ("where(x > 0, where(x > 1, log(x - 1)*a, sqrt(x)*b), a)", {"x": 0.5}),
    ("where(x > 0 and a > 0, log(x)*log(a), b)", {"x": -1.0}),
    ("where(not x > 0, b, a/x)", {"x": 0.0}),
    ("where(x > 0, log(x), 0)*a + where(x > 0, 1/x, b)", {"x": 0.0}),
    ("where(x > 0, log(x)*a, 0)**2 + exp(where(x > 0, a/x, b))", {"x": -3.0}),
    ("min(a*x, where(x > 1, log(x - 1), b))", {"x": 0.5}),
    ("max(a*x, b)*where(x > 0, sqrt(x), 1)", {"x": -4.0}),
    ("min(exp(a*x), b)", {"x": 1000.0}),
    ("max(-exp(a*x), b)", {"x": 1000.0}),
    ("clip(exp(a*x), 0, b)", {"x": 1000.0}),
    ("clip(a*x, b - 1, b)", {"x": 0.1}),
    ("abs(where(x > 0, log(x)*a, a*b))", {"x": -1.0}),
    ("a*abs(x)**1.5 + b", {"x": 0.0}),
    ("a*x**b", {"x": 0.0}),
    ("a*x**2 + b*x", {"x": 0.0}),
    ("where(a > 0, x**a, b)", {"x": 0.0}),
    ("softplus(a*x) + b", {"x": 800.0}),
    ("softplus(a*x) + b", {"x": -800.0}),
    ("sigmoid(a*x)*b", {"x": -800.0}),
    ("tanh(a*x)*b", {"x": 800.0}),
    ("tanh(a*x)*b", {"x": 350.0}),
]


@pytest.mark.parametrize(("text", "point"), BRANCHES)
def test_the_branch_not_taken_never_reaches_a_derivative(text: str, point: dict[str, float]) -> None:
    checked = Checked(text)
    values = {"a": 1.25, "b": 2.5, **point}
    values = {name: values[name] for name in checked.names}
    parameters = [n for n in checked.names if n != "x"]  # x may sit on a kink
    pairs = [(a,) for a in parameters] + [(a, b) for i, a in enumerate(parameters) for b in parameters[i:]]
    nodes = [checked.formula.right, *(p.node for p in checked.first.values() if p.node is not None)]
    nodes += [checked.second[pair] for pair in pairs if pair in checked.second]
    assert not any(math.isnan(n) for n in checked.compute(nodes, values))
    for pair in pairs:
        try:
            truth = derivative(text, values, *pair)
        except NoValue:
            continue
        node = checked.first[pair[0]].node if len(pair) == 1 else checked.second.get(pair)  # type: ignore[call-overload]
        assert checked.ratio(node, truth, values) <= 64, (pair, truth)


def test_many_branches_over_one_part_keep_it_out_where_none_is_taken() -> None:
    text = "+".join(f"where(x > {i}, a*log(x)*{i}, b)" for i in range(1, 21))
    checked = Checked(text)
    nodes = [*(p.node for p in checked.first.values() if p.node is not None), *checked.second.values()]
    assert np.isfinite(checked.compute(nodes, {"x": -1.0, "a": 2.0, "b": 1.0})).all()
    slope = checked.compute([checked.first["a"].node or 0], {"x": 10.5, "a": 2.0, "b": 1.0})[0]
    assert slope == pytest.approx(math.log(10.5) * sum(range(1, 11)), rel=1e-14)


def test_clip_between_crossed_limits_is_the_upper_one_and_so_is_its_slope() -> None:
    checked = Checked("clip(x, lower, upper)")
    point = {"x": 0.0, "lower": 2.0, "upper": 1.0}
    assert checked.compute([checked.formula.right], point) == [1.0]
    assert checked.compute([p.node for p in checked.first.values() if p.node], point) == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(("b", "slope", "bend"), [(1.0, 1.0, 0.0), (2.0, 0.0, 2.0), (3.0, 0.0, 0.0), (2.5, 0.0, 0.0)])
def test_a_power_at_zero_has_its_own_slope_and_bend(b: float, slope: float, bend: float) -> None:
    checked = Checked("x**b")
    point = {"x": 0.0, "b": b}
    first, second = checked.first, checked.second
    assert checked.compute([first["x"].node or 0, second["x", "x"], first["b"].node or 0, second["b", "b"]], point) == [
        slope,
        bend,
        0.0,
        0.0,
    ]


def test_the_mixed_derivative_of_a_power_is_right_where_the_exponent_is_zero() -> None:
    checked = Checked("x**b")
    assert checked.compute([checked.second["x", "b"]], {"x": 2.0, "b": 0.0}) == [0.5]


# far out -------------------------------------------------------------------------------------------------------------
FAR = [
    "1/(1 + exp(-k*(x - m)))",
    "a/(1 + b*exp(-k*x))",
    "1/(a + exp(k*x))",
    "1 - 1/(1 + exp(k*x))",
    "a*exp(-b*exp(-k*x))",
    "atan(a*exp(k*x))",
    "tanh(a*exp(k*x))",
    "tanh(k*x)",
    "1/cosh(k*x)",
    "exp(-a*cosh(k*x))",
    "a/(b + exp(k*x) + exp(2*k*x))",
    "1/(1 + (1 + exp(k*x))**2)",
    "exp(-exp(-exp(k*x)))",
    "1/(1 + abs(x)**(2*k))",
    "exp(-(x**2)**k)",
    "where(x > 0, 1/(1 + exp(k*x)), a)",
    "erf(a*exp(k*x))",
    "erfc(k*x)",
]


@pytest.mark.parametrize("text", FAR)
def test_far_out_a_finite_value_has_a_finite_gradient(text: str) -> None:
    checked = Checked(text)
    first = [p.node for p in checked.first.values() if p.node is not None]
    for x in (-1e4, -2000.0, -750.0, -709.0, -30.0, -1.0, 1.0, 30.0, 709.0, 750.0, 2000.0, 1e4):
        values = {name: {"x": x, "m": 0.0, "a": 2.0, "b": 3.0}.get(name, 1.5) for name in checked.names}
        (value,) = checked.compute([checked.formula.right], values)
        if math.isfinite(value):
            assert np.isfinite(checked.compute(first, values)).all(), x


@pytest.mark.parametrize("text", FAR[:4])
def test_a_logistic_curve_written_by_hand_keeps_its_digits_and_its_hessian_far_out(text: str) -> None:
    checked = Checked(text)
    for x in (-2000.0, -700.0, -300.0, -20.0, 0.3, 20.0, 300.0, 700.0, 2000.0):
        values = {name: {"x": x, "m": 0.0, "a": 2.0, "b": 3.0}.get(name, 1.0) for name in checked.names}
        for name in checked.names:
            truth = derivative(text, values, name)
            assert checked.ratio(checked.first[name].node, truth, values) <= 64, (name, x)
        assert np.isfinite(checked.compute(list(checked.second.values()), values)).all(), x


def test_an_infinity_that_is_no_overflow_stays_visible() -> None:
    checked = Checked("exp(log(x))")  # its slope at 0 is 1, but 0·∞ cannot know that
    assert math.isnan(checked.compute([checked.first["x"].node or 0], {"x": 0.0})[0])
    pole = Checked("1/(1 + exp(k)/x)")
    assert math.isnan(pole.compute([pole.first["x"].node or 0], {"k": 1.0, "x": 0.0})[0])


# vectors -------------------------------------------------------------------------------------------------------------
def test_the_derivative_by_a_vector_is_the_matrix_times_a_row_scalar() -> None:
    formula = parse("log(X @ B) + c")
    partial = gradient(formula.graph, formula.right, ["B"])["B"]
    ((scalar, matrix),) = partial.terms
    assert formula.graph.nodes[matrix] == ("name", "X")
    X, B = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.5, 0.25])
    value = Evaluator(formula.graph, [scalar], ("X",), {"B": slice(0, 2)})(B, {"X": X})[0]
    np.testing.assert_allclose(value, 1 / (X @ B), rtol=1e-15)


def test_the_derivative_by_a_column_of_a_list_is_the_element_of_the_vector() -> None:
    formula = parse("[x1, x2**2] @ B")
    partials = gradient(formula.graph, formula.right, ["x1", "x2"])
    assert to_sympy(formula.graph, partials["x1"].node) == sp.Symbol("B[0]")
    assert to_sympy(formula.graph, partials["x2"].node) == 2 * sp.Symbol("B[1]") * sp.Symbol("x2")


def test_a_hundred_parameters_share_what_they_have_in_common() -> None:
    text = "+".join(f"a{i}*exp(-(x - m{i})**2/(2*s{i}**2))" for i in range(33)) + "+ c"
    formula = parse(text)
    names = [n for n in formula.names if n != "x"]
    first = gradient(formula.graph, formula.right, names)
    second = hessian(formula.graph, first, names)
    assert len(second) == 33 * 5  # of 6 pairs of each Gaussian all but (a, a); the constant has none
    assert len(formula.graph.nodes) < 40 * 100
