"""log and its relatives, over eight lanes.

x = 2^k·m with m in [√½, √2) and f = m - 1, exact; s = f/(2 + f) and log(1 + f) = 2·atanh(s) = f - (f²/2 - s·(f²/2 + R)),
R = s²·Q(s²), which is more accurate than 2s + s·R because f is (fdlibm's e_log.c, Sun 1993; Tang, Table-driven
implementation of the logarithm function, 1990). The coefficients are minimax ones, as in `exponential`.
"""

from __future__ import annotations

from .exponential import INF, LN2, LN2_LOW, NAN
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


def usable(lanes: Lanes, x: Value) -> tuple[Value, Value]:
    """x and BIAS, but where x is not a positive normal number others that give the right logarithm.

    A subnormal comes back times 2^54, with 54 more to subtract from the exponent; for 0, inf and what has no
    logarithm x becomes 1 and the exponent ∓inf or NaN, which the arithmetic hands through.
    """
    b = lanes.builder
    offset = b.sub(lanes.bits(x), lanes.integer(SMALLEST_NORMAL))
    odd = b.icmp_unsigned(">=", offset, lanes.integer(INF_BITS - SMALLEST_NORMAL))

    def mend() -> tuple[Value, Value]:
        zero = lanes.number(0.0)
        subnormal = lanes.both(lanes.compare(">", x, zero), lanes.compare("<", x, lanes.number(INF)))
        bias = lanes.select(lanes.compare("==", x, lanes.number(INF)), lanes.number(-INF), lanes.number(NAN))
        bias = lanes.select(lanes.compare("==", x, zero), lanes.number(INF), bias)
        bias = lanes.select(subnormal, lanes.number(BIAS + 54.0), bias)
        return lanes.select(subnormal, lanes.mul(x, lanes.number(2.0**54)), lanes.number(1.0)), bias

    x, bias = lanes.rare(odd, (x, lanes.number(BIAS)), mend)
    return x, bias


def split(lanes: Lanes, x: Value, bias: Value, start: int = SQRT_HALF) -> tuple[Value, Value, Value]:
    """k and m of x = 2^k·m, and bits whose fraction counts m from its smallest value on; for what `usable` gives.

    `start` are the bits of the smallest m, which lies between ½ and 1; the largest is just below its double.
    """
    b = lanes.builder
    shifted = b.add(lanes.bits(x), lanes.integer(ONE - start))
    m = b.add(b.and_(shifted, lanes.integer(FRACTION)), lanes.integer(start))
    k = b.or_(b.lshr(shifted, lanes.integer(52)), lanes.integer(TWO_52))
    return lanes.sub(lanes.from_bits(k), bias), lanes.from_bits(m), shifted


def log(lanes: Lanes, x: Value) -> Value:
    """Natural logarithm; 0.8 ulp, -inf at 0, NaN below."""
    k, m, _ = split(lanes, *usable(lanes, x))
    f = lanes.sub(m, lanes.number(1.0))
    square = lanes.mul(lanes.mul(f, lanes.number(0.5)), f)
    s = lanes.div(f, lanes.add(f, lanes.number(2.0)))
    z = lanes.mul(s, s)
    tail = lanes.fma(z, lanes.polynomial(z, LOG_TAIL), square)
    low = lanes.fma(s, tail, lanes.mul(k, lanes.number(LN2_LOW)))
    return lanes.fma(k, lanes.number(LN2), lanes.sub(f, lanes.sub(square, low)))
