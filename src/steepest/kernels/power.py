"""x^y over eight lanes: exp(y·log x) with a logarithm of twice the length, and short cuts for known exponents.

An error of log x is multiplied by y·log x, up to 709, so that it must stay below 2^-64 of it (Muller, Handbook of
Floating-Point Arithmetic, 2nd ed., section 10.4). x = 2^k·m with 0.711 <= m < 1.422; the leading bits of m pick one of
eight factors c so short that r = m·c - 1 is exact, |r| < 1/15 (Tang's table method with a table that fits into one
register), and log x = k·ln 2 - log c + r - r²/2 + r³·P(r), the first terms added with their errors. Where log x is
near 0, k = 0 and c = 1 leave r - r²/2 + ... alone, which keeps the relative error.
"""

from __future__ import annotations

from .exponential import INF, NAN, ROUND, exp_at_the_ends, exp_of_sum, far, power_of_two, times_power
from .lanes import Lanes, Value
from .logarithm import BIAS, ONE, split, two_product, two_sum_ordered, unusual

START = 0x3FE6C083126E978D  # the bits of 0.711
FACTORS = (11 / 8, 10 / 8, 9 / 8, 17 / 16, 1.0, 29 / 32, 13 / 16, 12 / 16)
#: -log(c) as a multiple of 2^-42, and the rest
LOG_FACTORS = (
    -0.31845373111855224,
    -0.22314355131425145,
    -0.11778303565643,
    -0.06062462181648698,
    0.0,
    0.09844007281321865,
    0.20763936477828793,
    0.28768207245184385,
)
LOG_FACTORS_LOW = (
    1.7625431312172662e-14,
    4.169796584527195e-14,
    4.654729747598445e-14,
    5.213620639136504e-14,
    0.0,
    3.3871241029241416e-14,
    -4.3425422595242564e-14,
    -6.292357389008195e-14,
)
#: ln 2 as a multiple of 2^-42, so that k times it is exact, and the rest
LN2_SHORT = 0.6931471805598903
LN2_REST = 5.497923018708371e-14
#: (log(1 + r) - r + r²/2)/r³ for -0.0596 <= r <= 0.0666; error relative to log(1 + r) 4.3e-20
TAIL = (
    0.33333333333333337,
    -0.25000000000000244,
    0.19999999999986637,
    -0.16666666665943355,
    0.1428571430445629,
    -0.12500000759004887,
    0.11111100190191399,
    -0.0999963395960222,
    0.09093659747583695,
    -0.08416268221599574,
    0.07468003626878235,
)
LARGEST_PRODUCT = 64  # integer exponents up to here are products


def log_in_two(lanes: Lanes, x: Value, bias: Value) -> tuple[Value, Value]:
    """log x as an unevaluated sum of two doubles, relative error 2^-63; x and `bias` as `logarithm.usable` has them."""
    k, m, position = split(lanes, x, bias, START)
    index = lanes.builder.lshr(position, lanes.integer(49))
    factor, high, low = lanes.choose(index, FACTORS, LOG_FACTORS, LOG_FACTORS_LOW)
    r = lanes.fma(m, factor, lanes.number(-1.0))
    high = lanes.fma(k, lanes.number(LN2_SHORT), high)
    low = lanes.fma(k, lanes.number(LN2_REST), low)
    square, square_low = two_product(lanes, r, r)
    tail = lanes.mul(lanes.mul(square, r), lanes.polynomial(r, TAIL, square))
    minus_half = lanes.number(-0.5)
    high, error = two_sum_ordered(lanes, high, r)
    high, error2 = two_sum_ordered(lanes, high, lanes.mul(square, minus_half))
    low = lanes.add(lanes.add(error, error2), lanes.fma(square_low, minus_half, low))
    return two_sum_ordered(lanes, high, lanes.add(low, tail))


def power(lanes: Lanes, x: Value, y: Value, exponent: float | None = None) -> Value:
    """x^y; 1.7 ulp, and the special cases of IEEE 754. `exponent` is y where that is one known number."""
    if exponent is not None:
        special = power_by_constant(lanes, x, exponent)
        if special is not None:
            return special
    return power_and_log(lanes, x, y)[0]


def power_and_log(lanes: Lanes, x: Value, y: Value) -> tuple[Value, Value]:
    """x^y for any y, 1.7 ulp, and log x, 0.6 ulp, which falls off on the way: the derivative by y wants it too."""
    b = lanes.builder
    one, zero = lanes.number(1.0), lanes.number(0.0)
    odd = unusual(lanes, x)

    def size() -> tuple[Value, Value]:
        """|x| in the form of `usable`; 1 where that is 0, inf or NaN."""
        a = lanes.abs(x)
        normal = lanes.compare(">=", a, lanes.number(2.0**-1022))
        a = lanes.select(normal, a, lanes.mul(a, lanes.number(2.0**54)))
        bias = lanes.select(normal, lanes.number(BIAS), lanes.number(BIAS + 54.0))
        ordinary = lanes.both(lanes.compare(">", a, zero), lanes.compare("<", a, lanes.number(INF)))
        return lanes.select(ordinary, a, one), bias

    positive, bias = lanes.rare(odd, (x, lanes.number(BIAS)), size)
    log, log_low = log_in_two(lanes, positive, bias)
    argument = lanes.mul(y, log)
    low = lanes.fma(y, log_low, lanes.fma(y, log, lanes.neg(argument)))
    p, shifted = exp_of_sum(lanes, argument, low)

    def mend() -> tuple[Value, Value]:
        a = lanes.abs(x)
        size_of_log = lanes.select(lanes.compare("==", a, zero), lanes.number(-INF), log)
        size_of_log = lanes.select(lanes.compare("==", a, lanes.number(INF)), lanes.number(INF), size_of_log)
        value = exp_at_the_ends(lanes, lanes.mul(y, size_of_log), p, shifted)
        value = lanes.select(lanes.compare("==", a, one), one, value)  # also to the power ±inf
        half = lanes.mul(y, lanes.number(0.5))
        whole = lanes.compare("==", lanes.rint(y), y)
        uneven = lanes.both(whole, lanes.compare("!=", lanes.rint(half), half))
        value = lanes.select(uneven, lanes.copysign(value, x), value)
        finite_negative = lanes.both(lanes.compare("<", x, zero), lanes.compare("<", a, lanes.number(INF)))
        undefined = lanes.both(finite_negative, lanes.not_(whole))
        undefined = lanes.either(undefined, b.fcmp_unordered("uno", x, y))
        value = lanes.select(undefined, lanes.number(NAN), value)
        value = lanes.select(lanes.either(lanes.compare("==", y, zero), lanes.compare("==", x, one)), one, value)
        return value, lanes.select(lanes.compare(">=", x, zero), size_of_log, lanes.number(NAN))

    value = times_power(lanes, p, shifted)
    both: tuple[Value, Value] = lanes.rare(lanes.either(odd, far(lanes, argument)), (value, log), mend)
    return both


def power_by_constant(lanes: Lanes, x: Value, exponent: float) -> Value | None:
    """x^exponent for the exponents that have a shorter way, else None; the cases of `formula.functions.power`.

    Whole numbers up to 64 are products, carried in two doubles where more than two roundings would meet; 0.5 is
    sqrt as in the table (so -0 and -inf are sqrt's), -0.5 and 1.5 make use of it and have the values of `power`.
    """
    one, zero = lanes.number(1.0), lanes.number(0.0)
    if exponent == 0.5:
        return lanes.sqrt(x)
    if exponent in (-0.5, 1.5):
        # + 0 makes 0 of -0; sqrt has no value at -inf, a power has
        root = lanes.sqrt(lanes.add(x, zero))
        value, limit = (lanes.div(one, root), zero) if exponent < 0 else (lanes.mul(x, root), lanes.number(INF))
        if exponent > 0:
            value = lanes.add(value, zero)
        return lanes.select(lanes.compare("==", x, lanes.number(-INF)), limit, value)
    if abs(exponent) <= LARGEST_PRODUCT and exponent == int(exponent):
        return whole_power(lanes, x, int(exponent))
    return None


def whole_power(lanes: Lanes, x: Value, n: int) -> Value:
    """x^n by squaring; 1.9 ulp for -2 <= n <= 4, else 1.0, because the errors of the products are carried along."""
    one = lanes.number(1.0)
    if n == 0:
        return one
    base = x if n > 0 else lanes.div(one, x)  # first: x^|n| may overflow where x^n is still a number
    if n in (-1, 1):
        return base
    if n in (-2, 2):
        return lanes.mul(base, base)
    if n in (3, 4):  # 3 as the table has it
        square = lanes.mul(x, x)
        return lanes.mul(square, x if n == 3 else square)
    base_low = None if n > 0 else lanes.mul(base, lanes.fma(lanes.neg(base), x, one))
    high, low = base, base_low
    for bit in bin(abs(n))[3:]:
        square, error = two_product(lanes, high, high)
        if low is not None:
            error = lanes.fma(lanes.add(high, high), low, error)
        high, low = square, error
        if bit == "1":
            product, error = two_product(lanes, high, base)
            error = lanes.fma(low, base, error)
            if base_low is not None:
                error = lanes.fma(high, base_low, error)
            high, low = product, error
    size = lanes.abs(high)  # at 0 and inf the error is no number or has the wrong sign
    fine = lanes.both(lanes.compare(">", size, lanes.number(0.0)), lanes.compare("<", size, lanes.number(INF)))
    return lanes.select(fine, lanes.add(high, low), high)


#: m^(-1/3) for 1 <= m <= 2, relative error 3.8e-5
INVERSE_CUBE_ROOT = (
    1.6700066408471503,
    -1.1728799327141288,
    0.6954823405192482,
    -0.221237719470134,
    0.028591002596047216,
)
CUBE_ROOT_OF_2 = 1.2599210498948732


def cbrt(lanes: Lanes, x: Value) -> Value:
    """The cube root, with the sign of x; 0.8 ulp.

    |x| = 2^3q·z; y ≈ z^(-1/3) from a polynomial and one step of third order, then z·y² and one step of Newton's method
    whose residual is computed with fma (after Muller, Handbook, section 11.4).
    """
    one, zero = lanes.number(1.0), lanes.number(0.0)
    size = lanes.abs(x)

    def mend() -> tuple[Value, Value]:
        """A subnormal times 2^54; 1 for 0, inf and NaN, and what the result is to be multiplied with."""
        subnormal = lanes.both(lanes.compare(">", size, zero), lanes.compare("<", size, lanes.number(2.0**-1022)))
        factor = lanes.select(subnormal, lanes.number(2.0**-18), size)
        factor = lanes.select(lanes.compare(">=", lanes.abs(factor), lanes.number(2.0**-1022)), factor, size)
        return lanes.select(subnormal, lanes.mul(size, lanes.number(2.0**54)), one), factor

    size, factor = lanes.rare(unusual(lanes, size), (size, one), mend)
    k, m, _ = split(lanes, size, lanes.number(BIAS), ONE)
    third = lanes.fma(k, lanes.number(1 / 3), lanes.number(ROUND))
    rest = lanes.fma(lanes.sub(third, lanes.number(ROUND)), lanes.number(-3.0), k)  # -1, 0 or 1
    below, above = lanes.compare("<", rest, zero), lanes.compare(">", rest, zero)

    def by_rest(low: float, high: float) -> Value:
        return lanes.select(below, lanes.number(low), lanes.select(above, lanes.number(high), one))

    z = lanes.mul(m, by_rest(0.5, 2.0))
    y = lanes.mul(lanes.polynomial(m, INVERSE_CUBE_ROOT), by_rest(CUBE_ROOT_OF_2, 1 / CUBE_ROOT_OF_2))
    h = lanes.fma(lanes.neg(lanes.mul(z, y)), lanes.mul(y, y), one)
    y = lanes.fma(lanes.mul(y, h), lanes.fma(h, lanes.number(2 / 9), lanes.number(1 / 3)), y)
    square = lanes.mul(y, y)
    root = lanes.mul(z, square)
    residual = lanes.fma(lanes.neg(lanes.mul(root, root)), root, z)
    root = lanes.fma(residual, lanes.mul(square, lanes.number(1 / 3)), root)
    scale = lanes.mul(power_of_two(lanes, lanes.bits(third)), factor)
    return lanes.copysign(lanes.mul(root, scale), x)
