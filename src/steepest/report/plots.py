"""Pictures: data, fit and residuals; loss by pass; contours with the paths of descents.

Plain arrays in, the path out; PNG or SVG by the file's ending. matplotlib is imported when a picture is drawn, without
pyplot: nothing global is touched. Colours are those of Okabe and Ito, told apart by all kinds of colour vision; lines
differ in their dashes, too. Names are drawn as they are written, never as mathtext.
"""

from __future__ import annotations

import os
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FitError
from ..types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILLION, GREEN, PURPLE, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, "#000000")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
GREY = "#999999"
MANY = 5_000  # points: above, their density is drawn
FINE = 2_000  # points of a line: more cannot be seen
GRID = 101  # points a side of a contour picture
COARSE = 61  # the same where several are drawn

Path2 = str | os.PathLike[str]
Loss = Callable[[float, float], float]


def fit_and_residuals(
    path: Path2,
    abscissas: Mapping[str, Array],
    left: Array,
    right: Array,
    formula: str,
    left_name: str,
    curve: tuple[Array, Array] | None = None,
) -> str:
    """Data with the fitted curve over one abscissa, and the residuals below; with several, against the prediction.

    abscissas: name -> (rows,); left, right: observed and predicted, (rows,). `curve`: abscissas and predictions on a
    fine grid, for a smooth line, or (m, 3) with both ends of a band; without it the predictions at the data are joined.
    Above 5,000 rows density is drawn.
    Returns the path. Raises FitError for a suffix other than .png or .svg, and where the file cannot be written.
    """
    return _draw(path, (6.4, 5.6), lambda figure: _fit_and_residuals(
        figure, abscissas, left, right, formula, left_name, curve
    ))  # fmt: skip


def loss_by_step(path: Path2, runs: Mapping[str, tuple[Array, Array]], x_label: str = "step", title: str = "") -> str:
    """The loss on its way down: name -> (steps or passes, losses), on a log scale where no loss is negative."""
    return _draw(path, (6.4, 4.2), lambda figure: _loss_by_step(figure, runs, x_label, title))


def loss_by_pass_and_second(
    path: Path2,
    curves: Mapping[str, tuple[Array, Array, Array, Array, Array]],
    floor: float | None = None,
    title: str = "",
) -> str:
    """Loss against passes and against seconds: label -> (passes, seconds, median, lowest, highest loss), each (m,).

    `floor`: the loss of the minimum, which is then taken away.
    """
    return _draw(path, (9.6, 4.4), lambda figure: _loss_by_pass_and_second(figure, curves, floor, title))


def contours(
    path: Path2,
    loss: Loss | tuple[Array, Array, Array],
    names: tuple[str, str],
    paths: Mapping[str, Array],
    minimum: tuple[float, float] | None = None,
    title: str = "",
) -> str:
    """Contours of the loss over two parameters, one panel for each descent with its path from the start.

    loss: a function of two numbers, or a grid (a (n,), b (m,), losses (m, n)); names: the two parameters; paths:
    label -> (steps, 2), the start first; minimum: where it lies, if it is known.
    """
    return _draw(
        path,
        (max(4.6, 1.0 + 2.9 * len(paths)), 4.0),
        lambda figure: _contours(figure, loss, names, paths, minimum, title),
    )


def objectives(
    path: Path2,
    losses: Mapping[str, Loss],
    names: tuple[str, str],
    box: tuple[tuple[float, float], tuple[float, float]],
    minimum: tuple[float, float] | None = None,
    title: str = "",
) -> str:
    """Contours of several losses over the same two parameters, one panel each: how the objective changes its shape.

    losses: label -> a function of two numbers; box: the range of each parameter; minimum: a point marked in all panels.
    """
    size = (1.0 + 2.6 * len(losses), 3.8)
    return _draw(path, size, lambda figure: _objectives(figure, losses, names, box, minimum, title))


def suffix_of(path: Path2) -> str:
    """png or svg. Raises FitError for any other ending."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".png", ".svg"):
        raise FitError(f"{target}: pictures are written as .png or .svg; name it {target.stem or 'picture'}.png")
    return suffix[1:]


# figures -----------------------------------------------------------------------------------------------------


def _fit_and_residuals(
    figure: Figure,
    abscissas: Mapping[str, Array],
    left: Array,
    right: Array,
    formula: str,
    left_name: str,
    curve: tuple[Array, Array] | None,
) -> None:
    if left_name.count("`") == 2 and left_name[0] == left_name[-1] == "`":
        left_name = left_name[1:-1]
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    residuals = left - right
    name = next(iter(abscissas), "")
    single = len(abscissas) == 1 and _is_function_of(abscissas[name], right)
    across = abscissas[name] if single else right
    handles, labels = [], []
    dense = len(left) > MANY
    points = _points(figure, upper, across, left)
    handles.append(points)
    labels.append(f"density of {len(left):,} rows" if dense else "observed")
    if single:
        x, y = (across, right) if curve is None else curve
        if y.ndim > 1:
            labels.append("95 % confidence band")
            handles.append(upper.fill_between(x, y[:, 1], y[:, 2], color=VERMILLION, alpha=0.2, linewidth=0, zorder=2))
            y = y[:, 0]
        order = np.argsort(x, kind="stable")
        kept = order[_thin(len(order))]
        handles += upper.plot(x[kept], y[kept], color=VERMILLION, linewidth=1.8, zorder=3)
        labels.append("fit")
    elif len(left):
        ends = [min(left.min(), right.min()), max(left.max(), right.max())]
        handles += upper.plot(ends, ends, color=VERMILLION, linewidth=1.6, linestyle="--", zorder=3)
        labels.append("observed = predicted")
    _points(figure, lower, across, residuals, bar=False)
    lower.axhline(0.0, color=VERMILLION, linewidth=1.2, zorder=3)
    _title(figure, formula)
    _label(upper.set_ylabel, left_name)
    lower.set_ylabel("residual")
    _label(lower.set_xlabel, name if single else f"predicted {left_name}")
    _legend(upper, handles, labels)


def _loss_by_step(figure: Figure, runs: Mapping[str, tuple[Array, Array]], x_label: str, title: str) -> None:
    axes = figure.subplots()
    losses = [np.asarray(loss, dtype=float) for _, loss in runs.values()]
    seen = np.concatenate([loss[np.isfinite(loss)] for loss in losses]) if losses else np.zeros(0)
    log = bool((seen > 0).any() and not (seen < 0).any())
    handles = []
    for i, ((steps, _), loss) in enumerate(zip(runs.values(), losses, strict=True)):
        kept = _thin(len(loss))
        shown = np.where(loss[kept] > 0, loss[kept], np.nan) if log else loss[kept]
        handles += axes.plot(
            np.asarray(steps)[kept], shown, color=COLOURS[i % len(COLOURS)], linestyle=DASHES[i % len(DASHES)],
            linewidth=1.8, marker="o" if len(loss) == 1 else None,
        )  # fmt: skip
    if log:
        axes.set_yscale("log")
    _label(axes.set_xlabel, x_label)
    axes.set_ylabel("loss (log scale)" if log else "loss")
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.locator_params(axis="x", integer=True)
    _title(figure, title or f"loss by {x_label}")
    _legend(axes, handles, list(runs))


def _loss_by_pass_and_second(
    figure: Figure,
    curves: Mapping[str, tuple[Array, Array, Array, Array, Array]],
    floor: float | None,
    title: str,
) -> None:
    by_pass, by_second = figure.subplots(1, 2, sharey=True)
    base = 0.0 if floor is None else floor
    least = -np.inf if floor is None else 4e-16 * abs(floor)  # the rounding of the loss
    for i, (label, (passes, seconds, median, low, high)) in enumerate(curves.items()):
        style = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)], "linewidth": 1.8}
        for axes, across, first in ((by_pass, passes, 0), (by_second, seconds, 1)):  # no start on a log scale
            middle, below, above = (np.maximum(loss - base, least)[first:] for loss in (median, low, high))
            axes.plot(across[first:], middle, label=label, **style)
            axes.fill_between(across[first:], below, above, color=style["color"], alpha=0.15, linewidth=0)
    heights = np.concatenate([np.maximum(c[2] - base, least) for c in curves.values()])
    if (heights[np.isfinite(heights)] > 0).all():
        by_pass.set_yscale("log")
    times = np.concatenate([c[1][1:] for c in curves.values()])
    if len(times) and times.min() > 0:
        by_second.set_xscale("log")
    by_pass.set_ylabel("loss" if floor is None else "loss above the minimum")
    by_pass.set_xlabel("passes over the rows")
    by_second.set_xlabel("seconds (log scale)")
    by_pass.legend(loc="best", fontsize="small")
    for axes in (by_pass, by_second):
        axes.grid(True, color=GREY, alpha=0.3, linewidth=0.6)
    if title:
        _title(figure, title)


def _contours(
    figure: Figure,
    loss: Loss | tuple[Array, Array, Array],
    names: tuple[str, str],
    paths: Mapping[str, Array],
    minimum: tuple[float, float] | None,
    title: str,
) -> None:
    a, b, heights = _grid(loss, paths, minimum) if callable(loss) else loss
    lowest = float(np.nanmin(np.where(np.isfinite(heights), heights, np.nan)))
    if callable(loss) and minimum is not None:
        lowest = min(lowest, float(loss(*minimum)))
    above = np.where(np.isfinite(heights), heights, np.nan) - lowest
    high = float(np.nanmax(above))
    levels = high * np.geomspace(1e-5, 1.0, 16) if high > 0 else np.array([0.0, 1.0])
    panels = figure.subplots(1, max(len(paths), 1), sharex=True, sharey=True, squeeze=False)[0]
    handles: list[Any] = []
    for i, (axes, (label, path)) in enumerate(zip(panels, paths.items() or [("", np.zeros((0, 2)))], strict=True)):
        axes.contour(a, b, above, levels=levels, colors=GREY, linewidths=0.7, zorder=1)
        line = axes.plot(
            path[:, 0], path[:, 1], color=COLOURS[i % len(COLOURS)], linewidth=1.1, zorder=2,
            marker="o", markersize=2.2 if len(path) <= 150 else 0,
        )  # fmt: skip
        start = axes.plot(path[:1, 0], path[:1, 1], "ks", markersize=6, zorder=4)
        handles = [line[0], start[0]]
        if minimum is not None:
            handles += axes.plot(*minimum, "*", color="black", markeredgecolor="white", markersize=14, zorder=5)
        axes.set_xlim(float(a[0]), float(a[-1]))
        axes.set_ylim(float(b[0]), float(b[-1]))
        _label(axes.set_xlabel, names[0])
        _label(axes.set_title, label, fontsize=11, color=COLOURS[i % len(COLOURS)])
        if i == 0:
            _legend(axes, handles[1:], ["start", "minimum"][: len(handles) - 1])
    _label(panels[0].set_ylabel, names[1])
    _title(figure, title or f"loss over {names[0]} and {names[1]}")


def _objectives(
    figure: Figure,
    losses: Mapping[str, Loss],
    names: tuple[str, str],
    box: tuple[tuple[float, float], tuple[float, float]],
    minimum: tuple[float, float] | None,
    title: str,
) -> None:
    a, b = (np.linspace(low, high, COARSE) for low, high in box)
    panels = figure.subplots(1, len(losses), sharex=True, sharey=True, squeeze=False)[0]
    for i, (axes, (label, loss)) in enumerate(zip(panels, losses.items(), strict=True)):
        heights = np.array([[loss(float(x), float(y)) for x in a] for y in b])
        heights = np.where(np.isfinite(heights), heights, np.nan)
        row, column = np.unravel_index(np.nanargmin(heights), heights.shape)
        above = heights - heights[row, column]
        levels = float(np.nanmax(above)) * np.geomspace(1e-4, 1.0, 13)
        axes.contour(a, b, above, levels=levels, colors=GREY, linewidths=0.7)
        own = axes.plot(a[column], b[row], "o", color=VERMILLION, markersize=7, zorder=4)
        handles = list(own)
        if minimum is not None:
            handles += axes.plot(*minimum, "*", color="black", markeredgecolor="white", markersize=13, zorder=5)
        _label(axes.set_xlabel, names[0])
        _label(axes.set_title, label, fontsize=11)
        if i == 0:
            _legend(axes, handles, ["lowest here", "minimum of all rows"][: len(handles)])
    _label(panels[0].set_ylabel, names[1])
    _title(figure, title or f"objectives over {names[0]} and {names[1]}")


def _grid(loss: Loss, paths: Mapping[str, Array], minimum: tuple[float, float] | None) -> tuple[Array, Array, Array]:
    """The loss on a grid that holds the paths and the minimum, with a margin."""
    points = np.vstack([*paths.values(), *([] if minimum is None else [np.array(minimum)[None]])])
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    low, high = low - 0.12 * size, high + 0.12 * size
    a, b = np.linspace(low[0], high[0], GRID), np.linspace(low[1], high[1], GRID)
    return a, b, np.array([[loss(float(x), float(y)) for x in a] for y in b])


# pieces ------------------------------------------------------------------------------------------------------


def _draw(path: Path2, size: tuple[float, float], fill: Callable[[Figure], None]) -> str:
    """Make a figure, fill it, write it."""
    suffix = suffix_of(path)
    import matplotlib
    from matplotlib.figure import Figure

    # the user's own settings (usetex, say) must not read a name as markup; an SVG keeps its text as text
    ours = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    ours |= {"svg.fonttype": "none", "svg.hashsalt": "steepest", "axes.spines.top": False, "axes.spines.right": False}
    with warnings.catch_warnings(), matplotlib.rc_context(ours):
        warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
        figure = Figure(figsize=size, layout="constrained")
        fill(figure)
        try:
            figure.savefig(path, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None)
        except OSError as error:
            raise FitError(f"{path} cannot be written: {error.strerror or error}") from error
    return str(path)


def _points(figure: Figure, axes: Axes, x: Array, y: Array, bar: bool = True) -> Any:
    """Points, or their density where there are many."""
    if len(x) <= MANY:
        size = 5.0 if len(x) <= 200 else 3.0 if len(x) <= 1_000 else 2.0
        return axes.plot(x, y, "o", color=BLUE, markersize=size, alpha=0.8, markeredgewidth=0, zorder=2)[0]
    import matplotlib
    from matplotlib.lines import Line2D

    cells = axes.hexbin(x, y, gridsize=(60, 30), bins="log", cmap="Blues", mincnt=1, linewidths=0.1, zorder=2)
    if bar:
        figure.colorbar(cells, ax=figure.axes[:2], label="rows in a cell", pad=0.01)
    dark = matplotlib.colormaps["Blues"](0.8)
    return Line2D([], [], linestyle="", marker="h", markersize=9, color=dark)


def _is_function_of(x: Array, y: Array) -> bool:
    """Whether equal abscissas have equal predictions: else the curve depends on something that is not drawn."""
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    same = np.diff(x) == 0
    return bool(np.all(np.abs(np.diff(y))[same] <= 1e-9 * (np.abs(y[1:]) + np.abs(y[:-1]))[same]))


def _thin(count: int) -> Any:
    """Places of at most some 2,000 points of a line, the ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, FINE)).astype(int)) if count else np.zeros(0, dtype=int)


def _title(figure: Figure, text: str) -> None:
    lines = textwrap.wrap(_shown(text), 76) or [""]
    shown = "\n".join(lines[:2]) + (" ..." if len(lines) > 2 else "")
    figure.suptitle(shown, fontsize=11).set_parse_math(False)


def _label(setter: Callable[..., Any], text: str, **style: Any) -> None:
    text = _shown(text)
    setter(text if len(text) <= 60 else text[:57] + "...", **style).set_parse_math(False)


def _legend(axes: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend of plain text: matplotlib would leave out a label that begins with an underscore."""
    if not handles:
        return
    legend = axes.legend(
        handles, [str(i) for i in range(len(handles))], frameon=True, framealpha=0.85, edgecolor="none"
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        label = _shown(label)
        text.set_text(label if len(label) <= 50 else label[:47] + "...")


def _shown(text: str) -> str:
    """The text without control characters and line breaks."""
    return "".join(c if c.isprintable() else " " for c in text)
