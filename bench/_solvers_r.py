"""R's nls on the problems of a task, by Rscript where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _solvers_data import Problem, given

NAMES = {"default": "R, nls", "port": "R, nls port"}
COLUMNS = ("name", "formula", "columns", "rows", "parameters", "start")


def by_r(task: str, rows: int, rounds: int) -> dict[str, Any]:
    """In the form of bench/_solvers_peer.py."""
    program = shutil.which("Rscript")
    if program is None:
        return {"solvers": dict.fromkeys(NAMES.values(), "not installed")}
    with tempfile.TemporaryDirectory() as folder:
        tasks = write(given(task, rows), Path(folder))
        script = str(Path(__file__).with_name("_solvers.R"))
        english = os.environ | {"LANGUAGE": "en"}  # the script tells warnings apart by their words
        command = [program, "--vanilla", script, folder, str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, env=english)
    if done.returncode:
        print(f"  failed: R: {done.stderr.strip().splitlines()[-1]}")
        return {"solvers": dict.fromkeys(NAMES.values(), "failed")}
    version, *lines = done.stdout.splitlines()
    found: dict[str, Any] = {name: [] for name in NAMES.values()}
    for line in lines:
        place, algorithm, word, seconds, values, errors = line.split("\t")
        problem, start = tasks[int(place)]
        found[NAMES[algorithm]].append({
            "problem": problem, "start": start, "word": word, "seconds": float(seconds),
            "values": numbers(values), "errors": numbers(errors),
        })  # fmt: skip
    return {"solvers": found, "versions": {"R": version.removeprefix("R ")}}


def write(problems: list[Problem], folder: Path) -> list[tuple[str, str]]:
    """What bench/_solvers.R reads; names of problem and start by the place of a task."""
    lines, tasks = ["\t".join(COLUMNS)], []
    for problem in problems:
        columns = list(problem.data)
        for label, start in problem.starts.items():
            place = str(len(tasks))
            np.concatenate([problem.data[name] for name in columns]).tofile(folder / f"{place}.bin")
            begun = " ".join(repr(float(value)) for value in start or ())
            formula = problem.formula.replace("=", "~", 1)
            rows = str(len(problem.data[columns[0]]))
            lines.append("\t".join([place, formula, " ".join(columns), rows, " ".join(problem.parameters), begun]))
            tasks.append((problem.name, label))
    (folder / "tasks.tsv").write_text("\n".join(lines) + "\n")
    return tasks


def numbers(text: str) -> list[float] | None:
    return [float(word) for word in text.split()] or None
