"""Events that name a key which is not held: waited for, and never for ever."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from services.eligibility.service import build
from services.eligibility.settings import EligibilitySettings
from shared.events import DeadLetter, EligibilityDecided, Event
from shared.events.codec import encode
from shared.events.topics import replay_topic
from shared.partition import partition_of
from shared.postgres import open_pool
from shared.privacy import Keyring, keyfile
from shared.runtime.awaited import AwaitedKeys
from shared.runtime.emit import Outbox
from shared.runtime.positions import Place
from shared.runtime.stage import Stage
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.eligibility_desk import Registry, family, recipient
from tests.integration.toy import Running, Toy, accepted, empty_topics, feed, prepare, put, registrations, rows, until

DECIDED, INPUT = EligibilityDecided.TYPE, "recipient.registered"


@pytest.fixture
async def settings(kafka: str, database: str, keys: Path) -> ServiceSettings:
    made = toys.settings_for(kafka, database, keys)
    await empty_topics(made)
    await prepare(made)
    return made


@pytest.fixture
def rotated(keys: Path, tmp_path: Path) -> tuple[Path, Registry]:
    """A registry on another machine, where the key has rotated already, and its key file."""
    elsewhere = tmp_path / "elsewhere.json"
    shutil.copy(keys, elsewhere)
    keyfile.rotate(elsewhere, "eligibility")
    return elsewhere, Registry(Keyring.load(elsewhere))


@dataclass
class Eligibility(Toy):
    """The real stage in the toy's place."""

    real: Stage | None = None

    @property
    def stage(self) -> Stage:
        assert self.real
        return self.real


@asynccontextmanager
async def eligibility(settings: ServiceSettings, wait_s: float) -> AsyncIterator[Running]:
    keyring = Keyring.load(settings.keys)
    pool = await open_pool(settings.url("eligibility"), "eligibility")
    service = await build(Outbox("eligibility", pool, settings.partitions), keyring, EligibilitySettings())
    waiting = settings.model_copy(update={"key_wait_s": wait_s})
    async with toys.running(waiting, Eligibility(real=service.stage), keyring) as process:
        yield process
    await pool.close()


async def decided(settings: ServiceSettings, whom: set[str]) -> None:
    async def done() -> bool:
        connection = await asyncpg.connect(settings.url("eligibility"))
        try:
            found = await connection.fetch("SELECT DISTINCT recipient_id FROM eligibility.decision")
        finally:
            await connection.close()
        return {row[0] for row in found} == whom

    await until(done)


def place(event: Event[object], settings: ServiceSettings) -> Place:
    return Place(event.type, partition_of(event.subject.encode(), settings.partitions))


async def test_a_key_that_comes_late_loses_nothing(
    settings: ServiceSettings, keys: Path, rotated: tuple[Path, Registry]
) -> None:
    """Only the partition of the event that lacks it stands, from that event on."""
    elsewhere, there = rotated
    here = Registry(Keyring.load(keys))
    people = range(1, 41)
    late = there.registered(recipient(0), family(0))
    await feed(settings, [late, *(here.registered(recipient(n), family(n)) for n in people)])
    behind = {recipient(n) for n in people if partition_of(recipient(n).encode(), 8) == place(late, settings).partition}
    assert behind
    async with eligibility(settings, wait_s=60) as process:
        await decided(settings, {recipient(n) for n in people} - behind)
        key_id = there.keyring.active_id("eligibility")
        assert process.loop.turn.held == {place(late, settings): key_id}
        os.replace(elsewhere, keys)
        await decided(settings, {recipient(n) for n in (0, *people)})
        await process.stop()
    assert not process.loop.turn.held
    assert await accepted(settings, "dead-letter.eligibility", DeadLetter) == []
    assert len(await accepted(settings, DECIDED, EligibilityDecided)) == 41 * 3


async def test_a_key_that_does_not_come_is_given_up_and_replayed_later(
    settings: ServiceSettings, keys: Path, rotated: tuple[Path, Registry]
) -> None:
    elsewhere, there = rotated
    here = Registry(Keyring.load(keys))
    late, flagged = there.registered(recipient(0), family(0)), there.flagged(recipient(1), "deceased")
    broken = here.registered(recipient(60), family(60)).model_copy(update={"subject": recipient(61)})
    await feed(settings, [late, flagged, broken, *(here.registered(recipient(n), family(n)) for n in range(1, 41))])
    async with eligibility(settings, wait_s=1) as process:
        await decided(settings, {recipient(n) for n in range(1, 41)})
        assert not process.loop.turn.held
        letters = await accepted(settings, "dead-letter.eligibility", DeadLetter)
        codes = {letter.subject: letter.data.code for letter in letters}
        lost = {recipient(0): "key_missing", recipient(1): "key_missing", recipient(61): "handler_failed"}
        assert codes == lost
        assert there.keyring.active_id("eligibility") in next(
            letter.data.reason for letter in letters if letter.subject == recipient(0)
        )
        os.replace(elsewhere, keys)
        await put(settings, replay_topic("eligibility"), 0, encode(late))
        await decided(settings, {recipient(n) for n in range(41)})
        await process.stop()


async def test_neighbours_of_all_kinds_are_accounted_for(settings: ServiceSettings) -> None:
    """Poison that must be halved for, beside many ids that nobody will ever hold: one wait, and none of them lost."""
    events = registrations(600)
    bad = frozenset(event.subject for event in events[5::97])
    keyless = {event.subject: f"eli-{'abcdefghij'[n % 10] * 8}" for n, event in enumerate(events[::41])}
    expected = dict.fromkeys(keyless, "key_missing") | dict.fromkeys(bad, "handler_failed")
    await feed(settings, events)
    toy = Toy(poison=bad, keyless=keyless)
    waiting = settings.model_copy(update={"key_wait_s": 1.0})
    async with toys.running(waiting, toy, Keyring.load(settings.keys)) as process:

        async def all_done() -> bool:
            return len(await rows(settings)) == 600 - len(expected)

        await until(all_done)
        await process.stop()
    letters = await accepted(settings, "dead-letter.eligibility", DeadLetter)
    assert {letter.subject: letter.data.code for letter in letters} == expected
    assert len(letters) == len(expected)
    assert set(await rows(settings)) == {event.subject for event in events} - expected.keys()
    assert len(await accepted(settings, DECIDED, EligibilityDecided)) == 600 - len(expected)


def test_after_a_wait_in_vain_no_other_id_is_waited_for(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1_000.0
    monkeypatch.setattr("shared.runtime.awaited.monotonic", lambda: at)
    awaited = AwaitedKeys(Keyring.load(keys), 60.0)
    assert awaited.waits_for("eli-aaaaaaaa")
    at += 30
    assert awaited.waits_for("eli-bbbbbbbb")
    assert not awaited.over(["eli-aaaaaaaa", "eli-bbbbbbbb"])
    at += 31
    assert awaited.over(["eli-aaaaaaaa"])
    assert not awaited.waits_for("eli-aaaaaaaa")
    assert awaited.waits_for("eli-bbbbbbbb"), "its own time is not over"
    assert not awaited.waits_for("eli-cccccccc")
    at += 3_700
    assert awaited.waits_for("eli-cccccccc")
    real = Keyring.load(keys).active_id("eligibility")
    assert awaited.over([real])
