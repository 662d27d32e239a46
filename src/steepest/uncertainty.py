"""Standard errors and covariance: what the data leave open, or the reason why it cannot be said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import FitError
from .formula.objective import Objective
from .types import Array


@dataclass(frozen=True)
class Uncertainty:
    """`covariance` (p, p) in flat order of the free parameters, or None with the `reason`.

    `degrees` of freedom of Student's t for intervals; None: the normal distribution.
    """

    covariance: Array | None
    reason: str = ""
    degrees: int | None = None


def uncertainty(
    objective: Objective, inverse: Array | None, held: bool, rss: float | None, rows: int, errors: str = "auto"
) -> Uncertainty:
    """Squares: s²·(JᵀWJ)⁻¹, s² = Σ w·r²/(N - p) (1 with known sigma). A formula without `=`: inverse Hessian of S.

    `inverse` is that of the curvature of T at a certified minimum (None: singular), `held` whether a bound holds a
    parameter, `rss` = Σ w·r². `errors`: "auto", or "hessian" for the inverse Hessian of T whatever the loss.
    """
    if errors not in ("auto", "hessian", "sandwich"):
        raise FitError(f"errors={errors!r}; known are auto and hessian")
    if errors == "sandwich":
        raise FitError("errors='sandwich' is not built yet; use auto or hessian")
    p = objective.layout.size
    if p == 0:
        return Uncertainty(None, "nothing is free")
    if not objective.columns:
        return Uncertainty(None, "a function has a minimum, not an estimate")
    if inverse is None:
        return Uncertainty(None, "the Hessian is singular")
    if held:
        return Uncertainty(None, "a parameter stands at its bound, where errors by curvature do not hold")
    if objective.penalty is not None and errors == "auto":
        return Uncertainty(None, "with a penalty the estimate is biased on purpose; ask with errors='hessian'")
    if errors == "hessian" and not objective.squares:
        return Uncertainty(inverse)
    if objective.squares:
        if objective.known_sigma:
            return Uncertainty(inverse)
        if rows <= p or rss is None:
            return Uncertainty(None, f"{rows} rows for {p} parameters leave nothing to estimate the noise from")
        return Uncertainty(inverse * (rss / (rows - p)), degrees=rows - p)
    if objective.formula.left is None and objective.columns:
        return Uncertainty(inverse)
    return Uncertainty(None, "this loss is no likelihood that is known; ask with errors='hessian'")


def quantile(level: float, degrees: int | None) -> float:
    """The two-sided quantile of Student's t, or of the normal distribution."""
    if not 0 < level < 1:
        raise FitError(f"level={level!r}; give a number between 0 and 1, as in 0.95")
    from scipy import special

    upper = 0.5 + level / 2.0
    return float(special.ndtri(upper) if degrees is None else special.stdtrit(degrees, upper))


def standard_errors(covariance: Array | None) -> Array | None:
    """√ of the diagonal."""
    return None if covariance is None else np.sqrt(np.diag(covariance))
