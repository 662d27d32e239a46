"""The progress of a run is reported within a pass and within an epoch, whatever computes it."""

import signal
import threading
import time

import numpy as np
import pytest

import steepest
from steepest import Stop
from steepest.data.source import UNIT

ROWS = 6 * UNIT + 100
X = np.random.default_rng(1).uniform(0.5, 3.0, ROWS)
DATA = {"x": X, "y": 2.0 * np.exp(-0.5 * X) + 0.1 * np.cos(40.0 * X)}
CURVES = {"machine code": "y = a*exp(-b*x)", "NumPy": "y = a*exp(-b*x) + 0*polygamma(2, x)"}
START = {"a": 1.0, "b": 1.0}


@pytest.fixture
def always(monkeypatch):
    """Every report is made, however quickly it follows the last."""
    monkeypatch.setattr("steepest.report.progress.INTERVAL", 0.0)


def reports(data=DATA, formula=CURVES["machine code"], **options):
    seen = []
    steepest.fit(formula, data, start=START, method="gd", progress=seen.append, **options)
    return seen


@pytest.mark.parametrize("kernel", CURVES)
def test_a_single_pass_over_a_table_in_memory_reports_on_its_way(monkeypatch, always, kernel):
    monkeypatch.setattr("steepest.kernels.native.AT_ONCE", UNIT)
    seen = reports(formula=CURVES[kernel], rate=0.1, stop=Stop(steps=0))
    within = [report.passes for report in seen if report.passes < 1]
    assert len(within) >= 6
    assert within == sorted(set(within))


def test_the_answer_does_not_depend_on_how_often_progress_is_seen(monkeypatch):
    options = {"start": START, "method": "gd", "rate": 0.1, "stop": Stop(steps=3)}
    whole = steepest.fit(CURVES["machine code"], DATA, **options)
    monkeypatch.setattr("steepest.kernels.native.AT_ONCE", 1)
    assert steepest.fit(CURVES["machine code"], DATA, **options).values == whole.values


@pytest.mark.parametrize("batch", [1, 100, 3 * UNIT])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("trace", [False, True])
def test_an_epoch_reports_on_its_way_with_the_steps_made_so_far(always, batch, shuffle, trace):
    seen = reports(rate=0.01, batch=batch, shuffle=shuffle, trace=trace, stop=Stop(passes=1))
    steps = sorted({report.steps for report in seen} - {0})
    assert len(steps) >= 2
    assert steps[0] * batch < 0.8 * ROWS  # told before the epoch is over


def test_steps_that_read_no_rows_are_reported_too(always):
    seen = []
    steepest.fit("y = a + b*x", DATA, method="gd", rate=0.01, stop=Stop(steps=3_000_000), progress=seen.append)
    steps = [report.steps for report in seen if report.steps]
    assert len(set(steps)) >= 5
    assert {round(report.passes) for report in seen if 0 < report.steps < 3_000_000} == {1}


def test_no_second_of_a_long_run_passes_without_a_report(tmp_path):
    gaps, last = [], time.monotonic()

    def report(progress):
        nonlocal last
        now = time.monotonic()
        gaps.append(now - last)
        last = now

    table = {name: np.tile(column, 8) for name, column in DATA.items()}
    steepest.fit(CURVES["NumPy"], table, start=START, method="gd", rate=0.1, stop=Stop(steps=1), progress=report)
    steepest.fit(CURVES["machine code"], table, start=START, method="sgd", rate=0.01, stop=Stop(passes=3),
                 trace=True, progress=report)  # fmt: skip
    assert len(gaps) > 5
    assert max(gaps) < 1


@pytest.fixture
def ctrl_c_is_heard():
    """Where the tests run in the background of a shell, Ctrl-C is ignored from the beginning."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize(
    "options",
    [
        {"method": "sgd", "rate": 0.001, "stop": Stop(passes=10**6)},
        {"method": "sgd", "rate": 0.001, "stop": Stop(passes=10**6), "trace": True},
        {"method": "gd", "rate": 0.1, "stop": Stop(steps=10**9)},
        {"method": "gd", "rate": 0.1, "stop": Stop(steps=100)},
        {"method": "gd", "rate": 0.1, "stop": Stop(steps=10**9), "batch": 5 * UNIT},
    ],
)
def test_ctrl_c_while_machine_code_runs_is_heard_within_a_second_and_keeps_the_best_point(options):
    table = {name: np.tile(column, 16) for name, column in DATA.items()}
    pressed = []

    def press():
        pressed.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def report(progress):
        if progress.steps and not timers:
            timers.append(threading.Timer(0.05, press))
            timers[0].start()

    timers = []
    fit = steepest.fit(CURVES["machine code"], table, start=START, progress=report, **options)
    assert time.monotonic() - pressed[0] < 1
    assert fit.status == "interrupted"
    residual = table["y"] - fit.values["a"] * np.exp(-fit.values["b"] * table["x"])
    start = table["y"] - np.exp(-table["x"])
    assert fit.rss == pytest.approx(float(residual @ residual), rel=1e-9)
    assert fit.rss < float(start @ start)
