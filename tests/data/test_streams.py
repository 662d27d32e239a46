"""Streams and queries: read once, kept for every pass; what goes wrong behind them is one sentence."""

import sqlite3
import sys
import tempfile
import weakref
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from steepest.data import Reader, blocks, open_source, store
from steepest.data.streams import Batches, Cells
from steepest.errors import DataError

N = 200_000
X = np.random.default_rng(0).normal(size=N)


def column(data, name="x"):
    return np.concatenate([block.columns[name] for block in blocks(open_source(data).select([name]))])


class Stream:
    """An object that can be asked for its stream again and again."""

    def __init__(self, table):
        self.table, self.asked = table, 0

    def __arrow_c_stream__(self, requested_schema=None):
        self.asked += 1
        return self.table.__arrow_c_stream__(requested_schema)


def test_an_object_is_asked_for_its_stream_by_every_fit_and_once_by_each():
    data = Stream(pa.table({"x": X}))
    for asked in (1, 2):
        reader = Reader(open_source(data).select(["x"]))
        for _ in range(2):
            np.testing.assert_array_equal(np.concatenate([b.columns["x"] for b in reader.full()]), X)
        assert data.asked == asked


def test_a_reader_that_was_read_is_refused_in_one_sentence():
    table = pa.table({"x": X})
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=1_000))
    np.testing.assert_array_equal(column(reader), X)
    with pytest.raises(DataError, match="can be read only once: open it anew"):
        column(reader)


@pytest.mark.parametrize("kind", ["arrow", "csv", "sqlite"])
def test_what_is_large_moves_to_a_file_without_a_name_and_gives_the_same_blocks(tmp_path, monkeypatch, kind):
    table = pa.table({"x": X, "k": np.arange(N)})
    table.to_pandas().to_csv(tmp_path / "t.csv", index=False)
    connection = sqlite3.connect(tmp_path / "t.db")
    connection.execute("create table t (x real, k integer)")
    connection.executemany("insert into t values (?, ?)", zip(X.tolist(), range(N), strict=True))
    connection.commit()
    connection.close()
    data = {"arrow": Stream(table), "csv": tmp_path / "t.csv", "sqlite": f"sqlite:{tmp_path}/t.db: select * from t"}
    (tmp_path / "spill").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spill"))
    held = open_source(data[kind]).select(["k", "x"])
    assert not held.slow
    monkeypatch.setattr(store, "HELD", 1 << 20)
    spilled = open_source(data[kind]).select(["k", "x"])
    assert spilled.slow
    assert spilled.units == held.units
    for _ in range(2):
        for one, two in zip(blocks(held), blocks(spilled), strict=True):
            for name in "xk":
                np.testing.assert_array_equal(one.columns[name], two.columns[name])
    for one, two in zip(blocks(held.select(["x"])), blocks(spilled.select(["x"])), strict=True):
        np.testing.assert_array_equal(one.columns["x"], two.columns["x"])
    one, two = (list(Reader(s).batches(99, seed=1, shuffle=True, epoch=0))[7].columns["x"] for s in (held, spilled))
    np.testing.assert_array_equal(one, two)
    if sys.platform == "linux":
        assert list((tmp_path / "spill").iterdir()) == []
    file = weakref.ref(spilled._file)
    del spilled, two
    assert file() is None


def test_matrix_columns_are_spilled_too(monkeypatch):
    monkeypatch.setattr(store, "HELD", 1 << 20)
    matrix = np.arange(600_000.0).reshape(N, 3)
    values = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), 3)
    table = pa.table({"X": values, "x": X})
    assert open_source(Stream(table)).select(["X"]).slow
    np.testing.assert_array_equal(column(Stream(table), "X"), matrix)
    np.testing.assert_array_equal(column(Stream(table)), X)


def test_a_blank_cell_after_the_file_was_spilled_does_not_shift_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "HELD", 1 << 20)
    (tmp_path / "a.csv").write_text("x,k\n" + "".join(f"{k},{k}\n" for k in range(70_000)))
    (tmp_path / "b.csv").write_text("x,k\n" + "".join(f"{k},{k}\n" for k in range(N)) + "  ,7\n")
    np.testing.assert_array_equal(column(str(tmp_path / "*.csv")), [*range(70_000), *range(N), np.nan])


def test_a_full_temporary_folder_is_one_sentence(monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(store, "HELD", 1 << 20)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: Full())
    with pytest.raises(DataError, match=r"copy cannot be written to .* \(No space left on device\); set TMPDIR"):
        column(Stream(pa.table({"x": X})))


def test_a_dataset_and_a_scanner_are_tables(tmp_path):
    pq.write_table(pa.table({"x": X, "year": [2020] * N}), tmp_path / "a.parquet", row_group_size=9_000)
    dataset = pa.dataset.dataset(tmp_path)
    np.testing.assert_array_equal(column(dataset), X)
    np.testing.assert_array_equal(column(dataset.scanner(columns=["x"])), X)
    np.testing.assert_array_equal(column(dataset.filter(pa.dataset.field("x") > 0)), X[X > 0])


# databases ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["adbc", "sqlite3"])
def database(request, tmp_path, monkeypatch):
    """A file of SQLite, read through ADBC and, where that is not installed, by the sqlite3 module."""
    if request.param == "adbc":
        pytest.importorskip("adbc_driver_sqlite")
    else:
        monkeypatch.setitem(sys.modules, "adbc_driver_sqlite.dbapi", None)
    connection = sqlite3.connect(tmp_path / "lab.db")
    connection.execute("create table runs (x, n integer, note text, w real)")
    rows = [(k, k, "a", None if k % 2 else 0.5) for k in range(3_000)] + [(2.5, None, "b", 1)]
    connection.executemany("insert into runs values (?, ?, ?, ?)", rows)
    connection.execute("create table late (x)")
    connection.executemany("insert into late values (?)", [(k,) for k in range(3_000)] + [("red",)])
    connection.execute("create table void (x real)")
    connection.commit()
    connection.close()
    return tmp_path / "lab.db"


def test_a_column_is_float64_whatever_its_first_rows_look_like(database):
    np.testing.assert_array_equal(column(f"sqlite:{database}: select x from runs"), [*range(3_000), 2.5])
    np.testing.assert_array_equal(column(f"sqlite:{database}: select n as x from runs"), [*range(3_000), np.nan])
    np.testing.assert_array_equal(
        column(f"sqlite:{database}:\nSELECT w AS x\nFROM runs"), [0.5, np.nan] * 1_500 + [1.0]
    )
    with_ = f"sqlite:{database}: with half as (select x/2.0 as x from runs) select x from half order by x desc"
    assert column(with_)[0] == 1499.5


SQL = {
    "no query": ("sqlite:{}", "a query is missing; write select * from (tables: runs, late, void)"),
    "no such file": ("sqlite:no.db: select 1", "no file 'no.db'"),
    "no such table": ("sqlite:{}: select * from rums", "the query of lab.db no such table: rums"),
    "no such column": ("sqlite:{}: select y from runs", "the query of lab.db no such column: y"),
    "syntax": ("sqlite:{}: select from", "the query of lab.db syntax error"),
    "change": ("sqlite:{}: with a as (select 1) delete from runs", "the query of lab.db readonly"),
    "late text": ("sqlite:{}: select * from late", "column 'x' of lab.db text ('red' in row 3,000)"),
    "text": ("sqlite:{}: select note as x from runs", "column 'x' of lab.db text ('a' in row 0)"),
    "no rows": ("sqlite:{}: select * from void", "the query of lab.db no rows"),
    "absent": ("sqlite:{}: select n from runs", "no column 'x' in lab.db, which has 'n'"),
    "twice": ("sqlite:{}: select x, x from runs", "more than one column of lab.db is named 'x'"),
    "two queries": ("sqlite:{}: select x from runs; select 1", "the query of lab.db"),
}


@pytest.mark.parametrize("case", SQL)
def test_a_query_that_gives_no_table_is_refused_in_one_sentence(database, monkeypatch, case):
    monkeypatch.chdir(database.parent)
    text, words = SQL[case]
    with pytest.raises(DataError) as caught:
        column(text.format(database))
    message = str(caught.value)
    print(message)
    assert "\n" not in message
    assert len(message) < 300
    for word in words.split():
        assert word in message


def test_a_file_that_is_no_database_is_refused(database):
    other = database.with_name("no.db")
    other.write_text("hello, I am no database at all" * 99)
    with pytest.raises(DataError, match=r"the query of no.db cannot be read: file is not a database"):
        column(f"sqlite:{other}: select * from runs")
    with pytest.raises(DataError, match="a query is missing"):
        column(f"sqlite:{other}")


def test_any_connection_with_a_cursor_serves(database):
    connection = sqlite3.connect(database)
    np.testing.assert_array_equal(column((connection, "select x from runs")), [*range(3_000), 2.5])
    with pytest.raises(DataError, match="the query cannot be read: no such table: rums"):
        column((connection, "select x from rums"))
    with pytest.raises(DataError, match="'red' in row 3,000"):
        column((connection, "select x from late"))
    with pytest.raises(DataError, match="the query gives no columns"):
        column((connection, "create temporary table t (x)"))
    connection.close()
    with pytest.raises(DataError, match="closed database"):
        column((connection, "select x from runs"))


def test_duckdb_gives_relations_and_answers():
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    query = "select range * 0.5::double as x, range::hugeint as h, (range / 4)::decimal(9, 2) as d from range(100000)"
    relation = connection.sql(query)
    for data in (relation, (connection, query)):
        for _ in range(2):
            np.testing.assert_array_equal(column(data), np.arange(100_000) * 0.5)
        np.testing.assert_array_equal(column(data, "h"), np.arange(100_000))
        np.testing.assert_array_equal(column(data, "d")[:2], [0, 0.25])
    with pytest.raises(DataError, match=r"give \(connection, 'select ...'\)"):
        open_source(connection)
    with pytest.raises(DataError, match="the query cannot be read"):
        column((connection, "select * from nothing"))
    broken = connection.sql("select range as i, error('boom') as x from range(10)")
    with pytest.raises(DataError, match=r"DuckDBPyRelation cannot be read|text"):
        column(broken)
    connection.close()
    with pytest.raises(DataError, match="DuckDBPyRelation cannot be read"):
        column(relation)


def broken_batches():
    yield pa.record_batch({"x": [1.0]})
    raise RuntimeError("the cable\nis unplugged")


OBJECTS = {
    "breaks in the middle": (
        lambda: pa.RecordBatchReader.from_batches(pa.schema({"x": pa.float64()}), broken_batches()),
        "the RecordBatchReader cannot be read cable is unplugged",
    ),
    "text": (lambda: Stream(pa.table({"x": ["red"]})), "column 'x' holds text ('red' in row 0)"),
    "dates": (lambda: Stream(pa.table({"x": pa.array([1], pa.date32())})), "column 'x' dates"),
    "lists": (lambda: Stream(pa.table({"x": [[1.0]]})), "column 'x' lists"),
    "absent": (lambda: Stream(pa.table({"u": [1.0]})), "no column 'x' in data, which has 'u'"),
    "no rows": (lambda: Stream(pa.table({"x": pa.array([], pa.float64())})), "the Stream gives no rows"),
    "no columns": (lambda: Stream(pa.table({})), "the Stream gives no columns"),
    "no stream": (
        lambda: type("Odd", (), {"__arrow_c_stream__": lambda self, requested_schema=None: 7})(),
        "the Odd cannot be read",
    ),
    "raises": (
        lambda: type("Odd", (), {"__arrow_c_stream__": lambda self, requested_schema=None: 1 / 0})(),
        "the Odd cannot be read: division by zero",
    ),
    "structured, text": (lambda: np.zeros(2, [("x", "U3")]), "column 'x' holds text"),
    "structured, nested": (lambda: np.zeros(2, [("x", [("u", float)])]), "column 'x' not numbers"),
    "structured, two dimensions": (
        lambda: np.zeros((2, 2), [("x", float)]),
        "of 2 dimensions (rows,)",
    ),
    "structured, no rows": (lambda: np.zeros(0, [("x", float)]), "data has no rows"),
    "query without connection": (lambda: (3, "select 1"), "a query needs a connection not a int"),
    "connection alone": (lambda: sqlite3.connect(":memory:"), "Connection alone (connection, 'select ...')"),
}


@pytest.mark.parametrize("case", OBJECTS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_object_that_gives_no_table_is_refused_in_one_sentence(case):
    make, words = OBJECTS[case]
    with pytest.raises(DataError) as caught:
        column(make())
    message = str(caught.value)
    print(message)
    assert "\n" not in message
    assert len(message) < 240
    for word in words.split():
        assert word in message


def test_a_structured_array_has_matrix_columns_and_masks():
    array = np.zeros(3, [("x", ">f4"), ("X", float, (2,))])
    array["x"] = [1, 2, 3]
    np.testing.assert_array_equal(column(array), [1, 2, 3])
    assert column(array, "X").shape == (3, 2)
    masked = np.ma.array(array, mask=[(False, False), (True, False), (False, False)])
    np.testing.assert_array_equal(column(masked), [1, np.nan, 3])
    np.testing.assert_array_equal(column(array.view(np.recarray)), [1, 2, 3])


def test_python_values_become_float64_cell_by_cell():
    class Cursor:
        description = (("x", None), ("y", None))
        left = ([(1, None), (2.5, True), (Decimal("0.1"), 10**400)], [])

        def fetchmany(self, rows):
            found, *self.left = self.left
            return found

    ((rows, columns),) = Cells(Cursor()).pieces({"x": 0, "y": 1}, "data")
    assert rows == 3
    np.testing.assert_array_equal(columns["x"], [1, 2.5, 0.1])
    np.testing.assert_array_equal(columns["y"], [np.nan, 1, np.inf])


def test_a_stream_is_closed_when_it_is_read_or_dropped():
    closed = []
    for read in (True, False):
        table = pa.table({"x": [1.0]})
        stream = Batches(pa.RecordBatchReader.from_stream(table), lambda: closed.append(read))  # noqa: B023
        if read:
            stream.close()
        del stream
    assert closed == [True, False]
