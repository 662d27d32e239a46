"""The command line as a person meets it: in this process, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from steepest import datasets
from steepest.cli.main import main

Run = Callable[..., Result]
COMMAND = [sys.executable, "-m", "steepest"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; nothing but SystemExit may come out of it."""
    monkeypatch.chdir(tmp_path)

    def invoke(*words: str) -> Result:
        result = CliRunner().invoke(main, list(words), prog_name="steepest")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return invoke


@pytest.fixture
def notes() -> str:
    """Four rows on the plane y = x1 + 2*x2 + 3."""
    return datasets.path("notes")


@pytest.fixture
def line(tmp_path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """A CSV file of a noisy line with columns t and y, and the columns."""
    random = np.random.default_rng(7)
    t = np.linspace(-1.0, 3.0, 40)
    y = 2.5 - 0.75 * t + 0.1 * random.standard_normal(40)
    path = tmp_path / "line.csv"
    path.write_text("t,y\n" + "".join(f"{a!r},{b!r}\n" for a, b in zip(t.tolist(), y.tolist(), strict=True)))
    return str(path), t, y


def process(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own, to its end."""
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, cwd=cwd, env={**os.environ, **more}, timeout=120
    )


def refused(result: Result | subprocess.CompletedProcess[str]) -> str:
    """The message of a refusal: exit status 2, nothing on stdout, one message and no traceback on stderr."""
    code = result.exit_code if isinstance(result, Result) else result.returncode
    assert code == 2, (result.stdout, result.stderr)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("error:") == 1
    assert "Traceback" not in result.stderr
    return result.stderr
