"""What `import steepest` brings, and which names it gives."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import steepest

PUBLIC = {
    "fit", "minimize", "maximize", "explain", "compare", "function", "descend", "resume", "load",
    "Stop", "Status", "Fit", "Comparison", "Explanation", "Function", "Step",
    "SteepestError", "FormulaError", "DataError", "FitError",
    "__version__",
}  # fmt: skip

FIT = (
    "formula data loss start bounds fixed parameters weights sigma counts prior penalty where method batch rate "
    "scale reduce stop errors memory engine restarts seed shuffle checkpoint trace progress callbacks"
)
MINIMIZE = "objective start method rate scale bounds fixed stop restarts seed trace progress callbacks"
PARAMETERS = {
    "fit": FIT,
    "descend": FIT,
    "minimize": MINIMIZE,
    "maximize": MINIMIZE,
    "explain": "formula data loss",
    "function": "formula data loss reduce",
    "resume": "checkpoint data",
    "Stop": "gradient steps passes seconds loss",
}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that `statement` adds to a fresh interpreter, without the standard library's."""
    code = (
        "import sys, json; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout)) - sys.stdlib_module_names


def test_import_steepest_brings_numpy_and_nothing_else() -> None:
    # Cython, in which parts of NumPy are written, leaves its own entries (`_cython_3_1_2`, `cython_runtime`).
    added = {name for name in loaded_by("import steepest") if not name.startswith(("_cython_", "cython_runtime"))}
    assert added <= {"steepest", "numpy"}


def test_the_check_of_imports_sees_a_heavy_one() -> None:
    assert "sympy" in loaded_by("import sympy")


def test_the_public_names_are_those_of_the_api() -> None:
    assert len(steepest.__all__) == len(set(steepest.__all__))
    assert set(steepest.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert name in dir(steepest)
    value = getattr(steepest, name)
    if name != "__version__":
        assert (value.__doc__ or "").strip()


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_arguments_are_those_of_the_api(name: str) -> None:
    assert list(inspect.signature(getattr(steepest, name)).parameters) == PARAMETERS[name].split()
