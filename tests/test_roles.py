"""A name that is a column is data; every other name is a parameter; what looks like a mistake is asked about."""

import numpy as np
import pytest

import steepest

X = np.linspace(0.0, 3.0, 15)
Y = 1.5 + 0.7 * X + 0.1 * np.cos(5 * X)
DATA = {"x": X, "y": Y}


def test_a_name_that_is_a_column_is_data_and_every_other_name_is_a_parameter():
    fit = steepest.fit("y = a + b*x", {**DATA, "z": X})
    assert fit.columns == ("y", "x") or set(fit.columns) == {"x", "y"}
    assert fit.free == ("a", "b")
    explained = steepest.explain("y = a + b*x", DATA)
    assert explained.roles == {"y": "data", "a": "parameter", "b": "parameter", "x": "data"}


def test_every_result_prints_which_names_were_data():
    text = steepest.fit("y = a + b*x", DATA).text()
    assert "data: y, x" in text or "data: x, y" in text
    assert "parameters: a, b" in text


def test_without_data_every_name_is_a_variable():
    fit = steepest.minimize("(x - 1)**2 + (y - 2)**2")
    assert fit.values == pytest.approx({"x": 1, "y": 2})
    assert set(steepest.explain("x*y").roles.values()) == {"variable"}


def test_parameters_names_a_parameter_when_a_column_of_that_name_exists_too():
    fit = steepest.fit("y = a + b*x", {**DATA, "a": np.full(15, 9.0)}, parameters=["a"])
    best = np.linalg.lstsq(np.c_[np.ones(15), X], Y, rcond=None)[0]
    assert [fit.values["a"], fit.values["b"]] == pytest.approx(list(best), rel=1e-9)
    assert "a" not in fit.columns


@pytest.mark.parametrize("where", ["start", "bounds", "fixed"])
def test_a_column_named_in_start_bounds_or_fixed_is_a_data_error_unless_listed(where):
    given = {"start": {"a": 1}, "bounds": {"a": (0, None)}, "fixed": {"a": 1}}[where]
    table = {**DATA, "a": np.ones(15)}
    with pytest.raises(steepest.DataError, match=r"a is a column.*parameters=\['a'\]"):
        steepest.fit("y = a + b*x", table, **{where: given})
    assert steepest.fit("y = a + b*x", table, parameters=["a"], **{where: given}).values["a"] is not None


@pytest.mark.parametrize(
    ("formula", "columns", "meant"),
    [
        ("y = a*Temperature", {"temperature": X}, "temperature"),
        ("y = a*temprature", {"temperature": X}, "temperature"),
        ("y = a*temperatures", {"temperature": X}, "temperature"),
        ("y = a*tempereture", {"temperature": X}, "temperature"),
        ("y = a*TIME", {"time": X}, "time"),
        ("y = a*x + dosis", {"dosi": X}, "dosi"),
    ],
)
def test_a_name_near_an_unused_column_is_asked_about(formula, columns, meant):
    with pytest.raises(steepest.FormulaError, match=rf"did you mean the column {meant}\?"):
        steepest.fit(formula, {**DATA, **columns})


@pytest.mark.parametrize(
    ("formula", "columns"),
    [
        ("y = a*x + b", {"B": X}),  # fewer than four letters
        ("y = rat*x", {"rate": X}),
        ("y = beta1*x", {"beta2": X}),  # merely a trailing digit
        ("y = beta12*x", {"beta1": X}),
        ("y = rate*x", {"weight": X}),
        ("y = time*x + gain", {"times2": X}),
        ("y = form*x", {"from": X}),  # two letters differ
    ],
)
def test_short_names_trailing_digits_and_distant_names_are_not_asked_about(formula, columns):
    assert steepest.fit(formula, {**DATA, **columns}).rows == 15


@pytest.mark.parametrize(
    "option",
    [{"start": {"Time": 1}}, {"bounds": {"Time": (0, None)}}, {"fixed": {"Time": 1}}, {"parameters": ["Time"]}],
)
def test_a_name_that_stands_in_start_bounds_fixed_or_parameters_is_not_asked_about(option):
    assert "Time" in steepest.fit("y = a + Time*x", {**DATA, "time": X}, **option).values


def test_a_name_near_a_column_that_is_used_is_not_asked_about():
    assert "Xaxis" in steepest.fit("y = Xaxis*xaxis", {"xaxis": X, "y": Y}).values


def test_a_name_near_a_column_that_an_option_uses_is_not_asked_about():
    table = {**DATA, "rate": np.ones(15)}
    for option in ({"where": "rate > 0"}, {"weights": "rate"}, {"sigma": "rate"}):
        assert "rates" in steepest.fit("y = rates*x", table, **option).values


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"start": {"aa": 1}}, "aa stands in start but is no parameter"),
        ({"bounds": {"slop": (0, 1)}}, "did you mean slope"),
        ({"fixed": {"slop": 1}}, "did you mean slope"),
        ({"parameters": ["zeta"]}, "zeta stands in parameters but is no parameter"),
    ],
)
def test_a_name_in_an_option_that_the_formula_does_not_hold_is_refused(option, words):
    with pytest.raises(steepest.FitError, match=words):
        steepest.fit("y = level + slope*x", DATA, **option)


def test_a_formula_without_a_column_is_refused():
    with pytest.raises(steepest.FormulaError, match="no column"):
        steepest.fit("(a - 1)**2", DATA)


def test_a_left_side_that_is_no_column_is_refused_with_the_columns():
    with pytest.raises(steepest.FormulaError, match="z on the left side is no column"):
        steepest.fit("z = a + b*x", DATA)


@pytest.mark.parametrize(
    "name", ["beta", "gamma", "lambda", "E", "I", "S", "N", "e", "α", "theta", "rate", "loss", "g", "step"]
)
def test_greek_and_pythons_own_words_are_fine_as_names(name):
    fit = steepest.fit(f"y = {name} + b*x", DATA)
    assert set(fit.values) == {name, "b"}


@pytest.mark.parametrize("name", ["temp[degC]", "rate[/s]", "a b", "1st", "x-y", "if", "[bold]", "$x$", "<b>", "π²"])
def test_a_column_with_an_odd_name_stands_in_backticks(name):
    fit = steepest.fit(f"y = a + b*`{name}`", {name: X, "y": Y})
    best = np.linalg.lstsq(np.c_[np.ones(15), X], Y, rcond=None)[0]
    assert [fit.values["a"], fit.values["b"]] == pytest.approx(list(best), rel=1e-9)
    assert name in fit.text()


def test_only_pi_is_a_constant():
    fit = steepest.fit("y = a + b*pi*x", DATA)
    assert fit.free == ("a", "b")
    best = np.linalg.lstsq(np.c_[np.ones(15), np.pi * X], Y, rcond=None)[0]
    assert fit.values["b"] == pytest.approx(best[1], rel=1e-9)


def test_e_as_a_base_is_refused_unless_it_is_a_name_that_was_given():
    with pytest.raises(steepest.FormulaError, match=r"write exp\("):
        steepest.fit("y = a*e**(-x)", DATA)
    assert "e" in steepest.fit("y = a*e**(-x)", DATA, start={"e": 2.0}).values


# start -----------------------------------------------------------------------------------------------------------
def test_a_parameter_without_a_start_begins_at_one_and_the_result_says_so():
    steps = []
    fit = steepest.fit("y = a + b*x", DATA, start={"a": 5}, callbacks=[lambda step: steps.append(step.values)])
    assert steps[0] == {"a": 5, "b": 1}
    assert fit.missing_start == ("b",)
    assert "no start was given for b: began at 1" in fit.text()


def test_a_vector_without_a_start_begins_at_ones_and_one_number_is_enough_for_all():
    data = {"M": np.c_[np.ones(15), X], "y": Y}
    starts = []
    for start in (None, {"B": 3}, {"B": [1, 2]}):
        steepest.fit("y = M @ B", data, start=start, callbacks=[lambda step: starts.append((step.number, *step.theta))])
    assert [s[1:] for s in starts if s[0] == 0] == [(1, 1), (3, 3), (1, 2)]


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"a": "one"}, "start of a: 'one' is not a number"),
        ({"a": float("nan")}, "finite"),
        ({"a": float("inf")}, "finite"),
        ({"a": [1, 2]}, "start of a: 2 numbers where 1"),
        ({"a": None}, "start of a"),
        ({"a": 1j}, "not a number"),
    ],
)
def test_a_start_that_is_no_number_is_refused(start, words):
    with pytest.raises(steepest.FitError, match=words):
        steepest.fit("y = a + b*x", DATA, start=start)


def test_a_vector_of_the_wrong_length_is_refused():
    with pytest.raises(steepest.FitError, match="3 numbers where 2 are needed"):
        steepest.fit("y = M @ B", {"M": np.c_[np.ones(15), X], "y": Y}, start={"B": [1, 2, 3]})


@pytest.mark.parametrize("kind", [int, np.int64, np.float32, np.array, lambda v: np.array([v])])
def test_a_start_may_be_any_kind_of_number(kind):
    assert steepest.fit("y = a + b*x", DATA, start={"a": kind(2)}).ok


def test_a_start_outside_its_bounds_begins_at_the_bound():
    steps = []
    steepest.fit(
        "y = a + b*x", DATA, start={"a": -5}, bounds={"a": (0, 3)}, callbacks=[lambda s: steps.append(s.theta)]
    )
    assert steps[0][0] == 0


# what is not built -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "option",
    [
        {"memory": "2GB"},
        {"engine": "ray"},
        {"checkpoint": "f"},
    ],
)
def test_what_is_not_built_yet_is_refused_with_one_sentence(option):
    with pytest.raises(steepest.FitError) as error:
        steepest.fit("y = a + b*x", DATA, **option)
    assert "not built yet" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"method": "magic"}, "magic is not a method"),
        ({"method": 3}, "method"),
        ({"loss": "sqares"}, "not a loss"),
        ({"reduce": "max"}, "'mean' or 'sum'"),
        ({"errors": "all"}, "known are auto, hessian, sandwich"),
        ({"rate": -0.1, "method": "gd"}, "positive"),
        ({"rate": 0, "method": "gd"}, "positive"),
        ({"rate": float("nan"), "method": "gd"}, "positive"),
        ({"rate": True, "method": "gd"}, "positive"),
        ({"rate": 0.1}, "finds its own step"),
        ({"batch": 2}, "reads all rows"),
        ({"batch": 2, "method": "newton"}, "reads all rows"),
        ({"batch": 0, "method": "gd"}, "whole number"),
        ({"batch": 1.5, "method": "gd"}, "whole number"),
        ({"batch": True, "method": "gd"}, "whole number"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"stop": 100}, "Stop"),
        ({"loss": "y"}, "prediction"),
        ({"loss": "abs(y - predict)"}, "prediction"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(option, words):
    with pytest.raises(steepest.SteepestError, match=words):
        steepest.fit("y = a + b*x", DATA, **option)


@pytest.mark.parametrize(
    "option", [{"gradient": -1}, {"steps": 1.5}, {"passes": -2}, {"seconds": float("nan")}, {"loss": float("nan")}]
)
def test_a_stop_that_cannot_be_used_is_refused(option):
    with pytest.raises(steepest.FitError, match="Stop"):
        steepest.Stop(**option)


def test_swapped_arguments_are_recognised():
    with pytest.raises(steepest.SteepestError, match="swapped"):
        steepest.fit("table.csv", "y = a + b*x")


@pytest.mark.parametrize("formula", [3, None, ["y = a*x"], b"y = a*x", lambda x: x])
def test_a_formula_that_is_no_text_is_refused(formula):
    with pytest.raises(steepest.FormulaError, match="text or a SymPy expression"):
        steepest.fit(formula, DATA)


def test_minimize_takes_a_function_and_not_an_equation():
    with pytest.raises(steepest.FormulaError, match="not an equation"):
        steepest.minimize("y = x**2")
    with pytest.raises(steepest.SteepestError, match=r"batch|rows"):
        steepest.minimize("x**2", method="sgd", rate=0.1)


HUGE = 10**400  # an integer that is no float


@pytest.mark.parametrize(
    "option",
    [
        {"start": {"a": HUGE}},
        {"fixed": {"a": HUGE}},
        {"bounds": {"a": (0, HUGE)}},
        {"sigma": HUGE},
        {"rate": HUGE, "method": "gd"},
        {"start": {1: 2}},
        {"start": [1, 2]},
        {"start": 5},
        {"start": "a=1"},
        {"bounds": [(0, 1)]},
        {"fixed": "a"},
        {"parameters": [3]},
        {"parameters": "ab"},
        {"callbacks": 3},
        {"callbacks": [3]},
        {"callbacks": print},
        {"loss": 3},
        {"loss": None},
        {"reduce": None},
        {"errors": None},
        {"where": True},
        {"sigma": [1, 2]},
        {"sigma": True},
        {"stop": "100"},
        {"penalty": 3},
        {"weights": 2.0},
        {"method": None},
        {"batch": "all"},
        {"seed": "x"},
        {"fixed": {"a": [1, 2]}},
        {"start": {"a": [1, 2]}},
        {"bounds": {"a": ([0, 0], [1, 1])}},
    ],
    ids=lambda option: str(option)[:40],
)
def test_an_argument_of_the_wrong_kind_is_a_sentence_and_no_traceback_of_ours(option):
    with pytest.raises(steepest.SteepestError):
        steepest.fit("y = a + b*x", DATA, **option)


@pytest.mark.parametrize("start", [5, [1.0], "x=1", {"x": 10**400}, {1: 1.0}, {"x": None}])
def test_a_start_of_the_wrong_kind_is_refused_by_minimize(start):
    with pytest.raises(steepest.SteepestError):
        steepest.minimize("x**2", start)
