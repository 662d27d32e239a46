"""Errors by the sandwich, correlations, bands, profiles, R² and the criteria, against SciPy, NumPy and published R."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import optimize, stats
from sklearn.linear_model import LinearRegression

import steepest
from steepest.cli.main import main

# Treloar 1974, Puromycin, the treated cells; Bates and Watts 1988 fit them throughout
PUROMYCIN = {
    "conc": np.array([0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.10, 1.10]),
    "rate": np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200.0]),
}
MENTEN = "rate = Vm*conc/(K + conc)"
START = {"Vm": 160, "K": 0.05}

RANDOM = np.random.default_rng(11)
X = np.linspace(0.0, 4.0, 80)
CURVE = "y = a*exp(-b*x) + c"
DATA = {
    "x": X,
    "y": 2.0 * np.exp(-0.7 * X) + 0.5 + 0.05 * (1.0 + X) * RANDOM.normal(size=80),
    "w": 1.0 / (1.0 + X) ** 2,
    "sd": 0.05 * (1.0 + X),
}


def menten(conc, vm, k):
    return vm * conc / (k + conc)


def decay(x, a, b, c):
    return a * np.exp(-b * x) + c


def jacobian(values):
    a, b, _ = values.values()
    return np.column_stack([np.exp(-b * X), -a * X * np.exp(-b * X), np.ones_like(X)])


@pytest.fixture(scope="module")
def puromycin():
    return steepest.fit(MENTEN, PUROMYCIN, start=START)


# the published answers -------------------------------------------------------------------------------------------
def test_puromycin_has_the_published_estimates_errors_and_noise(puromycin):
    assert puromycin.values["Vm"] == pytest.approx(212.7, abs=0.05)
    assert puromycin.values["K"] == pytest.approx(0.06412, abs=5e-6)
    assert puromycin.errors["Vm"] == pytest.approx(6.947, abs=5e-4)
    assert puromycin.errors["K"] == pytest.approx(0.00828, abs=5e-6)
    assert puromycin.s == pytest.approx(10.93, abs=5e-3)
    assert puromycin.degrees == 10


def test_puromycin_has_the_published_profile_intervals(puromycin):
    found = puromycin.interval(method="profile")
    assert found["Vm"] == pytest.approx((197.30, 229.29), abs=5e-3)
    assert found["K"] == pytest.approx((0.0469, 0.0862), abs=5e-5)


def test_the_table_shows_what_a_statistician_looks_for(puromycin):
    text = puromycin.text()
    row = next(line for line in text.splitlines() if line.startswith("Vm")).split()
    t = 212.68374 / 6.94715
    assert row[:4] == ["Vm", "212.7", "6.95", f"{t:.3g}"]
    assert float(row[4]) == pytest.approx(2 * stats.t.sf(t, 10), rel=0.02)
    for words in (
        "s 10.934 on 10 degrees of freedom",
        "R² 0.961",
        "no intercept",
        "AIC 95.2",
        "correlations: Vm K 0.765",
    ):
        assert words in text


# profiles --------------------------------------------------------------------------------------------------------
def profiled(name, value, width_squared, **options):
    """T above its minimum with one parameter held, by SciPy: zero at the end of an interval."""
    names = ["a", "b", "c"]
    sigma = options.get("sigma", np.ones_like(X))
    best = steepest.fit(CURVE, DATA, **({"sigma": "sd"} if options else {}))
    others = [n for n in names if n != name]

    def residuals(theta, held):
        at = dict(zip(others, theta, strict=True)) | held
        return (DATA["y"] - decay(X, *(at[n] for n in names))) / sigma

    held = {name: value}
    found = optimize.least_squares(
        lambda theta: residuals(theta, held), [best.values[n] for n in others], xtol=1e-14, ftol=1e-14, gtol=1e-14
    )
    noise = 1.0 if options else best.rss / (len(X) - 3)
    return (2 * found.cost - best.rss) / noise - width_squared


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_profile_interval_ends_where_a_brute_force_profile_by_scipy_meets_f(name):
    for end in steepest.fit(CURVE, DATA).interval(0.9, "profile")[name]:
        assert profiled(name, end, stats.f.ppf(0.9, 1, 77)) == pytest.approx(0.0, abs=1e-4)


BENT = {
    "BoxBOD": lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)),
    "MGH09": lambda x, b1, b2, b3, b4: b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4),
    "Rat43": lambda x, b1, b2, b3, b4: b1 / (1 + np.exp(b2 - b3 * x)) ** (1 / b4),
}


@pytest.mark.parametrize("name", BENT)
def test_profiles_of_strongly_bent_models_of_nist_end_where_those_of_scipy_do(name):
    """Far from the ellipse of the errors, and, in Rat43, with a wrong valley where that ellipse ends."""
    problem = json.loads((Path(__file__).parent / "nist" / "nonlinear" / f"{name}.json").read_text())
    rows = {column: np.array(values, float) for column, values in problem["data"].items()}
    names = problem["parameters"]
    fit = steepest.fit(problem["formula"], rows, start=dict(zip(names, problem["start2"], strict=True)))
    intervals, best = fit.interval(method="profile"), np.array([fit.values[n] for n in names])
    quantile = stats.f.ppf(0.95, 1, fit.degrees) * fit.rss / fit.degrees

    def rise(place, value):
        others = [i for i in range(len(best)) if i != place]

        def residuals(theta):
            at = best.copy()
            at[others], at[place] = theta, value
            return np.clip(np.nan_to_num(rows["y"] - BENT[name](rows["x"], *at), nan=1e9), -1e9, 1e9)

        with np.errstate(all="ignore"):
            found = [
                optimize.least_squares(
                    residuals, best[others] * near, x_scale=np.abs(best[others]), xtol=1e-15, ftol=1e-15, gtol=1e-15
                )
                for near in (0.6, 0.8, 1.0, 1.25, 1.5)
            ]
        return 2 * min(run.cost for run in found) - fit.rss

    for place, parameter in enumerate(names):
        for end in intervals[parameter]:
            assert rise(place, end) / quantile == pytest.approx(1.0, abs=1e-4), parameter


def test_with_known_sigma_it_ends_where_the_profile_meets_chi_squared():
    for end in steepest.fit(CURVE, DATA, sigma="sd").interval(method="profile")["b"]:
        assert profiled("b", end, stats.chi2.ppf(0.95, 1), sigma=DATA["sd"]) == pytest.approx(0.0, abs=1e-4)


def test_of_a_linear_model_the_profile_is_the_wald_interval():
    fit = steepest.fit("y = a + b*x", DATA)
    by_errors, by_profile = fit.interval(), fit.interval(method="profile")
    for name in "ab":
        np.testing.assert_allclose(by_profile[name], by_errors[name], rtol=1e-8)


def test_a_poisson_profile_is_that_of_its_deviance():
    counts = np.array([3, 1, 4, 1, 5, 9, 2, 6.0])
    fit = steepest.fit("exp(m) - k*m", {"k": counts})

    def above(m):
        return 2 * (
            len(counts) * math.exp(m) - counts.sum() * m - (counts.sum() - counts.sum() * math.log(counts.mean()))
        )

    low, high = fit.interval(method="profile")["m"]
    quantile = stats.chi2.ppf(0.95, 1)
    assert above(low) == pytest.approx(quantile, abs=1e-5)
    assert above(high) == pytest.approx(quantile, abs=1e-5)
    assert low < math.log(counts.mean()) < high


def test_an_interval_that_the_data_leave_open_is_infinite_and_said():
    x = np.linspace(0, 1, 12)
    y = 1.0 - np.exp(-6.0 * x) + 0.12 * np.random.default_rng(0).normal(size=12)
    some = [0, 4, 6, 8, 10, 11]
    fit = steepest.fit("y = 1 - exp(-k*x)", {"x": x[some], "y": y[some]}, start={"k": 5})
    at_infinity = np.sum((y[some] - (x[some] > 0)) ** 2)
    assert (at_infinity - fit.rss) / (fit.rss / 5) < stats.f.ppf(0.95, 1, 5), "the likelihood never falls far enough"
    assert fit.ok
    with pytest.warns(UserWarning, match="k is not bounded above by the data"):
        low, high = fit.interval(method="profile")["k"]
    assert math.isinf(high)
    assert 0 < low < fit.values["k"]
    assert "k is not bounded above by the data" in fit.text("profile")


def test_a_profile_stops_at_a_bound_and_says_so():
    fit = steepest.fit(CURVE, DATA, bounds={"c": (0.52, None)})
    free = steepest.fit(CURVE, DATA)
    assert fit.covariance is not None
    assert free.interval(method="profile")["c"][0] < 0.52
    with pytest.warns(UserWarning, match="c ends at its bound"):
        assert fit.interval(method="profile")["c"][0] == 0.52
    assert "c ends at its bound" in fit.text("profile")


def test_a_profile_of_a_vector_is_by_element():
    design = np.random.default_rng(0).normal(size=(30, 3))
    rows = {"X": design, "y": design @ [1.0, 2.0, 3.0] + np.random.default_rng(1).normal(size=30)}
    fit = steepest.fit("y = X @ B", rows)
    assert list(fit.interval(method="profile")) == ["B[0]", "B[1]", "B[2]"]
    np.testing.assert_allclose(list(fit.interval(method="profile").values()), list(fit.interval().values()), rtol=1e-8)


def test_a_lower_minimum_found_on_the_way_is_no_interval():
    t = np.linspace(0, 1, 40)
    rows = {"t": t, "y": np.sin(9 * t) + 0.3 * np.random.default_rng(2).normal(size=40)}
    fit = steepest.fit("y = sin(w*t)", rows, start={"w": 28})
    best = steepest.fit("y = sin(w*t)", rows, start={"w": 9})
    assert fit.ok
    assert fit.rss > best.rss
    with pytest.raises(steepest.FitError, match="a lower minimum lies beside this one") as error:
        fit.interval(method="profile")
    again = float(str(error.value).rpartition("w = ")[2])
    assert steepest.fit("y = sin(w*t)", rows, start={"w": again}).rss < fit.rss


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"errors": "sandwich"}, "rests on the likelihood"),
        ({"penalty": "a**2"}, "no intervals: with a penalty"),
    ],
)
def test_a_profile_that_would_mean_nothing_is_refused(options, words):
    with pytest.raises(steepest.FitError, match=words):
        steepest.fit(CURVE, DATA, **options).interval(method="profile")


def test_a_loaded_fit_and_exact_data_have_no_profile(tmp_path):
    path = steepest.fit(CURVE, DATA).save(tmp_path / "fit.json")
    with pytest.raises(steepest.FitError, match="no data to profile"):
        steepest.load(path).interval(method="profile")
    exact = {"x": X, "y": decay(X, 2.0, 0.7, 0.5)}
    with pytest.raises(steepest.FitError, match="fitted exactly"):
        steepest.fit(CURVE, exact).interval(method="profile")
    with pytest.raises(steepest.FitError, match="by 'wald' or by 'profile'"):
        steepest.fit(CURVE, DATA).interval(method="bootstrap")


# the sandwich ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("repeat", [1, 2_500])
def test_the_sandwich_of_squares_is_white_s_with_mackinnon_s_factor_by_numpy(repeat):
    """Over both kernels: 80 rows by NumPy, 200,000 by machine code."""
    rows = {name: np.tile(column, repeat) for name, column in DATA.items()}
    fit = steepest.fit(CURVE, rows, weights="w", errors="sandwich")
    j, w, r = jacobian(fit.values), DATA["w"], DATA["y"] - decay(X, *fit.values.values())
    n = 80 * repeat
    bread = np.linalg.inv(repeat * (j.T * w) @ j)
    middle = repeat * (j.T * (w * r) ** 2) @ j
    np.testing.assert_allclose(fit.covariance, bread @ middle @ bread * n / (n - 3), rtol=1e-8)
    assert fit.degrees == n - 3


def test_the_sandwich_of_a_likelihood_is_by_its_scores_and_its_exact_hessian():
    counts = np.random.default_rng(5).negative_binomial(2, 0.4, 60).astype(float)
    rows = {"x": np.linspace(0, 2, 60), "k": counts}
    fit = steepest.fit("exp(a + b*x) - k*(a + b*x)", rows, errors="sandwich")
    mean = np.exp(fit.values["a"] + fit.values["b"] * rows["x"])
    design = np.column_stack([np.ones(60), rows["x"]])
    bread = np.linalg.inv((design.T * mean) @ design)
    middle = (design.T * (mean - counts) ** 2) @ design
    np.testing.assert_allclose(fit.covariance, bread @ middle @ bread * 60 / 58, rtol=1e-7)
    assert fit.degrees is None
    plain = steepest.fit("exp(a + b*x) - k*(a + b*x)", rows)
    assert np.all(np.diag(fit.covariance) > np.diag(plain.covariance)), "the counts are overdispersed"


# correlations ----------------------------------------------------------------------------------------------------
def test_correlations_are_those_of_scipy_s_covariance(puromycin):
    _, covariance = optimize.curve_fit(menten, PUROMYCIN["conc"], PUROMYCIN["rate"], [200, 0.06])
    expected = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    assert puromycin.correlation[0, 1] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_array_equal(np.diag(puromycin.correlation), 1.0)


def test_parameters_that_the_data_hardly_tell_apart_are_named():
    far = {"x": 1000.0 + X, "y": 3.0 + 0.2 * X + 0.1 * np.random.default_rng(3).normal(size=80)}
    text = steepest.fit("y = a + b*x", far).text()
    assert "a and b (-1.0000) are hardly told apart by the data: reparametrise" in text
    assert "hardly told apart" not in steepest.fit("y = a + b*(x - 1002)", far).text()


# bands -----------------------------------------------------------------------------------------------------------
def test_bands_of_a_straight_line_are_the_textbook_s():
    fit = steepest.fit("y = a + b*x", DATA)
    slope = stats.linregress(X, DATA["y"])
    at = np.array([-1.0, 0.3, 7.0])
    s = math.sqrt(np.sum((DATA["y"] - slope.intercept - slope.slope * X) ** 2) / 78)
    lever = 1 / 80 + (at - X.mean()) ** 2 / np.sum((X - X.mean()) ** 2)
    t = stats.t.ppf(0.95, 78)
    for band, variance in (("confidence", lever), ("prediction", 1.0 + lever)):
        found = fit.predict({"x": at}, band, level=0.9)
        middle, half = slope.intercept + slope.slope * at, t * s * np.sqrt(variance)
        np.testing.assert_allclose(found, np.column_stack([middle, middle - half, middle + half]), rtol=1e-10)


def test_bands_of_a_curve_are_those_of_scipy_s_covariance_and_keep_the_order_of_the_rows():
    at = {"x": np.array([2.0, math.nan, 0.0])}
    values, covariance = optimize.curve_fit(decay, X, DATA["y"], [2, 1, 0.5], xtol=1e-14, ftol=1e-14)
    gradient = np.column_stack(
        [np.exp(-values[1] * at["x"]), -values[0] * at["x"] * np.exp(-values[1] * at["x"]), np.ones(3)]
    )
    half = stats.t.ppf(0.975, 77) * np.sqrt(np.einsum("ij,jk,ik->i", gradient, covariance, gradient))
    found = steepest.fit(CURVE, DATA).predict(at, "confidence")
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found[:, 2] - found[:, 0], half, rtol=1e-4)
    np.testing.assert_array_equal(found[:, 0], steepest.fit(CURVE, DATA).predict(at))
    assert np.isnan(found[1]).all()


def test_a_prediction_band_takes_the_precision_of_each_new_row():
    weighted = steepest.fit(CURVE, DATA, weights="w")
    new = {"x": np.array([1.0, 1.0]), "w": np.array([1.0, 4.0])}
    inner, outer = (weighted.predict(new, band) for band in ("confidence", "prediction"))
    t = stats.t.ppf(0.975, 77)
    own = ((outer[:, 2] - outer[:, 0]) / t) ** 2 - ((inner[:, 2] - inner[:, 0]) / t) ** 2
    np.testing.assert_allclose(own, weighted.s**2 / new["w"], rtol=1e-10)
    known = steepest.fit(CURVE, DATA, sigma="sd")
    outer = known.predict({"x": [1.0], "sd": [0.3]}, "prediction")
    inner = known.predict({"x": [1.0], "sd": [0.3]}, "confidence")
    own = ((outer[0, 2] - outer[0, 0]) ** 2 - (inner[0, 2] - inner[0, 0]) ** 2) / stats.norm.ppf(0.975) ** 2
    assert own == pytest.approx(0.09, rel=1e-10)
    with pytest.raises(steepest.FormulaError, match="w in weights is not a column"):
        weighted.predict({"x": [1.0]}, "prediction")


def test_bands_of_vectors_and_of_a_loaded_fit_are_the_same(tmp_path):
    design = np.random.default_rng(0).normal(size=(30, 2))
    rows = {"X": design, "t": np.linspace(0, 1, 30)}
    rows["y"] = design @ [1.0, 2.0] + np.exp(rows["t"]) + 0.1 * np.random.default_rng(1).normal(size=30)
    fit = steepest.fit("y = X @ B + exp(k*t)", rows)
    j = np.column_stack([design, rows["t"] * np.exp(fit.values["k"] * rows["t"])])
    half = stats.t.ppf(0.975, 27) * np.sqrt(np.einsum("ij,jk,ik->i", j, fit.covariance, j))
    found = fit.predict(rows, "confidence")
    np.testing.assert_allclose(found[:, 0] - found[:, 1], half, rtol=1e-9)
    np.testing.assert_array_equal(steepest.load(fit.save(tmp_path / "f.json")).predict(rows, "confidence"), found)


@pytest.mark.parametrize(
    ("options", "band", "words"),
    [
        ({}, "tolerance", "'confidence' or 'prediction'"),
        ({"penalty": "a**2"}, "confidence", "no bands: with a penalty"),
        ({"loss": "log(cosh(y - prediction))", "errors": "hessian"}, "prediction", "band='confidence' holds"),
    ],
)
def test_a_band_that_cannot_be_said_is_refused(options, band, words):
    with pytest.raises(steepest.FitError, match=words):
        steepest.fit(CURVE, DATA, **options).predict(DATA, band)


def test_a_likelihood_written_out_knows_no_noise_of_an_observation():
    fit = steepest.fit("exp(m) - k*m", {"k": np.array([3, 1, 4, 1, 5.0])})
    with pytest.raises(steepest.FitError, match="needs the noise of an observation"):
        fit.predict({"k": [1.0]}, "prediction")


# how well it does ------------------------------------------------------------------------------------------------
def test_r_squared_is_that_of_scikit_learn_also_with_weights_and_far_from_zero():
    for shift in (0.0, 1e9):
        rows = DATA | {"y": DATA["y"] + shift}
        model = LinearRegression().fit(X[:, None], DATA["y"], DATA["w"])
        expected = model.score(X[:, None], DATA["y"], DATA["w"])
        fit = steepest.fit("y = a + b*x", rows, weights="w")
        assert fit.r2 == pytest.approx(expected, rel=1e-5 if shift else 1e-12)
        assert fit.r2_adjusted == pytest.approx(1 - (1 - expected) * 79 / 78, rel=1e-5)
        assert fit.intercept


@pytest.mark.parametrize(
    ("formula", "intercept"),
    [
        ("y = a*exp(-b*x)", False),
        (CURVE, True),
        ("y = [x] @ B", False),
        ("y = [x**2, x] @ B", False),
        ("y = [1 + 0, x] @ B", True),
        ("y = low + (high - low)/(1 + exp(-k*(x - m)))", True),
        ("y = high/(1 + exp(-k*(x - m)))", False),
        ("y = log(a) + b*x", True),
    ],
)
def test_an_intercept_is_seen_in_the_formula(formula, intercept):
    assert steepest.fit(formula, DATA).intercept is intercept


def test_the_log_likelihood_is_that_of_scipy_s_normal_distribution():
    plain = steepest.fit(CURVE, DATA)
    residuals = DATA["y"] - decay(X, *plain.values.values())
    expected = stats.norm.logpdf(residuals, scale=math.sqrt(np.mean(residuals**2))).sum()
    assert plain.log_likelihood == pytest.approx(expected, rel=1e-10)
    assert plain.aic == pytest.approx(2 * 4 - 2 * expected, rel=1e-10)
    assert plain.bic == pytest.approx(4 * math.log(80) - 2 * expected, rel=1e-10)
    assert plain.aicc == pytest.approx(plain.aic + 2 * 4 * 5 / 75, rel=1e-12)
    known = steepest.fit(CURVE, DATA, sigma="sd")
    residuals = DATA["y"] - decay(X, *known.values.values())
    expected = stats.norm.logpdf(residuals, scale=DATA["sd"]).sum()
    assert known.log_likelihood == pytest.approx(expected, rel=1e-10)
    assert known.aic == pytest.approx(2 * 3 - 2 * expected, rel=1e-10)
    weighted = steepest.fit(CURVE, DATA, weights="w")
    residuals = DATA["y"] - decay(X, *weighted.values.values())
    scale = math.sqrt(np.mean(DATA["w"] * residuals**2))
    expected = stats.norm.logpdf(residuals, scale=scale / np.sqrt(DATA["w"])).sum()
    assert weighted.log_likelihood == pytest.approx(expected, rel=1e-10)


def test_a_loss_that_is_no_likelihood_and_a_penalty_have_no_aic():
    for options in ({"loss": "log(cosh(y - prediction))"}, {"penalty": "a**2"}):
        fit = steepest.fit(CURVE, DATA, **options)
        assert fit.ok
        assert fit.aic is fit.log_likelihood is fit.bic is None
    assert steepest.minimize("x**2").aic is None
    assert steepest.fit("y = a*x", {"x": [1.0, 2.0], "y": [3.0, 3.0]}).r2 is None, "y does not vary"


def test_what_it_says_of_itself_survives_saving(tmp_path, puromycin):
    again = steepest.load(puromycin.save(tmp_path / "fit.json"))
    assert again.text() == puromycin.text()
    assert (again.aic, again.r2, again.s) == (puromycin.aic, puromycin.r2, puromycin.s)
    np.testing.assert_array_equal(again.correlation, puromycin.correlation)


# the terminal ----------------------------------------------------------------------------------------------------
def table(tmp_path: Path) -> str:
    lines = ["conc,rate", *(f"{c},{r}" for c, r in zip(*PUROMYCIN.values(), strict=True))]
    (tmp_path / "puromycin.csv").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "puromycin.csv")


def run(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_terminal_gives_profile_intervals_and_the_sandwich(tmp_path):
    words = ["fit", MENTEN, table(tmp_path), "--start", "Vm=160,K=0.05"]
    shown = run(*words, "--interval", "profile")
    assert "by profile" in shown
    assert "197.3 to 229.3" in shown
    intervals = json.loads(run(*words, "--interval", "profile", "--json"))["intervals"]
    assert intervals["K"] == pytest.approx([0.0469, 0.0862], abs=5e-5)
    assert "errors: sandwich" in run(*words, "--errors", "sandwich")


@pytest.mark.parametrize("out", ["", "bands.csv", "bands.parquet"])
def test_the_terminal_writes_bands_beside_predictions(tmp_path, out, puromycin):
    path, saved = table(tmp_path), puromycin.save(tmp_path / "fit.json")
    words = ["predict", saved, path, "--band", "prediction", "--level", "0.9"]
    printed = run(*words, *(["--out", str(tmp_path / out)] if out else []))
    if out.endswith("parquet"):
        import pyarrow.parquet as pq

        found = np.column_stack(pq.read_table(tmp_path / out).columns)
    else:
        lines = (tmp_path / out).read_text() if out else printed
        assert lines.splitlines()[0] == "prediction,lower,upper"
        found = np.array([[float(cell) for cell in line.split(",")] for line in lines.splitlines()[1:]])
    np.testing.assert_array_equal(found, puromycin.predict(PUROMYCIN, "prediction", 0.9))


def test_a_level_without_a_band_is_refused_in_the_terminal(tmp_path, puromycin):
    words = ["predict", puromycin.save(tmp_path / "fit.json"), table(tmp_path), "--level", "0.9"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "--level is that of a band" in result.stderr
