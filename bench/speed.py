"""The speed of a pass and of a fit beside peers, side by side with what is asked; writes docs/performance.md.

    python bench/speed.py [--rows 1e5] [--rounds 3] [--only passes,peers] [--peers PYTHON] [--folder FOLDER]

Every section is a process of its own, all on the same two cores. The peers run in `.venv-bench`, which `make bench`
makes; what is not installed there is named and left out. Results stand in build/speed.json: `--only` measures some
sections again and keeps the others, `--only page` writes the page alone. Fewer rows than 1e7 are for trying the
script: the page then goes to build/speed and not to docs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _asked import verdicts
from _cases import CASES
from _contenders import PEERS
from _page import aligned, write_page
from _sections import SECTIONS, difference
from _timing import hold_to_two_cores, machine

ROOT = Path(__file__).parents[1]
FULL = 10_000_000
THREADS = range(1, 9)
CPUS = ("x86-64-v3", "x86-64-v4")  # AVX2; AVX-512 as every processor with it has
ALL = ("passes", "narrow", "peers", "normal", "build", "first_answer", "fits", "bits", "memory", "growth")


def run(command: list[str], **environment: str) -> Any:
    """The JSON on the last line that a script of this folder prints; None where it fails, and says why."""
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        print(f"  failed: {' '.join(command[2:])}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
        return None


def section(name: str, rows: int, rounds: int, **environment: str) -> Any:
    return run([sys.executable, __file__, "--section", name, str(rows), str(rounds)], **environment)


def peers(python: str, rows: int, rounds: int) -> dict[str, Any]:
    """Every peer on every formula, and steepest in the same way."""
    found: dict[str, Any] = {}
    worker = str(Path(__file__).with_name("_peer.py"))
    for name in ("steepest", *PEERS):
        interpreter = sys.executable if name == "steepest" else python
        found[name] = {}
        for case in CASES:
            if not Path(interpreter).exists():
                found[name][case] = {"absent": "not installed"}
                continue
            answer = run([interpreter, worker, name, case, str(rows), str(rounds)]) or {"absent": "failed"}
            mine = found["steepest"].get(case, {})
            if "loss" in answer and "loss" in mine:
                answer["apart"] = difference((answer["loss"], answer["gradient"]), (mine["loss"], mine["gradient"]))
            found[name][case] = answer
    return found


def bits(rows: int) -> dict[str, Any]:
    """Digests for 1 to 8 threads and for processors forced down."""
    found = {"as it is": section("digests", rows, 1)}
    found |= {f"{n} threads": section("digests", rows, 1, STEEPEST_THREADS=str(n)) for n in THREADS}
    return found | {cpu: section("digests", rows, 1, STEEPEST_CPU=cpu) for cpu in CPUS}


def measure(name: str, given: argparse.Namespace) -> Any:
    if name == "peers":
        return peers(given.peers, given.rows, given.rounds)
    if name == "bits":
        return bits(given.rows)
    if name == "narrow":
        return section(name, given.rows, given.rounds, STEEPEST_CPU="x86-64-v3")
    return section(name, given.rows, given.rounds)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=FULL)
    parser.add_argument("--rounds", type=int, default=9, help="repeats behind every median")
    parser.add_argument("--only", default=",".join(ALL), help="sections: " + ", ".join(ALL))
    parser.add_argument(
        "--peers", default=str(ROOT / ".venv-bench" / "bin" / "python"), help="interpreter of the peers"
    )
    parser.add_argument("--folder", type=Path, help="where the page goes")
    parser.add_argument("--section", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    hold_to_two_cores()
    if given.section:
        name, rows, rounds = given.section
        print(json.dumps(SECTIONS[name](int(rows), int(rounds))))
        return
    store = ROOT / "build" / ("speed.json" if given.rows == FULL else f"speed-{given.rows}.json")
    store.parent.mkdir(exist_ok=True)
    results = json.loads(store.read_text()) if store.exists() else {}
    for name in (n for n in given.only.split(",") if n in ALL):
        start = time.perf_counter()
        results[name] = measure(name, given)
        results |= {"machine": machine(), "row count": given.rows, "rounds": given.rounds}
        results.setdefault("seconds", {})[name] = time.perf_counter() - start
        store.write_text(json.dumps(results, indent=1))
        print(f"{name}: {results['seconds'][name]:.0f} s", flush=True)
    print()
    print(aligned(["asked", "seen", ""], [[v.asked, v.seen, v.word] for v in verdicts(results)]))
    folder = given.folder or (ROOT / "docs" if given.rows == FULL else ROOT / "build" / "speed")
    print(f"\nwritten: {write_page(results, folder)}")


if __name__ == "__main__":
    main()
