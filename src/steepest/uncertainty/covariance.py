"""Standard errors and covariance: what the data leave open, or the reason why it cannot be said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import FitError
from ..formula.objective import Objective
from ..spectrum import unit_scale
from ..types import Array

KNOWN = ("auto", "hessian", "sandwich")


@dataclass(frozen=True)
class Uncertainty:
    """`covariance` (p, p) in flat order of the free parameters, or None with the `reason`.

    `degrees` of freedom of Student's t for intervals; None: the normal distribution.
    """

    covariance: Array | None
    reason: str = ""
    degrees: int | None = None


def check_errors(errors: str) -> None:
    """Refuse, before anything runs, a kind of errors that is not known. Raises FitError."""
    if errors not in KNOWN:
        raise FitError(f"errors={errors!r}; known are {', '.join(KNOWN)}")


def uncertainty(
    objective: Objective,
    inverse: Array | None,
    exact: Array | None,
    held: bool,
    rss: float | None,
    rows: int,
    errors: str = "auto",
    scores: Callable[[], Array] | None = None,
) -> Uncertainty:
    """Squares: s²·(JᵀWJ)⁻¹, s² = Σ w·r²/(N - p) (1 with known sigma). A likelihood: inverse Hessian of S.

    huber, cauchy, and where it is asked for, the sandwich (Huber 1967): N/(N - p)·H⁻¹·(Σ g·gᵀ)·H⁻¹, g the gradient of
    w·(loss of the row). H is JᵀWJ for squares, so that it is White's estimator with MacKinnon's factor, called HC1
    (Journal of Econometrics 29, 1985), else the exact Hessian.

    `inverse` (p, p) of the curvature JᵀWJ + ∂²penalty of squares, and `exact` of the exact Hessian of T, at a certified
    minimum (None: singular); `held`: a bound holds a parameter; `rss` = Σ w·r²; `rows` = N. `errors`: "auto",
    "hessian" for the exact Hessian whatever the loss, times s² for squares, or "sandwich" with `scores`: Σ g·gᵀ (p, p).
    """
    p = objective.layout.size
    if p == 0:
        return Uncertainty(None, "nothing is free")
    if not objective.columns:
        return Uncertainty(None, "a function has a minimum, not an estimate")
    if objective.kind == "deviation" or objective.corners is not None:
        return Uncertainty(None, "at a kink there is no curvature to take them from; resample the rows")
    if inverse is None or exact is None or not (np.isfinite(inverse).all() and np.isfinite(exact).all()):
        return Uncertainty(None, "the Hessian is singular")
    if held:
        return Uncertainty(None, "a parameter stands at its bound, where errors by curvature do not hold")
    asked = errors != "auto"
    if objective.biased and not asked:
        return Uncertainty(None, "with a penalty the estimate is biased on purpose; ask with errors='hessian'")
    if errors == "sandwich" or (objective.kind == "robust" and not asked):
        if rows <= p:
            return Uncertainty(None, f"{rows} rows for {p} parameters leave nothing to estimate the noise from")
        assert scores is not None
        bread = inverse if objective.squares else exact
        spread = _sandwich(bread, scores()) * (rows / (rows - p))
        return Uncertainty(spread, degrees=rows - p if objective.squares else None)
    if not objective.squares:
        if objective.family is None or objective.family.absolute_scale or asked:
            return Uncertainty(exact)
        why = {
            "likelihood": f"the scale of the loss is not known: say {objective.family.name}(dispersion=...)",
        }.get(objective.kind, "this loss is no likelihood that is known; ask with errors='hessian'")
        return Uncertainty(None, why)
    chosen = exact if asked or objective.penalty is not None else inverse
    if objective.known_sigma:
        return Uncertainty(chosen)
    if rows <= p or rss is None:
        return Uncertainty(None, f"{rows} rows for {p} parameters leave nothing to estimate the noise from")
    return Uncertainty(chosen * (rss / (rows - p)), degrees=rows - p)


def _sandwich(bread: Array, middle: Array) -> Array:
    """bread·middle·bread as a product of two equal halves: no variance is negative by rounding."""
    scale = unit_scale(middle)
    values, vectors = np.linalg.eigh(middle / scale / scale[:, None])
    half = bread @ (scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))
    return np.asarray(half @ half.T)


def correlation(covariance: Array) -> Array:
    """The correlations (p, p): the covariance in units of the standard errors; 0 beside an error of 0."""
    spread = np.sqrt(np.diag(covariance))
    spread[spread == 0] = 1.0
    found: Array = np.clip(covariance / spread / spread[:, None], -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return found


def quantile(level: float, degrees: int | None) -> float:
    """The two-sided quantile of Student's t, or of the normal distribution."""
    if not 0 < level < 1:
        raise FitError(f"level={level!r}; give a number between 0 and 1, as in 0.95")
    from scipy import special

    upper = 0.5 + level / 2.0
    return float(special.ndtri(upper) if degrees is None else special.stdtrit(degrees, upper))


def significance(ratio: float, degrees: int | None) -> float:
    """The chance of a value as far from 0 as `ratio` standard errors, either way, were it 0."""
    from scipy import special

    return float(2.0 * (special.ndtr(-abs(ratio)) if degrees is None else special.stdtr(degrees, -abs(ratio))))
