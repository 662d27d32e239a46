"""Sums and values over columns that end, or begin, where the memory does: a touch outside of them ends the process."""

from __future__ import annotations

import ctypes
import mmap
import os
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np

from steepest.data.source import Block
from steepest.formula.binding import bind
from steepest.formula.grammar import parse
from steepest.formula.losses import find_loss
from steepest.formula.objective import Objective
from steepest.kernels import kernel, values
from steepest.kernels.emission import NUMBERS
from steepest.kernels.native import NativeKernel
from steepest.kernels.numpy import NumpyKernel
from steepest.kernels.values import RowValues
from steepest.types import Need

Kernels = dict[Need, tuple[NativeKernel, NumpyKernel]]
HERE = "STEEPEST_CPU" not in os.environ
ROWS = range(1, 21) if HERE else (1, 2, 7, 8, 9, 13)
WIDTHS = (1, 2, 3, 7, 8, 9, 16, 17, 20) if HERE else (3, 9, 20)
PAGE = mmap.PAGESIZE
PROTECT = ctypes.CDLL(None, use_errno=True).mprotect
NONE = 0
kept: list[Any] = []  # addresses do not keep what stands there


class Guarded:
    """Some pages with forbidden ones on both sides."""

    def __init__(self, size: int) -> None:
        self.size = -(-size // PAGE) * PAGE
        self.memory = mmap.mmap(-1, self.size + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for address in (start, start + PAGE + self.size):
            if PROTECT(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        kept.append(self)

    def place(self, shape: tuple[int, ...], dtype: Any, at_end: bool, order: str = "C") -> np.ndarray:
        """An array that ends with the last page, or begins with the first."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        offset = PAGE + self.size - size if at_end else PAGE
        return np.ndarray(shape, dtype, self.memory, offset, order=order)


def guarded(array: np.ndarray, at_end: bool, order: str = "C") -> np.ndarray:
    if array.nbytes == 0:
        return array
    out = Guarded(array.nbytes).place(array.shape, array.dtype, at_end, order)
    out[...] = array
    return out


def with_gaps(array: np.ndarray, at_end: bool) -> np.ndarray:
    """Every second place, the last (or first) number at the border."""
    out = Guarded(2 * array.nbytes).place((2 * len(array) - 1, *array.shape[1:]), array.dtype, at_end)
    out[::2] = array
    return out[::2]


def backwards(array: np.ndarray, at_end: bool) -> np.ndarray:
    return guarded(array[::-1], at_end)[::-1]


def by_column(array: np.ndarray, at_end: bool) -> np.ndarray:
    return guarded(array, at_end, "F")


def beside(array: np.ndarray, at_end: bool) -> np.ndarray:
    """The last (or first) columns of a wider matrix."""
    rows, width = array.shape
    out = Guarded(rows * (width + 3) * array.itemsize).place((rows, width + 3), array.dtype, at_end)
    out = out[:, 3:] if at_end else out[:, :width]
    out[...] = array
    return out


def made(text: str, width: int) -> Objective:
    return bind(parse(text), {"y": None, "x": None, "M": width}, loss=find_loss("squares"))


def some(number: str, shape: tuple[int, ...]) -> np.ndarray:
    return (np.random.default_rng(3).uniform(0, 2, shape) * 3).astype(number)


def check(objective: Objective, columns: dict[str, np.ndarray], live: np.ndarray | None, kernels: Kernels) -> None:
    """By the native kernel as by the reference."""
    theta = np.linspace(0.1, 0.5, objective.layout.size)
    rows = len(columns["y"])
    block = Block(0, rows, {name: columns[name] for name in objective.columns}, live)
    for need, (native, reference) in kernels.items():
        found = native.total(theta, block)
        if rows in (7, 13):
            right = reference.total(theta, block)
            np.testing.assert_allclose(found.values, right.values, rtol=1e-10, atol=1e-9, err_msg=f"{need} {rows}")


def kernels_of(objective: Objective, *needs: Need) -> Kernels:
    return {need: (NativeKernel(objective.rows(need)), NumpyKernel(objective.rows(need))) for need in needs}


def masks(rows: int, at_end: bool) -> list[np.ndarray | None]:
    live = np.arange(rows) % 3 != 1
    return [None, guarded(live, at_end)]


def scalars() -> None:
    objective = made("y = a*x + b", 1)
    kernels = kernels_of(objective, Need.GRADIENT)
    for number, lie in product(NUMBERS, (guarded, with_gaps, backwards)):
        for rows, at_end in product((*ROWS, 4097), (True, False)):
            columns = {"y": lie(some("f8", (rows,)), at_end), "x": lie(some(number, (rows,)), at_end)}
            for live in masks(rows, at_end):
                check(objective, columns, live, kernels)
        kept.clear()


def matrices() -> None:
    for number, width in (*product(("f8",), WIDTHS), *product(("f4", "i1"), (3, 20))):
        objective = made("y = a*x + M @ B", width)
        kernels = kernels_of(objective, Need.GRADIENT)
        for lie in (guarded, by_column, with_gaps, backwards, beside):
            for rows, at_end in product(ROWS, (True, False)):
                columns = {"y": guarded(some("f8", (rows,)), at_end), "x": guarded(some("f8", (rows,)), at_end)}
                columns["M"] = lie(some(number, (rows, width)), at_end)
                for live in masks(rows, at_end):
                    check(objective, columns, live, kernels)
            kept.clear()


def products() -> None:
    for width in (3, 20):
        objective = made("y = a*exp(M @ B/9) + x", width)
        kernels = kernels_of(objective, Need.NORMAL, Need.HESSIAN)
        for rows, at_end in product((*ROWS, 4100), (True, False)):
            columns = {name: guarded(some("f8", (rows,)), at_end) for name in "yx"}
            columns["M"] = guarded(some("f8", (rows, width)), at_end)
            for live in masks(rows, at_end):
                check(objective, columns, live, kernels)


def row_values() -> None:
    """The values are written to the very end of the memory, and no further."""
    kernel.WORTH = 0
    objective = made("y = a*x + M @ B", 3)
    graph, node = objective.graph, objective.prediction
    assert node is not None
    theta = {"a": 0.5, "B": np.array([0.1, 0.2, 0.3])}
    function = RowValues(graph, node, ("x", "M"), theta, 10_000)
    for rows, at_end in product((*ROWS, 4096, 4099), (True, False)):

        def empty(shape: Any, at_end: bool = at_end) -> np.ndarray:
            out = Guarded(8 * shape).place((shape,), np.float64, at_end)
            out[:] = np.nan
            return out

        values.np = SimpleNamespace(**{**vars(np), "empty": empty})
        columns = {"x": guarded(some("f8", (rows,)), at_end), "M": guarded(some("f8", (rows, 3)), at_end)}
        found = function(columns, rows)
        np.testing.assert_allclose(found, 0.5 * columns["x"] + columns["M"] @ theta["B"], rtol=1e-13)


if __name__ == "__main__":
    scalars()
    matrices()
    products()
    row_values()
