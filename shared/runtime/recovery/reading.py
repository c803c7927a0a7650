"""Reading partitions from an offset to where they end now, without a group and in flat memory."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from shared.errors import Trouble
from shared.events.topics import topic_named
from shared.kafka import start
from shared.runtime.digest import SEQUENCE_HEADER
from shared.runtime.positions import Place
from shared.runtime.stage import Message
from shared.settings import KafkaSettings

RECORDS_A_POLL: Final = 4000
STALLED_S: Final = 60.0


class Stalled(Trouble):
    """Kafka gives nothing of what it holds."""


class Extent(NamedTuple):
    """Offsets: the first to read, and the one after the last."""

    start: int
    end: int


@asynccontextmanager
async def reader(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A client that only sees what is committed. Raises KafkaAway."""
    consumer = AIOKafkaConsumer(
        **kafka.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_bytes=16 * 1024 * 1024,
        max_partition_fetch_bytes=2 * 1024 * 1024,
    )
    try:
        await start(consumer, kafka)
        yield consumer
    finally:
        await consumer.stop()


async def extents(consumer: AIOKafkaConsumer, places: Collection[Place]) -> dict[Place, Extent]:
    """What Kafka holds of these partitions now."""
    partitions = [TopicPartition(*place) for place in places]
    if not partitions:
        return {}
    consumer.assign(partitions)
    consumer.pause(*partitions)
    starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    return {Place(*tp): Extent(starts[tp], ends[tp]) for tp in partitions}


async def read(
    consumer: AIOKafkaConsumer, wanted: Mapping[Place, Extent]
) -> AsyncIterator[tuple[Place, list[ConsumerRecord]]]:
    """All records within these extents, in the order of each partition. Raises Stalled."""
    left = {TopicPartition(*place): extent for place, extent in wanted.items() if extent.start < extent.end}
    if not left:
        return
    consumer.assign(list(left))
    for tp, extent in left.items():
        consumer.seek(tp, extent.start)
    got_at = monotonic()
    while left:
        polled: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=500, max_records=RECORDS_A_POLL)
        if polled:
            got_at = monotonic()
        elif monotonic() - got_at > STALLED_S:
            raise Stalled(f"Kafka has given nothing for {STALLED_S:.0f} s of {', '.join(sorted({t for t, _ in left}))}")
        for tp, records in polled.items():
            if tp in left and (within := [record for record in records if record.offset < left[tp].end]):
                yield Place(*tp), within
        for tp in [tp for tp, extent in left.items() if await consumer.position(tp) >= extent.end]:
            consumer.pause(tp)
            del left[tp]


def message_of(record: ConsumerRecord) -> Message:
    """As the stage is handed it."""
    sequence = sequence_of(record) if topic_named(record.topic).sequenced else None
    return Message(record.topic, record.partition, record.offset, sequence, record.key, record.value, record.timestamp)


def sequence_of(record: ConsumerRecord) -> int | None:
    """The number in the header `sequence`; None where there is none in form."""
    carried = dict(record.headers).get(SEQUENCE_HEADER)
    return int(carried) if carried is not None and carried.isdigit() else None
