"""Epochs of batches and steps on all rows beside peers, side by side with what is asked; a part of docs/performance.md.

    python bench/epochs.py [--rows 1e5] [--quick] [--only batches,peers] [--peers PYTHON] [--folder FOLDER]

Every section is a process of its own; what is called one thread is held to one core. The peers run in `.venv-bench`
(`make bench` makes it), scikit-learn in the project's own environment; what is not installed is named and left out.
Results stand in build/epochs.json: `--only` measures some sections again and keeps the others, `--only page` writes the
page alone. Other rows than 1e6, and `--quick` (one repeat), are for trying: the page then goes to build/epochs.
"""

from __future__ import annotations

from typing import Any

from _bench import Bench, Given, ask, main, section
from _curve import curve
from _epochs_page import MINIMA, part, verdicts
from _epochs_sections import SECTIONS as HERE
from _larger import larger

RULES = ("gd in order", "gd shuffled", "adam in order", "adam shuffled")
MODELS = ("linear", "logistic")
ONE_THREAD = {
    "STEEPEST_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip
SECTIONS = HERE | {"curve": curve, "larger": larger}
ALONE = ("batches", "single", "text")  # on one thread
PEERS = {"JAX, scan": RULES, "PyTorch, loop": RULES} | dict.fromkeys(MINIMA, MODELS)


def measure(name: str, given: Given) -> Any:
    if name == "peers":
        few = Given(**{**vars(given), "rounds": min(given.rounds, 3)})
        return {
            peer: {task: ask(given.peers, "_epochs_peer.py", peer, task, few) for task in tasks}
            for peer, tasks in PEERS.items()
        }
    return section(name, given, **(ONE_THREAD if name in ALONE else {}))


if __name__ == "__main__":
    main(Bench(__doc__ or "", 1_000_000, 5, (*SECTIONS, "peers"), SECTIONS, measure, verdicts, part))
