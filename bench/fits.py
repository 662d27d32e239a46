"""Small fits a second, of new data and a formula that was fitted before: with and without a start, beside others.

    python bench/fits.py               three curves of 100 rows, a line of four rows, and 10,000 rows

The times are those of the whole call, in turn, the median over tables of other noise; all begin at the same start.
curve_fit and lmfit differentiate numerically and say nothing of whether the end is a minimum.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from _timing import hold_to_two_cores, seconds
from scipy.optimize import curve_fit

import steepest

try:
    import lmfit
except ModuleNotFoundError:
    lmfit = None

TABLES = 60
NOISE = 0.01


@dataclass(frozen=True)
class Curve:
    """A formula and the same as a function of x and the parameters, in the order of `start`."""

    name: str
    formula: str
    model: Callable[..., Any]
    truth: dict[str, float]
    start: dict[str, float]
    rows: int = 100

    def tables(self) -> list[dict[str, Any]]:
        rng = np.random.default_rng(self.rows)
        x = rng.uniform(0.1, 10.0, self.rows)
        y = self.model(x, *self.truth.values())
        return [{"x": x, "y": y + NOISE * rng.standard_normal(self.rows)} for _ in range(TABLES)]


def decay(x: Any, a: Any, b: Any, c: Any) -> Any:
    return a * np.exp(-b * x) + c


DECAY = "decay", "y = a*exp(-b*x) + c", decay, {"a": 2.0, "b": 0.5, "c": 1.0}, {"a": 1.0, "b": 1.0, "c": 0.0}
CURVES = (
    Curve(*DECAY),
    Curve("peak", "y = a*exp(-(x - m)**2/(2*s**2))", lambda x, a, m, s: a * np.exp(-((x - m) ** 2) / (2 * s**2)),
          {"a": 3.0, "m": 5.0, "s": 1.2}, {"a": 1.0, "m": 4.0, "s": 1.0}),
    Curve("michaelis-menten", "y = V*x/(K + x)", lambda x, V, K: V * x / (K + x),
          {"V": 5.0, "K": 2.0}, {"V": 1.0, "K": 1.0}),
    Curve("line", "y = a*x + b", lambda x, a, b: a * x + b, {"a": 2.0, "b": 1.0}, {"a": 1.0, "b": 1.0}, rows=4),
    Curve(*DECAY, rows=10_000),
)  # fmt: skip


def by_lmfit(curve: Curve, data: dict[str, Any]) -> Any:
    model = lmfit.Model(curve.model)
    result = model.fit(data["y"], model.make_params(**curve.start), x=data["x"])
    return [result.best_values[name] for name in curve.start]


def rates(curve: Curve) -> dict[str, float]:
    """Fits a second in each way; every answer that has a start must be the same curve."""
    calls: dict[str, Callable[[dict[str, Any]], Any]] = {
        "start given": lambda d: steepest.fit(curve.formula, d, start=curve.start).values,
        "no start": lambda d: steepest.fit(curve.formula, d).values,
        "curve_fit": lambda d: curve_fit(curve.model, d["x"], d["y"], list(curve.start.values()))[0],
    }
    if lmfit is not None:
        calls["lmfit"] = lambda d: by_lmfit(curve, d)
    tables = curve.tables()
    for name, call in calls.items():  # what is made once per formula is made here
        found = call(tables[0])
        at = [found[n] for n in curve.start] if isinstance(found, dict) else found
        apart = np.max(np.abs(curve.model(tables[0]["x"], *at) - curve.model(tables[0]["x"], *curve.truth.values())))
        if apart > 5 * NOISE:
            print(f"  {curve.name}, {name}: another curve, {apart:.2g} away")
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for data in tables:
        for name, call in calls.items():
            taken[name].append(seconds(lambda call=call, data=data: call(data)))
    return {name: 1.0 / statistics.median(times) for name, times in taken.items()}


if __name__ == "__main__":
    hold_to_two_cores()
    print(
        f"{'fits a second':<18} {'rows':>7}", *(f"{n:>12}" for n in ("start given", "no start", "curve_fit", "lmfit"))
    )
    for one in CURVES:
        shown = rates(one)
        print(f"{one.name:<18} {one.rows:>7,}", *(f"{rate:>{max(12, len(n))},.0f}" for n, rate in shown.items()))
