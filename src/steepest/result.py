"""The answers: Fit and Function. Saved as JSON, never pickled."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import data as tables
from .errors import DataError, FitError
from .formula.grammar import Formula, parse
from .formula.objective import numbers
from .formula.printing import to_latex
from .kernels.surface import Surface
from .kernels.values import RowValues
from .report.text import fit_text, starts_text
from .strategy import Guarantee
from .types import Array, Need, Status
from .uncertainty import quantile

Value = float | Array
TRACE = ("step", "loss", "gradient_norm", "values")
SAVED = (  # beside what `as_dict` gives
    "columns", "missing_start", "dropped_by_column", "reason", "degrees", "notes", "reduce", "batch", "why",
    "default_limit", "bounded", "source", "versions",
)  # fmt: skip


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
    the others, `sample_rows` (None: all rows), `beyond` a lower loss that only a parameter running away gives;
    None where none was sought. notes: warnings;
    degrees: of Student's t for intervals, None for the normal distribution; source: fingerprint of the file.
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

    # use ---------------------------------------------------------------------------------------------------
    def predict(self, data: Any, band: str | None = None) -> Array:
        """The right-hand side of the formula for each row of a table, (rows,); NaN where a column is null.

        `band` is not built yet. Raises DataError for a table that lacks a column.
        """
        if band is not None:
            raise FitError("bands are not built yet; leave band out")
        return np.concatenate([np.zeros(0), *self.predict_parts(data)])

    def predict_parts(self, data: Any) -> Iterator[Array]:
        """The same in consecutive parts: memory does not grow with the rows."""
        formula = parse(self.formula)
        names = [n for n in formula.graph.names([formula.right]) if n not in self.values]
        return evaluate_parts(formula, formula.right, data, self.values, names)

    def interval(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Confidence intervals by flat name, from the standard errors: Student's t with N - p degrees for squares, the
        normal distribution for known sigma and likelihoods. Raises FitError where there are no errors."""
        if self.covariance is None:
            raise FitError(f"no intervals: {self.reason}")
        width = quantile(level, self.degrees)
        spread = np.sqrt(np.diag(self.covariance))
        flat = self.flat_values()
        return {
            n: (flat[n] - width * s, flat[n] + width * s) for n, s in zip(self.free, map(float, spread), strict=True)
        }

    def flat_values(self) -> dict[str, float]:
        """Every value by flat name: `B[0]`, `B[1]` for a vector B."""
        return flatten(self.values)

    def plot(self, path: str | os.PathLike[str]) -> str:
        """Draw data, fit and residuals (of minimize: loss by step, where there is a trace) to a PNG or SVG file."""
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
            curve = grid, self.predict({name: grid})
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
    def text(self) -> str:
        """The answer as plain text: formula, status, a table of values with errors, what was used."""
        return fit_text(self.as_dict(), self._table(), self._facts())

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        from .report.html import fit_html

        return fit_html(self.as_dict(), self._table(), self._facts())

    def _table(self) -> list[tuple[str, float, float | None, tuple[float, float] | None]]:
        intervals = self.interval() if self.covariance is not None else {}
        errors = flatten(self.errors or {})
        return [(n, v, errors.get(n), intervals.get(n)) for n, v in self.flat_values().items()]

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
        return [*facts, *self.notes]

    def as_dict(self) -> dict[str, Any]:
        """The fields of the JSON object that the command line prints; numbers that are not finite are None."""
        return {
            "values": {n: _plain(v) for n, v in self.values.items()},
            "errors": None if self.errors is None else {n: _plain(v) for n, v in self.errors.items()},
            "covariance": None if self.covariance is None else _plain(self.covariance),
            "free": list(self.free),
            **{name: _plain(getattr(self, name)) for name in ("loss", "total", "rss", "rms", "passes", "seconds")},
            **{
                name: getattr(self, name)
                for name in ("rows", "dropped", "steps", "message", "method", "formula", "loss_name", "seed")
            },
            "status": str(self.status),
            "certificate": {k: _plain(v) for k, v in self.certificate.items()},
            "starts": self.starts,
        }

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the fit as JSON; `steepest.load` reads it back."""
        saved = {"steepest": 1, **self.as_dict(), **{n: getattr(self, n) for n in SAVED}, "rate": _plain(self.rate)}
        if self.trace is not None:
            t = self.trace
            saved["trace"] = {"names": t.names, "every": t.every, **{n: _plain(getattr(t, n)) for n in TRACE}}
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


def _plain(value: Any) -> Any:
    """JSON's own types; numbers that are not finite are None."""
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()] if value.ndim else _plain(float(value))
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _array(value: Any) -> Value:
    return np.array(value, dtype=float) if isinstance(value, list) else math.nan if value is None else float(value)
