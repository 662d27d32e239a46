"""A script of sections: each is measured in a process of its own, kept in build/ and shown in a part of the page."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _asked import Results, Verdict
from _page import table_of, write_part
from _timing import hold_to_two_cores, machine

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
Given = argparse.Namespace  # rows, rounds, peers: the interpreter of the peers


@dataclass(frozen=True)
class Bench:
    """What a script measures, and where it stands on the page."""

    about: str  # its docstring
    rows: int  # those of the page: with others the script is only tried
    rounds: int  # repeats behind every median
    names: Sequence[str]  # of all sections
    here: Mapping[str, Callable[[int, int], Any]]  # those that `section` runs: (rows, rounds) -> plain numbers
    measure: Callable[[str, Given], Any]  # one section by its name
    verdicts: Callable[[Results], list[Verdict]]
    part: Callable[[Results, Path], list[str]]  # blocks of the page, with pictures in a folder


def run(command: Sequence[str], **environment: str) -> Any:
    """The JSON on the last line that a script of this folder prints; None where it fails, and says why."""
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        print(f"  failed: {' '.join(command[2:])}: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
        return None


def section(name: str, given: Given, **environment: str) -> Any:
    """A section of this script in a process of its own."""
    return run([sys.executable, sys.argv[0], "--section", name, str(given.rows), str(given.rounds)], **environment)


def ask(python: str, worker: str, contender: str, task: str, given: Given) -> dict[str, Any]:
    """What a worker of this folder found of a contender, in an environment that may not be there."""
    if not Path(python).exists():
        return {"absent": "not installed"}
    command = [python, str(Path(__file__).with_name(worker)), contender, task, str(given.rows), str(given.rounds)]
    return run(command) or {"absent": "failed"}


def arguments(bench: Bench) -> Given:
    parser = argparse.ArgumentParser(description=bench.about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: int(float(text)), default=bench.rows)
    parser.add_argument("--rounds", type=int, default=bench.rounds, help="repeats behind every median")
    parser.add_argument("--quick", action="store_true", help="one repeat, for trying the script")
    parser.add_argument("--only", default=",".join(bench.names), help="sections: " + ", ".join(bench.names))
    parser.add_argument(
        "--peers", default=str(ROOT / ".venv-bench" / "bin" / "python"), help="interpreter of the peers"
    )
    parser.add_argument("--folder", type=Path, help="where the page goes")
    parser.add_argument("--section", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.rounds = 1 if given.quick else given.rounds
    return given


def main(bench: Bench) -> None:
    given = arguments(bench)
    hold_to_two_cores()
    if given.section:
        name, rows, rounds = given.section
        print(json.dumps(bench.here[name](int(rows), int(rounds))))
        return
    script = Path(sys.argv[0]).stem
    real = given.rows == bench.rows and not given.quick
    store = BUILD / (f"{script}.json" if real else f"{script}-{given.rows}.json")
    store.parent.mkdir(exist_ok=True)
    results = json.loads(store.read_text()) if store.exists() else {}
    for name in (n for n in given.only.split(",") if n in bench.names):
        start = time.perf_counter()
        results[name] = bench.measure(name, given)
        results |= {"machine": machine(), "row count": given.rows, "rounds": given.rounds}
        results.setdefault("seconds", {})[name] = time.perf_counter() - start
        results.setdefault("loads", {})[name] = os.getloadavg()[0]
        store.write_text(json.dumps(results, indent=1))
        print(f"{name}: {results['seconds'][name]:.0f} s", flush=True)
    print("\n" + table_of(bench.verdicts(results)))
    folder = given.folder or (ROOT / "docs" if real else BUILD / script)
    print(f"\nwritten: {write_part(folder, bench.part(results, folder))}")
