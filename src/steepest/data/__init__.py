"""Rows: where they come from, how they are cut into blocks, and which of them a fit uses. Knows no formula."""

from typing import TYPE_CHECKING

from .reader import Reader
from .source import TILE, UNIT, Block, ColumnType, Source, blocks

if TYPE_CHECKING:
    from .open import open_source

__all__ = ["TILE", "UNIT", "Block", "ColumnType", "Reader", "Source", "blocks", "open_source"]


def __getattr__(name: str) -> object:
    """The doors for data bring every kind of source: they are loaded when data are given."""
    if name != "open_source":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .open import open_source

    return open_source
