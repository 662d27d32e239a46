"""Predictions as one column, block by block, to a file or to a stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ..data.open import input_files
from ..errors import FitError
from ..types import Array

if TYPE_CHECKING:
    from ..result import Fit

COLUMN = "prediction"
GROUP = 1 << 20  # rows of a row group in a Parquet file


def predictions(fit: Fit, data: Any) -> Iterator[Array]:
    """`fit.predict(data)` in consecutive parts; memory does not grow with the rows. Raises DataError as that does."""
    return fit.predict_parts(data)


def refuse_input(out: str | None, saved: str, data: Sequence[str]) -> None:
    """Raise FitError where `out` is a file that is read, or would be read as a part of the data the next time."""
    if out is None:
        return
    target = Path(out)
    files, folders = input_files(data)
    for given in (Path(saved), *files):
        if target.exists() and given.exists() and target.samefile(given):
            raise FitError(f"--out {out} would overwrite the input {given}; give another name")
    for folder in folders:
        if target.parent.is_dir() and target.parent.samefile(folder):
            raise FitError(f"--out {out} would become a part of the input {folder}; write to another folder")
    for pattern in data:
        if target.suffix and not Path(pattern).exists() and target.absolute().match(str(Path(pattern).absolute())):
            raise FitError(f"--out {out} would fit the input {pattern}; give another name")


def write(parts: Array | Iterable[Array], out: str | None, stream: TextIO) -> int:
    """CSV to the stream, or to the file `out`: CSV or Parquet by its ending; NaN is an empty cell, a null.

    Returns the number of predictions. A file appears whole or not at all. Raises FitError where it cannot be written.
    """
    if isinstance(parts, np.ndarray):
        parts = [parts]
    if out is None:
        return _csv(parts, stream)
    target = Path(out)
    partial = target.with_name(target.name + ".part")
    form: Callable[[Iterable[Array], Path], int] = _parquet if target.suffix.lower() == ".parquet" else _csv_file
    try:
        written = form(parts, partial)
        partial.replace(target)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise FitError(f"{out} cannot be written: {error.strerror or error}") from error
        raise
    return written


def _csv_file(parts: Iterable[Array], path: Path) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        return _csv(parts, file)


def _csv(parts: Iterable[Array], stream: TextIO) -> int:
    written = 0
    for values in parts:
        if not written:  # not before the first part is there: an error then leaves the stream empty
            stream.write(COLUMN + "\n")
        for start in range(0, len(values), 10_000):
            # a lone empty cell would be a blank line, which readers skip: quotes keep the row
            cells = ('""' if math.isnan(v) else repr(v) for v in values[start : start + 10_000].tolist())
            stream.write("\n".join(cells) + "\n")
        written += len(values)
    return written


def _parquet(parts: Iterable[Array], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({COLUMN: pa.float64()})
    written = 0
    with pq.ParquetWriter(path, schema) as writer:
        for values in _gathered(parts):
            writer.write_table(pa.table({COLUMN: pa.array(values, from_pandas=True)}, schema))
            written += len(values)
    return written


def _gathered(parts: Iterable[Array]) -> Iterator[Array]:
    """The same values in parts of GROUP rows or more, but the last."""
    begun: list[Array] = []
    for values in parts:
        begun.append(values)
        if sum(map(len, begun)) >= GROUP:
            yield np.concatenate(begun)
            begun = []
    if begun:
        yield np.concatenate(begun)
