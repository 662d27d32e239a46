"""Digits that agree with NIST's certified answers, with defaults: nonlinear problems from both starts, linear ones.

    python bench/nist.py               from starts, then without
    python bench/nist.py --no-start    nonlinear problems without any start alone, seeds 0 to 9

Digits are the smallest -log10 of the relative error over all parameters (absolute where the certified value is zero),
at most the eleven (linear: fifteen) that NIST prints. Of equivalent solutions, which have the same curve, any is right.
"""

from __future__ import annotations

import sys
from statistics import median
from typing import Any

from _figures import keep
from _nist import ASKED, MOST, STARTS, WRONG, agreement, problems

import steepest


def seen(kind: str, problem: dict[str, Any], fit: steepest.Fit) -> tuple[float, float | None]:
    """Digits of a fit's parameters and errors."""
    names = problem["parameters"]
    errors = None if fit.errors is None else [float(fit.errors[n]) for n in names]
    return agreement(problem, [float(fit.values[n]) for n in names], errors, MOST[kind])


def no_start(seeds: int = 10) -> bool:
    """Every nonlinear problem with nothing but formula and data: least digits over the seeds, and what was said."""
    print(f"{'problem':<10} {'certified':>9} {'least digits':>12} {'median s':>9} {'passes':>7}  status")
    false = lost = runs = 0
    for problem in problems("nonlinear"):
        fits = [steepest.fit(problem["formula"], problem["data"], seed=seed) for seed in range(seeds)]
        agreed = [seen("nonlinear", problem, fit)[0] for fit in fits]
        false += sum(fit.ok and d < WRONG for fit, d in zip(fits, agreed, strict=True))
        found = sum(fit.ok and d >= ASKED for fit, d in zip(fits, agreed, strict=True))
        runs, lost = runs + seeds, lost + seeds - found
        seconds, passes = median(fit.seconds for fit in fits), median(fit.passes for fit in fits)
        said = ", ".join(sorted({str(fit.status) for fit in fits}))
        print(f"{problem['name']:<10} {found:>6}/{seeds} {min(agreed):>12.1f} {seconds:>9.3f} {passes:>7.0f}  {said}")
    print(f'\nnot found to {ASKED:g} digits: {lost} (asked: 0); "converged" below {WRONG:g} digits: {false} (asked: 0)')
    keep(__file__, without={"fits": runs, "found": runs - lost, "false": false})
    return not false and not lost


def from_starts(kind: str) -> bool:
    """Every problem of a kind from each of its starts."""
    agreed, spread, false, fits, found = [], [], 0, 0, 0
    for problem in problems(kind):
        names = problem["parameters"]
        for start in STARTS[kind]:
            begun = problem[start] if isinstance(start, str) else [start] * len(names)
            fit = steepest.fit(problem["formula"], problem["data"], start=dict(zip(names, begun, strict=True)))
            right, errors = seen(kind, problem, fit)
            wrong = fit.ok and right < WRONG
            false, fits, found = false + wrong, fits + 1, found + (fit.ok and right >= ASKED)
            agreed.append(right)
            spread += [] if errors is None else [errors]
            label = start[-1] if isinstance(start, str) else f"{start:g}"
            shown = "-" if errors is None else f"{errors:.1f}"
            mark = "  FALSE" if wrong else ""
            print(
                f"{problem['name']:<10} {label:>6} {right:>10.1f} {shown:>7} {fit.steps:>6} {fit.passes:>7.0f}"
                f"  {fit.status}{mark}"
            )
    eight = sum(right >= 8 for right in agreed)
    print(f'{kind}: {min(agreed):.1f} digits and more, 8 in {eight} of {fits}; "converged" below {WRONG:g}: {false}\n')
    figures = {"fits": fits, "found": found, "eight": eight / fits, "false": false, "errors": min(spread)}
    keep(__file__, **{kind: figures})
    return not false


def main() -> bool:
    print(f"{'problem':<10} {'start':>6} {'parameters':>10} {'errors':>7} {'steps':>6} {'passes':>7}  status")
    right = [from_starts(kind) for kind in STARTS]  # all of them are run
    return all(right)


if __name__ == "__main__":
    right = [no_start()] if "--no-start" in sys.argv[1:] else [main(), no_start()]
    sys.exit(int(not all(right)))
