"""The one loop: a generator of Step. Everything else is five lines above it.

Full batch, mini-batch and SGD differ in where an evaluation comes from, first and second order in what the method makes
of it. The loop keeps the best point seen on full passes, so that nothing is lost whatever ends the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..data.drift import drift
from ..formula.objective import listed
from ..kernels.surface import Surface
from ..methods.finishing import Region
from ..methods.first_order import FirstOrder
from ..methods.lbfgs import LBFGS
from ..methods.simplex import Simplex
from ..methods.stopping import Limits
from ..strategy import PLAIN, Guarantee, bounded, exceeded, settle_rate, standardised
from ..types import Array, Evaluation, Need, Status, Step
from ..verdict import judge
from . import endings, full
from .batches import MiniBatches
from .course import Course, counted


class Descent(Course):
    """One run over a surface. Iterate `steps()`; what is left behind is the answer, also after an interruption."""

    def steps(self) -> Iterator[Step]:
        """Step 0 is the start, Step k the point after k updates; the last one carries the final status."""
        surface, objective = self.surface, self.surface.objective
        if self.pilot is not None:
            self.start = self.theta = self._piloted(self.pilot)
        evaluation = surface.at(self.theta, self._first_need())
        if not evaluation.finite:
            raise surface.not_finite(self.theta, evaluation)
        self.first = evaluation
        self.arrive(self.theta, evaluation)
        if objective.layout.size == 0:
            self.verdict = judge(surface, self.theta, self.start)
            yield self.announce(self.step(evaluation), (Status.CONVERGED, self.verdict.sentence))[0]
            return
        self._settle(evaluation)
        if self.plan.warning:
            self.warn(self.plan.warning)
        if self.plan.batch is not None and not self.shuffle:
            self._call_out_order()
        limits = Limits.of(self.stop, surface.reader.rows, self.plan.batch, objective.sign < 0)
        if self.plan.batch is not None:
            yield from MiniBatches(self, limits, self.plan.batch).steps(evaluation)
        elif isinstance(self.plan.method, Region | Simplex):
            yield from full.second_order(self, limits, evaluation)
        elif isinstance(self.plan.method, LBFGS):
            yield from full.plain(self, limits, evaluation, endings.QuasiNewton())
        else:
            yield from full.first_order(self, limits, evaluation)

    def _piloted(self, pilot: Surface) -> Array:
        """The minimum of the pilot's squares, in one pass; where the data leave it open, the nearest one."""
        pilot.watch = self.surface.watch
        evaluation = pilot.at(self.theta, Need.NORMAL)
        if not evaluation.finite:
            return self.theta
        if self.surface.objective.kind == "deviation":
            self.surface.squares = evaluation
        found = self.theta + evaluation.spectrum.step(~evaluation.spectrum.flat)
        return self.inside(found) if np.isfinite(found).all() else self.theta

    def _call_out_order(self) -> None:
        """A file that is sorted ruins mini-batches in file order: each sees one end of the data only."""
        found = drift(self.surface.reader)
        if found is not None:
            self.warn(
                f"the rows are ordered by {found[0]} (its mean wanders {found[1]:,.0f} times as far as by chance): "
                "mini-batches in file order see one part of the data at a time; leave shuffle on"
            )

    def interrupt(self) -> None:
        """Ctrl-C: keep the best point seen on full passes; a mini-batch run is looked at once more where it stands."""
        if self.plan.batch is not None and self.number:
            full = self.surface.at(self.theta, Need.GRADIENT)
            self.arrive(self.theta, full)
        self.return_to_best()
        self.status = Status.INTERRUPTED
        self.message = f"interrupted after {counted(self.number)}; the best point is kept"

    def _first_need(self) -> Need:
        """What pass 0 must deliver: for a first-order method the curvature too, where it proves or refutes the rate."""
        method, objective = self.plan.method, self.surface.objective
        if isinstance(method, Region | Simplex):
            return method.need
        if self.plan.scale and (objective.squares or objective.prediction is None):
            return self.curved
        proves = isinstance(method, FirstOrder) and self.plan.batch is None
        if proves and objective.quadratic and objective.reduce != "rmse" and not objective.large:
            return self.curved
        return Need.GRADIENT

    def _settle(self, evaluation: Evaluation) -> None:
        """The guarantee of a quadratic, and the rate that the curvature gives."""
        objective, surface = self.surface.objective, self.surface
        if self.plan.scale:
            self._standardise(evaluation)
        constant, scaling = objective.quadratic and objective.reduce != "rmse", self.plan.scaling
        if constant and evaluation.curvature is not None and self.plan.batch is None:
            factor = 1.0 if objective.reduce == "sum" else 1.0 / evaluation.weight
            self.guarantee = Guarantee.of(evaluation.curvature, factor, scaling)
        steepest_row = None
        if constant and objective.squares and self.plan.batch is not None and self.plan.open_rate:
            steepest_row = surface.largest_row_curvature(self.theta, scaling)
            if objective.penalty is not None:
                bend = objective.penalty.at(self.theta)[2]
                bend = bend if scaling is None else scaling.curvature(bend)
                steepest_row += float(np.linalg.eigvalsh(bend)[-1]) / surface.rows
        proved = self.guarantee if self.guarantee is not None and self.guarantee.convex else None
        bound = None
        known = isinstance(self.plan.method, FirstOrder) and self.plan.method.rate_limit is not None
        smooth = not objective.quadratic and objective.reduce != "rmse" and not objective.large
        if self.plan.open_rate and known and smooth:
            found = bounded(surface, scaling)
            bound = None if isinstance(found, str) else found
        elif known and smooth and self.plan.batch is None and isinstance(self.plan.method, FirstOrder):
            plain = self.plan.method.name in PLAIN and not self.plan.method.schedule.text
            bound = exceeded(surface, self.plan.method.schedule.rate, scaling) if plain else None
        self.plan = settle_rate(self.plan, objective, proved, steepest_row, surface.weight, surface.rows, bound)

    def _standardise(self, evaluation: Evaluation) -> None:
        """Fix the standardised parameters at the start; name those by which nothing changes there."""
        objective, surface = self.surface.objective, self.surface
        slopes = None
        if evaluation.curvature is None:
            slopes = surface.slopes(self.theta)
            if objective.penalty is not None:
                slopes = slopes + objective.penalty.at(self.theta)[2]
        self.plan = replace(self.plan, scaling=standardised(objective, evaluation, slopes))
        curvature = evaluation.curvature if slopes is None else slopes
        assert curvature is not None
        sizes = zip(objective.layout.flat, np.abs(curvature.diagonal()), strict=True)
        lost = [name for name, size in sizes if not 0 < size < np.inf]
        if lost:
            self.warn(f"at the start nothing depends on {listed(lost)}: scale leaves its unit as it is")
