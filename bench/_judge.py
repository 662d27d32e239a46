"""What is true at a point: T with its derivatives, whether it is a minimum, which errors hold there.

Nothing of steepest's stands behind it: `_jets.py` reads and differentiates the formula, SciPy looks for lower points.
The words that are judged are those of docs/semantics.md.
"""

from __future__ import annotations

import ast
import math
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from _jets import LONG, TINY, Jet, Reader, sigmoid
from scipy import optimize

U = 2.0**-52
ROWS = {  # the row losses of docs/semantics.md, u the prediction, with first and second derivative by u
    "absolute": lambda y, u: (np.abs(y - u), -np.sign(y - u), 0 * u),
    "quantile": lambda y, u, tau=0.5: (
        np.maximum(tau * (y - u), (tau - 1) * (y - u)), np.where(y > u, -tau, 1 - tau), 0 * u,
    ),
    "huber": lambda y, u, k=1.345: (
        np.where(np.abs(y - u) <= k, (y - u) ** 2 / 2, k * np.abs(y - u) - k * k / 2),
        -np.clip(y - u, -k, k), np.where(np.abs(y - u) <= k, 1.0, 0.0),
    ),
    "cauchy": lambda y, u, c=2.385: (
        c * c / 2 * np.log1p(((y - u) / c) ** 2), -(y - u) / (1 + ((y - u) / c) ** 2),
        (1 - ((y - u) / c) ** 2) / (1 + ((y - u) / c) ** 2) ** 2,
    ),
    "logistic": lambda y, u: (np.logaddexp(LONG(0), u) - y * u, sigmoid(u) - y, sigmoid(u) * sigmoid(-u)),
    "poisson": lambda y, u: (u - y * np.log(u), 1 - y / u, y / u**2),
    "gamma": lambda y, u, d=1.0: (
        (np.log(u) + y / u) / d, (1 / u - y / u**2) / d, (2 * y / u**3 - 1 / u**2) / d,
    ),
}  # fmt: skip
SQUARES = ("squares", "rmse")
KINKED = ("absolute", "quantile")
LIKELIHOODS = ("logistic", "poisson", "gamma", "own")


def dot(name: str, columns: tuple[str, ...]) -> str:
    """A product of columns and a vector, as Python can read it."""
    return "(" + " + ".join(f"{name}_{i}*{column}" for i, column in enumerate(columns)) + ")"


@dataclass(frozen=True)
class Problem:
    """What is handed to steepest, in pieces that Python can read; without `data` a function of `free` alone."""

    verb: str  # fit, minimize, maximize
    body: str
    free: tuple[str, ...]  # flat, in the order of Fit.free
    left: str | None = None
    data: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    vectors: dict[str, tuple[str, ...]] = field(default_factory=dict)  # B -> the columns beside it: B_0*x + B_1*z

    @property
    def formula(self) -> str:
        """As steepest reads it: the sums over vectors as products of matrices."""
        body = self.body
        for name, columns in self.vectors.items():
            body = body.replace(dot(name, columns), f"([{', '.join(columns)}] @ {name})")
        return body if self.left is None else f"{self.left} = {body}"

    @cached_property
    def loss(self) -> tuple[str, list[float]]:
        """The name of the loss and its numbers; "own" without `=`."""
        name, _, numbers = self.options.get("loss", "squares").partition("(")
        return ("own" if self.left is None else name), [float(n) for n in numbers.rstrip(")").split(",") if n]

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The rows that count, by column: where holds, nothing is missing, the weight is above 0."""
        if self.data is None:
            return {}
        options = self.options
        used = {n: np.asarray(c, float) for n, c in self.data.items() if n in self._used}
        rows = len(next(iter(self.data.values())))
        keep = np.ones(rows, bool)
        asked = options.get("where")
        if asked:
            given = {n: Jet(np.asarray(c, LONG), None, None) for n, c in self.data.items()}
            keep &= Reader(given, rows).condition(asked)
        for column in used.values():
            keep &= ~np.isnan(column)
        for name in ("weights", "counts"):
            if options.get(name):
                keep &= used[options[name]] > 0
        return {n: c[keep].astype(LONG) for n, c in used.items()} | {"": keep[keep].astype(LONG)}

    @cached_property
    def _used(self) -> set[str]:
        options = self.options
        texts = [self.body, self.left or "", *(str(options.get(o) or "") for o in ("weights", "counts", "sigma"))]
        found = {n.id for t in texts if t for n in ast.walk(ast.parse(t, mode="eval")) if isinstance(n, ast.Name)}
        return found & set(self.data or ())

    @cached_property
    def weight(self) -> Any:
        """weights·counts/σ² of the rows (rows,)."""
        columns, options = self.columns, self.options
        weight = columns[""].copy()
        for name in ("weights", "counts"):
            if options.get(name):
                weight *= columns[options[name]]
        sigma = options.get("sigma")
        return weight if sigma is None else weight / (columns[sigma] if isinstance(sigma, str) else LONG(sigma)) ** 2

    @property
    def rows(self) -> int:
        """N."""
        counts = self.options.get("counts")
        return int(self.columns[counts].sum()) if counts else len(self.columns[""])

    @cached_property
    def bounds(self) -> tuple[Any, Any]:
        lower, upper = np.full(len(self.free), -np.inf), np.full(len(self.free), np.inf)
        for name, (low, high) in (self.options.get("bounds") or {}).items():
            for i, flat in enumerate(self.free):
                if flat.partition("[")[0] == name:
                    lower[i], upper[i] = -np.inf if low is None else low, np.inf if high is None else high
        return lower, upper


@dataclass
class Point:
    """A problem at theta: T with gradient and Hessian, and of squares the weighted Jacobian; all exact but rounding."""

    problem: Problem
    theta: Any
    second: bool = True  # with the Hessian
    kind: Any = LONG  # of number
    total: float = math.nan
    own: float = math.nan  # S
    slope: Any = None
    hessian: Any = None
    jacobian: Any = None  # (rows, p) √w·∂prediction
    scores: Any = None  # (rows, p): gradient of w·(loss of the row)
    repeats: Any = None  # (rows,) counts
    weight: Any = None
    residual: Any = None
    size: float = 0.0  # Σ |terms| of T
    margin: float = math.inf

    def __post_init__(self) -> None:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._evaluate()

    def _evaluate(self) -> None:
        problem, options = self.problem, self.problem.options
        p = len(problem.free)
        columns = problem.columns
        n = len(columns[""]) if columns else 1
        sign = -1 if problem.verb == "maximize" else 1
        unit = np.eye(p, dtype=self.kind)
        names: dict[str, Jet] = {c: Jet(v.astype(self.kind), None, None) for c, v in columns.items()}
        for i, name in enumerate(problem.free):
            flat = np.zeros((p, p, 1), self.kind) if self.second else None
            jet = Jet(np.full(1, self.kind(self.theta[i])), unit[:, i : i + 1], flat)
            names[name.replace("[", "_").rstrip("]")] = jet
        reader = Reader(names, n)
        for name, tie in (options.get("fixed") or {}).items():
            names[name] = reader.read(tie) if isinstance(tie, str) else Jet(np.full(1, LONG(tie)), None, None)
        prediction = reader.read(problem.body)
        loss, numbers = problem.loss
        weight = problem.weight if columns else np.ones(1, LONG)
        if problem.left is None:
            row = prediction
        else:
            y = reader.read(problem.left).value
            residual = y - prediction.value
            if loss in SQUARES:
                row = prediction.map(residual**2 / 2, -residual, np.ones_like(residual))
            else:
                row = prediction.map(*ROWS[loss](y, prediction.value, *map(LONG, numbers)))
            self.residual = residual
            if loss in KINKED:
                reader.margin = 0.0
            if loss == "huber":
                k = numbers[0] if numbers else 1.345
                reader.margin = min(reader.margin, math.inf if k else 0.0)
            if prediction.slope is not None:
                self.jacobian = (np.sqrt(weight) * np.broadcast_to(prediction.slope, (p, n))).T
        value = row.value
        slope = np.zeros((p, 1), LONG) if row.slope is None else row.slope
        bent = np.zeros((p, p, 1), LONG) if row.bent is None else row.bent
        self.scores = (weight * np.broadcast_to(slope, (p, n))).T
        self.own = LONG((weight * np.broadcast_to(value, (n,))).sum())
        total, gradient = self.own, self.scores.sum(axis=0)
        hessian = (weight * np.broadcast_to(bent, (p, p, n))).sum(axis=2)
        self.size = float((weight * np.abs(np.broadcast_to(value, (n,)))).sum())
        penalty = Jet(np.zeros(1, LONG), None, None)
        if options.get("penalty"):
            penalty += reader.read(options["penalty"])
        for name, (mean, sd) in (options.get("prior") or {}).items():
            off = (names[name] - Jet(np.full(1, LONG(mean)), None, None)) / Jet(np.full(1, LONG(sd)), None, None)
            penalty += off * off * Jet(np.full(1, LONG(0.5)), None, None)
        self.penalty_bent = np.zeros((p, p))
        if penalty.slope is not None:
            total = total + penalty.value[0]
            gradient = gradient + penalty.slope[:, 0]
            if self.second:
                hessian = hessian + penalty.bent[:, :, 0]
                self.penalty_bent = penalty.bent[:, :, 0].astype(float)
            self.size += abs(float(penalty.value[0]))
        self.total, self.slope, self.hessian = sign * total, sign * gradient, (sign * hessian).astype(float)
        self.weight, self.margin = weight, reader.margin
        counts = options.get("counts")
        self.repeats = columns[counts] if counts else np.ones(n)

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.total) and np.isfinite(self.slope).all() and np.isfinite(self.hessian).all())

    @cached_property
    def held(self) -> Any:
        """Which parameters stand at a bound, pushed there."""
        lower, upper = self.problem.bounds
        rounding = 4.0 * U * np.abs(self.theta)
        low, high = self.theta <= lower + rounding, self.theta >= upper - rounding
        return (low & (self.slope > 0)) | (high & (self.slope < 0))

    @cached_property
    def noise(self) -> float:
        """What the rounding of doubles makes of T."""
        found = 0.0
        for part in (1.0, 1.0 + 3 * U, 1.0 - 5 * U, 1.0 + 1e-9, 1.0 - 1e-7):
            exact, plain = (Point(self.problem, part * self.theta, False, kind) for kind in (LONG, np.float64))
            found = max(found, abs(float(plain.total - exact.total)))
        return found

    @property
    def least(self) -> float:
        """What T may be off where doubles cancel: of a function roundings of 1, of a table those of y, squared."""
        return 1e-15 if self.problem.data is None else 10.0 * U**2 * self.signal

    @property
    def beyond(self) -> bool:
        """Whether T is below the rounding of doubles on the way to it: then nothing finer can be asked."""
        return not self.noise <= 1e-4 * abs(float(self.total))

    @property
    def exact(self) -> bool:
        """Whether the model goes through the data but for rounding, which is then all that T consists of."""
        small = self.problem.data is not None and 2.0 * float(self.own) <= 1e-18 * self.signal
        return self.beyond or (small and self.problem.loss[0] in (*SQUARES, "huber", "cauchy", "own"))

    @property
    def squares(self) -> bool:
        return self.problem.loss[0] in SQUARES

    @cached_property
    def signal(self) -> float:
        """Σ w·y²."""
        if self.problem.data is None:
            return 0.0
        names = {c: Jet(v, None, None) for c, v in self.problem.columns.items()}
        y = Reader(names, len(self.weight)).read(self.problem.left or "y").value
        return float((self.weight * y**2).sum())

    def newton(self) -> tuple[Any, float, float]:
        """(step, gap, smallest eigenvalue relative to the largest) of the exact Hessian, scaled, on the free ones."""
        free = ~self.held
        step = np.zeros(len(free))
        if not free.any():
            return step, 0.0, 1.0
        block = self.hessian[np.ix_(free, free)]
        scale = np.sqrt(np.abs(np.diag(block)))
        scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
        values, vectors = np.linalg.eigh(block / scale / scale[:, None])
        along = vectors.T @ (self.slope[free] / scale).astype(float)
        weakest = float(values[0] / max(abs(values[-1]), abs(values[0]), TINY))
        sizes = np.maximum(np.abs(values), 1e-15 * np.abs(values).max())
        step[free] = -(vectors @ (along / np.maximum(sizes, TINY))) / scale
        return step, 0.5 * float(np.sum(along**2 / np.maximum(sizes, TINY))), weakest

    @cached_property
    def rank(self) -> float:
        """σmin/σmax of the column-scaled √W·J and of the root of the penalty's curvature, on the free parameters."""
        free = ~self.held
        if not self.squares:
            return self.newton()[2]
        rows = self.jacobian.astype(float)
        if self.problem.options.get("penalty") or self.problem.options.get("prior"):
            values, vectors = np.linalg.eigh(self.penalty_bent)
            rows = np.vstack([rows, (np.sqrt(np.maximum(values, 0)) * vectors).T])
        rows = rows[:, free]
        norms = np.sqrt((rows**2).sum(axis=0))
        if not free.any():
            return 1.0
        if len(rows) < free.sum() or not (norms > 0).all() or not np.isfinite(norms).all():
            return 0.0
        singular = np.linalg.svd(rows / norms, compute_uv=False)
        return float(singular[-1] / singular[0])

    @cached_property
    def sizes(self) -> Any:
        """What a step of each parameter is measured by, from the start where it is given, else from 1."""
        start = self.problem.options.get("start") or {}
        usual = np.ones(len(self.theta))
        begun = [np.ravel(start.get(n.partition("[")[0], usual[i])) for i, n in enumerate(self.problem.free)]
        begun = [b[min(len(b) - 1, int(n.rstrip("]").partition("[")[2] or 0))]
                 for b, n in zip(begun, self.problem.free, strict=True)]  # fmt: skip
        size = np.maximum(np.abs(self.theta), np.abs(self.theta - np.array(begun, float)))
        return np.where(size > 0, size, 1.0)

    def allowed(self) -> float:
        """What T may be above the minimum at most for "converged", without slack; 0 where steps are judged."""
        p, rows = int((~self.held).sum()), self.problem.rows if self.problem.data is not None else 0
        loss = self.problem.loss[0]
        if loss in ("logistic", "poisson", "gamma"):
            return 0.5 * p * 1e-12
        if not (self.squares or loss in ("huber", "cauchy")):
            return 0.0
        rss, typical = 2.0 * float(self.own), math.sqrt(self.signal / max(rows, 1))
        if rows > p:
            s = 1.0 if self.problem.options.get("sigma") is not None else math.sqrt(max(rss, 0.0) / (rows - p))
            if s > 1e3 * U * typical:
                return 0.5 * p * max(1e-6 * s, 8 * U * typical) ** 2
        return U * math.sqrt(max(rss, 0.0) * self.signal) + U**2 * self.signal

    def rounding(self) -> float:
        """The gap that roundings of the gradient in doubles may leave."""
        free = ~self.held
        if not free.any():
            return 0.0
        noise = np.abs(self.scores).sum(axis=0).astype(float) + np.abs(self.hessian) @ np.abs(self.theta)
        if self.jacobian is not None and self.residual is not None:
            names = {c: Jet(v, None, None) for c, v in self.problem.columns.items()}
            y = Reader(names, len(self.weight)).read(self.problem.left or "y").value
            noise += (np.abs(self.jacobian).T @ (np.sqrt(self.weight) * (np.abs(y) + np.abs(self.residual)))).astype(
                float
            )
        block = self.hessian[np.ix_(free, free)]
        scale = np.sqrt(np.abs(np.diag(block)))
        scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
        values, vectors = np.linalg.eigh(block / scale / scale[:, None])
        along = 16.0 * U * (np.abs(vectors).T @ (noise[free] / scale))
        return 0.5 * float(np.sum(along**2 / np.maximum(np.abs(values), 1e-15 * np.abs(values).max() + TINY)))


def descended(point: Point, steps: int = 40) -> Point:
    """Downhill from a point by damped Newton steps within the bounds."""
    lower, upper = point.problem.bounds
    damping = 0.0
    for _ in range(steps):
        free = ~point.held
        if not free.any() or not point.finite:
            return point
        block = point.hessian[np.ix_(free, free)]
        scale = np.sqrt(np.abs(np.diag(block)))
        scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
        values, vectors = np.linalg.eigh(block / scale / scale[:, None])
        along = vectors.T @ (point.slope[free] / scale).astype(float)
        sizes = np.maximum(np.abs(values), 1e-14 * np.abs(values).max() + TINY)
        for _ in range(12):
            move = np.zeros(len(free))
            move[free] = -(vectors @ (along / (sizes + damping))) / scale
            there = Point(point.problem, np.clip(point.theta + move, lower, upper))
            if there.finite and there.total < point.total:
                damping = damping / 10 if damping > 1e-12 else 0.0
                break
            damping = max(10 * damping, 1e-6)
        else:
            return point
        still = np.all(np.abs(there.theta - point.theta) <= 1e-15 * np.abs(there.theta))
        point = there
        if still:
            return point
    return point


def searched(point: Point, spread: float, reach: float, random: np.random.Generator) -> Point:
    """Downhill by SciPy from a point beside, at most `reach` sizes away."""
    problem, size = point.problem, np.maximum(np.abs(point.theta), np.minimum(point.sizes, 1.0))
    lower, upper = problem.bounds
    low, high = np.maximum((lower - point.theta) / size, -reach), np.minimum((upper - point.theta) / size, reach)
    scale = max(point.size, TINY)

    def value(phi: Any) -> tuple[float, Any]:
        there = Point(problem, point.theta + size * phi, second=False)
        if not (np.isfinite(there.total) and np.isfinite(there.slope).all()):
            return 1e300, np.zeros(len(phi))
        return float((there.total - point.total) / scale), (there.slope * size / scale).astype(float)

    begin = np.clip(spread * random.normal(size=len(size)), low, high)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = optimize.minimize(value, begin, jac=True, method="L-BFGS-B", bounds=list(zip(low, high, strict=True)),
                                  options={"maxiter": 60, "ftol": 1e-15, "gtol": 1e-12})  # fmt: skip
    return Point(problem, point.theta + size * found.x)


def slopes_down(point: Point, lower: Point, tolerance: float) -> bool:
    """Whether the way from one point to another never rises: they lie in one valley."""
    for part in (*np.geomspace(1e-6, 0.03, 12), *np.linspace(0.0, 1.0, 33)[1:-1]):
        between = Point(point.problem, point.theta + part * (lower.theta - point.theta), second=False)
        if not between.total <= point.total + tolerance:
            return False
    return True


def errors(point: Point, kind: str = "auto") -> Any:
    """The standard errors that docs/semantics.md defines, free parameters (p,); None where it says none."""
    options, loss = point.problem.options, point.problem.loss[0]
    p, rows = len(point.theta), point.problem.rows
    biased = options.get("penalty") is not None
    at_bound = bool(point.held.any())
    if loss in KINKED or at_bound or (biased and kind == "auto"):
        return None
    known = options.get("sigma") is not None
    gauss = point.jacobian.T @ point.jacobian + point.penalty_bent if point.squares else point.hessian
    prior = options.get("prior") is not None
    if kind == "sandwich" or (kind == "auto" and loss in ("huber", "cauchy")):
        if rows <= p:
            return None
        bread = inverse(gauss)
        middle = (point.scores.T @ (point.scores / point.repeats[:, None])).astype(float)
        return np.sqrt(np.diag(bread @ middle @ bread) * rows / (rows - p))
    if not point.squares:
        if kind == "auto" and loss == "gamma" and not point.problem.loss[1]:
            return None
        return np.sqrt(np.diag(inverse(point.hessian)))
    chosen = inverse(point.hessian if kind == "hessian" or prior else gauss)
    if known:
        return np.sqrt(np.diag(chosen))
    return None if rows <= p else np.sqrt(np.diag(chosen) * 2.0 * float(point.own) / (rows - p))


def inverse(matrix: Any) -> Any:
    """Scaled first, so that units do not matter."""
    matrix = np.asarray(matrix, float)
    scale = np.sqrt(np.abs(np.diag(matrix)))
    scale = np.where(scale > 0, scale, 1.0)
    return np.linalg.pinv(matrix / scale / scale[:, None], rcond=1e-17, hermitian=True) / scale / scale[:, None]
