"""The objective over its rows: the one place where a theta becomes a loss and its derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blas import one_thread
from ..data.reader import Reader
from ..data.source import TILE, UNIT, Block, cut, recut
from ..errors import FitError
from ..formula.convexity import Convexity
from ..formula.evaluate import Evaluator
from ..formula.grammar import parse
from ..formula.intervals import Interval
from ..formula.objective import Objective, RowSums
from ..formula.printing import to_text
from ..formula.program import LEAVES, UpdateRule
from ..scaling import Scaling
from ..spectrum import U
from ..types import Array, Evaluation, Need, Total
from . import SHARED
from .kernel import Kernel, Sums, described, kernel_for, twofold_kernel_for
from .near import Held
from .numpy import NumpyKernel, live_tiles
from .values import RowValues

if TYPE_CHECKING:
    from .quadratic import Quadratic
    from .stepper import Stepper

HUGE = 1e154  # its square overflows
WORTH_STEPS = 1_000  # steps from which on they are worth being compiled
CANCELLED = 1e-6  # of a sum: a difference below it has lost six digits
HELD = 1 << 22  # numbers of rows near a kink that are kept, 32 MiB
LASTING = 0.1  # a step of Newton's that moves log-odds by more where the gap is closed ends at no minimum
LEVEL = 1e-5  # curvature of a row in its log-odds that is none any more
RECEDING = 1e-5  # of the largest move: the rise of a loss that is rounding
HOPELESS = 1e-2  # a rise among the first rows that none of the others makes small
WORN = 1e-10  # of the squares of residuals: what is left of them after a change of the linear parameters has six digits
RESIDUAL = 1e-6  # of the left side: below, a residual is none
GRAM_LIMIT = 1e12  # condition of the scaled Gram matrix above which it has too few digits and a QR is made


class Surface:
    """Loss, gradient and curvature of an objective at any theta, by passes over its rows.

    `rows` that are used, `observations` N (more where rows are counted several times) and `weight` n are known after
    the first pass.
    """

    def __init__(self, objective: Objective, reader: Reader) -> None:
        self.objective = objective
        self.reader = reader
        self.watch: Callable[[int], None] | None = None  # told the rows of every block that was read
        self.rows = self.observations = 0
        self.weight = 0.0
        self._sampled = False  # whether the rows near a kink have been looked for before
        self.squares: Evaluation | None = None  # least squares of the same model, of Need.NORMAL
        self._root: Array | None = None
        self._kernels: dict[Need, Kernel] = {}
        self._twofold: Sums | None = None
        self._block: Block | None = None

    # passes ------------------------------------------------------------------------------------------------
    def at(self, theta: Array, need: Need) -> Evaluation:
        """One pass: the evaluation at theta."""
        if need is Need.VERTEX:
            return self._about_kink(theta)
        total = self._total(self._kernel(need), theta)
        self.rows, self.observations, self.weight = total.rows, self.reader.observed, total.weight
        evaluation = self.objective.evaluate(need, self._observed(total), theta)
        if evaluation.signal is not None:
            self.__dict__["_signal"] = evaluation.signal, evaluation.level  # the same at every theta
        if evaluation.solved is not None:
            solved = self._solved(evaluation, evaluation.solved)
            return evaluation if solved is evaluation.solved else replace(evaluation, solved=solved)
        if need not in (Need.NORMAL, Need.HESSIAN):
            return evaluation
        evaluation = self._with_factor(evaluation, theta)
        near = self.objective.cornered(evaluation, theta) if self.objective.corners is not None else None
        return evaluation if near is None else replace(evaluation, near=near)

    def _solved(self, evaluation: Evaluation, solved: Evaluation) -> Evaluation:
        """The evaluation at the best linear parameters; by a pass there, where too many digits have cancelled."""
        theta = solved.theta
        assert theta is not None
        if solved.sum < WORN * evaluation.sum:
            total = self._observed(self._total(self._kernel(Need.PROJECTED), theta))
            solved = self.objective.evaluate(Need.PROJECTED, total, theta).solved or solved
        return self._with_factor(solved, theta if solved.theta is None else solved.theta)

    def fresh(self, theta: Array, known: Evaluation) -> Evaluation:
        """One pass for T and its slope in twice the precision, of a quadratic of residuals.

        `known`: an evaluation of Need.NORMAL anywhere, for the curvature. Where a term overflows on the way, as plain
        sums may survive, these are made.
        """
        if self._twofold is None:
            self._twofold = twofold_kernel_for(self.objective.rows(Need.GRADIENT), self.reader.rows)
        parts = self._total(self._twofold, theta).values.reshape(2, -1)
        total = Total(known.rows, known.weight, None, parts[0] + parts[1])
        evaluation = self.objective.evaluate(Need.GRADIENT, total, theta)
        return evaluation.bent_as(known) if evaluation.finite else self.at(theta, Need.NORMAL)

    def stepper(self, rule: UpdateRule, theta: Array, steps: float, scaling: Scaling | None) -> Stepper | None:
        """What runs so many steps on mini-batches as machine code; None where that is not worth it, or impossible."""
        if steps < WORTH_STEPS:
            return None
        from .permutation import shuffle
        from .stepper import Stepper, possible

        if not possible(rule, self.objective):
            return None
        self.reader.shuffle = shuffle
        return Stepper(self.objective, rule, theta, self.rows, self.weight, whole=False, scaling=scaling)

    def full_stepper(
        self, rule: UpdateRule, theta: Array, steps: float, collected: Quadratic | None, scaling: Scaling | None
    ) -> Stepper | None:
        """The same for steps on all rows, or on none at all, of a collected quadratic.

        Few rows in one block are summed by the same loop; many, for which threads are worth their call, and those of
        files, by passes between two updates. The steps have the same bits either way.
        """
        if steps < WORTH_STEPS:
            return None
        from .stepper import Stepper, possible

        if not possible(rule, self.objective):
            return None
        rows = self.objective.rows(Need.GRADIENT)
        light = self.rows * len(rows.nodes) < SHARED
        block = self.reader.whole or self._block
        alone = light and block is not None and block.rows == self.reader.rows
        summed = None if collected or alone else self._passes(rows)
        stepper = Stepper(self.objective, rule, theta, self.rows, self.weight, whole=True, collected=collected,
                          scaling=scaling, summed=summed)  # fmt: skip
        if alone and not collected and block is not None:
            stepper.take(block)
        return stepper

    def _passes(self, rows: RowSums) -> Callable[[Array], Total]:
        """Passes by machine code, however few the rows."""
        from .native import NativeKernel

        kernel = self._kernel(Need.GRADIENT)
        native = kernel if isinstance(kernel, NativeKernel) else NativeKernel(rows)
        return lambda theta: self._total(native, theta)

    def batch(self, block: Block, theta: Array) -> Evaluation | None:
        """The batch objective: an unbiased estimate of the reduced one. None where the batch has no live row."""
        if block.live is not None and not block.live.any():
            return None
        objective = self.objective
        kernel = self._kernel(Need.GRADIENT)
        total = self._summed(kernel, theta, recut([block], block.rows, TILE, kernel.at_once))
        # mean: (N/n)(1/k)·Σ w·loss + penalty/n; sum: Σ w·loss + (k/N)·penalty
        share = total.rows / self.rows
        factor, weight = (1.0 / share, self.weight) if objective.reduce != "sum" else (1.0, total.weight)
        scaled = Total(total.rows, weight, total.bad, total.values * factor)
        return objective.evaluate(
            Need.GRADIENT, scaled, theta, penalty_share=share if objective.reduce == "sum" else 1.0
        )

    def _total(self, kernel: Sums, theta: Array) -> Total:
        """One pass: the sums of a kernel over all rows, tile after tile."""
        return self._summed(kernel, theta, self._blocks(kernel.at_once))

    def _observed(self, total: Total) -> Total:
        """With the rows counted as often as they stand there."""
        return total if total.rows == self.observations else replace(total, rows=self.observations)

    def _summed(self, kernel: Sums, theta: Array, blocks: Iterator[Block]) -> Total:
        """The sums over consecutive blocks; whoever watches hears of each when it is summed."""
        total: Total | None = None
        for block in blocks:
            total = kernel.total(theta, block, total)
            if self.watch is not None:
                self.watch(block.rows)
        assert total is not None
        return total

    def _blocks(self, most: int) -> Iterator[Block]:
        for block in self.reader.full(most):
            if self._block is None:
                self._block = cut(block, 0, min(block.rows, UNIT))
            yield block

    def _column_tiles(self, theta: Array) -> Iterator[Array]:
        """The columns of the live rows of every tile side by side: prediction's derivatives and residual."""
        return self._tiles(self._kernel(Need.NORMAL), theta)

    def _tiles(self, kernel: Kernel, theta: Array) -> Iterator[Array]:
        """The columns of a kernel at the live rows of every tile side by side: one pass."""
        for block in self._blocks(UNIT):
            yield from kernel.column_tiles(theta, block)
            if self.watch is not None:
                self.watch(block.rows)

    @property
    def kernel(self) -> str:
        """Which kernel sums loss and gradient, and why."""
        return described(self.objective.rows(Need.GRADIENT), self.reader.rows)

    def _kernel(self, need: Need) -> Kernel:
        if need not in self._kernels:
            self._kernels[need] = kernel_for(self.objective.rows(need), self.reader.rows)
        return self._kernels[need]

    # curvature ---------------------------------------------------------------------------------------------
    def _with_factor(self, evaluation: Evaluation, theta: Array) -> Evaluation:
        """Add the R of a QR by tiles where the scaled Gram matrix has lost its digits."""
        if evaluation.gauss is None or not evaluation.finite or self.objective.layout.size == 0:
            return evaluation
        values = evaluation.spectrum.values
        if values.item(0) * GRAM_LIMIT > values.item(-1):
            return evaluation
        width = self.objective.layout.size + 1
        factor: Array = np.zeros((0, width))
        for tile in self._column_tiles(theta):
            factor = _triangle(factor, tile)
        if self.objective.penalty is not None:
            rows = self.objective.penalty.rows(theta)
            if rows is None:
                return evaluation
            factor = _triangle(factor, rows)
        padded = np.zeros((width, width))
        padded[: len(factor)] = factor[:width]
        return replace(evaluation, factor=padded)

    @property
    def signal(self) -> float:
        """Σ w·y² over the rows, y the left side."""
        return self._signal[0]

    @cached_property
    def _signal(self) -> tuple[float, float]:
        """Σ w·y² and Σ w·y."""
        rows = self.objective.signal_rows
        squares, level = self._total(kernel_for(rows, self.reader.rows), self._anywhere).values
        return float(squares), float(level)

    @cached_property
    def spread(self) -> float:
        """Σ w·(y - ȳ)² over the rows, ȳ the mean of the left side; one pass more where it would be lost in Σ w·y²."""
        signal, level = self._signal
        mean = level / self.weight
        spread = signal - level * mean
        return spread if spread > CANCELLED * signal else self._sum_of(self.objective.spread_rows(mean), self._anywhere)

    @cached_property
    def log_weight(self) -> float:
        """Σ log w over the rows: one pass where the rows have weights."""
        if self.objective.weight is None:
            return 0.0
        return self._sum_of(self.objective.log_weight_rows, self._anywhere)

    @cached_property
    def decided(self) -> float:
        """Σ w·(what a likelihood holds of y alone, and its row loss leaves out): one pass where it holds any."""
        rows = self.objective.decided_rows
        return 0.0 if rows is None else self._sum_of(rows, self._anywhere)

    @property
    def _anywhere(self) -> Array:
        """A theta for sums that do not depend on it."""
        return np.ones(self.objective.layout.size)

    def residual_squares(self, theta: Array) -> float:
        """Σ w·r² at theta, whatever the loss."""
        return self._sum_of(self.objective.residual_rows, theta)

    def slopes(self, theta: Array) -> Array:
        """JᵀWJ of the prediction at theta, whatever the loss."""
        rows = self.objective.slope_rows
        return rows.split(self._total(kernel_for(rows, self.reader.rows), theta).values)[0]

    def _about_kink(self, theta: Array) -> Evaluation:
        """Loss and gradient of deviations, and the rows near zero; where they are many, at first a sample of all.

        A bound is a row too, whose residual may not cross zero.
        """
        objective, leverage = self.objective, self._leverage(theta)
        assert objective.family is not None
        p = objective.layout.size
        few = 2.0 * (p * self.reader.used**2) ** (1.0 / 3.0)  # as large a sample as its errors leave rows in doubt
        held = Held(max(4 * p, min(max(2 * TILE, int(few)), HELD // (p + 2))), objective.family.sides)
        if not self._sampled:
            held.every = -(-self.reader.used // held.most)
            self._sampled = True
        for tile in self._tiles(NumpyKernel(objective.deviation_rows), theta):
            held.add(tile, leverage)
        if not np.isfinite(held.total):
            return self.at(theta, Need.GRADIENT)
        self.rows, self.observations, self.weight = self.reader.used, self.reader.observed, held.weight
        used = Total(self.observations, held.weight, None, np.zeros(0))
        lower, upper, penalty, corners = objective.lower, objective.upper, objective.penalty, objective.corners
        if penalty is None or corners is None:
            evaluation = objective.reduced(held.total, held.total, held.slope, None, None, used)
            return replace(evaluation, near=held.near(theta, lower, upper, np.zeros(p)))
        value, slope, bend = penalty.at(theta)
        u, turned = corners.at(theta)
        evaluation = objective.reduced(held.total + value, held.total, held.slope + slope, None, None, used)
        pull = np.abs(slope) + np.abs(corners.slopes).T @ corners.scale
        near = held.near(theta, lower, upper, pull)
        return replace(evaluation, near=near.beside(corners.rows(u), slope - turned, bend if bend.any() else None))

    def at_kink(self, theta: Array, reach: Array) -> bool:
        """Whether a row stands at a kink, or is brought to it by moves of the parameters by `reach` (p,): one pass.

        The square of a residual that is zero there is smooth. Where a choice decides only squares are taken as smooth.
        """
        p, objective = self.objective.layout.size, self.objective
        if objective.kink_rows is None:
            return not objective.squares
        least = RESIDUAL * math.sqrt(self.signal / self.weight) if objective.squares else 0.0
        for tile in self._tiles(NumpyKernel(objective.kink_rows), theta):
            kinks = tile[:, 1:].reshape(len(tile), -1, 1 + p)
            moves = np.einsum("ikj,j->ik", np.abs(kinks[:, :, 1:]), reach)
            met = (np.abs(kinks[:, :, 0]) <= moves) & (moves > 0)
            if np.any(met.any(axis=1) & (np.abs(tile[:, 0]) > least)):
                return True
        return False

    def _leverage(self, theta: Array) -> Array:
        """R⁻¹ of the squares RᵀR of the model's slopes (p, p): what a row can move is measured by it."""
        if self.squares is None:
            pilot = self.objective.pilot
            assert pilot is not None
            squares = Surface(pilot, self.reader).at(theta, Need.NORMAL)
            if not squares.finite:  # nothing to measure by here
                return np.eye(len(theta))
            self.squares = squares
        if self._root is None:
            if self.objective.kind == "deviation":  # whose pilot has the same left side
                self.__dict__["_signal"] = self.squares.signal, self.squares.level
            parts = self.squares.spectrum
            least = max(parts.rounding * float(np.abs(parts.values).max()), 1e-300)
            self._root = parts.vectors / np.sqrt(np.maximum(parts.values, least)) / parts.scale[:, None]
        return self._root

    def recession(
        self, theta: Array, step: Array, hessian: Array, *, early: bool = False
    ) -> tuple[Array, Array] | None:
        """A direction (p,) along which the losses fall for ever, and in what units it is measured (p,); None: no such.

        Tried are the step and, where the rows have no curvature left, theta itself: that far it has gone already; on
        the way (`early`), where much is left, theta as it is.
        """
        if self.objective.recession_rows is None:
            return None
        root = self._leverage(theta)
        squares = None if self.squares is None else self.squares.curvature
        if squares is None:  # not finite at this theta
            return None
        bend, vectors = np.linalg.eigh(root.T @ hessian @ root)
        level = root @ vectors[:, bend <= LEVEL]
        for direction in (step, theta if early else level @ (level.T @ (squares @ theta))):
            if direction.any() and self._recedes(theta, direction):
                return direction, np.sqrt(squares.diagonal())
        return None

    def _recedes(self, theta: Array, step: Array) -> bool:
        """Whether the loss of no row rises in the end as theta goes on along a step, and that of some falls: one pass.

        Rounding of a hundred-thousandth of the largest move counts as none.
        """
        rows, family = self.objective.recession_rows, self.objective.family
        assert rows is not None and family is not None
        formula = parse(family.recession)
        rise = Evaluator(formula.graph, [formula.right], ("y", "d"), {})
        moved = risen = 0.0
        for tile in self._tiles(NumpyKernel(rows), theta):
            d = np.einsum("ij,j->i", tile[:, :-1], step)
            moved = max(moved, float(np.max(np.abs(d), initial=0.0)))
            risen = max(risen, float(np.max(rise(theta, {"y": tile[:, -1], "d": d})[0], initial=0.0)))
            if risen > HOPELESS * moved:
                return False
        return moved > LASTING and risen <= RECEDING * moved

    def scores(self, theta: Array) -> Array:
        """Σ over rows of g·gᵀ (p, p), g the gradient of w·(loss of the row): one pass."""
        rows = self.objective.score_rows
        return rows.split(self._total(kernel_for(rows, self.reader.rows), theta).values)[0]

    def _sum_of(self, rows: RowSums, theta: Array) -> float:
        return float(self._total(kernel_for(rows, self.reader.rows), theta).values[0])

    def largest_row_curvature(self, theta: Array, scaling: Scaling | None = None) -> float:
        """max over rows of w·‖∂prediction‖²: the curvature of the steepest row of a residual loss; in its units."""
        largest = 0.0
        for tile in self._column_tiles(theta):
            rows = tile[:, :-1] if scaling is None else scaling.columns(tile[:, :-1])
            largest = max(largest, float(np.max(np.einsum("ij,ij->i", rows, rows), initial=0.0)))
        return largest

    @cached_property
    def convexity(self) -> tuple[bool, str]:
        """Whether T is proved convex, and why or why not."""
        objective = self.objective
        if objective.convex and (objective.penalty is None or objective.penalty.convex):
            return True, objective.convex + " and of the penalty" * objective.biased
        proof = self.proof
        if proof.proved and objective.penalty is not None:
            penalty = objective.penalty.convexity(objective.lower, objective.upper)
            why = f"{proof.why}; the penalty: {penalty.why}" if penalty.proved else f"{penalty.why}, in the penalty"
            return penalty.proved, why
        return proof.proved, proof.why

    @cached_property
    def proof(self) -> Convexity:
        """The curvature of the loss of a row; where the sign of columns would decide, these are read once."""
        known: dict[int, Interval] = {}
        proof = self.objective.convexity()
        while not proof.proved and (asked := [node for node in proof.asked if node not in known]):
            known |= zip(asked, self._ranges(asked), strict=True)
            proof = self.objective.convexity(known)
        return proof

    def _ranges(self, nodes: Sequence[int]) -> list[Interval]:
        """The least and the largest value of some expressions of columns over the rows."""
        evaluator = Evaluator(self.objective.graph, nodes, self.objective.columns, {})
        least, largest = np.full(len(nodes), np.inf), np.full(len(nodes), -np.inf)
        read, prepared = self.reader.rows_read, evaluator.prepare(np.zeros(0))
        with np.errstate(all="ignore"):
            for block in self._blocks(UNIT):
                for _, _, columns in live_tiles(block):
                    values = evaluator.rows(prepared, columns)
                    least = np.minimum(least, [np.min(v) for v in values])
                    largest = np.maximum(largest, [np.max(v) for v in values])
        self.reader.rows_read = read  # what is asked for a sentence counts as no pass
        least, largest = np.where(np.isnan(least), -np.inf, least), np.where(np.isnan(largest), np.inf, largest)
        return list(zip(least.tolist(), largest.tolist(), strict=True))

    # diagnosis ---------------------------------------------------------------------------------------------
    def gradient_check(self, theta: Array, known: Evaluation | None = None) -> float | None:
        """Relative difference of the exact slope along a direction to a central difference, on the first block.

        None where the difference says nothing. The direction moves every parameter by a like share of its size.
        `known`: the evaluation there, whose slope is it where the block is all there is.
        """
        block = self._block
        if block is None or self.objective.layout.size == 0:
            return None
        direction = np.where(np.arange(len(theta)) % 2, -1.0, 1.0) * np.maximum(np.abs(theta), 1e-3)
        h = 6e-6  # ∛u: truncation and rounding of a central difference meet there
        if known is None or known.near is not None or block.rows < self.reader.rows:
            known = self._on(block, Need.GRADIENT, theta)
        exact = float(known.slope.dot(direction))
        ahead, behind = (self._on(block, Need.VALUE, theta + s * h * direction).total for s in (1.0, -1.0))
        difference = (ahead - behind) / (2.0 * h)
        size, rounding = max(abs(exact), abs(difference)), U * max(abs(ahead), abs(behind)) / h
        if not math.isfinite(difference) or size <= 1e3 * rounding:
            return None  # the slope is lost in the rounding of the difference
        return abs(exact - difference) / size

    def _on(self, block: Block, need: Need, theta: Array) -> Evaluation:
        """The evaluation over the rows of a block alone."""
        return self.objective.evaluate(need, self._kernel(need).total(theta, block), theta)

    def not_finite(self, theta: Array, evaluation: Evaluation) -> FitError:
        """The error for a formula that is not finite at the start: sub-expression, row, values, mend."""
        outside = self._outside(theta, evaluation)
        if outside is not None:
            return outside
        what, values, node = self._offence(theta, evaluation)
        if node is None:
            return FitError(f"{what} at the start{values}; give another start")
        cure = self._cure(theta, node)
        if cure is not None:
            name, low, high = cure[0], _side(cure[1]), _side(cure[2])
            python, terminal = (
                f"bounds={{{name!r}: ({low or None}, {high or None})}}",
                f'--bounds "{name}={low}:{high}"',
            )
            texts = [f"{what}{values}; give {bounds} or a start nearer" for bounds in (python, terminal)]
            return FitError(*texts)
        mend = "give a start nearer, or bounds that keep it away"
        if not self.objective.graph.depends([node], self.objective.layout.names):
            mend = "no parameter is in it: leave the row out by where, or mend the data"
        return FitError(f"{what}{values}; at the start: {mend}")

    def _outside(self, theta: Array, evaluation: Evaluation) -> FitError | None:
        """The error for a prediction that the loss is not defined for."""
        objective, bad = self.objective, evaluation.bad
        if objective.family is None or not objective.family.positive or objective.prediction is None or bad is None:
            return None
        row, columns = self._bad_row(theta, bad)
        values = objective.layout.values(theta)
        used = objective.graph.names([objective.prediction])
        predict = RowValues(
            objective.graph, objective.prediction, [c for c in objective.columns if c in used], values, 1
        )
        value = float(predict(columns, 1)[0])
        if value > 0 or math.isnan(value):
            return None
        at = ", ".join(f"{name} = {shown}" for name, shown in self._names_at(theta).items())
        return FitError(
            f"the prediction is {value:.6g} at {self.reader.source.locate(row)} at the start ({at}); the loss "
            f"{objective.family.name} needs one above 0: write exp(...) around the right-hand side, or start elsewhere"
        )

    def offence(self, theta: Array, evaluation: Evaluation) -> str:
        """What is not finite, in which row, and the values there."""
        return "".join(self._offence(theta, evaluation)[:2])

    def _offence(self, theta: Array, evaluation: Evaluation) -> tuple[str, str, int | None]:
        """What and where; the values; the node of the sub-expression, None where it is no single one."""
        graph, named, bad = self.objective.graph, self._names_at(theta), evaluation.bad
        values_at = ": " + ", ".join(f"{name} = {value}" for name, value in named.items())
        if bad is None:
            return "the penalty is not finite", values_at, None
        row, columns = self._bad_row(theta, bad)
        place = " at " + self.reader.source.locate(row) if self.reader.source.schema else ""
        size = {node: float(np.max(np.abs(value))) for node, value in self._row_values(theta, columns)}
        node = next((node for node in size if not np.isfinite(size[node])), None)
        if node is None:
            return f"the derivatives are not finite{place}", values_at, None
        kind = _kind(graph.nodes[node][0], size[node])
        if kind == "overflow":  # rather in what is too large already than in its square
            node = next(n for n in size if graph.nodes[n][0] not in LEAVES and not size[n] <= HUGE)
        held = graph.names([node])
        shown = [f"{n} = {named[n]}" for n in held if n in named]
        shown += [f"{n} = {float(columns[n][0]):.6g}" for n in held if n in columns and columns[n].ndim == 1]
        return f"{kind} in {to_text(graph, node, 80)}{place}", ": " * bool(shown) + ", ".join(shown), node

    def _cure(self, theta: Array, node: int) -> tuple[str, float, float] | None:
        """Bounds of the one parameter in a node whose other sign, and zero, make all rows finite: name, low, high."""
        objective = self.objective
        for name, place in objective.layout.places.items():
            if isinstance(place, slice) or theta[place] == 0 or name not in objective.graph.names([node]):
                continue
            low, high = float(objective.lower[place]), float(objective.upper[place])
            away = [theta.copy(), theta.copy()]
            away[0][place], away[1][place] = 0.0, -theta[place]
            if all(low <= there[place] <= high and self.at(there, Need.GRADIENT).finite for there in away):
                return (name, 0.0, high) if theta[place] < 0 else (name, low, 0.0)
        return None

    def _row_values(self, theta: Array, columns: Mapping[str, Array]) -> Iterator[tuple[int, Any]]:
        """Every node of the row loss and its values, the innermost first."""
        objective = self.objective
        nodes = objective.graph.reachable([objective.loss])
        with np.errstate(all="ignore"):
            values = Evaluator(objective.graph, nodes, objective.columns, objective.layout.places)(theta, columns)
        return zip(nodes, values, strict=True)

    def _bad_row(self, theta: Array, bad: int) -> tuple[int, Mapping[str, Array]]:
        """The first row from a bad one on whose loss is not finite, and its columns; that one if only a sum is not."""
        read = self.reader.rows_read
        block = next(block for block in self.reader.full() if bad < block.first_row + block.rows)
        self.reader.rows_read = read  # a look counts as no pass
        start = bad - block.first_row
        rest = cut(block, start, min(start + TILE, block.rows))
        odd = np.zeros(rest.rows, np.bool_)
        for _, value in self._row_values(theta, rest.columns):
            odd |= ~np.isfinite(value) if np.shape(value) == odd.shape else False
        at = int((odd if rest.live is None else odd & rest.live).argmax())
        return bad + at, cut(rest, at, at + 1).columns

    def _names_at(self, theta: Array) -> dict[str, str]:
        values = self.objective.layout.values(theta)
        return {
            n: f"{v:.6g}"
            if isinstance(v, float)
            else "[" + ", ".join(f"{x:.4g}" for x in v[:4]) + ("...]" if len(v) > 4 else "]")
            for n, v in values.items()
        }


def _triangle(factor: Array, rows: Array) -> Array:
    """R of the QR of both, one above the other."""
    with one_thread(len(rows)):
        return np.asarray(np.linalg.qr(np.vstack([factor, rows]), mode="r"))


def _side(bound: float) -> str:
    return f"{bound:.15g}" if np.isfinite(bound) else ""


def _kind(op: str, value: object) -> str:
    number = np.ravel(np.asarray(value, dtype=float))
    if np.isnan(number).any():
        return {
            "log": "log of a negative number",
            "sqrt": "root of a negative number",
            "**": "power of a negative number",
        }.get(op, "no number")
    if op in ("log", "log2", "log10"):
        return "log of zero"
    return "division by zero" if op == "/" else "overflow"
