"""Steps on single rows, four ahead: those of a loop over the rows, wherever the run is cut, watched or fails."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import steepest
from steepest import Stop
from steepest.data.order import window_permutation
from steepest.kernels import lookahead, running, surface
from steepest.kernels.lookahead import LookaheadLoop

ROWS = 203


@pytest.fixture
def ahead(monkeypatch):
    """The loops of this kind that were compiled."""
    monkeypatch.setattr(surface, "WORTH_STEPS", 0)
    monkeypatch.setattr(running, "_COMPILED", type(running._COMPILED)())
    made, several = [], LookaheadLoop._several
    monkeypatch.setattr(LookaheadLoop, "_several", lambda self, *given: made.append(self) or several(self, *given))
    return made


def table(columns, seed=0, rows=ROWS):
    random = np.random.default_rng([columns, seed])
    X = random.normal(size=(rows, columns))
    return X, X @ random.normal(size=columns) + 0.1 * random.normal(size=rows)


def walked(X, y, rate, steps, order=None, slope=lambda p, y: p - y):
    """theta of every step of a plain loop; the reduced loss is the mean, of which a row is an estimate."""
    theta = np.zeros(X.shape[1])
    seen = [theta]
    for number in range(1, steps + 1):
        row = (number - 1) % len(X) if order is None else order[number - 1]
        theta = theta - rate(number) * slope(X[row] @ theta, y[row]) * X[row]
        seen.append(theta)
    return np.array(seen)


def fitted(X, y, formula="y = X @ B", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return steepest.fit(
            formula, {"X": X, "y": y}, start={"B": np.zeros(X.shape[1])}, method="gd", batch=1, **options
        )


def near(found, expected, tolerance=1e-12):
    assert np.max(np.abs(np.asarray(found) - expected)) <= tolerance * max(1.0, np.max(np.abs(expected)))


@pytest.mark.parametrize("columns", [1, 3, 8, 10, 17])
@pytest.mark.parametrize("rate", [0.01, "0.02/(1 + step/10)"])
def test_the_steps_are_those_of_a_loop_over_the_rows(ahead, columns, rate):
    X, y = table(columns)
    fit = fitted(X, y, rate=rate, shuffle=False, trace=True, stop=Stop(steps=2 * ROWS + 50))
    at = (lambda step: 0.02 / (1 + step / 10)) if isinstance(rate, str) else lambda _: rate
    near(fit.trace.values, walked(X, y, at, 2 * ROWS + 50))
    assert ahead


def test_shuffled_rows_come_in_their_order(ahead):
    X, y = table(5, rows=1000)
    fit = fitted(X, y, rate=0.01, seed=3, stop=Stop(passes=1))
    order = window_permutation(3, 0, 0, 1000)
    near(fit.values["B"], walked(X, y, lambda _: 0.01, 1000, order)[-1])
    assert ahead


def test_a_loss_that_is_no_square_is_gone_along_as_well(ahead):
    X, y = table(4)
    fit = fitted(X, (y > 0).astype(float), loss="logistic", rate=0.1, shuffle=False,
                 stop=Stop(steps=401))  # fmt: skip
    near(fit.values["B"], walked(X, y > 0, lambda _: 0.1, 401, slope=lambda p, y: 1 / (1 + math.exp(-p)) - y)[-1])
    assert ahead


def test_a_run_is_the_same_to_the_last_bit_watched_traced_or_not(ahead):
    X, y = table(6)
    options = {"rate": 0.01, "seed": 1, "stop": Stop(steps=3 * ROWS + 7)}
    plain, traced = fitted(X, y, **options), fitted(X, y, trace=True, **options)
    watched = fitted(X, y, callbacks=[lambda step: None], **options)
    assert ahead
    assert plain.values["B"].tobytes() == traced.values["B"].tobytes() == watched.values["B"].tobytes()


@pytest.mark.parametrize("steps", range(1, 14))
def test_a_run_of_any_length_is_the_beginning_of_a_longer_one(steps):
    X, y = table(3)
    expected = walked(X, y, lambda _: 0.05, steps)[-1]
    near(fitted(X, y, rate=0.05, shuffle=False, stop=Stop(steps=steps)).values["B"], expected)


@pytest.mark.parametrize("row", [40, 41, 42, 43])
def test_a_row_that_leads_beyond_all_numbers_ends_the_run_at_its_step(ahead, row):
    X, y = table(3)
    X[row - 1 : row + 1], y[row - 1 : row + 1] = 1e100, 1e150
    fit = fitted(X, y, rate=0.01, shuffle=False, stop=Stop(passes=1))
    assert ahead
    assert (fit.status, fit.steps) == ("diverged", row)
    assert np.isfinite(fit.values["B"]).all()


@pytest.mark.parametrize("last", [40, 41, 42, 43])
def test_a_rate_that_becomes_unfit_is_named_with_its_step(ahead, last):
    X, y = table(3)
    with pytest.raises(steepest.SteepestError, match=rf"step {last + 1}\b"):
        fitted(X, y, rate=f"0.01*({last}.5 - step)", shuffle=False, stop=Stop(passes=1))
    assert ahead


@pytest.mark.parametrize(
    "options",
    [
        {"bounds": {"B": (-0.1, 0.1)}},
        {"penalty": "B @ B"},
        {"loss": "rmse"},
        {"where": "y > -1"},
    ],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_what_stands_between_two_rows_makes_the_steps_one_by_one(ahead, options):
    X, y = table(3)
    fit = fitted(X, y, rate=0.01, shuffle=False, stop=Stop(steps=20), **options)
    assert fit.steps == 20
    assert not ahead


def test_other_rules_go_one_by_one(ahead):
    X, y = table(3)
    fit = steepest.fit("y = X @ B", {"X": X, "y": y}, method="momentum", batch=1, rate=0.001, stop=Stop(steps=20))
    assert fit.steps == 20
    assert not ahead


assert lookahead.ROWS == 4  # what the rows 40 to 43 are about
