"""Units that are read by threads while the ones before are in use."""

import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepest.data import blocks, files, open_source
from steepest.data.ahead import LANES, ahead


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_pieces_come_in_the_order_of_the_units_whichever_is_read_first(count):
    def pieces(unit):
        for part in range(unit % 3):  # units without a piece among them
            time.sleep(0.002 * (unit % 2))
            yield unit, part

    assert list(ahead(range(count), pieces)) == [(unit, part) for unit in range(count) for part in range(unit % 3)]


def test_as_many_units_are_read_at_once_as_there_are_lanes():
    together = threading.Barrier(LANES, timeout=10)

    def pieces(unit):
        together.wait()  # passes only when every lane is here
        yield unit

    assert list(ahead(range(3 * LANES), pieces)) == list(range(3 * LANES))


def test_what_a_unit_raises_comes_after_the_units_before_it():
    def pieces(unit):
        if unit == 3:
            raise OSError("damaged")
        yield unit

    passing = ahead(range(6), pieces)
    assert [next(passing) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="damaged"):
        next(passing)


def test_no_more_pieces_are_alive_than_one_in_use_and_one_for_each_lane():
    alive, most = set(), []

    class Held:
        def __init__(self, unit):
            self.unit = unit
            alive.add(unit)
            most.append(len(alive))

        def __del__(self):
            alive.discard(self.unit)

    def pieces(unit):
        yield Held(unit)

    for held in ahead(range(50), pieces):
        time.sleep(0.001)
        del held
    assert max(most) == 1 + LANES


def test_two_threads_never_read_by_one_handle(tmp_path, monkeypatch):
    rows = 40_000
    pq.write_table(pa.table({"x": np.arange(rows, dtype=float)}), tmp_path / "t.parquet", row_group_size=1000)
    monkeypatch.setattr(files, "HELD", 0)
    source = open_source(tmp_path / "t.parquet").select(["x"])
    (file,) = source._files
    busy, shared = set(), []
    plain = file.pieces

    def watched(handle, unit, names):
        shared.append(id(handle) in busy)
        busy.add(id(handle))
        time.sleep(0.001)
        yield from plain(handle, unit, names)
        busy.discard(id(handle))

    monkeypatch.setattr(file, "pieces", watched)
    for _ in range(2):
        found = np.concatenate([block.columns["x"] for block in blocks(source)])
        np.testing.assert_array_equal(found, np.arange(rows))
    assert len(shared) == 80
    assert not any(shared)
