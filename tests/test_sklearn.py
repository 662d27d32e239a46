"""The scikit-learn estimator: scikit-learn's own checks, and what a formula adds to them."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import steepest
from steepest.sklearn import FormulaRegressor


# Many checks hand in noise or two distinct rows, where a law of three parameters has no minimum: that is said.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([FormulaRegressor(), FormulaRegressor("a*x0 + b"), FormulaRegressor("a*exp(-b*x0) + c")])
def test_every_check_of_scikit_learn_passes(estimator: Any, check: Any) -> None:
    check(estimator)


RNG = np.random.default_rng(5)
X = RNG.uniform(0.0, 3.0, (80, 2))
Y = 3.0 * np.exp(-1.5 * X[:, 1]) + 0.5 + 0.01 * RNG.standard_normal(80)
LAW = "a*exp(-b*x1) + c"


def test_the_answer_is_that_of_fit() -> None:
    model = FormulaRegressor(LAW).fit(X, Y)
    alone = steepest.fit("y = a*exp(-b*x1) + c", {"x1": X[:, 1], "y": Y})
    assert model.values_ == model.fit_.values == alone.values
    assert model.fit_.errors == alone.errors
    assert model.n_features_in_ == 2
    assert model.predict(X) == pytest.approx(alone.predict({"x1": X[:, 1]}), rel=1e-14)
    assert model.score(X, Y) > 0.999


@pytest.mark.parametrize("width", [1, 2, 7])
def test_without_a_formula_it_is_linear_regression(width: int) -> None:
    x = RNG.standard_normal((30, width))
    y = x @ np.arange(1.0, width + 1) + 4 + RNG.standard_normal(30)
    model, other = FormulaRegressor().fit(x, y), LinearRegression().fit(x, y)
    assert model.values_["B"] == pytest.approx(other.coef_, rel=1e-10)
    assert model.values_["c"] == pytest.approx(other.intercept_, rel=1e-10)


def test_weights_are_those_of_linear_regression() -> None:
    w = RNG.uniform(0.1, 5.0, 80)
    model, other = FormulaRegressor().fit(X, Y, w), LinearRegression().fit(X, Y, w)
    assert model.values_["B"] == pytest.approx(other.coef_, rel=1e-10)


def test_columns_go_by_the_names_of_the_frame_where_the_formula_uses_them() -> None:
    frame = pd.DataFrame({"time [s]": X[:, 1], "y": X[:, 0]})
    named = FormulaRegressor("a*exp(-b*`time [s]`) + c + d*y").fit(frame, Y)
    assert list(named.feature_names_in_) == ["time [s]", "y"]
    assert named.fit_.columns == ("y_", "time [s]", "y")
    placed = FormulaRegressor("a*exp(-b*x0) + c + d*x1").fit(frame, Y)
    assert placed.values_ == named.values_
    location = FormulaRegressor("d*(`time [s]` - x0)", fixed={"d": -1}).fit(frame, Y)
    assert set(location.values_) == {"d", "x0"}, "x0 is a parameter where the frame's own names are used"


def test_a_parameter_may_have_the_name_of_a_place() -> None:
    model = FormulaRegressor("a*(x1 - x0)", start={"a": -1.0, "x0": 0.5}).fit(X, Y)
    assert set(model.values_) == {"a", "x0"}


def test_it_works_in_a_pipeline_and_a_grid_search() -> None:
    laws = ["a*x1 + c", LAW]
    search = GridSearchCV(make_pipeline(StandardScaler(), FormulaRegressor()), {"formularegressor__formula": laws})
    search.fit(X, Y)
    assert search.best_params_ == {"formularegressor__formula": LAW}
    assert search.score(X, Y) > 0.999


def test_a_pickle_predicts_and_holds_no_rows() -> None:
    model = FormulaRegressor(LAW, bounds={"b": (0, None)}).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 (our own)
    assert (again.predict(X) == model.predict(X)).all()
    assert again.fit_.data is None
    assert model.fit_.data is not None, "the original can still draw itself"
    assert clone(model).get_params() == model.get_params()


def test_no_minimum_is_a_warning_with_the_sentence_of_the_fit() -> None:
    with pytest.warns(ConvergenceWarning, match="only a \\+ b is determined"):
        model = FormulaRegressor("a + b + c*x0").fit(X, Y)
    assert model.fit_.status == "unidentifiable"


def test_a_limit_that_was_asked_for_is_no_warning() -> None:
    model = FormulaRegressor(LAW, method="gd", rate=0.01, stop=steepest.Stop(steps=3)).fit(X, Y)
    assert (model.fit_.status, model.fit_.steps) == ("stopped", 3)


def test_a_minimum_on_the_other_side_of_zero_is_found_and_said() -> None:
    x = np.linspace(0.0, 1.0, 20).reshape(-1, 1)
    model = FormulaRegressor("a*exp(-b*x0) + c").fit(x, -0.01 * np.exp(5 * x[:, 0]) + 1)
    assert model.values_ == pytest.approx({"a": -0.01, "b": -5.0, "c": 1.0}, rel=1e-6)


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("y = a*x0 + b", steepest.FormulaError, "takes the right-hand side alone: y comes with fit(X, y)\na*x0 + b"),
        ("a*x0 + ", steepest.FormulaError, "a*x0 + "),
        ("a*x2 + b", steepest.DataError, "x2 is no column: X has 2, x0 to x1; if it is a parameter, give it a start"),
        (3.0, steepest.FormulaError, "the formula of a FormulaRegressor is text, not float"),
    ],
)
def test_what_cannot_be_used_is_said(formula: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        FormulaRegressor(formula).fit(X, Y)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_without_scikit_learn_the_message_says_what_to_install() -> None:
    done = run("import sys; sys.modules['sklearn'] = None; import steepest.sklearn")
    assert "needs scikit-learn 1.6 or newer: pip install 'steepest[sklearn]'" in done.stderr.splitlines()[-1]


def test_steepest_alone_does_not_import_scikit_learn() -> None:
    done = run(
        "import sys, steepest; steepest.fit('y = a*x', {'x': [1, 2], 'y': [2, 4]}); print('sklearn' in sys.modules)"
    )
    assert done.stdout == "False\n"
