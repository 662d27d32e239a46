"""Converged or not, with the certificate: the minimum is as near as the data can tell, and it is a minimum.

For residual losses the gap ½·gᵀH⁻¹g, the fall that the quadratic model still promises, is compared with the noise of
the data: a parameter is then off by less than a millionth of its standard error. That the point is a minimum and no
saddle is read off the exact Hessian. The words and thresholds are those of docs/semantics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .around import Around
from .formula.objective import MAX_HESSIAN, Objective, listed
from .kernels.smooth import smooth_about
from .kernels.surface import Surface
from .methods.trust_region import held, part, restrict
from .spectrum import SINGULAR, Mask, U, every, length, some, spectrum, unit_scale
from .types import Array, Evaluation, Need, Status
from .vertex import Near

RISEN = 0.1  # of the noise: a rise that a quadratic makes five times as large
DUST = 8.0  # roundings of y: what adds no more to a prediction adds nothing
SLACK = 1e-11  # of the noise s²: a rise of the loss by ten times what the gap test leaves is none
CANCELLED = 1e-7  # of the left side: a parameter that does less to the rows may stand in nothing but terms that cancel
HIDDEN = 1e-4  # of the largest: an eigenvalue that the gradient at a point near the minimum may have made
KNOWN = 10.0  # Newton steps: how far the minimum may be
NOT_SMOOTH = "the loss is not smooth here: a row stands at a kink, and the minimum is not certified"
NO_CERTIFICATE: dict[str, Any] = {
    "gradient_norm": None, "hessian_min_eigenvalue": None, "hessian_condition": None, "expected_gap": None,
    "convex": None, "why": "not judged",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """`status` is converged, unidentifiable or stopped; `sentence` says what holds; `certificate` the numbers.

    `inverse` (p, p) of the curvature that the gap uses (JᵀWJ + ∂²penalty for residual losses), `exact` of the exact
    Hessian of T: zero at what a bound holds, None where there is no certified minimum or the matrix is singular.
    """

    status: Status
    sentence: str
    certificate: dict[str, Any] = field(default_factory=NO_CERTIFICATE.copy)
    inverse: Array | None = None
    exact: Array | None = None
    held: bool = False  # a bound holds a parameter
    near: bool = False  # the gap test holds
    largest: float = 0.0  # eigenvalue of the curvature of T, where the loss is its root
    step: Array | None = None  # the Newton step of all parameters, zero where a bound holds one
    evaluation: Evaluation | None = None  # with the curvature that was judged
    lower: Array | None = None  # a lower point beside a stationary one that is no minimum
    around: Around | None = None  # what looks further
    kind: str = ""  # of a stationary point that is no minimum
    endless: bool = False  # the loss falls for ever from here, ever less


def judge(surface: Surface, theta: Array, start: Array, evaluation: Evaluation | None = None) -> Verdict:
    """Test a point. `evaluation` saves a pass where it is of Need.NORMAL (residual losses) or Need.HESSIAN."""
    examined = _examined(surface, theta, start, evaluation)
    return examined if isinstance(examined, Verdict) else examined.verdict()


def near(surface: Surface, theta: Array, start: Array, evaluation: Evaluation) -> bool:
    """The gap test alone, which costs no pass then."""
    examined = _examined(surface, theta, start, evaluation)
    return examined.near if isinstance(examined, Verdict) else examined.near()


def _examined(surface: Surface, theta: Array, start: Array, evaluation: Evaluation | None) -> Verdict | _Judge:
    """The verdict where it needs no test, else what makes it."""
    objective = surface.objective
    p = objective.layout.size
    if p == 0:
        return Verdict(
            Status.CONVERGED,
            "nothing is free: the formula was computed",
            {**NO_CERTIFICATE, "convex": True, "why": "no parameter is free"},
        )
    if p > MAX_HESSIAN:
        return Verdict(Status.STOPPED, f"minimum not certified: no Hessian is formed above {MAX_HESSIAN:,} parameters")
    if evaluation is not None and evaluation.near is not None:
        return _at_kinks(surface, theta, start, evaluation, evaluation.near)
    need = Need.NORMAL if objective.squares else Need.HESSIAN
    blunt = evaluation is None or evaluation.curvature is None or evaluation.solved is not None  # no QR was made there
    if evaluation is None or blunt or (objective.squares and evaluation.gauss is None):
        evaluation = surface.at(theta, need)
    if not evaluation.finite:
        return Verdict(Status.STOPPED, "the derivatives are not finite here")
    if evaluation.near is not None:
        return _at_kinks(surface, theta, start, evaluation, evaluation.near)
    fixed = held(theta, evaluation.slope, objective.lower, objective.upper)
    if every(fixed):
        assert evaluation.curvature is not None
        certificate = {**NO_CERTIFICATE, "gradient_norm": 0.0, "expected_gap": 0.0}
        certificate |= _convexity(surface, evaluation.curvature)
        sentence = "every parameter is held at a bound, pushed there by the gradient"
        return Verdict(Status.CONVERGED, sentence, certificate, held=True, near=True)
    return _Judge(surface, theta, start, evaluation, ~fixed)


class _Judge:
    """One judgement: the numbers that the tests share, each made when it is asked for."""

    def __init__(self, surface: Surface, theta: Array, start: Array, evaluation: Evaluation, free: Mask) -> None:
        self.surface, self.objective, self.theta, self.start = surface, surface.objective, theta, start
        self.evaluation, self.free = evaluation, free
        curvature = evaluation.gauss if self.objective.squares else evaluation.curvature
        assert curvature is not None
        self.curvature = curvature
        if every(free):
            self.parts = evaluation.spectrum
        else:
            factor = restrict(evaluation.factor, free)
            self.parts = spectrum(part(curvature, free), evaluation.slope[free], factor)
        self.singular = self.parts.flat
        curved = ~self.singular if some(self.singular) else slice(None)
        self.gap = 0.5 * float(np.add.reduce(self.parts.slope[curved] ** 2 / np.abs(self.parts.values[curved])))

    @cached_property
    def step(self) -> Array:
        """The Newton step of the free parameters, none along singular directions."""
        return self.parts.step(~self.singular)

    @cached_property
    def root(self) -> Array:
        """R⁻¹ of the curvature RᵀR of the free parameters."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.parts.vectors / np.sqrt(np.abs(self.parts.values)) / self.parts.scale[:, None]

    @cached_property
    def size(self) -> Array:
        """What a step of each free parameter is measured by."""
        return self._sizes()[self.free]

    def _sizes(self) -> Array:
        """What a step of every parameter is measured by, also of those that a bound holds."""
        size = np.maximum(np.abs(self.theta), np.abs(self.theta - self.start))
        return size if every(size > 0) else np.where(size > 0, size, 1.0)

    @cached_property
    def certificate(self) -> dict[str, Any]:
        """The numbers that an answer shows."""
        values = np.abs(self.parts.values)
        return {
            "gradient_norm": self._scaled_gradient(),
            "hessian_min_eigenvalue": None,
            "hessian_condition": float(float(values.max()) / max(float(values.min()), 1e-300)),
            "expected_gap": self._reduced_gap(),
            **_convexity(self.surface, self.curvature),
        }

    def verdict(self) -> Verdict:
        """The gap test, and once it holds, what kind of point it is."""
        if not self.near():
            return self._say(Status.STOPPED, f"the {self._words()[0]} is not reached", near=False)
        return self._residual() if self.objective.squares else self._general()

    def near(self) -> bool:
        """The gap test."""
        if not self._flat_slope():
            return False
        kind, p = self.objective.kind, int(np.count_nonzero(self.free))
        if kind == "likelihood":
            return bool(math.sqrt(2.0 * self.gap / p) <= 1e-6)
        if kind not in ("residual", "robust"):
            return self._small_step()
        rss, rows = 2.0 * self.evaluation.sum, self.evaluation.rows
        signal = self.surface.signal
        if rows > p:
            noise = 1.0 if self.objective.known_sigma else max(0.0, rss - 2.0 * self.gap) / (rows - p)
            s, typical = noise**0.5, (signal / rows) ** 0.5
            if s > 1e3 * U * typical:
                near = math.sqrt(2.0 * self.gap / p) <= max(1e-6 * s, 8.0 * U * typical)
                no_nearer = np.abs(self.step) <= 64.0 * U * np.abs(self.theta[self.free])  # no double is
                return near or bool(no_nearer.all())
        return self.gap <= U * math.sqrt(rss) * math.sqrt(signal) + U**2 * signal or self._small_step()

    def _small_step(self) -> bool:
        return bool(np.all(np.abs(self.step) <= 1e-8 * self.size))

    def _flat_slope(self) -> bool:
        """Along singular directions the slope itself must vanish: that of residuals does by itself, a penalty's not."""
        if self.objective.squares and self.objective.penalty is None:
            return True
        scale = np.sqrt(2.0 * abs(self.evaluation.total)) if self.objective.squares else abs(self.evaluation.total)
        slope = np.abs(self.parts.slope[self.singular])
        if not self.objective.squares:  # a function that falls for ever is steep beside its sizes, however low it is
            along = np.abs(self.parts.vectors[:, self.singular]) / self.parts.scale[:, None] / self.size[:, None]
            slope = np.maximum(slope, slope / np.maximum(along.max(axis=0), 1e-300))
        return bool(np.all(slope <= 1e-8 * max(1.0, float(scale))))

    def _residual(self) -> Verdict:
        """A residual loss near a stationary point: is it a minimum, and do the data determine it?"""
        if some(self.singular):
            return self._undetermined()
        without = self._without_dust()
        if without is not None and some(without.singular):
            return without._undetermined()
        if self._at_kink():
            return self._say(Status.STOPPED, NOT_SMOOTH)
        evaluation = self.evaluation  # of a model that is linear JᵀWJ is all there is
        if not self.objective.quadratic and evaluation.gauss is evaluation.curvature:
            evaluation = self.surface.at(self.theta, Need.HESSIAN)
        assert evaluation.curvature is not None and evaluation.gauss is not None
        convex = bool(self.parts.values[0] > 0)
        if convex:  # I + R⁻ᵀ(Σ w·r·∂²r)R⁻¹, without the rounding of RᵀR
            bend = part(evaluation.curvature - evaluation.gauss, self.free)
            values, vectors = np.linalg.eigh(self.root.T @ bend @ self.root)
            values = 1.0 + values
        else:
            values, vectors = np.linalg.eigh(self.root.T @ part(evaluation.curvature, self.free) @ self.root)
        self.certificate["hessian_min_eigenvalue"] = float(values[0])
        if not values[0] > 0:
            return self._saddle(values, self.root @ vectors[:, 0])
        exact_root = self.root @ vectors / np.sqrt(values)
        if convex:  # Newton's step by the exact Hessian, in place of that by JᵀWJ
            self.step = -exact_root @ (exact_root.T @ (self.parts.scale * (self.parts.vectors @ self.parts.slope)))
        return self._minimum(exact_root)

    def _general(self) -> Verdict:
        """A function or a likelihood near a stationary point."""
        weakest = float(self.parts.values[0])
        self.certificate["hessian_min_eigenvalue"] = weakest
        # where may well be smooth, as in Huber's loss
        if self.objective.kinks - {"where"} and not smooth_about(self.surface, self.theta, self._sizes()):
            penalty = self.objective.penalty
            if self._at_kink() or (penalty is not None and penalty.kinks):  # a row may be nearer than others are steep
                return self._say(Status.STOPPED, "the loss is not smooth: the minimum is not certified")
        if weakest < 0 and not self.singular[0]:
            return self._saddle(self.parts.values, self.parts.vectors[:, 0] / self.parts.scale)
        lower = None if self.objective.kind in ("likelihood", "robust") else self._lower_nearby()
        if lower is not None:
            best, better = self._words()
            sentence = f"the gradient is zero but it is no {best}: a {better} point lies beside it; start elsewhere"
            return self._say(Status.STOPPED, sentence, lower=lower, kind=f"no {best}")
        recession = self._recession()
        if recession is not None:
            return self._say(Status.UNIDENTIFIABLE, separated(self.objective.layout.flat, *recession))
        faint = not self.objective.columns and bool(np.any(self.parts.scale**2 < np.finfo(float).tiny))  # underflown
        if self.singular.any() or faint:
            if self.objective.columns:
                return self._undetermined()
            side = "highest" if self.objective.sign < 0 else "lowest"
            if self._levels_off():
                return self._say(Status.STOPPED, f"the function levels off on one side: it has no {side} point here")
            return self._say(Status.CONVERGED, f"flat to second order: nothing {self._words()[1]} was found beside it")
        return self._minimum(self.root)

    def _without_dust(self) -> _Judge | None:
        """The judgement where parameters whose part in the predictions is rounding of y are 0; None without such.

        An amplitude of 1e-17 still gives its rate a column, whose size nobody sees once the columns are scaled.
        """
        theta = self.theta
        part = np.zeros_like(theta)
        part[self.free] = np.abs(theta[self.free]) * self.parts.scale
        signal = self.surface.signal
        # where y is 0 in every row, nothing but the way from the start measures what is left of a parameter
        left = (signal == 0) & (np.abs(theta) <= 1e-8 * self._sizes())
        dust = (part > 0) & ((part <= DUST * U * signal**0.5) | left)
        dust &= (self.objective.lower <= 0) & (self.objective.upper >= 0)
        if not some(dust):
            return None
        there = np.where(dust, 0.0, theta)
        evaluation = self.surface.at(there, Need.NORMAL)
        return _Judge(self.surface, there, self.start, evaluation, self.free) if evaluation.finite else None

    def _at_kink(self) -> bool:
        """Whether what the derivatives say may hold on one side alone, within what is known of the minimum's place."""
        if not self.objective.kinks - {"where"}:
            return False
        reach = np.zeros_like(self.theta)
        reach[self.free] = KNOWN * np.abs(self.step) + 64.0 * U * self.size
        return self.surface.at_kink(self.theta, reach)

    def _minimum(self, exact_root: Array) -> Verdict:
        """A certified minimum, unless the noise hides that the loss falls for ever: where an error exceeds its value.

        The gap is small down such a valley too, since its curvature vanishes with its slope.
        """
        without_effect = self._cancelled()
        if without_effect:
            return self._say(Status.UNIDENTIFIABLE, without_effect)
        if self.objective.columns and not self.objective.quadratic:
            noise, rows = 1.0, self.evaluation.rows - len(exact_root)
            if self.objective.squares and not self.objective.known_sigma:
                noise = 2.0 * self.evaluation.sum / rows if rows > 0 else 0.0
            errors = np.sqrt(noise * np.add.reduce(exact_root**2, axis=1))
            if some(errors > self.size) and not self._confined(exact_root, noise, errors):
                endless = self.around.valley(noise * SLACK)
                if endless:
                    return self._say(Status.STOPPED, runs_off(self.objective, endless), endless=True)
                aside = () if self.certificate["convex"] else self._probe(0.1)
                for there, change in aside:  # at an inflection the slope vanishes sooner than the curvature
                    if change < -SLACK * noise:
                        best, better = self._words()
                        return self._say(Status.STOPPED, f"no {best}: a {better} point lies beside it", lower=there)
        return self._say(Status.CONVERGED, self._kind() + self._at_bounds(), exact_root)

    def _confined(self, exact_root: Array, noise: float, errors: Array) -> bool:
        """Whether a convex loss rises on both sides of every parameter that is smaller than its error.

        One error away, the others at their best: there it is half the noise higher. What is convex and has risen never
        falls again, so that two looks spare the ride down a valley.
        """
        if not self.certificate["convex"]:
            return False
        covariance = exact_root @ exact_root.T
        for j in np.flatnonzero(errors > self.size):
            move = np.zeros_like(self.theta)
            move[self.free] = covariance[:, j] * math.sqrt(noise / covariance[j, j])
            for there in (self.theta + move, self.theta - move):
                inside = np.clip(there, self.objective.lower, self.objective.upper)
                rise = self.surface.at(inside, Need.VALUE).total - self.evaluation.total
                if np.array_equal(inside, there) and not rise >= RISEN * noise:
                    return False
        return True

    def _cancelled(self) -> str:
        """What the formula leaves open, where the numbers hide it: by the slope of what only rounding makes felt.

        Or by what the gradient leaves in an exact Hessian, which is not singular before it is zero.
        """
        objective, values = self.objective, self.parts.values
        if not objective.columns:
            return ""
        signal = self.surface.signal if objective.squares else 0.0  # of others it would cost a pass
        level = math.sqrt(max(signal, 2.0 * abs(self.evaluation.total)))
        weak = self.parts.scale * self.size <= CANCELLED * level
        bent = not objective.squares and every(self.free) and objective.penalty is None
        close = bent and values[0] <= HIDDEN * values[-1]
        if not (close or weak.any()):
            return ""
        known = objective.structure.combinations
        if close and known:
            return "; ".join(map(str, known))
        owners = np.array(objective.layout.owners)[self.free]
        idle = [c for c in known if not c.determined]
        named = {name.partition("[")[0] for c in idle for name in c.names}
        return "; ".join(map(str, idle)) if any(str(owner) in named for owner in owners[weak]) else ""

    @cached_property
    def around(self) -> Around:
        """What looks further than the derivatives here."""
        size = np.ones_like(self.theta)
        size[self.free] = self.size
        return Around(self.surface, self.theta, self.evaluation, self.free, self.parts, size)

    def _recession(self) -> tuple[Array, Array] | None:
        """A direction in which a likelihood rises for ever: the Newton step does not shrink then as the gap does."""
        far = np.any(np.abs(self.step) > 1e-3 * self.size) or self.singular.any()
        if self.objective.kind != "likelihood" or self.objective.penalty is not None or not far or not every(self.free):
            return None
        return self.surface.recession(self.theta, self.step, self.curvature)

    def _undetermined(self) -> Verdict:
        """Singular; at the start only where the model is linear, since there the data decide it everywhere."""
        if np.array_equal(self.theta, self.start) and not (self.objective.quadratic or self.objective.convex):
            names = self._free_names()
            moved = np.abs(self.parts.vectors[:, self.singular]).max(axis=1) > 1e-3
            listed = ", ".join(n for n, m in zip(names, moved, strict=True) if m)
            return self._say(Status.STOPPED, f"at the start no row depends on {listed}: check the start and the units")
        return self._say(Status.UNIDENTIFIABLE, self._combination())

    def _levels_off(self) -> bool:
        """Whether along the weakest eigenvector the function is higher on one side and equal far out on the other."""
        behind, ahead = (change > 0 for _, change in self._probe(1.0))
        return behind != ahead

    def _lower_nearby(self) -> Array | None:
        """A lower point at θ ± 1e-3·d along the weakest eigenvector; where it is flat, of a function, also around."""
        for there, change in self._probe(1e-3):
            if change < -self.around.noise:
                return there
        return self.around.lower() if self.singular.any() and not self.objective.columns else None

    def _probe(self, distance: float) -> list[tuple[Array, float]]:
        """θ ± distance·d along the weakest eigenvector and the change of T there; below rounding it is 0."""
        direction = np.zeros_like(self.theta)
        direction[self.free] = self.parts.vectors[:, 0] / self.parts.scale
        peak = float(np.max(np.abs(direction[self.free]) / self.size))
        move = distance * direction / peak if peak > 0 else direction
        here = self.evaluation.total
        changes = []
        for sign in (-1.0, 1.0):
            there = np.clip(self.theta + sign * move, self.objective.lower, self.objective.upper)
            change = self.surface.at(there, Need.VALUE).total - here
            changes.append((there, 0.0 if abs(change) <= 4.0 * U * abs(here) else change))
        return changes

    def _kind(self) -> str:
        upward = self.objective.sign < 0
        if self.certificate["convex"] and self.objective.quadratic:
            return "the maximum: a concave quadratic" if upward else "the minimum: the loss is a convex quadratic"
        if self.certificate["convex"]:
            what = "loss" if self.objective.columns else "function"
            return f"the maximum: the {what} is concave" if upward else f"the minimum: the {what} is convex"
        best, better = self._words()
        return f"a local {best}; that no other is {better} is not proved"

    def _at_bounds(self) -> str:
        """Which parameters stand at a bound that holds them: their multipliers have the sign of a push against it."""
        names = [n for n, free in zip(self.objective.layout.flat, self.free, strict=True) if not free]
        return f"; {listed(names)} held at {'its bound' if len(names) == 1 else 'their bounds'}" if names else ""

    def _words(self) -> tuple[str, str]:
        return ("maximum", "higher") if self.objective.sign < 0 else ("minimum", "lower")

    def _saddle(self, values: Array, steepest: Array) -> Verdict:
        """A stationary point with a negative eigenvalue, by the curvatures there and the direction of the lowest."""
        worst = "minimum" if self.objective.sign < 0 else "maximum"
        kind = "a saddle" if values[-1] > 0 else f"a {worst}"
        lower = self.around.downhill(steepest)
        sentence = f"the gradient is zero but the point is {kind}: start elsewhere"
        return self._say(Status.STOPPED, sentence, lower=lower, kind=kind)

    def _free_names(self) -> list[str]:
        return [n for n, free in zip(self.objective.layout.flat, self.free, strict=True) if free]

    def _combination(self) -> str:
        """Which parameters the data cannot tell apart, from the singular directions."""
        names = self._free_names()
        directions = self.parts.vectors[:, self.singular]
        moved = np.abs(directions).max(axis=1) > 1e-3
        moved_names = [n for n, m in zip(names, moved, strict=True) if m]
        listed = ", ".join(moved_names[:8]) + (" ..." if len(moved_names) > 8 else "")
        few = (
            f"{self.evaluation.rows} row{'s' * (self.evaluation.rows != 1)} cannot determine {len(names)} parameters; "
        )
        why = few if self.evaluation.rows < len(names) else ""
        known = self.objective.structure.combinations  # what the formula itself leaves open says more than a direction
        within = {name for combination in known for name in combination.names}
        if known and all(name in within or name.partition("[")[0] in within for name in moved_names):
            return "; ".join(map(str, known))
        if moved.sum() == 1:
            return f"{why}the data do not determine {listed}: the loss does not depend on it here"
        if directions.shape[1] > 1:
            return f"{why}the data do not determine {listed}: {directions.shape[1]} combinations of them are free"
        shift = directions[:, 0] / self.parts.scale
        together = _together(names, np.where(moved, shift / np.abs(shift[moved]).max(), 0.0))
        return f"{why}the data do not determine {listed} one by one: moving {together} leaves the loss as it is"

    def _scaled_gradient(self) -> float:
        """‖D⁻¹g‖, free of the parameters' units; for residual losses relative to √T, the cosine that MINPACK tests."""
        scaled = length(self.evaluation.slope[self.free] / self.parts.scale)
        total = self.evaluation.total
        return scaled / total**0.5 if self.objective.squares and total > 0 else scaled

    def _reduced_gap(self) -> float:
        if self.objective.reduce == "sum":
            return self.gap
        if self.objective.reduce == "mean":
            return self.gap / self.evaluation.weight
        return self.gap / max(self.evaluation.weight * self.evaluation.loss, 1e-300)

    def _say(self, status: Status, sentence: str, exact_root: Array | None = None, *, near: bool = True,
             lower: Array | None = None, kind: str = "", endless: bool = False) -> Verdict:  # fmt: skip
        """The verdict. `exact_root`, where the minimum is certified: R⁻¹ of the exact Hessian RᵀR."""
        step = np.zeros(len(self.theta))
        step[self.free] = self.step
        largest = float(np.linalg.eigvalsh(self.curvature)[-1]) if self.objective.reduce == "rmse" else 0.0
        inverse = exact = None
        if exact_root is not None:
            inverse, exact = self._inverse(self.root), self._inverse(exact_root)
        return Verdict(status, sentence, self.certificate, inverse, exact, not every(self.free), near, largest, step,
                       self.evaluation, lower, self.around, kind, endless)  # fmt: skip

    def _inverse(self, root: Array) -> Array:
        if every(self.free):
            return np.asarray(root @ root.T)
        inverse = np.zeros((len(self.theta), len(self.theta)))
        inverse[np.ix_(self.free, self.free)] = root @ root.T
        return inverse


def _at_kinks(surface: Surface, theta: Array, start: Array, evaluation: Evaluation, near: Near) -> Verdict:
    """Where zero lies in the subgradient, every multiplier between its limits: a minimum, of what is convex.

    Of deviations other rows do not matter for it, since each keeps its side here.
    """
    objective, vertex = surface.objective, near.vertex
    convex, why = surface.convexity
    away = NO_CERTIFICATE | {"convex": True if convex else None, "why": why}
    if near.sampled or not vertex.optimal or not _still(surface, theta, start, evaluation, near):
        return Verdict(Status.STOPPED, "the minimum is not reached", away)
    gap = max(vertex.fall, 0.0) / (1.0 if objective.reduce == "sum" else evaluation.weight)
    certificate = away | {"gradient_norm": 0.0, "expected_gap": gap}
    if vertex.loose.size and objective.columns:
        loose = vertex.loose[:, 0]
        loose = np.where(np.abs(loose) > 1e-9 * np.abs(loose).max(), loose, 0.0) / np.abs(loose).max()
        along = _together(objective.layout.flat, loose)
        sentence = f"the data do not determine all parameters: moving {along} leaves the loss as it is"
        return Verdict(Status.UNIDENTIFIABLE, sentence, certificate, near=True)
    unique = vertex.slack > 1e-9 and not vertex.loose.size
    if not convex and not (unique and _rises(surface, theta, evaluation, near)):
        sentence = "the loss is level along an edge, or falls from it: the minimum is not certified"
        return Verdict(Status.STOPPED, sentence, certificate, near=True)
    bounds = int(np.count_nonzero((theta <= objective.lower) | (theta >= objective.upper)))
    best = "maximum" if objective.sign < 0 else "minimum"
    kind = f"the {best}" if convex else f"a local {best}"
    beside = "" if unique else f"; other {best[:-2]}a as good lie beside it"
    walls = f"{bounds} bound{'s' * (bounds > 1)}" if bounds else ""
    if objective.kind == "deviation" and objective.penalty is None:
        n = objective.layout.size - bounds
        rows = f"{n} row{'s' * (n > 1)} without residual" if n > 0 else ""
        what = f"a vertex, on {' and '.join(filter(None, (rows, walls)))}"
    else:
        what = "zero lies in the subgradient" + f", on {walls}" * (bounds > 0)
    return Verdict(Status.CONVERGED, f"{kind}: {what}{beside}", certificate, held=bounds > 0, near=True)


def _still(surface: Surface, theta: Array, start: Array, evaluation: Evaluation, near: Near) -> bool:
    """The gap test: what the step to the minimum of the kinks, and of a quadratic beside them, still promises."""
    objective, vertex = surface.objective, near.vertex
    size = np.maximum(np.abs(theta), np.abs(theta - start))
    curve = objective.kind == "deviation" and not objective.convex
    least = 1e-12 if curve else 1e-8  # of a curve the residuals at the vertex must have vanished, too
    if np.all(np.abs(vertex.delta) <= least * np.where(size > 0, size, 1.0)):
        return True
    gap, p, spare = abs(vertex.fall), objective.layout.size, evaluation.rows - objective.layout.size
    if objective.kind == "likelihood":
        return math.sqrt(2.0 * gap / p) <= 1e-6
    if objective.kind == "deviation":
        rounding = 8.0 * U * (evaluation.total + math.sqrt(evaluation.weight * surface.signal))
        return not curve and vertex.fall <= rounding
    if objective.kind not in ("residual", "robust") or spare <= 0:
        return False
    noise = 1.0 if objective.known_sigma else 2.0 * evaluation.sum / spare
    return bool(math.sqrt(2.0 * gap / p) <= max(1e-6 * noise**0.5, 8.0 * U * (surface.signal / evaluation.rows) ** 0.5))


def _rises(surface: Surface, theta: Array, evaluation: Evaluation, near: Near) -> bool:
    """Whether the loss rises in every direction in which no kink holds it, by its exact Hessian."""
    opened = near.vertex.open
    if surface.objective.kind == "deviation":
        return near.bend is None
    if not opened.size:
        return True
    exact = surface.at(theta, Need.HESSIAN).curvature if surface.objective.squares else evaluation.curvature
    assert exact is not None and near.bend is not None
    inner = opened.T @ exact @ opened
    scale = unit_scale(inner)
    values = np.linalg.eigvalsh(inner / scale / scale[:, None])
    return bool(values[0] > SINGULAR * len(values) * abs(values[-1]))


def separated(names: Sequence[str], direction: Array, units: Array) -> str:
    """Albert and Anderson (Biometrika 71, 1984): no maximum of the likelihood where a plane separates the rows."""
    effect = np.abs(direction) * units
    move = np.where(effect > 1e-3 * effect.max(), direction, 0.0)
    along = _together(names, move / float(np.abs(move).max()))
    return (
        f"the data are separated: moving {along} raises the likelihood for ever, so that it has no maximum; "
        "give a penalty or a prior"
    )


def _together(names: Sequence[str], shift: Array) -> str:
    """A direction in words, its six largest parts."""
    parts = [f"{names[i]} by {shift[i]:+.4g}" for i in np.argsort(-np.abs(shift))[:6] if shift[i] != 0]
    return ", ".join(parts) + " together" * (len(parts) > 1)


def runs_off(objective: Objective, names: tuple[str, ...]) -> str:
    """What is said of a valley without an end."""
    best, way = ("maximum", "rises") if objective.sign < 0 else ("minimum", "falls")
    what = "loss" if objective.columns else "function"
    return (
        f"there is no {best} that way: the {what} {way} for ever, ever less, as {' and '.join(names[:8])} "
        f"run{'s' * (len(names) == 1)} to infinity; set bounds, or start elsewhere"
    )


def _convexity(surface: Surface, curvature: Array) -> dict[str, Any]:
    """What is proved of T everywhere, also where a bound holds a parameter: a quadratic has one Hessian."""
    objective = surface.objective
    if not objective.quadratic:
        convex, why = surface.convexity
        return {"convex": convex or None, "why": why}
    if objective.squares and objective.penalty is None:
        return {"convex": True, "why": "squares of a model that is linear in its parameters"}
    scale = unit_scale(curvature)
    values = np.linalg.eigvalsh(curvature / np.outer(scale, scale))
    if abs(values[0]) <= len(values) * U * float(np.abs(values).max()):
        return {"convex": None, "why": "the Hessian is constant, and its smallest eigenvalue is zero to rounding"}
    return {"convex": bool(values[0] > 0), "why": "the Hessian is constant"}
