"""Minima on kinks of penalties, of deviations and of functions: zero lies in the subgradient, by a linear programme."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special

import steepest

NAMES = "abc"
#: penalty, its kinks c·|row @ theta|, and the numbers before the squares
PENALTIES = {
    "lasso": ("{c}*(abs(a) + abs(b) + 0.5*abs(c))", [(1, 0, 0), (0, 1, 0), (0, 0, 0.5)], (0, 0, 0)),
    "fused": ("{c}*abs(a - b) + {c}*abs(c)", [(1, -1, 0), (0, 0, 1)], (0, 0, 0)),
    "ridge": ("{c}*(a**2 + b**2)", [], (1, 1, 0)),
    "elastic net": ("{c}*abs(a) + {c}*b**2", [(1, 0, 0)], (0, 1, 0)),
    "larger of two": ("{c}*max(a, -a) - {c}*min(b, -b)", [(1, 0, 0), (0, 1, 0)], (0, 0, 0)),
}
SIDES = {"absolute": (1.0, 1.0), "quantile(0.2)": (0.2, 0.8)}
SMOOTH = {
    "squares": lambda x, theta, y: x @ theta - y,
    "huber": lambda x, theta, y: np.clip(x @ theta - y, -1.345, 1.345),
    "logistic": lambda x, theta, y: special.expit(x @ theta) - y,
}


def subgradient(slope, kinks, lower, upper, theta):
    """How near to zero the subgradient comes: |slope + Σ sₖ·rowₖ|, sₖ between the limits of its kink; by HiGHS."""
    eye = np.eye(len(theta))
    walls = [(eye[j], None, 0.0) for j in np.flatnonzero(theta <= lower + 1e-12)]
    walls += [(eye[j], 0.0, None) for j in np.flatnonzero(theta >= upper - 1e-12)]
    kinks = [*kinks, *walls]
    matrix = np.array([row for row, *_ in kinks]).reshape(len(kinks), len(theta)).T
    edge = -np.ones((len(theta), 1))
    found = optimize.linprog(
        np.r_[np.zeros(len(kinks)), 1.0],
        A_ub=np.block([[matrix, edge], [-matrix, edge]]), b_ub=np.r_[-slope, slope],
        bounds=[*((low, high) for _, low, high in kinks), (0, None)], method="highs",
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("loss", [*SIDES, *SMOOTH])
def test_where_a_fit_converges_zero_lies_in_the_subgradient(loss, name, seed):
    random = np.random.default_rng(seed)
    n, c = int(random.integers(8, 150)), float(f"{10 ** random.uniform(-1, 3):g}")
    x = np.c_[10 ** random.uniform(-1, 1) * random.normal(size=n), random.normal(size=n), np.ones(n)]
    truth = random.normal(size=3)
    y = x @ truth + random.standard_t(2, n)
    if seed % 4 == 3:  # many rows meet
        x, y = np.round(x), np.round(y)
    if loss == "logistic":
        y = (random.random(n) < special.expit(x @ truth)).astype(float)
    w = random.uniform(0.2, 3.0, n)
    bounds = {"a": (-0.5, 0.5), "b": (0, None)} if seed % 2 else {}
    lower, upper = (np.array([-0.5, 0, -np.inf]), np.array([0.5, np.inf, np.inf])) if bounds else (-np.inf, np.inf)
    text, rows, squares = PENALTIES[name]
    data = {"x": x[:, 0], "z": x[:, 1], "y": y, "w": w}
    fit = steepest.fit(
        "y = a*x + b*z + c", data, loss=loss, weights="w", bounds=bounds, penalty=text.replace("{c}", str(c))
    )
    assert fit.ok, fit.message
    assert fit.errors is None or (name == "ridge" and loss in SMOOTH)
    theta = np.array([fit.values[n] for n in NAMES])
    slope, kinks = 2 * c * np.array(squares) * theta, []
    for row in np.array(rows, dtype=float).reshape(-1, 3):
        if abs(row @ theta) <= 1e-12 * (1 + np.abs(theta).max()):
            kinks.append((row, -c, c))
        else:
            slope = slope + c * np.sign(row @ theta) * row
    if loss in SMOOTH:
        slope = slope + x.T @ (w * SMOOTH[loss](x, theta, y))
    else:
        (up, down), r = SIDES[loss], y - x @ theta
        on = np.abs(r) <= 1e-10 * (np.abs(y) + np.abs(x) @ np.abs(theta) + 1e-3)
        slope = slope - x[~on].T @ (w * np.where(r > 0, up, -down))[~on]
        kinks += [(-x[i], -down * w[i], up * w[i]) for i in np.flatnonzero(on)]
    assert subgradient(slope, kinks, lower, upper, theta) < 1e-6 * (np.abs(x).T @ w).max()


def test_a_lasso_sets_parameters_to_zero_exactly():
    x, z = np.random.default_rng(1).normal(size=(2, 100))
    fit = steepest.fit("y = a*x + b*z", {"x": x, "z": z, "y": 2 * x + 0.01 * z}, penalty="20*(abs(a) + abs(b))")
    assert fit.ok
    assert fit.values["b"] == 0.0
    rest = 0.5 * np.sum((2 * x + 0.01 * z - fit.values["a"] * x) ** 2)  # T is quadratic on the side of a > 0
    assert fit.values["a"] == pytest.approx((x @ (2 * x + 0.01 * z) - 20.0) / (x @ x), rel=1e-12)
    assert fit.total == pytest.approx(rest + 20.0 * fit.values["a"], rel=1e-12)


@pytest.mark.parametrize("penalty", ["0.5*abs(c)", "3*abs(a - 2*c)", "0.1*(abs(a) + abs(b))"])
def test_a_curve_under_a_penalty_with_a_kink_ends_where_nelder_and_mead_do(penalty):
    x = np.linspace(0.0, 5.0, 60)
    y = 2.0 * np.exp(-0.8 * x) + 0.02 + 0.05 * np.random.default_rng(2).standard_normal(60)

    def total(theta):
        a, b, c = theta
        return 0.5 * np.sum((y - a * np.exp(-b * x) - c) ** 2) + eval(penalty, {"a": a, "b": b, "c": c, "abs": abs})  # noqa: S307

    fit = steepest.fit("y = a*exp(-b*x) + c", {"x": x, "y": y}, penalty=penalty)
    how = {"xatol": 1e-11, "fatol": 1e-14, "maxiter": 20_000, "maxfev": 20_000}
    oracle = optimize.minimize(total, [2.0, 0.8, 0.01], method="Nelder-Mead", options=how)
    assert fit.ok, fit.message
    assert fit.total <= oracle.fun * (1 + 1e-10)


@pytest.mark.parametrize("seed", range(12))
def test_two_exponentials_under_a_lasso_end_where_nelder_and_mead_find_nothing_lower_or_say_which_rate_is_open(seed):
    random = np.random.default_rng(seed)
    t = np.linspace(0.0, 5.0, 80)
    y = 1.5 * np.exp(-0.7 * t) + 0.3 * np.exp(-3 * t) * random.choice([0, 1]) + 0.02 * random.standard_normal(80)
    box = {"b": (0, 20), "d": (0, 20)}
    fit = steepest.fit("y = a*exp(-b*t) + c*exp(-d*t)", {"t": t, "y": y}, penalty="0.05*(abs(a) + abs(c))", bounds=box)

    def total(q):
        rest = y - q[0] * np.exp(-q[1] * t) - q[2] * np.exp(-q[3] * t)
        return 0.5 * rest @ rest + 0.05 * (abs(q[0]) + abs(q[2]))

    v, how = fit.values, {"xatol": 1e-12, "fatol": 1e-15, "maxiter": 20_000, "maxfev": 20_000}
    start = np.array([v[n] for n in "abcd"]) * 1.001 + 1e-6
    walls = [(None, None), (0, 20)] * 2
    oracle = optimize.minimize(total, start, method="Nelder-Mead", options=how, bounds=walls)
    assert oracle.fun > fit.total * (1 - 1e-9)
    gone = [rate for amplitude, rate in (("a", "b"), ("c", "d")) if v[amplitude] == 0.0]
    assert fit.status == ("unidentifiable" if gone else "converged"), fit.message
    assert all(f"moving {rate} by" in fit.message for rate in gone)


@pytest.mark.parametrize(
    ("function", "at"),
    [("abs(x - 1) + x**2 + y**2", (0.5, 0.0)), ("2*abs(x) + (x - 1)**2 + abs(x - y)", (0.0, 0.0)),
     ("max(x, y) + x**2 + y**2", (-0.25, -0.25)), ("max(x, 3*x) + max(-x, -3*x) + y**2", (0.0, 0.0))],
)  # fmt: skip
def test_a_function_with_a_kink_is_minimised_on_it(function, at):
    fit = steepest.minimize(function, start={"x": 3.0, "y": -2.0})
    assert fit.ok, fit.message
    assert list(fit.values.values()) == pytest.approx(at, abs=1e-9)  # by hand: zero lies in the subgradient


def test_a_kink_that_lies_elsewhere_does_not_stand_in_the_way_of_a_certificate():
    # kinks at 2 and 5, and a stationary point between them
    fit = steepest.minimize("(x - 3)**2 + sqrt(abs(x - 2)) + 0*abs(x - 5)", start={"x": 4.0})
    oracle = optimize.brentq(lambda x: 2 * (x - 3) + 0.5 / np.sqrt(x - 2), 2.5, 4.0, xtol=1e-14)
    assert fit.ok, fit.message
    assert fit.values["x"] == pytest.approx(oracle, rel=1e-9)
    t = np.array([0.5, 1.0, 1.5, 2.0, 2.5])
    rows = steepest.fit("abs(a - t)**1.5 + (a*t)**2", {"t": t}, start={"a": 0.2})
    inner = optimize.minimize_scalar(
        lambda a: np.sum(np.abs(a - t) ** 1.5 + (a * t) ** 2), bounds=(0, 1), method="bounded", options={"xatol": 1e-12}
    )
    assert rows.ok, rows.message
    assert rows.values["a"] == pytest.approx(inner.x, rel=1e-6)


def test_a_kink_at_the_point_itself_is_not_taken_for_smooth():
    fit = steepest.minimize("abs(x)*abs(x - 3) - 2*abs(x)", start={"x": 0.0})
    assert not fit.ok


def test_a_concave_kink_is_never_called_a_minimum():
    fit = steepest.minimize("x**2 - abs(x)", start={"x": 0.0})
    assert not fit.ok
    assert "no minimum can be certified" in fit.why


def test_what_is_no_constant_hessian_under_a_kink_takes_no_rate_of_a_quadratic():
    x = np.linspace(0.0, 1.0, 50)
    fit = steepest.fit("y = a*x + c", {"x": x, "y": 0.05 * x}, method="gd", penalty="100*abs(a)")
    assert fit.values["a"] == pytest.approx(0.0, abs=1e-9)
