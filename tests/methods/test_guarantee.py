"""When convergence is guaranteed: safe rates, largest stable rates and predicted steps on quadratics."""

import math
import warnings

import numpy as np
import pytest

import steepest
from steepest import Stop


def quadratic(seed, condition=None):
    """A random linear regression: data, the Hessian of its sum of squares."""
    random = np.random.default_rng(seed)
    p = int(random.integers(1, 6))
    n = int(random.integers(p + 1, 40))
    matrix = random.normal(size=(n, p)) * np.exp(random.normal(0, 1, p))
    if condition is not None:
        left, _, right = np.linalg.svd(matrix, full_matrices=False)
        matrix = left @ np.diag(np.geomspace(1, 1 / math.sqrt(condition), p)) @ right * random.uniform(0.5, 3)
    y = matrix @ random.normal(size=p) + random.normal(size=n)
    return {"X": matrix, "y": y}, matrix.T @ matrix


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_one_over_l_never_raises_the_loss_on_a_hundred_random_quadratics(reduce):
    for seed in range(100):
        data, hessian = quadratic(seed)
        fit = steepest.fit("y = X @ B", data, method="gd", reduce=reduce, stop=Stop(steps=60), trace=True)
        largest = np.linalg.eigvalsh(hessian)[-1] / (1 if reduce == "sum" else len(data["y"]))
        assert fit.rate == pytest.approx(1 / largest, rel=1e-9)
        assert fit.status in ("converged", "stopped")
        assert (np.diff(fit.trace.loss) <= 1e-14 * fit.trace.loss[:-1]).all()


@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov"])
def test_one_over_l_converges_on_random_quadratics(method):
    for seed in range(10):
        data, _ = quadratic(seed, condition=30.0)
        fit = steepest.fit("y = X @ B", data, method=method)
        assert fit.status == "converged", (seed, fit.message)
        np.testing.assert_allclose(
            fit.values["B"], np.linalg.lstsq(data["X"], data["y"], rcond=None)[0], rtol=1e-3, atol=1e-4
        )


LIMITS = {
    "gd": 2.0,
    "momentum": 2 * 1.9,
    "nesterov": 2 * 1.9 / 2.8,
    "momentum(beta=0.5)": 2 * 1.5,
    "nesterov(beta=0.5)": 2 * 1.5 / 2.0,
    "momentum(beta=0)": 2.0,
    "nesterov(beta=0.95)": 2 * 1.95 / 2.9,
}


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("method", LIMITS)
def test_just_below_the_largest_stable_rate_a_quadratic_converges_and_just_above_it_diverges(method, reduce):
    for seed in range(3):
        data, hessian = quadratic(seed, condition=10.0)
        largest = np.linalg.eigvalsh(hessian)[-1] / (1 if reduce == "sum" else len(data["y"]))
        limit = LIMITS[method] / largest
        best = np.linalg.lstsq(data["X"], data["y"], rcond=None)[0]
        options = {"method": method, "reduce": reduce, "start": {"B": best + 1.0}}
        below = steepest.fit("y = X @ B", data, rate=0.97 * limit, stop=Stop(steps=1200), **options)
        np.testing.assert_allclose(below.values["B"], best, atol=1e-6)
        with pytest.warns(UserWarning, match="diverges"):
            above = steepest.fit("y = X @ B", data, rate=1.03 * limit, stop=Stop(steps=20_000), **options)
        assert above.status == "diverged"


@pytest.mark.parametrize("method", LIMITS)
def test_the_warning_comes_above_the_limit_and_not_below(method):
    data, hessian = quadratic(3, condition=10.0)
    limit = LIMITS[method] / np.linalg.eigvalsh(hessian)[-1]
    options = {"method": method, "reduce": "sum", "stop": Stop(steps=1)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steepest.fit("y = X @ B", data, rate=0.999 * limit, **options)
    with pytest.warns(UserWarning, match="diverges") as caught:
        fit = steepest.fit("y = X @ B", data, rate=1.001 * limit, **options)
    assert len(caught) == 1
    assert f"{limit:.4g}" in str(caught[0].message)
    assert str(caught[0].message) in fit.notes


@pytest.mark.parametrize("formula", ["y = exp(a*x)", "y = a*b*x"])
def test_no_warning_where_nothing_is_proved(formula):
    x = np.linspace(0, 1, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steepest.fit(formula, {"x": x, "y": 1 + x}, method="gd", rate=50.0, stop=Stop(steps=2))


def test_a_penalty_adds_its_curvature():
    data, hessian = quadratic(5)
    p = len(hessian)
    fit = steepest.fit("y = X @ B", data, penalty="7*(B @ B)", method="gd", reduce="sum")
    assert fit.rate == pytest.approx(1 / np.linalg.eigvalsh(hessian + 14 * np.eye(p))[-1], rel=1e-9)


def test_weights_stand_in_the_curvature():
    data, _ = quadratic(6)
    w = np.random.default_rng(0).uniform(0.1, 5, len(data["y"]))
    fit = steepest.fit("y = X @ B", {**data, "w": w}, weights="w", method="gd")
    hessian = data["X"].T @ (data["X"] * w[:, None]) / w.sum()
    assert fit.rate == pytest.approx(1 / np.linalg.eigvalsh(hessian)[-1], rel=1e-9)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("weights", [None, "w"])
def test_mini_batches_take_one_over_the_curvature_of_the_steepest_row(reduce, batch, weights):
    data, _ = quadratic(8)
    n = len(data["y"])
    w = np.random.default_rng(1).uniform(0.1, 5, n)
    fit = steepest.fit(
        "y = X @ B", {**data, "w": w}, weights=weights, method="sgd", batch=batch, reduce=reduce, stop=Stop(steps=1)
    )
    if weights is None:
        w = np.ones(n)
    rows = w * np.sum(data["X"] ** 2, axis=1)
    right = 1 / rows.max() / batch if reduce == "sum" else 1 / (rows.max() * n / w.sum())
    assert fit.rate == pytest.approx(right, rel=1e-9)


def test_mini_batches_with_a_penalty_add_its_curvature():
    data, hessian = quadratic(9)
    n, p = len(data["y"]), len(hessian)
    fit = steepest.fit("y = X @ B", data, penalty="3*(B @ B)", method="sgd", stop=Stop(steps=1))
    # the mean: largest row plus the penalty's share 6/n
    assert fit.rate == pytest.approx(1 / (np.sum(data["X"] ** 2, axis=1).max() + 6 / n), rel=1e-9)
    assert p >= 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("method", ["sgd", "gd"])
def test_mini_batches_at_their_own_rate_do_not_diverge(method, seed):
    data, _ = quadratic(seed)
    fit = steepest.fit("y = X @ B", data, method=method, batch=2, seed=seed, stop=Stop(passes=30))
    assert fit.status != "diverged"
    start = 0.5 * np.sum((data["y"] - data["X"] @ np.ones(data["X"].shape[1])) ** 2)
    assert fit.total <= start * 1.001


def test_the_predicted_error_of_gradient_descent_is_exact_on_a_quadratic():
    data, hessian = quadratic(2, condition=50.0)
    p = len(hessian)
    names = [f"b{j}" for j in range(p)]
    formula = "y = " + " + ".join(f"{n}*x{j}" for j, n in enumerate(names))
    table = {"y": data["y"], **{f"x{j}": data["X"][:, j] for j in range(p)}}
    explained = steepest.explain(formula, table)
    guarantee = explained.guarantees["sum"]
    values = np.linalg.eigvalsh(hessian)
    assert guarantee.largest == pytest.approx(values[-1]) and guarantee.smallest == pytest.approx(values[0])
    assert guarantee.condition == pytest.approx(values[-1] / values[0])
    assert guarantee.limit == pytest.approx(2 / values[-1])
    best = np.linalg.lstsq(data["X"], data["y"], rcond=None)[0]
    fit = steepest.fit(formula, table, method="gd", rate=guarantee.safe, reduce="sum", stop=Stop(steps=37))
    left = np.array([fit.values[n] for n in names]) - best
    np.testing.assert_allclose(guarantee.error(guarantee.safe, 37, np.ones(p) - best), left, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("shrink", [1e-2, 1e-6])
def test_the_predicted_steps_are_enough_and_nearly_needed(shrink):
    data, hessian = quadratic(4, condition=40.0)
    guarantee = steepest.explain("y = X @ B", data).guarantees["sum"]
    best = np.linalg.lstsq(data["X"], data["y"], rcond=None)[0]
    _, vectors = np.linalg.eigh(hessian)
    steps = math.ceil(guarantee.steps(guarantee.safe, shrink))
    for k, enough in ((steps, True), (steps - 2, False)):
        fit = steepest.fit(
            "y = X @ B",
            data,
            method="gd",
            rate=guarantee.safe,
            reduce="sum",
            start={"B": best + vectors[:, 0]},
            stop=Stop(steps=k),
        )
        assert (np.linalg.norm(fit.values["B"] - best) <= shrink * (1 + 1e-6)) == enough


def test_for_anything_but_a_quadratic_explain_says_that_nothing_is_proved():
    x = np.linspace(0, 1, 9)
    explained = steepest.explain("y = exp(a*x)", {"x": x, "y": 1 + x})
    assert not explained.guarantees
    assert "not proved" in explained.text()


def test_a_quadratic_that_is_not_convex_has_no_safe_rate():
    explained = steepest.explain("(a - t)**2 - 3*b**2 + a*b", {"t": np.ones(4)})
    assert "not convex" in explained.text()
