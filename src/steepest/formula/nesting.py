"""Whether a formula is a special case of another: with some parameters at 0, at 1, or equal to others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..types import Array
from .evaluate import Evaluator
from .objective import Objective

MOST = 2_000  # settings that are tried
POINTS = 3  # of the parameters, drawn at random
ENOUGH = 8  # rows on which both are finite
CLOSE = 1e-10  # relative: rounding


def special_case(
    small: Objective, large: Objective, theta: Array, columns: Mapping[str, Array], seed: int = 0
) -> dict[str, str] | None:
    """What the parameters of `large` beyond those of `small` are set to so that both are the same, or None.

    Parameters are matched by name. Equality is that of the values on the rows given, at points drawn about `theta`, the
    parameters of `small`: two different programs do not agree on all of them. A formula with `where`, whose other
    branch these rows may never reach, is not judged.
    """
    sides = [o.loss if o.prediction is None else o.prediction for o in (small, large)]
    widths = large.layout.width_of
    if any(widths.get(name, -1) != width for name, width in small.layout.width_of.items()):
        return None
    beyond = [name for name in large.layout.names if name not in small.layout.names]
    chooses = any(
        o.graph.nodes[node][0] == "where" for o, side in zip((small, large), sides, strict=True)
        for node in o.graph.reachable([side])
    )  # fmt: skip
    if not beyond or chooses:
        return None
    evaluate = [
        Evaluator(o.graph, [side], o.columns, o.layout.places) for o, side in zip((small, large), sides, strict=True)
    ]
    random = np.random.default_rng(seed)
    points = [theta * random.uniform(0.5, 1.5, len(theta)) + random.uniform(0.0, 0.1) for _ in range(POINTS)]
    with np.errstate(all="ignore"):
        values = [np.asarray(evaluate[0](point, columns)[0]) for point in points]
        for setting in _settings(beyond, small, large):
            there = (_placed(setting, small, large, point) for point in points)
            if all(_same(v, np.asarray(evaluate[1](p, columns)[0])) for v, p in zip(values, there, strict=True)):
                return setting
    return None


def _settings(beyond: Sequence[str], small: Objective, large: Objective) -> Iterator[dict[str, str]]:
    """Every way to set the parameters beyond, 0 first; none at or outside a bound, where no test holds."""
    scalars = [name for name, width in small.layout.width_of.items() if width is None]
    choices = []
    for name in beyond:
        vector, place = large.layout.width_of[name] is not None, large.layout.slices[name]
        numbers = [
            v for v in ("0", "1")
            if (large.lower[place] < float(v)).all() and (float(v) < large.upper[place]).all()
        ]  # fmt: skip
        choices.append(numbers if vector else [*numbers, *scalars])
    if math.prod(map(len, choices)) <= MOST:
        for chosen in itertools.product(*choices):
            yield dict(zip(beyond, chosen, strict=True))


def _placed(setting: Mapping[str, str], small: Objective, large: Objective, point: Array) -> Array:
    """The parameters of the larger one."""
    theta = np.empty(large.layout.size)
    for name, place in large.layout.slices.items():
        value = setting.get(name, name)
        theta[place] = float(value) if value in ("0", "1") else point[small.layout.slices[value]]
    return theta


def _same(a: Array, b: Array) -> bool:
    a, b = np.broadcast_arrays(a, b)
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < min(ENOUGH, a.size):
        return False
    size = np.abs(a[both]).max(initial=0.0)
    return bool((np.abs(a - b)[both] <= CLOSE * size).all())
