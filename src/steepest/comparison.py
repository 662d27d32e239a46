"""Batch sizes and methods side by side on one table, under one budget of passes: which way down is the quickest."""

from __future__ import annotations

import itertools
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from .data.source import Block, Source
from .descent import Descent
from .errors import FitError
from .kernels.surface import Surface
from .report.html import comparison_html
from .report.text import align
from .result import Fit, Value, flatten
from .run import Formulas, How, Run
from .strategy import SEARCHING
from .types import Array, Need, Status, Step, Stop

ENDLESS = 1e18  # passes: the comparison ends a run itself, with no pass for a verdict
WHAT = ("loss", "reduce", "bounds", "fixed", "parameters", "weights", "sigma", "counts", "prior", "penalty", "where")
LONGEST_PATH = 3_000  # steps that are kept for a picture
MOST_ROWS = 20_000  # rows of the objective of all rows in a picture of batches


@dataclass(frozen=True)
class Descended:
    """One descent. `passes`, `seconds`, `losses` (m,): the reduced loss of all rows after each pass, and when.

    The time of measuring the loss is not counted. `minimum`: the loss of the local minimum into which the run has come.
    """

    seed: int
    passes: Array
    seconds: Array
    losses: Array
    steps: int
    values: dict[str, Value]
    status: Status
    path: Array  # (k, p): theta step by step, the first of them
    minimum: float | None = None


@dataclass(frozen=True)
class Case:
    """A method with a batch size (None: all rows) and its rate (None: its own or a schedule), over seeds and starts."""

    method: str
    batch: int | None
    rate: float | None
    runs: tuple[Descended, ...]

    @property
    def label(self) -> str:
        """As in the legend."""
        return f"{self.method}, {'all rows' if self.batch is None else f'batch {self.batch:,}'}"

    @cached_property
    def curve(self) -> tuple[Array, Array, Array, Array, Array]:
        """Over the runs: passes, median seconds, median, lowest and highest loss, cut to the shortest run."""
        length = min(len(run.losses) for run in self.runs)
        losses = np.array([run.losses[:length] for run in self.runs])
        seconds = np.array([run.seconds[:length] for run in self.runs])
        passes = self.runs[0].passes[:length]
        with np.errstate(all="ignore"):
            return passes, np.median(seconds, 0), np.median(losses, 0), losses.min(0), losses.max(0)

    def seconds_to(self, level: float) -> float:
        """Median seconds until the loss is at or below a level; infinite where it is not reached."""
        times = [
            float(r.seconds[np.argmax(r.losses <= level)]) if (r.losses <= level).any() else math.inf for r in self.runs
        ]
        return float(np.median(times)) if all(map(math.isfinite, times)) else math.inf

    def share(self, lowest: float) -> float | None:
        """The share of the runs that have come into the lowest minimum found."""
        if any(run.minimum is None for run in self.runs):
            return None
        tolerance = 1e-6 * max(abs(lowest), 1e-300)
        return sum(run.minimum is not None and run.minimum <= lowest + tolerance for run in self.runs) / len(self.runs)


@dataclass(frozen=True, repr=False)
class Comparison:
    """The cases in the order asked for; it prints itself as a table with the sentence that says which batch wins.

    best: loss and values of the exact minimum, where a second-order method could certify it from the same start.
    """

    formula: str
    cases: tuple[Case, ...]
    passes: float
    seeds: int
    starts: int
    best: tuple[float, dict[str, Value]] | None
    rows: int
    notes: tuple[str, ...] = ()
    surface: Surface | None = field(default=None, repr=False, compare=False)

    @cached_property
    def table(self) -> list[dict[str, Any]]:
        """A dict for each case: batch, method, rate, steps, passes, seconds, loss (median over the runs), lowest and
        highest loss, above (the minimum), distance (of the parameters, largest), share (of runs in the lowest minimum),
        status."""
        rows = []
        for case in self.cases:
            passes, seconds, median, low, high = case.curve
            shares = case.share(self.lowest) if self.starts > 1 else None
            rows.append({
                "batch": case.batch, "method": case.method, "rate": case.rate,
                "steps": int(np.median([r.steps for r in case.runs])), "passes": float(passes[-1]),
                "seconds": float(seconds[-1]), "loss": float(median[-1]), "lowest": float(low[-1]),
                "highest": float(high[-1]), "above": self._above(float(median[-1])), "distance": self._distance(case),
                "share": shares, "status": "/".join(dict.fromkeys(str(r.status) for r in case.runs)),
            })  # fmt: skip
        return rows

    @property
    def lowest(self) -> float:
        """The lowest minimum that any run has come into."""
        return min((r.minimum for c in self.cases for r in c.runs if r.minimum is not None), default=math.inf)

    @cached_property
    def sentence(self) -> str:
        """From several starts, how many runs come into the lowest minimum; else which case is first at the loss that
        full gradient descent ends with, and which are slower than it."""
        if self.starts > 1:
            shares = ", ".join(f"{c.label} {c.share(self.lowest) or 0:.0%}" for c in self.cases)
            return f"runs that come into the lowest minimum found, loss {self.lowest:.6g}: {shares}"
        timed = [c for c in self.cases if math.isfinite(float(c.curve[2][-1]))]
        if len(timed) < 2:
            return ""
        full = next((c for c in timed if c.batch is None), None)
        reference = full or max(timed, key=lambda c: float(c.curve[2][-1]))
        level, took = float(reference.curve[2][-1]), float(reference.curve[1][-1])
        times = [took if c is reference else c.seconds_to(level) for c in timed]
        first = min(range(len(timed)), key=times.__getitem__)
        words = f"{reference.label}: loss {level:.6g} after {reference.curve[0][-1]:,.4g} passes, {took:.3g} s"
        if timed[first] is not reference:
            words += f"; {timed[first].label} is there first, after {times[first]:.3g} s"
        slower = [f"{c.label} ({_seconds(t)})" for c, t in zip(timed, times, strict=True) if t > took]
        return words + (f"; slower are {', '.join(slower)}" if slower else "")

    def text(self) -> str:
        """The table, and the sentence under it."""
        head, body = self._cells()
        table = align([head, *body], left=(1, len(head) - 1))
        return "\n".join([self.formula, ", ".join(self._asked()), "", *table, "", *self._said()])

    __str__ = __repr__ = text

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        head, body = self._cells()
        return comparison_html(self.formula, head, body, [", ".join(self._asked()), *self._said()])

    def _asked(self) -> list[str]:
        asked = [f"{self.rows:,} rows", f"{self.passes:,.4g} passes for each run"]
        asked += [f"{self.seeds} orders of the rows"] * (self.seeds > 1)
        return asked + [f"{self.starts} starts"] * (self.starts > 1)

    def _said(self) -> list[str]:
        said = []
        if self.best is not None:
            found = ", ".join(f"{name} = {value:.6g}" for name, value in flatten(self.best[1]).items())
            said.append(f"the minimum, by a second-order method: loss {self.best[0]:.6g} at {found}")
        return [*said, *filter(None, [self.sentence]), *self.notes]

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """The head of the table and its rows, as text."""
        several, many = self.seeds * self.starts > 1, self.starts > 1
        head = ["batch", "method", "rate", "steps", "passes", "seconds", "loss"]
        head += ["from", "to"] * several + ["above minimum"] * (self.best is not None)
        head += ["in the lowest minimum"] * many + ["status"]
        body = []
        for row in self.table:
            cells = ["all" if row["batch"] is None else f"{row['batch']:,}", row["method"]]
            cells += ["-" if row["rate"] is None else f"{row['rate']:.4g}", f"{row['steps']:,}"]
            cells += [f"{row['passes']:,.4g}", f"{row['seconds']:.3g}", f"{row['loss']:.6g}"]
            cells += [f"{row['lowest']:.6g}", f"{row['highest']:.6g}"] * several
            cells += ["-" if row["above"] is None else f"{row['above']:.2g}"] * (self.best is not None)
            cells += ["-" if row["share"] is None else f"{row['share']:.0%}"] * many
            body.append([*cells, row["status"]])
        return head, body

    def plot(self, path: str | os.PathLike[str]) -> str:
        """Loss against passes and against seconds (above the minimum, where it is known), to a PNG or SVG file."""
        from .report import plots

        floor = None if self.best is None else self.best[0]
        return plots.loss_by_pass_and_second(path, {c.label: c.curve for c in self.cases}, floor, self.formula)

    def plot_paths(self, path: str | os.PathLike[str]) -> str:
        """Contours of the loss with the path of each case, for a formula of two free parameters: the straight way of
        gradient descent beside the zig-zag of SGD. At most the first 3,000 steps."""
        from .report import plots

        surface, names = self._two()
        paths = {case.label: case.runs[0].path for case in self.cases}

        def loss(a: float, b: float) -> float:
            return surface.at(np.array([a, b]), Need.VALUE).loss

        with np.errstate(all="ignore"):
            return plots.contours(path, loss, names, paths, self._minimum(), self.formula)

    def plot_batches(self, path: str | os.PathLike[str], batch: int, seed: int = 0) -> str:
        """Contours of the objectives of the first three batches beside that of all rows (of 20,000 drawn at random,
        where there are more), for a formula of two free parameters: each batch has an objective of its own."""
        from .report import plots

        surface, names = self._two()
        batches = surface.reader.batches(batch, seed=seed, shuffle=True, epoch=0)
        blocks = {f"batch {i + 1}: {batch:,} rows": block for i, block in zip(range(3), batches, strict=False)}
        most = min(self.rows, MOST_ROWS)
        blocks[f"{'all' if most == self.rows else 'drawn'}: {most:,} rows"] = next(
            surface.reader.batches(most, seed=seed, shuffle=True, epoch=0)
        )

        def objective(block: Block) -> Callable[[float, float], float]:
            def loss(a: float, b: float) -> float:
                evaluation = surface.batch(block, np.array([a, b]))
                return math.nan if evaluation is None else evaluation.loss

            return loss

        ends = np.vstack([case.runs[0].path for case in self.cases])
        low, high = (f(ends[np.isfinite(ends).all(axis=1)], axis=0) for f in (np.min, np.max))
        size = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
        box = [(float(a - 0.3 * s), float(b + 0.3 * s)) for a, b, s in zip(low, high, size, strict=True)]
        losses = {label: objective(block) for label, block in blocks.items()}
        with np.errstate(all="ignore"):
            return plots.objectives(path, losses, names, (box[0], box[1]), self._minimum(), self.formula)

    def _two(self) -> tuple[Surface, tuple[str, str]]:
        """The surface and names of a formula of two free parameters."""
        names = () if self.surface is None else self.surface.objective.layout.flat
        if self.surface is None or len(names) != 2:
            raise FitError(f"contours need two free parameters, not {len(names)}: hold the others with fixed=")
        return self.surface, (names[0], names[1])

    def _minimum(self) -> tuple[float, float] | None:
        if self.best is None or self.surface is None:
            return None
        flat = flatten(self.best[1])
        a, b = (flat[name] for name in self.surface.objective.layout.flat)
        return a, b

    def as_dict(self) -> dict[str, Any]:
        """Plain types: what `--json` prints."""
        rows = [
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in r.items()} for r in self.table
        ]
        best = None if self.best is None else {"loss": self.best[0], "values": flatten(self.best[1])}
        return {"formula": self.formula, "rows": self.rows, "passes": self.passes, "seeds": self.seeds,
                "starts": self.starts, "best": best, "table": rows, "sentence": self.sentence}  # fmt: skip

    def _above(self, loss: float) -> float | None:
        return None if self.best is None else loss - self.best[0]

    def _distance(self, case: Case) -> float | None:
        """Median over the runs of the largest difference of a parameter to the minimum."""
        if self.best is None:
            return None
        best = np.array([*flatten(self.best[1]).values()])
        return float(np.median([np.abs(np.array([*flatten(r.values).values()]) - best).max() for r in case.runs]))


def measure(steps: Iterator[Step], descent: Descent, passes: float) -> Descended:
    """Run the steps of a descent for some passes; the loss of all rows is measured afterwards, off the clock."""
    clock, marks, last, next_mark = 0.0, [], None, 0.0
    path: list[Array] = []
    while True:
        began = time.perf_counter()
        step = next(steps, None)
        clock += time.perf_counter() - began
        if step is None:
            break
        last, done = step, descent.passes
        if len(path) < LONGEST_PATH:
            path.append(step.theta)
        if done >= next_mark - 1e-9:
            marks.append((done, clock, step.theta))
            next_mark = math.floor(done + 1e-9) + 1.0
        if step.status is not Status.RUNNING or done >= passes - 1e-9:
            break
    assert last is not None
    if marks[-1][2] is not last.theta:
        marks.append((descent.passes, clock, last.theta))
    losses = [descent.surface.at(np.array(theta), Need.VALUE).loss for _, _, theta in marks]
    status = Status.STOPPED if last.status is Status.RUNNING else last.status
    return Descended(
        descent.seed, np.array([m[0] for m in marks]), np.array([m[1] - marks[0][1] for m in marks]), np.array(losses),
        last.number, dict(last.values), status, np.array(path),
    )  # fmt: skip


def compared(
    formula: Formulas,
    source: Source,
    methods: Sequence[str] | None,
    batches: Sequence[int | None] | None,
    seeds: int | None,
    starts: int | Sequence[Mapping[str, Any]] | None,
    chosen: Mapping[str, Any],
) -> Comparison:
    """Run every case; `chosen` are the options of `fit`. Raises FitError for a budget that is not passes."""
    stop = chosen["stop"] or Stop()
    if stop != Stop(passes=stop.passes):
        raise FitError("compare gives each run equal passes: stop=Stop(passes=20), and no other limit")
    if (isinstance(starts, int) and starts < 1) or (seeds is not None and seeds < 1):
        raise FitError("compare needs at least one seed and one start")
    passes, seed, orders = float(stop.passes or 20), chosen["seed"], seeds or 3
    what = {name: chosen[name] for name in WHAT}

    def ready(method: str, batch: int | None, order: int, start: Any) -> Run:
        rate = None if _second_order(method) else chosen["rate"]
        scale = None if _second_order(method) else chosen["scale"]
        how = How(start, method, rate, Stop(passes=ENDLESS), seed + order, (), batch, chosen["shuffle"], scale)
        return Run.of(formula, source, how, **what)

    probe = ready("auto", None, 0, chosen["start"])
    objective, first = probe.objective, probe.descent.start
    if isinstance(starts, int):
        starts = random_starts(starts, first, objective.lower, objective.upper, seed, objective.layout.values)
    points = list(starts) if starts is not None else [chosen["start"]]
    if batches is None:
        batches = default_batches(probe.surface.reader.rows)
    cases, notes = [], []
    exact: Fit | None = None
    for method in methods or ["gd"]:
        for batch in [None] if _second_order(method) else batches:
            descents: list[Descended] = []
            for order, start in itertools.product(range(1 if batch is None else orders), points):
                run = ready(method, batch, order, start)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what is called out stands under the table
                    descended = measure(run.steps(None), run.descent, passes)
                notes += run.notes
                if len(points) > 1:
                    polished = ready("auto", None, 0, descended.values).finish(False, None, "auto")
                    if polished.ok and (exact is None or polished.loss < exact.loss):
                        exact = polished
                    end = polished.loss if polished.ok else float(descended.losses[-1])
                    descended = replace(descended, minimum=end)
                descents.append(descended)
            cases.append(Case(method, batch, run.descent.plan.rate, tuple(descents)))
    if exact is None:
        exact = probe.finish(False, None, "auto")
    return Comparison(
        objective.formula.text, tuple(cases), passes, orders, len(points),
        (exact.loss, exact.values) if exact.ok else None, exact.rows, tuple(dict.fromkeys(notes)), probe.surface,
    )  # fmt: skip


def _second_order(method: str) -> bool:
    return method.partition("(")[0].strip() in SEARCHING


def default_batches(rows: int) -> list[int | None]:
    """1, 8, 64, 512, ... as far as the rows go, and all rows."""
    return [*(b for b in (1, 8, 64, 512, 4096) if b < rows), None]


def random_starts(
    count: int, theta: Array, lower: Array, upper: Array, seed: int, unpack: Any
) -> Sequence[Mapping[str, Value]]:
    """Starts drawn evenly between the bounds; where there is none, within ± the size of the start around it."""
    random = np.random.default_rng(seed)
    size = np.where(theta == 0, 1.0, np.abs(theta))
    low = np.where(np.isfinite(lower), lower, theta - size)
    high = np.where(np.isfinite(upper), upper, theta + size)
    return [unpack(low + (high - low) * random.random(len(theta))) for _ in range(count)]


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if math.isfinite(value) else "not within its passes"
