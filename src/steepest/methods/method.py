"""What a method is: the protocol, and the state of the two kinds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from ..types import Array, Evaluation, Need


@dataclass(frozen=True)
class State:
    """`accepted`: whether the point that was just evaluated is a step (a rejected trial is not).

    `stalled` is the sentence that says why no further step is possible, "" while one is. `memory` is the method's own.
    `need` is what the next pass must deliver, where that is not the method's; `note` is what has changed in the way the
    run goes, in words; `gap` is the fall of T that a whole Newton step promises, where one is known.
    """

    accepted: bool = True
    stalled: str = ""
    memory: Any = None
    need: Need | None = None
    note: str = ""
    gap: float = math.inf


class Method(Protocol):
    """Two pure functions and what they ask for."""

    @property
    def name(self) -> str:
        """As in messages."""

    @property
    def need(self) -> Need:
        """What a pass must deliver."""

    def init(self, theta: Array) -> State:
        """The state before the first evaluation."""

    def update(self, evaluation: Evaluation, state: State, theta: Array, step: int, epoch: int) -> tuple[Array, State]:
        """The point to evaluate next.

        `step` (from 1) and `epoch` (from 0) are those of the update that follows if the evaluated `theta` is accepted.
        """
