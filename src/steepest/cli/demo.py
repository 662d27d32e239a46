"""`steepest demo`: four rows to follow by hand, real measurements beside certified answers, and the descent in pictures.

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
    slow = fit(PLANE, data, start=PLANE_START, method="gd", rate=0.01, reduce="sum", stop=Stop(steps=5_000))
    exact, theta, first = _pseudo_inverse(data), _theta(slow), np.array([PLANE_START[n] for n in slow.free])
    fast = fit(PLANE, data, start=PLANE_START, method="gauss-newton")
    _tell(say, f"Four rows that lie on a plane: {PLANE}. Gradient descent with rate 0.01 on the sum of the squares, "
          f"{slow.steps:,} steps from {_list(first, 1)}, gives")  # fmt: skip
    say(_table(["", *slow.free, "largest error"], [
        ["gradient descent", *_cells(theta, 8), f"{np.max(np.abs(theta - exact)):.2g}"],
        ["pseudo-inverse", *_cells(exact, 8), "(taken as exact)"],
        [f"gauss-newton, {_count(fast.steps, 'step')}", *_cells(_theta(fast), 8),
         f"{np.max(np.abs(_theta(fast) - exact)):.2g}"],
    ]))  # fmt: skip
    known = slow.guarantee
    assert known is not None and slow.rate is not None
    left = known.error(slow.rate, slow.steps, first - exact)
    slowest = 1.0 - slow.rate * known.smallest
    tenth = known.steps(slow.rate, 0.1)
    more = math.ceil(math.log(1e-9 / np.max(np.abs(left))) / math.log(slowest))
    _tell(say, f"Why is it still {np.max(np.abs(theta - exact)):.1g} off after {slow.steps:,} steps? The curvature of "
          f"this loss lies between {known.smallest:.4g} and {known.largest:.4g}: its condition is {known.condition:.1f}. "
          f"Along the flattest direction a step takes away {slow.rate * known.smallest:.2%} of the error, and "
          f"{slowest:.6f}^{slow.steps} = {slowest**slow.steps:.2g} of it is left; each further digit costs "
          f"{tenth:,.0f} steps. Since the loss is a quadratic, what is left can be foretold without a single step:")  # fmt: skip
    say(_table(["error after the run", *slow.free], [
        ["foretold", *(f"{v:+.3e}" for v in left)], ["found", *(f"{v:+.3e}" for v in theta - exact)],
    ]))  # fmt: skip
    checked = fit(
        PLANE, data, start=PLANE_START, method="gd", rate=0.01, reduce="sum", stop=Stop(steps=slow.steps + more)
    )
    _tell(say, f"An error of 1e-9 is foretold for {more:,} more steps; run, they leave "
          f"{np.max(np.abs(_theta(checked) - exact)):.2g}.")  # fmt: skip

    safe = explain(PLANE, data).guarantees
    _tell(say, "What the rate multiplies matters. The same rows, the same start, the rate 0.1, on the sum and on the "
          "mean of the rows' losses:")  # fmt: skip
    rows = []
    for reduce, guarantee in safe.items():
        run = fit(PLANE, data, start=PLANE_START, method="gd", rate=0.1, reduce=reduce, stop=Stop(steps=5_000))
        ended = "diverged" if run.status == "diverged" else f"{np.max(np.abs(_theta(run) - exact)):.1g} off"
        rows.append([reduce, f"{guarantee.limit:.4f}", f"{guarantee.safe:.4f}", f"{ended} after {run.steps:,} steps"])
    say(_table(["loss", "converges below 2/L", "safe 1/L", "rate 0.1"], rows, left=(0, 3)))

    _tell(say, "One row a step (SGD) or two (a mini-batch) reach the plane as well, since every row lies on it; the rates "
          "are 1/L of the steepest row:")  # fmt: skip
    rows = []
    for label, options in (("SGD", {"method": "sgd"}), ("mini-batch of 2", {"method": "gd", "batch": 2})):
        run = fit(PLANE, data, start=PLANE_START, stop=Stop(passes=1_000), **options)  # type: ignore[arg-type]
        rows.append([label, *_cells(_theta(run), 4), f"{run.rate:.3g}", f"{run.passes:,.0f}", f"{run.steps:,}"])
    say(_table(["", *slow.free, "rate", "passes", "steps"], rows))


def _measurements(say: Say, folder: Path) -> None:
    data = datasets.path("chwirut2")
    _head(say, "2. Real measurements, beside the certified answer")
    run = fit(CURVE, data, start=NIST_START)
    _tell(say, f"{run.rows} readings of an ultrasonic calibration (NIST, Chwirut2), read from {Path(data).name}. "
          f"Nothing but the formula, the file and a start is given:")  # fmt: skip
    say(textwrap.indent(run.text(), "  "))
    assert run.errors is not None
    _tell(say, "The same beside the values that NIST certifies to eleven digits:")
    rows = []
    for name, (value, deviation) in CERTIFIED.items():
        mine, error = float(run.values[name]), float(run.errors[name])
        rows.append([name, f"{mine:.10e}", f"{value:.10e}", f"{_digits(mine, value):.1f}", f"{error:.6e}",
                     f"{deviation:.6e}", f"{_digits(error, deviation):.1f}"])  # fmt: skip
    assert run.rss is not None
    rows.append(
        ["rss", f"{run.rss:.10e}", f"{CERTIFIED_RSS:.10e}", f"{_digits(run.rss, CERTIFIED_RSS):.1f}", "", "", ""]
    )
    say(_table(["", "steepest", "NIST", "digits", "error", "NIST", "digits"], rows))
    columns = _columns(data)
    grid = np.linspace(columns["distance"].min(), columns["distance"].max(), 400)
    drawn = plots.fit_and_residuals(
        folder / "fit.png", {"distance": columns["distance"]}, columns["response"], run.predict(data), CURVE,
        "response", curve=(grid, run.predict({"distance": grid})),
    )  # fmt: skip
    say(f"\n  {drawn}: data, curve and residuals")


def _descents(say: Say, folder: Path) -> None:
    data = datasets.path("chwirut2")
    _head(say, "3. All rows, a few, one: three ways down")
    best = fit(LINE, data)
    goal = _theta(best)
    _tell(say, f"The same readings on a log scale, as a line of two parameters: {LINE}. Every run starts at "
          f"{_list(np.array([*LINE_START.values()]), 0)}, takes the rate that the curvature proves safe for it, and reads "
          "the rows twenty times. A step of gradient descent reads all rows; SGD takes a step after every row, and walks "
          "a zig-zag, because each row pulls its own way:")  # fmt: skip
    runs = {
        "gradient descent": {"method": "gd"},
        "mini-batch of 8": {"method": "gd", "batch": 8},
        "SGD": {"method": "sgd"},
    }
    loss = function(LINE, data)
    rows, paths, losses = [], {}, {}
    for label, options in runs.items():
        run = fit(LINE, data, start=LINE_START, trace=True, stop=Stop(passes=20), **options)  # type: ignore[arg-type]
        assert run.trace is not None
        paths[label] = run.trace.values
        losses[label] = _by_pass(run, loss.value)
        above = run.loss - best.loss
        rows.append([label, f"{run.rate:.3g}", f"{run.steps:,}", *_cells(_theta(run), 4), f"{above:.2g}"])
    rows.append(["minimum", "", "", *_cells(goal, 4), "0"])
    say(_table(["", "rate", "steps", *best.free, "loss above the minimum"], rows))
    _tell(say, "SGD and mini-batches come near in the first passes and then hover about the minimum: at a fixed rate the "
          "rows never agree. A rate that falls with the epochs settles them:")  # fmt: skip
    falling = fit(
        LINE, data, start=LINE_START, method="sgd", rate="0.02/(1 + 0.2*epoch)", stop=Stop(passes=200), trace=True
    )
    steady = fit(LINE, data, start=LINE_START, method="sgd", rate=0.02, stop=Stop(passes=200))
    say(_table(["SGD, 200 passes", *best.free, "loss above the minimum"], [
        ["rate 0.02", *_cells(_theta(steady), 4), f"{steady.loss - best.loss:.2g}"],
        ["rate 0.02/(1 + 0.2*epoch)", *_cells(_theta(falling), 4), f"{falling.loss - best.loss:.2g}"],
    ]))  # fmt: skip
    drawn = [
        (plots.contours(folder / "paths.png", lambda a, b: loss.value({"a": a, "b": b}), ("a", "b"), paths,
                        (float(goal[0]), float(goal[1])), f"{LINE}: contours of the loss"), "the way of each over the contours of the loss"),
        (plots.loss_by_step(folder / "loss.png", losses, "pass"), "the loss of all rows after each pass"),
    ]  # fmt: skip
    say("")
    for path, what in drawn:
        say(f"  {path}: {what}")


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


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"


def _table(head: list[str], rows: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    return textwrap.indent("\n".join(align([head, *rows], left)), "  ")


def _head(say: Say, text: str) -> None:
    say(f"\n{text}\n{'-' * len(text)}")


def _tell(say: Say, text: str) -> None:
    say("\n" + textwrap.fill(text, 96) + "\n")
