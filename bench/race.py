"""One run of one competitor of `bench.stage`: its process is started, watched from outside, measured and ended.

The clock runs from the first row seen in PostgreSQL until the last event stands in the output topic, and counts the
events after those that were there at first sight: a start is in no figure, nor is the batch that was under way.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench import topics
from bench.work import OUTPUT, TABLE
from shared.settings import KafkaSettings
from tests.stack import drop_database, fresh_database

ROOT = Path(__file__).parents[1]
LOOK_EVERY_S = 0.02
DEADLINE_S = 120
GRACE_S = 5


@dataclass(frozen=True, slots=True)
class Competitor:
    """`share` of the events is enough for the slow ones: they read the same topic and are stopped on the way."""

    name: str
    command: tuple[str, ...]
    python: Path = Path(sys.executable)
    share: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """Kafka and PostgreSQL of this run, with their processes."""

    home: Path
    kafka: KafkaSettings
    postgres: str
    keys: Path
    processes: Mapping[str, psutil.Process]


class Figures(NamedTuple):
    """Of one run; CPU is in µs an event, of the competitor's process, PostgreSQL and Kafka."""

    events: int
    events_per_s: float
    process_us: float
    postgres_us: float
    kafka_us: float
    memory_mb: float


class Stalled(Exception):
    """A competitor ended or did not finish in time."""


async def run_once(stack: Stack, competitor: Competitor, events: int, run: str) -> Figures:
    """`events` must stand in the input topic. Raises Stalled with the end of the competitor's output."""
    await topics.make_empty(stack.kafka, [OUTPUT])
    database = await fresh_database(stack.postgres)
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(TABLE)
        with (
            tempfile.TemporaryDirectory(dir=stack.home, prefix="run-") as folder,
            _Started(stack, competitor, database, run, Path(folder)) as started,
        ):
            return await _watch(stack, connection, started, events)
    finally:
        await connection.close()
        await drop_database(database)


class _Started:
    """The competitor's process; ended as a service is, by force when it takes too long."""

    def __init__(self, stack: Stack, competitor: Competitor, database: str, run: str, folder: Path) -> None:
        self.competitor = competitor
        self._log = folder / "log"
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SALUR_")},
            "BENCH_KAFKA": stack.kafka.kafka,
            "BENCH_POSTGRES": database,
            "BENCH_GROUP": f"bench-{run}",
            "BENCH_FOLDER": str(folder),
            "SALUR_KAFKA": stack.kafka.kafka,
            "SALUR_POSTGRES": database,
            "SALUR_KEYS": str(stack.keys),
            **competitor.env,
        }

    def __enter__(self) -> "_Started":
        argv = [str(self.competitor.python), "-m", *self.competitor.command]
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(argv, cwd=ROOT, env=self._env, stdout=log, stderr=subprocess.STDOUT)
        self.process = psutil.Process(self._popen.pid)
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def check(self, deadline: float, state: str) -> None:
        ended = self._popen.poll()
        if ended is not None or time.monotonic() > deadline:
            what = f"ended with {ended}" if ended is not None else f"was not done after {DEADLINE_S} s"
            end = "\n".join(self._log.read_text(errors="replace").splitlines()[-30:])
            raise Stalled(f"{self.competitor.name} {what} ({state}); the end of what it said:\n{end}")


class _Sight(NamedTuple):
    """What was seen at one moment; CPU in seconds."""

    at: float
    events: int
    cpu: Mapping[str, float]

    @classmethod
    def now(cls, events: int, processes: Mapping[str, psutil.Process]) -> "_Sight":
        return cls(time.perf_counter(), events, {name: _cpu_s(process) for name, process in processes.items()})


def _cpu_s(process: psutil.Process) -> float:
    """With its children, those that ended included."""
    own = process.cpu_times()
    living = [child.cpu_times() for child in process.children(recursive=True)]
    return own.user + own.system + own.children_user + own.children_system + sum(t.user + t.system for t in living)


async def _watch(stack: Stack, connection: asyncpg.Connection, started: _Started, fed: int) -> Figures:
    processes = {**stack.processes, "process": started.process}
    deadline = time.monotonic() + DEADLINE_S
    async with _watching(stack.kafka) as (consumer, places):
        while not (rows := await _rows(connection)):
            started.check(deadline, "no row yet")
            await asyncio.sleep(LOOK_EVERY_S)
        first = _Sight.now(rows, processes)
        wanted = min(fed, rows + int(fed * started.competitor.share))
        while (reached := sum((await consumer.end_offsets(places)).values())) < wanted:
            started.check(deadline, f"{reached:,} of {wanted:,} events are out")
            await asyncio.sleep(LOOK_EVERY_S)
        last = _Sight.now(reached, processes)
    if wanted == fed and (reached, rows := await _rows(connection)) != (fed, fed):
        raise Stalled(f"{started.competitor.name}: {fed:,} events gave {rows:,} rows and {reached:,} events out")
    return _figures(first, last, started.process.memory_info().rss)


def _figures(first: _Sight, last: _Sight, memory_bytes: int) -> Figures:
    done, wall_s = last.events - first.events, last.at - first.at
    cpu_us = {name: (last.cpu[name] - first.cpu[name]) / done * 1e6 for name in last.cpu}
    return Figures(done, done / wall_s, cpu_us["process"], cpu_us["postgres"], cpu_us["kafka"], memory_bytes / 1e6)


async def _rows(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM bench.decided"))


@asynccontextmanager
async def _watching(settings: KafkaSettings) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    consumer = AIOKafkaConsumer(**settings.client_options())
    await consumer.start()
    try:
        yield consumer, [TopicPartition(OUTPUT, partition) for partition in range(settings.partitions)]
    finally:
        await consumer.stop()
