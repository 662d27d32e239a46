"""Losses of one row, as formulas of `y` and `prediction`."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import FitError
from .grammar import Formula, parse


@dataclass(frozen=True)
class Loss:
    """`text` is the loss of one row. `residual`: it is ½(y - prediction)²; `root`: what is reported is √(2·mean)."""

    name: str
    text: str
    residual: bool = False
    root: bool = False

    def formula(self) -> Formula:
        """The text read; only `y` and `prediction` may stand in it."""
        formula = parse(self.text)
        for name in formula.names:
            if name not in ("y", "prediction"):
                raise formula.error(
                    f"{name} in the loss is neither y nor prediction", name, "a loss is a formula of these two"
                )
        if formula.left is not None:
            raise formula.error("a loss has no =", mend="as in loss='log(cosh(y - prediction))'")
        if "prediction" not in formula.names:
            raise formula.error("the loss does not hold prediction", mend="as in loss='abs(y - prediction)'")
        return formula


LOSSES = {
    "squares": Loss("squares", "0.5*(y - prediction)**2", residual=True),
    "rmse": Loss("rmse", "0.5*(y - prediction)**2", residual=True, root=True),
}
LATER = ("absolute", "huber", "cauchy", "logistic", "poisson", "gamma", "quantile")


def find_loss(text: str) -> Loss:
    """A loss by its name, or by its formula of `y` and `prediction`."""
    if not isinstance(text, str):
        raise FitError(f"loss is {text!r}; give a name, or a formula of y and prediction as text")
    name = text.strip()
    if name in LOSSES:
        return LOSSES[name]
    if name.split("(")[0].strip() in LATER:
        raise FitError(f"the loss {name} is not built yet; write it as a formula of y and prediction")
    if name.isidentifier() and name not in ("y", "prediction"):
        known = ", ".join([*LOSSES, "or a formula of y and prediction"])
        raise FitError(f"{name} is not a loss; known are {known}")
    return Loss(name, name)
