"""The layers of the architecture, held by reading every import of every module.

A module imports only from lower layers or from its own sub-package: also in annotations, inside functions, under
`TYPE_CHECKING` and by `importlib.import_module`. The few imports allowed beside one another stand in `BESIDE`.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "steepest"

# Name directly under steepest -> layer. A sub-package counts as one name; a name that is not here has no place yet.
LAYERS = {
    "errors": 1, "types": 1, "spectrum": 1, "vertex": 1, "scaling": 1, "_version": 1, "datasets": 1, "blas": 1,
    "formula": 2, "data": 2,
    "kernels": 3,
    "methods": 4,
    "descent": 5, "strategy": 5, "verdict": 5, "around": 5, "uncertainty": 5, "report": 5, "starts": 5,
    "api": 6, "result": 6, "explanation": 6, "comparison": 6, "models": 6, "run": 6,
    "cli": 7, "web": 7, "sklearn": 7, "__main__": 7,
    "": 8,  # steepest/__init__.py
}  # fmt: skip

# Who may import whom within one layer.
BESIDE = {
    "types": {"errors", "spectrum", "vertex"},
    "scaling": {"spectrum"},
    "vertex": {"spectrum"},
    "datasets": {"errors"},
    "descent": {"strategy", "verdict", "uncertainty"},
    "starts": {"descent", "strategy"},
    "verdict": {"around"},
    "api": {"result", "explanation", "comparison", "models", "run"},
    "comparison": {"result", "run"},
    "models": {"result", "run"},
    "run": {"result"},
    "__main__": {"cli"},
}

# What a method may take from the formula package: what reads a rule's text, holds its program and evaluates it.
RULE_TEXT = {f"steepest.formula.{name}" for name in ("grammar", "program", "functions", "evaluate")}

ONLY_IMPORTER_OF_SYMPY = "steepest.formula.sympy"


def name_of(file: Path, root: Path) -> str:
    """`<root>/formula/grammar.py` -> `steepest.formula.grammar`; a package goes by the name of its folder."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(("steepest", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def imported(name: str, tree: ast.Module, modules: dict[str, Path]) -> Iterator[str]:
    """Every module that `name` imports, anywhere; `from a import b` means `a.b` where that is a module, else `a`."""
    package = name if modules[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join(parts[: len(parts) - node.level + 1] + ([base] if base else []))
            for alias in node.names:
                yield inner if (inner := f"{base}.{alias.name}") in modules else base
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            argument = node.args[0] if node.args else None
            value = argument.value if isinstance(argument, ast.Constant) else None
            yield value if isinstance(value, str) and not value.startswith(".") else "<computed>"


def place(module: str) -> str:
    """`steepest.formula.grammar` -> `formula`; `steepest` -> the empty text."""
    return module.split(".")[1] if "." in module else ""


def offence(name: str, target: str) -> str | None:
    """Why `name` may not import `target`, or None if it may."""
    if target == "<computed>":
        # The public names are loaded when asked for; everywhere else a reader must see what is imported.
        return None if name == "steepest" else f"{name} imports a module by a computed name"
    if target.split(".")[0] == "sympy" and name != ONLY_IMPORTER_OF_SYMPY:
        return f"{name} imports SymPy: only {ONLY_IMPORTER_OF_SYMPY} may"
    if target.split(".")[0] != "steepest":
        return None
    here, there = place(name), place(target)
    if there not in LAYERS:
        return f"{name} imports {target}, which is in no layer"
    if here != there and there not in BESIDE.get(here, ()) and LAYERS[there] >= LAYERS[here]:
        return f"{name} (layer {LAYERS[here]}) imports {target} (layer {LAYERS[there]})"
    if here == "methods" and there == "data":
        return f"{name} imports {target}: methods know no data"
    if here == "methods" and there == "formula" and target not in RULE_TEXT:
        return f"{name} imports {target}: methods take from formula only what a rule's text needs"
    if here == "" and there == "cli":
        return f"{name} imports {target}: the command line is no part of the library's public names"
    return None


def more_than_names(tree: ast.Module) -> Iterator[str]:
    """What stands in the top `__init__.py` beside docstring, imports, plain assignments and lazy loading of names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__"):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.If):
            yield f"steepest/__init__.py holds more than the public names: line {node.lineno}"


def violations(root: Path) -> list[str]:
    """Every breach of the layers in the package at `root`, one sentence each."""
    modules = {name_of(file, root): file for file in sorted(root.rglob("*.py"))}
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    for name, file in modules.items():
        if place(name) not in LAYERS:
            found.append(f"{name} is in no layer")
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        targets = set(imported(name, tree, modules))
        graph[name] = targets & modules.keys()
        found += filter(None, (offence(name, target) for target in sorted(targets)))
        if name == "steepest":
            found += more_than_names(tree)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append("import cycle: " + " <- ".join(error.args[1]))
    return found


def test_every_module_imports_only_from_below_or_from_its_own_package() -> None:
    assert (SOURCE / "errors.py").exists()
    assert violations(SOURCE) == []


GOOD = {
    "__init__.py": '"""d"""\nfrom steepest.api import fit\n__all__ = ["fit"]\n',
    "errors.py": "class SteepestError(Exception): ...\n",
    "formula/__init__.py": "from .grammar import parse\n",
    "formula/grammar.py": "import ast\nfrom ..errors import SteepestError\nparse = ast.parse\n",
    "formula/sympy.py": "import sympy\nfrom . import grammar\n",
    "data/__init__.py": "",
    "data/csv.py": "from steepest.errors import SteepestError\n",
    "kernels/numpy.py": "import numpy\nfrom steepest.formula.grammar import parse\n",
    "methods/newton.py": "from steepest.formula import grammar\n",
    "descent.py": "from steepest import strategy\nfrom steepest.data import csv\n",
    "strategy.py": "from steepest.methods import newton\n",
    "report/text.py": "",
    "result.py": "from steepest.report import text\n",
    "api.py": "from steepest import descent, result\ndef fit(): ...\n",
    "cli/main.py": "from steepest.api import fit\n",
}

BAD = {
    "an upward import": ("kernels/numpy.py", "from steepest.methods import newton", "kernels.numpy (layer 3) imports"),
    "one inside a function": (
        "kernels/numpy.py",
        "def f():\n    import steepest.api",
        "(layer 3) imports steepest.api",
    ),
    "one for a type": (
        "strategy.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .result import Fit",
        "steepest.strategy (layer 5) imports steepest.result (layer 6)",
    ),
    "one by import_module": (
        "kernels/numpy.py",
        "import importlib\nimportlib.import_module('steepest.api')",
        "steepest.kernels.numpy (layer 3) imports steepest.api (layer 6)",
    ),
    "one by a computed name": ("kernels/numpy.py", "__import__('steep' + 'est')", "computed name"),
    "one by a relative name": ("kernels/numpy.py", "import_module('...api', __name__)", "computed name"),
    "a relative one": ("data/csv.py", "from ..api import fit", "steepest.data.csv (layer 2) imports steepest.api"),
    "data that know a formula": ("data/csv.py", "from steepest.formula import parse", "imports steepest.formula"),
    "a formula that knows data": ("formula/grammar.py", "from ..data import csv", "imports steepest.data.csv"),
    "methods that know data": ("methods/newton.py", "import steepest.data.csv", "methods know no data"),
    "methods that take the whole formula package": (
        "methods/newton.py",
        "from steepest.formula import parse",
        "methods take from formula only what a rule's text needs",
    ),
    "a report that knows an answer class": (
        "report/text.py",
        "from steepest.result import Fit",
        "steepest.report.text (layer 5) imports steepest.result (layer 6)",
    ),
    "a neighbour in layer 5": ("strategy.py", "from steepest import descent", "imports steepest.descent (layer 5)"),
    "the public package from inside": (
        "cli/main.py",
        "import steepest",
        "steepest.cli.main (layer 7) imports steepest",
    ),
    "SymPy anywhere else": (
        "formula/grammar.py",
        "def f():\n    from sympy import Expr",
        "only steepest.formula.sympy",
    ),
    "a cycle": ("formula/grammar.py", "from .sympy import f", "import cycle: steepest.formula."),
    "a cycle through the package": ("formula/grammar.py", "from . import parse", "import cycle: steepest.formula"),
    "a module in no layer": ("helpers.py", "", "steepest.helpers is in no layer"),
    "a package in no layer": ("utils/text.py", "", "steepest.utils.text is in no layer"),
    "code among the public names": ("__init__.py", "def fit(): ...", "holds more than the public names: line 1"),
    "the command line among them": ("__init__.py", "from steepest.cli.main import main", "no part of the library's"),
}


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def test_a_tree_in_its_layers_passes_the_check(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert violations(tmp_path) == []


@pytest.mark.parametrize(("file", "text", "sentence"), BAD.values(), ids=BAD.keys())
def test_the_check_catches(file: str, text: str, sentence: str, tmp_path: Path) -> None:
    write(tmp_path, GOOD | {file: text})
    found = violations(tmp_path)
    assert any(sentence in line for line in found), found
