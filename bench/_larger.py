"""Exact linear regression over files of Parquet that are larger than what is held, beside a bare read of them."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from _timing import seconds

FORMULA = "y = a + b*x1 + c*x2"
COLUMNS = ("x1", "x2", "y")
TRUE = (0.5, 2.0, -1.0)
FILES, GROUP = 8, 1 << 20
FOLDER = Path(__file__).resolve().parents[1] / "build" / "larger"


def files(rows: int) -> list[Path]:
    """Two columns and y in several files, written once; they stay in the page cache where memory has room."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = FOLDER / str(rows)
    paths = [folder / f"part-{part}.parquet" for part in range(FILES)]
    folder.mkdir(parents=True, exist_ok=True)
    for part, path in enumerate(paths):
        if path.exists():
            continue
        random = np.random.default_rng(part)
        share = rows // FILES
        x1, x2, noise = random.standard_normal((3, share))
        table = {"x1": x1, "x2": x2, "y": TRUE[0] + TRUE[1] * x1 + TRUE[2] * x2 + 0.1 * noise}
        unfinished = path.with_suffix(".writing")
        pq.write_table(pa.table(table), unfinished, row_group_size=GROUP)
        unfinished.rename(path)
    return paths


def groups(paths: list[Path]) -> Any:
    """The row groups one after the other, as pyarrow reads them with its threads."""
    import pyarrow.parquet as pq

    for path in paths:
        file = pq.ParquetFile(path)
        for group in range(file.metadata.num_row_groups):
            yield file.read_row_group(group, columns=list(COLUMNS), use_threads=True)


def bare_read(paths: list[Path]) -> None:
    for _ in groups(paths):
        pass


def by_blocks(paths: list[Path]) -> np.ndarray:
    """The normal equations summed by NumPy, row group by row group."""
    gram, right = np.zeros((3, 3)), np.zeros(3)
    for table in groups(paths):
        x1, x2, y = (table[name].to_numpy() for name in COLUMNS)
        A = np.stack([np.ones_like(x1), x1, x2])
        gram += A @ A.T
        right += A @ y
    return np.linalg.lstsq(gram, right, rcond=None)[0]


def peak() -> float:
    """MB, of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def larger(rows: int, rounds: int) -> dict[str, Any]:
    """A hundred times the rows of the other sections: the default call and a bare read in turn."""
    import steepest

    subprocess.run([sys.executable, __file__, str(100 * rows)], check=True)  # apart: what it holds is no part of a peak
    paths = files(100 * rows)
    named = [str(path) for path in paths]
    steepest.fit(FORMULA, {name: np.random.default_rng(0).standard_normal(100) for name in COLUMNS})
    few = peak()
    fit = steepest.fit(FORMULA, named)
    found: dict[str, Any] = {"peak": peak(), "peak of few rows": few, "passes": fit.passes, "rows": fit.rows}
    found |= {"status": str(fit.status), "size": sum(path.stat().st_size for path in paths), "files": len(paths)}
    right = by_blocks(paths)
    mine = np.array([fit.values[name] for name in "abc"])
    found["apart"] = float(np.max(np.abs(mine - right) / np.abs(right)))
    calls = {"read": lambda: bare_read(paths), "steepest": lambda: steepest.fit(FORMULA, named)}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(seconds(call))
    return found | {name: statistics.median(times) for name, times in taken.items()}


if __name__ == "__main__":
    files(int(sys.argv[1]))
