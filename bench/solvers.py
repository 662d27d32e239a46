"""The solvers that people use on the same problems, and all that is asked of answers; a part of docs/performance.md.

    python bench/solvers.py [--rows 1e5] [--quick] [--only starts,tables] [--peers PYTHON] [--folder FOLDER]

NIST's nonlinear problems from their starts and from none, and one decay on tables of 100, 10,000 and as many rows as
are asked for, by each solver with its defaults. lmfit, iminuit and optimistix run in `.venv-bench` (`make bench` makes
it), SciPy in the project's own environment, R by Rscript (Debian: r-base-core); what is not installed is named and left
out. Results stand in build/solvers.json: `--only` measures some sections again and keeps the others. `--only page`
writes the page alone, with the figures that nist.py, starts.py, functions.py, degenerate.py, intervals.py and rates.py
left in build/. Other rows than 1e6, and `--quick` (one repeat), are for trying: the page then goes to build/solvers.
"""

from __future__ import annotations

import sys
from typing import Any

from _bench import Bench, Given, ask, main
from _solvers import GROUPS
from _solvers_page import part, verdicts
from _solvers_r import by_r

TASKS = ("starts", "none", "tables")


def measure(task: str, given: Given) -> dict[str, Any]:
    """Every solver on a task: {"solvers": name -> its fits, or why there are none, "versions": of what was used}."""
    answers = []
    for group, names in GROUPS.items():
        if task == "none" and group != "here":  # the others need all starts
            continue
        answer = ask(given.peers if group == "peers" else sys.executable, "_solvers_peer.py", group, task, given)
        answers.append(answer if "solvers" in answer else {"solvers": dict.fromkeys(names, answer["absent"])})
    answers.append(by_r(task, given.rows, given.rounds))
    merged: dict[str, Any] = {"solvers": {}, "versions": {}}
    for answer in answers:
        for key, entries in answer.items():
            merged[key] |= entries
    return merged


if __name__ == "__main__":
    main(Bench(__doc__ or "", 1_000_000, 5, TASKS, {}, measure, verdicts, part))
