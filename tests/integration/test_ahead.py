"""What a loop reads ahead: nothing is skipped or handled twice, wherever it must read anew meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from shared.events import DeadLetter, EligibilityDecided
from shared.events.codec import encode
from shared.events.topics import replay_topic
from shared.privacy.keyring import Keyring
from shared.runtime import records
from shared.runtime.ahead import Polls
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.foreign import put_unreadable
from tests.integration.test_runtime import DECIDED, LETTERS, all_handled, ask, check_each_decided_once
from tests.integration.toy import Toy, accepted, feed, registrations, rows, running, until

REPLAY = replay_topic("eligibility")
"""Without sequences: what is skipped here is missed by nobody."""
COUNT = 200


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    return await toys.fresh(kafka, database, tmp_path, batch_messages_max=20)


@pytest.fixture
def keyring(settings: ServiceSettings) -> Keyring:
    return Keyring.load(settings.keys)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for each poll that was read ahead."""
    polls: list[int] = []
    begin = Polls.begin

    def counted(one: Polls, consumer: Any, messages_max: int) -> None:
        polls.append(messages_max)
        begin(one, consumer, messages_max)

    monkeypatch.setattr(Polls, "begin", counted)
    return polls


async def put_replays(settings: ServiceSettings, *, junk: int = 0) -> None:
    """All in one partition, which is read from its start; `junk` before them."""
    async with AIOKafkaProducer(**settings.client_options()) as producer:
        for _ in range(junk):
            await producer.send(REPLAY, b"{", key=b"junk", partition=0)
        for event in registrations(COUNT):
            await producer.send(REPLAY, encode(event), key=event.subject.encode(), partition=0)


async def reached(settings: ServiceSettings) -> Any:
    return await ask(
        settings, "SELECT next_offset FROM eligibility.input_position WHERE topic = $1 AND partition = 0", REPLAY
    )


async def test_each_message_is_handled_once(settings: ServiceSettings, keyring: Keyring, begun: list[int]) -> None:
    await feed(settings, registrations(COUNT))
    async with running(settings, Toy(), keyring):
        await all_handled(settings, COUNT)
    await check_each_decided_once(settings, COUNT)
    assert begun


async def test_trouble_skips_nothing_of_what_was_read_ahead(
    settings: ServiceSettings, keyring: Keyring, begun: list[int]
) -> None:
    await put_replays(settings)
    async with running(settings, Toy(trouble=[TimeoutError()]), keyring):
        await all_handled(settings, COUNT)
    assert begun
    assert set(await rows(settings)) == {event.subject for event in registrations(COUNT)}


async def test_a_rebuild_meanwhile_begins_at_the_start(
    settings: ServiceSettings, keyring: Keyring, begun: list[int]
) -> None:
    """Another one takes the positions back the moment a turn has committed; the next poll is already there."""
    rebuilding: list[asyncio.Task[None]] = []

    async def rebuild() -> None:
        connection = await asyncpg.connect(settings.url("eligibility"))
        async with connection.transaction():
            await connection.execute("UPDATE eligibility.input_position SET next_offset = 0 WHERE topic = $1", REPLAY)
            await connection.execute("DELETE FROM eligibility.toy")
        await connection.close()

    async def meanwhile() -> None:
        if not rebuilding and len(begun) > 2:
            rebuilding.append(asyncio.create_task(rebuild()))
            await asyncio.sleep(0.3)  # it waits for this turn's commit

    await put_replays(settings)
    async with running(settings, Toy(during=meanwhile), keyring):
        await all_handled(settings, COUNT)
    assert rebuilding
    await rebuilding[0]
    assert set(await rows(settings)) == {event.subject for event in registrations(COUNT)}
    decided = await accepted(settings, DECIDED, EligibilityDecided)
    assert len(decided) > COUNT


async def test_an_open_breaker_lets_nothing_through_that_was_read_ahead(
    settings: ServiceSettings, keyring: Keyring, begun: list[int]
) -> None:
    await put_replays(settings, junk=150)
    async with running(settings, Toy(), keyring) as process:
        await until(lambda: asyncio.sleep(0, process.loop.breaker_open is not None))
        await asyncio.sleep(1)
        assert begun
        assert await reached(settings) == process.loop.turn.breaker.poison_min
    assert await rows(settings) == {}


@pytest.mark.parametrize("search_s", [10.0, 0.2], ids=["in one search", "in many"])
async def test_what_nobody_can_read_is_met_ahead_as_well(
    settings: ServiceSettings,
    keyring: Keyring,
    begun: list[int],
    monkeypatch: pytest.MonkeyPatch,
    search_s: float,
) -> None:
    """However much stands before it: a search that did not get there has brought the next one nearer."""
    monkeypatch.setattr(records, "SEARCH_S", search_s)
    await put_replays(settings)
    async with AIOKafkaProducer(**settings.client_options()) as producer:
        await put_unreadable(producer, REPLAY, 0)
        last = registrations(1, COUNT)[0]
        await producer.send_and_wait(REPLAY, encode(last), key=last.subject.encode(), partition=0)
    async with running(settings, Toy(), keyring):
        await all_handled(settings, COUNT + 1)
    assert begun
    (letter,) = await accepted(settings, LETTERS, DeadLetter)
    assert (letter.data.code, letter.data.origin.offset) == ("empty", COUNT)
