"""Both kernels against a loop over rows in plain Python with exactly rounded sums."""

from __future__ import annotations

import cmath
import math
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepest.data.open import open_source
from steepest.data.reader import Reader
from steepest.data.source import TILE, Block, blocks, cut
from steepest.kernels import surface
from steepest.kernels.emission import without_native_form
from steepest.kernels.native import NativeKernel
from steepest.kernels.numpy import NumpyKernel
from steepest.kernels.surface import Surface
from steepest.types import Need

from .tables import bits, block_of, check_total, close, made, mask, needs, picked, some_theta, table

SIZES = [0, 1, 2, 4095, 4096, 4097, 20_000]
LIVE = ["all", "some", "a dead tile", "one row"]

#: prediction as text, its parameters; x, z are columns, M a matrix of three
MODELS = {
    "a line": ("a + b*x", ("a", "b")),
    "an exponential": ("a*exp(-b*x) + c", ("a", "b", "c")),
    "a sine": ("a*sin(b*x + c*z)", ("a", "b", "c")),
    "a rational": ("(a + b*x)/(1 + c**2*x**2)", ("a", "b", "c")),
    "a power": ("a*(1 + x**2)**b", ("a", "b")),
    "roots and logs": ("a*sqrt(1 + x**2) + b*log(2 + cos(z)) + c*tanh(x)", ("a", "b", "c")),
    "a constant": ("a + 0*x", ("a",)),
}
AT = {"a": 0.7, "b": -0.4, "c": 0.3}
FUNCTIONS = {
    "exp": cmath.exp,
    "sin": cmath.sin,
    "cos": cmath.cos,
    "sqrt": cmath.sqrt,
    "log": cmath.log,
    "tanh": cmath.tanh,
}


@pytest.fixture(params=[NumpyKernel, NativeKernel])
def kernel(request):
    """RowSums -> a kernel."""

    def kernel_of(rows):
        if request.param is NativeKernel and without_native_form(rows.graph, rows.outputs):
            pytest.skip("a function of it has no native form")
        return request.param(rows)

    return kernel_of


@cache
def by_row(model, rows, kind, weights):
    """[(weight, residual, [∂prediction])] of every live row, derivatives by a complex step."""
    text, names = MODELS[model]
    columns, live = table(rows), mask(kind, rows)
    code = compile(text, "model", "eval")
    h = 1e-30
    found = []
    for i in range(rows) if live is None else np.flatnonzero(live):
        row = {"x": columns["x"][i], "z": columns["z"][i]}
        slopes = []
        for name in names:
            moved = {**AT, name: AT[name] + 1j * h}
            slopes.append(eval(code, {**FUNCTIONS, **row, **moved}).imag / h)  # noqa: S307 - the text stands above
        value = eval(code, {**FUNCTIONS, **row, **AT}).real  # noqa: S307
        found.append((columns["w"][i] if weights else 1.0, columns["y"][i] - value, slopes))
    return found


@pytest.mark.parametrize("kind", LIVE)
@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("weights", [None, "w"])
def test_sums_are_those_of_a_loop_over_the_live_rows(kernel, rows, kind, weights):
    check(kernel, "an exponential", rows, kind, weights)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weights", [None, "w"])
def test_sums_of_many_formulas_are_those_of_a_loop_over_the_live_rows(kernel, model, weights):
    check(kernel, model, 700, "some", weights)


def check(kernel, model, rows, kind, weights):
    text, names = MODELS[model]
    columns, live = table(rows), mask(kind, rows)
    objective = made(f"y = {text}", weights)
    assert objective.layout.flat == names
    theta = np.array([AT[n] for n in names])
    block = Block(0, rows, picked(objective, columns), live)
    loop = by_row(model, rows, kind, weights)
    p = len(names)

    total = kernel(objective.rows(Need.GRADIENT)).total(theta, block)
    assert total.rows == len(loop)
    assert total.bad is None
    assert close(total.weight, [w for w, _, _ in loop])
    assert close(total.values[0], [0.5 * w * r * r for w, r, _ in loop])
    for j in range(p):
        assert close(total.values[1 + j], [-w * r * s[j] for w, r, s in loop])

    value = kernel(objective.rows(Need.VALUE)).total(theta, block)
    assert value.values == pytest.approx(total.values[:1], rel=1e-14)

    *_, gram = objective.rows(Need.NORMAL).split(kernel(objective.rows(Need.NORMAL)).total(theta, block).values)
    sides = [[*s, r] for _, r, s in loop]
    for i in range(p + 1):
        for j in range(p + 1):
            assert close(gram[i, j], [w * side[i] * side[j] for (w, _, _), side in zip(loop, sides, strict=True)])


@pytest.mark.parametrize("rows", [0, 1, 5, 4097, 9000])
@pytest.mark.parametrize("kind", LIVE)
def test_matrix_columns_and_crosses_are_those_of_a_loop(kernel, rows, kind):
    """exp(M @ B)·a: gradient, Gram matrix and the exact Hessian, which holds the cross sums."""
    columns, live = table(rows), mask(kind, rows)
    objective = made("y = a*exp(M @ B)", "w")
    theta = np.array([0.7, 0.2, -0.1, 0.3])
    block = Block(0, rows, picked(objective, columns), live)
    kept = [i for i in range(rows) if live is None or live[i]]
    losses, slopes, bends = [], [], []
    for i in kept:
        m, w = columns["M"][i], columns["w"][i]
        e = math.exp(math.fsum(m * theta[1:]))
        r = columns["y"][i] - theta[0] * e
        s = np.array([e, *(theta[0] * e * m)])
        second = np.zeros((4, 4))
        second[0, 1:] = second[1:, 0] = e * m
        second[1:, 1:] = theta[0] * e * np.outer(m, m)
        losses.append(0.5 * w * r * r)
        slopes.append(-w * r * s)
        bends.append(w * np.outer(s, s) - w * r * second)
    total = kernel(objective.rows(Need.GRADIENT)).total(theta, block)
    assert total.rows == len(kept)
    assert close(total.values[0], losses)
    for j in range(4):
        assert close(total.values[1 + j], [s[j] for s in slopes])
    evaluation = (
        objective.evaluate(Need.HESSIAN, kernel(objective.rows(Need.HESSIAN)).total(theta, block), theta)
        if rows
        else None
    )
    if evaluation is not None:
        for i in range(4):
            for j in range(4):
                scale = math.fsum(abs(b[i, j]) for b in bends) + math.fsum(abs(s[i]) for s in slopes) + 1e-300
                assert abs(evaluation.curvature[i, j] - math.fsum(b[i, j] for b in bends)) <= 1e-12 * scale


@pytest.mark.parametrize("loss", ["log(cosh(y - prediction))", "exp(y - prediction) - (y - prediction)"])
def test_a_loss_of_ones_own_is_summed_as_a_loop_does(kernel, loss):
    columns, live = table(5000), mask("some", 5000)
    objective = made("y = a + b*x", "w", loss)
    theta = np.array([0.3, -0.2])
    total = kernel(objective.rows(Need.GRADIENT)).total(theta, Block(0, 5000, picked(objective, columns), live))
    values, slopes = [], ([], [])
    for i in np.flatnonzero(live):
        x, w = columns["x"][i], columns["w"][i]
        r = columns["y"][i] - 0.3 + 0.2 * x
        f, d = (math.log(math.cosh(r)), math.tanh(r)) if "cosh" in loss else (math.exp(r) - r, math.exp(r) - 1)
        values.append(w * f)
        slopes[0].append(-w * d)
        slopes[1].append(-w * d * x)
    assert total.values[0] == pytest.approx(math.fsum(values), rel=1e-12)
    assert close(total.values[1], slopes[0]) and close(total.values[2], slopes[1])


# bad rows --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("first", [0, 3 * TILE])
@pytest.mark.parametrize("rows_bad", [[0], [4095], [4096], [5000, 6000], [8999]])
def test_the_first_row_that_is_not_finite_is_named_by_its_global_number(kernel, first, rows_bad):
    columns = table(9000)
    columns["x"][rows_bad] = -1e6
    objective = made("y = exp(-a*x)")
    block = Block(first, 9000, picked(objective, columns))
    total = kernel(objective.rows(Need.GRADIENT)).total(np.array([1.0]), block)
    assert total.bad == first + rows_bad[0]


def test_a_dead_row_is_never_bad_nor_raises_nor_counts(kernel):
    columns = table(9000)
    live = np.ones(9000, bool)
    for row, value in ((10, math.nan), (4096, math.inf), (5000, -1e6)):
        columns["x"][row] = value
        live[row] = False
    columns["x"][6000] = -1e6
    objective = made("y = exp(-a*x)")
    summed = kernel(objective.rows(Need.GRADIENT))
    total = summed.total(np.array([1.0]), Block(0, 9000, picked(objective, columns), live))
    assert total.bad == 6000
    live[6000] = False
    total = summed.total(np.array([1.0]), Block(0, 9000, picked(objective, columns), live))
    assert total.bad is None and total.rows == 8996
    assert np.isfinite(total.values).all()


def test_the_first_bad_row_is_the_first_also_over_several_blocks(kernel):
    columns = table(3 * TILE)
    columns["x"][[2 * TILE + 5, TILE + 7]] = -1e6
    objective = made("y = exp(-a*x)")
    summed = kernel(objective.rows(Need.NORMAL))
    total = None
    for start in range(0, 3 * TILE, TILE):
        part = {n: c[start : start + TILE] for n, c in picked(objective, columns).items()}
        total = summed.total(np.array([1.0]), Block(start, TILE, part), total)
    assert total.bad == TILE + 7


# the same bits ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("need", [Need.VALUE, Need.GRADIENT, Need.NORMAL, Need.HESSIAN])
@pytest.mark.parametrize("kind", ["all", "some", "a dead tile"])
@pytest.mark.parametrize("formula", ["y = a*exp(-b*x) + c*z", "y = a*exp(M @ B) + c*x"])
def test_one_block_and_many_blocks_have_the_same_bits(kernel, formula, kind, need):
    rows = 20_000
    columns, live = table(rows), mask(kind, rows)
    objective = made(formula, "w")
    summed = kernel(objective.rows(need))
    theta = np.linspace(0.1, 0.5, objective.layout.size)
    held = picked(objective, columns)
    whole = summed.total(theta, Block(0, rows, held, live))
    for tiles in (1, 2, 3):
        total = None
        for start in range(0, rows, tiles * TILE):
            stop = min(start + tiles * TILE, rows)
            part = {n: c[start:stop] for n, c in held.items()}
            alive = None if live is None else live[start:stop]
            if alive is not None and alive.all():
                alive = None  # a block without dead rows says so
            total = summed.total(theta, Block(start, stop - start, part, alive), total)
        assert bits(total) == bits(whole)


@pytest.mark.parametrize("group", [100_000, 4096, 5000, 999, 12_345])
def test_a_dict_and_parquet_with_odd_row_groups_have_the_same_bits(kernel, monkeypatch, tmp_path, group):
    monkeypatch.setattr(surface, "kernel_for", lambda rows, count: kernel(rows))
    columns = table(20_000)
    columns["x"][[3, 4097, 15_000]] = math.nan
    flat = {n: columns[n] for n in "yxzw"}
    matrix = pa.FixedSizeListArray.from_arrays(pa.array(columns["M"].ravel()), 3)
    pq.write_table(pa.table({**flat, "M": matrix}), tmp_path / "t.parquet", row_group_size=group)
    objective = made("y = a*exp(M @ B) + c*x", "w")
    theta = np.linspace(0.1, 0.5, 5)
    found = []
    for source in (open_source(columns), open_source(tmp_path / "t.parquet")):
        over = Surface(objective, Reader(source.select(objective.columns)))
        evaluation = over.at(theta, Need.HESSIAN)
        found.append((evaluation.total, evaluation.slope.tobytes(), evaluation.curvature.tobytes(), over.rows))
    assert found[0] == found[1]
    assert found[0][3] == 19_997


def test_totals_of_tiles_are_added_in_the_order_of_the_tiles(kernel):
    columns = table(5 * TILE)
    objective = made("y = a + b*x")
    summed = kernel(objective.rows(Need.GRADIENT))
    theta = np.array([0.3, 0.2])
    block = block_of(objective, columns)
    values = np.zeros(3)
    for start in range(0, block.rows, TILE):
        values = values + summed.total(theta, cut(block, start, start + TILE)).values
    assert (summed.total(theta, block).values == values).all()


def test_the_sums_do_not_depend_on_blas_threads(kernel):
    from threadpoolctl import threadpool_limits

    columns = table(20_000)
    objective = made("y = a*exp(M @ B) + c*x", "w")
    summed = kernel(objective.rows(Need.HESSIAN))
    theta = np.linspace(0.1, 0.5, 5)
    block = Block(0, 20_000, picked(objective, columns))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(bits(summed.total(theta, block)))
    assert found[0] == found[1]


def test_the_columns_of_a_block_are_jacobian_and_residual_side_by_side(kernel):
    columns, live = table(5000), mask("some", 5000)
    objective = made("y = a*exp(-b*x)", "w")
    summed = kernel(objective.rows(Need.NORMAL))
    theta = np.array([0.7, -0.4])
    found = np.vstack(list(summed.column_tiles(theta, Block(0, 5000, picked(objective, columns), live))))
    x, y, root = columns["x"][live], columns["y"][live], np.sqrt(columns["w"][live])
    e = np.exp(0.4 * x)
    right = np.c_[root * e, -root * 0.7 * x * e, root * (y - 0.7 * e)]
    np.testing.assert_allclose(found, right, rtol=1e-13)


def test_a_block_is_never_written_to(kernel):
    columns = table(9000)
    for column in columns.values():
        column.flags.writeable = False
    objective = made("y = a*exp(M @ B) + c*x", "w")
    for need in needs(objective):
        kernel(objective.rows(need)).total(np.ones(5), Block(0, 9000, picked(objective, columns), mask("some", 9000)))


@pytest.mark.parametrize("rows", [1, 65_536, 65_537, 150_000])
def test_a_pass_over_a_source_is_the_sum_over_its_blocks(kernel, monkeypatch, rows):
    monkeypatch.setattr(surface, "kernel_for", lambda rows, count: kernel(rows))
    columns = table(rows)
    objective = made("y = a + b*x")
    source = open_source(columns).select(objective.columns)
    over = Surface(objective, Reader(source))
    evaluation = over.at(np.array([0.3, 0.2]), Need.GRADIENT)
    summed = kernel(objective.rows(Need.GRADIENT))
    total = None
    for block in blocks(source):
        total = summed.total(np.array([0.3, 0.2]), block, total)
    assert evaluation.total == pytest.approx(total.values[0], rel=1e-13)
    assert over.rows == rows
    residual = columns["y"] - 0.3 - 0.2 * columns["x"]
    assert evaluation.total == pytest.approx(math.fsum(0.5 * residual**2), rel=1e-13)


# the calculus of rows ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", LIVE)
@pytest.mark.parametrize("formula", [
    "y = a*x + b*z + c",
    "y = where(x > 0 and not z >= b, a*x, c*exp(b*z))",
    "y = a*(M @ B) + exp(-b*x**2)/(1 + abs(z))",
    "y = a + [x, z, x*z] @ B + M @ C",
    "y = exp(M @ B)*(2 + sin(M @ C))",
    "y = exp([x, z] @ B)",
    "y = a*x - x*b*z - (z*x - c*x)",
])  # fmt: skip
def test_every_sum_is_the_sum_of_its_rows(kernel, formula, kind):
    objective = made(formula, "w")
    columns = table(4500)
    block = block_of(objective, columns, mask(kind, 4500))
    theta = some_theta(objective)
    for need in needs(objective):
        rows = objective.rows(need)
        check_total(kernel(rows).total(theta, block), rows, theta, block)


@pytest.mark.parametrize("loss", ["log(1 + exp(prediction)) - y*prediction", "sqrt(1 + (y - prediction)**2) - 1"])
def test_every_sum_of_another_loss_is_the_sum_of_its_rows(kernel, loss):
    objective = made("y = a*x + M @ B", "w", loss)
    block = block_of(objective, table(4500), mask("some", 4500))
    theta = some_theta(objective)
    for need in needs(objective):
        rows = objective.rows(need)
        check_total(kernel(rows).total(theta, block), rows, theta, block)


def test_a_formula_without_parameters_has_a_sum(kernel):
    objective = made("y = 2*x")
    block = block_of(objective, table(5000))
    for need in (Need.VALUE, Need.NORMAL):
        rows = objective.rows(need)
        check_total(kernel(rows).total(np.zeros(0), block), rows, np.zeros(0), block)


def test_all_rows_alive_by_mask_or_without_one_have_the_same_bits(kernel):
    columns = table(9001)
    objective = made("y = a*exp(M @ B) + c*x", "w")
    theta = some_theta(objective)
    for need in needs(objective):
        summed = kernel(objective.rows(need))
        masked = summed.total(theta, block_of(objective, columns, np.ones(9001, bool)))
        assert bits(masked) == bits(summed.total(theta, block_of(objective, columns)))


def test_what_stands_in_dead_rows_does_not_matter_to_the_last_bit(kernel):
    objective = made("y = a*exp(M @ B) + log(z) + c*x", "w")
    theta = some_theta(objective)
    columns, live = table(9001), mask("some", 9001)
    columns["z"] = np.abs(columns["z"])
    clean = block_of(objective, columns, live)
    odd = {name: column.copy() for name, column in picked(objective, columns).items()}
    for k, column in enumerate(odd.values()):
        garbage = np.resize([math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -1.0][k % 3 :], 9001)
        column[~live] = garbage[~live] if column.ndim == 1 else garbage[~live, None]
    for need in needs(objective):
        summed = kernel(objective.rows(need))
        assert bits(summed.total(theta, Block(0, 9001, odd, live))) == bits(summed.total(theta, clean))


@pytest.mark.parametrize("summed", [NumpyKernel, NativeKernel])
def test_a_vector_whose_derivative_is_zero_has_a_zero_for_each_element(summed):
    objective = made("y = a*x + where(M @ B > 0, 1, 0)")
    rows = objective.rows(Need.GRADIENT)
    total = summed(rows).total(np.ones(4), block_of(objective, table(5000)))
    assert total.values.shape == (5,)
    assert (total.values[2:] == 0).all()
