"""The trace of a long run is thinned evenly, stays within its memory, and says so."""

import tracemalloc

import numpy as np
import pytest

import steepest
from steepest import Stop
from steepest.descent import Path

X = np.linspace(-1.0, 1.0, 40)
DATA = {"x": X, "y": 2.0 - 3.0 * X + 0.1 * np.sin(9.0 * X)}
LINE = "y = a + b*x"
START = {"a": 0.0, "b": 0.0}
RATE = 0.01


def kept(last, most):
    """By brute force: every step is put down; where no more fit, every other one is struck out."""
    every, numbers = 1, []
    for number in range(last + 1):
        if number % every:
            continue
        if len(numbers) == most:
            every *= 2
            numbers = [n for n in numbers if n % every == 0]
            if number % every:
                continue
        numbers.append(number)
    return every, numbers + [last] * (numbers[-1] != last)


@pytest.mark.parametrize("most", [2, 3, 8, 100])
@pytest.mark.parametrize("last", [0, 1, 2, 3, 7, 8, 99, 100, 101, 1000])
def test_a_path_keeps_every_second_fourth_step_however_it_is_cut_into_pieces(most, last):
    random = np.random.default_rng(last)
    rows = random.normal(size=(last + 1, 4))
    walked = Path(2, limit=8 * 5 * most)
    at = 0
    while at <= last:
        end = min(at + int(random.integers(1, 40)), last + 1)
        walked.extend(at, rows[at:end, 0], rows[at:end, 1], rows[at:end, 2:])
        at = end
    every, numbers = kept(last, most)
    assert walked.every == every
    np.testing.assert_array_equal(walked.rows(), np.c_[numbers, rows[numbers]])


@pytest.mark.parametrize("last", [3, 4, 5, 6])
def test_a_last_step_that_is_said_once_more_replaces_what_was_said_before(last):
    walked = Path(0, limit=8 * 3 * 4)
    none = np.zeros((1, 0))
    for number in [*range(last + 1), last]:
        walked.extend(number, np.array([float(number)]), np.array([1.0]), none)
    walked.extend(last, np.array([-1.0]), np.array([0.5]), none)
    rows = walked.rows()
    assert rows[:, 0].tolist() == kept(last, 4)[1]
    assert rows[-1].tolist() == [last, -1.0, 0.5]


def by_hand(options, steps):
    """Loss, gradient norm and theta of gradient descent, step by step in NumPy."""
    A, y, b = np.c_[np.ones(X.size), X], DATA["y"], np.zeros(2)
    loss, norm, thetas = [], [], [b]
    for step in range(steps + 1):
        rows = slice(None) if "batch" not in options else slice(10 * (step % 4), 10 * (step % 4) + 10)
        r = y[rows] - A[rows] @ b
        g = -A[rows].T @ r / r.size
        loss.append(0.5 * np.mean(r**2))
        norm.append(np.linalg.norm(g))
        b = b - RATE * g
        thetas.append(b)
    if "batch" in options:  # the loss of a batch is that before its step; the start has all rows
        r = y
        g = -A.T @ r / r.size
        loss, norm = [0.5 * np.mean(r**2), *loss[:-1]], [np.linalg.norm(g), *norm[:-1]]
    return np.array(loss), np.array(norm), np.array(thetas[:-1])


@pytest.mark.parametrize("options", [{}, {"batch": 10, "shuffle": False}], ids=["all rows", "batches"])
@pytest.mark.parametrize("steps", [150, 5000])  # step by step, and in machine code
@pytest.mark.parametrize("watched", [False, True])
def test_a_thinned_trace_holds_the_steps_of_a_loop_by_their_true_numbers(monkeypatch, options, steps, watched):
    monkeypatch.setattr("steepest.run.TRACED", 8 * 5 * 100)
    callbacks = [lambda step: None] if watched else []
    fit = steepest.fit(LINE, DATA, start=START, method="gd", rate=RATE, stop=Stop(steps=steps), trace=True,
                       callbacks=callbacks, **options)  # fmt: skip
    every, numbers = kept(steps, 100)
    assert every > 1
    assert fit.trace.every == every
    assert fit.trace.step.tolist() == numbers
    loss, norm, thetas = by_hand(options, steps)
    np.testing.assert_allclose(fit.trace.loss, loss[numbers], rtol=1e-9)
    np.testing.assert_allclose(fit.trace.gradient_norm, norm[numbers], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(fit.trace.values, thetas[numbers], rtol=1e-9, atol=1e-12)


def test_a_thinned_trace_says_so_in_text_html_json_and_picture(monkeypatch, tmp_path):
    monkeypatch.setattr("steepest.run.TRACED", 8 * 4 * 100)
    said = "trace: every 16th step kept"
    fit = steepest.minimize("(x - 3)**2", {"x": 0.0}, method="gd", rate=1e-4, stop=Stop(steps=1500), trace=True)
    assert said in fit.text() and said in fit._repr_html_()
    back = steepest.load(fit.save(tmp_path / "fit.json"))
    assert back.trace.every == 16 and said in back.text()
    np.testing.assert_array_equal(back.trace.step, fit.trace.step)
    assert said in (tmp_path / fit.plot(tmp_path / "loss.svg")).read_text(encoding="utf-8")


def test_a_trace_that_fits_is_whole_and_says_nothing():
    fit = steepest.fit(LINE, DATA, start=START, method="gd", rate=RATE, stop=Stop(steps=5000), trace=True)
    assert fit.trace.every == 1
    assert fit.trace.step.tolist() == list(range(5001))
    assert "step kept" not in fit.text()


def test_memory_stays_at_the_limit_however_many_steps_are_traced(monkeypatch):
    limit = 1 << 20
    monkeypatch.setattr("steepest.run.TRACED", limit)
    peaks = []
    x = np.linspace(-1.0, 1.0, 50_000)
    data = {"x": x, "y": 2.0 - 3.0 * x}
    for steps in (300_000, 1_200_000):
        tracemalloc.start()
        try:
            fit = steepest.fit(LINE, data, start=START, method="sgd", rate=RATE, stop=Stop(steps=steps), trace=True)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert fit.trace.step[-1] == steps
        assert len(fit.trace) * 8 * 5 <= limit + 40
    assert peaks[1] < 1.1 * peaks[0]
