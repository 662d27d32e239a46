"""steepest finds minima from formulas: exact gradients, descent, and an answer that says how sure it is.

import steepest
fit = steepest.fit("y = a*exp(-b*x) + c", {"x": x, "y": y}, start={"a": 5, "b": 1, "c": 0})
print(fit)
"""

from typing import TYPE_CHECKING

from ._version import __version__
from .errors import DataError, FitError, FormulaError, SteepestError
from .types import Status, Step, Stop

if TYPE_CHECKING:
    from .api import compare, descend, explain, fit, function, load, maximize, minimize, resume
    from .comparison import Comparison
    from .explanation import Explanation
    from .result import Fit, Function

__all__ = [
    "Comparison", "DataError", "Explanation", "Fit", "FitError", "FormulaError", "Function", "Status", "SteepestError",
    "Step", "Stop", "__version__", "compare", "descend", "explain", "fit", "function", "load", "maximize", "minimize",
    "resume",
]  # fmt: skip

_HOMES = {"Comparison": "comparison", "Explanation": "explanation", "Fit": "result", "Function": "result"}


def __getattr__(name: str) -> object:
    """The verbs and answers are loaded when they are first asked for: importing steepest costs little beside NumPy."""
    if name not in __all__:
        raise AttributeError(f"module 'steepest' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"steepest.{_HOMES.get(name, 'api')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
