"""Tables that are handed over record batch by record batch: Arrow streams, datasets, the answers of a database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .columns import to_number
from .source import ColumnType, Piece, Source, Unselected, check_names, label, repeats
from .store import Store

_SQLITE = re.compile(r"sqlite:\s*(?P<path>.*?)\s*(?::\s*(?P<query>(?:select|with|values)\b.*))?", re.I | re.S)
_ROWS = 16_384  # rows at a time from a connection that gives Python values


class Batches:
    """A stream that has been opened: names and types of its columns, and its rows, once; then `close` is called."""

    def __init__(self, reader: Any, close: Callable[[], object] = int) -> None:
        from .arrow import column_type

        self.names: list[str] = list(reader.schema.names)
        self.types = [column_type(field.type) for field in reader.schema]
        self._reader = reader
        self.close = finalize(self, close)

    def pieces(self, places: Mapping[str, int], name: str) -> Iterator[Piece]:
        """The columns at these places, as float64. Raises DataError for a column that holds no numbers."""
        import pyarrow as pa

        from .arrow import chunked_column

        for batch in self._reader:
            columns = {column: pa.chunked_array([batch.column(place)]) for column, place in places.items()}
            yield (
                batch.num_rows,
                {column: chunked_column(values).convert(label(column, name)) for column, values in columns.items()},
            )


class Cells:
    """The rows of a DBAPI cursor after `execute`, as Python values: any database, value by value."""

    def __init__(self, cursor: Any, close: Callable[[], object] = int) -> None:
        self.close = finalize(self, close)
        self.names = [str(column[0]) for column in cursor.description or ()]
        self.types = [ColumnType("unknown")] * len(self.names)
        self._cursor = cursor

    def pieces(self, places: Mapping[str, int], name: str) -> Iterator[Piece]:
        first = 0
        while rows := self._cursor.fetchmany(_ROWS):
            yield (
                len(rows),
                {
                    column: _numbers([row[place] for row in rows], first, label(column, name))
                    for column, place in places.items()
                },
            )
            first += len(rows)


class StreamSource(Unselected):
    """What `open` gives: read once when the columns are selected, and kept for every pass.

    `again` gives another opening where the first one stumbled over a value (a database that guessed a type from its
    first rows). Raises DataError, in one sentence, for whatever goes wrong behind the stream.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        open: Callable[[], Batches | Cells],
        again: Callable[[], Batches | Cells] | None = None,
        fingerprint: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint or {}
        self._kind, self._again, self._open = kind, again, open
        self._first: Batches | Cells | None = self._call(open)
        self._names = self._first.names
        if not self._names:
            raise DataError(f"{kind} gives no columns")
        self.schema = dict(zip(self._names, self._first.types, strict=True))

    def select(self, columns: Sequence[str]) -> Source:
        names = check_names(columns, self.schema, repeats(self._names), self.name)
        stream, self._first = self._first or self._call(self._open), None
        try:
            store = self._stored(stream, names)
        except DataError:
            if self._again is None:
                raise
            store = self._stored(self._call(self._again), names)
        if not store.rows:
            once = "; a reader can be read only once: open it anew" if self._kind.endswith("Reader") else ""
            raise DataError(f"{self._kind} gives no rows{once}")
        place = "" if self.name == "data" else f" of the query of {self.name}"
        return store.table(lambda row: f"row {row:,}{place}", self.fingerprint)

    def _stored(self, stream: Batches | Cells, names: Sequence[str]) -> Store:
        types = dict(zip(stream.names, stream.types, strict=True))
        store = Store(self.name, {name: types[name].width for name in names})
        pieces = stream.pieces({name: self._names.index(name) for name in names}, self.name)
        try:
            while (piece := self._call(lambda: next(pieces, None))) is not None:
                store.append(*piece)
        finally:
            stream.close()
        return store

    def _call(self, step: Callable[[], Any]) -> Any:
        """What a foreign object gives; whatever it raises becomes one sentence."""
        try:
            return step()
        except (DataError, MemoryError):
            raise
        except Exception as error:  # a driver has error classes of its own
            said = str(error).partition("Detail: Python exception")[0]  # no traceback inside a sentence
            reason = " ".join(said.split()).rstrip(" .:") or type(error).__name__
            raise DataError(f"{self._kind} cannot be read: {reason[:120]}") from error


def stream_source(data: Any) -> StreamSource:
    """The source of an object with `__arrow_c_stream__` that is no table yet: a reader, a DuckDB relation."""
    import pyarrow as pa

    def open() -> Batches:
        return Batches(pa.RecordBatchReader.from_stream(data))

    return StreamSource("data", f"the {type(data).__name__}", open)


def dataset_source(data: Any) -> StreamSource:
    """The source of a pyarrow Dataset or Scanner."""
    import pyarrow.dataset as ds

    def open() -> Batches:
        if isinstance(data, ds.Scanner):
            return Batches(data.to_reader())
        # the defaults read ahead by gigabytes
        options: dict[str, Any] = {"batch_readahead": 1, "fragment_readahead": 1}
        if getattr(getattr(data, "format", None), "default_extname", "") == "parquet":
            options["fragment_scan_options"] = ds.ParquetFragmentScanOptions(pre_buffer=False)
        return Batches(data.scanner(**options).to_reader())

    return StreamSource("data", f"the {type(data).__name__}", open)


def query_source(connection: Any, query: str) -> StreamSource:
    """The answer of a query: Arrow batches where the connection gives them (ADBC, DuckDB), else its Python values."""
    return StreamSource("data", "the query", lambda: _run(connection, query))


def sqlite_source(text: str) -> StreamSource:
    """The source of "sqlite:measurements.db: select * from runs".

    Through ADBC where it is installed, else by the `sqlite3` module; and by that one too where ADBC stumbles, which
    fixes the type of a column by its first rows.
    """
    path, query = sqlite_parts(text)
    if query is None:
        tables = _sqlite_tables(path)
        raise DataError(
            f"{text}: a query is missing; write 'sqlite:{path}: select * from {tables[0] if tables else '...'}'"
            + (f" (tables: {', '.join(tables[:8])})" if tables else "")
        )
    if not path.is_file():
        raise DataError(f"no file {str(path)!r}")
    status = path.stat()
    name, uri = path.name, f"{path.absolute().as_uri()}?mode=ro"

    def plain() -> Cells:
        import sqlite3

        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        try:
            return Cells(connection.execute(query), connection.close)
        except BaseException:
            connection.close()
            raise

    def open() -> Batches | Cells:
        try:
            dbapi = import_module("adbc_driver_sqlite.dbapi")
        except ImportError:
            return plain()
        with suppress(Exception):  # whatever is wrong, sqlite3 says it in a sentence
            connection = dbapi.connect(uri)
            try:
                return _run(connection, query, connection.close)
            except BaseException:
                connection.close()
                raise
        return plain()

    stamp = {"name": name, "size": status.st_size, "mtime": status.st_mtime}
    return StreamSource(name, f"the query of {name}", open, plain, stamp)


def sqlite_parts(text: str) -> tuple[Path, str | None]:
    """File and query of "sqlite:FILE: QUERY"."""
    match = _SQLITE.fullmatch(text)
    assert match is not None
    return Path(match["path"].rstrip(": ")), match["query"]


def _sqlite_tables(path: Path) -> list[str]:
    import sqlite3

    if not path.is_file():
        raise DataError(f"no file {str(path)!r}; write 'sqlite:measurements.db: select * from runs'")
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            return [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        finally:
            connection.close()
    return []


def _run(connection: Any, query: str, close: Callable[[], object] = int) -> Batches | Cells:
    import pyarrow as pa

    if type(connection).__module__.strip("_").partition(".")[0] == "duckdb":
        return Batches(pa.RecordBatchReader.from_stream(connection.sql(query)), close)
    cursor = connection.cursor()

    def done() -> None:
        cursor.close()
        close()

    try:
        result = cursor.execute(query)
        holder = result if hasattr(result, "fetchmany") else cursor  # DBAPI leaves open what execute returns
        for method in ("fetch_record_batch", "to_arrow_reader", "fetch_arrow_table"):
            if hasattr(holder, method):
                return Batches(pa.RecordBatchReader.from_stream(getattr(holder, method)()), done)
        return Cells(holder, done)
    except BaseException:
        cursor.close()
        raise


def _numbers(cells: list[Any], first: int, name: str) -> NDArray[np.float64]:
    if all(type(cell) is float for cell in cells):
        return np.array(cells)
    return np.array([to_number(cell, first + place, name) for place, cell in enumerate(cells)], np.float64)
