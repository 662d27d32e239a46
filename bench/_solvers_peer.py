"""Every solver of a group on the problems of a task, in turn in one process, as one line of JSON.

python bench/_solvers_peer.py here|alone|peers TASK ROWS ROUNDS
TASK: `starts`, `none` (NIST's problems from their starts, from no start) or `tables`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from _solvers import GROUPS, HERE, UNSTARTED, Found, Make, Solve, listened, no_start
from _solvers_data import Problem, given
from _timing import answer, in_turn, versions

QUICK = 10_000  # rows below which a call that is not timed is made before each


def measured(group: str, task: str, rows: int, rounds: int) -> dict[str, Any]:
    solvers = GROUPS[group]
    if task == "none":
        solvers = {name: make for name, make in solvers.items() if name in UNSTARTED}
    elif task == "tables" and group == "here":
        solvers = {"steepest": HERE["steepest"], "steepest, no start": no_start} | solvers
    found: dict[str, Any] = {name: [] for name in solvers}
    for problem in given(task, rows):
        made = {name: one for name, make in solvers.items() if (one := installed(make, problem)) is not None}
        for label, start in problem.starts.items():
            for name, fits in in_turns(problem, made, start, rounds).items():
                found[name].append({"problem": problem.name, "start": label} | fits)
    return {"solvers": {name: fits or "not installed" for name, fits in found.items()}, "versions": versions()}


def installed(make: Make, problem: Problem) -> Solve | None:
    try:
        return make(problem)
    except ImportError:
        return None


def in_turns(problem: Problem, made: dict[str, Solve], start: Sequence[float] | None, rounds: int) -> dict[str, Any]:
    """For each solver what it says, and its median seconds."""
    said = {name: listened(solve, start) for name, solve in made.items()}
    calls = {name: lambda solve=solve: listened(solve, start) for name, solve in made.items()}
    taken = in_turn(calls, rounds, again=len(problem.data["y"]) <= QUICK)
    return {name: shown(one) | {"seconds": taken[name]} for name, one in said.items()}


def shown(found: Found) -> dict[str, Any]:
    values, errors = (None if some is None else [float(v) for v in some] for some in (found.values, found.errors))
    return {"word": found.word, "values": values, "errors": errors}


if __name__ == "__main__":
    answer(measured)
