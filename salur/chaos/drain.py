"""Waiting until the flow has nothing left to do, by itself."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import aiohttp
import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from salur.demo.counts import Flow
from salur.demo.flow import StandsStill
from salur.inside.connect import database
from shared.errors import SalurError
from shared.events.topics import STAGES

LOOK_EVERY_S: Final = 0.5
CALM_LOOKS: Final = 3
"""Nothing may be open at so many looks in a row: work may be on its way between two stages."""
STANDSTILL_S: Final = 150.0
"""Longer than any pause in the flow: a claim of a dead process, a bank's window, a process started again and again."""

_READ_TO: Final = "SELECT topic, partition, next_offset FROM input_position"

AWAY: Final = (KafkaError, OSError, TimeoutError, SalurError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a look meets while something is down."""


@dataclass(slots=True)
class Drain:
    """Looks at the flow past all proxies. `tell` hears the events so far by topic."""

    flow: Flow
    carrier: str
    tell: Callable[[dict[str, int]], None]
    events: dict[str, int] = field(default_factory=dict)

    async def glance(self) -> None:
        """Tells the events so far, where the broker does."""
        with suppress(*AWAY):
            await self._count()

    async def look(self) -> bool:
        """Whether nothing is open now. What is away is open."""
        try:
            await self._count()
            return await self._all_read() and await self.flow.finished() and await self._all_told()
        except AWAY:
            return False

    async def until_empty(self) -> float:
        """Returns after how many seconds everything was done. Raises StandsStill when nothing moves any more."""
        began = moved_at = monotonic()
        calm, last = 0, self.events
        while calm < CALM_LOOKS:
            calm = calm + 1 if await self.look() else 0
            if self.events != last:
                last, moved_at = self.events, monotonic()
            elif monotonic() - moved_at > STANDSTILL_S:
                raise StandsStill(f"nothing has moved for {STANDSTILL_S:.0f} s although something is open")
            await asyncio.sleep(LOOK_EVERY_S)
        return monotonic() - began

    async def _count(self) -> None:
        self.events = await self.flow.events()
        self.tell(self.events)

    async def _all_read(self) -> bool:
        """Whether each stage has handled all that its topics hold, by its own positions."""
        reached: dict[TopicPartition, int] = {}
        for stage in STAGES:
            async with database(self.flow.settings, stage) as connection:
                rows = await connection.fetch(_READ_TO)
            if not rows:
                return False
            for topic, partition, offset in rows:
                place = TopicPartition(topic, partition)
                reached[place] = min(offset, reached.get(place, offset))  # decisions have two readers
        ends: dict[TopicPartition, int] = await self.flow.client.end_offsets(list(reached))
        return all(ends[place] <= offset for place, offset in reached.items())

    async def _all_told(self) -> bool:
        """Whether no message is under way at the carrier and each status of one was taken. Raises ClientError."""
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self.carrier}/books/summary") as answer,
            ):
                summary = await answer.json()
        except (aiohttp.ClientError, ValueError):
            return False
        return not summary["under_way"] and not summary["webhooks_pending"]
