"""How a run ends: divergence, limits, the converged test; and the sentence that says so."""

from __future__ import annotations

import math

import numpy as np

from ..formula.objective import listed
from ..kernels.quadratic import Quadratic
from ..methods.finishing import Region
from ..methods.first_order import FirstOrder
from ..methods.lbfgs import LBFGS
from ..methods.simplex import Simplex
from ..methods.stopping import Limits, Reached
from ..methods.trust_region import NOISE, TrustRegion
from ..spectrum import U, length
from ..strategy import AUTO, conditions
from ..types import Array, Evaluation, Need, Status
from ..verdict import judge, near, runs_off, separated
from .course import DIVERGED, Course, Ending, counted

HIDDEN = 1e-12  # a rise of the loss, relative, that may be rounding where large terms cancel in it
DUST = 1e-14  # of a parameter that started at 0 and is measured by 1 there
NEARLY = 1e-3  # of its size: a Newton step within which its model holds
SMALL = 1e-6  # a correction relative to what is corrected
SMALLER = 1e-8  # one that neither a loss that is no sum of squares nor its Hessian feels
FAR = 1e30  # times the start, after a hundred steps: no minimum lies there
GONE = 1e10  # times the start: such parameters are named beside one that is so far
NOT_FINITE = "the parameters are not finite any more"
RUN_AWAY = "the loss has run away"
ONWARD = 64  # passes of Newton's method beyond the end of a run
QUIET = 3  # steps in a row that hardly move
HOVER = "; mini-batches hover around it: a lower rate comes nearer"


def first_order(course: Course, limits: Limits, evaluation: Evaluation, trials: int) -> Ending | None:
    """Divergence, the limits, and at steps 1, 2, 4, 8, ... the converged test unless the user set the length."""
    ending = over(course, limits, evaluation, trials)
    power_of_two = course.number & (course.number - 1) == 0
    if ending is None and course.number and power_of_two and not limits.in_full and not limits.by_target:
        if course.collected is None:
            return tested(course, None)
        if near(course.surface, course.theta, course.start, evaluation):  # by the collected sums, which costs no pass
            return tested(course, course.fresh())
    return ending


class SecondOrder:
    """The end of a second-order run."""

    def __init__(self) -> None:
        self._polished = False

    def __call__(self, course: Course, limits: Limits, evaluation: Evaluation, trials: int) -> Ending | None:
        """At every step the gap test, which costs no pass; once it holds, one more step and then the whole test."""
        ending = over(course, limits, evaluation, trials)
        if ending is not None:
            return ending
        if evaluation.solved is not None:  # the start as it was given: the next trial begins where it is solved
            return None
        close = near(course.surface, course.theta, course.start, evaluation)
        if close and (self._polished or evaluation.near is not None):
            return tested(course, evaluation) or saddle(course)
        if close and course.number and course.surface.objective.kind in ("residual", "likelihood"):
            ending = _corrected(course, evaluation)
            if ending is not None:
                return ending
        self._polished = close
        return None


class QuasiNewton:
    """The end of a run of lbfgs, which knows no curvature: when a test is worth its pass.

    Tested are the steps 1, 2, 4, 8, ... and those that hardly move. Above `MAX_HESSIAN` parameters nothing can be
    tested: three such steps in a row end the run there.
    """

    def __init__(self) -> None:
        self._before: tuple[Array, float] | None = None
        self._quiet = 0
        self._next = 0.0  # the norm of the slope below which a test may have another answer than the last one

    def __call__(self, course: Course, limits: Limits, evaluation: Evaluation, trials: int) -> Ending | None:
        """Divergence, the limits, and the test where it may hold."""
        ending = over(course, limits, evaluation, trials)
        if ending is not None:
            return ending
        self._quiet = self._quiet + 1 if self._hardly_moved(course, evaluation) else 0
        self._before = course.theta, evaluation.total
        if course.surface.objective.large:
            return _uncertified(course, evaluation) if self._quiet >= QUIET else None
        norm = length(evaluation.slope)
        if course.number & (course.number - 1) and not (self._quiet and norm <= self._next):
            return None
        self._next = 0.1 * norm
        ending = tested(course, None) if course.number else None
        if ending is None:
            course.leave()
        return ending

    def _hardly_moved(self, course: Course, evaluation: Evaluation) -> bool:
        """Whether the step changed no parameter in the digits that count, or the loss by no more than its rounding."""
        if self._before is None:
            return False
        theta, total = self._before
        size = np.maximum(np.abs(course.theta), np.abs(course.theta - course.start))
        still = np.abs(course.theta - theta) <= 1e-8 * np.maximum(size, 1e-8 * float(size.max()))
        return bool(still.all()) or total - evaluation.total <= NOISE * abs(total)


def _uncertified(course: Course, evaluation: Evaluation) -> Ending:
    """Too many parameters for a Hessian: as near as steps lead, and no word on what kind of point it is."""
    course.verdict = judge(course.surface, course.theta, course.start, evaluation)
    course.default_limit = True
    norm, way = length(evaluation.gradient), "rises" if course.surface.objective.sign < 0 else "falls"
    return (
        Status.STOPPED,
        f"stopped: gradient: |gradient| = {norm:.3g}, no step {way} further; {course.verdict.sentence}",
    )


def _corrected(course: Course, evaluation: Evaluation) -> Ending | None:
    """The minimum: one correction by the gradient and the exact Hessian, which have given the certificate.

    None where the correction is not small, or the loss would feel it: then one more pass tells more.
    """
    ending = tested(course, evaluation)
    step = None if course.verdict is None else course.verdict.step
    if ending is None or ending[0] is not Status.CONVERGED or step is None:
        return ending
    corrected = course.inside(course.theta + step)
    squares = course.surface.objective.squares
    if not np.all(np.abs(corrected - course.theta) <= (SMALL if squares else SMALLER) * np.abs(corrected)):
        return None
    if course.surface.objective.quadratic:  # elsewhere the loss falls by less than its rounding
        evaluation = Quadratic(course.surface.objective, course.theta, evaluation).at(corrected, course.curved)
    course.theta, course.evaluation = corrected, evaluation
    return ending


def over(course: Course, limits: Limits, evaluation: Evaluation, trials: int) -> Ending | None:
    """Divergence and the limits, at an accepted point."""
    if not evaluation.finite:
        return diverged(course, "the loss or its gradient is not finite any more", evaluation)
    if course.runaway(evaluation):
        return diverged(course, RUN_AWAY)
    if course.number > 100 and float(np.abs(course.theta).max()) > FAR * max(1.0, float(np.abs(course.start).max())):
        return diverged(course, _runaway(course, evaluation))
    met = limits.reached(course.number, trials, length(evaluation.gradient), evaluation.loss)
    return limit(course, met) if met else None


def _runaway(course: Course, evaluation: Evaluation) -> str:
    """Which parameters run to infinity, and whether the loss goes there too."""
    assert course.first is not None
    way = "rises" if course.surface.objective.sign < 0 else "falls"
    gone = np.abs(course.theta) > GONE * np.maximum(1.0, np.abs(course.start))
    names = [n for n, far in zip(course.surface.objective.layout.flat, gone, strict=True) if far]
    bound = "without bound" if abs(evaluation.loss) > DIVERGED * max(1.0, abs(course.first.loss)) else "for ever"
    return f"{listed(names, 8)} run{'s' * (len(names) == 1)} to infinity: it {way} {bound}"


def _endless(course: Course) -> str:
    """What holds of a run that finds its own step and ends short of a minimum: a valley without an end, or the verdict.

    It costs some hundred passes, so it is not asked where a limit of the user's has ended the run.
    """
    verdict = course.verdict
    assert verdict is not None
    if (
        (verdict.near and verdict.lower is None)
        or verdict.around is None
        or not isinstance(course.plan.method, Region | LBFGS)
    ):
        return verdict.sentence
    names = verdict.around.valley(0.0)
    return runs_off(course.surface.objective, names) if names else verdict.sentence


def _separated(course: Course, met: Reached) -> str:
    """What holds of a likelihood that has no maximum, where a run shows it before it comes near; else "".

    Where no limit of the user's ended the run, a few Newton steps from there go and see.
    """
    verdict, objective = course.verdict, course.surface.objective
    assert verdict is not None
    if objective.kind != "likelihood" or not objective.convex or objective.penalty is not None:
        return ""
    if verdict.near or verdict.step is None or verdict.evaluation is None or verdict.evaluation.curvature is None:
        return ""
    if not verdict.held:
        found = course.surface.recession(course.theta, verdict.step, verdict.evaluation.curvature, early=True)
        if found:
            return separated(objective.layout.flat, *found)
    return _undetermined(course) if met.rule == "default" and not isinstance(course.plan.method, Region) else ""


def _undetermined(course: Course) -> str:
    """What Newton's method says where it arrives from here, if the data do not determine all parameters; else ""."""
    objective = course.surface.objective
    method = TrustRegion("newton", Need.HESSIAN, objective.lower, objective.upper)
    theta, state = course.theta, method.init(course.theta)
    for _ in range(ONWARD):
        evaluation = course.surface.at(theta, method.need)
        proposal, state = method.update(evaluation, state, theta, 0, 0)
        if state.accepted and near(course.surface, theta, course.start, evaluation):
            verdict = judge(course.surface, theta, course.start, evaluation)
            return verdict.sentence if verdict.status is Status.UNIDENTIFIABLE else ""
        if state.stalled:
            break
        theta = proposal
    return ""


def tested(course: Course, evaluation: Evaluation | None) -> Ending | None:
    """The converged test."""
    course.verdict = judge(course.surface, course.theta, course.start, evaluation)
    if course.verdict.status is Status.STOPPED:
        return None
    return course.verdict.status, course.verdict.sentence


def saddle(course: Course) -> Ending | None:
    """A second-order method at a stationary point that is no minimum goes on beside it, or along negative curvature.

    Not down a valley without an end: it would walk it to its last limit.
    """
    assert course.verdict is not None
    if course.leave() or (course.plan.method.need is Need.HESSIAN and not course.verdict.endless):
        return None
    course.default_limit = True
    return Status.STOPPED, f"stopped: {course.verdict.sentence}"


def limit(course: Course, met: Reached, *, arrive: bool = False) -> Ending:
    """A limit is met: converged if the test holds all the same. `arrive`: at a point that no full pass has seen."""
    if arrive:
        full = course.surface.at(course.theta, Need.GRADIENT)
        if not full.finite or course.runaway(full):
            return diverged(course, RUN_AWAY, full)
        course.arrive(course.theta, full)
    ending = tested(course, course.evaluation if course.collected is None else course.fresh())
    assert course.verdict is not None
    if ending is not None:
        return ending[0], f"{met.sentence}; {ending[1]}"
    batches = course.plan.batch is not None
    course.default_limit = met.rule == "default" and not batches
    kind = "stopped: gradient" if met.rule == "gradient" else "stopped"
    said = _separated(course, met)
    if said:
        return Status.STOPPED, f"{kind}: {met.sentence}; {said}"
    said = _endless(course) if met.rule == "default" else course.verdict.sentence
    after = (HOVER if batches else _too_high(course)) + _condition(course, course.verdict.evaluation)
    return Status.STOPPED, f"{kind}: {met.sentence}; {said}{after}"


def stalled(course: Course, why: str) -> Ending | None:
    """No further step: converged, also at a Newton step from it which the rounding of the loss hides; or stopped.

    What began at 0 and only rounding keeps from it is put back there. None where a lower point lies beside it, from
    which a method that finds its own step goes on.
    """
    ending = tested(course, course.evaluation)
    assert course.verdict is not None and course.evaluation is not None
    here = course.theta, course.evaluation, course.verdict
    for candidate in (_zeroed, _polished, _polished, _zeroed):
        point = None if ending is not None or course.evaluation is None else candidate(course)
        if point is None:
            continue
        there = course.look(point, course.curved)
        if there.finite and there.total <= here[1].total + HIDDEN * abs(here[1].total):
            course.theta, course.evaluation = point, there
            ending = tested(course, there)
    if ending is None:
        course.theta, course.evaluation, course.verdict = here
    if ending is None and isinstance(course.plan.method, Region | LBFGS) and course.leave():
        return None
    course.default_limit = ending is None
    if ending is not None:
        return ending
    return (
        Status.STOPPED,
        f"stopped: {_of_a_maximum(course, why)}; {_endless(course)}{_condition(course, course.verdict.evaluation)}",
    )


def _of_a_maximum(course: Course, why: str) -> str:
    """What a method says of its loss, where the user's function is the negative of it."""
    return why.replace("lowers the loss", "raises the function") if course.surface.objective.sign < 0 else why


def _zeroed(course: Course) -> Array | None:
    """theta with the parameters at 0 that started there and that a Newton step would bring nearer to it.

    Or that are as near to it as a Newton step of pure rounding is long.
    """
    assert course.verdict is not None
    if course.verdict.step is None:
        return None
    step = course.verdict.step
    nearer = np.abs(course.theta + step) <= 0.5 * np.abs(course.theta)
    nearer |= np.maximum(np.abs(course.theta), np.abs(step)) <= DUST
    back = (course.start == 0) & (course.theta != 0) & nearer
    return np.where(back, 0.0, course.theta) if back.any() else None


def _polished(course: Course) -> Array | None:
    """A Newton step on, where that is small: the slope has digits left when the loss has none."""
    assert course.verdict is not None
    step = course.verdict.step
    if course.verdict.near or step is None or not isinstance(course.plan.method, Region | LBFGS):
        return None
    size = np.maximum(np.abs(course.theta), np.abs(course.theta - course.start))
    return course.inside(course.theta + step) if np.all(np.abs(step) <= NEARLY * size + U) else None


def diverged(course: Course, what: str, evaluation: Evaluation | None = None) -> Ending:
    """Go back to the best point, and say what to do; of an evaluation that is not finite, where."""
    objective = course.surface.objective
    place = ""
    if evaluation is not None and not evaluation.finite:
        place = f" ({course.surface.offence(course.theta, evaluation)})"
    mend = "start nearer" if isinstance(course.plan.method, Region | Simplex | LBFGS) else "lower the rate"
    if " to infinity: " in what:
        mend = "there is no end that way: set bounds, or start elsewhere"
        if objective.formula.left is None and objective.columns:
            mend = "without = the formula is the loss of a row: was y = ... meant?"
    if course.guarantee is not None and course.plan.rate is not None and course.plan.rate > course.guarantee.limit:
        most, safe = course.guarantee.limit, course.guarantee.safe
        mend = f"the rate {course.plan.rate:g} is above 2/L = {most:.4g}; {safe:.4g} is safe"
        mend += _condition(course, course.first)
    course.return_to_best()
    return Status.DIVERGED, f"{what} after {counted(course.number)}{place}; {mend}; the best point is kept"


def _too_high(course: Course) -> str:
    """What the curvature says of a fixed rate where the loss is a root of squares that are nearly zero."""
    rate, verdict, evaluation = _rate(course), course.verdict, course.evaluation
    if rate is None or course.surface.objective.reduce != "rmse" or verdict is None or evaluation is None:
        return ""
    safe = evaluation.weight * evaluation.loss / verdict.largest if verdict.largest else math.inf
    if rate <= safe:
        return ""
    return f"; the rate {rate:g} is above n·rms/λmax = {safe:.3g}: near an exact fit a fixed rate oscillates"


def _condition(course: Course, evaluation: Evaluation | None) -> str:
    """Why a first-order run crawls: the condition, its pace where that is known, and what standardising would give."""
    plan, guarantee, rate = course.plan, course.guarantee, _rate(course)
    if isinstance(plan.method, Region | LBFGS):
        return ""
    known, pace = None, ""
    if guarantee is not None and guarantee.smallest > 0 and rate is not None and rate <= guarantee.limit:
        known = guarantee.condition
        pace = f": each further digit takes some {max(1.0, guarantee.steps(rate, 0.1)):,.0f} steps at this rate"
    gain = None if plan.scale or evaluation is None else conditions(course.surface.objective, evaluation)
    if gain is None:
        return "" if known is None else f"; condition {known:.4g}{', standardised' * plan.scale}{pace}"
    return f"; condition {gain[0]:.4g}{pace}; standardised {gain[1]:.4g}: {AUTO}"


def _rate(course: Course) -> float | None:
    """The rate of plain gradient descent, where it is one number."""
    method = course.plan.method
    return course.plan.rate if isinstance(method, FirstOrder) and method.name in ("gd", "sgd") else None
