"""The rows that a fit uses: screened, in file order or in random order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .order import WINDOW, Shuffle, shuffle_window, unit_order, window_permutation
from .source import TILE, UNIT, Block, Source, cut, read, recut
from .table import Table

Units = Callable[[Sequence[int]], Iterator[Block]]
"""Reads units in the order of the numbers given; `first_row` is the place of a block in the table."""


@dataclass
class _Count:
    dropped: int = 0
    by_column: dict[str, int] = field(default_factory=dict)
    used: int = 0
    observed: int = 0


class Reader:
    """Passes and mini-batches over a selected source; rows that are not used are marked dead.

    `condition` (of `where`) gives a bool array (rows,) for a Block that may hold NaN: its false rows are neither
    checked nor counted. Then a row with NaN in a column is dropped and counted, and an infinite value in a row that
    is left raises DataError. `weight` gives a float64 array (rows,), read on live rows: zero drops the row uncounted,
    a negative or non-finite weight raises DataError. `check` sees every Block with its live rows, and may raise.
    `counts` says how often each row stands there, once where there are none.

    After the first complete full pass, or the first reading of any kind of a table in memory: `used` is the number of
    live rows, `observed` the same with each counted as often as it stands there (N), `dropped` the number of rows left
    out for a missing value, `dropped_by_column` how many of them each column lacks. `rows_read` counts the rows that
    `full` and `batches` hand out; those of `windows` count when somebody takes them. `shuffle` may be set to what does
    NumPy's faster.
    """

    def __init__(
        self,
        source: Source,
        *,
        condition: Callable[[Block], NDArray[np.bool_]] | None = None,
        weight: Callable[[Block], NDArray[np.float64]] | None = None,
        counts: Callable[[Block], NDArray[np.float64]] | None = None,
        check: Callable[[Block], None] | None = None,
    ) -> None:
        self.source = source
        self.rows = source.rows
        self.rows_read = 0
        self.shuffle: Shuffle = np.random.Generator.shuffle
        self.used = 0
        self.observed = 0
        self.dropped = 0
        self.dropped_by_column: dict[str, int] = {}
        self._condition = condition
        self._weight = weight
        self._counts = counts
        self._check = check
        self._dirty: frozenset[int] | None = None  # first rows of the runs with dead rows; None: not known yet

    @property
    def passes(self) -> float:
        """Rows read so far, by passes and batches, divided by the rows there are."""
        return self.rows_read / self.rows

    def full(self, most: int = UNIT) -> Iterator[Block]:
        """One full pass in file order, in blocks on the grid of addition (see `steepest.data.source.blocks`).

        Blocks have up to `most` rows, a multiple of UNIT, as far as one piece of the source reaches. The first complete
        pass finds `used` and `dropped`; later ones screen only the runs of rows that hold dead ones, and a table in
        memory is screened once. Raises DataError where a row cannot be used, or no row is left.
        """
        if isinstance(self.source, Table):
            whole = [self._whole]
            for block in whole if self.rows <= most else recut(whole, self.rows, TILE, most):
                self.rows_read += block.rows
                yield block
            return
        count, dirty = _Count(), set[int]()
        for block in recut(read(self.source, range(len(self.source.units))), self.rows, TILE, most):
            self.rows_read += block.rows
            yield self._checked(block, count, dirty)
        if self._dirty is None:
            self._know(count, dirty)

    @property
    def whole(self) -> Block | None:
        """A table in memory as one block; None for what is read."""
        return self._whole if isinstance(self.source, Table) else None

    def some(self, units: Sequence[int]) -> Iterator[Block]:
        """Some units with their dead rows marked, in pieces; `first_row` is the place in the table."""
        for block in self._screened(units):
            if not isinstance(self.source, Table):
                self.rows_read += block.rows
            yield block

    @cached_property
    def _whole(self) -> Block:
        """A table in memory as one block."""
        assert isinstance(self.source, Table)
        count, dirty = _Count(), set[int]()
        block = self._checked(Block(0, self.rows, self.source.columns), count, dirty)
        self._know(count, dirty)
        return block

    def _checked(self, block: Block, count: _Count, dirty: set[int]) -> Block:
        """The block with its dead rows marked, run by run: flags of UNIT rows stay in the cache.

        Where a pass was made before, only the runs are screened that then held dead rows.
        """
        live = None
        for run in recut([block], block.rows, TILE, UNIT):
            if self._dirty is None or run.first_row in self._dirty:
                run = self._screen(run, count)
            if run.live is not None:
                dirty.add(run.first_row)
                live = np.ones(block.rows, np.bool_) if live is None else live
                at = run.first_row - block.first_row
                live[at : at + run.rows] = run.live
        return block if live is None else replace(block, live=live)

    def _know(self, count: _Count, dirty: Iterable[int]) -> None:
        """Keep what a first complete pass has found."""
        if not count.used:
            raise self._nothing_left(count)
        self.used, self.observed = count.used, count.observed
        self.dropped, self.dropped_by_column = count.dropped, count.by_column
        self._dirty = frozenset(dirty)

    def batches(self, size: int, *, seed: int, shuffle: bool, epoch: int, skip: int = 0) -> Iterator[Block]:
        """One epoch of mini-batches: `size` consecutive rows of the order each, the last one shorter.

        `first_row` is the position in the order; dead rows are part of a batch, so it may hold no live row. `skip`
        leaves out the first batches, reading only the window in which the next one begins; but a table in memory is
        screened first, all of it, once.
        """
        start = skip * size
        rows = self._ordered(seed, shuffle, epoch, start, self._screened)
        for batch in recut(rows, self.rows - start, size, size):
            self.rows_read += batch.rows
            yield batch

    def windows(
        self, size: int, *, seed: int, shuffle: bool, epoch: int, skip: int = 0
    ) -> Iterator[tuple[Block, NDArray[np.int64] | None]]:
        """The rows of `batches` in few large pieces: each a Block and the order in which its rows are taken.

        An order is an int64 array of row numbers within the Block, which it need not use up; None takes all rows as
        they lie. A piece holds whole batches, counted from the first row of the epoch's order; only the last piece may
        end with a shorter one. A table in memory is not copied: every Block of its random order is one and the same,
        the whole table. Whoever takes rows of them adds these to `rows_read`: a run may end within a piece.
        """
        start = skip * size
        few = max(WINDOW // size, 1) * size
        pieces: Iterable[tuple[Block, NDArray[np.int64] | None]]
        if isinstance(self.source, Table) and shuffle:
            numbers = recut(self._shuffled(seed, epoch, start), self.rows - start, size, few)
            pieces = ((self._whole, block.columns["row"].view(np.int64)) for block in numbers)
        elif shuffle and size <= WINDOW:
            pieces = _whole_batches(self._permuted(seed, epoch, start, self._screened), self.rows, size)
        else:
            most = -(-self.rows // size) * size if isinstance(self.source, Table) else few
            stream = recut(self._ordered(seed, shuffle, epoch, start, self._screened), self.rows - start, size, most)
            pieces = ((block, None) for block in stream)
        yield from pieces

    def _ordered(self, seed: int, shuffle: bool, epoch: int, start: int, units: Units) -> Iterator[Block]:
        """The rows of an epoch in their order, from row `start` of the order on; `units` reads them."""
        if shuffle:
            for window, order in self._permuted(seed, epoch, start, units):
                yield _take(window, order, window.first_row + window.rows - len(order))
        elif isinstance(self.source, Table):
            yield cut(self._whole, min(start, self.rows), self.rows)
        else:
            yield from self._stream(range(len(self.source.units)), start, units)

    def _permuted(self, seed: int, epoch: int, start: int, units: Units) -> Iterator[tuple[Block, NDArray[np.int64]]]:
        """The windows of the stream as they lie, each with the order of its rows, from row `start` of the order on."""
        for window in self._windows(seed, epoch, start, units):
            order = window_permutation(seed, epoch, window.first_row // WINDOW, window.rows, self.shuffle)
            yield window, order[max(start - window.first_row, 0) :]

    def _shuffled(self, seed: int, epoch: int, start: int) -> Iterator[Block]:
        """The numbers of a table's rows in the order of an epoch, from row `start` of the order on."""
        for window in self._windows(seed, epoch, start, self._numbers):
            shuffle_window(seed, epoch, window.first_row // WINDOW, window.columns["row"].view(np.int64), self.shuffle)
            yield cut(window, max(start - window.first_row, 0), window.rows)

    def _windows(self, seed: int, epoch: int, start: int, units: Units) -> Iterator[Block]:
        """The windows of the stream as they lie, from the one that row `start` is in."""
        order_of_units = unit_order(seed, epoch, len(self.source.units)).tolist()
        first = start // WINDOW * WINDOW
        yield from recut(self._stream(order_of_units, first, units), self.rows - first, WINDOW, WINDOW)

    def _stream(self, order: Sequence[int], start: int, units: Units) -> Iterator[Block]:
        """The units in this order, from row `start` of the stream on; `first_row` counts in the stream."""
        ends = accumulate(self.source.units[unit] for unit in order)
        begun = next((place for place, end in enumerate(ends) if end > start), len(order))
        at = sum(self.source.units[unit] for unit in order[:begun])
        for block in units(order[begun:]):
            if at + block.rows > start:
                yield cut(replace(block, first_row=at), max(start - at, 0), block.rows)
            at += block.rows

    def _screened(self, order: Sequence[int]) -> Iterator[Block]:
        """The units in this order, screened while `first_row` still is the place in the table."""
        if isinstance(self.source, Table):
            first_rows = list(accumulate(self.source.units, initial=0))
            for unit in order:
                yield cut(self._whole, first_rows[unit], first_rows[unit + 1])
            return
        for block in read(self.source, order):
            yield block if self._dirty is not None and not self._dirty else self._screen(block, _Count())

    def _numbers(self, order: Sequence[int]) -> Iterator[Block]:
        """The units in this order as one column "row", the numbers of their rows in the table."""
        first_rows = list(accumulate(self.source.units, initial=0))
        for unit in order:
            numbers: Any = np.arange(first_rows[unit], first_rows[unit + 1], dtype=np.int64)
            yield Block(first_rows[unit], len(numbers), {"row": numbers})

    def _screen(self, block: Block, count: _Count) -> Block:
        """The block with its dead rows marked."""
        odd = {name: column for name, column in block.columns.items() if not np.isfinite(column).all()}
        wanted = None if self._condition is None else self._condition(block)
        if not odd and wanted is None and self._weight is None:
            return self._looked_at(block, count)
        live = np.ones(block.rows, np.bool_) if wanted is None else wanted.copy()
        missing = np.zeros(block.rows, np.bool_)
        for name, column in odd.items():
            here = _by_row(np.isnan(column)) & live
            missing |= here
            if number := int(here.sum()):
                count.by_column[name] = count.by_column.get(name, 0) + number
        count.dropped += int(missing.sum())
        live &= ~missing
        self._refuse_infinite(block, odd, live)
        if self._weight is not None:
            live &= self._weighted(block, live, self._weight(replace(block, live=live)))
        return self._looked_at(replace(block, live=None if live.all() else live), count)

    def _looked_at(self, block: Block, count: _Count) -> Block:
        """A screened block, checked and counted."""
        if self._check is not None:
            self._check(block)
        used = block.rows if block.live is None else int(block.live.sum())
        count.used += used
        if self._counts is not None:
            counts = self._counts(block)
            used = int((counts if block.live is None else counts[block.live]).sum())
        count.observed += used
        return block

    def _refuse_infinite(self, block: Block, odd: dict[str, NDArray[np.float64]], live: NDArray[np.bool_]) -> None:
        infinite = {name: _by_row(np.isinf(column)) & live for name, column in odd.items()}
        first = {name: int(rows.argmax()) for name, rows in infinite.items() if rows.any()}
        if first:
            name = min(first, key=lambda name: first[name])
            values = np.atleast_1d(odd[name][first[name]])
            value = values[np.isinf(values)][0]
            place = self.source.locate(block.first_row + first[name])
            raise DataError(f"{value:g} in column {name!r} at {place}; mend the value, or leave the row out by where")

    def _weighted(self, block: Block, live: NDArray[np.bool_], weight: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which rows weigh something."""
        wrong = live & ~(np.isfinite(weight) & (weight >= 0))
        if wrong.any():
            row = int(wrong.argmax())
            place = self.source.locate(block.first_row + row)
            raise DataError(f"the weight is {weight[row]:g} at {place}; weights must be finite and not negative")
        positive: NDArray[np.bool_] = weight > 0
        return positive

    def _nothing_left(self, count: _Count) -> DataError:
        lacking = ", ".join(f"{name!r} {number:,}" for name, number in count.by_column.items())
        why = f"{count.dropped:,} lack a value (by column: {lacking})" if count.dropped else "none is wanted"
        return DataError(f"no row of {self.source.name} is left to fit: of {self.rows:,} rows {why}")


def _take(block: Block, order: NDArray[np.int64], first_row: int) -> Block:
    """The rows of a block in this order, copied."""
    columns = {name: column.take(order, axis=0) for name, column in block.columns.items()}
    return Block(first_row, len(order), columns, None if block.live is None else block.live.take(order))


def _whole_batches(
    windows: Iterable[tuple[Block, NDArray[np.int64]]], rows: int, size: int
) -> Iterator[tuple[Block, NDArray[np.int64] | None]]:
    """The windows of a stream of `rows` rows, each cut to whole batches; a batch that straddles two is copied.

    A batch is no larger than a window, and the first row of the first order begins one.
    """
    begun: Block | None = None  # the rows of a batch that the next window completes
    for window, order in windows:
        if begun is not None:
            absent = size - begun.rows
            parts = begun, _take(window, order[:absent], window.first_row)
            for batch in recut(parts, sum(part.rows for part in parts), size, size):
                yield batch, None
            begun, order = None, order[absent:]
        left = len(order) % size if window.first_row + window.rows < rows else 0
        whole = len(order) - left
        if whole:
            yield window, order[:whole]
        if left:
            begun = _take(window, order[whole:], window.first_row + window.rows - left)


def _by_row(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One flag a row, of (rows,) or (rows, q)."""
    return flags if flags.ndim == 1 else np.asarray(flags.any(axis=1))
