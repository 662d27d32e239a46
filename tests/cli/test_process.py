"""The command as a process: exit statuses, Ctrl-C, closed pipes, a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import steepest

from .conftest import COMMAND, process, refused

LONG = ["fit", "y = b1*x1 + b2*x2 + c", "--method", "gd", "--rate", "1e-6", "--steps", "1000000000"]


def test_json_is_alone_on_stdout(tmp_path: Path, notes: str) -> None:
    words = ["fit", "y = b1*x1 + b2*x2 + c", notes, "--method", "gd", "--reduce", "sum", "--rate", "0.1", "--json"]
    result = process(*words, cwd=tmp_path)
    assert result.returncode == 1
    assert json.loads(result.stdout)["status"] == "diverged"
    assert result.stderr.startswith("warning: ")
    assert result.stderr.count("\n") == 1


def test_a_minus_in_front_and_options_behind_it(tmp_path: Path) -> None:
    result = process("minimize", "-x**2 + x", "--maximize", "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["values"]["x"] == pytest.approx(0.5)


def test_bad_input_is_one_message(tmp_path: Path, notes: str) -> None:
    message = refused(process("fit", "y = a*sqr(x1)", notes, cwd=tmp_path))
    assert "^" in message


def test_the_output_is_readable_where_only_ascii_is(tmp_path: Path, notes: str) -> None:
    result = process("explain", "y = a*x1 + b", notes, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "condition" in result.stdout


def interrupted(words: list[str], notes: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Start a long run, press Ctrl-C when it is on its way."""
    words = [*words[:2], notes, *words[2:]]
    code = (
        "import sys, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from steepest import descent\n"
        "steps = descent.Descent.steps\n"
        "def told(self):\n"
        "    said = False\n"
        "    for step in steps(self):\n"
        "        if step.number >= 50 and not said: print('on its way', file=sys.stderr, flush=True)\n"
        "        said = said or step.number >= 50\n"
        "        yield step\n"
        "descent.Descent.steps = told\n"
        "from steepest.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "on its way\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    return subprocess.CompletedProcess(command, running.returncode, out, err)


def test_ctrl_c_prints_and_saves_the_best_point(tmp_path: Path, notes: str) -> None:
    result = interrupted(LONG, notes, tmp_path)
    assert result.returncode == 130
    assert result.stderr == ""
    assert "interrupted" in result.stdout
    kept = steepest.load(tmp_path / "steepest-interrupted.json")
    assert kept.status == "interrupted"
    assert kept.steps >= 50
    again = interrupted([*LONG, "--json"], notes, tmp_path)
    assert again.returncode == 130
    assert json.loads(again.stdout)["status"] == "interrupted"
    assert again.stderr == "saved to steepest-interrupted-2.json\n"
    third = interrupted([*LONG, "--save", "mine.json", "--quiet"], notes, tmp_path)
    assert third.returncode == 130
    assert steepest.load(tmp_path / "mine.json").status == "interrupted"


@pytest.mark.parametrize("words", [["fit", "--help"], ["explain", "x**2"], ["predict", "fit.json", "many.csv"]])
def test_a_closed_pipe_is_silent(words: list[str], tmp_path: Path, notes: str) -> None:
    (tmp_path / "many.csv").write_text("x1,x2,y\n" + "1,2,3\n" * 100_000)
    steepest.fit("y = b1*x1 + b2*x2 + c", notes).save(tmp_path / "fit.json")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [*COMMAND, *words], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path, timeout=60
        )
    finally:
        os.close(writer)
    assert result.stderr == ""
    assert result.returncode == 141


def test_the_progress_line_is_there_on_a_terminal_only_and_wiped(tmp_path: Path, notes: str) -> None:
    pty = pytest.importorskip("pty")
    words = ["fit", "y = b1*x1 + b2*x2 + c", notes, "--method", "gd", "--rate", "1e-6", "--seconds", "0.5"]
    parent, child = pty.openpty()
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=child, cwd=tmp_path) as running:
        os.close(child)
        seen = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:  # the terminal is gone: the process has ended
                break
            if not piece:
                break
            seen += piece
        out = running.communicate()[0]
    os.close(parent)
    lines = seen.decode().split("\r")
    assert any(line.startswith("pass ") and "rows/s" in line and "left" in line for line in lines)
    assert lines[-2].strip() == lines[-1] == ""
    assert b"pass " not in out.partition(b"\n")[0]
    assert process(*words, cwd=tmp_path).stderr == ""


def test_the_cheap_command_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from steepest.cli.main import main\n"
        "try: main(['minimize', 'x**2 + 2*x + 3', '--start', 'x=10'])\n"
        "except SystemExit: pass\n"
        "print(sorted(sys.modules.keys() & {'rich', 'pyarrow', 'sympy', 'scipy', 'matplotlib', 'pandas', 'json.tool'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


def test_ctrl_c_before_the_first_step_is_one_line(tmp_path: Path) -> None:
    code = (
        "from steepest.cli import main\n"
        "def slow(*_): raise KeyboardInterrupt\n"
        "main.arguments.starts = slow\n"
        "main.main(['minimize', 'x**2'])"
    )
    began = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (result.returncode, result.stdout) == (130, ""), time.monotonic() - began
    assert result.stderr == "error: interrupted before the end; what stands above, if anything, holds\n"
