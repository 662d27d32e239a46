"""compare([f1, f2, ...], data): the same rows, the criteria, and a test where one is a special case of another."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import optimize, stats

import steepest
from steepest.cli.main import main

RANDOM = np.random.default_rng(0)
X = np.linspace(0.1, 4.0, 80)
DATA = {"x": X, "z": RANDOM.normal(size=80), "y": 2 * np.exp(-0.7 * X) + 0.5 + 0.05 * RANDOM.normal(size=80)}
SMALL, LARGE = "y = a*exp(-b*x)", "y = a*exp(-b*x) + c"


def rss(model, start):
    found = optimize.least_squares(lambda theta: DATA["y"] - model(*theta), start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    return 2 * found.cost


SMALL_RSS = rss(lambda a, b: a * np.exp(-b * X), [2, 1])
LARGE_RSS = rss(lambda a, b, c: a * np.exp(-b * X) + c, [2, 1, 0.5])


def test_the_table_has_the_criteria_of_scipy_s_fits():
    small, large = steepest.compare([SMALL, LARGE], DATA).table
    for row, found, p in ((small, SMALL_RSS, 2), (large, LARGE_RSS, 3)):
        aic = 80 * (np.log(2 * np.pi * found / 80) + 1) + 2 * (p + 1)
        assert (row["p"], row["status"]) == (p, "converged")
        assert row["rss"] == pytest.approx(found, rel=1e-9)
        assert row["s"] == pytest.approx(np.sqrt(found / (80 - p)), rel=1e-9)
        assert row["aic"] == pytest.approx(aic, rel=1e-9)
        assert row["bic"] == pytest.approx(aic + (p + 1) * (np.log(80) - 2), rel=1e-9)
    assert large["delta"] == 0
    assert small["delta"] == pytest.approx(small["aic"] - large["aic"])
    assert small["weight"] == pytest.approx(1 / (1 + np.exp(small["delta"] / 2)), rel=1e-9)


def test_the_f_test_is_that_of_analysis_of_variance():
    (test,) = steepest.compare([LARGE, SMALL], DATA).nested
    ratio = (SMALL_RSS - LARGE_RSS) / (LARGE_RSS / 77)
    assert (test.small, test.large, test.setting, test.degrees) == (SMALL, LARGE, {"c": "0"}, (1, 77))
    assert test.statistic == pytest.approx(ratio, rel=1e-8)
    assert test.p == pytest.approx(stats.f.sf(ratio, 1, 77), rel=1e-6)


def test_with_known_sigma_and_for_likelihoods_it_is_a_likelihood_ratio():
    (test,) = steepest.compare([SMALL, LARGE], DATA, sigma=0.05).nested
    assert test.statistic == pytest.approx((SMALL_RSS - LARGE_RSS) / 0.05**2, rel=1e-8)
    assert test.p == pytest.approx(stats.chi2.sf(test.statistic, 1), rel=1e-6)
    counts = {"x": X, "k": RANDOM.poisson(np.exp(0.3 + 0.4 * X)).astype(float)}
    (test,) = steepest.compare(["exp(m) - k*m", "exp(m + s*x) - k*(m + s*x)"], counts).nested

    def deviance(mean):
        return 2 * np.sum(mean - counts["k"] * np.log(mean))

    slope = steepest.fit("exp(m + s*x) - k*(m + s*x)", counts).values
    fitted = deviance(np.exp(slope["m"] + slope["s"] * X))
    expected = deviance(np.full(80, counts["k"].mean())) - fitted
    assert test.statistic == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("small", "large", "setting"),
    [
        ("y = a*exp(-b*x)", "y = a*exp(-b*x**n)", {"n": "1"}),
        ("y = a*exp(-b*x)", "y = a*exp(-b*x) + c*x + k*z", {"c": "0", "k": "0"}),
        ("y = a/(1 + b*x)", "y = a/(1 + b*x + c*x**2)", {"c": "0"}),
        ("y = a*exp(-b*x) + a*exp(-b*x/2)", "y = a*exp(-b*x) + a2*exp(-b*x/2)", {"a2": "a"}),
        ("y = a + b*x", "y = a + b*(x + z) + c*z", None),
        ("y = a*exp(-b*x)", "y = a/(1 + b*x + c*x**2)", None),
        ("y = a + b*x", "y = p + q*x + r*x**2", None),
    ],
)
def test_a_formula_is_called_nested_only_where_it_is(small, large, setting):
    options = {"bounds": {"n": (0.1, 5)}} if "n" in large.split("**")[-1] and "**n" in large else {}
    found = steepest.compare([small, large], DATA, start={"b": 0.7}, **options).nested
    assert [test.setting for test in found] == ([] if setting is None else [setting])


def test_at_a_bound_no_test_holds():
    assert steepest.compare([SMALL, LARGE], DATA, bounds={"c": (0, None)}).nested == ()


def test_all_formulas_use_the_rows_that_have_every_column():
    z = DATA["z"].copy()
    z[[3, 40]] = np.nan
    found = steepest.compare([SMALL, "y = a*exp(-b*x) + k*z"], DATA | {"z": z})
    kept = np.isfinite(z)
    alone = steepest.fit(SMALL, {n: c[kept] for n, c in DATA.items()})
    assert [fit.rows for fit in found.fits] == [78, 78]
    assert found.fits[0].rss == pytest.approx(alone.rss, rel=1e-10)
    assert "used are the rows that have all of x, y, z" in found.text()
    assert "used are" not in steepest.compare([SMALL, LARGE], DATA | {"z": z}).text()


def test_a_larger_formula_that_ends_higher_is_called_out():
    t = np.linspace(0, 1, 40)
    rows = {"t": t, "y": 3 * t + 0.1 * np.random.default_rng(2).normal(size=40)}
    found = steepest.compare(["y = a*t", "y = a*t + sin(w*t)"], rows, start={"w": 40})
    assert found.table[1]["status"] == "converged"
    assert found.table[1]["rss"] > found.table[0]["rss"]
    assert "ends above it: a local minimum; start it there, with w = 0" in found.text()
    assert found.nested == ()


@pytest.mark.parametrize(
    ("formulas", "options", "words"),
    [
        (["y = a*x", "log(y) = a*x"], {}, "different left sides: their likelihoods are of different quantities"),
        (["y = a*x", "(y - a*x)**2"], {}, "different left sides"),
        (["y = a*x"], {}, "two formulas or more"),
        (["y = a*x", "y = b + a*x"], {"batches": [1]}, "batches= compares descents of one formula"),
        (["y = a*x", "y = b + a*x"], {"rate": 0.1}, "rate= compares descents of one formula"),
        (["y = a*x", "y = b + a*x"], {"start": {"q": 1}}, "q stands in start but is no parameter"),
    ],
)
def test_what_cannot_be_compared_is_refused(formulas, options, words):
    with pytest.raises(steepest.FitError, match=words):
        steepest.compare(formulas, DATA, **options)


def test_a_loss_that_is_no_likelihood_has_no_criteria():
    found = steepest.compare([SMALL, LARGE], DATA, loss="log(cosh(y - prediction))")
    assert all(row["aic"] is None for row in found.table)
    assert found.best is None
    assert "no AIC" in found.text()


def test_the_terminal_compares_formulas(tmp_path):
    path = tmp_path / "d.csv"
    np.savetxt(path, np.column_stack([X, DATA["y"]]), delimiter=",", header="x,y", comments="")
    words = ["compare", SMALL, str(path), "--against", LARGE]
    shown = CliRunner().invoke(main, words).stdout
    assert f"{SMALL}  is  {LARGE}  with c = 0: F(1, 77) = " in shown
    answer = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert answer["rows"] == 80
    assert answer["table"][1]["rss"] == pytest.approx(LARGE_RSS, rel=1e-9)
    refused = CliRunner().invoke(main, [*words, "--batches", "1,8"])
    assert refused.exit_code == 2
    assert "--batches compares descents" in refused.stderr


def test_in_a_notebook_it_is_a_table():
    html = steepest.compare([SMALL, LARGE], DATA)._repr_html_()
    assert html.count("<tr>") == 3
    assert "F(1, 77)" in html
