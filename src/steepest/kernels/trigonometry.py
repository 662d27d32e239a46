"""Sine, cosine, tangent and their inverses on eight lanes.

Sources. Reduction by multiples of π/2: W. J. Cody and W. Waite, "Software Manual for the Elementary Functions" (1980),
with the fma of P. Markstein, "IA-64 and Elementary Functions" (2000); for huge arguments M. H. Payne and R. N. Hanek,
"Radian reduction for trigonometric functions", SIGNUM Newsletter 18 (1983). Inverses: as in fdlibm (S. Moshier's
Cephes before it). The polynomials were fitted by Remez' exchange in 60 digits, to the relative error of the function's
value, and rounded to double one coefficient after the other, those left fitted anew each time; the bound beside each
is that of the rounded one.

Worst errors, in units in the last place, seen in five million points each: sin 1.35, cos 1.41, tan 1.44, asin 1.22,
acos 1.21, atan 1.44, atan2 1.52. (sin and cos within 0.96 would take r in two doubles, as tan has it, and a fifth more
time.)

The usual path has no branch but the one around huge arguments. Everything is computed for |x| and the sign is put on
last, which keeps -0 what it is.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from .lanes import DOUBLE, INTEGER, INTEGERS, VECTOR, WIDTH, Lanes, Value

# sin r = r + r³·S(r²) and cos r = 1 + r²·C(r²), |r| <= π/4 + 3e-5: relative errors 2**-57.8 and 2**-63.8
SINE = (
    -0.1666666666666663,
    0.00833333333332184,
    -0.00019841269829358363,
    2.7557313538403688e-06,
    -2.5050734365397217e-08,
    1.5895431612712423e-10,
)
COSINE = (
    -0.5,
    0.041666666666666595,
    -0.001388888888887341,
    2.4801587289069988e-05,
    -2.7557314241117053e-07,
    2.0875709019321354e-09,
    -1.1358946761988286e-11,
)
# asin s = s + s³·A(s²), |s| <= 1/2: relative error 2**-55.8
ARCSINE = (
    0.16666666666665408,
    0.07500000000337143,
    0.04464285682821361,
    0.030381959142019743,
    0.022371757922473482,
    0.017359706786251358,
    0.0138852146316394,
    0.012169353719477029,
    0.006527338894823622,
    0.019530064481811802,
    -0.01622716332794791,
    0.03191432193054268,
)
# atan q = q + q³·T(q²), |q| <= 1: relative error 2**-57.1
ARCTANGENT = (
    -0.3333333333333307,
    0.19999999999951754,
    -0.14285714282588438,
    0.11111111007353792,
    -0.09090907008018304,
    0.07692279891465538,
    -0.06666404443111705,
    0.05880529914989219,
    -0.052535271962135956,
    0.047223495350222154,
    -0.04219245978852182,
    0.03664319420597424,
    -0.02990577659478319,
    0.0219870798311848,
    -0.013902543781413233,
    0.007197832033810672,
    -0.0028855651344285786,
    0.000831537368499252,
    -0.00015220479887086328,
    1.322920082297618e-05,
)

# π/2 as the sum of three doubles, of which the first two are all that a double-double holds
HALF_PI = (float.fromhex("0x1.921fb54442d18p+0"), float.fromhex("0x1.1a62633145c07p-54"), -1.4973849048591833e-33)
TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")
#: added and taken away, it leaves the nearest integer, whose bits are then the lowest of the sum
ROUNDER = 1.5 * 2.0**52
#: beyond this |x| the quotient by π/2 is too coarse for the reduction by three doubles
USUAL = 2.0**36
#: so many coefficients of the arctangent are summed one after the other
NEAR = 6
SIGN = 1 << 63
#: the name in a module of the function that reduces huge arguments
REDUCTION = "steepest.reduction"

#: the first 1216 binary digits of 2/π, from mpmath
TWO_OVER_PI_DIGITS = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424d"
    "d2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639"
    "835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f46"
    "3f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6bab",
    16,
)


def sincos(lanes: Lanes, x: Value) -> tuple[Value, Value]:
    """sin x and cos x at little more than the price of one; each has the bits that `sin` and `cos` alone give."""
    r, quadrant, odd = _reduced(lanes, x)
    sine, cosine = _sine(lanes, r), _cosine(lanes, r)
    return (
        _signed(lanes, lanes.select(odd, cosine, sine), _sine_sign(lanes, quadrant, x)),
        _signed(lanes, lanes.select(odd, sine, cosine), _cosine_sign(lanes, quadrant)),
    )


def sin(lanes: Lanes, x: Value) -> Value:
    """sin x, x in radians; NaN at ±inf."""
    r, quadrant, odd = _reduced(lanes, x)
    return _signed(lanes, lanes.select(odd, _cosine(lanes, r), _sine(lanes, r)), _sine_sign(lanes, quadrant, x))


def cos(lanes: Lanes, x: Value) -> Value:
    """cos x, x in radians; NaN at ±inf."""
    r, quadrant, odd = _reduced(lanes, x)
    return _signed(lanes, lanes.select(odd, _sine(lanes, r), _cosine(lanes, r)), _cosine_sign(lanes, quadrant))


def tan(lanes: Lanes, x: Value) -> Value:
    """tan x, x in radians; NaN at ±inf.

    The quotient of sine and cosine, or of cosine and sine, each in two doubles; one division, mended by its remainder.
    """
    r, tail, quadrant, odd = _reduced_twofold(lanes, x)
    one, z = lanes.number(1.0), lanes.mul(r, r)
    above_r = lanes.fma(lanes.mul(r, z), lanes.polynomial(z, SINE), tail)
    below_one = lanes.fma(z, lanes.polynomial(z, COSINE), lanes.mul(lanes.neg(r), tail))
    sine, cosine = lanes.add(r, above_r), lanes.add(one, below_one)
    sine_tail = lanes.add(lanes.sub(r, sine), above_r)
    cosine_tail = lanes.add(lanes.sub(one, cosine), below_one)
    n, n_tail = lanes.select(odd, cosine, sine), lanes.select(odd, cosine_tail, sine_tail)
    d, d_tail = lanes.select(odd, sine, cosine), lanes.select(odd, sine_tail, cosine_tail)
    inverse = lanes.div(one, d)
    quotient = lanes.mul(n, inverse)
    less = lanes.neg(quotient)
    remainder = lanes.add(lanes.fma(less, d, n), lanes.fma(less, d_tail, n_tail))
    value = lanes.fma(remainder, inverse, quotient)
    return _signed(lanes, value, lanes.builder.xor(lanes.builder.shl(quadrant, lanes.integer(63)), lanes.bits(x)))


def asin(lanes: Lanes, x: Value) -> Value:
    """asin x; NaN where |x| > 1."""
    a, small, z, root = _arc(lanes, x)
    start = lanes.select(small, lanes.number(0.0), lanes.number(HALF_PI[0]))
    step = lanes.select(small, a, lanes.mul(lanes.number(-2.0), root))
    return lanes.copysign(_from(lanes, start, step, z, lanes.polynomial(z, ARCSINE)), x)


def acos(lanes: Lanes, x: Value) -> Value:
    """acos x; NaN where |x| > 1."""
    _, small, z, root = _arc(lanes, x)
    negative = lanes.compare("<", x, lanes.number(0.0))
    side = lanes.select(negative, lanes.number(2 * HALF_PI[0]), lanes.number(0.0))
    start = lanes.select(small, lanes.number(HALF_PI[0]), side)
    step = lanes.select(small, lanes.neg(x), lanes.copysign(lanes.add(root, root), x))
    return _from(lanes, start, step, z, lanes.polynomial(z, ARCSINE))


def atan(lanes: Lanes, x: Value) -> Value:
    """atan x: of 1/x where |x| > 1, which is exact to half a unit, and of x itself elsewhere."""
    a, one = lanes.abs(x), lanes.number(1.0)
    large = lanes.compare(">", a, one)
    q = lanes.div(lanes.select(large, lanes.number(-1.0), a), lanes.select(large, a, one))
    start = lanes.select(large, lanes.number(HALF_PI[0]), lanes.number(0.0))
    return lanes.copysign(_arctangent(lanes, start, q), x)


def atan2(lanes: Lanes, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), with the signs of zeros and the infinities as in C and NumPy.

    The smaller of |x| and |y| over the larger, signed so that the value is start + atan of it.
    """
    ax, ay = lanes.abs(x), lanes.abs(y)
    steep = lanes.compare(">", ay, ax)
    n = lanes.select(steep, lanes.neg(x), lanes.copysign(ay, x))
    larger = lanes.select(steep, ay, ax)
    least = lanes.number(5e-324)
    d = lanes.select(lanes.compare(">", least, larger), least, larger)  # 0/0 is 0
    equal = lanes.compare("==", lanes.abs(n), d)  # inf/inf is 1
    q = lanes.select(equal, lanes.copysign(lanes.number(1.0), n), lanes.div(n, d))
    left = lanes.builder.icmp_signed("<", lanes.bits(x), lanes.integer(0))
    side = lanes.select(left, lanes.number(2 * HALF_PI[0]), lanes.number(0.0))
    start = lanes.select(steep, lanes.number(HALF_PI[0]), side)
    return lanes.copysign(_arctangent(lanes, start, q), y)


EMITTERS: dict[str, Callable[..., Value]] = {
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "asin": asin,
    "acos": acos,
    "atan": atan,
    "atan2": atan2,
}


# sine and cosine -------------------------------------------------------------------------------------------
def _sine(lanes: Lanes, r: Value) -> Value:
    z = lanes.mul(r, r)
    return lanes.fma(lanes.mul(r, z), lanes.polynomial(z, SINE), r)


def _cosine(lanes: Lanes, r: Value) -> Value:
    return lanes.polynomial(lanes.mul(r, r), (1.0, *COSINE))


def _signed(lanes: Lanes, value: Value, sign: Value) -> Value:
    """The value, its sign flipped where the highest bit of `sign` is set."""
    b = lanes.builder
    return lanes.from_bits(b.xor(lanes.bits(value), b.and_(sign, lanes.integer(SIGN))))


def _sine_sign(lanes: Lanes, quadrant: Value, x: Value) -> Value:
    return lanes.builder.xor(lanes.builder.shl(quadrant, lanes.integer(62)), lanes.bits(x))


def _cosine_sign(lanes: Lanes, quadrant: Value) -> Value:
    b = lanes.builder
    return b.xor(b.shl(quadrant, lanes.integer(62)), b.shl(quadrant, lanes.integer(63)))


def _reduced(lanes: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """|x| = quadrant·π/2 + r, |r| <= π/4: r to the last bit, the quadrant as integers, a mask where it is odd."""
    a, quadrant, turns, first = _quarter_turns(lanes, x)
    r = lanes.fma(turns, lanes.number(-HALF_PI[1]), first)
    r = lanes.fma(turns, lanes.number(-HALF_PI[2]), r)
    huge = lanes.compare(">", a, lanes.number(USUAL))
    r, quadrant = lanes.rare(huge, (r, quadrant), lambda: _reduced_huge(lanes, a, huge)[::2])
    return r, quadrant, _odd(lanes, quadrant)


def _reduced_twofold(lanes: Lanes, x: Value) -> tuple[Value, Value, Value, Value]:
    """The same with r in two doubles: r, tail, quadrant, odd."""
    a, quadrant, turns, first = _quarter_turns(lanes, x)
    second = lanes.mul(turns, lanes.number(HALF_PI[1]))
    r = lanes.sub(first, second)
    beyond = lanes.fma(turns, lanes.number(HALF_PI[1]), lanes.neg(second))
    beyond = lanes.fma(turns, lanes.number(HALF_PI[2]), beyond)
    tail = lanes.sub(lanes.sub(lanes.sub(first, r), second), beyond)
    huge = lanes.compare(">", a, lanes.number(USUAL))
    r, tail, quadrant = lanes.rare(huge, (r, tail, quadrant), lambda: _reduced_huge(lanes, a, huge))
    return r, tail, quadrant, _odd(lanes, quadrant)


def _quarter_turns(lanes: Lanes, x: Value) -> tuple[Value, Value, Value, Value]:
    """|x|, the number of quarter turns as an integer (its lowest bits) and a double, and |x| less their first part.

    That difference is without error: it is a multiple of 2⁻⁵³ (|x| < π/4 is left as it is) and less than one.
    """
    a = lanes.abs(x)
    k = lanes.fma(a, lanes.number(TWO_OVER_PI), lanes.number(ROUNDER))
    turns = lanes.sub(k, lanes.number(ROUNDER))
    return a, lanes.bits(k), turns, lanes.fma(turns, lanes.number(-HALF_PI[0]), a)


def _odd(lanes: Lanes, quadrant: Value) -> Value:
    return lanes.builder.icmp_signed("<", lanes.builder.shl(quadrant, lanes.integer(63)), lanes.integer(0))


def _reduced_huge(lanes: Lanes, a: Value, huge: Value) -> tuple[Value, Value, Value]:
    """r, tail and quadrant in the lanes of the mask, NaN at inf, by a call: one function of the module serves all."""
    b = lanes.builder
    function = b.module.globals.get(REDUCTION) or _reduction(b.module)
    a = lanes.select(huge, a, lanes.number(USUAL))
    found = b.call(function, [a])
    r, tail, quadrant = (b.extract_value(found, i) for i in range(3))
    return lanes.add(r, lanes.sub(a, a)), tail, quadrant


def _reduction(module: ir.Module) -> ir.Function:
    """Payne and Hanek's reduction in integers, one lane after the other.

    a = m·2ᵖ with m of 53 bits. Of 2/π the digits before place p - 1 only add multiples of four to a·2/π; the 192 from
    there times m, modulo 2¹⁹², are the quarter turns in two bits and the fraction in 190. No double is nearer to a
    multiple of π/2 than 2⁻⁶¹, so that 126 of these and 63 from the first one on are enough.
    """
    words = [(TWO_OVER_PI_DIGITS >> (64 * (18 - i))) % (1 << 64) for i in range(19)]
    array = ir.ArrayType(INTEGER, 20)
    table = ir.GlobalVariable(module, array, REDUCTION + ".digits")
    # 64 zeros before: for the smallest arguments p - 1 is negative
    table.global_constant, table.linkage = True, "internal"
    table.initializer = ir.Constant(array, [ir.Constant(INTEGER, w) for w in (0, *words)])

    wide, result = ir.IntType(128), ir.LiteralStructType([VECTOR, VECTOR, INTEGERS])
    function = ir.Function(module, ir.FunctionType(result, [VECTOR]), REDUCTION)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("cold")
    function.attributes.add("optnone")  # half of its price in compile time
    entry, loop, end = (function.append_basic_block(name) for name in ("entry", "loop", "end"))
    ir.IRBuilder(entry).branch(loop)
    b = ir.IRBuilder(loop)

    def whole(value: int, typ: ir.Type = INTEGER) -> Value:
        return ir.Constant(typ, value)

    def call(name: str, typ: ir.Type, *args: Value) -> Value:
        return Lanes(b).call(name, typ, *args)

    lane = b.phi(INTEGER)
    lane.add_incoming(whole(0), entry)
    sofar = b.phi(result)
    sofar.add_incoming(ir.Constant(result, ir.Undefined), entry)

    bits = b.bitcast(b.extract_element(function.args[0], lane), INTEGER)
    m = b.or_(b.and_(bits, whole((1 << 52) - 1)), whole(1 << 52))
    place = b.sub(b.lshr(bits, whole(52)), whole(1075 + 2 - 64))
    at, shift = b.lshr(place, whole(6)), b.and_(place, whole(63))
    raw = [b.load(b.gep(table, [whole(0), b.add(at, whole(i))], source_etype=array), typ=INTEGER) for i in range(4)]
    digits = [b.zext(call("llvm.fshl.i64", INTEGER, raw[i], raw[i + 1], shift), wide) for i in range(3)]

    m = b.zext(m, wide)
    low = b.mul(m, digits[2])
    middle = b.add(b.mul(m, digits[1]), b.lshr(low, whole(64, wide)))
    turns = b.add(b.shl(b.mul(m, digits[0]), whole(64, wide)), middle)
    high = b.trunc(b.lshr(turns, whole(64, wide)), INTEGER)
    quadrant = b.lshr(b.add(high, whole(1 << 61)), whole(62))
    fraction = b.shl(turns, whole(2, wide))  # of a quarter turn, signed: the nearest quadrant is taken off
    negative = b.icmp_signed("<", fraction, whole(0, wide))
    size = b.select(negative, b.neg(fraction), fraction)
    zeros = call("llvm.ctlz.i128", wide, size, ir.Constant(ir.IntType(1), 0))
    leading = b.trunc(b.lshr(b.shl(size, zeros), whole(65, wide)), INTEGER)
    scale = b.bitcast(b.shl(b.sub(whole(1023 - 63), b.trunc(zeros, INTEGER)), whole(52)), DOUBLE)
    scale = b.select(negative, b.fneg(scale), scale)
    first = b.fmul(b.sitofp(b.and_(leading, whole(-1024)), DOUBLE), scale)
    second = b.fmul(b.sitofp(b.and_(leading, whole(1023)), DOUBLE), scale)

    def fma(*args: Value) -> Value:
        return call("llvm.fma.f64", DOUBLE, *args)

    half, rest = (ir.Constant(DOUBLE, c) for c in HALF_PI[:2])
    head = b.fmul(first, half)
    small = b.fadd(fma(first, half, b.fneg(head)), fma(first, rest, b.fmul(second, half)))
    r = b.fadd(head, small)
    tail = b.fadd(b.fsub(head, r), small)

    values: Value = sofar
    for i, value in enumerate((r, tail, quadrant)):
        values = b.insert_value(values, b.insert_element(b.extract_value(sofar, i), value, lane), i)
    sofar.add_incoming(values, loop)
    after = b.add(lane, whole(1))
    lane.add_incoming(after, loop)
    b.cbranch(b.icmp_signed("<", after, whole(WIDTH)), loop, end)
    ir.IRBuilder(end).ret(values)
    return function


# the inverses ----------------------------------------------------------------------------------------------
def _arc(lanes: Lanes, x: Value) -> tuple[Value, Value, Value, Value]:
    """|x|, where it is at most 1/2, the square for the polynomial, and √((1 - |x|)/2) for the lanes beyond."""
    a = lanes.abs(x)
    small = lanes.compare("<=", a, lanes.number(0.5))
    halved = lanes.fma(a, lanes.number(-0.5), lanes.number(0.5))
    z = lanes.select(small, lanes.mul(a, a), halved)
    return a, small, z, lanes.sqrt(halved)


def _from(lanes: Lanes, start: Value, step: Value, z: Value, polynomial: Value) -> Value:
    """start + step + step·z·polynomial, the start a multiple of π/2 and never smaller than the step unless zero.

    The sum of the first two is kept whole, with what π/2 has beyond a double, which is in proportion to the start.
    """
    head = lanes.add(start, step)
    rest = lanes.sub(step, lanes.sub(head, start))
    rest = lanes.fma(start, lanes.number(HALF_PI[1] / HALF_PI[0]), rest)
    return lanes.add(head, lanes.fma(lanes.mul(step, z), polynomial, rest))


def _arctangent(lanes: Lanes, start: Value, q: Value) -> Value:
    """start + atan q.

    One chain of twenty fma would wait for itself, so that the far half goes in two; the near one, where the rounding
    is felt, in one.
    """
    z = lanes.mul(q, q)
    w = lanes.mul(z, z)
    near, far = ARCTANGENT[:NEAR], ARCTANGENT[NEAR:]
    p = lanes.fma(lanes.polynomial(w, far[1::2]), z, lanes.polynomial(w, far[::2]))
    for c in reversed(near):
        p = lanes.fma(p, z, lanes.number(c))
    return _from(lanes, start, q, z, p)
