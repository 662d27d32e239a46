"""Tables that align, numbers to the digits that their errors give."""

from __future__ import annotations

import pytest

from steepest.report.progress import Progress
from steepest.report.text import Row, align, fit_text, number, value_table

FIT = {
    "formula": "y = a*x", "status": "converged", "message": "a local minimum", "loss": 0.5, "loss_name": "squares",
    "rms": 0.1, "rss": 0.2, "rows": 1234, "method": "gauss-newton", "steps": 1, "passes": 3.0, "seconds": 0.01,
}  # fmt: skip


def test_columns_align_also_for_wide_letters_and_marks() -> None:
    rows = [["name", "value"], ["a", "1"], ["기울기", "22"], ["e\u0301", "333"]]
    assert align(rows) == ["name    value", "a           1", "기울기     22", "e\u0301         333"]


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.16657666537, 0.0383, "0.167"),
        (1288.13968, 4.66, "1288.1"),
        (-2.0, None, "-2"),
        (1e-20, 1e-3, "1.0e-20"),
        (float("nan"), 1.0, "nan"),
        (5.0, 0.0, "5"),
    ],
)
def test_a_number_has_two_digits_of_its_error(value: float, error: float | None, shown: str) -> None:
    assert number(value, error) == shown


def test_a_table_without_errors_has_two_columns() -> None:
    assert value_table([Row("x", -1.0)]) == ["parameter  value", "x             -1"]
    assert value_table([]) == ["(nothing is free)"]


def test_a_fixed_parameter_is_called_fixed_beside_errors_and_a_tied_one_shows_its_tie() -> None:
    rows = value_table([Row("a", 2.0, 0.1, (1.8, 2.2)), Row("c", 0.0), Row("d", 4.0, tie="2*a")])
    assert rows[2].split() == ["c", "0", "fixed"]
    assert rows[3].split() == ["d", "4", "tied", "=", "2*a"]


@pytest.mark.parametrize(
    ("status", "message", "line"),
    [
        ("converged", "a local minimum", "converged: a local minimum"),
        ("stopped", "stopped: ran 5 steps", "stopped: ran 5 steps"),
        ("interrupted", "interrupted after 7 steps", "interrupted after 7 steps"),
    ],
)
def test_the_status_is_said_once(status: str, message: str, line: str) -> None:
    text = fit_text({**FIT, "status": status, "message": message}, [Row("a", 1.0)], ["a fact"])
    assert text.splitlines()[:2] == ["y = a*x", line]
    assert text.splitlines()[-1] == "a fact"
    assert "1,234 rows" in text


def test_markup_in_a_name_is_printed_as_it_is() -> None:
    assert value_table([Row("[bold]a[/bold]", 1.0)])[1].startswith("[bold]a[/bold]")


def test_the_progress_line_says_pass_speed_loss_and_time_left() -> None:
    line = Progress(12.25, 49, 2.5e6, 0.125, 90.0, 30.0, rows=1_000).line()
    assert line == "pass 12.2  step 49  2.5 M rows/s  loss 0.125  1:30 min  30 s left"
    assert Progress(9.0, 3_000, 1.0, 2.0, 1.5, None, rows=1).line() == "step 3,000  2 k steps/s  loss 2  2 s"
