"""Several formulas on one table: which of them the data support, by criteria and, where one is nested, by a test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .data.source import Source
from .errors import FitError
from .formula.grammar import Formula
from .formula.nesting import special_case
from .formula.objective import unknown
from .formula.printing import quote, to_text
from .report.html import comparison_html
from .report.text import align, chance
from .result import Fit
from .run import Formulas, How, Run, read_beside
from .types import Array

BY_NAME = ("start", "bounds", "fixed")
SAMPLE = 256  # rows on which two formulas are held to be the same
COLUMNS = ("p", "rss", "s", "r2", "aic", "delta", "bic", "weight")


@dataclass(frozen=True)
class Nested:
    """A test of a formula against one that it is a special case of: with `setting` the larger one equals the smaller.

    `statistic` is F with `degrees` (of numerator and denominator), or with known sigma or a likelihood twice the
    difference of the log-likelihoods, χ² with `degrees` (one number); p: the chance of more, were the smaller true.
    """

    small: str
    large: str
    setting: dict[str, str]
    statistic: float
    degrees: tuple[int, ...]
    p: float

    @property
    def sentence(self) -> str:
        """As printed."""
        set_to = ", ".join(f"{name} = {value}" for name, value in self.setting.items())
        name = "F" if len(self.degrees) == 2 else "χ²"
        degrees = ", ".join(f"{d:,}" for d in self.degrees)
        return (
            f"{self.small}  is  {self.large}  with {set_to}: {name}({degrees}) = {self.statistic:.5g}, p {_p(self.p)}"
        )


@dataclass(frozen=True, repr=False)
class Models:
    """The fits in the order of the formulas; it prints itself as a table with the tests of those that are nested."""

    fits: tuple[Fit, ...]
    nested: tuple[Nested, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def table(self) -> list[dict[str, Any]]:
        """A dict for each formula: p free parameters, rss, s, r2, log_likelihood, aic, aicc, bic, delta (AIC above the
        lowest), weight (exp(-delta/2) as a share: Burnham and Anderson 2002), status. None where it cannot be said."""
        known = [fit.aic for fit in self.fits if fit.aic is not None and not math.isnan(fit.aic)]
        lowest = min(known, default=math.nan)
        rows: list[dict[str, Any]] = []
        for fit in self.fits:
            delta = None if fit.aic is None else 0.0 if fit.aic == lowest else fit.aic - lowest
            rows.append({
                "formula": fit.formula, "p": len(fit.free), "rss": fit.rss, "s": fit.s, "r2": fit.r2,
                "log_likelihood": fit.log_likelihood, "aic": fit.aic, "aicc": fit.aicc, "bic": fit.bic, "delta": delta,
                "weight": None if delta is None else math.exp(-0.5 * delta), "status": str(fit.status),
            })  # fmt: skip
        total = sum(row["weight"] or 0.0 for row in rows)
        for row in rows:
            row["weight"] = None if row["weight"] is None or not total else row["weight"] / total
        return rows

    @property
    def best(self) -> Fit | None:
        """The fit of the lowest AIC; None where none can be said."""
        known = [fit for fit in self.fits if fit.aic is not None]
        return min(known, key=lambda fit: fit.aic or 0.0, default=None)

    def text(self) -> str:
        """The table, and the sentences under it."""
        head, *body = self._cells()
        return "\n".join([f"{self.fits[0].rows:,} rows", "", *align([head, *body], left=(0, len(head) - 1)), "",
                          *self._said()]).rstrip()  # fmt: skip

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        head, *body = self._cells()
        return comparison_html(f"{self.fits[0].rows:,} rows", head, body, self._said())

    def _cells(self) -> list[list[str]]:
        named = {"r2": "R²", "aic": "AIC", "delta": "above", "bic": "BIC"}
        shown = [name for name in COLUMNS if any(row[name] is not None for row in self.table)]
        cells = [["formula", *(named.get(name, name) for name in shown), "status"]]
        for row in self.table:
            cells.append([row["formula"], *(_cell(name, row[name]) for name in shown), row["status"]])
        return cells

    def _said(self) -> list[str]:
        return [*(test.sentence for test in self.nested), *self.notes]

    def as_dict(self) -> dict[str, Any]:
        """Plain types: what `--json` prints."""
        rows = [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in r.items()}
                for r in self.table]  # fmt: skip
        tests = [{"small": t.small, "large": t.large, "setting": t.setting, "statistic": t.statistic,
                  "degrees": list(t.degrees), "p": t.p} for t in self.nested]  # fmt: skip
        return {"rows": self.fits[0].rows, "table": rows, "nested": tests, "notes": list(self.notes)}


def modelled(formulas: Sequence[Formulas], source: Source, chosen: Mapping[str, Any], what: Sequence[str]) -> Models:
    """Fit every formula to the same rows; `chosen` are the options of `fit`, `what` those that say what is minimised.

    Raises FitError for fewer than two formulas, or formulas whose likelihoods are not of the same quantity.
    """
    if len(formulas) < 2:
        raise FitError("give two formulas or more to compare, as in compare(['y = a*x', 'y = a*x + b'], data)")
    parsed = [read_beside(formula, source) for formula in formulas]
    _check_sides(parsed)
    names = list(dict.fromkeys(n for formula in parsed for n in formula.names if n not in source.schema))
    for name in BY_NAME:
        for key in chosen[name] or {}:
            if not any(key in formula.names for formula in parsed):
                raise FitError(unknown(name, key, names))
    runs, fits = _fitted(formulas, parsed, source, chosen, what, None)
    notes = []
    columns = [set(run.objective.columns) for run in runs]
    if any(fit.dropped for fit in fits) and any(used != columns[0] for used in columns):
        scalars = sorted(c for c in set().union(*columns) if source.schema[c].width is None)
        runs, fits = _fitted(formulas, parsed, source, chosen, what, " and ".join(f"{quote(c)} == {quote(c)}"
                                                                                 for c in scalars))  # fmt: skip
        notes.append(f"used are the rows that have all of {', '.join(scalars)}")
    if len({fit.rows for fit in fits}) > 1:
        raise FitError("the formulas use different rows, since a matrix column has gaps: leave these rows out first")
    for fit in fits:
        notes += [f"{fit.formula}: {fit.message}"] * (not fit.ok)
    if all(fit.ok and fit.aic is None for fit in fits):
        notes.append("no AIC: this loss, or a penalised one, is no likelihood that is known")
    sample = _sample(source, sorted(set().union(*columns)))
    tests = []
    for i, j in itertools.permutations(range(len(fits)), 2):
        test = _test(runs[i], fits[i], runs[j], fits[j], sample)
        if isinstance(test, Nested):
            tests.append(test)
        elif test:
            notes.append(test)
    return Models(tuple(fits), tuple(tests), tuple(notes))


def _check_sides(parsed: Sequence[Formula]) -> None:
    """Refuse formulas of different left sides: the densities of y and of log(y) are on different scales."""
    lefts = [None if f.left is None else to_text(f.graph, f.left) for f in parsed]
    for left in lefts:
        if left != lefts[0]:
            one, other = (side or "(the loss of a row)" for side in (lefts[0], left))
            raise FitError(
                f"{one} and {other} are different left sides: their likelihoods are of different quantities and cannot "
                "be compared; give all formulas the same one, y = exp(...) for log(y) = ..., say"
            )


def _fitted(
    formulas: Sequence[Formulas], parsed: Sequence[Formula], source: Source, chosen: Mapping[str, Any],
    what: Sequence[str], common: str | None,
) -> tuple[list[Run], list[Fit]]:  # fmt: skip
    runs, fits = [], []
    where = " and ".join(f"({condition})" for condition in (chosen["where"], common) if condition) or None
    for formula, read in zip(formulas, parsed, strict=True):
        options = {name: chosen[name] for name in what} | {"where": where}
        mine = {n: {k: v for k, v in (chosen[n] or {}).items() if k in read.names} or None for n in BY_NAME}
        options |= {"bounds": mine["bounds"], "fixed": mine["fixed"]}
        options["parameters"] = [name for name in options["parameters"] or () if name in read.names]
        run = Run.of(formula, source, How(mine["start"], "auto", None, chosen["stop"], chosen["seed"], ()), **options)
        runs.append(run)
        fits.append(run.finish(False, None, "auto"))
    return runs, fits


def _sample(source: Source, columns: Sequence[str]) -> dict[str, Array]:
    """Some rows of the table, evenly spaced over its first unit."""
    unit = source.select(list(columns)).read(0)
    rows = len(next(iter(unit.values())))
    places = np.unique(np.linspace(0, rows - 1, min(SAMPLE, rows)).astype(int))
    return {name: np.asarray(unit[name])[places] for name in columns}


def _test(small: Run, fit: Fit, large: Run, other: Fit, sample: Mapping[str, Array]) -> Nested | str:
    """The test of the first against the second; nothing where it is no special case, a note where no test holds."""
    beyond = len(other.free) - len(fit.free)
    if beyond <= 0 or not (fit.ok and other.ok) or fit.log_likelihood is None or other.log_likelihood is None:
        return ""
    setting = special_case(small.objective, large.objective, small.descent.theta, sample)
    if setting is None:
        return ""
    if other.log_likelihood < fit.log_likelihood - 1e-9 * abs(fit.log_likelihood):
        return (f"{other.formula} holds {fit.formula} but ends above it: a local minimum; start it there, "
                f"with {', '.join(f'{n} = {v}' for n, v in setting.items())}")  # fmt: skip
    from scipy import special

    squares = large.objective.squares and not large.objective.known_sigma
    if squares and fit.rss is not None and other.rss is not None:
        left = other.rows - len(other.free)
        if left <= 0 or other.rss <= 0:
            return ""
        ratio = (fit.rss - other.rss) / beyond / (other.rss / left)
        return Nested(fit.formula, other.formula, setting, ratio, (beyond, left),
                      float(special.fdtrc(beyond, left, max(ratio, 0.0))))  # fmt: skip
    twice = 2.0 * (other.log_likelihood - fit.log_likelihood)
    return Nested(fit.formula, other.formula, setting, twice, (beyond,), float(special.chdtrc(beyond, max(twice, 0.0))))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "p":
        return f"{value:,}"
    return f"{value:.2g}" if name == "weight" else f"{value:.3g}" if name == "delta" else f"{value:.6g}"


def _p(p: float) -> str:
    shown = chance(p)
    return shown if shown.startswith("<") else f"= {shown}"
