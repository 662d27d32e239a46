"""Seconds to a loss near the lowest, over batch sizes: the notes' curve, from real runs."""

from __future__ import annotations

import statistics
import sys
from typing import Any

import numpy as np
from _epochs_data import logistic, loss, minimiser, regression
from _epochs_sections import fit
from _timing import seconds

BATCHES = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)  # and all rows
RATES = [2.0**k for k in range(-16, 3)]  # the same for every batch size
COMMON = 0.9  # correlation of any two columns: the condition of the linear problem is 91
NEAR = {"linear": 1e-6, "logistic": 1e-4}  # above the lowest loss: twenty times what the noise leaves unknown of it
LONGEST = 10.0  # seconds after which a run is given up
SPAN = 1000.0  # steps × rate after which a run hovers: the curvature of both models is above 0.01
SLOWER = 2.0  # times the best fit so far, after which another rate is given up
FINE = 1.2  # the steps of a run are known to this factor


class Runs:
    """Fits of a model by gd on batches of one size: each begins at zeros and runs a given number of steps."""

    def __init__(self, model: str, X: np.ndarray, y: np.ndarray, lowest: float, batch: int) -> None:
        self.model, self.X, self.y, self.lowest, self.batch = model, X, y, lowest, batch

    def run(self, rate: float, steps: int) -> np.ndarray:
        from steepest import Stop

        part = self.batch < len(self.y)  # the order of all rows changes nothing but the time
        options = {"method": "gd", "batch": self.batch, "rate": rate, "shuffle": part, "stop": Stop(steps=steps)}
        return fit(self.model, self.X, self.y, **options).values["B"]

    def above(self, rate: float, steps: int) -> tuple[float, float]:
        """How far the loss then lies above the lowest, and the seconds of the fit."""
        found: list[np.ndarray] = []
        taken = seconds(lambda: found.append(self.run(rate, steps)))
        return loss(self.model, self.X, self.y, np.asarray(found[0])) - self.lowest, taken

    def steps_needed(self, rate: float, most: float) -> int | None:
        """The fewest steps, to a factor of FINE, that come near enough within `most` seconds; None where none do."""
        few, many = 0, max(1, round(4.0 / rate))
        while True:
            height, taken = self.above(rate, many)
            if height <= NEAR[self.model]:
                break
            if not np.isfinite(height) or taken > most or many * rate > SPAN:
                return None
            few, many = many, 2 * many
        while many > few + 1 and many > FINE * few:
            middle = round(np.sqrt(few * many)) if few else many // 2
            middle = min(max(middle, few + 1), many - 1)
            few, many = (few, middle) if self.above(rate, middle)[0] <= NEAR[self.model] else (middle, many)
        return many

    def best(self, lowest: int) -> dict[str, Any]:
        """The rate of the grid that is there first, by the seconds of whole fits; from this place of the grid up."""
        self.run(RATES[0], 2)
        found: dict[str, Any] = {}
        worse = 0
        for place, rate in enumerate(RATES[lowest:], lowest):
            least = found.get("time", np.inf)
            steps = self.steps_needed(rate, min(LONGEST, SLOWER * least))
            time = np.inf if steps is None else statistics.median(self.above(rate, steps)[1] for _ in range(3))
            if steps is not None and time < least:
                found = {"time": time, "steps": steps, "rate": rate, "rows": steps * self.batch, "place": place}
                worse = 0
            elif found and (worse := worse + 1) == 2:
                break
        return found


def curve(rows: int, rounds: int) -> dict[str, Any]:
    """For each model: every batch size at its best rate, and what a fit of one step costs."""
    found: dict[str, Any] = {}
    for model, make in {"linear": regression, "logistic": logistic}.items():
        X, y = make(rows, COMMON)
        lowest = loss(model, X, y, minimiser(model, X, y))
        sizes = [batch for batch in BATCHES if batch < rows] + [rows]
        found[model], place = {}, 0
        for batch in sizes:  # the mean of more rows bears no lower rate
            best = Runs(model, X, y, lowest, batch).best(place)
            found[model][str(batch)], place = best, best.get("place", place)
            print(f"  {model}, batches of {batch:,}: {best}", file=sys.stderr, flush=True)
        one = Runs(model, X, y, lowest, 1024)
        found[model]["one step"] = {"time": statistics.median(one.above(1e-3, 1)[1] for _ in range(5))}
    return found
