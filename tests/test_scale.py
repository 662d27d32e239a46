"""scale="auto": a first-order rule sees standardised parameters, everybody else the units of the user."""

from __future__ import annotations

import json
import math
import warnings

import mpmath as mp
import numpy as np
import pytest

import steepest
from steepest import Stop
from steepest.kernels import surface
from steepest.strategy import Guarantee

RULES = {
    "gd": 0.5,
    "momentum": 0.1,
    "nesterov": 0.1,
    "adagrad": 0.3,
    "rmsprop": 2e-4,
    "adam": 0.05,
    "v = 0.5*v + g; theta = theta - rate*(v + 0.01*theta)": 0.2,
}
LINE = "y = a + b*T + c*P"
ZERO = dict.fromkeys("abc", 0.0)
CALIBRATION = "y = a*P*exp(-b*T) + c"
NEAR = {"a": 2.8e-4, "b": 0.0035, "c": 10.0}


def readings(rows=300, seed=0):
    """A gauge in raw units: kelvin, pascal; weights; what it reads, on a line and on a curve."""
    random = np.random.default_rng(seed)
    T, P = random.uniform(250.0, 400.0, rows), 1e5 + 2e4 * random.normal(size=rows)
    noise = random.normal(size=rows)
    return {
        "T": T, "P": P, "w": random.uniform(0.5, 2.0, rows), "x": random.normal(size=rows),
        "y": 2.0 + 0.01 * T - 3e-5 * P + 0.1 * noise, "curve": 3e-4 * P * np.exp(-0.004 * T) + 12.0 + 0.05 * noise,
    }  # fmt: skip


DATA = readings()


def rule(method, rate):
    """theta, g, step -> theta of a rule, in NumPy."""
    v, s = 0.0, 0.0

    def update(theta, g, step):
        nonlocal v, s
        if method == "gd":
            return theta - rate * g
        if method in ("momentum", "nesterov"):
            v = 0.9 * v + g
            return theta - rate * (v if method == "momentum" else g + 0.9 * v)
        if method in ("adagrad", "rmsprop"):
            s = s + g**2 if method == "adagrad" else 0.9 * s + 0.1 * g**2
            return theta - rate * g / (np.sqrt(s) + (1e-10 if method == "adagrad" else 1e-8))
        if method == "adam":
            v, s = 0.9 * v + 0.1 * g, 0.999 * s + 0.001 * g**2
            return theta - rate * (v / (1 - 0.9**step)) / (np.sqrt(s / (1 - 0.999**step)) + 1e-8)
        v = 0.5 * v + g
        return theta - rate * (v + 0.01 * theta)

    return update


def standardised_regression(data, method, rate, steps, batch=None, weights=None):
    """The rule on columns standardised by hand, from zero; its iterates put back into the raw units."""
    columns, y = np.column_stack([data["T"], data["P"]]), data["y"]
    w = np.ones(len(y)) if weights is None else weights
    mean = w @ columns / w.sum()
    spread = np.sqrt(w @ (columns - mean) ** 2 / w.sum())
    standard = np.column_stack([np.ones(len(y)), (columns - mean) / spread])
    beta, update, path = np.zeros(3), rule(method, rate), []
    rows = np.arange(len(y))
    batches = [rows] if batch is None else np.split(rows, range(batch, len(y), batch))
    for step in range(steps + 1):
        path.append([beta[0] - mean @ (beta[1:] / spread), *beta[1:] / spread])
        part = batches[step % len(batches)]
        residual = standard[part] @ beta - y[part]
        g = standard[part].T @ (w[part] * residual) / len(part) * len(y) / w.sum()
        beta = update(beta, g, step + 1)
    return np.array(path)


def same(found, expected, tolerance=1e-10):
    """Every parameter within a tolerance of its own largest value."""
    scale = np.maximum(np.abs(expected).max(axis=0), 1e-300)
    np.testing.assert_array_less(np.abs(found - expected) / scale, tolerance)


compiled = pytest.mark.parametrize("worth", [0, math.inf], ids=["compiled", "plain"])


@compiled
@pytest.mark.parametrize("method", RULES, ids=[*list(RULES)[:6], "own"])
def test_the_iterates_are_those_on_columns_standardised_by_hand(monkeypatch, worth, method):
    monkeypatch.setattr(surface, "WORTH_STEPS", worth)
    fit = steepest.fit(LINE, DATA, start=ZERO, method=method, rate=RULES[method], scale="auto", stop=Stop(steps=300),
                       trace=True)  # fmt: skip
    same(fit.trace.values, standardised_regression(DATA, method, RULES[method], 300))


@compiled
@pytest.mark.parametrize("method", ["gd", "adam"])
def test_weights_standardise_the_columns_by_weighted_means(monkeypatch, worth, method):
    monkeypatch.setattr(surface, "WORTH_STEPS", worth)
    fit = steepest.fit(LINE, DATA, start=ZERO, method=method, rate=0.1, scale="auto", weights="w",
                       stop=Stop(steps=200), trace=True)  # fmt: skip
    same(fit.trace.values, standardised_regression(DATA, method, 0.1, 200, weights=DATA["w"]))


@compiled
@pytest.mark.parametrize("method", ["gd", "momentum", "adam"])
@pytest.mark.parametrize("batch", [1, 32])
def test_batches_are_standardised_by_all_rows(monkeypatch, worth, method, batch):
    monkeypatch.setattr(surface, "WORTH_STEPS", worth)
    fit = steepest.fit(LINE, DATA, start=ZERO, method=method, rate=0.02, scale="auto", batch=batch, shuffle=False,
                       stop=Stop(steps=400), trace=True)  # fmt: skip
    same(fit.trace.values, standardised_regression(DATA, method, 0.02, 400, batch))


@compiled
def test_the_columns_of_a_matrix_are_standardised_one_by_one(monkeypatch, worth):
    monkeypatch.setattr(surface, "WORTH_STEPS", worth)
    data = {"X": np.column_stack([DATA["T"], DATA["P"]]), "y": DATA["y"]}
    fit = steepest.fit("y = X @ B + a", data, start={"B": 0.0, "a": 0.0}, method="momentum", rate=0.1, scale="auto",
                       stop=Stop(steps=200), trace=True)  # fmt: skip
    order = list(map(fit.trace.names.index, ("a", "B[0]", "B[1]")))
    same(fit.trace.values[:, order], standardised_regression(DATA, "momentum", 0.1, 200))


@compiled
def test_loss_and_gradient_norm_of_the_trace_are_those_of_the_raw_parameters(monkeypatch, worth):
    monkeypatch.setattr(surface, "WORTH_STEPS", worth)
    fit = steepest.fit(LINE, DATA, method="gd", rate=0.5, scale="auto", stop=Stop(steps=30), trace=True)
    X = np.column_stack([np.ones(300), DATA["T"], DATA["P"]])
    residual = X @ fit.trace.values.T - DATA["y"][:, None]
    np.testing.assert_allclose(fit.trace.loss, 0.5 * (residual**2).mean(axis=0), rtol=1e-6)
    early = slice(0, 10)  # later the gradient is a small rest of large terms
    norms = np.linalg.norm(X.T @ residual / 300, axis=0)
    np.testing.assert_allclose(fit.trace.gradient_norm[early], norms[early], rtol=1e-5)


def slopes(theta, data):
    """Prediction and Jacobian of the calibration."""
    a, b, c = theta
    bell = data["P"] * np.exp(-b * data["T"])
    return a * bell + c, np.column_stack([bell, -a * data["T"] * bell, np.ones(len(bell))])


def change_of_parameters(jacobian, bounded=()):
    """A of theta = A phi, column by column: units of length √n, the others orthogonal to the constant one."""
    n, p = jacobian.shape
    A = np.diag([1 / math.sqrt(j @ j / n) for j in jacobian.T])
    if p - 1 not in bounded:
        for j in (j for j in range(p - 1) if j not in bounded):
            mean = jacobian[:, j].mean()
            A[j, j] = 1 / jacobian[:, j].std()
            A[p - 1, j] = -mean * A[j, j]
    return A


@compiled
@pytest.mark.parametrize("method", ["gd", "nesterov", "adam"])
@pytest.mark.parametrize("bounds", [{}, {"b": (0.0034, None)}, {"c": (None, 10.2)}], ids=["free", "slope", "intercept"])
def test_a_curve_is_walked_in_the_parameters_of_its_jacobian_at_the_start(monkeypatch, worth, method, bounds):
    monkeypatch.setattr(surface, "WORTH_STEPS", worth)
    data, rate = DATA | {"y": DATA["curve"]}, 0.02
    fit = steepest.fit(CALIBRATION, data, start=NEAR, method=method, rate=rate, scale="auto", bounds=bounds,
                       stop=Stop(steps=100), trace=True)  # fmt: skip
    theta, update, path = np.array([*NEAR.values()]), rule(method, rate), []
    names = [*NEAR]
    low, high = np.full(3, -np.inf), np.full(3, np.inf)
    for name, (bottom, top) in bounds.items():
        low[names.index(name)], high[names.index(name)] = bottom or -np.inf, top or np.inf
    A = change_of_parameters(slopes(theta, data)[1], [names.index(name) for name in bounds])
    for step in range(101):
        path.append(theta)
        prediction, jacobian = slopes(theta, data)
        g = jacobian.T @ (prediction - data["y"]) / 300
        theta = np.clip(A @ update(np.linalg.solve(A, theta), A.T @ g, step + 1), low, high)
    order = list(map(fit.trace.names.index, names))
    same(fit.trace.values[:, order], np.array(path), 1e-9)
    for name, sides in bounds.items():
        assert np.isin(fit.trace.values[:, fit.trace.names.index(name)], sides).any()


@pytest.mark.parametrize(("start", "loss"), [
    (0.0, "log(1 + exp(prediction)) - y*prediction"),
    (1.0, "max(prediction, 0) + log(1 + exp(-abs(prediction))) - y*prediction"),  # flat there: every row is saturated
], ids=["bent", "flat"])  # fmt: skip
def test_a_likelihood_is_standardised_whatever_its_curvature_at_the_start(start, loss):
    yes = (DATA["x"] + 0.1 * (DATA["T"] - 300.0) > 0).astype(float)
    data = DATA | {"yes": yes}
    fit = steepest.fit("yes = a + b*T + c*P", data, loss=loss, method="gd", rate=1.0, scale="auto",
                       start=dict.fromkeys("abc", start), stop=Stop(steps=50), trace=True)  # fmt: skip
    X = np.column_stack([np.ones(300), DATA["T"], DATA["P"]])
    A = change_of_parameters(X[:, [1, 2, 0]])[np.ix_([2, 0, 1], [2, 0, 1])]
    theta = np.full(3, start)
    for found in fit.trace.values:
        same(found[None], np.array([theta]), 1e-9)
        eta = X @ theta
        slope = 0.5 * (1 + np.tanh(eta / 2)) - yes
        theta = theta - A @ A.T @ (X.T @ slope / 300)


def test_a_function_is_scaled_by_its_exact_hessian():
    text, start = "(x - 3)**2 + 1e6*(y + 2)**4 + x*y", np.array([1.0, 1.0])
    fit = steepest.minimize(text, {"x": 1.0, "y": 1.0}, method="gd", rate=0.05, scale="auto", stop=Stop(steps=40),
                            trace=True)  # fmt: skip
    unit = 1 / np.sqrt(np.array([2.0, 12e6 * 9.0]))
    theta = start
    for found in fit.trace.values:
        same(found[None], theta[None])
        x, y = theta
        theta = theta - 0.05 * unit**2 * np.array([2 * (x - 3) + y, 4e6 * (y + 2) ** 3 + x])


def test_a_penalty_is_put_on_the_raw_parameters():
    X = np.column_stack([np.ones(300), DATA["T"] / 100, DATA["x"]])
    fit = steepest.fit("y = a + b*(T/100) + c*x", DATA, penalty="5*(b**2 + c**2)", method="nesterov", scale="auto")
    expected = np.linalg.solve(X.T @ X + 10 * np.diag([0, 1, 1]), X.T @ DATA["y"])
    assert fit.ok
    np.testing.assert_allclose([fit.values[n] for n in "abc"], expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["gd", "nesterov"])
def test_units_do_not_change_the_number_of_steps(method):
    steps = []
    for kelvin, pascal in ((1.0, 1.0), (1e-6, 1.0), (1e3, 1e-9)):
        data = DATA | {"T": DATA["T"] * kelvin, "P": DATA["P"] * pascal}
        start = {"a": 0.0, "b": 0.0, "c": 0.0}
        fit = steepest.fit(LINE, data, start=start, method=method, scale="auto")
        assert fit.ok, fit.message
        X = np.column_stack([np.ones(300), data["T"], data["P"]])
        expected = np.linalg.lstsq(X / np.linalg.norm(X, axis=0), DATA["y"], rcond=None)[0] / np.linalg.norm(X, axis=0)
        np.testing.assert_allclose([fit.values[n] for n in "abc"], expected, rtol=1e-4)
        steps.append(fit.steps)
    assert len(set(steps)) == 1 and steps[0] <= 64


def test_errors_are_those_of_an_exact_fit():
    exact = steepest.fit(LINE, DATA)
    found = steepest.fit(LINE, DATA, method="gd", scale="auto")
    assert found.ok
    for name in "abc":
        assert found.errors[name] == pytest.approx(exact.errors[name], rel=1e-6)


def test_the_rate_is_one_over_the_largest_eigenvalue_of_the_correlations():
    columns = np.column_stack([DATA["T"], DATA["P"]])
    fit = steepest.fit(LINE, DATA, method="gd", scale="auto", stop=Stop(steps=3))
    largest = np.linalg.eigvalsh(np.corrcoef(columns.T))[-1]
    assert fit.rate == pytest.approx(1 / max(1.0, largest), rel=1e-6)
    batch = steepest.fit(LINE, DATA, method="sgd", scale="auto", stop=Stop(steps=3))
    standard = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    assert batch.rate == pytest.approx(1 / (1 + (standard**2).sum(axis=1)).max(), rel=1e-6)


def test_the_guarantee_predicts_the_distance_that_is_left():
    fit = steepest.fit(LINE, DATA, method="gd", rate=0.3, scale="auto", stop=Stop(steps=12), trace=True)
    minimum = np.array([steepest.fit(LINE, DATA).values[n] for n in fit.trace.names])
    predicted = fit.guarantee.error(0.3, 12, fit.trace.values[0] - minimum)
    np.testing.assert_allclose(fit.trace.values[12] - minimum, predicted, rtol=1e-5)


# what is said of raw units -------------------------------------------------------------------------------------------
def squared_conditions(data):
    """Of XᵀX raw, in fifty digits, and of the correlations."""
    with mp.workdps(50):
        X = mp.matrix(np.column_stack([np.ones(len(data["y"])), data["T"], data["P"]]).tolist())
        values = sorted(mp.eigsy(X.T * X, eigvals_only=True))
        raw = float(values[-1] / values[0])
    return raw, np.linalg.cond(np.corrcoef(np.column_stack([data["T"], data["P"]]).T))


def said(message):
    """The two conditions of a message."""
    raw = message.partition("condition ")[2].partition(":")[0].partition(";")[0]
    return float(raw), float(message.partition("standardised ")[2].partition(":")[0])


@pytest.mark.parametrize("options", [{"method": "gd"}, {"method": "momentum"}, {"method": "adam"},
                                     {"method": "sgd"}, {"method": "gd", "batch": 32}], ids=str)  # fmt: skip
@pytest.mark.parametrize("pascal", [1e-5, 1.0, 1e3])
def test_a_run_on_raw_units_that_has_not_arrived_names_both_conditions(options, pascal):
    data = DATA | {"P": DATA["P"] * pascal}
    raw, standardised = squared_conditions(data)
    message = steepest.fit(LINE, data, stop=Stop(steps=50), **options).message
    found = said(message)
    assert found[0] == pytest.approx(raw, rel=1e-3)
    assert found[1] == pytest.approx(standardised, rel=1e-3)
    assert message.count("condition") == 1
    assert message.endswith('scale="auto"')


def test_a_rate_too_high_for_raw_units_is_told_both_conditions():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = steepest.fit(LINE, DATA, method="gd", rate=0.01, stop=Stop(steps=50))
    assert fit.status == "diverged"
    assert said(fit.message) == pytest.approx(squared_conditions(DATA), rel=1e-3)


def test_explain_names_both_conditions():
    rates = steepest.explain(LINE, DATA).rates[0]
    raw, standardised = squared_conditions(DATA)
    assert rates.startswith("strictly convex")
    assert float(rates.partition("L/μ = ")[2].partition(";")[0]) == pytest.approx(raw, rel=1e-3)
    assert float(rates.partition("standardised ")[2].partition(":")[0]) == pytest.approx(standardised, rel=1e-3)


def test_a_curve_on_raw_units_is_told_so_too():
    data = DATA | {"y": DATA["curve"]}
    fit = steepest.fit(CALIBRATION, data, start=NEAR, method="gd", stop=Stop(steps=20))
    jacobian = slopes([fit.values[name] for name in "abc"], data)[1]
    A = change_of_parameters(jacobian)
    raw, standardised = said(fit.message)
    assert raw == pytest.approx(np.linalg.cond(jacobian) ** 2, rel=1e-3)
    assert standardised == pytest.approx(np.linalg.cond(jacobian @ A) ** 2, rel=1e-3)


@pytest.mark.parametrize("options", [{"scale": "auto"}, {}], ids=["scaled", "near"])
def test_nothing_is_said_where_nothing_would_be_gained(options):
    data = DATA if options else {"T": DATA["x"], "P": DATA["w"] - DATA["w"].mean(), "y": DATA["y"]}
    fit = steepest.fit(LINE, data, method="gd", stop=Stop(steps=2), **options)
    assert fit.status == "stopped"
    assert "scale=" not in fit.message


@pytest.mark.parametrize("spread", [1e3, 1e6, 1e9])
def test_the_weakest_eigenvalue_keeps_its_digits_beside_one_that_is_ever_so_large(spread):
    random = np.random.default_rng(3)
    X = random.normal(size=(50, 4)) * np.array([1.0, spread, 1.0 / spread, 1.0])
    with mp.workdps(80):
        exact = sorted(mp.eigsy(mp.matrix((X.T @ X).tolist()), eigvals_only=True))
        found = Guarantee.of(X.T @ X)
        assert found.smallest == pytest.approx(float(exact[0]), rel=1e-3)
        assert found.condition == pytest.approx(float(exact[-1] / exact[0]), rel=1e-3)


def test_columns_that_say_the_same_have_no_weakest_eigenvalue():
    X = np.column_stack([DATA["T"], 1e6 * DATA["T"], DATA["x"]])
    assert Guarantee.of(X.T @ X).smallest == 0


def test_a_constant_column_beside_an_intercept_is_left_uncentred():
    data = DATA | {"one": np.full(300, 7.0)}
    fit = steepest.fit("y = a + b*one + c*x", data, method="gd", scale="auto", rate=0.1, stop=Stop(steps=2_000))
    assert fit.status == "unidentifiable"
    prediction = fit.values["a"] + 7 * fit.values["b"] + fit.values["c"] * DATA["x"]
    X = np.column_stack([np.ones(300), DATA["x"]])
    np.testing.assert_allclose(prediction, X @ np.linalg.lstsq(X, DATA["y"], rcond=None)[0], rtol=1e-6)


def test_a_parameter_that_nothing_depends_on_at_the_start_is_named():
    with pytest.warns(UserWarning, match="nothing depends on b: "):
        fit = steepest.fit("y = a + (b - 1)**2*x", DATA, method="gd", scale="auto", start={"a": 1.0, "b": 1.0},
                           stop=Stop(steps=3))  # fmt: skip
    assert any("nothing depends on b" in note for note in fit.notes)


# refusals, entry points ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["auto", "newton", "gauss-newton"])
def test_second_order_methods_refuse_it(method):
    with pytest.raises(steepest.FitError, match=f"method {method} is free of units already"):
        steepest.fit(LINE, DATA, method=method, scale="auto")


@pytest.mark.parametrize("scale", ["on", True, 1.0, ["auto"]])
def test_anything_but_auto_is_refused(scale):
    with pytest.raises(steepest.FitError, match="it is 'auto'"):
        steepest.fit(LINE, DATA, method="gd", scale=scale)


def test_more_parameters_than_a_matrix_is_formed_of_are_refused():
    data = {"X": np.ones((3, 1_001)), "y": np.ones(3)}
    with pytest.raises(steepest.FitError, match="1,001 parameters"):
        steepest.fit("y = X @ B", data, method="gd", scale="auto", rate=0.1)


def test_descend_and_compare_take_it():
    steps = list(steepest.descend(LINE, DATA, start=ZERO, method="gd", rate=0.5, scale="auto", stop=Stop(steps=20)))
    same(np.array([step.theta for step in steps]), standardised_regression(DATA, "gd", 0.5, 20))
    found = steepest.compare(LINE, DATA, methods=["gd", "auto"], batches=[None], scale="auto", stop=Stop(passes=20))
    gd = next(row for row in found.table if row["method"] == "gd")
    assert gd["above"] < 1e-6


def test_the_terminal_has_the_option_and_names_it_in_its_own_words(tmp_path):
    from click.testing import CliRunner

    from steepest.cli.main import main

    path = tmp_path / "gauge.csv"
    table = np.column_stack([DATA["T"], DATA["P"], DATA["y"]])
    np.savetxt(path, table, delimiter=",", header="T,P,y", comments="", fmt="%.17g")
    crawls = CliRunner().invoke(main, ["fit", LINE, str(path), "--method", "gd", "--steps", "5"])
    assert "--scale auto" in crawls.output and "scale=" not in crawls.output
    explained = CliRunner().invoke(main, ["explain", LINE, str(path)])
    assert "--scale auto" in explained.output and "scale=" not in explained.output
    scaled = CliRunner().invoke(main, ["fit", LINE, str(path), "--method", "gd", "--scale", "auto", "--json"])
    assert scaled.exit_code == 0
    exact = steepest.fit(LINE, DATA)
    for name, value in json.loads(scaled.stdout)["values"].items():
        assert value == pytest.approx(exact.values[name], rel=1e-5)
    compared = CliRunner().invoke(main, ["compare", LINE, str(path), "--batches", "all", "--scale", "auto", "--json"])
    assert json.loads(compared.stdout)["table"][0]["above"] < 1e-6
    assert CliRunner().invoke(main, ["minimize", "x**2", "--method", "gd", "--scale", "auto"]).exit_code == 0
    refused = CliRunner().invoke(main, ["fit", LINE, str(path), "--method", "gd", "--scale", "all"])
    assert refused.exit_code == 2


def test_a_regressor_on_raw_columns_is_as_good_as_one_on_standardised_columns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    from steepest.sklearn import FormulaRegressor

    X = np.column_stack([DATA["T"], DATA["P"]])
    best = linear_model.LinearRegression().fit(X, DATA["y"]).score(X, DATA["y"])
    found = FormulaRegressor(method="sgd", scale="auto", rate="0.01/(1 + epoch)", start={"B": 0.0, "c": 0.0})
    assert found.fit(X, DATA["y"]).score(X, DATA["y"]) > best - 1e-3
    assert linear_model.SGDRegressor(random_state=0).fit(X, DATA["y"]).score(X, DATA["y"]) < -1e10


def test_backtracking_comes_as_near_as_the_data_can_tell_where_the_fall_drowns_in_rounding():
    data = readings(20_000, 4)
    data["y"] = data["curve"]
    fit = steepest.fit(CALIBRATION, data, start=NEAR, method="gd", scale="auto")
    exact = steepest.fit(CALIBRATION, data, start=NEAR)
    assert fit.ok and exact.ok, fit.message
    for name in "abc":
        assert abs(fit.values[name] - exact.values[name]) <= 1e-5 * exact.errors[name]
