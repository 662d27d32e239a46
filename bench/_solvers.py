"""The solvers, each with its defaults as its users call it; one that is not installed is found out by its import.

A solver is made for a problem (what compiles, compiles then) and takes a start, or None where it needs none. What it
returns is its own word (converged, warned, gave up), the values, and the errors where it has them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from _solvers_data import Problem

Start = Sequence[float] | None


@dataclass(frozen=True)
class Found:
    """What a solver says."""

    word: str  # "converged", "warned", "gave up"
    values: Sequence[float] | None = None
    errors: Sequence[float] | None = None


Solve = Callable[[Start], Found]


def word(success: bool, sure: bool = True) -> str:
    return "gave up" if not success else "converged" if sure else "warned"


def listened(solve: Solve, start: Start) -> Found:
    """What a solver says, its warnings and exceptions heard: NumPy's of overflow on the way are no word of its own."""
    with warnings.catch_warnings(record=True) as heard, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            found = solve(start)
        except Exception:  # curve_fit and lmfit give up by raising
            return Found("gave up")
    doubts = any(issubclass(one.category, UserWarning) for one in heard)
    return Found("warned", found.values, found.errors) if doubts and found.word == "converged" else found


# in the project's own environment ------------------------------------------------------------------------------------


def by_steepest(problem: Problem) -> Solve:
    import steepest

    def solve(start: Start) -> Found:
        begun = None if start is None else dict(zip(problem.parameters, start, strict=True))
        fit = steepest.fit(problem.formula, problem.data, start=begun)
        values, errors = ([float(d[n]) for n in problem.parameters] if d else None for d in (fit.values, fit.errors))
        return Found(word(fit.ok), values, errors)

    return solve


def no_start(problem: Problem) -> Solve:
    solve = by_steepest(problem)
    return lambda start: solve(None)


def curve_fit(problem: Problem) -> Solve:
    from scipy import optimize

    model, x, y = problem.model(np), problem.data["x"], problem.data["y"]

    def solve(start: Start) -> Found:
        values, covariance = optimize.curve_fit(model, x, y, start)
        return Found("converged", values, np.sqrt(np.diag(covariance)))

    return solve


def least_squares(problem: Problem) -> Solve:
    from scipy import optimize

    model, x, y = problem.model(np), problem.data["x"], problem.data["y"]

    def solve(start: Start) -> Found:
        found = optimize.least_squares(lambda theta: model(x, *theta) - y, start)
        return Found(word(found.success), found.x)

    return solve


def minimize(method: str) -> Callable[[Problem], Solve]:
    def make(problem: Problem) -> Solve:
        from scipy import optimize

        model, x, y = problem.model(np), problem.data["x"], problem.data["y"]

        def solve(start: Start) -> Found:
            found = optimize.minimize(lambda theta: np.sum((model(x, *theta) - y) ** 2), start, method=method)
            return Found(word(found.success), found.x)

        return solve

    return make


# in an environment of their own --------------------------------------------------------------------------------------


def lmfit(problem: Problem) -> Solve:
    from lmfit import Model

    model, x, y = Model(problem.model(np), independent_vars=["x"]), problem.data["x"], problem.data["y"]

    def solve(start: Start) -> Found:
        assert start is not None
        found = model.fit(y, x=x, **dict(zip(problem.parameters, start, strict=True)))
        values, errors = zip(*((p.value, p.stderr) for p in found.params.values()), strict=True)
        return Found(word(found.success, found.errorbars), values, errors if found.errorbars else None)

    return solve


def iminuit(problem: Problem) -> Solve:
    from iminuit import Minuit
    from iminuit.cost import LeastSquares

    x, y = problem.data["x"], problem.data["y"]
    cost = LeastSquares(x, y, 1.0, problem.model(np))

    def solve(start: Start) -> Found:
        assert start is not None
        found = Minuit(cost, *start)
        found.migrad()
        found.hesse()
        scale = np.sqrt(found.fval / (len(y) - len(start)))  # sigma is not known: by the residuals
        return Found(word(found.valid, found.accurate), list(found.values), scale * np.array(found.errors))

    return solve


def optimistix(solver: str) -> Callable[[Problem], Solve]:
    def make(problem: Problem) -> Solve:
        import jax
        import optimistix as optx

        jax.config.update("jax_enable_x64", True)
        model, data = problem.model(jax.numpy), (jax.numpy.asarray(problem.data[n]) for n in "xy")
        method = getattr(optx, solver)(rtol=1e-8, atol=1e-8)  # as its documentation writes; it has no defaults

        @jax.jit
        def run(start: Any, x: Any, y: Any) -> tuple[Any, Any]:
            found = optx.least_squares(lambda theta, _: model(x, *theta) - y, method, start, throw=False)
            return found.value, found.result == optx.RESULTS.successful

        x, y = data

        def solve(start: Start) -> Found:
            values, success = run(jax.numpy.asarray(start), x, y)
            return Found(word(bool(success)), np.asarray(values))

        return solve

    return make


Make = Callable[[Problem], Solve]
HERE: dict[str, Make] = {
    "steepest": by_steepest,
    "SciPy, curve_fit": curve_fit,
    "SciPy, least_squares": least_squares,
}
# Beside the others in one process L-BFGS-B takes 80 ms instead of 2, and steepest twice its time.
ALONE: dict[str, Make] = {
    "SciPy, BFGS": minimize("BFGS"),
    "SciPy, L-BFGS-B": minimize("L-BFGS-B"),
}
PEERS: dict[str, Make] = {
    "lmfit": lmfit,
    "iminuit": iminuit,
    "optimistix, Levenberg-Marquardt": optimistix("LevenbergMarquardt"),
    "optimistix, dogleg": optimistix("Dogleg"),
}
UNSTARTED = ("steepest", "SciPy, curve_fit")  # need no start; the second begins at ones, as R's nls does
GROUPS = {"here": HERE, "alone": ALONE, "peers": PEERS}  # a process each; the last in another environment
