"""The formulas of the speed tests: data by seed, and each written the way every contender wants it.

A loss is that of steepest: half the squared residual, or what the formula says, summed over the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Data = dict[str, np.ndarray]
Pass = tuple[float, np.ndarray]
WIDTH = 10  # columns of the logistic case


@dataclass(frozen=True)
class Case:
    """One formula.

    `loop` is the body of the loop of C and Numba: `s0` sums the loss, `s1`, `s2`, ... the gradient. `steps` are the
    same as whole arrays for NumPy and numexpr, and `sums(v)` the loss and the gradient from them. `row(m, t, d)` is the
    loss of each row in the array module m: what JAX, PyTorch and heyoka differentiate. `columns` are what steepest and
    the loops read, `arrays` what the array packages read: a matrix for the logistic.
    """

    name: str
    formula: str
    names: tuple[str, ...]
    theta: tuple[float, ...]
    make: Callable[[np.random.Generator, int], Data]
    loop: str
    steps: str
    sums: Callable[[Any], tuple[float, list[float]]]
    row: Callable[[Any, Any, Any], Any]
    columns: tuple[str, ...] = ("x", "y")
    arrays: tuple[str, ...] = ("x", "y")

    def data(self, rows: int, seed: int = 0) -> Data:
        return self.make(np.random.default_rng(seed), rows)


def curve(low: float, high: float, truth: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Data]:
    """x uniform, y = truth(x) with noise."""

    def make(random: np.random.Generator, rows: int) -> Data:
        x = random.uniform(low, high, rows)
        return {"x": x, "y": truth(x) + 0.1 * random.standard_normal(rows)}

    return make


EXP = Case(
    name="exp",
    formula="y = a*exp(-b*x) + c",
    names=("a", "b", "c"),
    theta=(4.0, 1.1, 0.3),
    make=curve(0.0, 5.0, lambda x: 5.0 * np.exp(-1.3 * x) + 0.5),
    loop="e = exp(-b*x); r = a*e + c - y; q = r*e; s0 += 0.5*r*r; s1 += q; s2 += -a*x*q; s3 += r",
    steps="e = exp(-b*x); r = a*e + c - y; q = r*e",
    sums=lambda v: (0.5 * (v.r @ v.r), [v.q.sum(), -v.a * (v.q @ v.x), v.r.sum()]),
    row=lambda m, t, d: 0.5 * (t[0] * m.exp(-t[1] * d["x"]) + t[2] - d["y"]) ** 2,
)

POWER = Case(
    name="power",
    formula="y = a*x**b",
    names=("a", "b"),
    theta=(1.8, 1.6),
    make=curve(0.1, 4.0, lambda x: 2.0 * x**1.7),
    loop="u = pow(x, b); r = a*u - y; q = r*u; s0 += 0.5*r*r; s1 += q; s2 += a*log(x)*q",
    steps="u = x**b; r = a*u - y; q = r*u; l = log(x)",
    sums=lambda v: (0.5 * (v.r @ v.r), [v.q.sum(), v.a * (v.q @ v.l)]),
    row=lambda m, t, d: 0.5 * (t[0] * d["x"] ** t[1] - d["y"]) ** 2,
)

SINE = Case(
    name="sine",
    formula="y = a*sin(w*x + p) + c",
    names=("a", "w", "p", "c"),
    theta=(1.9, 1.49, 0.5, 0.4),
    make=curve(0.0, 20.0, lambda x: 2.0 * np.sin(1.5 * x + 0.4) + 0.5),
    loop="u = w*x + p; s = sin(u); r = a*s + c - y; q = a*r*cos(u); "
    "s0 += 0.5*r*r; s1 += r*s; s2 += q*x; s3 += q; s4 += r",
    steps="u = w*x + p; s = sin(u); r = a*s + c - y; q = r*cos(u)",
    sums=lambda v: (0.5 * (v.r @ v.r), [v.r @ v.s, v.a * (v.q @ v.x), v.a * v.q.sum(), v.r.sum()]),
    row=lambda m, t, d: 0.5 * (t[0] * m.sin(t[1] * d["x"] + t[2]) + t[3] - d["y"]) ** 2,
)


def logistic_data(random: np.random.Generator, rows: int) -> Data:
    X = random.standard_normal((WIDTH, rows)).T  # each column contiguous: the loops read columns, BLAS the matrix
    y = (random.uniform(size=rows) * (1.0 + np.exp(-X @ np.linspace(-0.5, 0.5, WIDTH))) < 1.0).astype(float)
    return {f"x{j}": X[:, j] for j in range(WIDTH)} | {"X": X, "y": y}


def logistic_row(m: Any, t: Any, d: Any) -> Any:
    z = d["X"] @ t
    return m.softplus(z) - d["y"] * z


_names = [f"x{j}" for j in range(WIDTH)]
_linear = f"([{', '.join(_names)}] @ B)"
LOGISTIC = Case(
    name="logistic",
    formula=f"softplus({_linear}) - y*{_linear}",
    names=tuple(f"b{j}" for j in range(WIDTH)),
    theta=tuple(np.linspace(-0.4, 0.5, WIDTH).tolist()),
    make=logistic_data,
    loop=f"z = {' + '.join(f'b{j}*x{j}' for j in range(WIDTH))}; e = exp(-fabs(z)); "
    "s0 += pick(z > 0, z, 0.0) + log(1 + e) - y*z; r = pick(z > 0, 1.0, e)/(1 + e) - y; "
    f"{'; '.join(f's{j + 1} += r*x{j}' for j in range(WIDTH))}",
    steps="z = X @ t; l = logaddexp(0, z); r = 1/(1 + exp(-z)) - y",
    sums=lambda v: (v.l.sum() - v.y @ v.z, v.r @ v.X),
    row=logistic_row,
    columns=(*_names, "y"),
    arrays=("X", "y"),
)

GAUSS = Case(
    name="gauss",
    formula="y = a*exp(-(x - m)**2/(2*s**2))",
    names=("a", "m", "s"),
    theta=(2.7, 1.1, 0.9),
    make=curve(-4.0, 6.0, lambda x: 3.0 * np.exp(-((x - 1.0) ** 2) / (2 * 0.8**2))),
    loop="u = (x - m)/s; e = exp(-0.5*u*u); r = a*e - y; q = r*e; v = a/s*q*u; "
    "s0 += 0.5*r*r; s1 += q; s2 += v; s3 += v*u",
    steps="u = (x - m)/s; e = exp(-0.5*u*u); r = a*e - y; q = r*e; v = q*u",
    sums=lambda v: (0.5 * (v.r @ v.r), [v.q.sum(), v.a / v.s * v.v.sum(), v.a / v.s * (v.v @ v.u)]),
    row=lambda m, t, d: 0.5 * (t[0] * m.exp(-((d["x"] - t[1]) ** 2) / (2 * t[2] ** 2)) - d["y"]) ** 2,
)


def where_row(m: Any, t: Any, d: Any) -> Any:
    x = d["x"]
    return 0.5 * (m.where(m.less(x, 2.0), t[0] * m.exp(-t[1] * x), t[2] + t[3] * x) - d["y"]) ** 2


WHERE = Case(
    name="where",
    formula="y = where(x < 2, a*exp(-b*x), c + d*x)",
    names=("a", "b", "c", "d"),
    theta=(2.8, 0.7, 0.3, 0.12),
    make=curve(0.0, 5.0, lambda x: np.where(x < 2.0, 3.0 * np.exp(-0.8 * x), 0.2 + 0.1 * x)),
    loop="e = exp(-b*x); r = pick(x < 2, a*e, c + d*x) - y; q = pick(x < 2, r*e, 0.0); o = pick(x < 2, 0.0, r); "
    "s0 += 0.5*r*r; s1 += q; s2 += -a*x*q; s3 += o; s4 += o*x",
    steps="e = exp(-b*x); r = where(x < 2, a*e, c + d*x) - y; q = where(x < 2, r*e, 0); o = where(x < 2, 0, r)",
    sums=lambda v: (0.5 * (v.r @ v.r), [v.q.sum(), -v.a * (v.q @ v.x), v.o.sum(), v.o @ v.x]),
    row=where_row,
)

CASES = {case.name: case for case in (EXP, POWER, SINE, LOGISTIC, GAUSS, WHERE)}
