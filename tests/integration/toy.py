"""A toy stage on the real runtime: each registration becomes one row and one decision. Used by the runtime's tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from salur.contract.examples import example
from shared.events import EligibilityDecided, Event, RecipientRegistered, caused_by
from shared.events.codec import decode
from shared.events.model import Data
from shared.events.topics import FLOW_TOPICS, outputs_of, replay_topic
from shared.kafka import admin, ensure_topics
from shared.postgres import migrate, open_pool
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring
from shared.runtime.digest import START, extend
from shared.runtime.emit import Outbox
from shared.runtime.loop import Loop
from shared.runtime.publisher import Publisher
from shared.runtime.stage import Batch, KeyAway, Stage
from shared.runtime.turn import Turn
from shared.settings import ServiceSettings

OUTPUTS = outputs_of("eligibility")
TOPICS = ("recipient.registered", replay_topic("eligibility"), *OUTPUTS)
"""What the toy reads and writes."""
AT = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


def settings_for(kafka: str, database: str, keys: Path, **changes: Any) -> ServiceSettings:
    return ServiceSettings(kafka=kafka, postgres=database, keys=keys, session_timeout_ms=6_000, **changes)


async def fresh(kafka: str, database: str, folder: Path, **changes: Any) -> ServiceSettings:
    """Settings with `changes`, with keys of its own, empty topics and an empty database."""
    keyfile.create(folder / "keys.json")
    made = settings_for(kafka, database, folder / "keys.json", **changes)
    await empty_topics(made, TOPICS)
    await prepare(made)
    return made


async def empty_topics(settings: ServiceSettings, topics: Iterable[str] = FLOW_TOPICS) -> None:
    """These topics, new and empty, and no other of the flow; what others sent to the intake is gone."""
    async with admin(settings) as client:
        while old := [name for name in await client.list_topics() if name in FLOW_TOPICS or ".submitted." in name]:
            await client.delete_topics(old)
            await asyncio.sleep(0.05)
    await ensure_topics(settings, topics)


def registrations(count: int, start: int = 0) -> list[Event[RecipientRegistered]]:
    """Events about `count` recipients, all different."""
    made = example(RecipientRegistered)
    return [made.model_copy(update={"id": f"{n:032x}", "subject": f"r-{n:032x}"}) for n in range(start, start + count)]


async def feed(settings: ServiceSettings, events: Iterable[Event[Any]]) -> None:
    """Publishes as the registry does: through an outbox of its own."""
    url = settings.url("registry")
    await migrate(url, "registry")
    pool = await open_pool(url, "registry")
    publisher = Publisher("registry", pool, settings)
    publisher.own(frozenset(range(settings.partitions)))
    async with Outbox("registry", pool, settings.partitions).transaction() as transaction:
        transaction.emit(events)
    await publisher.drain()
    await publisher.close()
    await pool.close()


@dataclass
class Toy:
    """The stage's effects, and a way to make its handler fail."""

    poison: frozenset[str] = frozenset()
    trouble: list[Exception] = field(default_factory=list)
    keyless: dict[str, str] = field(default_factory=dict)
    """Recipients whose events are sealed with a key that is not held, and its id."""
    during: Callable[[], Any] | None = None

    async def handle(self, batch: Batch, tx: asyncpg.Connection) -> Sequence[Event[Any]]:
        if self.trouble:
            raise self.trouble.pop()
        if self.during:
            await self.during()
        events = batch.of(RecipientRegistered)
        if bad := [event.subject for event in events if event.subject in self.poison]:
            raise ValueError(f"no decision for {bad}")
        if away := [(event, self.keyless[event.subject]) for event in events if event.subject in self.keyless]:
            raise KeyAway(away)
        await tx.execute(
            "INSERT INTO toy (recipient, event_id) SELECT * FROM unnest($1::text[], $2::text[])",
            [event.subject for event in events],
            [event.id for event in events],
        )
        template = example(EligibilityDecided).data
        return [caused_by(e.cause, "eligibility", template, subject=e.subject, time=batch.at) for e in events]

    @property
    def stage(self) -> Stage:
        return Stage("eligibility", ("recipient.registered",), self.handle)


@dataclass
class Running:
    """One process of the toy service, in this one's event loop."""

    loop: Loop
    publisher: Publisher
    pool: asyncpg.Pool
    tasks: list[asyncio.Task[None]]
    stopping: asyncio.Event

    async def stop(self) -> None:
        """As on SIGTERM."""
        self.stopping.set()
        await asyncio.gather(*self.tasks)
        await self.pool.close()

    async def kill(self) -> None:
        """As far as one process can be killed inside another: nothing is finished, nothing is told to anybody."""
        self.pool.terminate()
        while pending := [task for task in self.tasks if not task.done()]:  # a library may swallow one cancellation
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=0.2)


async def prepare(settings: ServiceSettings) -> None:
    url = settings.url("eligibility")
    await migrate(url, "eligibility")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS eligibility.toy (recipient text PRIMARY KEY, event_id text NOT NULL)"
        )
        await connection.execute("GRANT SELECT, INSERT ON eligibility.toy TO salur_eligibility")
    finally:
        await connection.close()


async def start(settings: ServiceSettings, toy: Toy, keyring: Keyring) -> Running:
    pool = await open_pool(settings.url("eligibility"), "eligibility", transaction_timeout_ms=3_000)
    outbox = Outbox("eligibility", pool, settings.partitions)
    publisher = Publisher("eligibility", pool, settings)
    outbox.committed = publisher.offer
    loop = Loop(Turn(toy.stage, outbox, keyring, key_wait_s=settings.key_wait_s), publisher, settings)
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(loop.run(stopping)), asyncio.create_task(publisher.run(stopping))]
    return Running(loop, publisher, pool, tasks, stopping)


@asynccontextmanager
async def running(settings: ServiceSettings, toy: Toy, keyring: Keyring) -> AsyncIterator[Running]:
    process = await start(settings, toy, keyring)
    try:
        yield process
    finally:
        await process.kill()


async def until(condition: Callable[[], Any], timeout_s: float = 30.0) -> None:
    async def wait() -> None:
        while not await condition():
            await asyncio.sleep(0.05)

    await asyncio.wait_for(wait(), timeout_s)


async def rows(settings: ServiceSettings) -> dict[str, str]:
    """The toy's effects: recipient → event id."""
    connection = await asyncpg.connect(settings.url("eligibility"))
    try:
        return {r["recipient"]: r["event_id"] for r in await connection.fetch("SELECT * FROM eligibility.toy")}
    finally:
        await connection.close()


async def accepted(settings: ServiceSettings, topic: str, model: type[Data]) -> list[Event[Any]]:
    """What a reader of the topic accepts: each sequence once and in order. Fails on a gap or a wrong digest."""
    events: list[Event[Any]] = []
    async with reader(settings, topic) as records:
        chains: dict[int, tuple[int, bytes]] = {}
        for record in records:
            sequence = int(dict(record.headers)["sequence"])
            expected, digest = chains.get(record.partition, (0, START))
            assert sequence <= expected, f"gap in {topic}/{record.partition}: {sequence} where {expected} was expected"
            if sequence == expected:
                digest = extend(digest, sequence, record.key, list(record.headers), record.value)
                chains[record.partition] = (expected + 1, digest)
                events.append(decode(model, record.value))
    await _compare_with_database(settings, topic, chains)
    return events


async def _compare_with_database(settings: ServiceSettings, topic: str, chains: dict[int, tuple[int, bytes]]) -> None:
    owner = FLOW_TOPICS[topic].owner
    assert owner
    connection = await asyncpg.connect(settings.url(owner))
    try:
        positions = await connection.fetch(f"SELECT * FROM {owner}.output_position WHERE topic = $1", topic)
        waiting = await connection.fetchval(f"SELECT count(*) FROM {owner}.outbox WHERE topic = $1", topic)
    finally:
        await connection.close()
    assert waiting == 0
    assert {p["partition"]: (p["next_sequence"], p["digest"]) for p in positions} == chains


@asynccontextmanager
async def reader(settings: ServiceSettings, topic: str) -> AsyncIterator[list[Any]]:
    """All records of a topic, those of each partition in order."""
    consumer = AIOKafkaConsumer(**settings.client_options(), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(topic, n) for n in range(settings.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        records: list[Any] = []
        while [tp for tp in places if await consumer.position(tp) < ends[tp]]:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
        yield records
    finally:
        await consumer.stop()


async def put(settings: ServiceSettings, topic: str, partition: int, value: bytes | None, headers: Any = ()) -> None:
    """A message that did not come through an outbox."""
    producer = AIOKafkaProducer(**settings.client_options(), acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value=value, key=b"k", partition=partition, headers=list(headers))
    finally:
        await producer.stop()
