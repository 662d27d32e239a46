"""Rows: where they come from, how they are cut into blocks, and which of them a fit uses. Knows no formula."""

from .open import open_source
from .reader import Reader
from .source import TILE, UNIT, Block, ColumnType, Source, blocks

__all__ = ["TILE", "UNIT", "Block", "ColumnType", "Reader", "Source", "blocks", "open_source"]
