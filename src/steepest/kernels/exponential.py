"""exp and its relatives, over eight lanes.

The argument is reduced as x = k·ln 2 + r, |r| <= ln(2)/2, by Cody and Waite's two constants (Software Manual for the
Elementary Functions, 1980; Muller, Handbook of Floating-Point Arithmetic, 2nd ed., section 10.2). With fma the first
constant is ln 2 rounded to all 53 bits: x - k·LN2 is exact, because it is a multiple of the last bit of both and small.
Then exp(x) = 2^k·(1 + r + r²·P(r)). The coefficients of every P are minimax ones (Remez in 200 bits, relative error
weighted by the function itself), each rounded to a double; the error that is given includes the rounding.
"""

from __future__ import annotations

from .lanes import Lanes, Value

ROUND = 1.5 * 2.0**52  # added to |x| < 2^51, it leaves the nearest integer in the low bits
LOG2E = 1.4426950408889634
LN2 = 0.6931471805599453
LN2_LOW = 2.3190468138462996e-17  # ln 2 - LN2
INF = float("inf")
NAN = float("nan")

#: beyond these exp (and its half) is surely inf and surely 0; nearer, the rounding of p·2^k decides
EXP_INFINITE = 712.0
EXP_ZERO = -746.0
#: up to here 2^k is a normal number, and so is the result
EXP_PLAIN = 708.0

#: exp(r) = 1 + r + r²·P(r) for |r| <= ln(2)/2, relative error 1.1e-17
EXP_TAIL = (
    0.5000000000000011,
    0.16666666666666413,
    0.041666666666530294,
    0.008333333333494636,
    0.0013888888943599813,
    0.00019841269506627374,
    2.4801493128496352e-05,
    2.7557586054360835e-06,
    2.763023798408949e-07,
    2.5000224943630174e-08,
)


def nearest_power(lanes: Lanes, x: Value) -> tuple[Value, Value]:
    """k = round(x/ln 2): as a double whose low bits are the integer k, and as k itself."""
    shifted = lanes.fma(x, lanes.number(LOG2E), lanes.number(ROUND))
    return shifted, lanes.sub(shifted, lanes.number(ROUND))


def exp_of_sum(lanes: Lanes, x: Value, low: Value | None) -> tuple[Value, Value]:
    """exp(x + low) = p·2^k as p and the double whose low bits are k; |low| is far below the last bit of 1."""
    shifted, k = nearest_power(lanes, x)
    r = lanes.fma(k, lanes.number(-LN2), x)
    if low is not None:
        r = lanes.add(r, low)
    r = lanes.fma(k, lanes.number(-LN2_LOW), r)
    square = lanes.mul(r, r)
    tail = lanes.fma(square, lanes.polynomial(r, EXP_TAIL, square), r)
    return lanes.add(tail, lanes.number(1.0)), shifted


def times_power(lanes: Lanes, p: Value, shifted: Value) -> Value:
    """p·2^k for p near 1 where the result is normal: k is added to the exponent."""
    b = lanes.builder
    return lanes.from_bits(b.add(lanes.bits(p), b.shl(lanes.bits(shifted), lanes.integer(52))))


def power_of_two(lanes: Lanes, k: Value) -> Value:
    """2^k, for a 64-bit integer -1022 <= k <= 1023 of which only the low 12 bits need be right."""
    b = lanes.builder
    return lanes.from_bits(b.shl(b.add(k, lanes.integer(1023)), lanes.integer(52)))


def times_power_anywhere(lanes: Lanes, p: Value, shifted: Value) -> Value:
    """p·2^k also where that is subnormal, zero or inf: in two steps, of which only the last one rounds."""
    k = lanes.sub(shifted, lanes.number(ROUND))
    half = lanes.fma(k, lanes.number(0.5), lanes.number(ROUND))
    rest = lanes.builder.sub(lanes.bits(shifted), lanes.bits(half))
    return lanes.mul(lanes.mul(p, power_of_two(lanes, lanes.bits(half))), power_of_two(lanes, rest))


def exp_at_the_ends(lanes: Lanes, x: Value, p: Value, shifted: Value) -> Value:
    """exp(x) = p·2^k for an x that may be huge or NaN; then p and k may be anything, but NaN with x."""
    value = times_power_anywhere(lanes, p, shifted)
    value = lanes.select(lanes.compare(">", x, lanes.number(EXP_INFINITE)), lanes.number(INF), value)
    return lanes.select(lanes.compare("<", x, lanes.number(EXP_ZERO)), lanes.number(0.0), value)


def far(lanes: Lanes, x: Value) -> Value:
    """Whether exp(x) or exp(-x) may be no normal number: |x| >= 708 or NaN."""
    return lanes.not_(lanes.compare("<", lanes.abs(x), lanes.number(EXP_PLAIN)))


#: 2^(j/8), with j/8 taken off the exponent and its fraction as they stand in the bits of a double
EIGHTHS = (1.0, 0.9827538663326288, 0.9696035575013605, 0.9609197773255048,
           0.9571067811865476, 0.9586054127039704, 0.9658964152537145, 0.9795040432046712)  # fmt: skip
#: exp(r) = 1 + r + r²·P(r) for |r| <= ln(2)/16, relative error 1.0e-17
EXP_SHORT_TAIL = (
    0.5000000000000051,
    0.16666666666666724,
    0.0416666666175068,
    0.008333333327871156,
    0.0013889587247893672,
    0.0001984204579240919,
)


def exp(lanes: Lanes, x: Value) -> Value:
    """e^x; 1.1 ulp, correct subnormals, inf above 709.78.

    The usual way takes k in eighths, so that r is short, and 2^(k mod 8)/8 from a table (Tang, Table-driven
    implementation of the exponential function, 1989).
    """
    b = lanes.builder
    shifted = lanes.fma(x, lanes.number(8.0 * LOG2E), lanes.number(ROUND))
    k = lanes.sub(shifted, lanes.number(ROUND))
    r = lanes.fma(k, lanes.number(-LN2 / 8.0), x)
    r = lanes.fma(k, lanes.number(-LN2_LOW / 8.0), r)
    square = lanes.mul(r, r)
    tail = lanes.fma(square, lanes.polynomial(r, EXP_SHORT_TAIL, square), r)
    (eighth,) = lanes.choose(lanes.bits(shifted), EIGHTHS)
    power = lanes.from_bits(b.add(lanes.bits(eighth), b.shl(lanes.bits(shifted), lanes.integer(49))))
    usual = lanes.fma(power, tail, power)
    return lanes.rare(far(lanes, x), usual, lambda: exp_at_the_ends(lanes, x, *exp_of_sum(lanes, x, None)))


#: expm1(r) = r + r²·P(r) for |r| <= ln(2)/2, error relative to expm1(r) 3.0e-17
EXPM1_TAIL = (
    0.5000000000000007,
    0.16666666666666696,
    0.0416666666665625,
    0.008333333333293225,
    0.0013888888936156524,
    0.0001984126998698101,
    2.4801499775975228e-05,
    2.7557116719040262e-06,
    2.762822275885401e-07,
    2.516148275793056e-08,
)


def expm1_reduced(lanes: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """exp(x) = 2^k·(1 + a + b), |a| <= ln(2)/2 exact and b small: the double whose low bits are k, a and b."""
    shifted, k = nearest_power(lanes, x)
    a = lanes.fma(k, lanes.number(-LN2), x)
    low = lanes.mul(k, lanes.number(-LN2_LOW))
    r = lanes.add(a, low)
    square = lanes.mul(r, r)
    return shifted, a, lanes.fma(square, lanes.polynomial(r, EXPM1_TAIL, square), low)


def expm1(lanes: Lanes, x: Value) -> Value:
    """e^x - 1; 1.3 ulp."""
    shifted, a, b = expm1_reduced(lanes, x)
    one = lanes.number(1.0)

    def scaled(power: Value, less: Value) -> Value:
        """2^k·(a + b) + (2^k - 1), the large terms first."""
        return lanes.fma(power, b, lanes.fma(power, a, less))

    power = power_of_two(lanes, lanes.bits(shifted))
    usual = lanes.copysign(scaled(power, lanes.sub(power, one)), x)  # -0 stays -0

    def ends() -> Value:
        """Near the largest double half of it, doubled (2^1024 is none); 1 no longer counts."""
        half = power_of_two(lanes, lanes.builder.sub(lanes.bits(shifted), lanes.integer(1)))
        value = lanes.mul(scaled(half, half), lanes.number(2.0))
        value = lanes.select(lanes.compare(">", x, lanes.number(710.0)), lanes.number(INF), value)
        return lanes.select(lanes.compare("<", x, lanes.number(0.0)), lanes.number(-1.0), value)

    return lanes.rare(far(lanes, x), usual, ends)
