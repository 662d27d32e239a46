"""Arrow arrays as columns. pyarrow is imported here only, when a file or an Arrow object needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Column, refusal, unusable
from .source import ColumnType


def import_column(value: Any) -> Column:
    """A column from anything that speaks the Arrow C interface: a series, an array, a chunked array."""
    import pyarrow as pa

    try:
        if hasattr(value, "__arrow_c_stream__"):
            return chunked_column(pa.chunked_array(value))
        return chunked_column(pa.chunked_array([pa.array(value)]))
    except (pa.ArrowException, TypeError, ValueError) as error:
        return unusable(f"cannot be read through Arrow ({error})")


def chunked_column(chunked: Any) -> Column:
    """A column from a pyarrow.ChunkedArray."""
    kind, width = _kind(chunked.type)
    shown = "other" if kind in ("category", "list") else kind  # finer than the schema, for the message

    def convert(label: str) -> NDArray[np.float64]:
        if kind != "number":
            raise refusal(label, kind, *(_first_text(chunked) if kind == "text" and width is None else ()))
        return to_float64(chunked)

    return Column(ColumnType(shown, width), len(chunked), convert)


def column_type(arrow_type: Any) -> ColumnType:
    """What a column of this pyarrow.DataType holds."""
    kind, width = _kind(arrow_type)
    return ColumnType("other" if kind in ("category", "list") else kind, width)


def to_float64(chunked: Any) -> NDArray[np.float64]:
    """A numeric pyarrow.ChunkedArray as float64, (rows,) or (rows, q), nulls as NaN.

    One chunk of float64 without nulls is not copied; all else is copied once, chunk by chunk.
    """
    import pyarrow as pa

    if not pa.types.is_fixed_size_list(chunked.type):
        return _values(chunked.chunks)
    width = chunked.type.list_size
    chunks = chunked.chunks
    flat = _values([chunk.values.slice(chunk.offset * width, len(chunk) * width) for chunk in chunks])
    matrix = flat.reshape(len(chunked), width)
    if chunked.null_count:
        null = chunked.is_null().to_numpy()
        matrix = np.where(null[:, None], np.nan, matrix)
    return matrix


def _values(chunks: list[Any]) -> NDArray[np.float64]:
    import pyarrow as pa

    if len(chunks) == 1 and chunks[0].type == pa.float64() and not chunks[0].null_count:
        values: NDArray[np.float64] = chunks[0].to_numpy()
        return values
    out = np.empty(sum(map(len, chunks)))
    at = 0
    for chunk in chunks:  # a null of a float64 array comes out of to_numpy as NaN
        out[at : at + len(chunk)] = chunk.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        at += len(chunk)
    return out


def _kind(arrow_type: Any) -> tuple[str, int | None]:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_fixed_size_list(arrow_type):
        kind, inner = _kind(arrow_type.value_type)
        return ("other", None) if inner is not None or not arrow_type.list_size else (kind, arrow_type.list_size)
    if is_.is_integer(arrow_type) or is_.is_floating(arrow_type) or is_.is_decimal(arrow_type):
        return "number", None
    if is_.is_boolean(arrow_type) or is_.is_null(arrow_type):
        return "number", None
    if is_.is_string(arrow_type) or is_.is_large_string(arrow_type) or is_.is_string_view(arrow_type):
        return "text", None
    if is_.is_temporal(arrow_type):
        return "time", None
    if is_.is_dictionary(arrow_type):
        return "category", None
    return ("list" if is_.is_list(arrow_type) or is_.is_large_list(arrow_type) else "other"), None


def _first_text(chunked: Any) -> tuple[str | None, int]:
    """The first cell that is no null, and its row."""
    for row, cell in enumerate(chunked[:1000]):
        if cell.is_valid:
            return cell.as_py(), row
    return None, 0
