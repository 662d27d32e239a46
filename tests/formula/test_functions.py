"""Every function of the table against mpmath with 50 digits.

How near is near enough. The arguments are doubles and exact. A value may be off by 8u relatively: NumPy's own functions
are good to 4 ulp, and the two of ours that add (logit) or divide (sigmoid) round twice more; logit is a difference of
two logarithms and is measured on their sum. A derivative may be off by 64·u·Σ|node·∂out/∂node| over its program, which
is what 64 roundings of every intermediate value could do.
"""

from __future__ import annotations

import math
import random

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

from steepest.formula.functions import FUNCTIONS, callable_names

MORE_THAN_ONE = ("atan2", "min", "max", "clip", "where")
SINGLE = [name for name in callable_names() if name not in MORE_THAN_ONE]


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
            scale = abs(mp.log(u)) + abs(mp.log1p(-u)) if name == "logit" else abs(truth)
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


@pytest.mark.parametrize("name", ["softplus", "sigmoid", "tanh", "atan", "asinh", "cbrt", "abs", "sign", "sin", "cos"])
def test_what_is_finite_for_every_number_neither_overflows_nor_is_nan(name: str) -> None:
    checked = Checked(f"{name}(x)")
    nodes = [checked.formula.right, *(p.node for p in checked.first.values() if p.node), *checked.second.values()]
    for u in (*ALL, *HUGE, 1e300, -1e300, 8e307, -8e307, 5e-324):
        if name == "cbrt" and abs(u) < 1e-150:
            continue  # its slope is infinite there, and so is the truth
        assert np.isfinite(checked.compute(nodes, {"x": u})).all(), u


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
