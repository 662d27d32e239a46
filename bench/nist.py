"""Digits that agree with NIST's certified answers, with defaults: nonlinear problems from both starts, linear ones.

    python bench/nist.py
    python bench/nist.py --no-start        nonlinear problems without any start, seeds 0 to 9

Digits are the smallest -log10 of the relative error over all parameters (absolute where the certified value is zero),
at most the eleven (linear: fifteen) that NIST prints. Of equivalent solutions, which have the same curve, any is right.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import steepest

NIST = Path(__file__).resolve().parents[1] / "tests" / "nist"
STARTS = {"nonlinear": ("start1", "start2"), "linear": (0.0, 1.0, 1000.0)}  # 1 is the answer of Wampler's problems
ASKED = 6.0  # digits in every parameter
WRONG = 4.0  # digits below which "converged" would be false


def digits(found: list[float], certified: list[float], most: float) -> float:
    """The smallest number of digits that agree."""
    least = most
    for value, right in zip(found, certified, strict=True):
        error = abs(value - right) / (abs(right) or 1.0)
        if not math.isfinite(error):
            return 0.0
        least = min(least, most if error == 0 else -math.log10(error))
    return max(least, 0.0)


def solutions(problem: dict[str, Any]) -> list[tuple[list[float], list[float]]]:
    """The certified parameters with their errors, and every vector that has the same curve."""
    certified = dict(zip(problem["parameters"], problem["certified"], strict=True))
    errors = dict(zip(problem["parameters"], problem["certified_sd"], strict=True))
    found = [(problem["certified"], problem["certified_sd"])]
    for names in problem["equivalent_solutions"]:
        signs = [-1.0 if name.startswith("-") else 1.0 for name in names]
        plain = [name.lstrip("-") for name in names]
        found.append(([s * certified[n] for s, n in zip(signs, plain, strict=True)], [errors[n] for n in plain]))
    return found


def no_start(seeds: int = 10) -> int:
    """Every nonlinear problem with nothing but formula and data: least digits over the seeds, and what was said."""
    print(f"{'problem':<10} {'certified':>9} {'least digits':>12} {'median s':>9} {'passes':>7}  status")
    false = lost = 0
    for path in sorted((NIST / "nonlinear").glob("*.json")):
        problem = json.loads(path.read_text(encoding="utf-8"))
        fits = [steepest.fit(problem["formula"], problem["data"], seed=seed) for seed in range(seeds)]
        agreed = [
            max(
                digits([float(fit.values[n]) for n in problem["parameters"]], right, 11.0)
                for right, _ in solutions(problem)
            )
            for fit in fits
        ]
        false += sum(fit.ok and d < WRONG for fit, d in zip(fits, agreed, strict=True))
        found = sum(fit.ok and d >= ASKED for fit, d in zip(fits, agreed, strict=True))
        lost += seeds - found
        seconds, passes = (sorted(getattr(fit, n) for fit in fits)[seeds // 2] for n in ("seconds", "passes"))
        said = ", ".join(sorted({str(fit.status) for fit in fits}))
        print(f"{problem['name']:<10} {found:>6}/{seeds} {min(agreed):>12.1f} {seconds:>9.3f} {passes:>7.0f}  {said}")
    print(f'\nnot found to {ASKED:g} digits: {lost} (asked: 0); "converged" below {WRONG:g} digits: {false} (asked: 0)')
    return int(false > 0 or lost > 0)


def main() -> int:
    false, least = 0, {"nonlinear": math.inf, "linear": math.inf}
    print(f"{'problem':<10} {'start':>6} {'parameters':>10} {'errors':>7} {'steps':>6} {'passes':>7}  status")
    for kind, starts in STARTS.items():
        for path in sorted((NIST / kind).glob("*.json")):
            problem = json.loads(path.read_text(encoding="utf-8"))
            most = 11.0 if kind == "nonlinear" else 15.0
            for start in starts:
                begun = problem[start] if isinstance(start, str) else [start] * len(problem["parameters"])
                fit = steepest.fit(
                    problem["formula"], problem["data"], start=dict(zip(problem["parameters"], begun, strict=True))
                )
                values = [float(fit.values[n]) for n in problem["parameters"]]
                right, spread = max(solutions(problem), key=lambda s: digits(values, s[0], most))
                agreed = digits(values, right, most)
                shown = "-"
                if fit.errors is not None and any(spread):
                    shown = f"{digits([float(fit.errors[n]) for n in problem['parameters']], spread, most):.1f}"
                wrong = fit.ok and agreed < WRONG
                false += wrong
                if fit.ok:
                    least[kind] = min(least[kind], agreed)
                label = start[-1] if isinstance(start, str) else f"{start:g}"
                mark = "  FALSE" if wrong else ""
                print(
                    f"{problem['name']:<10} {label:>6} {agreed:>10.1f} {shown:>7} {fit.steps:>6} {fit.passes:>7.0f}"
                    f"  {fit.status}{mark}"
                )
    print()
    print(f"{'least digits where converged':<30} {'nonlinear':>10} {'linear':>8}")
    print(f"{'':<30} {least['nonlinear']:>10.1f} {least['linear']:>8.1f}")
    print(f'"converged" below {WRONG:g} digits: {false} (asked: 0)')
    return int(false > 0)


if __name__ == "__main__":
    sys.exit(no_start() if "--no-start" in sys.argv[1:] else main())
