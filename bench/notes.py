"""The figures of the lecture notes, from Python, SymPy, text and the terminal, beside what is asked.

python bench/notes.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sympy

import steepest
from steepest import Stop, datasets

X = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 2.0], [2.0, 3.0]])
Y = X @ [1.0, 2.0] + 3.0
ONES = np.column_stack([X, np.ones(4)])
START = [10.1, 15.1, -6.5]
PRINTED = [1.00000367, 1.99999949, 2.99999516]
TRUE = np.array([1.0, 2.0, 3.0])
NOTES: dict[str, Any] = {"method": "gd", "rate": 0.01, "reduce": "sum", "stop": Stop(steps=5000), "trace": True}
MATRIX = {"X": X, "y": Y}
COLUMNS = {"x1": X[:, 0], "x2": X[:, 1], "y": Y}
BY_NAME = dict(zip(("b1", "b2", "b3"), START, strict=True))
VECTOR = {"B": START[:2], "c": START[2]}
TEXT = "y = b1*x1 + b2*x2 + b3"

lines: list[tuple[str, str, str, bool]] = []


def show(what: str, found: str, asked: str, met: bool) -> None:
    lines.append((what, found, asked, met))


def by_numpy(steps: int = 5000) -> np.ndarray:
    """Every iterate of the notes' loop."""
    at, path = np.array(START), [np.array(START)]
    for _ in range(steps):
        at = at + 0.01 * ONES.T @ (Y - ONES @ at)
        path.append(at)
    return np.array(path)


def numbers(values: Any) -> str:
    return "[" + ", ".join(f"{v:.8f}" for v in values) + "]"


def from_terminal() -> list[float]:
    """The same run by the command line."""
    command = Path(sys.executable).with_name("steepest")
    start = ",".join(f"{n}={v}" for n, v in BY_NAME.items())
    options = ["--start", start, "--method", "gd", "--rate", "0.01", "--reduce", "sum", "--steps", "5000", "--json"]
    program = [str(command)] if command.exists() else [sys.executable, "-m", "steepest"]
    done = subprocess.run([*program, "fit", TEXT, datasets.path("notes"), *options], capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr else "no output")
    values = json.loads(done.stdout)["values"]
    return [values[n] for n in BY_NAME]


def main() -> int:
    b1, b2, b3, x1, x2, y = sympy.symbols("b1 b2 b3 x1 x2 y")
    path = by_numpy()
    doors: dict[str, tuple[Any, Any, Any]] = {
        "Python, X @ B + c": ("y = X @ B + c", MATRIX, VECTOR),
        "Python, [x1, x2] @ B + c": ("y = [x1, x2] @ B + c", COLUMNS, VECTOR),
        "text, written out": (TEXT, COLUMNS, BY_NAME),
        "SymPy, Eq": (sympy.Eq(y, b1 * x1 + b2 * x2 + b3), COLUMNS, BY_NAME),
        "SymPy, Poly": (sympy.Poly((y - b1 * x1 - b2 * x2 - b3) ** 2 / 2, b1, b2, b3), COLUMNS, BY_NAME),
    }
    for name, (formula, data, start) in doors.items():
        fit = steepest.fit(formula, data, start=start, **NOTES)
        names = list(BY_NAME) if "b1" in start else list(fit.free)
        values = [fit.flat_values()[n] for n in names]
        show(name, numbers(values), numbers(PRINTED), [round(v, 8) for v in values] == PRINTED)
        assert fit.trace is not None
        apart = np.abs(fit.trace.values[:, [fit.trace.names.index(n) for n in names]] - path).max()
        show("  iterates beside NumPy's", f"{apart:.1e}", "≤ 1e-9", len(fit.trace) == 5001 and apart <= 1e-9)
    try:
        values = from_terminal()
        show("terminal", numbers(values), numbers(PRINTED), [round(v, 8) for v in values] == PRINTED)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        show("terminal", f"no answer: {error}", numbers(PRINTED), False)

    for what, batch in (("SGD", 1), ("mini-batch of 2", 2)):
        worst = 0.0
        for seed in range(5):
            fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, method="sgd", batch=batch, seed=seed)
            worst = max(worst, float(np.abs(list(fit.flat_values().values()) - TRUE).max()))
        show(f"{what}, 5 seeds, farthest from [1, 2, 3]", f"{worst:.1e}", "≤ 1e-2", worst <= 1e-2)

    auto = steepest.fit("y = X @ B + c", MATRIX)
    off = float(np.abs(list(auto.flat_values().values()) - np.linalg.pinv(ONES) @ Y).max())
    show("auto beside the pseudo-inverse", f"{off:.1e}, {auto.status}", "≤ 1e-10", off <= 1e-10 and auto.ok)

    noisy = Y + np.array([0.3, -0.2, 0.25, -0.35])
    root = steepest.fit(
        "y = X @ B + c", {"X": X, "y": noisy}, start=VECTOR, loss="rmse", method="gd", rate=0.05, stop=Stop(steps=300),
        trace=True,
    )  # fmt: skip
    at = np.array(START)
    for _ in range(300):
        residual = noisy - ONES @ at
        at = at + 0.05 * ONES.T @ residual / (4 * np.sqrt(np.mean(residual**2)))
    apart = float(np.abs(list(root.flat_values().values()) - at).max())
    show("rmse, 300 steps beside NumPy's", f"{apart:.1e}", "≤ 1e-9", apart <= 1e-9)

    up = steepest.maximize("-(x**2 + 2*x + 3)", {"x": 10.0}, method="gd", rate=0.1)
    show(
        "ascent of -(x**2 + 2*x + 3)",
        f"x = {up.values['x']:.6f}, {up.status}",
        "x = -1",
        abs(up.values["x"] + 1) < 1e-4,
    )

    for reduce, asked in (("sum", "diverged"), ("mean", "converged")):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stop = None if reduce == "sum" else Stop(steps=20_000)
            fit = steepest.fit("y = X @ B + c", MATRIX, start=VECTOR, method="gd", rate=0.1, reduce=reduce, stop=stop)
        warned = "warned" if caught else "no warning"
        right = fit.status == asked and bool(caught) == (reduce == "sum")
        show(f"rate 0.1 on the {reduce}", f"{fit.status}, {warned}", asked, right)
    explained = steepest.explain("y = X @ B + c", MATRIX)
    for reduce, asked in (("sum", 0.064), ("mean", 0.256)):
        limit = explained.guarantees[reduce].limit
        # the notes' figure, of two digits for the mean
        show(f"2/L of the {reduce}", f"{limit:.4f}", f"{asked}", abs(limit - asked) < 0.002)
    condition = explained.guarantees["sum"].condition
    show("condition", f"{condition:.1f}", "108", round(condition) == 108)
    left = explained.guarantees["sum"].error(0.01, 5000, np.array(START) - TRUE)
    show(
        "predicted error after 5,000 steps",
        numbers(left),
        numbers(path[-1] - TRUE),
        bool(np.allclose(left, path[-1] - TRUE, atol=1e-10)),
    )

    x, second = sympy.symbols("x y")
    cells: dict[str, Callable[[], bool]] = {
        "d/dx Poly(x**2 + 2*x + 3)": lambda: steepest.explain(sympy.poly(x**2 + 2 * x + 3)).gradient["x"] == 2 * x + 2,
        "d/dx x**2 + 2*x*y + 3 + cos(x + 2*y)": lambda: (
            steepest.explain("x**2 + 2*x*y + 3 + cos(x + 2*y)").gradient["x"]
            == 2 * x + 2 * second - sympy.sin(x + 2 * second)
        ),
    }
    for what, equal in cells.items():
        met = equal()
        show(what, "equal to SymPy's" if met else "another", "equal", met)

    widths = [max(len(row[i]) for row in lines) for i in range(3)]
    print(f"{'':<{widths[0]}}  {'found':<{widths[1]}}  {'asked':<{widths[2]}}")
    for what, found, asked, met in lines:
        print(f"{what:<{widths[0]}}  {found:<{widths[1]}}  {asked:<{widths[2]}}  {'met' if met else 'MISSED'}")
    return int(not all(row[3] for row in lines))


if __name__ == "__main__":
    sys.exit(main())
