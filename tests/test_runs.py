"""Reductions, batches, steps and passes, limits and statuses mean what the words say."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import steepest
from steepest import Stop

RANDOM = np.random.default_rng(3)
N = 37
X = RANDOM.normal(size=(N, 2))
Y = 0.4 + X @ [1.0, -2.0] + 0.1 * RANDOM.normal(size=N)
W = RANDOM.uniform(0.2, 3.0, N)
DATA = {"u": X[:, 0], "v": X[:, 1], "y": Y, "w": W}
LINE = "y = a + b*u + c*v"
DESIGN = np.c_[np.ones(N), X]
BEST = np.linalg.lstsq(DESIGN, Y, rcond=None)[0]


def theta(fit):
    return np.array([fit.values[n] for n in "abc"])


def steps_of(formula=LINE, data=DATA, **options):
    return list(steepest.descend(formula, data, **options))


# reduce ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["auto", "gauss-newton", "newton", "gd", "nesterov"])
@pytest.mark.parametrize("weights", [None, "w"])
def test_the_minimum_does_not_depend_on_the_reduction(method, weights):
    found = [steepest.fit(LINE, DATA, reduce=r, method=method, weights=weights) for r in ("mean", "sum")]
    rmse = steepest.fit(LINE, DATA, loss="rmse", method=method, weights=weights)
    np.testing.assert_allclose(theta(found[0]), theta(found[1]), atol=1e-5)
    np.testing.assert_allclose(theta(found[0]), theta(rmse), atol=1e-4)


def test_the_losses_of_the_reductions_are_the_total_its_mean_and_the_root():
    n = W.sum()
    mean, total = (steepest.fit(LINE, DATA, reduce=r, weights="w") for r in ("mean", "sum"))
    rmse = steepest.fit(LINE, DATA, loss="rmse", weights="w")
    residual = Y - DESIGN @ theta(mean)
    s = 0.5 * np.sum(W * residual**2)
    assert mean.total == pytest.approx(s, rel=1e-12) and mean.loss == pytest.approx(s / n, rel=1e-12)
    assert total.total == total.loss == pytest.approx(s, rel=1e-12)
    assert rmse.loss == pytest.approx(math.sqrt(2 * s / n), rel=1e-10)
    assert mean.rss == pytest.approx(2 * s, rel=1e-12) and mean.rms == pytest.approx(math.sqrt(2 * s / N), rel=1e-12)


@pytest.mark.parametrize("weights", [None, "w"])
def test_the_rate_multiplies_the_gradient_of_the_reduced_objective(weights):
    w = np.ones(N) if weights is None else W
    for reduce, scale in (("sum", 1.0), ("mean", 1 / w.sum())):
        rate = 0.01 / scale / 10
        steps = steps_of(method="gd", rate=rate, reduce=reduce, weights=weights, stop=Stop(steps=30))
        at = np.ones(3)
        for step in steps:
            np.testing.assert_allclose(step.theta, at, rtol=1e-10)
            residual = Y - DESIGN @ at
            gradient = -scale * DESIGN.T @ (w * residual)
            assert step.loss == pytest.approx(scale * 0.5 * np.sum(w * residual**2), rel=1e-10)
            assert step.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-9)
            at = at - rate * gradient


def test_the_verdict_does_not_depend_on_the_reduction():
    sentences = {steepest.fit(LINE, DATA, reduce=r).message for r in ("mean", "sum")}
    sentences.add(steepest.fit(LINE, DATA, loss="rmse").message)
    assert len(sentences) == 1


# batches ---------------------------------------------------------------------------------------------------------
def still(size, reduce, penalty, weights, passes):
    """The steps of some epochs by a rule that does not move: each holds the loss and gradient of its batch."""
    return steps_of(
        method="s = s + g; theta = theta + 0*s*rate",
        rate=1.0,
        batch=size,
        reduce=reduce,
        penalty=penalty,
        weights=weights,
        shuffle=False,
        stop=Stop(passes=passes),
        start={"a": 0.3, "b": -0.2, "c": 0.9},
    )[1:]


AT = np.array([0.3, -0.2, 0.9])


def by_hand(rows, reduce, penalised, w):
    """Loss and gradient of the batch objective, by the words."""
    n, total = w.sum(), np.count_nonzero(w)
    k = np.count_nonzero(w[rows])
    residual = Y[rows] - DESIGN[rows] @ AT
    loss, gradient = 0.5 * np.sum(w[rows] * residual**2), -DESIGN[rows].T @ (w[rows] * residual)
    extra, slope = (0.7 * AT @ AT, 1.4 * AT) if penalised else (0.0, np.zeros(3))
    if reduce == "mean":
        return total / n / k * loss + extra / n, total / n / k * gradient + slope / n
    return loss + k / total * extra, gradient + k / total * slope


@pytest.mark.parametrize("size", [1, 2, 5, 36, 37, 50])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("weights", [None, "w"])
def test_the_batch_objective_is_that_of_the_words(size, reduce, penalised, weights):
    penalty = "0.7*(a**2 + b**2 + c**2)" if penalised else None
    steps = still(size, reduce, penalty, weights, passes=2)
    w = np.ones(N) if weights is None else W
    batches = [np.arange(i, min(i + size, N)) for i in range(0, N, size)]
    assert len(steps) == 2 * len(batches)  # the last, short batch is used
    for step, rows in zip(steps[: len(batches)], batches, strict=True):
        loss, gradient = by_hand(rows, reduce, penalised, w)
        assert step.loss == pytest.approx(loss, rel=1e-10)
        assert step.gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-10)


def test_the_trace_of_a_mini_batch_run_holds_the_loss_of_the_batch_also_in_its_last_row():
    steps = still(5, "mean", None, None, passes=1)
    loss, gradient = by_hand(np.arange(35, 37), "mean", False, np.ones(N))
    assert steps[-1].loss == pytest.approx(loss, rel=1e-10)
    assert steps[-1].gradient_norm == pytest.approx(np.linalg.norm(gradient), rel=1e-10)


@pytest.mark.parametrize("reduce", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["squares", "log(cosh(y - prediction))"])
@pytest.mark.parametrize("weights", [None, "w"])
def test_the_batch_gradients_average_to_the_full_gradient_over_an_epoch(reduce, loss, weights):
    """Batches weighted by their rows: sum over batches of k/N·gradient (mean), of the gradient (sum)."""
    penalty = "0.7*(a**2 + b**2 + c**2)"
    thetas = [
        s.theta
        for s in steps_of(
            method="theta = theta - rate*g",
            rate=1e-7,
            batch=5,
            reduce=reduce,
            penalty=penalty,
            weights=weights,
            loss=loss,
            stop=Stop(passes=1),
            seed=4,
        )
    ]
    full = [
        s.theta
        for s in steps_of(
            method="gd", rate=1e-7, reduce=reduce, penalty=penalty, weights=weights, loss=loss, stop=Stop(steps=1)
        )
    ]
    sizes = [5] * 7 + [2]
    shares = np.array(sizes) / N if reduce == "mean" else np.ones(8)
    moves = np.diff(thetas, axis=0)
    np.testing.assert_allclose(shares @ moves, full[1] - full[0], rtol=1e-5)


def test_dropped_rows_are_part_of_a_batch_and_a_batch_of_none_is_no_step():
    table = {n: v.copy() for n, v in DATA.items()}
    table["u"][[0, 1, 4, 5, 6, 7]] = math.nan  # the third batch of four, rows 4-7, is dead
    steps = steps_of(data=table, method="sgd", batch=4, rate=1e-9, shuffle=False, stop=Stop(passes=1))
    assert steps[-1].number == math.ceil(N / 4) - 1
    live = np.isfinite(table["u"])
    first = [i for i in range(4) if live[i]]
    residual = Y[first] - DESIGN[first] @ np.ones(3)
    assert steps[1].loss == pytest.approx(0.5 * np.sum(residual**2) / len(first), rel=1e-9)


def test_a_batch_of_all_rows_takes_the_steps_of_gradient_descent():
    """Same objective, though the rows are added in another order."""
    one = steps_of(method="gd", rate=0.1, batch=N, stop=Stop(passes=20))
    all_rows = steps_of(method="gd", rate=0.1, stop=Stop(steps=20))
    for a, b in zip(one, all_rows, strict=True):
        np.testing.assert_allclose(a.theta, b.theta, rtol=1e-9)


def test_sgd_is_gd_whose_default_batch_is_one():
    options = {"rate": 0.01, "stop": Stop(passes=3), "seed": 5}
    one, other = steps_of(method="sgd", **options), steps_of(method="gd", batch=1, **options)
    assert len(one) == len(other) == 3 * N + 1
    for a, b in zip(one, other, strict=True):
        assert (a.theta == b.theta).all()
    assert steepest.fit(LINE, DATA, method="sgd", **options).batch == 1
    assert steepest.fit(LINE, DATA, method="gd", rate=0.01, stop=Stop(steps=1)).batch is None


@pytest.mark.parametrize("method", ["auto", "gauss-newton", "newton", "lbfgs"])
def test_second_order_methods_refuse_batches(method):
    with pytest.raises(steepest.FitError):
        steepest.fit(LINE, DATA, method=method, batch=2)


@pytest.mark.parametrize("size", [1, 4])
def test_every_epoch_reads_each_row_once(size):
    data = {"t": np.arange(1.0, N + 1)}
    steps = steps_of("t*a", data, method="sgd", batch=size, rate=1e-3, reduce="sum", stop=Stop(passes=3), seed=2)
    gradients = -np.diff([s.theta[0] for s in steps]) / 1e-3
    per_epoch = math.ceil(N / size)
    orders = []
    for epoch in range(3):
        part = gradients[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert part.sum() == pytest.approx(N * (N + 1) / 2, rel=1e-6)
        if size == 1:
            assert sorted(np.round(part).astype(int)) == list(range(1, N + 1))
            orders.append(tuple(np.round(part).astype(int)))
    if size == 1:
        assert len(set(orders)) == 3  # another order in each epoch


def test_without_shuffle_the_order_is_that_of_the_file():
    data = {"t": np.arange(1.0, N + 1)}
    steps = steps_of("t*a", data, method="sgd", rate=1e-3, reduce="sum", stop=Stop(passes=2), shuffle=False)
    gradients = -np.diff([s.theta[0] for s in steps]) / 1e-3
    assert np.round(gradients).astype(int).tolist() == [*range(1, N + 1)] * 2


def written(folder, kind, table):
    frame = pd.DataFrame(table)
    if kind == "csv":
        frame.to_csv(folder / "t.csv", index=False, float_format="%.17g")
        return folder / "t.csv"
    if kind.startswith("parquet"):
        rows = int(kind.partition("-")[2])
        pq.write_table(pa.table(table), folder / "t.parquet", row_group_size=rows)
        return folder / "t.parquet"
    return {"dict": table, "pandas": frame, "arrow": pa.table(table)}[kind]


@pytest.mark.parametrize("kind", ["pandas", "arrow", "csv", "parquet-1000"])
@pytest.mark.parametrize("batch", [1, 7])
def test_mini_batches_come_in_the_same_order_from_every_source(tmp_path, kind, batch):
    options = {"method": "sgd", "batch": batch, "rate": 0.01, "seed": 9, "stop": Stop(passes=3), "trace": True}
    reference = steepest.fit(LINE, DATA, **options)
    fit = steepest.fit(LINE, written(tmp_path, kind, DATA), **options)
    assert (fit.trace.values == reference.trace.values).all()
    assert (fit.trace.loss == reference.trace.loss).all()


@pytest.mark.parametrize("batch", [1, 5])
def test_the_same_seed_gives_the_same_path_and_another_seed_another(batch):
    def path(seed):
        options = {"method": "sgd", "batch": batch, "rate": 0.01, "stop": Stop(passes=4), "trace": True}
        return steepest.fit(LINE, DATA, seed=seed, **options).trace.values.tobytes()

    assert path(1) == path(1)
    assert len({path(seed) for seed in range(4)}) == 4


@pytest.mark.parametrize(
    "kind", ["pandas", "arrow", "csv", "parquet-100000", "parquet-999", "parquet-4096", "parquet-5000"]
)
@pytest.mark.parametrize("method", ["auto", "gd"])
def test_a_full_batch_answer_is_the_same_to_the_last_bit_from_every_source(tmp_path, kind, method):
    random = np.random.default_rng(0)
    x = random.normal(size=20_011)
    x[random.integers(0, x.size, 50)] = math.nan
    table = {"x": x, "y": 2 * np.exp(-0.3 * np.nan_to_num(x)) + 0.1 * random.normal(size=x.size)}
    options = {"method": method, "stop": Stop(passes=6), "trace": True}
    reference = steepest.fit("y = a*exp(-b*x)", table, **options)
    fit = steepest.fit("y = a*exp(-b*x)", written(tmp_path, kind, table), **options)
    assert fit.values == reference.values
    assert fit.errors == reference.errors
    assert (fit.trace.values == reference.trace.values).all()
    assert (fit.loss, fit.rss, fit.dropped) == (reference.loss, reference.rss, reference.dropped)


# steps and passes ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("steps", [12, 1200])  # step by step, and as machine code
@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"])
def test_a_full_batch_first_order_run_of_k_steps_reads_k_passes_beside_the_first(method, steps):
    curve = "y = a*exp(b*u) + c*v"
    fit = steepest.fit(curve, DATA, method=method, rate=0.001, stop=Stop(steps=steps))
    assert fit.steps == steps
    assert steps + 1 <= fit.passes <= steps + 4
    by_passes = steepest.fit(curve, DATA, method=method, rate=0.001, stop=Stop(passes=steps))
    assert by_passes.steps == steps
    assert (theta(by_passes) == theta(fit)).all()


@pytest.mark.parametrize("steps", [12, 1200])
@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"])
def test_steps_on_a_quadratic_read_no_rows(method, steps):
    fit = steepest.fit(LINE, DATA, method=method, rate=0.01, stop=Stop(steps=steps))
    assert fit.steps == steps
    assert 2 <= fit.passes <= 3  # to collect and to judge; once more where the loss has all but gone
    by_passes = steepest.fit(LINE, DATA, method=method, rate=0.01, stop=Stop(passes=steps))
    assert by_passes.steps == steps
    assert (theta(by_passes) == theta(fit)).all()


@pytest.mark.parametrize(("batch", "passes", "steps"), [(1, 2, 2 * N), (5, 3, 24), (N, 4, 4), (1, 0.5, 19)])
def test_mini_batch_passes_are_rows_read_over_the_rows_there_are(batch, passes, steps):
    fit = steepest.fit(LINE, DATA, method="sgd", batch=batch, rate=0.001, stop=Stop(passes=passes))
    assert fit.steps == steps
    by_steps = steepest.fit(LINE, DATA, method="sgd", batch=batch, rate=0.001, stop=Stop(steps=steps))
    assert (theta(by_steps) == theta(fit)).all()


def test_rejected_trials_count_as_passes_and_not_as_steps():
    x = np.linspace(0, 10, 30)
    curve = {"x": x, "y": np.exp(0.3 * x)}
    steps = [s.number for s in steepest.descend("y = exp(b*x)", curve, start={"b": -3.0})]
    fit = steepest.fit("y = exp(b*x)", curve, start={"b": -3.0})
    assert steps == list(range(len(steps)))
    assert fit.steps == steps[-1]
    assert fit.passes > fit.steps


@pytest.mark.parametrize("method", ["auto", "newton", "gauss-newton"])
def test_second_order_methods_end_at_a_limit_of_steps_or_passes(method):
    x = np.linspace(0, 3, 30)
    curve = {"x": x, "y": 3 * np.exp(-0.8 * x) + 0.01 * np.sin(20 * x)}
    start = {"a": 0.2, "b": 4.0}
    fit = steepest.fit("y = a*exp(-b*x)", curve, start=start, method=method, stop=Stop(steps=2))
    assert fit.steps == 2 and fit.status == "stopped"
    fit = steepest.fit("y = a*exp(-b*x)", curve, start=start, method=method, stop=Stop(passes=3))
    assert fit.steps <= 3 and fit.status == "stopped"


def test_zero_steps_judge_the_start():
    fit = steepest.fit(LINE, DATA, start=dict(zip("abc", BEST, strict=True)), method="gd", stop=Stop(steps=0))
    assert fit.steps == 0
    assert fit.status == "converged"
    away = steepest.fit(LINE, DATA, method="gd", stop=Stop(steps=0))
    assert away.steps == 0 and away.status == "stopped"


def test_steps_are_numbered_from_the_start_and_the_last_carries_the_status():
    steps = steps_of(method="gd", rate=0.1, stop=Stop(steps=9))
    assert [s.number for s in steps] == list(range(10))
    assert all(s.status == "running" and not s.message for s in steps[:-1])
    assert steps[-1].status == "stopped" and steps[-1].message
    assert steps[0].values == {"a": 1, "b": 1, "c": 1}
    assert steps[0].names == ("a", "b", "c")


# limits ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["auto", "gauss-newton", "newton", "lbfgs", "gd"])
@pytest.mark.parametrize("formula", ["y = a*exp(-b*x) + c", "y = a + b*x + c*x**2"])
def test_a_run_that_nobody_watches_ends_where_a_watched_one_does(formula, method):
    x = np.linspace(0.0, 5.0, 60)
    data = {"x": x, "y": 2.0 * np.exp(-0.7 * x) + 0.3 + 0.01 * np.sin(40.0 * x)}
    options = {"start": {"a": 1.0, "b": 1.0, "c": 0.0}, "method": method, "stop": Stop(passes=400)}
    alone = steepest.fit(formula, data, **options)
    seen = []
    for watched in (
        steepest.fit(formula, data, **options, trace=True),
        steepest.fit(formula, data, **options, callbacks=[seen.append]),
        steepest.fit(formula, data, **options, progress=lambda _: None),
    ):
        assert {**watched.as_dict(), "seconds": 0} == {**alone.as_dict(), "seconds": 0}
    assert [step.number for step in seen] == list(range(alone.steps + 1))
    assert seen[-1].values == alone.values and seen[-1].message in alone.message


def test_first_order_steps_of_a_users_stop_are_run_in_full_also_after_convergence():
    fit = steepest.fit(LINE, DATA, method="gd", stop=Stop(steps=3000))
    assert fit.steps == 3000
    assert fit.status == "converged"
    assert fit.exit_status == 0
    default = steepest.fit(LINE, DATA, method="gd")
    assert default.status == "converged"
    assert default.steps < 3000
    assert default.steps & (default.steps - 1) == 0  # tested at passes 1, 2, 4, 8, ...


def test_passes_of_a_users_stop_are_run_in_full_for_mini_batches():
    fit = steepest.fit(LINE, DATA, method="sgd", rate=0.01, stop=Stop(passes=50))
    assert fit.steps == 50 * N


def test_a_users_gradient_ends_the_run_in_place_of_the_converged_test():
    rough = steepest.fit(LINE, DATA, method="gd", stop=Stop(gradient=1e-2))
    assert rough.status == "stopped"
    assert rough.message.startswith("stopped: gradient")
    assert rough.exit_status == 0
    fine = steepest.fit(LINE, DATA, method="gd", stop=Stop(gradient=1e-13))
    assert fine.status == "converged"
    assert fine.trace is None


def test_a_users_loss_ends_the_run():
    best = 0.5 * np.sum((Y - DESIGN @ BEST) ** 2) / N
    steps = steps_of(method="gd", rate=0.05, stop=Stop(loss=best * 1.5))
    assert steps[-1].loss <= best * 1.5 < steps[-2].loss
    up = steepest.maximize("3 - x**2", {"x": 5}, method="gd", rate=0.1, stop=Stop(loss=2.0), trace=True)
    assert up.loss >= 2.0 > up.trace.loss[-2]


def test_whichever_limit_comes_first_ends_the_run():
    fit = steepest.fit(LINE, DATA, method="gd", rate=1e-4, stop=Stop(steps=5, passes=100, gradient=1e-9))
    assert fit.steps == 5
    fit = steepest.fit(LINE, DATA, method="gd", rate=1e-4, stop=Stop(steps=500, passes=7))
    assert fit.steps == 7
    fit = steepest.fit(LINE, DATA, method="gd", rate=1e-4, stop=Stop(seconds=0))
    assert fit.steps == 0 and "second" in fit.message


def test_a_stop_of_seconds_for_mini_batches_ends_within_the_first_steps():
    fit = steepest.fit(LINE, DATA, method="sgd", rate=1e-4, stop=Stop(seconds=0))
    assert fit.steps <= 1
    assert fit.status == "stopped"


def test_the_default_limit_of_a_full_batch_method_is_a_failure_that_says_what_to_do():
    fit = steepest.fit(LINE, DATA, method="gd", rate=1e-7)
    assert fit.status == "stopped"
    assert fit.steps == 10_000
    assert fit.exit_status == 1
    assert "10,000 passes" in fit.message and "default limit" in fit.message


def test_the_default_of_mini_batches_runs_its_passes_and_is_no_failure():
    data = {n: np.tile(v, 300) for n, v in DATA.items()}  # 11,100 rows: 100 passes
    fit = steepest.fit(LINE, data, method="sgd", batch=1000, rate=0.05)
    assert fit.exit_status == 0
    if fit.status == "stopped":
        assert fit.steps == 1200
        assert "ran 100 passes" in fit.message


def test_an_empty_stop_is_the_default():
    assert steepest.fit(LINE, DATA, method="gd", stop=Stop()).steps == steepest.fit(LINE, DATA, method="gd").steps


def test_a_last_batch_without_a_live_row_ends_the_epoch_all_the_same():
    data = {"u": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0, math.nan]}
    one = steepest.fit("y = a + b*u", data, method="sgd", rate=0.01, shuffle=False, stop=Stop(passes=1))
    assert one.steps == 3
    assert "ran 1 pass" in one.message


def test_zero_steps_of_mini_batches_leave_the_start():
    fit = steepest.fit(LINE, DATA, method="sgd", rate=0.01, stop=Stop(steps=0), trace=True)
    assert (fit.steps, len(fit.trace)) == (0, 1)
    np.testing.assert_array_equal(theta(fit), 1.0)


def test_mini_batches_say_that_they_ran_their_passes_and_which_rule_stopped_them():
    fit = steepest.fit(LINE, {n: np.tile(c, 300) for n, c in DATA.items()}, method="sgd", rate=1e-7, batch=500)
    assert "ran its passes: it ran 100 passes" in fit.message
    assert fit.exit_status == 0
    near = steepest.fit(LINE, DATA, method="sgd", rate=0.001, stop=Stop(gradient=0.3))
    assert near.message.startswith("stopped: gradient: |gradient| =")


def test_an_infinite_number_of_steps_is_refused():
    with pytest.raises(steepest.FitError, match="whole number"):
        Stop(steps=math.inf)


# statuses --------------------------------------------------------------------------------------------------------
def test_a_status_is_a_string():
    fit = steepest.fit(LINE, DATA)
    assert fit.status == "converged" and isinstance(fit.status, str)
    assert f"{fit.status}" == "converged"
    assert fit.ok is True
    assert {str(s) for s in steepest.Status} >= {"converged", "stopped", "diverged", "unidentifiable", "interrupted"}


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({}, "converged", 0),
        ({"method": "gd", "stop": Stop(steps=3)}, "stopped", 0),
        ({"method": "gd", "rate": 1e-7}, "stopped", 1),
        ({"method": "sgd", "rate": 1e-3, "stop": Stop(passes=3)}, "stopped", 0),
        ({"method": "theta = theta + rate*g", "rate": 5.0}, "diverged", 1),
        ({"method": "theta = theta + rate*g", "rate": 5.0, "batch": 2}, "diverged", 1),
    ],
)
def test_every_status_has_its_exit_status_and_a_sentence(options, status, code):
    fit = steepest.fit(LINE, DATA, **options)
    assert (fit.status, fit.exit_status) == (status, code)
    assert len(fit.message) > 10 and "\n" not in fit.message
    assert fit.ok == (status == "converged")


@pytest.mark.parametrize("batch", [None, 3])
def test_a_diverged_run_keeps_the_best_point_seen_on_full_passes(batch):
    fit = steepest.fit(LINE, DATA, method="theta = theta + rate*g", rate=5.0, batch=batch)
    assert fit.status == "diverged"
    assert theta(fit).tolist() == [1, 1, 1]
    assert fit.loss == pytest.approx(0.5 * np.sum((Y - DESIGN @ np.ones(3)) ** 2) / N, rel=1e-12)
    assert fit.errors is None


def test_the_trace_of_a_diverged_run_holds_its_iterates_to_the_last():
    fit = steepest.minimize("x**2", {"x": 1.0}, method="theta = theta + rate*g", rate=50.0, trace=True)
    assert fit.status == "diverged"
    np.testing.assert_allclose(fit.trace.values[:, 0], 101.0 ** np.arange(len(fit.trace)), rtol=1e-12)
    assert fit.values["x"] == 1


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_divergence_is_called_for_any_units(scale):
    data = {**DATA, "y": scale * Y}
    with pytest.warns(UserWarning, match="diverges"):
        fit = steepest.fit(LINE, data, method="gd", rate=10.0)
    assert fit.status == "diverged"


def test_a_start_far_from_a_minimum_of_nearly_zero_is_no_divergence():
    """The loss may grow a little at first: momentum overshoots."""
    fit = steepest.fit(LINE, DATA, method="momentum", start=dict(zip("abc", BEST + 1e-9, strict=True)))
    assert fit.status == "converged"


def test_the_certificate_says_how_far_the_minimum_can_be():
    fit = steepest.fit(LINE, DATA)
    assert set(fit.certificate) >= {
        "gradient_norm",
        "hessian_min_eigenvalue",
        "hessian_condition",
        "gradient_check",
        "convex",
        "why",
        "expected_gap",
    }
    best = 0.5 * np.sum((Y - DESIGN @ BEST) ** 2) / N
    assert fit.loss - best <= fit.certificate["expected_gap"] + 1e-14
    assert fit.certificate["gradient_check"] < 1e-6
    assert fit.certificate["convex"] is True


@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_the_expected_gap_of_a_stopped_quadratic_is_its_distance_to_the_smallest_loss(reduce):
    fit = steepest.fit(LINE, DATA, method="gd", stop=Stop(steps=5), reduce=reduce)
    best = 0.5 * np.sum((Y - DESIGN @ BEST) ** 2) / (N if reduce == "mean" else 1)
    assert fit.certificate["expected_gap"] == pytest.approx(fit.loss - best, rel=1e-6)


@pytest.mark.parametrize("digits", [2, 4, 5, 7, 9])
def test_converged_means_within_a_millionth_of_the_standard_errors(digits):
    """√(2·gap/p) ≤ 1e-6·s, seen from outside with numpy's own gap."""
    start = BEST * (1 + 10.0**-digits)
    fit = steepest.fit(LINE, DATA, start=dict(zip("abc", start, strict=True)), method="gd", stop=Stop(steps=0))
    residual = Y - DESIGN @ start
    gap = 0.5 * (residual @ residual - np.sum((Y - DESIGN @ BEST) ** 2))
    s = math.sqrt(np.sum((Y - DESIGN @ BEST) ** 2) / (N - 3))
    assert fit.ok == (math.sqrt(2 * max(gap, 0) / 3) <= 1e-6 * s)


# callbacks, progress ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"method": "gd"}, {"method": "sgd", "rate": 1e-3, "stop": Stop(passes=3)}])
def test_a_callback_sees_every_step_once(options):
    seen = []
    fit = steepest.fit(LINE, DATA, callbacks=[seen.append], **options)
    assert [s.number for s in seen] == list(range(fit.steps + 1))
    assert (seen[-1].theta == theta(fit)).all()


@pytest.mark.parametrize("options", [{}, {"method": "gd"}, {"method": "sgd", "rate": 1e-3}])
def test_a_callback_that_returns_true_ends_the_run(options):
    start = {"a": 5.0}
    fit = steepest.fit(LINE, DATA, callbacks=[lambda s: s.number >= 1], start=start, **options)
    assert fit.steps == 1
    assert fit.status in ("stopped", "converged")


def test_all_callbacks_are_called_also_when_the_first_ends_the_run():
    seen = []
    steepest.fit(LINE, DATA, method="gd", callbacks=[lambda s: True, lambda s: seen.append(s.number)])
    assert seen[0] == 0
    assert len(seen) == len(set(seen))


def test_an_exception_in_a_callback_reaches_the_caller():
    def fails(step):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        steepest.fit(LINE, DATA, callbacks=[fails])


def test_the_data_are_never_written_to():
    data = {n: v.copy() for n, v in DATA.items()}
    for column in data.values():
        column.flags.writeable = False
    for method in ("auto", "gd", "sgd"):
        steepest.fit(
            LINE, data, method=method, rate=None if method == "auto" else 0.01, stop=Stop(passes=3), weights="w"
        )
