"""What Kafka's client does to a loop: it stands for ever, gives nothing any more, or does not close.

Progress is in the database, so that a client may be thrown away at any moment for another one.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from shared.errors import SalurError
from shared.kafka import is_told_to_stop

log = structlog.get_logger()

T = TypeVar("T")

WITHIN_S = 60.0
"""aiokafka waits for metadata that never come while its broker is away, and a stage stood for ever in the commit of its
offsets, on which nothing depends. Longer than a failover or a rebalance with a process that was killed."""
SILENT_S = 15.0
"""Longer than a failover. A client that was only slow loses nothing by being replaced."""
LOOK_WITHIN_S = 5.0
CLOSED_WITHIN_S = 10.0


class ClientSilent(KafkaError):  # type: ignore[misc]
    """Kafka holds more of a partition than its client has given for a while."""


class ClientStuck(SalurError):
    """Kafka's client does not even close: it may hold partitions for ever, so the process ends and is started anew."""


async def in_time(call: Awaitable[T]) -> T:
    """What a call of Kafka's client gives. Raises KafkaError where it takes too long: the session is over."""
    try:
        async with asyncio.timeout(WITHIN_S):
            return await call
    except TimeoutError:
        raise KafkaTimeoutError(f"Kafka's client has not come back for {WITHIN_S:.0f} s") from None


@dataclass(slots=True)
class Silence:
    """Notices a client that gives nothing although there is something. Asked where a poll gave nothing.

    aiokafka fetches in a task of its own. Where that task dies (an assertion of its own fails while partitions change
    their leaders), the client stays in its group, keeps its partitions and answers every poll with nothing.
    """

    _look_at: float = field(default_factory=lambda: monotonic() + SILENT_S)
    _behind: dict[TopicPartition, int] = field(default_factory=dict)
    """Partitions that had more at the last look, and where the client stood."""

    async def look(self, consumer: AIOKafkaConsumer) -> None:
        """Raises ClientSilent. A Kafka that does not answer is no sign of anything."""
        if monotonic() < self._look_at:
            return
        before, self._behind = self._behind, {}
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                self._behind = await _behind(consumer)
        except (KafkaError, TimeoutError):
            return
        finally:
            self._look_at = monotonic() + SILENT_S
        for tp, at in self._behind.items():
            if before.get(tp) == at:
                raise ClientSilent(f"{tp.topic}/{tp.partition} has had more since offset {at} for {SILENT_S:.0f} s")


async def closed(consumer: AIOKafkaConsumer) -> None:
    """Raises ClientStuck."""
    try:
        await asyncio.wait_for(asyncio.shield(consumer.stop()), CLOSED_WITHIN_S)
    except (KafkaError, asyncio.CancelledError) as error:  # a task of its own had died; its connections are still open
        if isinstance(error, asyncio.CancelledError) and is_told_to_stop():
            raise
        log.warning("Kafka's client closed badly", error=type(error).__name__)
        with suppress(Exception):
            await asyncio.wait_for(consumer._client.close(), CLOSED_WITHIN_S)
    except TimeoutError:
        raise ClientStuck(
            f"Kafka's client has not closed within {CLOSED_WITHIN_S:.0f} s", hint="start this process again"
        ) from None


async def _behind(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    reading = consumer.assignment() - consumer.paused()
    ends = await consumer.end_offsets(reading) if reading else {}
    stands = {tp: await consumer.position(tp) for tp in ends}
    return {tp: at for tp, at in stands.items() if at < ends[tp]}
