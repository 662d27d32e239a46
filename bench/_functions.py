"""Forty test functions as formulas: starts and the values of their known minima.

The unconstrained problems of Moré, Garbow and Hillstrom (Testing Unconstrained Optimization Software, ACM TOMS 7, 1981,
numbers as there) with their standard starts, sums of squares as printed there; and classics with the minima that
Jamil and Yang (A literature survey of benchmark functions, 2013) list. `lowest` holds the values of minima that are
published; a value of another local minimum is right too if it is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Function:
    """A formula, a start, the values of its known minima; `endless`: it also falls towards infinity."""

    name: str
    formula: str
    start: Mapping[str, float]
    lowest: tuple[float, ...]
    endless: bool = False


def squares(terms: Iterable[str]) -> str:
    """The sum of squares of residuals."""
    return " + ".join(f"({term})**2" for term in terms)


def over(term: str, **columns: Iterable[float]) -> list[str]:
    """One residual for each set of numbers: `{t}` in the term is replaced by each t."""
    names = list(columns)
    return [term.format(**{n: f"{v!r}" if v >= 0 else f"({v!r})" for n, v in zip(names, row, strict=True)})
            for row in zip(*columns.values(), strict=True)]  # fmt: skip


def letters(*values: float) -> dict[str, float]:
    """A start of x1, x2, ..."""
    return {f"x{i}": float(v) for i, v in enumerate(values, 1)}


def plus(terms: Iterable[str]) -> str:
    """Their sum."""
    return " + ".join(terms)


BARD = (0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39)
GAUSSIAN = (0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521, 0.3989,
            0.3521, 0.2420, 0.1295, 0.0540, 0.0175, 0.0044, 0.0009)  # fmt: skip
MEYER = (34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872)
KOWALIK = ((0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246),
           (4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625))  # fmt: skip
OSBORNE_1 = (0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718, 0.685, 0.658, 0.628,
             0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467, 0.457, 0.448, 0.438, 0.431, 0.424, 0.420,
             0.414, 0.411, 0.406)  # fmt: skip
OSBORNE_2 = (1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608, 0.655, 0.616,
             0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661, 0.612, 0.558, 0.533, 0.495,
             0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428, 0.429, 0.523, 0.562, 0.607, 0.653, 0.672,
             0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559, 0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581,
             0.428, 0.292, 0.162, 0.098, 0.054)  # fmt: skip


def watson(n: int) -> str:
    """Problem 20."""
    terms = []
    for i in range(1, 30):
        slope = plus(f"{j - 1}*x{j}*({i}/29)**{j - 2}" for j in range(2, n + 1))
        level = plus(f"x{j}*({i}/29)**{j - 1}" for j in range(1, n + 1))
        terms.append(f"{slope} - ({level})**2 - 1")
    return squares([*terms, "x1", "x2 - x1**2 - 1"])


def trigonometric(n: int) -> str:
    """Problem 26."""
    cosines = " - ".join(f"cos(x{j})" for j in range(1, n + 1))
    return squares(f"{n} - {cosines} + {i}*(1 - cos(x{i})) - sin(x{i})" for i in range(1, n + 1))


def chebyquad(n: int) -> str:
    """Problem 35: T_i on [0, 1] as cos(i·acos(2x - 1)) written out as a polynomial, by its recurrence."""
    import numpy as np

    terms = []
    for i in range(1, n + 1):
        powers = np.polynomial.chebyshev.cheb2poly([0.0] * i + [1.0])
        sums = plus(
            f"({plus(f'({int(c)})*(2*x{j} - 1)**{k}' if k else f'({int(c)})' for k, c in enumerate(powers) if c)})"
            for j in range(1, n + 1)
        )
        integral = 0.0 if i % 2 else -1.0 / (i * i - 1)
        terms.append(f"({sums})/{n} - ({integral!r})")
    return squares(terms)


def boundary(n: int) -> str:
    """Problem 28: a discrete boundary value problem."""
    h, terms = 1 / (n + 1), []
    for i in range(1, n + 1):
        before, after = f" - x{i - 1}" * (i > 1), f" - x{i + 1}" * (i < n)
        terms.append(f"2*x{i}{before}{after} + {h * h / 2!r}*(x{i} + {i * h!r} + 1)**3")
    return squares(terms)


def banded(n: int) -> str:
    """Problem 31: Broyden's banded function."""
    terms = []
    for i in range(1, n + 1):
        near = [j for j in range(max(1, i - 5), min(n, i + 1) + 1) if j != i]
        terms.append(f"x{i}*(2 + 5*x{i}**2) + 1" + "".join(f" - x{j}*(1 + x{j})" for j in near))
    return squares(terms)


def tridiagonal(n: int) -> str:
    """Problem 30: Broyden's tridiagonal function."""
    return squares(
        f"(3 - 2*x{i})*x{i} + 1" + f" - x{i - 1}" * (i > 1) + f" - 2*x{i + 1}" * (i < n) for i in range(1, n + 1)
    )


def penalty_2(n: int) -> str:
    """Problem 24."""
    root = repr(math.sqrt(1e-5))
    terms = ["x1 - 0.2"]
    for i in range(2, n + 1):
        y = math.exp(i / 10) + math.exp((i - 1) / 10)
        terms.append(f"{root}*(exp(x{i}/10) + exp(x{i - 1}/10) - {y!r})")
    terms += [f"{root}*(exp(x{i}/10) - exp(-1/10))" for i in range(2, n + 1)]
    return squares([*terms, plus(f"{n - j + 1}*x{j}**2" for j in range(1, n + 1)) + " - 1"])


def variably(n: int) -> str:
    """Problem 25."""
    line = plus(f"{j}*(x{j} - 1)" for j in range(1, n + 1))
    return squares([*(f"x{j} - 1" for j in range(1, n + 1)), line, f"({line})**2"])


def almost_linear(n: int) -> str:
    """Problem 27."""
    total = plus(f"x{j}" for j in range(1, n + 1))
    return squares(
        [*(f"x{i} + {total} - {n + 1}" for i in range(1, n)), "*".join(f"x{j}" for j in range(1, n + 1)) + " - 1"]
    )


TENTHS = [i / 10 for i in range(1, 11)]
GULF = [i / 100 for i in range(1, 100)]
FUNCTIONS = [
    Function("1 Rosenbrock", squares(["10*(x2 - x1**2)", "1 - x1"]), letters(-1.2, 1), (0,)),
    Function("2 Freudenstein and Roth",
             squares(["-13 + x1 + ((5 - x2)*x2 - 2)*x2", "-29 + x1 + ((x2 + 1)*x2 - 14)*x2"]),
             letters(0.5, -2), (0, 48.984253679240)),
    Function("3 Powell badly scaled", squares(["1e4*x1*x2 - 1", "exp(-x1) + exp(-x2) - 1.0001"]), letters(0, 1), (0,)),
    Function("4 Brown badly scaled", squares(["x1 - 1e6", "x2 - 2e-6", "x1*x2 - 2"]), letters(1, 1), (0,)),
    Function("5 Beale", squares(f"{y} - x1*(1 - x2**{i})" for i, y in enumerate((1.5, 2.25, 2.625), 1)),
             letters(1, 1), (0,), True),
    Function("6 Jennrich and Sampson", squares(f"2 + 2*{i} - (exp({i}*x1) + exp({i}*x2))" for i in range(1, 11)),
             letters(0.3, 0.4), (124.36218235561,)),
    Function("7 helical valley", squares(["10*(x3 - 10*atan2(x2, x1)/(2*pi))", "10*(sqrt(x1**2 + x2**2) - 1)", "x3"]),
             letters(-1, 0.01, 0), (0,)),
    Function("8 Bard", squares(over("{y} - (x1 + {u}/({v}*x2 + {w}*x3))", y=BARD, u=range(1, 16),
             v=[16 - i for i in range(1, 16)], w=[min(i, 16 - i) for i in range(1, 16)])),
             letters(1, 1, 1), (8.2148773065790e-3, 17.4286933), True),
    Function("9 Gaussian", squares(over("x1*exp(-x2*({t} - x3)**2/2) - {y}", t=[(8 - i) / 2 for i in range(1, 16)],
             y=GAUSSIAN)), letters(0.4, 1, 0), (1.1279327696189e-8,)),
    Function("10 Meyer", squares(over("x1*exp(x2/({t} + x3)) - {y}", t=[45 + 5 * i for i in range(1, 17)], y=MEYER)),
             letters(0.02, 4000, 250), (87.945855170746,)),
    Function("11 Gulf research", squares(over("exp(-abs(x2 - {y})**x3/x1) - {t}",
             y=[25 + (-50 * math.log(t)) ** (2 / 3) for t in GULF], t=GULF)), letters(5, 2.5, 0.15), (0, 0.038), True),
    Function("12 Box three-dimensional", squares(over("exp(-{t}*x1) - exp(-{t}*x2) - x3*(exp(-{t}) - exp(-10*{t}))",
             t=TENTHS)), letters(0, 10, 20), (0, 0.0755887), True),
    Function("13 Powell singular", squares(["x1 + 10*x2", "sqrt(5)*(x3 - x4)", "(x2 - 2*x3)**2",
             "sqrt(10)*(x1 - x4)**2"]), letters(3, -1, 0, 1), (0,)),
    Function("14 Wood",
             squares(["10*(x2 - x1**2)", "1 - x1", "sqrt(90)*(x4 - x3**2)", "1 - x3", "sqrt(10)*(x2 + x4 - 2)",
             "(x2 - x4)/sqrt(10)"]), letters(-3, -1, -3, -1), (0, 7.8769658)),
    Function("15 Kowalik and Osborne", squares(over("{y} - x1*({u}**2 + {u}*x2)/({u}**2 + {u}*x3 + x4)", y=KOWALIK[0],
             u=KOWALIK[1])), letters(0.25, 0.39, 0.415, 0.39), (3.0750560384924e-4, 1.02734e-3), True),
    Function("16 Brown and Dennis", squares([f"(x1 + {i}/5*x2 - exp({i}/5))**2 + "
             f"(x3 + x4*sin({i}/5) - cos({i}/5))**2" for i in range(1, 21)]),
             letters(25, 5, -5, -1), (85822.201626356,)),
    Function("17 Osborne 1", squares(over("{y} - (x1 + x2*exp(-{t}*x4) + x3*exp(-{t}*x5))", y=OSBORNE_1,
             t=[10 * i for i in range(33)])), letters(0.5, 1.5, -1, 0.01, 0.02), (5.4648946974993e-5,), True),
    Function("18 Biggs EXP6", squares(over("x3*exp(-{t}*x1) - x4*exp(-{t}*x2) + x6*exp(-{t}*x5) - {y}",
             t=[i / 10 for i in range(1, 14)],
             y=[math.exp(-i / 10) - 5 * math.exp(-i) + 3 * math.exp(-0.4 * i) for i in range(1, 14)])),
             letters(1, 2, 1, 1, 1, 1), (0, 5.65565e-3, 0.306366772), True),
    Function("19 Osborne 2", squares(over("{y} - (x1*exp(-{t}*x5) + x2*exp(-({t} - x9)**2*x6) + "
             "x3*exp(-({t} - x10)**2*x7) + x4*exp(-({t} - x11)**2*x8))", y=OSBORNE_2, t=[i / 10 for i in range(65)])),
             letters(1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5), (4.0137736293548e-2,), True),
    Function("20 Watson 6", watson(6), letters(*[0] * 6), (2.2876700535524e-3,)),
    Function("20 Watson 9", watson(9), letters(*[0] * 9), (1.3997601381590e-6,)),
    Function("21 extended Rosenbrock 10", squares(t for i in range(1, 11, 2)
             for t in (f"10*(x{i + 1} - x{i}**2)", f"1 - x{i}")), letters(*[-1.2, 1] * 5), (0,)),
    Function("23 penalty I 10", "1e-5*(" + squares(f"x{i} - 1" for i in range(1, 11)) + ") + ("
             + plus(f"x{i}**2" for i in range(1, 11)) + " - 0.25)**2", letters(*range(1, 11)), (7.0876515e-5,)),
    Function("24 penalty II 4", penalty_2(4), letters(*[0.5] * 4), (9.3762935e-6,)),
    Function("25 variably dimensioned 10", variably(10), letters(*[1 - j / 10 for j in range(1, 11)]), (0,)),
    Function("26 trigonometric 10", trigonometric(10), letters(*[0.1] * 10), (0, 2.7950612e-5)),
    Function("27 Brown almost linear 10", almost_linear(10), letters(*[0.5] * 10), (0, 1)),
    Function("28 discrete boundary 10", boundary(10), letters(*[i / 11 * (i / 11 - 1) for i in range(1, 11)]), (0,)),
    Function("30 Broyden tridiagonal 10", tridiagonal(10), letters(*[-1] * 10), (0,)),
    Function("31 Broyden banded 10", banded(10), letters(*[-1] * 10), (0,)),
    Function("35 Chebyquad 8", chebyquad(8), letters(*[j / 9 for j in range(1, 9)]), (3.5168737256780e-3,)),
    Function("Himmelblau", "(x1**2 + x2 - 11)**2 + (x1 + x2**2 - 7)**2", letters(0, 0), (0,)),
    Function("Booth", "(x1 + 2*x2 - 7)**2 + (2*x1 + x2 - 5)**2", letters(-5, 5), (0,)),
    Function("Matyas", "0.26*(x1**2 + x2**2) - 0.48*x1*x2", letters(8, -3), (0,)),
    Function("McCormick", "sin(x1 + x2) + (x1 - x2)**2 - 1.5*x1 + 2.5*x2 + 1", letters(0, 0),
             (-1.9132229549810,), True),
    Function("Goldstein and Price",
             "(1 + (x1 + x2 + 1)**2*(19 - 14*x1 + 3*x1**2 - 14*x2 + 6*x1*x2 + 3*x2**2))"
             "*(30 + (2*x1 - 3*x2)**2*(18 - 32*x1 + 12*x1**2 + 48*x2 - 36*x1*x2 + 27*x2**2))",
             letters(-0.5, 0.5), (3, 30, 84, 840)),
    Function("six-hump camel", "(4 - 2.1*x1**2 + x1**4/3)*x1**2 + x1*x2 + (-4 + 4*x2**2)*x2**2", letters(0, 0),
             (-1.0316284534899, -0.2154638243837, 2.1042503103115)),
    Function("Easom", "-cos(x1)*cos(x2)*exp(-((x1 - pi)**2 + (x2 - pi)**2))", letters(2.5, 3.8), (-1,), True),
    Function("Styblinski and Tang 4", "(" + plus(f"x{i}**4 - 16*x{i}**2 + 5*x{i}" for i in range(1, 5)) + ")/2",
             letters(0, 0, 0, 0), tuple(-39.166165703771 * (4 - k) - 25.029461836 * k for k in range(5))),
    Function("Ackley", "-20*exp(-0.2*sqrt((x1**2 + x2**2)/2)) - exp((cos(2*pi*x1) + cos(2*pi*x2))/2) + 20 + exp(1)",
             letters(0.3, -0.2), (0,)),
    Function("Rastrigin", "20 + x1**2 - 10*cos(2*pi*x1) + x2**2 - 10*cos(2*pi*x2)", letters(0.8, -1.2),
             (0, 1.9899181141866)),
    Function("Zakharov 4", "x1**2 + x2**2 + x3**2 + x4**2 + (x1/2 + x2 + 3*x3/2 + 2*x4)**2 "
             "+ (x1/2 + x2 + 3*x3/2 + 2*x4)**4", letters(-4, 2, 7, 9), (0,)),
    Function("Dixon and Price 4", "(x1 - 1)**2 + 2*(2*x2**2 - x1)**2 + 3*(2*x3**2 - x2)**2 + 4*(2*x4**2 - x3)**2",
             letters(5, -5, 5, -5), (0, 1 / 3)),
    Function("sum of squares 10", plus(f"{i}*x{i}**2" for i in range(1, 11)), letters(*range(1, 11)), (0,)),
]  # fmt: skip
