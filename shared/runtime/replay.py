"""Putting dead letters back: the original message goes to the service's own replay topic, once a letter.

The service reads it like any other input. Revisions keep an old event from undoing a newer one, and natural keys keep
it from taking effect twice, so a replay that was interrupted is simply repeated.

On an intake topic the broker's access lists say whose a message is; on the replay topic it is the message alone that
says so. What names another source or type than its topic is therefore never put back.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from shared.errors import CannotOpen, Erased, SalurError
from shared.events.codec import Undecodable, decode_any
from shared.events.topics import INTAKE_MODELS, Service, dead_letter_topic, intake_topic, is_intake, replay_topic
from shared.kafka import start
from shared.partition import partition_of
from shared.privacy.keyring import Keyring
from shared.reading import Away, consumer, extents, partitions_of, read
from shared.runtime.digest import CONTENT_TYPE_HEADER
from shared.runtime.letters import (
    BY_HEADER,
    DEAD_LETTER_HEADER,
    Empty,
    Gone,
    Letter,
    Replay,
    body_of,
    letter_in,
    letters,
    replays,
)
from shared.settings import KafkaSettings

State = Literal["replayed", "already", "gone", "empty", "erased", "cannot_open", "refused"]

_SUBMITTED: Final = {model.TYPE: model for model in INTAKE_MODELS}


class NoSuchLetter(SalurError):
    """This service has no dead letter of this id."""

    http_status = 404


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
class Mail:
    """One run: reads, opens and sends. `again`: also what was put back before."""

    client: AIOKafkaConsumer
    producer: AIOKafkaProducer
    keyring: Keyring
    by: str
    again: bool = False

    async def put_back(self, letter: Letter, known: Mapping[str, Replay], partitions: int) -> Outcome:
        """`known`: what was put back before, by letter. Raises KeyMissing, Away."""
        before = known.get(letter.id)
        if before and not self.again:
            return _outcome(letter, "already", f"put back {before.at:%Y-%m-%d %H:%M:%S} UTC by {before.by}")
        try:
            body = await body_of(self.client, letter, self.keyring)
        except Empty as error:
            return _outcome(letter, "empty", error.message)
        except Gone as error:
            return _outcome(letter, "gone", error.message)
        except Erased as error:
            return _outcome(letter, "erased", error.message)
        except CannotOpen as error:
            return _outcome(letter, "cannot_open", error.message)
        if why := refusal(letter.data.origin.topic, body):
            return _outcome(letter, "refused", why)
        key = letter.recipient.encode() if letter.recipient else None
        headers = [CONTENT_TYPE_HEADER, (DEAD_LETTER_HEADER, letter.id.encode()), (BY_HEADER, self.by.encode())]
        topic, partition = replay_topic(letter.service), replay_partition(letter, partitions)
        try:
            sent = await self.producer.send_and_wait(topic, body, key=key, partition=partition, headers=headers)
        except KafkaError as error:
            raise Away(f"Kafka does not take what is put back ({type(error).__name__})") from error
        return _outcome(letter, "replayed", f"{topic}/{partition}/{sent.offset}, {len(body)} bytes")


def refusal(origin: str, body: bytes) -> str:
    """Why a message of this topic may not be put back; empty where it may. It repeats nothing of the message."""
    if not is_intake(origin):
        return ""
    try:
        event = decode_any(body, frozenset(_SUBMITTED))  # as the stage will read it, so that both see the same source
    except Undecodable as error:
        return f"the source must submit it anew: {error.reason}"
    if intake_topic(_SUBMITTED[event.type], event.source) != origin:
        return f"the message names another source or type than {origin}: only that topic shows whose it is"
    return ""


def replay_partition(letter: Letter, partitions: int) -> int:
    """Where a letter is put back: with its recipient's other events, else where it came from."""
    if letter.recipient:
        return partition_of(letter.recipient.encode(), partitions)
    return letter.data.origin.partition % partitions


async def replay_one(
    settings: KafkaSettings,
    keyring: Keyring,
    service: Service,
    letter_id: str,
    *,
    by: str,
    near: tuple[int, int] | None = None,
) -> Outcome:
    """Puts back one letter of `service`, unless it stands on the replay topic already.

    `near`: partition and sequence of the letter, where the caller knows them; else its whole topic is searched. They
    are only where to look: what is found there must be this letter. Raises NoSuchLetter, KeyMissing, Away.
    """
    async with consumer(settings) as client, producer(settings) as sender:
        letter = await _letter(client, settings, service, letter_id, near)
        if letter is None:
            raise NoSuchLetter(f"{service} has no dead letter {letter_id}", hint="`salur dlq list` shows them")
        topic = replay_topic(service)
        partitions = (await partitions_of(settings, [topic])).get(topic)
        if partitions is None:
            raise Away(f"there is no topic {topic}", hint=f"start {service} once: it makes its topics")
        known = await replays(client, settings, service, only=replay_partition(letter, partitions))
        return await Mail(client, sender, keyring, by).put_back(letter, known, partitions)


async def _letter(
    client: AIOKafkaConsumer,
    settings: KafkaSettings,
    service: Service,
    letter_id: str,
    near: tuple[int, int] | None,
) -> Letter | None:
    if near is not None:
        partition, sequence = near  # an offset is never below the sequence: re-publications only add
        place = TopicPartition(dead_letter_topic(service), partition)
        if 0 <= partition < (await partitions_of(settings, [place.topic])).get(place.topic, 0):
            extent = (await extents(client, [place]))[place].at_or_after(max(0, sequence))
            if extent.messages > 0:
                async for _, records in read(client, {place: extent}):
                    for record in records:
                        letter = letter_in(service, record)
                        if letter and letter.id == letter_id:
                            return letter
                    break  # it stands at the beginning, or the caller was mistaken
    async for letter in letters(client, settings, service):
        if letter.id == letter_id:
            return letter
    return None


@asynccontextmanager
async def producer(settings: KafkaSettings) -> AsyncIterator[Any]:
    """Raises KafkaAway."""
    made = AIOKafkaProducer(
        **settings.client_options(), acks="all", enable_idempotence=True, max_request_size=4 * 1024 * 1024
    )
    try:
        await start(made, settings)
        yield made
    finally:
        with suppress(KafkaError, OSError):
            await made.stop()


def _outcome(letter: Letter, state: State, detail: str) -> Outcome:
    return Outcome(letter.id, letter.service, state, detail)
