"""One fit through every source, each beside its reader alone; and the peak memory of Parquet and CSV as rows grow.

    python bench/sources.py [rows] [most]

`rows` (1e6) are those of the first table, `most` (5e7) the largest file of the second. Files go to a temporary folder.
Every size of the second table is a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import gzip
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq

import steepest
from steepest.data import blocks, open_source

FORMULA = "y = a*exp(-b*x) + c"
START = {"a": 4.0, "b": 1.0, "c": 0.0}
STEPS = 5
SIZES = [1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000]
GROUP = 500_000  # rows of a row group
FLAT = 1.25  # asked: the largest peak at most this, times the peak of the smallest file that exceeds what is held


def columns(rows: int, part: int = 0) -> dict[str, np.ndarray]:
    """x and y on a noisy decay, and a column that no formula uses."""
    random = np.random.default_rng(part)
    x = random.uniform(0.0, 5.0, rows)
    return {"x": x, "y": 5.0 * np.exp(-1.3 * x) + 0.5 + 0.1 * random.standard_normal(rows), "other": np.arange(rows)}


def fitted(data: Any) -> steepest.Fit:
    """A fit of a constant number of passes."""
    return steepest.fit(FORMULA, data, start=START, method="gauss-newton", stop=steepest.Stop(steps=STEPS))


# one fit, every source ----------------------------------------------------------------------------------------------


def sources(folder: Path, table: pa.Table) -> dict[str, Callable[[], Any]]:
    """What makes the data of each source; the files are written here, once."""
    names = ["1.parquet", "1.arrow", "1.feather", "1.csv", "1.csv.gz", "1.tsv"]
    one = {name: folder / name for name in names}
    pq.write_table(table, one["1.parquet"], row_group_size=GROUP)
    feather.write_feather(table, one["1.arrow"], compression="uncompressed")
    feather.write_feather(table, one["1.feather"], compression="lz4")
    pc.write_csv(table, one["1.csv"])
    with one["1.csv"].open("rb") as plain, gzip.open(one["1.csv.gz"], "wb", 1) as packed:
        shutil.copyfileobj(plain, packed)
    pc.write_csv(table, one["1.tsv"], pc.WriteOptions(delimiter="\t"))
    for form in ("parquet", "csv"):
        (folder / form).mkdir()
        for part, (start, stop) in enumerate(pairwise(np.linspace(0, len(table), 8).astype(int).tolist()), 5):
            write = pq.write_table if form == "parquet" else pc.write_csv
            write(table.slice(start, stop - start), folder / form / f"part-{part}.{form}")
    with sqlite3.connect(folder / "t.db") as connection:
        connection.execute("create table t (x real, y real, other integer)")
        connection.executemany("insert into t values (?, ?, ?)", zip(*table.to_pydict().values(), strict=True))
    connection.close()
    data = {name: table[name].to_numpy() for name in table.column_names}
    structured = np.rec.fromarrays(list(data.values()), names=list(data))

    def polars() -> Any:
        import polars as pl

        return pl.DataFrame(data)

    def pandas() -> Any:
        import pandas as pd

        return pd.DataFrame(data)

    def duckdb() -> Any:
        import duckdb

        return duckdb.connect().read_parquet(str(one["1.parquet"]))

    def adbc() -> Any:
        from adbc_driver_sqlite import dbapi

        return dbapi.connect(str(folder / "t.db")), "select * from t"

    return {
        "dict of arrays": lambda: data,
        "structured array": lambda: structured,
        "pandas": pandas,
        "Polars": polars,
        "Arrow table": lambda: table,
        "Arrow stream": lambda: pa.RecordBatchReader.from_batches(table.schema, table.to_batches(65_536)),
        "Parquet, 1 file": lambda: one["1.parquet"],
        "Parquet, 7 files": lambda: folder / "parquet",
        "Arrow IPC": lambda: one["1.arrow"],
        "Arrow IPC, lz4": lambda: one["1.feather"],
        "DuckDB relation": duckdb,
        "sqlite, ADBC": adbc,
        "sqlite: text": lambda: f"sqlite:{folder / 't.db'}: select x, y from t",
        "CSV, 1 file": lambda: one["1.csv"],
        "CSV, 7 files": lambda: str(folder / "csv" / "*.csv"),
        "CSV, gzip": lambda: one["1.csv.gz"],
        "TSV": lambda: one["1.tsv"],
    }


def first_pass(data: Any) -> float:
    """Seconds of opening, selecting and one pass of the reader alone."""
    start = time.perf_counter()
    for _ in blocks(open_source(data).select(["x", "y"])):
        pass
    return time.perf_counter() - start


def every_source(rows: int, rounds: int = 3) -> None:
    made = columns(rows)
    table = pa.table(made)
    reference = fitted(made)
    print(f"{FORMULA}, {rows:,} rows, {reference.passes:g} passes; median of {rounds} rounds")
    print("Mrows/s: rows read in all passes / seconds; reader: rows / seconds of one first pass, nothing summed\n")
    print(f"{'source':<18}{'fit s':>8}{'fit Mrows/s':>13}{'reader Mrows/s':>16}{'largest difference':>20}  asked")
    with tempfile.TemporaryDirectory() as name:
        for source, make in sources(Path(name), table).items():
            try:
                make()
            except ImportError as error:
                print(f"{source:<18}  {error}")
                continue
            seconds, alone = [], []
            for _ in range(rounds):
                alone.append(first_pass(make()))
                data = make()
                start = time.perf_counter()
                fit = fitted(data)
                seconds.append(time.perf_counter() - start)
            differences = [abs(fit.values[n] - v) / abs(v) for n, v in reference.values.items()]
            asked = 1e-12 if source.startswith(("CSV", "TSV")) else 0.0
            verdict = "met" if max(differences) <= asked else "missed"
            took, first = statistics.median(seconds), statistics.median(alone)
            print(
                f"{source:<18}{took:>8.2f}{fit.passes * rows / took / 1e6:>13.1f}{rows / first / 1e6:>16.1f}"
                f"{max(differences):>20.1e}  {'same bits' if not asked else '≤ 1e-12'}, {verdict}"
            )


# peak memory --------------------------------------------------------------------------------------------------------


def write_large(path: Path, rows: int) -> None:
    """A file of `rows` rows, a row group at a time."""
    schema = pa.table(columns(1)).schema
    with (pq.ParquetWriter if path.suffix == ".parquet" else pc.CSVWriter)(path, schema) as writer:
        for part, start in enumerate(range(0, rows, GROUP)):
            writer.write_table(pa.table(columns(min(GROUP, rows - start), part), schema))


def measure(path: str) -> None:
    """In a process of its own: fit, then print peak MiB, seconds, passes."""
    start = time.perf_counter()
    fit = fitted(path)
    print(peak(), time.perf_counter() - start, fit.passes)


def peak() -> float:
    """The largest resident size of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux ru_maxrss begins with the size of the process that started this one
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line[:6] == "VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def memory(most: int) -> None:
    print("peak resident memory of a whole process with one fit; above 64 MiB of used columns nothing is held\n")
    print(f"{'file':<10}{'rows':>12}{'file MB':>10}{'peak MiB':>10}{'s':>8}{'Mrows/s':>9}  asked")
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".parquet", ".csv"):
            base = None
            for rows in (size for size in SIZES if size <= most):
                path = Path(folder) / f"large{ending}"
                write_large(path, rows)
                command = [sys.executable, __file__, "--measure", str(path)]
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                most_held, seconds, passes = map(float, out.split())
                asked = ""
                if rows * 16 > 64 << 20:
                    base = base or most_held
                    asked = f"≤ {FLAT * base:.0f}  {'met' if most_held <= FLAT * base else 'missed'}"
                print(
                    f"{ending[1:]:<10}{rows:>12,}{path.stat().st_size / 1e6:>10,.0f}{most_held:>10.0f}{seconds:>8.1f}"
                    f"{passes * rows / seconds / 1e6:>9.1f}  {asked}".rstrip()
                )
                path.unlink()


def main(rows: str = "1e6", most: str = "5e7") -> None:
    every_source(int(float(rows)))
    print()
    memory(int(float(most)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    else:
        main(*sys.argv[1:3])
