"""Random problems against the verdict: every "converged", error and refusal is judged by none of steepest's programs.

    python bench/fuzz.py [--cases 400] [--seed 0] [--only 17] [--show]

A case is drawn from (seed, number) alone; `--only` runs one and prints it. "false": converged where there is no
minimum, or "the minimum" where another is lower; "errors": standard errors that are not those of the exact derivatives,
or that are missing or too many; "weak": stopped, diverged or unidentifiable where a method that searches stands at, or
could have reached from its own start, a strict minimum of full rank; "crash": anything but an answer or an error of
steepest's, a warning of NumPy's, or more than 20 s. Weak verdicts are honest: they alone do not fail the run.
"""

from __future__ import annotations

import argparse
import math
import re
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from _judge import KINKED, Point, Problem, descended, dot, errors, searched, slopes_down

import steepest

CASES, SECONDS = 400, 20
KINDS = ("false", "errors", "crash", "weak")
SEARCHING = ("auto", "newton", "gauss-newton", "lbfgs")
SHAPES = (
    "{a}", "{a}*x", "{a}*z", "{a}*x**2", "{a}*x + {b}*z", "{a} + {b}*x", "{a}*exp(-{b}*x)", "{a}*exp({b}*z)",
    "{a}/(1 + {b}*z)", "{a}*z/({b} + z)", "{a}*z**{b}", "{a}*sin({b}*x + {c})", "{a}*cos({b}*x)", "{a}*tanh({b}*x)",
    "{a}*log(1 + {b}**2*z)", "{a}*sigmoid({b}*(x - {c}))", "{a}*exp(-(x - {b})**2/(2*{c}**2))", "sqrt({a}**2 + {b}*z)",
    "where(x > 0, {a}*x, {b}*x)", "where(x > {a}, {b}, {c}*x)", "max({a}*x, {b})", "min({a}, {b}*z)", "abs(x - {a})",
    "{a}*abs(x)", "{a}*{b}*x", "({a} + {b})*z", "{a}/(x**2 + {b}**2)", "{a}*atan({b}*x)", "({a}*x + {b})/({c}*z + 1)",
    "{a}*softplus({b}*x)", "exp({a} + {b}*x)", "{a}**2*x", "{a}*k", "cosh({a}*x)", "{a}*log1p(z*{b}**2)",
)  # fmt: skip
FUNCTIONS = (  # of several variables; {a} {b} {c} are drawn from u, v, w, and numbers are filled in
    "({a} - {m})**2", "{n}*({b} - {a}**2)**2 + (1 - {a})**2", "({a} - {m})**4", "exp({a}) - {n}*{a}",
    "{n}*cosh({a} - {m})",
    "{n}*{a}**2 + {a}*{b} + {b}**2", "{a}**4 - {n}*{a}**2", "log(1 + ({a} - {m})**2)", "cos({a}) + 0.1*{a}**2",
    "{a}*{b}", "({a}**2 + {b} - 11)**2 + ({a} + {b}**2 - 7)**2", "{n}*{a}", "-exp(-({a} - {m})**2)", "{a} - log({a})",
    "abs({a} - {m})", "max({a}, -{n}*{a})", "sqrt(1 + {a}**2)", "1/{a} + {a}", "{a}**3 - 3*{a}", "({a}*{b} - 1)**2",
    "softplus({a}) - 0.3*{a}", "sin({a})*sin({b})", "{a}**2*{b}**2 + ({a} - 1)**2", "tanh({a})", "({a} + {b})**2",
)  # fmt: skip
CALLS = ("exp", "sin", "cos", "tanh", "log", "sqrt", "abs", "sigmoid", "softplus", "atan", "log1p")


class Late(BaseException):
    """A case took too long."""


def drawn(seed: int, number: int) -> Problem:
    """One problem, from the seed and its number alone."""
    random = np.random.default_rng([seed, number])
    with np.errstate(all="ignore"):
        return function(random) if random.uniform() < 0.25 else regression(random)


def function(random: np.random.Generator) -> Problem:
    """A function of one to three variables, to be minimised or maximised."""
    names = ("u", "v", "w")[: random.integers(1, 4)]
    unit = 10.0 ** float(random.choice([0, 0, 0, 0, -6, 6, -3, 3]))
    terms = []
    for _ in range(random.integers(1, 4)):
        a, b = random.choice(names, 2)
        shape = str(random.choice(FUNCTIONS))
        terms.append(shape.format(a=a, b=b, c=a, m=f"{abs(random.normal()) * unit:.3g}",
                                  n=f"{abs(random.normal()) * 3 + 0.1:.3g}"))  # fmt: skip
    body = " + ".join(f"({t})" for t in terms)
    if random.uniform() < 0.1:
        body = expression(random, int(random.integers(1, 4)), (*names, "1.5"))
    free = tuple(n for n in names if n in named(body))
    if not free:
        return function(random)
    options: dict[str, Any] = {"method": str(random.choice(["auto", "auto", "newton", "lbfgs", "gd", "adam"]))}
    if random.uniform() < 0.8:
        options["start"] = {n: float(random.choice([0.0, 1.0, random.normal(), random.normal() * 10 * unit]))
                            for n in free}  # fmt: skip
    bound(random, options, free)
    if random.uniform() < 0.15:
        options["restarts"] = int(random.integers(2, 6))
    if options["method"] in ("gd", "adam"):
        options["stop"] = steepest.Stop(passes=300)
    verb = "maximize" if random.uniform() < 0.2 else "minimize"
    if verb == "maximize":
        body = f"0 - ({body})" if random.uniform() < 0.8 else body
    return Problem(verb, body, ordered(body, free), options=options)


def regression(random: np.random.Generator) -> Problem:
    """A model, rows planted with it or not, and options."""
    names = iter("abcdefghij")
    known: list[str] = []

    def name() -> str:
        if known and random.uniform() < 0.12:
            return str(random.choice(known))
        known.append(next(names))
        return known[-1]

    terms = [str(random.choice(SHAPES)) for _ in range(random.choice([1, 1, 1, 2, 2, 3]))]
    terms = [t.format(**{s: name() for s in "abc" if f"{{{s}}}" in t}) for t in terms]
    body = terms[0]
    for term in terms[1:]:
        body += str(random.choice([" + ", " + ", " + ", " - ", "*", "/"])) + f"({term})"
    vectors: dict[str, tuple[str, ...]] = {}
    draw = random.uniform()
    if draw < 0.08:
        vectors = {"B": ("x", "z", "k")[: random.integers(1, 4)]}
        body = dot("B", vectors["B"]) + ("" if draw < 0.03 else " + a" if draw < 0.05 else " + a*exp(-b*z)")
    elif draw < 0.14:
        body = expression(random, int(random.integers(1, 4)), ("x", "z", "a", "b", "c", "2.5"))
    free = tuple(n for n in named(body) if n not in ("x", "z", "k"))
    if not free:
        return regression(random)
    columns, truth, unit = table(random, free)
    options: dict[str, Any] = {}
    loss = str(random.choice(["squares"] * 8 + ["rmse", "absolute", "quantile(0.3)", "huber", "huber(0.5)", "cauchy",
                              "logistic", "poisson", "gamma", "gamma(0.2)"]))  # fmt: skip
    if loss in ("poisson", "gamma", "gamma(0.2)") and random.uniform() < 0.8:
        body = f"exp({body})"
    respond(random, body, columns, truth, loss, unit)
    left: str | None = "y"
    if random.uniform() < 0.06:
        body, left = f"0.5*(y - ({body}))**2", None
    elif loss != "squares":
        options["loss"] = loss
    elif random.uniform() < 0.04:
        left = str(random.choice(["2*y", "y - x", "tanh(y)"]))
    damage(random, columns)
    restrict(random, options, columns, free, unit, loss, left)
    free = tuple(n for n in free if n not in (options.get("fixed") or {}))
    method(random, options, free, truth)
    flat = tuple(f"{n[:-2]}[{n[-1]}]" if "_" in n else n for n in ordered(body, free))
    return Problem("fit", body, flat, left, columns, options, vectors)


def table(random: np.random.Generator, free: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, float], float]:
    """Columns x (both signs), z (positive), k (constant), the planted parameters, and the unit of y."""
    rows = int(random.choice([1, 2, 3, len(free), len(free) + 1, 12, 12, 40, 40, 120]))
    unit = 10.0 ** float(random.choice([0] * 12 + [-9, -4, 4, 9, -9, -4, 4, 9, -40, 40]))
    wide = 10.0 ** float(random.choice([0] * 10 + [-6, -3, 3, 6]))
    x = random.normal(size=rows) if random.uniform() < 0.6 else np.linspace(-1, 2, rows)
    z = random.uniform(0.05, 3, rows)
    draw = random.uniform()
    if draw < 0.05:
        z = x + 10.0 ** float(-random.integers(2, 11)) * random.normal(size=rows)  # near-collinear
    elif draw < 0.08:
        x = np.full(rows, 2.0)
    elif draw < 0.14:
        keep = random.integers(0, max(1, rows // 4), rows)  # few different rows
        x, z = x[keep], z[keep]
    elif draw < 0.17:
        x = np.round(x)
    truth = {n: float(random.choice([random.normal(), random.uniform(0.2, 2), 1.0])) for n in free}
    return {"x": wide * x, "z": z * float(random.choice([1, 1, wide])), "k": np.full(rows, 3.0)}, truth, unit


def respond(random: np.random.Generator, body: str, columns: dict[str, Any], truth: dict[str, float], loss: str,
            unit: float) -> None:  # fmt: skip
    """The column y: planted with noise, or drawn without a thought for the model."""
    rows = len(columns["x"])
    free = tuple(truth)
    point = Point(Problem("fit", f"({body}) + 0*x", free, "x", columns, {}), np.array([truth[n] for n in free]))
    planted = (
        (columns["x"] - np.broadcast_to(point.residual, (rows,))).astype(float) if point.residual is not None else 0
    )
    planted = planted if np.isfinite(planted).all() else np.zeros(rows)
    spread = float(np.std(planted)) or 1.0
    noise = float(random.choice([0.0, 1e-13, 1e-9, 1e-3, 0.05, 0.05, 0.3, 0.3, 3.0]))
    y = planted + noise * spread * random.normal(size=rows)
    if random.uniform() < 0.2:
        y = random.normal(size=rows) * (random.uniform() < 0.9)
    if random.uniform() < 0.07:
        y[random.integers(rows)] += 10.0 ** float(random.integers(1, 7))
    if loss == "logistic":
        columns["y"] = (random.uniform(size=rows) < 1 / (1 + np.exp(-np.clip(y, -30, 30)))).astype(float)
    elif loss == "poisson":
        columns["y"] = random.poisson(np.clip(np.abs(planted), 0, 1e6), rows)
    elif loss.startswith("gamma"):
        columns["y"] = np.maximum(np.abs(y), 1e-3) * random.gamma(3.0, size=rows) / 3
    else:
        columns["y"] = unit * y


def damage(random: np.random.Generator, columns: dict[str, Any]) -> None:
    """Missing numbers in a few tables, an infinite one in fewer."""
    draw, rows = random.uniform(), len(columns["x"])
    if draw < 0.06:
        for _ in range(random.integers(1, 3)):
            column = str(random.choice(["x", "y", "z"]))
            columns[column] = np.array(columns[column], float)
            columns[column][random.integers(rows)] = math.inf if draw < 0.01 else math.nan


def restrict(random: np.random.Generator, options: dict[str, Any], columns: dict[str, Any], free: tuple[str, ...],
             unit: float, loss: str, left: str | None) -> None:  # fmt: skip
    """Weights, sigma, counts, where, penalty, prior, bounds, fixed parameters and ties."""
    rows = len(columns["x"])
    scalars = tuple(n for n in free if "_" not in n)
    draw = random.uniform()
    if draw < 0.08:
        columns["q"] = random.uniform(0, 2, rows) * (random.uniform(size=rows) < 0.9)
        options["weights"] = "q"
    elif draw < 0.16 and loss in ("squares",) and left is not None:
        columns["err"] = random.uniform(0.1, 2, rows) * unit
        options["sigma"] = "err" if draw < 0.12 else 0.3 * unit
    elif draw < 0.2:
        columns["m"] = random.integers(0, 4, rows)
        options["counts"] = "m"
    if random.uniform() < 0.08:
        options["where"] = str(random.choice(["x > 0", "z < 2", "y >= 0"]))
    draw = random.uniform()
    if draw < 0.08 and scalars:
        one = str(random.choice(scalars))
        options["penalty"] = str(random.choice([f"{one}**2", f"0.1*{one}**4", f"cosh({one})", f"log(1 + {one}**2)"]))
    elif draw < 0.12 and scalars and ("sigma" in options or loss in ("logistic", "poisson", "gamma(0.2)")):
        options["prior"] = {str(random.choice(scalars)): (float(random.normal()), float(random.uniform(0.1, 3)))}
    bound(random, options, scalars)
    if random.uniform() < 0.08 and len(scalars) > 1 and not {"penalty", "prior"} & set(options):
        one, other = map(str, random.choice(scalars, 2, replace=False))
        tie = str(random.choice([other, f"2*{other}", f"exp({other})"]))
        options["fixed"] = {one: tie if random.uniform() < 0.6 else float(random.normal())}
        options.get("bounds", {}).pop(one, None)
    if random.uniform() < 0.06 and loss != "rmse":
        options["reduce"] = "sum"
    if random.uniform() < 0.1 and loss not in ("absolute", "quantile(0.3)"):
        options["errors"] = str(random.choice(["hessian", "sandwich"]))


def bound(random: np.random.Generator, options: dict[str, Any], names: tuple[str, ...]) -> None:
    """Bounds on some of the parameters."""
    if random.uniform() < 0.2:
        options["bounds"] = {}
        for name in names:
            if random.uniform() < 0.6:
                low, high = np.sort(random.normal(size=2)) * float(random.choice([0.3, 1, 5]))
                options["bounds"][name] = [(float(low), None), (None, float(high)), (0, None),
                                           (float(low), float(high))][random.integers(4)]  # fmt: skip


def method(random: np.random.Generator, options: dict[str, Any], free: tuple[str, ...],
           truth: dict[str, float]) -> None:  # fmt: skip
    """The method, and where it starts: nowhere said, near the truth, far from it, at 0."""
    name = str(random.choice(["auto"] * 9 + ["gauss-newton", "newton", "lbfgs", "lbfgs", "gd", "adam"]))
    residual = options.get("loss", "squares") in ("squares", "rmse")
    options["method"] = "newton" if name == "gauss-newton" and not residual else name
    if name in ("gd", "adam"):
        options["stop"] = steepest.Stop(passes=300)
        options["scale"] = "auto" if name == "gd" and random.uniform() < 0.5 else None
    draw = random.uniform()
    scalars = [n for n in free if "_" not in n]
    if draw < 0.55 and scalars:
        far = float(random.choice([0.0, 0.1, 1.0, 10.0]))
        options["start"] = {
            n: 0.0 if draw < 0.04 else truth.get(n, 1.0) + far * float(random.normal()) for n in scalars
        }
    if random.uniform() < 0.08:
        options["restarts"] = int(random.integers(1, 6))


def expression(random: np.random.Generator, depth: int, leaves: tuple[str, ...]) -> str:
    """Any formula at all."""
    if depth == 0:
        return str(random.choice(leaves))

    def inner() -> str:
        return expression(random, depth - 1, leaves)

    kind = random.integers(11)
    if kind < 5:
        return f"({inner()} {random.choice(['+', '-', '*', '*'])} {inner()})"
    if kind == 5:
        return f"({inner()}/{inner()})"
    if kind == 6:
        return f"{random.choice(CALLS)}({inner()})"
    if kind == 7:
        return f"exp(-({inner()}))"
    if kind == 8:
        return f"({inner()})**{random.integers(2, 4)}"
    if kind == 9:
        return f"{random.choice(['min', 'max'])}({inner()}, {inner()})"
    return f"where({inner()} > {inner()}, {inner()}, {inner()})"


def named(body: str) -> list[str]:
    """The names of a text in the order in which they appear."""
    known = {*CALLS, "min", "max", "where", "cosh"}
    return [n for n in dict.fromkeys(re.findall(r"[a-zA-Z]\w*", body)) if n not in known]


def ordered(body: str, free: tuple[str, ...]) -> tuple[str, ...]:
    """The free names in the order of the text."""
    return tuple(n for n in named(body) if n in free)


@dataclass(frozen=True)
class Found:
    """How a case went: its verdict, and what the judge has to say against it."""

    status: str
    against: tuple[tuple[str, str], ...] = ()
    message: str = ""


def tried(problem: Problem, random: np.random.Generator) -> Found:
    """Run one problem and judge its answer."""
    options = {k: v for k, v in problem.options.items() if v is not None}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor: what else runs here does not count
        try:
            if problem.verb == "fit":
                fit = steepest.fit(problem.formula, problem.data, **options)
            else:
                fit = getattr(steepest, problem.verb)(problem.formula, **options)
            fit.text()
        except steepest.SteepestError as error:
            return Found("refused", _leaked(heard), str(error))
        except Late:
            return Found("late", (("crash", f"more than {SECONDS} s"),))
        except Exception:
            return Found("crash", (("crash", traceback.format_exc(limit=-3)),))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judged = tuple(against(problem, fit, random))
    return Found(str(fit.status), (*_leaked(heard), *judged), fit.message)


def _leaked(heard: list[warnings.WarningMessage]) -> tuple[tuple[str, str], ...]:
    return tuple(("crash", f"{w.category.__name__}: {w.message}") for w in heard if w.category is not UserWarning)


def against(problem: Problem, fit: steepest.Fit, random: np.random.Generator) -> Iterator[tuple[str, str]]:
    """What is wrong with an answer, as (kind, sentence)."""
    if fit.free != problem.free:
        yield "crash", f"free parameters {fit.free}, not {problem.free}"
        return
    theta = np.array([fit.flat_values()[n] for n in fit.free], float)
    point = Point(problem, theta)
    sign = -1.0 if problem.verb == "maximize" else 1.0
    if problem.data is not None and fit.rows != problem.rows:
        yield "false", f"{fit.rows} rows, not {problem.rows}"
    if fit.ok and not point.finite:
        yield "false", "the derivatives are not finite at the answer"
        return
    off = abs(sign * fit.total - float(point.total))
    if fit.ok and off > 1e-9 * (point.size + point.signal) + 1e3 * point.noise + point.least:
        yield "false", f"T is {float(point.total)!r}, not {fit.total!r}"
    lower, upper = problem.bounds
    if ((theta < lower) | (theta > upper)).any():
        yield "false", "a parameter is outside its bounds"
    if fit.errors is not None and not fit.ok:
        yield "errors", "errors beside a verdict that is not converged"
    if fit.ok:
        yield from _converged(problem, fit, point, random)
    elif problem.options.get("method") in SEARCHING and "stop" not in problem.options and point.finite:
        yield from _weak(problem, fit, point)


def _converged(
    problem: Problem, fit: steepest.Fit, point: Point, random: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """A minimum, the only one where that is said, with the errors that it has."""
    step, gap, weakest = point.newton()
    far = float(np.max(np.abs(step) / point.sizes, initial=0.0))
    allowed, rounding = point.allowed(), point.rounding()
    smooth = problem.loss[0] not in KINKED and point.margin > 1e-9
    if smooth and gap > 100 * allowed + rounding + 1e-15 * point.size and far > 1e-6:
        yield "false", f"no minimum: the gap is {gap:.3g} of {allowed:.3g}, a Newton step {far:.3g} of the sizes"
    if smooth and not point.exact and weakest < -1e-7:
        yield "false", f"no minimum: an eigenvalue is {weakest:.3g} of the largest"
    if smooth and problem.data is not None and not point.beyond and point.rank < 1e-16:
        yield "false", f"the data do not determine the parameters: σmin/σmax is {point.rank:.3g}"
    tolerance = 1e3 * allowed + rounding + 1e-14 * point.size + 1e3 * point.noise
    tolerance += 1e-12 * float(point.sizes @ np.abs(point.hessian) @ point.sizes)
    for spread in (1e-3, 0.05):
        there = searched(point, spread, 0.3, random)
        if there.total < point.total - tolerance and slopes_down(point, there, tolerance):
            yield "false", f"{float(point.total - there.total):.3g} lower beside it, at {there.theta.tolist()}"
            break
    if "the minimum" in fit.message or "the maximum" in fit.message:
        for spread in (1.0, 30.0):
            there = searched(point, spread, math.inf, random)
            if there.total < point.total - tolerance:
                yield "false", f"not the lowest: {float(point.total - there.total):.3g} lower at {there.theta.tolist()}"
                break
    if problem.data is not None:
        yield from _errors(problem, fit, point)


def _errors(problem: Problem, fit: steepest.Fit, point: Point) -> Iterator[tuple[str, str]]:
    wanted = errors(point, problem.options.get("errors", "auto"))
    if wanted is None or fit.errors is None:
        if (wanted is None) != (fit.errors is None):
            yield "errors", f"errors {fit.errors}, not {wanted} ({fit.reason})"
        return
    given = np.sqrt(np.diag(fit.covariance))
    allowed = 1e-4 + 1e-13 / max(point.rank, 1e-100) ** 2
    close = np.abs(given - wanted) <= allowed * wanted + 1e-11 * np.abs(point.theta)  # below, residuals are rounding
    if not close.all() and not point.exact:
        yield "errors", f"errors {given.tolist()}, not {wanted.tolist()}"


def _weak(problem: Problem, fit: steepest.Fit, point: Point) -> Iterator[tuple[str, str]]:
    """A verdict that says less than it could."""
    if _strict(point) and _there(point):
        yield "weak", "here is a strict minimum"
    elif fit.status == "unidentifiable":
        idle = [i for i, name in enumerate(problem.free) if f"{name} has no effect" in fit.message]
        moved = Point(problem, np.where(np.isin(np.arange(len(point.theta)), idle), 2.0, 1.0) * point.theta)
        alike = idle and abs(float(moved.total - point.total)) <= 1e-12 * point.size
        if point.rank > 1e-7 and "separated" not in fit.message and not alike:
            yield "weak", f"σmin/σmax is {point.rank:.3g}"
    else:
        start, begin = problem.options.get("start") or {}, [point]
        if all(n in start for n in problem.free):
            begin.append(Point(problem, np.clip([start[n] for n in problem.free], *problem.bounds)))
        for place in begin:
            there = descended(place)
            far = np.abs(there.theta) > 1e4 * np.maximum(1.0, np.abs(place.theta))
            if not far.any() and _strict(there) and _there(there):
                yield "weak", f"Newton's method from {place.theta.tolist()} ends in a minimum, {there.theta.tolist()}"
                break


def _there(point: Point) -> bool:
    """Whether the point is as near to a minimum as "converged" asks."""
    step, gap, _ = point.newton()
    far = np.abs(step) / point.sizes
    return bool((gap <= point.allowed() + 1e-3 * point.rounding() and np.all(far <= 1e-3)) or np.all(far <= 1e-8))


def _strict(point: Point) -> bool:
    """A Hessian that is positive beyond doubt, away from kinks, and parameters that the data determine."""
    return point.finite and point.margin > 1e-9 and point.newton()[2] > 1e-8 and point.rank > 1e-6


def _late(*_: Any) -> None:
    raise Late


Odd = list[tuple[int, Problem, Found]]


def run(seed: int, numbers: Iterable[int], show: bool = False) -> tuple[Counter[str], Counter[tuple[str, str]], Odd]:
    """How often each verdict came, how often the judge objects to it in which way, and these cases."""
    verdicts: Counter[str] = Counter()
    objections: Counter[tuple[str, str]] = Counter()
    odd: Odd = []
    before = signal.signal(signal.SIGPROF, _late)
    for number in numbers:
        problem = drawn(seed, number)
        found = tried(problem, np.random.default_rng([seed, number, 1]))
        verdicts[found.status] += 1
        objections.update((found.status, kind) for kind in {kind for kind, _ in found.against})
        if found.against:
            odd.append((number, problem, found))
            if show:
                shown(number, problem, found)
    signal.signal(signal.SIGPROF, before)
    return verdicts, objections, odd


def shown(number: int, problem: Problem, found: Found) -> None:
    """One case in a few lines."""
    rows = "" if problem.data is None else f"  ({len(problem.data['x'])} rows)"
    print(f"[{number}] {problem.verb} {problem.formula}{rows}  {problem.options}")
    print(f"    {found.status}: {found.message}")
    for kind, sentence in found.against:
        print(f"    {kind.upper()}: {sentence}")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", type=int, help="one case, by its number")
    parser.add_argument("--show", action="store_true", help="print the cases the judge objects to as they come")
    asked = parser.parse_args()
    numbers = range(asked.first, asked.first + asked.cases) if asked.only is None else [asked.only]
    verdicts, objections, odd = run(asked.seed, numbers, asked.show)
    print(f"{'verdict':<16} {'cases':>6} " + " ".join(f"{kind:>7}" for kind in KINDS))
    for verdict, cases in verdicts.most_common():
        print(f"{verdict:<16} {cases:>6} " + " ".join(f"{objections[verdict, kind]:>7}" for kind in KINDS))
    total = [sum(objections[verdict, kind] for verdict in verdicts) for kind in KINDS]
    print(f"{'all':<16} {verdicts.total():>6} " + " ".join(f"{n:>7}" for n in total))
    print(
        f"\nfalse converged, wrong errors, crashes: {sum(total[:3])} of {verdicts.total()}; weak verdicts: {total[3]}"
    )
    for case in odd if not asked.show else []:
        shown(*case)
    return int(sum(total[:3]) > 0)


if __name__ == "__main__":
    sys.exit(main())
