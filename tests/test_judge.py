"""Random problems, each answer judged by exact derivatives that no program of steepest's has made (bench/fuzz.py)."""

import sys
from dataclasses import replace
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

BENCH = str(Path(__file__).parents[1] / "bench")


@pytest.fixture(scope="module")
def fuzz():
    sys.path.insert(0, BENCH)
    import fuzz

    yield fuzz
    sys.path.remove(BENCH)


def judged(fuzz, numbers):
    verdicts, objections, odd = fuzz.run(0, numbers)
    assert verdicts["converged"] > 0.2 * len(numbers)  # it is mostly problems with a minimum that are drawn
    grave = [(number, case.formula, case.options, found.message, found.against) for number, case, found in odd
             if any(kind != "weak" for kind, _ in found.against)]  # fmt: skip
    assert not grave
    assert sum(n for (_, kind), n in objections.items() if kind == "weak") <= 0.1 * len(numbers)


def test_random_problems_have_no_false_verdict_no_wrong_error_and_no_crash(fuzz):
    judged(fuzz, range(20))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(20, 400, 76))
def test_many_random_problems_have_no_false_verdict_no_wrong_error_and_no_crash(fuzz, first):
    judged(fuzz, range(first, first + 76))


def test_the_judge_finds_a_saddle_a_slope_and_errors_that_are_not_so(fuzz):
    """A judge that passes everything would pass this table too."""
    x = np.linspace(-1, 2, 20)
    y = 2 * np.exp(-0.7 * x) + 0.05 * np.random.default_rng(0).normal(size=x.size)
    problem = fuzz.Problem("fit", "a*exp(-b*x)", ("a", "b"), "y", {"x": x, "y": y}, {"method": "auto"})
    fit = fuzz.steepest.fit(problem.formula, problem.data)
    assert list(fuzz.against(problem, fit, np.random.default_rng(0))) == []

    def objections(**changed):
        wrong = replace(fit, **changed)
        return {kind for kind, _ in fuzz.against(problem, wrong, np.random.default_rng(0))}

    assert "false" in objections(values={"a": fit.values["a"] * 1.01, "b": fit.values["b"]})
    assert objections(covariance=1.01 * fit.covariance) == {"errors"}
    assert objections(errors=None, covariance=None) == {"errors"}
    assert objections(status="stopped") == {"errors", "weak"}


@pytest.mark.parametrize(
    "text",
    [
        "a*exp(-b*x)/(1 + b**2)",
        "where(x > 0, a*x, b)*tanh(a*b)",
        "log(1 + a**2*x**2)*sqrt(b)",
        "softplus(a*x) - sigmoid(b)",
        "max(a*x, b)*cos(a) + min(a, b*x)",
        "atan(a*x)**3/cosh(b) + abs(a*x - b)*sin(b)",
        "(b + x**2)**a + log1p(b*x**2)",
    ],
)
def test_jets_are_the_derivatives_that_mpmath_finds(fuzz, text):
    from _jets import Jet, Reader

    functions = {n: getattr(mp, n) for n in ("exp", "log", "sqrt", "sin", "cos", "tanh", "cosh", "atan", "log1p")}
    functions |= {"abs": abs, "max": max, "min": min, "where": lambda c, u, v: u if c else v}
    functions |= {"sigmoid": lambda u: 1 / (1 + mp.exp(-u)), "softplus": lambda u: mp.log(1 + mp.exp(u))}
    at, unit = (0.7, 1.3), np.eye(2, dtype=np.longdouble)
    for x in (-1.1, 0.4, 2.3):
        names = {n: Jet(np.full(1, np.longdouble(v)), unit[:, i : i + 1], np.zeros((2, 2, 1), np.longdouble))
                 for i, (n, v) in enumerate(zip("ab", at, strict=True))}  # fmt: skip
        jet = Reader({**names, "x": Jet(np.full(1, np.longdouble(x)), None, None)}, 1).read(text)
        with mp.workdps(40):
            code = compile(text, "formula", "eval")

            def value(a, b, x=x, code=code):
                return eval(code, {**functions, "a": a, "b": b, "x": mp.mpf(x)})  # noqa: S307 our own text above

            assert float(jet.value[0]) == pytest.approx(float(value(*map(mp.mpf, at))), rel=1e-14)
            for i, order in enumerate([(1, 0), (0, 1)]):
                assert float(jet.slope[i, 0]) == pytest.approx(float(mp.diff(value, at, order)), rel=1e-12)
            for (i, j), order in {(0, 0): (2, 0), (0, 1): (1, 1), (1, 1): (0, 2)}.items():
                assert float(jet.bent[i, j, 0]) == pytest.approx(float(mp.diff(value, at, order)), rel=1e-10, abs=1e-12)
