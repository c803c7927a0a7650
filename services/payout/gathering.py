"""Waiting until there is more to do at once: a transaction and a call cost much the same for one order as for hundreds.

What was taken never waits, only the next taking does, and none where the last one was full.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeAlias

Turn: TypeAlias = Callable[[], Awaitable[int]]


@dataclass(slots=True)
class Gathering:
    """Spaces the claims of all workers of one process that share it; one that took less than `enough` is followed by
    the next after `pause_s`."""

    enough: int = 0
    pause_s: float = 0.0
    _not_before_s: float = 0.0
    _one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def next(self) -> AsyncIterator[None]:
        """The block may claim, and says with `took` how much it was."""
        async with self._one_by_one:
            await asyncio.sleep(max(0.0, self._not_before_s - monotonic()))
            yield

    def took(self, rows: int) -> None:
        self._not_before_s = monotonic() + (self.pause_s if rows < self.enough else 0.0)


def gathering(turn: Turn, enough: int, pause_s: float) -> Turn:
    """A turn that moved less than `enough` is followed by a pause."""

    async def unhurried() -> int:
        moved = await turn()
        if 0 < moved < enough:
            await asyncio.sleep(pause_s)
        return moved

    return unhurried
