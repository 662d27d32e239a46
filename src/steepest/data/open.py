"""From what the user gives to a source."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .arrays import ArraySource
from .csv import CsvFile, CsvSource
from .files import FileSource
from .ipc import IpcFile
from .natural import natural
from .parquet import ParquetFile
from .source import Source
from .streams import dataset_source, query_source, sqlite_parts, sqlite_source, stream_source

_TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_PAGED: Mapping[str, Callable[[Path, str], ParquetFile | IpcFile]] = {
    ".parquet": ParquetFile,
    ".arrow": IpcFile,
    ".feather": IpcFile,
}
_ENDINGS = (*_TEXT, *_PAGED)
_GIVE = "give .csv, .tsv, .parquet or .arrow files, a frame or a dict of arrays"
_DATABASES = (".db", ".sqlite", ".sqlite3")
_QUERY = re.compile(r"\s*(select|with)\s", re.IGNORECASE)
_FRAMES = ("pyarrow.", "polars.", "pandas.")


def open_source(data: Any) -> Source:
    """The source behind `data`: a dict of arrays, a structured array, a frame, an Arrow stream, files, a query.

    Files: a path, a pattern, a folder, or a list of these; all of one kind. A query: `(connection, "select ...")` or
    `"sqlite:measurements.db: select ..."`. Reads the headers of files at most. Raises DataError, with what to give
    instead, for anything else.
    """
    if isinstance(data, str | os.PathLike):
        text = os.fsdecode(data)
        return sqlite_source(text) if text.startswith("sqlite:") else _open_files(text, [text])
    if isinstance(data, Mapping):
        return ArraySource(data)
    if isinstance(data, np.ndarray) and data.dtype.names:
        return ArraySource(data)
    if isinstance(data, list | tuple) and data and all(isinstance(item, str | os.PathLike) for item in data):
        texts = [os.fsdecode(item) for item in data]
        return _open_files(texts[0] if len(texts) == 1 else f"{len(texts)} files", texts)
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], str) and hasattr(data[0], "cursor"):
        return query_source(*data)
    if type(data).__name__ == "Series":
        raise DataError("one series is no table; name its column, e.g. {'y': series}")
    if hasattr(data, "iloc") or hasattr(data, "__arrow_c_array__"):
        return ArraySource(data)
    if hasattr(data, "__arrow_c_stream__"):
        frame = type(data).__module__.startswith(_FRAMES) and hasattr(data, "__len__")
        return ArraySource(data) if frame else stream_source(data)
    if type(data).__module__.startswith("pyarrow._dataset"):
        return dataset_source(data)
    raise _foreign(data)


def input_files(data: Any) -> tuple[list[Path], list[Path]]:
    """The files that `data` names, and the folders in which every file is taken for a part of it."""
    items = list(data) if isinstance(data, list | tuple) else [data]
    files: list[Path] = []
    folders: list[Path] = []
    for text in (os.fsdecode(item) for item in items if isinstance(item, str | os.PathLike)):
        if text.startswith("sqlite:"):
            files.append(sqlite_parts(text)[0])
            continue
        folders += [Path(text)] if Path(text).is_dir() else []
        files += _expanded(text)
    return files, folders


def _open_files(name: str, texts: Sequence[str]) -> Source:
    for text in texts:
        if "://" in text:
            raise DataError(f"{text}: remote files are not built yet; {_GIVE}")
        if not text:
            raise DataError(f"the path is empty; {_GIVE}")
    name = Path(name).name or name
    try:
        paths = [path for text in texts for path in _expanded(text)]
        _refuse_twice(paths)
        if len(paths) == 1:
            shown = [paths[0].name]
        else:
            shown = [path.name for path in paths]
            if len(set(shown)) < len(shown):  # the same name in several folders
                common = os.path.commonpath([path.parent.absolute() for path in paths])
                shown = [os.path.relpath(path, common) for path in paths]
        ending = _one_kind(paths, shown)
        name = shown[0] if len(paths) == 1 else name
        if ending in _TEXT:
            return CsvSource(name, [CsvFile(path, text) for path, text in zip(paths, shown, strict=True)])
        return FileSource(name, [_PAGED[ending](path, text) for path, text in zip(paths, shown, strict=True)])
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        if isinstance(error, DataError):
            raise
        shown_name = getattr(error, "filename", None) or name
        raise DataError(f"cannot open {shown_name!r}: {getattr(error, 'strerror', None) or error}") from error


def _expanded(text: str) -> list[Path]:
    """The files of a path, a pattern or a folder, in natural order."""
    path = Path(text)
    if path.is_dir():
        return _of_folder(text, path)
    if path.is_file():
        return [path]
    if not any(mark in text for mark in "*?["):
        raise _missing(text, path)
    if _QUERY.match(text):
        raise DataError("a query needs a database: (connection, 'select ...') or 'sqlite:measurements.db: select ...'")
    fixed = len(os.path.dirname(re.split(r"[*?[]", text, maxsplit=1)[0]))
    found = natural(glob.glob(text, recursive=True))
    shown = [name for name in found if not any(part.startswith((".", "_")) for part in Path(name[fixed:]).parts)]
    files = [path for name in shown if (path := Path(name)).is_file()]
    if not files:
        if _like_formula(text):
            raise _swapped(text)
        raise DataError(f"no file fits the pattern {text!r}")
    return files


def _of_folder(text: str, path: Path) -> list[Path]:
    """The tables of a folder; hidden files and those that begin with an underscore (_SUCCESS) are none."""
    names = [name for name in natural(os.listdir(path)) if not name.startswith((".", "_"))]
    inner = next((name for name in names if (path / name).is_dir()), None)
    files = [path / name for name in names if not (path / name).is_dir()]
    if not any(_ending(file) for file in files):
        deeper = f"; for the files of its folders give the pattern {str(path / '*' / '*.parquet')!r}" if inner else ""
        raise DataError(f"the folder {text} holds no {', '.join(_ENDINGS[:2])}, .parquet or .arrow file{deeper}")
    ending = next(found for file in files if (found := _ending(file)))
    if inner:
        here, deep = str(path / ("*" + ending)), str(path / "**" / ("*" + ending))
        raise DataError(
            f"the folder {text} holds files and the folder {inner}; give the pattern {here!r} for its files alone, "
            f"or {deep!r} for those of its folders too"
        )
    if odd := [file for file in files if not _ending(file)]:
        pattern = str(path / ("*" + ending))
        raise DataError(f"{odd[0].name} in the folder {text} is no table; move it, or give the pattern {pattern!r}")
    return files


def _ending(path: Path) -> str | None:
    name = path.name.lower()
    return next((ending for ending in _ENDINGS if name.endswith(ending)), None)


def _one_kind(paths: Sequence[Path], shown: Sequence[str]) -> str:
    """The ending of all files. Raises DataError where it is none that can be read, or another for some file."""
    endings = [_ending(path) for path in paths]
    for path, name, ending in zip(paths, shown, endings, strict=True):
        if ending is None:
            files = f"{path.suffix} files" if path.suffix else "files without an ending"
            mend = f"write 'sqlite:{path}: select * from ...'" if path.suffix.lower() in _DATABASES else _GIVE
            raise DataError(f"{path if len(paths) == 1 else name}: {files} cannot be read; {mend}")
        if ending != endings[0]:
            raise DataError(
                f"{name} is a {ending} file, but {shown[0]} a {endings[0]} file; give files of one kind, "
                f"e.g. by the pattern {str(paths[0].parent / ('*' + str(endings[0])))!r}"
            )
    return str(endings[0])


def _refuse_twice(paths: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        real = path.resolve()
        if real in seen:
            raise DataError(f"{path} is given twice; its rows would count twice")
        seen.add(real)


def _missing(name: str, path: Path) -> DataError:
    if _like_formula(name):
        return _swapped(name)
    if not path.parent.is_dir():
        return DataError(f"no file {name!r}: there is no folder {str(path.parent)!r}")
    files = [file for file in os.listdir(path.parent) if _ending(Path(file))]
    near = difflib.get_close_matches(path.name, files, 1)
    return DataError(f"no file {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _like_formula(name: str) -> bool:
    return _ending(Path(name)) is None and any(mark in name for mark in "=+^()")


def _swapped(name: str) -> DataError:
    return DataError(f"no file {name!r}, which looks like a formula: the formula comes first, the data second")


def _foreign(data: Any) -> DataError:
    if data is None:
        return DataError(f"data is None; {_GIVE}")
    if isinstance(data, np.ndarray):
        return DataError("an array has no column names; give a dict, e.g. {'x': a[:, 0], 'y': a[:, 1]}")
    if isinstance(data, list | tuple):
        if data and all(isinstance(item, Mapping) for item in data):
            return DataError("a list of rows; give columns, e.g. {'x': [row['x'] for row in rows], ...}")
        if len(data) == 2 and isinstance(data[1], str):
            kind = type(data[0]).__name__
            return DataError(f"a query needs a connection before it, not a {kind}: (connection, 'select ...')")
        return DataError("a list has no column names; give a dict, e.g. {'x': [1, 2, 3], 'y': [2, 4, 6]}")
    if hasattr(data, "collect"):
        return DataError(f"a {type(data).__name__} holds a plan, not rows; give data.collect()")
    if hasattr(data, "cursor"):
        return DataError(f"a {type(data).__name__} alone says not which rows; give (connection, 'select ...')")
    return DataError(f"data of type {type(data).__name__} are no table; {_GIVE}")
