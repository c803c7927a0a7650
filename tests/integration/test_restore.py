"""Every database is restored to a dump from the middle of a run: services refuse, `salur recover`, all goes on."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from salur.intake import Options, find_kafka, find_upstream, submit
from salur.intake.kinds import FLAGS, REGISTRATIONS
from salur.population import generate, reference_on
from salur.report import make
from salur.report.places import Places, find
from salur.stack.control import Request, down, up
from salur.stack.home import Home
from salur.stack.postgres import binaries
from shared.clock import now
from shared.errors import SalurError
from shared.events.topics import STAGES
from tests.integration.reported import at_rest, open_cycle
from tests.integration.restoring import stack
from tests.slow import takes_minutes
from tests.stack import drop_database

pytestmark = takes_minutes

FAMILIES, SEED, CONFIRMED = 200, 5, 20
BUDGETS = {"sembako": ("2026-11", 15_000_000), "pkh": ("2026-Q4", 10**9)}
BANK = {"delayed": "0.05", "late": "0.05", "timeout": "0.05", "cut": "0", "window-s": "20"}
CARRIER = {"pace": "0.05", "timeout": "0.02", "rate": "0"}


@pytest.fixture
async def home(kafka: str, postgres: str) -> AsyncIterator[Home]:
    options = {"bank": BANK, "carrier": CARRIER, "notify": {"quiet_time_s": "1"}}
    async with stack("restored", kafka, postgres, options) as home:
        yield home


async def test_nothing_is_paid_or_told_twice(home: Home, kafka: str) -> None:
    places = find(home.root, None)
    database = places.settings.postgres.get_secret_value()
    first, second = await begin(home)
    await register(home, first)
    await confirmed(database, CONFIRMED)
    dump = home.root / "backup.dump"
    postgres_tool("pg_dump", "-Fc", "-f", str(dump), database)
    await register(home, second)
    await at_rest(home)
    lost = await counts(database)

    down(home)
    await drop_database(database)
    await create(database)
    postgres_tool("pg_restore", "--exit-on-error", "-d", database, str(dump))
    older = await counts(database)
    assert all(older[name] < lost[name] for name in lost), "the dump was not from the middle"

    with pytest.raises(SalurError):
        up(home, Request(kafka=kafka, postgres=database), timeout_s=20)
    down(home)
    assert any(f"salur recover {service}" in newest_log(home, service) for service in STAGES)
    for service in STAGES:
        done = recovered(home, service)
        if service == "portal":
            assert not done["older"], "nobody asked for a code: it wrote nothing, and reads on by itself"
            continue
        assert done["older"], service
        assert done["imported"], service
        again = recovered(home, service)
        assert not again["older"], f"{service}: a second recovery has nothing to do"
    after = await counts(database)
    assert after["recipient"] == lost["recipient"]
    assert after["decided"] == lost["decided"]

    up(home, Request(kafka=kafka, postgres=database))
    await at_rest(home)
    await everything_holds(find(home.root, None))


async def begin(home: Home) -> tuple[Path, Path]:
    """Flags and cycles are there; the families' registrations come in two files."""
    folder = home.root / "families"
    generate(folder, FAMILIES, SEED, reference_on(now().date()))
    await submit(folder / "flags.csv", FLAGS, find_upstream(home, "polman"), find_kafka(home), Options())
    for programme, (period, budget_idr) in BUDGETS.items():
        await open_cycle(home, programme, period, budget_idr)
    head, *rows = (folder / "registrations.csv").read_text().splitlines(keepends=True)
    files = folder / "before.csv", folder / "after.csv"
    for file, part in zip(files, (rows[: len(rows) // 2], rows[len(rows) // 2 :]), strict=True):
        file.write_text("".join([head, *part]))
    return files


async def register(home: Home, file: Path) -> None:
    """Does not wait for what becomes of them."""
    await submit(file, REGISTRATIONS, find_upstream(home, "polman"), find_kafka(home), Options(wait=False))


async def everything_holds(places: Places) -> None:
    made = await make(places)
    assert {one.name: (one.broken, one.detail) for one in made.report.invariants if one.broken != 0} == {}
    bank = made.report.money.bank
    assert bank is not None
    assert bank.ledger_idr == bank.amount_idr > 0
    assert bank.equal == bank.lines == bank.ledger_lines


async def confirmed(database: str, wanted: int) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT count(*) FROM payout.payout WHERE state = 'confirmed'") < wanted:
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def counts(database: str) -> dict[str, int]:
    tables = {
        "recipient": "registry.recipient",
        "decided": "eligibility.decision",
        "payout": "payout.payout",
        "transfer": "payout.transfer",
    }
    connection = await asyncpg.connect(database)
    try:
        return {name: await connection.fetchval(f"SELECT count(*) FROM {table}") for name, table in tables.items()}
    finally:
        await connection.close()


async def create(database: str) -> None:
    parts = urlsplit(database)
    connection = await asyncpg.connect(parts._replace(path="/postgres").geturl())
    try:
        await connection.execute(f"CREATE DATABASE {parts.path[1:]}")
    finally:
        await connection.close()


def postgres_tool(name: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, of the version that the server has."""
    subprocess.run([binaries() / name, *arguments], check=True, capture_output=True, timeout=60)


def recovered(home: Home, service: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SALUR_")}
    done = subprocess.run(
        [sys.executable, "-m", "salur", "recover", service, "--json"],
        env=environment | {"SALUR_HOME": str(home.root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def newest_log(home: Home, service: str) -> str:
    logs: list[Path] = sorted(home.logs.glob(f"{service}-0*"), key=lambda path: path.stat().st_mtime)
    return logs[-1].read_text()
