"""Convexity and curvature by rules: against chords and second derivatives of the same text read by Python itself."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

import steepest
from steepest.api import bind
from steepest.formula.convexity import Convexity
from steepest.formula.grammar import parse
from steepest.kernels.rows import surface_over
from steepest.strategy import Bound, bounded

FREE = (-math.inf, math.inf)
BOX = {"a": (-1.5, 2.0), "b": (0.2, 1.7)}


@pytest.fixture(autouse=True)
def many_digits():
    with mpmath.workdps(40):
        yield


def value(code, names):
    return eval(code, {"__builtins__": {}}, names)  # noqa: S307 (text of this file: Python is the oracle)


def proof(text, bounds=None, **columns):
    formula = parse(text)
    known = {formula.graph.name(name): interval for name, interval in columns.items()}
    return Convexity(formula.graph, formula.right, bounds or {"a": FREE, "b": FREE}, known)


def in_python(functions):
    """Names for `eval`: an oracle that shares nothing with our parser, rules or kernels."""
    names = {n: getattr(functions, n) for n in ("exp", "log", "sqrt", "cosh", "sinh", "tanh", "sin", "cos")}
    one = mpmath.mpf(1) if functions is mpmath else 1.0
    names |= {
        "softplus": lambda u: functions.log(1 + functions.exp(u)),
        "sigmoid": lambda u: one / (1 + functions.exp(-u)),
        "log1p": lambda u: functions.log(1 + u),
        "where": lambda c, u, v: u if c else v,
    }
    return names | {"max": max, "min": min, "abs": abs}


CONVEX = {
    "softplus of a line": "softplus(a + b*x) - y*(a + b*x)",
    "the same written out": "log(1 + exp(a + b*x)) - y*(a + b*x)",
    "poisson": "exp(a + b*x) - y*(a + b*x)",
    "log cosh": "log(cosh(y - a - b*x))",
    "huber": "where(abs(y - a - b*x) <= 1.345, 0.5*(y - a - b*x)**2, 1.345*(abs(y - a - b*x) - 0.6725))",
    "pseudo-huber": "sqrt(1 + (y - a - b*x)**2)",
    "log-sum-exp": "log(exp(a) + exp(b*x) + 2)",
    "hinge": "max(0, 1 - y*(a + b*x))",
    "a norm": "sqrt(a**2 + b**2 + 0.1)",
    "a fourth power": "(y - a*x)**4 + abs(b)",
    "a square written as a product": "(a - y)*(a - y) + exp(a*x)*exp(b)",
    "exp of a convex function": "exp(softplus(a) + b**2)",
    "logistic by probabilities": "-log(sigmoid(a + b*x)) - 2*log(1 - sigmoid(a + b*x))",
}


@pytest.mark.parametrize("name", CONVEX)
def test_what_textbooks_call_convex_is_proved_and_no_chord_lies_below_it(name):
    assert proof(CONVEX[name]).proved
    assert_no_chord_below(CONVEX[name], FREE, np.random.default_rng(1), 200)


def assert_no_chord_below(text, width, generator, count):
    names, code = in_python(math), compile(text, "formula", "eval")

    def at(theta, row):
        return value(code, names | dict(zip("ab", theta.tolist(), strict=True)) | row)

    low, high = ((-3.0, -3.0), (3.0, 3.0)) if width == FREE else zip(*BOX.values(), strict=True)
    for _ in range(count):
        row = {"x": generator.uniform(-2, 2), "y": generator.uniform(-2, 2)}
        p, q = generator.uniform(low, high), generator.uniform(low, high)
        try:
            ends, middle = [at(p, row), at(q, row)], at((p + q) / 2, row)
        except (ValueError, ZeroDivisionError, OverflowError, TypeError):
            continue  # not defined there
        if any(isinstance(v, complex) for v in [*ends, middle]):
            continue
        assert middle <= (ends[0] + ends[1]) / 2 + 1e-9 * (1 + abs(ends[0]) + abs(ends[1])), (text, row, p, q)


NOT_CONVEX = {
    "0.5*(y - a*exp(-b*x))**2": "a*exp(-b*x) is a product of two expressions with parameters",
    "a*b": "a*b is a product of two parameters",
    "log(1 + (y - a)**2) + b": "log(1 + (y - a)**2)",
    "sin(a) + b**2": "sin(a) bends both ways",
    "-exp(a) - b**2": "is concave",
    "a**2 - b**2": "adds a convex and a concave part",
    "y*exp(a) + b": "bends either way with the sign of y",
    "where(abs(a) <= 1, a**2, 2*abs(a) - 2) + b": "the pieces of",
    "where(abs(a) <= 1, a**2, abs(a)) + b": "the pieces of",
    "sigmoid(a) + b": "sigmoid(a) bends both ways",
    "abs(a)/b": "quotient of two expressions",
}


@pytest.mark.parametrize("text", NOT_CONVEX)
def test_what_breaks_a_proof_is_shown_as_text(text):
    found = proof(text)
    assert not found.proved
    assert found.why.startswith("not proved: ") and NOT_CONVEX[text] in found.why


def test_signs_of_columns_and_bounds_of_parameters_decide():
    assert not proof("w*exp(a) + b").proved and proof("w*exp(a) + b", w=(0.0, 3.0)).proved
    assert not proof("-w*log(a) + b").proved and proof("-w*log(a) + b", w=(0.0, 3.0)).proved
    assert not proof("1/a + b").proved and proof("1/a + b", {"a": (0.0, math.inf), "b": FREE}).proved
    assert not proof("(a + b)**3").proved and proof("(a + b)**3", {"a": (0.0, 2.0), "b": (0.0, math.inf)}).proved


def test_reasons_are_words():
    assert proof("softplus(a + b*x) - y*(a + b*x)").why == "softplus of an affine expression + an affine one"
    assert proof("3*(a - 1)**2 - log(b)").why == "the square of an affine expression - log of an affine expression"


def random_formula(generator, depth):
    """A formula of a, b, x, y as text that Python reads too."""
    leaves = ["a", "b", "(a + b*x)", "(y - a*x)", "(a - 2*b)", "0.7", "x", "(1 + b)", "(a + 2)"]
    if depth == 0:
        return str(generator.choice(leaves))
    kinds = ["exp({0})", "log({0})", "softplus({0})", "cosh({0})", "sqrt(0.5 + ({0})**2)", "abs({0})", "({0})**2",
             "({0})**3", "1/({0})", "tanh({0})", "sigmoid({0})", "sin({0})", "log(1.5 + ({0})**2)", "log(cosh({0}))",
             "log(1 + exp({0}))", "max({0}, {1})", "min({0}, {1})", "({0}) + ({1})", "({0}) - ({1})", "({0})*({1})",
             "2*({0})",
             "log(exp({0}) + exp({1}) + 0.3)", "sqrt(0.4 + ({0})**2 + 3*({1})**2)",
             "-({0})", "x*({0})", "({0}) + ({1})", "({0})/({1})", "sqrt({0})", "({0})**1.5", "log1p({0})",
             "where(abs(y - a) <= 1, 0.5*(y - a)**2, abs(y - a) - 0.5) + {0}", "0.5**({0})"]  # fmt: skip
    kind = str(generator.choice(kinds))
    return kind.format(*[random_formula(generator, depth - 1) for _ in range(2)])


def random_formulas(count, seed):
    generator = np.random.default_rng(seed)
    made = []
    while len(made) < count:
        text = random_formula(generator, int(generator.integers(1, 4)))
        try:
            names = set(parse(text).names)
        except steepest.FormulaError:  # no real number
            continue
        if {"a", "b"} & names:
            made.append(text)
    return made, generator


@pytest.mark.parametrize("seed", range(4))
def test_no_random_formula_that_is_proved_convex_has_a_chord_below_it(seed):
    formulas, generator = random_formulas(200, seed)
    proved = 0
    for text in formulas:
        for bounds in ({"a": FREE, "b": FREE}, BOX):
            if proof(text, bounds, x=(-2.0, 2.0), y=(-2.0, 2.0)).proved:
                assert_no_chord_below(text, FREE if bounds["a"] == FREE else BOX, generator, 40)
                proved += 1
    assert proved > 30


def surface(text, bounds, data):
    schema = dict.fromkeys(data)
    return surface_over(bind(parse(text), schema, bounds=bounds), steepest.data.open_source(data))


@pytest.mark.parametrize("seed", range(4))
def test_no_random_formula_is_anywhere_steeper_than_its_bound(seed):
    formulas, generator = random_formulas(80, 100 + seed)
    names, checked = in_python(mpmath), 0
    for text in formulas:
        row = {"x": float(generator.uniform(-2, 2)), "y": float(generator.uniform(-2, 2))}
        data = {n: np.array([v]) for n, v in row.items()}
        text += " + x*y"  # a function of the data, whatever the rest is
        over = surface(text, {n: b for n, b in BOX.items() if n in parse(text).names}, data)
        with np.errstate(all="ignore"):
            found = bounded(over)
        if not isinstance(found, Bound):
            continue
        code = compile(text, "formula", "eval")
        for _ in range(12):
            theta, way = generator.uniform(*zip(*BOX.values(), strict=True)), generator.normal(size=2)
            way *= [name in over.objective.layout.names for name in "ab"]
            way /= np.linalg.norm(way)

            def along(t, theta=theta, way=way, code=code, row=row):
                here = dict(zip("ab", (mpmath.mpf(p) + t * d for p, d in zip(theta, way, strict=True)), strict=True))
                return value(code, names | here | row)

            try:
                bend = (along(mpmath.mpf("1e-5")) - 2 * along(0) + along(mpmath.mpf("-1e-5"))) * mpmath.mpf(10) ** 10
            except (ZeroDivisionError, TypeError, ValueError):
                continue
            if isinstance(bend, mpmath.mpc):
                continue
            assert abs(bend) <= found.largest * (1 + 1e-4) + 1e-4, (text, row, theta, found)
            checked += 1
    assert checked > 60


@pytest.mark.parametrize(
    ("text", "steepest_bend"),
    [
        ("softplus(a)", 0.25), ("log(1 + exp(a))", 0.25), ("log(3 + exp(-2*a))", 1.0), ("log(cosh(3*a))", 9.0),
        ("log(2 + (a - 1)**2)", 1.0), ("sqrt(4 + a**2)", 0.5), ("3*(a - 1)**2", 6.0),
        ("where(abs(a) <= 2, 0.5*a**2, 2*abs(a) - 2)", 1.0), ("sin(a)", 1.0), ("log(exp(a) + exp(-a))", 1.0),
        ("sqrt(1 + a**2 + 3*a**2)", 4.0),
    ],
)  # fmt: skip
def test_the_bounds_of_single_functions_are_the_largest_second_derivatives(text, steepest_bend):
    code, names = compile(text, "formula", "eval"), in_python(mpmath)
    found = bounded(surface_over(bind(parse(text), None, reduce="sum"), None))
    assert isinstance(found, Bound)
    step = mpmath.mpf("1e-6")
    bends = []
    for a in np.linspace(-4, 4, 401):
        at = [value(code, names | {"a": mpmath.mpf(a) + k * step}) for k in (-1, 0, 1)]
        bends.append(abs(float((at[0] - 2 * at[1] + at[2]) / step**2)))
    assert found.largest == pytest.approx(steepest_bend, rel=1e-8)
    assert max(bends) <= found.largest * (1 + 1e-6)
    assert max(bends) == pytest.approx(found.largest, rel=2e-3)


@pytest.mark.parametrize("text", ["abs(a)", "max(a, 0)", "exp(a)", "a**4", "where(a <= 0, -a, 2*a)", "1/a", "sqrt(a)"])
def test_what_has_no_largest_second_derivative_has_no_bound(text):
    found = bounded(surface_over(bind(parse(text), None, reduce="sum"), None))
    assert isinstance(found, str) and "has no bound" in found
