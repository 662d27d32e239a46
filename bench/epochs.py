"""Epochs of batches and steps on all rows beside peers, side by side with what is asked; a part of docs/performance.md.

    python bench/epochs.py [--rows 1e5] [--quick] [--only batches,peers] [--peers PYTHON] [--folder FOLDER]

Every section is a process of its own; what is called one thread is held to one core. The peers run in `.venv-bench`
(`make bench` makes it), scikit-learn in the project's own environment; what is not installed is named and left out.
Results stand in build/epochs.json: `--only` measures some sections again and keeps the others, `--only page` writes the
page alone. Other rows than 1e6, and `--quick` (one repeat), are for trying: the page then goes to build/epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from _curve import curve
from _epochs_page import MINIMA, verdicts, write_part
from _epochs_sections import SECTIONS as HERE
from _larger import larger
from _page import aligned
from _timing import hold_to_two_cores, machine
from speed import ROOT, run

FULL = 1_000_000
RULES = ("gd in order", "gd shuffled", "adam in order", "adam shuffled")
MODELS = ("linear", "logistic")
ONE_THREAD = {
    "STEEPEST_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip
SECTIONS = HERE | {"curve": curve, "larger": larger}
ALONE = ("batches", "single", "text")  # on one thread
ALL = (*SECTIONS, "peers")


def section(name: str, rows: int, rounds: int) -> Any:
    given = ONE_THREAD if name in ALONE else {}
    return run([sys.executable, __file__, "--section", name, str(rows), str(rounds)], **given)


def peers(python: str, rows: int, rounds: int) -> dict[str, Any]:
    """Every peer on every task that it has."""
    tasks = {"JAX, scan": RULES, "PyTorch, loop": RULES} | dict.fromkeys(MINIMA, MODELS)
    if not Path(python).exists():
        return {name: {task: {"absent": "not installed"} for task in those} for name, those in tasks.items()}
    worker = str(Path(__file__).with_name("_epochs_peer.py"))
    return {
        name: {
            task: run([python, worker, name, task, str(rows), str(min(rounds, 3))]) or {"absent": "failed"}
            for task in those
        }
        for name, those in tasks.items()
    }


def measure(name: str, given: argparse.Namespace) -> Any:
    if name == "peers":
        return peers(given.peers, given.rows, given.rounds)
    return section(name, given.rows, given.rounds)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=FULL)
    parser.add_argument("--rounds", type=int, default=5, help="repeats behind every median")
    parser.add_argument("--quick", action="store_true", help="one repeat, for trying the script")
    parser.add_argument("--only", default=",".join(ALL), help="sections: " + ", ".join(ALL))
    parser.add_argument(
        "--peers", default=str(ROOT / ".venv-bench" / "bin" / "python"), help="interpreter of the peers"
    )
    parser.add_argument("--folder", type=Path, help="where the page goes")
    parser.add_argument("--section", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.rounds = 1 if given.quick else given.rounds
    return given


def main() -> None:
    given = arguments()
    hold_to_two_cores()
    if given.section:
        name, rows, rounds = given.section
        print(json.dumps(SECTIONS[name](int(rows), int(rounds))))
        return
    real = given.rows == FULL and not given.quick
    store = ROOT / "build" / ("epochs.json" if real else f"epochs-{given.rows}.json")
    store.parent.mkdir(exist_ok=True)
    results = json.loads(store.read_text()) if store.exists() else {}
    for name in (n for n in given.only.split(",") if n in ALL):
        start = time.perf_counter()
        results[name] = measure(name, given)
        results |= {"machine": machine(), "row count": given.rows, "rounds": given.rounds}
        results.setdefault("seconds", {})[name] = time.perf_counter() - start
        results.setdefault("loads", {})[name] = os.getloadavg()[0]
        store.write_text(json.dumps(results, indent=1))
        print(f"{name}: {results['seconds'][name]:.0f} s", flush=True)
    print()
    print(aligned(["asked", "seen", ""], [[v.asked, v.seen, v.word] for v in verdicts(results)]))
    folder = given.folder or (ROOT / "docs" if real else ROOT / "build" / "epochs")
    print(f"\nwritten: {write_part(results, folder)}")


if __name__ == "__main__":
    main()
