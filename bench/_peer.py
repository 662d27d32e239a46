"""One contender on one formula in a process of its own: import, first call and later calls, as one line of JSON.

python bench/_peer.py CONTENDER CASE ROWS ROUNDS
"""

from __future__ import annotations

import importlib
import time
from typing import Any

import numpy as np
from _cases import CASES
from _contenders import HERE, PEERS, module_of
from _timing import answer, in_turn, seconds, versions


def measured(contender: str, name: str, rows: int, rounds: int) -> dict[str, Any]:
    case = CASES[name]
    data, theta = case.data(rows), np.array(case.theta)
    start = time.perf_counter()
    try:
        importlib.import_module(module_of(contender))
    except ImportError:
        return {"absent": "not installed"}
    imported = time.perf_counter()
    call = (PEERS | HERE)[contender](case, data)
    loss, gradient = call(theta)
    first = time.perf_counter()
    quick = seconds(lambda: call(theta)) < 0.5
    times = in_turn({"warm": lambda: call(theta)}, rounds, again=quick)
    times |= {"import": imported - start, "first": first - imported}
    return times | {"loss": float(loss), "gradient": [float(g) for g in gradient], "versions": versions()}


if __name__ == "__main__":
    answer(measured)
