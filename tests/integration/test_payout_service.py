"""The payout service as processes: two instances on real Kafka, PostgreSQL and bank, killed at any moment."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from salur.stack.ports import PortBook
from services.payout import configuration
from shared.events import EligibilityDecided, PayoutConfirmed, PayoutFailed, PayoutOrdered
from shared.postgres import migrate, open_pool
from shared.runtime.emit import Outbox
from shared.runtime.publisher import Publisher
from shared.settings import ServiceSettings
from tests.integration import toy
from tests.integration.paying import FAST_BANK, FAST_SIMULATOR, Desk, desk_on
from tests.integration.running_simulator import running

PEOPLE = 400
ROUGH = ("--refused", 0.1, "--delayed", 0.1, "--timeout", 0.05, "--late", 0.05, "--cut", 0.1, *FAST_SIMULATOR)


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    made = toy.settings_for(kafka, database, tmp_path / "keys.json")
    await toy.empty_topics(made)
    return made


@pytest.fixture
async def desk(settings: ServiceSettings) -> AsyncIterator[Desk]:
    async with desk_on(settings.url("payout"), settings.keys) as made:
        yield made


def fast_banks(folder: Path) -> Path:
    lines = configuration.BANKS.read_text(encoding="utf-8").splitlines()
    fast = {**FAST_BANK, "orders_a_call": 20}
    for at, line in enumerate(lines):
        name = line.strip().partition(":")[0]
        if name in fast and line.startswith("    "):
            lines[at] = f"    {name}: {fast[name]}"
    path = folder / "banks.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


async def publish(settings: ServiceSettings, decisions: list[Any]) -> None:
    """As eligibility does, through an outbox of its own."""
    url = settings.url("eligibility")
    await migrate(url, "eligibility")
    pool = await open_pool(url, "eligibility")
    publisher = Publisher("eligibility", pool, settings)
    publisher.own(frozenset(range(settings.partitions)))
    async with Outbox("eligibility", pool, settings.partitions).transaction() as transaction:
        transaction.emit(decisions)
    await publisher.drain()
    await publisher.close()
    await pool.close()


async def start(settings: ServiceSettings, folder: Path, bank: str, instance: int) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "SALUR_KAFKA": settings.kafka,
        "SALUR_POSTGRES": settings.url("payout"),
        "SALUR_KEYS": str(settings.keys),
        "SALUR_HTTP_PORT": str(PortBook(folder / "ports.json").port(f"payout-{instance}")),
        "SALUR_INSTANCE": str(instance),
        "SALUR_BANK_URL": bank,
        "SALUR_OFFICER_TOKEN": "officer",
        "SALUR_PAYOUT_BANKS": str(fast_banks(folder)),
        "SALUR_SESSION_TIMEOUT_MS": "6000",
    }
    with (folder / f"payout-{instance}.log").open("ab") as log:
        argv = (sys.executable, "-m", "services.payout")
        return await asyncio.create_subprocess_exec(*argv, env=environment, stderr=log, cwd=Path(__file__).parents[2])


async def approve(folder: Path) -> None:
    url = f"http://127.0.0.1:{PortBook(folder / 'ports.json').port('payout-0')}/cycles"
    proposal = {"programme": "sembako", "period": "2026-11", "budget_idr": 10**12, "by": "Ani"}
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer officer"}) as session:
        while True:
            with suppress(aiohttp.ClientError):
                async with session.post(url, json=proposal) as answer:
                    assert answer.status in (200, 201), await answer.text()
                async with session.post(f"{url}/sembako-2026-11/approve", json={"by": "Budi"}) as answer:
                    assert answer.status == 200, await answer.text()
                return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(240)
async def test_two_instances_are_killed_and_the_books_are_right(
    settings: ServiceSettings, desk: Desk, tmp_path: Path
) -> None:
    chance = random.Random(7)
    async with running("bank", tmp_path / "bank", *ROUGH) as bank:
        processes = [await start(settings, tmp_path, bank.url, n) for n in range(2)]
        try:
            await approve(tmp_path)
            await publish(settings, [desk.decision(n, programme="sembako") for n in range(1, PEOPLE + 1)])
            await publish(settings, [desk.decision(n, revision=2) for n in range(1, PEOPLE + 1, 4)])
            for _ in range(4):
                await asyncio.sleep(chance.uniform(0.5, 2.5))
                victim = chance.randrange(2)
                processes[victim].send_signal(signal.SIGKILL)
                await processes[victim].wait()
                processes[victim] = await start(settings, tmp_path, bank.url, victim)
            await toy.until(lambda: finished(desk), timeout_s=120)
        finally:
            for process in (one for one in processes if one.returncode is None):
                process.terminate()
            codes = {await asyncio.wait_for(process.wait(), 30) for process in processes}
            assert codes <= {0, -signal.SIGTERM}, "graceful, or it had not begun yet"
        entries = await bank.books()
    await desk.check_against_bank(entries)
    assert await desk.rows("SELECT * FROM ledger_problem") == []
    assert await desk.rows("SELECT * FROM contradiction") == []
    states = list((await desk.states()).values())
    confirmed = await toy.accepted(settings, PayoutConfirmed.TYPE, PayoutConfirmed)
    failed = await toy.accepted(settings, PayoutFailed.TYPE, PayoutFailed)
    ordered = await toy.accepted(settings, PayoutOrdered.TYPE, PayoutOrdered)
    assert len(states) == PEOPLE
    assert sorted(event.data.reference for event in confirmed) == sorted(entry["reference"] for entry in entries)
    assert len({event.data.reference for event in ordered}) == len(ordered)
    assert {event.subject for event in (*confirmed, *failed)} == {event.subject for event in ordered}
    assert len(await toy.accepted(settings, EligibilityDecided.TYPE, EligibilityDecided)) == PEOPLE + PEOPLE // 4


async def finished(desk: Desk) -> bool:
    """Everybody has an end, and everything is published."""
    with suppress(asyncpg.PostgresError):
        counts = await desk.rows(
            """
            SELECT (SELECT count(*) FROM payout), (SELECT count(*) FROM payout WHERE due_at IS NOT NULL),
                (SELECT count(*) FROM decision WHERE settled_in = 0),
                (SELECT count(*) FROM decision WHERE revision = 2), (SELECT count(*) FROM outbox)
            """
        )
        return tuple(counts[0]) == (PEOPLE, 0, 0, PEOPLE // 4, 0)
    return False
