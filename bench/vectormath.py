"""Accuracy and speed of every vector function: the worst error found, and nanoseconds per element.

    python bench/vectormath.py [--points N] [name ...]

The error is in units in the last place against mpmath, over random and awkward arguments; the time is that of a loop
over an array that stays in the first cache, on this processor and held to AVX2 (x86-64-v3).
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from llvmlite import ir

from steepest.formula.functions import FUNCTIONS
from steepest.kernels.lanes import DOUBLE, INTEGER, MASK, VECTOR, WIDTH, Lanes, Value
from steepest.kernels.machine import Target, build
from steepest.kernels.vectormath import EMITTERS

Array = np.ndarray[Any, np.dtype[np.float64]]
SIZE = 1024
TARGETS = {"host": Target(), "avx2": Target("x86-64-v3")}
ARITY = {name: FUNCTIONS[name].arity for name in EMITTERS}
TAKES_MASK = {"and", "or", "not", "where"}

mpmath.mp.prec = 160
EXACT: dict[str, Callable[..., Any]] = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": lambda x: mpmath.log(x) / mpmath.log(10),
    "log1p": mpmath.log1p,
    "sqrt": mpmath.sqrt,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "sigmoid": lambda x: mpmath.exp(x) / (1 + mpmath.exp(x)) if x < 0 else 1 / (1 + mpmath.exp(-x)),
    "logit": lambda x: mpmath.log(x) - mpmath.log1p(-x),
    "softplus": lambda x: max(x, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(x))),
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "asinh": mpmath.asinh,
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "**": lambda x, y: x**y,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tan": mpmath.tan,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "atan": mpmath.atan,
    "atan2": mpmath.atan2,
    "erf": mpmath.erf,
    "erfc": lambda x: mpmath.erfc(x) if abs(x) < 1e3 else mpmath.mpf(0 if x > 0 else 2),
    "lgamma": lambda x: mpmath.re(mpmath.loggamma(x)),
    "gamma": mpmath.gamma,
}


def loop(emit: Callable[..., Value], arity: int, target: Target, masks: bool = False) -> Callable[..., None]:
    """An emitter as a function over arrays, `repeat` times: f(out, *arguments, size, repeat)."""
    module = ir.Module("loop")
    pointer = ir.PointerType(DOUBLE)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * (arity + 1) + [INTEGER] * 2), "f")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    zero, entry = ir.Constant(INTEGER, 0), builder.block
    outer, inner = function.append_basic_block("outer"), function.append_basic_block("inner")
    builder.branch(outer)
    builder.position_at_end(outer)
    round_ = builder.phi(INTEGER)
    round_.add_incoming(zero, entry)
    builder.branch(inner)
    builder.position_at_end(inner)
    at = builder.phi(INTEGER)
    at.add_incoming(zero, outer)
    places = [builder.bitcast(builder.gep(p, [at]), ir.PointerType(VECTOR)) for p in function.args[: arity + 1]]
    lanes = Lanes(builder, target.permutes)
    values = [builder.load(p, align=8, typ=VECTOR) for p in places[1:]]
    if masks:
        values = [lanes.compare("!=", v, lanes.number(0.0)) for v in values[: 1 if arity == 3 else arity]] + values[
            1 if arity == 3 else arity :
        ]
    value = emit(lanes, *values)
    if value.type == MASK:
        value = lanes.select(value, lanes.number(1.0), lanes.number(0.0))
    builder.store(value, places[0], align=8)
    after = builder.add(at, ir.Constant(INTEGER, WIDTH))
    at.add_incoming(after, builder.block)
    again, end = function.append_basic_block("again"), function.append_basic_block("end")
    builder.cbranch(builder.icmp_signed("<", after, function.args[-2]), inner, again)
    builder.position_at_end(again)
    more = builder.add(round_, ir.Constant(INTEGER, 1))
    round_.add_incoming(more, again)
    builder.cbranch(builder.icmp_signed("<", more, function.args[-1]), outer, end)
    builder.position_at_end(end)
    builder.ret_void()
    library = build(str(module), target)
    kinds = [ctypes.c_void_p] * (arity + 1) + [ctypes.c_int64] * 2
    native = ctypes.CFUNCTYPE(None, *kinds)(library.address("f"))

    def call(out: Array, *arguments: Array, repeat: int = 1) -> None:
        assert library is not None  # it owns the code
        native(*[a.ctypes.data for a in (out, *arguments)], len(out), repeat)

    return call


def nanoseconds(call: Callable[..., None], arguments: list[Array]) -> float:
    """Per element, the best of many rounds."""
    out, repeat, best = np.empty(SIZE), 200, float("inf")
    for _ in range(25):
        start = time.perf_counter()
        call(out, *arguments, repeat=repeat)
        best = min(best, time.perf_counter() - start)
    return best / (repeat * SIZE) * 1e9


def ordinary(name: str, generator: np.random.Generator) -> list[Array]:
    """Arguments that a formula would meet, for the timing."""
    low, high = {
        "log": (0.01, 100), "log2": (0.01, 100), "log10": (0.01, 100), "logit": (0.01, 0.99), "acosh": (1.01, 100),
        "atanh": (-0.99, 0.99), "asin": (-1, 1), "acos": (-1, 1), "log1p": (-0.9, 10), "sqrt": (0, 10),
    }.get(name, (-5, 5))  # fmt: skip
    arguments = [generator.uniform(low, high, SIZE) for _ in range(ARITY[name])]
    return [np.abs(arguments[0]), arguments[1]] if name == "**" else arguments


def awkward(name: str, generator: np.random.Generator, points: int) -> list[Array]:
    """Arguments over the whole domain: all exponents, usual ranges, neighbourhoods of special points."""
    everywhere = np.ldexp(generator.uniform(1, 2, points), generator.integers(-1075, 1024, points))
    near = np.ldexp(generator.uniform(1, 2, points), generator.integers(-60, 1, points))
    parts = [
        everywhere,
        generator.uniform(0, 1, points),
        generator.uniform(0, 5, points),
        generator.uniform(0, 50, points),
    ]
    parts += [generator.uniform(0, 750, points), 1 + near, np.abs(1 - near), 0.5 + near / 4, near]
    parts += [np.array([1.0, 0.5, 2.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 709.7827128933840])]
    x = np.concatenate(parts)
    x = np.concatenate([x, -x])
    if name == "**":  # the result is to be a number: exponents that bring x to some size
        x = np.concatenate([np.abs(x), np.abs(x), np.exp(generator.uniform(-3, 3, 4 * points))])
        with np.errstate(all="ignore"):
            y = generator.uniform(-746, 710, len(x)) / np.log(x)
        y = np.where(generator.random(len(x)) < 0.3, generator.uniform(-5, 5, len(x)), y)
        fine = np.isfinite(y)
        return [x[fine], y[fine]]
    if ARITY[name] > 1:
        return [x, *[generator.permutation(x) for _ in range(ARITY[name] - 1)]]
    return [x]


def worst(name: str, got: Array, arguments: list[Array]) -> tuple[float, str]:
    """The largest error in ulp of the exact value, and where."""
    top, where = 0.0, "-"
    exact = EXACT[name]
    for i in np.flatnonzero(np.isfinite(got)):
        at = [float(a[i]) for a in arguments]
        value = exact(*map(mpmath.mpf, at))
        if not isinstance(value, mpmath.mpf) or not mpmath.isfinite(value):
            continue
        ulp = mpmath.ldexp(1, max(-1074, int(mpmath.frexp(value)[1]) - 53)) if value else mpmath.ldexp(1, -1074)
        error = float(abs(mpmath.mpf(float(got[i])) - value) / ulp)
        if error > top:
            top, where = error, ", ".join(map(repr, at))
    return top, where


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("names", nargs="*", default=[])
    options = parser.parse_args()
    print(f"{'':10} {'ulp':>6} {'host ns':>8} {'avx2 ns':>8}  worst at")
    for name in options.names or EMITTERS:
        generator = np.random.default_rng(1)
        arity = ARITY[name]
        calls = {t: loop(EMITTERS[name], arity, target, name in TAKES_MASK) for t, target in TARGETS.items()}
        times = [nanoseconds(call, ordinary(name, generator)) for call in calls.values()]
        error, where = "", ""
        if name in EXACT and options.points:
            arguments = awkward(name, generator, options.points)
            arguments = [np.ascontiguousarray(a[: len(a) // WIDTH * WIDTH]) for a in arguments]
            got = np.empty(len(arguments[0]))
            calls["host"](got, *arguments)
            top, where = worst(name, got, arguments)
            error = f"{top:.3f}"
        print(f"{name:10} {error:>6} {times[0]:8.3f} {times[1]:8.3f}  {where}", flush=True)


if __name__ == "__main__":
    main()
