"""A progress line: pass, rows a second, loss, time left; at most ten times a second."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INTERVAL = 0.1  # seconds between two reports


@dataclass(frozen=True)
class Progress:
    """Where a run stands: `passes` over the rows, `rows_per_second`, the last `loss` of all rows, `seconds` since the
    start, the seconds `left` where the limits tell (None otherwise), and the `rows` of a pass (1 for a function)."""

    passes: float
    steps: int
    rows_per_second: float
    loss: float | None
    seconds: float
    left: float | None
    rows: int = 0

    def line(self) -> str:
        """One line for a terminal."""
        loss = "" if self.loss is None else f"  loss {self.loss:.6g}"
        left = "" if self.left is None else f"  {_clock(self.left)} left"
        clock = f"{loss}  {_clock(self.seconds)}{left}"
        if self.rows == 1:
            return f"step {self.steps:,}  {_count(self.steps / max(self.seconds, 1e-9))} steps/s{clock}"
        return f"pass {self.passes:,.1f}  step {self.steps:,}  {_count(self.rows_per_second)} rows/s{clock}"


class Watch:
    """Reports while a run reads rows; used as a context around it."""

    def __init__(self, report: Callable[[Progress], None] | None, surface: Any, descent: Any) -> None:
        self._report, self._surface, self._descent = report, surface, descent
        self._rows = 0
        self._began = self._last = time.monotonic()

    @staticmethod
    def of(progress: bool | Callable[[Progress], None] | None, surface: Any, descent: Any) -> Watch:
        """True: a line on stderr; a function: that; None or False: nothing."""
        if progress is True:
            return _Line(surface, descent)
        return Watch(progress if callable(progress) else None, surface, descent)

    def __enter__(self) -> Watch:
        if self._report is not None:
            self._surface.watch = self._read
        return self

    def __exit__(self, *_: object) -> None:
        self._surface.watch = None

    def _read(self, rows: int) -> None:
        self._rows += rows
        now = time.monotonic()
        if now - self._last >= INTERVAL:
            self._last = now
            assert self._report is not None
            self._report(self._progress(now - self._began))

    def _progress(self, seconds: float) -> Progress:
        descent = self._descent
        passes = self._surface.reader.passes
        left = []
        stop = descent.stop
        if stop is not None and passes > 0:
            for done, limit in ((passes, stop.passes), (descent.number, stop.steps), (seconds, stop.seconds)):
                if limit is not None and done > 0:
                    left.append(max(limit - done, 0.0) / done * seconds)
        loss = None if descent.evaluation is None else float(descent.evaluation.loss)
        return Progress(
            passes, descent.number, self._rows / max(seconds, 1e-9), loss, seconds, min(left) if left else None,
            self._surface.reader.rows,
        )  # fmt: skip


class _Line(Watch):
    """The line on stderr, rewritten in place and wiped at the end."""

    def __init__(self, surface: Any, descent: Any) -> None:
        super().__init__(self._write, surface, descent)
        self._width = 0

    def _write(self, progress: Progress) -> None:
        line = progress.line()[: _columns() - 1]  # a line that wraps cannot be rewritten
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80


def _count(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.0f}"


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
