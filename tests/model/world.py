"""Topics as lists, with just enough of Kafka's clients to run the real loop and the real publisher on them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

INPUT = "recipient.registered"
DECIDED = "eligibility.decided"
LETTERS = "dead-letter.eligibility"
BATCH_BYTES = 4_000
"""Small, so that one outbox row becomes several record batches."""


class Crash(BaseException):
    """The process ends here."""


@dataclass(slots=True)
class Fate:
    """What will happen to one process: it crashes at this point, or stands before its next publication."""

    crash_at: str | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def reach(self, point: str) -> None:
        """Raises Crash at the point that was chosen."""
        if self.crash_at == point:
            raise Crash(point)


@dataclass(slots=True)
class World:
    """Every topic's one partition. A lost record leaves a hole."""

    topics: dict[str, list[ConsumerRecord | None]] = field(default_factory=lambda: defaultdict(list))

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        log = self.topics[topic]
        log.append(ConsumerRecord(topic, 0, len(log), 0, 0, key, value, None, 0, 0, tuple(headers)))

    def records(self, topic: str) -> list[ConsumerRecord]:
        return [record for record in self.topics[topic] if record is not None]


def sequence_of(record: ConsumerRecord) -> int:
    return int(dict(record.headers)["sequence"])


@dataclass(slots=True)
class Batch:
    """A record batch under construction."""

    records: list[tuple[bytes, bytes, Any]] = field(default_factory=list)
    size: int = 0

    def append(self, *, key: bytes, value: bytes, timestamp: int | None, headers: Any) -> object | None:
        if self.records and self.size + len(value) > BATCH_BYTES:
            return None
        self.records.append((key, value, headers))
        self.size += len(value)
        return self

    def close(self) -> None: ...


@dataclass(slots=True)
class ListProducer:
    """One process's producer."""

    world: World
    fate: Fate

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[None]":
        self.fate.reach("before publishing")
        await self.fate.gate.wait()
        for key, value, headers in batch.records:
            self.world.append(topic, key, value, headers)
        self.fate.reach("published, not acknowledged")
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged

    async def stop(self) -> None: ...


@dataclass(slots=True)
class ListConsumer:
    """One process's consumer, which always believes that it holds everything: the database knows better."""

    world: World
    fate: Fate
    read: tuple[str, ...]
    at: dict[TopicPartition, int] = field(default_factory=dict)
    standing: set[TopicPartition] = field(default_factory=set)

    async def topics(self) -> set[str]:
        return set(self.read)

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(topic, 0) for topic in self.read}

    def paused(self) -> set[TopicPartition]:
        return set(self.standing)

    def pause(self, *places: TopicPartition) -> None:
        self.standing.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self.standing.difference_update(places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.at[place] = offset

    async def beginning_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: len(self.world.topics[place.topic]) for place in places}

    async def position(self, place: TopicPartition) -> int:
        return self.at[place]

    def highwater(self, place: TopicPartition) -> int:
        return len(self.world.topics[place.topic])

    async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        polled = {}
        for place, at in self.at.items():
            if place in self.standing:
                continue
            records = [record for record in self.world.topics[place.topic][at:] if record][:max_records]
            if records:
                polled[place] = records
                self.at[place] = records[-1].offset + 1
        return polled

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.fate.reach("before committing offsets")
