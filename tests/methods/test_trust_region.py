"""Gauss-Newton and Newton on the hard functions of Moré, Garbow and Hillstrom, and away from saddles."""

import numpy as np
import pytest
from scipy import optimize

import steepest
from steepest import Stop

ROSENBROCK = "100*(y - x**2)**2 + (1 - x)**2"
#: formula, start, the smallest value
FUNCTIONS = {
    "Rosenbrock": (ROSENBROCK, {"x": -1.2, "y": 1.0}, 0.0),
    "Rosenbrock from afar": (ROSENBROCK, {"x": -120.0, "y": 100.0}, 0.0),
    "Powell's singular": (
        "(a + 10*b)**2 + 5*(c - d)**2 + (b - 2*c)**4 + 10*(a - d)**4",
        {"a": 3.0, "b": -1.0, "c": 0.0, "d": 1.0},
        0.0,
    ),
    "Beale": ("(1.5 - x*(1 - y))**2 + (2.25 - x*(1 - y**2))**2 + (2.625 - x*(1 - y**3))**2", {"x": 1.0, "y": 1.0}, 0.0),
    "Wood": (
        "100*(b - a**2)**2 + (1 - a)**2 + 90*(d - c**2)**2 + (1 - c)**2 + 10*(b + d - 2)**2 + 0.1*(b - d)**2",
        {"a": -3.0, "b": -1.0, "c": -3.0, "d": -1.0},
        0.0,
    ),
    "Himmelblau": ("(x**2 + y - 11)**2 + (x + y**2 - 7)**2", {"x": 0.0, "y": 0.0}, 0.0),
    "Brown badly scaled": ("(x - 1e6)**2 + (y - 2e-6)**2 + (x*y - 2)**2", {"x": 1.0, "y": 1.0}, 0.0),
    "Freudenstein and Roth": (
        "(-13 + x + ((5 - y)*y - 2)*y)**2 + (-29 + x + ((y + 1)*y - 14)*y)**2",
        {"x": 0.5, "y": -2.0},
        48.98425367924,
    ),
    "Powell badly scaled": ("(1e4*x*y - 1)**2 + (exp(-x) + exp(-y) - 1.0001)**2", {"x": 0.0, "y": 1.0}, 0.0),
    "Gulf-like": (
        "(exp(-x/10) - exp(-y/10) - z*(exp(-0.1) - exp(-1)))**2 + (exp(-x/5) - exp(-y/5) - z*(exp(-0.2) - exp(-2)))**2 "
        "+ (exp(-0.3*x) - exp(-0.3*y) - z*(exp(-0.3) - exp(-3)))**2",
        {"x": 0.0, "y": 20.0, "z": 20.0},
        0.0,
    ),
    "a saddle at the start": ("x**2 - y**2 + y**4", {"x": 1.0, "y": 0.0}, -0.25),
    "a saddle beside the start": ("x**2 - y**2 + y**4", {"x": 1.0, "y": 1e-8}, -0.25),
    "a maximum at the start": ("cos(x)", {"x": 0.0}, -1.0),
    "a convex exponential": (
        "exp(x + 3*y - 0.1) + exp(x - 3*y - 0.1) + exp(-x - 0.1)",
        {"x": -8.0, "y": 4.0},
        2.559266696682,
    ),
    "three humps": ("2*x**2 - 1.05*x**4 + x**6/6 + x*y + y**2", {"x": 1.5, "y": -1.0}, None),
}


def trigonometric(n):
    """Moré, Garbow and Hillstrom, problem 26."""
    names = [f"t{i}" for i in range(1, n + 1)]
    total = " - ".join([str(n), *(f"cos({t})" for t in names)])
    return " + ".join(f"({total} + {i}*(1 - cos({t})) - sin({t}))**2" for i, t in enumerate(names, 1)), names


def value_of(formula, names):
    code = compile(formula.replace("^", "**"), "formula", "eval")
    functions = {"exp": np.exp, "cos": np.cos, "sin": np.sin, "log": np.log}
    return lambda t: float(eval(code, {**functions, **dict(zip(names, t, strict=True))}))  # noqa: S307 - text from above


@pytest.mark.parametrize("method", ["auto", "newton"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_newton_finds_the_minimum_of_a_hard_function(name, method):
    formula, start, lowest = FUNCTIONS[name]
    fit = steepest.minimize(formula, start, method=method)
    assert fit.status == "converged", fit.message
    value = value_of(formula, list(start))
    found = [fit.values[n] for n in start]
    assert fit.loss == pytest.approx(value(found), rel=1e-12, abs=1e-25)
    if lowest is not None:
        assert fit.loss == pytest.approx(lowest, rel=1e-9, abs=1e-10)
    with np.errstate(all="ignore"):
        polished = optimize.minimize(value, found, method="Nelder-Mead", options={"xatol": 1e-12, "fatol": 1e-14})
    assert polished.fun >= fit.loss - 1e-9 * max(1, abs(fit.loss))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_newton_finds_a_minimum_of_the_trigonometric_function(n):
    formula, names = trigonometric(n)
    fit = steepest.minimize(formula, dict.fromkeys(names, 1 / n))
    assert fit.status == "converged", fit.message
    found = np.array([fit.values[t] for t in names])
    value = value_of(formula, names)
    polished = optimize.minimize(value, found, method="BFGS", options={"gtol": 1e-10})
    assert polished.fun >= fit.loss - 1e-12


def test_extended_rosenbrock_of_twenty_parameters():
    n = 20
    formula = " + ".join(f"100*(t{i + 1} - t{i}**2)**2 + (1 - t{i})**2" for i in range(0, n, 2))
    fit = steepest.minimize(formula, {f"t{i}": -1.2 if i % 2 == 0 else 1.0 for i in range(n)})
    assert fit.status == "converged"
    np.testing.assert_allclose(list(fit.values.values()), 1, rtol=1e-7)


def test_chained_rosenbrock_of_ten_parameters():
    n = 10
    formula = " + ".join(f"100*(t{i + 1} - t{i}**2)**2 + (1 - t{i})**2" for i in range(n - 1))
    fit = steepest.minimize(formula, {f"t{i}": 0.5 for i in range(n)})
    assert fit.status == "converged"
    np.testing.assert_allclose(list(fit.values.values()), 1, rtol=1e-7)


#: residuals of the same problems: row k is the k-th residual
RESIDUALS = {
    "Rosenbrock": (["10*(q - p**2)", "1 - p"], {"p": -1.2, "q": 1.0}, [1, 1]),
    "Powell's singular": (
        ["a + 10*b", "sqrt(5)*(c - d)", "(b - 2*c)**2", "sqrt(10)*(a - d)**2"],
        {"a": 3.0, "b": -1.0, "c": 0.0, "d": 1.0},
        None,
    ),
    "Beale": (["1.5 - p*(1 - q)", "2.25 - p*(1 - q**2)", "2.625 - p*(1 - q**3)"], {"p": 1.0, "q": 1.0}, [3, 0.5]),
    "Wood": (
        ["10*(b - a**2)", "1 - a", "sqrt(90)*(d - c**2)", "1 - c", "sqrt(10)*(b + d - 2)", "(b - d)/sqrt(10)"],
        {"a": -3.0, "b": -1.0, "c": -3.0, "d": -1.0},
        [1, 1, 1, 1],
    ),
    "Brown badly scaled": (["p - 1e6", "q - 2e-6", "p*q - 2"], {"p": 1.0, "q": 1.0}, [1e6, 2e-6]),
    "Helical valley": (
        ["10*(c - 10*atan2(b, a)/(2*pi))", "10*(sqrt(a**2 + b**2) - 1)", "c"],
        {"a": -1.0, "b": 0.01, "c": 0.0},
        [1, 0, 0],
    ),
    "Powell badly scaled": (["1e4*p*q - 1", "exp(-p) + exp(-q) - 1.0001"], {"p": 0.0, "q": 1.0}, None),
}


def as_model(residuals):
    """One formula over rows numbered k, with a response of zero."""
    text = residuals[-1]
    for k in range(len(residuals) - 2, -1, -1):
        text = f"where(k <= {k}, {residuals[k]}, {text})"
    return f"z = {text}", {"k": np.arange(len(residuals)), "z": np.zeros(len(residuals))}


@pytest.mark.parametrize("method", ["auto", "gauss-newton", "newton"])
@pytest.mark.parametrize("name", RESIDUALS)
def test_gauss_newton_solves_hard_residuals(name, method):
    residuals, start, solution = RESIDUALS[name]
    formula, data = as_model(residuals)
    fit = steepest.fit(formula, data, start=start, method=method, stop=Stop(passes=500))
    assert fit.rss < 1e-12
    if solution is not None:
        assert fit.status == "converged", fit.message
        np.testing.assert_allclose([fit.values[n] for n in start], solution, rtol=1e-6, atol=1e-7)
    else:
        assert fit.status in ("converged", "unidentifiable", "stopped")


def test_gauss_newton_takes_one_step_where_the_model_is_linear():
    x = np.linspace(0, 1, 20)
    fit = steepest.fit("y = a + b*x", {"x": x, "y": np.cos(x)}, method="gauss-newton", start={"a": 0, "b": 0})
    assert fit.steps <= 2
    assert fit.status == "converged"


@pytest.mark.parametrize("formula", ["3*x**2 + 2*x*y + y**2 - x", "(x - 1)**2 + 1e8*(y + 2)**2"])
def test_newton_takes_at_most_two_steps_on_a_convex_quadratic(formula):
    fit = steepest.minimize(formula, {"x": 0.0, "y": 0.0})
    assert fit.steps <= 2
    assert fit.status == "converged"


@pytest.mark.parametrize("method", ["auto", "newton"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_accepted_step_never_raises_the_loss(name, method):
    formula, start, _ = FUNCTIONS[name]
    fit = steepest.minimize(formula, start, method=method, trace=True, stop=Stop(steps=200))
    # differences below the rounding of the loss say nothing
    assert (np.diff(fit.trace.loss) <= 1e-12 * np.maximum(1e-12, np.abs(fit.trace.loss[:-1]))).all()


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 9)[:-1])
@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-3])
def test_newton_leaves_a_saddle_in_any_direction(angle, size):
    turn = f"(x*cos({angle}) + y*sin({angle}))", f"(y*cos({angle}) - x*sin({angle}))"
    formula = f"{turn[0]}**2 - {turn[1]}**2 + {turn[1]}**4"
    fit = steepest.minimize(formula, {"x": size, "y": size / 3}, method="newton")
    assert fit.status == "converged", fit.message
    assert fit.loss == pytest.approx(-0.25, abs=1e-9)


def test_newton_leaves_a_saddle_of_many_dimensions():
    names = [f"t{i}" for i in range(8)]
    formula = " + ".join(f"{(-1) ** i}*{t}**2 + {t}**4" for i, t in enumerate(names))
    fit = steepest.minimize(formula, dict.fromkeys(names, 0.0))
    assert fit.status == "converged"
    assert fit.loss == pytest.approx(-4 * 0.25, abs=1e-9)


def test_newton_leaves_a_saddle_of_a_fit():
    x = np.linspace(-1, 1, 30)
    data = {"x": x, "y": 1 + 2 * x + 0.01 * np.cos(9 * x)}
    fit = steepest.fit("y = a*b*x + a", data, start={"a": 0.0, "b": 0.0}, method="newton")
    assert fit.status == "converged", fit.message
    best = np.linalg.lstsq(np.c_[np.ones(30), x], data["y"], rcond=None)[0]
    assert [fit.values["a"], fit.values["a"] * fit.values["b"]] == pytest.approx(list(best), rel=1e-7)


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e4, 1e12])
def test_the_units_of_a_parameter_do_not_change_the_path(scale):
    plain = steepest.minimize(ROSENBROCK, {"x": -1.2, "y": 1.0})
    scaled = steepest.minimize(ROSENBROCK.replace("x", f"(x*{scale})"), {"x": -1.2 / scale, "y": 1.0})
    assert scaled.status == "converged"
    assert scaled.values["x"] * scale == pytest.approx(1, rel=1e-7)
    assert abs(scaled.steps - plain.steps) <= 3


@pytest.mark.parametrize("scale", [1e-100, 1e-12, 1e12, 1e100])
def test_the_units_of_the_function_do_not_change_the_answer(scale):
    fit = steepest.minimize(f"{scale}*({ROSENBROCK})", {"x": -1.2, "y": 1.0})
    assert fit.status == "converged", fit.message
    assert fit.values["x"] == pytest.approx(1, rel=1e-7)


@pytest.mark.parametrize("zeros", ["t1", "t0 t2", "t0 t1 t3", "t0 t1 t2 t3"])
@pytest.mark.parametrize("seed", range(2))
def test_parameters_that_start_at_their_solution_of_zero_do_not_keep_the_run_from_converging(seed, zeros):
    random = np.random.default_rng(seed)
    mix = random.normal(size=(4, 4))
    terms = [" + ".join(f"({mix[i, j]:.3f})*t{j}" for j in range(4)) for i in range(4)]
    start = {f"t{j}": 0.0 if f"t{j}" in zeros else float(random.normal()) for j in range(4)}
    fit = steepest.minimize(" + ".join(f"log(cosh({t}))" for t in terms), start)
    assert fit.status == "converged", fit.message
    np.testing.assert_allclose(list(fit.values.values()), 0, atol=1e-7)


def test_the_helical_valley_as_a_function_converges_in_few_steps():
    formula = "100*(c - 10*atan2(b, a)/(2*pi))**2 + 100*(sqrt(a**2 + b**2) - 1)**2 + c**2"
    fit = steepest.minimize(formula, {"a": -1.0, "b": 0.01, "c": 0.0})
    assert fit.status == "converged", fit.message
    assert fit.steps <= 40


def test_a_residual_problem_needs_residuals():
    with pytest.raises(steepest.FitError, match="needs residuals"):
        steepest.minimize("x**2", {"x": 1}, method="gauss-newton")


def test_auto_says_which_method_it_takes_and_why():
    x = np.linspace(0, 1, 9)
    linear = steepest.fit("y = a + b*x", {"x": x, "y": 1 + x**2})
    assert linear.method == "gauss-newton" and "quadratic" in linear.why
    curve = steepest.fit("y = exp(a*x)", {"x": x, "y": 1 + x**2})
    assert curve.method == "gauss-newton" and "squared residuals" in curve.why
    function = steepest.minimize("x**2")
    assert function.method == "newton" and "Hessian" in function.why


@pytest.mark.slow
def test_above_a_thousand_parameters_no_hessian_is_formed_and_the_minimum_is_not_certified():
    random = np.random.default_rng(0)
    data = {"X": random.normal(size=(40, 1001)), "y": random.normal(size=40)}
    fit = steepest.fit("y = X @ B", data, penalty="5*(B @ B)", stop=Stop(gradient=1e-6))
    assert fit.status == "stopped"
    assert "not certified" in fit.message
    right = np.linalg.solve(data["X"].T @ data["X"] + 10 * np.eye(1001), data["X"].T @ data["y"])
    np.testing.assert_allclose(fit.values["B"], right, atol=1e-3)
