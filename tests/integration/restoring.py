"""Backups of databases, and stages that read real topics: what the tests of a recovery have in common."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from aiokafka import AIOKafkaProducer

from salur.inside.audit import AuditResult, verify
from salur.inside.connect import Settings
from salur.stack.control import Request, down, up
from salur.stack.home import Home
from salur.stack.programs import FLOW_TABLE
from shared.events import Event
from shared.events.topics import Service, outputs_of
from shared.partition import partition_of
from shared.postgres import migrate, open_pool
from shared.runtime import positions
from shared.runtime.emit import Outbox
from shared.runtime.positions import Place
from shared.runtime.publisher import Publisher
from shared.runtime.records import message_of
from shared.runtime.screening import screen
from shared.runtime.tail import DatabaseOlderThanTopic, refuse_restored_database
from shared.runtime.turn import Turn
from shared.settings import ServiceSettings
from tests.integration.toy import empty_topics, reader, settings_for
from tests.stack import drop_database, fresh_database, new_home


async def backup(database: str) -> str:
    """A copy of the database as it is now, beside it. Nobody may be connected."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(urlsplit(database)._replace(path="/postgres").geturl())
    try:
        for attempt in range(100):
            try:
                await connection.execute(f"CREATE DATABASE {name} TEMPLATE {urlsplit(database).path[1:]}")
                break
            except asyncpg.ObjectInUseError:  # whoever has left is not gone at once
                if attempt == 99:
                    raise
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
    return urlsplit(database)._replace(path=f"/{name}").geturl()


@asynccontextmanager
async def dropping(*databases: str) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for database in databases:
            await drop_database(database)


async def publish_as(settings: ServiceSettings, service: Service, events: Sequence[Event[Any]]) -> None:
    """As that service does, through an outbox of its own in the database of these settings."""
    url = settings.url(service)
    await migrate(url, service)
    pool = await open_pool(url, service)
    async with Outbox(service, pool, settings.partitions).transaction() as transaction:
        transaction.emit(events)
    await publish_own(settings, service, pool)
    await pool.close()


async def publish_own(
    settings: ServiceSettings, service: Service, pool: asyncpg.Pool, unpublished: Collection[tuple[str, int]] = ()
) -> None:
    """Everything in the outbox goes out, but for these topics and partitions: the database is lost before they do."""
    for topic, partition in unpublished:
        await pool.execute("DELETE FROM outbox WHERE topic = $1 AND partition = $2", topic, partition)
    publisher = Publisher(service, pool, settings)
    publisher.own(frozenset(range(settings.partitions)))
    await publisher.drain()
    await publisher.close()


async def take_in(settings: ServiceSettings, turn: Turn, topics: Sequence[str], at_once: int = 1000) -> int:
    """The stage reads everything that these topics hold beyond its stored positions. Returns how many messages."""
    places = {Place(topic, p): 0 for topic in topics for p in range(settings.partitions)}
    turn.positions = await positions.read(turn.outbox.pool, places)
    taken = 0
    for topic in topics:
        async with reader(settings, topic) as records:
            messages = [message_of(record) for record in records]
        screened = screen(messages, turn.positions)
        assert not screened.gaps
        for start in range(0, len(screened.taken), at_once):
            await turn.handle(screened.taken[start : start + at_once])
        await turn.skip_to(screened.reached)
        taken += len(screened.taken)
    return taken


async def audited(settings: ServiceSettings, service: Service) -> AuditResult:
    """The audit of this one service, which reads other services' topics and none of their databases."""
    inside = Settings(kafka=settings.kafka, postgres=settings.postgres, keys=settings.keys)
    return await verify(inside, (service,))


def with_database(settings: ServiceSettings, database: str) -> ServiceSettings:
    return settings.model_copy(update={"postgres": type(settings.postgres)(database)})


def places_of(service: Service, partitions: int) -> list[tuple[str, int]]:
    return [(topic, partition) for topic in outputs_of(service) for partition in range(partitions)]


async def pictured(pool: asyncpg.Pool, queries: Sequence[str]) -> dict[str, list[tuple[Any, ...]]]:
    """What each query gives, for a comparison of two databases."""
    return {query: [tuple(row) for row in await pool.fetch(query)] for query in queries}


async def send(settings: ServiceSettings, topic: str, values: Sequence[tuple[str, bytes]]) -> None:
    """As a source does: key and value of each message, in their order."""
    producer = AIOKafkaProducer(**settings.client_options(), acks="all", linger_ms=5)
    await producer.start()
    try:
        for key, value in values:
            place = partition_of(key.encode(), settings.partitions)
            await producer.send(topic, value=value, key=key.encode(), partition=place)
        await producer.flush()
    finally:
        await producer.stop()


async def refuses(settings: ServiceSettings, service: Service, pool: asyncpg.Pool) -> bool:
    """Whether the service would not run on this database, and names the command that helps."""
    try:
        await refuse_restored_database(settings, pool, outputs_of(service), range(settings.partitions))
        said = None
    except DatabaseOlderThanTopic as error:
        said = error.hint
    assert said is None or f"salur recover {service}" in said
    return said is not None


OUTPUT_POSITIONS = "SELECT topic, partition, next_sequence, digest FROM output_position ORDER BY 1, 2"
INPUT_POSITIONS = "SELECT topic, partition, next_offset, next_sequence FROM input_position ORDER BY 1, 2"


@asynccontextmanager
async def stack(name: str, kafka: str, postgres: str, options: Mapping[str, Mapping[str, str]]) -> AsyncIterator[Home]:
    """A running one, of the flow alone, on empty topics and a database of its own."""
    database = await fresh_database(postgres)
    home = Home.at(new_home() / name)
    await empty_topics(settings_for(kafka, database, home.keys))
    try:
        up(home, Request(kafka=kafka, postgres=database, options=options, table=FLOW_TABLE))
        yield home
    finally:
        down(home)
        await drop_database(database)
