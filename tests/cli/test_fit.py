"""`steepest fit`, `minimize`, `explain`: what they compute, print, save, draw and refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest
from steepest.cli import main as module

from .conftest import Run, refused

PNG = b"\x89PNG\r\n\x1a\n"
PLANE = "y = b1*x1 + b2*x2 + c"
AT = "b1=10.1,b2=15.1,c=-6.5"


def answer(result: Any) -> dict[str, Any]:
    """The one JSON object on stdout."""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (only,) = result.stdout.splitlines()
    return dict(json.loads(only))


def test_a_line_is_that_of_linear_algebra_with_its_errors(run: Run, line: Any) -> None:
    path, t, y = line
    result = run("fit", "y = a + b*t", path, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    found = answer(result)
    matrix = np.column_stack([np.ones_like(t), t])
    best, (rss,), *_ = np.linalg.lstsq(matrix, y)
    spread = np.sqrt(np.diag(np.linalg.inv(matrix.T @ matrix)) * rss / (len(t) - 2))
    assert [found["values"][n] for n in "ab"] == pytest.approx(best, rel=1e-12)
    assert [found["errors"][n] for n in "ab"] == pytest.approx(spread, rel=1e-9)
    assert found["rss"] == pytest.approx(rss, rel=1e-10)
    assert (found["status"], found["rows"], found["dropped"]) == ("converged", 40, 0)


def test_the_fields_of_json_are_those_that_scripts_depend_on(run: Run, notes: str) -> None:
    found = answer(run("fit", PLANE, notes, "--json"))
    assert set(found) >= {
        "values", "errors", "covariance", "loss", "rss", "rms", "rows", "dropped", "passes", "steps", "seconds",
        "status", "message", "method", "certificate", "formula", "loss_name", "seed",
    }  # fmt: skip
    assert set(found["certificate"]) >= {
        "gradient_norm", "hessian_min_eigenvalue", "hessian_condition", "gradient_check", "convex", "why",
        "expected_gap",
    }  # fmt: skip


def test_the_loop_of_the_notes_runs_from_the_terminal(run: Run, notes: str) -> None:
    descent = ["--method", "gd", "--rate", "0.01", "--reduce", "sum", "--steps", "5000", "--json"]
    result = run("fit", PLANE, notes, "--start", AT, *descent)
    assert result.exit_code == 0
    matrix, theta = np.array([[1, 1, 1], [1, 2, 1], [2, 2, 1], [2, 3, 1.0]]), np.array([10.1, 15.1, -6.5])
    for _ in range(5_000):
        theta = theta + 0.01 * matrix.T @ (np.array([6, 8, 9, 11]) - matrix @ theta)
    found = answer(result)
    assert [found["values"][n] for n in ("b1", "b2", "c")] == pytest.approx(theta, abs=1e-9)
    assert found["status"] == "stopped"
    vector = "y = [x1, x2] @ B + c"
    for start in (["--start", "B=[10.1, 15.1], c=-6.5"], ["--start", "B[0]=10.1,B[1]=15.1", "--start", "c=-6.5"]):
        found = answer(run("fit", vector, notes, *start, *descent))
        assert [*found["values"]["B"], found["values"]["c"]] == pytest.approx(theta, abs=1e-9)


def test_mini_batches_take_seed_and_order_from_the_options(run: Run, notes: str) -> None:
    words = ["fit", PLANE, notes, "--method", "sgd", "--rate", "0.05", "--passes", "3", "--json"]
    one, again, other, in_order = (
        answer(run(*words, *more))["values"]
        for more in (["--seed", "1"], ["--seed", "1"], ["--seed", "2"], ["--no-shuffle"])
    )
    assert one == again
    assert one != other
    theta = np.ones(3)
    for _ in range(3):
        for row, y in zip(np.array([[1, 1, 1], [1, 2, 1], [2, 2, 1], [2, 3, 1.0]]), [6, 8, 9, 11], strict=True):
            theta = theta + 0.05 * row * (y - row @ theta)
    assert list(in_order.values()) == pytest.approx(theta, rel=1e-12)


def test_bounds_fixed_where_weights_and_sigma_reach_the_fit(run: Run, line: Any) -> None:
    path, t, y = line
    held = answer(run("fit", "y = a + b*t", path, "--fixed", "b=0", "--json"))
    assert held["values"] == pytest.approx({"a": y.mean(), "b": 0.0})
    bounded = answer(run("fit", "y = a + b*t", path, "--bounds", "b=0:", "--json"))
    assert bounded["values"] == pytest.approx({"a": y.mean(), "b": 0.0})
    part = answer(run("fit", "y = a", path, "--where", "t > 1", "--json"))
    assert part["values"]["a"] == pytest.approx(y[t > 1].mean())
    weighted = answer(run("fit", "y = a", path, "--weights", "t**2", "--json"))
    assert weighted["values"]["a"] == pytest.approx(np.average(y, weights=t**2))
    known = answer(run("fit", "y = a", path, "--sigma", "0.5", "--json"))
    assert known["errors"]["a"] == pytest.approx(0.5 / np.sqrt(40))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_formula_that_begins_with_a_minus_stands_anywhere(run: Run, place: int) -> None:
    options = [["--maximize"], ["--start", "x=-3"], ["--json"]]
    words = [*options[:place], ["-x**2 + x"], *options[place:]]
    result = run("minimize", *(word for group in words for word in group))
    assert result.exit_code == 0
    found = answer(result)
    assert found["values"]["x"] == pytest.approx(0.5)
    assert found["loss"] == pytest.approx(0.25)


@pytest.mark.parametrize("formula", ["-a*t + a**2*t**2", "-(a)*t+a**2", "--a*t+a**2*2", "- a*t + a**2"])
def test_a_loss_of_a_row_may_begin_with_a_minus(run: Run, line: Any, formula: str) -> None:
    assert run("fit", formula, line[0], "--json").exit_code in (0, 1)
    assert run("fit", "--json", "--start", "a=-1", formula, line[0], "--seed", "3").exit_code in (0, 1)
    assert run("explain", formula).exit_code == 0


def test_values_of_options_may_begin_with_a_minus(run: Run, line: Any) -> None:
    result = run("fit", "y = a", line[0], "--where", "-t < 0", "--start", "a=-2", "--bounds", "a=-9:-0", "--json")
    assert answer(result)["values"]["a"] == pytest.approx(0.0)


def test_words_after_two_minuses_are_words(run: Run) -> None:
    assert answer(run("minimize", "--json", "--", "-x + x**2"))["values"]["x"] == pytest.approx(0.5)


def test_the_text_shows_formula_status_and_values(run: Run) -> None:
    result = run("minimize", "x**2 + 2*x + 3", "--start", "x=10")
    assert result.exit_code == 0
    head, status, *_ = result.stdout.splitlines()
    assert head == "x**2 + 2*x + 3"
    assert status.startswith("converged")
    assert any(row.split() == ["x", "-1"] for row in result.stdout.splitlines())


def test_exit_status_tells_divergence_from_a_limit_of_the_user(run: Run, notes: str) -> None:
    words = ["fit", PLANE, notes, "--method", "gd", "--reduce", "sum"]
    assert run(*words, "--rate", "0.01", "--steps", "10").exit_code == 0
    wild = run(*words, "--rate", "0.1")
    assert wild.exit_code == 1
    assert wild.stderr.startswith("warning: ")
    assert wild.stderr.count("\n") == 1
    assert "0.06396" in wild.stderr
    assert run(*words, "--rate", "0.1", "--quiet").stderr == ""
    assert run("fit", "y = a*b*x1", notes).exit_code == 1


def test_a_rate_may_be_a_schedule_and_a_method_a_rule(run: Run, notes: str) -> None:
    words = ["fit", PLANE, notes, "--json", "--passes", "2000"]
    assert run(*words, "--method", "gd", "--rate", "0.1/(1 + 0.0001*step)").exit_code == 0
    ruled = answer(run(*words, "--method", "v = 0.5*v + g; theta = theta - rate*v", "--rate", "0.1"))
    assert ruled["values"] == pytest.approx({"b1": 1, "b2": 2, "c": 3}, abs=1e-6)


def test_save_and_plot_write_files_and_say_so(run: Run, line: Any, tmp_path: Path) -> None:
    result = run("fit", "y = a + b*t", line[0], "--save", "fit.json", "--plot", "fit.png")
    assert result.stdout.endswith("saved to fit.json\ndrawn to fit.png\n")
    assert (tmp_path / "fit.png").read_bytes().startswith(PNG)
    assert steepest.load(tmp_path / "fit.json").values["a"] == pytest.approx(2.5, abs=0.1)
    quiet = run("fit", "y = a + b*t", line[0], "--json", "--quiet", "--save", "other.json", "--plot", "other.svg")
    answer(quiet)
    assert quiet.stderr == ""
    assert "<svg" in (tmp_path / "other.svg").read_text()


@pytest.mark.parametrize("formula", ["x**2 + 1", "where(x <= 1, x**2, 2*x - 1) + 0.5*x**2"])
def test_a_function_is_drawn_by_its_loss(run: Run, formula: str, tmp_path: Path) -> None:
    result = run("minimize", formula, "--start", "x=3", "--method", "gd", "--rate", "0.1", "--plot", "loss.png")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)


def test_names_of_columns_are_printed_as_they_are_and_steer_no_terminal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text('"[red]t[/red]","y\x1b[31m_$x$"\n1,2\n2,4\n3,6.5\n')
    result = run("fit", "`y\x1b[31m_$x$` = a*`[red]t[/red]`", "odd.csv", "--plot", "odd.svg")
    assert result.exit_code == 0, result.stderr
    assert "[red]t[/red]" in result.stdout
    assert "\x1b" not in result.stdout
    assert r"y\x1b[31m_$x$" in result.stdout


def test_a_name_in_backticks_is_a_name_in_options(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("temp[degC],y\n1,2\n2,4\n3,6\n")
    result = run("fit", "y = `k, =1`*`temp[degC]`", "odd.csv", "--start", "`k, =1`=-5", "--json")
    assert answer(result)["values"] == pytest.approx({"k, =1": 2.0})


def test_parameters_names_a_parameter_that_a_column_has_too(run: Run, line: Any) -> None:
    path, _, y = line
    assert answer(run("fit", "y = t", path, "--parameters", "t", "--json"))["values"]["t"] == pytest.approx(y.mean())


def test_explain_shows_roles_derivatives_and_both_safe_rates(run: Run, notes: str) -> None:
    result = run("explain", PLANE, notes)
    assert result.exit_code == 0
    for sentence in ("data: y, x1, x2", 'reduce="sum"', "0.06396", 'reduce="mean"', "0.2558", "program"):
        assert sentence in result.stdout
    assert "d/d x = 2*x + 2*y - sin(x + 2*y)" in run("explain", "x**2 + 2*x*y + 3 + cos(x + 2*y)").stdout


REFUSED = {
    "no command of that name": ["fitt"],
    "a formula as a command": ["y = a*x"],
    "no formula": ["fit"],
    "no data": ["fit", "y = a*t"],
    "two files": ["fit", "y = a*t", "{data}", "{data}"],
    "two files to explain": ["explain", "y = a*t", "{data}", "{data}"],
    "a file that is not there": ["fit", "y = a*t", "nowhere.csv"],
    "a formula that cannot be read": ["fit", "y = a*", "{data}"],
    "an option with a mistake": ["fit", "y = a*t", "{data}", "--stpes", "5"],
    "an option without its value": ["fit", "y = a*t", "{data}", "--rate"],
    "a start without a name": ["fit", "y = a*t", "{data}", "--start", "5"],
    "a start without a number": ["fit", "y = a*t", "{data}", "--start", "a=x"],
    "a start of no parameter": ["fit", "y = a*t", "{data}", "--start", "q=1"],
    "a start twice": ["fit", "y = a*t", "{data}", "--start", "a=1,a=2"],
    "half a vector": ["fit", "y = [t, t**2] @ B", "{data}", "--start", "B[1]=2"],
    "a bound without a colon": ["fit", "y = a*t", "{data}", "--bounds", "a=3"],
    "an open bound": ["fit", "y = a*t", "{data}", "--bounds", "a=:"],
    "bounds the wrong way round": ["fit", "y = a*t", "{data}", "--bounds", "a=1:0"],
    "a batch that is no number": ["fit", "y = a*t", "{data}", "--method", "gd", "--batch", "2.5"],
    "steps below zero": ["fit", "y = a*t", "{data}", "--steps", "-1"],
    "seconds that are no number": ["fit", "y = a*t", "{data}", "--seconds", "soon"],
    "an unknown method": ["fit", "y = a*t", "{data}", "--method", "magic"],
    "an unknown loss": ["fit", "y = a*t", "{data}", "--loss", "hubris"],
    "a rate for gauss-newton": ["fit", "y = a*t", "{data}", "--method", "gauss-newton", "--rate", "1"],
    "a start outside the domain": ["minimize", "log(x)", "--start", "x=-1"],
    "a picture of another kind": ["fit", "y = a*t", "{data}", "--plot", "out.pdf"],
    "a folder that is not there": ["fit", "y = a*t", "{data}", "--save", "nowhere/fit.json"],
    "a folder as a file": ["fit", "y = a*t", "{data}", "--save", "."],
    "saving over the data": ["fit", "y = a*t", "{data}", "--save", "{data}"],
    "a saved fit that is none": ["predict", "{data}", "{data}"],
    "a saved fit that is not there": ["predict", "nowhere.json", "{data}"],
}


@pytest.mark.parametrize("words", REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_one_message_and_exit_status_2(run: Run, line: Any, words: list[str], tmp_path: Path) -> None:
    before = Path(line[0]).read_bytes()
    refused(run(*(word.replace("{data}", line[0]) for word in words)))
    assert Path(line[0]).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["line.csv"]


@pytest.mark.parametrize("option", ["memory", "engine", "checkpoint", "report"])
def test_an_option_that_is_not_built_is_refused_by_name(run: Run, line: Any, option: str) -> None:
    assert f"--{option} is not built yet" in refused(run("fit", "y = a*t", line[0], f"--{option}", "4"))


@pytest.mark.parametrize("words", [["resume", "c", "--json"], ["play"]])
def test_a_command_that_is_not_built_says_so(run: Run, words: list[str]) -> None:
    message = refused(run(*words))
    assert f"{words[0]} is not built yet" in message
    assert message.count("\n") == 1


def test_an_unexpected_error_asks_for_a_report(run: Run, line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a slip of ours")

    monkeypatch.setattr(module.arguments, "starts", broken)
    message = refused(run("fit", "y = a*t", line[0]))
    assert "please report it" in message
    assert "ZeroDivisionError: a slip of ours" in message
    monkeypatch.setenv("STEEPEST_DEBUG", "1")
    with pytest.raises(AssertionError):
        run("fit", "y = a*t", line[0])


@pytest.mark.parametrize("words", [["--help"], ["-h"], [], ["fit", "--help"], ["fit", "-h"], ["predict", "--help"]])
def test_help_is_there_with_an_example(run: Run, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 0
    assert "Usage: steepest" in result.stdout
    assert "steepest " in result.stdout.partition("\n")[2]


WORKING = """loss start bounds fixed weights sigma penalty where method batch rate reduce steps passes gradient seconds
seed no-shuffle json save plot quiet"""


def test_help_of_fit_names_every_option_that_works(run: Run) -> None:
    shown = run("fit", "--help").stdout
    for option in re.findall(r"[\w-]+", WORKING):
        assert f"--{option}" in shown


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"steepest {steepest.__version__}\n"


def test_a_matrix_of_columns_is_drawn_against_the_prediction(run: Run, notes: str, tmp_path: Path) -> None:
    assert run("fit", "y = [x1, x2] @ B + c", notes, "--plot", "fit.svg").exit_code == 0
    assert "observed = predicted" in (tmp_path / "fit.svg").read_text(encoding="utf-8")
