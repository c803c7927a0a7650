"""Polling. Where much waits, the next poll is fetched and decoded while the database works on the one before."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord

from shared.kafka import in_time
from shared.runtime.records import message_of
from shared.runtime.stage import Message

POLL_MS = 200
AHEAD_FROM = 0.5
"""How full a poll is, of what it may hold at most, so that the next one is begun at once. After a smaller one it is
better to let more gather than to take what is there already."""
SLICE = 40
"""So many messages are decoded at a time; between them whoever waits for an answer of the database goes on."""


@dataclass(slots=True)
class Polls:
    """Messages in the order of their partitions. What was read ahead counts only until the client is told to read
    elsewhere: whoever seeks calls `drop` before, or has just asked for the `next` ones, or messages are skipped."""

    decode: Callable[[str, bytes | None], Any]
    """Of a topic and a message's value."""
    _coming: asyncio.Task[list[Message]] | None = None

    async def next(self, consumer: AIOKafkaConsumer, messages_max: int) -> list[Message]:
        """What follows on the poll before. Raises what the client raises."""
        coming, self._coming = self._coming, None
        if coming:
            return await coming
        return [message_of(record) for record in await _poll(consumer, messages_max)]

    def begin(self, consumer: AIOKafkaConsumer, messages_max: int) -> None:
        """The next poll comes meanwhile."""
        self._coming = asyncio.create_task(self._decoded(consumer, messages_max))

    async def drop(self) -> None:
        """What was read ahead is forgotten.

        It is waited for a little: of a poll that was cancelled the client believes for ever that it goes on.
        """
        coming, self._coming = self._coming, None
        if coming:
            await asyncio.wait({coming}, timeout=2 * POLL_MS / 1000)
            coming.cancel()
            await asyncio.wait({coming})
            if not coming.cancelled():
                coming.exception()  # nobody else asks for it

    async def _decoded(self, consumer: AIOKafkaConsumer, messages_max: int) -> list[Message]:
        records = await _poll(consumer, messages_max)
        decode, messages = self.decode, list[Message]()
        for start in range(0, len(records), SLICE):
            await asyncio.sleep(0)
            messages += [message_of(r, decode(r.topic, r.value)) for r in records[start : start + SLICE]]
        return messages


async def _poll(consumer: AIOKafkaConsumer, messages_max: int) -> list[ConsumerRecord]:
    polled = await in_time(consumer.getmany(timeout_ms=POLL_MS, max_records=messages_max))
    return [record for records in polled.values() for record in records]
