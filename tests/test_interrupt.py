"""Ctrl-C keeps the best point; descend is a generator; a saved fit comes back; predictions and intervals."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import steepest
from steepest import Stop

X = np.linspace(0.0, 4.0, 30)
Y = 3.0 * np.exp(-0.8 * X) + 0.5 + 0.05 * np.random.default_rng(2).normal(size=X.size)
DATA = {"x": X, "y": Y}
CURVE = "y = a*exp(-b*x) + c"
START = {"a": 1.0, "b": 1.0, "c": 0.0}


# Ctrl-C ----------------------------------------------------------------------------------------------------------
def at(number):
    def press(step):
        if step.number == number:
            raise KeyboardInterrupt

    return press


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ({"method": "gd"}, 0),
        ({"method": "gd"}, 5),
        ({"method": "adam"}, 40),
        ({}, 0),
        ({}, 2),
        ({"method": "newton"}, 1),
        ({"method": "sgd", "rate": 0.01}, 1),
        ({"method": "sgd", "rate": 0.01}, 100),
    ],
)
def test_ctrl_c_in_the_middle_gives_the_best_point_and_the_status_interrupted(options, number):
    fit = steepest.fit(CURVE, DATA, start=START, callbacks=[at(number)], **options)
    assert fit.status == "interrupted"
    assert fit.exit_status == 130
    assert not fit.ok
    assert fit.errors is None and fit.reason
    assert "interrupted" in fit.message and "best point" in fit.message
    residual = Y - fit.values["a"] * np.exp(-fit.values["b"] * X) - fit.values["c"]
    assert fit.loss == pytest.approx(0.5 * np.mean(residual**2), rel=1e-12)
    assert fit.rss == pytest.approx(float(residual @ residual), rel=1e-12)
    start = Y - np.exp(-X)
    assert fit.rss <= float(start @ start) * (1 + 1e-12)


def test_after_ctrl_c_the_best_point_is_that_of_the_smallest_loss_seen():
    seen = []

    def watch(step):
        seen.append((step.loss, *step.theta))
        if step.number == 60:
            raise KeyboardInterrupt

    fit = steepest.fit(CURVE, DATA, start=START, method="adam", rate=0.3, callbacks=[watch])
    best = min(seen)
    assert fit.loss == pytest.approx(best[0], rel=1e-12)  # evaluated once more, by another loop
    assert list(fit.values.values()) == list(best[1:])


def test_an_interrupted_fit_prints_saves_and_predicts(tmp_path):
    fit = steepest.fit(CURVE, DATA, start=START, method="gd", callbacks=[at(3)], trace=True)
    assert "interrupted" in fit.text()
    assert steepest.load(fit.save(tmp_path / "f.json")).status == "interrupted"
    assert fit.predict(DATA).shape == X.shape
    assert len(fit.trace) >= 3


def test_ctrl_c_reaches_whoever_owns_the_loop():
    steps = steepest.descend(CURVE, DATA, start=START, method="gd", callbacks=[at(2)])
    assert next(steps).number == 0
    assert next(steps).number == 1
    with pytest.raises(KeyboardInterrupt):
        next(steps)


# descend ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"method": "gd"}, {"method": "sgd", "rate": 0.01, "stop": Stop(passes=4)}])
def test_descend_hands_out_the_steps_of_fit(options):
    steps = list(steepest.descend(CURVE, DATA, start=START, **options))
    fit = steepest.fit(CURVE, DATA, start=START, trace=True, **options)
    assert [s.number for s in steps] == fit.trace.step.tolist()
    assert (np.array([s.theta for s in steps]) == fit.trace.values).all()
    assert [s.loss for s in steps] == fit.trace.loss.tolist()
    assert steps[-1].status == fit.status and steps[-1].message == fit.message


def test_descend_is_lazy_and_may_be_left_at_any_step():
    endless = steepest.descend("x**2", start={"x": 1.0}, method="gd", rate=1e-9, stop=Stop(steps=10**9))
    first = [next(endless) for _ in range(4)]
    assert [s.number for s in first] == [0, 1, 2, 3]
    endless.close()


def test_descend_checks_its_input_at_the_call():
    with pytest.raises(steepest.FitError):
        steepest.descend(CURVE, DATA, method="magic")
    with pytest.raises(steepest.FormulaError):
        steepest.descend("y = a*", DATA)


def test_descend_without_data_minimises_a_function():
    steps = list(steepest.descend("(x - 3)**2", start={"x": 0}))
    assert steps[-1].status == "converged"
    assert steps[-1].values["x"] == pytest.approx(3)


def test_a_step_keeps_its_own_theta():
    steps = list(steepest.descend(CURVE, DATA, start=START, method="gd", rate=0.1, stop=Stop(steps=5)))
    assert len({s.theta.tobytes() for s in steps}) == 6
    assert (np.diff([s.passes for s in steps]) >= 0).all()


def test_changing_the_theta_of_a_step_does_not_change_the_run():
    def spoil(step):
        step.theta[:] = 1e9

    reference = steepest.fit(CURVE, DATA, start=START, method="gd", stop=Stop(steps=20))
    try:
        fit = steepest.fit(CURVE, DATA, start=START, method="gd", stop=Stop(steps=20), callbacks=[spoil])
    except ValueError:
        return  # a read-only array is as good
    assert fit.values == reference.values


# save and load ---------------------------------------------------------------------------------------------------
FITS = {
    "a curve": lambda: steepest.fit(CURVE, DATA, start=START),
    "a trace": lambda: steepest.fit(CURVE, DATA, method="gd", rate=0.1, trace=True, stop=Stop(steps=5)),
    "a matrix": lambda: steepest.fit("y = M @ B + c", {"M": np.c_[X, X**2], "y": Y}),
    "batches": lambda: steepest.fit("y = a + b*x", DATA, method="sgd", seed=3, stop=Stop(passes=2)),
    "fixed": lambda: steepest.fit(CURVE, DATA, fixed={"c": 0.5}, weights="1 + x"),
    "nulls": lambda: steepest.fit("y = a + b*x", {"x": [1, 2, None, 4], "y": [1.0, 2.5, 3.0, 4.0]}),
    "a function": lambda: steepest.minimize("(x - 1)**2 + y**4", {"x": 3}),
    "a likelihood": lambda: steepest.fit("log(m) + t/m", {"t": [1.0, 2.0, 4.0]}),
    "diverged": lambda: steepest.minimize("x**2", {"x": 1}, method="theta = theta + rate*g", rate=9.0),
    "unidentifiable": lambda: steepest.fit("y = a*b*x", DATA),
    "computed": lambda: steepest.fit("y = 2*x", DATA),
    "rmse": lambda: steepest.fit("y = a + b*x", DATA, loss="rmse"),
}


def same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype.kind == b.dtype.kind and np.array_equal(a, b, equal_nan=True)
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("name", FITS)
def test_a_saved_fit_comes_back_with_every_field(name, tmp_path):
    fit = FITS[name]()
    path = fit.save(tmp_path / "fit.json")
    back = steepest.load(path)
    for field in dataclasses.fields(fit):
        if field.name in ("data", "guarantee"):  # the table stays with the caller; the guarantee is made from it
            continue
        mine, theirs = getattr(fit, field.name), getattr(back, field.name)
        assert same(mine, theirs), (field.name, mine, theirs)
    assert back.text() == fit.text()
    assert back.exit_status == fit.exit_status and back.ok == fit.ok
    if fit.covariance is not None:
        assert back.interval() == fit.interval()
    text = (tmp_path / "fit.json").read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))
    assert list(tmp_path.iterdir()) == [tmp_path / "fit.json"]


def test_a_loaded_fit_predicts_what_it_did(tmp_path):
    for name in ("a curve", "fixed", "a matrix"):
        fit = FITS[name]()
        table = {"M": np.c_[X, X**2], "y": Y} if name == "a matrix" else DATA
        assert (steepest.load(fit.save(tmp_path / "f.json")).predict(table) == fit.predict(table)).all()


def test_numbers_that_are_not_finite_are_null_in_json_and_nan_again(tmp_path):
    fit = dataclasses.replace(FITS["a curve"](), loss=math.nan, seconds=math.inf)
    path = fit.save(tmp_path / "f.json")
    saved = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert saved["loss"] is None
    assert math.isnan(steepest.load(path).loss)


def test_the_json_holds_the_fields_of_the_command_line():
    fields = FITS["a curve"]().as_dict()
    assert set(fields) >= {
        "values",
        "errors",
        "covariance",
        "loss",
        "rss",
        "rms",
        "rows",
        "dropped",
        "passes",
        "steps",
        "seconds",
        "status",
        "message",
        "method",
        "certificate",
        "formula",
        "loss_name",
        "seed",
    }
    json.dumps(fields, allow_nan=False)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", '{"steepest": 2}', '{"steepest": 1}', "not json", "\x00\xff", '"x"']
)
def test_a_file_that_is_no_saved_fit_is_a_data_error(content, tmp_path):
    (tmp_path / "f.json").write_text(content, encoding="latin-1")
    with pytest.raises(steepest.DataError, match=r"f\.json"):
        steepest.load(tmp_path / "f.json")


def test_a_missing_file_is_a_data_error_and_an_unwritable_one_a_fit_error(tmp_path):
    with pytest.raises(steepest.DataError):
        steepest.load(tmp_path / "none.json")
    with pytest.raises(steepest.FitError):
        FITS["a curve"]().save(tmp_path / "no" / "folder.json")


# predict, interval, text -----------------------------------------------------------------------------------------
def test_predict_is_the_right_hand_side_with_nan_where_a_column_is_null():
    fit = FITS["a curve"]()
    new = {"x": [0.0, 1.5, None, 9.0]}
    v = fit.values
    expected = [v["a"] * math.exp(-v["b"] * x) + v["c"] if x is not None else math.nan for x in new["x"]]
    np.testing.assert_allclose(fit.predict(new), expected, rtol=1e-13)


def test_predict_takes_any_source_and_ignores_other_columns(tmp_path):
    fit = FITS["a curve"]()
    frame = pd.DataFrame({"label": ["a"] * X.size, "x": X})
    frame.to_csv(tmp_path / "t.csv", index=False, float_format="%.17g")
    for data in (frame, tmp_path / "t.csv", {"x": X}):
        np.testing.assert_array_equal(fit.predict(data), fit.predict(DATA))


def test_predict_refuses_a_table_without_the_column():
    with pytest.raises(steepest.DataError, match="'x'"):
        FITS["a curve"]().predict({"z": X})


def test_predict_of_a_model_without_columns_has_one_number_a_row():
    fit = steepest.fit("y = a", DATA)
    assert fit.values["a"] == pytest.approx(Y.mean(), rel=1e-12)
    np.testing.assert_allclose(fit.predict({"x": X}), np.full(X.size, Y.mean()), rtol=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_intervals_are_students_t(level):
    fit = FITS["a curve"]()
    half = stats.t.ppf(0.5 + level / 2, X.size - 3)
    for name, (low, high) in fit.interval(level).items():
        assert low == pytest.approx(fit.values[name] - half * fit.errors[name], rel=1e-12)
        assert high == pytest.approx(fit.values[name] + half * fit.errors[name], rel=1e-12)


def test_intervals_with_a_known_sigma_are_normal_and_of_a_vector_flat():
    fit = steepest.fit("y = M @ B + c", {"M": np.c_[X, X**2], "y": Y}, sigma=0.1)
    half = stats.norm.ppf(0.975)
    intervals = fit.interval()
    assert list(intervals) == list(fit.free) == ["B[0]", "B[1]", "c"]
    assert intervals["B[1]"][1] == pytest.approx(fit.values["B"][1] + half * fit.errors["B"][1], rel=1e-12)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95, math.nan])
def test_a_level_is_between_zero_and_one(level):
    with pytest.raises(steepest.FitError, match="between 0 and 1"):
        FITS["a curve"]().interval(level)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(5)
    inside = 0
    for _ in range(200):
        y = 2 - 0.5 * X[:8] + 0.3 * random.normal(size=8)
        low, high = steepest.fit("y = a + b*x", {"x": X[:8], "y": y}).interval(0.8)["b"]
        inside += low <= -0.5 <= high
    assert abs(inside - 160) < 4 * math.sqrt(200 * 0.8 * 0.2)


@pytest.mark.parametrize("name", FITS)
def test_every_fit_prints_itself(name):
    fit = FITS[name]()
    text = fit.text()
    assert str(fit) == text
    assert str(fit.status) in text
    for value in fit.flat_values():
        assert value in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 240


def test_latex_of_a_fit_is_its_formula():
    assert FITS["a curve"]().latex().startswith("y = ")
