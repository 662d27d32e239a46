"""Columns in memory: what becomes float64, and what is refused with one sentence."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from steepest import errors
from steepest.data import open_source
from steepest.data.columns import KEPT

NAN = np.nan
GOOD = {
    "integers": ([1, 2], [1, 2]),
    "booleans": ([True, False], [1, 0]),
    "none is a null": ([1, None, 2.5], [1, NAN, 2.5]),
    "all null": ([None, None], [NAN, NAN]),
    "decimals": ([Decimal("0.1"), None, Decimal("NaN"), Decimal("sNaN")], [0.1, NAN, NAN, NAN]),
    "fractions": ([Fraction(1, 4), 2], [0.25, 2]),
    "too large for float64": ([10**400, -(10**400), None], [np.inf, -np.inf, NAN]),
    "rows of lists": ([[1, 2], [3, None]], [[1, 2], [3, NAN]]),
    "range": (range(3), [0, 1, 2]),
    "float32": (np.array([0.5, 2], np.float32), [0.5, 2]),
    "float16": (np.array([0.5, 2], np.float16), [0.5, 2]),
    "big endian": (np.array([1.5, 2], ">f8"), [1.5, 2]),
    "strided": (np.arange(6.0)[::2], [0, 2, 4]),
    "unsigned": (np.array([2**63], np.uint64), [2.0**63]),
    "long double": (np.array([1.5, 1], np.longdouble), [1.5, 1]),
    "masked": (np.ma.array([1, 2, 3], mask=[0, 1, 0]), [1, NAN, 3]),
    "masked matrix": (np.ma.array([[1, 2], [3, 4]], mask=[[0, 1], [0, 0]]), [[1, NAN], [3, 4]]),
    "masked objects": (np.ma.array([1, "?", None], mask=[0, 1, 0], dtype=object), [1, NAN, NAN]),
    "pandas": (pd.Series([1, NAN]), [1, NAN]),
    "pandas nullable": (pd.Series([1, None], dtype="Int64"), [1, NAN]),
    "pandas nullable boolean": (pd.Series([True, None], dtype="boolean"), [1, NAN]),
    "pandas objects": (pd.Series([1, pd.NA, Decimal(2)], dtype=object), [1, NAN, 2]),
    "pandas index": (pd.Index([3, 4]), [3, 4]),
    "polars": (pl.Series([1, None, 3]), [1, NAN, 3]),
    "polars matrix": (pl.Series([[1.0, 2.0], None], dtype=pl.Array(pl.Float64, 2)), [[1, 2], [NAN, NAN]]),
    "arrow": (pa.array([1.5, None]), [1.5, NAN]),
    "arrow chunks": (pa.chunked_array([[1], [None, 3]]), [1, NAN, 3]),
    "arrow decimals": (pa.array([Decimal("0.10"), None]), [0.1, NAN]),
    "arrow booleans": (pa.array([True, None]), [1, NAN]),
    "arrow nulls": (pa.nulls(2), [NAN, NAN]),
    "arrow half": (pa.array([0.5, None], pa.float16()), [0.5, NAN]),
    "arrow large integers": (pa.array([2**62, None], pa.uint64()), [2.0**62, NAN]),
}


@pytest.mark.parametrize("case", GOOD)
def test_real_numbers_of_any_type_become_what_a_kernel_can_widen_and_nulls_nan(case):
    value, wanted = GOOD[case]
    source = open_source({"x": value}).select(["x"])
    result = source.read(0)["x"]
    np.testing.assert_array_equal(result, np.array(wanted, float))
    assert result.dtype.str[1:] in KEPT
    assert result.dtype.isnative
    assert source.schema["x"].kind == "number"
    assert source.schema["x"].width == (None if result.ndim == 1 else result.shape[1])


BAD = {
    "text": ({"x": ["red", "blue"]}, "'x' holds text 'red' row 0 code None missing"),
    "numbers as text": ({"x": ["1.5", "2"]}, "'x' looks like numbers '1.5' astype(float)"),
    "decimal commas": ({"x": ["1,5", "2"]}, "'x' looks like numbers '1,5' decimal point"),
    "one text among numbers": ({"x": [1, 2, "n/a"]}, "'x' text 'n/a' row 2"),
    "text in a matrix": ({"x": [[1, 2], [3, "?"]]}, "'x' text '?' row 1"),
    "text array": ({"x": np.array(["red"])}, "'x' text 'red'"),
    "bytes": ({"x": np.array([b"red"])}, "'x' text 'red' row 0"),
    "pandas text": (pd.DataFrame({"x": ["red"]}), "'x' text 'red' row 0"),
    "polars text": (pl.DataFrame({"x": [None, "red"]}), "'x' text 'red' row 1"),
    "arrow text": (pa.table({"x": ["red"]}), "'x' text 'red'"),
    "pandas categories": (pd.DataFrame({"x": pd.Categorical(["u", "v"])}), "'x' categories code them"),
    "polars categories": (pl.DataFrame({"x": pl.Series(["u"], dtype=pl.Categorical)}), "'x' categories"),
    "complex": ({"x": np.array([1j])}, "'x' complex real and imaginary"),
    "complex in a list": ({"x": [None, 1j]}, "'x' complex real and imaginary"),
    "dates": ({"x": np.array(["2020-01-01"], "M8[D]")}, "'x' dates seconds since the first row"),
    "durations": ({"x": np.array([3], "m8[s]")}, "'x' dates or times seconds"),
    "date objects": ({"x": [date(2020, 1, 1)]}, "'x' dates"),
    "pandas dates": (pd.DataFrame({"x": pd.to_datetime(["2020-01-01"])}), "'x' dates"),
    "polars dates": (pl.DataFrame({"x": [date(2020, 1, 1)]}), "'x' dates"),
    "objects": ({"x": [object()]}, "'x' not numbers 'object' row 0"),
    "arrow structs": (pa.table({"x": [{"a": 1}]}), "'x' not numbers"),
    "lists of any length": (pa.table({"x": [[1.0], [1.0, 2.0]]}), "'x' lists 2-D array fixed-size list"),
    "structured": ({"x": np.zeros(2, [("a", float)])}, "'x' not numbers"),
    "a number": ({"x": 3}, "'x' single value 3 each row"),
    "a text": ({"x": "abc"}, "'x' single value 'abc'"),
    "nothing": ({"x": None}, "'x' NoneType list or an array"),
    "a set": ({"x": {1, 2}}, "'x' set list or an array"),
    "a generator": ({"x": (i for i in range(3))}, "'x' generator list or an array"),
    "ragged": ({"x": [[1, 2], [3]]}, "'x' unequal lengths same number"),
    "three dimensions": ({"x": np.zeros((2, 2, 2))}, "'x' 3 dimensions (rows, q)"),
    "no width": ({"x": np.zeros((2, 0))}, "'x' without columns"),
    "unequal": ({"x": [1, 2, 3, 4], "y": [1, 2, 3]}, "unequal 'x' 4 rows 'y' 3"),
    "no columns": ({}, "no columns dict"),
    "no rows": ({"x": []}, "no rows"),
    "pandas without rows": (pd.DataFrame({"x": pd.Series([], dtype=float)}), "no rows"),
    "polars without rows": (pl.DataFrame({"x": pl.Series([], dtype=pl.Float64)}), "no rows"),
    "pandas without columns": (pd.DataFrame(), "no columns"),
    "names that are no text": ({1: [1.0]}, "names text 1 int"),
    "absent": ({"y": [1.0]}, "no column 'x' in data 'y'"),
    "absent, but near": ({"temperature": [1.0], "u": [1.0]}, "no column 'temperatur' did you mean 'temperature'"),
    "pandas duplicates": (pd.DataFrame([[1, 2]], columns=["x", "x"]), "more than one column 'x' rename"),
    "arrow duplicates": (pa.Table.from_arrays([pa.array([1])] * 2, ["x", "x"]), "more than one 'x' rename"),
    "array that fails": (
        {"x": type("Bad", (), {"__array__": lambda self, **k: 1 / 0})()},
        "'x' cannot be read division",
    ),
}


def refused(data, columns):
    with pytest.raises(errors.DataError) as caught:
        open_source(data).select(columns)
    message = str(caught.value)
    print(message)
    assert "\n" not in message
    assert len(message) < 240
    return message


@pytest.mark.parametrize("case", BAD)
def test_a_bad_column_is_refused_by_one_sentence_with_its_name_and_the_mend(case):
    data, words = BAD[case]
    columns = {"absent, but near": ["temperatur"], "unequal": ["x", "y"]}.get(case, ["x"])
    message = refused(data, columns)
    for word in words.split():
        assert word in message


def test_columns_that_are_not_used_may_be_anything():
    odd = {"x": [1.0, 2.0], "a": 3, "b": [[1], [1, 2]], "c": "text", "d": [1j] * 9, "e": object(), "f": ["u", "v"]}
    assert open_source(odd).select(["x"]).rows == 2
    frame = pd.DataFrame({"x": [1.0, 2.0], "mixed": [b"1", {}], "t": pd.to_datetime(["2020", "2021"])})
    assert open_source(frame).select(["x"]).rows == 2
    twice = pd.DataFrame([[1, 2, 3]], columns=["x", "u", "u"])
    assert open_source(twice).select(["x"]).rows == 1


def test_the_callers_data_are_left_as_they_were():
    data = {"x": np.ma.array([1.0, 2.0], mask=[0, 1]), "y": [None, 1]}
    open_source(data).select(["x", "y"]).read(0)
    assert data["x"].data.tolist() == [1.0, 2.0]
    assert data["y"] == [None, 1]
