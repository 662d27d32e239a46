"""CSV files: good ones, and the line, column and cell of bad ones."""

import csv
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steepest.data import open_source
from steepest.data.csv import CsvFile
from steepest.errors import DataError

NAN = np.nan


@pytest.fixture
def write(tmp_path):
    def write(text, name="a.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


GOOD = {
    "plain": ("x,y\n1,2\n3.5,4\n", [1, 3.5]),
    "no newline at the end": ("x,y\n1,2", [1]),
    "windows lines": ("x,y\r\n1,2\r\n3,4\r\n", [1, 3]),
    "old mac lines": ("x,y\r1,2\r3,4\r", [1, 3]),
    "byte order mark": (b"\xef\xbb\xbfx,y\n1,2\n", [1]),
    "spaces around names and cells": (" x , y \n 1 , 2 \n3, NA\n", [1, 3]),
    "nulls": ('x,y\n,1\nNA,1\nNaN,1\nnan,1\nnull,1\n"",1\n NA,1\n7,1\n', [NAN] * 7 + [7]),
    "blank cells": ("x,y\n1,2\n  ,3\n5,6\n", [1, NAN, 5]),
    "quoted cells": ('x,"y"\n"1.5","2"\n', [1.5]),
    "quoted names": ('"x","y, or z"\n1,2\n', [1]),
    "header of two lines": ('x,"y\nor z"\n1,2\n', [1]),
    "blank lines": ("\n\nx,y\n\n1,2\n\n3,4\n", [1, 3]),
    "text over two lines": ('y,x\n"a\nb",1\n"c",2\n', [1, 2]),
    "infinity": ("x,y\ninf,1\n-inf,2\nInfinity,3\n1e400,1\n", [np.inf, -np.inf, np.inf, np.inf]),
    "numbers in every form": ("x,y\n+1,0\n1.,0\n.5,0\n1e-3,0\n-2E+2,0\n1e-400,0\n", [1, 1, 0.5, 1e-3, -200, 0]),
    "a number after many integers": ("x,y\n" + "1,2\n" * 9 + "0.5,2\n", [1] * 9 + [0.5]),
    "unnamed column": (",x\n0,5\n1,6\n", [5, 6]),
    "unused column in another encoding": ("x,y\n1,é\n".encode("latin-1"), [1]),
    "duplicates that are not used": ("y,x,y\n1,2,3\n", [2]),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_used_column_is_read_as_float64(write, case):
    text, wanted = GOOD[case]
    path = write(text)
    fast = open_source(path).select(["x"])
    np.testing.assert_array_equal(fast.read(0)["x"], wanted)
    file = CsvFile(path, path.name)
    ((rows, columns),) = file.careful({"x": file.header.index("x")})
    np.testing.assert_array_equal(columns["x"], wanted)
    assert rows == fast.rows == len(wanted)


def test_numbers_are_read_to_the_last_bit(write):
    values = np.random.default_rng(0).normal(size=20_000) * 10.0 ** np.random.default_rng(1).integers(-300, 300, 20_000)
    path = write("x\n" + "\n".join(map(repr, values.tolist())))
    np.testing.assert_array_equal(open_source(path).select(["x"]).read(0)["x"], values)


def test_pandas_reads_the_same(write):
    rng = random.Random(0)
    cells = ["", "NA", "NaN", "nan", "null", "1", "-2.5", "3e5", "inf", '"4"']
    path = write("x,note,y\n" + "".join(f'{rng.choice(cells)},"a,\nb",{rng.choice(cells)}\n' for _ in range(9_000)))
    ours = open_source(path).select(["y", "x"]).read(0)
    theirs = pd.read_csv(path)
    for name in "xy":
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_blocks_of_the_file_do_not_show(write):
    rows = 90_000
    path = write("x,note\n" + "".join(f'{row},"some {"long " * 9}\n"\n' for row in range(rows)))
    source = open_source(path).select(["x"])
    np.testing.assert_array_equal(np.concatenate([source.read(unit)["x"] for unit in range(2)]), np.arange(rows))
    assert source.locate(80_000) == f"line {2 + 2 * 80_000:,} of a.csv"


@settings(max_examples=50)
@given(st.lists(st.text(st.sampled_from('ab,"\n; '), max_size=6), min_size=1, max_size=9))
def test_the_line_of_a_row_is_right_for_any_quoting(tmp_path_factory, notes):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    starts = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(["note", "x"])
        for row, note in enumerate(notes):
            file.flush()
            starts.append(path.read_text().count("\n") + 1)
            writer.writerow([note, row])
    source = open_source(path).select(["x"])
    assert source.read(0)["x"].tolist() == list(range(len(notes)))
    assert [source.locate(row) for row in range(len(notes))] == [f"line {line:,} of a.csv" for line in starts]


def test_a_row_of_a_file_that_is_gone_is_still_named(write):
    path = write("x\n1\n2\n")
    source = open_source(path).select(["x"])
    path.unlink()
    assert source.locate(1) == "row 1 of a.csv"


BAD = {
    "text": ("x,y\n1,2\nabc,3\n", "line 3 of a.csv, column 'x': 'abc' is not a number NA"),
    "after blank lines and quotes": ('y,x\n"a\nb",1\n\n"c",?\n', "line 5 of a.csv 'x': '?'"),
    "decimal comma": ('x,y\n1,2\n"1,5",3\n', "line 3 of a.csv 'x': '1,5' decimal point"),
    "thousands": ('x,y\n"1.234,5",3\n', "line 2 'x': '1.234,5' decimal point thousands"),
    "underscores": ("x,y\n1_000,3\n", "line 2 'x': '1_000'"),
    "a date": ("x,y\n2020-01-01,3\n", "line 2 'x': '2020-01-01' not a number seconds"),
    "late text": ("x,y\n" + "1,2\n" * 99_999 + "oops,2\n", "line 100,001 of a.csv 'x': 'oops'"),
    "long text": ("x,y\n" + "z" * 500 + ",2\n", "line 2 'x': 'zzz ..."),
    "too few cells": ("x,y,z\n1,2,3\n1,2\n", "line 3 of a.csv has 2 cells header has 3; empty cell comma"),
    "one cell": ("x,y\n1,2\n3\n", "line 3 of a.csv has 1 cell header has 2"),
    "too many cells": ("x,y\n1,2\n1,5,2\n", "line 3 of a.csv has 3 cells header has 2; put text in quotes"),
    "empty": ("", "a.csv is empty"),
    "only blank lines": ("\n\n", "a.csv is empty"),
    "only a header": ("x,y\n", "a.csv a header and no rows"),
    "no header": ("1,2.5\n3,4\n", "a.csv has no header first line '1,2.5' names above"),
    "semicolons": ("x;y\n1,5;2\n", "a.csv separated by semicolons read_csv('a.csv', sep=';'"),
    "tabs": ("x\ty\n1\t2\n", "a.csv separated by tabs .tsv"),
    "absent": ("u,v\n1,2\n", "no column 'x' in a.csv 'u', 'v'"),
    "duplicates": ("x,x\n1,2\n", "more than one column of a.csv 'x' rename"),
    "UTF-16": ("x,y\n1,2\n".encode("utf-16"), "a.csv UTF-8 save"),
    "Latin-1": ("é,x\n1,2\n".encode("latin-1"), "a.csv UTF-8 save"),
    "Parquet": (b"PAR1\x15\x04\x15\x00\x00", "a.csv UTF-8"),
    "open quote": ('"x,y\n' + "1,2\n" * 99_999, "header of a.csv cannot be read"),
    "open quote in a row": ('x,y\n1,2\n"1,2\n' + "1,2\n" * 99_999, "line 3 of a.csv cannot be read quotation"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_one_sentence_with_its_line(write, case):
    text, words = BAD[case]
    with pytest.raises(DataError) as caught:
        open_source(write(text)).select(["x"])
    message = str(caught.value)
    print(message)
    assert "\n" not in message
    assert len(message) < 240
    for word in words.split():
        assert word in message
