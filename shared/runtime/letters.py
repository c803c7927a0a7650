"""Dead letters: read from `dead-letter.SERVICE`, and what was put back of them, from `replay.SERVICE`."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from shared.errors import SalurError
from shared.events.codec import Undecodable, decode
from shared.events.dead_letters import DeadLetter
from shared.events.topics import Service, dead_letter_topic, replay_topic
from shared.privacy.keyring import Keyring
from shared.reading import extents, partitions_of, read
from shared.runtime.deadletter import origin_key
from shared.settings import KafkaSettings

DEAD_LETTER_HEADER: Final = "dead-letter"
"""On a replayed message: the id of the dead letter that it was."""
BY_HEADER: Final = "replayed-by"


class Replay(NamedTuple):
    """When a dead letter was put back, and by whom."""

    at: datetime
    by: str


class Letter(NamedTuple):
    """One dead letter. `subject` is the recipient where one is known, else the origin's place."""

    service: Service
    id: str
    at: datetime
    subject: str
    data: DeadLetter

    @property
    def origin(self) -> str:
        return origin_key(self.data.origin)

    @property
    def recipient(self) -> str | None:
        return self.subject if self.subject.startswith("r-") else None


class Gone(SalurError):
    """A body that stayed in its topic is there no more."""


class Empty(SalurError):
    """The message had no body: there is nothing to put back."""


async def letters(client: AIOKafkaConsumer, settings: KafkaSettings, service: Service) -> AsyncIterator[Letter]:
    """Every dead letter of a service once, those of each partition in their order. Raises Away."""
    seen: set[str] = set()
    async for record in _records(client, settings, dead_letter_topic(service)):
        letter = letter_in(service, record)
        if letter and letter.id not in seen:
            seen.add(letter.id)
            yield letter


def letter_in(service: Service, record: ConsumerRecord) -> Letter | None:
    """None for what is no dead letter; `salur audit verify` names it."""
    try:
        event = decode(DeadLetter, record.value or b"")
    except Undecodable:
        return None
    return Letter(service, event.id, event.time, event.subject, event.data)


async def replays(
    client: AIOKafkaConsumer, settings: KafkaSettings, service: Service, *, only: int | None = None
) -> dict[str, Replay]:
    """What stands on the service's replay topic, by the dead letter's id; the last time counts. Raises Away.

    `only`: of this partition.
    """
    found = {}
    async for record in _records(client, settings, replay_topic(service), only):
        headers: Mapping[str, bytes] = dict(record.headers)
        if letter := headers.get(DEAD_LETTER_HEADER):
            at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            found[letter.decode("ascii", "replace")] = Replay(
                at, headers.get(BY_HEADER, b"").decode("utf-8", "replace")
            )
    return found


async def body_of(client: AIOKafkaConsumer, letter: Letter, keyring: Keyring) -> bytes:
    """The message as it was. Raises Empty, Gone, Erased, CannotOpen, KeyMissing, Away."""
    data = letter.data
    if data.body is not None:
        return keyring.open(data.body, "recovery", recipient=letter.origin, schema=DeadLetter.TYPE)
    if data.body_bytes == 0:
        raise Empty(f"dead letter {letter.id} had no body")
    place = TopicPartition(data.origin.topic, data.origin.partition)
    extent = (await extents(client, [place]))[place]
    offset = data.origin.offset
    if extent.start <= offset < extent.end:
        async for _, records in read(client, {place: extent._replace(start=offset, end=offset + 1)}):
            for record in records:
                if record.offset == offset and len(record.value or b"") == data.body_bytes:
                    return bytes(record.value)
    raise Gone(f"the body of dead letter {letter.id} stayed at {letter.origin}, and Kafka holds it no more")


async def _records(
    client: AIOKafkaConsumer, settings: KafkaSettings, topic: str, only: int | None = None
) -> AsyncIterator[Any]:
    partitions = (await partitions_of(settings, [topic])).get(topic, 0)
    wanted = range(partitions) if only is None else (only,)
    places = await extents(client, [TopicPartition(topic, p) for p in wanted])
    async for _, records in read(client, places):
        for record in records:
            yield record
