"""Files cut short or with bytes turned over: a table or one sentence, never another error, never a crash."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from steepest.data import blocks, open_source
from steepest.errors import DataError

N = 3_000
TABLE = pa.table({"x": np.random.default_rng(0).normal(size=N), "k": np.arange(N)})


def text(path):
    TABLE.to_pandas().to_csv(path, index=False)


WRITE = {
    "t.parquet": lambda path: pq.write_table(TABLE, path, row_group_size=700, write_page_checksum=True),
    "t.arrow": lambda path: feather.write_feather(TABLE, path, compression="uncompressed", chunksize=700),
    "t.feather": lambda path: feather.write_feather(TABLE, path, compression="zstd", chunksize=700),
    "t.csv": text,
    "t.csv.gz": text,
}
CHECKED = {"t.parquet", "t.csv.gz"}  # these carry checksums: damage among the values is found


def columns(path):
    parts = list(blocks(open_source(path).select(["x", "k"])))
    return {name: np.concatenate([part.columns[name] for part in parts]) for name in ("x", "k")}


def outcome(path):
    """The columns, or what is said instead."""
    try:
        return columns(path), None
    except DataError as error:
        return None, str(error)


@pytest.mark.parametrize("name", WRITE)
def test_a_file_cut_short_is_a_sentence(tmp_path, name):
    WRITE[name](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for length in np.linspace(0, len(whole) - 1, 40).astype(int).tolist():
        (tmp_path / name).write_bytes(whole[:length])
        found, said = outcome(tmp_path / name)
        if said is not None:
            assert name in said
            assert "\n" not in said
        else:
            assert name == "t.csv"  # whose rows are all there is to know
            assert len(found["x"]) <= N


@pytest.mark.parametrize("name", WRITE)
def test_bytes_turned_over_give_a_table_or_a_sentence(tmp_path, name):
    WRITE[name](tmp_path / name)
    whole, sound = (tmp_path / name).read_bytes(), columns(tmp_path / name)
    rng = np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(whole)
        at = int(rng.integers(len(whole)))
        for place in range(at, min(at + int(rng.integers(1, 9)), len(whole))):
            damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / name).write_bytes(damaged)
        found, said = outcome(tmp_path / name)
        if said is not None:
            assert "\n" not in said
            assert len(said) < 300
        elif name in CHECKED:
            for column, values in found.items():
                np.testing.assert_array_equal(values, sound[column])


def test_packed_members_in_a_row_are_one_file(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"x,k\n1,2\n") + gzip.compress(b"3,4\n"))
    assert columns(tmp_path / "t.csv.gz")["x"].tolist() == [1, 3]


def test_an_arrow_stream_and_an_old_feather_file_are_told_from_an_arrow_file(tmp_path):
    with pa.ipc.new_stream(tmp_path / "t.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE)
    with pytest.raises(DataError, match=r"t.arrow is an Arrow stream, not an Arrow file; give pyarrow.ipc.open_stream"):
        columns(tmp_path / "t.arrow")
    (tmp_path / "t.feather").write_bytes(b"FEA1 something")
    with pytest.raises(DataError, match="Feather file of version 1"):
        columns(tmp_path / "t.feather")
