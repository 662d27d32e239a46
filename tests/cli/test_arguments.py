"""How words become arguments."""

from __future__ import annotations

import math

import pytest

from steepest.cli.arguments import bounds, fixes, starts, whole
from steepest.errors import FitError


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], None),
        (["a=1"], {"a": 1.0}),
        (["a=1,b=-2e-3"], {"a": 1.0, "b": -0.002}),
        ([" a = 1 , b = 2 ,"], {"a": 1.0, "b": 2.0}),
        (["a=1", "b=2"], {"a": 1.0, "b": 2.0}),
        (["B=[1, -2,3],c=4"], {"B": [1.0, -2.0, 3.0], "c": 4.0}),
        (["B[1]=2,c=4", "B[0]=1"], {"B": [1.0, 2.0], "c": 4.0}),
        (["`temp[degC]`=3,`a, b`=4"], {"temp[degC]": 3.0, "a, b": 4.0}),
        (["β=1,lambda=2"], {"β": 1.0, "lambda": 2.0}),
    ],
)
def test_starts_are_read(texts: list[str], expected: object) -> None:
    assert starts(texts) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "a=", "=1", "a=1,,b=2", "a=1;b=2", "a=one", "a=1,a=2", "B[1]=1", "B=1,B[0]=2", "B=[1,", "B=[]"]
)
def test_what_is_no_start_is_refused(text: str) -> None:
    with pytest.raises(FitError, match="--start"):
        starts([text])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["b=0:"], {"b": (0.0, None)}),
        (["b=:5"], {"b": (None, 5.0)}),
        (["b=0:1,a=-2:"], {"b": (0.0, 1.0), "a": (-2.0, None)}),
        (["B[0]=0:,B[1]=:1"], {"B": ([0.0, -math.inf], [math.inf, 1.0])}),
    ],
)
def test_bounds_are_read(texts: list[str], expected: object) -> None:
    assert bounds(texts) == expected


@pytest.mark.parametrize("text", ["b", "b=3", "b=:", "b=0:1:2", "b=x:"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(FitError, match="--bounds"):
        bounds([text])


def test_a_fixed_value_that_is_no_number_is_handed_on_as_a_formula() -> None:
    assert fixes(["c=0,b2=min(b1, 2*b3)"]) == {"c": 0.0, "b2": "min(b1, 2*b3)"}


@pytest.mark.parametrize(("text", "number"), [("5000", 5000), ("5_000", 5000), ("1e6", 1_000_000), ("0", 0)])
def test_whole_numbers_are_read(text: str, number: int) -> None:
    assert whole(text) == number


@pytest.mark.parametrize("text", ["-1", "2.5", "many", "inf", "nan", "1e300", ""])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        whole(text)
