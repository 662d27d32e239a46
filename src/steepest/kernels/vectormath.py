"""The functions of a formula, over eight lanes: one table, by the names of `formula.functions`."""

from __future__ import annotations

from collections.abc import Callable

from .exponential import exp, expm1, sigmoid
from .lanes import Value
from .logarithm import log
from .power import power

EMITTERS: dict[str, Callable[..., Value]] = {"exp": exp, "expm1": expm1, "sigmoid": sigmoid, "log": log, "**": power}
