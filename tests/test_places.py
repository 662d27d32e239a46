"""What is not finite is named with its place, and with the bounds that cure it where bounds on one parameter do."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import steepest
from steepest.cli.main import main
from steepest.errors import FitError

X = np.linspace(0.0, 2000.0, 200)
DATA = {"x": X, "y": np.exp(-0.001 * X)}
DECAY = "y = a*exp(-b*x) + c"


def refusal(formula, data=DATA, **options):
    with pytest.raises(FitError) as caught:
        steepest.fit(formula, data, **options)
    return caught.value


def test_an_overflow_names_the_part_the_row_of_the_file_the_values_and_the_bounds(tmp_path):
    for part, rows in enumerate(np.array_split(np.arange(200), 2)):
        table = {"x": np.where(rows == 130, 930.0, 0.5), "y": np.ones(100)}
        parquet.write_table(pa.table(table), tmp_path / f"part-{part}.parquet")
    said = refusal(DECAY, tmp_path, start={"b": -1})
    assert str(said) == (
        "overflow in exp(-b*x) at row 30 of part-1.parquet: b = -1, x = 930; "
        "give bounds={'b': (0, None)} or a start nearer"
    )


def test_the_terminal_is_told_the_bounds_as_it_writes_them(tmp_path, capsys):
    path = tmp_path / "decay.csv"
    path.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in zip(X, DATA["y"], strict=True)))
    assert main(["fit", DECAY, str(path), "--start", "b=-1"], standalone_mode=False) == 2
    said = capsys.readouterr().err
    assert 'give --bounds "b=0:" or a start nearer' in said
    assert "overflow in exp(-b*x) at line 72 of decay.csv: b = -1, x = 703.51" in said


@pytest.mark.parametrize(
    ("formula", "start", "bounds"),
    [
        ("y = a*exp(b*x**2)", {"b": 1}, "{'b': (None, 0)}"),
        ("y = a*exp(-(b*x + c))", {"b": -1}, "{'b': (0, None)}"),
        ("y = a*log(b*x + 1)", {"b": -1}, "{'b': (0, None)}"),
        ("y = a*x**b", {"b": -1}, "{'b': (0, None)}"),
        ("y = exp(exp(b*x))", {"b": 1}, "{'b': (None, 0)}"),
    ],
)
def test_bounds_are_given_where_the_other_sign_of_one_parameter_cures_every_row(formula, start, bounds):
    assert f"give bounds={bounds} or a start nearer" in str(refusal(formula, start=start))
    given = eval(bounds, {"__builtins__": {}})  # noqa: S307 - what is printed is what works
    assert isinstance(steepest.fit(formula, DATA, start=start, bounds=given), steepest.Fit)


@pytest.mark.parametrize(
    ("formula", "start"),
    [
        ("y = a*exp(-b*(x - 1000))", {"b": -1}),  # the other sign overflows at the other end
        ("y = a/(x - c)", {"c": 0}),
        ("y = sqrt(a - x)", {"a": 1}),  # no sign of a is large enough
    ],
)
def test_no_bounds_are_given_where_they_would_not_help(formula, start):
    said = str(refusal(formula, start=start))
    assert said.endswith("; at the start: give a start nearer, or bounds that keep it away")


def test_the_bounds_that_there_are_are_kept():
    assert "give bounds={'b': (0, 5)}" in str(refusal(DECAY, start={"b": -1}, bounds={"b": (-2, 5)}))
    assert "bounds that keep it away" in str(refusal(DECAY, start={"b": -1}, bounds={"b": (-2, -0.5)}))


def test_a_value_that_only_overflows_when_squared_is_named_itself():
    said = str(refusal("y = a*exp(-b*x)", {"x": [0.0, 500.0], "y": [1.0, 2.0]}, start={"b": -1}))
    assert said.startswith("overflow in exp(-b*x) at row 1: b = -1, x = 500;")


def test_an_overflow_that_no_parameter_makes_is_the_data_s():
    assert "overflow in exp(x) at row 71: x = 713.568; at the start: no parameter" in str(refusal("y = a*exp(x)"))


def test_a_penalty_outside_its_domain_is_named():
    said = refusal("y = a*x", penalty="log(a)", start={"a": -1})
    assert str(said) == "the penalty is not finite at the start: a = -1; give another start" == said.terminal


def test_a_function_that_overflows_is_told_its_bounds():
    with pytest.raises(FitError, match=r"overflow in exp\(x\): x = 1000; give bounds=\{'x': \(None, 0\)\}"):
        steepest.minimize("exp(x)", {"x": 1000})


def test_a_run_that_diverges_into_an_overflow_says_where_and_reads_no_row_for_it():
    x = np.linspace(0.0, 20.0, 200)
    found = steepest.fit("y = a*exp(-b*x)", {"x": x, "y": np.exp(-0.1 * x)}, method="gd", rate=1e3)
    assert found.status == "diverged" and found.passes == 2
    assert found.message.startswith(
        "the loss or its gradient is not finite any more after 1 step (overflow in a*exp(-b*x) at row 127: a = 21.3"
    )
    assert found.message.endswith("; lower the rate; the best point is kept")


def test_a_run_that_diverges_into_a_hole_of_the_domain_says_where():
    found = steepest.fit("y = a*log(b*x + 1)", DATA, method="gd", rate=10.0)
    assert found.status == "diverged"
    assert "(log of a negative number in log(b*x + 1) at row 1: b = -" in found.message


def test_the_row_is_one_that_is_used():
    data = {"x": [0.0, 900.0, np.nan, 500.0], "y": [1.0, 1.0, 1.0, 2.0]}
    said = str(refusal("y = a*exp(-b*x)", data, start={"b": -1}, where="x < 800"))
    assert said.startswith("overflow in exp(-b*x) at row 3: b = -1, x = 500;")


def test_a_matrix_column_is_no_hindrance():
    data = {"X": np.full((3, 2), 400.0), "y": np.ones(3)}
    said = str(refusal("y = exp(X @ B) + c", data, start={"B": [1, 1], "c": 1}))
    assert said == (
        "overflow in exp(X @ B) at row 0: B = [1, 1]; at the start: give a start nearer, or bounds that keep it away"
    )
