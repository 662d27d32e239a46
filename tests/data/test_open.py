"""What may be given as data, and what is said about everything else."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from steepest.data import open_source
from steepest.errors import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("decay.csv").write_text("x,y\n1,2\n")
    Path("UPPER.CSV").write_text("x,y\n1,2\n")
    for name in ("a.csv.gz", "a.tsv", "a.arrow", "a.xlsx", "plain"):
        Path(name).write_text("x\n")
    Path("many").mkdir()
    return tmp_path


@pytest.mark.parametrize("path", ["decay.csv", Path("decay.csv"), "UPPER.CSV", "./decay.csv"])
def test_a_path_is_text_or_path_and_its_ending_may_be_in_capitals(folder, path):
    assert open_source(path).select(["y"]).read(0)["y"].tolist() == [2.0]


BAD = {
    "near name": ("decy.csv", "no file 'decy.csv'; did you mean 'decay.csv'"),
    "no such file": ("zzzzzzz.csv", "no file 'zzzzzzz.csv'"),
    "no such folder": ("nowhere/a.csv", "no file no folder 'nowhere'"),
    "folder": ("many", "the folder many holds no .csv .parquet"),
    "pattern": ("*.parquet", "no file pattern '*.parquet'"),
    "xlsx": ("a.xlsx", ".xlsx cannot be read frame"),
    "no ending": ("plain", "plain ending cannot be read"),
    "sqlite": ("sqlite:a.db", "no file 'a.db'"),
    "remote": ("https://example.org/a.csv", "remote files not built yet"),
    "formula": ("y = a*x + b", "'y = a*x + b' looks like a formula comes first data second"),
    "formula without sign": ("(x - a)^2", "looks like a formula"),
    "no text": ("", "path is empty"),
    "nul": ("a\0.csv", "no file"),
    "None": (None, "None give"),
    "list of files": (["decay.csv", "b.csv"], "no file 'b.csv'"),
    "list of rows": ([{"x": 1}, {"x": 2}], "a list of rows columns row['x']"),
    "list": ([1, 2], "a list names dict"),
    "empty list": ([], "a list names dict"),
    "array": (np.ones((3, 2)), "array names a[:, 0]"),
    "pandas series": (pd.Series([1.0]), "series name"),
    "polars series": (pl.Series([1.0]), "series name"),
    "lazy frame": (pl.LazyFrame({"x": [1.0]}), "LazyFrame .collect()"),
    "number": (3, "int no table give"),
}


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_refused_by_one_sentence_with_what_to_give(folder, case):
    data, words = BAD[case]
    with pytest.raises(DataError) as caught:
        open_source(data)
    message = str(caught.value)
    print(message)
    assert "\n" not in message
    assert len(message) < 240
    for word in words.split():
        assert word in message


def test_an_unselected_source_refuses_to_read(folder):
    for source in (open_source("decay.csv"), open_source({"x": [1.0]})):
        with pytest.raises(TypeError, match="select"):
            source.read(0)
        with pytest.raises(TypeError, match="select"):
            _ = source.rows
