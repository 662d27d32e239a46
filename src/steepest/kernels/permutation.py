"""The shuffle of a window in machine code: NumPy's, draw for draw.

NumPy's loop guesses at a branch whether a draw is small enough, and often guesses wrong. Here a draw that is too large
swaps a row with itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from .emission import POINTER, Memory, integer
from .lanes import INTEGER, Value
from .machine import Library, Target, build
from .running import address


def shuffle(generator: np.random.Generator, numbers: NDArray[np.int64]) -> None:
    """`generator.shuffle(numbers)` of a fresh SFC64 generator, which is left as it is."""
    state = np.array(generator.bit_generator.state["state"]["state"], dtype=np.uint64)
    _shuffling(Target.chosen())[0](address(numbers), len(numbers), address(state))


@cache
def _shuffling(target: Target) -> tuple[Callable[..., None], Library]:
    library = build(shuffle_loop(), target)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    return call(library.address("shuffle")), library


def shuffle_loop() -> str:
    """IR of `shuffle(order, rows, state)`: Fisher and Yates's, from the last row down.

    The generator is C. Doty-Humphrey's SFC64 (PractRand, 2010); of each draw of 64 bits the lower half comes first, and
    of each half as many bits as the place has. `rows` < 2³².
    """
    module = ir.Module("shuffle")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, INTEGER, POINTER]), "shuffle")
    order, rows, state = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    memory = Memory(b)
    last = b.sub(rows, integer(1))
    bits = b.lshr(integer(-1), b.ctlz(b.or_(last, integer(1)), ir.Constant(ir.IntType(1), 1)))
    given = [last, bits, *(memory.word(state, k) for k in range(4))]
    before, head, draw, done = (b.block, *(b.append_basic_block(name) for name in ("head", "draw", "done")))
    b.branch(head)
    b.position_at_end(head)
    place, bits, x, y, z, count = held = [b.phi(INTEGER) for _ in given]
    b.cbranch(b.icmp_signed(">", place, integer(0)), draw, done)
    b.position_at_end(draw)
    drawn = b.add(b.add(x, y), count)
    turned = b.or_(b.shl(z, integer(24)), b.lshr(z, integer(40)))
    new = [b.xor(y, b.lshr(y, integer(11))), b.add(z, b.shl(z, integer(3))), b.add(turned, drawn)]
    left = place
    for half in (b.and_(drawn, integer(0xFFFFFFFF)), b.lshr(drawn, integer(32))):
        left, bits = _swapped(b, memory, order, left, bits, half)
    for phi, first, last in zip(held, given, [left, bits, *new, b.add(count, integer(1))], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, draw)
    b.branch(head)
    b.position_at_end(done)
    b.ret_void()
    return str(module)


def _swapped(b: ir.IRBuilder, memory: Memory, order: Value, place: Value, bits: Value, draw: Value) -> list[Value]:
    """Swap a place with a drawn one at or below it; the next place, or the same where the draw lies above it.

    `bits`, all ones, are those of the place or one more: both are tried, since draw waits for draw here.
    """
    fewer = b.lshr(bits, integer(1))
    enough = b.icmp_signed(">=", fewer, place)
    others = [b.and_(draw, mask) for mask in (fewer, bits)]
    small = b.select(enough, *(b.icmp_signed("<=", other, place) for other in others))
    other = b.select(small, b.select(enough, *others), place)
    ends = [memory.at(order, k, INTEGER) for k in (place, other)]
    values = [b.load(end, typ=INTEGER, align=8) for end in ends]
    for end, value in zip(ends, reversed(values), strict=True):
        b.store(value, end, align=8)
    return [b.sub(place, b.zext(small, INTEGER)), b.select(enough, fewer, bits)]
