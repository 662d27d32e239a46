"""Steps on mini-batches: each on the next rows of the order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data.source import UNIT, Block
from ..methods.first_order import FirstOrder
from ..methods.stopping import Limits
from ..spectrum import length
from ..types import Array, Evaluation, Need, Step
from . import endings
from .course import CHUNK, Course, Ending

if TYPE_CHECKING:
    from ..kernels.stepper import Records, Stepper


class MiniBatches:
    """The steps of a run on batches of `size` rows; full passes, after epochs 1, 2, 4, ..., for the tests only."""

    def __init__(self, course: Course, limits: Limits, size: int) -> None:
        self._course, self._limits, self._size = course, limits, size
        self._next_test = 1  # passes after which all rows are looked at

    def steps(self, evaluation: Evaluation) -> Iterator[Step]:
        """Every step on the next rows of the order; full passes, after epochs 1, 2, 4, ..., for the tests only."""
        course, limits, size = self._course, self._limits, self._size
        surface, method, rows = course.surface, course.plan.method, course.surface.reader.rows
        if isinstance(method, FirstOrder) and size <= UNIT:
            most = limits.most_steps(rows, size)
            stepper = surface.stepper(method.program, course.theta, most, course.plan.scaling)
            if stepper is not None:
                yield from self._compiled(evaluation, method, stepper)
                return
        stepping = course.plan.stepping
        state, epoch, read = stepping.init(course.theta), 0, 0
        step, last = self._before(evaluation)
        yield step
        while not last:
            for block in surface.reader.batches(size, seed=course.seed, shuffle=course.shuffle, epoch=epoch):
                read += block.rows
                course.passes = read / rows
                batch = surface.batch(block, course.theta)
                ending: Ending | None = None
                if batch is not None:
                    before = course.theta
                    proposal, state = stepping.update(batch, state, before, course.number + 1, epoch)
                    if np.isfinite(proposal).all():
                        course.theta, course.number = course.inside(proposal), course.number + 1
                        step = course.step(batch)
                        if course.number == 1:
                            course.first_move = length(batch.gradient) * length(course.theta - before)
                    else:
                        ending = endings.diverged(course, endings.NOT_FINITE)
                ending = ending or self._after(read)
                if batch is not None or ending is not None:
                    step, last = course.announce(step, ending)
                    yield step
                    if last:
                        return
            epoch += 1

    def _compiled(self, evaluation: Evaluation, method: FirstOrder, stepper: Stepper) -> Iterator[Step]:
        """The same in machine code: many steps at a time, handed out one by one only where somebody watches."""
        course, limits, size = self._course, self._limits, self._size
        surface, rows = course.surface, course.surface.reader.rows
        epoch, read = 0, 0
        step, last = self._before(evaluation)
        yield step
        while not last:
            for block, order in surface.reader.windows(size, seed=course.seed, shuffle=course.shuffle, epoch=epoch):
                piece, row = stepper.take(block, order), 0
                while row < piece:
                    keep = course.watched or course.path is not None or course.number == 0
                    end = min(piece, row + limits.rows_left(read, rows, size), row + self._chunk(keep) * size)
                    records = stepper.run(
                        row=row, end=end, batch=size, number=course.number, in_epoch=epoch,
                        limit=limits.last_step(first_epoch=read < rows), capacity=(end - row) // size + 1,
                        rate=method.schedule.rate, keep=keep,
                    )  # fmt: skip
                    counted, first, before = surface.reader.rows_read, course.number, read
                    gone = _gone(block, order, row, stepper.row, size)
                    read, row = read + stepper.row - row, stepper.row
                    made = self._made(records, stepper.theta, counted + gone)
                    course.passed(records.loss, records.norm, records.theta)
                    for step in made:
                        course.number, course.theta = step.number, step.theta
                        done = read - before if step is made[-1] else int(gone[step.number - first - 1])
                        course.passes, surface.reader.rows_read = (before + done) / rows, counted + done
                        if step is not made[-1]:  # of the last one it is not known yet whether it is the end
                            step, last = course.announce(step, None)
                            yield step
                            if last:
                                return
                    surface.reader.rows_read = counted + read - before
                    course.read(read - before)
                    if stepper.failure == "rate":
                        if made:
                            step, last = course.announce(step, None)
                            yield step
                            if last:
                                return
                        method.schedule.at(first + len(records.loss) + 1, epoch)  # says what is wrong with it
                        made = []
                    ending = endings.diverged(course, endings.NOT_FINITE) if stepper.failure == "parameters" else None
                    ending = ending or self._after(read)
                    if made or ending is not None:
                        step, last = course.announce(step, ending)
                        yield step
                        if last:
                            return
            epoch += 1

    def _chunk(self, keep: bool) -> int:
        """Batches that machine code goes through at once."""
        return min(-(-CHUNK // self._size), self._course.at_once(keep))

    def _made(self, records: Records, theta: Array, read: NDArray[np.int64]) -> list[Step]:
        """The steps that machine code has made: all of them where somebody watches, else the last.

        `read`: the rows read when each was made.
        """
        course, count, first = self._course, len(records.loss), self._course.number
        if first == 0 and count and records.theta is not None:
            course.first_move = float(records.norm[0]) * length(records.theta[0] - course.theta)
        thetas = records.theta if course.watched and records.theta is not None else [theta] * count
        return [
            course.at(first + i + 1, thetas[i].copy(), float(records.loss[i]), float(records.norm[i]),
                     int(read[i]) / course.surface.reader.rows)
            for i in range(0 if course.watched else max(count - 1, 0), count)
        ]  # fmt: skip

    def _before(self, evaluation: Evaluation) -> tuple[Step, bool]:
        """The start of a run on mini-batches, and whether it is the end as well."""
        course = self._course
        over = self._limits.reached(0, 0.0, length(evaluation.gradient), evaluation.loss)
        return course.announce(course.step(evaluation), endings.limit(course, over) if over else None)

    def _after(self, read: int) -> Ending | None:
        """The limits after some batches, and the tests after passes 1, 2, 4, ...; `read`: rows read by steps."""
        course, limits, rows = self._course, self._limits, self._course.surface.reader.rows
        # a limit of ours waits for the end of the first epoch
        over = None if limits.ours and read < rows else limits.reached(course.number, read / rows)
        ending = endings.limit(course, over, arrive=True) if over else None
        if ending is None and read >= self._next_test * rows:
            self._next_test *= 2
            ending = self._full_pass()
        return ending

    def _full_pass(self) -> Ending | None:
        """A full pass between two epochs."""
        course, limits = self._course, self._limits
        full = course.surface.at(course.theta, Need.GRADIENT)
        course.arrive(course.theta, full)
        if not full.finite or course.runaway(full):
            return endings.diverged(course, endings.RUN_AWAY, full)
        over = limits.reached(-1, -1.0, length(full.gradient), full.loss)
        if over:
            return endings.limit(course, over)
        return None if limits.in_full or limits.by_target else endings.tested(course, None)


def _gone(block: Block, order: NDArray[np.int64] | None, first: int, last: int, size: int) -> NDArray[np.int64]:
    """For each batch with a live row of a part of a window: the rows gone through at its end."""
    if first == last:
        return np.zeros(0, np.int64)
    begins = np.arange(0, last - first, size)
    ends = np.append(begins[1:], last - first)
    if block.live is None:
        return ends
    live = block.live[first:last] if order is None else block.live[order[first:last]]
    return np.asarray(ends[np.logical_or.reduceat(live, begins)])
