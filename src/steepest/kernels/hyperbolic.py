"""Hyperbolic functions and their inverses over eight lanes."""

from __future__ import annotations

from .exponential import (
    INF,
    LN2,
    LN2_LOW,
    NAN,
    exp_at_the_ends,
    exp_of_sum,
    expm1_reduced,
    far,
    nearest_power,
    power_of_two,
)
from .lanes import Lanes, Value
from .logarithm import BIAS, log_of_ratio, log_of_sum, one_plus, two_sum, two_sum_ordered

#: (sinh(r) - r)/r³ and (cosh(r) - 1)/r² as polynomials in r² for |r| <= ln(2)/2, errors of the whole 5.4e-19, 8.1e-18
SINH_TAIL = (
    0.16666666666666677,
    0.008333333333321624,
    0.00019841269886133715,
    2.755724420991536e-06,
    2.5109034172693144e-08,
)
COSH_TAIL = (
    0.5000000000000013,
    0.04166666666651441,
    0.0013888888947226731,
    2.480148976148298e-05,
    2.7631335074735315e-07,
)
#: less half of the bits of x, these are the bits of about 1/(2·sqrt(x))
HALF_INVERSE_ROOT = 0x5FD6EB50C7B537A9


def sinh_and_cosh(lanes: Lanes, x: Value, odd: bool) -> Value:
    """sinh (`odd`) or cosh of x = k·ln 2 + r by their sums: sinh(k·ln 2) and cosh(k·ln 2) are halves of 2^k ∓ 2^-k."""
    bits = lanes.builder
    shifted, k = nearest_power(lanes, x)
    a = lanes.fma(k, lanes.number(-LN2), x)
    low = lanes.mul(k, lanes.number(-LN2_LOW))
    r = lanes.add(a, low)
    z = lanes.mul(r, r)
    sinh = lanes.fma(lanes.mul(r, z), lanes.polynomial(z, SINH_TAIL), low)  # sinh(r) - a
    cosh = lanes.mul(z, lanes.polynomial(z, COSH_TAIL))  # cosh(r) - 1
    up = bits.shl(bits.add(lanes.bits(shifted), lanes.integer(1022)), lanes.integer(52))
    down = bits.sub(lanes.integer(2044 << 52), up)
    up, down = lanes.from_bits(up), lanes.from_bits(down)
    of_sinh, of_cosh = lanes.add(up, down), lanes.sub(up, down)
    if not odd:
        of_sinh, of_cosh = of_cosh, of_sinh
    usual = lanes.add(
        lanes.fma(of_sinh, a, of_cosh),
        lanes.fma(of_sinh, sinh, lanes.mul(of_cosh, cosh)),
    )

    def ends() -> Value:
        """Half of e^|x|."""
        size = lanes.abs(x)
        p, shifted = exp_of_sum(lanes, size, None)
        return exp_at_the_ends(lanes, size, p, lanes.sub(shifted, lanes.number(1.0)))

    value = lanes.rare(far(lanes, x), usual, ends)
    return lanes.copysign(value, x) if odd else value


def sinh(lanes: Lanes, x: Value) -> Value:
    """(e^x - e^-x)/2; 1.4 ulp."""
    return sinh_and_cosh(lanes, x, True)


def cosh(lanes: Lanes, x: Value) -> Value:
    """(e^x + e^-x)/2; 1.4 ulp."""
    return sinh_and_cosh(lanes, x, False)


def tanh(lanes: Lanes, x: Value) -> Value:
    """u/(u + 2) with u = e^2|x| - 1, the quotient corrected once; 1.7 ulp."""
    size, limit, one, two = lanes.abs(x), lanes.number(22.0), lanes.number(1.0), lanes.number(2.0)
    size = lanes.select(lanes.compare(">", size, limit), limit, size)  # there tanh is 1; NaN passes
    shifted, a, b = expm1_reduced(lanes, lanes.add(size, size))
    power = power_of_two(lanes, lanes.bits(shifted))
    u = lanes.fma(power, b, lanes.fma(power, a, lanes.sub(power, one)))
    below, below_low = two_sum(lanes, u, two)
    inverse = lanes.div(one, below)
    ratio = lanes.mul(u, inverse)
    minus = lanes.neg(ratio)
    residual = lanes.fma(minus, below_low, lanes.fma(minus, below, u))
    ratio = lanes.fma(residual, inverse, ratio)
    return lanes.copysign(ratio, x)


def log_of_one_plus_sum(lanes: Lanes, a: Value, b: Value, low: Value | None, size: Value) -> Value:
    """log(1 + a + b + low), a >= b >= 0; or log(2·size) where that is so large that a + b might be inf."""
    zero = lanes.number(0.0)
    total, error = two_sum_ordered(lanes, a, b)
    if low is not None:
        error = lanes.add(error, low)
    huge = lanes.compare(">", size, lanes.number(2.0**60))
    total, error = lanes.select(huge, size, total), lanes.select(huge, zero, error)
    whole, low = one_plus(lanes, total)
    value = log_of_sum(lanes, whole, lanes.add(low, error))
    return lanes.add(value, lanes.select(huge, lanes.number(LN2), zero))


def asinh(lanes: Lanes, x: Value) -> Value:
    """log(1 + a + a²/(1 + sqrt(a² + 1))), a = |x|; 1.6 ulp (after fdlibm's s_asinh.c)."""
    a, one = lanes.abs(x), lanes.number(1.0)
    square = lanes.mul(a, a)
    root = lanes.sqrt(lanes.fma(a, a, one))
    rest = lanes.div(square, lanes.add(root, one))
    return lanes.copysign(log_of_one_plus_sum(lanes, a, rest, None, a), x)


def acosh(lanes: Lanes, x: Value) -> Value:
    """log(1 + t + sqrt(t·(t + 2))), t = x - 1; 1.5 ulp, NaN below 1."""
    bits, one = lanes.builder, lanes.number(1.0)
    t = lanes.sub(x, one)
    twice = lanes.add(t, t)
    square = lanes.fma(t, t, twice)
    root = lanes.sqrt(square)
    # what the roundings of square and root leave, over 2·root to 4 %: half of the bits negated (Lomont 2003)
    residual = lanes.fma(lanes.neg(root), root, square)
    residual = lanes.add(residual, lanes.fma(t, t, lanes.sub(twice, square)))
    inverse = bits.sub(lanes.integer(HALF_INVERSE_ROOT), bits.lshr(lanes.bits(square), lanes.integer(1)))
    low = lanes.mul(residual, lanes.from_bits(inverse))
    value = log_of_one_plus_sum(lanes, root, t, low, x)
    return lanes.select(lanes.compare("<", x, one), lanes.number(NAN), value)


def atanh(lanes: Lanes, x: Value) -> Value:
    """½·log((1 + a)/(1 - a)), a = |x|; 1.7 ulp, ±inf at ±1, NaN outside."""
    one, zero = lanes.number(1.0), lanes.number(0.0)
    a = lanes.abs(x)

    def mend() -> tuple[Value, Value]:
        return zero, lanes.select(lanes.compare("==", a, one), lanes.number(-INF), lanes.number(NAN))

    a, bias = lanes.rare(lanes.not_(lanes.compare("<", a, one)), (a, lanes.number(BIAS)), mend)
    p, q = lanes.add(one, a), lanes.sub(one, a)
    p_low, q_low = lanes.sub(a, lanes.sub(p, one)), lanes.sub(lanes.sub(one, q), a)
    value = lanes.mul(log_of_ratio(lanes, (p, p_low), (q, q_low), bias), lanes.number(0.5))
    return lanes.copysign(value, x)
