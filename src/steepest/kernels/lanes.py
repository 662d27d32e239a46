"""Eight lanes of float64 in LLVM IR: the vocabulary in which kernels and vector functions are written.

Always eight lanes, also where the machine has four or two, and no fast-math: an operation then has the same bits on
every processor. Only `fma` fuses, and only where it is written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from llvmlite import ir

WIDTH = 8
DOUBLE = ir.DoubleType()
INTEGER = ir.IntType(64)
VECTOR = ir.VectorType(DOUBLE, WIDTH)
INTEGERS = ir.VectorType(INTEGER, WIDTH)
WORDS = ir.VectorType(ir.IntType(32), WIDTH)
MASK = ir.VectorType(ir.IntType(1), WIDTH)

Value = Any  # an LLVM value: llvmlite has no types for mypy


class Splat(ir.Constant):  # type: ignore[misc]
    """A constant with one scalar in every lane, by its text: eight times shorter than llvmlite would write it."""

    def __init__(self, typ: ir.Type, scalar: str) -> None:
        self.type = typ
        self.constant = f"splat ({scalar})"

    def _get_reference(self) -> str:
        return str(self.constant)


class Lanes:
    """An IR builder whose every value is a vector of eight lanes: doubles, 64-bit integers or a mask.

    Comparisons are ordered: false where a lane is NaN (`ne` is its opposite of `eq`: true). Anything may begin a new
    basic block, so values that must meet again go through `rare` or a phi of the caller's.
    """

    def __init__(self, builder: ir.IRBuilder, permutes: int = 0) -> None:
        """`permutes` is that of the `Target`: it changes how `choose` is done, never a bit of what it gives."""
        self.builder = builder
        self.permutes = permutes

    # constants ---------------------------------------------------------------------------------------------
    def number(self, value: float) -> Value:
        """A double in every lane, to the last bit."""
        return Splat(VECTOR, f"double 0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016x}")

    def integer(self, value: int) -> Value:
        """A 64-bit integer in every lane; from 2⁶³ on it is taken as its two's complement."""
        return Splat(INTEGERS, f"i64 {(value + (1 << 63)) % (1 << 64) - (1 << 63)}")

    def truth(self, value: bool) -> Value:
        """A mask of equal lanes."""
        return Splat(MASK, f"i1 {int(value)}")

    def splat(self, scalar: Value) -> Value:
        """A scalar double of the program in every lane."""
        one = self.builder.insert_element(ir.Constant(VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
        return self.builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), zeros)

    def whole(self, scalar: Value) -> Value:
        """A 64-bit integer of the program in every lane."""
        one = self.builder.insert_element(ir.Constant(INTEGERS, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        return self.shuffled(one, one, [0] * WIDTH)

    # arithmetic, each correctly rounded --------------------------------------------------------------------
    def add(self, a: Value, b: Value) -> Value:
        return self.builder.fadd(a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self.builder.fsub(a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self.builder.fmul(a, b)

    def div(self, a: Value, b: Value) -> Value:
        return self.builder.fdiv(a, b)

    def neg(self, a: Value) -> Value:
        return self.builder.fneg(a)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a·b + c, rounded once."""
        return self.call("llvm.fma.v8f64", VECTOR, a, b, c)

    def rest(self, a: Value, b: Value, product: Value) -> Value:
        """a·b - product, which is exact of the rounded product."""
        return self.fma(a, b, self.neg(product))

    def sqrt(self, a: Value) -> Value:
        return self.call("llvm.sqrt.v8f64", VECTOR, a)

    def abs(self, a: Value) -> Value:
        return self.call("llvm.fabs.v8f64", VECTOR, a)

    def copysign(self, size: Value, sign: Value) -> Value:
        """The size of one with the sign of the other."""
        return self.call("llvm.copysign.v8f64", VECTOR, size, sign)

    def floor(self, a: Value) -> Value:
        return self.call("llvm.floor.v8f64", VECTOR, a)

    def rint(self, a: Value) -> Value:
        """The nearest integer as a double, ties to even."""
        return self.call("llvm.rint.v8f64", VECTOR, a)

    def polynomial(self, x: Value, coefficients: Sequence[float], square: Value | None = None) -> Value:
        """c[0] + c[1]·x + c[2]·x² + ..., by Horner's rule with fma; with x² given, as two chains of half the length."""
        if square is not None:
            return self.fma(self.polynomial(square, coefficients[1::2]), x, self.polynomial(square, coefficients[::2]))
        value = self.number(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            value = self.fma(value, x, self.number(c))
        return value

    # comparisons and choices -------------------------------------------------------------------------------
    def compare(self, op: str, a: Value, b: Value) -> Value:
        """A mask; `op` is one of < <= > >= == !=."""
        if op == "!=":
            return self.builder.fcmp_unordered(op, a, b)
        return self.builder.fcmp_ordered(op, a, b)

    def is_nan(self, a: Value) -> Value:
        return self.builder.fcmp_unordered("uno", a, a)

    def both(self, a: Value, b: Value) -> Value:
        return self.builder.and_(a, b)

    def either(self, a: Value, b: Value) -> Value:
        return self.builder.or_(a, b)

    def not_(self, a: Value) -> Value:
        return self.builder.xor(a, self.truth(True))

    def select(self, mask: Value, a: Value, b: Value) -> Value:
        """a where the mask holds, else b; the lanes not taken do no harm."""
        return self.builder.select(mask, a, b)

    def choose(self, index: Value, *tables: Sequence[float]) -> list[Value]:
        """table[index & 7] of tables of eight numbers: by permutations of a register, else by a tree of choices."""
        if self.permutes == 512:
            full = [ir.Constant(VECTOR, [ir.Constant(DOUBLE, x) for x in table]) for table in tables]
            return [self.call("llvm.x86.avx512.permvar.df.512", VECTOR, table, index) for table in full]
        if self.permutes == 256:
            return self._choose_by_words(index, tables)
        shifted = [self.builder.shl(index, self.integer(63 - bit)) for bit in range(3)]
        ones = [self.builder.icmp_signed("<", bits, self.integer(0)) for bits in shifted]
        chosen = []
        for table in tables:
            values = [self.number(x) for x in table]
            for one in ones:
                values = [self.select(one, b, a) for a, b in zip(values[::2], values[1::2], strict=True)]
            chosen.append(values[0])
        return chosen

    def _choose_by_words(self, index: Value, tables: Sequence[Sequence[float]]) -> list[Value]:
        """AVX2 permutes eight words of 32 bits: four lanes at a time, the two halves of the numbers apart."""
        b, unused = self.builder, ir.Constant(WORDS, ir.Undefined)

        def words(values: Sequence[int]) -> Value:
            word = ir.IntType(32)
            return ir.Constant(ir.VectorType(word, len(values)), [ir.Constant(word, v) for v in values])

        def pick(halves: Sequence[int], places: Value) -> Value:
            return self.call("llvm.x86.avx2.permd", WORDS, words(halves), places) if any(halves) else words(halves)

        quarters: list[list[Value]] = []
        for first in (0, 4):
            four = b.shuffle_vector(index, ir.Constant(INTEGERS, ir.Undefined), words(range(first, first + 4)))
            places = b.bitcast(four, WORDS)
            places = b.shuffle_vector(places, unused, words([0, 0, 2, 2, 4, 4, 6, 6]))
            quarters.append([])
            for table in tables:
                pairs = [struct.unpack("<II", struct.pack("<d", x)) for x in table]
                low, high = (pick([pair[i] for pair in pairs], places) for i in (0, 1))
                both = b.shuffle_vector(low, high, words([0, 9, 2, 11, 4, 13, 6, 15]))
                quarters[-1].append(b.bitcast(both, ir.VectorType(DOUBLE, 4)))
        return [b.shuffle_vector(low, high, words(range(8))) for low, high in zip(*quarters, strict=True)]

    def any(self, mask: Value) -> Value:
        """Whether any lane of a mask holds: a scalar i1."""
        bits = self.builder.bitcast(mask, ir.IntType(8))
        return self.builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(8), 0))

    def all(self, mask: Value) -> Value:
        """Whether every lane of a mask holds: a scalar i1."""
        bits = self.builder.bitcast(mask, ir.IntType(8))
        return self.builder.icmp_unsigned("==", bits, ir.Constant(ir.IntType(8), 255))

    def same(self, a: Value, scalar: Value) -> Value:
        """The lanes of integers that are a scalar of the program."""
        return self.builder.icmp_signed("==", a, self.whole(scalar))

    def rare(self, mask: Value, usual: Value, unusual: Callable[[], Value]) -> Value:
        """`usual`, but `unusual()` in the lanes of the mask: code that is jumped over where no lane needs it.

        Both may be tuples of equal length.
        """
        if not isinstance(usual, tuple):
            return self.rare(mask, (usual,), lambda: (unusual(),))[0]
        builder = self.builder
        before = builder.block
        inside, after = builder.append_basic_block("rare"), builder.append_basic_block("usual")
        # the weights keep the rare block, and what is spilt for its sake, out of the loop's straight line
        builder.cbranch(self.any(mask), inside, after).set_weights([1, 4000])
        builder.position_at_end(inside)
        mended = [self.select(mask, b, a) for a, b in zip(usual, unusual(), strict=True)]
        inside = builder.block  # `unusual` may have begun blocks of its own
        builder.branch(after)
        builder.position_at_end(after)
        values = [builder.phi(a.type) for a in usual]
        for value, a, b in zip(values, usual, mended, strict=True):
            value.add_incoming(a, before)
            value.add_incoming(b, inside)
        return tuple(values)

    # across the lanes --------------------------------------------------------------------------------------
    def shuffled(self, a: Value, b: Value, places: Sequence[int]) -> Value:
        """Lane k is lane places[k] of a, or from 8 on of b."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), list(places)))

    def spread(self, a: Value, lane: int) -> Value:
        """One lane in all."""
        return self.shuffled(a, a, [lane] * WIDTH)

    def where(self, lanes: Iterable[int]) -> Value:
        """The mask of some lanes."""
        chosen = set(lanes)
        return ir.Constant(MASK, [int(k in chosen) for k in range(WIDTH)])

    def window(self, vectors: Sequence[Value], start: int) -> Value:
        """Eight doubles of a row of vectors from a place on, which may be below 0; 0 outside."""
        zero, (first, shift) = self.number(0.0), divmod(start, WIDTH)
        low, high = (vectors[k] if 0 <= k < len(vectors) else zero for k in (first, first + 1))
        return self.shuffled(low, high, range(shift, shift + WIDTH)) if shift else low

    def total(self, a: Value) -> Value:
        """The sum of the lanes, in every lane; added as in `totals`."""
        for distance in (4, 2, 1):
            a = self.add(a, self.shuffled(a, a, [k ^ distance for k in range(WIDTH)]))
        return a

    def totals(self, vectors: Sequence[Value | None]) -> Value:
        """Lane k is the sum of the lanes of vector k, None a zero: halves, then quarters, then neighbours added."""
        parts = list(vectors)
        for distance in (4, 2, 1):
            low = [k if not k & distance else WIDTH + k - distance for k in range(WIDTH)]
            high = [k + distance for k in low]
            merged: list[Value | None] = []
            for a, b in zip(parts[:distance], parts[distance:], strict=True):
                if a is None and b is None:
                    merged.append(None)
                    continue
                a, b = (self.number(0.0) if x is None else x for x in (a, b))
                merged.append(self.add(self.shuffled(a, b, low), self.shuffled(a, b, high)))
            parts = merged
        return self.number(0.0) if parts[0] is None else parts[0]

    # bits --------------------------------------------------------------------------------------------------
    def bits(self, a: Value) -> Value:
        """The IEEE bits of doubles as integers."""
        return self.builder.bitcast(a, INTEGERS)

    def from_bits(self, a: Value) -> Value:
        """The doubles that have these bits."""
        return self.builder.bitcast(a, VECTOR)

    def call(self, name: str, result: ir.Type, *args: Value) -> Value:
        """A call of an LLVM intrinsic, declared on first use; llvmlite knows none of the vector ones by itself."""
        module = self.builder.module
        if name not in module.globals:
            ir.Function(module, ir.FunctionType(result, [a.type for a in args]), name)
        return self.builder.call(module.globals[name], args)
