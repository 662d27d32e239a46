"""Vector functions over arrays, compiled: what the accuracy tests call."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
from llvmlite import ir

from steepest.kernels.lanes import DOUBLE, INTEGER, VECTOR, WIDTH, Lanes, Value
from steepest.kernels.machine import Target, build


def elementwise(emit: Callable[..., Value], arity: int, target: Target) -> Callable[..., np.ndarray]:
    """An emitter of eight lanes as a function of float64 arrays of equal shape."""
    module = ir.Module("elementwise")
    pointer = ir.PointerType(DOUBLE)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * (arity + 1) + [INTEGER]), "f")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    loop, end = function.append_basic_block("loop"), None
    entry = builder.block
    builder.branch(loop)
    builder.position_at_end(loop)
    at = builder.phi(INTEGER)
    at.add_incoming(ir.Constant(INTEGER, 0), entry)
    where = [builder.bitcast(builder.gep(p, [at]), ir.PointerType(VECTOR)) for p in function.args[:-1]]
    value = emit(Lanes(builder, target.permutes), *[builder.load(w, align=8, typ=VECTOR) for w in where[1:]])
    builder.store(value, where[0], align=8)
    after = builder.add(at, ir.Constant(INTEGER, WIDTH))
    at.add_incoming(after, builder.block)
    end = function.append_basic_block("end")
    builder.cbranch(builder.icmp_signed("<", after, function.args[-1]), loop, end)
    builder.position_at_end(end)
    builder.ret_void()
    library = build(str(module), target)
    native = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (arity + 1), ctypes.c_int64)(library.address("f"))

    def call(*arguments: np.ndarray) -> np.ndarray:
        size = max(1, -(-len(arguments[0]) // WIDTH)) * WIDTH
        padded = [np.zeros(size) for _ in range(arity + 1)]
        for place, argument in zip(padded[1:], arguments, strict=True):
            place[: len(argument)] = argument
        native(*[p.ctypes.data for p in padded], size)
        assert library is not None  # it owns the code
        return padded[0][: len(arguments[0])]

    return call


@pytest.fixture(scope="session", params=["host", "x86-64-v3"])
def target(request: pytest.FixtureRequest) -> Target:
    """The processor of this machine, and the same one held to AVX2."""
    return Target() if request.param == "host" else Target(request.param)
