"""The native kernel: the same bits whatever the threads, the strides, the types and the processor; no read outside."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import steepest
from steepest.data.columns import KEPT
from steepest.data.source import TILE, Block, cut
from steepest.kernels import loops, native, running
from steepest.kernels.emission import NUMBERS
from steepest.kernels.loops import Shape
from steepest.kernels.native import NativeKernel
from steepest.kernels.numpy import NumpyKernel
from steepest.types import Need

from .tables import bits, block_of, check_total, made, mask, needs, picked, some_theta, table

NARROW = "y = a*exp(M @ B) + c*x*z"  # sums in registers
WIDE = "y = a*sin(x) + c*z + W @ B"  # sums in the cache, columns looped over
WIDTHS = [1, 2, 7, 8, 9, 16, 17, 31, 100]
PROCESSORS = ["x86-64-v3", "x86-64"]

on_x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="names x86 processors")


@pytest.fixture
def fresh(monkeypatch):
    """A memory of compiled programs of the test's own: what is set about loops is no part of a program's key."""
    monkeypatch.setattr(running, "_COMPILED", running._Cache())


def wide_table(rows, width=20, seed=0):
    columns = table(rows, seed)
    columns["W"] = np.random.default_rng(seed + 1).normal(size=(rows, width))
    return columns


def all_bits(objective, block, theta=None, only=tuple(Need)):
    """The bits of every sum of an objective, by new kernels."""
    theta = some_theta(objective) if theta is None else theta
    return [bits(NativeKernel(objective.rows(need)).total(theta, block)) for need in needs(objective) if need in only]


# threads, processors -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["all", "some"])
@pytest.mark.parametrize("formula", [NARROW, WIDE])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, formula, kind):
    monkeypatch.setattr(running, "SHARED", 1)
    rows = 11 * TILE + 77
    columns, objective = wide_table(rows), made(formula, "w", W=20)
    found = []
    for threads in range(1, 9):
        monkeypatch.setenv("STEEPEST_THREADS", str(threads))
        found.append(all_bits(objective, block_of(objective, columns, mask(kind, rows))))
    assert all(f == found[0] for f in found)


def test_the_threads_are_those_of_the_environment_or_of_the_processors(monkeypatch):
    monkeypatch.setenv("STEEPEST_THREADS", "3")
    assert running.threads() == 3
    for text in ("0", "1"):
        monkeypatch.setenv("STEEPEST_THREADS", text)
        assert running.threads() == 1
    for text in ("", "many", "-1"):
        monkeypatch.setenv("STEEPEST_THREADS", text)
        assert 1 <= running.threads() <= os.cpu_count()


@on_x86
@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("formula", [NARROW, WIDE, "y = a*(1 + x**2)**b + where(z > c, log(2 + x**2), z/(1 + x**2))"])
def test_a_lesser_processor_gives_the_same_bits(monkeypatch, formula, processor):
    columns, objective = wide_table(4500), made(formula, "w", W=20)
    block = block_of(objective, columns, mask("some", 4500))
    here = all_bits(objective, block)
    monkeypatch.setenv("STEEPEST_CPU", processor)
    assert all_bits(objective, block) == here


# how columns lie in memory -------------------------------------------------------------------------------------------
def every_second(array):
    out = np.zeros((2 * len(array), *array.shape[1:]), array.dtype)
    out[::2] = array
    return out[::2]


def reversed_in_memory(array):
    return np.ascontiguousarray(array[::-1])[::-1]


def beside_others(array):
    """A column (or columns) of a larger row-major array."""
    wide = array.reshape(len(array), -1)
    out = np.full((len(array), wide.shape[1] + 4), 77, array.dtype)
    out[:, 1 : 1 + wide.shape[1]] = wide
    return out[:, 1 : 1 + wide.shape[1]].reshape(array.shape) if array.ndim == 2 else out[:, 1]


def far_apart(array):
    """Rows half a page apart."""
    wide = array.reshape(len(array), -1)
    out = np.zeros((len(array), max(2048, wide.shape[1]) // 4), array.dtype)
    out[:, : wide.shape[1]] = wide
    return out[:, : wide.shape[1]] if array.ndim == 2 else out[:, 0]


def unaligned(array):
    """At an odd address."""
    raw = bytearray(array.nbytes + 3)
    out = np.frombuffer(raw, array.dtype, array.size, 3).reshape(array.shape)
    out[:] = array
    assert out.ctypes.data % 2 == 1 or array.itemsize == 1
    return out


def read_only(array):
    out = array.copy()
    out.flags.writeable = False
    return out


def columns_first(array):
    """Column-major; a single column as it is."""
    return np.asfortranarray(array)


def gaps_in_columns(array):
    """Every second column of a larger matrix."""
    if array.ndim == 1:
        return array.copy()
    out = np.zeros((len(array), 2 * array.shape[1]), array.dtype)
    out[:, ::2] = array
    return out[:, ::2]


def mirrored(array):
    """Columns from right to left."""
    return array.copy() if array.ndim == 1 else np.ascontiguousarray(array[:, ::-1])[:, ::-1]


LAYOUTS = [every_second, reversed_in_memory, beside_others, far_apart, unaligned, read_only, columns_first,
           gaps_in_columns, mirrored]  # fmt: skip


@pytest.mark.parametrize("lie", LAYOUTS)
@pytest.mark.parametrize("formula", [NARROW, WIDE])
@pytest.mark.parametrize("kind", ["all", "some"])
def test_strides_do_not_change_a_bit(formula, lie, kind):
    columns, objective = wide_table(4500), made(formula, "w", W=20)
    live = mask(kind, 4500)
    lying = {name: lie(column) for name, column in columns.items()}
    for name, column in lying.items():
        assert (column == columns[name]).all()
    only = (Need.GRADIENT, Need.NORMAL)
    plain = all_bits(objective, block_of(objective, columns, live), only=only)
    assert all_bits(objective, block_of(objective, lying, live), only=only) == plain


@pytest.mark.parametrize("name", ["x", "M", "W", "w"])
def test_one_number_for_all_rows_is_read_from_one_place(name):
    columns = wide_table(4500)
    objective = made("y = a*x + z*(M @ B) + W @ C", "w", W=20)
    still = np.broadcast_to(columns[name][:1], columns[name].shape)
    assert still.strides[0] == 0
    held = {**columns, name: still}
    plain = {**columns, name: still.copy()}
    only = (Need.GRADIENT, Need.NORMAL)
    assert all_bits(objective, block_of(objective, held), only=only) == all_bits(
        objective, block_of(objective, plain), only=only
    )


def test_one_number_for_all_columns_of_a_matrix_is_read_from_one_place():
    columns = table(4500)
    for width in (3, 8, 20):
        objective = made("y = W @ B", W=width)
        same = np.broadcast_to(columns["x"][:, None], (4500, width))
        found = all_bits(objective, block_of(objective, {**columns, "W": same}))
        assert found == all_bits(objective, block_of(objective, {**columns, "W": same.copy()}))


# number types --------------------------------------------------------------------------------------------------------
def numbers(number, shape, seed=5):
    """Numbers over the whole range of a type, its ends among them."""
    random, dtype = np.random.default_rng(seed), np.dtype(number)
    if dtype.kind == "b":
        return random.uniform(size=shape) < 0.5
    if dtype.kind == "f":
        return random.normal(size=shape).astype(dtype)
    ends = np.iinfo(dtype)
    found = random.integers(ends.min, ends.max, shape, dtype, endpoint=True)
    found.ravel()[:2] = ends.min, ends.max
    return found


def test_the_kernel_widens_every_type_that_a_column_may_keep():
    assert NUMBERS.keys() == KEPT


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("kind", ["all", "some"])
def test_narrower_numbers_have_the_bits_of_wide_ones(number, kind):
    columns, objective = table(4500), made("y = a*x + b*z", "w")
    narrow = {**columns, "x": numbers(number, 4500), "z": every_second(numbers(number, 4500, 6))}
    wide = {name: column.astype(np.float64) for name, column in narrow.items()}
    live = mask(kind, 4500)
    only = (Need.GRADIENT, Need.NORMAL)
    assert all_bits(objective, block_of(objective, narrow, live), only=only) == all_bits(
        objective, block_of(objective, wide, live), only=only
    )


@on_x86
@pytest.mark.parametrize("number", NUMBERS)
def test_narrower_numbers_have_the_same_bits_on_a_lesser_processor(monkeypatch, number):
    columns, objective = table(1001), made("y = a*x + b*z", "w")
    narrow = {**columns, "x": numbers(number, 1001), "z": every_second(numbers(number, 1001, 6))}
    block = block_of(objective, narrow, mask("some", 1001))
    here = all_bits(objective, block, only=(Need.GRADIENT,))
    for processor in PROCESSORS:
        monkeypatch.setenv("STEEPEST_CPU", processor)
        assert all_bits(objective, block, only=(Need.GRADIENT,)) == here


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("width", [3, 20])
@pytest.mark.parametrize("order", ["C", "F"])
def test_matrices_of_narrower_numbers_have_the_bits_of_wide_ones(number, width, order):
    columns, objective = table(1003), made("y = a*x + W @ B", W=width)
    narrow = np.asarray(numbers(number, (1003, width)), order=order)
    live = mask("some", 1003)
    found = all_bits(objective, block_of(objective, {**columns, "W": narrow}, live), only=(Need.GRADIENT,))
    wide = narrow.astype(np.float64)
    assert found == all_bits(objective, block_of(objective, {**columns, "W": wide}, live), only=(Need.GRADIENT,))


# matrices ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", WIDTHS)
def test_a_matrix_of_either_order_and_its_columns_one_by_one_have_the_same_bits(width):
    """The products of a row are added from the first column on, however the columns come."""
    rows = 1003
    columns = wide_table(rows, width)
    each = {f"x{j}": columns["W"][:, j].copy() for j in range(width)}
    live = mask("some", rows)
    only = (Need.GRADIENT, Need.NORMAL) if width < 100 else (Need.GRADIENT,)
    whole, apart = made("y = a*x + W @ B", W=width), made(f"y = a*x + [{', '.join(each)}] @ B", **dict.fromkeys(each))
    by_row = all_bits(whole, block_of(whole, columns, live), only=only)
    by_column = all_bits(whole, block_of(whole, {**columns, "W": np.asfortranarray(columns["W"])}, live), only=only)
    assert by_row == by_column
    assert by_row == all_bits(apart, block_of(apart, {**columns, **each}, live), only=only)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_sums_over_matrices_of_any_width_are_those_of_their_rows(width, order):
    columns = wide_table(701, width)
    columns["W"] = np.asarray(columns["W"], order=order)
    objective = made("y = a*exp(W @ B/10) + b*x", "w", W=width)
    theta = some_theta(objective)
    for kind in ("all", "some"):
        block = block_of(objective, columns, mask(kind, 701))
        for need in (Need.GRADIENT, Need.NORMAL) if width > 9 else needs(objective):
            rows = objective.rows(need)
            check_total(NativeKernel(rows).total(theta, block), rows, theta, block, samples=2)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 2), (4, 5), (8, 17), (17, 20), (20, 3)])
def test_the_crosses_of_two_vectors_are_those_of_the_rows(first, second):
    columns = wide_table(1003, second)
    columns["V"] = np.random.default_rng(9).normal(size=(1003, first))
    objective = made("y = exp(V @ B/9)*sin(W @ C) + a*x", "w", V=first, W=second)
    theta = some_theta(objective)
    rows = objective.rows(Need.HESSIAN)
    assert rows.crosses
    for kind in ("all", "some"):
        block = block_of(objective, columns, mask(kind, 1003))
        check_total(NativeKernel(rows).total(theta, block), rows, theta, block, samples=2)


def test_a_vector_in_two_matrices_at_once_has_the_sum_of_both():
    columns = wide_table(1003, 20)
    columns["V"] = np.asfortranarray(np.random.default_rng(9).normal(size=(1003, 20)))
    objective = made("y = exp(V @ B/9) + x*(W @ B) + [" + ", ".join(["x", "z"] * 10) + "] @ B", V=20, W=20)
    theta = some_theta(objective)
    for need in (Need.GRADIENT, Need.NORMAL):
        rows = objective.rows(need)
        block = block_of(objective, columns, mask("some", 1003))
        check_total(NativeKernel(rows).total(theta, block), rows, theta, block, samples=2)


def test_a_weight_that_is_a_long_formula_is_summed_with_the_rest():
    columns = wide_table(5000)
    objective = made(WIDE, "exp(-x**2)*w + 1/(1 + z**2)*abs(sin(x))", W=20)
    theta = some_theta(objective)
    for need in (Need.VALUE, Need.GRADIENT, Need.NORMAL):
        rows = objective.rows(need)
        block = block_of(objective, columns, mask("some", 5000))
        found = NativeKernel(rows).total(theta, block)
        check_total(found, rows, theta, block, samples=2)
        assert found.weight == pytest.approx(NumpyKernel(rows).total(theta, block).weight, rel=1e-13)


# how many rows, sums, operations -------------------------------------------------------------------------------------
@pytest.mark.parametrize("formula", [NARROW, WIDE])
@pytest.mark.parametrize("kind", ["all", "some"])
def test_any_number_of_rows_is_summed(formula, kind):
    objective = made(formula, "w", W=20)
    theta = some_theta(objective)
    for need in (Need.GRADIENT, Need.NORMAL):
        rows = objective.rows(need)
        summed = NativeKernel(rows)
        for count in (*range(41), *(TILE + k for k in (-9, -8, -7, -1, 0, 1, 7, 8, 9)), 2 * TILE, 3 * TILE + 8):
            block = block_of(objective, wide_table(count), mask(kind, count))
            check_total(summed.total(theta, block), rows, theta, block, samples=1)


def test_the_sums_are_the_same_in_registers_and_in_the_cache(monkeypatch, fresh):
    rows = 5003
    objective = made("y = a*exp(M @ B) + c*x", "w")
    block = block_of(objective, table(rows), mask("some", rows))
    here = all_bits(objective, block)
    for most in (0, 15, 16, 10_000):
        monkeypatch.setattr(running, "_COMPILED", running._Cache())
        monkeypatch.setattr(loops, "REGISTERS", most)
        assert Shape(objective.rows(Need.NORMAL)).in_registers is (most == 10_000)
        assert all_bits(objective, block) == here


def test_the_length_of_a_strip_does_not_change_a_bit(monkeypatch, fresh):
    columns, objective = wide_table(5003), made(WIDE, "w", W=20)
    block = block_of(objective, columns, mask("a dead tile", 5003))
    here = all_bits(objective, block, only=(Need.NORMAL, Need.HESSIAN))
    for most in (1, 64 << 10):
        monkeypatch.setattr(running, "_COMPILED", running._Cache())
        monkeypatch.setattr(loops, "STRIP", most)
        assert all_bits(objective, block, only=(Need.NORMAL, Need.HESSIAN)) == here


def test_thousands_of_columns_leave_a_strip_eight_rows():
    assert Shape(made("y = W @ B", W=5000).rows(Need.NORMAL)).strip == 8


@pytest.mark.parametrize("degree", range(8, 13))
def test_about_as_many_sums_as_there_are_registers_are_right(degree):
    text = "y = " + " + ".join(f"a{k}*x**{k}" for k in range(degree + 1))
    objective = made(text, "w")
    rows = objective.rows(Need.NORMAL)
    assert Shape(rows).in_registers is (degree < 10)
    block = block_of(objective, table(4500), mask("some", 4500))
    theta = some_theta(objective)
    check_total(NativeKernel(rows).total(theta, block), rows, theta, block)


@pytest.mark.parametrize("formula", [NARROW, WIDE])
def test_one_masked_body_for_all_rows_has_the_bits_of_two(monkeypatch, fresh, formula):
    objective = made(formula, "w", W=20)
    blocks = [block_of(objective, wide_table(9001), mask(kind, 9001)) for kind in ("all", "some", "a dead tile")]
    here = [all_bits(objective, block) for block in blocks]
    monkeypatch.setattr(running, "_COMPILED", running._Cache())
    monkeypatch.setattr(loops, "LARGE", 0)
    assert [all_bits(objective, block) for block in blocks] == here


def test_a_large_program_is_summed():
    text = "y = " + " + ".join(f"a{k}*exp(-b{k}*(x - c{k})**2)" for k in range(33))
    objective = made(text)
    rows = objective.rows(Need.GRADIENT)
    assert len(rows.graph.reachable(rows.outputs)) > loops.LARGE
    theta = some_theta(objective)
    for kind in ("all", "some"):
        block = block_of(objective, table(4500), mask(kind, 4500))
        check_total(NativeKernel(rows).total(theta, block), rows, theta, block, samples=2)


@pytest.mark.parametrize("formula", [WIDE, "y = exp(W @ B/9)*sin(M @ C)"])
def test_many_blocks_of_many_sums_have_the_bits_of_one(formula):
    rows = 4 * TILE + 100
    columns, live = wide_table(rows), mask("a dead tile", rows)
    objective = made(formula, "w", W=20)
    theta = some_theta(objective)
    whole = block_of(objective, columns, live)
    for need in needs(objective):
        summed, total = NativeKernel(objective.rows(need)), None
        for start in range(0, rows, TILE):
            total = summed.total(theta, cut(whole, start, min(start + TILE, rows)), total)
        assert bits(total) == bits(summed.total(theta, whole))


@pytest.mark.parametrize("held", [1, 2, 3])
def test_the_sums_that_are_held_at_once_do_not_change_a_bit(monkeypatch, held):
    objective = made(NARROW, "w")
    rows = objective.rows(Need.HESSIAN)
    block = block_of(objective, table(20_000), mask("some", 20_000))
    here = bits(NativeKernel(rows).total(some_theta(objective), block))
    monkeypatch.setattr(native, "HELD", held * Shape(rows).size)
    monkeypatch.setattr(running, "SHARED", 1)
    monkeypatch.setenv("STEEPEST_THREADS", "3")
    assert bits(NativeKernel(rows).total(some_theta(objective), block)) == here


# bad rows ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("held", [1, 2, 1000])
@pytest.mark.parametrize("kind", ["all", "some", "a dead tile"])
@pytest.mark.parametrize("bad", [[1], [700], [4095], [4096], [5000, 9000], [3 * TILE + 1, 19_999], [19_998, 19_999]])
def test_the_first_bad_row_is_that_of_the_reference(monkeypatch, bad, kind, held):
    columns, live = table(20_000), mask(kind, 20_000)
    columns["x"][bad] = -1e6
    objective = made("y = a*exp(-b*x) + c*z")
    theta = np.ones(3)
    for need in (Need.VALUE, Need.NORMAL):
        rows = objective.rows(need)
        monkeypatch.setattr(native, "HELD", held * Shape(rows).size)
        block = block_of(objective, columns, live, 7 * TILE)
        found, right = NativeKernel(rows).total(theta, block).bad, NumpyKernel(rows).total(theta, block).bad
        assert found == right
        alive = [row for row in bad if live is None or live[row]]
        assert found == (7 * TILE + alive[0] if alive else None)


@pytest.mark.parametrize("tiles", [1, 2, 3])
def test_a_sum_that_overflows_where_no_row_does_is_laid_to_the_tile_where_it_does(tiles):
    """0.5·y² of a tile stays below the largest number, that of two tiles does not; the first tile is dead."""
    rows = 3 * TILE
    live = np.ones(rows, bool)
    live[:TILE] = False
    objective = made("y = a*x")
    block = Block(0, rows, {"y": np.full(rows, 2.9e152), "x": np.zeros(rows)}, live)
    summed, total = NativeKernel(objective.rows(Need.VALUE)), None
    for start in range(0, rows, tiles * TILE):
        total = summed.total(np.ones(1), cut(block, start, min(start + tiles * TILE, rows)), total)
    assert total.bad == 2 * TILE


def test_a_root_of_a_difference_of_equal_products_is_zero():
    """x·x - z·z in one rounding would be the error of z·z, which may be negative."""
    columns = table(5000)
    columns["z"] = -columns["x"]
    objective = made("y = a + sqrt(x*x - z*z)")
    for need in (Need.VALUE, Need.GRADIENT):
        total = NativeKernel(objective.rows(need)).total(np.zeros(1), block_of(objective, columns))
        assert total.bad is None


# compiled once -------------------------------------------------------------------------------------------------------
@pytest.fixture
def builds(monkeypatch, fresh):
    """The modules that are compiled from now on."""
    made_, build = [], running.build
    monkeypatch.setattr(running, "build", lambda text, target: made_.append(text) or build(text, target))
    running.fold(np.zeros(8), np.zeros((1, 8)))  # what adds tiles up is compiled once for all
    made_.clear()
    return made_


def test_equal_formulas_are_compiled_once(builds):
    columns = table(5000)
    for _ in range(3):
        objective = made("y = a*exp(-b*x) + c")
        summed = NativeKernel(objective.rows(Need.GRADIENT))
        for block in (block_of(objective, columns), block_of(objective, columns, mask("some", 5000))):
            summed.total(np.ones(3), block)
    assert len(builds) == 1
    NativeKernel(objective.rows(Need.NORMAL)).total(np.ones(3), block)
    assert len(builds) == 2


def test_programs_that_differ_in_anything_are_compiled_apart(builds):
    columns = wide_table(500)
    columns["x"] = np.abs(columns["x"])
    found = set()
    texts = ["y = a*x + b", "y = a + b*x", "y = a*x + b*z", "y = a*x - b", "y = 2*x + b", "y = 3*x + b", "y = x**2*a",
             "y = x**3*a", "y = x**a", "y = W @ B", "y = M @ B"]  # fmt: skip
    for text in texts:
        objective = made(text, W=20)
        summed = NativeKernel(objective.rows(Need.VALUE))
        found.add(bits(summed.total(some_theta(objective), block_of(objective, columns))))
    assert len(builds) == len(texts) == len(found)
    NativeKernel(made(texts[0], "w").rows(Need.VALUE)).total(np.ones(2), block_of(made(texts[0], "w"), columns))
    narrow = {**columns, "x": columns["x"].astype(np.float32)}
    NativeKernel(made(texts[0]).rows(Need.VALUE)).total(np.ones(2), block_of(made(texts[0]), narrow))
    assert len(builds) == len(texts) + 2


def test_no_more_programs_are_kept_than_may_be_and_a_forgotten_one_still_runs(builds, monkeypatch):
    monkeypatch.setattr(running, "KEPT", 3)
    columns = table(500)
    objectives = [made(f"y = a*x + {k}") for k in range(5)]
    kernels = [NativeKernel(objective.rows(Need.VALUE)) for objective in objectives]
    block = block_of(objectives[0], columns)
    first = [bits(kernel.total(np.ones(1), block)) for kernel in kernels]
    assert len(builds) == 5
    assert len(running._COMPILED._held) == 3
    assert [bits(kernel.total(np.ones(1), block)) for kernel in kernels] == first
    again = [bits(NativeKernel(o.rows(Need.VALUE)).total(np.ones(1), block)) for o in (objectives[4], objectives[0])]
    assert again == [first[4], first[0]]
    assert len(builds) == 6  # the last was kept, the first was not


# at once -------------------------------------------------------------------------------------------------------------
def at_once(function, right):
    """The arguments for which a function answers otherwise when three threads call it at once; `right`: answers."""
    wrong, start, arguments = [], threading.Barrier(3), list(right)

    def work(first):
        start.wait()
        for turn in range(60):
            argument = arguments[(first + turn) % len(arguments)]
            if function(argument) != right[argument]:
                wrong.append(argument)

    workers = [threading.Thread(target=work, args=(first,)) for first in (0, 2, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong


@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_one_kernel_called_by_three_threads_at_once_answers_each(monkeypatch, threads):
    monkeypatch.setattr(running, "SHARED", 1)
    monkeypatch.setenv("STEEPEST_THREADS", threads)
    objective = made("y = a*exp(M @ B) + c*x", "w")
    block = block_of(objective, table(40_000), mask("some", 40_000))
    summed = NativeKernel(objective.rows(Need.GRADIENT))

    def answer(k):
        return bits(summed.total(np.full(5, 0.05 * k), block))

    assert not at_once(answer, {k: answer(k) for k in range(6)})


@pytest.mark.parametrize("threads", ["1", "3"])
def test_one_function_called_by_three_threads_at_once_answers_each(monkeypatch, threads):
    monkeypatch.setattr(running, "SHARED", 1)
    monkeypatch.setenv("STEEPEST_THREADS", threads)
    columns = table(40_000)
    columns["x"][5000] = np.nan
    text = "y = a*exp(-b*x) + c*z"
    alone, shared = steepest.function(text, columns), steepest.function(text, columns)

    def asked(function, k):
        loss, gradient = function(np.full(3, 0.05 * k))
        return loss, gradient.tobytes()

    assert not at_once(lambda k: asked(shared, k), {k: asked(alone, k) for k in range(6)})


def run(script, **environment):
    """A script beside this file in a process of its own."""
    path = Path(__file__).parent / "scripts" / script
    return subprocess.run(
        [sys.executable, path], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_a_fork_sums_by_threads_of_its_own():
    done = run("forked.py", STEEPEST_THREADS="3")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_is_not_lost_and_leaves_no_thread_at_work_on_the_sums():
    done = run("interrupted.py", STEEPEST_THREADS="4")
    assert done.returncode == 0, done.stderr


@on_x86
@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@pytest.mark.parametrize("processor", [None, *PROCESSORS])
def test_nothing_is_read_or_written_outside_of_a_column(processor):
    done = run("guarded.py", **{} if processor is None else {"STEEPEST_CPU": processor})
    assert done.returncode == 0, done.stderr


def test_a_kernel_keeps_nothing_of_a_call_before():
    """One kernel over blocks of other rows, types and masks in turn answers as a new one does."""
    objective = made(NARROW, "w")
    columns, rows = table(9001), objective.rows(Need.GRADIENT)
    theta = some_theta(objective)
    narrow = {name: column.astype(np.float32) for name, column in columns.items()}
    blocks = [
        block_of(objective, columns),
        block_of(objective, columns, mask("some", 9001)),
        block_of(objective, narrow),
        Block(0, 40, {name: column[:40] for name, column in picked(objective, columns).items()}),
        Block(0, 0, {name: column[:0] for name, column in picked(objective, columns).items()}),
    ]
    summed = NativeKernel(rows)
    for _ in range(2):
        for block in blocks:
            for at in (theta, -theta):
                assert bits(summed.total(at, block)) == bits(NativeKernel(rows).total(at, block))
