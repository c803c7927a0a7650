"""Empties the read model and takes its reading back to the start of the topics, in one transaction.

A running instance sees that its positions were moved, reads them anew and begins again; nothing is stopped for it.
"""

from collections.abc import AsyncIterator

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.portal.handler import INPUTS
from services.portal.store import rebuild as store
from shared.events import DeadLetter
from shared.events.codec import decode
from shared.events.topics import dead_letter_topic
from shared.kafka import ensure_topics
from shared.reading import consumer, extents, is_unreadable, read
from shared.runtime.deadletter import MessagePlace, keep_dead_lettered
from shared.runtime.payload import unpack
from shared.settings import ServiceSettings


async def rebuild(settings: ServiceSettings) -> None:
    """Returns when the tables are empty; the instances that run fill them again. Raises KafkaAway, Away.

    What became a dead letter before does not become one again.
    """
    topic = dead_letter_topic("portal")
    partitions = await ensure_topics(settings, [topic])
    connection = await asyncpg.connect(
        settings.url("portal"),
        server_settings={"search_path": "portal", "timezone": "UTC", "application_name": "salur-rebuild-portal"},
    )
    try:
        async with connection.transaction(), consumer(settings) as client:
            await store.stop_reading(connection, INPUTS)
            await keep_dead_lettered(connection, await _waiting(connection, topic))
            async for places in _published(client, topic, partitions):
                await keep_dead_lettered(connection, places)
            await store.clear(connection, INPUTS)
    finally:
        await connection.close(timeout=5)


async def _waiting(connection: asyncpg.Connection, topic: str) -> list[MessagePlace]:
    """Of the dead letters that are committed and not published."""
    payloads = await store.outbox_of(connection, topic)
    return [_origin(record.value) for payload in payloads for record in unpack(payload)]


async def _published(client: AIOKafkaConsumer, topic: str, partitions: int) -> AsyncIterator[list[MessagePlace]]:
    held = await extents(client, [TopicPartition(topic, partition) for partition in range(partitions)])
    async for _, records in read(client, held):
        yield [_origin(record.value or b"") for record in records if not is_unreadable(record)]


def _origin(value: bytes) -> MessagePlace:
    origin = decode(DeadLetter, value).data.origin
    return origin.topic, origin.partition, origin.offset
