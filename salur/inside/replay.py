"""Putting dead letters back: the original message goes to the service's own replay topic, once a letter.

The service reads it like any other input. Revisions keep an old event from undoing a newer one, and natural keys keep
it from taking effect twice, so a replay that was interrupted is simply repeated.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from salur.inside.connect import Away, Settings, consumer
from salur.inside.dead_letters import (
    BY_HEADER,
    DEAD_LETTER_HEADER,
    Empty,
    Gone,
    Letter,
    Replay,
    body_of,
    find,
    letters,
    replays,
)
from salur.inside.reading import partitions_of
from shared.errors import CannotOpen, Erased
from shared.events.topics import Service, replay_topic
from shared.kafka import start
from shared.partition import partition_of
from shared.privacy.keyring import Keyring
from shared.runtime.digest import CONTENT_TYPE_HEADER

State = Literal["replayed", "already", "gone", "empty", "erased", "cannot_open"]


class Outcome(NamedTuple):
    """What became of one letter."""

    id: str
    service: Service
    state: State
    detail: str

    @property
    def done(self) -> bool:
        return self.state in ("replayed", "already")


@dataclass(slots=True)
class _Mail:
    """One run: reads, opens and sends."""

    settings: Settings
    client: AIOKafkaConsumer
    producer: AIOKafkaProducer
    keyring: Keyring
    by: str
    again: bool

    async def put_back(self, letter: Letter, known: dict[str, Replay], partitions: int) -> Outcome:
        before = known.get(letter.id)
        if before and not self.again:
            return self._outcome(letter, "already", f"put back {before.at:%Y-%m-%d %H:%M:%S} UTC by {before.by}")
        try:
            body = await body_of(self.client, letter, self.keyring)
        except Empty as error:
            return self._outcome(letter, "empty", error.message)
        except Gone as error:
            return self._outcome(letter, "gone", error.message)
        except Erased as error:
            return self._outcome(letter, "erased", error.message)
        except CannotOpen as error:
            return self._outcome(letter, "cannot_open", error.message)
        key = letter.recipient.encode() if letter.recipient else None
        partition = partition_of(key, partitions) if key else letter.data.origin.partition % partitions
        headers = [CONTENT_TYPE_HEADER, (DEAD_LETTER_HEADER, letter.id.encode()), (BY_HEADER, self.by.encode())]
        topic = replay_topic(letter.service)
        try:
            sent = await self.producer.send_and_wait(topic, body, key=key, partition=partition, headers=headers)
        except KafkaError as error:
            raise Away(f"Kafka does not take what is put back ({type(error).__name__})") from error
        return self._outcome(letter, "replayed", f"{topic}/{partition}/{sent.offset}, {len(body)} bytes")

    @staticmethod
    def _outcome(letter: Letter, state: State, detail: str) -> Outcome:
        return Outcome(letter.id, letter.service, state, detail)


async def replay(
    settings: Settings,
    keyring: Keyring,
    *,
    ids: Collection[str] = (),
    services: Sequence[Service] = (),
    by: str,
    again: bool = False,
) -> list[Outcome]:
    """Puts back the letters with these ids, or all of these services.

    One that stands on the replay topic already is left alone unless `again`. Raises NotFound, KeyMissing, Away.
    """
    outcomes: list[Outcome] = []
    async with (
        consumer(settings) as client,
        consumer(settings) as bodies,
        _producer(settings) as producer,
    ):
        mail = _Mail(settings, bodies, producer, keyring, by, again)
        found = list((await find(client, settings, ids)).values()) if ids else []
        for service in {letter.service for letter in found} | set(services):
            known = await replays(client, settings, service)
            topic = replay_topic(service)
            partitions = (await partitions_of(settings, [topic])).get(topic)
            if partitions is None:
                raise Away(f"there is no topic {topic}", hint=f"start {service} once: it makes its topics")
            named = [letter for letter in found if letter.service == service]
            outcomes += [await mail.put_back(letter, known, partitions) for letter in named]
            if service in services:
                everything = letters(client, settings, service)
                outcomes += [await mail.put_back(letter, known, partitions) async for letter in everything]
    return outcomes


@asynccontextmanager
async def _producer(settings: Settings) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(
        **settings.client_options(), acks="all", enable_idempotence=True, max_request_size=4 * 1024 * 1024
    )
    try:
        await start(producer, settings)
        yield producer
    finally:
        with suppress(KafkaError, OSError):
            await producer.stop()
