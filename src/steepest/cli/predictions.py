"""Predictions as one column, to a file or to a stream."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TextIO

from ..errors import FitError
from ..types import Array

COLUMN = "prediction"


def write(values: Array, out: str | None, stream: TextIO) -> None:
    """CSV to the stream, or to the file `out`: CSV or Parquet by its ending; NaN is an empty cell, a null.

    A file appears whole or not at all. Raises FitError where it cannot be written.
    """
    if out is None:
        _csv(values, stream)
        return
    target = Path(out)
    partial = target.with_name(target.name + ".part")
    try:
        if target.suffix.lower() == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table({COLUMN: pa.array(values, from_pandas=True)}), partial)
        else:
            with partial.open("w", encoding="utf-8", newline="") as file:
                _csv(values, file)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FitError(f"{out} cannot be written: {error.strerror or error}") from error


def _csv(values: Array, stream: TextIO) -> None:
    stream.write(COLUMN + "\n")
    for start in range(0, len(values), 10_000):
        # a lone empty cell would be a blank line, which readers skip: quotes keep the row
        cells = ('""' if math.isnan(v) else repr(v) for v in values[start : start + 10_000].tolist())
        stream.write("\n".join(cells) + "\n")
