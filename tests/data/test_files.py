"""Several files as one table: their order, the place of a row, and files that do not fit together."""

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from steepest.data import TILE, Reader, blocks, files, open_source, parquet
from steepest.data.natural import natural
from steepest.errors import DataError


def write(path, start=0, rows=10, **more):
    table = pa.table({"x": np.arange(start, start + rows, dtype=float)} | more)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=4)
    elif path.suffix == ".arrow":
        feather.write_feather(table, path, compression="uncompressed", chunksize=4)
    else:
        table.to_pandas().to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")


@pytest.fixture(params=[".parquet", ".csv", ".arrow", ".tsv.gz"])
def ending(request):
    return request.param


@pytest.fixture
def folder(tmp_path, ending):
    for part in range(12):
        write(tmp_path / f"part-{part}{ending}", 10 * part)
    return tmp_path


def column(data):
    return np.concatenate([block.columns["x"] for block in blocks(open_source(data).select(["x"]))])


def test_names_are_in_natural_order():
    names = ["b", "a10", "a2", "a02", "a", "10", "9", "a2b1", "A2", "a2/b10", "a2/b9", "a10/b1", "2020-2", "2020-10"]
    assert natural(names) == (
        ["9", "10", "2020-2", "2020-10", "A2", "a", "a02", "a2", "a2/b9", "a2/b10", "a2b1", "a10", "a10/b1", "b"]
    )
    assert natural(reversed(names)) == natural(names)


def test_a_folder_or_a_pattern_is_read_in_natural_order(folder, ending):
    for data in (folder, str(folder), f"{folder}/part-*{ending}", f"{folder}/**/part-*{ending}", [folder]):
        np.testing.assert_array_equal(column(data), np.arange(120.0))


def test_hidden_files_and_folders_are_no_part_of_a_pattern(tmp_path, ending):
    base = tmp_path / "_data"
    for name in ("a", "_b", "2020/c", "_temporary/d", ".trash/e"):
        path = base / (name + ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    assert open_source(f"{base}/**/*{ending}").select(["x"]).rows == 20


def test_a_list_is_read_in_its_own_order(folder, ending):
    np.testing.assert_array_equal(
        column([folder / f"part-{part}{ending}" for part in (10, 2)]), [*range(100, 110), *range(20, 30)]
    )


def test_the_place_of_a_row_is_its_file_and_its_row_there(folder, ending):
    source = open_source(folder).select(["x"])
    assert source.rows == 120
    text = ending.startswith((".csv", ".tsv"))
    for row in (0, 9, 10, 105, 119):
        place = f"line {row % 10 + 2}" if text else f"row {row % 10}"
        assert source.locate(row) == f"{place} of part-{row // 10}{ending}"


def test_an_infinite_value_names_the_file(folder, ending):
    path = folder / f"part-10{ending}"
    path.unlink()
    write(path, x=np.array([1.0, np.inf]))
    place = "line 3" if "sv" in ending else "row 1"
    with pytest.raises(DataError, match=rf"inf in column 'x' at {place} of part-10\{ending}"):
        list(Reader(open_source(folder).select(["x"])).full())


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path, ending):
    for year in ("2020", "2021"):
        (tmp_path / year).mkdir()
        write(tmp_path / year / f"a{ending}")
    source = open_source(f"{tmp_path}/*/a{ending}").select(["x"])
    assert source.locate(13).endswith(f"of {os.path.join('2021', 'a' + ending)}")


def test_columns_may_stand_in_another_order_and_in_another_numeric_type(tmp_path, ending):
    write(tmp_path / f"1{ending}", y=[1] * 10)
    table = pa.table({"y": [0.5] * 3, "x": pa.array([7, 8, None], pa.int16())})
    if ending == ".parquet":
        pq.write_table(table, tmp_path / f"2{ending}")
    elif ending == ".arrow":
        feather.write_feather(table, tmp_path / f"2{ending}", compression="lz4")
    else:
        table.to_pandas().to_csv(tmp_path / f"2{ending}", index=False, sep="\t" if ".tsv" in ending else ",")
    np.testing.assert_array_equal(column(tmp_path), [*range(10), 7, 8, np.nan])


def other_column(path):
    write(path, y=[1.0] * 10)


def missing_column(path):
    table = pa.table({"u": [1.0]})
    {".parquet": pq.write_table, ".arrow": feather.write_feather}.get(path.suffix, _text)(table, path)


def text_column(path):
    table = pa.table({"x": ["red", "blue"]})
    {".parquet": pq.write_table, ".arrow": feather.write_feather}.get(path.suffix, _text)(table, path)


def _text(table, path):
    table.to_pandas().to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


UNFIT = {
    "missing column": (missing_column, "part-10 no column 'x' which part-0"),
    "further column": (other_column, "part-10 column 'y' part-0 lacks"),
    "text": (text_column, "'x' part-10 red"),
    "no rows": (lambda path: write(path, 0, 0), "part-10 no rows"),
    "no bytes": (lambda path: path.write_bytes(b""), "part-10 is empty"),
    "foreign": (lambda path: path.write_bytes(b"<html>\nhello\n"), "part-10"),
    "other kind": (lambda path: write(path.with_name("more.csv.gz")), "more.csv.gz is a .csv.gz file one kind pattern"),
    "no table": (lambda path: path.with_name("notes.txt").write_text("x"), "notes.txt is no table pattern"),
    "gone": (lambda path: path.with_name("broken" + path.suffix).symlink_to("nowhere"), "broken"),
    "cut short": (cut_short, "part-10"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_file_that_does_not_fit_is_named_in_one_sentence(folder, ending, case):
    spoil, words = UNFIT[case]
    path = folder / f"part-10{ending}"
    if case == "cut short" and ending == ".csv":
        pytest.skip("a CSV file that is cut short between rows is a CSV file")
    spoil(path)
    with pytest.raises(DataError) as caught:
        column(folder)
    message = str(caught.value)
    print(message)
    assert "\n" not in message
    assert len(message) < 300
    for word in words.split():
        assert word in message


def test_matrix_columns_of_unequal_width_are_refused(tmp_path):
    for part, width in ((1, 2), (2, 3)):
        values = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(6)), width)
        pq.write_table(pa.table({"x": values}), tmp_path / f"{part}.parquet")
    with pytest.raises(DataError, match=r"'x' of 2.parquet is 3 wide, but 2 in 1.parquet"):
        column(tmp_path)


LISTS = {
    "twice": (["a.csv", "./a.csv"], "a.csv is given twice rows would count twice"),
    "pattern and file": (["*.csv", "a.csv"], "a.csv is given twice"),
    "two kinds": (["a.csv", "b.parquet"], "b.parquet is a .parquet file a.csv a .csv"),
    "absent": (["a.csv", "zzz.csv"], "no file 'zzz.csv'"),
    "empty folder": ("empty", "the folder empty holds no .csv"),
    "folder of folders": ("nested", "the folder nested holds no .csv pattern 'nested/*/*.parquet'"),
    "folders beside files": ("mixed", "mixed holds files and the folder more pattern 'mixed/*.csv' 'mixed/**/*.csv'"),
    "path and query": (("a.csv", "select * from t"), "a query needs a database sqlite:"),
    "database": ("lab.db", ".db files cannot be read; write 'sqlite:lab.db: select * from"),
    "hidden pattern": ("_*.csv", "no file fits the pattern '_*.csv'"),
    "empty text": (["a.csv", ""], "path is empty"),
    "remote": (["https://example.org/a.csv"], "remote files"),
    "formula": ("y = [x1, x2] @ B", "looks like a formula"),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_that_is_no_table_is_refused_in_one_sentence(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    data, words = LISTS[case]
    for path in ("a.csv", "b.parquet", "_c.csv"):
        write(tmp_path / path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed" / "more").mkdir(parents=True)
    write(tmp_path / "mixed" / "a.csv")
    (tmp_path / "lab.db").write_bytes(b"")
    (tmp_path / "nested" / "2020").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        open_source(data)
    print(caught.value)
    assert "\n" not in str(caught.value)
    for word in words.split():
        assert word in str(caught.value)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("how", ["written to", "touched", "gone", "replaced"])
def test_a_file_that_changes_between_passes_is_named(folder, ending, how, held, monkeypatch):
    if not held:
        monkeypatch.setattr(files, "HELD", 0)
    source = open_source(folder).select(["x"])
    reader = Reader(source)
    list(reader.full())
    path = folder / f"part-3{ending}"
    if how == "gone":
        path.unlink()
    elif how == "touched":
        os.utime(path, (1, 1))
    elif how == "written to":
        with path.open("ab") as file:
            file.write(b"\n1\n")
    else:
        write(folder / f"new{ending}", 7)
        (folder / f"new{ending}").replace(path)
    with pytest.raises(DataError, match=rf"part-3{ending} (has changed|cannot be read)"):
        list(reader.full())


def test_more_files_than_may_be_open_are_read_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "HELD", 0)
    for part in range(40):
        write(tmp_path / f"{part}.parquet", 10 * part)
    source = open_source(tmp_path).select(["x"])
    reader = Reader(source)
    assert len(source.units) == 120
    for shuffle in (False, True):
        parts = list(reader.batches(64, seed=0, shuffle=shuffle, epoch=0))
        assert sorted(np.concatenate([part.columns["x"] for part in parts])) == list(range(400))
    assert len(source._idle) <= 16


def test_large_row_groups_come_in_pieces_and_stay_units_of_the_order(tmp_path, monkeypatch):
    rows = 150_000
    pq.write_table(pa.table({"x": np.arange(float(rows)), "k": np.arange(rows)}), tmp_path / "t.parquet")
    whole = open_source(tmp_path / "t.parquet").select(["x", "k"])
    small = list(Reader(whole).batches(1000, seed=3, shuffle=True, epoch=1))
    monkeypatch.setattr(files, "HELD", 0)
    monkeypatch.setattr(parquet, "HELD", 1 << 20)
    source = open_source(tmp_path / "t.parquet").select(["x", "k"])
    assert source.units == (rows,)
    assert max(piece[0] for piece in source.pieces(0)) == 32_768
    np.testing.assert_array_equal(source.read(0)["k"], np.arange(rows))
    parts = list(blocks(source))
    assert all(part.first_row % TILE == 0 for part in parts)
    np.testing.assert_array_equal(np.concatenate([part.columns["x"] for part in parts]), np.arange(rows))
    for one, two in zip(small, Reader(source).batches(1000, seed=3, shuffle=True, epoch=1), strict=True):
        np.testing.assert_array_equal(one.columns["x"], two.columns["x"])


def test_a_pass_that_is_left_early_lets_its_thread_go(folder, monkeypatch):
    import threading

    monkeypatch.setattr(files, "HELD", 0)
    before = threading.active_count()
    for _ in range(3):
        passing = blocks(open_source(folder).select(["x"]))
        next(passing)
        passing.close()
    assert threading.active_count() == before


def test_pandas_agrees_on_the_rows_of_many_files(folder, ending):
    if ending == ".csv":
        theirs = pd.concat(pd.read_csv(folder / f"part-{part}.csv") for part in range(12))["x"]
        np.testing.assert_array_equal(column(folder), theirs)
