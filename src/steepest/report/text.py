"""Answers as plain text: tables that align, every name as it is."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

Row = tuple[str, float, float | None, tuple[float, float] | None]


def fit_text(fit: Mapping[str, Any], table: Sequence[Row], facts: Sequence[str]) -> str:
    """Formula, status, values with errors and intervals, and what was used."""
    status, message = fit["status"], fit["message"]
    lines = [fit["formula"], message if message.startswith(status) else f"{status}: {message}", ""]
    lines += value_table(table)
    lines += ["", summary(fit), *facts]
    return "\n".join(lines)


def value_table(table: Sequence[Row]) -> list[str]:
    """Name, value to the digits that its error gives, standard error, 95 % interval."""
    if not table:
        return ["(nothing is free)"]
    return align(value_cells(table), left=(0, 3))


def value_cells(table: Sequence[Row]) -> list[list[str]]:
    """The head and the rows of the table of values, cell by cell."""
    with_errors = any(error is not None for _, _, error, _ in table)
    cells = [["parameter", "value", *(["error", "95 % interval"] if with_errors else [])]]
    for name, value, error, interval in table:
        row = [name, number(value, error)]
        if with_errors:
            row.append("fixed" if error is None else f"{error:.3g}")
            row.append("" if interval is None else f"{number(interval[0], error)} to {number(interval[1], error)}")
        cells.append(row)
    return cells


def number(value: float, error: float | None = None) -> str:
    """A number to two digits of its error, or to ten digits."""
    if error is None or not error > 0 or not math.isfinite(error) or not math.isfinite(value):
        return f"{value:.10g}"
    digits = math.floor(math.log10(max(abs(value), error))) - math.floor(math.log10(error)) + 2
    return f"{value:#.{min(max(digits, 2), 15)}g}".rstrip(".")


def summary(fit: Mapping[str, Any]) -> str:
    """Loss, rows, steps, passes, seconds in one line."""
    parts = []
    if fit["loss"] is not None:
        parts.append(
            f"loss {fit['loss']:.10g}" + ("" if fit["loss_name"].startswith("the ") else f" ({fit['loss_name']})")
        )
    if fit["rms"] is not None:
        parts.append(f"rms {fit['rms']:.6g}")
    if fit["rss"] is not None:
        parts.append(f"{fit['rows']:,} row{'s' * (fit['rows'] != 1)}")
    parts.append(f"{fit['method']}: {fit['steps']:,} step{'s' * (fit['steps'] != 1)}")
    if fit["passes"] is not None and fit["rss"] is not None:
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
    lines += [f"  {line}" for line in rates]
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
