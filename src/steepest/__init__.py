"""steepest finds minima from formulas: exact gradients, descent, and an answer that says how sure it is.

import steepest
fit = steepest.fit("y = a*exp(-b*x) + c", {"x": x, "y": y}, start={"a": 5, "b": 1, "c": 0})
print(fit)
"""

from ._version import __version__
from .api import compare, descend, explain, fit, function, load, maximize, minimize, resume
from .errors import DataError, FitError, FormulaError, SteepestError
from .result import Fit, Function
from .types import Status, Step, Stop


def __getattr__(name: str) -> object:
    if name == "Explanation":  # it brings SymPy
        from .explanation import Explanation

        return Explanation
    raise AttributeError(f"module 'steepest' has no attribute {name!r}")


__all__ = [
    "DataError", "Explanation", "Fit", "FitError", "FormulaError", "Function", "Status", "SteepestError", "Step",
    "Stop", "__version__", "compare", "descend", "explain", "fit", "function", "load", "maximize", "minimize", "resume",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
