"""`python -m services.notify` as the stack starts it, killed in the middle of sending."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from shared.events import Event, NotificationDelivered, NotificationSent, NotificationUnknown
from shared.postgres import migrate, open_pool
from shared.privacy import keyfile
from shared.runtime.emit import Outbox
from shared.runtime.publisher import Publisher
from shared.settings import ServiceSettings
from tests.integration.notify_desk import SECRET, free_port, open_desk
from tests.integration.running_simulator import running
from tests.integration.toy import accepted, empty_topics, settings_for, until

ROOT = Path(__file__).parents[2]


async def publish(settings: ServiceSettings, events: Sequence[Event[Any]]) -> None:
    """As eligibility does."""
    url = settings.url("eligibility")
    await migrate(url, "eligibility")
    pool = await open_pool(url, "eligibility")
    publisher = Publisher("eligibility", pool, settings)
    publisher.own(frozenset(range(settings.partitions)))
    async with Outbox("eligibility", pool, settings.partitions).transaction() as transaction:
        transaction.emit(events)
    await publisher.drain()
    await publisher.close()
    await pool.close()


@asynccontextmanager
async def notify(settings: ServiceSettings, carrier_url: str, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service on this port, ready."""
    given = {
        "SALUR_KAFKA": settings.kafka,
        "SALUR_POSTGRES": settings.postgres.get_secret_value(),
        "SALUR_KEYS": str(settings.keys),
        "SALUR_HTTP_PORT": str(port),
        "SALUR_SESSION_TIMEOUT_MS": "6000",
        "SALUR_CARRIER_URL": carrier_url,
        "SALUR_CARRIER_TOKEN": "carrier-token",
        "SALUR_CARRIER_SECRET": SECRET,
        "SALUR_CARRIER_RATE": "150",
        "SALUR_CARRIER_TIMEOUT_S": "2",
        "SALUR_QUIET_TIME_S": "0.2",
    }
    program = (sys.executable, "-m", "services.notify")
    process = await asyncio.create_subprocess_exec(*program, cwd=ROOT, env={**os.environ, **given})

    async def ready() -> bool:
        assert process.returncode is None, "the service ended"
        try:
            async with aiohttp.ClientSession() as s, s.get(f"http://127.0.0.1:{port}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    try:
        await until(ready, 60)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_a_killed_service_goes_on_and_tells_nobody_twice(kafka: str, database: str, tmp_path: Path) -> None:
    keys, port, count = tmp_path / "keys.json", free_port(), 300
    keyfile.create(keys)
    settings = settings_for(kafka, database, keys)
    await empty_topics(settings)
    webhook = f"http://127.0.0.1:{port}/webhooks/whatsapp"
    options = ("--templates", ROOT / "services/notify/templates.json", "--webhook", webhook, "--secret", SECRET)
    rates = ("--timeout", 0.02, "--hang-s", 3, "--failed", 0, "--not-on-whatsapp", 0, "--pace", 0.1)
    async with (
        open_desk(database, keys) as desk,
        running("carrier", tmp_path / "carrier", *options, *rates) as carrier,
    ):

        async def some_were_sent() -> bool:
            return (await carrier.get("/books/summary"))["accepted"] > count // 3

        async def all_are_settled() -> bool:
            states = await desk.states()
            return sum(states.values()) == count and set(states) <= {"delivered", "read", "unknown"}

        async with notify(settings, carrier.url, port) as first:
            await publish(settings, [desk.decided(n, p) for n in range(count) for p in ("sembako", "pkh")])
            await until(some_were_sent)
            first.kill()
            await first.wait()
        async with notify(settings, carrier.url, port):
            await desk.pool.execute("UPDATE message SET claimed_until = now() WHERE state = 'sending'")
            await until(all_are_settled, 60)
            async with aiohttp.ClientSession() as s, s.get(f"http://127.0.0.1:{port}/metrics") as response:
                assert 'salur_messages_moved_total{channel="whatsapp",state="delivered"}' in await response.text()
        states = await desk.states()
        books = Counter(line["callback_data"] for line in await carrier.books())
    assert max(books.values()) == 1, "somebody was told twice"
    assert len(books) == states["delivered"] + states["read"]
    sent = await accepted(settings, "notification.sent", NotificationSent)
    delivered = await accepted(settings, "notification.delivered", NotificationDelivered)
    unknown = await accepted(settings, "notification.unknown", NotificationUnknown)
    assert sorted(event.data.message_id for event in delivered) == sorted(books)
    assert len({event.data.message_id for event in sent}) == len(sent) == len(books)
    assert len({event.data.message_id for event in unknown}) == len(unknown) >= states.get("unknown", 0)
