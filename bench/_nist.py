"""NIST's certified problems, and the digits of an answer that agree with them; needs nothing but Python."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

NIST = Path(__file__).resolve().parents[1] / "tests" / "nist"
STARTS = {"nonlinear": ("start1", "start2"), "linear": (0.0, 1.0, 1000.0)}  # 1 is the answer of Wampler's problems
MOST = {"nonlinear": 11.0, "linear": 15.0}  # digits that NIST prints
ASKED = 6.0  # digits in every parameter
WRONG = 4.0  # digits below which "converged" would be false


def problems(kind: str) -> Iterator[dict[str, Any]]:
    """Those of a kind, by name."""
    for path in sorted((NIST / kind).glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def digits(found: Sequence[float], certified: Sequence[float], most: float) -> float:
    """The smallest number of digits that agree."""
    least = most
    for value, right in zip(found, certified, strict=True):
        error = abs(value - right) / (abs(right) or 1.0)
        if not math.isfinite(error):
            return 0.0
        least = min(least, most if error == 0 else -math.log10(error))
    return max(least, 0.0)


def agreement(
    problem: dict[str, Any], values: Sequence[float], errors: Sequence[float] | None, most: float
) -> tuple[float, float | None]:
    """Digits of the parameters and of their errors, beside the nearest of the equivalent solutions."""
    right, spread = max(solutions(problem), key=lambda solution: digits(values, solution[0], most))
    agreed = digits(values, right, most)
    return agreed, None if errors is None or not any(spread) else digits(errors, spread, most)


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
