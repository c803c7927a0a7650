"""The recovery itself: one transaction in which a restored database takes in what its topics say."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.clock import now
from shared.events.codec import Undecodable, decode
from shared.events.dead_letters import DeadLetter
from shared.events.envelope import Event
from shared.events.topics import Service, outputs_of, replay_topic, topic_named
from shared.kafka import ensure_topics
from shared.postgres import migrate
from shared.reading import Extent, consumer, extents, is_unreadable, read
from shared.runtime import presence
from shared.runtime.deadletter import MessagePlace, Poison, keep_dead_lettered, place_of
from shared.runtime.emit import Outbox, Transaction
from shared.runtime.payload import unpack
from shared.runtime.positions import Place
from shared.runtime.records import message_of
from shared.runtime.recovery.importer import Importer, Progress, Silent
from shared.runtime.recovery.own import CannotRecover, OwnPartition
from shared.runtime.stage import Message, Received
from shared.runtime.tail import partitions_ahead
from shared.runtime.turn import decoded
from shared.settings import ServiceSettings

EVENTS_AT_ONCE: Final = 2000
FETCHED: Final = {"fetch_max_bytes": 16 * 1024 * 1024, "max_partition_fetch_bytes": 2 * 1024 * 1024}


@dataclass(slots=True)
class Recovered:
    """What a recovery did. `older`: whether the topics showed events that the database did not know of."""

    service: Service
    older: bool
    imported: Counter[str] = field(default_factory=Counter)
    """events by type"""
    dead_letters: int = 0
    outbox_rows: int = 0
    """that were published long ago, and are gone now"""
    inputs: int = 0
    told: Counter[str] = field(default_factory=Counter)
    """events by type that leave when the service runs again"""
    summary: dict[str, int] = field(default_factory=dict)


class _Tried(Exception):
    """Takes a dry run back."""


class _Input(NamedTuple):
    offset: int
    sequence: int


async def recover(
    settings: ServiceSettings,
    importer: Importer,
    progress: Progress | None = None,
    *,
    restored: bool = False,
    dry_run: bool = False,
) -> Recovered:
    """Brings the database of the importer's service up to its topics. Nothing happens where it is not older.

    `restored`: somebody knows that it is, though no topic shows it. `dry_run`: everything is done and taken back.
    Raises CannotRecover, StillRuns, KafkaAway, Away, and what the importer raises; then nothing was changed.
    """
    url = settings.url(importer.service)
    tell = progress or Silent()
    await migrate(url, importer.service)

    def wait(members: int) -> None:
        tell.begin(f"{members} killed processes are waited for", 0)

    async with presence.alone(settings, url, importer.service, wait):
        partitions = await ensure_topics(settings, (*importer.inputs, *outputs_of(importer.service)))
        connection = await asyncpg.connect(url, server_settings=_session(importer.service))
        try:
            ahead = await partitions_ahead(settings, connection, outputs_of(importer.service), range(partitions))
            if not ahead and not restored:
                return Recovered(importer.service, older=False)
            recovery = _Recovery(
                settings, importer, tell, connection, partitions, Recovered(importer.service, bool(ahead))
            )
            try:
                async with connection.transaction():
                    await recovery.run(now())
                    if dry_run:
                        raise _Tried
            except _Tried:
                pass
            return recovery.done
        finally:
            await connection.close(timeout=5)


def _session(service: Service) -> dict[str, str]:
    """As who owns the tables: temporary ones are needed, which the running service may not make."""
    name = f"salur-recover-{service}"
    return {"search_path": service, "timezone": "UTC", "application_name": name, "jit": "off"}


@dataclass(slots=True)
class _Recovery:
    settings: ServiceSettings
    importer: Importer
    tell: Progress
    tx: asyncpg.Connection
    partitions: int
    done: Recovered
    _dead: set[MessagePlace] = field(default_factory=set)

    async def run(self, at: datetime) -> None:
        await self.importer.prepare(self.tx)
        async with consumer(self.settings, **FETCHED) as client:
            await self._take_own(client)
            await self._read_inputs(client)
        self.tell.begin("what follows from it", 0)
        outbox = Outbox(
            self.importer.service,
            cast("asyncpg.Pool", self.tx),  # only `put` is used, which needs none
            self.partitions,
            self.settings.event_bytes_max,
        )
        async for events in self.importer.finish(self.tx, at):
            for start in range(0, len(events), EVENTS_AT_ONCE):
                some = list(events[start : start + EVENTS_AT_ONCE])
                self.done.told.update(event.type for event in some)
                await outbox.put(Transaction(self.tx, some))
        self.done.summary = self.importer.summary()

    async def _take_own(self, client: AIOKafkaConsumer) -> None:
        own = await self._own_partitions()
        held = await extents(client, [TopicPartition(*place) for place in own])
        self.tell.begin("own topics", sum(extent.messages for extent in held.values()))
        async for tp, records in read(client, held):
            place = Place(*tp)
            news = own[place].take([record for record in records if not is_unreadable(record)])
            await self._take_events(place, [_decoded(place, record.offset, record.value) for record in news])
            self.tell.advance(len(records))
        for partition in own.values():
            if partition.expected < partition.next_sequence:
                await self._take_outbox(partition)
            partition.finish()
        self.done.outbox_rows = await _delete_published(self.tx, own.values())
        await _move_output_positions(self.tx, [partition for partition in own.values() if partition.ahead])

    async def _own_partitions(self) -> dict[Place, OwnPartition]:
        rows = await self.tx.fetch("SELECT topic, partition, next_sequence, digest FROM output_position FOR UPDATE")
        written = {Place(row["topic"], row["partition"]): (row["next_sequence"], row["digest"]) for row in rows}
        places = [Place(topic, p) for topic in outputs_of(self.importer.service) for p in range(self.partitions)]
        return {place: OwnPartition(place, *written.get(place, ())) for place in places}

    async def _take_events(self, place: Place, events: Sequence[Event[Any]]) -> None:
        if not events:
            return
        if topic_named(place.topic).model is DeadLetter:
            origins = [event.data.origin for event in events]
            dead = [(origin.topic, origin.partition, origin.offset) for origin in origins]
            await keep_dead_lettered(self.tx, dead)
            self._dead.update(dead)
            self.done.dead_letters += len(dead)
            return
        self.done.imported.update(event.type for event in events)
        await self.importer.told(self.tx, events)

    async def _take_outbox(self, partition: OwnPartition) -> None:
        query = """
            SELECT first_sequence, payload FROM outbox
            WHERE topic = $1 AND partition = $2 AND first_sequence + count > $3
            ORDER BY first_sequence
        """
        async for row in self.tx.cursor(query, *partition.place, partition.expected, prefetch=8):
            partition.take_waiting(row["first_sequence"], unpack(row["payload"]))

    async def _read_inputs(self, client: AIOKafkaConsumer) -> None:
        if not self.importer.inputs:  # who has no stage has nothing put back either
            return
        topics = (*self.importer.inputs, replay_topic(self.importer.service))
        held = await extents(client, [TopicPartition(topic, p) for topic in topics for p in range(self.partitions)])
        stood = await self._input_positions()
        wanted = {tp: _from(Place(*tp), stood.get(Place(*tp)), extent) for tp, extent in held.items()}
        expected = {place: position.sequence for place, position in stood.items()}
        self.tell.begin("inputs since the backup", sum(extent.messages for extent in wanted.values()))
        async for tp, records in read(client, wanted):
            messages = [message_of(record) for record in records]
            received = self._received(Place(*tp), messages, expected)
            if received:
                self.done.inputs += len(received)
                await self.importer.read_again(self.tx, received)
            self.tell.advance(len(records))

    async def _input_positions(self) -> Mapping[Place, _Input]:
        rows = await self.tx.fetch("SELECT topic, partition, next_offset, next_sequence FROM input_position")
        return {Place(row[0], row[1]): _Input(row[2], row[3]) for row in rows}

    def _received(self, place: Place, messages: Iterable[Message], expected: dict[Place, int]) -> list[Received]:
        """What the stage would be handed; what became a dead letter had no other effect."""
        received = []
        until_ms = self.importer.until.timestamp() * 1000 if self.importer.until else None
        for message in messages:
            if message.sequence is not None:
                if message.sequence < expected.get(place, 0):
                    continue
                expected[place] = message.sequence + 1
            if until_ms is not None and message.timestamp_ms > until_ms:
                continue
            event = decoded(message.topic, message.value, self.importer.inputs)
            if not isinstance(event, Poison) and place_of(message) not in self._dead:
                received.append(Received(message, event))
        return received


def _decoded(place: Place, offset: int, value: bytes | None) -> Event[Any]:
    model = topic_named(place.topic).model
    assert model is not None, "own topics carry one type each"
    try:
        return decode(model, value or b"")
    except Undecodable as error:
        raise CannotRecover(
            f"{place.topic}/{place.partition} offset {offset} is not an event of this version: {error.reason}",
            hint="recover with the version of salur that wrote it, or a newer one",
        ) from None


def _from(place: Place, position: _Input | None, held: Extent) -> Extent:
    start = position.offset if position else held.start
    if not held.start <= start <= held.end:
        raise CannotRecover(
            f"{place.topic}/{place.partition} holds offsets {held.start} to {held.end}, this database reads on at "
            f"{start}",
            hint="what it had not read at the time of the backup is gone: a newer backup is needed",
        )
    return Extent(start, held.end)


async def _delete_published(tx: asyncpg.Connection, own: Iterable[OwnPartition]) -> int:
    reached = [(*partition.place, partition.in_topic) for partition in own]
    status = await tx.execute(
        """
        DELETE FROM outbox AS o
        USING unnest($1::text[], $2::int[], $3::bigint[]) AS r (topic, partition, reached)
        WHERE (o.topic, o.partition) = (r.topic, r.partition) AND o.first_sequence + o.count <= r.reached
        """,
        *map(list, zip(*reached, strict=True)),
    )
    return int(status.rpartition(" ")[2])


async def _move_output_positions(tx: asyncpg.Connection, ahead: Sequence[OwnPartition]) -> None:
    await tx.executemany(
        """
        INSERT INTO output_position (topic, partition, next_sequence, digest)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (topic, partition) DO UPDATE
        SET next_sequence = excluded.next_sequence, digest = excluded.digest
        """,
        [(*partition.place, partition.expected, partition.reached) for partition in ahead],
    )
