"""Standardised parameters: the units in which a first-order rule sees a problem as if its columns were standardised.

theta = A phi with A fixed at the start: diagonal, and one row more where there is an intercept. For a linear model that
is regression on columns of mean 0 and mean square 1, undone in theta.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .spectrum import SINGULAR, Array, Mask


@dataclass(frozen=True)
class Scaling:
    """theta_j = unit_j·phi_j, and for the intercept, at `centre`, theta_c = unit_c·phi_c - Σ mean_j·theta_j.

    `unit`, `mean` (p,); a mean is 0 where nothing is centred: at the intercept itself, and everywhere without one.
    """

    unit: Array
    mean: Array
    centre: int | None = None

    @staticmethod
    def of(curvature: Array, weight: float, centre: int | None, free: Mask, factor: Array | None = None) -> Scaling:
        """From H of T at the start and n = Σw: unit_j = 1/√(|H_jj|/n), of what is left of H_jj when it is centred.

        mean_j = H_cj/H_cc, c the place of an intercept; only parameters that are `free` of bounds are centred, so that
        bounds stay bounds of phi. A parameter without curvature keeps its unit. `factor` is R of H = RᵀR where H has
        too few digits.
        """
        p = len(curvature)
        diagonal, mean = np.abs(curvature.diagonal()), np.zeros(p)
        if centre is not None and free[centre] and curvature[centre, centre] > 0:
            if factor is None:
                mean = curvature[centre] / curvature[centre, centre]
                left, rounding = diagonal - mean * curvature[centre], SINGULAR * p
            else:
                columns = factor[:p, :p]
                mean = columns[:, centre] @ columns / (columns[:, centre] @ columns[:, centre])
                left = ((columns - np.outer(columns[:, centre], mean)) ** 2).sum(axis=0)
                rounding = (SINGULAR * p) ** 2
            centred = free & (np.arange(p) != centre) & (left > rounding * diagonal)  # not what is an intercept too
            mean, diagonal = np.where(centred, mean, 0.0), np.where(centred, left, diagonal)
        felt = (diagonal > 0) & np.isfinite(diagonal)
        unit = np.sqrt(weight / np.where(felt, diagonal, weight))
        return Scaling(unit, mean, centre if mean.any() else None)

    def outward(self, phi: Array) -> Array:
        """theta = A phi."""
        theta = self.unit * phi
        if self.centre is not None:
            theta[self.centre] -= np.add.reduce(self.mean * theta)
        return theta

    def inward(self, theta: Array) -> Array:
        """phi = A⁻¹ theta."""
        phi = theta / self.unit
        if self.centre is not None:
            phi[self.centre] += np.add.reduce(self.mean * theta) / self.unit[self.centre]
        return phi

    def gradient(self, gradient: Array) -> Array:
        """Aᵀg: the gradient by phi."""
        if self.centre is not None:
            gradient = gradient - self.mean * gradient[self.centre]
        return self.unit * gradient

    def columns(self, columns: Array) -> Array:
        """J A: the columns of a Jacobian (m, p), standardised."""
        if self.centre is not None:
            columns = columns - columns[:, [self.centre]] * self.mean
        return columns * self.unit

    def curvature(self, curvature: Array) -> Array:
        """AᵀHA: the Hessian by phi."""
        return self.columns(self.columns(curvature).T)
