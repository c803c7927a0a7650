"""The dead letter of a poison message: where it came from, why, and its body under seal."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import asyncpg

from shared.events.dead_letters import DeadLetter, Origin
from shared.events.envelope import Event, caused_by, first_cause
from shared.events.topics import Service
from shared.privacy.keyring import Keyring
from shared.runtime.stage import Message

BODY_BYTES_MAX = 256_000
"""A larger body stays where it is: the dead letter names its topic, partition and offset."""

_RECIPIENT = re.compile(rb"^r-[0-9a-f]{32}$")


class Poison(NamedTuple):
    """Why a message cannot be processed; the reason repeats nothing of the message."""

    code: str
    reason: str


def origin_key(origin: Origin) -> str:
    return f"{origin.topic}/{origin.partition}/{origin.offset}"


def dead_letter(
    service: Service, keyring: Keyring, message: Message, poison: Poison, at: datetime
) -> Event[DeadLetter]:
    """Keyed by the recipient where the message was, else by its place: a stranger's key may hold anything."""
    origin = Origin(topic=message.topic, partition=message.partition, offset=message.offset, sequence=message.sequence)
    place = origin_key(origin)
    key = message.key or b""
    body = message.value or b""
    sealed = (
        keyring.seal("recovery", body, recipient=place, schema=DeadLetter.TYPE)
        if 0 < len(body) <= BODY_BYTES_MAX
        else None
    )
    data = DeadLetter(origin=origin, code=poison.code, reason=poison.reason, body=sealed, body_bytes=len(body))
    subject = key.decode() if _RECIPIENT.match(key) else place
    return caused_by(first_cause(place, message.topic), service, data, subject=subject, time=at, distinct=(place,))


MessagePlace = tuple[str, int, int]
"""Topic, partition and offset of a message."""


def place_of(message: Message) -> MessagePlace:
    return message.topic, message.partition, message.offset


async def dead_lettered(tx: asyncpg.Connection, messages: Iterable[Message]) -> frozenset[MessagePlace]:
    """Those of these messages whose dead letter was told before this database was restored."""
    topics, partitions, offsets = zip(*map(place_of, messages), strict=True)
    rows = await tx.fetch(
        """
        SELECT topic, partition, message_offset
        FROM dead_lettered
        JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS m (topic, partition, message_offset)
            USING (topic, partition, message_offset)
        """,
        topics,
        partitions,
        offsets,
    )
    return frozenset((row[0], row[1], row[2]) for row in rows)


async def keep_dead_lettered(tx: asyncpg.Connection, places: Iterable[MessagePlace]) -> None:
    """These were told: `dead_lettered` knows them from now on."""
    await tx.executemany("INSERT INTO dead_lettered VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", places)
