"""erf, erfc, lgamma and digamma over eight lanes.

Each is a few polynomials in a variable that makes them short, and sums of two doubles where one would lose digits:
the square in erfc, the logarithms in lgamma, what cancels near a zero. The coefficients are weighted least squares at
Chebyshev nodes with 100 digits, the first ones rounded one after another and the rest fitted again; they are good to
2^-56 of the value or better.

The errors that are given are the worst of 100,000 arguments against mpmath. Left of zero lgamma and digamma have a
root between any two poles, where no relative accuracy can be had: there the error is that of the two terms of the
reflection, at most 1.2·2^-53 of the sum of their sizes. Where they do not cancel it is 1.3 ulp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .exponential import (
    EXP_TAIL,
    INF,
    LN2,
    LN2_LOW,
    NAN,
    nearest_power,
    power_of_two,
    times_power,
    times_power_anywhere,
)
from .lanes import Lanes, Value
from .logarithm import BIAS, two_product, two_sum_ordered, usable
from .power import log_in_two

Pair = tuple[Value, Value]  # a number as a sum of two doubles: nearly all of it, and the rest

# erf(x)/x - 1 in x², |x| < 7/8
ERF = (
    0.1283791670955126, -0.3761263890318388, 0.11283791670959037, -0.026866170645662293, 0.005223977629224157,
    -0.0008548327169064959, 0.0001205533547506582, -1.4925628971931069e-05, 1.646010378061898e-06,
    -1.6321018853423372e-07, 1.4287538357851138e-08, -9.037974643592262e-10,
)  # fmt: skip
# (x + 4)·exp(x²)·erfc(x) in (x - 4)/(x + 4), 7/8 <= x <= 28, and what the first is short of
ERFCX = (
    1.095995661000491, -0.976548729080882, 0.7732087022652367, -0.5408538313132396, 0.3308515878780382,
    -0.17401093723971756, 0.07638151490851519, -0.02637005334476961, 0.00611205566839228, -0.0002809588176121542,
    -0.0004550528039627672, 0.00017681252082211212, -3.634469082649194e-06, -1.8859782318392705e-05,
    4.691838189388444e-06, 1.421787296906394e-06, -8.403835321447485e-07, -7.27187816109368e-08,
    1.1655187827110734e-07, -4.09545543512128e-10, -1.0530193790605675e-08,
)  # fmt: skip
ERFCX_REST = 5.845291052091582e-17
# its slope, to a tenth
ERFCX_SLOPE = (-1.036, 1.978, -1.529)
# lgamma(2 + t)/t, |t| <= 1/2, and what the first is short of
LGAMMA = (
    0.42278433509846713, 0.3224670334241132, -0.06735230105319814, 0.020580808427787017, -0.007385551028667713,
    0.0028905103306024606, -0.001192753912017783, 0.000509669528605646, -0.00022315475042360787,
    9.945745167659907e-05, -4.492635460953229e-05, 2.0507802297838833e-05, -9.438436046733416e-06,
    4.371307956627969e-06, -2.0450062552021904e-06, 9.684545528608743e-07, -4.3017839796881274e-07,
    1.82863228348028e-07, -1.3428136918430436e-07, 8.011233385927318e-08,
)  # fmt: skip
LGAMMA_REST = 4.997797050731211e-18
# w·(lgamma(w + 1/2) - w·log(w) + w - log(2π)/2) in 1/w², w >= 4
STIRLING = (
    -0.04166666666666665, 0.0024305555555352767, -0.0007688491990014795, 0.0005905865756998279,
    -0.0008399940454267841, 0.001910220903420078, -0.006176421394810275, 0.023826812559915055, -0.08208824675370771,
    0.1607492207263367,
)  # fmt: skip
# w²·(digamma(w + 1/2) - log(w)) in 1/w², w >= 4.5
DIGAMMA_FAR = (
    0.0416666666666665, -0.007291666666499376, 0.0038442459736042238, -0.004134104463964332, 0.007559935274964854,
    -0.021016889209662302, 0.08055403597862654, -0.36396154081898824, 1.4752682831347623, -3.4366839755566034,
)  # fmt: skip
# digamma(z)/(z - root) in z - root, 1 <= z <= 2, and what the first is short of
DIGAMMA = (
    0.9676722454476212, -0.44276316898359214, 0.2584997609556509, -0.16394270544239675, 0.10782405069127642,
    -0.07219956125747157, 0.048804288163479245, -0.03316112642393998, 0.022597648238926384, -0.015424767349704244,
    0.010538791999351137, -0.007204509106438329, 0.004926766464673225, -0.0033700859809376892, 0.0023053748725296577,
    -0.001574858660366477, 0.0010764600703096607, -0.0007477294058289993, 0.000518593146583586,
    -0.0003190499866683326, 0.00018966456188989107, -0.00019472281513896813, 0.00019520918303160708,
    -8.199235308969347e-05,
)  # fmt: skip
DIGAMMA_REST = -3.3751397875565024e-17
# (sin(πr)/(πr) - 1)/r² in r², |r| <= 1/2, and (cos(πr) - 1)/r², |r| <= 1/4, and what their firsts are short of
SINE = (
    -1.6449340668482264, 0.8117424252833536, -0.19075182412208222, 0.026147847817602776, -0.0023460810346971886,
    0.00014842878635601086, -6.975837377159947e-06, 2.5300237416654985e-07, -7.086421921224286e-09,
)  # fmt: skip
SINE_REST = -3.023622983264476e-17
COSINE = (
    -4.934802200544679, 4.058712126416751, -1.3352627688521912, 0.2353306302021217, -0.025806885897021452,
    0.0019294684230531764, -0.00010357916719035185,
)  # fmt: skip
COSINE_REST = -2.6928055786077593e-16

ROOT = (1.4616321449683622, 9.549995429965697e-17)  # digamma's, where lgamma is least
LOG_ROOT_2PI = (0.9189385332046728, -3.8782941580672414e-17)
PI_SQUARED = (9.869604401089358, 6.265295508739711e-16)
TINY = 1e-300  # below it no product is split into two
LGAMMA_OVERFLOW = 2.5599833278516387e305  # the first double whose lgamma is none
NEAR = 0.875
ERF_ONE = 6.0  # from here on erf rounds to 1
ERFC_PLAIN = 26.5  # up to here erfc is a normal number
ERFC_ZERO = 28.0  # and from here on 0


def erf(lanes: Lanes, x: Value) -> Value:
    """The error function; 1.8 ulp."""
    one, size = lanes.number(1.0), lanes.abs(x)
    far = lanes.compare(">=", size, lanes.number(NEAR))
    # 1 - erfc(|x|), which is small: its own roundings hardly count
    a = lanes.select(lanes.compare(">", size, lanes.number(ERF_ONE)), lanes.number(ERF_ONE), size)
    minus_square = lanes.neg(lanes.mul(a, a))
    shifted, r, rest = _reduced(lanes, minus_square)
    r = lanes.add(r, rest)
    e = lanes.add(one, lanes.fma(lanes.mul(r, r), lanes.polynomial(r, EXP_TAIL), r))
    e = lanes.mul(e, power_of_two(lanes, lanes.bits(shifted)))
    y = lanes.div(one, lanes.add(a, lanes.number(4.0)))
    p = lanes.polynomial(lanes.fma(y, lanes.number(-8.0), one), ERFCX)
    beyond = lanes.fma(lanes.neg(e), lanes.mul(y, p), one)
    near = lanes.fma(x, lanes.polynomial(lanes.mul(x, x), ERF), x)
    return lanes.select(far, lanes.copysign(beyond, x), near)


def erfc(lanes: Lanes, x: Value) -> Value:
    """1 - erf(x), with all its digits as far out as it is a number at all; 1.8 ulp."""
    size, one = lanes.abs(x), lanes.number(1.0)
    far = lanes.compare(">=", size, lanes.number(NEAR))
    tail = _tail(lanes, size)
    beyond = lanes.select(lanes.compare("<", x, lanes.number(0.0)), lanes.sub(lanes.number(2.0), tail), tail)
    # erf less a number that it is near, where x less that number is exact: a smaller rounding
    middle = lanes.select(lanes.compare(">", x, lanes.number(0.3125)), lanes.number(0.625), lanes.number(0.0))
    near = lanes.fma(x, lanes.polynomial(lanes.mul(x, x), ERF), lanes.sub(x, middle))
    return lanes.select(far, beyond, lanes.sub(lanes.sub(one, middle), near))


def _reduced(lanes: Lanes, x: Value) -> tuple[Value, Value, Value]:
    """x = k·ln 2 + r + rest: the double whose low bits are k, r without a rounding, and the small rest."""
    shifted, k = nearest_power(lanes, x)
    return shifted, lanes.fma(k, lanes.number(-LN2), x), lanes.mul(k, lanes.number(-LN2_LOW))


def _tail(lanes: Lanes, x: Value) -> Value:
    """erfc(x) for x >= 7/8, as exp(-x²)·P(t)/(x + 4): every factor with what its rounding has left over.

    t = (x - 4)/(x + 4) makes a half-line short (Shepherd & Laframboise, Mathematics of Computation 36 (1981) 249).
    """
    one, four = lanes.number(1.0), lanes.number(4.0)
    x = lanes.select(lanes.compare(">", x, lanes.number(ERFC_ZERO)), lanes.number(ERFC_ZERO), x)
    # exp(-x²) = 2^k·(1 + u + r_rest)
    square, square_rest = two_product(lanes, x, x)
    shifted, r, rest = _reduced(lanes, lanes.neg(square))
    r, r_rest = two_sum_ordered(lanes, r, lanes.sub(rest, square_rest))
    u = lanes.fma(lanes.mul(r, r), lanes.polynomial(r, EXP_TAIL), r)
    # 1/(x + 4) = y + y_rest
    below = lanes.add(x, four)
    y = lanes.div(one, below)
    missing = lanes.fma(lanes.neg(y), below, one)
    missing = lanes.fma(lanes.neg(y), lanes.sub(x, lanes.sub(below, four)), missing)  # what x + 4 was rounded by
    y_rest = lanes.mul(y, missing)
    # P(t) = p + p_rest, t = 1 - 8/(x + 4)
    eightfold = lanes.mul(lanes.number(-8.0), y)
    t, t_rest = two_sum_ordered(lanes, one, eightfold)
    t_rest = lanes.fma(lanes.number(-8.0), y_rest, t_rest)
    bend = lanes.fma(t, lanes.polynomial(t, ERFCX[3:], lanes.mul(t, t)), lanes.number(ERFCX[2]))
    p, p_rest = two_product(lanes, t, lanes.fma(t, bend, lanes.number(ERFCX[1])))
    p, rest = two_sum_ordered(lanes, lanes.number(ERFCX[0]), p)
    p_rest = lanes.fma(t_rest, lanes.polynomial(t, ERFCX_SLOPE), lanes.add(p_rest, rest))
    p_rest = lanes.add(p_rest, lanes.number(ERFCX_REST))
    # the product
    a, a_rest = two_product(lanes, p, y)
    a_rest = lanes.fma(p, y_rest, lanes.fma(p_rest, y, a_rest))
    value = lanes.add(a, lanes.fma(a, u, lanes.fma(a, r_rest, lanes.fma(a_rest, u, a_rest))))
    deep = lanes.compare(">", x, lanes.number(ERFC_PLAIN))
    return lanes.rare(deep, times_power(lanes, value, shifted), lambda: times_power_anywhere(lanes, value, shifted))


def lgamma(lanes: Lanes, x: Value) -> Value:
    """log|Γ(x)|; 1.1 ulp for x > -1/2.

    Left of there by reflection, |Γ(-a)·Γ(a)| = π/(a·|sin(πa)|) (Abramowitz & Stegun 6.1.17).
    """
    number = lanes.number
    left = lanes.compare("<", x, number(-0.5))
    a = lanes.select(left, lanes.neg(x), x)
    head, foot = _lgamma_right(lanes, a)
    value = lanes.add(head, foot)
    value = lanes.select(lanes.compare(">=", a, number(LGAMMA_OVERFLOW)), number(INF), value)
    value = lanes.select(lanes.compare("==", a, number(0.0)), number(INF), value)

    def reflected() -> Value:
        r = lanes.abs(lanes.sub(a, lanes.rint(a)))
        product = _times(lanes, two_product(lanes, a, r), _even(lanes, r, SINE, SINE_REST))
        log, log_rest = log_in_two(lanes, product[0], number(BIAS))
        log_rest = lanes.add(log_rest, lanes.div(product[1], product[0]))
        total, rest = two_sum(lanes, log, head)
        other = lanes.neg(lanes.add(total, lanes.add(rest, lanes.add(log_rest, foot))))
        other = lanes.select(lanes.compare("==", r, number(0.0)), number(INF), other)
        return lanes.select(lanes.compare("==", x, number(-INF)), number(-INF), other)  # as SciPy has it

    return lanes.rare(left, value, reflected)


def _lgamma_right(lanes: Lanes, a: Value) -> Pair:
    """log|Γ(a)| for a >= -1/2, but for 0 and where it overflows.

    Stirling's series where a > 4.5, about w = a - 1/2, in which it has half as many terms; else lgamma(2 + t) with
    |t| <= 1/2, and the logarithm of what Γ's recurrence multiplies. Both share one logarithm and one division.
    """
    number, one = lanes.number, lanes.number(1.0)
    far = lanes.compare(">", a, number(4.5))
    w = lanes.sub(a, number(0.5))
    near = lanes.rint(a)
    product, product_rest = _gamma_recurrence(lanes, a, near)
    argument = lanes.select(far, w, lanes.abs(product))
    splits = lanes.compare(">", argument, number(TINY))  # else the rest of the product is 0, and 1/product may not be
    y = lanes.select(splits, lanes.div(one, lanes.select(far, w, product)), one)
    log, log_rest = log_in_two(lanes, *usable(lanes, argument))
    # Stirling: w·(log(w) - 1) + log(2π)/2 + S(1/w²)/w
    power, power_rest = two_sum_ordered(lanes, log, number(-1.0))
    main, main_rest = _times(lanes, (w, None), (power, lanes.add(power_rest, log_rest)))
    series = lanes.polynomial(lanes.mul(y, y), STIRLING)
    main_rest = lanes.add(lanes.fma(series, y, number(LOG_ROOT_2PI[1])), main_rest)
    main, rest = two_sum_ordered(lanes, main, number(LOG_ROOT_2PI[0]))
    main_rest = lanes.add(main_rest, rest)
    # near: t·R(t) + log(product), or less it
    t = lanes.sub(a, near)
    bend, bend_rest = _times(lanes, (t, None), _horner(lanes, t, LGAMMA, LGAMMA_REST))
    low = lanes.compare("<", near, number(1.5))
    log_rest = lanes.fma(product_rest, y, log_rest)
    log = lanes.select(low, lanes.neg(log), log)
    log_rest = lanes.select(low, lanes.neg(log_rest), log_rest)
    close, rest = two_sum(lanes, log, bend)
    close_rest = lanes.add(lanes.add(log_rest, bend_rest), rest)
    return lanes.select(far, main, close), lanes.select(far, main_rest, close_rest)


def _gamma_recurrence(lanes: Lanes, a: Value, near: Value) -> Pair:
    """The factor between Γ(2 + t) and Γ(near + t): a·(a + 1), a, 1, a - 1, (a - 1)·(a - 2) for near 0 to 4."""
    one = lanes.number(1.0)
    lowest = lanes.compare("<", near, lanes.number(0.5))
    first = lanes.select(lanes.compare("<", near, lanes.number(1.5)), a, lanes.sub(a, one))
    first = lanes.select(lanes.compare("==", near, lanes.number(2.0)), one, first)
    second = lanes.select(lanes.compare(">", near, lanes.number(3.5)), lanes.sub(a, lanes.number(2.0)), one)
    product, rest = two_product(lanes, first, second)
    whole = lanes.fma(a, a, a)  # a + 1 would be rounded
    whole_rest = lanes.fma(a, a, lanes.sub(a, whole))
    return lanes.select(lowest, whole, product), lanes.select(lowest, whole_rest, rest)


def digamma(lanes: Lanes, x: Value) -> Value:
    """The derivative of lgamma; 0.9 ulp for x >= 0.

    Left of there by reflection, ψ(x) = ψ(1 - x) - π·cot(πx) (Abramowitz & Stegun 6.3.7).
    """
    one, zero = lanes.number(1.0), lanes.number(0.0)
    left = lanes.compare("<", x, zero)
    a = lanes.select(left, lanes.sub(one, x), x)
    w = lanes.sub(a, lanes.number(0.5))
    (head, foot), value = _digamma_right(lanes, a, w)

    def reflected() -> Value:
        r = lanes.sub(x, lanes.rint(x))
        (cot, cot_rest), exact = _pi_cotangent(lanes, lanes.abs(r))
        cot, cot_rest = _signed(lanes, cot, r), _signed(lanes, cot_rest, r)
        # 1 - x was rounded; the slope of ψ at w + 1/2 is near enough w/(w² + 1/12)
        slope = lanes.div(w, lanes.fma(w, w, lanes.number(1.0 / 12.0)))
        lost = lanes.mul(lanes.sub(lanes.sub(one, a), x), slope)
        total, rest = two_sum(lanes, head, lanes.neg(cot))
        other = lanes.add(total, lanes.add(lanes.add(rest, lost), lanes.sub(foot, cot_rest)))
        other = lanes.select(exact, other, lanes.neg(cot))
        return lanes.select(lanes.compare("==", r, zero), lanes.number(NAN), other)  # as SciPy has it

    return lanes.rare(left, value, reflected)


def _digamma_right(lanes: Lanes, a: Value, w: Value) -> tuple[Pair, Value]:
    """ψ(a) for a >= 0, w = a - 1/2: as a sum of two, and rounded with the ends mended.

    log(w) + S(1/w²)/w² where a >= 5; else the value at z between 1 and 2, as (z - root)·R(z - root), and the
    reciprocals of the recurrence, added up as one fraction.
    """
    number, one = lanes.number, lanes.number(1.0)
    far = lanes.compare(">=", a, number(5.0))
    above, below = _reciprocals(lanes, a)
    y = lanes.div(one, lanes.select(far, w, below[0]))
    quotient, quotient_rest, exact = _quotient(lanes, above, below, y)
    # between 1 and 2
    steps = lanes.sub(lanes.floor(a), one)
    z = lanes.sub(a, steps)
    t = lanes.sub(z, number(ROOT[0]))
    t_rest = lanes.sub(lanes.sub(a, lanes.add(z, steps)), number(ROOT[1]))  # below 1 z is rounded
    t, t_rest = two_sum_ordered(lanes, t, t_rest)
    middle, middle_rest = _times(lanes, (t, t_rest), _horner(lanes, t, DIGAMMA, DIGAMMA_REST))
    close, rest = two_sum(lanes, quotient, middle)
    close_rest = lanes.add(rest, lanes.add(quotient_rest, middle_rest))
    # far out
    log, log_rest = log_in_two(lanes, w, number(BIAS))
    u = lanes.mul(y, y)
    log_rest = lanes.fma(u, lanes.polynomial(u, DIGAMMA_FAR), log_rest)
    head, foot = lanes.select(far, log, close), lanes.select(far, log_rest, close_rest)
    value = lanes.select(exact, lanes.add(head, foot), quotient)
    return (head, foot), lanes.select(lanes.compare("==", a, number(INF)), a, value)


def _reciprocals(lanes: Lanes, a: Value) -> tuple[Pair, Pair]:
    """ψ(a) - ψ(z) as a fraction, for a = z + n < 5 and 1 <= z < 2: 1/(a - 1) + ... + 1/z, and -1/a where n = -1."""
    number, zero, one = lanes.number, lanes.number(0.0), lanes.number(1.0)
    first = lanes.sub(a, one)
    # 1/(a - 1) + 1/(a - 2), whose numerator is exact, and 1/(a - 3) added to it
    two = lanes.fma(number(2.0), a, number(-3.0))
    two_below = two_product(lanes, first, lanes.sub(a, number(2.0)))
    third = lanes.sub(a, number(3.0))
    product, rest = two_product(lanes, two, third)
    three, error = two_sum(lanes, product, two_below[0])
    three_rest = lanes.add(lanes.add(rest, error), two_below[1])
    three_below = _times(lanes, (third, None), two_below)
    above: Pair = lanes.select(lanes.compare("<", a, one), number(-1.0), zero), zero
    below: Pair = lanes.select(lanes.compare("<", a, one), a, one), zero
    for least, more, more_below in (
        (2.0, (one, zero), (first, zero)),
        (3.0, (two, zero), two_below),
        (4.0, (three, three_rest), three_below),
    ):
        taken = lanes.compare(">=", a, number(least))
        above = lanes.select(taken, more[0], above[0]), lanes.select(taken, more[1], above[1])
        below = lanes.select(taken, more_below[0], below[0]), lanes.select(taken, more_below[1], below[1])
    return above, below


def _pi_cotangent(lanes: Lanes, r: Value) -> tuple[Pair, Value]:
    """π·cot(πr), 0 <= r <= 1/2, and where it is more than its first part; beyond 1/4 as π·tan(π·(1/2 - r))."""
    turned = lanes.compare(">", r, lanes.number(0.25))
    r = lanes.select(turned, lanes.sub(lanes.number(0.5), r), r)
    sine = _times(lanes, (r, None), _even(lanes, r, SINE, SINE_REST))  # over π
    cosine = _even(lanes, r, COSINE, COSINE_REST)
    steep = _times(lanes, sine, (lanes.number(PI_SQUARED[0]), lanes.number(PI_SQUARED[1])))
    above = lanes.select(turned, steep[0], cosine[0]), lanes.select(turned, steep[1], cosine[1])
    below = lanes.select(turned, cosine[0], sine[0]), lanes.select(turned, cosine[1], sine[1])
    value, rest, exact = _quotient(lanes, above, below, lanes.div(lanes.number(1.0), below[0]))
    return (value, rest), exact


# sums of two doubles ---------------------------------------------------------------------------------------------
def two_sum(lanes: Lanes, a: Value, b: Value) -> Pair:
    """a + b exactly (Knuth, The Art of Computer Programming 2, 4.2.2)."""
    total = lanes.add(a, b)
    part = lanes.sub(total, a)
    return total, lanes.add(lanes.sub(a, lanes.sub(total, part)), lanes.sub(b, part))


def _times(lanes: Lanes, a: tuple[Value, Value | None], b: Pair) -> Pair:
    """a·b, to some 2^-104; None is a rest of 0."""
    product, rest = two_product(lanes, a[0], b[0])
    rest = lanes.fma(a[0], b[1], rest)
    return product, rest if a[1] is None else lanes.fma(a[1], b[0], rest)


def _quotient(lanes: Lanes, a: Pair, b: Pair, reciprocal: Value) -> tuple[Value, Value, Value]:
    """a/b as a sum of two, given 1/b[0] rounded, and where it is one: not where b is so small that 1/b may be inf."""
    value = lanes.mul(a[0], reciprocal)
    missing = lanes.add(lanes.fma(lanes.neg(value), b[0], a[0]), lanes.fma(lanes.neg(value), b[1], a[1]))
    exact = lanes.compare(">", lanes.abs(b[0]), lanes.number(TINY))
    return value, lanes.select(exact, lanes.mul(missing, reciprocal), lanes.number(0.0)), exact


def _horner(lanes: Lanes, x: Value, coefficients: Sequence[float], rest: float) -> Pair:
    """A polynomial whose last step is taken as a sum of two; `rest` is what the first coefficient is short of."""
    p, p_rest = two_product(lanes, x, lanes.polynomial(x, coefficients[1:]))
    value, error = two_sum_ordered(lanes, lanes.number(coefficients[0]), p)
    return value, lanes.add(lanes.add(p_rest, lanes.number(rest)), error)


def _even(lanes: Lanes, r: Value, coefficients: Sequence[float], rest: float) -> Pair:
    """1 + r²·P(r²); `rest` is what the first coefficient is short of."""
    square = two_product(lanes, r, r)
    v, v_rest = _times(lanes, square, _horner(lanes, square[0], coefficients, rest))
    value, error = two_sum_ordered(lanes, lanes.number(1.0), v)
    return value, lanes.add(error, v_rest)


def _signed(lanes: Lanes, a: Value, sign: Value) -> Value:
    """a, negated where the other is negative."""
    return lanes.select(lanes.compare("<", sign, lanes.number(0.0)), lanes.neg(a), a)


EMITTERS: dict[str, Callable[[Lanes, Value], Value]] = {"erf": erf, "erfc": erfc, "lgamma": lgamma, "digamma": digamma}
