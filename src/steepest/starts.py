"""Where to begin: start values found from the formula and a seeded sample of rows.

Candidates are drawn by dimensional analysis (`formula/magnitudes.py`), thousands at once, on a few rows; the
parameters in which a residual is linear are solved at each (variable projection: Golub and Pereyra, Inverse Problems 19
(2003) R1). The best of each of many groups goes downhill on the sample by Levenberg and Marquardt with Kaufman's
Jacobian, all at once in NumPy; the lowest minimum that they reach is where the descent on all rows begins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.sample import sample
from .data.table import Table
from .descent import Descent
from .errors import FitError
from .formula.evaluate import Evaluator
from .formula.magnitudes import Magnitudes
from .formula.objective import Objective
from .kernels.rows import surface_over
from .kernels.surface import Surface
from .strategy import plan
from .types import Array, Need, Status, Stop

ROWS = 512  # of the sample, on which starts go downhill
FEW = 256  # rows on which candidates are compared
DRAWN, DRAWN_PERIODIC = 256, 1_024  # candidates for each parameter, up to six
GENERATIONS, GENERATIONS_PERIODIC = 2, 4  # of candidates that are put together from the best ones
FEW_EACH = 6  # candidates of a small group
STARTS = 8  # candidates for each parameter that go downhill, up to three
FEW_STARTS = 6  # that go downhill one by one
STEPS = 60  # of each
WORK = 1 << 22  # numbers that are looked at at once
SAME = 1e-4  # relative to the loss: two starts have ended in the same minimum
EXACT = 1e-20  # of Σ w·y²: residuals that are rounding
SETTLED = 0.03  # of a parameter, or of its usual size: a longer Gauss-Newton step at the end is a run away
FELT = 1e-7  # the part of a slope that the linear parameters cannot make good
FEW_ROWS = 10  # what running away may gain, as if by fitting so many rows exactly, is no reason to run
LONGEST = 10.0  # step, in sizes of the parameter
RUNS_AWAY, MOVES, SETTLES = 0, 1, 2  # where a start ends: where nothing is felt any more, on its way, at a minimum
CHECKED = 3  # distinct minima of the sample that are looked at on all rows
Values = dict[str, Any]
Grades = NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """A start, and what the search says of it.

    `tried` starts went downhill, `same` of them ended in the best minimum, and the lowest of the others has the reduced
    loss `following` (None: there was no other). `rows` is the size of the sample, None where it was the whole table;
    `names` are the parameters that were sought; `losses`: from where to where the reduced loss is that of the best;
    `beyond`: a lower loss, which only running away in some parameter gives.
    """

    theta: Array
    names: tuple[str, ...]
    tried: int
    same: int
    following: float | None
    rows: int | None
    losses: tuple[float, float]
    beyond: float | None = None

    def reached(self, loss: float) -> bool:
        """Whether the reduced loss of a descent on all rows is that of the best minimum; of a sample nobody can say."""
        return self.rows is not None or self.losses[0] <= loss <= self.losses[1]

    def as_dict(self) -> dict[str, Any]:
        """The fields that an answer keeps."""
        return {"names": list(self.names), "tried": self.tried, "same": self.same, "next_loss": self.following,
                "sample_rows": self.rows, "beyond": self.beyond}  # fmt: skip


def find(
    surface: Surface, theta: Array, missing: Sequence[str], seed: int, restarts: int | None, given: bool = False
) -> Found | None:
    """A start for the parameters `missing`, the others as in theta; None where nothing is to be found.

    `given`: theta is a start of the user's, beside which `restarts` others are tried. Without data starts are drawn
    only where `restarts` asks for them.
    """
    objective = surface.objective
    if not missing or objective.quadratic or objective.large or not (objective.columns or restarts):
        return None
    with np.errstate(all="ignore"):
        rng = np.random.default_rng(seed)
        search: Search
        if objective.columns:
            columns, whole = sample(surface.reader, max(ROWS, 4 * objective.layout.size), seed)
            search = (Projected if objective.squares else Plain)(objective, theta, tuple(missing), columns)
        else:
            search, whole = Scattered(surface, theta, tuple(missing)), True
        if not search.possible:
            return None
        drawn = search.candidates(rng, restarts or search.usual)
        return _best(search, surface, np.vstack([search.now, drawn]) if given else drawn, whole)


def _best(search: Search, surface: Surface, drawn: Array, whole: bool) -> Found | None:
    """The start from which the lowest minimum is reached."""
    alpha, losses, grades = search.descend(drawn)
    order = [int(i) for i in np.argsort(losses, kind="stable") if math.isfinite(losses[i])]
    if not order:
        return None
    distinct = order[:1]
    for i in order[1:]:
        if not search.same(losses[i], losses[distinct[-1]]):
            distinct.append(i)
    near = losses[order[0]] + FEW_ROWS / max(search.rows, 1) * abs(losses[order[0]])
    best = next((i for i in order if grades[i] == SETTLES and losses[i] <= near), None)
    if best is None:
        best = next((i for i in order if grades[i] == MOVES), None)
    if best is None:  # all of them run away: there is no minimum to begin near
        return None
    if not whole and grades[best] == SETTLES:
        spread = 1.0 + 6.0 / math.sqrt(search.rows)
        close = [
            i
            for i in [best, *(i for i in distinct if i != best and grades[i] == SETTLES)][:CHECKED]
            if losses[i] <= losses[best] * spread
        ]
        if len(close) > 1:
            totals = [surface.at(search.theta(alpha[i]), Need.VALUE).total for i in close]
            best = close[int(np.argmin([t if math.isfinite(t) else math.inf for t in totals]))]
    alike = [i for i in order if search.same(losses[i], losses[best])]
    best = min((i for i in alike if grades[i] == grades[best]), key=lambda i: _plainness(alpha[i]))
    same = len(alike)
    others = (losses[i] for i in order if grades[i] == SETTLES and not search.same(losses[i], losses[best]))
    following = next((search.reduced(loss) for loss in others), None)
    rows = None if whole else search.rows
    low, high = sorted((search.reduced(losses[best] - search.margin(losses[best])),
                        search.reduced(losses[best] + search.margin(losses[best]))))  # fmt: skip
    away = losses[order[0]] if grades[order[0]] != SETTLES and grades[best] == SETTLES else losses[best]
    beyond = None if search.same(away, losses[best]) else search.reduced(away)
    return Found(search.theta(alpha[best]), search.missing, len(losses), same, following, rows, (low, high), beyond)


def _plainness(alpha: Array) -> tuple[float, int]:
    """What of equally good values is preferred: small ones, as of a frequency and its aliases, then positive ones."""
    sizes = np.log(np.maximum(np.abs(alpha), np.finfo(float).tiny))
    return round(float(sizes.sum()), 3), int(np.count_nonzero(alpha < 0))


class Search:
    """Candidates for some parameters on a sample of rows; the others keep their values.

    A candidate is a row alpha (names,) of the scalar parameters `names` that are drawn.
    """

    def __init__(
        self, objective: Objective, theta: Array, missing: tuple[str, ...], columns: Mapping[str, Array]
    ) -> None:
        self.objective, self.graph, self.missing, self.columns = objective, objective.graph, missing, columns
        self.start = theta.copy()
        self.rows = min(map(len, columns.values()), default=0)
        layout = objective.layout
        self.linear = self._linear()
        self.names = tuple(n for n in missing if n not in self.linear and layout.width_of[n] is None)
        for name in missing:
            if name not in self.linear and name not in self.names:
                self.start[layout.slices[name]] = 0.0  # a vector in X @ B
        self.index = [layout.slices[n].start for n in self.names]
        self.lower, self.upper = objective.lower[self.index], objective.upper[self.index]
        self.fixed: Values = {n: v for n, v in layout.values(self.start).items() if n not in self.names}
        self.places = {n: n for n in layout.names}
        self.typical = np.ones(len(self.names))  # size of each parameter, as it is drawn

    def _linear(self) -> tuple[str, ...]:
        return ()

    @property
    def usual(self) -> int:
        """How many starts go downhill where nobody says."""
        return STARTS * min(max(len(self.names), 1), 3)

    @property
    def possible(self) -> bool:
        """Whether candidates can be computed all at once."""
        graph = self.graph
        stacks = [n for n in graph.reachable([self.output]) if graph.nodes[n][0] == "stack"]
        return self.rows > 0 and not graph.depends(stacks, self.names)

    @property
    def output(self) -> int:
        raise NotImplementedError

    @property
    def now(self) -> Array:
        """The start that was given, as a candidate."""
        return self.start[self.index]

    @cached_property
    def weight(self) -> Array | None:
        """Of each row, (rows,)."""
        if self.objective.weight is None:
            return None
        value = Evaluator(self.graph, [self.objective.weight], tuple(self.columns), {})(np.empty(0), self.columns)[0]
        return np.broadcast_to(value, (self.rows,))

    def values(self, alpha: Array) -> Values:
        """What an evaluator takes: the candidates' parameters as (S, 1), the others as they are."""
        return {**self.fixed, **{n: alpha[:, i : i + 1] for i, n in enumerate(self.names)}}

    def inside(self, alpha: Array) -> Array:
        return np.clip(alpha, self.lower, self.upper)

    def reduced(self, loss: float) -> float:
        """A sum over the sample as the reduced objective says it."""
        loss *= self.objective.sign
        total = self.rows if self.weight is None else float(self.weight.sum())
        if self.objective.reduce == "sum":
            return float(loss)
        return math.sqrt(max(2 * loss / total, 0.0)) if self.objective.reduce == "rmse" else float(loss / total)

    def margin(self, loss: float) -> float:
        """How far apart the losses of one minimum may be."""
        return SAME * abs(loss)

    def same(self, one: float, other: float) -> bool:
        """Whether two losses are those of one minimum."""
        return abs(one - other) <= self.margin(other)

    # drawing -----------------------------------------------------------------------------------------------
    def candidates(self, rng: np.random.Generator, count: int) -> Array:
        """The best of each of `count` groups of candidates, (count, names).

        Half of the groups are large and half are small: the lowest candidate need not lead to the lowest minimum.
        """
        if not self.names:
            return np.empty((1, 0))
        known = {n: float(v) for n, v in self.fixed.items() if n not in self.linear and np.ndim(v) == 0}
        magnitudes = Magnitudes(self.graph, self.output, self.names, known, self.columns)
        each, generations = (DRAWN_PERIODIC, GENERATIONS_PERIODIC) if magnitudes.periodic else (DRAWN, GENERATIONS)
        drawn = max(each * min(len(self.names), 6), 8 * count)
        every = slice(None) if self.rows <= FEW or magnitudes.periodic else slice(None, None, self.rows // FEW)
        alpha = self._bounded(magnitudes.draw(drawn, rng), rng)
        self.typical = np.median(np.abs(alpha), axis=0)
        losses = self.screen(alpha, every)
        for _ in range(generations if len(self.names) > 1 else 0):
            bred = self._bred(alpha, losses, magnitudes.together, drawn // 4, rng)
            alpha = np.vstack([alpha, bred])
            losses = np.concatenate([losses, self.screen(bred, every)])
        order = rng.permutation(np.flatnonzero(np.isfinite(losses)))
        large = np.array_split(order, count - count // 2)
        small = [rng.choice(order, FEW_EACH) for _ in range(count // 2) if len(order)]
        return alpha[[group[np.argmin(losses[group])] for group in (*large, *small) if len(group)]]

    def _bred(self, alpha: Array, losses: Array, together: Array, count: int, rng: np.random.Generator) -> Array:
        """Some of the best, with what stands in one argument from any other, or moved a little.

        `together` (blocks, names): which parameters stand in one argument.
        """
        best = np.argsort(losses, kind="stable")[: max(8, count // 16)]
        parents = alpha[rng.choice(best, count)]
        mates = alpha[np.where(rng.random(count) < 0.5, rng.choice(best, count), rng.integers(0, len(alpha), count))]
        moved = parents * (1.0 + 0.05 * rng.normal(size=parents.shape))
        block = together[rng.integers(0, len(together), count)]
        return self.inside(np.where(block, mates, np.where(rng.random((count, 1)) < 0.5, moved, parents)))

    def _bounded(self, alpha: Array, rng: np.random.Generator) -> Array:
        """Candidates within the bounds: turned at one, drawn between two."""
        low, high = self.lower, self.upper
        alpha = np.where(alpha < low, 2 * low - alpha, alpha)
        alpha = np.where(alpha > high, 2 * high - alpha, alpha)
        both = np.isfinite(low) & np.isfinite(high)
        between = np.where(both, low, 0.0) + np.where(both, high - low, 0.0) * rng.random(alpha.shape)
        return np.where((alpha < low) | (alpha > high), between, alpha)

    def screen(self, alpha: Array, rows: slice) -> Array:
        """The loss of each candidate on some rows, (S,); inf where it is not finite."""
        columns = {n: c[rows] for n, c in self.columns.items()}
        size = max(1, WORK // max(1, len(next(iter(columns.values()))) * self.width))
        parts = [self.losses(alpha[i : i + size], columns, rows) for i in range(0, len(alpha), size)]
        losses = np.concatenate(parts)
        return np.where(np.isfinite(losses), losses, math.inf)

    @property
    def width(self) -> int:
        return 1

    def losses(self, alpha: Array, columns: Mapping[str, Array], rows: slice) -> Array:
        raise NotImplementedError

    def descend(self, alpha: Array) -> tuple[Array, Array, Grades]:
        """Where candidates end, the losses there, and how they end: RUNS_AWAY, MOVES or SETTLES."""
        raise NotImplementedError

    def theta(self, alpha: Array) -> Array:
        """All parameters at a candidate."""
        theta = self.start.copy()
        theta[self.index] = alpha
        return theta


class Plain(Search):
    """Any loss: candidates are compared by it as they are, and go downhill one by one."""

    @property
    def usual(self) -> int:
        return FEW_STARTS

    @property
    def output(self) -> int:
        return self.objective.loss

    def candidates(self, rng: np.random.Generator, count: int) -> Array:
        ones = self.inside(np.ones((1, len(self.names))))  # as good a start as any for what is convex
        return np.vstack([ones, super().candidates(rng, count - 1)]) if count > 1 else ones

    def losses(self, alpha: Array, columns: Mapping[str, Array], rows: slice) -> Array:
        value = self._evaluator(self.values(alpha), columns)[0]
        value = np.broadcast_to(value, (len(alpha), len(next(iter(columns.values())))))
        return np.asarray((value if self.weight is None else value * self.weight[rows]).sum(axis=1))

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.graph, [self.objective.loss], tuple(self.columns), self.places)

    @property
    def surface(self) -> Surface:
        """What the starts go down on."""
        return surface_over(self.objective, Table(self.columns, self.rows))

    def descend(self, alpha: Array) -> tuple[Array, Array, Grades]:
        ends, losses = alpha.copy(), np.full(len(alpha), math.inf)
        grades = np.full(len(alpha), MOVES)
        surface = self.surface
        for i, start in enumerate(alpha):
            run = Descent(surface, plan(self.objective, "auto", None, None), self.theta(start), Stop(steps=STEPS))
            run.watched = False
            try:
                for _ in run.steps():
                    pass
            except FitError:  # not finite there
                continue
            if run.evaluation is not None and run.evaluation.finite and run.status is not Status.DIVERGED:
                ends[i], losses[i] = run.theta[self.index], run.evaluation.total
                grades[i] = SETTLES if run.status is Status.CONVERGED else MOVES
        return ends, losses, grades


class Scattered(Plain):
    """A function of its variables alone: starts within the bounds, else at many scales around 1."""

    def __init__(self, surface: Surface, theta: Array, missing: tuple[str, ...]) -> None:
        super().__init__(surface.objective, theta, missing, {})
        self._surface = surface

    @property
    def possible(self) -> bool:
        return True

    @property
    def surface(self) -> Surface:
        return self._surface

    def candidates(self, rng: np.random.Generator, count: int) -> Array:
        shape = (count, len(self.names))
        alpha = np.where(rng.random(shape) < 0.5, 1.0, -1.0) * 10.0 ** rng.uniform(-1.5, 1.5, shape)
        both = np.isfinite(self.lower) & np.isfinite(self.upper)
        width = np.where(both, self.upper - self.lower, 0.0)
        return self._bounded(np.where(both, self.lower + width * rng.random(shape), alpha), rng)

    def descend(self, alpha: Array) -> tuple[Array, Array, Grades]:
        return alpha, *super().descend(alpha)[1:]  # the path of the best is walked again, to be seen


@dataclass
class _Point:
    """Candidates with their linear parameters solved: loss (S,), Q of the linear columns (S, n, q), residual (S, n)."""

    loss: Array
    basis: Array
    residual: Array
    coefficients: Array  # (S, q)


class Projected(Search):
    """Squares of residuals: what is linear in them is solved."""

    @property
    def output(self) -> int:
        assert self.objective.prediction is not None
        return self.objective.prediction

    def _linear(self) -> tuple[str, ...]:
        objective = self.objective
        slices = objective.layout.slices
        free = np.isinf(objective.lower) & np.isinf(objective.upper)
        return tuple(n for n in objective.structure.linear if n in self.missing and free[slices[n]].all())

    @property
    def width(self) -> int:
        return 2 + sum(self.objective.layout.width_of[n] or 1 for n in self.linear)

    @cached_property
    def _target(self) -> Array:
        assert self.objective.left is not None
        left = Evaluator(self.graph, [self.objective.left], tuple(self.columns), {})(np.empty(0), self.columns)[0]
        return np.broadcast_to(np.asarray(left, dtype=float), (self.rows,))

    @cached_property
    def _signal(self) -> float:
        return float((self._target**2 if self.weight is None else self.weight * self._target**2).sum())

    def margin(self, loss: float) -> float:
        return super().margin(loss) + EXACT * self._signal

    @cached_property
    def _terms(self) -> list[tuple[int, int | None]]:
        """(row scalar, matrix) of the derivative by each linear parameter."""
        with self.graph.growing:
            partials = self.objective.model_partials
        return [partials[n].terms[0] for n in self.linear]

    @cached_property
    def _evaluator(self) -> Evaluator:
        """The prediction without its linear part, and its linear columns."""
        nodes = [n for term in self._terms for n in term if n is not None]
        return Evaluator(self.graph, [self.output, *nodes], tuple(self.columns), self.places)

    @cached_property
    def _slopes(self) -> Evaluator:
        nodes = [self.objective.model_partials[n].node for n in self.names]
        zero = self.graph.number(0)
        return Evaluator(self.graph, [zero if n is None else n for n in nodes], tuple(self.columns), self.places)

    def _columns_at(self, alpha: Array, columns: Mapping[str, Array], rows: slice) -> tuple[Array, Array]:
        """The linear columns (S, n, q), and what they are to explain (S, n), both times the root of the weight."""
        zero = {n: np.zeros_like(self.fixed[n]) if np.ndim(self.fixed[n]) else 0.0 for n in self.linear}
        rest, *values = self._evaluator({**self.values(alpha), **zero}, columns)
        target = self._target[rows]
        shape = (len(alpha), len(target))
        residual = np.array(np.broadcast_to(target - rest, shape))
        parts, place = [], 0
        for _, matrix in self._terms:
            scalar = np.broadcast_to(values[place], shape)
            parts.append(scalar[..., None] if matrix is None else scalar[..., None] * values[place + 1])
            place += 1 + (matrix is not None)
        basis = np.concatenate(parts, axis=2) if parts else np.zeros((*shape, 0))
        if self.weight is not None:
            root = np.sqrt(self.weight[rows])
            residual, basis = residual * root, basis * root[:, None]
        return basis, residual

    def losses(self, alpha: Array, columns: Mapping[str, Array], rows: slice) -> Array:
        basis, residual = self._columns_at(alpha, columns, rows)
        if basis.shape[2]:
            size = np.sqrt(np.einsum("snq,snq->sq", basis, basis))
            good = np.isfinite(size).all(axis=1) & np.isfinite(residual).all(axis=1)
            basis = np.where(good[:, None, None], basis / np.where(size > 0, size, 1.0)[:, None, :], 0.0)
            gram = basis.transpose(0, 2, 1) @ basis
            values, vectors = np.linalg.eigh(gram)
            right = np.einsum("snq,sn->sq", basis, np.where(good[:, None], residual, 0.0))
            turned = np.einsum("sqk,sq->sk", vectors, right)
            turned = np.where(values > 1e-11 * values[:, -1:], turned / np.where(values > 0, values, 1.0), 0.0)
            residual = residual - (basis @ (vectors @ turned[..., None]))[..., 0]
        return np.asarray(0.5 * np.einsum("sn,sn->s", residual, residual))

    # downhill ----------------------------------------------------------------------------------------------
    def _at(self, alpha: Array) -> _Point:
        basis, residual = self._columns_at(alpha, self.columns, slice(None))
        size = np.sqrt(np.einsum("snq,snq->sq", basis, basis))
        good = np.isfinite(size).all(axis=1) & np.isfinite(residual).all(axis=1)
        size = np.where((size > 0) & np.isfinite(size), size, 1.0)
        basis = np.where(good[:, None, None], basis / size[:, None, :], 0.0)
        residual = np.where(good[:, None], residual, 0.0)
        q, r = np.linalg.qr(basis)
        k = r.shape[1]
        diagonal = np.abs(np.einsum("sii->si", r[:, :, :k]))
        dead = diagonal < 1e-13
        q = np.where(dead[:, None, :], 0.0, q)
        inner = np.einsum("snq,sn->sq", q, residual)
        square = r[:, :, :k] + dead[:, :, None] * np.eye(k)
        solved = np.linalg.solve(square, inner[..., None])[..., 0] if k else inner
        residual = residual - np.einsum("snq,sq->sn", q, inner)
        residual -= np.einsum("snq,sq->sn", q, np.einsum("snq,sn->sq", q, residual))
        loss = np.where(good, 0.5 * np.einsum("sn,sn->s", residual, residual), math.inf)
        coefficients = np.zeros(size.shape)
        coefficients[:, :k] = solved
        return _Point(loss, q, residual, coefficients / size)

    def _jacobian(self, alpha: Array, point: _Point) -> Array:
        """Kaufman's: the slopes (S, n, m) by the drawn parameters, without what the linear columns can explain."""
        slopes, q = self._slopes_at(alpha, point), point.basis
        return np.asarray(slopes - q @ (q.transpose(0, 2, 1) @ slopes))

    def _slopes_at(self, alpha: Array, point: _Point) -> Array:
        """The slopes of the prediction (S, n, m) by the drawn parameters."""
        solved, at = self._solved(point.coefficients), (len(alpha), self.rows)
        if any(np.ndim(v) > 1 and v.shape[-1] != 1 for v in solved.values()):  # a vector: one candidate at a time
            rows = [
                self._slopes({**self.values(alpha[i : i + 1]), **{n: v[i] for n, v in solved.items()}}, self.columns)
                for i in range(len(alpha))
            ]
            slopes = np.stack([np.stack([np.broadcast_to(c, (1, self.rows))[0] for c in row], -1) for row in rows])
        else:
            parts = self._slopes({**self.values(alpha), **solved}, self.columns)
            slopes = np.stack([np.broadcast_to(part, at) for part in parts], axis=2)
        if self.weight is not None:
            slopes = slopes * np.sqrt(self.weight)[:, None]
        return np.where(np.isfinite(slopes), slopes, 0.0)

    def _solved(self, coefficients: Array) -> Values:
        """The linear parameters by name: (S, 1) for a scalar, (S, q) for a vector."""
        values, place = {}, 0
        for name in self.linear:
            width = self.objective.layout.width_of[name] or 1
            values[name] = coefficients[:, place : place + width]
            place += width
        return values

    def _grades(self, alpha: Array) -> Grades:
        """SETTLES where the residuals feel every parameter and the next Gauss-Newton step is a small one."""
        point = self._at(alpha)
        whole, slopes = self._slopes_at(alpha, point), self._jacobian(alpha, point)
        size = np.sqrt(np.einsum("snm,snm->sm", slopes, slopes))
        felt = size > FELT * np.sqrt(np.einsum("snm,snm->sm", whole, whole))
        size = np.where(size > 0, size, 1.0)
        scaled = slopes / size[:, None, :]
        right = np.einsum("snm,sn->sm", scaled, point.residual)
        gram = scaled.transpose(0, 2, 1) @ scaled + 1e-14 * np.eye(len(self.names))
        step = np.linalg.solve(gram, right[..., None])[..., 0] / size
        inside = self.inside(alpha + step) - alpha
        small = np.abs(inside) <= SETTLED * np.maximum(np.abs(alpha), self.typical)
        return np.where(~felt.all(axis=1), RUNS_AWAY, np.where(small.all(axis=1), SETTLES, MOVES))

    def descend(self, alpha: Array) -> tuple[Array, Array, Grades]:
        """By Levenberg and Marquardt's steps."""
        alpha = self.inside(alpha)
        point = self._at(alpha)
        losses = point.loss.copy()
        if not self.names:
            return alpha, losses, np.full(len(alpha), SETTLES)
        active = np.flatnonzero(np.isfinite(losses))
        damping, idle = np.full(len(alpha), 1e-2), np.zeros(len(alpha), dtype=int)
        here = _taken(point, active)
        slopes = self._jacobian(alpha[active], here)
        for _ in range(STEPS):
            if not len(active):
                break
            gram = slopes.transpose(0, 2, 1) @ slopes
            right = np.einsum("snm,sn->sm", slopes, here.residual)
            size = np.sqrt(np.einsum("smm->sm", gram))
            size = np.where(size > 0, size, 1.0)
            scaled = gram / size[:, :, None] / size[:, None, :]
            scaled = scaled + (damping[active, None, None] + 1e-14) * np.eye(len(self.names))
            move = np.linalg.solve(scaled, (right / size)[..., None])[..., 0] / size
            most = LONGEST * np.maximum(np.abs(alpha[active]), self.typical)
            trial = self.inside(alpha[active] + np.clip(np.where(np.isfinite(move), move, 0.0), -most, most))
            there = self._at(trial)
            better = there.loss < here.loss
            gain = (here.loss - np.where(better, there.loss, here.loss)) / np.maximum(here.loss, EXACT * self._signal)
            alpha[active[better]], losses[active[better]] = trial[better], there.loss[better]
            damping[active] = np.where(better, np.maximum(damping[active] / 8, 1e-12), damping[active] * 6)
            idle[active] = np.where(better & (gain < 1e-7), idle[active] + 1, idle[active])
            going = (idle[active] < 2) & (damping[active] < 1e8) & (losses[active] > EXACT * self._signal)
            for name in ("loss", "basis", "residual", "coefficients"):
                old, new = getattr(here, name), getattr(there, name)
                mixed = np.where(better.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
                setattr(here, name, mixed[going])
            slopes, better = slopes[going], better[going]
            active = active[going]
            if better.any():
                slopes[better] = self._jacobian(alpha[active[better]], _taken(here, better))
        finite, grades = np.isfinite(losses), np.full(len(alpha), RUNS_AWAY)
        if finite.any():
            grades[finite] = self._grades(alpha[finite])
        return alpha, losses, grades

    def theta(self, alpha: Array) -> Array:
        theta = super().theta(alpha)
        if self.linear:
            point = self._at(alpha[None])
            for name, value in self._solved(point.coefficients).items():
                theta[self.objective.layout.slices[name]] = value[0]
        return theta


def _taken(point: _Point, chosen: Any) -> _Point:
    return _Point(point.loss[chosen], point.basis[chosen], point.residual[chosen], point.coefficients[chosen])
