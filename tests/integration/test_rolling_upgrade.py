"""Two versions of a stage share one group while a rolling upgrade goes on, and read each other's events."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from salur.contract.examples import example
from salur.stack.process import tail
from shared.events import DeadLetter, EligibilityDecided, Event, RecipientRegistered
from shared.events.codec import decode
from shared.events.envelope import envelope
from shared.privacy import keyfile
from shared.settings import ServiceSettings
from tests.integration import toy
from tests.integration.rolling_stage import NextDecided, NextRegistered
from tests.integration.toy import accepted, feed, rows, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    keys = tmp_path / "keys.json"
    keyfile.create(keys)
    made = toy.settings_for(kafka, database, keys)
    await toy.empty_topics(made)
    await toy.prepare(made)
    return made


def visited(count: int, start: int) -> list[Event[Any]]:
    """As a registry of the next version writes them."""
    data = NextRegistered(**dict(example(RecipientRegistered).data), visited=True)
    event = envelope(NextRegistered)(**dict(example(RecipientRegistered)) | {"data": data})
    names = [f"{n:032x}" for n in range(start, start + count)]
    return [event.model_copy(update={"id": name, "subject": f"r-{name}"}) for name in names]


@asynccontextmanager
async def process(version: str, instance: int, settings: ServiceSettings, log: Path) -> AsyncIterator[Any]:
    """One instance, which works when it is handed out."""
    given = {
        **settings.environment(),
        "SALUR_POSTGRES": settings.postgres.get_secret_value(),
        "SALUR_KEYS": str(settings.keys),
        "SALUR_INSTANCE": str(instance),
        "SALUR_SESSION_TIMEOUT_MS": "6000",
    }
    program = (sys.executable, "-m", "tests.integration.rolling_stage", version)
    with log.open("wb") as output:
        started = await asyncio.create_subprocess_exec(
            *program, cwd=ROOT, env={**os.environ, **given}, stdout=output, stderr=output
        )

    async def works() -> bool:
        assert started.returncode is None, tail(log)
        return bool(assigned(log))

    try:
        await until(works, 60)
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
        assert await asyncio.wait_for(started.wait(), 20) == 0


def assigned(log: Path) -> list[int]:
    """The partitions that the instance holds, as it says itself."""
    told = [json.loads(line) for line in log.read_text().splitlines() if '"assigned"' in line]
    return list(told[-1]["partitions"]) if told else []


async def test_old_and_new_side_by_side_lose_nothing_and_refuse_nothing(
    settings: ServiceSettings, tmp_path: Path
) -> None:
    logs = {version: tmp_path / f"{version}.log" for version in ("old", "new")}

    async def decided(count: int) -> None:
        async def all_are() -> bool:
            return len(await rows(settings)) == count

        await until(all_are)

    async def both_work() -> bool:
        shares = [assigned(log) for log in logs.values()]
        return all(shares) and sorted(chain(*shares)) == list(range(settings.partitions))

    async with process("new", 1, settings, logs["new"]):
        async with process("old", 0, settings, logs["old"]):
            await until(both_work)
            await feed(settings, [*toy.registrations(300), *visited(300, 300)])
            await decided(600)
        await feed(settings, visited(200, 600))  # the old instance has left
        await decided(800)

    decisions = await accepted(settings, EligibilityDecided.TYPE, EligibilityDecided)
    assert {event.subject for event in decisions} == set(await rows(settings))
    assert len(decisions) == 800
    assert await accepted(settings, "dead-letter.eligibility", DeadLetter) == []

    async with toy.reader(settings, EligibilityDecided.TYPE) as records:
        read = [decode(NextDecided, record.value) for record in records]
    by_version = {count: sum(e.data.counted_visit is count for e in read) for count in (None, False, True)}
    assert sum(by_version.values()) == 800
    assert by_version[None] > 0, "the old instance decided some, and the next version reads them"
    assert by_version[False] > 0, "the new instance read events without the field that it knows"
    assert by_version[True] > 200, "and those with it, of which the old instance read some as well"
    assert by_version[True] < 500
