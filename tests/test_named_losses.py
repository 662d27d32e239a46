"""The losses by name: minima, errors and verdicts of scikit-learn, SciPy's linear programmes, R, and brute force."""

import json
import math

import mpmath
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet
from scipy import optimize, special, stats
from sklearn import linear_model

import steepest
from steepest.cli.main import main
from steepest.formula.losses import LOSSES, find_loss

RANDOM = np.random.default_rng(20)
#: rows that NumPy sums, and rows that machine code sums
SIZES = (150, 40_000)
FORMULA = {"positive": "{} = exp(a + b*x1 + c*x2)", "": "{} = a + b*x1 + c*x2"}


def table(rows, seed=3):
    random = np.random.default_rng(seed)
    x1, x2 = random.normal(size=rows), random.uniform(-1, 1, rows)
    line = 0.4 + 0.7 * x1 - 0.5 * x2
    return {
        "x1": x1, "x2": x2,
        "y": line + random.standard_t(2, rows),
        "hit": (random.random(rows) < special.expit(line)).astype(float),
        "share": random.integers(0, 6, rows) / 5,
        "count": random.poisson(np.exp(line)).astype(float),
        "wait": random.gamma(2.0, np.exp(line) / 2.0),
        "w": random.uniform(0.5, 2.0, rows), "n": random.integers(0, 4, rows).astype(float),
    }  # fmt: skip


TABLES = {rows: table(rows) for rows in SIZES}


def design(data):
    return np.c_[np.ones(len(data["x1"])), data["x1"], data["x2"]]


#: loss -> (column, its sum over rows in NumPy, of y and the prediction)
BRUTE = {
    "absolute": ("y", lambda y, m: np.abs(y - m)),
    "quantile(0.8)": ("y", lambda y, m: np.where(y > m, 0.8, -0.2) * (y - m)),
    "huber(1.345)": ("y", lambda y, m: special.huber(1.345, y - m)),
    "huber(1.5, scale=0.5)": ("y", lambda y, m: special.huber(0.75, y - m)),
    "cauchy(2.385)": ("y", lambda y, m: 0.5 * 2.385**2 * np.log1p(((y - m) / 2.385) ** 2)),
    "cauchy(1, scale=3)": ("y", lambda y, m: 4.5 * np.log1p(((y - m) / 3) ** 2)),
    "logistic": ("hit", lambda y, m: np.logaddexp(0, m) - y * m),
    "poisson": ("count", lambda y, m: m - y * np.log(m)),
    "gamma": ("wait", lambda y, m: np.log(m) + y / m),
    "gamma(dispersion=0.5)": ("wait", lambda y, m: 2 * (np.log(m) + y / m)),
}


def formula_of(loss):
    column, _ = BRUTE[loss]
    return FORMULA["positive" if find_loss(loss).positive else ""].format(column)


def values(fit):
    return np.array([fit.values[name] for name in "abc"])


def prediction(loss, data, theta):
    line = design(data) @ theta
    return np.exp(line) if find_loss(loss).positive else line


# the minimum -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("loss", BRUTE)
def test_the_sum_is_that_of_numpy_and_no_point_around_it_is_lower(loss, rows):
    data = TABLES[rows]
    column, brute = BRUTE[loss]
    fit = steepest.fit(formula_of(loss), data, loss=loss, weights="w")
    assert fit.status == "converged", fit.message
    assert fit.loss_name == loss

    def total(theta):
        return float(np.sum(data["w"] * brute(data[column], prediction(loss, data, theta))))

    best = total(values(fit))
    assert fit.total == pytest.approx(best, rel=1e-12)
    for scale in (1e-1, 1e-2, 1e-3):
        for _ in range(20):
            assert total(values(fit) + scale * RANDOM.normal(size=3)) >= best * (1 - 1e-14)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize(
    ("loss", "peer"),
    [
        ("logistic", linear_model.LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000, solver="newton-cholesky")),
        ("poisson", linear_model.PoissonRegressor(alpha=0, tol=1e-12, max_iter=1000, solver="newton-cholesky")),
        ("gamma", linear_model.GammaRegressor(alpha=0, tol=1e-12, max_iter=1000, solver="newton-cholesky")),
    ],
)
def test_the_generalised_linear_models_are_those_of_scikit_learn(loss, peer, rows):
    data = TABLES[rows]
    fit = steepest.fit(formula_of(loss), data, loss=loss)
    found = peer.fit(design(data)[:, 1:], data[BRUTE[loss][0]])
    expected = np.concatenate([np.atleast_1d(found.intercept_), np.ravel(found.coef_)])
    np.testing.assert_allclose(values(fit), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("rows", SIZES)
def test_huber_at_the_scale_that_scikit_learn_finds_is_its_regressor(rows):
    data = TABLES[rows]
    peer = linear_model.HuberRegressor(alpha=0, epsilon=1.345, tol=1e-9, max_iter=1000)
    peer.fit(design(data)[:, 1:], data["y"])
    fit = steepest.fit(formula_of("huber(1.345)"), data, loss=f"huber(1.345, scale={float(peer.scale_)!r})")
    np.testing.assert_allclose(values(fit), [peer.intercept_, *peer.coef_], atol=2e-5)


def test_dobsons_counts_have_the_coefficients_and_errors_that_r_prints():
    counts = np.array([18, 17, 15, 20, 10, 20, 25, 13, 12])
    outcome, treatment = np.tile([1, 2, 3], 3), np.repeat([1, 2, 3], 3)
    data = {"k": counts} | {f"o{i}": outcome == i for i in (2, 3)} | {f"t{i}": treatment == i for i in (2, 3)}
    fit = steepest.fit("k = exp(a + b*o2 + c*o3 + d*t2 + e*t3)", data, loss="poisson")
    assert fit.ok, fit.message
    published = {"a": (3.045, 0.1709), "b": (-0.4543, 0.2022), "c": (-0.2930, 0.1927), "d": (0, 0.2), "e": (0, 0.2)}
    for name, (value, error) in published.items():
        assert fit.values[name] == pytest.approx(value, abs=6e-4)
        assert fit.errors[name] == pytest.approx(error, abs=6e-5)
    deviance = 2 * (fit.total - np.sum(counts - counts * np.log(counts)))
    assert deviance == pytest.approx(5.1291, abs=6e-5)
    assert fit.aic == pytest.approx(56.76, abs=6e-3)


def test_brownlees_stack_loss_has_the_median_regression_that_quantreg_prints():
    data = {
        "air": [80, 80, 75, 62, 62, 62, 62, 62, 58, 58, 58, 58, 58, 58, 50, 50, 50, 50, 50, 56, 70],
        "water": [27, 27, 25, 24, 22, 23, 24, 24, 23, 18, 18, 17, 18, 19, 18, 18, 19, 19, 20, 20, 20],
        "acid": [89, 88, 90, 87, 87, 87, 93, 93, 87, 80, 89, 88, 82, 93, 89, 86, 72, 79, 80, 82, 91],
        "loss": [42, 37, 37, 28, 18, 18, 19, 20, 15, 14, 14, 13, 11, 12, 8, 7, 8, 8, 9, 15, 15],
    }
    fit = steepest.fit("loss = a + b*air + c*water + d*acid", data, loss="absolute")
    assert fit.ok, fit.message
    assert [fit.values[n] for n in "abcd"] == pytest.approx([-39.68986, 0.83188, 0.57391, -0.06087], abs=1e-5)


# deviations ------------------------------------------------------------------------------------------------------
def by_linear_programme(x, y, tau, weights):
    """The least sum of weighted deviations, by HiGHS."""
    m, p = x.shape
    found = optimize.linprog(
        np.r_[np.zeros(p), weights * tau, weights * (1 - tau)], A_eq=np.hstack([x, np.eye(m), -np.eye(m)]), b_eq=y,
        bounds=[(None, None)] * p + [(0, None)] * (2 * m), method="highs",
    )  # fmt: skip
    return found.fun


def deviation_tables():
    """Small tables of all kinds: ties, repeated rows, integers, bad scales, more parameters than rows decide."""
    random = np.random.default_rng(4)
    for case in range(160):
        m, p = int(random.integers(4, 60)), int(random.integers(1, 5))
        x = random.normal(size=(m, p))
        y = [random.normal(size=m), np.round(2 * random.normal(size=m)), random.integers(0, 4, m).astype(float)][
            case % 3
        ]
        if case % 4 == 1:
            x = np.round(x)
        elif case % 4 == 2:
            x = (random.random((m, p)) < 0.4).astype(float)
        elif case % 4 == 3:
            x = x * 10.0 ** random.integers(-4, 5, p)
        yield case, x, y, float(random.choice([0.5, 0.1, 0.75])), random.integers(1, 4, m).astype(float)


@pytest.mark.parametrize(("case", "x", "y", "tau", "weights"), list(deviation_tables()))
def test_deviations_come_to_the_sum_of_a_linear_programme_and_no_rank_is_missed(case, x, y, tau, weights):
    fit = steepest.fit("y = X @ B", {"X": x, "y": y, "w": weights}, loss=f"quantile({tau})", weights="w")
    full = np.linalg.matrix_rank(x) == x.shape[1]
    assert fit.status == ("converged" if full else "unidentifiable"), fit.message
    assert fit.total == pytest.approx(by_linear_programme(x, y, tau, weights), rel=1e-10, abs=1e-10)
    assert fit.errors is None and fit.reason


@pytest.mark.parametrize("tau", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["noise", "ties", "ordered"])
def test_many_rows_are_narrowed_down_to_a_vertex_that_zero_is_a_subgradient_at(kind, tau):
    rows = 30_000
    data = dict(table(rows, seed=8))
    if kind == "ties":
        data = {name: np.round(column, 1) for name, column in data.items()}
    elif kind == "ordered":
        order = np.argsort(data["y"])
        data = {name: column[order] for name, column in data.items()}
    fit = steepest.fit("y = a + b*x1 + c*x2", data, loss=f"quantile({tau})")
    assert fit.ok, fit.message
    residuals = data["y"] - design(data) @ values(fit)
    zero = np.abs(residuals) < 1e-11
    assert zero.sum() >= 3
    # zero is a subgradient: the rows without residual can balance all the others (a linear programme)
    others = design(data)[~zero].T @ np.where(residuals[~zero] > 0, tau, tau - 1)
    balance = optimize.linprog(
        np.zeros(zero.sum()), A_eq=design(data)[zero].T, b_eq=-others, bounds=[(tau - 1, tau)] * zero.sum()
    )
    assert balance.status == 0, balance.message
    share = np.mean(data["y"] < design(data) @ values(fit) - 1e-9)
    assert share <= tau <= share + np.mean(np.abs(residuals) < 1e-9) + 1e-12


def test_a_quantile_is_the_same_to_the_last_bit_from_a_file_and_from_memory(tmp_path):
    data = {name: TABLES[40_000][name] for name in ("y", "x1", "x2")}
    parquet.write_table(pa.table(data), tmp_path / "rows.parquet", row_group_size=7_001)
    here, there = (
        steepest.fit("y = a + b*x1 + c*x2", source, loss="quantile(0.3)")
        for source in (data, str(tmp_path / "rows.parquet"))
    )
    assert here.ok and values(here).tobytes() == values(there).tobytes() and here.total == there.total


def test_the_median_of_an_even_number_of_rows_says_that_others_lie_beside_it():
    even = steepest.fit("y = m + 0*y", {"y": [1.0, 2.0, 5.0, 9.0]}, loss="absolute")
    odd = steepest.fit("y = m + 0*y", {"y": [1.0, 2.0, 5.0]}, loss="absolute")
    assert even.ok and 2 <= even.values["m"] <= 5 and "other minima" in even.message
    assert odd.ok and odd.values["m"] == 2 and "other minima" not in odd.message


def test_a_bound_holds_a_deviation_and_the_rest_is_the_linear_programme_within_it():
    data = TABLES[150]
    fit = steepest.fit("y = a + b*x1 + c*x2", data, loss="absolute", bounds={"b": (None, 0.3), "c": (0, None)})
    x, m = design(data), 150
    found = optimize.linprog(
        np.r_[np.zeros(3), np.ones(2 * m)], A_eq=np.hstack([x, np.eye(m), -np.eye(m)]), b_eq=data["y"],
        bounds=[(None, None), (None, 0.3), (0, None)] + [(0, None)] * (2 * m),
    )  # fmt: skip
    assert fit.ok, fit.message
    assert fit.total == pytest.approx(found.fun, rel=1e-10)


@pytest.mark.parametrize("loss", ["absolute", "quantile(0.7)"])
def test_deviations_of_a_curve_end_at_a_local_minimum_or_say_that_they_stopped(loss):
    x = np.linspace(0, 4, 61)
    y = 3 * np.exp(-0.8 * x) + 0.5 + 0.1 * RANDOM.standard_t(2, x.size)
    fit = steepest.fit("y = a*exp(-b*x) + c", {"x": x, "y": y}, loss=loss, start={"a": 2, "b": 1, "c": 0})
    tau = find_loss(loss).numbers.get("tau", 0.5)

    def total(t):
        r = y - t[0] * np.exp(-t[1] * x) - t[2]
        return np.sum(np.where(r > 0, tau, tau - 1) * r)

    at = values(fit)
    assert fit.status in ("converged", "stopped")
    if fit.ok:
        assert np.sum(np.abs(y - at[0] * np.exp(-at[1] * x) - at[2]) < 1e-10) >= 3
        moved = [total(at + s * RANDOM.normal(size=3)) for s in (1e-2, 1e-3, 1e-4, 1e-5) for _ in range(50)]
        assert min(moved) >= total(at)


def test_a_vertex_that_a_curve_does_not_have_is_not_called_converged():
    # |y - a²| twice, at 1 and -1: at a = 0 the row of -1 cannot be reached and that of 1 lies beside
    fit = steepest.fit("y = a**2 + 0*y", {"y": [-1.0, -1.0, 1.0]}, loss="absolute", start={"a": 0.5})
    assert fit.status == "stopped"


# errors ----------------------------------------------------------------------------------------------------------
def hessian(function, at, step=1e-4):
    moves = step * np.eye(len(at))
    return np.array(
        [[(function(at + u + v) - function(at + u - v) - function(at - u + v) + function(at - u - v)) for v in moves]
         for u in moves]
    ) / (4 * step**2)  # fmt: skip


@pytest.mark.parametrize("loss", ["logistic", "poisson", "gamma(dispersion=0.5)"])
def test_errors_of_a_likelihood_are_the_inverse_of_central_differences_and_its_intervals_normal(loss):
    data, (column, brute) = TABLES[150], BRUTE[loss]
    fit = steepest.fit(formula_of(loss), data, loss=loss)
    bread = hessian(lambda t: np.sum(brute(data[column], prediction(loss, data, t))), values(fit))
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(bread), rtol=1e-4)
    low, high = fit.interval(0.9)["b"]
    assert (high - low) / 2 == pytest.approx(special.ndtri(0.95) * fit.errors["b"], rel=1e-12)


@pytest.mark.parametrize(("loss", "psi", "slope"), [
    ("huber(1.345)", lambda r: np.clip(r, -1.345, 1.345), lambda r: (np.abs(r) <= 1.345) * 1.0),
    ("cauchy(2.385)", lambda r: r / (1 + (r / 2.385) ** 2),
     lambda r: (1 - (r / 2.385) ** 2) / (1 + (r / 2.385) ** 2) ** 2),
])  # fmt: skip
@pytest.mark.parametrize("rows", SIZES)
def test_errors_of_robust_losses_are_the_sandwich_written_out_in_numpy(loss, psi, slope, rows):
    data = TABLES[rows]
    fit = steepest.fit(formula_of(loss), data, loss=loss, weights="w")
    x, w = design(data), data["w"]
    r = data["y"] - x @ values(fit)
    bread = np.linalg.inv(x.T @ (x * (w * slope(r))[:, None]))
    middle = x.T @ (x * (w * psi(r))[:, None] ** 2)
    np.testing.assert_allclose(fit.covariance, bread @ middle @ bread * rows / (rows - 3), rtol=1e-8)


def test_the_sandwich_covers_the_truth_of_heavy_tailed_data_as_often_as_it_says():
    random, x = np.random.default_rng(2), np.linspace(-1, 1, 80)
    inside = 0
    for _ in range(400):
        y = 1 + 2 * x + 0.5 * random.standard_t(2, x.size)
        low, high = steepest.fit("y = a + b*x", {"x": x, "y": y}, loss="huber(1.345, scale=0.5)").interval()["b"]
        inside += low <= 2 <= high
    assert 0.92 <= inside / 400 <= 0.98


def test_gamma_without_its_dispersion_has_values_but_no_errors_and_says_what_to_say():
    fit = steepest.fit(formula_of("gamma"), TABLES[150], loss="gamma")
    assert fit.ok and fit.errors is None and "gamma(dispersion=" in fit.reason


@pytest.mark.parametrize("counts", [None, "n"])
@pytest.mark.parametrize("loss", ["logistic", "poisson", "gamma(dispersion=0.5)"])
def test_the_log_likelihood_is_that_of_the_distribution_and_no_noise_is_counted(loss, counts):
    data, column = TABLES[150], BRUTE[loss][0]
    fit = steepest.fit(formula_of(loss), data, loss=loss, counts=counts)
    y, mean = data[column], fit.predict(data)
    each = {
        "logistic": lambda: stats.bernoulli.logpmf(y, special.expit(mean)),
        "poisson": lambda: stats.poisson.logpmf(y, mean),
        "gamma(dispersion=0.5)": lambda: stats.gamma.logpdf(y, 2.0, scale=mean / 2.0),
    }[loss]()
    expected = np.sum(each if counts is None else data["n"] * each)
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-12)
    assert fit.aic == pytest.approx(2 * 3 - 2 * expected, rel=1e-12)


def test_nested_likelihoods_by_name_are_compared_by_twice_the_difference():
    data = TABLES[150]
    both = steepest.compare(["count = exp(a + b*x1)", "count = exp(a + b*x1 + c*x2)"], data, loss="poisson")
    small, large = (steepest.fit(f"count = exp(a + b*x1{more})", data, loss="poisson") for more in ("", " + c*x2"))
    (test,) = both.nested
    assert test.statistic == pytest.approx(2 * (small.total - large.total), rel=1e-9)
    assert test.degrees == (1,) and test.p == pytest.approx(special.chdtrc(1, test.statistic), rel=1e-9)


def test_a_profile_of_a_robust_loss_is_refused():
    fit = steepest.fit(formula_of("huber(1.345)"), TABLES[150], loss="huber")
    with pytest.raises(steepest.FitError, match="take method='wald'"):
        fit.interval(method="profile")


# separation ------------------------------------------------------------------------------------------------------
def recedes(x, up, down, level):
    """Whether some direction raises no row of the likelihood's negative and lowers one: a linear programme (Konis).

    `up` rows must not fall, `down` rows must not rise, `level` rows must stay.
    """
    rows = np.vstack([x[up], -x[down]])
    if not len(rows):
        return False
    found = optimize.linprog(
        -rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=[(-1, 1)] * x.shape[1],
        A_eq=x[level] if level.any() else None, b_eq=np.zeros(level.sum()) if level.any() else None, method="highs",
    )  # fmt: skip
    return -found.fun > 1e-7


@pytest.mark.parametrize("seed", range(150))
def test_data_are_called_separated_exactly_where_a_linear_programme_separates_them(seed):
    random = np.random.default_rng(seed)
    m, p = int(random.integers(6, 30)), int(random.integers(1, 4))
    x = np.c_[np.ones(m), random.integers(-2, 3, (m, p))].astype(float)
    if np.linalg.matrix_rank(x) < p + 1:
        pytest.skip("the columns are not independent")
    line = x @ random.normal(size=p + 1) * random.choice([1, 3])
    if seed % 3 == 0:
        loss, y = "poisson", random.poisson(0.4 * np.exp(np.clip(line, -5, 2))).astype(float)
        separated, formula = recedes(x, np.zeros(m, bool), y == 0, y > 0), "y = exp(X @ B)"
    else:
        loss, y = "logistic", (random.random(m) < special.expit(line)).astype(float)
        if seed % 3 == 2:
            y[random.integers(m)] = 0.5
        separated, formula = recedes(x, y == 1, y == 0, (y > 0) & (y < 1)), "y = X @ B"
    fit = steepest.fit(formula, {"X": x, "y": y}, loss=loss)
    assert fit.status == ("unidentifiable" if separated else "converged"), fit.message
    assert ("separated" in fit.message) == separated
    if separated:
        assert fit.errors is None and "penalty or a prior" in fit.message
        assert steepest.fit(formula, {"X": x, "y": y}, loss=loss, prior={"B": (0, 2.5)}).ok


@pytest.mark.parametrize("formula", ["exp(-a*x)", "log(1 + exp(-a*x))", "exp(-a*x) + (b - x)**2"])
def test_a_convex_loss_that_falls_for_ever_is_never_converged(formula):
    fit = steepest.fit(formula, {"x": np.linspace(0.5, 2.0, 30)})
    assert not fit.ok and fit.errors is None


def test_a_column_without_effect_costs_no_ride_down_a_valley():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2000, 4)), (random.random(2000) < 0.5).astype(float)
    fit = steepest.fit("y = X @ B", {"X": x, "y": y}, loss="logistic")
    best = optimize.minimize(lambda b: np.sum(np.logaddexp(0, x @ b) - y * (x @ b)), np.zeros(4), tol=1e-12)
    assert fit.ok and fit.values["B"] == pytest.approx(best.x, abs=1e-5)
    assert fit.passes < 10


@pytest.mark.parametrize("method", ["gd", "sgd", "momentum", "nesterov", "adam", "lbfgs", "newton"])
@pytest.mark.parametrize("kind", ["apart", "touching", "mixed"])
def test_every_method_names_the_separation_that_a_linear_programme_finds(kind, method):
    random = np.random.default_rng(4)
    x = np.c_[np.ones(40), random.normal(size=(40, 2))]
    line = x @ [0.3, 2.0, -1.0]
    y = (line > 0).astype(float)
    if kind == "touching":  # two rows of both classes on the plane
        x = np.r_[x, [[1.0, -0.15, 0.0]] * 2]
        y = np.r_[y, 0.0, 1.0]
    if kind == "mixed":
        y[np.argsort(np.abs(line))[:3]] = [1.0, 0.0, 1.0]
        y[np.argsort(line)[:2]] = 1.0
    separated = recedes(x, y == 1, y == 0, np.zeros(len(y), bool))
    assert separated == (kind != "mixed")
    rate = 0.01 if method == "adam" else None
    fit = steepest.fit("y = X @ B", {"X": x, "y": y}, loss="logistic", method=method, rate=rate, start={"B": 0})
    assert ("the data are separated" in fit.message) == separated, fit.message
    assert not (separated and fit.ok)


def test_the_direction_of_separation_is_named_with_its_sign():
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    fit = steepest.fit("k = a + b*(x - 2.5)", {"x": x, "k": x > 2.5}, loss="logistic")
    assert fit.status == "unidentifiable"
    assert "moving b by +1 raises the likelihood for ever" in fit.message


# how it is written -----------------------------------------------------------------------------------------------
FAR = {
    "logistic": (lambda y, m: mpmath.log1p(mpmath.exp(m)) - y * m, (0, 1, 0.3), (-1e5, -800, -40, 40, 800, 1e5)),
    "huber(1.345)": (
        lambda y, m: (y - m) ** 2 / 2 if abs(y - m) <= 1.345 else 1.345 * abs(y - m) - mpmath.mpf(1.345) ** 2 / 2,
        (0, 3), (-1e150, -4, 1e300),
    ),
    "cauchy(2.385)": (
        lambda y, m: mpmath.mpf(2.385) ** 2 / 2 * mpmath.log1p(((y - m) / mpmath.mpf(2.385)) ** 2),
        (0, 3), (-1e150, -4, 1e150),
    ),
    "poisson": (lambda y, m: mpmath.exp(m) - y * m, (0, 7), (-1e4, -800, -3, 300, 700)),
    "gamma": (lambda y, m: m + y * mpmath.exp(-m), (1, 7), (-600, -3, 300, 1e4)),
}  # fmt: skip


@pytest.mark.parametrize("loss", FAR)
def test_far_out_a_loss_and_its_slope_are_those_of_mpmath_without_overflow(loss):
    brute, left, far = FAR[loss]
    formula = "y = exp(t + 0*y)" if find_loss(loss).positive else "y = t + 0*y"
    for y in left:
        function = steepest.function(formula, {"y": [float(y)]}, loss=loss)
        for m in far:
            with mpmath.workdps(700):
                expected = brute(mpmath.mpf(float(y)), mpmath.mpf(m))
                slope = mpmath.diff(lambda t, y=y: brute(mpmath.mpf(float(y)), t), mpmath.mpf(m))
            value, (found,) = function([m])
            lost = 4 * 2.3e-16 * abs(m) if loss == "logistic" else 0.0  # softplus(m) - m
            assert value == pytest.approx(float(expected), rel=1e-13, abs=lost)
            assert found == pytest.approx(float(slope), rel=1e-12, abs=3e-16)


def test_explain_prints_each_loss_as_the_formula_of_a_row():
    shown = {
        "absolute": "abs(y - a*x)",
        "quantile(0.9)": "max(0.9*(y - a*x), 0.1*(a*x - y))",
        "logistic": "softplus(a*x) - y*(a*x)",
        "cauchy(2)": "2.0*log1p(((y - a*x)/2)**2)",
        "huber(2)": "where(abs(y - a*x) <= 2, 0.5*(y - a*x)**2, 2*abs(y - a*x) - 2.0)",
    }
    data = {"x": [1.0, 2.0], "y": [0.0, 1.0]}
    for loss, text in shown.items():
        found = steepest.explain("y = a*x", data, loss=loss).row_loss
        assert found == text
    poisson = steepest.explain("y = exp(a*x)", data, loss="poisson")
    assert poisson.row_loss == "exp(a*x) - y*(a*x)"


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("huber(-1)", "k is -1; give a positive number"),
        ("huber(width=2)", "width=2 has no place; it takes k, scale"),
        ("huber(1, 2, 3)", "3 has no place"),
        ("huber(k=1, k=2)", "has no place"),
        ("quantile(1)", "tau is 1; give a number between 0 and 1"),
        ("quantile(x)", "tau is x"),
        ("logistic(2)", "it takes no numbers"),
        ("gamma(dispersion=inf)", "positive number"),
        ("hubber", "not a loss"),
    ],
)
def test_a_wrong_number_in_the_call_is_refused_by_name(loss, words):
    with pytest.raises(steepest.FitError, match=r".") as error:
        steepest.fit("y = a + b*x1", TABLES[150], loss=loss)
    assert words in str(error.value)


def test_the_numbers_of_a_call_may_be_named_and_left_out():
    assert find_loss("huber").name == "huber(1.345)" == find_loss(" huber ( k = 1.345 ) ").name
    assert find_loss("huber(scale=2)").numbers == {"k": 1.345, "scale": 2.0}
    assert find_loss("quantile").numbers == {"tau": 0.5} and find_loss("gamma").name == "gamma"
    assert all(find_loss(name).kind == loss.kind for name, loss in LOSSES.items())


# where it is defined ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("loss", "bad", "words"),
    [("logistic", 1.5, "0, 1 or a share"), ("logistic", -1, "code the two classes as 0 and 1"),
     ("poisson", -2, "a count, 0 or more"), ("gamma", 0, "a positive number")],
)  # fmt: skip
def test_y_outside_the_domain_is_a_data_error_that_names_the_row_and_the_mend(loss, bad, words):
    y = np.full(9, 0.5)
    y[6] = bad
    with pytest.raises(steepest.DataError) as error:
        steepest.fit("y = exp(a + b*x)", {"x": np.arange(9.0), "y": y}, loss=loss)
    assert f"y is {bad:g} at row 6" in str(error.value) and words in str(error.value)
    left_out = steepest.fit("y = exp(a + b*x)", {"x": np.arange(9.0), "y": y}, loss=loss, where="x != 6")
    assert left_out.rows == 8


def test_y_is_checked_in_every_part_of_a_file_with_its_place(tmp_path):
    y = np.ones(9_000)
    y[8_123] = -1
    parquet.write_table(pa.table({"x": np.arange(9_000.0), "y": y}), tmp_path / "f.parquet", row_group_size=1_000)
    with pytest.raises(steepest.DataError, match=r"y is -1 at row .*f\.parquet"):
        steepest.fit("y = exp(a + b*x/9000)", str(tmp_path / "f.parquet"), loss="poisson")


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_a_prediction_that_is_not_positive_at_the_start_says_write_exp(loss):
    with pytest.raises(steepest.FitError) as error:
        steepest.fit("y = a + b*x", {"x": [1.0, -3.0, 2.0], "y": [1.0, 2.0, 3.0]}, loss=loss, start={"a": 1, "b": 1})
    assert "prediction is -2 at row 1" in str(error.value) and "write exp(...)" in str(error.value)


def test_an_identity_link_with_a_start_in_its_domain_has_the_minimum_of_scipy():
    x = np.linspace(0.1, 3, 90)
    y = RANDOM.poisson(1 + 2 * x).astype(float)
    fit = steepest.fit("y = a + b*x", {"x": x, "y": y}, loss="poisson", start={"a": 1, "b": 1})
    rows, best = np.c_[np.ones(90), x], np.ones(2)
    for _ in range(100):  # iterated weighted least squares
        weighted = rows / (rows @ best)[:, None]
        best = np.linalg.solve(weighted.T @ rows, weighted.T @ y)
    assert fit.ok and fit.certificate["convex"] is True, fit.message
    np.testing.assert_allclose([fit.values["a"], fit.values["b"]], best, rtol=1e-7)


def test_sigma_with_a_likelihood_is_refused():
    with pytest.raises(steepest.FitError, match="leave sigma out"):
        steepest.fit("hit = a + b*x1", TABLES[150], loss="logistic", sigma="w")


# what is reported ------------------------------------------------------------------------------------------------
def test_residuals_are_reported_where_the_prediction_is_on_the_scale_of_y():
    data = TABLES[150]
    assert steepest.fit(formula_of("logistic"), data, loss="logistic").rss is None
    fit = steepest.fit(formula_of("poisson"), data, loss="poisson")
    assert fit.rss == pytest.approx(np.sum((data["count"] - np.exp(design(data) @ values(fit))) ** 2), rel=1e-10)
    assert fit.rms == pytest.approx(math.sqrt(fit.rss / 150), rel=1e-12)


def test_predict_of_a_logistic_fit_is_the_log_odds():
    data = TABLES[150]
    fit = steepest.fit(formula_of("logistic"), data, loss="logistic")
    np.testing.assert_allclose(fit.predict(data), design(data) @ values(fit), rtol=1e-12)
    assert np.mean(special.expit(fit.predict(data))) == pytest.approx(data["hit"].mean(), rel=1e-6)


@pytest.mark.parametrize("loss", BRUTE)
def test_the_start_that_nobody_gave_is_found_and_named(loss):
    data = {n: c * 1e3 + 5e4 if n == "x1" else c for n, c in TABLES[150].items()}
    fit = steepest.fit(formula_of(loss), data, loss=loss)
    assert fit.status == "converged", fit.message
    assert fit.passes <= 25
    assert any("least squares of" in note for note in fit.notes)


@pytest.mark.parametrize("loss", BRUTE)
@pytest.mark.parametrize("method", ["gd", "momentum"])
def test_first_order_methods_walk_towards_the_same_minimum(loss, method):
    data = TABLES[150]
    exact = steepest.fit(formula_of(loss), data, loss=loss)
    fit = steepest.fit(formula_of(loss), data, loss=loss, method=method, stop=steepest.Stop(passes=600))
    assert fit.loss <= exact.loss + 0.02 * abs(exact.loss) + 1e-3
    assert fit.loss >= exact.loss - 1e-12 * abs(exact.loss)
    assert fit.status == "stopped" or not loss.startswith(("absolute", "quantile"))


# counts ----------------------------------------------------------------------------------------------------------
def repeated(data):
    times = data["n"].astype(int)
    return {name: np.repeat(column, times) for name, column in data.items()}


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("loss", ["squares", "rmse", *BRUTE])
def test_counts_are_the_same_as_rows_that_stand_there_so_often(loss, rows, weights):
    data = TABLES[rows]
    formula = formula_of(loss) if loss in BRUTE else "y = a + b*x1 + c*x2"
    counted = steepest.fit(formula, data, loss=loss, counts="n", weights=weights)
    written = steepest.fit(formula, repeated(data), loss=loss, weights=weights)
    assert counted.status == written.status == "converged"
    np.testing.assert_allclose(values(counted), values(written), rtol=1e-6, atol=1e-8)
    assert counted.rows == written.rows == int(data["n"].sum())
    for name in ("loss", "total", "rss", "rms"):
        ours, theirs = getattr(counted, name), getattr(written, name)
        assert ours == theirs if theirs is None else ours == pytest.approx(theirs, rel=1e-9)
    assert (counted.errors is None) == (written.errors is None)
    if written.errors is not None:
        np.testing.assert_allclose(counted.covariance, written.covariance, rtol=1e-6)
        assert counted.degrees == written.degrees


def test_counts_with_known_sigma_are_repeated_rows():
    data = TABLES[150]
    ours, theirs = (
        steepest.fit("y = a + b*x1 + c*x2", table, sigma="w", **more)
        for table, more in ((data, {"counts": "n"}), (repeated(data), {}))
    )
    np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-9)
    np.testing.assert_allclose(ours.covariance, theirs.covariance, rtol=1e-9)


@pytest.mark.parametrize(("bad", "shown"), [(1.5, "counts is 1.5 at row 4"), (-1, "counts is -1 at row 4")])
def test_counts_that_are_no_whole_numbers_are_a_data_error(bad, shown):
    data = {name: column[:9].copy() for name, column in TABLES[150].items()}
    data["n"][:] = 1
    data["n"][4] = bad
    with pytest.raises(steepest.DataError) as error:
        steepest.fit("y = a + b*x1", data, counts="n")
    assert shown in str(error.value) and "whole number" in str(error.value)


# priors ----------------------------------------------------------------------------------------------------------
def test_a_prior_on_a_line_with_known_sigma_is_the_closed_posterior():
    data, x = TABLES[150], design(TABLES[150])
    fit = steepest.fit("y = a + b*x1 + c*x2", data, sigma=2.0, prior={"b": (1, 0.05), "c": (-2, 0.1)})
    precision = x.T @ x / 4 + np.diag([0, 1 / 0.05**2, 1 / 0.1**2])
    mean = np.linalg.solve(precision, x.T @ data["y"] / 4 + np.array([0, 1 / 0.05**2, -2 / 0.1**2]))
    assert fit.ok, fit.message
    np.testing.assert_allclose(values(fit), mean, rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(precision), rtol=1e-9)


@pytest.mark.parametrize("loss", ["logistic", "poisson", "gamma(dispersion=0.5)"])
def test_a_prior_on_a_likelihood_has_the_mode_and_errors_of_brute_force(loss):
    data, (column, brute) = TABLES[150], BRUTE[loss]
    fit = steepest.fit(formula_of(loss), data, loss=loss, prior={"b": (2, 0.1)})

    def total(t):
        return np.sum(brute(data[column], prediction(loss, data, t))) + 0.5 * ((t[1] - 2) / 0.1) ** 2

    best = optimize.minimize(total, values(fit) + 0.01, method="BFGS", options={"gtol": 1e-7})
    assert fit.ok, fit.message
    np.testing.assert_allclose(values(fit), best.x, atol=1e-6)
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(hessian(total, values(fit))), rtol=1e-4)


def test_a_prior_on_a_vector_stands_for_each_element_and_a_formula_without_equals_takes_one():
    data = {"X": design(TABLES[150]), "k": TABLES[150]["hit"]}
    one = steepest.fit("k = X @ B", data, loss="logistic", prior={"B": (0, [1, 0.1, 0.2])})
    other = steepest.fit("softplus(X @ B) - k*(X @ B)", data, prior={"B": ([0, 0, 0], [1, 0.1, 0.2])})
    assert one.ok and other.ok
    np.testing.assert_allclose(one.values["B"], other.values["B"], rtol=1e-6)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give sigma"),
        ({"loss": "gamma"}, "gamma(dispersion=...)"),
        ({"loss": "huber"}, "has none"),
        ({"sigma": 1.0, "prior": {"b": 3}}, "(mean, standard deviation)"),
        ({"sigma": 1.0, "prior": {"b": (0, 0)}}, "positive number"),
        ({"sigma": 1.0, "prior": {"q": (0, 1)}}, "q stands in prior"),
        ({"sigma": 1.0, "prior": {"b": (0, 1)}, "fixed": {"b": 1}}, "is fixed and has a prior"),
        ({"sigma": 1.0, "prior": "b"}, "a dict by name"),
    ],
)
def test_a_prior_that_cannot_be_weighed_or_read_is_refused_with_the_mend(options, words):
    with pytest.raises(steepest.FitError) as error:
        steepest.fit("wait = a + b*x1", TABLES[150], **{"prior": {"b": (0, 1)}, **options})
    assert words in str(error.value)


def test_a_penalty_beside_a_prior_leaves_no_errors():
    fit = steepest.fit("y = a + b*x1", TABLES[150], sigma=1.0, prior={"b": (0, 1)}, penalty="a**2")
    assert fit.ok and fit.errors is None and "penalty" in fit.reason


# the terminal ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--loss", "huber(1.345, scale=2)", "--counts", "n"], {"loss": "huber(1.345, scale=2)", "counts": "n"}),
        (["--loss", "quantile(0.9)"], {"loss": "quantile(0.9)"}),
        (["--sigma", "2", "--prior", "b=0.5:0.1,c=-1:0.2"], {"sigma": 2.0, "prior": {"b": (0.5, 0.1), "c": (-1, 0.2)}}),
    ],
)
def test_the_terminal_says_the_same(words, options, tmp_path):
    data = {name: TABLES[150][name] for name in ("x1", "x2", "y", "n")}
    parquet.write_table(pa.table(data), tmp_path / "rows.parquet")
    run = CliRunner().invoke(main, ["fit", "y = a + b*x1 + c*x2", str(tmp_path / "rows.parquet"), "--json", *words])
    assert run.exit_code == 0, run.output
    found, there = json.loads(run.stdout), steepest.fit("y = a + b*x1 + c*x2", data, **options)
    assert found["values"] == there.values and found["loss_name"] == there.loss_name and found["rows"] == there.rows


def test_a_prior_that_cannot_be_read_in_the_terminal_says_how(tmp_path):
    parquet.write_table(pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]}), tmp_path / "rows.parquet")
    run = CliRunner().invoke(main, ["fit", "y = a*x", str(tmp_path / "rows.parquet"), "--prior", "a=1"])
    assert run.exit_code == 2 and "write b=0:2.5" in run.stderr + run.stdout
