"""Reads the registry's answers from its topics."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from salur.intake.answers import Answers
from shared.kafka import start
from shared.settings import KafkaSettings

_POLL_MS: Final = 200
_RECORDS_MAX: Final = 2000


class Collector:
    """Follows the topics of answers from where they ended when it was made; can look further back."""

    def __init__(self, settings: KafkaSettings, answers: Answers, partitions: Mapping[str, int]) -> None:
        self._settings = settings
        self._answers = answers
        self._places = [TopicPartition(topic, p) for topic, count in partitions.items() for p in range(count)]
        self._consumer = self._new_consumer()
        self._starts: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        await start(self._consumer, self._settings)
        self._starts = await self._consumer.end_offsets(self._places)
        self._consumer.assign(self._places)
        for place, offset in self._starts.items():
            self._consumer.seek(place, offset)

    async def stop(self) -> None:
        await self._consumer.stop()

    async def some(self) -> int:
        """Takes what has come; returns how many rows got their answer."""
        polled = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_MAX)
        return sum(self._answers.take(record.value) for records in polled.values() for record in records)

    async def look_back(self) -> int:
        """Reads the topics from their beginnings to where this collector began: answers to an earlier run."""
        found = 0
        consumer = self._new_consumer()
        try:
            await start(consumer, self._settings)
            begins = await consumer.beginning_offsets(self._places)
            left = {place for place in self._places if begins[place] < self._starts[place]}
            if not left:
                return 0
            consumer.assign(list(left))
            for place in left:
                consumer.seek(place, begins[place])
            while left and self._answers.unanswered:
                for place, records in (await consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_MAX)).items():
                    found += sum(self._answers.take(record.value) for record in records)
                    if records[-1].offset + 1 >= self._starts[place]:
                        left.discard(place)
                        consumer.pause(place)
                await asyncio.sleep(0)
        finally:
            await consumer.stop()
        return found

    def _new_consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._settings.client_options(),
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
        )
