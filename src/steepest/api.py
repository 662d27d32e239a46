"""The verbs that people type: each strings the pieces together and decides nothing else."""

from __future__ import annotations

import inspect
import itertools
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ._version import __version__
from .blas import one_thread
from .data.arrays import Table
from .data.open import open_source
from .data.reader import Reader
from .data.source import Block
from .descent import Descent
from .errors import DataError, FitError, FormulaError
from .formula.binding import bind
from .formula.evaluate import Evaluator
from .formula.grammar import Formula, parse
from .formula.losses import Loss, find_loss
from .formula.objective import Objective
from .kernels.surface import Surface
from .report.progress import Progress, Watch
from .result import Fit, Function, Trace, load
from .strategy import SECOND_ORDER, guaranteed, plan
from .types import Array, Evaluation, Status, Step, Stop, is_whole
from .uncertainty import Uncertainty, uncertainty

if TYPE_CHECKING:
    from .comparison import Comparison
    from .explanation import Explanation

__all__ = ["compare", "descend", "explain", "fit", "function", "load", "maximize", "minimize", "resume"]

Formulas = Any  # text, or a SymPy Expr, Eq, Poly


def fit(
    formula: Formulas,
    data: Any,
    *,
    loss: str = "squares",
    start: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    parameters: Sequence[str] | None = None,
    weights: str | None = None,
    sigma: str | float | None = None,
    counts: str | None = None,
    prior: Mapping[str, Any] | None = None,
    penalty: str | None = None,
    where: str | None = None,
    method: str = "auto",
    batch: int | None = None,
    rate: float | str | None = None,
    reduce: str = "mean",
    stop: Stop | None = None,
    errors: str = "auto",
    memory: Any = None,
    engine: Any = None,
    restarts: int | None = None,
    seed: int = 0,
    shuffle: bool = True,
    checkpoint: Any = None,
    trace: bool = False,
    progress: bool | Callable[[Progress], None] | None = None,
    callbacks: Sequence[Callable[[Step], Any]] = (),
) -> Fit:
    """Fit a formula to a table: the parameters that minimise the sum of the row losses.

    formula: `"y = a*exp(-b*x) + c"` (least squares; the left side may be an expression of columns), or, without `=`,
    the loss of one row. A name that is a column is data, every other name a parameter.
    data: dict of arrays, anything with `__arrow_c_stream__` (pandas, Polars, Arrow), or the path of one .csv or
    .parquet file. loss: squares, rmse, or a formula of `y` and `prediction`.
    start, bounds `{"b": (0, None)}`, fixed `{"c": 0}`: by parameter. weights: relative precisions, sigma: known
    standard deviations, each a column or an expression of columns. penalty: a formula of parameters, on the scale of
    the sum. where: a condition of columns that chooses rows.
    method: auto, gauss-newton, newton, gd, sgd, momentum, nesterov, adagrad, rmsprop, adam, or an update rule as text.
    batch: rows a step (None = all). rate: a number, None (from the curvature), or a formula of `step` and `epoch`.
    reduce: "mean" or "sum" of the row losses: what the rate multiplies. stop: `Stop(...)`.
    errors: "auto" or "hessian". seed, shuffle: the order of mini-batches. trace=True keeps the path.
    progress: True for a line on stderr, or a function of `Progress`, at most ten times a second.
    callbacks: functions of each `Step`; one that returns True ends the run.

    Raises FormulaError, DataError or FitError for input that cannot be used. A run that does not converge is a Fit with
    another status. Ctrl-C keeps the best point: the status is then "interrupted".
    """
    _refuse(memory=memory, engine=engine, checkpoint=checkpoint, counts=counts, prior=prior, restarts=restarts)
    how = _How(start, method, rate, stop, seed, callbacks, batch, shuffle)
    run = _Run.of(
        formula, data, how, loss, reduce, bounds=bounds, fixed=fixed, parameters=parameters, weights=weights,
        sigma=sigma, penalty=penalty, where=where,
    )  # fmt: skip
    return run.finish(trace, progress, errors)


def descend(
    formula: Formulas,
    data: Any = None,
    *,
    loss: str = "squares",
    start: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    parameters: Sequence[str] | None = None,
    weights: str | None = None,
    sigma: str | float | None = None,
    counts: str | None = None,
    prior: Mapping[str, Any] | None = None,
    penalty: str | None = None,
    where: str | None = None,
    method: str = "auto",
    batch: int | None = None,
    rate: float | str | None = None,
    reduce: str = "mean",
    stop: Stop | None = None,
    errors: str = "auto",
    memory: Any = None,
    engine: Any = None,
    restarts: int | None = None,
    seed: int = 0,
    shuffle: bool = True,
    checkpoint: Any = None,
    trace: bool = False,
    progress: bool | Callable[[Progress], None] | None = None,
    callbacks: Sequence[Callable[[Step], Any]] = (),
) -> Iterator[Step]:
    """The same arguments as `fit`, step by step: own the loop, print, stop, plot.

    Yields the start as Step 0, then Step k after k updates; the last one carries the final status and message. Without
    data the formula is a function to minimise. The input is checked at the call, before the first step is asked for.
    """
    _refuse(memory=memory, engine=engine, checkpoint=checkpoint, counts=counts, prior=prior, restarts=restarts)
    if trace or errors != "auto":
        raise FitError("descend hands out the steps themselves: leave trace and errors out, or use fit")
    how = _How(start, method, rate, stop, seed, callbacks, batch, shuffle)
    if data is None:
        return _Run.of_function(formula, how, bounds=bounds, fixed=fixed).steps(progress)
    run = _Run.of(
        formula, data, how, loss, reduce, bounds=bounds, fixed=fixed, parameters=parameters, weights=weights,
        sigma=sigma, penalty=penalty, where=where,
    )  # fmt: skip
    return run.steps(progress)


def minimize(
    objective: Formulas,
    start: Mapping[str, Any] | None = None,
    *,
    method: str = "auto",
    rate: float | str | None = None,
    bounds: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    stop: Stop | None = None,
    restarts: int | None = None,
    seed: int = 0,
    trace: bool = False,
    progress: bool | Callable[[Progress], None] | None = None,
    callbacks: Sequence[Callable[[Step], Any]] = (),
) -> Fit:
    """Minimise a function of the names in it: `minimize("x**2 + 2*x + 3", {"x": 10})`.

    The arguments are those of `fit`. Every name is a variable; one without a start begins at 1. `Fit.loss` is the
    function at the point. Raises FormulaError or FitError for input that cannot be used.
    """
    _refuse(restarts=restarts)
    run = _Run.of_function(objective, _How(start, method, rate, stop, seed, callbacks), bounds=bounds, fixed=fixed)
    return run.finish(trace, progress, "auto")


def maximize(
    objective: Formulas,
    start: Mapping[str, Any] | None = None,
    *,
    method: str = "auto",
    rate: float | str | None = None,
    bounds: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    stop: Stop | None = None,
    restarts: int | None = None,
    seed: int = 0,
    trace: bool = False,
    progress: bool | Callable[[Progress], None] | None = None,
    callbacks: Sequence[Callable[[Step], Any]] = (),
) -> Fit:
    """The same as `minimize`, uphill: gradient ascent. `Fit.loss` is the function, not its negative."""
    _refuse(restarts=restarts)
    how = _How(start, method, rate, stop, seed, callbacks)
    run = _Run.of_function(objective, how, bounds=bounds, fixed=fixed, maximise=True)
    return run.finish(trace, progress, "auto")


def function(formula: Formulas, data: Any = None, *, loss: str = "squares", reduce: str = "mean") -> Function:
    """Loss and gradient as a building block: `f(theta) -> (loss, gradient)`, for SciPy's minimisers, say.

    The reduced objective of `fit` (see `reduce`); without data the function itself, of all names in it.
    """
    read = _read(formula)
    if data is None:
        if read.left is not None:
            raise read.error("the loss of an equation needs data", mend="function('y = a*x + b', data)")
        return Function(_surface(bind(read, None, reduce="sum"), None))
    source = open_source(data)
    spec = find_loss(loss)
    objective = bind(read, _schema(source), loss=spec, reduce=_reduction(reduce, spec))
    return Function(_surface(objective, source))


def explain(formula: Formulas, data: Any = None, *, loss: str = "squares") -> Explanation:
    """What follows from a formula before anything runs: roles, derivatives, structure, safe rates, program.

    With data: derivatives of the row loss by the parameters, and the rates that are safe for the sum, the mean and the
    root of the mean square. Without: of the function, or of the right-hand side of `y = ...`, by every name.
    """
    from .explanation import explained

    read = _read(formula)
    if data is None:
        return explained(read, None, {}, ())
    source, spec = open_source(data), find_loss(loss)
    objective = bind(read, _schema(source), loss=spec, reduce=_reduction("mean", spec))
    return explained(read, objective, *guaranteed(objective, _surface(objective, source)))


def compare(
    formula: Formulas,
    data: Any,
    *,
    methods: Sequence[str] | None = None,
    batches: Sequence[int | None] | None = None,
    seeds: int | None = None,
    starts: int | Sequence[Mapping[str, Any]] | None = None,
    **options: Any,
) -> Comparison:
    """Batch sizes and methods on your data, each with the same start and equal passes: a table and a picture.

    methods: names or rules, by default gd; batches: rows a step, None = all, by default 1, 8, 64, ... and all;
    seeds: how many orders of the rows for each mini-batch case (3), their spread is shown. starts: several start
    points, or how many to draw within `bounds` (or around the start): the share of runs that come into the lowest
    minimum is then shown. Every other option is that of `fit`; `stop=Stop(passes=...)` is the budget (20 passes).
    Raises FormulaError, DataError or FitError for input that cannot be used.
    """
    from .comparison import Case, Comparison, default_batches, measure, random_starts

    names = inspect.signature(fit).parameters
    for name in options:
        if name not in names or name in ("trace", "progress", "errors", "callbacks", "batch", "method"):
            raise FitError(
                f"compare has no option {name}" + ("; give methods= or batches=" if name in ("batch", "method") else "")
            )
    chosen = {n: p.default for n, p in names.items() if p.default is not inspect.Parameter.empty} | options
    _refuse(**{n: chosen[n] for n in ("memory", "engine", "checkpoint", "counts", "prior", "restarts")})
    stop = chosen["stop"] or Stop()
    if stop != Stop(passes=stop.passes):
        raise FitError("compare gives each run equal passes: stop=Stop(passes=20), and no other limit")
    passes, source, seed = float(stop.passes or 20), open_source(data), chosen["seed"]
    what = {
        n: chosen[n]
        for n in ("loss", "reduce", "bounds", "fixed", "parameters", "weights", "sigma", "penalty", "where")
    }

    def ready(method: str, batch: int | None, number: int, start: Any) -> _Run:
        rate = chosen["rate"] if method.partition("(")[0].strip() not in ("auto", *SECOND_ORDER) else None
        how = _How(start, method, rate, Stop(passes=1e18), seed + number, (), batch, chosen["shuffle"])
        return _Run.of(formula, source, how, **what)

    probe = ready("auto", None, 0, chosen["start"])
    layout, objective = probe.objective.layout, probe.objective
    if (isinstance(starts, int) and starts < 1) or (seeds is not None and seeds < 1):
        raise FitError("compare needs at least one seed and one start")
    if isinstance(starts, int):
        first = probe.descent.start
        starts = random_starts(starts, first, objective.lower, objective.upper, seed, layout.values)
    points = list(starts) if starts is not None else [chosen["start"]]
    if batches is None:
        batches = default_batches(probe.surface.reader.rows)
    cases: list[Case] = []
    notes: list[str] = []
    for method in methods or ["gd"]:
        for batch in batches if method.partition("(")[0].strip() not in ("auto", *SECOND_ORDER) else [None]:
            runs, rate = [], None
            for number, start in itertools.product(range(1 if batch is None else seeds or 3), points):
                run = ready(method, batch, number, start)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what is called out stands under the table
                    measured = measure(run.steps(None), run.descent, passes)
                notes += run.notes
                rate = run.descent.plan.rate
                if len(points) > 1:
                    finish = ready("auto", None, 0, measured.values).finish(False, None, "auto")
                    measured = replace(measured, minimum=finish.loss if finish.ok else measured.losses[-1])
                runs.append(measured)
            cases.append(Case(method, batch, rate, tuple(runs)))
    exact = probe.finish(False, None, "auto")
    best = (exact.loss, exact.values) if exact.ok else None
    return Comparison(
        probe.formula.text, tuple(cases), passes, seeds or 3, len(points), best, exact.rows,
        tuple(dict.fromkeys(notes)), probe.surface,
    )  # fmt: skip


def resume(checkpoint: str | os.PathLike[str], data: Any = None) -> Fit:
    """Not built yet: go on from a checkpoint."""
    raise FitError("resume is not built yet; give the values of the saved fit as start= to fit")


# a run -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _How:
    """The options that say how to descend, not what."""

    start: Mapping[str, Any] | None
    method: str
    rate: float | str | None
    stop: Stop | None
    seed: int
    callbacks: Any
    batch: int | None = None
    shuffle: bool = True


@dataclass
class _Run:
    """A descent that is ready, and what its answer needs beside it."""

    formula: Formula
    objective: Objective
    surface: Surface
    descent: Descent
    missing: tuple[str, ...]
    loss_name: str
    data: Any
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def of(formula: Formulas, data: Any, how: _How, loss: str, reduce: str, **options: Any) -> _Run:
        """Read, open, bind: everything that can be wrong with the input is said here."""
        if (
            isinstance(formula, str)
            and isinstance(data, str)
            and "=" in data
            and formula.endswith((".csv", ".parquet"))
        ):
            raise FormulaError("formula and data are swapped", mend="steepest.fit(formula, data)")
        read, spec = _read(formula), find_loss(loss)
        listed = options["parameters"] or ()
        if isinstance(listed, str) or not all(isinstance(name, str) for name in listed):
            raise FitError(f"parameters is a list of names, not {listed!r}")
        for name in ("weights", "where", "penalty"):
            if not isinstance(options[name], str | None):
                raise FitError(
                    f"{name} is the name of a column or an expression as text; put the numbers into a column"
                )
        source = data if hasattr(data, "select") and hasattr(data, "schema") else open_source(data)
        options["parameters"] = tuple(listed)
        objective = bind(
            read, _schema(source), loss=spec, start=how.start, reduce=_reduction(reduce, spec), **options
        )  # fmt: skip
        return _Run._ready(read, objective, source, how, spec.name if read.left is not None else "the formula", data)

    @staticmethod
    def of_function(formula: Formulas, how: _How, *, bounds: Any, fixed: Any, maximise: bool = False) -> _Run:
        """A function without data: the same walk over one row without columns."""
        read = _read(formula)
        objective = bind(
            read, None, start=how.start, bounds=bounds, fixed=fixed, reduce="sum", maximise=maximise
        )  # fmt: skip
        return _Run._ready(read, objective, None, how, "the function", None)

    @staticmethod
    def _ready(read: Formula, objective: Objective, source: Any, how: _How, loss_name: str, data: Any) -> _Run:
        if not isinstance(how.stop, Stop | None):
            raise FitError(f"stop is {how.stop!r}; give steepest.Stop(steps=...), Stop(gradient=...), ...")
        if not is_whole(how.seed) or how.seed < 0:
            raise FitError(f"seed is {how.seed!r}; give a whole number that is not negative")
        if not isinstance(how.callbacks, Sequence) or not all(map(callable, how.callbacks)):
            raise FitError("callbacks is a list of functions of a Step")
        theta, missing = objective.start(how.start)
        made = plan(objective, how.method, how.batch, how.rate)
        if made.batch is not None and source is None:
            raise FitError("a function has no rows to take batches of; use gd")
        surface = _surface(objective, source)
        descent = Descent(surface, made, theta, how.stop, int(how.seed), bool(how.shuffle), tuple(how.callbacks))
        run = _Run(read, objective, surface, descent, missing, loss_name, data)
        descent.warn = run.note
        return run

    def note(self, text: str) -> None:
        """A warning before the first step: to the caller, and into the answer."""
        self.notes.append(text)
        warnings.warn(text, UserWarning, stacklevel=2)

    def steps(self, progress: bool | Callable[[Progress], None] | None) -> Iterator[Step]:
        """The steps, watched."""
        steps = self.descent.steps()
        with Watch.of(progress, self.surface, self.descent):
            while True:  # step by step, so that neither setting reaches into the caller's loop
                with np.errstate(all="ignore"), one_thread(self.objective.layout.size):
                    step = next(steps, None)
                if step is None:
                    return
                yield step

    def finish(self, trace: bool, progress: bool | Callable[[Progress], None] | None, errors: str) -> Fit:
        """Run to the end, or to Ctrl-C, and make the answer."""
        began = time.perf_counter()
        path: list[tuple[int, float, float, Array]] = []
        try:
            for step in self.steps(progress):
                if trace:
                    if path and path[-1][0] == step.number:
                        path.pop()  # the last step says once more where it stands
                    path.append((step.number, step.loss, step.gradient_norm, step.theta))
        except KeyboardInterrupt:
            if self.descent.best is None:
                raise
            self.descent.interrupt()
        with np.errstate(all="ignore"):
            return self._answer(path if trace else None, errors, time.perf_counter() - began)

    def _answer(self, path: list[tuple[int, float, float, Array]] | None, errors: str, seconds: float) -> Fit:
        descent, objective, surface = self.descent, self.objective, self.surface
        evaluation = descent.evaluation
        assert evaluation is not None
        layout, reader = objective.layout, surface.reader
        rss = self._rss(evaluation)
        verdict = descent.verdict if descent.status is Status.CONVERGED else None
        doubt = Uncertainty(None, "errors hold only at a minimum")
        if verdict is not None:
            doubt = uncertainty(objective, verdict.inverse, verdict.held, rss, surface.rows, errors)
        spread = None if doubt.covariance is None else layout.values(np.sqrt(np.diag(doubt.covariance)))
        certificate: dict[str, Any] = {"convex": None, "why": "not judged"}
        if descent.verdict is not None:
            certificate = dict(descent.verdict.certificate)
        certificate["gradient_check"] = surface.gradient_check(descent.start)
        free = layout.values(descent.theta)
        names = [n for n in self.formula.names if n in free or n in objective.fixed]
        kept = None
        if path is not None:
            numbers, losses, norms, thetas = zip(*path, strict=True) if path else ((), (), (), ())
            kept = Trace(
                np.array(numbers),
                np.array(losses),
                np.array(norms),
                np.array(thetas).reshape(len(path), layout.size),
                layout.flat,
            )
        return Fit(
            values={n: free[n] if n in free else objective.fixed[n] for n in names},
            errors=spread, covariance=doubt.covariance, free=layout.flat,
            loss=evaluation.loss, total=evaluation.total * objective.sign, rss=rss,
            rms=None if rss is None or not surface.rows else float(np.sqrt(rss / surface.rows)),
            rows=surface.rows, dropped=reader.dropped, passes=reader.passes, steps=descent.number, seconds=seconds,
            status=descent.status, message=descent.message, certificate=certificate, formula=self.formula.text,
            loss_name=self.loss_name, method=descent.plan.method.name, why=descent.plan.why, seed=descent.seed,
            columns=objective.columns, missing_start=self.missing, dropped_by_column=dict(reader.dropped_by_column),
            reason=doubt.reason,
            degrees=doubt.degrees, notes=tuple(self.notes), reduce=objective.reduce,
            batch=descent.plan.batch, rate=descent.plan.rate, default_limit=descent.default_limit,
            guarantee=descent.guarantee, trace=kept, source=dict(reader.source.fingerprint),
            versions={"steepest": __version__, "numpy": np.__version__}, data=self.data,
        )  # fmt: skip

    def _rss(self, evaluation: Evaluation) -> float | None:
        """Σ w·r², for a formula with `=`."""
        if self.objective.squares:
            return 2.0 * evaluation.sum
        if self.objective.prediction is None:
            return None
        return self.surface.residual_squares(self.descent.theta)


def _read(formula: Formulas) -> Formula:
    if isinstance(formula, str):
        return parse(formula)
    if isinstance(formula, Formula):
        return formula
    if type(formula).__module__.partition(".")[0] == "sympy":
        from .formula.sympy import from_sympy

        return from_sympy(formula)
    raise FormulaError(f"a formula is text or a SymPy expression, not {type(formula).__name__}")


def _schema(source: Any) -> dict[str, int | None]:
    return {name: column.width for name, column in source.schema.items()}


def _reduction(reduce: str, loss: Loss) -> str:
    if reduce not in ("mean", "sum"):
        raise FitError(f"reduce={reduce!r}; it is 'mean' or 'sum'")
    if loss.root and reduce == "sum":
        raise FitError("the loss rmse is the root of the mean: leave reduce out")
    return "rmse" if loss.root else reduce


def _surface(objective: Objective, source: Any) -> Surface:
    """The objective over the rows of a source; without one over a single row without columns."""
    if source is None:
        return Surface(objective, Reader(Table({}, 1)))
    condition = weight = None
    if objective.condition is not None:
        condition = _rowwise(objective, objective.condition, bool)
    selected = source.select(objective.columns)
    if objective.weight is not None:
        weight = _rowwise(objective, objective.weight, float)
    if objective.sigma is not None:
        weight = _positive_sigma(_rowwise(objective, objective.sigma, float), weight, selected)
    return Surface(objective, Reader(selected, condition=condition, weight=weight))


def _positive_sigma(sigma: Callable[[Block], Any], weight: Any, source: Any) -> Callable[[Block], Any]:
    """The weights, after a look at the standard deviations that they come from."""

    def checked(block: Block) -> Any:
        values = sigma(block)
        wrong = ~(values > 0) if block.live is None else block.live & ~(values > 0)
        if wrong.any():
            row = int(wrong.argmax())
            place = source.locate(block.first_row + row)
            raise DataError(f"sigma is {values[row]:g} at {place}; a standard deviation is positive")
        return weight(block)

    return checked


def _rowwise(objective: Objective, node: int, kind: type) -> Callable[[Block], Any]:
    evaluator = Evaluator(objective.graph, [node], objective.columns, {})

    def column(block: Block) -> Any:
        with np.errstate(all="ignore"):
            value = evaluator(np.zeros(0), block.columns)[0]
        return np.array(np.broadcast_to(value, (block.rows,)), dtype=kind)

    return column


def _refuse(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise FitError(f"{name}= is not built yet; leave it out")
