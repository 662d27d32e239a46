"""Standard errors and covariance: what the data leave open, or the reason why it cannot be said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


def check_errors(errors: str) -> None:
    """Refuse, before anything runs, a kind of errors that is not known. Raises FitError."""
    if errors == "sandwich":
        raise FitError("errors='sandwich' is not built yet; use auto or hessian")
    if errors not in ("auto", "hessian"):
        raise FitError(f"errors={errors!r}; known are auto and hessian")


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

    huber and cauchy: the sandwich N/(N - p)·H⁻¹·(Σ g·gᵀ)·H⁻¹, g the gradient of w·(loss of the row) (Huber 1967; the
    factor is MacKinnon and White's, Journal of Econometrics 29, 1985); `scores` makes Σ g·gᵀ (p, p).

    `inverse` (p, p) of the curvature JᵀWJ + ∂²penalty of squares, and `exact` of the exact Hessian of T, at a certified
    minimum (None: singular); `held`: a bound holds a parameter; `rss` = Σ w·r²; `rows` = N. `errors`: "auto", or
    "hessian" for the exact Hessian whatever the loss, times s² for squares.
    """
    p = objective.layout.size
    if p == 0:
        return Uncertainty(None, "nothing is free")
    if not objective.columns:
        return Uncertainty(None, "a function has a minimum, not an estimate")
    if objective.kind == "deviation":
        return Uncertainty(None, "at a kink there is no curvature to take them from; resample the rows")
    if inverse is None or exact is None:
        return Uncertainty(None, "the Hessian is singular")
    if held:
        return Uncertainty(None, "a parameter stands at its bound, where errors by curvature do not hold")
    asked = errors == "hessian"
    if objective.biased and not asked:
        return Uncertainty(None, "with a penalty the estimate is biased on purpose; ask with errors='hessian'")
    if objective.kind == "robust" and not asked and scores is not None:
        if rows <= p:
            return Uncertainty(None, f"{rows} rows for {p} parameters leave nothing to estimate the noise from")
        return Uncertainty(exact @ scores() @ exact * (rows / (rows - p)))
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


def quantile(level: float, degrees: int | None) -> float:
    """The two-sided quantile of Student's t, or of the normal distribution."""
    if not 0 < level < 1:
        raise FitError(f"level={level!r}; give a number between 0 and 1, as in 0.95")
    from scipy import special

    upper = 0.5 + level / 2.0
    return float(special.ndtri(upper) if degrees is None else special.stdtrit(degrees, upper))
