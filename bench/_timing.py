"""Medians of repeats, and the machine that they were taken on."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

THREADS = 2  # everything is held to two cores
PACKAGES = ("steepest", "numpy", "scipy", "llvmlite", "numexpr", "numba", "jax", "optax", "torch", "heyoka", "lmfit",
            "iminuit", "optimistix")  # fmt: skip


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turn(calls: Mapping[str, Callable[[], Any]], rounds: int = 9, again: bool = True) -> dict[str, float]:
    """Median seconds of each: every round makes all of them, so that all meet the same machine.

    Before each there is a pause, in which the threads of the one before fall asleep, and with `again` a call that is
    not timed.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(0.005)
            if again:
                call()
            taken[name].append(seconds(call))
    return {name: statistics.median(values) for name, values in taken.items()}


def hold_to_two_cores() -> None:
    """Two cores for this process and its children; BLAS by its own choice of kernels."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    widest = [name for name in ("avx2", "avx512f") if name in entries.get("flags", "").split()]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": entries.get("model name", platform.processor() or platform.machine()),
        "family": f"family {entries.get('cpu family', '?')} model {entries.get('model', '?')}",
        "vectors": widest[-1] if widest else "",
        "cache": _last_cache(),
        "cores": os.cpu_count(),
        "memory": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "compiler": _compiler(),
        "load": os.getloadavg()[0],
        "versions": versions(),
    }


def _last_cache() -> str:
    caches = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    return caches[-1].read_text().strip() if caches else "?"


def versions() -> dict[str, str]:
    """The versions of what is installed in this environment."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _compiler() -> str:
    try:
        out = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return out.splitlines()[0]


def answer(measured: Callable[[str, str, int, int], Any]) -> None:
    """What a process of its own prints: `measured(contender, task, rows, rounds)` of its arguments, as JSON."""
    hold_to_two_cores()
    try:
        found = measured(sys.argv[1], sys.argv[2], int(float(sys.argv[3])), int(sys.argv[4]))
    except Exception as error:  # a peer that fails is reported, and the others go on
        found = {"absent": f"failed: {type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"}
    print(json.dumps(found))
