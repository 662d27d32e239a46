"""A run: input that was read, opened and bound, ready to descend, and the answer made of what it leaves behind."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from . import data as tables
from ._version import __version__
from .blas import one_thread
from .data.source import Source
from .descent import Descent, Path
from .errors import FitError, FormulaError
from .formula.grammar import Formula, parse
from .formula.losses import Loss, find_loss
from .formula.objective import Objective
from .formula.printing import quote, to_text
from .formula.recent import bound
from .kernels.rows import surface_over
from .kernels.surface import Surface
from .methods.finishing import Region
from .methods.simplex import Simplex
from .report.progress import Progress, Watch
from .result import Fit, Trace, plain
from .starts import Found, alone, find
from .strategy import plan
from .types import Evaluation, Status, Step, Stop, is_whole
from .uncertainty import Uncertainty, log_likelihood, r_squared, uncertainty
from .verdict import NO_CERTIFICATE

TRACED = 64 << 20  # bytes of a trace: a million steps, the default limit, of five parameters are kept in full
SAMPLED = 1 << 18  # rows above which a convex loss begins at the minimum of a sample, which costs less than a pass
Formulas = Any  # text, or a SymPy Expr, Eq, Poly


@dataclass(frozen=True)
class How:
    """The options that say how to descend, not what."""

    start: Mapping[str, Any] | None
    method: str
    rate: float | str | None
    stop: Stop | None
    seed: int
    callbacks: Any
    batch: int | None = None
    shuffle: bool = True
    scale: str | None = None
    restarts: int | None = None


@dataclass
class Run:
    """A descent that is ready, and what its answer needs beside it."""

    objective: Objective
    surface: Surface
    descent: Descent
    missing: tuple[str, ...]
    loss_name: str
    data: Any
    notes: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)  # what was asked beside formula and data
    restarts: int | None = None
    found: Found | None = None

    @staticmethod
    def of(formula: Formulas, data: Any, how: How, loss: str, reduce: str, **options: Any) -> Run:
        """Read, open, bind: everything that can be wrong with the input is said here."""
        if _swapped(formula, data):
            raise FormulaError("formula and data are swapped", mend="steepest.fit(formula, data)")
        spec = find_loss(loss)
        _check_options(**options)
        source = data if hasattr(data, "fingerprint") else tables.open_source(data)
        options["parameters"] = tuple(options["parameters"] or ())
        objective = bound(
            formula, schema(source), partial(read_beside, formula, source),
            loss=spec, start=how.start, reduce=reduction(reduce, spec), **options,
        )  # fmt: skip
        name = spec.name if objective.left is not None else "the formula"
        run = Run._ready(objective, source, how, name, data)
        run.notes += objective.once("oddities", lambda: _oddities(objective, tuple(source.schema)))
        run.options = {"loss": loss, "reduce": reduce, **options}
        return run

    @staticmethod
    def of_function(formula: Formulas, how: How, *, bounds: Any, fixed: Any, maximise: bool = False) -> Run:
        """A function without data: the same walk over one row without columns."""
        objective = bound(
            formula, None, partial(read, formula),
            start=how.start, bounds=bounds, fixed=fixed, reduce="sum", maximise=maximise,
        )  # fmt: skip
        run = Run._ready(objective, None, how, "the function", None)
        run.options = {"bounds": bounds, "fixed": fixed}
        return run

    @staticmethod
    def _ready(objective: Objective, source: Source | None, how: How, loss_name: str, data: Any) -> Run:
        if not isinstance(how.stop, Stop | None):
            raise FitError(f"stop is {how.stop!r}; give steepest.Stop(steps=...), Stop(gradient=...), ...")
        if not is_whole(how.seed) or how.seed < 0:
            raise FitError(f"seed is {how.seed!r}; give a whole number that is not negative")
        if not isinstance(how.callbacks, Sequence) or not all(map(callable, how.callbacks)):
            raise FitError("callbacks is a list of functions of a Step")
        if how.restarts is not None and not (is_whole(how.restarts) and how.restarts >= 1):
            raise FitError(f"restarts is {how.restarts!r}; give a whole number of starts, 1 or more")
        theta, missing = objective.start(how.start)
        made = plan(objective, how.method, how.batch, how.rate, how.scale)
        if made.batch is not None and source is None:
            raise FitError("a function has no rows to take batches of; use gd")
        surface = surface_over(objective, source)
        descent = Descent(surface, made, theta, how.stop, int(how.seed), bool(how.shuffle), tuple(how.callbacks))
        run = Run(objective, surface, descent, missing, loss_name, data, restarts=how.restarts)
        descent.warn = run.note
        pilot = objective.pilot
        large = surface.reader.rows > SAMPLED and not isinstance(made.method, Simplex) and alone(surface)
        piloted = pilot is not None and pilot.quadratic and not how.start and not large
        if pilot is not None and piloted and isinstance(made.method, Region | Simplex):
            descent.pilot, run.missing = Surface(pilot, surface.reader), ()
            y = "" if pilot.left is None else to_text(pilot.graph, pilot.left, 40)
            run.notes.append(f"no start was given for {', '.join(missing)}: began at the least squares of {y}")
        return run

    def note(self, text: str) -> None:
        """A warning before the first step: to the caller, and into the answer."""
        self.notes.append(text)
        warnings.warn(text, UserWarning, stacklevel=_outside())

    def steps(self, progress: bool | Callable[[Progress], None] | None) -> Iterator[Step]:
        """The steps, watched."""
        self._begin()
        steps = self.descent.steps()
        with Watch.of(progress, self.surface, self.descent):
            while True:  # step by step, so that neither setting reaches into the caller's loop
                with self._alone():
                    step = next(steps, None)
                if step is None:
                    return
                yield step

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The settings under which steps are made."""
        with np.errstate(all="ignore"), one_thread(self.objective.layout.size):
            yield

    def _begin(self) -> None:
        """Find a start where none was given: for a method that finds its own steps, or on request."""
        descent = self.descent
        if not (self.restarts or (self.missing and isinstance(descent.plan.method, Region | Simplex))):
            return
        missing = self.missing or self.objective.layout.names
        with one_thread(self.objective.layout.size):
            self.found = find(self.surface, descent.start, missing, descent.seed, self.restarts, not self.missing)
        if self.restarts and (self.found is None or self.found.tried < 2):
            self._say_no_search()
        if self.found is not None:
            self.missing = ()
            descent.start = descent.theta = self.found.theta

    def _say_no_search(self) -> None:
        """Why no start beside the one was tried, though restarts ask for it."""
        what = "loss" if self.objective.columns else "function"
        if self.objective.quadratic:
            one = f"the {what} is a quadratic"
        elif alone(self.surface):
            one = f"the {what} is {'concave' if self.objective.sign < 0 else 'convex'}"
        elif self.found is None:
            one = "none can be drawn for this formula"
        else:
            return
        self.notes.append(f"no other start was tried: {one}")

    def finish(self, trace: bool, progress: bool | Callable[[Progress], None] | None, errors: str) -> Fit:
        """Run to the end, or to Ctrl-C, and make the answer."""
        began = time.perf_counter()
        self.descent.watched = bool(self.descent.callbacks)
        self.descent.path = Path(self.objective.layout.size, TRACED) if trace else None
        try:
            self._begin()
            with Watch.of(progress, self.surface, self.descent), self._alone():
                for _ in self.descent.steps():
                    pass
        except KeyboardInterrupt:
            if self.descent.best is None:
                raise
            self.descent.interrupt()
        with np.errstate(all="ignore"):
            return self._answer(errors, time.perf_counter() - began)

    def _answer(self, errors: str, seconds: float) -> Fit:
        descent, objective, surface = self.descent, self.objective, self.surface
        evaluation = descent.evaluation
        assert evaluation is not None
        layout, reader, rows = objective.layout, surface.reader, surface.observations
        rss = self._rss(evaluation)
        verdict = descent.verdict if descent.status is Status.CONVERGED else None
        doubt = Uncertainty(None, "errors hold only at a minimum")
        if verdict is not None:
            doubt = uncertainty(
                objective, verdict.inverse, verdict.exact, verdict.held, rss, rows, errors,
                lambda: surface.scores(descent.theta),
            )  # fmt: skip
        fitted = None if verdict is None else r_squared(surface, rss)
        likelihood = None if verdict is None else log_likelihood(surface, rss, evaluation.sum)
        spread = None if doubt.covariance is None else layout.values(np.sqrt(np.diag(doubt.covariance)))
        certificate = {
            **(NO_CERTIFICATE if descent.verdict is None else descent.verdict.certificate),
            "gradient_check": surface.gradient_check(descent.start, descent.first),
        }
        values = layout.values(descent.theta) | objective.held.values(layout.places, descent.theta)
        missing = tuple(n for n in self.missing if n not in descent.plan.solved)
        formula = objective.formula
        kept = None
        if descent.path is not None:
            path = descent.path.rows()
            kept = Trace(path[:, 0].astype(int), path[:, 1], path[:, 2], path[:, 3:], layout.flat, descent.path.every)
        return Fit(
            values={name: values[name] for name in formula.names if name in values},
            errors=spread, covariance=doubt.covariance, free=layout.flat,
            loss=evaluation.loss, total=evaluation.total * objective.sign, rss=rss,
            rms=None if rss is None or not rows else float(np.sqrt(rss / rows)),
            rows=rows, dropped=reader.dropped, passes=reader.passes, steps=descent.number, seconds=seconds,
            status=descent.status, message=self._message(), certificate=certificate, formula=formula.text,
            loss_name=self.loss_name, method=descent.plan.method.name, why=descent.plan.why, seed=descent.seed,
            starts=None if self.found is None else self.found.as_dict(),
            columns=objective.columns, missing_start=missing, dropped_by_column=dict(reader.dropped_by_column),
            reason=doubt.reason,
            degrees=doubt.degrees, notes=tuple(self.notes), reduce=objective.reduce,
            batch=descent.plan.batch, rate=descent.plan.rate, default_limit=descent.default_limit,
            bounded=objective.bounded, guarantee=descent.guarantee, trace=kept, source=dict(reader.source.fingerprint),
            r2=fitted, intercept=objective.once("lifts", lambda: objective.squares and objective.structure.lifts),
            log_likelihood=likelihood,
            options=plain({**self.options, "errors": errors}),
            versions={"steepest": __version__, "numpy": np.__version__}, data=self.data,
        )  # fmt: skip

    def _message(self) -> str:
        """How the run ended; at a minimum also how many starts end in it."""
        found, message = self.found, self.descent.message
        if found is None or found.tried < 2 or self.descent.status is not Status.CONVERGED:
            return message
        if self.descent.evaluation is None or not found.reached(self.descent.evaluation.loss):
            return message
        return f"{message}; {found.same} of {found.tried} starts end in it"

    def _rss(self, evaluation: Evaluation) -> float | None:
        """Σ w·r², for a formula with `=` whose right side is on the scale of y; log-odds are not."""
        if self.objective.squares:
            return 2.0 * evaluation.sum
        family = self.objective.family
        if self.objective.prediction is None or (family is not None and not family.of_y):
            return None
        return self.surface.residual_squares(self.descent.theta)


def _outside() -> int:
    """How many calls up the code of the caller of steepest stands: where a warning belongs."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "steepest":
        frame, level = frame.f_back, level + 1
    return level


def read(formula: Formulas) -> Formula:
    if isinstance(formula, str):
        return parse(formula)
    if isinstance(formula, Formula):
        return formula
    if type(formula).__module__.partition(".")[0] == "sympy":
        from .formula.sympy import from_sympy

        return from_sympy(formula)
    raise FormulaError(f"a formula is text or a SymPy expression, not {type(formula).__name__}")


def _oddities(objective: Objective, columns: Sequence[str]) -> list[str]:
    """What a reader of the answer should know: a right-hand side without columns, a column's name with a digit."""
    notes = []
    graph, free = objective.graph, objective.layout.names
    if objective.prediction is not None and len(free) > 1 and not graph.depends([objective.prediction], columns):
        unused = ", ".join([c for c in columns if c not in objective.columns][:8]) or "none"
        notes.append(f"no column stands on the right-hand side; columns that are not used: {unused}")
    for name in free:
        column = name.rstrip("0123456789")
        if column != name and column in columns and len(column) > 1:
            notes.append(f"{name} is no column and was taken as a parameter; a power is written {column}**2")
    return notes


def read_beside(formula: Formulas, source: Source) -> Formula:
    """Read a formula; where it cannot be read because of a column's odd name, say that name."""
    try:
        return read(formula)
    except FormulaError as error:
        odd = [name for name in source.schema if isinstance(formula, str) and name in formula and quote(name) != name]
        for name in sorted(odd, key=len, reverse=True):
            at = formula.index(name)
            if formula[at - 1 : at] != "`":
                problem = f"the name of the column {name} is no plain word"
                mend = f"put it in backticks: {quote(name)}"
                raise FormulaError(problem, text=formula, start=at, stop=at + len(name), mend=mend) from error
        raise


def _swapped(formula: Formulas, data: Any) -> bool:
    """Whether a file stands in the place of the formula, and a formula in that of the data."""
    file = not isinstance(formula, str) or formula.endswith((".csv", ".parquet"))
    return file and isinstance(data, str) and "=" in data


def _check_options(*, parameters: Any, weights: Any, counts: Any, where: Any, penalty: Any, **_: Any) -> None:
    """Refuse options of the wrong kind; what they say is read when the formula is bound."""
    if isinstance(parameters, str) or not all(isinstance(name, str) for name in parameters or ()):
        raise FitError(f"parameters is a list of names, not {parameters!r}")
    for name, option in (("weights", weights), ("counts", counts), ("where", where)):
        if not isinstance(option, str | None):
            raise FitError(f"{name} is the name of a column or an expression as text; put the numbers into a column")
    if not isinstance(penalty, str | None):
        raise FitError(f"penalty is a formula of parameters as text, not {penalty!r}")


def schema(source: Source) -> dict[str, int | None]:
    return {name: column.width for name, column in source.schema.items()}


def reduction(reduce: str, loss: Loss) -> str:
    if reduce not in ("mean", "sum"):
        raise FitError(f"reduce={reduce!r}; it is 'mean' or 'sum'")
    if loss.root and reduce == "sum":
        raise FitError("the loss rmse is the root of the mean: leave reduce out")
    return "rmse" if loss.root else reduce


def need_data(**given: Any) -> None:
    """Refuse what has no meaning for a function without data."""
    for name, value in given.items():
        if value is not None and value is not False:
            raise FitError(f"{name}= needs data; leave it out for a function")


def refuse(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise FitError(f"{name}= is not built yet; leave it out")
