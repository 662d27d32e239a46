"""docs/performance.md: parts, each written by a script of its own, and what they are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _asked import Results, Verdict

SPEED, EPOCHS, SOLVERS = "# How fast it is", "## Batches and steps", "## Solvers side by side"
PARTS = (SPEED, EPOCHS, SOLVERS)  # the first line of each, in the order of the page


def write_part(folder: Path, blocks: Sequence[str]) -> Path:
    """The page with this part, which its first block names, in the place of the one before; the others stay."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "performance.md"
    parts = parts_of(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts[blocks[0]] = "\n\n".join(blocks)
    path.write_text("\n\n".join(parts[first] for first in PARTS if first in parts) + "\n", encoding="utf-8")
    return path


def parts_of(page: str) -> dict[str, str]:
    """First line -> part."""
    pieces = re.split(f"^({'|'.join(PARTS)})$", page, flags=re.MULTILINE)[1:]
    return {first: first + rest.rstrip() for first, rest in zip(pieces[::2], pieces[1::2], strict=True)}


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown that also reads well as it stands."""
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[j]) for row in table) for j in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in table]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def table_of(verdicts: Sequence[Verdict]) -> str:
    """What is asked beside what was seen."""
    return aligned(["asked", "seen", ""], [[v.asked, v.seen, v.word] for v in verdicts])


def link(first: str) -> str:
    """To a part, by the words of its heading."""
    words = first.lstrip("# ")
    return f"[{words.lower()}](#{words.lower().replace(' ', '-')})"


def versions_of(results: Results) -> list[dict[str, str]]:
    """What each process of a peer said of its packages."""
    return [one.get("versions", {}) for tasks in (results.get("peers") or {}).values() for one in tasks.values()]


def loads(results: Results) -> str:
    """How busy the machine was while the sections were measured."""
    m = results["machine"]
    found = (results.get("loads") or {"": m["load"]}).values()
    return f"load {min(found):.1f} to {max(found):.1f} on {m['cores']} cores"


def packages(*found: dict[str, str], only: Sequence[str] = ()) -> str:
    """Packages with their versions, all or some; the later word counts."""
    every = {name: version for one in found for name, version in one.items() if not only or name in only}
    return ", ".join(f"{name} {version}" for name, version in sorted(every.items()))


def saved(figure: Any, folder: Path, name: str, text: str) -> str:
    import matplotlib.pyplot as plt

    path = folder / "images" / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "steepest"}):
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return f"![{text}](images/{name}.svg)"
