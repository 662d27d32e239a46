"""Parquet files: good ones and broken ones."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepest.data import blocks, files, open_source
from steepest.errors import DataError

N = 30_000
TABLE = pa.table({"x": np.random.default_rng(0).normal(size=N), "s": ["u"] * N, "d": pa.array([0] * N, pa.date32())})


@pytest.fixture
def path(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=7_000)
    return tmp_path / "t.parquet"


def test_units_are_the_row_groups(path):
    assert open_source(str(path)).select(["x"]).units == (7_000, 7_000, 7_000, 7_000, 2_000)


def test_a_row_group_is_decoded_once_where_the_columns_are_small(path):
    source = open_source(path).select(["x"])
    assert source.read(1)["x"] is source.read(1)["x"]


def test_the_answer_does_not_depend_on_what_is_kept_in_memory(path, monkeypatch):
    kept = list(blocks(open_source(path).select(["x"])))
    monkeypatch.setattr(files, "HELD", 0)
    source = open_source(path).select(["x"])
    assert source.read(1)["x"] is not source.read(1)["x"]
    for one, two in zip(kept, blocks(source), strict=True):
        np.testing.assert_array_equal(one.columns["x"], two.columns["x"])


def test_empty_row_groups_are_units_of_no_rows(tmp_path):
    with pq.ParquetWriter(tmp_path / "t.parquet", pa.schema({"x": pa.float64()})) as writer:
        for values in ([], [1.0, 2.0], [], [3.0], []):
            writer.write_table(pa.table({"x": pa.array(values, pa.float64())}))
    source = open_source(tmp_path / "t.parquet").select(["x"])
    assert sum(source.units) == source.rows == 3
    assert [block.columns["x"].tolist() for block in blocks(source)] == [[1.0, 2.0, 3.0]]


def test_a_name_with_a_dot_is_a_column(tmp_path):
    pq.write_table(pa.table({"a.b": [1.0], "a": [2.0]}), tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet").select(["a.b", "a"])
    assert {name: column.tolist() for name, column in source.read(0).items()} == {"a.b": [1.0], "a": [2.0]}


def damage(path):
    text = bytearray(path.read_bytes())
    text[20:2000] = b"\xff" * 1980
    path.write_bytes(text)


def damage_foot(path):
    text = bytearray(path.read_bytes())
    text[-200:-8] = b"\xff" * 192
    path.write_bytes(text)


BAD = {
    "empty": (lambda path: path.write_bytes(b""), "t.parquet is empty"),
    "foreign": (lambda path: path.write_bytes(b"x,y\n1,2\n"), "t.parquet is not a Parquet file: it begins b'x,y\\n'"),
    "short and foreign": (lambda path: path.write_bytes(b"x"), "t.parquet is not a Parquet file"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "t.parquet is cut short again"),
    "only the magic": (lambda path: path.write_bytes(b"PAR1"), "t.parquet is damaged"),
    "damaged pages": (damage, "t.parquet is damaged row group 0"),
    "damaged foot": (damage_foot, "t.parquet is damaged"),
    "no rows": (lambda path: pq.write_table(TABLE.slice(0, 0), path), "t.parquet no rows"),
    "duplicates": (
        lambda path: pq.write_table(pa.Table.from_arrays([pa.array([1.0])] * 2, ["x", "x"]), path),
        "t.parquet more than one 'x' rename",
    ),
    "text": (lambda path: pq.write_table(pa.table({"x": ["7", "8"]}), path), "'x' of t.parquet text '7' row 0 convert"),
    "dates": (lambda path: pq.write_table(TABLE.select(["d"]).rename_columns(["x"]), path), "'x' of t.parquet dates"),
    "absent": (lambda path: pq.write_table(TABLE.select(["s"]), path), "no column 'x' in t.parquet 's'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_one_sentence_that_names_it(path, case):
    spoil, words = BAD[case]
    spoil(path)
    with pytest.raises(DataError) as caught:
        list(blocks(open_source(path).select(["x"])))
    message = str(caught.value)
    print(message)
    assert "\n" not in message
    assert str(path.parent) not in message
    for word in words.split():
        assert word in message
