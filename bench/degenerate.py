"""Models that the data do not determine, saddles and valleys without an end: what each is called.

    python bench/degenerate.py

"asked" is what the words mean (converged only at a minimum that the data determine); a status that is not among them
is marked. Errors beside anything but converged would be marked too, and a minimum above a lower one that is known.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _figures import keep

import steepest

RANDOM = np.random.default_rng(0)
X = np.linspace(0.0, 2.0, 21)
NOISE = 0.05 * RANDOM.normal(size=X.size)
LINE = {"x": X / 2, "y": X - 0.0025 * X**2 + 1e-4 * RANDOM.normal(size=X.size)}  # bent as b < 0 is, seen from b > 0
BENT = 2.6307e-9  # its minimum lies beyond the line at b = 0; SciPy's least_squares from there: 2.63059e-9
BEAD = {"x": X, "y": 2.0 * X + NOISE}


@dataclass(frozen=True)
class Case:
    """A model, its data, a start, and the statuses that are right."""

    what: str
    formula: str
    data: dict[str, Any] | None
    asked: tuple[str, ...]
    start: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    lowest: float = math.inf  # a value that a minimum must be below


NEVER = ("unidentifiable",)
CASES = [
    Case("a product of two", "y = a*b*x", BEAD, NEVER),
    Case("a sum of two", "y = (a + b)*x", BEAD, NEVER),
    Case("two intercepts", "y = a + b + c*x", BEAD, NEVER),
    Case("equal columns", "y = a*x + b*z", {**BEAD, "z": X}, NEVER),
    Case("columns equal to 1e-9", "y = a*x + b*z", {**BEAD, "z": X + 1e-9 * np.cos(X)}, ("converged", *NEVER)),
    Case("more parameters than rows", "y = a + b*x + c*x**2", {"x": [0.0, 1.0], "y": [1.0, 2.0]}, NEVER),
    Case("a constant column, an intercept", "y = a + b*k + c*x", {**BEAD, "k": np.full(X.size, 3.0)}, NEVER),
    Case("a parameter times zero", "y = a*x + b*z", {**BEAD, "z": np.zeros(X.size)}, NEVER),
    Case("x*0", "y = a*x + 0*b", BEAD, NEVER),
    Case("a branch never taken", "y = where(x > 9, b, a*x)", BEAD, NEVER),
    Case("exponentials that may swap", "y = a*exp(-b*x) + c*exp(-d*x)", {"x": X, "y": np.exp(-X)}, ("stopped", *NEVER)),
    Case("one row", "y = a*x", {"x": [2.0], "y": [3.0]}, ("converged",)),
    Case("a constant response", "y = a + b*x", {"x": X, "y": np.full(X.size, 4.0)}, ("converged",)),
    Case("all rows equal", "y = a + b*x", {"x": np.full(9, 2.0), "y": np.full(9, 5.0)}, NEVER),
    Case(
        "an angle, started at a maximum",
        "y = x*cos(b) + (1 - x)*sin(b)",
        {"x": X, "y": X * np.cos(0.7) + (1 - X) * np.sin(0.7) + NOISE},
        ("converged", "stopped"),
        {"b": 0.7 + math.pi},
    ),
    Case(
        "a saddle of a model",
        "y = a*b*x + a",
        {"x": X - 1, "y": X - 1},
        ("converged", "stopped", *NEVER),
        {"a": 0.0, "b": 0.0},
    ),
    Case("a valley to infinity", "y = exp(-b*x)", {"x": X[1:], "y": np.zeros(20)}, ("stopped", "diverged", *NEVER)),
    Case("a saddle", "x**2 - y**2 + y**4", None, ("converged", "stopped"), {"x": 1.0, "y": 0.0}),
    Case("no lower end", "x**2 - y**2", None, ("stopped", "diverged"), {"x": 1.0, "y": 0.5}),
    Case("no lower end, a saddle", "x**2 - y**2", None, ("stopped", "diverged"), {"x": 1.0, "y": 0.0}),
    Case("an inflection", "x**3", None, ("stopped", "diverged"), {"x": 1.0}),
    Case("a fourth power", "x**4", None, ("converged",), {"x": 1.0}),
    Case("a valley that is flat", "(x + y)**2", None, ("converged",), {"x": 1.0, "y": 2.0}),
    Case("a kink", "abs(x)", None, ("converged",), {"x": 1.0}),
    Case(
        "Peano's surface, at its saddle", "(y - x**2)*(y - 3*x**2)", None, ("stopped", "diverged"), {"x": 0.0, "y": 0.0}
    ),
    Case(
        "the same, with an end",
        "(y - x**2)*(y - 3*x**2) + x**8 + y**6",
        None,
        ("converged",),
        {"x": 0.0, "y": 0.0},
        lowest=-0.0301,
    ),
    Case("a monkey saddle", "x**3 - 3*x*y**2", None, ("stopped", "diverged"), {"x": 0.0, "y": 0.0}),
    Case(
        "the same, with an end",
        "x**3 - 3*x*y**2 + x**4 + y**4",
        None,
        ("converged",),
        {"x": 0.0, "y": 0.0},
        lowest=-0.1,
    ),
    Case("a saddle, exactly", "x**2 - y**2 + y**4", None, ("converged",), {"x": 0.0, "y": 0.0}, lowest=-0.249),
    Case(
        "a saddle within bounds",
        "x*y",
        None,
        ("converged",),
        {"x": 0.0, "y": 0.0},
        {"bounds": {"x": (-1, 1), "y": (-1, 1)}},
        lowest=-0.999,
    ),
    Case("a minimum at infinity", "exp(-x)", None, ("stopped", "diverged"), {"x": 1.0}),
    Case("a minimum at infinity", "1/(1 + x**2)", None, ("stopped", "diverged"), {"x": 1.0}),
    Case("a curved valley to infinity", "exp(-x) + (y - x**2)**2", None, ("stopped", "diverged"), {"x": 1.0, "y": 0.0}),
    Case(
        "a line, as an exponential",
        "y = a*exp(b*x) + c",
        LINE,
        ("converged",),
        {"b": 1.0},
        lowest=BENT,
    ),
    Case(
        "the same with a known sigma",
        "y = a*exp(b*x) + c",
        LINE,
        ("converged", "stopped", "diverged", *NEVER),
        {"b": 1.0},
        {"sigma": 0.01},
        lowest=BENT,
    ),
    Case(
        "zeros with a known sigma",
        "y = exp(-b*x)",
        {"x": X[1:], "y": np.zeros(20)},
        ("stopped", *NEVER),
        options={"sigma": 1.0},
    ),
    Case("a separable likelihood", "log(1 + exp(-z*b*x))", {"x": X[1:], "z": np.ones(20)}, ("stopped", "diverged")),
]


def main() -> int:
    odd = false = 0
    print(f"{'model':<34} {'what':<32} {'status':<15} {'errors':<7} asked")
    for case in CASES:
        if case.data is None:
            fit = steepest.minimize(case.formula, case.start, **case.options)
        else:
            fit = steepest.fit(case.formula, case.data, start=case.start, **case.options)
        lower = not fit.ok or fit.loss < case.lowest
        right = str(fit.status) in case.asked and (fit.ok or fit.errors is None) and lower
        odd += not right
        false += fit.ok and not right
        errors = "yes" if fit.errors is not None else "none"
        asked = " or ".join(case.asked) + ("" if right else "   <-- NOT SO")
        print(f"{case.formula:<34} {case.what:<32} {fit.status:<15} {errors:<7} {asked}")
    print(f"\nnot as asked: {odd} of {len(CASES)}")
    keep(__file__, models=len(CASES), odd=odd, false=false)
    return int(odd > 0)


if __name__ == "__main__":
    sys.exit(main())
