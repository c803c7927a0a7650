"""What the monitor carries: `python -m bench.monitor [RECIPIENTS]` on a temporary Kafka and PostgreSQL.

Each recipient is registered, decided, ordered, paid and told (six events, valid, of 16 districts, 160 villages and
three programmes, spread over the last hour). The monitor then reads them all at once: events a second, CPU of its
process in µs an event, what PostgreSQL and Kafka spent beside, memory, and how long a restart takes to read the windows
back.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

import psutil
import uvloop

from salur.contract.examples import example
from salur.stack.kafka import EmbeddedKafka
from salur.stack.postgres import EmbeddedPostgres
from shared.events import Event
from shared.events.topics import FLOW_TOPICS, MODELS, Service
from shared.kafka import ensure_topics
from shared.postgres import migrate, open_pool
from shared.runtime.emit import Outbox
from shared.runtime.publisher import Publisher
from shared.settings import ServiceSettings
from tests.integration.monitor_desk import free_port
from tests.stack import new_home

STEPS = (
    "recipient.registered",
    "eligibility.decided",
    "payout.ordered",
    "payout.confirmed",
    "notification.sent",
    "notification.delivered",
)
PROGRAMMES = ("sembako", "pkh", "bantuan-polman")
AT_ONCE = 5_000


def events(topic: str, recipients: int, now: datetime) -> Iterator[Event[Any]]:
    made = example(MODELS[topic])
    for n in range(recipients):
        said: dict[str, Any] = {}
        if hasattr(made.data, "village"):
            said["village"] = f"7604{n % 16 + 1:02d}{2001 + n % 10}"
        if hasattr(made.data, "programme"):
            said["programme"] = PROGRAMMES[n % 3]
        if hasattr(made.data, "account"):
            said["account"] = f"a-{n:032x}"
        yield made.model_copy(
            update={
                "id": f"{n:016x}{STEPS.index(topic):016x}",
                "causationid": f"{n:016x}{max(0, STEPS.index(topic) - 1):016x}",
                "subject": f"r-{n:032x}",
                "time": now - timedelta(seconds=3600 - 3600 * n / recipients),
                "data": made.data.model_copy(update=said),
            }
        )


async def fill(settings: ServiceSettings, recipients: int) -> None:
    await ensure_topics(settings, FLOW_TOPICS)
    now = datetime.now(UTC)
    for topic in STEPS:
        owner: Service = FLOW_TOPICS[topic].owner  # type: ignore[assignment]
        await migrate(settings.url(owner), owner)
        pool = await open_pool(settings.url(owner), owner, transaction_timeout_ms=60_000)
        publisher, outbox = Publisher(owner, pool, settings), Outbox(owner, pool, settings.partitions)
        publisher.own(frozenset(range(settings.partitions)))
        every = list(events(topic, recipients, now))
        for start in range(0, recipients, AT_ONCE):
            async with outbox.transaction() as transaction:
                transaction.emit(every[start : start + AT_ONCE])
            await publisher.drain()
        await publisher.close()
        await pool.close()


def counted(port: int) -> float:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return -1
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("salur_monitor_events_total{"))


def ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def cpu_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system) + sum(cpu_s(child) for child in process.children())


def started(settings: ServiceSettings, port: int) -> subprocess.Popen[bytes]:
    env = os.environ | settings.environment()
    env |= {"SALUR_POSTGRES": settings.postgres.get_secret_value(), "SALUR_HTTP_PORT": str(port), "SALUR_NICE": "0"}
    return subprocess.Popen([sys.executable, "-m", "services.monitor"], env=env, stderr=subprocess.DEVNULL)


def measure(settings: ServiceSettings, total: int, servers: dict[str, psutil.Process]) -> None:
    port = free_port()
    process = started(settings, port)
    try:
        monitor = psutil.Process(process.pid)
        while (first := counted(port)) <= 0:
            time.sleep(0.1)
        before, began = {name: cpu_s(p) for name, p in {"monitor": monitor, **servers}.items()}, time.perf_counter()
        while (seen := counted(port)) < total:
            time.sleep(0.2)
        wall = time.perf_counter() - began
        n = seen - first
        spent = {name: (cpu_s(p) - before[name]) / n * 1e6 for name, p in {"monitor": monitor, **servers}.items()}
        print(f"{n:,.0f} events in {wall:.1f} s: {n / wall:,.0f}/s; CPU an event: " + _told(spent))
        print(f"memory {monitor.memory_info().rss / 1e6:.0f} MB")
        while not ready(port):
            time.sleep(0.5)
        idle, at = cpu_s(monitor), time.perf_counter()
        time.sleep(20)
        print(f"at rest {(cpu_s(monitor) - idle) / (time.perf_counter() - at):.1%} of a core")
    finally:
        process.kill()
        process.wait()
    at, port = time.perf_counter(), free_port()
    process = started(settings, port)
    try:
        while not ready(port):
            time.sleep(0.2)
        print(
            f"killed and started again: ready after {time.perf_counter() - at:.1f} s, of which 10 s are the session's"
        )
    finally:
        process.kill()
        process.wait()


def _told(spent: dict[str, float]) -> str:
    return ", ".join(f"{name} {us:.0f} µs" for name, us in spent.items())


def main(recipients: int) -> None:
    home = new_home(on_disk=True)
    kafka, postgres = EmbeddedKafka(home), EmbeddedPostgres(home)
    try:
        settings = ServiceSettings(kafka=kafka.start(), postgres=postgres.start())
        uvloop.run(fill(settings, recipients))
        servers = {
            name: psutil.Process(found.pid)
            for name, server in (("Kafka", kafka), ("PostgreSQL", postgres))
            if (found := server.running())
        }
        measure(settings, recipients * len(STEPS), servers)
    finally:
        kafka.stop()
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
