"""The losses by name beside scikit-learn: digits of agreement, passes, seconds, in memory.

python bench/losses.py [rows ...]

Digits: the fewest over the parameters against the peer's most exact solver, -log10 |ours - theirs| / max(1, |theirs|).
For quantiles, whose peer hands a linear programme of 2 rows + ... variables to HiGHS, the digits are those of the sum,
and the peer is asked for no more than 10,000 rows.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _timing import hold_to_two_cores, in_turn
from sklearn import linear_model

import steepest

hold_to_two_cores()
warnings.simplefilter("ignore")
sizes = [int(float(word)) for word in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
COLUMNS = 5
TRUTH = np.array([0.3, 0.5, -0.4, 0.2, 0.1, -0.3])
MOST_FOR_HIGHS = 10_000
LINE = "c + X @ B"


def table(rows: int) -> dict[str, Any]:
    random = np.random.default_rng(1)
    X = random.normal(size=(rows, COLUMNS))
    line = TRUTH[0] + X @ TRUTH[1:]
    return {
        "X": X, "y": line + random.standard_t(2, rows), "count": random.poisson(np.exp(line)).astype(float),
        "hit": (random.random(rows) < 1 / (1 + np.exp(-line))).astype(float),
        "wait": random.gamma(2.0, np.exp(line) / 2.0),
    }  # fmt: skip


def huber(**options: Any) -> Any:
    return linear_model.HuberRegressor(alpha=0, epsilon=1.345, max_iter=1_000, **options)


def quantile(tau: float) -> Callable[..., Any]:
    return lambda: linear_model.QuantileRegressor(quantile=tau, alpha=0, solver="highs")


#: loss -> column, left and right side, the peer exactly, the peer's solvers on their defaults
CASES: dict[str, tuple[str, str, Callable[[], Any], dict[str, Callable[[], Any]]]] = {
    "logistic": ("hit", LINE, lambda: linear_model.LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky"), {
        name: lambda name=name: linear_model.LogisticRegression(C=np.inf, solver=name)
        for name in ("lbfgs", "newton-cholesky")
    }),
    "poisson": ("count", f"exp({LINE})",
                lambda: linear_model.PoissonRegressor(alpha=0, tol=1e-12, solver="newton-cholesky"), {
        name: lambda name=name: linear_model.PoissonRegressor(alpha=0, solver=name)
        for name in ("lbfgs", "newton-cholesky")
    }),
    "gamma": ("wait", f"exp({LINE})",
              lambda: linear_model.GammaRegressor(alpha=0, tol=1e-12, solver="newton-cholesky"), {
        name: lambda name=name: linear_model.GammaRegressor(alpha=0, solver=name)
        for name in ("lbfgs", "newton-cholesky")
    }),
    "huber": ("y", LINE, lambda: huber(tol=1e-9), {"lbfgs": huber}),
    "absolute": ("y", LINE, quantile(0.5), {"highs": quantile(0.5)}),
    "quantile(0.9)": ("y", LINE, quantile(0.9), {"highs": quantile(0.9)}),
}  # fmt: skip


def digits(ours: float | np.ndarray, theirs: float | np.ndarray) -> float:
    apart = np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs)))
    return float(min(16.0, -np.log10(max(apart, 1e-16))))


def deviations(loss: str, y: np.ndarray, prediction: np.ndarray) -> float:
    tau = 0.9 if loss.startswith("quantile") else 0.5
    r = y - prediction
    return float(np.sum(np.where(r > 0, tau, tau - 1) * r))


print(f"{'loss':15}{'rows':>10}{'status':>12}{'passes':>8}{'seconds':>9}{'digits':>8}   scikit-learn, seconds")
for rows in sizes:
    data = table(rows)
    for loss, (column, right, exact, solvers) in CASES.items():
        X, y, named = data["X"], data[column], loss
        kinked = loss in ("absolute", "quantile(0.9)")
        peer = None if kinked and rows > MOST_FOR_HIGHS else exact().fit(X, y)
        if loss == "huber" and peer is not None:
            named = f"huber(1.345, scale={float(peer.scale_)!r})"  # the peer estimates it beside

        def ours(right: str = right, column: str = column, named: str = named) -> steepest.Fit:
            return steepest.fit(f"{column} = {right}", data, loss=named)  # noqa: B023

        fit = ours()
        agreement = ""
        if peer is not None and kinked:
            both = deviations(loss, y, fit.predict(data)), deviations(loss, y, peer.predict(X))
            agreement = f"{digits(*both):.1f}"
        elif peer is not None:
            theirs = np.r_[np.ravel(peer.intercept_), np.ravel(peer.coef_)]
            agreement = f"{digits(np.r_[fit.values['c'], fit.values['B']], theirs):.1f}"
        calls: dict[str, Callable[[], Any]] = {"ours": ours}
        if peer is not None:
            calls |= {name: lambda make=make, X=X, y=y: make().fit(X, y) for name, make in solvers.items()}
        taken = in_turn(calls, rounds=3, again=False)
        shown = ", ".join(f"{name} {taken[name]:.3g}" for name in solvers if name in taken) or "not asked"
        passes = f"{fit.passes:.4g}"
        print(f"{loss:15}{rows:>10,}{fit.status:>12}{passes:>8}{taken['ours']:>9.3g}{agreement:>8}   {shown}")
