"""Puts sealed events on a source's intake topic, many at a time."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from salur.intake.sealing import Ready
from shared.errors import Trouble
from shared.events.envelope import CONTENT_TYPE
from shared.kafka import let_go, start
from shared.settings import KafkaSettings

_HEADERS: Final = [("content-type", CONTENT_TYPE.encode())]
_RECORD_BATCH_BYTES: Final = 900_000
_CONNECT_TIMEOUT_MS: Final = 15_000


class NoIntakeTopic(Trouble):
    """The registry has not made the source's topic: it is not up, or the source may not send this."""


@asynccontextmanager
async def producing(settings: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that loses nothing; what it sends twice is recognised by the submissions' ids."""
    producer = AIOKafkaProducer(
        **settings.client_options(),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=_RECORD_BATCH_BYTES,
        max_request_size=4 * 1024 * 1024,
        request_timeout_ms=_CONNECT_TIMEOUT_MS,
    )
    try:
        await start(producer, settings)
        yield producer
    finally:
        await let_go(producer)


async def publish(producer: AIOKafkaProducer, topic: str, ready: Iterable[Ready]) -> list[Any]:
    """Hands the events to the producer; what comes back is awaited for their acknowledgements."""
    acknowledged = []
    batches: dict[int, Any] = {}
    for one in ready:
        batch = batches.get(one.partition)
        if batch is None:
            batch = batches[one.partition] = producer.create_batch()
        if batch.append(key=one.key, value=one.value, timestamp=None, headers=_HEADERS) is None:
            acknowledged.append(await _send(producer, topic, one.partition, batch))
            batch = batches[one.partition] = producer.create_batch()
            batch.append(key=one.key, value=one.value, timestamp=None, headers=_HEADERS)
    for partition, batch in batches.items():
        acknowledged.append(await _send(producer, topic, partition, batch))
    return acknowledged


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, batch: Any) -> Any:
    batch.close()
    acknowledged = await producer.send_batch(batch, topic, partition=partition)
    acknowledged.add_done_callback(_looked_at)
    return acknowledged


def _looked_at(acknowledged: Any) -> None:
    """Who waits for several is told of the first that failed; asyncio need not print the others."""
    if not acknowledged.cancelled():
        acknowledged.exception()
