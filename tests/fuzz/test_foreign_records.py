"""What only a foreign producer's records hold: their compression, their headers, their clocks. None stops a stage."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer

from shared.events import DeadLetter
from shared.events.codec import encode
from shared.events.topics import replay_topic
from shared.privacy.keyring import Keyring
from shared.runtime.positions import Place
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.foreign import with_foreign_header
from tests.integration.toy import (
    Running,
    Toy,
    accepted,
    put,
    registrations,
    rows,
    running,
    until,
)

INPUT, REPLAY = "recipient.registered", replay_topic("eligibility")


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    return await toys.fresh(kafka, database, tmp_path)


@asynccontextmanager
async def stage(settings: ServiceSettings) -> AsyncIterator[Running]:
    async with running(settings, Toy(), Keyring.load(settings.keys)) as process:
        yield process


async def handled(settings: ServiceSettings, process: Running, subjects: set[str]) -> None:
    async def done() -> bool:
        for task in process.tasks:
            if task.done():
                task.result()
        return subjects <= set(await rows(settings))

    await until(done, 15)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_of_kafka_is_read(settings: ServiceSettings, codec: str) -> None:
    """Java's, librdkafka's and Go's clients compress as their user says, and upstream systems choose for themselves."""
    events = registrations(50)
    producer = Producer({"bootstrap.servers": settings.kafka, "compression.type": codec, "linger.ms": 50})
    for event in events:
        producer.produce(REPLAY, encode(event), partition=0)
    assert producer.flush(10) == 0
    async with stage(settings) as process:
        await handled(settings, process, {event.subject for event in events})


async def test_a_header_key_that_is_no_utf8_stops_nothing(settings: ServiceSettings) -> None:
    """The record is dead-lettered; its neighbours before and after it, and those of other partitions, are handled."""
    before, bad, after, elsewhere = registrations(4)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        await producer.send_and_wait(REPLAY, encode(before), partition=0)
        await (await producer.send_batch(with_foreign_header(producer, encode(bad)), REPLAY, partition=0))
        await producer.send_and_wait(REPLAY, encode(after), partition=0)
        await producer.send_and_wait(REPLAY, encode(elsewhere), partition=5)
    finally:
        await producer.stop()
    async with stage(settings) as process:
        await handled(settings, process, {before.subject, after.subject, elsewhere.subject})
        await process.stop()
    (letter,) = await accepted(settings, "dead-letter.eligibility", DeadLetter)
    assert (letter.data.origin.topic, letter.data.origin.partition, letter.data.origin.offset) == (REPLAY, 0, 1)
    assert (letter.data.code, letter.data.body) == ("empty", None)


@pytest.mark.parametrize("number", [b"9" * 5000, b"9" * 30], ids=["5000 digits", "30 digits"])
async def test_a_sequence_that_no_number_holds_is_a_gap(settings: ServiceSettings, number: bytes) -> None:
    bad, elsewhere = registrations(2)
    await put(settings, INPUT, 0, encode(bad), [("sequence", number)])
    await put(settings, INPUT, 1, encode(elsewhere), [("sequence", b"0")])
    async with stage(settings) as process:
        await handled(settings, process, {elsewhere.subject})

        async def stands() -> bool:
            return Place(INPUT, 0) in process.loop.stopped

        await until(stands)
    assert bad.subject not in await rows(settings)


@pytest.mark.parametrize("timestamp_ms", [0, 1], ids=["none", "1970"])
async def test_a_record_of_1970_is_handled(settings: ServiceSettings, timestamp_ms: int) -> None:
    (event,) = registrations(1)
    producer = Producer({"bootstrap.servers": settings.kafka})
    producer.produce(REPLAY, encode(event), partition=0, timestamp=timestamp_ms)
    assert producer.flush(10) == 0
    async with stage(settings) as process:
        await handled(settings, process, {event.subject})
