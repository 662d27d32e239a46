"""Answers as plain text: tables that align, every name as it is."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A number of the answer. `ratio`: value over error, `chance`: its two-sided p by Student's t, or by the `normal`
    distribution; `interval`: at 95 %, where `by_profile` of the likelihood; `tie`: the formula that the value follows.
    """

    name: str
    value: float
    error: float | None = None
    interval: tuple[float, float] | None = None
    ratio: float | None = None
    chance: float | None = None
    normal: bool = False
    by_profile: bool = False
    tie: str = ""


def fit_text(fit: Mapping[str, Any], table: Sequence[Row], facts: Sequence[str]) -> str:
    """Formula, status, values with errors and intervals, and what was used."""
    status, message = fit["status"], fit["message"]
    lines = [fit["formula"], message if message.startswith(status) else f"{status}: {message}", ""]
    lines += value_table(table)
    lines += ["", *quality(fit), summary(fit), *facts]
    return "\n".join(lines)


def value_table(table: Sequence[Row]) -> list[str]:
    """Name, value to the digits that its error gives, standard error, t with its p, 95 % interval."""
    if not table:
        return ["(nothing is free)"]
    cells = value_cells(table)
    return align(cells, left=(0, 5))


def value_cells(table: Sequence[Row]) -> list[list[str]]:
    """The head and the rows of the table of values, cell by cell."""
    if all(row.error is None for row in table):
        return [["parameter", "value"], *([row.name, number(row.value)] for row in table)]
    interval = "95 % interval" + " by profile" * table[0].by_profile
    cells = [["parameter", "value", "error", "z" if table[0].normal else "t", "p", interval]]
    for row in table:
        if row.error is None:
            held = f"= {row.tie}" if row.tie else ""
            cells.append([row.name, number(row.value), "tied" if row.tie else "fixed", "", "", held])
            continue
        ends = "" if row.interval is None else " to ".join(number(end, row.error) for end in row.interval)
        ratio = "" if row.ratio is None else f"{row.ratio:.3g}" if abs(row.ratio) < 1e3 else f"{row.ratio:,.0f}"
        cells.append([row.name, number(row.value, row.error), f"{row.error:.3g}", ratio, chance(row.chance), ends])
    return cells


def chance(p: float | None) -> str:
    """A probability to two digits; below 1e-16 that alone is said."""
    return "" if p is None else "<1e-16" if p < 1e-16 else f"{p:.2g}"


def quality(fit: Mapping[str, Any]) -> list[str]:
    """Residual standard deviation and R²; log-likelihood and the criteria made of it: each a line where it is known."""
    lines = []
    if fit.get("s") is not None and fit.get("r2") is not None:
        left = fit["rows"] - len(fit["free"])
        freedom = f"{left:,} degree{'s' * (left != 1)} of freedom"
        about = "" if fit["intercept"] else "; about the mean: the formula has no intercept"
        r2 = f"R² {_share(fit['r2'])} (adjusted {_share(fit['r2_adjusted'])}{about})"
        lines.append(f"s {fit['s']:.5g} on {freedom}, {r2}")
    if fit.get("aic") is not None:
        shown = {"log-likelihood": "log_likelihood", "AIC": "aic", "BIC": "bic"}
        lines.append(", ".join(f"{word} {fit[name]:.6g}" for word, name in shown.items()))
    return lines


def _share(r2: float) -> str:
    """R² to four digits, to as many more as there are nines in front."""
    nines = max(0, math.floor(-math.log10(1.0 - r2))) if 0.9 < r2 < 1.0 else 0
    return f"{r2:.{min(4 + nines, 12)}g}"


def number(value: float, error: float | None = None) -> str:
    """A number to two digits of its error, or to ten digits."""
    if value and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if error is None or not error > 0 or not math.isfinite(error) or not math.isfinite(value):
        return f"{value:.10g}"
    digits = math.floor(math.log10(max(abs(value), error))) - math.floor(math.log10(error)) + 2
    return f"{value:#.{min(max(digits, 2), 15)}g}".rstrip(".")


def summary(fit: Mapping[str, Any]) -> str:
    """Loss, rows, steps, passes, seconds in one line."""
    parts, of_rows = [], fit["rss"] is not None or fit.get("rows", 0) > 1
    if fit["loss"] is not None:
        parts.append(
            f"loss {fit['loss']:.10g}" + ("" if fit["loss_name"].startswith("the ") else f" ({fit['loss_name']})")
        )
    if fit["rms"] is not None:
        parts.append(f"rms {fit['rms']:.6g}")
    if of_rows:
        parts.append(f"{fit['rows']:,} row{'s' * (fit['rows'] != 1)}")
    parts.append(f"{fit['method']}: {fit['steps']:,} step{'s' * (fit['steps'] != 1)}")
    if fit["passes"] is not None and of_rows:
        parts.append(f"{fit['passes']:,.4g} passes")
    parts.append(f"{fit['seconds']:.3g} s")
    return ", ".join(parts)


def starts_text(starts: Mapping[str, Any], counted: bool) -> str:
    """How a start was found, and what other minimum there is; the count where the message does not hold it."""
    text = f"start found for {', '.join(starts['names'])}"
    if starts["sample_rows"] is not None:
        text += f" on a sample of {starts['sample_rows']:,} rows"
    if starts["tried"] > 1 and not counted:
        text += f": the best end of {starts['same']} of {starts['tried']} starts"
    if starts["next_loss"] is not None:
        text += f"; the next best of {starts['tried']} starts has loss {starts['next_loss']:.6g}"
    if starts["beyond"] is not None:
        text += f"; lower, {starts['beyond']:.6g}, only where a parameter runs away"
    return text


def explanation_text(
    formula: str,
    roles: Mapping[str, str],
    of: str,
    row_loss: str,
    partials: Mapping[str, tuple[str, str]],
    quadratic: bool,
    rates: Sequence[str],
    program: Sequence[str],
    kernel: str = "",
    structure: Sequence[str] = (),
) -> str:
    """Roles, partial derivatives as formula text and LaTeX, structure, rates, the program."""
    lines = [formula, "", "roles"]
    for role in dict.fromkeys(roles.values()):
        lines.append(f"  {role}: {', '.join(n for n, r in roles.items() if r == role)}")
    if row_loss:
        lines += ["", "loss of a row", f"  {row_loss}"]
    lines += ["", f"derivatives of {of}"]
    for name, (text, latex) in partials.items():
        lines += [f"  d/d {name} = {text}", f"    LaTeX: {latex}"]
    lines += ["", "structure"]
    if quadratic:
        lines.append("  a quadratic: its Hessian holds no parameter")
    else:
        lines.append("  no quadratic: the Hessian depends on the parameters")
    lines += [f"  {line}" for line in (*structure, *rates)]
    lines += ["", "program", *(f"  {line}" for line in program)]
    if kernel:
        lines += ["", "kernel", f"  {kernel}"]
    return "\n".join(lines)


def align(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Cells in columns: text to the left, numbers to the right."""
    widths = [max(_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(cell))
            cells.append(cell + space if i in left else space + cell)
        lines.append("  ".join(cells).rstrip())
    return lines


def _width(text: str) -> int:
    """Places that a terminal gives a text: two for a wide letter, none for a mark on the letter before it."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
