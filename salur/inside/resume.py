"""Where a stopped partition stands and where it would go on."""

from typing import NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from salur.inside.connect import Settings, consumer, database
from shared.events.topics import Service, topic_named
from shared.reading import extents, read, sequence_of
from shared.runtime import positions
from shared.runtime.positions import Place, Position
from shared.runtime.resumption import NotStopped, resume_partition, resume_stage


class Resumed(NamedTuple):
    """What was done. For a stage after its breaker, `topic` and all numbers are None."""

    service: str
    topic: str | None
    partition: int | None
    expected_sequence: int | None
    next_offset: int | None
    next_sequence: int | None
    lost: int | None
    """events that were never read and now never will be; 0: the message had no sequence and is skipped itself"""
    by: str
    reason: str


async def resume_at_gap(settings: Settings, service: Service, place: Place, by: str, reason: str) -> Resumed:
    """Raises NotStopped where the topic goes on without a gap, NotOwner where it moved meanwhile, Away."""
    async with consumer(settings) as client, database(settings, service, writing=True) as connection:
        stands = await _stored(connection, service, place)
        goes_on = await _behind_the_gap(client, place, stands)
        await resume_partition(connection, place, stands, goes_on, by, reason)
    lost = goes_on.sequence - stands.sequence
    return Resumed(service, *place, stands.sequence, *goes_on, lost, by, reason)


async def resume_after_breaker(settings: Settings, service: Service, by: str, reason: str) -> Resumed:
    """Instances whose breaker is closed take no notice. Raises Away."""
    async with database(settings, service, writing=True) as connection:
        await resume_stage(connection, by, reason)
    return Resumed(service, None, None, None, None, None, None, by, reason)


async def _stored(connection: asyncpg.Connection, service: Service, place: Place) -> Position:
    known = await connection.fetchval("SELECT count(*) FROM input_position WHERE (topic, partition) = ($1, $2)", *place)
    if not known:
        raise NotStopped(f"{service} does not read {place.topic}/{place.partition}", hint="see `salur topics`")
    return (await positions.read(connection, {place: 0}))[place]


async def _behind_the_gap(client: AIOKafkaConsumer, place: Place, stands: Position) -> Position:
    """At the first event after the gap, or after the message that carries no sequence."""
    goes_on = NotStopped(f"{place.topic}/{place.partition} has no gap where it stands; nothing was changed")
    if not topic_named(place.topic).sequenced:
        raise goes_on
    tp = TopicPartition(*place)
    extent = (await extents(client, [tp]))[tp].at_or_after(stands.offset)
    async for _, records in read(client, {tp: extent}):
        for record in records:
            sequence = sequence_of(record)
            if sequence is None:
                return Position(record.offset + 1, stands.sequence)
            if sequence > stands.sequence:
                return Position(record.offset, sequence)
            if sequence == stands.sequence:
                raise goes_on
    raise goes_on
