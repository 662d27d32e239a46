"""Every function of the table against mpmath with 50 digits.

How near is near enough. The arguments are doubles and exact. A value may be off by 8u relatively: NumPy's own functions
are good to 4 ulp, and the two of ours that add (logit) or divide (sigmoid) round twice more; logit is a difference of
two logarithms and is measured on their sum; SciPy squares the argument of erfc, which magnifies that rounding by x²,
and keeps absolute digits of lgamma and digamma near their zeros. A derivative may be off by 64·u·Σ|node·∂out/∂node|
over its program, which is what 64 roundings of every intermediate value could do.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest
from oracle import (
    ALL,
    ARGUMENTS,
    DIGITS,
    HUGE,
    VALUES,
    Checked,
    NoValue,
    U,
    arguments,
    compare_table,
    derivative,
    evaluate,
)

from steepest.errors import FormulaError
from steepest.formula.functions import FUNCTIONS, callable_names
from steepest.formula.grammar import parse

MORE_THAN_ONE = ("polygamma", "atan2", "min", "max", "clip", "where")
SINGLE = [name for name in callable_names() if name not in MORE_THAN_ONE]

#: what an error is measured on where it is not the value
SCALES: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "logit": lambda u: abs(mp.log(u)) + abs(mp.log1p(-u)),
    "erfc": lambda u: mp.erfc(u) * (1 + max(u, 0) ** 2),
    "lgamma": lambda u: 1 + abs(mp.re(mp.loggamma(u))),
    "digamma": lambda u: 1 + abs(mp.digamma(u)),
}


def test_the_oracle_knows_every_function_of_the_table_and_no_other() -> None:
    assert set(VALUES) == set(callable_names())
    assert set(SINGLE) == set(ARGUMENTS)


@pytest.mark.parametrize("name", SINGLE)
def test_the_value_of_a_function_is_that_of_mpmath(name: str) -> None:
    for u in arguments(name):
        with np.errstate(all="ignore"):
            value = float(FUNCTIONS[name].numpy(np.float64(u)))
            whole = float(FUNCTIONS[name].numpy(np.array([u, u, u]))[1])
        with mp.workdps(400):
            truth = mp.mpf(0) if name in ("sqrt", "cbrt") and u == 0 else VALUES[name](mp.mpf(u))
            scale = SCALES[name](mp.mpf(u)) if name in SCALES else abs(truth)
            for got in (value, whole):
                if math.isinf(got) and abs(truth) > 1.79e308:
                    continue
                assert abs(got - truth) <= 8 * U * scale + 5e-324, (name, u, got, truth)


@pytest.mark.parametrize("name", SINGLE)
def test_the_first_and_second_derivative_of_a_function_are_those_of_mpmath(name: str) -> None:
    tally = compare_table([name])
    assert tally.bad == []
    assert tally.worst[0] <= 64, tally.worst
    assert tally.numbers > 60


@pytest.mark.parametrize(
    "text", ["atan2(a, b)", "min(a, b)", "max(a, b)", "a**b", "clip(a, b, c)", "where(a > b, a*c, b/c)", "a/b", "a*b"]
)
def test_every_partial_of_a_function_of_more_than_one_argument_is_that_of_mpmath(text: str) -> None:
    checked, generator, done = Checked(text), random.Random(text), 0
    special = [0.0, 1.0, -1.0, 2.0, 3.0, 0.5, 1e-6, 1e6, -30.0]
    for _ in range(100):
        point = {
            n: generator.choice(special) if generator.random() < 0.3 else generator.gauss(0, 3) for n in checked.names
        }
        for names in [(a,) for a in checked.names] + [
            (a, b) for i, a in enumerate(checked.names) for b in checked.names[i:]
        ]:
            try:
                truth = derivative(text, point, *names)
            except NoValue:
                continue
            if abs(truth) < 1e300:
                node = checked.first[names[0]].node if len(names) == 1 else checked.second.get((names[0], names[1]))
                assert checked.ratio(node, truth, point) <= 64, (names, point, truth)
                done += 1
    assert done > 100


@pytest.mark.parametrize(
    "name", ["softplus", "sigmoid", "tanh", "atan", "asinh", "cbrt", "abs", "sign", "sin", "cos", "erf", "erfc"]
)
def test_what_is_finite_for_every_number_neither_overflows_nor_is_nan(name: str) -> None:
    checked = Checked(f"{name}(x)")
    nodes = [checked.formula.right, *(p.node for p in checked.first.values() if p.node), *checked.second.values()]
    for u in (*ALL, *HUGE, 1e300, -1e300, 8e307, -8e307, 5e-324):
        if name == "cbrt" and abs(u) < 1e-150:
            continue  # its slope is infinite there, and so is the truth
        assert np.isfinite(checked.compute(nodes, {"x": u})).all(), u


@pytest.mark.parametrize("order", [0, 1, 2, 3, 8, 30])
def test_polygamma_of_every_order_is_that_of_mpmath_on_both_sides_of_zero(order: int) -> None:
    generator = random.Random(order)
    points = [1e-8, 0.5, 1.0, 20.0, 1e5, -0.5, -1.5, -20.25, -1000.25]
    points += [generator.uniform(-30, 30) for _ in range(60)]
    for u in points:
        value = float(FUNCTIONS["polygamma"].numpy(np.float64(order), np.array([u, 1.0]))[0])
        with mp.workdps(DIGITS):
            truth = mp.psi(order, mp.mpf(u))
            slope = mp.psi(order + 1, mp.mpf(u))
            assert abs(value - truth) <= 64 * U * (1 + abs(truth) + abs(u * slope)), (u, value, truth)


def test_polygamma_is_infinite_at_its_poles_and_comes_back_at_once_from_far_out() -> None:
    u = np.array([0.0, -1.0, -1e16, -4e15 - 0.5, math.inf, math.nan])
    value = FUNCTIONS["polygamma"].numpy(1.0, u)
    assert np.isinf(value[:3]).all() and (value[:3] > 0).all()
    assert value[3] == pytest.approx(math.pi**2)
    assert value[4] == 0
    assert math.isnan(value[5])


def test_the_derivative_of_polygamma_is_the_next_order() -> None:
    checked = Checked("a*polygamma(2, b*x)")
    for u in (0.3, 1.7, 25.0, -2.4):
        values = {"a": 1.5, "b": 0.75, "x": u}
        with mp.workdps(DIGITS):
            slope, bend = (a * mp.psi(n, 0.75 * mp.mpf(u)) for n, a in ((3, 1.125), (4, 0.84375)))
        assert checked.ratio(checked.first["x"].node, slope, values) <= 64
        assert checked.ratio(checked.second["x", "x"], bend, values) <= 64


@pytest.mark.parametrize("order", ["n", "x", "0.5", "-1", "101", "pi", "2.0", "x - x"])
def test_an_order_of_polygamma_that_is_no_written_whole_number_is_refused_with_its_place(order: str) -> None:
    with pytest.raises(FormulaError) as error:
        parse(f"a + polygamma({order}, x)")
    assert "the order of polygamma is a written whole number" in str(error.value)
    assert "write polygamma(1, x), the order first" in str(error.value)
    assert error.value.text[error.value.start : error.value.stop] == order


def test_a_special_function_brings_scipy_only_when_it_is_used() -> None:
    code = "import sys; from steepest.formula.grammar import parse; parse('erf(x) + lgamma(a*x)'); "
    run = [sys.executable, "-c", code + "assert 'scipy' not in sys.modules"]
    subprocess.run(run, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})


def test_logit_is_the_inverse_of_sigmoid_far_out() -> None:
    checked = Checked("logit(sigmoid(x))")
    for u in (-700.0, -40.0, -1.0, 0.0, 1.0, 15.0):
        assert checked.compute([checked.formula.right], {"x": u})[0] == pytest.approx(u, rel=1e-9, abs=1e-15)


def test_a_power_takes_the_same_value_by_its_shortcuts_as_by_the_general_way() -> None:
    grid = np.array([-3.0, -0.5, -0.0, 0.0, 0.3, 1.0, 7.0])
    for exponent in (-1.0, 0.5, 1.0, 2.0, 3.0, 4.0):
        with np.errstate(all="ignore"):
            short = FUNCTIONS["**"].numpy(grid, np.float64(exponent))
            plain = np.power(grid, np.full_like(grid, exponent))
        np.testing.assert_allclose(short, plain, rtol=4 * U)


def test_the_domain_of_a_function_is_where_its_value_is_finite() -> None:
    for name in SINGLE:
        domain = FUNCTIONS[name].domain
        for u in (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0):
            if domain:
                with mp.workdps(DIGITS):
                    inside = _holds(domain, u)
                with np.errstate(all="ignore"):
                    assert inside == bool(np.isfinite(FUNCTIONS[name].numpy(np.float64(u)))), (name, u)


def _holds(condition: str, u: float) -> bool:
    return evaluate(f"where({condition}, 1, 0)", {"u": mp.mpf(u)}) == 1
