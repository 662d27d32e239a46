"""Every block of the documents is run, and prints what the document says it prints.

A ```python block runs in the namespace of its document; the ```text block that follows is what it printed. Each line
`$ steepest ...` of a ```console block is run by the command line, and the rest is what that printed. Clock times are
compared as "any number".
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLOCK = re.compile(r"\d[\d.e+-]* (s|ms|min)\b")


def comparable(text: str) -> str:
    """A printed text without what differs from run to run."""
    return CLOCK.sub(r"# \1", "\n".join(line.rstrip() for line in text.strip().splitlines()))


def run_console(line: str) -> str:
    """What a command prints."""
    from click.testing import CliRunner

    from steepest.cli.main import main

    words = shlex.split(line)
    assert words[0] == "steepest", line
    result = CliRunner().invoke(main, words[1:])
    return result.output


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_blocks_of_a_document_print_what_it_says(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("src", "docs"):
        os.symlink(ROOT / name, tmp_path / name)
    namespace: dict[str, object] = {}
    blocks = BLOCK.findall(document.read_text(encoding="utf-8"))
    for (kind, body), (next_kind, next_body) in zip(blocks, [*blocks[1:], ("", "")], strict=False):
        if kind == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(body, document.name, "exec"), namespace)  # noqa: S102 (our own documents)
            expected = next_body if next_kind == "text" else ""
            assert comparable(printed.getvalue()) == comparable(expected), body
        elif kind == "console":
            command, _, expected = body.partition("\n")
            assert command.startswith("$ "), body
            assert comparable(run_console(command[2:])) == comparable(expected), command


def test_a_wrong_document_is_noticed(tmp_path: Path) -> None:
    assert comparable("loss 1.0, 0.12 s") == comparable("loss 1.0, 3.4 s")
    assert comparable("loss 1.0, 0.12 s") != comparable("loss 2.0, 0.12 s")
