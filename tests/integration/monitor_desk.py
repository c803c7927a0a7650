"""The monitor as a process, what the flow publishes to it, and a webhook that is away at first."""

import asyncio
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.monitor.webhook import signature
from shared.events import Event
from shared.events.topics import CHANGELOGS, Service
from shared.kafka import admin, ensure_topics
from shared.postgres import migrate, open_pool
from shared.runtime.emit import Outbox
from shared.runtime.patience import patiently
from shared.runtime.publisher import Publisher
from shared.settings import ServiceSettings
from tests.integration.toy import empty_topics

SECRET = "webhook-secret"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Hook:
    """Takes alerts, but refuses the first `refusals`."""

    refusals: int = 3
    url: str = ""
    taken: Counter[str] = field(default_factory=Counter)
    types: dict[str, str] = field(default_factory=dict)
    forged: int = 0

    async def post(self, request: web.Request) -> web.Response:
        body, said = await request.read(), request.headers["X-Salur-Signature"]
        at_s = int(said.partition(",")[0].removeprefix("t="))
        if said != signature(SECRET.encode(), body, at_s):
            self.forged += 1
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        event = orjson.loads(body)
        assert event["id"] == request.headers["X-Salur-Event"]
        self.taken[event["id"]] += 1
        self.types[event["id"]] = event["type"]
        return web.Response()


@dataclass
class Desk:
    settings: ServiceSettings
    hook: Hook
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SALUR_")},
            **self.settings.environment(),
            "SALUR_POSTGRES": self.settings.postgres.get_secret_value(),
            "SALUR_HTTP_PORT": str(self.port),
            "SALUR_SESSION_TIMEOUT_MS": "6000",
            "SALUR_ALERT_EVERY_S": "0.5",
            "SALUR_GATHER_S": "0.2",
            "SALUR_NICE": "0",
            "SALUR_ALERT_WEBHOOK": self.hook.url,
            "SALUR_ALERT_WEBHOOK_SECRET": SECRET,
        }
        self.process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.monitor", env=env)

    async def kill(self) -> None:
        assert self.process
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """As on SIGTERM; returns the exit code."""
        assert self.process
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 60)

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return await (answer.json() if "json" in answer.content_type else answer.text())

    async def counts(self) -> dict[str, int]:
        """Events of the last 90 minutes by topic."""
        found: Counter[str] = Counter()
        for row in (await self.get("/windows?minutes=90"))["rows"]:
            found[row["topic"]] += row["events"]
        return dict(found)

    async def open_alerts(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(a["rule"], a["about"]): a for a in await self.get("/alerts") if a["cleared_at"] is None}

    async def until(self, what: str, check: Any, within_s: float = 90) -> None:
        """Waits until `check` finds what is expected; says at last what it found."""
        deadline = asyncio.get_running_loop().time() + within_s
        found: Any = None
        while asyncio.get_running_loop().time() < deadline:
            assert self.process
            assert self.process.returncode is None, "the monitor has ended"
            try:
                right, found = await check()
                if right:
                    return
            except (aiohttp.ClientError, OSError) as error:
                found = error
            await asyncio.sleep(0.2)
        raise AssertionError(f"{what}: {found}")

    async def publish(self, service: Service, events: Iterable[Event[Any]]) -> None:
        """As `service` does: through its outbox, with sequences."""
        url = self.settings.url(service)
        await migrate(url, service)
        pool = await open_pool(url, service)
        publisher = Publisher(service, pool, self.settings)
        publisher.own(frozenset(range(self.settings.partitions)))
        async with Outbox(service, pool, self.settings.partitions).transaction() as transaction:
            transaction.emit(events)
        await publisher.drain()
        await publisher.close()
        await pool.close()

    async def records(self, topic: str) -> list[Any]:
        """Every record of a topic."""
        places = [TopicPartition(topic, p) for p in range(self.settings.partitions)]
        async with AIOKafkaConsumer(**self.settings.client_options(), enable_auto_commit=False) as consumer:
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends, found = await consumer.end_offsets(places), []
            for tp in places:
                while await consumer.position(tp) < ends[tp]:
                    found += [r for batch in (await consumer.getmany(tp, timeout_ms=500)).values() for r in batch]
        return found

    async def publish_again(self, topic: str) -> None:
        """All of a topic once more, as a publisher does that was paused and woke up."""
        async with AIOKafkaProducer(**self.settings.client_options()) as producer:
            for record in await self.records(topic):
                await producer.send_and_wait(
                    topic, record.value, record.key, record.partition, headers=list(record.headers)
                )

    async def lose_one(self, topic: str) -> str:
        """An event after the last one of some partition, with a number left out between. Returns the place."""
        last = max(await self.records(topic), key=lambda record: record.timestamp)
        sequence = max(
            int(dict(r.headers)["sequence"]) for r in await self.records(topic) if r.partition == last.partition
        )
        headers = [(name, value) for name, value in last.headers if name != "sequence"]
        async with AIOKafkaProducer(**self.settings.client_options()) as producer:
            await producer.send_and_wait(
                topic,
                last.value,
                last.key,
                last.partition,
                headers=[*headers, ("sequence", b"%d" % (sequence + 2))],
            )
        return f"{topic}/{last.partition}"


@asynccontextmanager
async def desk(kafka: str, database: str, keys: Any) -> AsyncIterator[Desk]:
    """A monitor that is not started yet, on empty topics and an empty database."""
    settings = ServiceSettings(kafka=kafka, postgres=database, keys=keys)
    await empty_topics(settings)
    async with admin(settings) as client:
        while old := [name for name in await client.list_topics() if name in CHANGELOGS]:
            await client.delete_topics(old)
            await asyncio.sleep(0.05)
    await patiently(lambda: ensure_topics(settings, CHANGELOGS))
    hook = Hook()
    app = web.Application()
    app.router.add_post("/alerts", hook.post)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", free_port())
    await site.start()
    hook.url = f"{site.name}/alerts"
    made = Desk(settings, hook)
    try:
        yield made
    finally:
        if made.process and made.process.returncode is None:
            await made.kill()
        await runner.cleanup()


def minute_of(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)
