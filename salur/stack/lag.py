"""How far each service is behind, as Kafka's own lag tools see it."""

import asyncio
import logging

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared import reading
from shared.errors import SalurError
from shared.kafka import in_time
from shared.settings import KafkaSettings

logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # a broker that is away is an answer here


async def lags(settings: KafkaSettings, services: list[str], *, timeout_s: float = 5) -> dict[str, int | None]:
    """Messages between the committed offset of group `salur-SERVICE` and the end of each partition, by service.

    None where the group has never committed or Kafka does not answer in time.
    """
    unknown: dict[str, int | None] = dict.fromkeys(services)
    try:
        async with asyncio.timeout(timeout_s):
            return unknown | await _ask(settings, services)
    except (KafkaError, OSError, TimeoutError, SalurError):
        return unknown


async def _ask(settings: KafkaSettings, services: list[str]) -> dict[str, int | None]:
    async with reading.admin(settings) as admin, reading.consumer(settings) as consumer:
        groups = [admin.list_consumer_group_offsets(f"salur-{name}") for name in services]
        committed: dict[str, dict[TopicPartition, int]] = {
            name: {place: meta.offset for place, meta in offsets.items()}
            for name, offsets in zip(services, await in_time(asyncio.gather(*groups)), strict=True)
        }
        extents = await reading.extents(consumer, {place for offsets in committed.values() for place in offsets})
    return {
        name: sum(max(0, extents[place].end - offset) for place, offset in offsets.items()) if offsets else None
        for name, offsets in committed.items()
    }
