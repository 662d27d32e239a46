"""Fits that are given no start: NIST's certified answers, planted curves, and what is said of the search."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest
from steepest.data.open import open_source
from steepest.data.reader import Reader
from steepest.data.sample import sample

TESTS = Path(__file__).parents[1]
PROBLEMS = sorted((TESTS / "nist" / "nonlinear").glob("*.json"))
SHAPES = json.loads((TESTS / "starts" / "shapes.json").read_text(encoding="utf-8"))
WORDS = {name: getattr(np, name) for name in ("exp", "log", "sin", "sqrt", "tanh", "pi")}
DECAY = "y = a*exp(-b*x) + c"


def planted(shape: dict[str, Any], rows: int, seed: int) -> tuple[dict[str, Any], float]:
    """Data about a planted curve with 1 % noise, and the loss of the curve itself, by NumPy."""
    rng = np.random.default_rng((7, seed))
    columns: dict[str, Any] = {}
    for name, (low, high, *kind) in shape["columns"].items():
        drawn = rng.uniform(*(np.log([low, high]) if kind else (low, high)), rows)
        columns[name] = np.exp(drawn) if kind else drawn
    right = eval(shape["formula"].partition("=")[2], WORDS, {**columns, **shape["truth"]})  # noqa: S307 - our own
    y = right + 0.01 * np.std(right) * rng.standard_normal(rows)
    return {**columns, "y": y}, float(0.5 * np.mean((y - right) ** 2))


def decay(rows: int = 100, rate: float = 0.5, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x = np.linspace(0.0, 10.0, rows)
    return {"x": x, "y": 2.0 * np.exp(-rate * x) + 1.0 + 0.01 * rng.standard_normal(rows)}


# what is found ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.stem)
def test_nists_certified_answer_is_found_without_a_start(path: Path, seed: int) -> None:
    problem = json.loads(path.read_text(encoding="utf-8"))
    fit = steepest.fit(problem["formula"], problem["data"], seed=seed)
    assert fit.ok
    names = problem["parameters"]
    certified = dict(zip(names, problem["certified"], strict=True))
    answers = [problem["certified"]]
    for order in problem["equivalent_solutions"]:
        answers.append([math.copysign(1.0, -1.0 if n[0] == "-" else 1.0) * certified[n.lstrip("-")] for n in order])
    values = np.array([fit.values[n] for n in names])
    assert min(float(np.max(np.abs(values / np.array(right) - 1.0))) for right in answers) < 1e-6


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape["name"])
def test_a_planted_curve_is_found_without_a_start(shape: dict[str, Any]) -> None:
    data, best = planted(shape, 120, seed=3)
    fit = steepest.fit(shape["formula"], data, seed=5)
    assert fit.ok
    assert fit.loss <= best


def test_many_rows_are_fitted_from_a_sample_in_few_passes() -> None:
    data = decay(300_000)
    fit = steepest.fit(DECAY, data)
    assert fit.values == pytest.approx({"a": 2.0, "b": 0.5, "c": 1.0}, abs=1e-3)
    assert fit.passes <= 6
    assert fit.starts is not None
    assert 0 < fit.starts["sample_rows"] < 10_000


def test_a_likelihood_finds_its_start_too() -> None:
    t = 340.0 * np.random.default_rng(4).weibull(1.7, 500)
    fit = steepest.fit("-log(k/s) - (k - 1)*log(t/s) + (t/s)**k", {"t": t})
    from scipy import stats

    k, _, s = stats.weibull_min.fit(t, floc=0)
    assert fit.ok
    assert fit.values == pytest.approx({"k": k, "s": s}, rel=1e-3)


def test_a_vector_beside_a_curve_is_solved() -> None:
    rng = np.random.default_rng(1)
    X, k = rng.standard_normal((400, 3)), rng.uniform(0.0, 2.0, 400)
    y = X @ [1.0, 2.0, -1.0] * np.exp(-0.7 * k) + 0.3
    fit = steepest.fit("y = X @ B*exp(-g*k) + c", {"X": X, "k": k, "y": y})
    assert fit.ok
    assert fit.values["B"] == pytest.approx([1.0, 2.0, -1.0], rel=1e-6)
    assert fit.values["g"] == pytest.approx(0.7, rel=1e-6)


def test_a_valley_towards_infinity_is_not_entered() -> None:
    t = np.linspace(0.0, 10.0, 60)
    fit = steepest.fit("y = a*exp(b*t) + c", {"t": t, "y": 0.01 * np.exp(0.9 * t) - 5.0})
    assert fit.ok
    assert fit.values == pytest.approx({"a": 0.01, "b": 0.9, "c": -5.0}, rel=1e-6)


def test_weights_and_where_hold_for_the_sample() -> None:
    data = decay(400)
    data["y"] = np.where(data["x"] > 5.0, 1e6, data["y"])
    data["w"] = np.where(data["x"] > 4.0, 0.0, 1.0)
    for option in ({"where": "x <= 4"}, {"weights": "w"}):
        fit = steepest.fit(DECAY, data, **option)
        assert fit.values == pytest.approx({"a": 2.0, "b": 0.5, "c": 1.0}, abs=0.05)


def test_vectors_of_two_neurons_are_found_though_zero_is_a_saddle() -> None:
    from scipy import optimize

    rng = np.random.default_rng(2)
    X, truth = rng.standard_normal((300, 3)), np.array([1.5, -0.7, 0.5, -1.0, 0.3, 2.0, 0.1, 0.4])

    def curve(t: Any) -> Any:
        return t[0] * np.tanh(X @ t[2:5]) + t[1] * np.tanh(X @ t[5:])

    y = curve(truth) + 0.02 * rng.standard_normal(300)
    fit = steepest.fit("y = a*tanh(X @ B) + c*tanh(X @ D)", {"X": X, "y": y})
    oracle = optimize.least_squares(lambda t: y - curve(t), truth, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert fit.ok
    assert fit.rss == pytest.approx(2.0 * oracle.cost, rel=1e-9)


def test_a_vector_in_a_loss_that_is_not_convex_is_found() -> None:
    from scipy import optimize

    rng = np.random.default_rng(5)
    X = rng.standard_normal((200, 2)) * [1.0, 40.0]
    y = np.sin(X @ [2.5, 0.03]) + 0.1 * rng.standard_normal(200)

    def loss(theta: Any) -> float:
        return float(np.mean(np.log(np.cosh(y - np.sin(X @ theta)))))

    fit = steepest.fit("log(cosh(y - sin(X @ B)))", {"X": X, "y": y}, restarts=30)
    oracle = optimize.minimize(loss, [2.5, 0.03], method="BFGS", options={"gtol": 1e-9})
    assert fit.ok
    assert fit.loss == pytest.approx(oracle.fun, rel=1e-6)


def test_a_large_convex_fit_begins_where_a_sample_ends_and_reaches_scipys_minimum_in_few_passes() -> None:
    from scipy import optimize, special

    rng = np.random.default_rng(8)
    X = rng.standard_normal((300_000, 4))
    y = (rng.random(300_000) < special.expit(X @ [0.5, -1.0, 0.2, 0.8] + 0.3)).astype(float)
    fit = steepest.fit("y = X @ B + c", {"X": X, "y": y}, loss="logistic")
    Z = np.column_stack([X, np.ones(len(X))])

    def loss(theta: Any) -> Any:
        eta = Z @ theta
        return np.mean(np.logaddexp(0.0, eta) - y * eta), Z.T @ (special.expit(eta) - y) / len(y)

    oracle = optimize.minimize(loss, np.zeros(5), jac=True, method="BFGS", options={"gtol": 1e-9})
    assert fit.ok
    assert [*fit.values["B"], fit.values["c"]] == pytest.approx(oracle.x, abs=1e-7)
    assert fit.passes <= 5
    assert fit.starts is not None
    assert 0 < fit.starts["sample_rows"] < 20_000


def test_of_a_proved_convex_loss_no_second_start_is_tried() -> None:
    from scipy import optimize

    x = np.linspace(-1.0, 2.0, 100)
    data = {"x": x, "y": np.exp(0.4 + 0.9 * x) * np.random.default_rng(3).uniform(0.5, 1.5, 100)}
    fit = steepest.fit("exp(a + b*x) - y*(a + b*x)", data, restarts=9)

    def loss(theta: Any) -> float:
        eta = theta[0] + theta[1] * x
        return float(np.mean(np.exp(eta) - data["y"] * eta))

    oracle = optimize.minimize(loss, [0.0, 0.0], options={"gtol": 1e-10})
    assert fit.ok
    assert list(fit.values.values()) == pytest.approx(oracle.x, abs=1e-6)
    assert fit.starts is not None
    assert fit.starts["tried"] == 1
    assert "no other start was tried: the loss is convex" in fit.text()


@pytest.mark.parametrize("penalty", ["2000*(w - 1.2)**2", "2000*(w - 1.2)**4", "50*abs(w - 1.2)"])
def test_the_search_weighs_the_penalty(penalty: str) -> None:
    t = np.sort(np.random.default_rng(0).uniform(0.0, 20.0, 80))
    y = np.sin(3.0 * t)
    grid = np.linspace(-5.0, 5.0, 40_001)
    rest = np.array([0.5 * np.sum((y - np.sin(w * t)) ** 2) for w in grid])
    lowest = float(np.min(rest + eval(penalty, {"w": grid, "abs": np.abs})))  # noqa: S307 - our own
    fit = steepest.fit("y = sin(w*t)", {"t": t, "y": y}, penalty=penalty)
    assert fit.total == pytest.approx(lowest, rel=1e-4)


# what stays as it was said ---------------------------------------------------------------------------------------
def test_found_starts_lie_within_the_bounds() -> None:
    first: list[Any] = []
    bounds = {"a": (0, 1.5), "b": (0.7, 3.0)}
    steepest.fit(DECAY, decay(), bounds=bounds, callbacks=[lambda s: first.append(s.values)])
    assert 0 <= first[0]["a"] <= 1.5
    assert 0.7 <= first[0]["b"] <= 3.0


def test_a_value_that_is_given_is_where_the_run_begins() -> None:
    first: list[Any] = []
    steepest.fit(DECAY, decay(), start={"b": 0.9}, callbacks=[lambda s: first.append(s.values)])
    assert first[0]["b"] == 0.9
    x, y = decay()["x"], decay()["y"]
    columns = np.stack([np.exp(-0.9 * x), np.ones_like(x)], axis=1)
    assert [first[0]["a"], first[0]["c"]] == pytest.approx(np.linalg.lstsq(columns, y, rcond=None)[0])


def test_a_start_that_is_wholly_given_is_taken_as_it_is() -> None:
    first: list[Any] = []
    start = {"a": 1.0, "b": 0.3, "c": 0.0}
    fit = steepest.fit(DECAY, decay(), start=start, callbacks=[lambda s: first.append(s.values)])
    assert first[0] == start
    assert fit.starts is None


def test_restarts_leave_the_valley_that_a_given_start_lies_in() -> None:
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(0.0, 20.0, 80))
    data = {"t": t, "y": np.sin(3.0 * t)}
    assert steepest.fit("y = sin(w*t)", data, start={"w": 1.0}).values["w"] != pytest.approx(3.0, rel=1e-3)
    fit = steepest.fit("y = sin(w*t)", data, start={"w": 1.0}, restarts=20)
    assert abs(fit.values["w"]) == pytest.approx(3.0, rel=1e-6)
    assert fit.starts is not None
    assert fit.starts["tried"] == 21
    assert 1 <= fit.starts["same"] < 21
    assert fit.starts["next_loss"] > fit.loss


def test_first_order_methods_begin_at_one() -> None:
    first: list[Any] = []
    stop = steepest.Stop(steps=2)
    fit = steepest.fit(
        DECAY, decay(), method="gd", rate=0.01, stop=stop, callbacks=[lambda s: first.append(s.theta.tolist())]
    )
    assert first[0] == [1.0, 1.0, 1.0]
    assert fit.missing_start == ("a", "b", "c")


def test_a_linear_model_is_still_fitted_in_two_passes() -> None:
    fit = steepest.fit("y = a*x + c", decay())
    assert (fit.passes, fit.starts) == (2, None)


def test_the_same_seed_gives_the_same_bits() -> None:
    data = decay(5_000)
    one, two = (steepest.fit(DECAY, data, seed=11) for _ in range(2))
    assert one.values == two.values
    assert one.starts == two.starts


# functions -------------------------------------------------------------------------------------------------------
def test_restarts_find_the_lowest_of_many_minima_of_a_function() -> None:
    wavy = "sin(3*x)*exp(-x**2/50) + 0.1*cos(y)"
    fit = steepest.minimize(wavy, bounds={"x": (-10, 10), "y": (-4, 4)}, restarts=40)
    grid = np.linspace(-10.0, 10.0, 200_001)
    lowest = float((np.sin(3 * grid) * np.exp(-(grid**2) / 50)).min()) - 0.1
    assert fit.ok
    assert fit.loss == pytest.approx(lowest, abs=1e-6)


def test_restarts_climb_too() -> None:
    fit = steepest.maximize("-(x**4) + 3*x**2 - x", restarts=20)
    grid = np.linspace(-3.0, 3.0, 600_001)
    assert fit.loss == pytest.approx(float((-(grid**4) + 3 * grid**2 - grid).max()), abs=1e-8)


def test_a_function_without_restarts_begins_at_one() -> None:
    fit = steepest.minimize("(1 - x)**2 + 100*(y - x**2)**2")
    assert (fit.values, fit.steps, fit.missing_start) == ({"x": 1.0, "y": 1.0}, 0, ("x", "y"))


# what is said ----------------------------------------------------------------------------------------------------
def test_text_message_and_json_say_how_many_starts_end_in_the_minimum(tmp_path: Path) -> None:
    fit = steepest.fit(DECAY, decay(), restarts=7)
    assert fit.starts is not None
    assert fit.starts["tried"] == 7
    assert f"{fit.starts['same']} of 7 starts end in it" in fit.message
    assert "start found for a, b, c" in fit.text()
    assert steepest.load(fit.save(tmp_path / "fit.json")).starts == fit.starts
    assert fit.as_dict()["starts"] == fit.starts


def test_restarts_of_a_quadratic_say_that_there_is_nothing_to_find() -> None:
    fit = steepest.fit("y = a*x + c", decay(), restarts=5)
    assert "no other start was tried: the loss is a quadratic" in fit.text()


@pytest.mark.parametrize("restarts", [0, -1, 2.5, True, "many"])
def test_a_number_of_restarts_that_is_none_is_refused(restarts: Any) -> None:
    with pytest.raises(steepest.FitError, match="give a whole number of starts, 1 or more"):
        steepest.fit(DECAY, decay(), restarts=restarts)


# the sample ------------------------------------------------------------------------------------------------------
def test_a_sample_is_spread_over_the_table_and_holds_only_rows_that_count() -> None:
    row = np.arange(100_000.0)
    row[::3] = np.nan
    reader = Reader(open_source({"row": row}).select(["row"]))
    columns, whole = sample(reader, 500, seed=3)
    taken = columns["row"]
    assert not whole
    assert len(taken) == 500
    assert np.isin(taken, row).all()
    assert np.diff(taken).max() < 3 * 100_000 / 500
    assert not np.array_equal(taken, sample(reader, 500, seed=4)[0]["row"])


def test_a_small_table_is_its_own_sample() -> None:
    reader = Reader(open_source({"x": np.arange(40.0)}).select(["x"]))
    columns, whole = sample(reader, 500, seed=3)
    assert whole
    assert columns["x"].tolist() == list(range(40))


def test_of_a_large_file_a_part_is_read_for_the_sample(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 2_000_000
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": np.arange(float(rows))}), path, row_group_size=20_000)
    reader = Reader(open_source(str(path)).select(["x"]))
    columns, whole = sample(reader, 500, seed=0)
    assert not whole
    assert reader.passes < 0.7
    assert columns["x"].min() < 20_000
    assert columns["x"].max() >= rows - 20_000
    table = Reader(open_source({"x": np.arange(float(rows))}).select(["x"]))
    assert np.array_equal(columns["x"], sample(table, 500, seed=0)[0]["x"])
