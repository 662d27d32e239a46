"""What the layers hand to one another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from functools import cached_property

import numpy as np

from .errors import FitError
from .spectrum import Array as Array
from .spectrum import Spectrum, every, spectrum
from .vertex import Near


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
    VERTEX = "vertex"  # loss and gradient, and the rows that are near a kink: absolute deviations and quantiles only
    PROJECTED = "projected"  # the same as NORMAL, also at the best linear parameters

    __hash__ = object.__hash__  # that of Enum is a function of Python, asked for at every pass


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

    `total` = T = S + penalty, `sum` = S, `rows` = N, `weight` = n. `slope` (p,), empty where it was not asked for, and
    `curvature` (p, p) are the derivatives of T: the exact Hessian for Need.HESSIAN, JᵀWJ + ∂²penalty for Need.NORMAL;
    the latter is `gauss`, for residual losses with both. `loss` and `gradient` (p,) are those of the reduced objective
    that rates, traces and stops speak of. `bad` is the first global row that is not finite.
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
    signal: float | None = None  # Σ w·y², where it was summed beside: of Need.NORMAL
    level: float | None = None  # Σ w·y, likewise
    near: Near | None = None  # of Need.VERTEX
    factor: Array | None = None  # R of the QR of [√W J, √W r], where the Gram matrix has too few digits; or √W J alone
    theta: Array | None = None  # of an evaluation that is `solved`: where it is
    signs: tuple[float, ...] = ()  # there: Σ of the signs of each denominator over the rows
    linear: Spectrum | None = None  # there: of the curvature by the linear parameters alone
    solved: Evaluation | None = None  # of Need.PROJECTED: the one with the linear parameters at their best

    def bent_as(self, other: Evaluation) -> Evaluation:
        """This one with the curvature of another: of a quadratic it is the same everywhere."""
        factor = None if other.factor is None else other.factor[: len(self.slope), : len(self.slope)]
        return replace(
            self, curvature=other.curvature, gauss=other.gauss, signal=other.signal, level=other.level, factor=factor
        )

    @cached_property
    def finite(self) -> bool:
        """Whether loss, gradient and curvature are all numbers."""
        return bool(
            math.isfinite(self.total)
            and every(np.isfinite(self.slope))
            and (self.curvature is None or every(np.isfinite(self.curvature)))
        )

    @cached_property
    def spectrum(self) -> Spectrum:
        """The spectrum of `gauss` where there is one, else of the curvature; only of what is finite."""
        curvature = self.curvature if self.gauss is None else self.gauss
        assert curvature is not None
        return spectrum(curvature, self.slope, self.factor)


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
        for name in ("gradient", "steps", "passes", "seconds", "loss"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and (value >= 0 or (name == "loss" and value == value))):
                raise FitError(f"Stop({name}={value!r}): give a number" + " that is not negative" * (name != "loss"))
        if self.steps is not None and self.steps % 1 != 0:
            raise FitError(f"Stop(steps={self.steps!r}): give a whole number")


@dataclass(frozen=True)
class Step:
    """One point of a descent: Step 0 is the start, Step k the point after k updates.

    `theta` (p,), `loss` and `gradient_norm` of the reduced objective (of the batch, for mini-batches); `passes` are
    readings of all rows so far; `names` are flat: `B[0]`, `B[1]` for a vector B. `status` is "running" until the last
    one, which carries the sentence `message`.
    """

    number: int
    theta: Array
    loss: float
    gradient_norm: float
    passes: float
    status: Status
    names: tuple[str, ...]
    unpack: Callable[[Array], dict[str, float | Array]] = field(repr=False, compare=False)
    message: str = ""

    @property
    def values(self) -> dict[str, float | Array]:
        """theta by name: a float for a scalar, an array for a vector."""
        return self.unpack(self.theta)
