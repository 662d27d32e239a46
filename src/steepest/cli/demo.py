"""`steepest demo`: four rows to follow by hand, measurements beside certified answers, and descents in pictures.

Every number that it prints is computed while it runs; NIST's certified values alone are constants, with their source.
"""

from __future__ import annotations

import math
import os
import textwrap
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import datasets
from ..api import explain, fit, function
from ..errors import FitError
from ..report import plots
from ..report.text import align
from ..result import Fit
from ..types import Array, Stop

Say = Callable[[str], None]

# https://www.itl.nist.gov/div898/strd/nls/data/chwirut2.shtml: certified value and standard deviation, start 1
CERTIFIED = {
    "b1": (1.6657666537e-01, 3.8303286810e-02),
    "b2": (5.1653291286e-03, 6.6621605126e-04),
    "b3": (1.2150007096e-02, 1.5304234767e-03),
}
CERTIFIED_RSS = 5.1304802941e02
NIST_START = {"b1": 0.1, "b2": 0.01, "b3": 0.02}

PLANE = "y = b1*x1 + b2*x2 + c"
PLANE_START = {"b1": 10.1, "b2": 15.1, "c": -6.5}
CURVE = "response = exp(-b1*distance)/(b2 + b3*distance)"
LINE = "log(response) = a + b*distance"
LINE_START = {"a": 1.0, "b": 1.0}


def tell(folder: str, say: Say) -> None:
    """Run the demo; pictures go to `folder`, which is made. Raises FitError where that cannot be."""
    began = time.perf_counter()
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FitError(f"the folder {folder} cannot be made: {error.strerror}") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what would be warned of is told in the text
        _four_rows(say)
        _measurements(say, Path(folder))
        _descents(say, Path(folder))
    say(f"\nThat took {time.perf_counter() - began:.1f} seconds. The pictures are in {folder}.")


def _four_rows(say: Say) -> None:
    data = datasets.path("notes")
    _head(say, "1. Four rows, gradient descent, and why it takes so long")
    slow = _plane(data, rate=0.01, reduce="sum", steps=5_000)
    fast = fit(PLANE, data, start=PLANE_START, method="gauss-newton")
    first, theta, exact = np.array([PLANE_START[n] for n in slow.free]), _theta(slow), _pseudo_inverse(data)
    off = float(np.max(np.abs(theta - exact)))
    _tell(
        say,
        f"Four rows that lie on a plane, {_whole(PLANE)}. Gradient descent on the sum of the squares, rate 0.01, "
        f"{slow.steps:,} steps from {_list(first, 1)}, beside the pseudo-inverse of linear algebra and a method that "
        "uses the curvature:",
    )
    rows = [
        ["gradient descent", *_cells(theta, 8), f"{off:.2g}"],
        ["pseudo-inverse", *_cells(exact, 8), "(taken as exact)"],
        ["gauss-newton", *_cells(_theta(fast), 8), f"{np.max(np.abs(_theta(fast) - exact)):.2g}"],
    ]
    say(_table(["", *slow.free, "largest error"], rows))
    known = slow.guarantee
    assert known is not None and slow.rate is not None
    share = slow.rate * known.smallest
    left = known.error(slow.rate, slow.steps, first - exact)
    _tell(
        say,
        f"Why is it still {off:.1g} off after {slow.steps:,} steps? The curvature of this loss lies between "
        f"{known.smallest:.4g} and {known.largest:.4g}: its condition is {known.condition:.1f}. Along the flattest "
        f"direction a step takes away {share:.2%} of the error; {slow.steps:,} steps leave "
        f"{(1 - share) ** slow.steps:.2g} of it, and each further digit costs {known.steps(slow.rate, 0.1):,.0f} more. "
        "The loss is a quadratic, so what is left is known without a single step:",
    )
    rows = [["foretold", *(f"{v:+.3e}" for v in left)], ["found", *(f"{v:+.3e}" for v in theta - exact)]]
    say(_table(["error after the run", *slow.free], rows))
    more = math.ceil(math.log(1e-9 / float(np.max(np.abs(left)))) / math.log1p(-share))
    longer = _plane(data, rate=0.01, reduce="sum", steps=slow.steps + more)
    _tell(
        say,
        f"It foretells {more:,} further steps for an error of 1e-9. Run, they leave "
        f"{np.max(np.abs(_theta(longer) - exact)):.3g}.",
    )
    _tell(say, "What the rate multiplies matters: the same rows, start and rate 0.1, on the sum and on the mean:")
    rows = []
    for reduce, guarantee in explain(PLANE, data).guarantees.items():
        run = _plane(data, rate=0.1, reduce=reduce, steps=5_000)
        ended = "diverged" if run.status == "diverged" else f"{np.max(np.abs(_theta(run) - exact)):.1g} off"
        rows.append([reduce, f"{guarantee.limit:.4f}", f"{guarantee.safe:.4f}", f"{ended} after {run.steps:,} steps"])
    say(_table(["loss", "converges below 2/L", "safe 1/L", "rate 0.1"], rows, left=(0, 3)))
    _tell(
        say,
        "One row a step (SGD) or two (a mini-batch) reach the plane as well, since every row lies on it. The rate is "
        "1/L of the steepest row, the run 1,000 passes:",
    )
    rows = []
    for label, batch in (("SGD", 1), ("mini-batch of 2", 2)):
        run = fit(PLANE, data, start=PLANE_START, method="gd", batch=batch, stop=Stop(passes=1_000))
        rows.append([label, *_cells(_theta(run), 4), f"{run.rate:.3g}", f"{run.steps:,}"])
    say(_table(["", *slow.free, "rate", "steps"], rows))


def _measurements(say: Say, folder: Path) -> None:
    data = datasets.path("chwirut2")
    _head(say, "2. Real measurements, beside the certified answer")
    run = fit(CURVE, data, start=NIST_START)
    _tell(
        say,
        f"{run.rows} readings of an ultrasonic calibration (Chwirut2 of NIST), read from {Path(data).name}. The "
        "formula, the file and a start are all that is given:",
    )
    say("\n" + textwrap.indent(run.text(), "  "))
    assert run.errors is not None and run.rss is not None
    _tell(say, "The same beside what NIST certifies to eleven digits, and how many of them agree:")
    rows = []
    for name, (value, deviation) in CERTIFIED.items():
        mine, error = float(run.values[name]), float(run.errors[name])
        rows.append(
            [
                name, f"{mine:.10e}", f"{value:.10e}", f"{_digits(mine, value):.1f}",
                f"{error:.6e}", f"{deviation:.6e}", f"{_digits(error, deviation):.1f}",
            ]
        )  # fmt: skip
    digits = _digits(run.rss, CERTIFIED_RSS)
    rows.append(["rss", f"{run.rss:.10e}", f"{CERTIFIED_RSS:.10e}", f"{digits:.1f}", "", "", ""])
    say(_table(["", "steepest", "NIST", "digits", "error", "NIST", "digits"], rows))
    columns = _columns(data)
    distance, response = columns["distance"], columns["response"]
    grid = np.linspace(distance.min(), distance.max(), 400)
    curve = (grid, run.predict({"distance": grid}))
    path = folder / "fit.png"
    plots.fit_and_residuals(path, {"distance": distance}, response, run.predict(data), CURVE, "response", curve)
    say(f"\n  {path}: data, curve and residuals")


def _descents(say: Say, folder: Path) -> None:
    data = datasets.path("chwirut2")
    _head(say, "3. All rows, a few, one: three ways down")
    best = fit(LINE, data)
    goal, first = _theta(best), np.array([LINE_START[name] for name in best.free])
    _tell(
        say,
        f"The same readings on a log scale are nearly a line of two parameters, {_whole(LINE)}. Every run starts at "
        f"{_list(first, 0)}, takes the rate that the curvature shows to be safe for it, and reads the rows twenty "
        "times. A step of gradient descent reads them all and goes straight; SGD steps after every row and zig-zags, "
        "because each row pulls its own way:",
    )
    loss = function(LINE, data)
    rows, paths, losses = [], {}, {}
    for label, batch in (("gradient descent", None), ("mini-batch of 8", 8), ("SGD", 1)):
        run = fit(LINE, data, start=LINE_START, method="gd", batch=batch, trace=True, stop=Stop(passes=20))
        assert run.trace is not None
        paths[label], losses[label] = run.trace.values, _by_pass(run, loss.value)
        cells = [f"{run.rate:.3g}", f"{run.steps:,}", f"{1e3 * run.seconds:.1f}", *_cells(_theta(run), 4)]
        rows.append([label, *cells, f"{run.loss - best.loss:.2g}"])
    rows.append(["minimum", "", "", "", *_cells(goal, 4), "0"])
    say(_table(["", "rate", "steps", "ms", *best.free, "loss above the minimum"], rows))
    _tell(
        say,
        "Small batches come far in few passes; each pass takes longer, and near the end they hover, for at a fixed "
        "rate the rows never agree. A rate that falls with the epochs settles them:",
    )
    rows = []
    for rate in ("0.02", "0.02/(1 + 0.2*epoch)"):
        run = fit(LINE, data, start=LINE_START, method="sgd", rate=rate, stop=Stop(passes=200))
        rows.append([rate, *_cells(_theta(run), 4), f"{run.loss - best.loss:.2g}"])
    say(_table(["SGD, 200 passes, rate", *best.free, "loss above the minimum"], rows))
    picture, curves = folder / "paths.png", folder / "loss.png"
    lowest = (float(goal[0]), float(goal[1]))
    title = f"{LINE}: the way down over the contours of the loss"
    plots.contours(picture, lambda a, b: loss.value({"a": a, "b": b}), ("a", "b"), paths, lowest, title)
    plots.loss_by_step(curves, losses, "pass", f"{LINE}: loss of all rows by pass")
    say(f"\n  {picture}: the way of each over the contours of the loss")
    say(f"  {curves}: the loss of all rows after each pass")


# pieces ------------------------------------------------------------------------------------------------------


def _pseudo_inverse(data: str) -> Array:
    """The plane by linear algebra alone."""
    columns = _columns(data)
    matrix = np.column_stack([columns["x1"], columns["x2"], np.ones(len(columns["y"]))])
    return np.asarray(np.linalg.pinv(matrix) @ columns["y"], dtype=np.float64)


def _columns(data: str) -> dict[str, Array]:
    table = np.genfromtxt(data, delimiter=",", names=True, encoding="utf-8")
    return {name: np.asarray(table[name], dtype=np.float64) for name in table.dtype.names or ()}


def _by_pass(run: Fit, loss: Callable[[Any], float]) -> tuple[Array, Array]:
    """The loss of all rows at the start and after each pass."""
    assert run.trace is not None
    steps = run.trace.values
    each = 1 if run.batch is None else math.ceil(run.rows / run.batch)
    places = range(0, len(steps), each)
    return np.arange(len(places), dtype=np.float64), np.array([loss(steps[i]) for i in places])


def _plane(data: str, rate: float, reduce: str, steps: int) -> Fit:
    """Gradient descent on the four rows."""
    stop = Stop(steps=steps)
    return fit(PLANE, data, start=PLANE_START, method="gd", rate=rate, reduce=reduce, stop=stop)


def _theta(run: Fit) -> Array:
    return np.array([float(run.values[name]) for name in run.free])


def _digits(value: float, certified: float) -> float:
    """Correct digits: the logarithm of the relative error, at most the eleven that are certified."""
    error = abs(value - certified) / abs(certified)
    return 11.0 if error < 1e-11 else -math.log10(error)


def _cells(values: Array, digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def _list(values: Array, digits: int) -> str:
    return "[" + ", ".join(_cells(values, digits)) + "]"


def _table(head: list[str], rows: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    return "\n" + textwrap.indent("\n".join(align([head, *rows], left)), "  ")


def _head(say: Say, text: str) -> None:
    say(f"\n{text}\n{'-' * len(text)}")


def _tell(say: Say, text: str) -> None:
    say("\n" + textwrap.fill(text, 96).replace("\u00a0", " "))


def _whole(formula: str) -> str:
    """A formula that stays on one line."""
    return formula.replace(" ", "\u00a0")
