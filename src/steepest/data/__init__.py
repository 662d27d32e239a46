"""Rows: where they come from, how they are cut into blocks, and which of them a fit uses. Knows no formula."""

from steepest.data.open import open_source
from steepest.data.reader import Reader
from steepest.data.source import TILE, UNIT, Block, ColumnType, Source, blocks

__all__ = ["TILE", "UNIT", "Block", "ColumnType", "Reader", "Source", "blocks", "open_source"]
