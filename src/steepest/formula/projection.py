"""Variable projection: the linear parameters solved out of the sums of one pass.

Golub and Pereyra (SIAM J. Numer. Anal. 10, 1973): where the prediction is f₀(α) + Φ(α)·c, the best c at any α is that
of a linear problem. The columns [Φ, y - f, ∂f/∂α, ∂Φ/∂α] at (α, c) hold all that is needed to go from c to any c + δ at
the same α: y - f - Φδ, ∂f/∂α + Σ δ_j·∂φ_j/∂α and Φ itself are linear combinations of them, so that their products
follow from those that a pass has summed. With c from the step before, δ is small, and few digits cancel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..spectrum import Spectrum, spectrum
from ..types import Array

MANY = 300  # columns above which their products cost more than the steps that they save
MORE = 1.25  # ... unless they are hardly more than those of the normal equations

Second = tuple[Mapping[tuple[str, str], int], Sequence[tuple[str, int | None, str, Sequence[tuple[int, int | None]]]]]


@dataclass(frozen=True)
class Projection:
    """`names` are the linear parameters, `linear` and `rest` the places in theta of the linear and the other numbers.

    `extra`: the columns ∂²f/∂c∂α as (terms, width); `places` (e, 2): of each of these columns the number of α and of c.
    """

    names: tuple[str, ...]
    linear: NDArray[np.intp]
    rest: NDArray[np.intp]
    extra: tuple[tuple[tuple[tuple[int, int | None], ...], int], ...]
    places: NDArray[np.intp]

    @cached_property
    def columns(self) -> int:
        """How many columns a pass multiplies."""
        return len(self.linear) + len(self.rest) + 1 + len(self.places)

    @cached_property
    def _square(self) -> tuple[NDArray[np.intp], ...]:
        return np.ix_(self.linear, self.linear)

    @cached_property
    def _change(self) -> tuple[Array, tuple[NDArray[np.intp], ...], NDArray[np.intp]]:
        """The columns at c from those at c, and which numbers of δ change them: where, and of which c."""
        p = len(self.linear) + len(self.rest)
        number = {place: k for k, place in enumerate(self.linear.tolist())}
        rows = np.arange(p + 1, p + 1 + len(self.places))
        by = np.array([number[by] for by in self.places[:, 1].tolist()], np.intp)
        return np.eye(self.columns, p + 1), (rows, self.places[:, 0]), by

    def spectrum(self, curvature: Array, slope: Array) -> Spectrum:
        """Of T by c alone; its step along what Φ determines is δ (q,), from c to the minimum over c."""
        return spectrum(curvature[self._square], slope[self.linear])

    def moved(self, gram: Array, move: Array) -> Array:
        """The products of the columns [∂f/∂θ, residual] (p + 1, p + 1) at c + δ from those of all columns at c."""
        same, where, by = self._change
        change = same.copy()
        change[self.linear, -1] = -move
        change[where] = move[by]
        product = change.T @ gram @ change
        product[-1, -1] = max(product.item(-1), 0.0)  # squares that rounding has made negative
        return np.asarray(0.5 * (product + product.T))


def projection(
    linear: Sequence[str], slices: Mapping[str, slice], widths: Mapping[str, int | None], second: Second
) -> Projection | str:
    """The projection of the linear parameters, or why there is none; `second` are ∂²f by pairs, as in `Objective`."""
    nonlinear = [n for n in widths if n not in linear]
    pairs, blocks = second
    terms: dict[tuple[str, str], list[tuple[int, int | None]]] = {}  # (of α, by c)
    for (a, b), node in pairs.items():
        if (a in linear) != (b in linear):
            terms[(b, a) if a in linear else (a, b)] = [(node, None)]
    for name, matrix, other, partial in blocks:
        if (name in linear) == (other in linear):
            continue
        if widths[other] is not None:
            return f"the vectors {name} and {other} multiply one another"
        key = (other, name) if name in linear else (name, other)
        terms.setdefault(key, []).extend((node, matrix) for node, _ in partial)
    extra, places = [], []
    for (of, by), found in terms.items():
        width = widths[of] or widths[by] or 1
        extra.append((tuple(found), width))
        ones = np.zeros(width, np.intp)
        of_at, by_at = (
            np.arange(s.start, s.stop) + (ones if s.stop - s.start == 1 else 0) for s in (slices[of], slices[by])
        )
        places += list(zip(of_at.tolist(), by_at.tolist(), strict=True))
    at = {n: np.arange(s.start, s.stop) for n, s in slices.items()}
    made = Projection(
        tuple(linear),
        np.concatenate([at[n] for n in widths if n in linear]),
        np.concatenate([at[n] for n in nonlinear]),
        tuple(extra),
        np.array(places, np.intp).reshape(-1, 2),
    )
    plain = len(made.linear) + len(made.rest) + 1
    if made.columns > max(MANY, MORE * plain):
        return f"their {made.columns} columns would cost more than the steps that they save"
    return made
