"""One service as a process on topics that were filled before: fed, watched and measured."""

import asyncio
import itertools
import os
import random
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import asyncpg
import psutil
from confluent_kafka import Producer

from shared.events.topics import topic_named
from shared.settings import ServiceSettings
from tests.fuzz.messages import Made
from tests.fuzz.stages import Fuzzed
from tests.integration.notify_desk import free_port

ROOT = Path(__file__).parents[2]
STANDS_S = 90.0
KEY_WAIT_S = 3.0
_COUNTED = re.compile(r"^(salur_\w+_total)\{([^}]*)\} ([0-9.e+]+)$", re.MULTILINE)


@dataclass
class Writer:
    """Writes to partitions of its choice, with the right sequences where the topic carries them."""

    settings: ServiceSettings
    seed: int
    keep: bool
    """Whether `written` holds every message; else only how many."""
    ends: Counter[tuple[str, int]] = field(default_factory=Counter)
    written: dict[tuple[str, int, int], Made] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._producer = Producer(
            {
                "bootstrap.servers": self.settings.kafka,
                "enable.idempotence": True,
                "linger.ms": 20,
                "message.max.bytes": 2_090_000,
                "queue.buffering.max.kbytes": 400_000,
            }
        )

    def write(self, messages: Iterable[tuple[str, Made]]) -> None:
        for count, (topic, made) in enumerate(messages):
            partition = self._chance.randrange(self.settings.partitions)
            offset = self.ends[topic, partition]
            headers = list(made.headers)
            if topic_named(topic).sequenced:
                headers.append(("sequence", b"%d" % offset))
            while True:
                try:
                    self._producer.produce(
                        topic, made.value, made.key, partition, on_delivery=self._told, headers=headers
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self.ends[topic, partition] += 1
            if self.keep:
                self.written[topic, partition, offset] = made
            if count % 500 == 0:
                self._producer.poll(0)
        assert self._producer.flush(60) == 0
        assert not self.failed, self.failed[:3]

    def _told(self, error: Any, message: Any) -> None:
        if error:
            self.failed.append(f"{message.topic()}: {error}")

    @property
    def total(self) -> int:
        return self.ends.total()


def mixed(of: Fuzzed, first: int, junk: int, good_each: float = 1.5) -> Iterator[tuple[str, Made]]:
    """Junk, and between it `good_each` times as many good messages on the same topic: without word, of five messages
    two are junk.

    Most junk is poison, and at half of a thousand messages the breaker would open. On the main topic good messages are
    new, numbered from `first`; elsewhere they repeat what is known.
    """
    yards = [(topic, iter(yard), itertools.cycle(yard.good)) for topic, yard in of.junk.items()]
    places = [yard for yard in yards for _ in range(4 if yard[0] == of.main else 1)]
    numbers = itertools.count(first)
    for round_, (topic, yard, known) in enumerate(itertools.islice(itertools.cycle(places), junk)):
        turn = round_ // len(places)
        for _ in range(int((turn + 1) * good_each) - int(turn * good_each)):
            yield topic, of.good(next(numbers)) if topic == of.main else Made("repeat", "any", b"k", next(known), [])
        yield topic, next(yard)


@dataclass
class Running:
    """The process; `counts` are its counters by name and labels."""

    process: psutil.Popen
    url: str
    log: Path
    cpu_at_ready_s: float = 0.0

    def cpu_s(self) -> float:
        """Of this process alone, since it was ready."""
        used = self.process.cpu_times()
        return float(used.user + used.system) - self.cpu_at_ready_s

    def memory_mb(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    def alive(self) -> bool:
        return self.process.poll() is None

    async def text(self, path: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            return await response.text()

    async def counted(self, name: str) -> int:
        return sum(int(float(m[3])) for m in _COUNTED.finditer(await self.text("/metrics")) if m[1] == name)


@asynccontextmanager
async def service(of: Fuzzed, settings: ServiceSettings, folder: Path) -> AsyncIterator[Running]:
    """`python -m services.NAME` as the stack starts it. At the end it must stop by itself."""
    port, log = free_port(), folder / f"{of.service}.log"
    given = {
        "SALUR_KAFKA": settings.kafka,
        "SALUR_POSTGRES": settings.postgres.get_secret_value(),
        "SALUR_KEYS": str(settings.keys),
        "SALUR_HTTP_PORT": str(port),
        "SALUR_SESSION_TIMEOUT_MS": "10000",
        "SALUR_KEY_WAIT_S": f"{KEY_WAIT_S}",
        **of.environment,
    }
    with log.open("ab") as output:
        argv = [sys.executable, "-m", f"services.{of.service}"]
        process = psutil.Popen(argv, cwd=ROOT, env={**os.environ, **given}, stdout=output, stderr=output)
    running = Running(process, f"http://127.0.0.1:{port}", log)
    try:
        yield running
        assert running.alive(), log.read_text()[-2_000:]
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        if running.alive():
            process.kill()
            process.wait()


async def reached(settings: ServiceSettings, service_name: str) -> dict[tuple[str, int], int]:
    connection = await asyncpg.connect(settings.url(service_name))
    try:
        rows = await connection.fetch(f"SELECT topic, partition, next_offset FROM {service_name}.input_position")
        waiting = await connection.fetchval(f"SELECT count(*) FROM {service_name}.outbox")
    except asyncpg.UndefinedTableError:
        return {}
    finally:
        await connection.close()
    return {(r["topic"], r["partition"]): r["next_offset"] for r in rows} if not waiting else {}


async def through(
    of: Fuzzed, settings: ServiceSettings, writer: Writer, process: Running, timeout_s: float, tick: Any = None
) -> float:
    """Waits until all is handled and published. Returns the seconds since the service was ready."""
    ready_at: float | None = None
    until = monotonic() + timeout_s
    moved, moved_at = -1, monotonic()
    while monotonic() < until:
        assert process.alive(), f"{of.service} ended:\n{process.log.read_text()[-3_000:]}"
        if ready_at is None:
            try:
                if '"ready"' in await process.text("/readyz"):
                    ready_at = monotonic()
                    process.cpu_at_ready_s += process.cpu_s()
            except aiohttp.ClientConnectionError:
                pass
        else:
            at = await reached(settings, of.service)
            done = sum(at.get(place, 0) for place in writer.ends)
            if done > moved:
                moved, moved_at = done, monotonic()
                if tick:
                    tick(done)
            elif monotonic() - moved_at > STANDS_S:
                break
            if at and all(at.get(place, 0) >= end for place, end in writer.ends.items()):
                return monotonic() - ready_at
        await asyncio.sleep(0.1)
    at = await reached(settings, of.service)
    behind = {place: (at.get(place, 0), end) for place, end in writer.ends.items() if at.get(place, 0) < end}
    shown = await process.text("/readyz")
    raise AssertionError(f"{of.service} stands: {behind}\n{shown}\n{process.log.read_text()[-2_000:]}")
