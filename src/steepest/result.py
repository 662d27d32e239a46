"""The answers: Fit and Function. Saved as JSON, never pickled."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import data as tables
from .errors import DataError, FitError
from .formula.grammar import Formula, parse
from .formula.losses import find_loss
from .formula.objective import Layout, numbers
from .formula.printing import to_latex
from .formula.recent import bound
from .kernels.rows import surface_over
from .kernels.surface import Surface
from .kernels.values import RowValues
from .report.text import Row, fit_text, starts_text
from .strategy import Guarantee
from .types import Array, Need, Status
from .uncertainty import End, Profile, correlation, criteria, quantile, significance, spread_parts

Value = float | Array
TRACE = ("step", "loss", "gradient_norm", "values")
SAVED = (  # beside what `as_dict` gives
    "columns", "missing_start", "dropped_by_column", "reason", "degrees", "notes", "reduce", "batch", "why",
    "default_limit", "bounded", "source", "versions",
)  # fmt: skip
MADE = ("s", "r2_adjusted", "aic", "aicc", "bic")  # in `as_dict`, and made from what is saved
BANDS = ("confidence", "prediction")
METHODS = ("wald", "profile")
ENTWINED = 0.99  # correlation from which on two parameters are named
FEW = 4  # parameters whose correlations are all printed
EXACT = 1e-12  # of the size of y: residuals below it are rounding, and no noise


@dataclass(frozen=True)
class Trace:
    """The path of a run, a row for each step from the start on: `step` (m,), `loss` (m,) and `gradient_norm` (m,) of
    the reduced objective (of the batch for mini-batches), `values` (m, p) in the order of `names`.

    A path that would not fit in memory is thinned: `every` second, fourth, ... step is kept, and the last."""

    step: Array
    loss: Array
    gradient_norm: Array
    values: Array
    names: tuple[str, ...]
    every: int = 1

    @property
    def thinned(self) -> str:
        """What is kept, in words; nothing where that is every step."""
        return "" if self.every == 1 else f"trace: every {ordinal(self.every)} step kept"

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True, repr=False)
class Fit:
    """What a run found, how sure that is, and why it stopped.

    values, errors: by name; a vector parameter is an array; fixed ones stand in values only. errors and `covariance`
    (p, p), in the flat order `free`, are None with a `reason` where they cannot be said.
    loss: the reduced objective (mean of the row losses by default; of minimize and maximize the function itself);
    total: sum of the weighted row losses + penalty; rss: Σ w·r²; rms: √(rss/N). rows: N used; dropped: left out for a
    null, by column in `dropped_by_column`. passes: readings of all rows; steps: accepted updates; seconds: wall clock.
    status: converged, stopped, diverged, unidentifiable or interrupted, with the sentence `message`; default_limit:
    stopped by no limit of the user's. certificate: the numbers behind the status. method, batch, rate: what ran, and
    `why`; guarantee: what is proved of a quadratic. missing_start: parameters that began at 1; starts: how a start was
    found: `names` of its parameters, starts `tried`, how many ended in the `same` minimum, `next_loss` of the lowest of
    the others, `sample_rows` (None: all rows), `beyond` a lower loss that only a parameter running away gives; None
    where none was sought. notes: warnings; degrees: of Student's t for intervals, None for the normal distribution;
    source: fingerprint of the file.
    r2: 1 - Σ w·r²/Σ w·(y - ȳ)², about the mean also where no parameters move all predictions alike (`intercept`).
    log_likelihood: for squares at the most likely noise, for known sigma exactly, of a formula without `=` as it is
    written; both None where they cannot be said. options: what was asked beside formula and data,
    in JSON's own types.
    """

    values: dict[str, Value]
    errors: dict[str, Value] | None
    covariance: Array | None
    free: tuple[str, ...]
    loss: float
    total: float
    rss: float | None
    rms: float | None
    rows: int
    dropped: int
    passes: float
    steps: int
    seconds: float
    status: Status
    message: str
    certificate: dict[str, Any]
    formula: str
    loss_name: str
    method: str
    why: str
    seed: int
    columns: tuple[str, ...] = ()
    missing_start: tuple[str, ...] = ()
    starts: dict[str, Any] | None = None
    dropped_by_column: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    degrees: int | None = None
    notes: tuple[str, ...] = ()
    reduce: str = "mean"
    batch: int | None = None
    rate: float | None = None
    default_limit: bool = False
    bounded: bool = False
    guarantee: Guarantee | None = None
    r2: float | None = None
    intercept: bool = False
    log_likelihood: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    trace: Trace | None = None
    source: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    data: Any = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the status is converged."""
        return self.status is Status.CONVERGED

    @property
    def exit_status(self) -> int:
        """What the command line exits with."""
        if self.status is Status.INTERRUPTED:
            return 130
        return int(
            self.status in (Status.DIVERGED, Status.UNIDENTIFIABLE)
            or (self.status is Status.STOPPED and self.default_limit)
        )

    # how well it does ----------------------------------------------------------------------------------------
    @property
    def s(self) -> float | None:
        """The residual standard deviation √(Σ w·r²/(N - p)); None without residuals, or where N ≤ p."""
        left = self.rows - len(self.free)
        return None if self.rss is None or left <= 0 else math.sqrt(self.rss / left)

    @property
    def r2_adjusted(self) -> float | None:
        """1 - (1 - R²)·(N - 1)/(N - p)."""
        left = self.rows - len(self.free)
        return None if self.r2 is None or left <= 0 else 1.0 - (1.0 - self.r2) * (self.rows - 1) / left

    @property
    def aic(self) -> float | None:
        """2k - 2·log L; k counts the free parameters, and the noise where it is estimated."""
        return self._criteria[0]

    @property
    def aicc(self) -> float | None:
        """AIC + 2k(k + 1)/(N - k - 1), for few rows."""
        return self._criteria[1]

    @property
    def bic(self) -> float | None:
        """k·log N - 2·log L."""
        return self._criteria[2]

    @property
    def _criteria(self) -> tuple[float | None, float | None, float | None]:
        squares = self.rss is not None and self.options.get("loss") in ("squares", "rmse")
        noise = squares and self.options.get("sigma") is None
        return criteria(self.log_likelihood, len(self.free) + noise, self.rows)

    @property
    def correlation(self) -> Array | None:
        """The correlations of the free parameters (p, p), in the order of `free`; None where there are no errors."""
        return None if self.covariance is None else correlation(self.covariance)

    # use ---------------------------------------------------------------------------------------------------
    def predict(self, data: Any, band: str | None = None, level: float = 0.95) -> Array:
        """The right-hand side of the formula for each row of a table, (rows,); NaN where a column is null.

        band: "confidence" for the curve itself, "prediction" for a new observation, whose own noise (s²/weight, or the
        known sigma²) is then added; the answer is (rows, 3): the value, the lower and the upper end at `level`.
        Raises DataError for a table that lacks a column, FitError where there are no errors or no noise is known.
        """
        return np.concatenate([np.zeros(0 if band is None else (0, 3)), *self.predict_parts(data, band, level)])

    def predict_parts(self, data: Any, band: str | None = None, level: float = 0.95) -> Iterator[Array]:
        """The same in consecutive parts: memory does not grow with the rows."""
        formula = parse(self.formula)
        if band is not None:
            return self._band_parts(formula, data, band, quantile(level, self.degrees))
        names = [n for n in formula.graph.names([formula.right]) if n not in self.values]
        return evaluate_parts(formula, formula.right, data, self.values, names)

    def _band_parts(self, formula: Formula, data: Any, band: str, width: float) -> Iterator[Array]:
        if band not in BANDS:
            raise FitError(f"band is {band!r}; it is 'confidence' or 'prediction'")
        if self.covariance is None or self.errors is None:
            raise FitError(f"no bands: {self.reason}")
        observed = None
        if band == "prediction":
            if self.rss is None or self.options.get("loss") not in ("squares", "rmse"):
                raise FitError("a prediction band needs the noise of an observation, which squares alone give; "
                               "band='confidence' holds")  # fmt: skip
            observed = self._noise, self.options.get("weights"), self.options.get("sigma")
        layout, theta = self._free()
        fixed = {n: v for n, v in (self.options.get("fixed") or {}).items() if n in self.values}
        parts = spread_parts(formula, tables.open_source(data), layout, theta, self.covariance, fixed, observed)
        return (np.column_stack([value, value - width * sd, value + width * sd]) for value, sd in parts)

    @property
    def _noise(self) -> float:
        """s², 1 where the scale is known: that of known sigma, or of a likelihood."""
        squares = self.options.get("loss") in ("squares", "rmse") and self.rss is not None
        return self.s**2 if squares and self.options.get("sigma") is None and self.s is not None else 1.0

    def _free(self) -> tuple[Layout, Array]:
        """The free parameters, and where they stand."""
        free = [self.values[name] for name in self.errors or {}]
        widths = [len(value) if isinstance(value, np.ndarray) else None for value in free]
        theta = np.concatenate([np.zeros(0), *(np.atleast_1d(value) for value in free)])
        return Layout(tuple(self.errors or {}), tuple(widths)), theta

    def interval(self, level: float = 0.95, method: str = "wald") -> dict[str, tuple[float, float]]:
        """Confidence intervals by flat name.

        method: "wald", from the standard errors: Student's t with N - p degrees for squares, the normal distribution
        for known sigma and likelihoods; "profile": where the likelihood, all other parameters fitted again, has fallen
        as far as that (some passes for each end). A side that the data leave open is infinite; this and other ends that
        the likelihood does not set are warned of.
        Raises FitError where there are no errors, and of a loaded fit, which has no data, for a profile.
        """
        if method not in METHODS:
            raise FitError(f"method={method!r}; an interval is by 'wald' or by 'profile'")
        if self.covariance is None:
            raise FitError(f"no intervals: {self.reason}")
        width = quantile(level, self.degrees)
        if method == "profile":
            ends = self._profiles(width)
            for name, pair in ends.items():
                for end in pair:
                    if end.why:
                        warnings.warn(f"{name} {end.why}", UserWarning, stacklevel=2)
            return {name: (low.value, high.value) for name, (low, high) in ends.items()}
        spread = np.sqrt(np.diag(self.covariance))
        flat = self.flat_values()
        return {
            n: (flat[n] - width * s, flat[n] + width * s) for n, s in zip(self.free, map(float, spread), strict=True)
        }

    def _profiles(self, width: float) -> dict[str, tuple[End, End]]:
        """The ends of the profile intervals by flat name, where the likelihood has fallen by ½·width²."""
        if self.options.get("errors") == "sandwich":
            raise FitError("a profile rests on the likelihood, which a sandwich does not trust: leave one of them out")
        if self.data is None:
            raise FitError("a loaded fit has no data to profile; fit again, or take method='wald'")
        assert self.covariance is not None
        loss = find_loss(self.options["loss"])
        if loss.kind == "robust":
            raise FitError(f"a profile rests on the likelihood, and {loss.name} is none: take method='wald'")
        options = {n: v for n, v in self.options.items() if n not in ("loss", "errors")}
        source = self.data if hasattr(self.data, "fingerprint") else tables.open_source(self.data)
        schema = {name: column.width for name, column in source.schema.items()}
        objective = bound(self.formula, schema, partial(parse, self.formula), loss=loss, start=self.values, **options)
        surface = surface_over(objective, source)
        if objective.squares and self._noise <= EXACT**2 * surface.signal / self.rows:
            raise FitError("the data are fitted exactly: there is no noise to profile against")
        profile = Profile(surface, self._free()[1], self.covariance, self._noise, width)
        return {name: profile.interval(place) for place, name in enumerate(self.free)}

    def flat_values(self) -> dict[str, float]:
        """Every value by flat name: `B[0]`, `B[1]` for a vector B."""
        return flatten(self.values)

    def plot(self, path: str | os.PathLike[str]) -> str:
        """Draw data, fit with its 95 % confidence band, and residuals to a PNG or SVG file; of minimize the loss by
        step, where there is a trace."""
        from .report import plots  # pictures are rarer than answers

        formula = parse(self.formula)
        if formula.left is None:
            if self.trace is None:
                raise FitError("nothing to draw: run it with trace=True for the loss by step")
            runs = {self.method: (self.trace.step, self.trace.loss)}
            title = f"loss by step; {self.trace.thinned}" if self.trace.thinned else ""
            return plots.loss_by_step(path, runs, title=title)
        if self.data is None:
            raise FitError("a loaded fit has no data to draw; fit again, or draw fit.predict(data) yourself")
        left, right, abscissas = self._drawn(formula)
        curve = None
        if len(abscissas) == 1 and len(left):
            ((name, x),) = abscissas.items()
            grid = np.linspace(float(x.min()), float(x.max()), 400)
            band = None if self.covariance is None else "confidence"
            curve = grid, self.predict({name: grid}, band)
        return plots.fit_and_residuals(path, abscissas, left, right, self.formula, self._named_left(formula), curve)

    def _drawn(self, formula: Formula) -> tuple[Array, Array, dict[str, Array]]:
        """Left side, prediction, and the columns of the right side, over the rows without nulls."""
        right = self.predict(self.data)
        names = [n for n in self.columns if n in formula.names]
        assert formula.left is not None
        left = evaluate_rows(formula, formula.left, self.data, {}, formula.graph.names([formula.left]))
        source = tables.open_source(self.data).select(names)
        units = [source.read(i) for i in range(len(source.units))]
        columns = {n: np.concatenate([u[n] for u in units]) for n in names}
        used = np.isfinite(left) & np.isfinite(right)
        right_names = [n for n in formula.graph.names([formula.right]) if n in columns]
        if any(columns[n].ndim > 1 for n in right_names):
            return left[used], right[used], {}
        return left[used], right[used], {n: columns[n][used] for n in right_names}

    @staticmethod
    def _named_left(formula: Formula) -> str:
        return formula.text.partition("=")[0].strip()

    def latex(self) -> str:
        """The formula in LaTeX."""
        formula = parse(self.formula)
        right = to_latex(formula.graph, formula.right)
        return right if formula.left is None else f"{to_latex(formula.graph, formula.left)} = {right}"

    def to_html(self, path: str | os.PathLike[str]) -> str:
        """Not built yet."""
        raise FitError("the HTML report is not built yet; use plot(path), text() or save(path)")

    # text --------------------------------------------------------------------------------------------------
    def text(self, interval: str = "wald") -> str:
        """The answer as plain text: formula, status, a table of values with errors, how well it does, what was used.

        interval: "wald" or "profile", as in `Fit.interval`.
        """
        ends = (
            self._profiles(quantile(0.95, self.degrees))
            if interval == "profile" and self.covariance is not None
            else {}
        )
        said = [f"{name} {end.why}" for name, pair in ends.items() for end in pair if end.why]
        intervals = {name: (low.value, high.value) for name, (low, high) in ends.items()} or None
        return fit_text(self.as_dict(), self._table(intervals), [*said, *self._facts()])

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        from .report.html import fit_html

        return fit_html(self.as_dict(), self._table(), self._facts())

    def _table(self, intervals: Mapping[str, tuple[float, float]] | None = None) -> list[Row]:
        """A row for each number: its interval by profile where that is given."""
        by_profile, errors = intervals is not None, flatten(self.errors or {})
        if intervals is None:
            intervals = self.interval() if self.covariance is not None else {}
        normal = self.degrees is None
        rows = []
        for name, value in self.flat_values().items():
            error = errors.get(name)
            ratio = value / error if error else None
            chance = None if ratio is None else significance(ratio, self.degrees)
            tie = (self.options.get("fixed") or {}).get(name)
            rows.append(Row(name, value, error, intervals.get(name), ratio, chance, normal, by_profile,
                            tie if isinstance(tie, str) else ""))  # fmt: skip
        return rows

    def _facts(self) -> list[str]:
        facts = [f"method: {self.why}"]
        if self.columns:
            facts.append(f"data: {', '.join(self.columns)}; parameters: {', '.join(self.values) or 'none'}")
        if self.dropped:
            by = ", ".join(f"{n} {k:,}" for n, k in self.dropped_by_column.items())
            facts.append(
                f"{self.dropped:,} row{'s' * (self.dropped != 1)} left out for a missing value (by column: {by})"
            )
        if self.missing_start:
            began = "began at 1" + ", or at the bound next to it" * self.bounded
            facts.append(f"no start was given for {', '.join(self.missing_start)}: {began}")
        if self.starts is not None:
            facts.append(starts_text(self.starts, self.ok))
        if self.reason and self.values:
            facts.append(f"no errors: {self.reason}")
        if self.trace is not None and self.trace.thinned:
            facts.append(self.trace.thinned)
        if self.options.get("errors", "auto") != "auto" and self.covariance is not None:
            facts.append(f"errors: {self.options['errors']}")
        facts += self._entwined()
        return [*facts, *self.notes]

    def _entwined(self) -> list[str]:
        """The correlations of a few parameters; of many, the pairs that the data can hardly tell apart."""
        found = self.correlation
        if found is None or len(found) < 2:
            return []
        pairs = [(i, j) for i, j in zip(*np.triu_indices(len(found), 1), strict=True) if abs(found[i, j]) > ENTWINED]
        pairs.sort(key=lambda pair: -abs(found[pair]))
        said = []
        if len(found) <= FEW:
            each = zip(*np.triu_indices(len(found), 1), strict=True)
            said = ["correlations: " + ", ".join(f"{self.free[i]} {self.free[j]} {found[i, j]:.3f}" for i, j in each)]
        if pairs:
            named = [f"{self.free[i]} and {self.free[j]} ({found[i, j]:.4f})" for i, j in pairs[:3]]
            more = f" and {len(pairs) - 3} more pairs" * (len(pairs) > 3)
            hint = "are hardly told apart by the data: reparametrise, or measure where they act differently"
            said.append(f"{', '.join(named)}{more} {hint}")
        return said

    def as_dict(self, interval: str = "") -> dict[str, Any]:
        """The fields of the JSON object that the command line prints; numbers that are not finite are None.

        interval: "wald" or "profile" adds the 95 % `intervals` by flat name.
        """
        intervals = {}
        if interval:
            found = None if self.covariance is None else self.interval(method=interval)
            intervals = {"intervals": found and {name: plain(pair) for name, pair in found.items()}}
        return {
            "values": {n: plain(v) for n, v in self.values.items()},
            "errors": None if self.errors is None else {n: plain(v) for n, v in self.errors.items()},
            "covariance": None if self.covariance is None else plain(self.covariance),
            "free": list(self.free),
            **{name: plain(getattr(self, name)) for name in ("loss", "total", "rss", "rms", "passes", "seconds")},
            **{name: plain(getattr(self, name)) for name in ("r2", "log_likelihood", *MADE)},
            "intercept": self.intercept,
            **{
                name: getattr(self, name)
                for name in ("rows", "dropped", "steps", "message", "method", "formula", "loss_name", "seed")
            },
            "status": str(self.status),
            "certificate": {k: plain(v) for k, v in self.certificate.items()},
            "starts": self.starts,
            **intervals,
        }

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the fit as JSON; `steepest.load` reads it back."""
        saved = {"steepest": 1, **self.as_dict(), **{n: getattr(self, n) for n in SAVED}, "rate": plain(self.rate),
                 "options": self.options}  # fmt: skip
        if self.trace is not None:
            t = self.trace
            saved["trace"] = {"names": t.names, "every": t.every, **{n: plain(getattr(t, n)) for n in TRACE}}
        target = Path(path)
        partial = target.with_name(target.name + ".part")
        try:
            partial.write_text(json.dumps(saved, indent=1, allow_nan=False), encoding="utf-8")
            partial.replace(target)
        except OSError as error:
            raise FitError(f"{target} cannot be written: {error.strerror}") from error
        return str(target)


def load(path: str | os.PathLike[str]) -> Fit:
    """Read a fit that `Fit.save` wrote. Raises DataError for a file that is none."""
    try:
        saved = json.loads(Path(path).read_text(encoding="utf-8"))
        return _loaded(saved)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no saved fit of steepest") from error


def _loaded(saved: dict[str, Any]) -> Fit:
    if saved.pop("steepest") != 1:
        raise ValueError("another version")
    trace = saved.pop("trace", None)
    for name in MADE:
        saved.pop(name, None)
    saved["status"] = Status(saved["status"])
    saved["values"] = {n: _array(v) for n, v in saved["values"].items()}
    saved["errors"] = None if saved["errors"] is None else {n: _array(v) for n, v in saved["errors"].items()}
    saved["covariance"] = None if saved["covariance"] is None else np.array(saved["covariance"], dtype=float)
    for name in ("free", "columns", "missing_start", "notes"):
        saved[name] = tuple(saved[name])
    for name in ("loss", "total"):
        saved[name] = math.nan if saved[name] is None else saved[name]
    if trace is not None:
        arrays = {n: np.array(trace[n], dtype=int if n == "step" else float) for n in TRACE}
        saved["trace"] = Trace(**arrays, names=tuple(trace["names"]), every=trace.get("every", 1))
    return Fit(**saved)


class Function:
    """Loss and gradient as a building block: `f(theta) -> (loss, gradient)` of the reduced objective.

    theta: an array (p,) in the order of `names`, or a dict by name. The loss is a float, the gradient an array (p,).
    A point where the formula is not finite gives what NumPy gives: inf or nan.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self.names: tuple[str, ...] = surface.objective.layout.flat

    def __call__(self, theta: Array | Sequence[float] | Mapping[str, float]) -> tuple[float, Array]:
        evaluation = self._surface.at(self._theta(theta), Need.GRADIENT)
        return evaluation.loss, evaluation.gradient

    def __repr__(self) -> str:
        return f"Function of {', '.join(self.names)}: {self._surface.objective.formula.text}"

    def value(self, theta: Array | Sequence[float] | Mapping[str, float]) -> float:
        """The loss alone."""
        return self._surface.at(self._theta(theta), Need.VALUE).loss

    def hessian(self, theta: Array | Sequence[float] | Mapping[str, float]) -> Array:
        """The exact Hessian (p, p) of the reduced objective."""
        objective = self._surface.objective
        evaluation = self._surface.at(self._theta(theta), Need.HESSIAN)
        assert evaluation.curvature is not None
        if objective.reduce == "sum":
            return evaluation.curvature
        if objective.reduce == "mean":
            return evaluation.curvature / evaluation.weight
        slope, n, loss = evaluation.slope, evaluation.weight, evaluation.loss
        return np.asarray(evaluation.curvature / (n * loss) - np.outer(slope, slope) / (n**2 * loss**3))

    def _theta(self, theta: Array | Sequence[float] | Mapping[str, float]) -> Array:
        layout = self._surface.objective.layout
        if isinstance(theta, Mapping) and set(theta) == set(layout.flat):
            theta = [theta[name] for name in layout.flat]
        if isinstance(theta, Mapping):
            for name in {*theta} ^ {*layout.names}:
                lacks = "lacks" if name in layout.names else "has"
                raise FitError(f"theta {lacks} {name}; its names are {', '.join(layout.names)}")
            parts = [numbers(theta[n], n, w) for n, w in zip(layout.names, layout.widths, strict=True)]
            return np.concatenate([np.zeros(0), *parts])
        array = np.asarray(theta, dtype=np.float64)
        if array.shape != (len(self.names),):
            raise FitError(
                f"theta has shape {array.shape}; {len(self.names)} numbers are needed: {', '.join(self.names)}"
            )
        return array


# shared pieces -----------------------------------------------------------------------------------------------


def evaluate_rows(formula: Formula, node: int, data: Any, values: Mapping[str, Value], columns: Sequence[str]) -> Array:
    """A node of a formula for each row of a table, given the parameters by name; NaN where a column is null."""
    return np.concatenate([np.zeros(0), *evaluate_parts(formula, node, data, values, columns)])


def evaluate_parts(
    formula: Formula, node: int, data: Any, values: Mapping[str, Value], columns: Sequence[str]
) -> Iterator[Array]:
    """The same in consecutive parts, so that memory does not grow with the rows."""
    source = tables.open_source(data).select(list(columns))
    expression = RowValues(formula.graph, node, columns, values, source.rows)
    for block in tables.blocks(source):
        yield expression(block.columns, block.rows)


def flatten(values: Mapping[str, Value]) -> dict[str, float]:
    """`B[0]`, `B[1]`, ... for the elements of a vector."""
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            flat.update({f"{name}[{j}]": float(v) for j, v in enumerate(value)})
        else:
            flat[name] = float(value)
    return flat


def ordinal(number: int) -> str:
    """2nd, 4th, 12th, 32nd, 1,024th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if number % 100 in (11, 12, 13) else ending}"


def plain(value: Any) -> Any:
    """JSON's own types; numbers that are not finite are None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()] if value.ndim else plain(float(value))
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _array(value: Any) -> Value:
    return np.array(value, dtype=float) if isinstance(value, list) else math.nan if value is None else float(value)
