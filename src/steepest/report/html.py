"""Answers as small HTML tables for notebooks: self-contained, every name as it is.

Text stands in `<code>`, which MathJax and KaTeX leave alone, below an element that tells MathJax to ignore it: a column
called `$x$` is not mathematics. Only derivatives are, in LaTeX in which names are escaped. Colours that are set stand
on a ground of their own, so that they can be read on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .text import Row, quality, summary, value_cells

MOST_ROWS = 50
LONGEST_LATEX = 600  # characters; beyond, the text alone is shown
COLOURS = {"converged": "#1a7f37", "stopped": "#9a6700", "interrupted": "#57606a"}
BAD = "#b42318"
IGNORED, TYPESET = "tex2jax_ignore mathjax_ignore", "tex2jax_process mathjax_process"
CELL = "padding:2px 10px;text-align:{};vertical-align:top"


def fit_html(fit: Mapping[str, Any], table: Sequence[Row], facts: Sequence[str]) -> str:
    """Formula, status, values with errors and intervals, and what was used."""
    status, message = fit["status"], fit["message"]
    rest = message.removeprefix(status)
    said = rest.lstrip(":; ") if rest[:1] in ("", ":", ";", " ") else message
    badge = f"background:{COLOURS.get(status, BAD)};color:#fff;border-radius:3px;padding:1px 6px;font-weight:600"
    return _card(
        f"<div>{_code(fit['formula'])}</div>",
        f'<div style="margin:4px 0"><span style="{badge}">{escape(status)}</span> {_plain(said)}</div>',
        _values(table),
        _small([*quality(fit), summary(fit), *facts]),
    )


def explanation_html(
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
    """Roles, partial derivatives as LaTeX and formula text, structure, rates, the program."""
    by_role = {role: [n for n, r in roles.items() if r == role] for role in dict.fromkeys(roles.values())}
    facts = [f"{role}: {', '.join(names)}" for role, names in by_role.items()]
    if row_loss:
        facts.append(f"loss of a row: {row_loss}")
    kind = (
        "a quadratic: its Hessian holds no parameter"
        if quadratic
        else "no quadratic: the Hessian depends on the parameters"
    )
    shown = list(partials.items())[:MOST_ROWS]
    rows = [[_code(name), _math(latex), _code(text)] for name, (text, latex) in shown]
    lines = escape("\n".join(program))
    return _card(
        f"<div>{_code(formula)}</div>",
        _small(facts),
        _table(["by", f"derivative of {of}", "as formula"], rows, "lll", len(partials)),
        _small([kind, *structure, *rates, *([f"kernel: {kernel}"] if kernel else [])]),
        f'<details><summary>program</summary><pre style="margin:2px 10px">{lines}</pre></details>',
    )


def comparison_html(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], facts: Sequence[str]) -> str:
    """The table of a comparison, and the sentences under it."""
    cells = [[_plain(cell) for cell in row] for row in rows]
    align = "rl" + "r" * (len(head) - 3) + "l"
    return _card(f"<div>{_code(title)}</div>", _table(head, cells, align, len(rows)), _small(facts))


def _values(table: Sequence[Row]) -> str:
    if not table:
        return _small(["(nothing is free)"])
    head, *rows = value_cells(table)
    return _table(head, [[_code(name), *cells] for name, *cells in rows[:MOST_ROWS]], "lrrrrl", len(table))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str, count: int) -> str:
    """A table of cells that are HTML already; a row that says how many are left out."""
    styles = [CELL.format("left" if side == "l" else "right") for side in align]
    line = "border-bottom:1px solid #8888"
    lines = ["".join(f'<th style="{s};{line}">{h}</th>' for s, h in zip(styles, head, strict=False))]
    lines += ["".join(f'<td style="{s}">{c}</td>' for s, c in zip(styles, row, strict=False)) for row in rows]
    if count > MOST_ROWS:
        lines.append(f'<td style="{styles[0]}" colspan="{len(head)}">and {count - MOST_ROWS:,} more</td>')
    body = "".join(f"<tr>{cells}</tr>" for cells in lines)
    return f'<table style="border-collapse:collapse;margin:4px 0;font-size:inherit;color:inherit">{body}</table>'


def _card(*parts: str) -> str:
    return f'<div class="{IGNORED}" style="line-height:1.5">{"".join(parts)}</div>'


def _small(lines: Sequence[str]) -> str:
    return f'<div style="font-size:90%;margin:4px 0">{"<br>".join(map(_plain, lines))}</div>'


def _code(text: str) -> str:
    return f'<code style="background:none;color:inherit;font-size:inherit;overflow-wrap:anywhere">{escape(text)}</code>'


def _plain(text: str) -> str:
    """A sentence that may hold names: in the font around it, and no mathematics."""
    return f'<code style="background:none;color:inherit;font:inherit;overflow-wrap:anywhere">{escape(text)}</code>'


def _math(latex: str) -> str:
    return f'<span class="{TYPESET}">\\({escape(latex)}\\)</span>' if len(latex) <= LONGEST_LATEX else "(long)"
