"""From words of the command line to arguments of the library: `a=1,b=2`, `b=0:`, formulas that begin with a minus."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import FitError

_NAME = re.compile(r"\s*(?:`(?P<quoted>[^`]+)`|(?P<plain>[^\s=,;:`\[\]()]+))\s*(?:\[\s*(?P<index>\d+)\s*\])?\s*=")
_MISTYPED = re.compile(r"--[a-z][a-z-]*[a-z](=.*)?")


class FormulaCommand(click.Command):
    """A command whose words may begin with a minus: `-a*x` is a formula wherever it stands, `--stpes` is a mistake."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args == ["-h"]:
            args = ["--help"]
        takes_value = {
            flag: isinstance(option, click.Option) and not option.is_flag
            for option in self.get_params(ctx)
            for flag in (*option.opts, *option.secondary_opts)
            if flag.startswith("-")
        }
        options, words, rest = [], [], list(args)
        while rest:
            word = rest.pop(0)
            if word == "--":
                words += rest
                break
            flag, equals, _ = word.partition("=")
            if flag in takes_value:
                options.append(word)
                if takes_value[flag] and not equals and rest:
                    options.append(rest.pop(0))
            else:
                (options if _MISTYPED.fullmatch(word) else words).append(word)
        return super().parse_args(ctx, [*options, "--", *words])


def whole(text: str) -> int:
    """A whole number that is not negative: 5000, 5_000, 1e6. Raises ValueError."""
    if text.strip().replace("_", "").isdigit():
        return int(text)
    number = float(text)
    if not 0 <= number < 1e18 or number != int(number):
        raise ValueError
    return int(number)


def whole_option(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """The callback of an option that takes a whole number."""
    try:
        return None if text is None else whole(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a whole number") from None


def starts(texts: Sequence[str]) -> dict[str, Any] | None:
    """`a=1,b=2`, `B=[10.1, 15.1]`, `B[0]=10.1,B[1]=15.1`: numbers by name, lists for vectors."""
    return _by_name(texts, "--start", "a=1,b=2", _numbers)


def fixes(texts: Sequence[str]) -> dict[str, Any] | None:
    """`c=0`; what is no number is passed on as text, a tie."""

    def number_or_text(text: str) -> Any:
        try:
            return _numbers(text)
        except ValueError:
            return text

    return _by_name(texts, "--fixed", "c=0", number_or_text)


def bounds(texts: Sequence[str]) -> dict[str, Any] | None:
    """`b=0:`, `b=:5`, `b=0:1`: (lower, upper) by name, None where a side is open; `B[0]=0:` bounds one element."""

    def pair(text: str) -> tuple[float | None, float | None]:
        low, colon, high = text.partition(":")
        if not colon or ":" in high or not (low.strip() or high.strip()):
            raise ValueError
        return (float(low) if low.strip() else None, float(high) if high.strip() else None)

    found = _by_name(texts, "--bounds", "b=0: or b=:5 or b=0:1", pair)
    for name, value in (found or {}).items():
        if isinstance(value, list):  # one pair for each element
            infinite = float("inf")
            low = [-infinite if a is None else a for a, _ in value]
            high = [infinite if b is None else b for _, b in value]
            assert found is not None
            found[name] = (low, high)
    return found


def of_the_terminal(text: str) -> str:
    """A sentence with the options that it names as they are written here."""
    from ..strategy import AUTO

    return text.replace(AUTO, "--scale auto")


def priors(texts: Sequence[str]) -> dict[str, Any] | None:
    """`b=0:2.5`: (mean, standard deviation) by name."""

    def pair(text: str) -> tuple[float, float]:
        mean, _, spread = text.partition(":")
        return float(mean), float(spread)

    return _by_name(texts, "--prior", "b=0:2.5", pair)


def number_or_formula(text: str | None) -> float | str | None:
    """A number where the text is one, else the text."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def table(words: Sequence[str], command: str) -> str | list[str]:
    """DATA...: a file, folder, pattern or query, or several files in natural order."""
    if not words:
        raise click.UsageError(f"DATA is missing: steepest {command} DATA, DATA a file, a folder or a pattern")
    if len(words) == 1:
        return words[0]
    from ..data.natural import natural

    return natural(words)


def check_output(option: str, path: str | None, inputs: Sequence[str], suffixes: Sequence[str] = ()) -> None:
    """Refuse, before anything runs, an output that cannot be written or would overwrite an input."""
    if path is None:
        return
    target = Path(path)
    if suffixes and target.suffix.lower() not in suffixes:
        raise FitError(f"{option} {path}: give a name that ends in {' or '.join(suffixes)}")
    if target.is_dir():
        raise FitError(f"{option} {path} is a folder; give a file in it")
    if not target.parent.is_dir():
        raise FitError(f"{option} {path}: there is no folder {target.parent}")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise FitError(f"{option} {path} cannot be written: permission denied")
    for given in inputs:
        if target.exists() and Path(given).exists() and target.samefile(given):
            raise FitError(f"{option} {path} would overwrite the input {given}; give another name")


def _numbers(text: str) -> float | list[float]:
    if text.startswith("[") and text.endswith("]"):
        return [float(cell) for cell in text[1:-1].split(",")]
    return float(text)


def _by_name(texts: Sequence[str], option: str, example: str, read: Callable[[str], Any]) -> dict[str, Any] | None:
    """`name=value,name=value` from all uses of an option, elements of vectors gathered; None where there are none."""
    found: dict[str, Any] = {}
    elements: dict[str, dict[int, Any]] = {}
    for name, index, text in (pair for whole in texts for pair in _pairs(whole, option, example)):
        shown = name if index is None else f"{name}[{index}]"
        try:
            value = read(text)
        except ValueError:
            raise FitError(f"{option}: {text or 'nothing'!r} for {shown} cannot be read; write {example}") from None
        if name in found or index in elements.get(name, ()) or (index is None and name in elements):
            raise FitError(f"{option}: {shown} is given twice")
        if index is None:
            found[name] = value
        else:
            elements.setdefault(name, {})[index] = value
    return ({**found, **dict(_gathered(elements, option))} or None) if texts else None


def _gathered(elements: Mapping[str, Mapping[int, Any]], option: str) -> Iterator[tuple[str, list[Any]]]:
    for name, by_index in elements.items():
        lacking = next((i for i in range(len(by_index)) if i not in by_index), None)
        if lacking is not None:
            raise FitError(f"{option}: {name}[{lacking}] is missing; give every element of {name} from 0 on")
        yield name, [by_index[i] for i in range(len(by_index))]


def _pairs(text: str, option: str, example: str) -> Iterator[tuple[str, int | None, str]]:
    at = 0
    while True:
        match = _NAME.match(text, at)
        if match is None:
            rest = text[at:].strip()
            raise FitError(f"{option}: {rest or 'nothing'!r} is no name=value; write {example}, odd names in backticks")
        end = _end(text, match.end())
        index = match["index"]
        yield match["quoted"] or match["plain"], None if index is None else int(index), text[match.end() : end].strip()
        at = end + 1
        if at >= len(text) or not text[at:].strip():
            return


def _end(text: str, at: int) -> int:
    """Where a value ends: at the next comma outside brackets."""
    depth = 0
    for place in range(at, len(text)):
        depth += (text[place] in "([") - (text[place] in ")]")
        if text[place] == "," and depth <= 0:
            return place
    return len(text)
