"""Eigenvalues and vectors of a curvature in units of its own diagonal, and what is rounding in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
U = float(np.finfo(float).eps)
SINGULAR = 16.0 * U  # times the number of parameters: a part of the largest singular value that is rounding
ONE = np.ones((1, 1))
DETERMINED = 1e-12  # part of the largest eigenvalue below which one of a scaled Gram matrix has too few digits


def every(mask: Mask) -> bool:
    """Whether all are true: `mask.all()` in a tenth of its time, which counts where there are three parameters."""
    return 0 not in mask.tobytes()


def some(mask: Mask) -> bool:
    """Whether any is true."""
    return 1 in mask.tobytes()


def length(vector: Array) -> float:
    """The Euclidean norm of a vector (p,)."""
    return math.sqrt(vector.dot(vector))


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues (ascending) and vectors of the scaled curvature D⁻¹HD⁻¹; `slope` are the coordinates of D⁻¹g.

    `flat` says which directions have no curvature but rounding.
    """

    scale: Array
    values: Array
    vectors: Array
    slope: Array
    rounding: float  # below this part of the largest, an eigenvalue is 0
    flat: Mask

    @property
    def gap(self) -> float:
        """½·gᵀH⁻¹g, what a Newton step promises, singular directions left out; infinite where H is not convex."""
        curved = slice(None) if not some(self.flat) else ~self.flat
        slope, values = self.slope[curved], self.values[curved]
        return math.inf if some(values < 0) else 0.5 * float(np.add.reduce(slope**2 / values))

    @property
    def determined(self) -> Mask:
        """Which directions a Gram matrix tells with some digits at least."""
        return np.asarray(self.values > DETERMINED * self.values[-1])

    def along(self, damping: float = 0.0, keep: Mask | None = None) -> Array:
        """-(H + damping·D²)⁺ g in coordinates of the vectors; `keep` leaves directions out. NumPy may warn."""
        along = -self.slope / (self.values + damping)
        usable = np.isfinite(along) if keep is None else keep & np.isfinite(along)
        return along if every(usable) else np.where(usable, along, 0.0)

    def step(self, keep: Mask | None = None) -> Array:
        """The Newton step -H⁺g of the parameters."""
        with np.errstate(all="ignore"):
            return np.asarray(self.vectors.dot(self.along(0.0, keep)) / self.scale)


def spectrum(curvature: Array, slope: Array, factor: Array | None = None, scale: Array | None = None) -> Spectrum:
    """The spectrum of a curvature scaled to a unit diagonal.

    `factor`, where there is one, is R of [√W J, √W r] = Q [R q; 0 ρ]: its singular values carry twice the digits. Where
    it is R alone, the slope has digits enough (the seminormal equations RᵀR·step = -slope; Björck 1987).
    """
    if scale is None:
        scale = unit_scale(curvature)
    if factor is None:
        values, vectors = eigen(curvature / (scale[:, None] * scale))
        return _spectrum(scale, values, vectors, (slope / scale).dot(vectors), SINGULAR * len(slope))
    p = len(slope)
    left, singular, right = np.linalg.svd(factor[:p, :p] / scale)
    order = np.arange(p)[::-1]
    coordinates = right @ (slope / scale) if factor.shape[1] == p else -(left.T @ factor[:p, p]) * singular
    return _spectrum(scale, singular[order] ** 2, right.T[:, order], coordinates[order], (SINGULAR * p) ** 2)


def eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and vectors of a symmetric matrix; of a single number without LAPACK."""
    return (matrix[0], ONE) if len(matrix) == 1 else np.linalg.eigh(matrix)


def _spectrum(scale: Array, values: Array, vectors: Array, slope: Array, rounding: float) -> Spectrum:
    least = rounding * max(abs(values.item(0)), abs(values.item(-1)), 1e-300)
    flat = np.zeros(len(values), np.bool_) if values.item(0) > least else np.abs(values) <= least
    return Spectrum(scale, values, vectors, slope, rounding, flat)


def unit_scale(curvature: Array) -> Array:
    """D = √|diagonal|, 1 where that is zero."""
    diagonal = np.sqrt(np.abs(curvature.diagonal()))
    sizes = diagonal.tolist()
    if sizes and min(sizes) > 0.0 and sum(sizes) < math.inf:  # a sum with NaN is NaN
        return diagonal
    return np.where((diagonal > 0) & np.isfinite(diagonal), diagonal, 1.0)
