"""What Kafka's client does to a loop: it gives nothing any more, or does not close. (That it stands for ever:
`shared.kafka.in_time`.)

Progress is in the database, so that a client may be thrown away at any moment for another one.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from shared import reading
from shared.errors import SalurError
from shared.kafka import CLOSED_WITHIN_S, in_time, is_told_to_stop
from shared.runtime.positions import Place, Position

log = structlog.get_logger()

SILENT_S = 15.0
"""Longer than a failover. A client that was only slow loses nothing by being replaced."""
LOOK_WITHIN_S = 5.0


class ClientSilent(KafkaError):  # type: ignore[misc]
    """Kafka holds more of a partition than its client has given for a while."""


class ClientStuck(SalurError):
    """Kafka's client does not even close: it may hold partitions for ever, so the process ends and is started anew."""


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
    places = consumer.assignment() - consumer.paused()
    ends = await consumer.end_offsets(places) if places else {}
    return {tp: at for tp, at in (await reading.positions(consumer, ends)).items() if at < ends[tp]}


async def passed(consumer: AIOKafkaConsumer, stored: Mapping[Place, Position]) -> dict[Place, Position]:
    """Where the client stands beyond the stored positions, although it gave no message there.

    A source's transaction ends with a marker, and one that was taken back leaves records that nobody is given. A
    position in front of these would be lost with them when Kafka forgets them.
    """
    places = [tp for tp in consumer.assignment() - consumer.paused() if Place(*tp) in stored]
    try:
        stands = await in_time(reading.positions(consumer, places))
    except IllegalStateError:  # one went to another process meanwhile
        return {}
    return {
        place: stored[place]._replace(offset=at)
        for place, at in ((Place(*tp), at) for tp, at in stands.items())
        if at > stored[place].offset
    }
