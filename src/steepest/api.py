"""The verbs that people type: each strings the pieces together and decides nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from . import data as tables
from .errors import FitError
from .formula.binding import bind
from .formula.losses import find_loss
from .formula.recent import bound
from .kernels.rows import surface_over
from .report.progress import Progress
from .result import Fit, Function, load
from .run import Formulas, How, Run, need_data, read, reduction, refuse, schema
from .strategy import convexity_of, guaranteed
from .types import Step, Stop
from .uncertainty import check_errors

if TYPE_CHECKING:
    from .comparison import Comparison
    from .explanation import Explanation
    from .models import Models

__all__ = ["compare", "descend", "explain", "fit", "function", "load", "maximize", "minimize", "resume"]


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
    scale: str | None = None,
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
    data: dict of arrays, structured array, anything with `__arrow_c_stream__` (pandas, Polars, Arrow, DuckDB), a path,
    a glob, a folder or a list of paths (.parquet .csv .tsv .arrow, .gz), `"sqlite:file.db: select ..."`, (connection,
    query). loss: squares, rmse, absolute, huber, cauchy, logistic, poisson, gamma, quantile, with numbers as in
    `"huber(1.345, scale=2)"`, or a formula of `y` and `prediction`.
    start, bounds `{"b": (0, None)}`, fixed `{"c": 0}`: by parameter. weights: relative precisions, sigma: known
    standard deviations, counts: how often a row stands there, each a column or an expression of columns. penalty: a
    formula of parameters, on the scale of the sum; prior `{"b": (mean, sd)}`: what was known of one before.
    where: a condition of columns that chooses rows.
    method: auto, gauss-newton, newton, lbfgs, gd, sgd, momentum, nesterov, adagrad, rmsprop, adam, or an update rule as
    text.
    batch: rows a step (None = all). rate: a number, None (from the curvature), or a formula of `step` and `epoch`.
    scale: "auto" lets a first-order method step in standardised parameters phi, theta = A phi, undone in the answer: A
    is fixed by H at the start (each unit 1/√(H_jj/n); beside an intercept the others are centred against it, which for
    a linear model is regression on columns of mean 0 and mean square 1). The rule sees phi for theta and Aᵀg for g, and
    the rate multiplies that; loss, gradient norm, trace, stops, verdict and errors stay in your units.
    reduce: "mean" or "sum" of the row losses: what the rate multiplies. stop: `Stop(...)`.
    errors: "auto", or "hessian": by the exact Hessian, whatever the loss. seed, shuffle: the order of mini-batches.
    trace=True keeps the path.
    restarts: how many starts go downhill on a sample of the rows (seeded) for what has no start; beside a start that
    is wholly given, how many others. The lowest minimum wins.
    progress: True for a line on stderr, or a function of `Progress`, at most ten times a second.
    callbacks: functions of each `Step`; one that returns True ends the run.

    Raises FormulaError, DataError or FitError for input that cannot be used. A run that does not converge is a Fit with
    another status. Ctrl-C keeps the best point: the status is then "interrupted".
    """
    refuse(memory=memory, engine=engine, checkpoint=checkpoint)
    check_errors(errors)
    how = How(start, method, rate, stop, seed, callbacks, batch, shuffle, scale, restarts)
    run = Run.of(
        formula, data, how, loss, reduce, bounds=bounds, fixed=fixed, parameters=parameters, weights=weights,
        sigma=sigma, counts=counts, prior=prior, penalty=penalty, where=where,
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
    scale: str | None = None,
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
    refuse(memory=memory, engine=engine, checkpoint=checkpoint)
    if trace or errors != "auto":
        raise FitError("descend hands out the steps themselves: leave trace and errors out, or use fit")
    how = How(start, method, rate, stop, seed, callbacks, batch, shuffle, scale, restarts)
    if data is None:
        need_data(loss=loss != "squares", reduce=reduce != "mean", parameters=parameters, weights=weights, sigma=sigma,
                   counts=counts, prior=prior, penalty=penalty, where=where)  # fmt: skip
        return Run.of_function(formula, how, bounds=bounds, fixed=fixed).steps(progress)
    run = Run.of(
        formula, data, how, loss, reduce, bounds=bounds, fixed=fixed, parameters=parameters, weights=weights,
        sigma=sigma, counts=counts, prior=prior, penalty=penalty, where=where,
    )  # fmt: skip
    return run.steps(progress)


def minimize(
    objective: Formulas,
    start: Mapping[str, Any] | None = None,
    *,
    method: str = "auto",
    rate: float | str | None = None,
    scale: str | None = None,
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

    The arguments are those of `fit`. Every name is a variable; one without a start begins at 1, or with
    `restarts` where the lowest minimum is reached from, of so many starts drawn within the bounds, or around 1.
    `Fit.loss` is the function at the point. Raises FormulaError or FitError for input that cannot be used.
    """
    run = Run.of_function(
        objective,
        How(start, method, rate, stop, seed, callbacks, scale=scale, restarts=restarts),
        bounds=bounds,
        fixed=fixed,
    )
    return run.finish(trace, progress, "auto")


def maximize(
    objective: Formulas,
    start: Mapping[str, Any] | None = None,
    *,
    method: str = "auto",
    rate: float | str | None = None,
    scale: str | None = None,
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
    how = How(start, method, rate, stop, seed, callbacks, scale=scale, restarts=restarts)
    run = Run.of_function(objective, how, bounds=bounds, fixed=fixed, maximise=True)
    return run.finish(trace, progress, "auto")


def function(formula: Formulas, data: Any = None, *, loss: str = "squares", reduce: str = "mean") -> Function:
    """Loss and gradient as a building block: `f(theta) -> (loss, gradient)`, for SciPy's minimisers, say.

    The reduced objective of `fit` (see `reduce`); without data the function itself, of all names in it.
    """
    if data is None:
        parsed = read(formula)
        if parsed.left is not None:
            raise parsed.error("the loss of an equation needs data", mend="function('y = a*x + b', data)")
        need_data(loss=loss != "squares", reduce=reduce != "mean")
        return Function(surface_over(bind(parsed, None, reduce="sum"), None))
    source, spec = tables.open_source(data), find_loss(loss)
    objective = bound(formula, schema(source), partial(read, formula), loss=spec, reduce=reduction(reduce, spec))
    return Function(surface_over(objective, source))


def explain(formula: Formulas, data: Any = None, *, loss: str = "squares") -> Explanation:
    """What follows from a formula before anything runs: roles, derivatives, structure, safe rates, program.

    With data: derivatives of the row loss by the parameters, and the rates that are safe for the sum, the mean and the
    root of the mean square. Without: of the function, or of the right-hand side of `y = ...`, by every name.
    """
    from .explanation import explained

    parsed = read(formula)
    if data is None:
        need_data(loss=loss != "squares")
        return explained(parsed, None, {}, convexity_of(parsed))
    source, spec = tables.open_source(data), find_loss(loss)
    objective = bind(parsed, schema(source), loss=spec, reduce=reduction("mean", spec))
    surface = surface_over(objective, source)
    return explained(parsed, objective, *guaranteed(objective, surface), surface.kernel)


def compare(
    formula: Formulas | Sequence[Formulas],
    data: Any,
    *,
    methods: Sequence[str] | None = None,
    batches: Sequence[int | None] | None = None,
    seeds: int | None = None,
    starts: int | Sequence[Mapping[str, Any]] | None = None,
    **options: Any,
) -> Comparison | Models:
    """Batch sizes and methods on your data, each with the same start and equal passes: a table and a picture.

    methods: names or rules, by default gd; batches: rows a step, None = all, by default 1, 8, 64, ... and all;
    seeds: how many orders of the rows for each mini-batch case (3), their spread is shown. starts: several start
    points, or how many to draw within `bounds` (or around the start): the share of runs that come into the lowest
    minimum is then shown. Every other option is that of `fit`; `stop=Stop(passes=...)` is the budget (20 passes).
    Raises FormulaError, DataError or FitError for input that cannot be used.
    """
    import inspect

    from .comparison import WHAT, compared

    names = inspect.signature(fit).parameters
    for name in options:
        if name in ("batch", "method"):
            raise FitError(f"compare has no option {name}; give {name.rstrip('s')}{'es' if name == 'batch' else 's'}=")
        if name not in names or name in ("trace", "progress", "errors", "callbacks", "restarts"):
            raise FitError(f"compare has no option {name}")
    chosen = {n: p.default for n, p in names.items() if p.default is not inspect.Parameter.empty} | options
    refuse(**{n: chosen[n] for n in ("memory", "engine", "checkpoint")})
    if isinstance(formula, list | tuple):
        from .models import modelled

        of_descents = {"methods": methods, "batches": batches, "seeds": seeds, "starts": starts}
        used = (*WHAT, "start", "seed", "stop")
        unused = {n: v for n, v in options.items() if n not in used and v != names[n].default}
        for name, given in {**of_descents, **unused}.items():
            if given is not None:
                why = "compares descents of one formula; several formulas are each fitted by auto"
                raise FitError(f"{name}= {why}", f"--{name} {why}")
        return modelled(formula, tables.open_source(data), chosen, WHAT)
    return compared(formula, tables.open_source(data), methods, batches, seeds, starts, chosen)


def resume(checkpoint: str | os.PathLike[str], data: Any = None) -> Fit:
    """Not built yet: go on from a checkpoint."""
    raise FitError("resume is not built yet; give the values of the saved fit as start= to fit")
