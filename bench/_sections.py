"""What is measured in the project's own environment: each section is a process of its own and returns plain numbers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _c import NoCompiler, read_limit
from _cases import CASES, Case, Data, Pass
from _contenders import HERE
from _timing import in_turn, seconds

WIDTHS = (10, 30, 100)  # parameters of the linear models
MATRIX_ROWS = 1_000_000  # of the largest matrices: 800 MB at 100 columns
BUILD_ROWS = 100_000  # enough for machine code to be chosen
START = {"a": 4.0, "b": 1.0, "c": 0.0}


def passes(rows: int, rounds: int, names: Sequence[str] = tuple(CASES)) -> dict[str, Any]:
    """Loss and gradient of every formula: steepest, the C loop, NumPy, and the read limit, in turn in one process."""
    return {name: one_pass(CASES[name], rows, rounds, HERE) for name in names}


def narrow(rows: int, rounds: int) -> dict[str, Any]:
    """The first formula alone: for a process in which the processor's features are forced down."""
    return one_pass(CASES["exp"], rows, rounds, {"steepest": HERE["steepest"]})


def one_pass(case: Case, rows: int, rounds: int, contenders: dict[str, Callable[..., Any]]) -> dict[str, Any]:
    data, theta = case.data(rows), np.array(case.theta)
    calls: dict[str, Callable[[], Any]] = {"read": read_limit([data[n] for n in case.columns])}
    answers: dict[str, Pass] = {}
    for name, make in contenders.items():
        try:
            call = make(case, data)
        except NoCompiler:
            continue
        answers[name] = call(theta)
        calls[name] = lambda call=call: call(theta)
    times = in_turn(calls, rounds)
    apart = {name: difference(answer, answers["steepest"]) for name, answer in answers.items()}
    loss, gradient = answers["steepest"]
    return {"times": times, "apart": apart, "loss": float(loss), "gradient": [float(g) for g in gradient]}


def difference(one: Sequence[Any], other: Sequence[Any]) -> float:
    """The largest relative difference of loss and gradient (the gradient by its largest element)."""
    mine, theirs = np.asarray(one[1]), np.asarray(other[1])
    return float(max(abs(one[0] / other[0] - 1.0), np.max(np.abs(mine - theirs)) / np.max(np.abs(theirs))))


# the normal matrix ---------------------------------------------------------------------------------------------------


def normal_pass(function: Any, theta: np.ndarray) -> Callable[[], Any]:
    """The pass with JᵀJ: what Gauss-Newton asks for."""
    from steepest.types import Need

    return lambda: function._surface.at(theta, Need.NORMAL)


def linear(rows: int, width: int, order: str) -> Data:
    random = np.random.default_rng(width)
    shape = (rows, width) if order == "C" else (width, rows)
    X = random.standard_normal(shape)
    X = X if order == "C" else X.T
    return {"X": X, "y": X @ np.linspace(-1.0, 1.0, width) + 0.1 * random.standard_normal(rows)}


def normal(rows: int, rounds: int) -> dict[str, Any]:
    """With JᵀJ beside without; and linear models beside NumPy's product of a matrix that is there already."""
    import steepest

    case = CASES["exp"]
    function, theta = HERE["steepest"](case, case.data(rows)), np.array(case.theta)
    with_normal = normal_pass(function, theta)
    calls = {"gradient": lambda: function(theta), "normal": with_normal}
    for call in calls.values():
        call()
    found: dict[str, Any] = {"3": in_turn(calls, rounds)}
    for width in WIDTHS:
        calls = {}
        for order in "CF":
            data = linear(min(rows, MATRIX_ROWS), width, order)
            one = steepest.function("y = X @ B", data, reduce="sum")
            calls[f"steepest, {order}"] = normal_pass(one, np.zeros(width))
            calls[f"NumPy, {order}"] = lambda A=data["X"]: A.T @ A
        for call in calls.values():
            call()
        found[str(width)] = in_turn(calls, rounds)
    return found


# from text to machine code -------------------------------------------------------------------------------------------


COMMON = ("exp", "sin", "cos")
OTHERS = ("tanh", "atan", "expm1", "sigmoid", "softplus")


def fresh(outer: Sequence[str]) -> list[str]:
    """Formulas of a, b, c and x, each of another shape, in random order."""
    inner = ["-b*x", "b*x/4", "b*(x - 1)/4", "-b*x**2/9", "b/(1 + x)"]
    last = ["a*{} + c", "a + c*{}", "a*({} + c)**2", "a*{} - c*x"]
    shapes = itertools.product(last, outer, inner)
    texts = ["y = " + end.format(f"{call}({u})") for end, call, u in shapes]
    return np.random.default_rng(1).permutation(texts).tolist()


def peaks(count: int, variant: int) -> str:
    """A sum of Gaussians with a background; every variant is another formula."""
    terms = [f"a{i}*exp(-(x - m{i})**2/({variant + 2}*s{i}**2))" for i in range(count)]
    return "y = " + " + ".join(terms) + " + c" * (count != 10)


def build(rows: int, rounds: int) -> dict[str, list[float]]:
    """Seconds from the row sums of a new formula to machine code, in a warm process: the slower of the two kernels
    that a fit is made of, loss and gradient, and JᵀJ."""
    import steepest
    from steepest.kernels.native import NativeKernel
    from steepest.types import Need

    random = np.random.default_rng(1)
    data = {"x": random.uniform(0.0, 5.0, BUILD_ROWS), "y": random.uniform(0.0, 1.0, BUILD_ROWS)}

    def one(formula: str) -> float:
        objective = steepest.function(formula, data, reduce="sum")._surface.objective
        columns = [data[name] for name in objective.columns]
        sums = [objective.rows(need) for need in (Need.GRADIENT, Need.NORMAL)]
        return max(seconds(lambda s=s: NativeKernel(s).loop(columns)) for s in sums)

    formulas = {
        "3": fresh(COMMON)[: rounds + 1],
        "30": [peaks(10, variant) for variant in range(rounds + 1)],
        "100": [peaks(33, variant) for variant in range(rounds + 1)],
    }
    return {size: [one(formula) for formula in texts][1:] for size, texts in formulas.items()}


def first_answer(rows: int, rounds: int) -> list[float]:
    """Seconds from the text of a formula not seen before to loss and gradient over 100 rows, in a warm process."""
    import steepest

    random = np.random.default_rng(2)
    data = {"x": random.uniform(0.0, 5.0, 100), "y": random.uniform(0.0, 1.0, 100)}
    theta = np.array([1.1, 0.9, 0.8])
    texts = fresh(COMMON + OTHERS)[: 2 * rounds + 3]
    return [seconds(lambda t=text: steepest.function(t, data, reduce="sum")(theta)) for text in texts][3:]


# a whole fit ---------------------------------------------------------------------------------------------------------


def fits(rows: int, rounds: int) -> dict[str, Any]:
    """A fit with a given start, beside SciPy's curve_fit, which differentiates numerically or by a given Jacobian."""
    from scipy.optimize import curve_fit

    import steepest

    def model(x: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        return a * np.exp(-b * x) + c

    def jacobian(x: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        e = np.exp(-b * x)
        return np.stack([e, -a * x * e, np.ones_like(x)], axis=1)

    found = {}
    for n in sorted({100, 10_000, rows // 10, rows}):
        d = CASES["exp"].data(n)
        p0 = list(START.values())
        calls: dict[str, Callable[[], Any]] = {
            "steepest": lambda d=d: steepest.fit("y = a*exp(-b*x) + c", d, start=START),
            "curve_fit": lambda d=d, p0=p0: curve_fit(model, d["x"], d["y"], p0),
            "curve_fit, Jacobian given": lambda d=d, p0=p0: curve_fit(model, d["x"], d["y"], p0, jac=jacobian),
        }
        answers = {name: call() for name, call in calls.items()}
        mine = list(answers["steepest"].values.values())
        apart = float(np.max(np.abs(mine - answers["curve_fit"][0])))
        times = in_turn(calls, rounds if n <= 1_000_000 else min(rounds, 3), again=False)
        found[str(n)] = {"times": times, "apart": apart, "passes": answers["steepest"].passes}
    return found


# bits ----------------------------------------------------------------------------------------------------------------


def digests(rows: int, rounds: int) -> dict[str, dict[str, str]]:
    """A digest of loss, gradient and JᵀJ of every formula, for several ways to hold the same data."""
    import steepest
    from steepest.types import Need

    def digest(formula: str, data: Data, theta: np.ndarray, needs: Sequence[Need]) -> str:
        function = steepest.function(formula, data, reduce="sum")
        found = hashlib.sha256()
        for need in needs:
            evaluation = function._surface.at(theta, need)
            found.update(np.float64(evaluation.total).tobytes() + evaluation.slope.tobytes())
            found.update(b"" if evaluation.curvature is None else evaluation.curvature.tobytes())
        return found.hexdigest()[:12]

    def strided(column: np.ndarray) -> np.ndarray:
        wide = np.full((len(column), 3), np.nan)
        wide[:, 1] = column
        return wide[:, 1]

    n = min(rows, 1_000_000) + 7
    found = {}
    for case in CASES.values():
        made = case.data(n)
        narrow = {name: made[name].astype(np.float32) for name in case.columns}
        plain = {name: column.astype(np.float64) for name, column in narrow.items()}
        views = {name: strided(column) for name, column in plain.items()}
        backwards = {name: column[::-1].copy()[::-1] for name, column in plain.items()}
        residual = case.formula.startswith("y =")
        needs = [Need.GRADIENT, Need.NORMAL] if residual else [Need.GRADIENT, Need.HESSIAN]
        ways = {"plain": plain, "strides": views, "backwards": backwards, "float32": narrow}
        found[case.name] = {way: digest(case.formula, d, np.array(case.theta), needs) for way, d in ways.items()}
    for width in (10, 40):
        d, theta = linear(200_007, width, "C"), np.zeros(width)
        other = d | {"X": np.asfortranarray(d["X"])}
        ways = {"plain": d, "other order": other}
        needs = [Need.GRADIENT, Need.NORMAL]
        found[f"X @ B, {width}"] = {way: digest("y = X @ B", one, theta, needs) for way, one in ways.items()}
    return found


# memory --------------------------------------------------------------------------------------------------------------


def memory(rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """MB beyond the data and `import steepest`, at the peak and thereof code mapped from files: of a call over few
    rows, which loads the compiler, then of a call and of a fit over all rows."""
    import steepest

    data = CASES["exp"].data(rows)
    few = {name: column[:BUILD_ROWS].copy() for name, column in data.items()}
    formula, theta = "y = a*exp(-b*x) + c", np.array([4.0, 1.1, 0.3])
    base, code = resident("VmRSS"), resident("RssFile")
    found = {}
    for name, call in {
        "few": lambda: steepest.function(formula, few)(theta),
        "call": lambda: steepest.function(formula, data)(theta),
        "fit": lambda: steepest.fit(formula, data, start=START),
    }.items():
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        call()
        found[name] = {"peak": resident("VmHWM") - base, "code": resident("RssFile") - code}
    return found


def resident(entry: str) -> float:
    """VmRSS, VmHWM (the peak) or RssFile of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(entry + ":"))


# growth --------------------------------------------------------------------------------------------------------------


def growth(rows: int, rounds: int) -> dict[str, Any]:
    """Seconds of a pass by rows, to ten times the rows, and by parameters."""
    return {"rows": by_rows(rows * 10, rounds), "linear": by_width(rounds), "peaks": by_peaks(rounds)}


def by_rows(most: int, rounds: int) -> dict[str, dict[str, float]]:
    case = CASES["exp"]
    theta = np.array(case.theta)
    found = {}
    for n in [10**k for k in range(3, len(str(most))) if 10**k <= most]:
        base = case.data(min(n, 10**7))
        data = {name: np.tile(column, n // len(column)) if n > len(column) else column for name, column in base.items()}
        del base
        calls: dict[str, Callable[[], Any]] = {"read": read_limit([data[name] for name in case.columns])}
        for name, make in HERE.items():
            if name.startswith("NumPy") and n > 10**7:
                continue
            try:
                call = make(case, data)
            except NoCompiler:
                continue
            calls[name] = lambda call=call: call(theta)
        for call in calls.values():
            call()
        found[str(n)] = in_turn(calls, rounds if n <= 10**7 else min(rounds, 5))
    return found


def by_width(rounds: int, rows: int = 200_000) -> dict[str, dict[str, float]]:
    """The linear model: gradient and JᵀJ beside NumPy's."""
    import steepest

    found = {}
    for width in (1, 2, 5, 10, 20, 50, 100):
        data = linear(rows, width, "C")
        X, y, theta = data["X"], data["y"], np.zeros(width)
        function = steepest.function("y = X @ B", data, reduce="sum")
        calls = {
            "steepest": lambda function=function, theta=theta: function(theta),
            "steepest, with JᵀJ": normal_pass(function, theta),
            "NumPy": lambda X=X, y=y, theta=theta: (X @ theta - y) @ X,
            "NumPy, A.T @ A alone": lambda X=X: X.T @ X,
        }
        for call in calls.values():
            call()
        found[str(width)] = in_turn(calls, rounds)
    return found


def by_peaks(rounds: int, rows: int = 200_000) -> dict[str, dict[str, float]]:
    """Sums of Gaussians, of three parameters each: loss and gradient."""
    import steepest

    random = np.random.default_rng(3)
    data = {"x": random.uniform(0.0, 10.0, rows), "y": random.uniform(0.0, 1.0, rows)}
    found = {}
    for count in (1, 3, 10, 33):
        function = steepest.function(peaks(count, 0), data, reduce="sum")
        theta = np.linspace(0.5, 1.5, len(function.names))
        function(theta)
        found[str(len(theta))] = in_turn({"steepest": lambda f=function, t=theta: f(t)}, rounds)
    return found


SECTIONS: dict[str, Callable[[int, int], Any]] = {
    function.__name__: function
    for function in (passes, narrow, normal, build, first_answer, fits, digests, memory, growth)
}
