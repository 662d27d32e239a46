"""Pictures: what stands in them, and that names stay plain text."""

from __future__ import annotations

import re
import struct
import warnings
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from steepest.errors import FitError
from steepest.report import plots

X = np.linspace(0.0, 4.0, 30)
Y = 3.0 * np.exp(-X)


def texts(path: Path) -> list[str]:
    """Every text of an SVG file."""
    drawn = path.read_text(encoding="utf-8")
    return [unescape(re.sub(r"<[^>]*>", "", text)).strip() for text in re.findall(r"<text.*?</text>", drawn, re.DOTALL)]


def size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file."""
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def test_a_fit_over_one_abscissa_shows_data_curve_and_residuals(tmp_path: Path) -> None:
    path = tmp_path / "fit.png"
    assert plots.fit_and_residuals(path, {"t": X}, Y + 0.01, Y, "y = a*exp(-t)", "y") == str(path)
    width, height = size(path)
    assert width >= 800 and height >= 600
    figure = Figure()
    order = np.random.default_rng(0).permutation(len(X))
    plots._fit_and_residuals(figure, {"t": X[order]}, Y[order] + 0.01, Y[order], "y = a*exp(-t)", "y", None)
    upper, lower = figure.axes
    assert (upper.get_ylabel(), lower.get_ylabel(), lower.get_xlabel()) == ("y", "residual", "t")
    points, curve = upper.get_lines()
    assert np.array_equal(np.sort(points.get_xdata()), X)
    assert np.array_equal(curve.get_xdata(), X)  # sorted, whatever the order of the rows
    assert np.allclose(lower.get_lines()[0].get_ydata(), 0.01)
    assert [t.get_text() for t in upper.get_legend().get_texts()] == ["observed", "fit"]
    assert figure.get_suptitle() == "y = a*exp(-t)"


def test_a_fine_curve_is_drawn_where_it_is_given() -> None:
    figure = Figure()
    grid = np.linspace(0, 4, 500)
    plots._fit_and_residuals(figure, {"t": X}, Y, Y, "", "y", (grid, 3 * np.exp(-grid)))
    assert len(figure.axes[0].get_lines()[1].get_xdata()) == 500


@pytest.mark.parametrize(
    "abscissas",
    [{"t": X, "u": X**2}, {}, {"t": np.repeat(X[:15], 2)}],
    ids=["two", "none", "one that does not suffice"],
)
def test_otherwise_observed_stands_against_predicted(abscissas: dict[str, np.ndarray]) -> None:
    figure = Figure()
    plots._fit_and_residuals(figure, abscissas, Y + 0.1, Y, "y = a*t + b*u", "y", None)
    upper, lower = figure.axes
    assert (upper.get_ylabel(), lower.get_xlabel(), lower.get_ylabel()) == ("y", "predicted y", "residual")
    assert [t.get_text() for t in upper.get_legend().get_texts()] == ["observed", "observed = predicted"]
    assert np.array_equal(upper.get_lines()[0].get_xdata(), Y)


def test_many_rows_are_drawn_as_density_and_the_legend_says_so() -> None:
    figure = Figure()
    x = np.random.default_rng(3).uniform(0, 4, 200_000)
    plots._fit_and_residuals(figure, {"t": x}, np.exp(-x) + 0.1 * np.sin(99 * x), np.exp(-x), "f", "y", None)
    upper = figure.axes[0]
    assert any(isinstance(c, PolyCollection) for c in upper.collections)
    assert upper.get_legend().get_texts()[0].get_text() == "density of 200,000 rows"
    assert all(len(line.get_xdata()) <= plots.FINE for line in upper.get_lines())


HOSTILE = ["$x_1$", "_under", r"\frac{a}{b}", "a_b^c $", "<b>x</b>", "측정값", "$\\unknown{", "x" * 300, "a\nb\x1b[0m"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_drawn_as_they_are_written(name: str, tmp_path: Path) -> None:
    shown = "".join(c if c.isprintable() else " " for c in name)
    shown = shown if len(shown) <= 50 else shown[:40]
    fit, loss, map_ = (tmp_path / f"{n}.svg" for n in ("fit", "loss", "map"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.fit_and_residuals(fit, {name: X}, Y, Y, f"y = a*{name}", name)
        plots.loss_by_step(loss, {name: (X, Y)}, name)
        plots.contours(map_, lambda a, b: a**2 + b**2, (name, name), {name: np.array([[1.0, 1], [0, 0]])}, (0, 0))
    for path, least in ((fit, 2), (loss, 2), (map_, 3)):
        assert sum(shown in text for text in texts(path)) >= least


def test_settings_of_the_user_do_not_make_names_latex(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"text.usetex": True, "svg.fonttype": "path"}):
        plots.loss_by_step(tmp_path / "loss.svg", {"$a_b$": (X, Y)})
        assert matplotlib.rcParams["text.usetex"] is True
    assert "$a_b$" in texts(tmp_path / "loss.svg")


def test_the_loss_is_on_a_log_scale_where_it_is_not_negative() -> None:
    for losses, scale in ((Y, "log"), (np.append(Y[:-1], 0.0), "log"), (Y - 1, "linear"), (0 * Y, "linear")):
        figure = Figure()
        plots._loss_by_step(figure, {"gd": (X, losses), "sgd": (X, losses)}, "pass", "")
        (axes,) = figure.axes
        assert axes.get_yscale() == scale
        assert axes.get_xlabel() == "pass"
        assert axes.get_ylabel().startswith("loss")
        assert [t.get_text() for t in axes.get_legend().get_texts()] == ["gd", "sgd"]
        one, two = axes.get_lines()
        assert one.get_color() != two.get_color() and one.get_linestyle() != two.get_linestyle()


def test_losses_that_are_not_finite_and_runs_without_steps_are_drawn(tmp_path: Path) -> None:
    runs = {"wild": (X, np.where(X > 2, np.inf, Y)), "none": (np.zeros(0), np.zeros(0)), "one": (X[:1], Y[:1])}
    plots.loss_by_step(tmp_path / "loss.png", runs)
    plots.loss_by_step(tmp_path / "empty.png", {})
    assert size(tmp_path / "loss.png") == size(tmp_path / "empty.png")


def bowl(a: float, b: float) -> float:
    return (a - 1) ** 2 + 10 * (b + 2) ** 2


def test_contours_have_a_panel_for_each_path_with_start_and_minimum(tmp_path: Path) -> None:
    straight = np.linspace([4.0, 0.0], [1.0, -2.0], 20)
    paths = {"GD": straight, "SGD": straight + 0.1 * np.sin(np.arange(40)).reshape(20, 2)}
    figure = Figure()
    plots._contours(figure, bowl, ("a", "b"), paths, (1.0, -2.0), "")
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("GD", "SGD")
    assert (left.get_xlabel(), left.get_ylabel(), right.get_xlabel()) == ("a", "b", "a")
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["start", "minimum"]
    path, start, minimum = left.get_lines()
    assert np.array_equal(np.column_stack(path.get_data()), straight)
    assert (start.get_xdata()[0], start.get_ydata()[0]) == (4.0, 0.0)
    assert (minimum.get_xdata()[0], minimum.get_ydata()[0]) == (1.0, -2.0)
    low, high = left.get_xlim()
    assert low < 1.0 and high > 4.0
    drawn = plots.contours(tmp_path / "paths.png", bowl, ("a", "b"), paths, (1.0, -2.0), "the way down")
    assert size(Path(drawn))[0] > 900


def test_contours_take_a_grid_and_do_without_a_minimum(tmp_path: Path) -> None:
    a, b = np.linspace(-1, 3, 30), np.linspace(-4, 0, 20)
    heights = np.array([[bowl(x, y) for x in a] for y in b])
    heights[0, 0] = np.inf
    plots.contours(tmp_path / "grid.png", (a, b, heights), ("a", "b"), {"GD": np.array([[3.0, -4.0]])})
    plots.contours(tmp_path / "flat.png", lambda a, b: 1.0, ("a", "b"), {"GD": np.array([[0.0, 0.0]])})


@pytest.mark.parametrize("name", ["out.pdf", "out", "out.png.txt"])
def test_another_ending_is_refused_with_the_mend(name: str, tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"written as \.png or \.svg; name it out.*\.png"):
        plots.loss_by_step(tmp_path / name, {"gd": (X, Y)})


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="cannot be written"):
        plots.loss_by_step(tmp_path / "nowhere" / "loss.png", {"gd": (X, Y)})


def test_the_same_svg_has_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.svg", tmp_path / "two.svg"
    for path in (one, two):
        plots.loss_by_step(path, {"gd": (X, Y)})
    assert one.read_bytes() == two.read_bytes()


def test_the_caller_s_pyplot_is_left_alone(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy; from steepest.report import plots\n"
        f"plots.loss_by_step({str(tmp_path / 'l.png')!r}, {{'gd': (numpy.arange(3), numpy.ones(3))}})\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_name_in_backticks_is_drawn_without_them() -> None:
    figure = Figure()
    plots._fit_and_residuals(figure, {"t": X}, Y, Y, "`y [mV]` = a*t", "`y [mV]`", None)
    assert figure.axes[0].get_ylabel() == "y [mV]"
