"""`function` hands out loss, gradient and Hessian that are those of SciPy, complex steps and differences."""

import numpy as np
import pytest
from scipy import optimize

import steepest

RANDOM = np.random.default_rng(4)
X = np.linspace(0.1, 2.0, 25)
M = np.c_[np.ones(25), X, np.cos(X)]
Y = 2.0 * np.exp(-0.7 * X) + 0.1 * RANDOM.normal(size=25)
DATA = {"x": X, "y": Y, "M": M, "k": RANDOM.poisson(3.0, 25).astype(float)}


def mean(rows):
    return np.sum(rows) / 25


#: formula, loss, the same in NumPy for complex parameters (before the reduction), a point
CASES = {
    "squares": (
        "y = a*exp(-b*x) + c",
        "squares",
        lambda t: 0.5 * (Y - t[0] * np.exp(-t[1] * X) - t[2]) ** 2,
        [1.5, 0.4, 0.1],
    ),
    "a sine": (
        "y = a*sin(w*x + p)",
        "squares",
        lambda t: 0.5 * (Y - t[0] * np.sin(t[1] * X + t[2])) ** 2,
        [1.5, 1.4, 0.1],
    ),
    "custom": (
        "y = a*exp(-b*x) + c",
        "log(cosh(y - prediction))",
        lambda t: np.log(np.cosh(Y - t[0] * np.exp(-t[1] * X) - t[2])),
        [1.5, 0.4, 0.1],
    ),
    "asymmetric": (
        "y = a + b*x",
        "exp(y - prediction) - (y - prediction)",
        lambda t: np.exp(Y - t[0] - t[1] * X) - (Y - t[0] - t[1] * X),
        [0.3, 0.2],
    ),
    "a likelihood": (
        "exp(a + b*x) - k*(a + b*x)",
        "squares",
        lambda t: np.exp(t[0] + t[1] * X) - DATA["k"] * (t[0] + t[1] * X),
        [0.3, 0.2],
    ),
    "a matrix": ("y = M @ B", "squares", lambda t: 0.5 * (Y - M @ t) ** 2, [0.3, 0.2, -0.4]),
    "a matrix in an exponential": (
        "y = a*exp(-(M @ B))",
        "squares",
        lambda t: 0.5 * (Y - t[0] * np.exp(-(M @ t[1:]))) ** 2,
        [0.8, 0.3, 0.2, -0.4],
    ),
    "two matrices": (
        "y = exp(M @ A)*(M @ B)",
        "squares",
        lambda t: 0.5 * (Y - np.exp(M @ t[:3]) * (M @ t[3:])) ** 2,
        [0.1, -0.2, 0.3, 0.5, 0.1, -0.4],
    ),
    "a matrix in a likelihood": (
        "exp(M @ B) - k*(M @ B) + c**2*x",
        "squares",
        lambda t: np.exp(M @ t[:3]) - DATA["k"] * (M @ t[:3]) + t[3] ** 2 * X,
        [0.1, 0.2, 0.3, 0.4],
    ),
    "a list": (
        "y = [x, x**2] @ B + c",
        "squares",
        lambda t: 0.5 * (Y - t[0] * X - t[1] * X**2 - t[2]) ** 2,
        [0.1, 0.2, 0.3],
    ),
    "a left side": (
        "log(1 + y**2) = a + b*x",
        "squares",
        lambda t: 0.5 * (np.log(1 + Y**2) - t[0] - t[1] * X) ** 2,
        [0.1, 0.2],
    ),
}


def reduced(case, reduce):
    rows = CASES[case][2]
    if reduce == "rmse":
        return lambda t: np.sqrt(2 * mean(rows(t)))
    return (lambda t: np.sum(rows(t))) if reduce == "sum" else (lambda t: mean(rows(t)))


def made(case, reduce):
    formula, loss, _, at = CASES[case]
    options = {"loss": "rmse"} if reduce == "rmse" else {"loss": loss, "reduce": reduce}
    return steepest.function(formula, DATA, **options), np.array(at), reduced(case, reduce)


def complex_step(value, at):
    h = 1e-30
    return np.array([value(at.astype(complex) + 1j * h * e).imag / h for e in np.eye(at.size)])


REDUCED = [
    (c, r)
    for c in CASES
    for r in ("mean", "sum", "rmse")
    if r != "rmse" or (CASES[c][1] == "squares" and "=" in CASES[c][0])
]


@pytest.mark.parametrize(("case", "reduce"), REDUCED)
def test_the_loss_is_numpys_and_the_gradient_a_complex_step(case, reduce):
    function, at, value = made(case, reduce)
    loss, gradient = function(at)
    assert isinstance(loss, float) and gradient.shape == at.shape
    assert loss == pytest.approx(float(value(at)), rel=1e-13)
    assert function.value(at) == pytest.approx(loss, rel=1e-13)
    right = complex_step(value, at)
    np.testing.assert_allclose(gradient, right, rtol=1e-11, atol=1e-12 * np.abs(right).max())


@pytest.mark.parametrize(("case", "reduce"), REDUCED)
def test_the_hessian_is_the_difference_of_complex_step_gradients(case, reduce):
    function, at, value = made(case, reduce)
    hessian = function.hessian(at)
    h = 1e-5
    right = np.array(
        [(complex_step(value, at + h * e) - complex_step(value, at - h * e)) / (2 * h) for e in np.eye(at.size)]
    )
    assert hessian.shape == (at.size, at.size)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12, atol=1e-14 * np.abs(hessian).max())
    np.testing.assert_allclose(hessian, right, rtol=1e-6, atol=1e-7 * np.abs(right).max())


@pytest.mark.parametrize(("case", "reduce"), REDUCED)
def test_scipys_minimize_takes_it_with_jac_true(case, reduce):
    function, at, value = made(case, reduce)
    found = optimize.minimize(function, at, jac=True, method="BFGS", options={"gtol": 1e-7})
    alone = optimize.minimize(
        lambda t: float(value(t)), found.x, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}
    )
    assert found.fun <= float(value(at))
    assert alone.fun >= found.fun - 1e-5 * max(1, abs(found.fun))


def test_a_newton_step_of_scipy_takes_the_hessian():
    function, at, _ = made("squares", "mean")
    found = optimize.minimize(
        function, at, jac=True, hess=function.hessian, method="trust-exact", options={"gtol": 1e-9}
    )
    fit = steepest.fit(CASES["squares"][0], DATA, start=dict(zip("abc", at, strict=True)))
    np.testing.assert_allclose(found.x, list(fit.values.values()), rtol=1e-6)


def test_names_are_in_the_order_of_theta_and_a_dict_is_taken_too():
    function = steepest.function("y = a*exp(-(M @ B)) + c", DATA)
    assert function.names == ("a", "B[0]", "B[1]", "B[2]", "c")
    at = np.array([0.8, 0.1, 0.2, 0.3, 0.4])
    loss, gradient = function(at)
    by_flat = function(dict(zip(function.names, at, strict=True)))
    assert loss == by_flat[0] and (gradient == by_flat[1]).all()
    by_name = function({"a": 0.8, "B": [0.1, 0.2, 0.3], "c": 0.4})
    assert loss == by_name[0]


def test_a_list_will_do_and_the_point_is_not_changed():
    function, at, _ = made("squares", "mean")
    before = at.copy()
    assert function(list(at))[0] == function(at)[0]
    assert (at == before).all()


@pytest.mark.parametrize(
    "theta", [[1.0], [1.0, 2.0, 3.0, 4.0], 1.0, [[1.0, 2.0, 3.0]], {"a": 1.0}, {"a": 1, "b": 2, "c": 3, "d": 4}]
)
def test_a_point_of_another_shape_is_refused(theta):
    function, _, _ = made("squares", "mean")
    with pytest.raises(steepest.FitError, match=r"names|theta|needed"):
        function(theta)


def test_a_point_that_is_not_finite_gives_what_numpy_gives():
    function, _, _ = made("squares", "mean")
    loss, _ = function([1.0, -1e6, 0.0])
    assert loss == np.inf or np.isnan(loss)


def test_without_data_it_is_the_function_of_all_its_names():
    function = steepest.function("100*(y - x**2)**2 + (1 - x)**2")
    loss, gradient = function([-1.2, 1.0][:: 1 if function.names == ("x", "y") else -1])
    assert loss == pytest.approx(optimize.rosen([-1.2, 1.0]))
    right = optimize.rosen_der([-1.2, 1.0])
    np.testing.assert_allclose(gradient, right if function.names == ("x", "y") else right[::-1], rtol=1e-12)
    hessian = function.hessian([-1.2, 1.0][:: 1 if function.names == ("x", "y") else -1])
    right = optimize.rosen_hess([-1.2, 1.0])
    np.testing.assert_allclose(hessian, right if function.names == ("x", "y") else right[::-1, ::-1], rtol=1e-12)


def test_an_equation_without_data_is_refused():
    with pytest.raises(steepest.FormulaError, match="needs data"):
        steepest.function("y = a*x")


def test_rmse_at_an_exact_fit_has_a_gradient_of_zero_and_no_infinity():
    function = steepest.function("y = a*x", {"x": [1.0, 2.0], "y": [2.0, 4.0]}, loss="rmse")
    loss, gradient = function([2.0])
    assert loss == 0 and np.isfinite(gradient).all()


def test_nulls_are_left_out():
    y = Y.copy()
    y[3] = np.nan
    kept = np.arange(25) != 3
    loss, _ = steepest.function("y = a*x", {"x": X, "y": y})([0.7])
    assert loss == pytest.approx(0.5 * np.mean((Y[kept] - 0.7 * X[kept]) ** 2), rel=1e-13)


def test_it_may_be_called_from_many_threads():
    from concurrent.futures import ThreadPoolExecutor

    function, at, _ = made("squares", "mean")
    points = at + 0.01 * RANDOM.normal(size=(200, 3))
    one = [function(p)[0] for p in points]
    with ThreadPoolExecutor(8) as pool:
        assert [r[0] for r in pool.map(function, points)] == one
