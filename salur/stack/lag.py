"""How far each service is behind, as Kafka's own lag tools see it."""

import asyncio
import logging

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.errors import SalurError
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
    admin = AIOKafkaAdminClient(**settings.client_options())
    consumer = AIOKafkaConsumer(**settings.client_options(), enable_auto_commit=False)
    try:
        await asyncio.gather(admin.start(), consumer.start())
        committed = {name: await admin.list_consumer_group_offsets(f"salur-{name}") for name in services}
        partitions = {partition for offsets in committed.values() for partition in offsets}
        ends = await consumer.end_offsets(list(partitions)) if partitions else {}
        return {
            name: sum(max(0, ends[partition] - meta.offset) for partition, meta in offsets.items()) if offsets else None
            for name, offsets in committed.items()
        }
    finally:
        await asyncio.gather(admin.close(), consumer.stop(), return_exceptions=True)
