"""Where this service stands in what it reads: the truth about progress, moved inside the transaction it belongs to."""

from collections.abc import Mapping
from typing import NamedTuple

import asyncpg

from shared.errors import SalurError


class Position(NamedTuple):
    """The next offset to read and the next sequence to expect."""

    offset: int
    sequence: int


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class NotOwner(SalurError):
    """Another worker moved a position in between: this one no longer owns the partition and must read anew."""


async def read(connection: asyncpg.Connection | asyncpg.Pool, starts: Mapping[Place, int]) -> dict[Place, Position]:
    """The stored positions of these places; where none is stored, the given start of the topic is stored first."""
    topics = [place.topic for place in starts]
    partitions = [place.partition for place in starts]
    await connection.execute(
        """
        INSERT INTO input_position (topic, partition, next_offset)
        SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[]) AS start (topic, partition, next_offset)
        ORDER BY 1, 2
        ON CONFLICT DO NOTHING
        """,
        topics,
        partitions,
        list(starts.values()),
    )
    rows = await connection.fetch(
        """
        SELECT topic, partition, next_offset, next_sequence
        FROM input_position
        WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[]))
        """,
        topics,
        partitions,
    )
    return {Place(r["topic"], r["partition"]): Position(r["next_offset"], r["next_sequence"]) for r in rows}


async def still(connection: asyncpg.Connection | asyncpg.Pool, expected: Mapping[Place, Position]) -> bool:
    """Whether every stored position is the expected one: another worker, or a rebuild, may have moved them."""
    rows = await connection.fetch("SELECT topic, partition, next_offset FROM input_position")
    stored = {Place(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    return all(stored.get(place) == position.offset for place, position in expected.items())


async def move(tx: asyncpg.Connection, expected: Mapping[Place, Position], reached: Mapping[Place, Position]) -> None:
    """The first statement of a turn. Raises NotOwner unless every stored position is still the expected one."""
    places = sorted(reached)
    moved = await tx.fetch(
        """
        WITH expected AS MATERIALIZED (
            SELECT p.topic, p.partition, e.next_offset, e.next_sequence
            FROM input_position AS p
            JOIN unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[])
                AS e (topic, partition, expected_offset, next_offset, next_sequence) USING (topic, partition)
            WHERE p.next_offset = e.expected_offset
            ORDER BY p.topic, p.partition
            FOR UPDATE OF p
        )
        UPDATE input_position AS p
        SET next_offset = e.next_offset, next_sequence = e.next_sequence
        FROM expected AS e
        WHERE (p.topic, p.partition) = (e.topic, e.partition)
        RETURNING p.topic
        """,
        [place.topic for place in places],
        [place.partition for place in places],
        [expected[place].offset for place in places],
        [reached[place].offset for place in places],
        [reached[place].sequence for place in places],
    )
    if len(moved) != len(places):
        raise NotOwner("an input position was moved by another worker")
