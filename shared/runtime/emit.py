"""The one way to emit: events become outbox rows as the last statements of the transaction that caused them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import asyncpg

from shared.errors import SalurError
from shared.events.codec import encode
from shared.events.envelope import Event
from shared.events.topics import MODELS, Service, topic_of
from shared.partition import partition_of
from shared.runtime.digest import Record, extend_own
from shared.runtime.payload import pack
from shared.telemetry.metrics import EVENTS_OUT


class EventTooLarge(SalurError):
    """An event that Kafka would refuse: found before the commit, so that it is poison and not a stuck outbox."""


OUTBOX_COLUMNS = ("topic", "partition", "first_sequence", "count", "payload")


class OutboxRow(NamedTuple):
    """The events of one transaction for one topic and partition."""

    topic: str
    partition: int
    first_sequence: int
    events: int
    payload: bytes


@dataclass(slots=True)
class Transaction:
    """An open transaction and the events that will leave with it."""

    tx: asyncpg.Connection
    events: list[Event[Any]] = field(default_factory=list)
    partitions: dict[bytes, int] = field(default_factory=dict)
    """By key, as far as they are known: those of the flow's messages at hand, as all its topics are cut alike."""

    def emit(self, events: Iterable[Event[Any]]) -> None:
        """These events are published if, and only if, this transaction commits."""
        self.events.extend(events)


@dataclass(slots=True)
class Outbox:
    """Opens transactions that may emit. Shared by the stage, the endpoints and the workers of one process."""

    service: Service
    pool: asyncpg.Pool
    partitions: int
    event_bytes_max: int = 900_000
    committed: Callable[[Sequence[OutboxRow]], None] = lambda _: None
    counted: Callable[[Sequence[Event[Any]]], None] = lambda _: None
    """Is shown every event that was committed: what a service counts of them for its own metrics."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end of the block, with sequence numbers and outbox rows as the last statements.

        Raises EventTooLarge, and whatever the database raises; then nothing has happened.
        """
        async with self.pool.acquire() as connection:
            async with connection.transaction():
                transaction = Transaction(cast("asyncpg.Connection", connection))
                yield transaction
                rows = await self._write(transaction)
            EVENTS_OUT.count(self.service, transaction.events)
            self.counted(transaction.events)
        if rows:
            self.committed(rows)

    async def put(self, transaction: Transaction) -> None:
        """Numbers these events and writes their outbox rows in a transaction that the caller opened and commits.

        For what is too large to be emitted at once (a recovery); everything else goes through `transaction`.
        """
        await self._write(transaction)
        transaction.events.clear()

    async def _write(self, transaction: Transaction) -> list[OutboxRow]:
        if not transaction.events:
            return []
        records = self._sorted_out(transaction)
        places = sorted(records)
        tx = transaction.tx
        positions = await _lock_positions(tx, places)
        rows, moved = [], []
        for place in places:
            first, digest = positions[place]
            outgoing = records[place]
            for sequence, (key, value) in enumerate(outgoing, first):
                digest = extend_own(digest, sequence, key, value)
            moved.append((*place, first + len(outgoing), digest))
            rows.append(OutboxRow(*place, first, len(outgoing), pack(outgoing)))
        await _move_positions(tx, moved)
        await tx.copy_records_to_table("outbox", records=rows, columns=OUTBOX_COLUMNS)
        return rows

    def _sorted_out(self, transaction: Transaction) -> dict[tuple[str, int], list[Record]]:
        records: dict[tuple[str, int], list[Record]] = defaultdict(list)
        partitions = transaction.partitions
        for event in transaction.events:
            key = event.subject.encode()
            if key not in partitions:
                partitions[key] = partition_of(key, self.partitions)
            value = encode(event)
            if len(value) > self.event_bytes_max:
                raise EventTooLarge(f"event {event.id} of type {event.type} has {len(value)} bytes")
            records[self._topic(event), partitions[key]].append(Record(key, value))
        return records

    def _topic(self, event: Event[Any]) -> str:
        """A service's own topics, or the intake topic of the source in whose name an endpoint takes a submission."""
        if event.type in _INTAKE:
            return f"{event.type}.{event.source}"
        return topic_of(MODELS[event.type], self.service)


_INTAKE = frozenset({"registration.submitted", "flag.submitted"})


async def _lock_positions(
    tx: asyncpg.Connection, places: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], tuple[int, bytes]]:
    topics, partitions = [t for t, _ in places], [p for _, p in places]
    query = """
        SELECT topic, partition, next_sequence, digest
        FROM output_position
        WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[]))
        ORDER BY topic, partition
        FOR UPDATE
    """
    rows = await tx.fetch(query, topics, partitions)
    if len(rows) < len(places):
        await tx.execute(
            """
            INSERT INTO output_position (topic, partition)
            SELECT * FROM unnest($1::text[], $2::int[]) AS place (topic, partition)
            ORDER BY 1, 2
            ON CONFLICT DO NOTHING
            """,
            topics,
            partitions,
        )
        rows = await tx.fetch(query, topics, partitions)
    return {(row["topic"], row["partition"]): (row["next_sequence"], row["digest"]) for row in rows}


async def _move_positions(tx: asyncpg.Connection, moved: Sequence[tuple[str, int, int, bytes]]) -> None:
    topics, partitions, sequences, digests = zip(*moved, strict=True)
    await tx.execute(
        """
        UPDATE output_position AS o
        SET next_sequence = m.next_sequence, digest = m.digest
        FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[]) AS m (topic, partition, next_sequence, digest)
        WHERE (o.topic, o.partition) = (m.topic, m.partition)
        """,
        topics,
        partitions,
        sequences,
        digests,
    )
