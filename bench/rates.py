"""Safe rates: 200 random convex problems, gradient descent with the proved rate beside the largest rate that is stable.

For each problem: does gd with rate=None use a proved rate, and does its loss ever rise; and, by bisection on the
multiples of that rate, the largest with which 300 steps never raise the loss.
Run: python bench/rates.py [problems]
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _figures import keep

import steepest
from steepest import Stop

PROBLEMS = 200
STEPS = 300
HUBER = "where(abs(y - prediction) <= 1.345, 0.5*(y - prediction)**2, 1.345*(abs(y - prediction) - 0.6725))"
LINE = "(a + b*x + c*z)"
Problem = tuple[str, str, dict[str, Any], dict[str, Any]]  # kind, formula, data, options of fit


def problem(kind: str, generator: np.random.Generator) -> Problem:
    """A random convex problem: columns of random scale, sometimes weights and a penalty."""
    n = int(generator.integers(10, 400))
    x, z = (10 ** generator.uniform(-1.5, 1.5) * generator.normal(size=n) for _ in range(2))
    eta = generator.normal() + generator.normal() * x / np.std(x) + generator.normal() * z / np.std(z)
    data, options = {"x": x, "z": z, "y": eta + generator.standard_t(3, n)}, {}
    formula = f"y = {LINE}"
    if kind == "logistic":
        data["y"] = (generator.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
        formula = f"softplus{LINE} - y*{LINE}"
    elif kind == "poisson in a box":
        data |= {
            "x": x / np.std(x),
            "z": z / np.std(z),
            "y": generator.poisson(np.exp(np.clip(eta, -3, 3))).astype(float),
        }
        formula = f"exp{LINE} - y*{LINE}"
        half = float(generator.uniform(0.3, 1.5))
        options["bounds"] = dict.fromkeys("abc", (-half, half))
    elif kind == "sum of two":
        formula = f"log(cosh(y - {LINE})) + 0.3*softplus{LINE}"
    else:
        options["loss"] = {"huber": HUBER, "log cosh": "log(cosh(y - prediction))",
                           "pseudo-huber": "sqrt(1 + (y - prediction)**2)"}[kind]  # fmt: skip
    if generator.random() < 0.4:
        data["w"] = generator.uniform(0, 3, n)
        options["weights"] = "w"
    if generator.random() < 0.4:
        options["penalty"] = str(
            generator.choice(["3*a**2 + b**2", "log(cosh(2*b)) + c**2", "5*sqrt(1 + b**2 + c**2)"])
        )
    options["reduce"] = str(generator.choice(["mean", "sum"]))
    options["start"] = dict(zip("abc", generator.normal(size=3).tolist(), strict=True))
    return kind, formula, data, options


def rises(found: Problem, rate: float) -> bool:
    """Whether the loss rises at any of the steps with a rate."""
    _, formula, data, options = found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = steepest.fit(formula, data, method="gd", rate=rate, stop=Stop(steps=STEPS), trace=True, **options)
    return fit.status == "diverged" or not monotonic(fit.trace.loss)


def monotonic(loss: np.ndarray) -> bool:
    """Whether a loss never rises by more than its rounding."""
    return bool((np.diff(loss) <= 1e-12 * (1 + np.abs(loss[:-1]))).all())


def largest_stable(up: Callable[[float], bool]) -> float:
    """The largest multiple of a rate that never raises the loss: doubled, then bisected to 2 %."""
    low, high = 1.0, 2.0
    while not up(high) and high < 1e6:
        low, high = high, 2 * high
    while high / low > 1.02:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if up(middle) else (middle, high)
    return low


def main(count: int) -> None:
    """The table."""
    generator = np.random.default_rng(7)
    kinds = ("logistic", "huber", "log cosh", "pseudo-huber", "poisson in a box", "sum of two")
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    proved = convex = diverged = risen = 0
    for i in range(count):
        found = problem(kinds[i % len(kinds)], generator)
        kind, formula, data, options = found
        fit = steepest.fit(formula, data, method="gd", stop=Stop(steps=STEPS), trace=True, **options)
        convex += fit.certificate["convex"] is True
        proved += fit.rate is not None and "1/L, safe" in fit.why
        diverged += fit.status == "diverged"
        risen += not monotonic(fit.trace.loss)
        if fit.rate is not None:
            ratios[kind].append(largest_stable(lambda times, rate=fit.rate, found=found: rises(found, times * rate)))
    print(f"{count} random convex problems, {STEPS} steps of gd with rate=None")
    print(f"proved convex {convex}, rate proved {proved}, diverged {diverged}, loss ever rose {risen}")
    print(f"{'largest stable rate / proved rate':36}{'problems':>9}{'median':>9}{'worst':>12}")
    for kind, some in ratios.items():
        if some:
            print(f"{kind:36}{len(some):9}{np.median(some):9.2f}{max(some):12.2f}")
    every = [ratio for some in ratios.values() for ratio in some]
    if count == PROBLEMS:  # fewer are for trying
        larger = dict(zip(("median", "nine tenths"), np.quantile(every, (0.5, 0.9)).tolist(), strict=True))
        keep(__file__, problems=count, proved=proved, diverged=diverged, risen=risen, larger=larger)
    print(f"{'all':36}{len(every):9}{np.median(every):9.2f}{max(every):12.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PROBLEMS)
