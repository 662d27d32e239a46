"""sigmoid, logit and softplus over eight lanes."""

from __future__ import annotations

from .exponential import INF, NAN, exp_at_the_ends, exp_of_sum, expm1_reduced, far, power_of_two
from .lanes import Lanes, Value
from .logarithm import BIAS, ONE, log_of_ratio, unusual

#: (2·atanh(t/2) - t)/t³ as a polynomial in t² for |t| <= 2/3, error of the whole 3.3e-18
SOFTPLUS_TAIL = (
    0.08333333333333288,
    0.012500000000049144,
    0.0022321428553008942,
    0.0004340278119117959,
    8.877804648196027e-05,
    1.8782421922913177e-05,
    4.059134537052499e-06,
    9.236220155766772e-07,
    1.5907378489948961e-07,
    8.115137109266599e-08,
)


def sigmoid(lanes: Lanes, x: Value) -> Value:
    """1/(1 + e^-x), as 1/((1 + 2^k) + 2^k·(a + b)) with the rounding of the sum made good; 1.4 ulp."""
    shifted, a, b = expm1_reduced(lanes, lanes.neg(x))
    power, one = power_of_two(lanes, lanes.bits(shifted)), lanes.number(1.0)
    above, first = lanes.add(a, b), lanes.add(power, one)
    first_low = lanes.sub(one, lanes.sub(first, power))
    below = lanes.fma(power, above, first)
    below_low = lanes.add(lanes.fma(power, above, lanes.sub(first, below)), first_low)
    ratio = lanes.div(one, below)
    usual = lanes.fma(lanes.mul(lanes.neg(ratio), below_low), ratio, ratio)

    def ends() -> Value:
        value = exp_at_the_ends(lanes, x, *exp_of_sum(lanes, x, None))
        return lanes.select(lanes.compare(">", x, lanes.number(0.0)), one, value)

    return lanes.rare(far(lanes, x), usual, ends)


def logit(lanes: Lanes, x: Value) -> Value:
    """log(x/(1 - x)); 1.2 ulp, ∓inf at 0 and 1, NaN outside."""
    one, zero = lanes.number(1.0), lanes.number(0.0)

    def mend() -> tuple[Value, Value]:
        """As `logarithm.usable`."""
        subnormal = lanes.both(lanes.compare(">", x, zero), lanes.compare("<", x, one))
        bias = lanes.select(lanes.compare("==", x, one), lanes.number(-INF), lanes.number(NAN))
        bias = lanes.select(lanes.compare("==", x, zero), lanes.number(INF), bias)
        bias = lanes.select(subnormal, lanes.number(BIAS + 54.0), bias)
        return lanes.select(subnormal, lanes.mul(x, lanes.number(2.0**54)), lanes.number(0.5)), bias

    p, bias = lanes.rare(unusual(lanes, x, ONE), (x, lanes.number(BIAS)), mend)
    q = lanes.sub(one, p)
    return log_of_ratio(lanes, (p, zero), (q, lanes.sub(lanes.sub(one, q), p)), bias)


def softplus(lanes: Lanes, x: Value) -> Value:
    """log(1 + e^x) = max(x, 0) + log(1 + e), e = e^-|x|; 1.95 ulp.

    log(1 + e) = 2·atanh(t/2) with t = e/(1 + e/2) <= 2/3, which needs no exponent of its argument.
    """
    size = lanes.abs(x)
    shifted, a, b = expm1_reduced(lanes, lanes.neg(size))
    bits, one = lanes.builder, lanes.number(1.0)
    half_power = power_of_two(lanes, bits.sub(lanes.bits(shifted), lanes.integer(1)))
    above = lanes.add(a, b)
    whole = lanes.add(above, one)
    half = lanes.mul(half_power, whole)
    above_low = lanes.sub(b, lanes.sub(above, a))
    half_low = lanes.mul(half_power, lanes.add(lanes.sub(above, lanes.sub(whole, one)), above_low))
    below = lanes.fma(half_power, above, lanes.add(half_power, one))
    t = lanes.div(lanes.add(half, half), below)
    z = lanes.mul(t, t)
    below_low = lanes.sub(half, lanes.sub(below, one))
    low = lanes.fma(lanes.neg(t), below_low, lanes.add(half_low, half_low))  # nearly what these low parts make of t
    zero = lanes.number(0.0)
    positive = lanes.select(lanes.compare(">", x, zero), x, zero)
    log = lanes.add(t, lanes.fma(lanes.mul(t, z), lanes.polynomial(z, SOFTPLUS_TAIL, lanes.mul(z, z)), low))

    def ends() -> Value:
        value = exp_at_the_ends(lanes, x, *exp_of_sum(lanes, x, None))
        return lanes.select(lanes.compare(">", x, zero), x, value)

    return lanes.rare(far(lanes, x), lanes.add(positive, log), ends)
