"""The speed of a pass and of a fit beside peers, side by side with what is asked; writes docs/performance.md.

    python bench/speed.py [--rows 1e5] [--quick] [--only passes,peers] [--peers PYTHON] [--folder FOLDER]

Every section is a process of its own, all on the same two cores. The peers run in `.venv-bench`, which `make bench`
makes; what is not installed there is named and left out. Results stand in build/speed.json: `--only` measures some
sections again and keeps the others, `--only page` writes the page alone. Other rows than 1e7, and `--quick` (one
repeat), are for trying: the page then goes to build/speed.
"""

from __future__ import annotations

import sys
from typing import Any

from _bench import Bench, Given, ask, main, section
from _cases import CASES
from _contenders import PEERS
from _sections import SECTIONS, difference
from _speed_asked import verdicts
from _speed_page import part

THREADS = range(1, 9)
CPUS = ("x86-64-v3", "x86-64-v4")  # AVX2; AVX-512 as every processor with it has
ALL = ("passes", "narrow", "peers", "normal", "build", "first_answer", "fits", "bits", "memory", "growth")


def peers(given: Given) -> dict[str, Any]:
    """Every peer on every formula, and steepest in the same way."""
    found: dict[str, Any] = {}
    for name in ("steepest", *PEERS):
        found[name] = {}
        for case in CASES:
            answer = ask(sys.executable if name == "steepest" else given.peers, "_peer.py", name, case, given)
            mine = found["steepest"].get(case, {})
            if "loss" in answer and "loss" in mine:
                answer["apart"] = difference((answer["loss"], answer["gradient"]), (mine["loss"], mine["gradient"]))
            found[name][case] = answer
    return found


def bits(given: Given) -> dict[str, Any]:
    """Digests for 1 to 8 threads and for processors forced down."""
    found = {"as it is": section("digests", given)}
    found |= {f"{n} threads": section("digests", given, STEEPEST_THREADS=str(n)) for n in THREADS}
    return found | {cpu: section("digests", given, STEEPEST_CPU=cpu) for cpu in CPUS}


def measure(name: str, given: Given) -> Any:
    if name == "peers":
        return peers(given)
    if name == "bits":
        return bits(given)
    return section(name, given, **({"STEEPEST_CPU": "x86-64-v3"} if name == "narrow" else {}))


if __name__ == "__main__":
    main(Bench(__doc__ or "", 10_000_000, 9, ALL, SECTIONS, measure, verdicts, part))
