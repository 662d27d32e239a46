"""What follows from a formula alone, against SymPy's derivatives, NumPy's ranks and numbers put in."""

from itertools import combinations

import numpy as np
import pytest
import sympy

from steepest.formula.binding import bind
from steepest.formula.grammar import parse
from steepest.formula.losses import find_loss
from steepest.formula.sympy import to_sympy

COLUMNS = {"x": None, "y": None, "z": None, "X": 3}


def structure(text, **options):
    return bind(parse(text), COLUMNS, loss=find_loss("squares"), **options).structure


FORMULAS = [
    "y = a*exp(-b*x) + c", "y = a*b*x + c", "y = (a + b*x)/(1 + c*x)", "y = a*sin(w*x + p)", "y = a*x**b + c*z",
    "y = exp(a + b*x)*c", "y = a*b + b*c + c*d + x*e1", "y = (a + x)*(b + z)*(c + x*z)", "y = a**2*x + b",
    "y = a*b*c*x", "y = where(x > 1, a*x, b*c)", "y = a*x - b*(x - c)", "y = sqrt(a**2 + x**2)*b + c",
    "y = log(a*x + b)*c + d*z",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_the_linear_parameters_are_a_largest_set_whose_second_derivatives_are_zero(text):
    found = structure(text)
    expression = to_sympy(found.graph, found.output)
    symbols = {n: sympy.Symbol(n) for n in found.names}

    def together(names):
        return all(sympy.simplify(expression.diff(symbols[a], symbols[b])) == 0 for a in names for b in names)

    assert together(found.linear)
    largest = max(size for size in range(len(found.names) + 1) if any(map(together, combinations(found.names, size))))
    assert len(found.linear) == largest
    assert set(found.nonlinear) == set(found.names) - set(found.linear)


@pytest.mark.parametrize(
    ("text", "linear"),
    [
        ("y = X @ B + a*exp(-b*x)", ("B", "a")),
        ("y = k*(X @ B)", ("B",)),  # three numbers rather than one
        ("y = exp(X @ B)*c", ("c",)),
        ("y = (x + k)*a", ("a",)),  # of two as many the one by which all is multiplied
        ("y = where(x > k, a*x, b)", ("a", "b")),
        ("y = a*x + where(a > 0, 1, 2)", ()),  # a jump is not linear, though its derivative is zero
        ("y = a*x + sign(b)", ("a",)),
    ],
)
def test_vectors_count_by_their_numbers_and_a_jump_is_not_linear(text, linear):
    assert structure(text).linear == linear


@pytest.mark.parametrize("text", FORMULAS)
def test_what_is_solved_is_a_linear_set_of_the_same_size(text):
    found = structure(text)
    expression = to_sympy(found.graph, found.output)
    assert len(found.solved) == len(found.linear)
    for a in found.solved:
        for b in found.solved:
            assert sympy.simplify(expression.diff(sympy.Symbol(a), sympy.Symbol(b))) == 0


def test_what_multiplies_all_is_left_out_of_what_is_solved():
    assert structure("y = (x + k)*a").solved == ("k",)
    assert structure("y = b1*(x**2 + x*b2)/(x**2 + x*b3 + b4)").solved == ("b2",)


@pytest.mark.parametrize("text", FORMULAS)
def test_the_rest_is_the_prediction_with_the_linear_parameters_at_zero(text):
    found = structure(text)
    expression = to_sympy(found.graph, found.output).subs(dict.fromkeys(map(sympy.Symbol, found.linear), 0))
    assert sympy.simplify(to_sympy(found.graph, found.rest) - expression) == 0


OPEN = [
    ("y = a*b*x", [("a", "b")], ["a*b"]),
    ("y = a/b*x", [("a", "b")], ["a/b"]),
    ("y = (a + b)*x", [("a", "b")], ["a + b"]),
    ("y = (a - b)*x", [("a", "b")], ["a - b"]),
    ("y = a**2*b*x", [("a", "b")], ["a**2*b"]),
    ("y = exp(a + b*x)*c", [("a", "c")], ["c*exp(a)"]),
    ("y = a*b*c*x", [("a", "b", "c")], ["a*b*c"]),
    ("y = (a + b)*c*x + d", [("a", "b", "c")], ["(a + b)*c"]),
    ("y = a*(b + c*x)", [("a", "b", "c")], ["a*b", "a*c"]),
    ("y = a*b + c + d*x", [("a", "b", "c")], ["a*b + c"]),
    ("y = (x**2)**(a*b)", [("a", "b")], ["a*b"]),
    ("y = k*([x, z] @ B)", [("k", "B")], ["k*B"]),
    ("y = [1, x] @ B + c", [("B[0]", "c")], ["B[0] + c"]),
    ("y = a*exp(-E/(R*x))", [("E", "R")], ["E/R"]),
    ("y = a*b*x + (c + d)*z", [("a", "b"), ("c", "d")], ["a*b", "c + d"]),
]


@pytest.mark.parametrize(("text", "names", "determined"), OPEN)
def test_what_no_data_can_tell_apart_is_named_with_what_alone_is_determined(text, names, determined):
    found = structure(text).combinations
    assert [c.names for c in found] == names
    assert [d for c in found for d in c.determined] == determined


@pytest.mark.parametrize(("text", "names", "determined"), [case for case in OPEN if "@" not in case[0]])
def test_the_rank_of_the_jacobian_is_the_number_of_what_is_determined(text, names, determined):
    found = structure(text)
    rng = np.random.default_rng(1)
    symbols = [sympy.Symbol(n) for n in found.names]
    expression = to_sympy(found.graph, found.output)
    theta = rng.uniform(0.5, 1.5, len(symbols))
    columns = {sympy.Symbol(n): rng.uniform(0.5, 2.0, 60) for n in ("x", "z")}
    at = sympy.lambdify([*symbols, *columns], [expression.diff(s) for s in symbols])(*theta, *columns.values())
    jacobian = np.array([np.broadcast_to(column, (60,)) for column in at])
    assert np.linalg.matrix_rank(jacobian) == len(symbols) - sum(map(len, names)) + len(determined)


@pytest.mark.parametrize(
    "text",
    [
        "y = a*exp(-b*x) + c", "y = a + b*x + c*x**2 + d*x**3 + e1*x**4 + f*x**5 + g*x**6 + h*x**7",
        "y = a*exp(-b*x) + c*exp(-d*x)", "y = where(x > 9, b, a*x)", "y = where(x > 9, a*b, a + b)", "y = max(a*x, b)",
        "y = b1*(x**2 + x*b2)/(x**2 + x*b3 + b4)", "y = a*x/(K + x)", "y = clip(a*x, 0, b)", "y = a*abs(x - b)",
    ],
)  # fmt: skip
def test_nothing_is_said_of_what_data_can_tell_apart(text):
    assert structure(text).combinations == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("y = a*exp(-b*x) + c*exp(-d*x)", "a*exp(-b*x) and c*exp(-d*x) may change places"),
        ("y = a*sin(w*x)", "the sign of a and w together does not matter"),
        ("y = exp(-(x - m)**2/s**2)", "the sign of s does not matter"),
        ("y = sin(w*x + p)", "p has the period 2*pi"),
        ("y = sin(w*x + p)**2", "p has the period pi"),
        ("y = abs(a)*x", "the sign of a does not matter"),
    ],
)
def test_symmetries_are_named(text, said):
    assert said in structure(text).symmetries


@pytest.mark.parametrize(
    "text", ["y = a*exp(-b*x) + c*exp(-b*z)", "y = a*x + b*z", "y = a*x/(K + x)", "y = a*exp(b*x)"]
)
def test_no_symmetry_is_claimed_where_there_is_none(text):
    assert structure(text).symmetries == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("y = log(a*x + b)", ("a*x + b > 0",)),
        ("y = a*x/(K + x)", ("K + x != 0",)),
        ("y = sqrt(x - m)", ("x - m >= 0",)),
        ("y = a*x**b", ("x > 0",)),
        ("y = a/(1 + exp(b*x))", ()),
        ("y = 1/(a**2 + x**2 + 1)", ()),
        ("y = a*x**2.5", ("x >= 0",)),
        ("y = a*x**-2", ("x != 0",)),
        ("y = asin(a*x)", ("a*x >= -1 and a*x <= 1",)),
        ("y = log1p(a*x)", ("a*x > -1",)),
    ],
)
def test_the_domain_is_said_where_it_is_not_everything(text, said):
    assert structure(text).domain == said
