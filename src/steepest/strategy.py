"""method="auto", the learning rate, and what is guaranteed: structure + rows -> a Plan, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .errors import FitError
from .formula.convexity import Convexity
from .formula.grammar import Formula
from .formula.intervals import EVERYWHERE
from .formula.objective import MAX_HESSIAN, Objective
from .formula.projection import Projection
from .kernels.steepness import penalty_curvature, steepest
from .kernels.surface import Surface
from .methods.finishing import Finishing
from .methods.first_order import RULES, Backtracking, FirstOrder, first_order
from .methods.lbfgs import LBFGS
from .methods.method import Method
from .methods.projected import Projected
from .methods.scaled import Scaled
from .methods.simplex import Simplex
from .methods.trust_region import TrustRegion
from .scaling import Scaling
from .spectrum import SINGULAR, unit_scale
from .types import Array, Evaluation, Need, is_whole

SECOND_ORDER = ("gauss-newton", "newton")
SEARCHING = ("auto", "lbfgs", *SECOND_ORDER)  # read all rows and find their own step
PLAIN = ("gd", "sgd")  # gradient descent without a memory
AUTO = 'scale="auto"'  # as in Python; the command line writes it its own way
MARGIN = 1.0 + 1e-9  # what roundings of intervals and sums may take from a bound
FIRST_ROWS = 1 << 16  # by which it is seen whether a rate may be too high
GAIN = 10.0  # times as well conditioned, or standardising is not worth a word


@dataclass(frozen=True)
class Guarantee:
    """What a quadratic loss guarantees gradient descent: curvatures of the reduced objective from its constant Hessian.

    `largest` L and `smallest` μ eigenvalue; the iteration θ - rate·g contracts the error along an eigenvector of
    eigenvalue λ by |1 - rate·λ| (Nocedal and Wright, Numerical Optimization, 2nd ed., ch. 3): it converges for
    rate < 2/L, never slower than at 1/L on any part, and needs steps in proportion to the condition L/μ. With
    `scaling` all of it is said of the standardised parameters, in which the rule runs.
    """

    largest: float
    smallest: float
    values: Array
    vectors: Array
    scaling: Scaling | None = None

    @staticmethod
    def of(curvature: Array, factor: float = 1.0, scaling: Scaling | None = None) -> Guarantee:
        """From the Hessian of T and the factor of the reduction (1, or 1/n)."""
        curvature = (curvature if scaling is None else scaling.curvature(curvature)) * factor
        values, vectors = np.linalg.eigh(curvature)
        tiny = len(values) * np.finfo(float).eps * max(abs(float(values[-1])), 1e-300)
        if abs(values[0]) <= tiny:
            values[0] = _weakest(curvature)
        return Guarantee(float(values[-1]), float(values[0]), values, vectors, scaling)

    @property
    def convex(self) -> bool:
        """Whether no eigenvalue is negative."""
        return self.smallest >= 0

    @property
    def condition(self) -> float:
        """L/μ."""
        return self.largest / self.smallest if self.smallest > 0 else math.inf

    @property
    def limit(self) -> float:
        """2/L: gradient descent diverges above."""
        return 2.0 / self.largest if self.largest > 0 else math.inf

    @property
    def safe(self) -> float:
        """1/L."""
        return self.limit / 2.0

    def steps(self, rate: float, shrink: float = 1e-6) -> float:
        """Steps of gradient descent until the error is `shrink` times what it was, by its slowest part."""
        contraction = max(abs(1.0 - rate * self.smallest), abs(1.0 - rate * self.largest))
        return (
            math.log(shrink) / math.log(contraction) if 0 < contraction < 1 else math.inf if contraction >= 1 else 1.0
        )

    def error(self, rate: float, steps: int, distance: Array) -> Array:
        """Exactly what is left of the start's distance to the minimum after some steps of gradient descent."""
        scaling = self.scaling
        along = self.vectors.T @ (distance if scaling is None else scaling.inward(distance))
        left = np.asarray(self.vectors @ ((1.0 - rate * self.values) ** steps * along))
        return left if scaling is None else scaling.outward(left)


def _weakest(curvature: Array) -> float:
    """The smallest eigenvalue where units far apart drown it in the rounding of the largest; 0 where it is 0."""
    unit = unit_scale(curvature)
    values, vectors = np.linalg.eigh(curvature / unit / unit[:, None])
    if not values[0] > SINGULAR * len(values) * values[-1]:
        return 0.0
    root = vectors / np.sqrt(values) / unit[:, None]
    return 1.0 / float(np.linalg.norm(root, 2)) ** 2  # H⁻¹ = root·rootᵀ


@dataclass(frozen=True)
class Bound:
    """A proved bound of the curvature of T, not of a quadratic: `largest`; `row`: of the steepest row; `why` in words.

    Gradient descent with a rate of 1/L or less lowers such a loss at every step (Nesterov, Lectures on Convex
    Optimization, 2nd ed., 1.2.3), convex or not.
    """

    largest: float
    row: float
    why: str


@dataclass(frozen=True)
class Plan:
    """What will run: the method, rows of a batch (None = all), why, and what is called out before the first step.

    `rate` is that of a first-order method where it is one number; while `open_rate`, it is to come from the curvature.
    `scale`: the rule is to run in standardised parameters; `scaling` are these, once the curvature is known.
    `solved` are the linear parameters that need no start: each pass finds their best values.
    """

    method: Method
    batch: int | None
    why: str
    open_rate: bool = False
    warning: str = ""
    rate: float | None = None
    solved: tuple[str, ...] = ()
    scale: bool = False
    scaling: Scaling | None = None

    @property
    def stepping(self) -> Method:
        """What makes steps of theta: the method, in standardised parameters where these are known."""
        return self.method if self.scaling is None else Scaled(self.method, self.scaling)


def plan(
    objective: Objective, method: str, batch: int | None, rate: float | str | None, scale: str | None = None
) -> Plan:
    """Choose the method. Raises FitError for options that do not go together."""
    if not isinstance(method, str):
        raise FitError(f"method is a name or the text of an update rule, not {type(method).__name__}")
    name = method.strip()
    if batch is not None and not (is_whole(batch) and batch >= 1):
        raise FitError(f"batch is {batch!r}; give a whole number of rows, or None for all rows")
    if scale not in (None, "auto"):
        raise FitError(f"scale is {scale!r}; it is 'auto', for standardised parameters, or None")
    if name in SEARCHING:
        if scale is not None:
            why = "finds the scale of its steps by itself" if name == "lbfgs" else "is free of units already"
            raise FitError(f"method {name} {why}: leave scale out, or use gd or adam")
        if batch is not None:
            raise FitError(f"method {name} reads all rows at every step; for batch={batch} use sgd, momentum or adam")
        if rate is not None:
            raise FitError(f"method {name} finds its own step; for a learning rate use method='gd'")
        if name == "lbfgs":
            return Plan(LBFGS(objective.lower, objective.upper), None, "lbfgs, as asked")
        return objective.once(name, lambda: _second_order(objective, name))
    first = first_order(name, rate)
    if first is None:
        known = ", ".join(["auto", *RULES, *SEARCHING[1:]])
        raise FitError(f"{name} is not a method; known are {known}, or an update rule such as 'theta = theta - rate*g'")
    if first.name == "sgd" and batch is None:
        batch = 1
    if scale is not None and objective.large:
        raise FitError(
            f"to standardise {objective.layout.size:,} parameters is to form a matrix of their square; above "
            f"{MAX_HESSIAN:,} leave scale out and standardise the columns, or use adam"
        )
    rows = "all rows" if batch is None else f"{batch} row{'s' * (batch > 1)} a step"
    why = f"{first.name} on {rows}, {'standardised, ' * (scale is not None)}as asked"
    return Plan(first, batch, why, rate is None and first.rule.rate is None, scale=scale is not None)


def _second_order(objective: Objective, name: str) -> Plan:
    """`auto`, `gauss-newton` or `newton`; where there are too many parameters for a Hessian, `auto` is lbfgs."""
    if objective.large:
        p = objective.layout.size
        if name != "auto":
            raise FitError(
                f"method {name} forms a matrix of {p} × {p}; above {MAX_HESSIAN:,} parameters use lbfgs, gd or adam"
            )
        searching = LBFGS(objective.lower, objective.upper)
        return Plan(searching, None, f"lbfgs: {p:,} parameters are too many for a Hessian")
    if name == "gauss-newton" and not objective.squares:
        raise FitError("gauss-newton needs residuals: the loss squares or rmse and a formula with =; use newton")
    if objective.kind == "deviation" and name == "auto" and objective.corners is not None:
        assert objective.family is not None
        what = "is a vertex" if objective.penalty is None else "lies on kinks of rows or of the penalty"
        return Plan(Simplex(), None, f"simplex, because the minimum of the loss {objective.family.name} {what}")
    gauss = objective.squares and name != "newton"
    kind = ("gauss-newton", Need.NORMAL) if gauss else ("newton", Need.HESSIAN)
    if objective.corners is not None and objective.kind != "deviation":
        why = "as asked" if name != "auto" else "because its exact Hessian is known"
        why = "because the loss is a sum of squared residuals" if gauss and name == "auto" else why
        return Plan(
            Simplex(*kind), None, f"{kind[0]}, {why}; a step ends on the kinks where the subgradient has a zero"
        )
    chosen = TrustRegion(*kind, objective.lower, objective.upper, objective.quadratic)
    if name != "auto":
        return Plan(chosen, None, f"{name}, as asked")
    why = "the loss is a sum of squared residuals" if gauss else "its exact Hessian is known"
    if objective.quadratic and gauss:
        why += "; it is a quadratic, so one step reaches its minimum"
    if objective.kinks - {"where"} and not gauss:
        why += f"; {', '.join(sorted(objective.kinks))} makes a kink, at which no minimum can be certified"
    if not gauss or objective.quadratic:
        return Plan(chosen, None, f"{chosen.name}, because {why}")
    newton = TrustRegion("newton", Need.HESSIAN, objective.lower, objective.upper)
    solved: tuple[str, ...] = ()
    far: TrustRegion | Projected = chosen
    if objective.structure.linear and objective.structure.nonlinear:
        way = objective.projection
        if isinstance(way, Projection):
            far, solved = Projected(chosen, way.linear, way.rest), way.names
            why += f"; {', '.join(solved)} {'are' if len(solved) > 1 else 'is'} solved exactly at each step"
        else:
            why += f"; its linear parameters are not solved apart: {way}"
    return Plan(Finishing(far, newton), None, f"{chosen.name}, because {why}", solved=solved)


def settle_rate(
    made: Plan,
    objective: Objective,
    guarantee: Guarantee | None,
    row_curvature: float | None,
    weight: float,
    rows: int,
    bound: Bound | None = None,
) -> Plan:
    """Fill an open rate from the curvature, or call out one that is too large.

    `guarantee` where a quadratic is convex; `row_curvature` is that of the steepest row with its weight, where it is
    known (mini-batches of a quadratic); `bound` where the curvature of another loss is; `weight` n, `rows` N. Raises
    FitError where a rate must be given.
    """
    method = made.method
    if not isinstance(method, FirstOrder):
        return made
    if made.open_rate:
        if made.batch is None:
            if bound is not None:
                largest = bound.largest if objective.reduce == "sum" else bound.largest / weight
                return _proved_rate(made, method, largest, bound.why)
            return _full_rate(made, method, guarantee)
        steepest = row_curvature if bound is None else bound.row
        made = _batch_rate(made, method, made.batch, objective, steepest, weight, rows)
        return made if bound is None else replace(made, why=f"{made.why}: {bound.why}")
    if method.schedule.text:
        return made
    rate, warning, kind = method.schedule.rate, "", ", standardised" * made.scale
    if made.batch is None and guarantee is not None and method.rate_limit is not None:
        limit = method.rate_limit / guarantee.largest if guarantee.largest > 0 else math.inf
        if rate > limit:
            warning = (
                f"the rate {rate:g} is above {limit:.4g}, beyond which {method.name} diverges on this quadratic loss: "
                f"its curvature is {guarantee.largest:.4g} (reduce={objective.reduce!r}{kind}); "
                f"{guarantee.safe:.4g} is safe"
            )
    if made.batch is None and bound is not None and bound.largest > 0 and method.name in PLAIN:
        largest = bound.largest if objective.reduce == "sum" else bound.largest / weight
        if rate > 2.0 / largest:
            warning = (
                f"the rate {rate:g} is above 2/L = {2.0 / largest:.4g}: on this convex loss it is not covered by the "
                f"proof and may diverge; the curvature is at most L = {largest:.4g} "
                f"(reduce={objective.reduce!r}{kind}), since {bound.why}; {1.0 / largest:.4g} is safe"
            )
    return replace(made, rate=rate, warning=warning)


def _full_rate(made: Plan, method: FirstOrder, guarantee: Guarantee | None) -> Plan:
    """On all rows: 1/L where it is proved, else by trial."""
    if guarantee is None:
        why = f"{made.why}; rate by backtracking: tested, not proved"
        return replace(made, method=Backtracking(method), why=why, open_rate=False)
    rate = guarantee.safe if math.isfinite(guarantee.safe) else 1.0
    why = f"{made.why}; rate {rate:.4g} = 1/L, safe: the loss is a quadratic of curvature L = {guarantee.largest:.4g}"
    return replace(made, method=method.with_rate(rate), why=why, rate=rate, open_rate=False)


def _proved_rate(made: Plan, method: FirstOrder, largest: float, why: str) -> Plan:
    """On all rows, of a loss whose curvature is bounded."""
    rate = 1.0 / largest if largest > 0 else 1.0
    safe = "safe" if method.name in PLAIN else "stable on a quadratic as steep"
    why = f"{made.why}; rate {rate:.4g} = 1/L, {safe}: the curvature is at most L = {largest:.4g}, since {why}"
    return replace(made, method=method.with_rate(rate), why=why, rate=rate, open_rate=False)


def _batch_rate(
    made: Plan,
    method: FirstOrder,
    batch: int,
    objective: Objective,
    row_curvature: float | None,
    weight: float,
    rows: int,
) -> Plan:
    """On batches: 1/L of the steepest row, whose share of the mean is N/n. Raises FitError where that is not known."""
    if row_curvature is None:
        raise FitError(
            f"{method.name} on batches needs a rate: rate=0.01, say; it is known by itself only where the curvature "
            "of the loss is proved: of squares of a linear model, say, or where bounds of the parameters give one"
        )
    of_sum = objective.reduce == "sum"
    largest = batch * row_curvature if of_sum else row_curvature * rows / weight
    rate = 1.0 / largest if largest > 0 else 1.0
    why = f"{made.why}; rate {rate:.4g} = 1/L of the steepest row" + (" and batch" if of_sum and batch > 1 else "")
    return replace(made, method=method.with_rate(rate), why=why, rate=rate, open_rate=False)


def standardised(objective: Objective, evaluation: Evaluation, slopes: Array | None = None) -> Scaling:
    """The standardised parameters at a point, from the curvature there.

    JᵀWJ + ∂²penalty of a residual loss, as for any other with `slopes` JᵀWJ; without either the exact Hessian.
    """
    curvature = evaluation.curvature if evaluation.gauss is None else evaluation.gauss
    curvature = curvature if slopes is None else slopes
    assert curvature is not None
    free = np.isinf(objective.lower) & np.isinf(objective.upper)
    return Scaling.of(curvature, evaluation.weight, objective.intercept, free, evaluation.factor)


def conditions(objective: Objective, evaluation: Evaluation) -> tuple[float, float] | None:
    """The condition of the curvature at a point as it is and standardised, where that is a gain worth a word."""
    curvature = evaluation.curvature if evaluation.gauss is None else evaluation.gauss
    if curvature is None or not evaluation.finite:
        return None
    scaling = standardised(objective, evaluation)
    if not np.isfinite(scaling.curvature(curvature)).all():
        return None
    raw, after = Guarantee.of(curvature).condition, Guarantee.of(curvature, 1.0, scaling).condition
    return (raw, after) if math.isfinite(raw) and after * GAIN < raw else None


def guaranteed(objective: Objective, surface: Surface) -> tuple[dict[str, Guarantee], tuple[str, ...]]:
    """Sum and mean with their safe rates side by side, and what holds for the root of the mean square, in sentences."""
    if not objective.layout.size:
        return {}, ()
    if not objective.quadratic or objective.large:
        return {}, (convexity_line(*surface.convexity), *_bound_words(objective, surface))
    theta = np.clip(np.ones(objective.layout.size), objective.lower, objective.upper)
    evaluation = surface.at(theta, Need.NORMAL if objective.squares else Need.HESSIAN)
    if not evaluation.finite or evaluation.curvature is None:
        return {}, ("the Hessian is not finite on these data",)
    n = evaluation.weight
    both = {"sum": Guarantee.of(evaluation.curvature), "mean": Guarantee.of(evaluation.curvature, 1.0 / n)}
    one = both["sum"]
    if not one.convex:
        return both, ("a quadratic that is not convex: gradient descent runs away from its saddle",)
    kind = "strictly convex, one minimum" if one.smallest > 0 else "convex and flat along a direction, many minima"
    gain = conditions(objective, evaluation)
    standard = "" if gain is None else f"; standardised {gain[1]:.4g}: {AUTO}"
    lines = [f"{kind}; condition L/μ = {one.condition:.6g}{standard}"]
    lines += [f'reduce="{name}": {_rate_words(g)}' for name, g in both.items()]
    if objective.squares:
        lines.append(f'loss="rmse": {_root_words(surface, theta, evaluation, n, one.largest)}')
    return both, tuple(lines)


def exceeded(surface: Surface, rate: float, scaling: Scaling | None = None) -> Bound | None:
    """The bound of the curvature of a convex T where a rate may be above 2/L: half of that on the first rows."""
    objective = surface.objective
    penalty = objective.penalty
    convex = objective.convex or objective.convexity().proved
    if not convex or (penalty is not None and not penalty.convexity(objective.lower, objective.upper).proved):
        return None
    some = bounded(surface, scaling, FIRST_ROWS)
    if isinstance(some, str):
        return None
    share = min(1.0, FIRST_ROWS / surface.reader.rows)
    largest = some.largest / (1.0 if objective.reduce == "sum" else surface.weight) / share
    if rate * largest <= 1.0:
        return None
    whole = some if share == 1.0 else bounded(surface, scaling)
    return whole if isinstance(whole, Bound) else None


def bounded(surface: Surface, scaling: Scaling | None = None, most: int | None = None) -> Bound | str:
    """The bound of the curvature of T over the rows, or why there is none. `most`: over the first rows alone."""
    objective = surface.objective
    found = steepest(surface, scaling, most)
    if isinstance(found, str):
        return found
    largest, row, why = found
    if objective.penalty is not None:
        extra = penalty_curvature(objective.penalty, objective.lower, objective.upper)
        if isinstance(extra, str):
            return f"{extra}, in the penalty"
        extra = [e if scaling is None else scaling.curvature(e) for e in extra]
        largest = [*(matrix + extra[0] for matrix in largest[:-1]), largest[-1] + extra[1]]
        row += _top(extra) / surface.rows
    return Bound(_top(largest) * MARGIN, row * MARGIN, why)


def _top(matrices: Sequence[Array]) -> float:
    """The largest eigenvalue of bounds from above and, of the negative, from below."""
    return max(float(np.linalg.eigvalsh(matrix)[-1]) for matrix in matrices)


def _bound_words(objective: Objective, surface: Surface) -> tuple[str, ...]:
    """The safe rates of a loss that is no quadratic, where its curvature is bounded."""
    with np.errstate(all="ignore"):
        if objective.large or objective.reduce == "rmse":
            found: Bound | str = "the curvature is not bounded"
        else:
            surface.at(np.clip(np.ones(objective.layout.size), objective.lower, objective.upper), Need.VALUE)
            found = bounded(surface)
    if isinstance(found, str) or not found.largest > 0:
        return (f"no rate is proved safe: {found}; with rate=None it is found by trial",)
    lines = []
    for name, largest in (("sum", found.largest), ("mean", found.largest / surface.weight)):
        lines.append(f'reduce="{name}": safe rate 1/L = {1.0 / largest:.4g}, proved: L = {largest:.4g}')
    return (*lines, found.why)


def convexity_of(formula: Formula) -> tuple[str, ...]:
    """The sentence for a function of every name in it; none for the right-hand side of an equation."""
    if formula.left is not None:
        return ()
    bounds = dict.fromkeys(formula.graph.names([formula.right]), EVERYWHERE)
    proof = Convexity(formula.graph, formula.right, bounds)
    return (convexity_line(proof.proved, proof.why),)


def convexity_line(proved: bool, why: str) -> str:
    """What `explain` says of convexity."""
    return f"convex: {why}" if proved else f"convexity is {why}"


def _rate_words(g: Guarantee) -> str:
    words = f"L = {g.largest:.6g}, gd converges below 2/L = {g.limit:.4g}, safe rate 1/L = {g.safe:.4g}"
    return words + (f" ({g.steps(g.safe):,.0f} steps for a millionth of the error)" if g.smallest > 0 else "")


def _root_words(surface: Surface, theta: Array, evaluation: Evaluation, n: float, largest: float) -> str:
    """The root of the mean square has curvature λmax/(n·rms*) near its minimum: none that is bounded on exact data."""
    assert evaluation.curvature is not None
    step = evaluation.spectrum.step()
    rms = math.sqrt(max(2.0 * surface.at(theta + step, Need.VALUE).sum, 0.0) / n)
    if rms <= 1e-12 * math.sqrt(surface.signal / n):
        return "no rate is safe: the data are fitted exactly, and there the root has a kink; a fixed rate oscillates"
    return f"near the minimum a rate of n·rms/λmax = {n * rms / largest:.4g} is safe (rms = {rms:.4g})"
