"""The reference kernel: rows and parameters -> sums, tile by tile, in NumPy.

It is the oracle that faster kernels are tested against and the home of rare functions. Sums never call BLAS, so that
they have the same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..data.source import TILE, UNIT, Block, cut
from ..formula.objective import Item, RowSums
from ..spectrum import every
from ..types import Array, Total

FEW = 4_096  # products: up to here a call costs more than they do, and both halves of a Gram matrix are made at once


class NumpyKernel:
    """(theta, block) -> the Total of each tile of the block."""

    at_once = UNIT

    def __init__(self, rows: RowSums) -> None:
        self.rows = rows
        self._evaluate, self._index = rows.evaluator, rows.index

    def total(self, theta: Array, block: Block, before: Total | None = None) -> Total:
        """Sums over a block, added to `before` tile after tile."""
        with np.errstate(all="ignore"):
            prepared = self._evaluate.prepare(theta)
            for start, rows, columns in live_tiles(block):
                tile = self._sum(self._evaluate.rows(prepared, columns), rows, block, start)
                before = tile if before is None else before + tile
        assert before is not None
        return before

    def column_tiles(self, theta: Array, block: Block) -> Iterator[Array]:
        """The columns of each tile's live rows side by side, (rows, width): what a QR factors."""
        with np.errstate(all="ignore"):
            prepared = self._evaluate.prepare(theta)
            for _, rows, columns in live_tiles(block):
                values = self._evaluate.rows(prepared, columns)
                yield self._beside(self.rows.columns, values, rows).T

    def _sum(self, values: list[Array], rows: int, block: Block, start: int) -> Total:
        spec, flat, at = self.rows, np.empty(self.rows.size), 0
        for item in spec.sums:
            (node, matrix), *more = item.terms
            if more or matrix is not None:
                flat[at : at + item.width] = self._reduce(item, values, rows)
            else:
                flat[at : at + item.width] = _sum(values[self._index[node]], rows)
            at += item.width
        if spec.columns:
            gram = _gram(self._beside(spec.columns, values, rows))
            flat[at : at + gram.size] = gram.ravel()
            at += gram.size
        for left, right in spec.crosses:
            cross = _products(self._beside([left], values, rows), self._beside([right], values, rows))
            flat[at : at + cross.size] = cross.ravel()
            at += cross.size
        weight = float(rows)
        if spec.weight is not None:
            weight = float(_sum(values[self._index[spec.weight]], rows))
        bad = None if every(np.isfinite(flat)) else self._first_bad(values, rows, block, start)
        return Total(rows, weight, bad, flat)

    def _reduce(self, item: Item, values: list[Array], rows: int) -> Array:
        parts = []
        for node, matrix in item.terms:
            factor = values[self._index[node]]
            if matrix is None:
                parts.append(np.full(item.width, _sum(factor, rows)))
            else:
                parts.append(np.einsum("i,ij->j", np.broadcast_to(factor, (rows,)), values[self._index[matrix]]))
        return parts[0] if len(parts) == 1 else np.asarray(sum(parts[1:], parts[0]))

    def _beside(self, items: Sequence[Item], values: list[Array], rows: int) -> Array:
        """The columns of some items, (width, rows): each one contiguous."""
        out = np.empty((sum([item.width for item in items]), rows))
        at = 0
        for item in items:
            for k, (node, matrix) in enumerate(item.terms):
                factor = values[self._index[node]]
                part = factor if matrix is None else factor * values[self._index[matrix]].T
                if k:
                    out[at : at + item.width] += part
                else:
                    out[at : at + item.width] = part
            at += item.width
        return out

    def first_bad(self, theta: Array, block: Block, start: int) -> int:
        """The first global row of the tile at row `start` of the block whose values are not all finite."""
        tile = cut(block, start, min(start + TILE, block.rows))
        with np.errstate(all="ignore"):
            prepared = self._evaluate.prepare(theta)
            for _, rows, columns in live_tiles(tile):
                return self._first_bad(self._evaluate.rows(prepared, columns), rows, tile, 0)
        raise AssertionError("a tile has rows")

    def _first_bad(self, values: list[Array], rows: int, block: Block, start: int) -> int:
        """The first global row of a tile whose values are not all finite; the tile's first if only their sum is not."""
        good = np.ones(rows, dtype=bool)
        for value in values:
            if np.ndim(value) == 1 and np.size(value) == rows:
                good &= np.isfinite(value)
            elif np.ndim(value) == 0:
                good &= bool(np.isfinite(value))
        at = int(np.argmin(good)) if not good.all() else 0
        if block.live is not None:
            at = int(np.flatnonzero(block.live[start : start + TILE])[at])
        return block.first_row + start + at


def live_tiles(block: Block) -> Iterator[tuple[int, int, Mapping[str, Array]]]:
    """(first row within the block, live rows, their columns) of every tile that has a live row or is the only one."""
    for start in range(0, max(block.rows, 1), TILE):
        stop = min(start + TILE, block.rows)
        live = None if block.live is None else block.live[start:stop]
        if live is None or live.all():
            whole = stop - start == block.rows
            yield start, stop - start, block.columns if whole else {n: c[start:stop] for n, c in block.columns.items()}
        else:
            yield start, int(live.sum()), {n: c[start:stop][live] for n, c in block.columns.items()}


def _sum(value: Any, rows: int) -> float:
    return float(np.add.reduce(value)) if isinstance(value, np.ndarray) and value.ndim else float(value) * rows


def _gram(columns: Array) -> Array:
    """All pairwise products of the columns (m, rows), summed: pairwise summation, and no BLAS."""
    if len(columns) * columns.size <= FEW:
        return np.asarray(np.add.reduce(columns[:, None] * columns, axis=2))
    gram = np.empty((len(columns), len(columns)))
    for i, column in enumerate(columns):
        gram[i, i:] = gram[i:, i] = np.add.reduce(column * columns[i:], axis=1)
    return gram


def _products(left: Array, right: Array) -> Array:
    """Σ over rows of left ⊗ right, of (m, rows) and (k, rows)."""
    return np.array([np.add.reduce(column * right, axis=1) for column in left])
