"""Who computes loss and gradient over all rows: each `make(case, data)` returns `call(theta) -> (loss, gradient)`.

Each imports what it needs itself; what is not installed raises ImportError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
from _c import c_loop
from _cases import Case, Data, Pass
from _timing import THREADS, seconds

Call = Callable[[np.ndarray], Pass]


def steepest_function(case: Case, data: Data) -> Call:
    import steepest

    return steepest.function(case.formula, {n: data[n] for n in case.columns}, reduce="sum")


def numpy_whole(case: Case, data: Data) -> Call:
    """The steps as whole arrays."""
    run = _numpy(case)
    return lambda theta: run(theta, data)


def numpy_blocks(case: Case, data: Data) -> Call:
    """The same in blocks that stay in the cache, on two threads; the best of the sizes that were tried."""
    rows, run = len(data["y"]), _numpy(case)
    pool = ThreadPoolExecutor(THREADS)

    def part(theta: np.ndarray, size: int, first: int, last: int) -> Pass:
        loss, gradient = 0.0, np.zeros(len(theta))
        for start in range(first, last, size):
            stop = min(start + size, last)
            one = run(theta, {n: data[n][start:stop] for n in case.arrays})
            loss, gradient = loss + one[0], gradient + one[1]
        return loss, gradient

    def evaluate(theta: np.ndarray, size: int) -> Pass:
        cuts = np.linspace(0, rows, THREADS + 1).astype(int).tolist()
        parts = list(pool.map(lambda j: part(theta, size, cuts[j], cuts[j + 1]), range(THREADS)))
        return sum(p[0] for p in parts), np.sum([p[1] for p in parts], axis=0)

    size = _best(lambda size: lambda: evaluate(np.array(case.theta), size), (4_096, 8_192, 16_384))
    return lambda theta: evaluate(theta, size)


def numexpr_whole(case: Case, data: Data) -> Call:
    """The steps by numexpr on two threads, the sums (and a matrix product) by BLAS."""
    import numexpr

    numexpr.set_num_threads(THREADS)
    text = case.steps.replace("logaddexp(0, z)", "where(z > 0, z, 0) + log1p(exp(-abs(z)))")  # it has no logaddexp
    steps = [step.split(" = ") for step in text.split("; ")]

    def evaluate(theta: np.ndarray) -> Pass:
        space = _space(case, theta, data)
        for name, text in steps:
            product = text == "X @ t"
            space[name] = space["X"] @ theta if product else numexpr.evaluate(text, local_dict=space, global_dict={})
        return _summed(case, space)

    return evaluate


def numba_loop(case: Case, data: Data) -> Call:
    """The loop of C in Python's words, parallel and fastmath."""
    import numba

    places = range(len(case.names) + 1)
    lines = [f"def run(t, {', '.join(f'{c}_' for c in case.columns)}):"]
    lines += [f"    {n} = t[{j}]" for j, n in enumerate(case.names)] + [f"    s{j} = 0.0" for j in places]
    lines += ["    for i in prange(len(y_)):"] + [f"        {c} = {c}_[i]" for c in case.columns]
    lines += [f"        {statement}" for statement in case.loop.split("; ")]
    lines += [f"    return s0, ({', '.join(f's{j}' for j in places[1:])},)"]
    space: dict[str, Any] = {"prange": numba.prange, "pick": numba.njit(lambda c, a, b: a if c else b)}
    space |= {name: getattr(math, name) for name in ("exp", "log", "sin", "cos", "pow", "fabs")}
    exec("\n".join(lines), space)  # noqa: S102 (the text of our own case)
    numba.set_num_threads(THREADS)
    run = numba.njit(space["run"], parallel=True, fastmath=True)

    def evaluate(theta: np.ndarray) -> Pass:
        loss, gradient = run(theta, *(data[n] for n in case.columns))
        return loss, np.array(gradient)

    return evaluate


def jax_whole(case: Case, data: Data) -> Call:
    """jit(value_and_grad) of the sum, in float64."""
    jax, d, loss = _jax(case, data)
    run = jax.jit(jax.value_and_grad(loss))
    return lambda theta: _floats(run(theta, d))


def jax_blocks(case: Case, data: Data) -> Call:
    """The same block by block in a lax.scan; the best of the sizes that were tried."""
    jax, d, loss = _jax(case, data)
    rows = len(data["y"])

    def blocked(size: int) -> Call:
        blocks = {n: v.reshape(rows // size, size, *v.shape[1:]) for n, v in d.items()}
        one = jax.value_and_grad(loss)

        def sweep(t: Any, blocks: Any) -> Any:
            def add(total: Any, block: Any) -> Any:
                return jax.tree.map(jax.numpy.add, total, one(t, block)), None

            return jax.lax.scan(add, (0.0, jax.numpy.zeros(len(case.theta))), blocks)[0]

        run = jax.jit(sweep)
        return lambda theta: _floats(run(theta, blocks))

    sizes = [s for s in (4_000, 10_000, 20_000, 100_000) if rows % s == 0] or [rows]
    calls = {size: blocked(size) for size in sizes}
    theta = np.array(case.theta)
    return calls[_best(lambda size: lambda: calls[size](theta), sizes)]


def torch_eager(case: Case, data: Data) -> Call:
    return _torch(case, data, lambda torch, function: function)


def torch_compiled(case: Case, data: Data) -> Call:
    return _torch(case, data, lambda torch, function: torch.compile(function))


def heyoka_blocks(case: Case, data: Data) -> Call:
    """Loss and gradient of a row as one compiled function, over blocks that stay in the cache, on two threads."""
    import heyoka as hy

    class Module:
        exp, sin = hy.exp, hy.sin
        less, where = hy.lt, hy.select

        @staticmethod
        def softplus(u: Any) -> Any:
            return hy.log(1.0 + hy.exp(u))

    places = [hy.par[j] for j in range(len(case.theta))]
    columns = dict(zip(case.columns, hy.make_vars(*case.columns), strict=True))
    d = columns | {"X": np.array([v for n, v in columns.items() if n != "y"])}
    row = case.row(Module, np.array(places), d)
    tensors = hy.diff_tensors([row], diff_args=places, diff_order=1)
    run = hy.cfunc([row, *tensors.gradient], vars=list(columns.values()))
    size, rows, width = 8_000, len(data["y"]), len(case.columns)
    pool = ThreadPoolExecutor(THREADS)

    def part(theta: np.ndarray, starts: np.ndarray) -> np.ndarray:
        given, pars = np.empty((width, size)), np.repeat(theta[:, None], size, axis=1)
        out, total = np.empty((len(theta) + 1, size)), np.zeros(len(theta) + 1)
        for start in starts.tolist():
            n = min(size, rows - start)
            for j, name in enumerate(case.columns):
                given[j, :n] = data[name][start : start + n]
            run(given, outputs=out, pars=pars)
            total += out[:, :n].sum(axis=1)
        return total

    def evaluate(theta: np.ndarray) -> Pass:
        total = sum(pool.map(lambda s: part(theta, s), np.array_split(np.arange(0, rows, size), THREADS)))
        return float(total[0]), total[1:]

    return evaluate


HERE = {
    "steepest": steepest_function,
    "C, two threads": c_loop,
    "NumPy": numpy_whole,
    "NumPy, blocks, two threads": numpy_blocks,
}
PEERS = {
    "numexpr": numexpr_whole,
    "Numba, parallel, fastmath": numba_loop,
    "JAX": jax_whole,
    "JAX, blocks (lax.scan)": jax_blocks,
    "PyTorch": torch_eager,
    "PyTorch, compiled": torch_compiled,
    "heyoka, blocks, two threads": heyoka_blocks,
}
MODULES = {"steepest": "steepest", "numexpr": "numexpr", "Numba": "numba", "JAX": "jax", "PyTorch": "torch",
           "heyoka": "heyoka"}  # fmt: skip


def module_of(contender: str) -> str:
    """The module that a contender imports first."""
    return MODULES.get(contender.split(",")[0].split(" ")[0], "numpy")


def _best(make: Callable[[int], Callable[[], Any]], sizes: Any) -> int:
    """The size whose call is quickest."""
    times = {}
    for size in sizes:
        call = make(size)
        call()
        times[size] = min(seconds(call) for _ in range(2))
    return min(times, key=lambda size: times[size])


def _space(case: Case, theta: np.ndarray, data: Data) -> dict[str, Any]:
    return dict(zip(case.names, theta.tolist(), strict=True)) | {n: data[n] for n in case.arrays}


def _summed(case: Case, space: dict[str, Any]) -> Pass:
    loss, gradient = case.sums(SimpleNamespace(**space))
    return float(loss), np.array(gradient)


def _numpy(case: Case) -> Callable[[np.ndarray, Data], Pass]:
    functions = {name: getattr(np, name) for name in ("exp", "log", "logaddexp", "sin", "cos", "where")}
    code = compile(case.steps, case.name, "exec")

    def run(theta: np.ndarray, data: Data) -> Pass:
        space = _space(case, theta, data) | {"t": theta}
        exec(code, dict(functions), space)  # noqa: S102 (the text of our own case)
        return _summed(case, space)

    return run


def _module(package: Any, softplus: Any) -> SimpleNamespace:
    return SimpleNamespace(softplus=softplus, **{n: getattr(package, n) for n in ("exp", "sin", "less", "where")})


def _jax(case: Case, data: Data) -> tuple[Any, Any, Any]:
    import jax

    jax.config.update("jax_enable_x64", True)
    module = _module(jax.numpy, jax.nn.softplus)
    arrays = {n: jax.numpy.asarray(data[n]) for n in case.arrays}
    return jax, arrays, lambda t, d: case.row(module, t, d).sum()


def _floats(answer: Any) -> Pass:
    return float(answer[0]), np.asarray(answer[1])


def _torch(case: Case, data: Data, compiled: Callable[[Any, Any], Any]) -> Call:
    import torch

    torch.set_num_threads(THREADS)
    d = {n: torch.from_numpy(data[n]) for n in case.arrays}
    module = _module(torch, torch.nn.functional.softplus)
    total = compiled(torch, lambda t, d: case.row(module, t, d).sum())

    def evaluate(theta: np.ndarray) -> Pass:
        t = torch.tensor(theta, requires_grad=True)
        loss = total(t, d)
        loss.backward()
        return float(loss.detach()), t.grad.numpy()

    return evaluate
