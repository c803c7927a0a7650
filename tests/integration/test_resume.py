"""A stage that stopped by itself goes on when a person says so, by name and with a reason that stays."""

from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from salur.inside.connect import Settings
from salur.inside.resume import resume_after_breaker, resume_at_gap
from shared.events.codec import encode
from shared.privacy.keyring import Keyring
from shared.runtime import loop
from shared.runtime.positions import Place
from shared.runtime.resumption import NotStopped
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.foreign import put_unreadable
from tests.integration.toy import (
    Running,
    Toy,
    feed,
    put,
    registrations,
    rows,
    running,
    until,
)

INPUT = "recipient.registered"


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    return await toys.fresh(kafka, database, tmp_path)


@pytest.fixture
def inside(settings: ServiceSettings) -> Settings:
    return Settings(kafka=settings.kafka, postgres=settings.postgres)


@pytest.fixture
def keyring(settings: ServiceSettings) -> Keyring:
    return Keyring.load(settings.keys)


def sequence(number: int) -> list[tuple[str, bytes]]:
    return [("sequence", b"%d" % number)]


async def kept(settings: ServiceSettings) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(settings.url("eligibility"))
    try:
        found: list[asyncpg.Record] = await connection.fetch("SELECT * FROM eligibility.resumption ORDER BY id")
        return found
    finally:
        await connection.close()


async def stands(process: Running, place: Place) -> None:
    async def stopped() -> bool:
        return place in process.loop.stopped

    await until(stopped)


async def handled(settings: ServiceSettings, count: int) -> None:
    async def done() -> bool:
        return len(await rows(settings)) == count

    await until(done)


async def test_a_gap_is_passed_only_when_a_person_says_so(
    settings: ServiceSettings, inside: Settings, keyring: Keyring
) -> None:
    first, lost, *after = registrations(4)
    partition = 3
    await put(settings, INPUT, partition, encode(first), sequence(0))
    async with running(settings, Toy(), keyring) as process:
        await handled(settings, 1)
        with pytest.raises(NotStopped):
            await resume_at_gap(inside, "eligibility", Place(INPUT, partition), "siti", "nothing is wrong")
        for n, event in enumerate(after, 2):
            await put(settings, INPUT, partition, encode(event), sequence(n))
        await stands(process, Place(INPUT, partition))
        done = await resume_at_gap(inside, "eligibility", Place(INPUT, partition), "siti", "a disk is lost")
        await handled(settings, 3)
        assert not process.loop.stopped
    assert (done.expected_sequence, done.next_sequence, done.lost) == (1, 2, 1)
    assert lost.subject not in await rows(settings)
    (row,) = await kept(settings)
    assert (row["topic"], row["partition"], row["resumed_by"], row["reason"]) == (
        INPUT,
        partition,
        "siti",
        "a disk is lost",
    )


async def test_a_message_without_a_sequence_is_skipped_itself(
    settings: ServiceSettings, inside: Settings, keyring: Keyring
) -> None:
    foreign, own = registrations(2)
    await put(settings, INPUT, 0, encode(foreign))
    await put(settings, INPUT, 0, encode(own), sequence(0))
    async with running(settings, Toy(), keyring) as process:
        await stands(process, Place(INPUT, 0))
        done = await resume_at_gap(inside, "eligibility", Place(INPUT, 0), "siti", "a foreign writer, locked out now")
        await handled(settings, 1)
    assert done.lost == 0
    assert set(await rows(settings)) == {own.subject}


async def test_an_open_breaker_closes_when_told(settings: ServiceSettings, inside: Settings, keyring: Keyring) -> None:
    good = registrations(300)
    await feed(settings, good)
    toy = Toy(poison=frozenset(event.subject for event in good))
    async with running(settings, toy, keyring) as process:

        async def open_() -> bool:
            return process.loop.breaker_open is not None

        await until(open_, timeout_s=60)
        toy.poison = frozenset()
        await feed(settings, registrations(50, 1000))
        await resume_after_breaker(inside, "eligibility", "abdul", "the release was rolled back")

        async def goes_on() -> bool:
            return {event.subject for event in registrations(50, 1000)} <= set(await rows(settings))

        await until(goes_on)
        assert process.loop.breaker_open is None
    (row,) = await kept(settings)
    assert (row["topic"], row["resumed_by"]) == (None, "abdul")


async def test_an_assignment_that_comes_in_between_swallows_no_resumption(
    settings: ServiceSettings, inside: Settings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks a person resumes, and the partitions are taken anew: the next look still sees it."""
    monkeypatch.setattr(loop, "RESUMED_LOOK_S", 2.0)
    good = registrations(300)
    await feed(settings, good)
    async with running(settings, Toy(poison=frozenset(event.subject for event in good)), keyring) as process:

        async def open_() -> bool:
            return process.loop.breaker_open is not None and process.loop._resumed_look_at > 0

        await until(open_, timeout_s=60)
        await resume_after_breaker(inside, "eligibility", "abdul", "mended")
        process.loop._generation.number += 1  # what the listener does

        async def closed() -> bool:
            return process.loop.breaker_open is None

        await until(closed)
        assert process.loop.breaker_open is None


async def test_what_a_person_decided_cannot_be_changed(settings: ServiceSettings, inside: Settings) -> None:
    await resume_after_breaker(inside, "eligibility", "abdul", "a trial")
    connection = await asyncpg.connect(settings.url("eligibility"))
    try:
        for statement in ("DELETE FROM eligibility.resumption", "UPDATE eligibility.resumption SET reason = 'another'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.execute("SET ROLE salur_eligibility")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "INSERT INTO eligibility.resumption (resumed_by, reason) VALUES ('the service', 'itself')"
            )
    finally:
        await connection.close()


async def test_a_record_that_cannot_be_read_is_passed_when_a_person_says_so(
    settings: ServiceSettings, inside: Settings, keyring: Keyring
) -> None:
    first, after = registrations(2)
    await put(settings, INPUT, 3, encode(first), sequence(0))
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        await put_unreadable(producer, INPUT, 3)
    await put(settings, INPUT, 3, encode(after), sequence(1))
    async with running(settings, Toy(), keyring) as process:
        await stands(process, Place(INPUT, 3))
        done = await resume_at_gap(inside, "eligibility", Place(INPUT, 3), "siti", "written by nobody of ours")
        assert done.lost == 0
        await handled(settings, 2)
        await process.stop()
