"""Kafka clients that never come back: another one takes over, or the process ends; nothing is lost or repeated."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.produce import ProduceRequest

from shared import kafka as kafka_clients
from shared.events import EligibilityDecided, RecipientRegistered
from shared.privacy.keyring import Keyring
from shared.runtime import client, loop, publisher
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.stuck import never
from tests.integration.test_runtime import DECIDED, all_handled
from tests.integration.toy import Toy, accepted, feed, registrations, running, until


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    return await toys.fresh(kafka, database, tmp_path)


@pytest.fixture
def keyring(settings: ServiceSettings) -> Keyring:
    return Keyring.load(settings.keys)


@pytest.mark.parametrize("method", ["commit", "getmany", "topics", "beginning_offsets", "end_offsets", "start"])
async def test_a_client_that_never_comes_back_is_replaced(
    settings: ServiceSettings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    hung: list[Any] = []
    for limit in ("WITHIN_S", "STARTED_WITHIN_S"):
        monkeypatch.setattr(kafka_clients, limit, 1.0)
    monkeypatch.setattr(loop.AIOKafkaConsumer, method, never(hung, getattr(loop.AIOKafkaConsumer, method)))
    await feed(settings, registrations(5))
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 5)
        await feed(settings, registrations(4, 5))
        await all_handled(settings, 9)
    assert hung


async def test_a_producer_that_gave_up_leaves_no_connection_open(
    settings: ServiceSettings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka takes no batch for a while, and does not say so before this gives up: aiokafka's own stop ends half-way."""
    send, silent, made = AIOKafkaClient.send, [True], list[AIOKafkaProducer]()
    start = AIOKafkaProducer.start

    async def unanswered(kafka: AIOKafkaClient, node: int, request: Any, **named: Any) -> Any:
        if silent and isinstance(request, ProduceRequest):
            await asyncio.sleep(3)
            raise RequestTimedOutError
        return await send(kafka, node, request, **named)

    async def noted(producer: AIOKafkaProducer) -> None:
        made.append(producer)
        await start(producer)

    await feed(settings, registrations(5))
    monkeypatch.setattr(AIOKafkaClient, "send", unanswered)
    monkeypatch.setattr(AIOKafkaProducer, "start", noted)
    monkeypatch.setattr(publisher, "ACKNOWLEDGED_WITHIN_S", 1.0)
    monkeypatch.setattr(publisher, "CLOSED_WITHIN_S", 1.0)
    async with running(settings, Toy(), keyring):
        await until(lambda: asyncio.sleep(0, len(made) >= 3), timeout_s=60)
        silent.clear()
        await all_handled(settings, 5)
        left = [producer.client for producer in made[:-1]]
        assert [kafka for kafka in left if kafka._sync_task or any(c.connected() for c in kafka._conns.values())] == []


async def test_a_client_that_gives_nothing_any_more_is_replaced(
    settings: ServiceSettings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fetching task dies, as it does by an assertion of aiokafka's own; it says so to nobody."""
    broken: list[Fetcher] = []
    fetch = Fetcher._proc_fetch_request

    async def failing(fetcher: Fetcher, *arguments: Any) -> Any:
        if not broken:
            broken.append(fetcher)
        assert fetcher is not broken[0]
        return await fetch(fetcher, *arguments)

    monkeypatch.setattr(client, "SILENT_S", 1.0)
    await feed(settings, registrations(5))
    async with running(settings, Toy(), keyring):

        async def dead() -> bool:
            return bool(broken) and broken[0].error_future.done()

        await all_handled(settings, 5)
        monkeypatch.setattr(Fetcher, "_proc_fetch_request", failing)
        await until(dead)
        await feed(settings, registrations(4, 5))
        await all_handled(settings, 9)


async def taken_back(settings: ServiceSettings) -> None:
    """A stranger's transaction that is aborted: offsets of which nobody ever gets a message."""
    async with AIOKafkaProducer(**settings.client_options(), transactional_id="stranger") as producer:
        await producer.begin_transaction()
        for partition in range(settings.partitions):
            await producer.send_and_wait(RecipientRegistered.TYPE, b"nothing", partition=partition)
        await producer.abort_transaction()


async def test_a_client_with_nothing_to_give_is_kept(
    settings: ServiceSettings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    start = loop.start

    async def counted(one: Any, known: Any) -> None:
        started.append(one)
        await start(one, known)

    monkeypatch.setattr(client, "SILENT_S", 0.2)
    monkeypatch.setattr(loop, "start", counted)
    await feed(settings, registrations(5))
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 5)
        await taken_back(settings)
        await asyncio.sleep(2)
        await feed(settings, registrations(4, 5))
        await all_handled(settings, 9)
    assert len(started) == 1


async def test_a_client_that_does_not_close_ends_the_process(
    settings: ServiceSettings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung: list[Any] = []
    stop = loop.AIOKafkaConsumer.stop
    async with running(settings, Toy(), keyring) as process:

        async def ready() -> bool:
            return process.loop.ready

        await until(ready)
        monkeypatch.setattr(client, "CLOSED_WITHIN_S", 0.5)
        monkeypatch.setattr(loop.AIOKafkaConsumer, "stop", never(hung, stop))
        with pytest.raises(client.ClientStuck):
            await process.stop()
    await stop(hung[0])


async def test_a_client_whose_own_tasks_were_cancelled_has_closed() -> None:
    disconnected = asyncio.Event()

    class Connections:
        async def close(self) -> None:
            disconnected.set()

    class Cancelled:
        _client = Connections()

        async def stop(self) -> None:
            task = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            await task

    await client.closed(Cancelled())
    assert disconnected.is_set()


async def test_a_row_whose_publication_never_comes_back_is_published_by_another_client(
    settings: ServiceSettings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung: list[Any] = []
    await feed(settings, registrations(5))
    monkeypatch.setattr(publisher, "ACKNOWLEDGED_WITHIN_S", 0.5)
    monkeypatch.setattr(publisher.AIOKafkaProducer, "send_batch", never(hung, publisher.AIOKafkaProducer.send_batch))
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 5)
    assert hung
    assert len(await accepted(settings, DECIDED, EligibilityDecided)) == 5
