"""One column in memory, of any kind: what it holds, and how it becomes float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import chain
from numbers import Complex, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .source import ColumnType

_KINDS = dict.fromkeys("fiub", "number") | dict.fromkeys("SUT", "text") | dict.fromkeys("Mm", "time") | {"c": "complex"}

KEPT = frozenset(("f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1"))
"""Types that a kernel widens as it reads, by their size in bytes: columns of these are not copied."""


@dataclass(frozen=True)
class Column:
    """A column before it is used.

    `rows` is None for what is no column at all. `convert(label)` gives real numbers, (rows,) or (rows, q), a null as
    NaN: an array of one of the KEPT types as it is, all else as float64. It raises DataError, naming the column by
    `label`, where the values are not real numbers.
    """

    type: ColumnType
    rows: int | None
    convert: Callable[[str], NDArray[np.float64]]


def read_column(value: Any) -> Column:
    """A column from whatever NumPy makes an array of; never fails, since the column may go unused."""
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
        if array.dtype.kind in "SU" and isinstance(value, list | tuple):
            array = np.asarray(value, dtype=object)  # [1, "a"] became text: keep the cells as they were
    except ValueError:
        return unusable("has rows of unequal lengths; give every row the same number of values")
    except Exception as error:  # a foreign object may raise anything from __array__
        return unusable(f"cannot be read as an array ({error})")
    if array.ndim == 0:
        shown = f"the single value {array.item()!r}" if array.dtype.kind in _KINDS else f"a {type(value).__name__}"
        return unusable(f"is {shown}; give a list or an array with one value for each row")
    if array.ndim > 2:
        return unusable(f"has {array.ndim} dimensions; give an array of shape (rows,) or (rows, q)", len(array))
    width = array.shape[1] if array.ndim == 2 else None
    if width == 0:
        return unusable("is a matrix without columns; give at least one", len(array))
    kind = _cell_kinds(array) if array.dtype.kind == "O" else _KINDS.get(array.dtype.kind, "other")
    return Column(ColumnType(kind, width), len(array), lambda label: _float64(array, label))


def unusable(reason: str, rows: int | None = None) -> Column:
    """What stands among the columns and can be none; `reason` continues "column 'x' ..."."""

    def convert(label: str) -> NDArray[np.float64]:
        raise DataError(f"{label} {reason}")

    return Column(ColumnType("other"), rows, convert)


def refusal(label: str, kind: str, cell: str | None = None, row: int = 0) -> DataError:
    """Why a column of this kind cannot be used, and what to do; `cell` is the text of its first offending value."""
    place = "" if cell is None else f" ({_short(cell)} in row {row:,})"
    if kind == "text" and cell is not None and _looks_like_a_number(cell):
        mend = "write it with a decimal point" if "," in cell else "convert it first, e.g. with .astype(float)"
        return DataError(f"{label} holds text that looks like numbers{place}; {mend}")
    holds, mend = {
        "text": ("text", "code it as numbers, and give None where a value is missing"),
        "category": ("categories", "code them as numbers, e.g. 0 and 1"),
        "complex": ("complex numbers", "give real and imaginary part as two columns"),
        "time": ("dates or times", "give a number, e.g. seconds since the first row"),
        "list": ("lists whose lengths may differ", "give a 2-D array or an Arrow fixed-size list"),
    }.get(kind, ("values that are not numbers", "a formula takes real numbers only"))
    return DataError(f"{label} holds {holds}{place}; {mend}")


def _float64(array: NDArray[Any], label: str) -> NDArray[np.float64]:
    kind = array.dtype.kind
    mask = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    if kind == "O":
        cells = array.ravel().tolist()  # a masked value comes out as None
        width = array.shape[1] if array.ndim == 2 else 1
        values = np.array([to_number(cell, place // width, label) for place, cell in enumerate(cells)], np.float64)
        values = values.reshape(array.shape)
    elif _KINDS.get(kind) == "number":
        values = np.ma.getdata(array)
        if mask is not None or values.dtype.str[1:] not in KEPT or not values.dtype.isnative:
            with np.errstate(over="ignore"):  # a long double beyond float64 becomes inf, which the reader refuses
                values = values.astype(np.float64)
    else:
        first = array.ravel()[:1].tolist()
        if first and _KINDS.get(kind) == "text":
            to_number(first[0], 0, label)  # raises, showing the value
        raise refusal(label, _KINDS.get(kind, "other"))
    return values if mask is None or not mask.any() else np.where(mask, np.nan, values)


def to_number(cell: Any, row: int, label: str) -> float:
    """One cell as a number, a null as NaN. Raises DataError, naming its row, for one that is none."""
    if isinstance(cell, float):
        return cell
    kind = _cell_kind(cell)
    if kind is None:
        return np.nan
    if kind != "number":
        text = cell.decode(errors="replace") if isinstance(cell, bytes) else cell
        raise refusal(label, kind, {"text": text, "other": type(cell).__name__}.get(kind), row)
    try:
        return float(cell)
    except OverflowError:
        return np.inf if cell > 0 else -np.inf  # the reader refuses it by its place
    except ValueError:
        return np.nan  # a signalling NaN of decimal


def _cell_kinds(array: NDArray[Any]) -> str:
    """The kind of an object array, by its first value that is no null."""
    kinds = (_cell_kind(cell) for cell in array.flat)
    return next(chain((kind for kind in kinds if kind is not None), ["number"]))


def _cell_kind(cell: Any) -> str | None:
    """The kind of one object; None for a null."""
    if cell is None or cell is np.ma.masked or type(cell).__name__ == "NAType":  # pandas.NA, without importing pandas
        return None
    if isinstance(cell, Real | Decimal | np.bool_):
        return "number"
    if isinstance(cell, str | bytes):
        return "text"
    if isinstance(cell, Complex):
        return "complex"
    return "time" if isinstance(cell, date | time | timedelta | np.datetime64 | np.timedelta64) else "other"


def _looks_like_a_number(cell: str) -> bool:
    try:
        float(cell.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def _short(cell: str, most: int = 30) -> str:
    return repr(cell if len(cell) <= most else cell[: most - 3] + "...")
