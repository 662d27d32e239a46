"""The order of file names that people expect: part-2 before part-10."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DIGITS = re.compile(r"(\d+)", re.ASCII)


def natural(names: Iterable[str]) -> list[str]:
    """The names in natural order: runs of digits compare as numbers, all else as text, folder by folder."""
    return sorted(names, key=_key)


def _key(name: str) -> tuple[list[list[tuple[int, int, str]]], str]:
    parts = [
        [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in _DIGITS.split(part) if piece]
        for part in name.replace("\\", "/").split("/")
    ]
    return parts, name  # part-01 and part-1 are equal as numbers: the text decides
