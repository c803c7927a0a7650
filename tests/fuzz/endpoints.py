"""Junk on the HTTP endpoints of one running service, many requests at once."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import aiohttp

from shared.events.topics import Service
from shared.settings import ServiceSettings
from tests.fuzz.asking import ASKED, Asked, ask, requests
from tests.fuzz.running import Running, service
from tests.fuzz.serving import OFFICER
from tests.fuzz.stages import Fuzzed
from tests.integration.notify_desk import SECRET

AT_ONCE = 16
_SECRETS = {"SALUR_OFFICER_TOKEN": OFFICER, "SALUR_CARRIER_SECRET": SECRET}


class Answers(NamedTuple):
    """What one service's endpoints answered, by status; memory in MB at each quarter."""

    service: Service
    statuses: Counter[int]
    a_second: float
    memory_mb: tuple[float, ...]


async def blast(of: Fuzzed, settings: ServiceSettings, folder: Path, count: int, seed: int) -> Answers:
    """Fails on the first answer that is not in order (`asking.check`), and when the service does not live on."""
    assert of.service in ASKED
    loop = asyncio.get_running_loop()
    async with service(replace(of, environment={**of.environment, **_SECRETS}), settings, folder) as process:
        await _ready(process)
        left = itertools.islice(requests(of.service, seed), count)
        memory = [process.memory_mb()]
        statuses: Counter[int] = Counter()
        began = loop.time()
        async with aiohttp.ClientSession() as session:
            for _ in range(4):
                quarter = itertools.islice(left, count // 4)
                await asyncio.gather(*(_some(session, process.url, quarter, statuses) for _ in range(AT_ONCE)))
                memory.append(process.memory_mb())
            rate = statuses.total() / (loop.time() - began)
            assert (await ask(session, "GET", f"{process.url}/healthz"))[0] == 200
    return Answers(of.service, statuses, rate, tuple(memory))


async def _some(session: aiohttp.ClientSession, url: str, shared: Iterator[Asked], statuses: Counter[int]) -> None:
    for asked in shared:
        status, _ = await ask(session, "POST", url + asked.path, asked.body, asked.headers)
        statuses[status] += 1


async def _ready(process: Running) -> None:
    for _ in range(600):
        try:
            if '"ready"' in await process.text("/readyz"):
                return
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"{process.url} is not ready:\n{process.log.read_text()[-2_000:]}")
