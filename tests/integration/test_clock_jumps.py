"""A process whose clock jumps an hour, either way: what money, answers and sequences hang on is not its clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from shared import clock
from shared.errors import Trouble
from shared.events import EligibilityDecided
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring
from tests.integration import toy as toys
from tests.integration.paying import Desk, desk_on
from tests.integration.registry_desk import RIGHT, answers, nik_of, open_desk
from tests.integration.running_simulator import running
from tests.integration.test_payout_bank import ROUGH, alive, ordered, work
from tests.integration.toy import Toy, accepted, empty_topics, feed, prepare, registrations, rows, until

HOURS = pytest.mark.parametrize("hours", [-1, 1], ids=["back", "forward"])


def jump(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """From now on this process's clock is so much off, as somebody set it; PostgreSQL's and the bank's are not."""

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=hours)

    monkeypatch.setattr(clock, "datetime", Jumped)


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_on(database, tmp_path / "keys.json", orders_a_call=20) as made:
        yield made


@HOURS
async def test_a_bank_is_paid_through_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Also what is in doubt is asked about and settled: the bank refuses calls whose time is not its own."""
    await ordered(desk, 60)
    async with running("bank", tmp_path / "bank", *ROUGH) as bank:
        desk.connect(bank.url)
        with suppress(Trouble):
            await desk.bank.pay()
        jump(monkeypatch, hours)

        async def settled() -> bool:
            return await alive(desk) == 0

        await asyncio.wait_for(work(desk, settled), 60)
        await desk.check_books()
        await desk.check_against_bank(await bank.books())


@HOURS
async def test_submissions_get_the_same_answers(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    async with open_desk(database, tmp_path) as registry:
        sent_at = datetime.now().astimezone()
        first = registry.message("1", RIGHT, time=sent_at)
        assert answers(await registry.handle(first)) == [("1", "new")]
        jump(monkeypatch, hours)
        told = await registry.handle(
            registry.message("2", RIGHT | {"nik": nik_of(2)}, time=sent_at),
            registry.message("3", RIGHT | {"decile": 3}, time=sent_at + timedelta(seconds=1)),
            registry.message("4", RIGHT | {"decile": 4}, time=sent_at - timedelta(seconds=1)),
        )
        assert answers(told) == [("2", "new"), ("3", "updated"), ("4", "older")]


@HOURS
async def test_a_stage_neither_loses_nor_repeats(
    kafka: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    keyfile.create(tmp_path / "keys.json")
    settings = toys.settings_for(kafka, database, tmp_path / "keys.json")
    await empty_topics(settings)
    await prepare(settings)
    async with toys.running(settings, Toy(), Keyring.load(settings.keys)) as process:
        for count in (100, 200):
            await feed(settings, registrations(100, count - 100))

            async def handled(count: int = count) -> bool:
                return len(await rows(settings)) == count

            await until(handled)
            jump(monkeypatch, hours)
        await process.stop()
    events = await accepted(settings, "eligibility.decided", EligibilityDecided)
    assert len({event.id for event in events}) == len(events) == 200
