"""The functions of a formula, over eight lanes: one table, by the names of `formula.functions`."""

from __future__ import annotations

from collections.abc import Callable

from .exponential import exp
from .lanes import Value
from .logarithm import log

EMITTERS: dict[str, Callable[..., Value]] = {"exp": exp, "log": log}
