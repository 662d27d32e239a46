"""A formula that was bound before is there at once, and never for anything else than what was asked."""

import threading

import numpy as np
import pytest

import steepest
from steepest.errors import SteepestError
from steepest.formula import recent
from steepest.formula.grammar import parse
from steepest.formula.losses import find_loss
from steepest.formula.recent import bound

FORMULA, COLUMNS = "y = a*exp(-b*x) + c", {"x": None, "y": None}


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch):
    monkeypatch.setattr(recent, "_recent", type(recent._recent)())


def ask(formula=FORMULA, schema=COLUMNS, loss="squares", **options):
    return bound(formula, schema, lambda: parse(formula), loss=find_loss(loss), **options)


def test_the_same_question_has_the_same_answer_whatever_the_start_values():
    first = ask(start={"a": 1, "b": 2}, bounds={"b": (0, None)})
    assert ask(start={"a": 5, "b": np.float64(3)}, bounds={"b": (0, None)}) is first


@pytest.mark.parametrize(
    "other",
    [
        dict(formula="y = a*exp(-b*x) + c "),
        dict(schema={"x": None, "y": None, "z": None}),
        dict(schema={"y": None, "x": None}),
        dict(loss="rmse"),
        dict(loss="abs(y - prediction)"),
        dict(start={"a": 1}),
        dict(bounds={"b": (0, None)}),
        dict(bounds={"b": (-0.0, None)}),
        dict(bounds={"b": (0.0, None)}),
        dict(fixed={"c": 0}),
        dict(fixed={"c": -0.0}),
        dict(weights="x"),
        dict(sigma=1),
        dict(sigma="x"),
        dict(penalty="a**2"),
        dict(where="x > 0"),
        dict(reduce="sum"),
    ],
)
def test_another_question_has_another_answer(other):
    asked = [{}, dict(bounds={"b": (0, None)}), dict(fixed={"c": 0}), dict(sigma=1.0)]
    before = [ask(**one) for one in asked if one != other or str(one) != str(other)]
    assert all(ask(**other) is not one for one in before)


def test_what_is_refused_is_refused_again_even_after_something_that_is_equal_to_it():
    ask(sigma=1)
    for _ in range(2):
        with pytest.raises(SteepestError, match="sigma is True"):
            ask(sigma=True)
    ask("y = `1`*x", bounds={"1": (0, 1)})
    for wrong in ({1: (0, 1)}, [["1", [0, 1]]]):
        with pytest.raises(SteepestError, match="bounds is a dict by name"):
            ask("y = `1`*x", bounds=wrong)


def test_bounds_that_hold_an_array_are_bound_each_time():
    bounds = {"b": (np.zeros(1), None)}
    assert ask(bounds=bounds) is not ask(bounds=bounds)


def test_no_more_is_kept_than_the_limits_allow(monkeypatch):
    kept = [ask(f"y = a*x + {k}") for k in range(recent.KEPT + 1)]
    assert len(recent._recent) == recent.KEPT
    assert ask(f"y = a*x + {recent.KEPT}") is kept[-1]
    assert ask("y = a*x + 0") is not kept[0]
    monkeypatch.setattr(recent, "NODES", 3 * kept[-1].nodes)
    ask("y = a*x + 0.5")
    assert 1 <= len(recent._recent) <= 3
    monkeypatch.setattr(recent, "NODES", 0)
    ask("y = a*x + 0.25")
    assert not recent._recent


def test_the_longest_unused_goes_first():
    kept = [ask(f"y = a*x + {k}") for k in range(recent.KEPT)]
    assert ask("y = a*x + 0") is kept[0]
    ask("y = a*x + 0.5")
    assert ask("y = a*x + 0") is kept[0]
    assert ask("y = a*x + 1") is not kept[1]


def test_a_fit_does_not_depend_on_what_was_kept():
    x = np.linspace(0, 4, 50)
    data = {"x": x, "y": 2.5 * np.exp(-1.3 * x) + 0.5 + 0.05 * np.sin(9 * x)}
    cold = steepest.fit(FORMULA, data, start={"a": 1, "b": 1, "c": 0})
    steepest.fit(FORMULA, data, start={"a": 1, "b": 1, "c": 0}, method="gd", stop=steepest.Stop(passes=3))
    steepest.function(FORMULA, data)(np.ones(3))
    warm = steepest.fit(FORMULA, data, start={"a": 1, "b": 1, "c": 0})
    assert warm.values == cold.values and warm.passes == cold.passes and warm.certificate == cold.certificate
    assert np.array_equal(warm.covariance, cold.covariance)


def test_threads_that_share_a_formula_get_the_answers_of_one():
    x = np.linspace(0, 4, 50)
    data = {"x": x, "y": 2.5 * np.exp(-1.3 * x) + 0.5 + 0.05 * np.sin(9 * x)}
    methods = ["auto", "newton", "auto", "newton"]
    expected = {m: steepest.fit(FORMULA, data, method=m).values for m in set(methods)}
    for _ in range(10):
        recent._recent.clear()
        found, ready = [None] * len(methods), threading.Barrier(len(methods))

        def run(place, found=found, ready=ready):
            ready.wait()
            found[place] = steepest.fit(FORMULA, data, method=methods[place]).values

        threads = [threading.Thread(target=run, args=(place,)) for place in range(len(methods))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected[m] for m in methods]


def test_the_bounds_of_an_objective_cannot_be_written_over():
    objective = ask(bounds={"b": (0, None)})
    with pytest.raises(ValueError, match="read-only"):
        objective.lower[:] = -1
