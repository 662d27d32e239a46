"""What is measured of batches and steps in the project's own environment: a process for each section."""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _c import NoCompiler
from _epochs_c import bare_read, epoch_in_c
from _epochs_data import BATCH, FORMULAS, RATES, hold_to_one_core, logistic, loss, minimiser, regression
from _epochs_scale import scale
from _nist import MOST, STARTS, digits, problems
from _timing import in_turn, seconds

PASSES = (9, 15)  # fits look at the whole between passes 1, 2, 4, 8, 16: the difference of these holds epochs alone
SINGLE_PASSES = (5, 7)
MOMENTUM = "v = 0.9*v + g; theta = theta - rate*v"
STEPS, STEP_RATE, NUMPY_STEPS = 5000, 0.001, 20
CLOSE = 1e-6
MOST_PASSES = 64
#: rates under which batches come near the minimum: falling, else they hover around it
FALLING = {"adam": "0.05/(1 + epoch)**2", "gd": "0.2/(1 + step/100)"}


def fit(model: str, X: np.ndarray, y: np.ndarray, **options: Any) -> Any:
    import steepest

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return steepest.fit(FORMULAS[model], {"X": X, "y": y}, start={"B": np.zeros(X.shape[1])}, **options)


def batches_of(X: np.ndarray, y: np.ndarray, passes: int, **options: Any) -> Any:
    from steepest import Stop

    return fit("linear", X, y, stop=Stop(passes=passes), **options)


def epoch_time(few: float, many: float, passes: tuple[int, int]) -> float:
    return (many - few) / (passes[1] - passes[0])


def epochs(
    X: np.ndarray,
    y: np.ndarray,
    rounds: int,
    passes: tuple[int, int],
    every: dict[str, Any],
    beside: dict[str, Callable[[], float]] | None = None,
) -> dict[str, float]:
    """Seconds of an epoch in each way: set-up, compilation and the looks at all rows are the same in both fits.

    `beside` gives seconds of others, which are taken before every pair of fits, so that all meet the same machine.
    """
    for options in every.values():
        batches_of(X, y, 1, **options)
    taken: dict[str, list[float]] = {name: [] for name in [*(beside or {}), *every]}
    for _ in range(rounds):
        for name, options in every.items():
            for other, measure in (beside or {}).items():
                taken[other].append(measure())
            pair = [seconds(lambda k=k, o=options: batches_of(X, y, k, **o)) for k in passes]
            taken[name].append(epoch_time(pair[0], pair[1], passes))
    return {name: statistics.median(values) for name, values in taken.items()}


def second_of_two(call: Callable[[], Any]) -> float:
    call()
    return seconds(call)


def batches(rows: int, rounds: int) -> dict[str, Any]:
    """Batches of 32 on one thread: gd and adam, in order and shuffled; the C loop and a bare read."""
    hold_to_one_core()
    X, y = regression(rows)
    options = {
        f"{rule} {way}": {"method": rule, "batch": BATCH, "rate": RATES[rule], "shuffle": way == "shuffled"}
        for rule in RATES
        for way in ("in order", "shuffled")
    }
    calls: dict[str, Callable[[], Any]] = {"read": bare_read(X, y)}
    mine = batches_of(X, y, 1, **options["gd in order"]).values["B"]
    found: dict[str, Any] = {"theta": np.asarray(mine).tolist()}
    try:
        calls["C"] = epoch_in_c(X, y, BATCH, RATES["gd"])
        found["C apart"] = float(np.max(np.abs(calls["C"]() - mine)) / np.max(np.abs(mine)))
    except NoCompiler as error:
        found["no C"] = str(error)[:80]
    beside = {name: partial(second_of_two, call) for name, call in calls.items()}
    return found | epochs(X, y, rounds, PASSES, options, beside)


def single(rows: int, rounds: int) -> dict[str, Any]:
    """Every row a step, beside scikit-learn's SGDRegressor with the same steps: squares, no penalty, constant rate."""
    hold_to_one_core()
    X, y = regression(rows)
    ways = {"in order": False, "shuffled": True}
    options = {way: {"method": "sgd", "batch": 1, "rate": RATES["gd"], "shuffle": on} for way, on in ways.items()}
    found: dict[str, Any] = {"steepest": epochs(X, y, rounds, SINGLE_PASSES, options)}
    try:
        import sklearn
        from sklearn.linear_model import SGDRegressor
    except ImportError:
        return found | {"absent": "not installed"}

    def theirs(shuffle: bool, passes: int) -> np.ndarray:
        model = SGDRegressor(
            penalty=None, learning_rate="constant", eta0=RATES["gd"], fit_intercept=False, average=False,
            shuffle=shuffle, max_iter=passes, tol=None, random_state=0,
        )  # fmt: skip
        return model.fit(X, y).coef_

    mine = np.asarray(batches_of(X, y, 1, **options["in order"]).values["B"])
    found["apart"] = float(np.max(np.abs(theirs(False, 1) - mine)) / np.max(np.abs(mine)))
    found |= {"scikit-learn": {}, "versions": {"scikit-learn": sklearn.__version__}}
    for way, on in ways.items():
        pairs = [[seconds(lambda k=k, on=on: theirs(on, k)) for k in (1, 3)] for _ in range(rounds)]
        found["scikit-learn"][way] = statistics.median(epoch_time(*pair, (1, 3)) for pair in pairs)
    return found


def text(rows: int, rounds: int) -> dict[str, float]:
    """A rule written as text beside the same that is built in: momentum, batches of 32 in order."""
    hold_to_one_core()
    X, y = regression(rows)
    common = {"batch": BATCH, "rate": RATES["gd"], "shuffle": False}
    every = {name: {"method": rule, **common} for name, rule in {"built in": "momentum", "text": MOMENTUM}.items()}
    return epochs(X, y, rounds, PASSES, every)


def steps(rows: int, rounds: int) -> dict[str, Any]:
    """5,000 steps of gradient descent on all rows; NumPy reads them every time, and is measured for 20 steps."""
    from steepest import Stop

    X, y = regression(rows)

    def mine(count: int) -> Any:
        return fit("linear", X, y, method="gd", rate=STEP_RATE, stop=Stop(steps=count))

    def numpy_loop(count: int) -> np.ndarray:
        b = np.zeros(X.shape[1])
        for _ in range(count):
            b = b - STEP_RATE * (X.T @ (X @ b - y) / len(y))
        return b

    def numpy_sums(count: int) -> np.ndarray:
        H, g, b = X.T @ X / len(y), X.T @ y / len(y), np.zeros(X.shape[1])
        for _ in range(count):
            b = b - STEP_RATE * (H @ b - g)
        return b

    whole = mine(STEPS)
    pairs = [(mine(NUMPY_STEPS).values["B"], numpy_loop(NUMPY_STEPS)), (whole.values["B"], numpy_sums(STEPS))]
    apart = [float(np.max(np.abs(np.asarray(a) - b)) / np.max(np.abs(b))) for a, b in pairs]
    times = in_turn({"steepest": lambda: mine(STEPS)}, rounds)
    loops = [seconds(lambda: numpy_loop(NUMPY_STEPS)) for _ in range(min(rounds, 3))]
    return times | {
        "NumPy": statistics.median(loops) * STEPS / NUMPY_STEPS, "apart": apart[0], "apart at the end": apart[1],
        "steps": whole.steps,
    }  # fmt: skip


def nist_linear(rows: int, rounds: int) -> dict[str, Any]:
    """Digits of NIST's linear problems by `auto` from each start, the least of them, and the columns' condition."""
    import steepest

    found = {}
    for problem in problems("linear"):
        names, reached, status = problem["parameters"], {}, []
        for start in STARTS["linear"]:
            answer = steepest.fit(problem["formula"], problem["data"], start=dict.fromkeys(names, start))
            values = [float(answer.values[name]) for name in names]
            reached[f"{start:g}"] = digits(values, problem["certified"], MOST["linear"])
            status.append(str(answer.status))
        found[problem["name"]] = {
            "from": reached,
            "digits": min(reached.values()),
            "condition": float(np.linalg.cond(design(problem))),
            "parameters": len(names),
            "status": ", ".join(dict.fromkeys(status)),
        }
    return found


def design(problem: dict[str, Any]) -> np.ndarray:
    """The matrix of a model that is linear in its parameters."""
    data = {name: np.asarray(column, dtype=float) for name, column in problem["data"].items()}
    rows = problem["n"]
    columns = []
    for chosen in problem["parameters"]:
        names = data | {name: float(name == chosen) for name in problem["parameters"]}
        column = eval(problem["model"], {"__builtins__": {}}, names)  # noqa: S307  a formula of our own files
        columns.append(np.broadcast_to(column, rows))
    return np.stack(columns, axis=1)


# seconds to the minimum ----------------------------------------------------------------------------------------------


def reach(rows: int, rounds: int) -> dict[str, Any]:
    """Seconds until the mean loss lies within 1e-6 of its minimum, on two threads, from zeros."""
    found = {}
    for model, make in {"linear": regression, "logistic": logistic}.items():
        X, y = make(rows)
        lowest = loss(model, X, y, minimiser(model, X, y))
        found[model] = reached(model, X, y, lowest)
    return found


def reached(model: str, X: np.ndarray, y: np.ndarray, lowest: float) -> dict[str, Any]:
    from steepest import Stop

    auto = timed(lambda: fit(model, X, y).values["B"], 3)
    descent = timed(lambda: fit(model, X, y, method="gd", stop=Stop(loss=lowest + CLOSE)).values["B"], 3)
    found = {"steepest, auto": auto, "steepest, gd": descent}
    for rule, rate in FALLING.items():
        for batch in (32, 256):
            found[f"steepest, {rule}, batches of {batch}"] = by_batches(model, X, y, lowest, rule, rate, batch)
    found |= theirs(model, X, y)
    for one in found.values():
        if "theta" in one:
            one["excess"] = loss(model, X, y, one.pop("theta")) - lowest
    return found


def timed(call: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """After a call that is not counted."""
    theta = call()
    return {"time": statistics.median(seconds(call) for _ in range(repeats)), "theta": np.asarray(theta)}


def by_batches(
    model: str, X: np.ndarray, y: np.ndarray, lowest: float, rule: str, rate: str, batch: int
) -> dict[str, Any]:
    """The time of a fit of 1, 2, 4, ... passes: the first that comes near enough."""
    from steepest import Stop

    def run(passes: int) -> Any:
        return fit(model, X, y, method=rule, batch=batch, rate=rate, stop=Stop(passes=passes)).values["B"]

    run(1)
    passes = 1
    while True:
        begun = time.perf_counter()
        theta = run(passes)
        taken = time.perf_counter() - begun
        above = loss(model, X, y, np.asarray(theta)) - lowest
        if above <= CLOSE or passes >= MOST_PASSES:
            return {"time": taken, "excess": above, "passes": passes, "rate": rate}
        passes *= 2


def theirs(model: str, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """scikit-learn, and SciPy with our gradient and with NumPy's."""
    return scipy(model, X, y) | sklearn(model, X, y)


def scipy(model: str, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    from scipy.optimize import minimize

    import steepest

    def by_numpy(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = X @ theta
        if model == "linear":
            return float(np.mean(0.5 * (z - y) ** 2)), X.T @ (z - y) / len(y)
        return float(np.mean(np.logaddexp(0.0, z) - y * z)), X.T @ (1.0 / (1.0 + np.exp(-z)) - y) / len(y)

    def lowest(of: Callable[[np.ndarray], tuple[float, np.ndarray]]) -> np.ndarray:
        found = minimize(of, np.zeros(X.shape[1]), jac=True, method="L-BFGS-B", options={"gtol": 1e-4, "ftol": 0.0})
        return np.asarray(found.x)

    def ours() -> np.ndarray:
        return lowest(steepest.function(FORMULAS[model], {"X": X, "y": y}))

    return {"SciPy, steepest.function": timed(ours, 3), "SciPy, NumPy": timed(lambda: lowest(by_numpy), 3)}


def sklearn(model: str, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    try:
        from sklearn.linear_model import LinearRegression, LogisticRegression
    except ImportError:
        return {"scikit-learn": {"absent": "not installed"}}
    if model == "linear":
        return {
            "scikit-learn, LinearRegression": timed(lambda: LinearRegression(fit_intercept=False).fit(X, y).coef_, 3)
        }

    def coefficients(solver: str) -> np.ndarray:
        return LogisticRegression(C=math.inf, fit_intercept=False, solver=solver).fit(X, y).coef_[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            f"scikit-learn, LogisticRegression ({solver})": timed(partial(coefficients, solver), 3)
            for solver in ("lbfgs", "newton-cholesky")
        }


SECTIONS: dict[str, Callable[[int, int], Any]] = {
    function.__name__: function for function in (batches, single, text, steps, nist_linear, reach, scale)
}
