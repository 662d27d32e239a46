"""Linear parameters solved at each step, against SciPy's minima and NumPy's variable projection by brute force."""

import math

import numpy as np
import pytest
from scipy import optimize

import steepest
from steepest.data import open_source
from steepest.formula.binding import bind
from steepest.formula.grammar import parse
from steepest.formula.losses import find_loss
from steepest.formula.projection import Projection
from steepest.kernels.rows import surface_over
from steepest.methods.projected import Projected
from steepest.types import Need

X = np.linspace(0.05, 4.0, 60)
NOISE = np.random.default_rng(3).normal(size=60)

#: formula, its function of (alpha, x) -> (Φ, f₀), the names of c and of alpha, the start of alpha, the truth
MODELS = {
    "decay": (
        "y = a*exp(-b*x) + c", lambda t, x: (np.c_[np.exp(-t[0] * x), np.ones_like(x)], 0 * x),
        "ac", "b", [0.3], [1.3],
    ),
    "two": (
        "y = a*exp(-b*x) + c*exp(-d*x)", lambda t, x: (np.exp(-x[:, None] * t), 0 * x),
        "ac", "bd", [0.2, 3.0], [0.4, 2.0],
    ),
    "peak": (
        "y = c + h*exp(-(x - m)**2/(2*s**2))",
        lambda t, x: (np.c_[np.ones_like(x), np.exp(-((x - t[0]) ** 2) / (2 * t[1] ** 2))], 0 * x),
        "ch", "ms", [1.5, 1.0], [2.0, 0.6],
    ),
    "rational": (
        "y = (p + q*x)/(1 + r*x)", lambda t, x: (np.c_[1 / (1 + t[0] * x), x / (1 + t[0] * x)], 0 * x),
        "pq", "r", [0.1], [0.9],
    ),
    "rest": ("y = a*x + exp(-b*x)", lambda t, x: (x[:, None], np.exp(-t[0] * x)), "a", "b", [0.2], [1.1]),
}  # fmt: skip


def planted(name, noise=0.02):
    formula, columns, linear, nonlinear, start, truth = MODELS[name]
    phi, rest = columns(np.array(truth), X)
    y = rest + phi @ (1.5 + np.arange(len(linear))) + noise * NOISE
    return formula, {"x": X, "y": y}, dict(zip(nonlinear, start, strict=True))


def objective_of(formula, data, **options):
    source = open_source(data)
    schema = {name: column.width for name, column in source.schema.items()}
    objective = bind(parse(formula), schema, loss=find_loss("squares"), **options)
    return objective, surface_over(objective, source)


def scipy_minimum(name, data, weights=1.0, penalty=None):
    """The parameters at the least squares by SciPy from the answer of a plain search, tight tolerances."""
    _, columns, linear, nonlinear, _, truth = MODELS[name]

    def residuals(theta):
        phi, rest = columns(theta[len(linear) :], X)
        r = np.sqrt(weights) * (data["y"] - rest - phi @ theta[: len(linear)])
        return r if penalty is None else np.append(r, penalty(theta))

    best = optimize.least_squares(
        residuals,
        np.append(1.5 + np.arange(len(linear)), truth),
        jac="3-point",
        method="lm",
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    )
    return dict(zip(linear + nonlinear, best.x, strict=True)), best.cost


@pytest.mark.parametrize("name", MODELS)
def test_the_minimum_is_that_of_scipy(name):
    formula, data, start = planted(name)
    fit = steepest.fit(formula, data, start=start, reduce="sum")
    right, cost = scipy_minimum(name, data)
    assert fit.ok and "solved exactly at each step" in fit.why
    assert fit.loss == pytest.approx(cost, rel=1e-10)
    assert fit.values == pytest.approx(right, rel=1e-7)  # as near as SciPy's differences come


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_at_the_answer_is_zero_to_ten_digits(name):
    formula, data, start = planted(name)
    fit = steepest.fit(formula, data, start=start)
    _, columns, linear, nonlinear, *_ = MODELS[name]
    theta, alpha = fit.values, np.array([fit.values[n] for n in nonlinear])
    c = np.array([theta[n] for n in linear])
    phi, rest = columns(alpha, X)
    r = data["y"] - rest - phi @ c

    def prediction(t):
        phi, rest = columns(t, X)
        return rest + phi @ c

    steps = 1e-20 * np.eye(len(alpha))
    slopes = [np.imag(prediction(alpha.astype(complex) + 1j * s)) / 1e-20 for s in steps]
    for column in (*phi.T, *slopes):
        assert abs(column @ r) <= 1e-10 * np.linalg.norm(column) * np.linalg.norm(r)


@pytest.mark.parametrize("name", MODELS)
def test_the_linear_parameters_solved_from_one_pass_are_those_of_least_squares(name):
    formula, data, start = planted(name)
    objective, surface = objective_of(formula, data)
    theta = np.full(objective.layout.size, 0.7)
    for n, value in start.items():
        theta[objective.layout.slices[n]] = value
    read = surface.reader.rows_read
    solved = surface.at(theta, Need.PROJECTED).solved
    assert surface.reader.rows_read - read == len(X)
    phi, rest = MODELS[name][1](np.array(list(start.values())), X)
    best = np.linalg.lstsq(phi, data["y"] - rest, rcond=None)[0]
    assert solved.theta[objective.projection.linear] == pytest.approx(best, rel=1e-9)
    there = surface.at(solved.theta, Need.NORMAL)
    assert solved.total == pytest.approx(there.total, rel=1e-10)
    scale = np.sqrt(np.diag(there.gauss))
    assert np.allclose(solved.gauss / np.outer(scale, scale), there.gauss / np.outer(scale, scale), atol=1e-12)
    assert np.allclose(solved.slope / scale, there.slope / scale, atol=1e-10 * math.sqrt(2 * there.total))


@pytest.mark.parametrize("name", MODELS)
def test_the_reduced_problem_is_that_of_kaufman_by_brute_force(name):
    formula, data, start = planted(name)
    objective, surface = objective_of(formula, data)
    assert isinstance(objective.projection, Projection)
    theta = np.full(objective.layout.size, 0.7)
    for n, value in start.items():
        theta[objective.layout.slices[n]] = value
    made = steepest.strategy.plan(objective, "auto", None, None).method.far
    assert isinstance(made, Projected)
    solved = surface.at(theta, Need.PROJECTED).solved
    reduced, follows = made._reduced(solved)
    columns, alpha = MODELS[name][1], np.array(list(start.values()))
    phi, rest = columns(alpha, X)
    c = np.linalg.lstsq(phi, data["y"] - rest, rcond=None)[0]
    steps = 1e-20 * np.eye(len(alpha))
    parts = [columns(alpha.astype(complex) + 1j * s, X) for s in steps]
    jacobian = np.array([np.imag(f + p @ c) / 1e-20 for p, f in parts]).T
    along = np.linalg.lstsq(phi, jacobian, rcond=None)[0]
    across = jacobian - phi @ along
    size = np.linalg.norm(across, axis=0)
    assert np.allclose(reduced.curvature / np.outer(size, size), across.T @ across / np.outer(size, size), atol=1e-8)
    r = data["y"] - rest - phi @ c
    assert reduced.slope / size == pytest.approx(-across.T @ r / size, rel=1e-7, abs=1e-9 * np.linalg.norm(r))
    assert follows == pytest.approx(along, rel=1e-7)


@pytest.mark.parametrize("name", ["decay", "two", "peak"])
def test_weights_and_a_penalty_on_either_kind_keep_the_minimum_of_scipy(name):
    formula, data, start = planted(name)
    data["w"] = 0.5 + X
    a, b = MODELS[name][2][0], MODELS[name][3][0]
    fit = steepest.fit(
        formula, data, start=start, weights="w", penalty=f"0.3*{a}**2 + 0.2*{b}**4", reduce="sum", errors="hessian"
    )
    at = len(MODELS[name][2])
    right, cost = scipy_minimum(name, data, data["w"], lambda t: [math.sqrt(0.6) * t[0], math.sqrt(0.4) * t[at] ** 2])
    assert fit.ok and "solved exactly" in fit.why
    assert fit.loss == pytest.approx(cost, rel=1e-10)
    assert fit.values == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"penalty": "a**2*b"}, "the penalty is no quadratic"),
        ({"penalty": "a**4"}, "the penalty is no quadratic"),
        ({"bounds": {"a": (None, 0.5)}}, "leave their bounds"),
    ],
)
def test_where_linear_parameters_cannot_be_solved_apart_the_reason_is_said_and_the_answer_is_that_of_plain_steps(
    options, why
):
    formula, data, start = planted("decay")
    fit = steepest.fit(formula, data, start={**start, "a": 0.2, "c": 1.0}, **options)
    plain = steepest.fit(formula, data, start={**start, "a": 0.2, "c": 1.0}, method="gauss-newton", **options)
    assert why in fit.why
    assert fit.status == plain.status
    assert fit.loss == pytest.approx(plain.loss, rel=1e-9)


def test_bounds_that_do_not_hold_the_linear_parameters_change_nothing():
    formula, data, start = planted("decay")
    fit = steepest.fit(formula, data, start=start, bounds={"a": (0, None), "b": (0, 10)})
    free = steepest.fit(formula, data, start=start)
    assert "leave" not in fit.why
    assert fit.values == pytest.approx(free.values, rel=1e-12)


def test_a_bound_on_a_nonlinear_parameter_holds_it():
    formula, data, _ = planted("decay")
    fit = steepest.fit(formula, data, start={"b": 0.5}, bounds={"b": (0, 0.8)})
    assert fit.status == "converged"
    assert fit.values["b"] == 0.8
    best = np.linalg.lstsq(np.c_[np.exp(-0.8 * X), np.ones_like(X)], data["y"], rcond=None)[0]
    assert [fit.values["a"], fit.values["c"]] == pytest.approx(best, rel=1e-9)


def test_the_start_of_a_linear_parameter_does_not_matter_and_none_is_missed():
    formula, data, start = planted("two")
    fits = [steepest.fit(formula, data, start={**start, **more}) for more in ({}, {"a": 1e6, "c": -1e6}, {"a": 0.0})]
    for fit in fits:
        assert fit.ok and fit.missing_start == ()
        assert fit.values == pytest.approx(fits[0].values, rel=1e-9)


def test_from_equal_exponents_whose_columns_are_one_only_a_minimum_is_called_converged():
    formula, data, _ = planted("two")
    fit = steepest.fit(formula, data, start={"b": 1.0, "d": 1.0}, reduce="sum")
    assert not fit.ok or fit.loss == pytest.approx(scipy_minimum("two", data)[1], rel=1e-9)
    assert fit.ok or fit.errors is None


def test_a_step_does_not_pass_through_a_pole_of_a_denominator():
    """From here a step of plain Gauss-Newton leads to where x + k = 0 between two rows."""
    x = np.linspace(0.5, 8.0, 40)
    data = {"x": x, "y": 3.0 * x / (0.4 + x) + 0.02 * np.random.default_rng(0).normal(size=40)}
    fit = steepest.fit("y = v*x/(k + x)", data, start={"k": 6.0}, trace=True)
    assert fit.ok
    assert all(k > -0.5 for k in fit.trace.values[:, fit.trace.names.index("k")])
    assert fit.values["k"] == pytest.approx(0.4, abs=0.05)


def test_exact_data_are_fitted_to_rounding():
    formula, data, start = planted("decay", noise=0.0)
    fit = steepest.fit(formula, data, start=start)
    assert fit.ok
    assert fit.values == pytest.approx({"a": 1.5, "b": 1.3, "c": 2.5}, rel=1e-12)


def test_gauss_newton_asked_by_name_takes_its_steps_in_all_parameters():
    formula, data, start = planted("decay")
    fit = steepest.fit(formula, data, start=start, method="gauss-newton")
    assert "solved" not in fit.why
    assert set(fit.starts["names"]) == {"a", "c"}


def test_a_vector_is_solved_beside_a_nonlinear_parameter():
    rng = np.random.default_rng(5)
    z = rng.normal(size=(200, 7))
    x, right = rng.uniform(0, 3, 200), rng.normal(size=7)
    y = z @ right + 2.0 * np.exp(-1.7 * x) + 0.01 * rng.normal(size=200)
    fit = steepest.fit("y = Z @ B + a*exp(-k*x)", {"Z": z, "x": x, "y": y}, start={"k": 0.3})

    def projected(k):
        phi = np.c_[z, np.exp(-k * x)]
        return y - phi @ np.linalg.lstsq(phi, y, rcond=None)[0]

    best = optimize.least_squares(lambda t: projected(t[0]), [1.7], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert fit.ok and "B, a are solved exactly" in fit.why
    assert fit.values["k"] == pytest.approx(best.x[0], rel=1e-7)
    assert fit.rss == pytest.approx(2 * best.cost, rel=1e-10)


def test_too_many_columns_are_not_multiplied():
    rng = np.random.default_rng(6)
    columns = {f"x{j}": rng.normal(size=40) for j in range(20)}
    formula = "y = " + " + ".join(
        f"(a{j} + b{j}*z)*exp({'+'.join(f'k{i}*x{i}' for i in range(20))})" for j in range(10)
    )
    objective, _ = objective_of(formula, {**columns, "z": columns["x0"], "y": columns["x1"]})
    assert "columns would cost more" in str(objective.projection)
