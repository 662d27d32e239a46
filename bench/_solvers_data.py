"""The problems that the solvers are given; needs NumPy alone, as the environment of the peers has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from _nist import STARTS, problems

TABLES = (100, 10_000)  # rows; the last table has as many as are asked for
FORMULA, START = "y = a*exp(-b*x) + c", (4.0, 1.0, 0.0)  # of the tables


@dataclass(frozen=True)
class Problem:
    """A formula `y = ...` and its data; starts by name, where None is no start at all."""

    name: str
    formula: str
    parameters: tuple[str, ...]
    data: dict[str, np.ndarray]
    starts: dict[str, tuple[float, ...] | None]

    def model(self, module: Any) -> Any:
        """The right-hand side as a function of x and the parameters, over the functions of a module."""
        text = f"lambda x, {', '.join(self.parameters)}: {self.formula.partition('=')[2]}"
        return eval(text, dict(vars(module)))  # noqa: S307  a formula of our own files


def certified(started: bool) -> list[Problem]:
    """NIST's nonlinear problems, from both starts or from none."""
    return [
        Problem(
            one["name"],
            one["formula"],
            tuple(one["parameters"]),
            {name: np.asarray(column, dtype=float) for name, column in one["data"].items()},
            {name: tuple(one[name]) for name in STARTS["nonlinear"]} if started else {"none": None},
        )
        for one in problems("nonlinear")
    ]


def tables(rows: int) -> list[Problem]:
    """One decay on more and more rows, with noise."""
    found = []
    for count in sorted({*TABLES, rows}):
        random = np.random.default_rng(count)
        x = random.uniform(0.0, 5.0, count)
        y = 3.0 * np.exp(-1.3 * x) + 0.5 + 0.05 * random.standard_normal(count)
        found.append(Problem(str(count), FORMULA, ("a", "b", "c"), {"y": y, "x": x}, {"given": START}))
    return found


def given(task: str, rows: int) -> list[Problem]:
    """The problems of a task: NIST's from their starts, NIST's from none, or tables."""
    return tables(rows) if task == "tables" else certified(started=task == "starts")
