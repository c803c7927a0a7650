"""A small stack that a population went through, for the tests of the report."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import asyncpg
import orjson
from aiohttp import web
from aiokafka import AIOKafkaProducer

from salur.intake import find_kafka, find_upstream, submit
from salur.intake.kinds import FLAGS, REGISTRATIONS
from salur.intake.submit import Options
from salur.population import generate, reference_on
from salur.report import Invariant, Made, make
from salur.report.places import Places, find
from salur.stack.control import Request, down, up
from salur.stack.credentials import SOURCES
from salur.stack.home import Home
from salur.stack.programs import FLOW_TABLE
from shared.clock import now
from shared.events.topics import STAGES
from shared.runtime.digest import headers
from tests.integration.toy import empty_topics, settings_for

FAMILIES = 150
BUDGETS = {"sembako": ("2026-11", 8_000_000), "pkh": ("2026-Q4", 10**9), "bantuan-polman": ("2026-11", 10**9)}
"""Sembako has not enough for all, so that some are queued."""


class Reported(NamedTuple):
    """A stack whose flow has come to rest. Tests change what it knows, look, and put it back."""

    home: Home
    places: Places
    worked: set[str]
    """processes whose CPU time was known while they ran"""

    async def report(self, *, audit: bool = False, **changed: Any) -> Made:
        return await make(self.places._replace(**changed), audit=audit)

    async def invariant(self, name: str, audit: bool = False, **changed: Any) -> Invariant:
        made = await self.report(audit=audit, **changed)
        return next(one for one in made.report.invariants if one.name == name)

    @asynccontextmanager
    async def without(self, service: str, table: str, where: str) -> AsyncIterator[asyncpg.Record]:
        """One row is gone, whatever constraints and triggers say. Yields the row."""
        async with self.owner(service) as connection:
            row = await connection.fetchrow(
                f"WITH one AS (SELECT ctid FROM {table} WHERE {where} LIMIT 1) "
                f"DELETE FROM {table} WHERE ctid = (SELECT ctid FROM one) RETURNING *"
            )
            assert row is not None, f"{table} has no row where {where}"
            try:
                yield row
            finally:
                marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
                await connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE VALUES ({marks})", *row)

    @asynccontextmanager
    async def changed(self, service: str, change: str, back: str) -> AsyncIterator[None]:
        async with self.owner(service) as connection:
            await connection.execute(change)
            try:
                yield
            finally:
                await connection.execute(back)

    @asynccontextmanager
    async def owner(self, service: str) -> AsyncIterator[asyncpg.Connection]:
        """Who may do anything, also what no service may."""
        connection = await asyncpg.connect(
            self.places.settings.url(service),
            server_settings={"search_path": service},
        )
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def books(self, whose: str, change: Callable[[list[dict[str, Any]]], None]) -> AsyncIterator[str]:
        """The address of books that were tampered with."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{getattr(self.places, whose)}/books") as answer,
        ):
            lines = [orjson.loads(line) for line in (await answer.read()).splitlines()]
        change(lines)

        async def serve(request: web.Request) -> web.Response:
            return web.Response(body=b"".join(orjson.dumps(line) + b"\n" for line in lines))

        app = web.Application()
        app.router.add_get("/books", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield site.name
        finally:
            await runner.cleanup()

    async def forge(self, topic: str, value: bytes) -> None:
        """One more event on a topic of the flow, as nobody but its service may write it. It stays."""
        event = orjson.loads(value)
        async with self.owner("registry") as connection:
            partition, following = await connection.fetchrow(  # type: ignore[misc]
                "SELECT partition, next_sequence FROM output_position WHERE topic = $1 ORDER BY 2 DESC LIMIT 1", topic
            )
        producer = AIOKafkaProducer(**self.places.settings.client_options(), acks="all")
        await producer.start()
        try:
            await producer.send_and_wait(
                topic, value, key=event["subject"].encode(), partition=partition, headers=headers(following)
            )
        finally:
            await producer.stop()


@asynccontextmanager
async def reported(kafka: str, database: str, folder: Path) -> AsyncIterator[Reported]:
    """A population has gone through all stages, on servers that are there already."""
    home = Home.at(folder / "home")
    await empty_topics(settings_for(kafka, database, home.keys))
    calm = {"delayed": "0", "late": "0", "timeout": "0", "cut": "0", "window-s": "20"}
    options = {"bank": calm, "carrier": {"pace": "0.05", "timeout": "0", "rate": "0"}, "notify": {"quiet_time_s": "1"}}
    try:
        up(home, Request(kafka=kafka, postgres=database, options=options, table=FLOW_TABLE))
        demo = home.root / "demo"
        generate(demo, FAMILIES, 11, reference_on(now().date()))
        source = next(name for name, may in SOURCES.items() if {"registration", "flag"} <= set(may))
        upstream, broker = find_upstream(home, source), find_kafka(home)
        await submit(demo / "flags.csv", FLAGS, upstream, broker, Options())
        for programme, (period, budget_idr) in BUDGETS.items():
            await open_cycle(home, programme, period, budget_idr)
        await submit(demo / "registrations.csv", REGISTRATIONS, upstream, broker, Options())
        places, worked = await at_rest(home)
        # What tests falsify must not be acted upon; the books of the bank and the carrier stay open.
        nobody = Request(kafka=kafka, postgres=database, scale=dict.fromkeys(STAGES, 0))
        up(home, nobody)
        await _unguard(database)
        yield Reported(home, places, worked)
    finally:
        down(home)


async def _unguard(database: str) -> None:
    """Takes away the constraints and triggers by which the databases defend themselves."""
    connection = await asyncpg.connect(database)
    schemas = list(STAGES)
    try:
        for row in await connection.fetch(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint "
            "WHERE contype IN ('f', 'c') AND connamespace::regnamespace::text = ANY($1)",
            schemas,
        ):
            await connection.execute(f'ALTER TABLE {row[0]} DROP CONSTRAINT "{row[1]}"')
        for row in await connection.fetch(
            "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid "
            "WHERE NOT tgisinternal AND c.relnamespace::regnamespace::text = ANY($1)",
            schemas,
        ):
            await connection.execute(f"ALTER TABLE {row[0]} DISABLE TRIGGER USER")
    finally:
        await connection.close()


async def open_cycle(home: Home, programme: str, period: str, budget_idr: int) -> None:
    port = orjson.loads(home.ports.read_bytes())["payout-0"]
    token = orjson.loads(home.secrets.read_bytes())["officer_token"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        proposal = {"programme": programme, "period": period, "budget_idr": budget_idr, "by": "Ani"}
        base = f"http://127.0.0.1:{port}/cycles"
        async with session.post(base, json=proposal) as answer:
            cycle = (await answer.json())["cycle"]
        async with session.post(f"{base}/{cycle}/approve", json={"by": "Budi"}) as answer:
            assert answer.status < 300, await answer.text()


async def at_rest(home: Home, within_s: float = 150) -> tuple[Places, set[str]]:
    """Waits until nothing moves any more: every order ended, every message told."""
    places = find(home.root, None)
    until = time.monotonic() + within_s
    while True:
        made = await make(places, audit=False)
        funnel, messages = made.report.funnel, made.report.messages
        moving = funnel.waiting_for_eligibility + funnel.waiting_for_payout
        moving += sum(one.ordered + one.at_the_bank + one.not_yet_considered for one in funnel.programmes)
        moving += sum(messages.by_state.get(state, 0) for state in ("waiting", "sending", "sent"))
        carrier = messages.carrier
        moving += carrier.not_yet_known if carrier else 0
        if not moving and messages.by_state:
            return places, {one.process for one in made.report.rates.cpu if one.cpu_s > 0}
        assert time.monotonic() < until, f"{moving} still moving: {funnel} {messages.by_state}"
        await asyncio.sleep(1)
