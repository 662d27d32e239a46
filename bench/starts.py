"""Planted curves found with no start: how often, and after how many passes.

    python bench/starts.py             all shapes x seeds 0 to 9, 120 rows; ten of them at a million rows
    python bench/starts.py --rows      the million rows alone

"found": the loss is no higher than that of the planted parameters (1 % noise).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _figures import keep

import steepest

SHAPES = json.loads((Path(__file__).parents[1] / "tests" / "starts" / "shapes.json").read_text(encoding="utf-8"))
TEN = ("logistic growth", "gompertz", "hill", "michaelis-menten", "power law and offset", "biexponential",
       "dose-response in logs", "lorentzian", "step", "sine")  # fmt: skip
WORDS = {name: getattr(np, name) for name in ("exp", "log", "sin", "sqrt", "tanh", "pi")}


def planted(shape: dict[str, Any], rows: int, seed: int, noise: float = 0.01) -> tuple[dict[str, Any], float]:
    """Data about a planted curve, and the loss of the curve itself."""
    rng = np.random.default_rng((1, seed))
    columns: dict[str, Any] = {}
    for name, (low, high, *kind) in shape["columns"].items():
        ends = np.log([low, high]) if kind else (low, high)
        drawn = rng.uniform(*ends, rows)
        columns[name] = np.exp(drawn) if kind else drawn
    right = eval(shape["formula"].partition("=")[2], WORDS, {**columns, **shape["truth"]})  # noqa: S307 - our own formulas
    y = right + noise * np.std(right) * rng.standard_normal(rows)
    return {**columns, "y": y}, float(0.5 * np.mean((y - right) ** 2))


def found(shape: dict[str, Any], rows: int, seed: int) -> tuple[Any, bool, float]:
    """The fit, whether it is as good as what was planted, and its seconds."""
    data, best = planted(shape, rows, seed)
    began = time.perf_counter()
    fit = steepest.fit(shape["formula"], data, seed=seed)
    return fit, bool(fit.loss <= best), time.perf_counter() - began


def small(seeds: int = 10) -> int:
    """How often, over the seeds."""
    print(f"{'120 rows':<26} {'found':>6} {'converged':>10} {'median ms':>10}")
    false = found_all = 0
    for shape in SHAPES:
        runs = [found(shape, 120, seed) for seed in range(seeds)]
        good, ok = sum(g for _, g, _ in runs), sum(fit.ok for fit, _, _ in runs)
        false += sum(fit.ok and not g for fit, g, _ in runs)
        found_all += good
        median = 1e3 * statistics.median(seconds for *_, seconds in runs)
        print(f"{shape['name']:<26} {good:>3}/{seeds} {ok:>7}/{seeds} {median:>10.1f}")
    print(f'"converged" in a worse minimum: {false} (asked: 0)\n')
    keep(__file__, fits=seeds * len(SHAPES), found=found_all, false=false)
    return false


def large(rows: int = 1_000_000) -> None:
    """Passes and seconds at many rows, after one fit for the compiler."""
    print(f"{f'{rows:,} rows':<26} {'found':>6} {'passes':>7} {'seconds':>8}   the second fit")
    passes = []
    for shape in (s for s in SHAPES if s["name"] in TEN):
        found(shape, rows, 0)
        fit, good, seconds = found(shape, rows, 1)
        passes.append(fit.passes)
        print(f"{shape['name']:<26} {'yes' if good else 'no':>6} {fit.passes:>7.0f} {seconds:>8.3f}")
    print(f"median passes {statistics.median(passes):g} (asked: 4)")
    keep(__file__, rows=rows, shapes=len(passes), passes=statistics.median(passes))


if __name__ == "__main__":
    false = 0 if "--rows" in sys.argv[1:] else small()
    large()
    sys.exit(int(false > 0))
