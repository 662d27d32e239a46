"""How often 95 % intervals hold the truth: 1,000 planted problems, ten shapes of a hundred seeds each.

    python bench/intervals.py [--seeds 100] [--profiles 100]

Each problem has noise of its own; the fit starts beside the truth. Wald intervals of all, profile intervals of some of
the seeds. A fit that does not converge has no interval and is counted apart.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _figures import keep
from numpy.typing import NDArray

import steepest

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A formula, the truth, the abscissas, and the noise relative to the spread of y (0: counts by Poisson)."""

    formula: str
    truth: dict[str, float]
    x: Array
    model: Callable[..., Array]
    noise: float

    def data(self, seed: int) -> dict[str, Array]:
        """A table with noise."""
        random = np.random.default_rng(seed)
        y = self.model(self.x, **self.truth)
        if self.noise == 0:
            return {"x": self.x, "k": random.poisson(y).astype(float)}
        return {"x": self.x, "y": y + self.noise * float(np.ptp(y)) * random.normal(size=len(y))}


def span(low: float, high: float, rows: int) -> Array:
    return np.linspace(low, high, rows)


SHAPES = [
    Shape("y = a + b*x", {"a": 1.0, "b": -2.0}, span(0, 1, 12), lambda x, a, b: a + b * x, 0.1),
    Shape("y = a*exp(-b*x) + c", {"a": 2.0, "b": 1.0, "c": 0.5}, span(0, 5, 30),
          lambda x, a, b, c: a * np.exp(-b * x) + c, 0.05),
    Shape("y = Vm*x/(K + x)", {"Vm": 200.0, "K": 0.06}, np.repeat([0.02, 0.06, 0.11, 0.22, 0.56, 1.1], 2),
          lambda x, Vm, K: Vm * x / (K + x), 0.06),
    Shape("y = a*x**b", {"a": 1.5, "b": 0.7}, span(0.2, 6, 20), lambda x, a, b: a * x**b, 0.05),
    Shape("y = a/(1 + exp(-b*(x - c)))", {"a": 10.0, "b": 1.2, "c": 4.0}, span(0, 9, 25),
          lambda x, a, b, c: a / (1 + np.exp(-b * (x - c))), 0.05),
    Shape("y = a*exp(-((x - m)/s)**2/2) + c", {"a": 5.0, "m": 1.0, "s": 0.8, "c": 1.0}, span(-2, 4, 40),
          lambda x, a, m, s, c: a * np.exp(-(((x - m) / s) ** 2) / 2) + c, 0.06),
    Shape("y = a*sin(w*x + p) + c", {"a": 2.0, "w": 1.7, "p": 0.4, "c": 0.3}, span(0, 10, 50),
          lambda x, a, w, p, c: a * np.sin(w * x + p) + c, 0.1),
    Shape("y = a*(1 - exp(-b*x))", {"a": 4.0, "b": 0.6}, span(0.3, 6, 15),
          lambda x, a, b: a * (1 - np.exp(-b * x)), 0.05),
    Shape("y = (a + b*x)/(1 + c*x)", {"a": 1.0, "b": 3.0, "c": 0.5}, span(0, 8, 40),
          lambda x, a, b, c: (a + b * x) / (1 + c * x), 0.03),
    Shape("exp(a + b*x) - k*(a + b*x)", {"a": 1.0, "b": 0.5}, span(0, 3, 40), lambda x, a, b: np.exp(a + b * x), 0.0),
]  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seeds", type=int, default=100)
    words.add_argument("--profiles", type=int, default=100, help="seeds whose profile intervals are made, too")
    asked = words.parse_args()
    print(f"{'formula':<36} {'fits':>5} {'wald':>7} {'profile':>8} {'open':>5}")
    sums = np.zeros(5)
    began = time.perf_counter()
    for number, shape in enumerate(SHAPES):
        fits, wald, profile, values, profiled, open_ends = 0, 0, 0, 0, 0, 0
        for seed in range(asked.seeds):
            start = {name: 1.1 * value for name, value in shape.truth.items()}
            fit = steepest.fit(shape.formula, shape.data(1_000 * number + seed), start=start)
            if fit.covariance is None:
                continue
            fits, values = fits + 1, values + len(shape.truth)
            wald += holds(fit.interval(), shape.truth)
            if seed < asked.profiles:
                ends = profile_ends(fit)
                profiled += len(shape.truth)
                profile += holds(ends, shape.truth)
                open_ends += sum(not np.isfinite(pair).all() for pair in ends.values())
        shown = f"{profile / profiled:8.1%}" if profiled else " " * 8
        print(f"{shape.formula:<36} {fits:>5} {wald / values:>7.1%} {shown} {open_ends:>5}", flush=True)
        sums += (fits, wald, values, profile, profiled)
    fits, wald, values, profile, profiled = sums
    if asked.seeds == words.get_default("seeds"):  # fewer are for trying
        keep(
            __file__,
            fits=int(fits),
            intervals=int(values),
            wald=wald / values,
            profile=profile / profiled if profiled else None,
        )
    share = f", profile {profile / profiled:.1%} of {profiled:,.0f}" if profiled else ""
    print(f"\nall: {fits:,.0f} of {len(SHAPES) * asked.seeds:,} fits, "
          f"wald {wald / values:.1%} of {values:,.0f}{share}; "
          f"asked 93 % to 97 %; {time.perf_counter() - began:.0f} s")  # fmt: skip


def holds(intervals: dict[str, tuple[float, float]], truth: dict[str, float]) -> int:
    """How many of the intervals hold the truth."""
    return sum(low <= truth[name] <= high for name, (low, high) in intervals.items())


def profile_ends(fit: steepest.Fit) -> dict[str, tuple[float, float]]:
    """The profile intervals; an open end is counted in the table, not warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit.interval(method="profile")


if __name__ == "__main__":
    main()
