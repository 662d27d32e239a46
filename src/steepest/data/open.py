"""From what the user gives to a source."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .arrays import ArraySource
from .csv import CsvSource
from .parquet import ParquetSource
from .source import Source

_FILES: Mapping[str, Callable[[Path], Source]] = {".csv": CsvSource, ".parquet": ParquetSource}
_LATER = "give one .csv or .parquet file, a frame or a dict of arrays"


def open_source(data: Any) -> Source:
    """The source behind `data`: a dict of arrays, a frame, or the path of a .csv or .parquet file.

    Reads a file's header at most. Raises DataError, with what to give instead, for anything else.
    """
    if isinstance(data, str | os.PathLike):
        return _open_path(os.fspath(data))
    if isinstance(data, Mapping):
        return ArraySource(data)
    if type(data).__name__ == "Series":
        raise DataError("one series is no table; name its column, e.g. {'y': series}")
    if hasattr(data, "iloc") or hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        return ArraySource(data)
    raise _foreign(data)


def _open_path(text: str | bytes) -> Source:
    name = os.fsdecode(text)
    if name.startswith("sqlite:") or "://" in name:
        raise DataError(f"{name}: databases and remote files are not built yet; {_LATER}")
    if not name:
        raise DataError(f"the path is empty; {_LATER}")
    path = Path(name)
    try:
        if path.is_dir():
            raise DataError(f"{name} is a folder: folders are not built yet; {_LATER}")
        if not path.is_file():
            raise _missing(name, path)
        kind = _FILES.get(path.suffix.lower())
        if kind is None:
            files = f"{path.suffix} files" if path.suffix else "files without an ending"
            raise DataError(f"{name}: {files} are not built yet; {_LATER}")
        return kind(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot open {name!r}: {getattr(error, 'strerror', None) or error}") from error


def _missing(name: str, path: Path) -> DataError:
    if path.suffix.lower() not in _FILES and any(mark in name for mark in "=+^()"):
        return DataError(f"no file {name!r}, which looks like a formula: the formula comes first, the data second")
    if any(mark in name for mark in "*?["):
        return DataError(f"{name}: patterns of files are not built yet; {_LATER}")
    if not path.parent.is_dir():
        return DataError(f"no file {name!r}: there is no folder {str(path.parent)!r}")
    files = [file for file in os.listdir(path.parent) if Path(file).suffix.lower() in _FILES]
    near = difflib.get_close_matches(path.name, files, 1)
    return DataError(f"no file {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _foreign(data: Any) -> DataError:
    if data is None:
        return DataError(f"data is None; {_LATER}")
    if isinstance(data, np.ndarray):
        if data.dtype.names:
            return DataError("structured arrays are not built yet; give {name: a[name] for name in a.dtype.names}")
        return DataError("an array has no column names; give a dict, e.g. {'x': a[:, 0], 'y': a[:, 1]}")
    if isinstance(data, list | tuple):
        if data and all(isinstance(item, str | os.PathLike) for item in data):
            return DataError(f"lists of files are not built yet; {_LATER}")
        if data and all(isinstance(item, Mapping) for item in data):
            return DataError("a list of rows; give columns, e.g. {'x': [row['x'] for row in rows], ...}")
        return DataError("a list has no column names; give a dict, e.g. {'x': [1, 2, 3], 'y': [2, 4, 6]}")
    if hasattr(data, "collect"):
        return DataError(f"a {type(data).__name__} holds a plan, not rows; give data.collect()")
    return DataError(f"data of type {type(data).__name__} are no table; {_LATER}")
