"""A formula as a scikit-learn estimator, for pipelines, grid searches and cross-validation."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_is_fitted,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        "steepest.sklearn needs scikit-learn 1.6 or newer: pip install 'steepest[sklearn]', or pip install scikit-learn"
    ) from error

from .api import fit
from .errors import DataError, FormulaError
from .formula.grammar import Formula, parse
from .formula.printing import quote
from .types import Array, Status, Stop

__all__ = ["FormulaRegressor"]

LINEAR = "X @ B + c"  # formula=None: a coefficient for each column, and an intercept
STEPS = 500  # of a second-order method, which comes to a minimum in tens; a search over pipelines fits many times
_POSITION = re.compile(r"x(0|[1-9]\d*)")


class FormulaRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit the right-hand side of a formula to columns X and a target y.

    formula: the right-hand side alone, as text: `"a*exp(-b*x0) + c"`. Columns are called `x0, x1, ...` by their place,
    or by the names of the frame where the formula uses one of them; columns that it does not name are left alone, every
    other name is a parameter. None: linear with an intercept, for any number of columns (`X @ B + c`).
    The other arguments are those of `steepest.fit`. stop=None: 500 steps of auto, else the limits of `steepest.fit`.

    After `fit`: `fit_` (the `steepest.Fit`, with errors, covariance, certificate), `values_` (parameters by name),
    `n_features_in_`, and `feature_names_in_` for a frame. A run that diverged, ran into a default limit or cannot tell
    its parameters apart gives a ConvergenceWarning with the sentence of `fit_.message`. `sample_weight` are `weights`.
    Raises FormulaError, DataError or FitError (all are ValueErrors) for input that cannot be used.
    """

    def __init__(
        self,
        formula: str | None = None,
        *,
        start: Mapping[str, Any] | None = None,
        bounds: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        parameters: Sequence[str] | None = None,
        loss: str = "squares",
        penalty: str | None = None,
        method: str = "auto",
        batch: int | None = None,
        rate: float | str | None = None,
        scale: str | None = None,
        reduce: str = "mean",
        stop: Stop | None = None,
        restarts: int | None = None,
        seed: int = 0,
    ) -> None:
        self.formula = formula
        self.start = start
        self.bounds = bounds
        self.fixed = fixed
        self.parameters = parameters
        self.loss = loss
        self.penalty = penalty
        self.method = method
        self.batch = batch
        self.rate = rate
        self.scale = scale
        self.reduce = reduce
        self.stop = stop
        self.restarts = restarts
        self.seed = seed

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FormulaRegressor:
        """Fit to X (n, q) and y (n,), with relative precisions `sample_weight` (n,) where given."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        options = self.get_params(deep=False)
        right = _right_hand_side(options.pop("formula"))
        columns = self._columns(X, right)
        target = _free("y", {*columns, *right.names})
        columns[target] = np.asarray(y, dtype=np.float64)
        if sample_weight is not None:
            weights = options["weights"] = _free("weight", {*columns, *right.names})
            columns[weights] = _check_sample_weight(sample_weight, X, dtype=np.float64)
        equation = f"{quote(target)} = {right.text}"
        auto = self.method == "auto" and self.stop is None
        if auto:
            options["stop"] = Stop(steps=STEPS)
        self.fit_ = fit(equation, columns, **options)
        self.values_ = self.fit_.values
        if self.fit_.status is Status.INTERRUPTED:  # a search over many fits ends as a whole
            raise KeyboardInterrupt
        if self.fit_.exit_status or (auto and not self.fit_.ok):
            warnings.warn(self.fit_.message, ConvergenceWarning, stacklevel=2)
        return self

    def predict(self, X: Any) -> Array:
        """The formula for each row of X (n, q): (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self.fit_.predict(self._columns(X, _right_hand_side(self.formula)))

    def _columns(self, X: Array, right: Formula) -> dict[str, Array]:
        """The columns that the formula names, by the name that it gives them."""
        if self.formula is None:
            return {"X": X}
        given = {*(self.start or ()), *(self.bounds or ()), *(self.fixed or ()), *(self.parameters or ())}
        names = list(getattr(self, "feature_names_in_", ()))
        if not set(names) & (right.names.keys() - given):
            names = [f"x{j}" for j in range(X.shape[1])]
            for name in right.names.keys() - {*names, *given}:
                if _POSITION.fullmatch(name):
                    raise DataError(
                        f"{name} is no column: X has {len(names)}, {_span(names)}; if it is a parameter, give it a "
                        "start"
                    )
            return {name: X[:, j] for j, name in enumerate(names) if name not in given}
        return {name: X[:, j] for j, name in enumerate(names)}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = self.formula is not None  # a law fits its own data, not any data
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Pickled is what is needed to predict: neither the rows nor anything compiled."""
        state = dict(super().__getstate__())
        if "fit_" in state:
            state["fit_"] = replace(state["fit_"], data=None)
        return state


def _right_hand_side(formula: object) -> Formula:
    if formula is None:
        return parse(LINEAR)
    if not isinstance(formula, str):
        raise FormulaError(f"the formula of a FormulaRegressor is text, not {type(formula).__name__}")
    read = parse(formula)
    if read.left is not None:
        right = formula.partition("=")[2].strip()
        raise FormulaError("a FormulaRegressor takes the right-hand side alone: y comes with fit(X, y)", mend=right)
    return read


def _free(name: str, taken: set[str]) -> str:
    """The name, or with underscores until nothing else has it."""
    while name in taken:
        name += "_"
    return name


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
