"""Reads the registry's answers from its topics."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from salur.intake.answers import Answers
from shared.kafka import in_time
from shared.reading import Extent, consumer, extents, read
from shared.settings import KafkaSettings

_FETCH_WAIT_MS: Final = 100
_POLL_MS: Final = 200
_RECORDS_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Collector:
    """Follows the topics of answers from `starts`, and can look further back."""

    settings: KafkaSettings
    answers: Answers
    consumer: AIOKafkaConsumer
    starts: Mapping[TopicPartition, int]

    async def some(self) -> int:
        """Takes what has come; returns how many rows got their answer. Raises KafkaError."""
        polled = await in_time(self.consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_MAX))
        return sum(self.answers.take(record.value) for records in polled.values() for record in records)

    async def look_back(self) -> int:
        """Reads from the beginnings of the topics to where this began: answers to an earlier run. Raises Away."""
        found = 0
        async with consumer(self.settings) as client:
            begins = await extents(client, self.starts)
            earlier = {place: Extent(begins[place].start, start) for place, start in self.starts.items()}
            async for _, records in read(client, earlier):
                found += sum(self.answers.take(record.value) for record in records)
                if not self.answers.unanswered:
                    break
        return found


@asynccontextmanager
async def collecting(
    settings: KafkaSettings, answers: Answers, partitions: Mapping[str, int]
) -> AsyncIterator[Collector]:
    """A collector of what comes to these topics from now on. Raises Away."""
    places = [TopicPartition(topic, p) for topic, count in partitions.items() for p in range(count)]
    async with consumer(settings, fetch_max_wait_ms=_FETCH_WAIT_MS) as client:
        starts = {place: extent.end for place, extent in (await extents(client, places)).items()}
        client.assign(places)
        for place, offset in starts.items():
            client.seek(place, offset)
        yield Collector(settings, answers, client, starts)
