"""What the layers hand to one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def is_number(value: object) -> bool:
    """Whether a value is a real number (a bool is none)."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether a value is an integer (a bool is none)."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


class Status(StrEnum):
    """How a run ended; SEMANTICS of each in docs/semantics.md."""

    RUNNING = "running"
    CONVERGED = "converged"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    UNIDENTIFIABLE = "unidentifiable"
    INTERRUPTED = "interrupted"


class Need(Enum):
    """What a method asks a pass for."""

    VALUE = "value"  # the loss
    GRADIENT = "gradient"  # loss and gradient
    NORMAL = "normal"  # JᵀWJ, Jᵀ W r, Σ w r²: residual losses only
    HESSIAN = "hessian"  # exact second derivatives


@dataclass(frozen=True)
class Total:
    """Sums over rows, never means: a kernel's answer for some tiles; totals are added in the order of the tiles.

    `rows` used, `weight` = Σ w, `bad` = first global row whose value is not finite, `values` = the sums, flat.
    """

    rows: int
    weight: float
    bad: int | None
    values: Array

    def __add__(self, other: Total) -> Total:
        bad = self.bad if self.bad is not None else other.bad
        return Total(self.rows + other.rows, self.weight + other.weight, bad, self.values + other.values)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the objective.

    `total` = T = S + penalty, `sum` = S; `slope` (p,) and `curvature` (p, p) are the derivatives of T where asked for
    (JᵀWJ + ∂²penalty for Need.NORMAL, which is `gauss`; the exact Hessian for Need.HESSIAN). `loss` and `gradient` are
    those of the reduced objective that rates, traces and stops speak of.
    """

    total: float
    sum: float
    slope: Array
    curvature: Array | None
    gauss: Array | None
    loss: float
    gradient: Array
    rows: int
    weight: float
    bad: int | None = None
    factor: Array | None = None  # R of the QR of [√W J, √W r], where the Gram matrix has too few digits

    @staticmethod
    def make(
        reduce: str,
        sign: float,
        t: float,
        s: float,
        slope: Array | None,
        curvature: Array | None,
        gauss: Array | None,
        total: Total,
    ) -> Evaluation:
        """T and its derivatives -> the reduced objective: T, T/n or √(2T/n)."""
        slope = np.zeros(0) if slope is None else slope
        n = total.weight
        if reduce == "rmse":
            loss = float(np.sqrt(2.0 * t / n)) if t >= 0 else float("nan")
            gradient = slope / (n * loss) if loss > 0 else np.zeros_like(slope)
        else:
            scale = 1.0 if reduce == "sum" else 1.0 / n
            loss, gradient = t * scale, slope * scale
        return Evaluation(t, s, slope, curvature, gauss, sign * loss, gradient, total.rows, n, total.bad)

    @property
    def finite(self) -> bool:
        """Whether loss, gradient and curvature are all numbers."""
        return bool(
            np.isfinite(self.total)
            and np.isfinite(self.slope).all()
            and (self.curvature is None or np.isfinite(self.curvature).all())
        )


@dataclass(frozen=True)
class Stop:
    """When to stop, whichever comes first.

    gradient: Euclidean norm of the reduced objective's gradient; steps: accepted updates; passes: readings of all rows;
    seconds: wall clock; loss: reduced loss at or below (maximize: at or above) which to stop.
    """

    gradient: float | None = None
    steps: int | None = None
    passes: float | None = None
    seconds: float | None = None
    loss: float | None = None

    def __post_init__(self) -> None:
        from .errors import FitError

        for name in ("gradient", "steps", "passes", "seconds", "loss"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and (value >= 0 or (name == "loss" and value == value))):
                raise FitError(f"Stop({name}={value!r}): give a number" + " that is not negative" * (name != "loss"))
        if self.steps is not None and int(self.steps) != self.steps:
            raise FitError(f"Stop(steps={self.steps!r}): give a whole number")

    @property
    def empty(self) -> bool:
        """Whether nothing was asked for."""
        return self == Stop()


@dataclass(frozen=True)
class Step:
    """One point of a descent: Step 0 is the start, Step k the point after k updates.

    `theta` (p,), `loss` and `gradient_norm` of the reduced objective (of the batch, for mini-batches); `passes` are
    readings of all rows so far; `status` is "running" until the last one.
    """

    number: int
    theta: Array
    loss: float
    gradient_norm: float
    passes: float
    status: Status
    names: tuple[str, ...]
    message: str = ""
    unpack: Callable[[Array], dict[str, float | Array]] | None = None

    @property
    def values(self) -> dict[str, float | Array]:
        """theta by name."""
        return (
            dict(zip(self.names, map(float, self.theta), strict=True))
            if self.unpack is None
            else self.unpack(self.theta)
        )
