"""How well a formula does: the log-likelihood at the minimum, and what is made of it to weigh formulas against others.

With w = weights/σ²: squares have log L = -N/2·(log(2π·rss/N) + 1) + ½·Σ log w, the noise at its most likely value, and
count it as one more parameter; known sigma has -rss/2 - N/2·log 2π + ½·Σ log w; a likelihood by its
name has -S and what the data alone decide, such as poisson's log y!; one without `=` has -S, whatever it leaves out.
"""

from __future__ import annotations

import math

from ..kernels.surface import Surface


def log_likelihood(surface: Surface, rss: float | None, total: float) -> float | None:
    """log L at the minimum, for rss = Σ w·r² and S = `total`; None where the loss is no likelihood that is known."""
    objective, rows = surface.objective, surface.observations
    if not objective.columns or objective.penalty is not None or not rows:
        return None
    if objective.family is None or objective.family.absolute_scale:
        return -total - surface.decided
    if not objective.squares or rss is None:
        return None
    constant = 0.5 * surface.log_weight - 0.5 * rows * math.log(2.0 * math.pi)
    if objective.known_sigma:
        return constant - 0.5 * rss
    return constant - 0.5 * rows * (math.log(rss / rows) + 1.0) if rss > 0 else math.inf


def r_squared(surface: Surface, rss: float | None) -> float | None:
    """1 - Σ w·r² / Σ w·(y - ȳ)²; None where y does not vary, or the loss is not that of squares."""
    objective = surface.objective
    if not objective.squares or rss is None or not objective.columns:
        return None
    spread = surface.spread
    return 1.0 - rss / spread if spread > 0 else None


def criteria(log_l: float | None, parameters: int, rows: int) -> tuple[float | None, float | None, float | None]:
    """AIC (Akaike 1974), AICc (Hurvich and Tsai 1989) and BIC (Schwarz 1978), each None where it cannot be said."""
    if log_l is None:
        return None, None, None
    k = parameters
    aic = 2.0 * k - 2.0 * log_l
    corrected = aic + 2.0 * k * (k + 1) / (rows - k - 1) if rows > k + 1 else None
    return aic, corrected, k * math.log(rows) - 2.0 * log_l
