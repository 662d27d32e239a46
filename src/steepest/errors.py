"""What can go wrong, as a tree.

    SteepestError
    ├── FormulaError    the text of a formula: shows the place and the mend
    ├── DataError       a table: names the file, the row, the column
    └── FitError        the two together: a start outside the domain, options that do not fit

A fit that runs but does not reach a minimum is not an error: it is a `Fit` with a status and a sentence.
"""

from __future__ import annotations

import unicodedata


class SteepestError(Exception):
    """Any refusal of steepest; its text is one message for people."""


class FormulaError(SteepestError, ValueError):
    """A formula that cannot be read or used.

    Parameters: `problem` says what is wrong and `mend` what to write instead; `text` is the formula and
    `start:stop` the characters that offend (absent when the formula did not come as text).
    """

    def __init__(self, problem: str, *, text: str = "", start: int = 0, stop: int = 0, mend: str = "") -> None:
        self.problem, self.text, self.start, self.stop, self.mend = problem, text, start, stop, mend
        super().__init__(self.render())

    def render(self) -> str:
        """The message: problem, formula with a mark under the place, mend."""
        lines = [self.problem]
        if self.text:
            shown, offset = _window(self.text, self.start, self.stop)
            marked = shown[offset : offset + max(1, min(self.stop - self.start, 60))]
            lines += ["  " + shown, "  " + " " * _columns(shown[:offset]) + "^" * max(1, _columns(marked))]
        if self.mend:
            lines.append(self.mend)
        return "\n".join(lines)


class DataError(SteepestError, ValueError):
    """A table that cannot be used as it is."""


class FitError(SteepestError, ValueError):
    """Options, start values and formula that do not go together.

    `terminal` is the message with options as the command line writes them.
    """

    def __init__(self, message: str, terminal: str = "") -> None:
        super().__init__(message)
        self.terminal = terminal or message


def _columns(text: str) -> int:
    """How many columns a terminal gives a text: two for a wide character, none for an accent that is put upon one."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _window(text: str, start: int, stop: int, width: int = 72) -> tuple[str, int]:
    """At most `width` characters of `text` around `start`, one line, and where `start` stands in it."""
    flat = "".join(c if c.isprintable() else " " for c in text)
    if len(flat) <= width:
        return flat, start
    left = max(0, min(start - width // 3, len(flat) - width))
    shown = flat[left : left + width]
    offset = start - left
    if left:
        shown, offset = "..." + shown, offset + 3
    return shown + ("..." if left + width < len(flat) else ""), offset
