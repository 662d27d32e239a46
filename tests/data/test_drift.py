"""Files that are ordered by a column are noticed."""

import numpy as np
import pytest

import steepest
from steepest import Stop
from steepest.data import Reader, open_source
from steepest.data.drift import CHUNKS, drift

X = np.random.default_rng(0).uniform(0, 3, 20_000)
Y = 5 * np.exp(-X) + 1 + 0.1 * np.random.default_rng(1).normal(size=X.size)


def reader(**columns):
    return Reader(open_source(columns).select(list(columns)))


def test_a_sorted_column_is_noticed_and_named():
    order = np.argsort(X)
    found = drift(reader(z=np.random.default_rng(2).normal(size=X.size), x=X[order]))
    assert found is not None and found[0] == "x"
    runs = np.array_split(X[order], CHUNKS)
    between = sum(len(run) * (run.mean() - X.mean()) ** 2 for run in runs) / (CHUNKS - 1)
    assert found[1] == pytest.approx(between / X.var(), rel=1e-9)


def test_rows_in_random_order_are_not_called_ordered():
    random = np.random.default_rng(3)
    assert all(drift(reader(x=random.normal(size=5_000), y=random.uniform(size=5_000))) is None for _ in range(50))


def test_a_constant_column_and_few_rows_say_nothing():
    assert drift(reader(x=np.full(5_000, 3.0))) is None
    assert drift(reader(x=np.arange(20.0))) is None


def test_nulls_do_not_hide_the_order():
    x = np.sort(X)
    x[::7] = np.nan
    found = drift(reader(x=x))
    assert found is not None and found[0] == "x"


def test_sgd_in_the_order_of_a_sorted_file_is_called_out_and_is_far_from_where_the_shuffled_one_is():
    order = np.argsort(X)
    data, options = {"x": X[order], "y": Y[order]}, dict(method="sgd", rate=0.05, stop=Stop(passes=2))
    start = {"a": 1.0, "b": 1.0, "c": 0.0}
    with pytest.warns(UserWarning, match="ordered by x"):
        sorted_ = steepest.fit("y = a*exp(-b*x) + c", data, start=start, shuffle=False, **options)
    shuffled = steepest.fit("y = a*exp(-b*x) + c", data, start=start, **options)
    best = steepest.fit("y = a*exp(-b*x) + c", data, start=start).loss
    assert shuffled.loss - best < 0.2 * (sorted_.loss - best)
    assert any("ordered by x" in note for note in sorted_.notes)
