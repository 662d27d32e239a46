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

COLUMNS = ("prediction", "lower", "upper")  # the last two with a band
GROUP = 1 << 20  # rows of a row group in a Parquet file


def predictions(fit: Fit, data: Any, band: str | None = None, level: float = 0.95) -> Iterator[Array]:
    """`fit.predict(data, ...)` in consecutive parts; memory does not grow with the rows. Raises as that does."""
    return fit.predict_parts(data, band, level)


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
            stream.write(",".join(_names(values)) + "\n")
        for start in range(0, len(values), 10_000):
            # a lone empty cell would be a blank line, which readers skip: quotes keep the row
            rows = values[start : start + 10_000].reshape(-1, values.size // len(values)).tolist()
            lines = (",".join('""' if math.isnan(v) else repr(v) for v in row) for row in rows)
            stream.write("\n".join(lines) + "\n")
        written += len(values)
    return written


def _parquet(parts: Iterable[Array], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written, writer = 0, None
    try:
        for values in _gathered(parts):
            names = _names(values)
            columns = [pa.array(c, from_pandas=True) for c in values.reshape(-1, len(names)).T.copy()]
            writer = writer or pq.ParquetWriter(path, pa.schema({name: pa.float64() for name in names}))
            writer.write_table(pa.table(dict(zip(names, columns, strict=True))))
            written += len(values)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:  # a table without rows
        pq.write_table(pa.table({COLUMNS[0]: pa.array([], pa.float64())}), path)
    return written


def _names(values: Array) -> Sequence[str]:
    """The names of the columns of some predictions."""
    return COLUMNS if values.ndim > 1 else COLUMNS[:1]


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
