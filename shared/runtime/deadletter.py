"""The dead letter of a poison message: where it came from, why, and its body under seal."""

import re
from datetime import datetime
from typing import NamedTuple

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
