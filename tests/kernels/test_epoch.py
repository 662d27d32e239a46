"""The compiled steps are those of the plain path: epochs of mini-batches, full batches, collected quadratics."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import steepest
from steepest import Stop
from steepest.data.order import window_permutation
from steepest.kernels import kernel, stepper, surface

ROWS = 203
LINE = "y = a*x + b"
CURVE = "y = a*tanh(b*x) + c*z"
START = {"a": 0.5, "b": 0.4, "c": 0.1}
OWN = "v = 0.5*v + g; u = u + v*v; theta = theta - rate*v/(1 + sqrt(u))"
LOSSY = "v = where(loss > 0.5, g, 0.5*g) + v/(2 + epoch); theta = theta - rate*v*step/(1 + step)"
PLAIN = {  # method: a rate; no power in the rule but squares
    "gd": 0.05,
    "sgd": 0.01,
    "momentum": 0.01,
    "nesterov": 0.01,
    "adagrad": 0.1,
    "rmsprop": 0.01,
    OWN: 0.02,
    LOSSY: 0.02,
}
RULES = {**PLAIN, "adam": 0.02}


def table(rows=ROWS, seed=0):
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, rows))
    return {
        "x": x,
        "z": z,
        "y": 2 * np.tanh(0.8 * x) + 0.3 * z + 0.1 * random.normal(size=rows),
        "w": random.uniform(0.1, 2.0, rows),
        "k": random.integers(0, 3, rows),
        "f": random.normal(size=rows).astype(np.float32),
    }


DATA = table()


@pytest.fixture
def ran(monkeypatch):
    """How often machine code made steps."""
    calls, run = [], stepper.Stepper.run
    monkeypatch.setattr(stepper.Stepper, "run", lambda self, **how: calls.append(1) or run(self, **how))
    return calls


def outcome(monkeypatch, worth, formula, data, options):
    """The answer of one path, and what a callback saw; an error is an answer too."""
    monkeypatch.setattr(surface, "WORTH_STEPS", worth)
    seen = []
    callbacks = [seen.append, *options.get("callbacks", ())]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return steepest.fit(formula, data, trace=True, **{**options, "callbacks": callbacks}), seen
    except steepest.FitError as error:
        return error, seen


def near(found, expected, tolerance):
    """Within a tolerance relative to the largest number of a column."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    fine = np.isfinite(expected)
    np.testing.assert_array_equal(found[~fine], expected[~fine])
    found, expected = found[fine], expected[fine]
    scale = np.max(np.abs(expected), initial=1e-300)
    assert np.max(np.abs(found - expected), initial=0.0) <= tolerance * scale


def distinct(seen):
    """Steps told once more with how it ended are told twice by the plain path: the last word of each."""
    return list({step.number: step for step in seen}.values())


def agree(monkeypatch, ran, formula, data, *, bits=False, tolerance=1e-12, sentence=True, **options):
    """Run both paths and compare them. The compiled answer, the plain one.

    Not to the last bit: powers as in beta1**step are another library's, and NumPy adds a small table in its own order.
    `bits`: where the plain path sums by machine code too, and no power is in the rule, theta is the same to the last.
    """
    if bits:
        monkeypatch.setattr(kernel, "WORTH", 0)
    a, seen = outcome(monkeypatch, 0, formula, data, options)
    assert ran, f"nothing was compiled: {a}"
    count = len(ran)
    b, expected = outcome(monkeypatch, math.inf, formula, data, options)
    assert len(ran) == count, "the plain path was compiled"
    if isinstance(b, Exception):
        assert type(a) is type(b)
        assert str(a) == str(b)
        assert [s.number for s in seen] == [s.number for s in expected]
        return a, b
    assert not isinstance(a, Exception), str(a)
    assert (a.status, a.steps) == (b.status, b.steps)
    if sentence:
        assert a.message == b.message
    assert (a.rows, a.dropped, a.passes) == (b.rows, b.dropped, b.passes)
    assert a.trace.step.tolist() == b.trace.step.tolist() == list(range(a.steps + 1))
    if bits:
        assert a.trace.values.tobytes() == b.trace.values.tobytes()
    for name in ("values", "loss", "gradient_norm"):
        near(getattr(a.trace, name), getattr(b.trace, name), tolerance)
    near([a.loss], [b.loss], tolerance)
    near(np.hstack(list(a.values.values())), np.hstack(list(b.values.values())), tolerance)
    numbers = [s.number for s in seen]
    assert sorted(set(numbers)) == list(range(a.steps + 1)) and numbers == sorted(numbers)
    assert [s.passes for s in distinct(seen)][:-1] == [s.passes for s in distinct(expected)][:-1]
    stopped = {s.number for s in seen if s.status != "running"}
    assert stopped <= {a.steps}
    assert stopped or "callback" in a.message  # which said so itself
    return a, b


# rules, schedules ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch", [None, 7], ids=["full", "batch"])
@pytest.mark.parametrize("method", RULES, ids=[*list(RULES)[:6], "own", "lossy", "adam"])
def test_every_rule_makes_the_same_steps_compiled(monkeypatch, ran, method, batch):
    if method == "sgd":
        batch = 1 if batch is None else batch
    agree(monkeypatch, ran, CURVE, DATA, start=START, method=method, rate=RULES[method], batch=batch,
          bits=method in PLAIN, stop=Stop(steps=150))  # fmt: skip


@pytest.mark.parametrize("batch", [None, 32], ids=["full", "batch"])
@pytest.mark.parametrize("rate", ["0.1/(1 + 0.01*step)", "0.1/(1 + epoch)", "0.05*exp(-epoch/10)/sqrt(step)"])
def test_a_schedule_of_step_and_epoch_is_followed(monkeypatch, ran, rate, batch):
    agree(monkeypatch, ran, CURVE, DATA, start=START, method="momentum", batch=batch, rate=rate, stop=Stop(steps=60))


@pytest.mark.parametrize("batch", [None, 32], ids=["full", "batch"])
@pytest.mark.parametrize("formula", [LINE, CURVE])
def test_a_schedule_that_becomes_negative_is_refused_at_the_same_step(monkeypatch, ran, formula, batch):
    found, _ = agree(monkeypatch, ran, formula, DATA, method="gd", batch=batch, rate="0.1 - 0.01*step",
                     stop=Stop(steps=40))  # fmt: skip
    assert isinstance(found, steepest.FitError)
    assert "step 11" in str(found)


# batches -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch", [1, 3, 7, 8, 32, 100, ROWS, 1000])
def test_batches_of_any_size_are_the_same(monkeypatch, ran, batch, shuffle):
    agree(monkeypatch, ran, CURVE, DATA, start=START, method="momentum", rate=0.01, batch=batch, shuffle=shuffle,
          bits=True, stop=Stop(passes=3))  # fmt: skip


def holed():
    """A table in which rows lack values: some here and there, and sixteen in a row."""
    data = {name: column.astype(float) for name, column in DATA.items()}
    data["y"][::5] = np.nan
    data["x"][40:56] = np.nan
    return data


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch", [1, 3, 8, None])
@pytest.mark.parametrize("screen", [{}, {"where": "z > 0"}, {"weights": "w"}, {"weights": "k", "where": "w < 1.5"}],
                         ids=["holes", "where", "weights", "both"])  # fmt: skip
def test_rows_that_are_left_out_are_left_out_compiled(monkeypatch, ran, screen, batch, shuffle):
    found, _ = agree(monkeypatch, ran, CURVE, holed(), start=START, method="gd", rate=0.03, batch=batch,
                     shuffle=shuffle, bits=True, stop=Stop(passes=1.5 if batch else 30), **screen)  # fmt: skip
    assert found.dropped > 0


@pytest.mark.parametrize("batch", [None, 16])
@pytest.mark.parametrize("kind", ["mean", "sum", "rmse"])
@pytest.mark.parametrize("penalty", [None, "0.5*a**2 + 0.1*b*c + cosh(b)"], ids=["bare", "penalty"])
def test_every_reduction_with_and_without_penalty_and_bounds(monkeypatch, ran, kind, penalty, batch):
    how = {"loss": "rmse"} if kind == "rmse" else {"reduce": kind}
    found, _ = agree(monkeypatch, ran, CURVE, holed(), start=START, method="momentum", batch=batch, penalty=penalty,
                     rate=1e-4 if kind == "sum" else 0.05, bounds={"a": (0.0, 0.8), "c": (0.1, None)},
                     weights="w", stop=Stop(steps=80), **how)  # fmt: skip
    assert found.trace.values[:, 0].max() <= 0.8
    assert kind == "sum" or penalty or found.trace.values[:, 0].max() == 0.8


@pytest.mark.parametrize("loss", ["log(1 + exp(prediction)) - y*prediction", "abs(y - prediction)",
                                  "where(abs(y - prediction) < 0.3, (y - prediction)**2, 0.3*abs(y - prediction))",
                                  "exp(prediction) - y*prediction"])  # fmt: skip
@pytest.mark.parametrize("batch", [None, 5])
def test_other_losses_are_compiled_alike(monkeypatch, ran, loss, batch):
    data = {**DATA, "y": (DATA["y"] > 0).astype(float)}
    agree(monkeypatch, ran, LINE, data, start={"a": 0.1, "b": 0.2}, loss=loss, method="gd", rate=0.02, batch=batch,
          stop=Stop(steps=80))  # fmt: skip


@pytest.mark.parametrize("batch", [None, 9])
@pytest.mark.parametrize("formula", ["(y - a*x)**2 + log(1 + exp(b*z)) - c", "(b - x)**2 - 100"])
def test_a_formula_without_an_equals_sign_may_fall_below_zero(monkeypatch, ran, formula, batch):
    agree(monkeypatch, ran, formula, DATA, method="gd", rate=0.01, batch=batch, stop=Stop(steps=60))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("columns", [3, 10, 20])
@pytest.mark.parametrize("batch", [None, 8])
def test_a_matrix_of_columns_in_either_order_of_memory(monkeypatch, ran, columns, order, batch):
    random = np.random.default_rng(columns)
    matrix = np.asarray(random.normal(size=(ROWS, columns)), order=order)
    data = {"X": matrix, "y": matrix @ np.arange(columns) + random.normal(size=ROWS)}
    for formula in ("y = X @ B + c", "y = sinh(X @ B)/cosh(X @ B)"):
        agree(monkeypatch, ran, formula, data, start={"B": 0.01}, method="gd", rate=0.01, batch=batch,
              stop=Stop(steps=40))  # fmt: skip


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch", [1, 5, 8, 21])
@pytest.mark.parametrize("columns", [1, 3, 8, 13, 60, 70])
def test_rows_of_matrices_lie_over_the_parameters_wherever_these_stand(monkeypatch, ran, columns, batch, shuffle):
    random = np.random.default_rng(columns)
    X, Z = random.normal(size=(ROWS, columns)), random.normal(size=(ROWS, 2, 4))[:, 0]  # rows of Z lie apart
    data = {**DATA, "X": X, "Z": Z, "y": np.tanh(X @ np.arange(columns) / columns) + Z[:, 0] + 0.1 * DATA["x"]}
    data["y"][::9], X[3], Z[5, 1] = np.nan, np.nan, np.nan
    for formula in ("y = c + X @ B + a*x", "y = a*sinh(c*x)/cosh(X @ B) + Z @ D", "y = X @ B + (X @ B)*x + Z @ D"):
        for method, rate in (("momentum", 1e-3), ("adam", 0.01)):
            found, _ = agree(monkeypatch, ran, formula, data, start={"B": 0.01}, method=method, rate=rate, batch=batch,
                             shuffle=shuffle, weights="w", where="z > -1", bounds={"B": (-0.5, None)},
                             penalty="0.1*(B @ B)", stop=Stop(steps=40))  # fmt: skip
            assert found.dropped > 0


@pytest.mark.parametrize("mixed", ["F", "f4"])
@pytest.mark.parametrize("batch", [1, 8, 11])
def test_matrices_of_two_kinds_meet_in_one_parameter(monkeypatch, ran, mixed, batch):
    random = np.random.default_rng(1)
    X = random.normal(size=(ROWS, 5))
    Z = np.asarray(random.normal(size=(ROWS, 5)), order="F") if mixed == "F" else X[::-1].astype(np.float32)
    data = {**DATA, "X": X, "Z": Z}
    agree(monkeypatch, ran, "y = X @ B + tanh(Z @ B)", data, start={"B": 0.1}, method="gd", rate=0.01, batch=batch,
          stop=Stop(steps=60))  # fmt: skip


@pytest.mark.parametrize("batch", [1, 32])
def test_shuffled_steps_are_those_of_a_loop_over_the_order(ran, batch):
    rows, rate = 9_001, 0.02
    random = np.random.default_rng(4)
    X = random.normal(size=(rows, 10))
    y = X @ np.linspace(-1.0, 1.0, 10) + 0.1 * random.normal(size=rows)
    fit = steepest.fit("y = X @ B", {"X": X, "y": y}, start={"B": np.zeros(10)}, method="sgd", rate=rate, batch=batch,
                       seed=7, stop=Stop(passes=4))  # fmt: skip
    assert ran
    theta = np.zeros(10)
    for epoch in range(4):
        order = window_permutation(7, epoch, 0, rows)
        for start in range(0, rows, batch):
            chosen = order[start : start + batch]
            theta = theta - rate * X[chosen].T @ (X[chosen] @ theta - y[chosen]) / len(chosen)
    near(fit.values["B"], theta, 1e-12)


def test_steps_that_nobody_looks_at_leave_the_loss_and_gradient_of_the_last(ran):
    kept, quiet = (
        steepest.fit(CURVE, table(300_000), start=START, method="adam", rate=0.01, batch=50, trace=trace,
                     seed=1, stop=Stop(passes=1.5))
        for trace in (True, False)
    )  # fmt: skip
    assert ran
    assert kept.values == quiet.values
    assert (kept.loss, kept.steps, kept.passes, kept.message) == (quiet.loss, quiet.steps, quiet.passes, quiet.message)


@pytest.mark.parametrize("batch", [None, 8])
def test_columns_of_whole_and_of_short_numbers(monkeypatch, ran, batch):
    agree(monkeypatch, ran, "y = a*tanh(b*f) + c*k", DATA, start=START, method="nesterov", rate=0.01, batch=batch,
          bits=True, stop=Stop(steps=60))  # fmt: skip


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch", [None, 7, 100, 5_000])
def test_a_parquet_file_of_odd_row_groups(monkeypatch, ran, tmp_path, batch, shuffle):
    data = table(11_003)
    data["y"][::7] = np.nan
    arrow = pa.table({name: pa.array(column, from_pandas=True) for name, column in data.items()})
    with pq.ParquetWriter(tmp_path / "t.parquet", arrow.schema) as writer:
        start = 0
        for size in (1, 4_097, 3, 5_000, 1_902):
            writer.write_table(arrow.slice(start, size), row_group_size=size)
            start += size
    agree(monkeypatch, ran, CURVE, tmp_path / "t.parquet", method="gd", rate=0.01, batch=batch, shuffle=shuffle,
          stop=Stop(steps=300) if batch is None else Stop(passes=0.3 if batch == 7 else 2.5))  # fmt: skip


def test_windows_that_a_batch_straddles(monkeypatch, ran):
    data = table(140_001)
    data["x"][::11] = np.nan
    agree(monkeypatch, ran, CURVE, data, start=START, method="gd", rate=0.1, batch=999, stop=Stop(passes=2.2))


# all rows, summed by passes between two updates ----------------------------------------------------------------------
@pytest.fixture
def apart(monkeypatch):
    """No table is small enough to be summed by the loop of steps itself."""
    monkeypatch.setattr(surface, "SHARED", 0)


@pytest.mark.parametrize("method", [method for method in PLAIN if method != "sgd"])
def test_steps_with_passes_in_between_are_those_of_the_plain_path_to_the_last_bit(monkeypatch, ran, apart, method):
    agree(monkeypatch, ran, CURVE, table(9_001), method=method, rate=PLAIN[method], bits=True, stop=Stop(steps=60))


@pytest.mark.parametrize("patience", [0.0, 60.0])
@pytest.mark.parametrize("options", [
    {"method": "adam", "rate": "0.1/(1 + 0.01*step)", "stop": Stop(steps=200)},
    {"method": "gd", "rate": 0.1, "weights": "w", "where": "z > -1", "penalty": "a**2", "stop": Stop(steps=99)},
    {"method": "gd", "rate": 0.1, "reduce": "sum", "bounds": {"a": (0.0, 0.6)}, "stop": Stop(passes=7.5)},
    {"method": "momentum", "rate": 0.01, "stop": Stop(gradient=0.01, steps=3_000)},
    {"method": "momentum", "rate": 0.01, "loss": "rmse", "stop": Stop(loss=0.5)},
    {"method": "gd", "rate": 1e308},
    {"method": "gd", "rate": 0.3},
    {"method": "gd", "rate": 0.3, "callbacks": [lambda step: step.number == 70]},
], ids=str)  # fmt: skip
def test_they_end_alike_however_often_they_are_looked_after(monkeypatch, ran, apart, options, patience):
    monkeypatch.setattr(stepper, "PATIENCE", patience)
    data = table()
    data["y"][::9] = np.nan
    agree(monkeypatch, ran, CURVE, data, start=START, **options)


def test_long_runs_have_the_same_bits_from_memory_and_from_a_file_however_it_is_cut(ran, tmp_path):
    data = table(9_001)
    pq.write_table(pa.table(data), tmp_path / "t.parquet", row_group_size=1_700)
    options = {"start": START, "method": "adam", "rate": 0.01, "stop": Stop(steps=1_200), "trace": True}
    memory, file = (steepest.fit(CURVE, source, **options) for source in (data, tmp_path / "t.parquet"))
    assert ran
    assert memory.trace.values.tobytes() == file.trace.values.tobytes()
    assert (memory.passes, memory.message) == (file.passes, file.message)


def test_all_the_rows_of_a_table_are_in_one_loop_also_beyond_a_unit(monkeypatch, ran):
    agree(monkeypatch, ran, CURVE, table(70_001), start=START, method="adam", rate=0.05, stop=Stop(steps=40))


# endings -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch", [None, 50])
@pytest.mark.parametrize("stop", [
    Stop(steps=0), Stop(steps=1), Stop(steps=17), Stop(passes=0), Stop(passes=0.3), Stop(passes=2.01), Stop(passes=9),
    Stop(steps=33, passes=5.5), Stop(gradient=0.05, steps=500), Stop(loss=0.1, steps=500), Stop(loss=0.3),
], ids=repr)  # fmt: skip
@pytest.mark.parametrize("formula", [LINE, CURVE])
def test_every_stop_ends_both_at_the_same_step(monkeypatch, ran, formula, stop, batch):
    monkeypatch.setattr(stepper.Stepper, "__init__", _counting(stepper.Stepper.__init__, ran))
    agree(monkeypatch, ran, formula, DATA, method="momentum", rate=0.01, batch=batch, stop=stop)


def _counting(init, ran):
    """A stepper counts as run once it is made: a run may end at its start."""

    def __init__(self, *args, **how):
        ran.append(1)
        init(self, *args, **how)

    return __init__


@pytest.mark.parametrize("batch", [None, 10])
@pytest.mark.parametrize("formula", [LINE, CURVE])
def test_seconds_end_a_compiled_run(monkeypatch, ran, formula, batch):
    monkeypatch.setattr(surface, "WORTH_STEPS", 0)
    fit = steepest.fit(formula, DATA, method="gd", rate=1e-7, batch=batch, stop=Stop(seconds=0.15))
    assert ran
    assert fit.status == "stopped"
    assert "0.15 seconds" in fit.message
    assert 0.15 <= fit.seconds < 1.5


@pytest.mark.parametrize("batch", [None, 50])
def test_the_default_stop_ends_both_alike(monkeypatch, ran, batch):
    options = {"method": "gd", "rate": 0.1} if batch is None else {"method": "gd", "rate": 0.3, "batch": 50}
    if batch is not None:
        monkeypatch.setattr("steepest.methods.stopping.DEFAULT_STEPS", 777)
    agree(monkeypatch, ran, LINE, DATA, **options)


@pytest.mark.parametrize(("formula", "data", "options"), [
    ("y = a*exp(b*x*100)", DATA, {"start": {"a": 1.0, "b": 0.0}, "rate": 0.1}),
    (LINE, DATA, {"rate": 50.0}),
    (CURVE, DATA, {"start": START, "rate": 1e308}),
    ("y = a*x**3 + b*exp(a)", DATA, {"rate": 5.0}),
    ("y = exp(a)*x", DATA, {"rate": 30.0}),
    ("1e160*a*x", DATA, {"rate": 1e-170}),
    ("a*x + 3*a", DATA, {"rate": 1e29}),
    ("y = exp(a*x*3) + b/z", DATA, {"rate": 0.02}),
    ("sqrt(a**2)*w", DATA, {"start": {"a": 1.0}, "rate": "1/(0.5005 + step)"}),
], ids=["exp", "line", "rate", "runaway", "overflow", "norm", "unbounded", "later", "kink"])  # fmt: skip
@pytest.mark.parametrize("batch", [None, 20])
def test_a_run_that_diverges_is_called_out_at_the_same_step(monkeypatch, ran, formula, data, options, batch):
    found, _ = agree(monkeypatch, ran, formula, data, method="gd", batch=batch, stop=Stop(steps=300), **options)
    assert found.status in ("diverged", "stopped")


@pytest.mark.parametrize("number", [0, 1, 2, 30, 64])
@pytest.mark.parametrize("batch", [None, 50])
@pytest.mark.parametrize("formula", [LINE, CURVE])
def test_a_callback_stops_at_its_step(monkeypatch, ran, formula, batch, number):
    monkeypatch.setattr(stepper.Stepper, "__init__", _counting(stepper.Stepper.__init__, ran))
    found, _ = agree(monkeypatch, ran, formula, DATA, method="momentum", rate=0.01, batch=batch, stop=Stop(steps=70),
                     callbacks=[lambda step: step.number == number])  # fmt: skip
    assert found.steps == number
    assert "callback" in found.message


@pytest.mark.parametrize("number", [0, 1, 30])
@pytest.mark.parametrize("batch", [None, 50])
@pytest.mark.parametrize("formula", [LINE, CURVE])
def test_ctrl_c_in_a_callback_keeps_the_best_point(monkeypatch, formula, batch, number):
    def press(step):
        if step.number == number:
            raise KeyboardInterrupt

    fits = [outcome(monkeypatch, worth, formula, DATA, {"method": "gd", "rate": 0.4, "batch": batch,
                                                        "stop": Stop(steps=70), "callbacks": [press]})
            for worth in (0, math.inf)]  # fmt: skip
    (a, seen), (b, expected) = fits
    assert a.status == b.status == "interrupted"
    assert (a.steps, a.message) == (b.steps, b.message)
    assert [s.number for s in seen] == [s.number for s in expected] == list(range(number + 1))
    near(list(a.values.values()), list(b.values.values()), 1e-12)
    near([a.loss], [b.loss], 1e-12)
    assert a.passes == b.passes


@pytest.mark.parametrize("batch", [None, 50])
@pytest.mark.parametrize("formula", [LINE, CURVE])
def test_descend_hands_out_every_step_once_and_the_last_with_the_status(monkeypatch, ran, formula, batch):
    monkeypatch.setattr(surface, "WORTH_STEPS", 0)
    options = {"method": "gd", "rate": 0.05, "batch": batch, "stop": Stop(steps=41)}
    steps = list(steepest.descend(formula, DATA, **options))
    assert ran
    assert [s.number for s in steps] == list(range(42))
    assert all(s.status == "running" for s in steps[:-1])
    fit = steepest.fit(formula, DATA, trace=True, **options)
    quiet = steepest.fit(formula, DATA, **options)
    assert (steps[-1].status, steps[-1].message) == (fit.status, fit.message)
    assert len(fit.trace) == 42
    assert np.array([s.theta for s in steps]).tobytes() == fit.trace.values.tobytes()
    assert (quiet.values, quiet.loss, quiet.steps, quiet.passes) == (fit.values, fit.loss, fit.steps, fit.passes)
    assert all(not s.theta.flags.writeable for s in steps)


# standardised parameters --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch", [None, 1, 7], ids=["full", "single", "batch"])
@pytest.mark.parametrize("method", [m for m in RULES if m != "sgd"], ids=[*list(RULES)[:1], *list(RULES)[2:6], "own",
                                                                          "lossy", "adam"])  # fmt: skip
def test_every_rule_makes_the_same_steps_in_standardised_parameters(monkeypatch, ran, method, batch):
    for formula in (CURVE, "y = a*tanh(b*x) + c*z + 3*d"):
        agree(monkeypatch, ran, formula, holed(), start=START, method=method, rate=RULES[method] * 0.05, batch=batch,
              scale="auto", weights="w", stop=Stop(steps=150))  # fmt: skip


@pytest.mark.parametrize("batch", [None, 8])
@pytest.mark.parametrize("columns", [3, 10, 20])
def test_a_matrix_beside_an_intercept_is_standardised_alike(monkeypatch, ran, columns, batch):
    random = np.random.default_rng(columns)
    matrix = (3.0 + random.normal(size=(ROWS, columns))) * np.geomspace(1e-3, 1e3, columns)
    data = {"X": matrix, "y": matrix @ np.geomspace(1e3, 1e-3, columns) + random.normal(size=ROWS)}
    for formula in ("y = c + X @ B", "y = c + X @ B + 0*tanh(X @ B)"):
        agree(monkeypatch, ran, formula, data, start={"B": 0.0, "c": 0.0}, method="momentum", rate=0.01, batch=batch,
              scale="auto", stop=Stop(steps=60))  # fmt: skip


@pytest.mark.parametrize("batch", [None, 16])
@pytest.mark.parametrize("bounds", [{"a": (0.0, 0.8)}, {"d": (None, 0.1)}, {"a": (0.0, 0.8), "c": (0.1, None)}],
                         ids=str)  # fmt: skip
def test_bounds_hold_exactly_in_standardised_parameters(monkeypatch, ran, bounds, batch):
    found, _ = agree(monkeypatch, ran, "y = a*tanh(b*x) + c*z + d", DATA, start={**START, "d": 0.0}, method="momentum",
                     rate=0.05, batch=batch, bounds=bounds, scale="auto", penalty="0.5*a**2 - 3*d", reduce="mean",
                     stop=Stop(steps=120))  # fmt: skip
    for name, (low, high) in bounds.items():
        path = found.trace.values[:, found.trace.names.index(name)]
        assert path.min() >= (-math.inf if low is None else low)
        assert path.max() <= (math.inf if high is None else high)
    assert np.isin(found.trace.values, [side for sides in bounds.values() for side in sides if side is not None]).any()


@pytest.mark.parametrize("batch", [None, 20])
def test_a_run_that_diverges_in_standardised_parameters_is_called_out_at_the_same_step(monkeypatch, ran, batch):
    for rate in (5.0, 1e200, 1e308):
        found, _ = agree(monkeypatch, ran, "y = a*exp(b*x) + c", DATA, method="gd", rate=rate, batch=batch,
                         scale="auto", start={"b": 0.5}, stop=Stop(steps=300))  # fmt: skip
        assert found.status == "diverged"


# collected quadratics ------------------------------------------------------------------------------------------------
def quadratic(condition=50.0, noise=0.1, rows=400, columns=4):
    """A linear model of scaled orthonormal columns."""
    random = np.random.default_rng(5)
    basis = np.linalg.qr(random.normal(size=(rows, columns)))[0] * math.sqrt(rows)
    turn = np.linalg.qr(random.normal(size=(columns, columns)))[0]
    matrix = basis * np.geomspace(1.0, condition**-0.5, columns) @ turn
    return matrix, matrix @ np.array([1.0, -2.0, 3.0, 0.5]) + noise * random.normal(size=rows)


def walked(matrix, y, method, rate, steps, ridge=0.0):
    """The steps of a rule on residuals, in NumPy: iterates, losses."""
    theta, n = np.ones(matrix.shape[1]), len(y)
    v, s, path, losses = np.zeros_like(theta), np.zeros_like(theta), [], []
    for k in range(steps + 1):
        residual = matrix @ theta - y
        path.append(theta)
        losses.append((0.5 * residual @ residual + 0.5 * ridge * theta @ theta) / n)
        g = (matrix.T @ residual + ridge * theta) / n
        if method == "gd":
            theta = theta - rate * g
        elif method == "momentum":
            v = 0.9 * v + g
            theta = theta - rate * v
        else:
            v, s = 0.9 * v + 0.1 * g, 0.999 * s + 0.001 * g**2
            theta = theta - rate * (v / (1 - 0.9 ** (k + 1))) / (np.sqrt(s / (1 - 0.999 ** (k + 1))) + 1e-8)
    return np.array(path), np.array(losses)


@pytest.mark.parametrize("ridge", [0.0, 20.0], ids=["bare", "penalty"])
@pytest.mark.parametrize(("method", "rate"), [("gd", 0.5), ("momentum", 0.1), ("adam", 0.01)])
def test_steps_on_collected_sums_are_those_on_residuals(ran, method, rate, ridge):
    matrix, y = quadratic()
    penalty = f"{ridge / 2}*(B @ B)" if ridge else None
    fit = steepest.fit("y = X @ B", {"X": matrix, "y": y}, method=method, rate=rate, penalty=penalty, trace=True,
                       stop=Stop(steps=5_000))  # fmt: skip
    assert ran
    path, losses = walked(matrix, y, method, rate, 5_000, ridge)
    near(fit.trace.values, path, 1e-9)
    np.testing.assert_allclose(fit.trace.loss, losses, rtol=1e-9)
    assert len(fit.trace) == 5_001
    assert fit.passes <= 5


def test_exact_data_keep_their_digits_down_to_the_last(ran):
    matrix, y = quadratic(10.0, 0.0)
    fit = steepest.fit("y = X @ B", {"X": matrix, "y": y}, method="gd", rate=0.5, trace=True, stop=Stop(steps=1_000))
    assert ran
    residuals = fit.trace.values.astype(np.longdouble) @ matrix.T.astype(np.longdouble) - y
    losses = np.asarray(0.5 * np.mean(residuals**2, axis=1), float)
    kept = losses > 1e-25
    assert losses.min() < 1e-25
    rounding = (
        2.0**-53 * np.abs(y).max() / np.sqrt(2.0 * losses[kept])
    )  # of residuals in double, as any pass makes them
    assert (np.abs(fit.trace.loss[kept] / losses[kept] - 1.0) <= 1e-6 + rounding).all()
    assert fit.passes < 20


def test_sums_that_are_collected_anew_are_counted_with_the_step_they_are_read_at(monkeypatch, ran):
    matrix, y = quadratic(10.0, 0.0)
    found, _ = agree(monkeypatch, ran, "y = X @ B", {"X": matrix, "y": y}, method="gd", rate=0.5, tolerance=1e-9,
                     sentence=False, stop=Stop(steps=300))  # fmt: skip
    assert found.passes > 3


def test_a_condition_of_a_hundred_million_is_walked_as_on_residuals(ran):
    matrix, y = quadratic(1e8)
    fit = steepest.fit("y = X @ B", {"X": matrix, "y": y}, method="gd", rate=0.9, trace=True, stop=Stop(steps=5_000))
    assert ran
    near(fit.trace.values, walked(matrix, y, "gd", 0.9, 5_000)[0], 1e-9)
    assert "condition" in fit.message


@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov"])
def test_a_collected_run_converges_where_the_plain_one_does(monkeypatch, ran, method):
    matrix, y = quadratic()
    found, _ = agree(monkeypatch, ran, "y = X @ B", {"X": matrix, "y": y}, method=method, rate=0.1, tolerance=1e-10,
                     sentence=False)  # fmt: skip
    assert found.status == "converged"
    assert found.passes <= 4


def test_a_quadratic_that_falls_through_zero_is_walked_on(monkeypatch, ran):
    for level in (0.5, 0.7, 1.0, 100.0):
        found, _ = agree(monkeypatch, ran, f"(b - x)**2 - {level}", DATA, method="gd", rate=0.01, tolerance=1e-11,
                         start={"b": 2.0}, stop=Stop(steps=300), sentence=False)  # fmt: skip
        assert found.steps == 300


# all together --------------------------------------------------------------------------------------------------------
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    formula=st.sampled_from([LINE, CURVE, "y = a*x + b*z + c*k", "(y - a*x)**2 + b**2*w"]),
    method=st.sampled_from([m for m in RULES if m != "sgd"]),
    batch=st.sampled_from([None, 1, 2, 5, 16, 64, 500]),
    rows=st.sampled_from([1, 2, 9, 60, 130]),
    shuffle=st.booleans(), holes=st.booleans(),
    where=st.sampled_from([None, "z > -0.5"]), weights=st.sampled_from([None, "w", "k"]),
    penalty=st.sampled_from([None, "0.1*a**2 + b**4"]), reduce=st.sampled_from(["mean", "sum"]),
    bounds=st.sampled_from([None, {"a": (0.0, 1.1)}]), seed=st.integers(0, 3),
    stop=st.sampled_from([Stop(steps=23), Stop(passes=1.7), Stop(passes=6, gradient=1e-3), Stop(steps=40, loss=0.2)]),
    scale=st.sampled_from([None, "auto"]),
)  # fmt: skip
def test_any_combination_makes_the_same_steps(formula, method, batch, rows, holes, bounds, **options):
    with pytest.MonkeyPatch.context() as monkeypatch:
        ran = []
        monkeypatch.setattr(stepper.Stepper, "__init__", _counting(stepper.Stepper.__init__, ran))
        data = table(rows, seed=options["seed"])
        if holes and rows > 2:
            data["y"][1::3] = np.nan
        data["k"][0], data["z"][0] = 1, 1.0
        agree(monkeypatch, ran, formula, data, method=method, rate=RULES[method] * 0.1, batch=batch, bounds=bounds,
              tolerance=1e-10, **options)  # fmt: skip
