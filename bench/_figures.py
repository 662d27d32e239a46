"""The figures that the scripts last saw, a small file of each in build/: the page shows them beside what is asked."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

BUILD = Path(__file__).parents[1] / "build"


def keep(script: str, **figures: Any) -> None:
    """Keep figures of a script, given as its `__file__`; others of the same script stay."""
    path = BUILD / f"{Path(script).stem}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept(path.stem) | {"date": datetime.date.today().isoformat()} | figures, indent=1))


def kept(script: str) -> dict[str, Any]:
    """The figures of a script by its name; none where it was not run."""
    path = BUILD / f"{script}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
