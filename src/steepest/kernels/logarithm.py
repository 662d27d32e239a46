"""log and its relatives, over eight lanes.

x = 2^k·m with m in [√½, √2) and f = m - 1, exact; s = f/(2 + f) and log(1 + f) = 2·atanh(s) = f - (f²/2 - s·(f²/2 + R))
with R = s²·Q(s²), which is more accurate than 2s + s·R because f is (fdlibm's e_log.c, Sun 1993; Tang, Table-driven
implementation of the logarithm function, 1990). The coefficients are minimax ones, as in `exponential`.
"""

from __future__ import annotations

from .exponential import INF, LN2, LN2_LOW, LOG2E, NAN
from .lanes import Lanes, Value

SQRT_HALF = 0x3FE6A09E667F3BCD  # the bits of √½
ONE = 0x3FF0000000000000
SMALLEST_NORMAL = 0x0010000000000000
INF_BITS = 0x7FF0000000000000
FRACTION = 0x000FFFFFFFFFFFFF
TWO_52 = 0x4330000000000000  # an integer below 2^52 put into its low bits makes 2^52 + that integer
BIAS = 2.0**52 + 1023.0

#: (2·atanh(s) - 2s)/s³ as a polynomial in s² for |s| <= 3 - 2√2, error of the whole 1.8e-18
LOG_TAIL = (
    0.6666666666666734,
    0.3999999999941466,
    0.28571428742391747,
    0.22222198572785107,
    0.18183564345000458,
    0.15314050118887712,
    0.14795953570744313,
)
#: (2·atanh(t/2) - t)/t³ as a polynomial in t² for |t| <= 0.401, error of the whole 1.7e-17
RATIO_TAIL = (
    0.08333333333334117,
    0.012499999998763046,
    0.0022321429231850695,
    0.00043402610840267096,
    8.880091641533651e-05,
    1.861420645501984e-05,
    4.6933903418914796e-06,
)
LOG2E_LOW = 2.0355273740931033e-17  # log2(e) - LOG2E
LOG10E = 0.4342944819032518
LOG10E_LOW = 1.098319650216765e-17
#: log10(2) as a multiple of 2^-42, so that k times it is exact, and the rest
LOG10_2_SHORT = 0.30102999566383914
LOG10_2_REST = 1.42050232272661e-13


def two_sum_ordered(lanes: Lanes, a: Value, b: Value) -> tuple[Value, Value]:
    """a + b rounded, and its error; for |a| >= |b| or a = 0 (Dekker 1971)."""
    total = lanes.add(a, b)
    return total, lanes.add(lanes.sub(a, total), b)


def two_sum(lanes: Lanes, a: Value, b: Value) -> tuple[Value, Value]:
    """a + b rounded, and its error, for any a and b (Knuth 1969)."""
    total = lanes.add(a, b)
    back = lanes.sub(total, b)
    return total, lanes.add(lanes.sub(b, lanes.sub(total, back)), lanes.sub(a, back))


def two_product(lanes: Lanes, a: Value, b: Value) -> tuple[Value, Value]:
    """a·b rounded, and its error."""
    product = lanes.mul(a, b)
    return product, lanes.fma(a, b, lanes.neg(product))


def unusual(lanes: Lanes, x: Value, end: int = INF_BITS) -> Value:
    """Whether x is anything but a positive normal number below the number that has the bits `end`."""
    offset = lanes.builder.sub(lanes.bits(x), lanes.integer(SMALLEST_NORMAL))
    return lanes.builder.icmp_unsigned(">=", offset, lanes.integer(end - SMALLEST_NORMAL))


def usable(lanes: Lanes, x: Value) -> tuple[Value, Value]:
    """x and BIAS, but where x is not a positive normal number others that give the right logarithm.

    A subnormal comes back times 2^54, with 54 more to subtract from the exponent; for 0, inf and what has no
    logarithm x becomes 1 and the exponent ∓inf or NaN, which the arithmetic hands through.
    """

    def mend() -> tuple[Value, Value]:
        zero = lanes.number(0.0)
        subnormal = lanes.both(lanes.compare(">", x, zero), lanes.compare("<", x, lanes.number(INF)))
        bias = lanes.select(lanes.compare("==", x, lanes.number(INF)), lanes.number(-INF), lanes.number(NAN))
        bias = lanes.select(lanes.compare("==", x, zero), lanes.number(INF), bias)
        bias = lanes.select(subnormal, lanes.number(BIAS + 54.0), bias)
        return lanes.select(subnormal, lanes.mul(x, lanes.number(2.0**54)), lanes.number(1.0)), bias

    x, bias = lanes.rare(unusual(lanes, x), (x, lanes.number(BIAS)), mend)
    return x, bias


def split(lanes: Lanes, x: Value, bias: Value, start: int = SQRT_HALF) -> tuple[Value, Value, Value]:
    """k and m of x = 2^k·m, and bits whose fraction counts m from its smallest value on; for what `usable` gives.

    `start` are the bits of the smallest m, which lies between ½ and 1 or is 1; the largest is just below its double.
    """
    b = lanes.builder
    shifted = b.add(lanes.bits(x), lanes.integer(ONE - start))
    m = b.add(b.and_(shifted, lanes.integer(FRACTION)), lanes.integer(start))
    k = b.or_(b.lshr(shifted, lanes.integer(52)), lanes.integer(TWO_52))
    return lanes.sub(lanes.from_bits(k), bias), lanes.from_bits(m), shifted


def less_than_linear(lanes: Lanes, f: Value) -> tuple[Value, Value, Value]:
    """square, s and tail such that log(1 + f) = f - (square - s·tail), for √½ - 1 <= f <= √2 - 1."""
    square = lanes.mul(lanes.mul(f, lanes.number(0.5)), f)
    s = lanes.div(f, lanes.add(f, lanes.number(2.0)))
    z = lanes.mul(s, s)
    return square, s, lanes.fma(z, lanes.polynomial(z, LOG_TAIL), square)


def natural(lanes: Lanes, k: Value, f: Value) -> Value:
    """k·ln 2 + log(1 + f)."""
    square, s, tail = less_than_linear(lanes, f)
    low = lanes.fma(s, tail, lanes.mul(k, lanes.number(LN2_LOW)))
    return lanes.fma(k, lanes.number(LN2), lanes.sub(f, lanes.sub(square, low)))


def log(lanes: Lanes, x: Value) -> Value:
    """Natural logarithm; 0.9 ulp, -inf at 0, NaN below."""
    k, m, _ = split(lanes, *usable(lanes, x))
    return natural(lanes, k, lanes.sub(m, lanes.number(1.0)))


def in_base(lanes: Lanes, x: Value, factor: float, factor_low: float) -> tuple[Value, Value, Value]:
    """k, log m rounded, and what times `factor` + `factor_low` leaves beside factor·(log m rounded); x = 2^k·m."""
    k, m, _ = split(lanes, *usable(lanes, x))
    f = lanes.sub(m, lanes.number(1.0))
    square, s, tail = less_than_linear(lanes, f)
    log_m, error = two_sum_ordered(lanes, f, lanes.fma(s, tail, lanes.neg(square)))
    return k, log_m, lanes.fma(log_m, lanes.number(factor_low), lanes.mul(error, lanes.number(factor)))


def log2(lanes: Lanes, x: Value) -> Value:
    """Logarithm to base 2; 1.1 ulp, exact for powers of two."""
    k, log_m, low = in_base(lanes, x, LOG2E, LOG2E_LOW)
    return lanes.fma(log_m, lanes.number(LOG2E), lanes.add(k, low))


def log10(lanes: Lanes, x: Value) -> Value:
    """Logarithm to base 10; 0.8 ulp, exact for powers of ten."""
    k, log_m, low = in_base(lanes, x, LOG10E, LOG10E_LOW)
    product, error = two_product(lanes, log_m, lanes.number(LOG10E))
    low = lanes.add(lanes.fma(k, lanes.number(LOG10_2_REST), low), error)
    total, error = two_sum_ordered(lanes, lanes.mul(k, lanes.number(LOG10_2_SHORT)), product)
    error = lanes.select(lanes.compare("<", error, lanes.number(1.0)), error, lanes.number(1.0))  # not NaN at ±inf
    return lanes.add(total, lanes.add(error, low))


def one_plus(lanes: Lanes, x: Value) -> tuple[Value, Value]:
    """1 + x rounded, and its error; where x is inf or NaN the error is 1."""
    one = lanes.number(1.0)
    total, error = two_sum(lanes, x, one)
    return total, lanes.select(lanes.compare("<", error, one), error, one)


def log_of_sum(lanes: Lanes, x: Value, low: Value) -> Value:
    """log(x + low) where low is at most a few last bits of x, and x is 1 or farther from 0 than 2^-60; 1.4 ulp."""
    b = lanes.builder
    k, m, shifted = split(lanes, *usable(lanes, x))
    twice = lanes.from_bits(b.sub(lanes.integer(2047 << 52), b.and_(shifted, lanes.integer(INF_BITS))))
    scale = lanes.mul(twice, lanes.number(0.5))  # 2^-k, but 0 for the largest k, where `low` does not count
    return natural(lanes, k, lanes.fma(low, scale, lanes.sub(m, lanes.number(1.0))))


def log1p(lanes: Lanes, x: Value) -> Value:
    """log(1 + x); 1.4 ulp, -inf at -1, NaN below."""
    return lanes.copysign(log_of_sum(lanes, *one_plus(lanes, x)), x)  # -0 stays -0


def log_of_ratio(lanes: Lanes, p: tuple[Value, Value], q: tuple[Value, Value], bias: Value) -> Value:
    """log of (p[0] + p[1])/(q[0] + q[1]) · 2^(BIAS - bias): normal positive numbers, each with its low part.

    The difference of the bits is 2^52 times log2(p/q) to 0.09, so that k = round(it) leaves p/(2^k·q) = (1 + s)/(1 - s)
    with |s| < 0.2005, and one division gives t = 2s = 2(p - 2^k·q)/(p + 2^k·q). Where p and q come near each other
    their difference is exact, and with the low parts the relative error stays small.
    """
    b = lanes.builder
    difference = b.add(b.sub(lanes.bits(p[0]), lanes.bits(q[0])), lanes.integer(ONE + (1 << 51)))
    scale = lanes.from_bits(b.and_(difference, lanes.integer(INF_BITS)))
    k = lanes.from_bits(b.or_(b.lshr(difference, lanes.integer(52)), lanes.integer(TWO_52)))
    k = lanes.sub(k, bias)
    scaled = lanes.mul(scale, q[0])
    over = lanes.add(lanes.sub(p[0], scaled), lanes.fma(lanes.neg(scale), q[1], p[1]))
    below = lanes.add(p[0], scaled)
    below_low = lanes.sub(p[0], lanes.sub(below, scaled))
    inverse, twice = lanes.div(lanes.number(1.0), below), lanes.add(over, over)
    t = lanes.mul(twice, inverse)
    minus = lanes.neg(t)
    residual = lanes.fma(minus, below_low, lanes.fma(minus, below, twice))
    z = lanes.mul(t, t)
    low = lanes.fma(residual, inverse, lanes.mul(k, lanes.number(LN2_LOW)))
    low = lanes.fma(lanes.mul(t, z), lanes.polynomial(z, RATIO_TAIL), low)
    return lanes.fma(k, lanes.number(LN2), lanes.add(t, low))
