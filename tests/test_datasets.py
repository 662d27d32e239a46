"""The data that come with the package are NIST's, to the last digit."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from steepest import datasets
from steepest.errors import DataError

NIST = Path(__file__).parent / "nist" / "nonlinear"
COLUMNS = {
    "Chwirut2": {"y": "response", "x": "distance"},
    "Misra1a": {"y": "volume", "x": "pressure"},
    "Thurber": {"y": "mobility", "x": "log_density"},
    "Rat43": {"y": "weight", "x": "time"},
}


def read(name: str) -> dict[str, list[float]]:
    with open(datasets.path(name), encoding="ascii", newline="") as file:
        header, *rows = csv.reader(file)
    return {column: [float(row[place]) for row in rows] for place, column in enumerate(header)}


@pytest.mark.parametrize("problem", COLUMNS)
def test_a_table_holds_the_rows_of_its_nist_problem(problem: str) -> None:
    data = json.loads((NIST / f"{problem}.json").read_text(encoding="utf-8"))["data"]
    assert read(problem.lower()) == {ours: data[theirs] for theirs, ours in COLUMNS[problem].items()}


def test_the_four_rows_of_the_notes_lie_on_their_plane() -> None:
    notes = read("notes")
    assert notes["y"] == [a + 2 * b + 3 for a, b in zip(notes["x1"], notes["x2"], strict=True)]
    assert len(notes["y"]) == 4


def test_every_table_is_described() -> None:
    readme = Path(datasets.path("notes")).with_name("README.md").read_text(encoding="utf-8")
    for file in Path(datasets.path("notes")).parent.glob("*.csv"):
        assert f"`{file.name}`" in readme


@pytest.mark.parametrize("name", ["iris", "notes.csv", "../errors", ""])
def test_an_unknown_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(DataError, match="there are chwirut2, misra1a, notes, rat43, thurber"):
        datasets.path(name)
