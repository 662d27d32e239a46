"""Calibrations in raw units, kelvin and pascal: first-order methods as they are and with scale="auto"."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from _epochs_data import BATCH
from _timing import seconds

ROWS = 20_000
CLOSE = 1e-6  # above the lowest loss
MOST = 5_000  # steps on all rows
PASSES = 64  # of batches
FALLING = "0.2/(1 + step/100)"
LINE = "y = a + b*T + c*P"
CURVE = "y = a*P*exp(-b*T) + c"
NEAR = {"a": 2.8e-4, "b": 0.0035, "c": 10.0}
ZERO = {"a": 0.0, "b": 0.0, "c": 0.0}
#: method and options of a way, and the rates without and with scale where they are not from the curvature
WAYS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "gd": ({"method": "gd"}, None, None),
    "momentum": ({"method": "momentum"}, None, None),
    "nesterov": ({"method": "nesterov"}, None, None),
    "adam": ({"method": "adam"}, 0.1, 0.1),
    f"gd, batches of {BATCH}": ({"method": "gd", "batch": BATCH}, None, FALLING),
    "sgd": ({"method": "sgd"}, None, FALLING),
}
BLIND = {"adam": 1e-5, f"gd, batches of {BATCH}": 1e-12}  # on the curve in raw units, by trial: much more diverges


def readings(rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    T, P = random.uniform(250.0, 400.0, rows), 1e5 + 1e4 * random.standard_normal(rows)
    noise = 0.1 * random.standard_normal(rows)
    return {"T": T, "P": P, "line": 2.0 + 0.01 * T - 3e-5 * P + noise,
            "curve": 3e-4 * P * np.exp(-0.004 * T) + 12.0 + noise}  # fmt: skip


def columns(formula: str, data: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and Jacobian by NumPy."""
    T, P, one = data["T"], data["P"], np.ones(len(data["T"]))
    a, b, c = (float(values[name]) for name in "abc")
    if formula == LINE:
        return a + b * T + c * P, np.column_stack([T, P, one])
    bell = P * np.exp(-b * T)
    return a * bell + c, np.column_stack([bell, -a * T * bell, one])


def loss(formula: str, data: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> float:
    return float(np.mean(0.5 * (columns(formula, data, values)[0] - data["y"]) ** 2))


def conditions(jacobian: np.ndarray) -> tuple[float, float]:
    """Of JᵀJ as it is, by the singular values of J, and of the correlations."""
    return float(np.linalg.cond(jacobian) ** 2), float(np.linalg.cond(np.corrcoef(jacobian[:, :-1].T)))


def scale(_: int, rounds: int) -> dict[str, Any]:
    """Steps and seconds until the mean loss lies within 1e-6 of its minimum, with and without scale="auto"."""
    import steepest

    table, found = readings(ROWS), {}
    for name, formula, start in (("line", LINE, ZERO), ("curve", CURVE, NEAR)):
        data = {"T": table["T"], "P": table["P"], "y": table[name]}
        best = steepest.fit(formula, data, start=start)
        if not best.ok:
            raise RuntimeError(best.message)
        lowest = loss(formula, data, best.values)
        raw, standardised = conditions(columns(formula, data, best.values)[1])
        ways = {way: {kind: _run(formula, data, start, lowest, way, kind, rounds) for kind in ("raw", "scaled")}
                for way in WAYS if name == "line" or way != "sgd"}  # fmt: skip
        found[name] = {"formula": formula, "raw": raw, "standardised": standardised, "ways": ways}
    found["line"]["peers"] = _peers({"T": table["T"], "P": table["P"], "y": table["line"]})
    return found


def _run(formula: str, data: Any, start: Any, lowest: float, way: str, kind: str, rounds: int) -> dict[str, Any]:
    import steepest

    options, raw_rate, scaled_rate = WAYS[way]
    rate = scaled_rate if kind == "scaled" else BLIND.get(way, raw_rate) if formula == CURVE else raw_rate
    length = {"passes": PASSES} if "batch" in options or way == "sgd" else {"steps": MOST}
    stop = steepest.Stop(loss=lowest + CLOSE, **length)
    kept = []

    def once() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kept.append(steepest.fit(formula, data, start=start, rate=rate, stop=stop,
                                     scale="auto" if kind == "scaled" else None, **options))  # fmt: skip

    once()  # compiles
    taken, fit = statistics.median(seconds(once) for _ in range(rounds)), kept[-1]
    above = loss(formula, data, fit.values) - lowest
    return {"time": taken, "steps": fit.steps, "excess": above, "message": fit.message}


def _peers(data: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """R² of a stochastic descent, by scikit-learn and by us, on the raw columns and on standardised ones."""
    try:
        from sklearn.linear_model import SGDRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        from steepest.sklearn import FormulaRegressor
    except ImportError:
        return {"absent": "scikit-learn is not installed"}
    X, y = np.column_stack([data["T"], data["P"]]), data["y"]
    ours = {"method": "sgd", "start": {"B": 0.0, "c": 0.0}}
    models = {
        "scikit-learn, SGDRegressor": SGDRegressor(random_state=0),
        "scikit-learn, StandardScaler and SGDRegressor": make_pipeline(StandardScaler(), SGDRegressor(random_state=0)),
        "steepest, FormulaRegressor(method='sgd')": FormulaRegressor(**ours),
        "steepest, FormulaRegressor(method='sgd', scale='auto')": FormulaRegressor(**ours, rate=FALLING, scale="auto"),
    }
    found = {}
    for name, model in models.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[name] = {"time": seconds(lambda model=model: model.fit(X, y)), "score": float(model.score(X, y))}
            if hasattr(model, "fit_"):
                found[name]["message"] = model.fit_.message
    return found
