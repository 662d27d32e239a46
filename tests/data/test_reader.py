"""Which rows a fit uses, in which order."""

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steepest.data import UNIT, Reader, blocks, open_source
from steepest.data.order import WINDOW, unit_order, window_permutation
from steepest.errors import DataError

NAN, INF = np.nan, np.inf


def reader(data, columns=None, **options):
    return Reader(open_source(data).select(list(data) if columns is None else columns), **options)


def used(read, name="x"):
    """The values of the rows that a pass or an epoch uses."""
    parts = list(read)
    values = [part.columns[name] if part.live is None else part.columns[name][part.live] for part in parts]
    return np.concatenate(values)


def test_a_null_drops_the_row_and_is_counted_by_column():
    rows = reader({"x": [1, None, 3, None, 5], "y": [1, None, NAN, 4, 5], "z": [0] * 5})
    (block,) = rows.full()
    assert block.live.tolist() == [True, False, False, False, True]
    assert (rows.used, rows.dropped, rows.dropped_by_column) == (2, 3, {"x": 2, "y": 2})


def test_where_acts_first_and_its_false_rows_are_neither_checked_nor_counted():
    data = {"x": [1, NAN, INF, 4, NAN], "keep": [1, 0, 0, 1, 1]}
    rows = reader(data, condition=lambda block: block.columns["keep"] > 0)
    assert used(rows.full()).tolist() == [1, 4]
    assert (rows.used, rows.dropped, rows.dropped_by_column) == (2, 1, {"x": 1})


def test_where_sees_nan_and_a_comparison_with_it_is_false():
    rows = reader({"x": [1, NAN, -1]}, condition=lambda block: block.columns["x"] > 0)
    assert used(rows.full()).tolist() == [1]
    assert rows.dropped == 0


def test_a_null_drops_the_row_before_its_infinite_value_is_seen():
    rows = reader({"x": [1, INF], "y": [1, NAN]})
    assert used(rows.full()).tolist() == [1]


def test_a_matrix_row_with_one_nan_is_one_dropped_row():
    rows = reader({"x": [1, 2, 3], "X": [[1, 2], [NAN, NAN], [3, NAN]]})
    assert used(rows.full()).tolist() == [1]
    assert (rows.dropped, rows.dropped_by_column) == (2, {"X": 2})


def test_pandas_drops_the_same_rows():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200_000, 3)), columns=list("xyz")).mask(rng.random((200_000, 3)) < 0.001)
    rows = reader(frame)
    np.testing.assert_array_equal(used(rows.full()), frame.dropna()["x"])
    assert rows.used == len(frame.dropna())
    assert rows.dropped_by_column == frame.isna().sum().to_dict()


def test_a_zero_weight_drops_the_row_without_counting_it():
    rows = reader({"x": [1, 2, NAN], "w": [1, 0, NAN]}, weight=lambda block: block.columns["w"])
    assert used(rows.full()).tolist() == [1]
    assert (rows.used, rows.dropped) == (1, 1)


def test_a_weight_is_not_judged_on_dead_rows():
    data = {"x": [1, NAN, 3], "w": [1, -1, -1], "keep": [1, 1, 0]}
    rows = reader(data, condition=lambda b: b.columns["keep"] > 0, weight=lambda b: b.columns["w"])
    assert used(rows.full()).tolist() == [1]


def test_a_block_of_live_rows_has_no_mask_and_no_copy():
    x = np.ones(3 * UNIT)
    x[UNIT] = NAN
    rows = reader({"x": x})
    for _ in range(2):
        assert [block.live is None or block.live.all() for block in rows.full()] == [True, False, True]
        assert all(np.shares_memory(block.columns["x"], x) for block in rows.full())


def test_a_table_in_memory_is_screened_once():
    seen = []

    def condition(block):
        seen.append(block.first_row)
        return block.columns["x"] > 0

    x = np.ones(3 * UNIT)
    x[UNIT] = 0
    rows = reader({"x": x}, condition=condition)
    assert len(used(rows.batches(7_000, seed=0, shuffle=True, epoch=0))) == 3 * UNIT - 1
    for most in (UNIT, 4 * UNIT):
        whole = [block.live for block in rows.full(most)]
        np.testing.assert_array_equal(np.concatenate(whole), x > 0)
    list(rows.windows(7_000, seed=0, shuffle=False, epoch=0))
    assert seen == [0, UNIT, 2 * UNIT]


def test_later_passes_over_a_file_screen_only_the_blocks_with_dead_rows(tmp_path):
    seen = []

    def condition(block):
        seen.append(block.first_row)
        return block.columns["x"] > 0

    x = np.ones(3 * UNIT)
    x[UNIT] = 0
    rows = reader(parquet(tmp_path, x, UNIT), ["x"], condition=condition)
    for _ in range(2):
        list(rows.full())
    assert seen == [0, UNIT, 2 * UNIT, UNIT]


def test_a_pass_over_a_file_that_is_broken_off_leaves_no_counts(tmp_path):
    x = np.ones(3 * UNIT)
    x[0] = NAN
    rows = reader(parquet(tmp_path, x, UNIT), ["x"])
    next(rows.full())
    assert (rows.used, rows.dropped, rows.dropped_by_column) == (0, 0, {})
    list(rows.full())
    list(rows.full())
    assert (rows.used, rows.dropped, rows.dropped_by_column) == (3 * UNIT - 1, 1, {"x": 1})


def test_passes_count_the_rows_that_were_read():
    rows = reader({"x": np.ones(1000)})
    list(rows.full())
    list(rows.batches(300, seed=0, shuffle=True, epoch=0, skip=2))
    assert rows.passes == 1.4


def parquet(folder, x, group):
    pq.write_table(pa.table({"x": x, "row": np.arange(len(x))}), folder / "part.parquet", row_group_size=group)
    return folder / "part.parquet"


def test_an_infinite_value_is_refused_by_file_row_column_and_value(tmp_path):
    x = np.zeros(100_000)
    x[81_204] = -INF
    frame = pd.DataFrame({"x": x})
    frame.to_csv(tmp_path / "a.csv", index=False)
    for data, place in (
        ({"x": x}, "row 81,204"),
        (tmp_path / "a.csv", "line 81,206 of a.csv"),
        (parquet(tmp_path, x, 999), "row 81,204 of part.parquet"),
    ):
        rows = reader(data, ["x"])
        for read in (rows.full(), rows.batches(7, seed=0, shuffle=True, epoch=0)):
            with pytest.raises(DataError) as caught:
                list(read)
            assert str(caught.value).startswith(f"-inf in column 'x' at {place};")


def test_the_first_infinite_value_is_named_and_the_entry_of_a_matrix():
    with pytest.raises(DataError, match=r"^-inf in column 'X' at row 1;"):
        list(reader({"x": [0, 0, INF], "X": [[0, 0], [1, -INF], [INF, 0]]}).full())


@pytest.mark.parametrize("weight", [-1, NAN, INF])
def test_a_weight_that_is_negative_or_not_finite_is_refused_by_its_place(weight):
    rows = reader({"x": [1, 2]}, weight=lambda block: np.array([1.0, weight]))
    with pytest.raises(DataError, match=rf"the weight is {weight:g} at row 1"):
        list(rows.full())


def test_a_table_without_a_live_row_is_refused_with_the_reason():
    with pytest.raises(DataError, match=r"no row of data is left.* 2 rows 2 lack a value \(by column: 'x' 1, 'y' 1\)"):
        list(reader({"x": [NAN, 1], "y": [1, NAN]}).full())
    with pytest.raises(DataError, match="no row of data is left"):
        list(reader({"x": [1, 1]}, condition=lambda block: block.columns["x"] > 1).full())


N = 3 * UNIT + 777
ROW = np.arange(float(N))


def sources(folder):
    return {"x": ROW}, parquet(folder, ROW, 50_021), parquet(folder, ROW, 999)


def expected_order(units, seed, epoch):
    """SEMANTICS, Order, by brute force."""
    starts = np.cumsum([0, *units])
    stream = np.concatenate([ROW[starts[u] : starts[u + 1]] for u in unit_order(seed, epoch, len(units))])
    windows = [stream[at : at + WINDOW] for at in range(0, N, WINDOW)]
    return np.concatenate([w[window_permutation(seed, epoch, k, len(w))] for k, w in enumerate(windows)])


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("size", [10_000, WINDOW, 100_003, N, 2 * N])
def test_an_epoch_is_the_order_cut_into_batches(tmp_path, kind, size):
    rows = reader(sources(tmp_path)[kind], ["x"])
    order = expected_order(rows.source.units, 5, 2)
    assert sorted(order) == ROW.tolist()
    parts = list(rows.batches(size, seed=5, shuffle=True, epoch=2))
    np.testing.assert_array_equal(np.concatenate([part.columns["x"] for part in parts]), order)
    assert [part.first_row for part in parts] == list(range(0, N, size))
    assert [part.rows for part in parts] == [min(size, N - at) for at in range(0, N, size)]
    assert rows.passes == 1


@pytest.mark.parametrize("kind", range(3))
def test_without_shuffling_the_order_is_that_of_the_file(tmp_path, kind):
    rows = reader(sources(tmp_path)[kind], ["x"])
    parts = list(rows.batches(10_000, seed=5, shuffle=False, epoch=2))
    np.testing.assert_array_equal(np.concatenate([part.columns["x"] for part in parts]), ROW)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2 * N), st.integers(0, 50), st.booleans())
def test_a_resumed_epoch_goes_on_where_it_stopped(size, skip, shuffle):
    rows = reader({"x": ROW})
    size = max(size, N // 60)
    whole = list(rows.batches(size, seed=1, shuffle=shuffle, epoch=0))
    rest = list(rows.batches(size, seed=1, shuffle=shuffle, epoch=0, skip=skip))
    assert [part.first_row for part in rest] == [part.first_row for part in whole[skip:]]
    for one, two in zip(whole[skip:], rest, strict=True):
        np.testing.assert_array_equal(one.columns["x"], two.columns["x"])


class Foreign:
    """A table in memory that a Reader does not know as one: it is read unit by unit, at once."""

    def __init__(self, data):
        self.read = Counter()
        self._table = open_source(data).select(list(data))

    def __getattr__(self, name):
        return getattr(self._table, name)

    def pieces(self, unit):
        self.read[unit] += 1
        return self._table.pieces(unit)


def test_skipping_reads_no_unit_before_the_window():
    source = Foreign({"x": ROW})
    rows, read = Reader(source), source.read
    first = next(rows.batches(100, seed=0, shuffle=False, epoch=0, skip=2 * UNIT // 100 + 1))
    assert first.first_row == 2 * UNIT // 100 * 100 + 100
    assert read == {2: 1}
    list(rows.batches(100, seed=0, shuffle=True, epoch=0))
    assert read == {0: 1, 1: 1, 2: 2, 3: 1}
    skipped = 3 * UNIT // 100 + 1
    list(rows.windows(100, seed=0, shuffle=False, epoch=0, skip=skipped))
    assert read == {0: 1, 1: 1, 2: 2, 3: 2}


def test_large_batches_walk_the_order_of_small_ones():
    rows = reader({"x": ROW})
    small = rows.batches(32, seed=0, shuffle=True, epoch=7)
    large = rows.batches(32 * 2048, seed=0, shuffle=True, epoch=7)
    np.testing.assert_array_equal(used(small), used(large))


@pytest.mark.parametrize("size", [1, 7, 40_000])
@pytest.mark.parametrize("passed", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("source", ["table", "foreign"])
def test_dropped_rows_stay_in_their_batch_and_are_marked(size, passed, shuffle, source):
    n = 70_001 if size > 1 else 3_000
    x = np.arange(float(n))
    x[::3] = NAN
    data, wanted = {"x": x, "row": np.arange(n)}, lambda block: block.columns["row"] % 5 > 0
    rows = Reader(Foreign(data), condition=wanted) if source == "foreign" else reader(data, condition=wanted)
    if passed:
        list(rows.full())
    parts = list(rows.batches(size, seed=0, shuffle=shuffle, epoch=0))
    assert [part.rows for part in parts] == [min(size, n - at) for at in range(0, n, size)]
    alive = np.flatnonzero(~np.isnan(x) & (np.arange(n) % 5 > 0))
    assert sorted(used(parts)) == alive.tolist()
    everything = np.concatenate([part.columns["row"] for part in parts])
    assert sorted(everything) == list(range(n))
    known = passed or source == "table"  # a table in memory is screened whole, whichever way it is read first
    assert rows.dropped == (int((np.isnan(x) & (np.arange(n) % 5 > 0)).sum()) if known else 0)


def test_matrix_rows_stay_together_in_a_shuffled_batch():
    matrix = np.stack([ROW, -ROW], axis=1)
    for part in reader({"x": ROW, "X": matrix}).batches(5000, seed=0, shuffle=True, epoch=0):
        np.testing.assert_array_equal(part.columns["X"], np.stack([part.columns["x"], -part.columns["x"]], axis=1))
        assert part.columns["X"].flags.c_contiguous


def test_a_full_pass_gives_the_blocks_of_the_source():
    source = open_source({"x": ROW}).select(["x"])
    shapes = [(block.first_row, block.rows) for block in blocks(source)]
    assert [(block.first_row, block.rows) for block in Reader(source).full()] == shapes


def uneven(rows):
    """Columns of `rows` rows: some lack a value, some are not wanted, some weigh nothing."""
    rng = np.random.default_rng(rows)
    x = np.where(rng.random(rows) < 0.01, NAN, np.arange(float(rows)))
    return {"x": x, "keep": rng.integers(0, 9, rows), "w": rng.integers(0, 5, rows) / 4}


SCREENS = {
    "condition": lambda block: np.asarray(block.columns["keep"]) > 0,
    "weight": lambda block: np.asarray(block.columns["w"], float),
}


def walked(pieces):
    """The rows of pieces, each taken in its order, as one array a column and one of live rows."""
    taken = []
    for block, order in pieces:
        rows = slice(None) if order is None else order
        live = np.ones(block.rows, bool) if block.live is None else block.live
        taken.append({name: column[rows] for name, column in block.columns.items()} | {"live": live[rows]})
    return {name: np.concatenate([part[name] for part in taken]) for name in taken[0]} if taken else {}


def check_windows(rows, size, shuffle, skip):
    """Rows and masks of `windows` are those of `batches`, bit for bit, in whole batches; whoever takes them counts."""
    how = {"seed": 4, "shuffle": shuffle, "epoch": 1, "skip": skip}
    expected = walked((block, None) for block in rows.batches(size, **how))
    before, lengths, pieces = rows.rows_read, [], []
    for block, order in rows.windows(size, **how):
        lengths.append(block.rows if order is None else len(order))
        assert order is None or (order.dtype == np.int64 and order.flags.c_contiguous)
        assert order is None or len(order) <= max(WINDOW, size)
        assert rows.rows_read == before
        pieces.append((block, order))
    found = walked(pieces)
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column, strict=True)
    assert sum(lengths) == max(rows.rows - skip * size, 0)
    assert all(length % size == 0 for length in lengths[:-1])
    assert 0 not in lengths
    return pieces


SIZES = [7, 32, 100, 60_000, UNIT, 70_000, 200_000]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 99, 2 * UNIT, 2 * UNIT + 4_321])
def test_windows_hand_out_the_rows_of_batches_in_large_pieces(count, size, shuffle):
    data = uneven(count)
    data["keep"][0], data["w"][0], data["x"][0] = 1, 1, 0  # one row is left
    data["X"] = np.stack([data["w"], data["x"]], axis=1)
    for rows in (reader(data, **SCREENS), Reader(Foreign(data), **SCREENS)):
        for skip in sorted({0, 1, count // size // 2, UNIT // size + 1, count // size, count // size + 1}):
            check_windows(rows, size, shuffle, skip)


@pytest.mark.parametrize("shuffle", [False, True])
def test_windows_hand_out_batches_of_one_row(shuffle):
    data = uneven(UNIT + 50)
    for skip in (0, UNIT - 10, UNIT + 50):
        check_windows(reader(data, **SCREENS), 1, shuffle, skip)


@pytest.mark.parametrize("group", [999, 50_021, 150_000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_windows_of_a_file_are_those_of_its_batches(tmp_path, group, shuffle):
    data = uneven(150_000)
    pq.write_table(pa.table(data), tmp_path / "part.parquet", row_group_size=group)
    rows = reader(tmp_path / "part.parquet", list(data), **SCREENS)
    for size in SIZES:
        for skip in (0, 70_001 // size):
            for block, _ in check_windows(rows, size, shuffle, skip):
                assert block.rows <= max(WINDOW, size)


def test_a_table_in_the_order_of_its_rows_is_one_piece_and_no_copy():
    rows = reader({"x": ROW})
    for skip in (0, 700):
        ((block, order),) = check_windows(rows, 100, False, skip)
        assert order is None
        assert (block.first_row, block.rows) == (100 * skip, N - 100 * skip)
        assert np.shares_memory(block.columns["x"], ROW)


def test_shuffled_windows_of_a_table_are_orders_of_one_block_and_no_copy():
    rows = reader({"x": ROW})
    pieces = check_windows(rows, 100, True, 0)
    assert len(pieces) < 2 * N / WINDOW + 1
    assert len({id(block) for block, _ in pieces}) == 1
    assert pieces[0][0].columns["x"] is rows.source.columns["x"]


def test_shuffled_windows_of_units_are_not_copied_and_batches_that_straddle_them_are():
    x = np.arange(3.0 * UNIT)
    pieces = check_windows(Reader(Foreign({"x": x})), 100, True, 0)
    assert [block.rows for block, _ in pieces] == [UNIT, 100, UNIT, 100, UNIT]
    assert [order is None for _, order in pieces] == [False, True, False, True, False]
    assert [np.shares_memory(block.columns["x"], x) for block, _ in pieces] == [True, False, True, False, True]
