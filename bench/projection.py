"""Passes over a million rows with the linear parameters solved at each step, and with plain Gauss-Newton.

    python bench/projection.py [rows]

Ten shapes from rough starts; the linear parameters start at 1. "lower": whose minimum is lower, where they differ.
"""

from __future__ import annotations

import sys
from statistics import median

import numpy as np

import steepest

SHAPES: list[tuple[str, dict[str, float], dict[str, float]]] = [  # formula, truth, start of the nonlinear ones
    ("y = a*exp(-b*x) + c", {"a": 3.0, "b": 1.3, "c": 0.5}, {"b": 0.3}),
    ("y = a*exp(-b*x) + c*exp(-d*x)", {"a": 2.0, "b": 0.5, "c": 1.0, "d": 3.0}, {"b": 0.2, "d": 5.0}),
    ("y = v*x/(k + x)", {"v": 2.0, "k": 0.7}, {"k": 4.0}),
    ("y = a/(1 + exp(b - c*x))", {"a": 5.0, "b": 4.0, "c": 2.0}, {"b": 2.0, "c": 1.0}),
    ("y = h*exp(-(x - m)**2/(2*s**2)) + c", {"h": 2.0, "m": 1.8, "s": 0.4, "c": 0.3}, {"m": 1.3, "s": 0.8}),
    ("y = a*sin(w*x + p) + c", {"a": 1.5, "w": 2.2, "p": 0.4, "c": 1.0}, {"w": 2.0, "p": 0.1}),
    ("y = a*exp(-b*x)*cos(w*x)", {"a": 2.0, "b": 0.4, "w": 3.0}, {"b": 0.1, "w": 2.6}),
    ("y = a*x**b + c", {"a": 1.2, "b": 1.7, "c": 0.2}, {"b": 0.7}),
    ("y = (p + q*x)/(1 + r*x)", {"p": 0.5, "q": 3.0, "r": 0.9}, {"r": 0.1}),
    ("y = a*log(x + k) + c", {"a": 1.4, "k": 0.6, "c": 0.5}, {"k": 2.0}),
]


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    random = np.random.default_rng(0)
    x = random.uniform(0.05, 4.0, rows)
    noise = 0.05 * random.standard_normal(rows)
    print(f"{'model':<38} {'solved':>7} {'plain':>6}  {'status':<10} {'plain':<15} lower")
    passes: list[tuple[float, float]] = []
    for formula, truth, start in SHAPES:
        data = {"x": x, "y": _values(formula, truth, x) + noise}
        solved, plain = (steepest.fit(formula, data, start=start, method=m) for m in ("auto", "gauss-newton"))
        passes.append((solved.passes, plain.passes))
        same = abs(solved.total - plain.total) <= 1e-9 * solved.total
        lower = "" if same else "solved" if solved.total < plain.total else "plain"
        print(
            f"{formula:<38} {solved.passes:>7.0f} {plain.passes:>6.0f}  {solved.status:<10} {plain.status:<15} {lower}"
        )
    both = [median(p) for p in zip(*passes, strict=True)]
    print(f"{'median':<38} {both[0]:>7.0f} {both[1]:>6.0f}")
    return 0


def _values(formula: str, truth: dict[str, float], x: np.ndarray) -> np.ndarray:
    """The right-hand side at the truth."""
    fit = steepest.fit(formula, {"x": x[:50], "y": x[:50]}, fixed=truth)
    return np.asarray(fit.predict({"x": x}))


if __name__ == "__main__":
    sys.exit(main())
