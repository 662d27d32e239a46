"""Where to begin: start values found from the formula and a seeded sample of rows.

Candidates are drawn by dimensional analysis (`formula/magnitudes.py`), thousands at once, on a few rows; the
parameters in which a residual is linear are solved at each (variable projection: Golub and Pereyra, Inverse Problems 19
(2003) R1). The best of each of many groups goes downhill on the sample by Levenberg and Marquardt with Kaufman's
Jacobian, all at once in NumPy; the lowest minimum that they reach is where the descent on all rows begins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from .spectrum import Mask
from .strategy import plan
from .types import Array, Need, Status, Stop

ROWS = 512  # of the sample, on which starts go downhill
SURE = 1 << 14  # of the sample, where one start is enough: a better one saves passes over all rows
FEW = 256  # rows on which candidates are compared
DRAWN, DRAWN_PERIODIC = 256, 1_024  # candidates for each parameter, up to six
GENERATIONS, GENERATIONS_PERIODIC = 2, 4  # of candidates that are put together from the best ones
FEW_EACH = 6  # candidates of a small group
STARTS = 8  # candidates for each parameter that go downhill, up to three
FEW_STARTS = 6  # that go downhill one by one
STEPS = 60  # of each
WORK = 1 << 22  # numbers that are looked at at once
WIDEST = 64  # numbers of vectors that are drawn; those of wider ones begin at 0
UNMOVED, SPREAD = 0.2, 1.0  # share of candidates with a vector at 0; log10 of how far X @ B goes in the others, ±
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
    only where `restarts` asks for them. Of what is proved convex one start is enough.
    """
    objective = surface.objective
    if not missing or objective.quadratic or objective.large or not (objective.columns or restarts):
        return None
    with np.errstate(all="ignore"):
        rng = np.random.default_rng(seed)
        one = alone(surface)
        if one and (given or (not objective.columns and surface.at(theta, Need.VALUE).finite)):
            return None
        search: Search
        if objective.columns:
            columns, whole = sample(surface.reader, max(SURE if one else ROWS, 4 * objective.layout.size), seed)
            chosen = Projected if Projected.solves(objective) else Plain
            search = chosen(objective, theta, tuple(missing), columns, surface.reader.rows)
        else:
            search, whole = Scattered(surface, theta, tuple(missing)), True
        if not search.possible:
            return None
        if one:
            return search.anywhere(rng, whole)
        drawn = search.candidates(rng, restarts or search.usual)
        return _best(search, surface, np.vstack([search.now, drawn]) if given else drawn, whole)


def alone(surface: Surface) -> bool:
    """Whether the loss is proved to have one minimum; squares of a curve have no such proof, and are not asked."""
    objective = surface.objective
    return (not objective.squares or bool(objective.convex)) and surface.convexity[0]


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

    A candidate is a row alpha (m,) of the numbers that are drawn: the scalar parameters `names`, then the `vectors`.
    Of `table` rows those of the sample carry their share of the penalty.
    """

    def __init__(
        self, objective: Objective, theta: Array, missing: tuple[str, ...], columns: Mapping[str, Array], table: int = 1
    ) -> None:
        self.rows = min(map(len, columns.values()), default=0)
        if objective.penalty is not None and 0 < self.rows < table:
            objective = replace(objective, penalty=objective.penalty.shared(self.rows / table))
        self.objective, self.graph, self.missing, self.columns = objective, objective.graph, missing, columns
        self.start = theta.copy()
        layout = objective.layout
        self.linear = self._linear()
        drawn = [n for n in missing if n not in self.linear]
        self.names = tuple(n for n in drawn if layout.width_of[n] is None)
        self.vectors = tuple(n for n in drawn if layout.width_of[n] is not None)
        for name in self.vectors:
            self.start[layout.slices[name]] = 0.0  # a vector in X @ B
        if sum(layout.width_of[n] or 0 for n in self.vectors) > WIDEST:
            self.vectors = ()
        self.index = [i for n in (*self.names, *self.vectors) for i in np.arange(layout.size)[layout.slices[n]]]
        self.lower, self.upper = objective.lower[self.index], objective.upper[self.index]
        held = layout.values(self.start).items()
        self.fixed: Values = {n: v for n, v in held if n not in (*self.names, *self.vectors)}
        self.places = {n: n for n in layout.names}
        self.typical = np.ones(len(self.index))  # size of each parameter, as it is drawn

    def _linear(self) -> tuple[str, ...]:
        return ()

    @property
    def usual(self) -> int:
        """How many starts go downhill where nobody says."""
        return STARTS * min(max(len(self.index), 1), 3)

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
        """What an evaluator takes: the candidates' parameters as (S, 1), vectors as (S, q), the others as they are."""
        values, place = {**self.fixed}, 0
        for name in (*self.names, *self.vectors):
            width = self.objective.layout.width_of[name] or 1
            values[name] = alpha[:, place : place + width]
            place += width
        return values

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
        if not self.index:
            return np.empty((1, 0))
        known = {n: float(v) for n, v in self.fixed.items() if n not in self.linear and np.ndim(v) == 0}
        magnitudes = Magnitudes(self.graph, self.output, self.names, known, self.columns)
        each, generations = (DRAWN_PERIODIC, GENERATIONS_PERIODIC) if magnitudes.periodic else (DRAWN, GENERATIONS)
        drawn = max(each * min(len(self.index), 6), 8 * count)
        every = slice(None) if self.rows <= FEW or magnitudes.periodic else slice(None, None, self.rows // FEW)
        alpha = self._bounded(np.hstack([magnitudes.draw(drawn, rng), *self._vectors(drawn, rng)]), rng)
        self.typical = np.median(np.abs(alpha), axis=0)
        losses = self.screen(alpha, every)
        together = self._together(magnitudes.together)
        for _ in range(generations if len(self.index) > 1 else 0):
            bred = self._bred(alpha, losses, together, drawn // 4, rng)
            alpha = np.vstack([alpha, bred])
            losses = np.concatenate([losses, self.screen(bred, every)])
        order = rng.permutation(np.flatnonzero(np.isfinite(losses)))
        large = np.array_split(order, count - count // 2)
        small = [rng.choice(order, FEW_EACH) for _ in range(count // 2) if len(order)]
        return alpha[[group[np.argmin(losses[group])] for group in (*large, *small) if len(group)]]

    def _vectors(self, count: int, rng: np.random.Generator) -> list[Array]:
        """Draws (count, q) of each vector B: X @ B is of order 1 over the rows, a tenth or ten times that, or 0."""
        drawn = []
        for name in self.vectors:
            size = np.ones(self.objective.layout.width_of[name] or 1)
            for matrix in self._matrices(name):
                size = np.sqrt(np.mean(np.atleast_2d(matrix) ** 2, axis=0))
            size = np.where(size > 0, size, 1.0) * math.sqrt(len(size))
            reach = 10.0 ** rng.uniform(-SPREAD, SPREAD, (count, 1)) * (rng.random((count, 1)) >= UNMOVED)
            drawn.append(reach * rng.standard_normal((count, len(size))) / size)
        return drawn

    def _matrices(self, name: str) -> list[Array]:
        """The matrices of columns that stand before a vector."""
        graph, held = self.graph, (*self.names, *self.vectors, *self.fixed)
        nodes = [graph.nodes[n] for n in graph.reachable([self.output])]
        found = [a for op, *args in nodes if op == "@" for a in args[:1] if graph.depends(args[1:], [name])]
        plain = [n for n in found if not graph.depends([n], held)]
        return Evaluator(graph, plain, tuple(self.columns), {})(np.empty(0), self.columns) if plain else []

    def _together(self, scalars: Mask) -> Mask:
        """(blocks, m): the blocks of scalar parameters, and each vector as a whole."""
        widths = [self.objective.layout.width_of[n] or 1 for n in self.vectors]
        blocks = np.zeros((len(scalars) + len(widths), len(self.index)), np.bool_)
        if self.names:
            blocks[: len(scalars), : len(self.names)] = scalars
        for i, width in enumerate(widths):
            at = len(self.names) + sum(widths[:i])
            blocks[len(scalars) + i, at : at + width] = True
        return blocks

    def _bred(self, alpha: Array, losses: Array, together: Mask, count: int, rng: np.random.Generator) -> Array:
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

    def anywhere(self, rng: np.random.Generator, whole: bool) -> Found | None:
        """One start from which a convex loss is finite; of a large table, from where its sample is lowest."""
        alpha = self.candidates(rng, 1)
        if not math.isfinite(self.screen(alpha, slice(None))[0]):
            drawn = self.candidates(rng, FEW_STARTS)
            alpha = drawn[[int(np.argmin(self.screen(drawn, slice(None))))]]
        if not whole:
            alpha = self.descend(alpha)[0]
        loss = float(self.screen(alpha, slice(None))[0])
        if not math.isfinite(loss):
            return None
        rows = None if whole else self.rows
        return Found(self.theta(alpha[0]), self.missing, 1, 1, None, rows, (self.reduced(loss),) * 2)

    def penalties(self, alpha: Array) -> Array:
        """The penalty of each candidate, (S,)."""
        penalty = self.objective.penalty
        if penalty is None:
            return np.zeros(len(alpha))
        theta = np.repeat(self.start[:, None], len(alpha), axis=1)
        theta[self.index] = alpha.T
        return np.broadcast_to(penalty.values(theta), (len(alpha),))

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
        ones = np.zeros((1, len(self.index)))  # as good a start as any for what is convex
        ones[:, : len(self.names)] = 1.0
        ones = self.inside(ones)
        return np.vstack([ones, super().candidates(rng, count - 1)]) if count > 1 else ones

    def losses(self, alpha: Array, columns: Mapping[str, Array], rows: slice) -> Array:
        value = self._evaluator(self.values(alpha), columns)[0]
        value = np.broadcast_to(value, (len(alpha), len(next(iter(columns.values())))))
        sums = (value if self.weight is None else value * self.weight[rows]).sum(axis=1)
        return np.asarray(sums + self.penalties(alpha) * value.shape[1] / self.rows)

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
        shape = (count, len(self.index))
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
    """Squares of residuals: what is linear in them is solved.

    A penalty ½‖Lθ - l‖² is rows like others, [L, l] below those of the sample.
    """

    @staticmethod
    def solves(objective: Objective) -> bool:
        """Whether all that is minimised is a sum of squares of residuals."""
        penalty = objective.penalty
        least = penalty is None or (penalty.quadratic and penalty.rows(np.zeros(objective.layout.size)) is not None)
        return objective.squares and least

    @cached_property
    def _penalty(self) -> Array:
        """[L, l] (r, p + 1), the numbers that are neither drawn nor solved put in."""
        penalty, p = self.objective.penalty, self.objective.layout.size
        rows = None if penalty is None else penalty.rows(np.zeros(p))
        if rows is None:
            return np.zeros((0, p + 1))
        solved = [i for n in self.linear for i in range(p)[self.objective.layout.slices[n]]]
        still = np.setdiff1d(np.arange(p), [*self.index, *solved])
        rows[:, -1] -= rows[:, still] @ self.start[still]
        return rows

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
        """The derivatives by the scalars, then row scalar and matrix of each term of those by the vectors."""
        nodes = [self.objective.model_partials[n].node for n in self.names]
        zero = self.graph.number(0)
        outputs = [zero if n is None else n for n in nodes]
        outputs += [n for name in self.vectors for n in self._pairs(name)]
        return Evaluator(self.graph, outputs, tuple(self.columns), self.places)

    def _pairs(self, name: str) -> list[int]:
        terms = self.objective.model_partials[name].terms
        return [node for scalar, matrix in terms for node in (scalar, matrix) if node is not None]

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
        return self._with_penalty(alpha, basis, residual)

    def _with_penalty(self, alpha: Array, basis: Array, residual: Array) -> tuple[Array, Array]:
        """With the rows of the penalty below; those of few rows carry their share of it."""
        below = self._penalty * math.sqrt(residual.shape[1] / self.rows)
        if not len(below):
            return basis, residual
        slices = [self.objective.layout.slices[n] for n in self.linear]
        linear = np.hstack([np.zeros((len(below), 0)), *(below[:, place] for place in slices)])
        left = below[:, -1] - np.einsum("rm,sm->sr", below[:, self.index], alpha)
        basis = np.concatenate([basis, np.broadcast_to(linear, (len(alpha), *linear.shape))], axis=1)
        return basis, np.concatenate([residual, left], axis=1)

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
        parts = self._slopes({**self.values(alpha), **solved}, self.columns)
        columns = [np.broadcast_to(part, at)[..., None] for part in parts[: len(self.names)]]
        place = len(self.names)
        for name in self.vectors:
            pairs = parts[place : place + len(self._pairs(name))]
            terms = zip(pairs[::2], pairs[1::2], strict=True)
            columns.append(sum(np.broadcast_to(one, at)[..., None] * matrix for one, matrix in terms))
            place += len(pairs)
        slopes = np.concatenate(columns, axis=2)
        if self.weight is not None:
            slopes = slopes * np.sqrt(self.weight)[:, None]
        below = np.broadcast_to(self._penalty[:, self.index], (len(alpha), len(self._penalty), len(self.index)))
        slopes = np.concatenate([slopes, below], axis=1) if len(self._penalty) else slopes
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
        gram = scaled.transpose(0, 2, 1) @ scaled + 1e-14 * np.eye(len(self.index))
        step = np.linalg.solve(gram, right[..., None])[..., 0] / size
        inside = self.inside(alpha + step) - alpha
        small = np.abs(inside) <= SETTLED * np.maximum(np.abs(alpha), self.typical)
        return np.where(~felt.all(axis=1), RUNS_AWAY, np.where(small.all(axis=1), SETTLES, MOVES))

    def descend(self, alpha: Array) -> tuple[Array, Array, Grades]:
        """By Levenberg and Marquardt's steps."""
        alpha = self.inside(alpha)
        point = self._at(alpha)
        losses = point.loss.copy()
        if not self.index:
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
            scaled = scaled + (damping[active, None, None] + 1e-14) * np.eye(len(self.index))
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
