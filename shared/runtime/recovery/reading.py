"""Reading partitions from an offset to where they end now, without a group and in flat memory."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from shared.errors import Trouble
from shared.kafka import start
from shared.runtime.digest import SEQUENCE_HEADER
from shared.runtime.positions import Place
from shared.runtime.records import SEQUENCE_DIGITS_MAX
from shared.settings import KafkaSettings

RECORDS_A_POLL: Final = 4000
RECORDS_ONE_BY_ONE: Final = 500
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
    at = {tp: extent.start for tp, extent in left.items()}
    _seek(consumer, at)
    got_at = monotonic()
    while left:
        try:
            polled: Polled = await consumer.getmany(timeout_ms=500, max_records=RECORDS_A_POLL)
        except UnicodeDecodeError:
            polled = await _one_by_one(consumer, at, list(left))
        for tp, records in polled.items():
            if tp in left and (within := [record for record in records if record.offset < left[tp].end]):
                got_at = monotonic()
                yield Place(*tp), within
        for tp in list(left):
            at[tp] = await consumer.position(tp)
            if at[tp] >= left[tp].end:
                consumer.pause(tp)
                del left[tp]
        if monotonic() - got_at > STALLED_S:
            raise Stalled(f"Kafka has given nothing for {STALLED_S:.0f} s of {', '.join(sorted({t for t, _ in left}))}")


async def _one_by_one(
    consumer: AIOKafkaConsumer, at: Mapping[TopicPartition, int], places: Collection[TopicPartition]
) -> "Polled":
    """Some records of each place; one whose header has a key that is no UTF-8 is passed over, it cannot be an event.

    The client fails on such a record and forgets what it read before it, but reads single ones up to it.
    """
    found: Polled = {}
    _seek(consumer, at)
    for tp in places:
        for _ in range(RECORDS_ONE_BY_ONE):
            try:
                polled = await consumer.getmany(tp, timeout_ms=100, max_records=1)
            except UnicodeDecodeError:
                consumer.seek(tp, await consumer.position(tp) + 1)
                break
            if not polled:
                break
            found.setdefault(tp, []).extend(polled[tp])
    return found


def _seek(consumer: AIOKafkaConsumer, at: Mapping[TopicPartition, int]) -> None:
    for tp, offset in at.items():
        consumer.seek(tp, offset)


Polled = dict[TopicPartition, list[ConsumerRecord]]


def sequence_of(record: ConsumerRecord) -> int | None:
    """The number in the header `sequence`; None where there is none in form. Of any topic."""
    carried = dict(record.headers).get(SEQUENCE_HEADER)
    return int(carried) if carried is not None and carried.isdigit() and len(carried) <= SEQUENCE_DIGITS_MAX else None
