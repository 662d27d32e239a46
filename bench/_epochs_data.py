"""The two models that the steps are measured on, their exact minima, and the cores."""

from __future__ import annotations

import os

import numpy as np

WIDTH = 10
BATCH = 32
RATES = {"gd": 0.001, "adam": 0.001}
FORMULAS = {"linear": "y = X @ B", "logistic": "softplus(X @ B) - y*(X @ B)"}
Table = tuple[np.ndarray, np.ndarray]


def columns(random: np.random.Generator, rows: int, common: float) -> np.ndarray:
    """Standard normal columns, any two of which have the correlation `common`."""
    X = random.standard_normal((rows, WIDTH))
    return np.sqrt(1.0 - common) * X + np.sqrt(common) * random.standard_normal((rows, 1)) if common else X


def regression(rows: int, common: float = 0.0) -> Table:
    random = np.random.default_rng(0)
    X = columns(random, rows, common)
    return X, X @ np.linspace(-1.0, 1.0, WIDTH) + 0.1 * random.standard_normal(rows)


def logistic(rows: int, common: float = 0.0) -> Table:
    random = np.random.default_rng(0)
    X = columns(random, rows, common)
    chance = 1.0 / (1.0 + np.exp(-X @ np.linspace(-0.5, 0.5, WIDTH)))
    return X, (random.uniform(size=rows) < chance).astype(float)


def loss(model: str, X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> float:
    """The mean over the rows: half the squares, or the logistic loss."""
    z = X @ theta
    return float(np.mean(0.5 * (z - y) ** 2 if model == "linear" else np.logaddexp(0.0, z) - y * z))


def minimiser(model: str, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By the normal equations or by Newton's method, independent of all that is measured."""
    if model == "linear":
        return np.linalg.solve(X.T @ X, X.T @ y)
    theta = np.zeros(X.shape[1])
    for _ in range(8):
        p = 1.0 / (1.0 + np.exp(-X @ theta))
        theta = theta - np.linalg.solve(X.T @ (X * (p * (1.0 - p))[:, None]), X.T @ (p - y))
    return theta


def excess(model: str, X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> float:
    """How far the loss lies above its minimum."""
    return loss(model, X, y, np.asarray(theta)) - loss(model, X, y, minimiser(model, X, y))


def hold_to_one_core() -> None:
    """The second of the two: one thread for whatever runs here."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2][-1:])
