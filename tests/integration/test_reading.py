"""Readers of topics get past whatever stands there, and see what services see."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from structlog.testing import capture_logs

from salur.inside.drift import find_drift
from salur.inside.topics import topics
from salur.report.scratch import Scratch
from salur.report.topics import read_topics
from shared import kafka as kafka_clients
from shared import reading
from shared.events.topics import replay_topic
from shared.kafka import ensure_topics
from shared.reading import Away, Extent, consumer, extents, is_unreadable, partitions_of, read, sequence_of
from shared.runtime.letters import BY_HEADER, DEAD_LETTER_HEADER, replays
from shared.runtime.positions import Place
from shared.runtime.tail import last_sequences
from shared.settings import KafkaSettings
from tests.integration.foreign import put_unreadable
from tests.integration.stuck import never
from tests.integration.toy import TOPICS, empty_topics, put, settings_for, until

REPLAY, FLOW, INTAKE = replay_topic("eligibility"), "eligibility.decided", "registration.submitted.dinsos"
NUMBERED = ("sequence", b"0")


@pytest.fixture
async def settings(kafka: str, tmp_path: Path) -> KafkaSettings:
    settings = settings_for(kafka, "postgresql://none", tmp_path / "keys.json")
    await empty_topics(settings, TOPICS)
    return settings


@pytest.fixture
async def producer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as started:
        yield started


async def held(settings: KafkaSettings, topic: str, *partitions: int) -> dict[int, list[tuple[int, bytes | None]]]:
    """Offsets and values by partition."""
    found: dict[int, list[tuple[int, bytes | None]]] = {}
    async with consumer(settings) as client:
        places = [TopicPartition(topic, partition) for partition in partitions]
        async for tp, records in read(client, await extents(client, places)):
            for record in records:
                assert is_unreadable(record) == (record.value is None)
                found.setdefault(tp.partition, []).append((record.offset, record.value))
    return found


async def test_what_cannot_be_read_hides_nothing_else(settings: KafkaSettings, producer: AIOKafkaProducer) -> None:
    await producer.send_and_wait(REPLAY, b"before", partition=0)
    for _ in range(3):
        await put_unreadable(producer, REPLAY, 0)
    await producer.send_and_wait(REPLAY, b"after", partition=0)
    await put_unreadable(producer, REPLAY, 1)
    await producer.send_and_wait(REPLAY, b"elsewhere", partition=5)
    assert await held(settings, REPLAY, 0, 1, 2, 5) == {
        0: [(0, b"before"), (1, None), (2, None), (3, None), (4, b"after")],
        1: [(0, None)],
        5: [(0, b"elsewhere")],
    }


async def test_reading_ends_where_it_was_told(settings: KafkaSettings, producer: AIOKafkaProducer) -> None:
    for _ in range(2):
        await producer.send_and_wait(REPLAY, b"{}", partition=0)
        await put_unreadable(producer, REPLAY, 0)
    async with consumer(settings) as client:
        wanted = {TopicPartition(REPLAY, 0): Extent(1, 3)}
        assert [r.offset async for _, records in read(client, wanted) for r in records] == [1, 2]


@pytest.mark.parametrize("method", ["start", "beginning_offsets", "end_offsets", "getmany", "position"])
async def test_reading_ends_where_the_client_never_comes_back(
    settings: KafkaSettings, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    await producer.send_and_wait(REPLAY, b"{}", partition=0)
    hung: list[Any] = []
    for limit in ("WITHIN_S", "STARTED_WITHIN_S"):
        monkeypatch.setattr(kafka_clients, limit, 2.0)
    monkeypatch.setattr(AIOKafkaConsumer, method, never(hung, getattr(AIOKafkaConsumer, method)))
    with pytest.raises(Away):
        await held(settings, REPLAY, 0)
    assert await held(settings, REPLAY, 0) == {0: [(0, b"{}")]}


@pytest.mark.parametrize(
    ("ask", "method"),
    [
        (topics, "describe_topics"),
        (topics, "describe_configs"),
        (topics, "list_consumer_group_offsets"),
        (find_drift, "describe_topics"),
        (find_drift, "describe_configs"),
    ],
)
async def test_looking_at_topics_ends_where_the_client_never_comes_back(
    settings: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[KafkaSettings], Awaitable[list[Any]]],
    method: str,
) -> None:
    hung: list[Any] = []
    monkeypatch.setattr(kafka_clients, "WITHIN_S", 1.0)
    monkeypatch.setattr(AIOKafkaAdminClient, method, never(hung, getattr(AIOKafkaAdminClient, method)))
    with pytest.raises(Away):
        await ask(settings)
    assert hung


async def test_asking_how_a_topic_is_divided_makes_none(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a broker does for each topic that a client names, where it makes topics by itself."""
    named: list[str] = []
    describe = AIOKafkaAdminClient.describe_topics

    async def watched(client: AIOKafkaAdminClient, names: list[str] | None = None) -> list[Any]:
        named.extend(names or ())
        return list(await describe(client, names))

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_topics", watched)
    assert await partitions_of(settings, [FLOW, "no.such.topic"]) == {FLOW: 8}
    assert named == []


async def test_a_reader_that_does_not_close_is_left(
    settings: KafkaSettings, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.send_and_wait(REPLAY, b"{}", partition=0)
    hung: list[Any] = []
    stop = AIOKafkaConsumer.stop
    monkeypatch.setattr(reading, "CLOSED_WITHIN_S", 0.5)
    monkeypatch.setattr(AIOKafkaConsumer, "stop", never(hung, stop))
    assert await held(settings, REPLAY, 0) == {0: [(0, b"{}")]}
    await stop(hung[0])


async def test_what_was_put_back_is_found_beside_it(settings: KafkaSettings, producer: AIOKafkaProducer) -> None:
    await put_unreadable(producer, REPLAY, 3)
    headers = [(DEAD_LETTER_HEADER, b"letter-1"), (BY_HEADER, b"officer:siti")]
    await producer.send_and_wait(REPLAY, b"{}", partition=3, headers=headers)
    async with consumer(settings) as client:
        found = await replays(client, settings, "eligibility", only=3)
    assert {letter: replay.by for letter, replay in found.items()} == {"letter-1": "officer:siti"}


async def test_the_report_reads_an_intake_with_it(
    settings: KafkaSettings, producer: AIOKafkaProducer, tmp_path: Path
) -> None:
    await ensure_topics(settings, [INTAKE])
    await put_unreadable(producer, INTAKE, 0)
    with Scratch() as scratch:
        passed = await read_topics(settings, scratch)
    assert INTAKE in passed.intake


async def test_what_was_not_committed_is_not_there(settings: KafkaSettings, producer: AIOKafkaProducer) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id="outside") as outside:
        await outside.begin_transaction()
        await outside.send_and_wait(REPLAY, b"taken back", partition=0)
        await outside.abort_transaction()
    await producer.send_and_wait(REPLAY, b"stands", partition=0)

    async def ended() -> bool:  # the broker marks the end after it has answered
        return bool(await held(settings, REPLAY, 0))

    await until(ended)
    assert [value for _, value in (await held(settings, REPLAY, 0))[0]] == [b"stands"]


async def test_a_tail_tells_the_highest_sequence(settings: KafkaSettings) -> None:
    for number in (0, 1, 2, 1):
        await put(settings, FLOW, 4, b"{}", [("sequence", b"%d" % number)])
    assert await last_sequences(settings, {Place(FLOW, p): 3 for p in range(8)}) == {Place(FLOW, 4): 2}


@pytest.mark.parametrize("number", [b"9" * 5000, b"one", "²".encode(), b""], ids=["5000 digits", "word", "²", "empty"])
async def test_what_somebody_else_wrote_keeps_no_service_from_its_start(settings: KafkaSettings, number: bytes) -> None:
    await put(settings, FLOW, 0, b"{}", [NUMBERED])
    await put(settings, FLOW, 0, b"{}", [("sequence", number)])
    with capture_logs() as told:
        assert await last_sequences(settings, {Place(FLOW, 0): 1}) == {Place(FLOW, 0): 0}
    assert [(line["log_level"], line["topic"], line["offset"]) for line in told] == [("critical", FLOW, 1)]


async def test_what_the_database_does_not_know_hides_behind_nothing(
    settings: KafkaSettings, producer: AIOKafkaProducer
) -> None:
    for number in (0, 1, 2):
        await put(settings, FLOW, 0, b"{}", [("sequence", b"%d" % number)])
    await put_unreadable(producer, FLOW, 0)
    for _ in range(30):
        await put(settings, FLOW, 0, b"{}", [])
    assert await last_sequences(settings, {Place(FLOW, 0): 1}) == {Place(FLOW, 0): 2}


async def test_of_two_sequences_the_last_counts_as_for_a_stage(settings: KafkaSettings) -> None:
    await put(settings, FLOW, 0, b"{}", [("sequence", b"7"), ("sequence", b"8")])
    async with consumer(settings) as client:
        places = await extents(client, [TopicPartition(FLOW, 0)])
        assert [sequence_of(r) async for _, records in read(client, places) for r in records] == [8]
