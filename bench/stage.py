"""How fast one stage is, beside others: `python -m bench.stage [EVENTS]`. Validated event → row → event.

The same events, the same machine, Kafka and PostgreSQL beside each competitor; rounds interleaved, so that what the
machine does meanwhile meets all alike. `bench/README.md` says how to read it.
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from bench import topics
from bench.race import ROOT, Competitor, Figures, Stack, Stalled, run_once
from bench.work import PARTITIONS
from salur.stack.kafka import EmbeddedKafka
from salur.stack.postgres import EmbeddedPostgres
from shared.events.topics import FLOW_TOPICS
from shared.privacy import keyfile
from shared.settings import KafkaSettings
from shared.telemetry import logs
from tests.integration import toy
from tests.stack import drop_database, fresh_database, new_home

EVENTS = 100_000
EVENTS_MIN = 20_000
ROUNDS = 3
WARM_UP = 0.3
CHUNK = 5_000
BASELINES = ROOT / ".venv" / "baselines" / "bin" / "python"

console = Console(stderr=True)


def competitors(baselines: Path) -> dict[str, Competitor]:
    """In the order of a round; Salur first."""

    def baseline(name: str, module: str, *arguments: str, **more: Any) -> Competitor:
        return Competitor(name, (f"bench.baselines.{module}", *arguments), baselines, **more)

    return {
        "salur": Competitor("Salur", ("bench.salur_stage",)),
        "batch": baseline("FastStream, batches", "faststream_batch"),
        "limit": baseline("the limit", "limit"),
        "faust": baseline(
            "Faust, take and table", "faust_agent", "--loop=uvloop", "worker", "--loglevel=warn", share=0.2
        ),
        "workers": baseline(
            "FastStream, 8 workers", "faststream_single", share=0.05, env={"BENCH_WORKERS": str(PARTITIONS)}
        ),
        "single": baseline("FastStream one by one", "faststream_single", share=0.02),
    }


async def feed(stack: Stack, events: int) -> None:
    """All topics new, and the events in the input topic, published by the registry's outbox."""
    database = await fresh_database(stack.postgres)
    settings = toy.settings_for(stack.kafka.kafka, database, stack.keys)
    try:
        await topics.make_empty(settings, FLOW_TOPICS)
        for start in range(0, events, CHUNK):
            await toy.feed(settings, toy.registrations(min(CHUNK, events - start), start))
    finally:
        await drop_database(database)


async def measure(stack: Stack, chosen: Mapping[str, Competitor], events: int, rounds: int) -> dict[str, list[Figures]]:
    """Every competitor once unmeasured, which warms Kafka's compiler and PostgreSQL, then `rounds` times in turn."""
    if measuring := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, measuring.cancel)  # leaves no process behind
    await feed(stack, events)
    figures: dict[str, list[Figures]] = {name: [] for name in chosen}
    for number in range(rounds + 1):
        for name, competitor in chosen.items():
            running = competitor if number else replace(competitor, share=competitor.share * WARM_UP)
            found = await run_once(stack, running, events, f"{name}-{number}")
            what = f"round {number}" if number else "warm-up"
            console.print(f"{what}: {competitor.name} {found.events_per_s:,.0f}/s", style="dim")
            if number:
                figures[name].append(found)
    return figures


def summary(figures: Mapping[str, Sequence[Figures]]) -> dict[str, dict[str, Any]]:
    """Medians over the rounds. A ratio is the median of each round's own: neighbours in time shared the machine."""
    found: dict[str, dict[str, Any]] = {}
    for name, runs in figures.items():
        rates = [run.events_per_s for run in runs]
        found[name] = {field: round(median(getattr(run, field) for run in runs), 1) for field in Figures._fields}
        found[name] |= {"events_per_s_min": round(min(rates)), "events_per_s_max": round(max(rates))}
        if "salur" in figures:
            ratios = [ours.events_per_s / rate for ours, rate in zip(figures["salur"], rates, strict=True)]
            found[name] |= {"salur_ratio": round(median(ratios), 3)}
    return found


def show(found: Mapping[str, Mapping[str, Any]], chosen: Mapping[str, Competitor]) -> None:
    table = Table("", box=None, header_style="bold")
    for column in ("events", "events/s", "min to max", "process", "PostgreSQL", "Kafka", "memory", "Salur : it"):
        table.add_column(column, justify="right")
    for name, row in found.items():
        table.add_row(
            chosen[name].name,
            f"{row['events']:,.0f}",
            f"{row['events_per_s']:,.0f}",
            f"{row['events_per_s_min']:,} to {row['events_per_s_max']:,}",
            *(f"{row[who]:,.0f} µs" for who in ("process_us", "postgres_us", "kafka_us")),
            f"{row['memory_mb']:,.0f} MB",
            f"{row['salur_ratio']:.2f}" if "salur_ratio" in row else "",
        )
    Console(width=120).print(table)


def versions() -> dict[str, str]:
    names = ("aiokafka", "asyncpg", "pydantic", "uvloop")
    return {"python": sys.version.split()[0]} | {name: version(name) for name in names}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.stage", description="One stage beside other ways to do it.")
    parser.add_argument("events", nargs="?", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", choices=tuple(competitors(BASELINES)), help="these competitors alone")
    parser.add_argument("--python", type=Path, default=BASELINES, help="the baselines' interpreter")
    parser.add_argument("--json", action="store_true", help="print JSON with every round instead of the table")
    given = parser.parse_args()
    if given.events < EVENTS_MIN:
        parser.error(f"at least {EVENTS_MIN:,} events: the first batch is not counted")
    return given


def main() -> int:
    given = arguments()
    chosen = {n: c for n, c in competitors(given.python).items() if given.only is None or n in given.only}
    if any(not competitor.python.exists() for competitor in chosen.values()):
        console.print(f"{given.python} is missing: `make .venv/baselines/filled` installs what the baselines need")
        return 2
    logs.configure("registry", 0, "WARNING")
    home = new_home(on_disk=True)
    kafka, postgres = EmbeddedKafka(home), EmbeddedPostgres(home)
    try:
        address, database = str(kafka.start()), str(postgres.start())
        keys = home / "keys.json"
        keyfile.create(keys)
        servers = {"kafka": kafka.running(), "postgres": postgres.running()}
        processes = {name: psutil.Process(found.pid) for name, found in servers.items() if found}
        stack = Stack(home, KafkaSettings(kafka=address, partitions=PARTITIONS), database, keys, processes)
        figures = uvloop.run(measure(stack, chosen, given.events, given.rounds))
    except Stalled as error:
        console.print(str(error))
        return 1
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    finally:
        postgres.stop()
        kafka.stop()
        shutil.rmtree(home, ignore_errors=True)
    found = summary(figures)
    if given.json:
        rounds = {name: [run._asdict() for run in runs] for name, runs in figures.items()}
        print(json.dumps({"events": given.events, "versions": versions(), "median": found, "rounds": rounds}, indent=1))
    else:
        show(found, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
