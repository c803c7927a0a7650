"""A flood of poison stops a service, the process stays, and it goes on when a person says so on the command line."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from salur.main import app
from shared.privacy import Keyring, keyfile
from tests.fuzz.messages import Made
from tests.fuzz.running import Running, Writer, reached, service, through
from tests.fuzz.stages import fuzzed
from tests.fuzz.test_fuzz_topics import new_topics
from tests.integration.toy import settings_for, until

POISON, GOOD = 150, 300
"""Above the 100 at which the breaker opens, with less than that left for the time after."""


async def says(process: Running, words: str) -> None:
    async def told() -> bool:
        return words in await process.text("/readyz")

    await until(told, 60)


@pytest.mark.timeout(180)
async def test_a_flood_of_poison_stops_the_service_until_it_is_told_to_go_on(
    kafka: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(kafka, database, tmp_path / "keys.json")
    keyfile.create(settings.keys)
    made = fuzzed("payout", Keyring.load(settings.keys), tmp_path, seed=1)
    of = replace(made, environment={**made.environment, "SALUR_BATCH_MESSAGES_MAX": "100"})
    await new_topics(settings, of)
    writer = Writer(settings.model_copy(update={"partitions": 1}), seed=1, keep=False)
    async with service(of, settings, tmp_path) as process:
        await until(lambda: ready(process), 60)
        writer.write((of.main, Made("poison", "dead", b"k", b"{", [])) for _ in range(POISON))
        writer.write((of.main, of.good(n)) for n in range(GOOD))
        await says(process, "messages were poison")

        async def published() -> bool:
            return bool(await reached(settings, "payout"))

        await until(published)
        stands_at = await reached(settings, "payout")
        await asyncio.sleep(1)
        assert await reached(settings, "payout") == stands_at, "nothing more is read"
        assert 100 <= stands_at[of.main, 0] < POISON + GOOD
        assert await process.counted("salur_events_poisoned_total") < POISON + 1
        for name, value in {"KAFKA": kafka, "POSTGRES": database, "HOME": str(tmp_path)}.items():
            monkeypatch.setenv(f"SALUR_{name}", value)
        argv = ["resume", "payout", "--by", "siti", "--reason", "the source was locked out"]
        done = await asyncio.to_thread(CliRunner().invoke, app, argv)
        assert done.exit_code == 0, done.output
        await through(of, settings, writer, process, 60)
        assert await process.counted("salur_events_in_total") == POISON + GOOD
        assert await process.counted("salur_events_poisoned_total") == POISON
        assert '"ready"' in await process.text("/readyz")


async def ready(process: Running) -> bool:
    try:
        return '"ready"' in await process.text("/readyz")
    except OSError:
        return False
