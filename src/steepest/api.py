"""The verbs that people type: each strings the pieces together and decides nothing else."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._version import __version__
from .data.arrays import Table
from .data.open import open_source
from .data.reader import Reader
from .data.source import Block
from .descent import Descent
from .errors import FitError, FormulaError
from .formula.evaluate import Evaluator
from .formula.grammar import Formula, parse
from .formula.losses import Loss, find_loss
from .formula.objective import Objective, bind
from .formula.printing import to_text
from .formula.program import Program
from .report.progress import Progress, Watch
from .result import Derivatives, Explanation, Fit, Function, Trace, load
from .strategy import Guarantee, plan
from .surface import Surface
from .types import Array, Evaluation, Need, Status, Step, Stop
from .uncertainty import uncertainty

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
    run = _Run.of(
        formula, data, loss=loss, start=start, bounds=bounds, fixed=fixed, parameters=parameters, weights=weights,
        sigma=sigma, penalty=penalty, where=where, method=method, batch=batch, rate=rate, reduce=reduce, stop=stop,
        seed=seed, shuffle=shuffle, callbacks=callbacks,
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
    if data is None:
        return _Run.of_function(formula, start, bounds, fixed, method, rate, stop, seed, callbacks, False).steps(
            progress
        )
    run = _Run.of(
        formula, data, loss=loss, start=start, bounds=bounds, fixed=fixed, parameters=parameters, weights=weights,
        sigma=sigma, penalty=penalty, where=where, method=method, batch=batch, rate=rate, reduce=reduce, stop=stop,
        seed=seed, shuffle=shuffle, callbacks=callbacks,
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
    run = _Run.of_function(objective, start, bounds, fixed, method, rate, stop, seed, callbacks, False)
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
    run = _Run.of_function(objective, start, bounds, fixed, method, rate, stop, seed, callbacks, True)
    return run.finish(trace, progress, "auto")


def function(formula: Formulas, data: Any = None, *, loss: str = "squares", reduce: str = "mean") -> Function:
    """Loss and gradient as a building block: `f(theta) -> (loss, gradient)`, as SciPy's `minimize(f, x0, jac=True)` takes.

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
    from .formula.derive import gradient, hessian
    from .formula.printing import to_latex
    from .formula.sympy import tidy, to_sympy

    read = _read(formula)
    source = None if data is None else open_source(data)
    spec = find_loss(loss)
    guarantees: dict[str, Guarantee] = {}
    rates: tuple[str, ...] = ()
    if source is None:
        output, names, columns, quadratic = read.right, list(read.graph.names([read.right])), (), False
        graph, row_loss = read.graph, ""
        of = "the function" if read.left is None else "the right-hand side"
        objective = None
        if read.left is None and not any(graph.nodes[n][0] in ("@", "stack") for n in graph.reachable([output])):
            quadratic = bind(read, None, reduce="sum").quadratic
    else:
        objective = bind(read, _schema(source), loss=spec, reduce=_reduction("mean", spec))
        graph, output, names, columns = objective.graph, objective.loss, list(objective.layout.names), objective.columns
        quadratic, of = objective.quadratic, "the loss of a row"
        row_loss = to_text(graph, output)
        guarantees, rates = _rates(objective, source)
    first = gradient(graph, output, names)
    zero = graph.number(0)
    scalars = [n for n in names if all(m is None for _, m in first[n].terms)]
    second = hessian(graph, first, scalars)
    partials = {}
    program = []
    for name in names:
        shown, tex = [], []
        for node, matrix in first[name].terms or ((zero, None),):
            tidied, place = tidy(graph, node)
            text, latex = to_text(tidied, place, 2_000), to_latex(tidied, place)
            times = "" if matrix is None else to_text(graph, matrix)
            shown.append(text if matrix is None else f"({text})*{times}")
            tex.append(latex if matrix is None else rf"\left({latex}\right) {to_latex(graph, matrix)}")
            program.append((f"d/d {name}" if matrix is None else f"d/d {name} (times {times})", node))
        partials[name] = (" + ".join(shown), " + ".join(tex))

    def expression(name: str) -> Any:
        terms = first[name].terms
        return to_sympy(graph, terms[0][0] if terms else zero)

    def mixed(pair: tuple[str, str]) -> Any:
        ordered = pair if pair in second else pair[::-1]
        return to_sympy(graph, second.get(ordered, zero))

    roles = {n: "data" if n in columns else "parameter" if source is not None else "variable" for n in read.names}
    return Explanation(
        read.text, roles, Derivatives(scalars, expression), Derivatives([(a, b) for a in scalars for b in scalars], mixed),
        partials, of, row_loss, quadratic, guarantees, rates, tuple(Program(graph, ((of, output), *program)).lines()),
    )  # fmt: skip


def compare(formula: Formulas, data: Any, *, methods: Any = None, batches: Any = None, **options: Any) -> Any:
    """Not built yet: batch sizes and methods side by side on your data."""
    raise FitError("compare is not built yet; run fit once for each batch size with trace=True")


def resume(checkpoint: str | os.PathLike[str], data: Any = None) -> Fit:
    """Not built yet: go on from a checkpoint."""
    raise FitError("resume is not built yet; give the values of the saved fit as start= to fit")


# a run -------------------------------------------------------------------------------------------------------


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
    def of(formula: Formulas, data: Any, **o: Any) -> _Run:
        """Read, open, bind: everything that can be wrong with the input is said here."""
        read = _read(formula)
        if (
            isinstance(data, str)
            and isinstance(formula, str)
            and ("=" in data and formula.endswith((".csv", ".parquet")))
        ):
            raise FormulaError("formula and data are swapped", mend="steepest.fit(formula, data)")
        for name in ("weights", "where", "penalty"):
            if o[name] is not None and not isinstance(o[name], str):
                raise FitError(
                    f"{name} is a column's name or an expression as text; put the numbers into the data as a column"
                )
        spec = find_loss(o["loss"])
        source = open_source(data)
        objective = bind(
            read, _schema(source), loss=spec, parameters=tuple(o["parameters"] or ()), start=o["start"],
            bounds=o["bounds"], fixed=o["fixed"], weights=o["weights"], sigma=o["sigma"], penalty=o["penalty"],
            where=o["where"], reduce=_reduction(o["reduce"], spec),
        )  # fmt: skip
        surface = _surface(objective, source)
        name = spec.name if read.left is not None else "the formula"
        return _Run._ready(
            read,
            objective,
            surface,
            o["start"],
            o["method"],
            o["batch"],
            o["rate"],
            o["stop"],
            o["seed"],
            o["shuffle"],
            o["callbacks"],
            name,
            data,
        )

    @staticmethod
    def of_function(
        formula: Formulas,
        start: Any,
        bounds: Any,
        fixed: Any,
        method: str,
        rate: Any,
        stop: Any,
        seed: int,
        callbacks: Any,
        maximise: bool,
    ) -> _Run:
        """A function without data: the same walk over one row without columns."""
        read = _read(formula)
        objective = bind(read, None, start=start, bounds=bounds, fixed=fixed, reduce="sum", maximise=maximise)
        surface = _surface(objective, None)
        return _Run._ready(
            read, objective, surface, start, method, None, rate, stop, seed, True, callbacks, "the function", None
        )

    @staticmethod
    def _ready(
        read: Formula, objective: Objective, surface: Surface, start: Any, method: str, batch: int | None, rate: Any,
        stop: Any, seed: int, shuffle: bool, callbacks: Any, loss_name: str, data: Any,
    ) -> _Run:  # fmt: skip
        if stop is not None and not isinstance(stop, Stop):
            raise FitError(f"stop is {stop!r}; give steepest.Stop(steps=...), Stop(gradient=...), ...")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise FitError(f"seed is {seed!r}; give a whole number that is not negative")
        theta, missing = objective.start(start)
        made = plan(objective, method, batch, rate)
        if made.batch is not None and data is None:
            raise FitError("a function has no rows to take batches of; use gd")
        run = _Run(read, objective, surface, Descent(surface, made, theta), missing, loss_name, data)
        run.descent = Descent(surface, made, theta, stop, int(seed), bool(shuffle), tuple(callbacks), run.note)
        return run

    def note(self, text: str) -> None:
        """A warning before the first step: to the caller, and into the answer."""
        self.notes.append(text)
        warnings.warn(text, UserWarning, stacklevel=2)

    def steps(self, progress: bool | Callable[[Progress], None] | None) -> Iterator[Step]:
        """The steps, watched."""
        with Watch.of(progress, self.surface, self.descent):
            yield from self.descent.steps()

    def finish(self, trace: bool, progress: bool | Callable[[Progress], None] | None, errors: str) -> Fit:
        """Run to the end, or to Ctrl-C, and make the answer."""
        began = time.perf_counter()
        path: list[tuple[int, float, float, Array]] = []
        try:
            for step in self.steps(progress):
                if trace:
                    path.append((step.number, step.loss, step.gradient_norm, step.theta))
        except KeyboardInterrupt:
            if self.descent.best is None:
                raise
            self.descent.interrupt()
        return self._answer(path if trace else None, errors, time.perf_counter() - began)

    def _answer(self, path: list[tuple[int, float, float, Array]] | None, errors: str, seconds: float) -> Fit:
        descent, objective, surface = self.descent, self.objective, self.surface
        evaluation = descent.evaluation
        assert evaluation is not None
        layout, reader = objective.layout, surface.reader
        doubt = uncertainty(objective, descent.verdict, surface.rows, errors) if descent.verdict else None
        covariance = doubt.covariance if doubt and descent.status is Status.CONVERGED else None
        spread = None if covariance is None else layout.values(np.sqrt(np.diag(covariance)))
        certificate = dict(descent.verdict.certificate) if descent.verdict else {"convex": None, "why": "not judged"}
        certificate["gradient_check"] = surface.gradient_check(descent.start)
        rss = self._rss(evaluation)
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
            errors=spread, covariance=covariance, free=layout.flat,
            loss=evaluation.loss, total=evaluation.total * objective.sign, rss=rss,
            rms=None if rss is None or not surface.rows else float(np.sqrt(rss / surface.rows)),
            rows=surface.rows, dropped=reader.dropped, passes=reader.passes, steps=descent.number, seconds=seconds,
            status=descent.status, message=descent.message, certificate=certificate, formula=self.formula.text,
            loss_name=self.loss_name, method=descent.plan.method.name, why=descent.plan.why, seed=descent.seed,
            columns=objective.columns, missing_start=self.missing, dropped_by_column=dict(reader.dropped_by_column),
            reason="" if covariance is not None else (doubt.reason if doubt else "errors hold only at a minimum"),
            degrees=doubt.degrees if doubt else None, notes=tuple(self.notes), reduce=objective.reduce,
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
    if objective.weight is not None:
        weight = _rowwise(objective, objective.weight, float)
    return Surface(objective, Reader(source.select(objective.columns), condition=condition, weight=weight))


def _rowwise(objective: Objective, node: int, kind: type) -> Callable[[Block], Any]:
    evaluator = Evaluator(objective.graph, [node], objective.columns, {})

    def column(block: Block) -> Any:
        with np.errstate(all="ignore"):
            value = evaluator(np.zeros(0), block.columns)[0]
        return np.array(np.broadcast_to(value, (block.rows,)), dtype=kind)

    return column


def _rates(objective: Objective, source: Any) -> tuple[dict[str, Guarantee], tuple[str, ...]]:
    """Sum and mean with their safe rates side by side, and what holds for the root of the mean square."""
    if not objective.quadratic:
        return {}, (
            "convexity is not proved for this formula, and no rate is proved safe: rate=None finds one by trial",
        )
    surface = _surface(objective, source)
    theta = np.clip(np.ones(objective.layout.size), objective.lower, objective.upper)
    need = Need.NORMAL if objective.squares else Need.HESSIAN
    evaluation = surface.at(theta, need)
    if not evaluation.finite or evaluation.curvature is None or not objective.layout.size:
        return {}, ()
    n = evaluation.weight
    guarantees = {"sum": Guarantee.of(evaluation.curvature), "mean": Guarantee.of(evaluation.curvature, 1.0 / n)}
    one = guarantees["sum"]
    if not one.convex:
        return guarantees, ("a quadratic that is not convex: gradient descent leaves every start but the saddle",)
    kind = "strictly convex: one minimum" if one.smallest > 0 else "convex, flat along some direction: many minima"
    lines = [f"a quadratic, {kind}; condition L/μ = {one.condition:.6g}"]
    for name, g in guarantees.items():
        lines.append(
            f'reduce="{name}": L = {g.largest:.6g}, safe rate 1/L = {g.safe:.4g}, converges below 2/L = {g.limit:.4g}, '
            f"{g.steps(g.safe):,.0f} steps at 1/L for an error a millionth of the first"
            if g.smallest > 0
            else f'reduce="{name}": L = {g.largest:.6g}, safe rate 1/L = {g.safe:.4g}, converges below 2/L = {g.limit:.4g}'
        )
    if objective.squares:
        from .methods.trust_region import spectrum

        step = spectrum(evaluation.curvature, evaluation.slope, evaluation.factor).step(0.0)
        best = surface.at(theta + step, Need.VALUE)
        rms = float(np.sqrt(max(2.0 * best.sum, 0.0) / n))
        if rms <= 1e-12 * float(np.sqrt(surface.signal / n)):
            lines.append(
                'loss="rmse": no rate is safe, since the data are fitted exactly: the root has a kink at the minimum and a fixed rate ends in oscillation'
            )
        else:
            safe = n * rms / one.largest
            lines.append(
                f'loss="rmse": near the minimum a rate of n·rms/L = {safe:.4g} is safe (rms = {rms:.4g}); farther away a larger one'
            )
    return guarantees, tuple(lines)


def _refuse(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise FitError(f"{name}= is not built yet; leave it out")
