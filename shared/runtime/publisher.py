"""From the outbox to Kafka: oldest row first, one record batch in flight a partition, deleted once acknowledged."""

import asyncio
from collections import Counter as Tally
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from shared.brokers import MESSAGE_BYTES_MAX
from shared.errors import Trouble
from shared.events.topics import Service
from shared.kafka import let_go, start
from shared.runtime.backoff import Backoff
from shared.runtime.digest import headers
from shared.runtime.emit import OutboxRow
from shared.runtime.failures import is_trouble, told
from shared.runtime.payload import unpack
from shared.runtime.positions import Place
from shared.settings import KafkaSettings
from shared.telemetry.metrics import OUTBOX_DEPTH, TROUBLES

log = structlog.get_logger()

POLL_S = 0.1
ROWS_A_PLACE = 16
"""Of each topic and partition that is owned, in one round."""
ROWS_IN_MEMORY_MAX = 256
BYTES_IN_MEMORY_MAX = 16_000_000
"""Of rows that wait here for their turn, and of what is read in one round; more stays in the database."""
RECORD_BATCH_BYTES = 900_000
ACKNOWLEDGED_WITHIN_S = 60.0
"""Kafka's client may wait for ever while its broker is away. After that another one publishes the row once more, and
readers drop what came twice."""
COUNT_S = 5.0
"""How often an outbox that does not fit into one round is counted, for the metric alone."""
COUNT_MAX = 10_000
CLOSED_WITHIN_S = 5.0


class TopicTooSmall(Trouble):
    """Kafka's limit of a topic is below what this service may write. It goes on by itself once the limit is raised."""


@dataclass(slots=True)
class Publisher:
    """Publishes the outbox rows of the partitions that this process owns, until it is stopped.

    Two publishers of one partition do no harm: each starts at the oldest row and goes in order, and readers drop what
    they have seen by its sequence.
    """

    service: Service
    pool: asyncpg.Pool
    kafka: KafkaSettings
    owned: frozenset[int] = frozenset()
    trouble: str | None = None
    """Why nothing is published now."""
    _fresh: dict[Place, deque[OutboxRow]] = field(default_factory=lambda: defaultdict(deque))
    _fresh_bytes: int = 0
    _next: dict[Place, int] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _producer: AIOKafkaProducer | None = None
    _round: asyncio.Lock = field(default_factory=asyncio.Lock)
    _look_at: float = 0.0
    _count_at: float = 0.0

    def own(self, partitions: frozenset[int]) -> None:
        """From now on this process publishes these partitions; forgets what it knew, as others may have written."""
        self.owned = partitions
        self._forget()

    async def forget(self) -> None:
        """What is in memory counts no more, once the round at hand is over: only the database knows what waits."""
        async with self._round:
            self._forget()

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Rows that were just committed here: published from memory when they are the next in order."""
        for row in rows:
            waiting = self._fresh[Place(row.topic, row.partition)]
            room = len(waiting) < ROWS_IN_MEMORY_MAX and self._fresh_bytes < BYTES_IN_MEMORY_MAX
            if row.partition in self.owned and room:
                waiting.append(row)
                self._fresh_bytes += len(row.payload)
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publishes until `stopping` is set, through all trouble; other errors end the process."""
        backoff = Backoff()
        try:
            while not stopping.is_set():
                self._wake.clear()
                try:
                    if await self.publish_some() == 0:
                        await self._pause()
                    self.trouble = None
                    backoff.reset()
                except Exception as error:
                    if not is_trouble(error):
                        raise
                    TROUBLES.labels(self.service, "publish").inc()
                    self.trouble = f"publishing waits: {told(error)}"
                    log.warning("publishing waits", error=told(error))
                    await self._throw_away()
                    await asyncio.sleep(backoff.next_s())
        finally:
            await self._throw_away()

    async def drain(self) -> None:
        """Returns when nothing of the owned partitions waits. Raises trouble."""
        while await self.publish_some():
            pass

    async def publish_some(self) -> int:
        """One round over the owned partitions. Returns how many rows were acknowledged and deleted.

        Rows of other processes are looked for every POLL_S, however busy this one is.
        """
        async with self._round:
            done = await self._publish(self._from_memory())
            if done and monotonic() < self._look_at:
                return done
            self._look_at = monotonic() + POLL_S
            return done + await self._publish(await self._from_database())

    async def _publish(self, rows: Sequence[OutboxRow]) -> int:
        if not rows:
            return 0
        producer = await self._ready_producer()
        by_place: dict[Place, list[OutboxRow]] = defaultdict(list)
        for row in rows:
            by_place[Place(row.topic, row.partition)].append(row)
        done: list[OutboxRow] = []
        outcomes = await asyncio.gather(
            *(_publish_in_order(producer, ordered, done) for ordered in by_place.values()), return_exceptions=True
        )
        if done:
            await self._delete(done)
            for row in done:
                self._next[Place(row.topic, row.partition)] = row.first_sequence + row.events
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return len(done)

    def _from_memory(self) -> list[OutboxRow]:
        """Rows in memory that follow at once on what was published last. After a hole the database is asked."""
        rows: list[OutboxRow] = []
        for place, waiting in self._fresh.items():
            expected = self._next.get(place, -1)
            while waiting:
                row = waiting.popleft()
                if row.first_sequence == expected:
                    rows.append(row)
                    expected += row.events
                elif row.first_sequence > expected:
                    waiting.clear()
        self._fresh_bytes = 0
        return rows

    async def _from_database(self) -> list[OutboxRow]:
        if not self.owned:
            OUTBOX_DEPTH.labels(self.service).set(0)
            return []
        rows = await self.pool.fetch(
            """
            WITH oldest AS MATERIALIZED (
                SELECT o.*
                FROM output_position AS p
                CROSS JOIN LATERAL (
                    SELECT topic, partition, first_sequence, octet_length(payload) AS bytes,
                        row_number() OVER (ORDER BY first_sequence) AS turn
                    FROM outbox
                    WHERE (topic, partition) = (p.topic, p.partition)
                    ORDER BY first_sequence
                    LIMIT $2
                ) AS o
                WHERE p.partition = ANY ($1::int[])
            ), summed AS (
                SELECT *, sum(bytes) OVER (ORDER BY turn, topic, partition) - bytes AS before FROM oldest
            )
            SELECT o.topic, o.partition, o.first_sequence, o.count, o.payload
            FROM summed AS s JOIN outbox AS o USING (topic, partition, first_sequence)
            WHERE s.before < $3
            ORDER BY s.turn, o.topic, o.partition
            """,
            sorted(self.owned),
            ROWS_A_PLACE,
            BYTES_IN_MEMORY_MAX,
        )
        fullest = max(Tally((row["topic"], row["partition"]) for row in rows).values(), default=0)
        if fullest < ROWS_A_PLACE:
            OUTBOX_DEPTH.labels(self.service).set(len(rows))
        elif monotonic() > self._count_at:
            self._count_at = monotonic() + COUNT_S
            OUTBOX_DEPTH.labels(self.service).set(await self._count())
        return [OutboxRow(*row) for row in rows]

    async def _count(self) -> int:
        waiting: int = await self.pool.fetchval(
            "SELECT count(*) FROM (SELECT FROM outbox WHERE partition = ANY ($1::int[]) LIMIT $2) AS o",
            sorted(self.owned),
            COUNT_MAX,
        )
        return waiting

    async def _delete(self, rows: Sequence[OutboxRow]) -> None:
        await self.pool.execute(
            """
            DELETE FROM outbox AS o
            USING unnest($1::text[], $2::int[], $3::bigint[]) AS d (topic, partition, first_sequence)
            WHERE (o.topic, o.partition, o.first_sequence) = (d.topic, d.partition, d.first_sequence)
            """,
            [row.topic for row in rows],
            [row.partition for row in rows],
            [row.first_sequence for row in rows],
        )

    async def _ready_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self.kafka.client_options(),
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_batch_size=RECORD_BATCH_BYTES,
                max_request_size=4 * 1024 * 1024,
                request_timeout_ms=10_000,
            )
            try:
                await start(producer, self.kafka)
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def close(self) -> None:
        """Lets go of Kafka; rows that wait stay in the outbox."""
        await self._throw_away()

    async def _throw_away(self) -> None:
        producer, self._producer = self._producer, None
        self._forget()
        if producer:
            await let_go(producer, CLOSED_WITHIN_S)

    def _forget(self) -> None:
        self._fresh.clear()
        self._fresh_bytes = 0
        self._next.clear()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), POLL_S)


async def _publish_in_order(producer: AIOKafkaProducer, rows: Sequence[OutboxRow], done: list[OutboxRow]) -> None:
    """Rows of one partition; one record batch is in flight, so that a refused one lets nothing overtake it."""
    for row in rows:
        for batch in _record_batches(producer, row):
            try:
                async with asyncio.timeout(ACKNOWLEDGED_WITHIN_S):
                    await (await producer.send_batch(batch, row.topic, partition=row.partition))
            except MessageSizeTooLargeError as error:
                raise TopicTooSmall(
                    f"the topic {row.topic} takes no batch of {batch.size()} bytes; what was committed waits",
                    hint=f"its max.message.bytes must be {MESSAGE_BYTES_MAX}; `salur topics check` says how to set it",
                ) from error
        done.append(row)


def _record_batches(producer: AIOKafkaProducer, row: OutboxRow) -> Iterator[Any]:
    """The row's events with their sequences, in as few record batches as their size allows."""
    batch = producer.create_batch()
    for sequence, (key, value) in enumerate(unpack(row.payload), row.first_sequence):
        appended = batch.append(key=key, value=value, timestamp=None, headers=headers(sequence))
        if appended is None:
            batch.close()
            yield batch
            batch = producer.create_batch()
            if batch.append(key=key, value=value, timestamp=None, headers=headers(sequence)) is None:
                raise AssertionError("an event above the byte limit was committed")
    batch.close()
    yield batch
