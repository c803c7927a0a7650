"""Whether the database is older than the topics it wrote: after a restore nothing may run before it was mended."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import asyncpg
import structlog
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from shared.errors import SalurError
from shared.events.topics import topic_named
from shared.reading import consumer, extents, read, sequence_of
from shared.runtime.positions import Place
from shared.settings import KafkaSettings

log = structlog.get_logger()

TAIL_MESSAGES = 20


class DatabaseOlderThanTopic(SalurError):
    """A topic holds events that this database does not know of: it was restored from a backup."""


async def refuse_restored_database(
    kafka: KafkaSettings,
    database: asyncpg.Pool | asyncpg.Connection,
    topics: Iterable[str],
    partitions: Iterable[int],
) -> None:
    """Raises DatabaseOlderThanTopic when a topic's last sequence is at or above the next one to be written.

    The topics are read first, so that what is published meanwhile cannot mislead.
    """
    ahead = await partitions_ahead(kafka, database, topics, partitions)
    if ahead:
        first = ahead[0]
        raise DatabaseOlderThanTopic(
            f"{first.place.topic}/{first.place.partition} ends with sequence {first.last_sequence}, the database would "
            f"write {first.next_sequence} next ({len(ahead)} partitions in all)",
            hint=f"was a backup restored? delete nothing; `salur recover {topic_named(first.place.topic).owner}` takes "
            "in what the topics hold, see docs/how-to/restore-a-backup.md",
        )


class Ahead(NamedTuple):
    """A partition that ends beyond what the database has written."""

    place: Place
    last_sequence: int
    next_sequence: int


async def partitions_ahead(
    kafka: KafkaSettings,
    database: asyncpg.Pool | asyncpg.Connection,
    topics: Iterable[str],
    partitions: Iterable[int],
) -> list[Ahead]:
    """Those of these partitions that hold events which the database does not know of."""
    every = list(partitions)
    places = [Place(topic, p) for topic in topics for p in every]
    written = await _following(database)
    tails = await last_sequences(kafka, {place: written.get(place, 0) for place in places})
    following = await _following(database)
    return [
        Ahead(place, sequence, following.get(place, 0))
        for place, sequence in sorted(tails.items())
        if sequence >= following.get(place, 0)
    ]


async def last_sequences(kafka: KafkaSettings, written: Mapping[Place, int]) -> dict[Place, int]:
    """The highest sequence at the end of each of these partitions; empty ones are left out.

    `written` is how many events the database knows of. A message beyond that number is either one that it does not
    know or a re-publication (by a process that was paused, say), so as many are looked at, and a few in any case: what
    the database does not know cannot hide behind re-publications, nor behind what somebody else wrote there.
    """
    tails: dict[Place, int] = {}
    async with consumer(kafka) as client:
        held = await extents(client, [TopicPartition(*place) for place in written])
        ends = {
            tp: extent.at_or_after(min(extent.end - TAIL_MESSAGES, written[Place(*tp)])) for tp, extent in held.items()
        }
        async for tp, records in read(client, ends):
            numbers = [number for record in records if (number := _sequence(tp, record)) is not None]
            if numbers:
                tails[Place(*tp)] = max(*numbers, tails.get(Place(*tp), 0))
    return tails


async def _following(database: asyncpg.Pool | asyncpg.Connection) -> dict[Place, int]:
    rows = await database.fetch("SELECT topic, partition, next_sequence FROM output_position")
    return {Place(row["topic"], row["partition"]): row["next_sequence"] for row in rows}


def _sequence(tp: TopicPartition, record: ConsumerRecord) -> int | None:
    """None for a message that is not ours. It says nothing about the database, and who reads the topic stops at it."""
    sequence = sequence_of(record)
    if sequence is None:
        log.critical(
            "somebody else wrote to a topic of this service: see the broker's access lists",
            topic=tp.topic,
            partition=tp.partition,
            offset=record.offset,
        )
    return sequence
