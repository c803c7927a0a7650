"""Whatever happens to the processes of one partition, a reader of its topics sees each answer once and in order."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from shared.postgres import migrate, open_pool
from shared.privacy import keyfile
from shared.privacy.keyring import Keyring
from shared.runtime import tail
from shared.runtime.positions import Place
from shared.settings import KafkaSettings, ServiceSettings
from tests.model.machine import PROCESSES, Environment, OnePartition
from tests.model.world import sequence_of
from tests.stack import drop_database, fresh_database

EXAMPLES, STEPS = 60, 60
QUICK = "SALUR_MODEL_QUICK"
"""Set: the first failure will do, the shortest one is not looked for."""


async def _opened(postgres: str, folder: Path, aio: asyncio.AbstractEventLoop) -> Environment:
    url = await fresh_database(postgres)
    await migrate(url, "eligibility")
    owner = await asyncpg.connect(url, server_settings={"search_path": "eligibility"})
    await owner.execute("CREATE TABLE toy (recipient text PRIMARY KEY, event_id text NOT NULL)")
    pools = [await open_pool(url, "eligibility", instance=n, size_max=3) for n in range(PROCESSES)]
    keyfile.create(folder / "keys.json")
    made = ServiceSettings(kafka="nowhere:1", postgres=url, partitions=1, batch_messages_max=4)
    return Environment(aio, owner, pools, made, Keyring.load(folder / "keys.json"))


async def _closed(env: Environment) -> None:
    for pool in env.pools:
        pool.terminate()
    await env.owner.close()
    await drop_database(env.settings.url("eligibility"))


@pytest.fixture
def machine(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[OnePartition]]:
    aio = asyncio.new_event_loop()
    env = aio.run_until_complete(_opened(postgres, tmp_path, aio))

    async def tails(kafka: KafkaSettings, places: Mapping[Place, int]) -> dict[Place, int]:
        written = {place: env.world.records(place.topic) for place in places}
        return {place: max(map(sequence_of, records)) for place, records in written.items() if records}

    monkeypatch.setattr(tail, "last_sequences", tails)
    yield type("OnePartitionHere", (OnePartition,), {"env": env})
    aio.run_until_complete(_closed(env))
    aio.close()


def test_each_answer_once_and_in_order(machine: type[OnePartition]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES * (3 if QUICK in os.environ else 1),
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=tuple(phase for phase in Phase if phase != Phase.shrink or QUICK not in os.environ),
        ),
    )
