"""Losses of one row, as formulas of `y` and `prediction`: the famous ones are a table, any other text is the user's."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ..errors import FitError
from .grammar import Formula, parse

CALL = re.compile(r"\s*([A-Za-z]\w*)\s*(?:\((.*)\))?\s*", re.DOTALL)


@dataclass(frozen=True)
class Loss:
    """`text` is the loss of one row; names in it beside `y` and `prediction` are `numbers`, given in the call.

    `kind` is what the minimum is judged by and what errors mean there: "residual" (½(y - prediction)²), "robust" (the
    same near zero, smooth everywhere), "deviation" (a kink at zero), "likelihood" (minus its logarithm, up to what the
    data alone decide), "own" (nothing is known). `root`: what is reported is √(2·mean). `limits`: for each number of
    the call where it must lie. `domain`: what y must be, as a condition, in words, and the mend.
    `positive`: so must the prediction be. `convex_in`: where the loss is convex in the prediction ("prediction"), or in
    its logarithm ("log"). `response`: a formula of y that is about the prediction, or its logarithm where `positive`.
    `recession`: how fast the loss rises in the end as that is moved by d, not above 0 where it never does again.
    `constant`: a formula of y, what minus the log-likelihood of a row has beside `text`.
    """

    name: str
    text: str
    kind: str = "own"
    root: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    domain: tuple[str, str, str] | None = None
    positive: bool = False
    convex_in: tuple[str, ...] = ()
    response: str = "y"
    scaled: bool = True  # of a likelihood: whether its scale is known
    of_y: bool = True  # whether the prediction is on the scale of y
    recession: str = ""
    constant: str = ""

    @property
    def residual(self) -> bool:
        """Whether it is ½(y - prediction)²."""
        return self.kind == "residual"

    @property
    def absolute_scale(self) -> bool:
        """Whether its curvature at the minimum is the information in the data."""
        return self.kind == "likelihood" and self.scaled

    @property
    def sides(self) -> tuple[float, float]:
        """What a deviation rises by as the residual grows above zero, and falls below."""
        return self.constants.get("tau", 1.0), self.constants.get("under", 1.0)

    @property
    def constants(self) -> dict[str, float]:
        """Every name of the text that is neither y nor prediction; `under` is 1 - tau, as one would write it."""
        tau = self.numbers.get("tau")
        return {**self.numbers} if tau is None else {"tau": tau, "under": float(1 - Decimal(repr(tau)))}

    def formula(self) -> Formula:
        """The text read; only `y`, `prediction` and the numbers of the call may stand in it."""
        formula = parse(self.text)
        for name in formula.names:
            if name not in ("y", "prediction", *self.constants):
                raise formula.error(
                    f"{name} in the loss is neither y nor prediction", name, "a loss is a formula of these two"
                )
        if formula.left is not None:
            raise formula.error("a loss has no =", mend="as in loss='log(cosh(y - prediction))'")
        if "prediction" not in formula.names:
            raise formula.error("the loss does not hold prediction", mend="as in loss='abs(y - prediction)'")
        return formula

    def called(self, arguments: str | None) -> Loss:
        """The loss with the numbers of a call, as in `huber(1.345, scale=2)`. Raises FitError for wrong ones."""
        if arguments is None and not self.numbers:
            return self
        numbers = dict(self.numbers)
        given: set[str] = set()
        for place, argument in enumerate(arguments.split(",") if arguments and arguments.strip() else ()):
            name, equals, text = argument.rpartition("=")
            name = name.strip() if equals else next(iter(list(numbers)[place:]), "")
            if name not in numbers or name in given:
                known = f"it takes {', '.join(numbers)}" if numbers else "it takes no numbers"
                raise FitError(f"loss {self._call(arguments)}: {argument.strip()} has no place; {known}")
            given.add(name)
            low, high = self.limits[name]
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not low < value < high:
                needed = "a positive number" if math.isinf(high) else f"a number between {low:g} and {high:g}"
                raise FitError(f"loss {self._call(arguments)}: {name} is {text.strip()}; give {needed}")
            numbers[name] = value
        shown = [f"{numbers[n]:.15g}" if i == 0 and n != "dispersion" else f"{n}={numbers[n]:.15g}"
                 for i, n in enumerate(numbers) if i == 0 or numbers[n] != self.numbers[n]]  # fmt: skip
        plain = not numbers or (not given and self.kind == "likelihood")
        name = self.name if plain else f"{self.name}({', '.join(shown)})"
        return replace(self, name=name, numbers=numbers, scaled=self.scaled or bool(given))

    def _call(self, arguments: str | None) -> str:
        return f"{self.name}({(arguments or '').strip()})"


_ANY = (0.0, math.inf)
SQUARE = "0.5*(y - prediction)**2"
LOSSES = {
    loss.name: loss
    for loss in (
        Loss("squares", SQUARE, "residual", convex_in=("prediction",)),
        Loss("rmse", SQUARE, "residual", root=True, convex_in=("prediction",)),
        Loss("absolute", "abs(y - prediction)", "deviation", convex_in=("prediction",)),
        Loss(  # Koenker and Bassett (1978)
            "quantile", "max(tau*(y - prediction), under*(prediction - y))", "deviation",
            numbers={"tau": 0.5}, limits={"tau": (0.0, 1.0)}, convex_in=("prediction",),
        ),
        Loss(  # Huber (1964)
            "huber",
            "where(abs(y - prediction) <= k*scale, 0.5*(y - prediction)**2, "
            "k*scale*abs(y - prediction) - 0.5*(k*scale)**2)",
            "robust", numbers={"k": 1.345, "scale": 1.0}, limits={"k": _ANY, "scale": _ANY}, convex_in=("prediction",),
        ),
        Loss(  # Holland and Welsch (1977), as is the constant: 95 % efficient on normal data
            "cauchy", "0.5*(c*scale)**2*log1p(((y - prediction)/(c*scale))**2)",
            "robust", numbers={"c": 2.385, "scale": 1.0}, limits={"c": _ANY, "scale": _ANY},
        ),
        Loss(
            "logistic", "softplus(prediction) - y*prediction", "likelihood", convex_in=("prediction",),
            domain=("y >= 0 and y <= 1", "0, 1 or a share between them", "code the two classes as 0 and 1"),
            response="log((y + 0.5)/(1.5 - y))", of_y=False,
            recession="max(d, 0) - y*d",
        ),
        Loss(
            "poisson", "prediction - y*log(prediction)", "likelihood", positive=True, convex_in=("log", "prediction"),
            domain=("y >= 0", "a count, 0 or more", "leave the row out by where"), response="log(y + 0.1)",
            recession="where(d > 0, d, -y*d)", constant="lgamma(y + 1)",
        ),
        Loss(
            "gamma", "(log(prediction) + y/prediction)/dispersion", "likelihood", positive=True, convex_in=("log",),
            numbers={"dispersion": 1.0}, limits={"dispersion": _ANY}, scaled=False,
            domain=("y > 0", "a positive number", "leave the row out by where"), response="log(y)",
            constant="lgamma(1/dispersion) + log(dispersion)/dispersion - (1/dispersion - 1)*log(y)",
        ),
    )
}  # fmt: skip


def find_loss(text: str) -> Loss:
    """A loss by its name, with numbers as in `huber(1.345, scale=2)`, or by its formula of `y` and `prediction`."""
    if not isinstance(text, str):
        raise FitError(f"loss is {text!r}; give a name, or a formula of y and prediction as text")
    name = text.strip()
    call = CALL.fullmatch(name)
    if call is not None and call[1] in LOSSES:
        return LOSSES[call[1]].called(call[2])
    if name.isidentifier() and name not in ("y", "prediction"):
        known = ", ".join([*LOSSES, "or a formula of y and prediction"])
        raise FitError(f"{name} is not a loss; known are {known}")
    return Loss(name, name)
