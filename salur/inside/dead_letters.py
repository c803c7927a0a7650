"""Dead letters: read from `dead-letter.SERVICE`, and what was put back of them, from `replay.SERVICE`."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from salur.inside.connect import Settings
from salur.inside.options import NotFound
from salur.inside.reading import extents, partitions_of, read
from shared.errors import SalurError
from shared.events.codec import Undecodable, decode
from shared.events.dead_letters import DeadLetter
from shared.events.topics import STAGES, Service, dead_letter_topic, replay_topic
from shared.privacy.keyring import Keyring
from shared.runtime.deadletter import origin_key

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


async def letters(client: AIOKafkaConsumer, settings: Settings, service: Service) -> AsyncIterator[Letter]:
    """Every dead letter of a service once, those of each partition in their order. Raises Away."""
    seen: set[str] = set()
    async for record in _records(client, settings, dead_letter_topic(service)):
        try:
            event = decode(DeadLetter, record.value or b"")
        except Undecodable:
            continue  # `salur audit verify` names it
        if event.id not in seen:
            seen.add(event.id)
            yield Letter(service, event.id, event.time, event.subject, event.data)


async def replays(client: AIOKafkaConsumer, settings: Settings, service: Service) -> dict[str, Replay]:
    """What stands on the service's replay topic, by the dead letter's id; the last time counts. Raises Away."""
    found = {}
    async for record in _records(client, settings, replay_topic(service)):
        headers: Mapping[str, bytes] = dict(record.headers)
        if letter := headers.get(DEAD_LETTER_HEADER):
            at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            found[letter.decode("ascii", "replace")] = Replay(
                at, headers.get(BY_HEADER, b"").decode("utf-8", "replace")
            )
    return found


async def find(client: AIOKafkaConsumer, settings: Settings, wanted: Collection[str]) -> dict[str, Letter]:
    """The letters with these ids or beginnings of ids (8 characters or more), by what was asked for.

    Raises NotFound, which names what no letter, or more than one, begins with.
    """
    found: dict[str, list[Letter]] = {text: [] for text in wanted}
    for text in wanted:
        if len(text) < 8:
            raise NotFound(f"{text} is too short for an id", hint="give at least its first 8 characters")
    for service in STAGES:
        async for letter in letters(client, settings, service):
            for text in wanted:
                if letter.id.startswith(text):
                    found[text].append(letter)
    for text, matching in found.items():
        if not matching:
            raise NotFound(f"there is no dead letter {text}", hint="`salur dlq list` shows them")
        if len(matching) > 1:
            raise NotFound(f"{len(matching)} dead letters begin with {text}", hint="give the whole id")
    return {text: matching[0] for text, matching in found.items()}


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


async def _records(client: AIOKafkaConsumer, settings: Settings, topic: str) -> AsyncIterator[Any]:
    partitions = (await partitions_of(settings, [topic])).get(topic, 0)
    places = await extents(client, [TopicPartition(topic, p) for p in range(partitions)])
    async for _, records in read(client, places):
        for record in records:
            yield record
