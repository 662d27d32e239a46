"""`compare`: the notes' picture of batch sizes, on any table."""

import json
import math

import numpy as np
import pytest

import steepest
from steepest import Stop

RANDOM = np.random.default_rng(0)
X1, X2 = RANDOM.normal(size=(2, 400))
TABLE = {"x1": X1, "x2": X2, "y": 3 * X1 - 2 * X2 + 1 + 0.3 * RANDOM.normal(size=400)}
PLANE = "y = a*x1 + b*x2 + c"


def least_squares():
    design = np.c_[X1, X2, np.ones(400)]
    theta, rss, *_ = np.linalg.lstsq(design, TABLE["y"], rcond=None)
    return theta, float(rss[0]) / 800


@pytest.fixture(scope="module")
def comparison():
    return steepest.compare(PLANE, TABLE, batches=[1, 16, None], methods=["gd"], seeds=2, stop=Stop(passes=6))


def test_each_run_has_equal_passes_and_the_steps_that_its_batches_make(comparison):
    assert [row["passes"] for row in comparison.table] == [6, 6, 6]
    assert [row["steps"] for row in comparison.table] == [6 * 400, 6 * 25, 6]
    assert [row["batch"] for row in comparison.table] == [1, 16, None]


def test_the_minimum_beside_the_table_is_that_of_least_squares(comparison):
    theta, loss = least_squares()
    assert comparison.best[0] == pytest.approx(loss, rel=1e-10)
    assert [comparison.best[1][n] for n in "abc"] == pytest.approx(list(theta), rel=1e-9)
    for row, case in zip(comparison.table, comparison.cases, strict=True):
        assert row["above"] == pytest.approx(row["loss"] - loss, abs=1e-12)
        ends = [max(abs(r.values[n] - t) for n, t in zip("abc", theta, strict=True)) for r in case.runs]
        assert row["distance"] == pytest.approx(float(np.median(ends)), rel=1e-6, abs=1e-12)


def test_the_losses_are_those_of_all_rows_at_the_points_of_a_plain_fit(comparison):
    full = comparison.cases[-1].runs[0]
    fit = steepest.fit(PLANE, TABLE, method="gd", stop=Stop(steps=6), trace=True)
    np.testing.assert_allclose(full.losses, fit.trace.loss, rtol=1e-12)
    mini = comparison.cases[1].runs[1]
    same = steepest.fit(PLANE, TABLE, method="gd", batch=16, seed=1, stop=Stop(passes=6))
    assert mini.losses[-1] == pytest.approx(same.loss, rel=1e-12)
    assert mini.seed == 1 and len(mini.losses) == 7


def test_every_run_begins_at_the_same_loss_and_the_clock_never_runs_back(comparison):
    starts = {float(r.losses[0]) for c in comparison.cases for r in c.runs}
    assert len(starts) == 1
    assert all((np.diff(r.seconds) >= 0).all() for c in comparison.cases for r in c.runs)


def test_the_text_shows_each_case_and_says_which_is_first(comparison):
    text = comparison.text()
    assert text.splitlines()[0] == PLANE
    assert "gd, all rows: loss" in comparison.sentence
    assert all(word in text for word in ("batch", "rate", "above minimum", "2 orders of the rows"))


def test_from_many_starts_sgd_comes_into_the_lowest_minimum_more_often_than_gradient_descent():
    random = np.random.default_rng(0)
    t = random.uniform(0, 6, 120)
    wave = {"t": t, "y": np.sin(2 * t) + 0.05 * random.normal(size=120)}
    points = [{"w": 0.5 + 0.3 * k} for k in range(10)]
    found = steepest.compare(
        "y = sin(w*t)", wave, batches=[1, None], starts=points, seeds=1, rate=0.05, stop=Stop(passes=60)
    )
    sgd, full = (row["share"] for row in found.table)
    assert sgd > full
    grid = np.linspace(0.3, 4, 20_001)
    lowest = min(0.5 * float(np.mean((wave["y"] - np.sin(w * t)) ** 2)) for w in grid)
    assert found.lowest <= lowest * (1 + 1e-6)
    assert "lowest minimum" in found.sentence


def test_starts_are_drawn_within_the_bounds_and_are_the_same_again():
    options = dict(batches=[None], starts=4, bounds={"a": (0, 1), "b": (-3, -2), "c": (5, 6)}, stop=Stop(passes=1))
    first, second = (steepest.compare(PLANE, TABLE, **options) for _ in range(2))
    assert [r.losses[0] for r in first.cases[0].runs] == [r.losses[0] for r in second.cases[0].runs]
    assert len({float(r.losses[0]) for r in first.cases[0].runs}) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 3}, "batches="),
        ({"method": "gd"}, "methods="),
        ({"colour": "red"}, "no option colour"),
        ({"stop": Stop(steps=3)}, "equal passes"),
        ({"seeds": 0}, "at least one"),
        ({"batches": [0]}, "batch is 0"),
        ({"methods": ["foo"]}, "foo is not a method"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(options, words):
    with pytest.raises(steepest.FitError, match=words):
        steepest.compare(PLANE, TABLE, **options)


def test_a_case_that_diverges_is_shown_as_such():
    wild = steepest.compare(PLANE, TABLE, batches=[None, 8], rate=50.0, seeds=1, stop=Stop(passes=30))
    assert "diverged" in {row["status"] for row in wild.table}
    json.dumps(wild.as_dict(), allow_nan=False)
    assert wild.text()


def test_the_picture_and_the_json_of_the_terminal(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from steepest.cli.main import main

    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{a},{b},{y}" for a, b, y in zip(X1[:50], X2[:50], TABLE["y"][:50], strict=True))
    (tmp_path / "t.csv").write_text("x1,x2,y\n" + rows)
    words = ["compare", PLANE, "t.csv", "--batches", "1,8,all", "--methods", "gd,auto", "--seeds", "1", "--passes", "3"]
    result = CliRunner().invoke(main, [*words, "--json", "--plot", "c.png"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert [row["batch"] for row in answer["table"]] == [1, 8, None, None]
    assert math.isclose(answer["table"][-1]["loss"], answer["best"]["loss"], rel_tol=1e-9)
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    assert CliRunner().invoke(main, words).stdout.startswith(PLANE)


def test_the_paths_and_the_batches_of_two_parameters_are_drawn(comparison, tmp_path):
    line = steepest.compare("y = a*x1 + b", TABLE, batches=[8, None], seeds=1, stop=Stop(passes=2))
    for drawn in (
        line.plot_paths(tmp_path / "p.png"),
        line.plot_batches(tmp_path / "b.png", 8),
        line.plot(tmp_path / "l.svg"),
    ):
        assert (tmp_path / drawn).stat().st_size > 5_000
    assert line.cases[0].runs[0].path.shape == (101, 2)
    with pytest.raises(steepest.FitError, match="two free parameters"):
        comparison.plot_paths(tmp_path / "x.png")


def test_a_notebook_shows_the_table_and_no_markup_of_a_name():
    data = {"<b>x</b>": X1[:60], "y": 2 * X1[:60]}
    shown = steepest.compare("y = a*`<b>x</b>`", data, batches=[None], stop=Stop(passes=1))
    assert "<b>x</b>" not in shown._repr_html_() and "&lt;b&gt;x" in shown._repr_html_()
    assert repr(shown) == shown.text()
