"""fixed={"b2": "2*b1"}: a parameter that follows others is put in before anything is compiled."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import optimize

import steepest
from steepest.cli.main import main

X = np.linspace(0.0, 4.0, 60)
DATA = {
    "x": X,
    "y": 2 * np.exp(-0.7 * X) + 3 * np.exp(-1.4 * X) + 0.5 + 0.05 * np.random.default_rng(0).normal(size=60),
}
TWO = "y = a1*exp(-b1*x) + a2*exp(-b2*x) + c"
ONES = dict.fromkeys(("a1", "b1", "a2", "c"), 1.0)


def test_a_tied_fit_is_scipy_s_fit_of_the_formula_with_the_tie_written_in():
    fit = steepest.fit(TWO, DATA, fixed={"b2": "2*b1", "a2": "a1 + c"})

    def model(x, a1, b1, c):
        return a1 * np.exp(-b1 * x) + (a1 + c) * np.exp(-2 * b1 * x) + c

    values, covariance = optimize.curve_fit(model, X, DATA["y"], [2, 1, 1], xtol=1e-14, ftol=1e-14)
    assert fit.ok
    assert fit.free == ("a1", "b1", "c")
    np.testing.assert_allclose([fit.values[n] for n in fit.free], values, rtol=1e-6)
    np.testing.assert_allclose(list(fit.errors.values()), np.sqrt(np.diag(covariance)), rtol=1e-4)
    assert fit.values["b2"] == 2 * fit.values["b1"]
    assert fit.values["a2"] == fit.values["a1"] + fit.values["c"]
    assert list(fit.values) == ["a1", "b1", "a2", "b2", "c"]
    np.testing.assert_allclose(fit.predict(DATA), model(X, *values), rtol=1e-5)


def test_a_tie_may_hold_another_tie_and_a_number_that_is_fixed():
    fit = steepest.fit(TWO, DATA, fixed={"a2": "b2/b1", "b2": "c + b1", "c": "1/2"})
    assert fit.values["c"] == 0.5
    assert fit.values["b2"] == 0.5 + fit.values["b1"]
    assert fit.values["a2"] == fit.values["b2"] / fit.values["b1"]
    assert fit.free == ("a1", "b1")


def test_a_band_follows_the_tie():
    tied = steepest.fit("y = a*exp(-b*x) + c", DATA, fixed={"c": "a/10"})
    written = steepest.fit("y = a*exp(-b*x) + a/10", DATA)
    np.testing.assert_allclose(tied.predict(DATA, "confidence"), written.predict(DATA, "confidence"), rtol=1e-9)
    np.testing.assert_allclose(tied.interval(method="profile")["b"], written.interval(method="profile")["b"], rtol=1e-9)


def test_a_tie_stands_in_the_penalty_too():
    tied = steepest.fit("y = a*x + b", DATA, fixed={"b": "2*a"}, penalty="0.5*b**2")
    written = steepest.fit("y = a*x + 2*a", DATA, penalty="0.5*(2*a)**2")
    assert tied.values["a"] == pytest.approx(written.values["a"], rel=1e-12)


def test_minimize_goes_along_a_tie():
    fit = steepest.minimize("x**2 + y**2 + z", {"x": 3}, fixed={"y": "1 - x", "z": "y"})
    assert fit.values == pytest.approx({"x": 0.75, "y": 0.25, "z": 0.25}, rel=1e-12)


def test_a_tie_is_shown_saved_and_printed_as_json(tmp_path):
    fit = steepest.fit(TWO, DATA, fixed={"b2": "2*b1"})
    row = next(line for line in fit.text().splitlines() if line.startswith("b2"))
    assert row.split()[2:] == ["tied", "=", "2*b1"]
    again = steepest.load(fit.save(tmp_path / "fit.json"))
    assert again.text() == fit.text()
    np.testing.assert_array_equal(again.predict(DATA, "prediction"), fit.predict(DATA, "prediction"))
    np.savetxt(tmp_path / "d.csv", np.column_stack([X, DATA["y"]]), delimiter=",", header="x,y", comments="")
    result = CliRunner().invoke(main, ["fit", TWO, str(tmp_path / "d.csv"), "--fixed", "b2=2*b1,c=0.5", "--json"])
    answer = json.loads(result.stdout)
    assert answer["values"]["b2"] == 2 * answer["values"]["b1"]
    assert answer["values"]["c"] == 0.5
    assert set(answer["errors"]) == {"a1", "b1", "a2"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"fixed": {"b2": "b1", "b1": "b2"}}, steepest.FitError, "go round in a circle: b2 = b1, b1 = b2"),
        ({"fixed": {"b2": "b2"}}, steepest.FitError, "go round in a circle: b2 = b2"),
        ({"fixed": {"b2": "x"}}, steepest.FormulaError, "x in the tie of b2 is a column"),
        ({"fixed": {"b2": "b3"}}, steepest.FormulaError, "b3 in the tie of b2 is no parameter of the formula"),
        ({"fixed": {"b3": "b1"}}, steepest.FitError, "b3 stands in fixed but is no parameter"),
        ({"fixed": {"b2": "b1 = 2"}}, steepest.FormulaError, "an expression, not an equation"),
        ({"fixed": {"b2": "2*"}}, steepest.FormulaError, "ends too early"),
        ({"fixed": {"b2": "b1"}, "bounds": {"b2": (0, 1)}}, steepest.FitError, "give them to b1 instead"),
        (
            {"fixed": {"b2": "b1"}, "prior": {"b2": (0, 1)}, "sigma": 1.0},
            steepest.FitError,
            "b2 is tied .* and has a prior: give it to b1 instead",
        ),
        (
            {"fixed": {"b2": "log(-b1)"}, "start": dict.fromkeys(("a1", "b1", "a2", "c"), 1.0)},
            steepest.FitError,
            "log of a negative number in log",
        ),
    ],
)
def test_a_tie_that_cannot_be_used_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        steepest.fit(TWO, DATA, **options)


def test_a_tie_to_a_vector_is_refused():
    rows = {"X": np.ones((3, 2)), "t": np.arange(3.0), "y": np.arange(3.0)}
    with pytest.raises(steepest.FormulaError, match="B in the tie of k is a vector"):
        steepest.fit("y = X @ B + k*t", rows, fixed={"k": "B"})
