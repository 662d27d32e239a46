"""Objective: what is minimised, as sums over rows. Knows no arrays of data.

An objective says *what* to sum (`RowSums`: row expressions, and columns whose pairwise products are summed); a kernel
sums it; `evaluate` turns the sums and the penalty into loss, gradient and curvature. Everything is a derivative of the
formula by the sweep of `derive.py`.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

from ..errors import FitError
from ..spectrum import every
from ..types import Array, Evaluation, Need, Total
from ..vertex import Near, Rows
from .convexity import Convexity
from .derive import Partial, gradient, hessian, times
from .evaluate import Evaluator
from .grammar import Formula, parse
from .intervals import Interval
from .kinks import Kinks, deciding, kinks, known_kinks
from .losses import LOSSES, Loss
from .program import Graph
from .projection import Projection, projection
from .structure import Structure
from .ties import Held

Found = TypeVar("Found")
LARGEST = sys.float_info.max
MAX_HESSIAN = 1_000  # parameters: above, no Hessian is formed


@dataclass(frozen=True)
class Layout:
    """The free parameters in order: their names, and the width of each: None for a scalar, q for a vector."""

    names: tuple[str, ...]
    widths: tuple[int | None, ...]

    @cached_property
    def width_of(self) -> dict[str, int | None]:
        """The width by name."""
        return dict(zip(self.names, self.widths, strict=True))

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each name stands in theta."""
        places, at = {}, 0
        for name, width in zip(self.names, self.widths, strict=True):
            places[name] = slice(at, at + (width or 1))
            at += width or 1
        return places

    @cached_property
    def places(self) -> dict[str, int | slice]:
        """The same for an `Evaluator`: an index for a scalar, a slice for a vector."""
        return {name: place.start if self.width_of[name] is None else place for name, place in self.slices.items()}

    @cached_property
    def flat(self) -> tuple[str, ...]:
        """`a`, `B[0]`, `B[1]`, ...: one name for each number of theta."""
        return tuple(
            name if width is None else f"{name}[{j}]"
            for name, width in zip(self.names, self.widths, strict=True)
            for j in range(width or 1)
        )

    @property
    def owners(self) -> tuple[str, ...]:
        """The parameter that each number of theta belongs to."""
        return tuple(name for name, place in self.slices.items() for _ in range(place.start, place.stop))

    @cached_property
    def size(self) -> int:
        """p, the number of free parameters."""
        return len(self.flat)

    def values(self, theta: Array) -> dict[str, float | Array]:
        """theta as a dict: a float for a scalar, an array for a vector."""
        return {
            name: theta[place].copy() if isinstance(place, slice) else float(theta[place])
            for name, place in self.places.items()
        }


@dataclass(frozen=True)
class Item:
    """One thing to sum over rows: Σ of (row scalar) · (matrix row, or 1); `width` numbers for each row."""

    terms: tuple[tuple[int, int | None], ...]
    width: int = 1


@dataclass(frozen=True)
class RowSums:
    """What a kernel adds up over rows: expressions in `columns_used` of the data and the parameters of `layout`.

    `sums`: each item summed. `columns`: the sum of all pairwise products (a Gram matrix of the columns side by side).
    `crosses`: for each pair the sum of left ⊗ right. `weight` is the row's weight, None = 1. The first row where one of
    the `outputs` is not finite is the bad row.
    """

    graph: Graph
    layout: Layout
    columns_used: tuple[str, ...]
    sums: tuple[Item, ...] = ()
    columns: tuple[Item, ...] = ()
    crosses: tuple[tuple[Item, Item], ...] = ()
    weight: int | None = None

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Every node that is needed."""
        items = [*self.sums, *self.columns, *(side for pair in self.crosses for side in pair)]
        nodes = {n: None for item in items for term in item.terms for n in term if n is not None}
        return (*nodes, *(() if self.weight is None else (self.weight,)))

    @cached_property
    def nodes(self) -> list[int]:
        """Every node that is computed on the way, in order of evaluation."""
        return self.graph.reachable(self.outputs)

    @cached_property
    def index(self) -> dict[int, int]:
        """The place of each output."""
        return {node: i for i, node in enumerate(self.outputs)}

    @cached_property
    def evaluator(self) -> Evaluator:
        """The outputs as straight lines of NumPy calls, made once for all runs."""
        return Evaluator(self.graph, self.outputs, self.columns_used, self.layout.places)

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the sums, the Gram matrix and the crosses as they stand one after the other in a Total."""
        gram = sum(item.width for item in self.columns)
        grams = ((gram, gram),) if gram else ()
        return (*((i.width,) for i in self.sums), *grams, *((a.width, b.width) for a, b in self.crosses))

    @cached_property
    def size(self) -> int:
        """How many numbers they are."""
        return sum(map(math.prod, self.shapes))

    @cached_property
    def _cuts(self) -> tuple[tuple[slice, tuple[int, ...]], ...]:
        stops = list(accumulate(map(math.prod, self.shapes)))
        return tuple((slice(b - math.prod(s), b), s) for b, s in zip(stops, self.shapes, strict=True))

    def split(self, values: Array) -> list[Array]:
        """The numbers of a Total in their shapes."""
        return [values[place].reshape(shape) for place, shape in self._cuts]


@dataclass(frozen=True)
class Objective:
    """T(theta) = Σ over rows of weight · loss + penalty, and what is reported of it.

    Nodes of `graph`: `loss` (of a row), `left`, `prediction`, `residual` (left - prediction; None: the loss is not
    half its square), `weight`, `sigma`, `condition` (of `where`), `counts` (repeat counts, in the weight already),
    `domain` (of the left side: where the loss is defined). `columns` of the data are used; `lower` and `upper`
    (p,) bound theta; `held` are the numbers and ties put in. `reduce` is "mean", "sum" or "rmse"; `sign` is -1 where
    the user maximises: the loss is then the negative of the function. `family` is what the loss is called, None
    without `=`; `biased`: a penalty was asked for (a prior is none, though it stands in `penalty`).
    """

    formula: Formula
    graph: Graph
    layout: Layout
    columns: tuple[str, ...]
    loss: int
    left: int | None
    prediction: int | None
    residual: int | None
    weight: int | None
    penalty: Penalty | None
    condition: int | None
    lower: Array
    upper: Array
    held: Held = field(default_factory=Held)
    reduce: str = "mean"
    sign: float = 1.0
    sigma: int | None = None
    family: Loss | None = None
    domain: int | None = None
    counts: int | None = None
    biased: bool = False

    def once(self, what: str, make: Callable[[], Found]) -> Found:
        """What `make` finds, found once: by its name, and of the objective alone."""
        if what not in self._found:
            self._found[what] = make()
        found: Found = self._found[what]
        return found

    @cached_property
    def _found(self) -> dict[str, Any]:
        return {}

    @property
    def kind(self) -> str:
        """That of the loss, "own" for what is written without `=`."""
        return "own" if self.family is None else self.family.kind

    @property
    def known_sigma(self) -> bool:
        """Whether the standard deviations of the rows are given."""
        return self.sigma is not None

    @property
    def squares(self) -> bool:
        """Whether the loss of a row is half a squared residual."""
        return self.residual is not None

    @property
    def nodes(self) -> int:
        """How large it has grown."""
        return len(self.graph.nodes) + (0 if self.penalty is None else len(self.penalty.graph.nodes))

    @cached_property
    def loss_partials(self) -> dict[str, Partial]:
        """∂(row loss)/∂(parameter)."""
        if self.residual is None:
            return gradient(self.graph, self.loss, self.layout.names)
        minus = self.graph.apply("neg", self.residual)
        scaled = {
            name: tuple((times(self.graph, minus, node), matrix) for node, matrix in partial.terms)
            for name, partial in self.model_partials.items()
        }
        return {name: Partial(terms) for name, terms in scaled.items()}

    @cached_property
    def model_partials(self) -> dict[str, Partial]:
        """∂prediction/∂(parameter): the columns of the Jacobian."""
        assert self.prediction is not None
        return gradient(self.graph, self.prediction, self.layout.names)

    @cached_property
    def structure(self) -> Structure:
        """What follows from the formula alone, of the prediction (without `=`: of the loss of a row)."""
        output = self.loss if self.prediction is None else self.prediction
        return Structure(self.graph, output, self.layout.names, self.layout.width_of)

    def rows(self, need: Need) -> RowSums:
        """What to sum over rows for a need: the value, the gradient, the normal equations, the exact Hessian."""
        if need not in self._rows:
            with self.graph.growing:
                self._rows[need] = self._build(need)
        return self._rows[need]

    @cached_property
    def _rows(self) -> dict[Need, RowSums]:
        return {}

    @cached_property
    def signal_rows(self) -> RowSums:
        """Σ w·y² and Σ w·y, y the left side."""
        assert self.left is not None
        with self.graph.growing:
            squares = self._sum_of_squares(self.left)
            return replace(squares, sums=(*squares.sums, self._times(self.weight, Partial(((self.left, None),)))))

    def spread_rows(self, mean: float) -> RowSums:
        """Σ w·(y - mean)²."""
        assert self.left is not None
        with self.graph.growing:
            return self._sum_of_squares(self.graph.apply("-", self.left, self.graph.number(mean)))

    @cached_property
    def log_weight_rows(self) -> RowSums:
        """Σ log w, of a row that stands there c times c·log(w/c)."""
        assert self.weight is not None
        graph = self.graph
        with graph.growing:
            node = graph.apply("log", self.weight)
            if self.counts is not None:
                node = times(graph, self.counts, graph.apply("log", graph.apply("/", self.weight, self.counts)))
            logarithm = Item(((node, None),))
        return RowSums(self.graph, self.layout, self.columns, (logarithm,), weight=self.weight)

    @cached_property
    def decided_rows(self) -> RowSums | None:
        """Σ w·(minus the log-likelihood less the loss of the row), of y alone; None where that is zero."""
        if self.family is None or not self.family.constant or self.left is None:
            return None
        formula = parse(self.family.constant)
        with self.graph.growing:
            known = {name: self.graph.number(value) for name, value in self.family.numbers.items()}
            node = self.graph.copy_from(formula.graph, [formula.right], {"y": self.left, **known})[0]
            item = self._times(self.weight, Partial(((node, None),)))
        return RowSums(self.graph, self.layout, self.columns, (item,), weight=self.weight)

    @cached_property
    def residual_rows(self) -> RowSums:
        """Σ w·r², whatever the loss."""
        assert self.left is not None and self.prediction is not None
        with self.graph.growing:
            return self._sum_of_squares(self.graph.apply("-", self.left, self.prediction))

    @cached_property
    def slope_rows(self) -> RowSums:
        """JᵀWJ of the prediction, whatever the loss."""
        with self.graph.growing:
            root = None if self.weight is None else self.graph.apply("sqrt", self.weight)
            columns = tuple(self._items(root, self.model_partials))
            return RowSums(self.graph, self.layout, self.columns, (), columns, weight=self.weight)

    @cached_property
    def pilot(self) -> Objective | None:
        """Least squares of y, or its logarithm, on what the loss is a function of; None where there is no such thing.

        Where that is linear in the parameters it gives a start in one pass (McCullagh and Nelder 1989, section 2.5).
        """
        predictor, family = self._predictor, self.family
        if predictor is None or family is None or family.residual or (family.positive and predictor[1] != "log"):
            return None
        graph = self.graph
        with graph.growing:
            formula = parse(family.response)
            assert self.left is not None
            response = graph.copy_from(formula.graph, [formula.right], {"y": self.left})[0]
            residual = graph.apply("-", response, predictor[0])
            loss = times(graph, graph.number(0.5), graph.apply("**", residual, graph.number(2)))
        return replace(self, loss=loss, left=response, prediction=predictor[0], residual=residual, penalty=None,
                       family=LOSSES["squares"], reduce="mean")  # fmt: skip

    @cached_property
    def recession_rows(self) -> RowSums | None:
        """Beside one another: the slopes of what the loss is a function of, and y; None where no loss recedes there."""
        predictor, family = self._predictor, self.family
        if predictor is None or family is None or not family.recession or self.left is None:
            return None
        if family.positive and predictor[1] != "log":
            return None
        with self.graph.growing:
            slopes = self._items(None, gradient(self.graph, predictor[0], self.layout.names))
        left = Item(((self.left, None),))
        return RowSums(self.graph, self.layout, self.columns, columns=(*slopes, left), weight=self.weight)

    @cached_property
    def _predictor(self) -> tuple[int, str] | None:
        """The prediction, or its logarithm where the loss is one of that and the formula writes an exponential."""
        if self.family is None or self.prediction is None:
            return None
        op, *arguments = self.graph.nodes[self.prediction]
        if self.family.positive and op == "exp":
            return arguments[0], "log"
        return self.prediction, "prediction"

    @cached_property
    def convex(self) -> str:
        """Why the sum of the row losses is convex in the parameters; "" where that is not proved."""
        predictor, family = self._predictor, self.family
        if predictor is None or family is None or predictor[1] not in family.convex_in:
            return ""
        graph, node = self.graph, predictor[0]
        with graph.growing:
            partials = gradient(graph, node, self.layout.names).values()
            bent = graph.depends([n for partial in partials for n, _ in partial.terms], self.layout.names)
        if bent or self._kinks_of(node):
            return ""
        what = "a model" if predictor[1] == "prediction" else "an exponential whose argument"
        return f"the loss {family.name} of {what} {'that is' if what == 'a model' else 'is'} linear in its parameters"

    @cached_property
    def deviation_rows(self) -> RowSums:
        """Beside one another: the slopes of the prediction, the residual and the weight."""
        assert self.left is not None and self.prediction is not None
        with self.graph.growing:
            slopes = self._items(None, self.model_partials)
            residual = self.graph.apply("-", self.left, self.prediction)
            last = [Item(((node, None),)) for node in (residual, self.weight or self.graph.number(1))]
        return RowSums(self.graph, self.layout, self.columns, columns=(*slopes, *last), weight=self.weight)

    @cached_property
    def score_rows(self) -> RowSums:
        """Σ over rows of g·gᵀ, g the gradient of w·(loss of the row): the middle of a sandwich."""
        factor = self.weight
        with self.graph.growing:
            if factor is not None and self.counts is not None:  # a row that stands there c times gives c·g·gᵀ
                factor = self.graph.apply("/", factor, self.graph.apply("sqrt", self.counts))
            scores = tuple(self._items(factor, self.loss_partials))
        return RowSums(self.graph, self.layout, self.columns, columns=scores, weight=self.weight)

    def _sum_of_squares(self, node: int) -> RowSums:
        square = self.graph.apply("**", node, self.graph.number(2))
        if self.weight is not None:
            square = self.graph.apply("*", self.weight, square)
        return RowSums(self.graph, self.layout, self.columns, (Item(((square, None),)),), weight=self.weight)

    def _build(self, need: Need) -> RowSums:
        def sums(*items: Item, columns: tuple[Item, ...] = (), crosses: tuple[tuple[Item, Item], ...] = ()) -> RowSums:
            return RowSums(self.graph, self.layout, self.columns, items, columns, crosses, self.weight)

        loss = self._times(self.weight, Partial(((self.loss, None),)))
        if need is Need.VALUE:
            return sums(loss)
        if need is Need.GRADIENT:
            return sums(loss, *self._items(self.weight, self.loss_partials))
        if need is Need.NORMAL:
            assert self.residual is not None
            root = None if self.weight is None else self.graph.apply("sqrt", self.weight)
            residual = self._times(root, Partial(((self.residual, None),)))
            return sums(*self.signal_rows.sums, columns=(*self._items(root, self.model_partials), residual))
        if need is Need.PROJECTED:
            assert isinstance(self.projection, Projection)
            root = None if self.weight is None else self.graph.apply("sqrt", self.weight)
            extra = [self._times(root, Partial(terms), width) for terms, width in self.projection.extra]
            normal = self.rows(Need.NORMAL)
            signs = [Item(((self.graph.apply("sign", node), None),)) for node in self.structure.poles]
            return sums(*normal.sums, *signs, columns=(*normal.columns, *extra))
        second, crosses = self._second()
        if self.residual is not None:
            return sums(*second, columns=self.rows(Need.NORMAL).columns, crosses=crosses)
        return sums(loss, *self._items(self.weight, self.loss_partials), *second, crosses=crosses)

    def _items(self, factor: int | None, partials: Mapping[str, Partial]) -> list[Item]:
        """The partials by the parameters, each times a row scalar."""
        return [self._times(factor, partial, self.layout.width_of[name]) for name, partial in partials.items()]

    def _times(self, factor: int | None, partial: Partial, width: int | None = None) -> Item:
        """A partial times a row scalar (None = 1) as an item."""
        terms = partial.terms or ((self.graph.number(0), None),)
        if factor is not None:
            terms = tuple((times(self.graph, factor, node), matrix) for node, matrix in terms)
        return Item(terms, width or 1)

    @cached_property
    def second_pairs(self) -> tuple[dict[tuple[str, str], int], list[tuple[str, int | None, str, Partial]]]:
        """Second derivatives of the prediction (residual losses) or row loss: scalar pairs, and vector blocks."""
        base = self.loss_partials if self.residual is None else self.model_partials
        scalars = [n for n, width in self.layout.width_of.items() if width is None]
        vectors = [n for n, width in self.layout.width_of.items() if width is not None]
        pairs = hessian(self.graph, base, scalars)
        blocks: list[tuple[str, int | None, str, Partial]] = []
        for i, name in enumerate(vectors):
            for node, matrix in base[name].terms:
                for other, partial in gradient(self.graph, node, [*scalars, *vectors[i:]]).items():
                    if partial.terms:
                        blocks.append((name, matrix, other, partial))
        return pairs, blocks

    def _second(self) -> tuple[list[Item], tuple[tuple[Item, Item], ...]]:
        """Items of the exact Hessian of S; for residual losses of -Σ w·r·∂²prediction, which JᵀWJ lacks."""
        factor = self.weight
        if self.residual is not None:
            minus = self.graph.apply("neg", self.residual)
            factor = minus if factor is None else times(self.graph, factor, minus)
        pairs, blocks = self.second_pairs
        items = [self._times(factor, Partial(((node, None),))) for node in pairs.values()]
        one, width_of = self.graph.number(1), self.layout.width_of
        crosses = []
        for name, matrix, other, partial in blocks:
            left = self._times(None, Partial(((one, matrix),)), width_of[name])
            crosses.append((left, self._times(factor, partial, width_of[other])))
        return items, tuple(crosses)

    # evaluation --------------------------------------------------------------------------------------------
    def evaluate(self, need: Need, total: Total, theta: Array, penalty_share: float = 1.0) -> Evaluation:
        """Sums over rows + penalty -> loss, gradient and curvature of T, and the reduced loss and gradient.

        `penalty_share`: the part of the penalty that a mini-batch carries.
        """
        if need is Need.PROJECTED:
            return self._solved(total, theta)
        rows = self.rows(need)
        parts = rows.split(total.values)
        if rows.columns:
            plain = len(rows.sums)
            bend = self._assemble(parts[:plain] + parts[plain + 1 :]) if need is Need.HESSIAN else None
            found = self._penalised(*self._from_products(parts[plain], bend), theta, penalty_share)
        else:
            names = len(self.layout.names)
            slope = None if need is Need.VALUE else np.concatenate([np.zeros(0), *parts[1 : 1 + names]])
            bend = self._assemble(parts[1 + names :]) if need is Need.HESSIAN else None
            found = self._penalised(parts[0].item(), slope, bend, None, theta, penalty_share)
        signal, level = (part.item() for part in parts[:2]) if need is Need.NORMAL else (None, None)
        return self.reduced(*found, total, signal=signal, level=level)

    def _from_products(self, gram: Array, bend: Array | None = None) -> tuple[float, Array, Array, Array]:
        """S, its slope, curvature and JᵀWJ from the products of the columns [∂f/∂θ, residual]."""
        p = self.layout.size
        gauss = gram[:p, :p].copy()
        return 0.5 * gram.item(p, p), -gram[:p, p], gauss if bend is None else gauss + bend, gauss

    def _penalised(
        self, s: float, slope: Array | None, curvature: Array | None, gauss: Array | None, theta: Array,
        share: float = 1.0,
    ) -> tuple[float, float, Array | None, Array | None, Array | None]:  # fmt: skip
        """T, S, and the derivatives of T, from S and its derivatives."""
        if self.penalty is None:
            return s, s, slope, curvature, gauss
        value, first, second = self.penalty.at(theta)
        slope = None if slope is None else slope + share * first
        alike = gauss is curvature  # the verdict tells by it whether the Hessian is exact
        curvature = None if curvature is None else curvature + share * second
        gauss = curvature if alike else None if gauss is None else gauss + share * second
        return s + share * value, s, slope, curvature, gauss

    def _solved(self, total: Total, theta: Array) -> Evaluation:
        """The evaluation at theta, and where the linear parameters have their best values, from the same sums."""
        way = self.projection
        assert isinstance(way, Projection)
        *sums, gram = self.rows(Need.PROJECTED).split(total.values)
        kept = self.layout.size + 1
        signal, level, *signs = (part.item() for part in sums)
        t, _, slope, curvature, _ = here = self._penalised(*self._from_products(gram[:kept, :kept]), theta)
        assert slope is not None and curvature is not None
        solved = None
        if math.isfinite(t) and every(np.isfinite(gram)) and every(np.isfinite(curvature)):
            linear, best = way.spectrum(curvature, slope), theta.copy()
            move = linear.step(linear.determined)
            best[way.linear] += move
            there = self._penalised(*self._from_products(way.moved(gram, move)), best)
            solved = self.reduced(*there, total, signal=signal, level=level, theta=best, signs=tuple(signs),
                                  linear=linear)  # fmt: skip
        return self.reduced(*here, total, signal=signal, level=level, solved=solved)

    @cached_property
    def projection(self) -> Projection | str:
        """How linear parameters are solved at each step, or why they are not."""
        linear = self.structure.solved
        if self.residual is None:
            return "the loss is no sum of squares"
        if not linear or len(linear) == len(self.layout.names):
            return "no parameters are linear" if not linear else "all parameters are linear"
        if self.penalty is not None and not self.penalty.separates(linear):
            return "the penalty is no quadratic of the linear parameters alone and of the others"
        with self.graph.growing:
            pairs, blocks = self.second_pairs
        apart = [(name, matrix, other, partial.terms) for name, matrix, other, partial in blocks]
        return projection(linear, self.layout.slices, self.layout.width_of, (pairs, apart))

    def reduced(
        self, t: float, s: float, slope: Array | None, curvature: Array | None, gauss: Array | None, total: Total,
        **more: Any,
    ) -> Evaluation:  # fmt: skip
        """T and its derivatives -> the reduced objective: T, T/n or √(2T/n). `more`: other fields of the evaluation."""
        slope = np.zeros(0) if slope is None else slope
        n = total.weight
        if self.reduce == "rmse":
            loss = float(np.sqrt(2.0 * t / n)) if t >= 0 else float("nan")
            gradient = slope / (n * loss) if loss > 0 else np.zeros_like(slope)
        else:
            scale = 1.0 if self.reduce == "sum" else 1.0 / n
            loss, gradient = t * scale, slope * scale
        return Evaluation(t, s, slope, curvature, gauss, self.sign * loss, gradient, total.rows, n, total.bad,
                          **more)  # fmt: skip

    def _assemble(self, parts: Sequence[Array]) -> Array:
        pairs, blocks = self.second_pairs
        matrix = np.zeros((self.layout.size, self.layout.size))
        places = self.layout.slices
        for (a, b), part in zip(pairs, parts, strict=False):
            i, j = places[a].start, places[b].start
            matrix[i, j] += part[0]
            if i != j:
                matrix[j, i] += part[0]
        for (name, _, other, _), part in zip(blocks, parts[len(pairs) :], strict=True):
            matrix[places[name], places[other]] += part
            if name != other:
                matrix[places[other], places[name]] += part.T
        return matrix

    @cached_property
    def quadratic(self) -> bool:
        """Whether T is a quadratic: its Hessian holds no free parameter."""
        if self.kinks or (self.penalty is not None and not self.penalty.quadratic):
            return False
        with self.graph.growing:
            if self.residual is not None:
                nodes = [n for partial in self.model_partials.values() for n, _ in partial.terms]
            else:
                pairs, blocks = self.second_pairs
                nodes = [*pairs.values(), *(n for *_, partial in blocks for n, _ in partial.terms)]
        return not self.graph.depends(nodes, self.layout.names)

    @cached_property
    def kinks(self) -> frozenset[str]:
        """The operations with a kink or a jump that depend on a free parameter."""
        if self.kind == "robust" and self.prediction is not None:  # smooth in the prediction, however it is written
            return self._kinks_of(self.prediction)
        return self._kinks_of(self.loss)

    @cached_property
    def corners(self) -> Kinks | None:
        """The kinks of T beside those that deviations have at their rows; None where others are not known, or none.

        They are those of a penalty, or of a function without data.
        """
        smooth = not self.kinks - {"where"} or self.kind == "deviation"
        if self.penalty is not None and smooth and (self.penalty.kinks or self.kind == "deviation"):
            return known_kinks(self.penalty.graph, self.penalty.node, self.layout.flat)
        if self.kind == "deviation":
            return known_kinks(self.graph, self.graph.number(0), self.layout.flat)
        return None if smooth or self.columns else known_kinks(self.graph, self.loss, self.layout.flat)

    def cornered(self, evaluation: Evaluation, theta: Array) -> Near | None:
        """What is smooth about a point as a quadratic, beside the kinks and the bounds; None without known kinks."""
        corners, curvature = self.corners, evaluation.curvature
        if corners is None or curvature is None or self.kind == "deviation" or not evaluation.finite:
            return None
        u, slope = corners.at(theta)
        bend = curvature if evaluation.gauss is None else evaluation.gauss
        parts = evaluation.spectrum
        pull = np.abs(evaluation.slope) + np.abs(corners.slopes).T @ corners.scale
        pull += np.abs(bend) @ np.abs(parts.step(~parts.flat))
        walls = bounds_as_rows(theta, self.lower, self.upper, pull)
        return Near.of([corners.rows(u), walls], evaluation.slope - slope, bend=bend)

    def _kinks_of(self, output: int) -> frozenset[str]:
        return kinks(self.graph, output, self.layout.names)

    @cached_property
    def kink_rows(self) -> RowSums | None:
        """Beside one another: the residual of squares, else 1; for each kink what is zero at it, and its slopes (p,).

        None where a choice decides.
        """
        smooth = self.prediction if self.kind in ("robust", "residual") else None  # what the loss is smooth in
        with self.graph.growing:
            zeros = deciding(self.graph, self.loss if smooth is None else smooth, self.layout.names)
            if zeros is None:
                return None
            columns = [Item(((self.residual or self.graph.number(1), None),))]
            for zero in zeros:
                columns += [Item(((zero, None),)), *self._items(None, gradient(self.graph, zero, self.layout.names))]
        return RowSums(self.graph, self.layout, self.columns, columns=tuple(columns), weight=self.weight)

    @cached_property
    def intercept(self) -> int | None:
        """The place of a parameter by which the derivative of the prediction is one number, the same in every row."""
        if self.prediction is None:
            return None
        with self.graph.growing:
            for name, place in self.layout.places.items():
                terms = self.model_partials[name].terms
                if isinstance(place, int) and len(terms) == 1 and terms[0][1] is None:
                    node = terms[0][0]
                    if self.graph.is_constant(node) and self.graph.value(node) != 0:
                        return place
        return None

    def convexity(self, known: Mapping[int, Interval] | None = None) -> Convexity:
        """What the rules prove of the loss of a row; `known`: intervals of expressions of columns, over the data."""
        if known:
            with self.graph.growing:
                return Convexity(self.graph, self.loss, self.ranges, known)
        return self._convexity

    @cached_property
    def _convexity(self) -> Convexity:
        with self.graph.growing:
            return Convexity(self.graph, self.loss, self.ranges)

    @cached_property
    def ranges(self) -> dict[str, Interval]:
        """The interval that each free parameter is bound to; a vector's holds all of its numbers."""
        return {
            name: (float(self.lower[place].min()), float(self.upper[place].max()))
            for name, place in self.layout.slices.items()
        }

    @property
    def large(self) -> bool:
        """Whether there are too many parameters for a Hessian."""
        return self.layout.size > MAX_HESSIAN

    @cached_property
    def bounded(self) -> bool:
        """Whether any free parameter has a bound."""
        return bool(np.isfinite(self.lower).any() or np.isfinite(self.upper).any())

    def start(self, start: Mapping[str, object] | None) -> tuple[Array, tuple[str, ...]]:
        """theta at the start, and the names that had no start value (they begin at 1)."""
        theta = np.ones(self.layout.size)
        given = dict(start or {})
        missing = []
        for name, place in self.layout.slices.items():
            if name not in given:
                missing.append(name)
                continue
            width = place.stop - place.start
            theta[place] = numbers(given.pop(name), f"start of {name}", width)
        for name in given:
            if name not in self.held:
                raise FitError(unknown("start", name, self.layout.names))
        return np.minimum(np.maximum(theta, self.lower), self.upper), tuple(missing)


@dataclass(frozen=True)
class Penalty:
    """A formula of parameters alone, on the scale of the sum; vector parameters are written out by element."""

    graph: Graph
    node: int
    layout: Layout

    @cached_property
    def _partials(self) -> tuple[list[int], dict[tuple[str, str], int]]:
        flat = self.layout.flat
        with self.graph.growing:
            first = gradient(self.graph, self.node, flat)
            zero = self.graph.number(0)
            slopes = [zero if first[n].node is None else first[n].terms[0][0] for n in flat]
            return slopes, hessian(self.graph, first, flat)

    @property
    def slopes(self) -> list[int]:
        """The derivative by each number of theta."""
        return self._partials[0]

    @cached_property
    def quadratic(self) -> bool:
        """Whether the second derivatives are constants; those beside a kink say nothing of it."""
        return not self.kinks and not self.graph.depends(self._partials[1].values(), self.layout.flat)

    @cached_property
    def kinks(self) -> frozenset[str]:
        """The operations with a kink or a jump that depend on a free parameter."""
        return kinks(self.graph, self.node, self.layout.flat)

    def separates(self, names: Sequence[str]) -> bool:
        """Whether it is a quadratic of some parameters, plus what may be anything of the others."""
        mine = {f for f, name in zip(self.layout.flat, self.layout.owners, strict=True) if name in names}
        bends = {pair: node for pair, node in self._partials[1].items() if not mine.isdisjoint(pair)}
        smooth = not self.kinks  # a kink couples what stands in it without a second derivative
        return (
            smooth
            and all(mine.issuperset(pair) for pair in bends)
            and not self.graph.depends(bends.values(), self.layout.flat)
        )

    def convexity(self, lower: Array, upper: Array) -> Convexity:
        """What the rules prove of it within bounds of theta."""
        bounds = zip(self.layout.flat, zip(lower.tolist(), upper.tolist(), strict=True), strict=True)
        return Convexity(self.graph, self.node, dict(bounds))

    @cached_property
    def convex(self) -> bool:
        """Whether it is a quadratic that opens upwards."""
        if not self.quadratic:
            return False
        values = np.linalg.eigvalsh(self.at(np.zeros(self.layout.size))[2])
        return bool(values[0] >= -len(values) * np.finfo(float).eps * abs(values[-1]))

    def shared(self, share: float) -> Penalty:
        """A part of it."""
        with self.graph.growing:
            node = self.graph.apply("*", self.graph.number(share), self.node)
        return replace(self, node=node)

    def values(self, theta: Array) -> Array:
        """The values at several theta (p, S), (S,) or one number for all."""
        places = {name: i for i, name in enumerate(self.layout.flat)}
        return np.asarray(Evaluator(self.graph, [self.node], (), places)(theta)[0])

    def rows(self, theta: Array) -> Array | None:
        """Rows [L, l] with LᵀL = ∂²penalty and Lᵀl = -∂penalty; None where it is not convex here, or no such rows."""
        _, slope, bend = self.at(theta)
        values, vectors = np.linalg.eigh(bend)
        keep = values > len(values) * np.finfo(float).eps * max(abs(values[-1]), 1e-300)
        if (values < -1e-12 * max(abs(values[-1]), 1e-300)).any():
            return None
        root = np.sqrt(values[keep])[:, None] * vectors[:, keep].T
        rest = -(vectors[:, keep].T @ slope) / np.sqrt(values[keep])
        if np.linalg.norm(root.T @ rest + slope) > 1e-12 * max(float(np.linalg.norm(slope)), 1e-300):
            return None
        return np.hstack([root, rest[:, None]])

    @cached_property
    def _evaluator(self) -> Evaluator:
        slopes, bends = self._partials
        return Evaluator(
            self.graph, [self.node, *slopes, *bends.values()], (), {n: i for i, n in enumerate(self.layout.flat)}
        )

    def at(self, theta: Array) -> tuple[float, Array, Array]:
        """Value, gradient (p,), Hessian (p, p) at theta."""
        with np.errstate(all="ignore"):
            values = np.array([float(v) for v in self._evaluator(theta)])
        p = self.layout.size
        index = {name: i for i, name in enumerate(self.layout.flat)}
        bend = np.zeros((p, p))
        for (a, b), value in zip(self._partials[1], values[1 + p :], strict=True):
            bend[index[a], index[b]] = bend[index[b], index[a]] = value
        return float(values[0]), values[1 : 1 + p], bend


def bounds_as_rows(theta: Array, lower: Array, upper: Array, pull: Array) -> Rows:
    """Each bound as a row whose residual may not cross zero: columns (m, p), residuals, and its sides (m,).

    `pull` (p,): more than all else together pulls.
    """
    low, high = np.flatnonzero(np.isfinite(lower)), np.flatnonzero(np.isfinite(upper))
    places, above = np.concatenate([low, high]), np.repeat([1.0, 0.0], [len(low), len(high)])
    steep = 2.0 * pull[places] + 1e-300
    room = np.concatenate([lower[low] - theta[low], upper[high] - theta[high]])
    return np.eye(len(theta))[places], room, above * steep, (1.0 - above) * steep


def numbers(value: object, what: str, width: int | None = None, *, finite: bool = True) -> Array:
    """A number for a scalar (width None), `width` numbers for a vector parameter, as an array; FitError otherwise."""
    if type(value) in (int, float) and -LARGEST <= value <= LARGEST:  # type: ignore[operator]
        return np.array([value] * (width or 1), dtype=np.float64)
    try:
        array = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise FitError(f"{what}: {value!r} is not a number") from None
    needed = width or 1
    if array.ndim == 1 and array.size == 1:
        array = np.full(needed, array[0])
    if array.shape != (needed,):
        raise FitError(f"{what}: {array.size} numbers where {needed} {'is' if needed == 1 else 'are'} needed")
    if np.isnan(array).any() or (finite and not np.isfinite(array).all()):
        raise FitError(f"{what}: {value!r} is not a finite number")
    return array


def unknown(where: str, name: str, names: Sequence[str]) -> str:
    """The sentence for a name in an option that the formula does not hold."""
    near = difflib.get_close_matches(name, names, 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else f"the parameters are {listed(names)}"
    return f"{name} stands in {where} but is no parameter of the formula; {hint}"


def listed(names: Sequence[str] | Mapping[str, object], most: int = 12) -> str:
    words = list(names)
    return ", ".join(words[:most]) + (f", ... ({len(words)} in all)" if len(words) > most else "") if words else "none"
