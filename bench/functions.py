"""Forty-four test functions from their usual starts: what auto and lbfgs find, what they call it, what it costs.

    python bench/functions.py

A "converged" is right at a published minimum, or at a point that mpmath's derivatives of forty digits call a local
minimum: its Newton step is small and its Hessian has no negative eigenvalue. Anything else is marked FALSE. "passes"
are all evaluations, also rejected ones and those of the verdict. Beside it SciPy's methods with the same derivatives:
evaluations of the function (trust-exact: and of its Hessian), and * where a success is none.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
from _figures import keep
from _functions import FUNCTIONS, Function

import steepest

SCIPY = ("BFGS", "L-BFGS-B", "trust-exact")
WORDS = {n: getattr(mpmath, n) for n in ("exp", "log", "sin", "cos", "sqrt", "acos", "pi")}
WORDS |= {"atan2": mpmath.atan2, "abs": abs}


def known(function: Function, value: float) -> bool:
    """Whether a value is that of a published minimum, which has seven digits or more."""
    return any(abs(value - v) <= 1e-7 * max(abs(v), 1e-4) for v in function.lowest)


def exact(function: Function) -> Callable[[Sequence[Any]], Any]:
    """The formula over mpmath's numbers: Python's own reading of it, not ours."""
    code = compile(function.formula, function.name, "eval")
    names = list(function.start)
    return lambda theta: eval(code, {**WORDS, **dict(zip(names, theta, strict=True))})  # noqa: S307 - ours, from above


def derivatives(value: Callable[[Sequence[Any]], Any], theta: Sequence[float]) -> tuple[Any, Any]:
    """Gradient and Hessian by central differences at sixty digits."""
    p, h = len(theta), mpmath.mpf(10) ** -20
    at = [mpmath.mpf(t) for t in theta]

    def moved(*moves: tuple[int, Any]) -> Any:
        there = list(at)
        for i, by in moves:
            there[i] += by
        return value(there)

    here, gradient, hessian = value(at), mpmath.matrix(p, 1), mpmath.matrix(p, p)
    for i in range(p):
        ahead, behind = moved((i, h)), moved((i, -h))
        gradient[i], hessian[i, i] = (ahead - behind) / (2 * h), (ahead - 2 * here + behind) / h**2
        for j in range(i):
            mixed = moved((i, h), (j, h)) - moved((i, h), (j, -h)) - moved((i, -h), (j, h)) + moved((i, -h), (j, -h))
            hessian[i, j] = hessian[j, i] = mixed / (4 * h**2)
    return gradient, hessian


def is_minimum(function: Function, theta: Sequence[float]) -> bool:
    """Whether mpmath calls the point a minimum: positive definite, and its Newton step below 1e-6 of its size."""
    with mpmath.workdps(60):
        gradient, hessian = derivatives(exact(function), theta)
        scale = [mpmath.sqrt(abs(hessian[i, i])) or mpmath.mpf(1) for i in range(len(theta))]
        scaled = np.array([[float(hessian[i, j] / scale[i] / scale[j]) for j in range(len(theta))]
                           for i in range(len(theta))])  # fmt: skip
        if not np.linalg.eigvalsh(scaled)[0] > 0:
            return False
        step = mpmath.lu_solve(hessian, gradient)
        start = list(function.start.values())
        sizes = [max(abs(t), abs(t - s)) or 1.0 for t, s in zip(theta, start, strict=True)]
        return all(abs(float(step[i])) <= 1e-6 * max(size, 1e-6) for i, size in enumerate(sizes))


def peers(function: Function, ours: float) -> list[str]:
    """SciPy's evaluations, from the same start."""
    from scipy import optimize

    surface = steepest.function(function.formula)
    start = np.array([function.start[n] for n in surface.names])
    said = []
    for method in SCIPY:
        extra = {"hess": surface.hessian} if method == "trust-exact" else {}
        try:
            found = optimize.minimize(surface, start, jac=True, method=method, options={"maxiter": 5000}, **extra)
            right = known(function, found.fun) or found.fun <= ours + 1e-6 * max(abs(ours), 1e-4)
            mark = "" if right else "*" if found.success else "-"
            said.append(f"{found.nfev + found.get('nhev', 0)}{mark}")
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            said.append("fails")
    return said


def main() -> int:
    warnings.simplefilter("ignore")
    false = reached = runs = 0
    print(f"{'function':<27} {'method':<6} {'status':<10} {'value':>16} {'':<10} {'steps':>5} {'passes':>6}  "
          + " ".join(f"{m:>11}" for m in SCIPY))  # fmt: skip
    for function in FUNCTIONS:
        for method in ("auto", "lbfgs"):
            fit = steepest.minimize(function.formula, function.start, method=method)
            theta = [float(fit.values[n]) for n in function.start]
            good = known(function, fit.loss)
            kind = "known" if good else "a minimum" if is_minimum(function, theta) else "none"
            wrong = fit.ok and kind == "none"
            false, reached, runs = false + wrong, reached + (fit.ok and not wrong), runs + 1
            beside = peers(function, fit.loss) if method == "lbfgs" else []
            print(f"{function.name:<27} {method:<6} {fit.status:<10} {fit.loss:>16.9g} {kind:<10} {fit.steps:>5} "
                  f"{fit.passes:>6.0f}  " + " ".join(f"{s:>11}" for s in beside)
                  + ("   <-- FALSE" if wrong else "" if fit.ok else f"   {fit.message}"), flush=True)  # fmt: skip
    print(f"\nconverged at a minimum: {reached} of {runs} runs; false: {false}")
    keep(__file__, functions=len(FUNCTIONS), runs=runs, reached=reached, false=false)
    print("* called a success, further than 1e-7 from every known value and higher than ours;  - no success")
    return int(false > 0)


if __name__ == "__main__":
    sys.exit(main())
