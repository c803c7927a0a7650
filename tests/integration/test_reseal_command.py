"""`salur keys reseal` on a running stack: the keys before can be destroyed, and the flow goes on paying and telling."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from salur.intake import Options, find_kafka, find_upstream, submit
from salur.intake.kinds import FLAGS, REGISTRATIONS
from salur.population import REFERENCE_DATE, generate
from salur.report import make
from salur.report.places import find
from salur.stack.home import Home
from shared.clock import now
from shared.errors import Erased
from shared.events.registrations import RegistrationSubmitted
from shared.events.topics import intake_topic, replay_topic
from shared.privacy import Keyring, keyfile
from shared.runtime.letters import DEAD_LETTER_HEADER
from tests.integration.reported import at_rest, open_cycle
from tests.integration.restoring import send, stack
from tests.integration.toy import put, settings_for
from tests.slow import takes_minutes

pytestmark = takes_minutes

FAMILIES, SEED = 40, 11
KINDS = ("eligibility", "payment", "contact")
HONEST = {"delayed": "0", "late": "0", "timeout": "0", "cut": "0"}


@pytest.fixture
async def home(kafka: str, postgres: str) -> AsyncIterator[Home]:
    options = {"bank": HONEST, "carrier": {"pace": "0.05", "rate": "0"}, "notify": {"quiet_time_s": "1"}}
    async with stack("resealed", kafka, postgres, options) as home:
        yield home


async def test_old_keys_go_and_nothing_else_changes(home: Home, kafka: str) -> None:
    places = find(home.root, None)
    database = places.settings.postgres.get_secret_value()
    first, second = await begin(home)
    await submit(first, REGISTRATIONS, find_upstream(home, "polman"), find_kafka(home), Options())
    await at_rest(home)
    decided = await values(database, "SELECT recipient_id, programme, revision, amount_idr FROM payout.decision")
    who, account = (await values(database, "SELECT recipient_id, payment FROM registry.recipient WHERE payment > ''"))[
        0
    ]

    old = {kind: rotated(home, kind) for kind in KINDS}
    refused = await keys(home, "destroy", old["payment"], "--yes")
    assert refused.returncode == 1
    for said in ("payout: decision.payment", "registry: recipient.payment", f"salur keys reseal {old['payment']}"):
        assert said in " ".join(refused.stderr.split())
    for key_id in old.values():
        done = await keys(home, "reseal", key_id, "--json")
        assert (done.returncode, json.loads(done.stdout)["complete"]) == (0, True), done.stdout + done.stderr
    assert json.loads(done.stdout)["resealed"] == 0, "each telling moves all values of a person"
    for key_id in old.values():
        assert (await keys(home, "destroy", key_id, "--yes")).returncode == 0
    with pytest.raises(Erased):
        Keyring.load(home.keys).open(account, "payment", recipient=who, schema="payment/1")
    assert (
        await values(database, "SELECT recipient_id, programme, revision, amount_idr FROM payout.decision") == decided
    )

    await submit(second, REGISTRATIONS, find_upstream(home, "polman"), find_kafka(home), Options())
    await at_rest(home)
    made = await make(places)
    assert {one.name: (one.broken, one.detail) for one in made.report.invariants if one.broken != 0} == {}
    assert made.report.money.bank is not None
    assert made.report.money.bank.amount_idr > 0

    topic = intake_topic(RegistrationSubmitted, "polman")
    await send(settings_for(kafka, database, home.keys), topic, [("junk", b"no event")])
    letter = await waiting_letter(home)
    key_id = rotated(home, "recovery")
    refused = await keys(home, "destroy", key_id, "--yes")
    assert refused.returncode == 1
    assert "registry 1" in refused.stderr
    header = (DEAD_LETTER_HEADER, letter.encode())
    await put(settings_for(kafka, database, home.keys), replay_topic("registry"), 0, b"no event", [header])
    assert (await keys(home, "destroy", key_id, "--yes")).returncode == 0


async def begin(home: Home) -> tuple[Path, Path]:
    """Flags and a cycle are there; the families' registrations come in two files."""
    folder = home.root / "families"
    generate(folder, FAMILIES, SEED, REFERENCE_DATE, lambda done: None)
    await submit(folder / "flags.csv", FLAGS, find_upstream(home, "polman"), find_kafka(home), Options())
    await open_cycle(home, "sembako", "2026-11", 10**9)
    head, *rows = (folder / "registrations.csv").read_text().splitlines(keepends=True)
    files = folder / "before.csv", folder / "after.csv"
    for file, part in zip(files, (rows[: len(rows) // 2], rows[len(rows) // 2 :]), strict=True):
        file.write_text("".join([head, *part]))
    return files


def rotated(home: Home, kind: Any) -> str:
    """The key before, retired for longer than destroying asks for."""
    old = keyfile.read(home.keys).keys[kind][-1].id  # type: ignore[index]
    keyfile.rotate(home.keys, kind, now=now() - timedelta(hours=1))
    return old


async def values(database: str, sql: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(database)
    try:
        return sorted(tuple(row) for row in await connection.fetch(sql))
    finally:
        await connection.close()


async def waiting_letter(home: Home) -> str:
    """Its id."""
    for _ in range(60):
        listed = await salur(home, "dlq", "list", "--waiting", "--json")
        if listed.returncode == 0 and json.loads(listed.stdout):
            return str(json.loads(listed.stdout)[0]["id"])
        await asyncio.sleep(0.5)
    raise AssertionError("the message became no dead letter")


async def keys(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await salur(home, "keys", *arguments)


async def salur(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SALUR_")}
    environment |= {"SALUR_HOME": str(home.root), "COLUMNS": "400"}
    argv = [sys.executable, "-m", "salur", *arguments]
    return await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, text=True, env=environment, timeout=180, check=False
    )
