"""`python -m tests.fuzz --messages 1000000`: junk at scale, service by service, beside good messages.

With `--requests 100000` HTTP requests to the endpoints of registry, payout and notify instead.

Each service gets its share of the junk, mixed evenly with `GOOD_EACH` as many good messages (`--good` for all of them),
in one run of one process; before it a run with good messages alone says how fast it is without. Everything is
temporary: embedded Kafka and PostgreSQL.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from shared.events.topics import STAGES, Service
from shared.privacy import Keyring, keyfile
from shared.settings import ServiceSettings
from tests.fuzz.asking import ASKED
from tests.fuzz.endpoints import Answers, blast
from tests.fuzz.running import Running, Writer, mixed, service, through
from tests.fuzz.stages import Fuzzed, fuzzed
from tests.fuzz.test_fuzz_topics import new_topics
from tests.integration.toy import settings_for
from tests.stack import TestStack, drop_database, fresh_database

GOOD_EACH: Mapping[Service, float] = {"registry": 1.5, "eligibility": 1.5, "payout": 9, "notify": 9}
"""Good messages for each junk one. A dead letter costs what six good messages cost payout or notify, which do little
with most of theirs; there a tenth is junk."""
FIRST_GOOD = 2_000_000
MEMORY_MB_MAX = 300
console = Console(width=None if sys.stdout.isatty() else 160)
"""In a file a table is as wide as its figures."""


class Outcome(NamedTuple):
    """One service. Rates are good messages a second; `cpu_` is the process's own CPU for one good message, with the
    junk that came beside it: other programs on the machine change it little. Memory at each quarter of the run."""

    service: str
    junk: int
    good: int
    dead: int
    rejected: int
    alone_a_s: float
    beside_a_s: float
    cpu_alone_us: float
    cpu_beside_us: float
    memory_mb: tuple[float, ...]


class Sampler:
    """Progress and memory while a run goes on."""

    def __init__(self, process: Running, total: int, name: str) -> None:
        self._process, self._total, self._name = process, total, name
        self.memory: list[float] = []
        self._shown = monotonic()

    def __call__(self, done: int) -> None:
        while len(self.memory) < 5 and done >= self._total * len(self.memory) / 4:
            self.memory.append(self._process.memory_mb())
        if monotonic() - self._shown > 10:
            self._shown = monotonic()
            console.print(f"  {self._name}: {done:,} of {self._total:,}, {self._process.memory_mb():.0f} MB")


async def one(name: Service, junk: int, stack: TestStack, seed: int, large: bool, good_each: float) -> Outcome:
    async with prepared(name, stack, seed, large) as (of, settings, folder):
        return await measured(of, settings, folder, junk, seed, good_each)


@asynccontextmanager
async def prepared(
    name: Service, stack: TestStack, seed: int, large: bool
) -> AsyncIterator[tuple[Fuzzed, ServiceSettings, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        database = await fresh_database(stack.postgres())
        settings = settings_for(stack.kafka(), database, Path(folder) / "keys.json")
        keyfile.create(settings.keys)
        of = fuzzed(name, Keyring.load(settings.keys), Path(folder), seed, large)
        try:
            await new_topics(settings, of)
            yield of, settings, Path(folder)
        finally:
            await drop_database(database)


async def measured(
    of: Fuzzed, settings: ServiceSettings, folder: Path, junk: int, seed: int, good_each: float
) -> Outcome:
    console.print(f"{of.service}: {junk:,} junk between {junk * good_each:,.0f} good messages")
    alone = min(int(junk * good_each), 40_000)
    writer = Writer(settings, seed, keep=False)
    writer.write((of.main, of.good(n)) for n in range(FIRST_GOOD, FIRST_GOOD + alone))
    async with service(of, settings, folder) as process:
        alone_s = await through(of, settings, writer, process, 3_600)
        cpu_alone_s = process.cpu_s()
    before = writer.total
    writer.write(mixed(of, 0, junk, good_each))
    async with service(of, settings, folder) as process:
        sampler = Sampler(process, writer.total - before, of.service)
        beside_s = await through(of, settings, writer, process, 7_200, lambda done: sampler(done - before))
        cpu_beside_s = process.cpu_s()
        sampler(writer.total - before)
        handled = await process.counted("salur_events_in_total")
        dead = await process.counted("salur_events_poisoned_total")
        rejected = await process.counted("salur_events_rejected_total")
    total = writer.total - before
    good = total - junk
    assert handled == total, f"{handled} of {total} were handled"
    cpu = cpu_alone_s / alone * 1e6, cpu_beside_s / good * 1e6
    return Outcome(
        of.service, junk, good, dead, rejected, alone / alone_s, good / beside_s, *cpu, tuple(sampler.memory)
    )


def shown(outcomes: list[Outcome]) -> Table:
    table = Table(
        "service",
        "junk",
        "good",
        "dead letters",
        "rejected",
        "good/s alone",
        "good/s beside",
        "ratio",
        "CPU µs alone",
        "CPU µs beside",
        "memory MB",
    )
    for o in outcomes:
        memory = " ".join(f"{mb:.0f}" for mb in o.memory_mb)
        rates = f"{o.alone_a_s:,.0f}", f"{o.beside_a_s:,.0f}", f"{o.beside_a_s / o.alone_a_s:.2f}"
        cpu = f"{o.cpu_alone_us:,.0f}", f"{o.cpu_beside_us:,.0f}"
        table.add_row(o.service, f"{o.junk:,}", f"{o.good:,}", f"{o.dead:,}", f"{o.rejected:,}", *rates, *cpu, memory)
    return table


async def ask(requests: int, services: list[Service], seed: int) -> list[Answers]:
    stack, answers = TestStack(), []
    try:
        for name in services:
            async with prepared(name, stack, seed, large=True) as (of, settings, folder):
                answers.append(await blast(of, settings, folder, requests // len(services), seed))
                console.print(answers[-1])
        return answers
    finally:
        stack.close()


async def fuzz(
    messages: int, services: list[Service], seed: int, large: bool, good_each: float | None
) -> list[Outcome]:
    stack = TestStack()
    try:
        outcomes = []
        for name in services:
            share = good_each or GOOD_EACH[name]
            outcomes.append(await one(name, messages // len(services), stack, seed, large, share))
            console.print(shown(outcomes[-1:]))
        return outcomes
    finally:
        stack.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000, help="junk messages over all services")
    parser.add_argument("--service", action="append", choices=STAGES, help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--no-large", action="store_true", help="no messages of up to 2 MB (they fill the disk)")
    parser.add_argument("--good", type=float, help="good messages for each junk message")
    parser.add_argument("--requests", type=int, help="no messages, but so many HTTP requests")
    given = parser.parse_args()
    if given.requests:
        asyncio.run(ask(given.requests, [n for n in given.service or ASKED if n in ASKED], given.seed))
        return
    services = given.service or [stage for stage in STAGES if stage != "portal"]  # it reads its own dead letters too
    outcomes = asyncio.run(fuzz(given.messages, services, given.seed, not given.no_large, given.good))
    console.print(shown(outcomes))
    calm = all(max(o.memory_mb) < MEMORY_MB_MAX and o.beside_a_s >= o.alone_a_s / 2 for o in outcomes)
    sys.exit(0 if calm else 1)


if __name__ == "__main__":
    main()
