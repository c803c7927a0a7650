"""Kafka clients that never come back: another one takes over, or the process ends; nothing is lost or repeated."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.events import EligibilityDecided
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring
from shared.runtime import loop, publisher
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.test_runtime import DECIDED, all_handled
from tests.integration.toy import Toy, accepted, empty_topics, feed, prepare, registrations, running, until


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    keyfile.create(tmp_path / "keys.json")
    made = toys.settings_for(kafka, database, tmp_path / "keys.json")
    await empty_topics(made)
    await prepare(made)
    return made


@pytest.fixture
def keyring(settings: ServiceSettings) -> Keyring:
    return Keyring.load(settings.keys)


def never(hung: list[Any], method: Any) -> Any:
    """The method of the first client that calls it never comes back; that of all others does what it does."""

    async def hanging(client: Any, *arguments: Any, **named: Any) -> Any:
        if not hung:
            hung.append(client)
        if client is hung[0]:
            await asyncio.Event().wait()
        return await method(client, *arguments, **named)

    return hanging


@pytest.mark.parametrize("method", ["commit", "getmany", "topics"])
async def test_a_client_that_never_comes_back_is_replaced(
    settings: ServiceSettings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    hung: list[Any] = []
    monkeypatch.setattr(loop, "CLIENT_WITHIN_S", 1.0)
    monkeypatch.setattr(loop.AIOKafkaConsumer, method, never(hung, getattr(loop.AIOKafkaConsumer, method)))
    await feed(settings, registrations(5))
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 5)
        await feed(settings, registrations(4, 5))
        await all_handled(settings, 9)
    assert hung


async def test_a_client_that_does_not_close_ends_the_process(
    settings: ServiceSettings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung: list[Any] = []
    stop = loop.AIOKafkaConsumer.stop
    async with running(settings, Toy(), keyring) as process:

        async def ready() -> bool:
            return process.loop.ready

        await until(ready)
        monkeypatch.setattr(loop, "CLOSED_WITHIN_S", 0.5)
        monkeypatch.setattr(loop.AIOKafkaConsumer, "stop", never(hung, stop))
        with pytest.raises(loop.ClientStuck):
            await process.stop()
    await stop(hung[0])


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
