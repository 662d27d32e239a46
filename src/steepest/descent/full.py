"""Steps on all rows: one pass each, or none where the sums of a quadratic stand for the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..kernels.quadratic import Quadratic
from ..methods.first_order import FirstOrder
from ..methods.stopping import Limits
from ..spectrum import every, length
from ..types import Array, Evaluation, Need, Status, Step
from . import endings
from .course import CHUNK, DIVERGED, WORN, Course, Ending

if TYPE_CHECKING:
    from ..kernels.stepper import Stepper

MANY = 1 << 26  # products of H and theta that machine code adds up before clock, keyboard and limits are looked at


def second_order(course: Course, limits: Limits, evaluation: Evaluation) -> Iterator[Step]:
    """A second-order method on all rows."""
    return plain(course, limits, evaluation, endings.SecondOrder())


def first_order(course: Course, limits: Limits, evaluation: Evaluation) -> Iterator[Step]:
    """A first-order method on all rows; of a quadratic the rows are read once, and once more at the end."""
    surface, method, objective = course.surface, course.plan.method, course.surface.objective
    rule = isinstance(method, FirstOrder)
    if rule and objective.quadratic and objective.reduce != "rmse" and evaluation.curvature is not None:
        course.collected = Quadratic(objective, course.theta, evaluation)
    stepper = None
    if isinstance(method, FirstOrder):
        most = limits.most_steps(surface.reader.rows, surface.reader.rows)
        stepper = surface.full_stepper(method.program, course.theta, most, course.collected, course.plan.scaling)
    if stepper is None or not isinstance(method, FirstOrder):
        yield from plain(course, limits, evaluation, endings.first_order)
    else:
        yield from compiled(course, limits, evaluation, method, stepper)


def plain(
    course: Course,
    limits: Limits,
    evaluation: Evaluation,
    ended: Callable[[Course, Limits, Evaluation, int], Ending | None],
) -> Iterator[Step]:
    """Every step on all rows; `ended` says whether an accepted point is the last."""
    method = course.plan.stepping
    at = course.look if course.collected is None else course.collected.at
    theta, trials, state = course.theta, 0, method.init(course.theta)
    heard, here = course.watched or course.path is not None, course.step(evaluation)
    while True:
        done = course.number + (1 if trials else 0)  # updates, if this point is accepted
        proposal, state = method.update(evaluation, state, theta, done + 1, done)
        if state.note:
            course.note(state.note)
        if state.accepted:
            course.number = done
            course.arrive(theta, evaluation)
            here = course.step(evaluation) if heard else here
            ending = ended(course, limits, evaluation, trials)
            corrected = course.theta is not theta and ending is not None and ending[0] is Status.CONVERGED
            if corrected and course.evaluation is not None:
                here = course.step(course.evaluation)
        else:
            over = limits.reached(-1, trials)
            ending = endings.limit(course, over) if over else None
        if ending is None and state.stalled:
            ending = endings.stalled(course, state.stalled)
        if ending is not None and course.begins_again(ending, limits, trials):
            assert course.first is not None
            method, ending = course.plan.method, None
            proposal, state = method.update(course.first, method.init(course.start), course.start, done + 1, done)
        if course.away is not None:  # the method begins anew beside the stationary point
            proposal, state, course.away = course.away, replace(method.init(theta), accepted=state.accepted), None
        if ending is not None or (heard and state.accepted):
            step, last = course.announce(here, ending)
            yield step
            if last:
                return
        theta, trials = course.inside(proposal), trials + 1
        if not every(np.isfinite(theta)):
            yield course.announce(here, endings.diverged(course, endings.NOT_FINITE))[0]
            return
        evaluation = at(theta, state.need or method.need)
        evaluation = evaluation.solved or evaluation
        theta = theta if evaluation.theta is None else evaluation.theta
        if course.worn(evaluation):
            evaluation = course.collect(theta)
            at = course.collected.at if course.collected is not None else at
        course.passes = float(trials)


def compiled(
    course: Course, limits: Limits, evaluation: Evaluation, method: FirstOrder, stepper: Stepper
) -> Iterator[Step]:
    """The same in machine code, up to the next test or limit at a time."""
    surface, rows = course.surface, course.surface.reader.rows
    course.arrive(course.theta, evaluation)
    step, last = course.announce(course.step(evaluation), endings.first_order(course, limits, evaluation, 0))
    yield step
    stepper.begin(evaluation)
    operations = rows if course.collected is None else max(1, len(course.theta) ** 2)
    most = min(max(1, (CHUNK if course.collected is None else MANY) // operations), course.at_once(True))
    if stepper.apart:
        most = course.at_once(True)  # it looks up by itself
    while not last:
        test = 1 << course.number.bit_length()  # the next power of two
        passes = math.inf if limits.stop.passes is None else math.ceil(limits.stop.passes)
        target = int(min(limits.last_step(first_epoch=False), limits.passes, passes, test, course.number + most))
        stepper.aim(limits.stop.gradient, limits.stop.loss, _floor(course, evaluation))
        read, each, before = surface.reader.rows_read, 0 if course.collected is not None else rows, course.number
        records = stepper.run(row=0, end=rows, batch=rows, number=course.number, in_epoch=0, limit=target,
                              rate=method.schedule.rate, capacity=target - course.number + 1, keep=True)  # fmt: skip
        assert records.theta is not None
        losses, norms, thetas = records.loss, records.norm, records.theta
        if course.number == 0 and len(losses):
            course.first_move = length(evaluation.gradient) * length(thetas[0] - course.theta)
        ending: Ending | None = None
        wrong = _first_wrong(course, losses, thetas)
        count = min(len(losses), wrong + 1)
        made = [course.at(before + i + 1, thetas[i].copy(), float(losses[i]), float(norms[i]),
                         (read + (i + 1) * each) / rows)
                for i in range(count) if course.watched or i == count - 1]  # fmt: skip
        course.passed(losses[:count], norms[:count], thetas[:count])
        for step in made:
            course.number, course.theta, course.passes = step.number, step.theta, float(step.number)
            surface.reader.rows_read = read + (step.number - before) * each
            if step is not made[-1]:
                course.keep_best(step.theta, step.loss)
                step, last = course.announce(step, None)
                if last:
                    course.arrive(course.theta, course.once_more())
                yield step
                if last:
                    return
        if not stepper.apart:
            course.read(each * len(losses))
        if stepper.failure == "rate":
            method.schedule.at(before + len(losses) + 1, before + len(losses))  # says what is wrong
        if wrong and len(losses):
            best = int(np.argmin(surface.objective.sign * losses[:wrong]))
            course.keep_best(thetas[best].copy(), float(losses[best]))
        if stepper.failure == "parameters" and wrong >= len(losses):
            ending = endings.diverged(course, endings.NOT_FINITE)
        elif made:
            evaluation = _evaluation_at(course, stepper, losses, wrong)
            if wrong >= len(losses) and course.worn(evaluation):
                evaluation = course.collect(course.theta)
                assert course.collected is not None
                stepper.collect(course.collected)
                stepper.begin(evaluation)
                step = course.step(evaluation)
            course.arrive(course.theta, evaluation)
            ending = endings.first_order(course, limits, evaluation, course.number)
            if ending is None and stepper.early:
                stepper.begin(evaluation)  # what ended the steps was no end, but for rounding: go on from here
        step, last = course.announce(step, ending)
        yield step


def _evaluation_at(course: Course, stepper: Stepper, losses: Array, wrong: int) -> Evaluation:
    """The evaluation of the last step that was made, or of the first that has diverged."""
    if course.collected is not None:
        return course.collected.at(course.theta, Need.GRADIENT)
    if wrong >= len(losses) and stepper.failure != "loss":
        return stepper.evaluation(float(losses[-1]))
    return course.once_more()  # to have the place of what is not finite


def _floor(course: Course, evaluation: Evaluation) -> float | None:
    """The loss below which collected sums are worn; None where they do not wear by falling further."""
    if course.collected is None:
        return None
    floor = WORN * abs(course.collected.evaluation.loss)
    return floor if evaluation.loss > floor else None


def _first_wrong(course: Course, losses: Array, thetas: Array) -> int:
    """The place of the first of some steps at which a run has diverged; their number where none has."""
    assert course.first is not None
    scale = max(abs(course.first.loss), course.first_move)
    with np.errstate(all="ignore"):
        bad = ~np.isfinite(losses)
        bad |= course.surface.objective.sign * (losses - course.first.loss) > DIVERGED * scale
        if course.number + len(losses) > 100 and len(losses):
            far = np.abs(thetas).max(axis=1) > endings.FAR * max(1.0, float(np.abs(course.start).max()))
            bad |= far & (course.number + 1 + np.arange(len(losses)) > 100)
    return int(np.argmax(bad)) if bad.any() else len(losses)
