"""Figures that are asked, each beside what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """One figure; `met` is None where it was not measured."""

    asked: str
    seen: str
    met: bool | None

    @property
    def word(self) -> str:
        return "not measured" if self.met is None else "met" if self.met else "**missed**"


def clock(value: float | None) -> str:
    """Three digits, in the unit that suits."""
    if value is None:
        return ""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}" if value * factor < 1000 else f"{value * factor:,.0f} {unit}"
    return f"{value * 1e6:.3g} µs"


def at_least(asked: str, ratio: float | None, limit: float, unit: str = "×") -> Verdict:
    return _compared(f"{asked} ≥ {_number(limit, unit)}", ratio, unit, ratio is not None and ratio >= limit)


def at_most(asked: str, ratio: float | None, limit: float, unit: str = "×") -> Verdict:
    return _compared(f"{asked} ≤ {_number(limit, unit)}", ratio, unit, ratio is not None and ratio <= limit)


def _compared(asked: str, value: float | None, unit: str, met: bool) -> Verdict:
    return Verdict(asked, "", None) if value is None else Verdict(asked, _number(value, unit), met)


def _number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.0f} %"
    if unit == "s":
        return clock(value)
    return f"{value:.3g} {unit}"


def ratio(times: dict[str, float] | None, above: str, below: str) -> float | None:
    """times[above] / times[below], where both are there."""
    return times[above] / times[below] if times and above in times and below in times else None
