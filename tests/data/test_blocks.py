"""The same table gives the same blocks, wherever it comes from."""

import re
import sqlite3
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steepest.data import TILE, UNIT, ColumnType, blocks, open_source
from steepest.data.columns import KEPT
from steepest.data.source import Block, recut

ROWS = 150_001
X = np.random.default_rng(1).normal(size=ROWS)
X[[7, 70_000]] = np.nan
K = np.arange(ROWS) % 5


def parquet(group):
    def write(folder):
        pq.write_table(
            pa.table({"x": pa.array(X, from_pandas=True), "k": K}), folder / "t.parquet", row_group_size=group
        )
        return folder / "t.parquet"

    return write


def csv(folder):
    pd.DataFrame({"x": X, "k": K}).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def stream(folder):
    table = pa.table({"x": pa.array(X, from_pandas=True), "k": K})
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=999))


def files(count, ending, write):
    def make(folder):
        (folder / "many").mkdir()
        (folder / "many" / "_SUCCESS").write_text("")
        (folder / "many" / ".hidden").write_text("")
        edges = np.linspace(0, ROWS, count + 1).astype(int)
        for part, (start, stop) in enumerate(pairwise(edges.tolist()), 1):
            write(arrow().slice(start, stop - start), folder / "many" / f"part-{part}{ending}")
        return folder / "many"

    return make


def arrow():
    return pa.table({"x": pa.array(X, from_pandas=True), "k": K})


def text(mark, packed=False):
    def write(table, path):
        options = {"compression": "gzip"} if packed else {}
        table.to_pandas().to_csv(path, index=False, sep=mark, **options)

    return write


def feather(**options):
    return lambda table, path: pa.feather.write_feather(table, path, **options)


def one(ending, write):
    def make(folder):
        write(arrow(), folder / f"t{ending}")
        return folder / f"t{ending}"

    return make


def structured(folder):
    array = np.zeros(ROWS, [("x", "f8"), ("k", "i4"), ("other", "U3")])
    array["x"], array["k"] = X, K
    return array


def dataset(folder):
    pq.write_table(arrow(), folder / "d.parquet", row_group_size=20_000)
    return pa.dataset.dataset(folder / "d.parquet")


def duck(folder):
    return pytest.importorskip("duckdb").connect().from_arrow(arrow())


def sqlite(folder):
    connection = sqlite3.connect(folder / "t.db")
    connection.execute("create table runs (x real, k integer, note text)")
    connection.executemany(
        "insert into runs values (?, ?, 'n')", zip([None if x != x else x for x in X.tolist()], K.tolist(), strict=True)
    )
    connection.commit()
    return connection


def sqlite_text(folder):
    sqlite(folder).close()
    return f"sqlite:{folder / 't.db'}: select * from runs"


def sqlite_plain(folder):
    return sqlite(folder), "select * from runs"


def sqlite_adbc(folder):
    adbc = pytest.importorskip("adbc_driver_sqlite.dbapi")
    sqlite(folder).close()
    return adbc.connect(str(folder / "t.db")), "select * from runs"


TABLES = {
    "structured": structured,
    "parquet-7": files(7, ".parquet", lambda table, path: pq.write_table(table, path, row_group_size=9_000)),
    "parquet-12-glob": lambda folder: str(files(12, ".parquet", pq.write_table)(folder) / "part-*.parquet"),
    "parquet-list": lambda folder: sorted(files(3, ".parquet", pq.write_table)(folder).glob("part-*")),
    "csv-11": files(11, ".csv", text(",")),
    "csv.gz": one(".csv.gz", text(",", packed=True)),
    "tsv": one(".tsv", text("\t")),
    "tsv.gz-3": files(3, ".tsv.gz", text("\t", packed=True)),
    "arrow-file": one(".arrow", feather(compression="uncompressed")),
    "feather": one(".feather", feather(compression="zstd", chunksize=7_777)),
    "feather-10": files(10, ".feather", feather(compression="lz4")),
    "dataset": dataset,
    "duckdb": duck,
    "sqlite": sqlite_text,
    "sqlite-dbapi": sqlite_plain,
    "sqlite-adbc": sqlite_adbc,
    "dict": lambda folder: {"x": X, "k": K},
    "lists": lambda folder: {"x": [None if np.isnan(x) else x for x in X.tolist()], "k": K.tolist()},
    "masked": lambda folder: {"x": np.ma.masked_invalid(X), "k": K.astype(np.uint8)},
    "series": lambda folder: {"x": pl.Series(X, nan_to_null=True), "k": pd.Series(K, dtype="Int32")},
    "pandas": lambda folder: pd.DataFrame({"x": X, "k": K}),
    "pandas-arrow": lambda folder: pd.DataFrame({"x": X, "k": K}).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda folder: pl.DataFrame({"x": X, "k": K}, nan_to_null=True),
    "arrow": lambda folder: pa.table({"x": pa.array(X, from_pandas=True), "k": K}),
    "stream": stream,
    "csv": csv,
    "parquet-1": parquet(ROWS),
    "parquet-odd": parquet(10_007),
    "parquet-small": parquet(333),
    "parquet-unit": parquet(UNIT),
    "parquet-large": parquet(90_001),
}


@pytest.fixture(params=TABLES)
def table(request, tmp_path):
    data = TABLES[request.param](tmp_path)
    yield data
    if isinstance(data, tuple):
        data[0].close()


def whole(parts, name):
    return np.concatenate([part.columns[name] for part in parts])


def test_the_same_table_gives_the_same_rows_on_the_same_grid(table):
    parts = list(blocks(open_source(table).select(["x", "k"])))
    np.testing.assert_array_equal(whole(parts, "x"), X)
    np.testing.assert_array_equal(whole(parts, "k"), K)
    for part in parts:
        assert part.first_row % TILE == 0
        assert 0 < part.rows <= UNIT
        assert part.rows % TILE == 0 or part is parts[-1]
        for column in part.columns.values():
            assert column.dtype.str[1:] in KEPT
            assert column.shape == (part.rows,)


def test_a_selected_source_knows_its_rows_units_and_place(table):
    source = open_source(table).select(["x"])
    assert list(source.schema) == ["x"]
    assert source.rows == sum(source.units) == ROWS
    place = source.locate(81_204)
    if source.name == "data":
        assert place == "row 81,204"
        assert source.fingerprint == {}
    elif "files" in source.fingerprint:
        assert re.fullmatch(r"(row|line) [\d,]+ of part-\d+\.[a-z.]+", place)
        assert set(source.fingerprint) == {"name", "files"}
    else:
        line = "csv" in source.name or "tsv" in source.name
        query = "the query of " if source.name.endswith(".db") else ""
        assert place == f"line 81,206 of {source.name}" if line else f"row 81,204 of {query}{source.name}"
        assert set(source.fingerprint) == {"name", "size", "mtime"}


def test_a_selected_source_can_be_narrowed_again(table):
    source = open_source(table).select(["x", "k", "x"]).select(["k"])
    assert list(source.read(0)) == ["k"]
    assert source.name in source.locate(3) or source.name == "data" or "files" in source.fingerprint


@pytest.mark.parametrize("names", [["x"], []])
def test_a_table_without_used_columns_still_has_its_rows(table, names):
    assert sum(part.rows for part in blocks(open_source(table).select(names))) == ROWS


def test_the_schema_is_known_before_any_column_is_read(tmp_path):
    table = pa.table(
        {
            "n": [1, 2],
            "s": ["u", "v"],
            "t": pa.array([1, 2], pa.timestamp("s")),
            "m": pa.FixedSizeListArray.from_arrays(pa.array(range(6)), 3),
            "c": pa.array(["u", "v"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    kinds = {
        "n": ColumnType("number"),
        "s": ColumnType("text"),
        "t": ColumnType("time"),
        "m": ColumnType("number", 3),
        "c": ColumnType("other"),
    }
    assert open_source(table).schema == kinds
    assert open_source(tmp_path / "t.parquet").schema == kinds
    assert open_source(tmp_path / "t.csv").schema == {"a": ColumnType("unknown"), "b": ColumnType("unknown")}
    arrays = {"z": [1j], "m": np.zeros((1, 2)), "d": np.zeros(1, "M8[s]"), "o": [{}], "p": [None]}
    assert [kind.kind for kind in open_source(arrays).schema.values()] == [
        "complex",
        "number",
        "time",
        "other",
        "number",
    ]


def test_float64_arrays_are_never_copied():
    data = {"x": np.ones(3 * UNIT + 5), "X": np.ones((3 * UNIT + 5, 2))}
    for part in blocks(open_source(data).select(["x", "X"])):
        assert all(np.shares_memory(part.columns[name], data[name]) for name in data)
    for frame in (pl.DataFrame({"x": data["x"]}), pa.table({"x": data["x"]})):
        held = np.asarray(frame["x"])
        assert all(np.shares_memory(part.columns["x"], held) for part in blocks(open_source(frame).select(["x"])))


def test_a_matrix_column_is_rows_by_q_from_every_source(tmp_path):
    matrix = np.arange(30_000.0).reshape(10_000, 3)
    matrix[5] = np.nan
    matrix[9, 1] = np.nan
    lists = pa.array(
        [None if row == 5 else [None if np.isnan(x) else x for x in matrix[row].tolist()] for row in range(10_000)],
        pa.list_(pa.float64(), 3),
    )
    table = pa.table({"X": lists})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=777)
    chunks = pa.table({"X": pa.chunked_array([lists[:3], lists[3:6], lists[6:]])})
    padded = pa.table({"X": pa.concat_arrays([lists[:2], lists])}).slice(2)
    for data in ({"X": matrix}, {"X": np.asfortranarray(matrix)}, table, chunks, padded, tmp_path / "t.parquet"):
        parts = list(blocks(open_source(data).select(["X"])))
        np.testing.assert_array_equal(whole(parts, "X"), matrix)


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 9), st.integers(1, 4), st.data())
def test_stitching_gives_whole_cells_for_any_units(units, grid, cells, data):
    rows = sum(units)
    everything = np.arange(float(rows))
    pieces, at = [], 0
    for unit in units:
        live = data.draw(st.sampled_from([None, np.arange(at, at + unit) % 2 == 0]))
        pieces.append(Block(at, unit, {"x": everything[at : at + unit]}, live))
        at += unit
    parts = list(recut(pieces, rows, grid, grid * cells))
    edges = set(np.cumsum(units).tolist())
    at = 0
    for part in parts:
        assert part.first_row == at
        assert 0 < part.rows <= grid * cells
        np.testing.assert_array_equal(part.columns["x"], everything[at : at + part.rows])
        if part.rows > grid:
            assert np.shares_memory(part.columns["x"], everything)
        if not np.shares_memory(part.columns["x"], everything):
            assert part.rows <= grid
            assert edges & set(range(at + 1, at + part.rows))
        at += part.rows
        assert at % grid == 0 or at == rows
    assert at == rows
    live = [np.ones(p.rows, bool) if p.live is None else p.live for p in parts]
    wanted = [np.ones(p.rows, bool) if p.live is None else p.live for p in pieces]
    np.testing.assert_array_equal(np.concatenate([[], *live]), np.concatenate([[], *wanted]))


def test_a_dict_of_arrays_never_loads_pyarrow_pandas_or_polars():
    code = (
        "import sys, numpy as np\n"
        "from steepest.data import open_source, Reader\n"
        "source = open_source({'x': np.ones(9), 'y': [1, None] * 4 + [2]}).select(['x', 'y'])\n"
        "list(Reader(source).full())\n"
        "assert not {'pyarrow', 'pandas', 'polars'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
