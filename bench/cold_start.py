"""What a whole process costs before the first answer, beside `import numpy` alone.

    python bench/cold_start.py [rounds]

Each round starts every command once, in turn, so that all of them meet the same machine; the medians are compared.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "import numpy": [sys.executable, "-c", "import numpy"],
    "import steepest": [sys.executable, "-c", "import steepest"],
    "steepest minimize": [
        str(Path(sys.executable).with_name("steepest")), "minimize", "x**2 + 2*x + 3", "--start", "x=10",
    ],
}  # fmt: skip
ASKED = {"import steepest": 1.3, "steepest minimize": 2.0}  # at most, times `import numpy`


def seconds(command: list[str]) -> float:
    """Wall time of one run of `command`, from its start to its end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main(rounds: int = 31) -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    for command in COMMANDS.values():  # files into the cache, bytecode onto the disk
        seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}

    print(f"{'whole process':<20}{'median ms':>10}{'ratio':>8}  asked     ({rounds} alternated runs)")
    for name, median in medians.items():
        ratio = median / medians["import numpy"]
        asked = ASKED.get(name)
        verdict = "" if asked is None else f"≤ {asked:.1f}  {'met' if ratio <= asked else 'missed'}"
        print(f"{name:<20}{median * 1000:>10.1f}{ratio:>8.2f}  {verdict}".rstrip())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
