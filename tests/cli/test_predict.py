"""`steepest predict`: a column for every row, on stdout or in a file that overwrites no input."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import steepest
from steepest.cli.predictions import predictions, refuse_input, write
from steepest.errors import FitError

from .conftest import Run, refused


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A saved fit of y = a*exp(-b*t) with a = 3, b = 0.5."""
    t = np.linspace(0.0, 4.0, 20)
    fit = steepest.fit("y = a*exp(-b*t)", {"t": t, "y": 3.0 * np.exp(-0.5 * t)}, start={"a": 2, "b": 0.3})
    return fit.save(tmp_path / "fit.json")


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "new.csv"
    path.write_text("t,other\n0,1\n,2\n2.5,\n")
    return str(path)


EXPECTED = [3.0, math.nan, 3.0 * math.exp(-1.25)]


def test_without_out_the_column_goes_to_stdout_with_an_empty_cell_for_a_null(run: Run, saved: str, rows: str) -> None:
    result = run("predict", saved, rows)
    assert result.exit_code == 0
    assert result.stderr == ""
    (head,), *cells = csv.reader(result.stdout.splitlines())
    assert head == "prediction"
    assert cells[1] == [""]
    assert [float(c or "nan") for (c,) in cells] == pytest.approx(EXPECTED, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "OUT.PARQUET"])
def test_out_writes_the_same_column_to_a_file(run: Run, saved: str, rows: str, name: str, tmp_path: Path) -> None:
    result = run("predict", saved, rows, "--out", name)
    assert result.exit_code == 0
    assert result.stdout == f"3 predictions written to {name}\n"
    if name.endswith("csv"):
        column = [
            float(row["prediction"] or "nan") for row in csv.DictReader((tmp_path / name).read_text().splitlines())
        ]
    else:
        table = pq.read_table(tmp_path / name)
        assert table["prediction"].null_count == 1
        column = [math.nan if v is None else v for v in table["prediction"].to_pylist()]
    assert column == pytest.approx(EXPECTED, rel=1e-6, nan_ok=True)
    assert not list(tmp_path.glob("*.part"))


def test_predictions_are_those_of_the_library_to_the_last_bit(run: Run, saved: str, rows: str) -> None:
    _, *cells = run("predict", saved, rows).stdout.splitlines()
    expected = steepest.load(saved).predict(rows)
    assert [float(c) for c in cells if c != '""'] == [v for v in expected.tolist() if not math.isnan(v)]


@pytest.mark.parametrize("out", ["new.csv", "./new.csv", "fit.json", "out.txt", "nowhere/out.csv"])
def test_out_refuses_an_input_and_what_it_cannot_write(
    run: Run, saved: str, rows: str, out: str, tmp_path: Path
) -> None:
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    refused(run("predict", saved, rows, "--out", out))
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_link_to_the_data_is_the_data(run: Run, saved: str, rows: str, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(rows)
    assert "would overwrite the input" in refused(run("predict", saved, rows, "--out", "link.csv"))


def test_a_missing_column_is_one_message(run: Run, saved: str, tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("u\n1\n")
    assert "'t'" in refused(run("predict", saved, "bare.csv"))


# block by block ---------------------------------------------------------------------------------------------------


def test_the_parts_are_those_of_the_library_to_the_last_bit(saved: str, tmp_path: Path) -> None:
    t = np.random.default_rng(0).uniform(0, 5, 200_001)
    t[77] = math.nan
    pq.write_table(pa.table({"t": pa.array(t, from_pandas=True)}), tmp_path / "t.parquet", row_group_size=30_001)
    fit = steepest.load(saved)
    parts = list(predictions(fit, tmp_path / "t.parquet"))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), fit.predict({"t": t}))
    for name in ("out.csv", "out.parquet"):
        assert write(predictions(fit, tmp_path / "t.parquet"), str(tmp_path / name), sys.stdout) == len(t)
    table = pq.read_table(tmp_path / "out.parquet")
    np.testing.assert_array_equal(table["prediction"].to_numpy(), np.concatenate(parts))
    with (tmp_path / "out.csv").open() as file:
        cells = [float(row["prediction"] or "nan") for row in csv.DictReader(file)]
    np.testing.assert_array_equal(cells, np.concatenate(parts))


def test_a_formula_without_columns_has_a_row_for_each_row(tmp_path: Path) -> None:
    fit = steepest.fit("y = a", {"y": np.arange(5.0)})
    (tmp_path / "new.csv").write_text("u\n1\n2\n3\n")
    assert np.concatenate(list(predictions(fit, tmp_path / "new.csv"))).tolist() == [2.0, 2.0, 2.0]


def test_a_file_that_breaks_in_the_middle_leaves_nothing_behind(saved: str, tmp_path: Path) -> None:
    def parts() -> Iterator[np.ndarray]:
        yield np.ones(3)
        raise steepest.DataError("broken")

    for name in ("out.csv", "out.parquet"):
        with pytest.raises(steepest.DataError, match="broken"):
            write(parts(), str(tmp_path / name), sys.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"fit.json"}


@pytest.mark.parametrize(
    ("out", "data", "words"),
    [
        ("many/a.csv", ["many"], "overwrite the input"),
        ("many/new.csv", ["many"], "become a part of the input many"),
        ("a.csv", ["*.csv"], "overwrite the input a.csv"),
        ("new.csv", ["*.csv"], r"fit the input \*\.csv"),
        ("many/new.csv", ["many/*.csv"], "fit the input many"),
        ("many/a.csv", ["a.csv", "many/a.csv"], "overwrite the input many"),
        ("link.csv", ["many"], "overwrite the input"),
        ("runs.csv", ["sqlite:runs.csv: select * from t"], "overwrite the input runs.csv"),
        ("fit.json", ["a.csv"], "overwrite the input fit.json"),
    ],
)
def test_out_is_no_part_of_a_folder_or_a_pattern(
    saved: str, out: str, data: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("many").mkdir()
    for path in ("a.csv", "many/a.csv", "runs.csv"):
        Path(path).write_text("t\n1\n")
    Path("link.csv").symlink_to("many/a.csv")
    with pytest.raises(FitError, match=words):
        refuse_input(out, "fit.json", data)
    for free in (None, "out.parquet", "new.parquet"):
        refuse_input(free, "fit.json", data)
