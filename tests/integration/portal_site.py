"""The portal's pages over HTTP, with the real look-up process's endpoint behind them, and a person who uses them."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from services.lookup.api import router as lookup_router
from services.portal.aid.desk import CODE_SCHEMA, Desk
from services.portal.aid.pages import Pages, router
from services.portal.lookup import Lookup
from services.portal.store.access import Limits
from services.portal.texts import catalogue
from services.portal.web import Door
from shared.allowance import Allowance
from shared.events import CodeIssued, Event
from shared.events.codec import decode
from shared.runtime.http import create_app
from shared.runtime.payload import unpack
from tests.fuzz.serving import served
from tests.integration import portal_desk

TOKEN = "between portal and lookup"
NIK = "7604015708850001"
"""A woman born on 17 August 1985."""
UNKNOWN = "7604015708850002"
BORN = {"day": "17", "month": "8", "year": "1985"}


@dataclass
class Clock:
    at: datetime = portal_desk.AT

    def now(self) -> datetime:
        return self.at

    def later(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Site:
    """The portal as a browser meets it."""

    url: str
    office: portal_desk.Desk
    desk: Desk
    clock: Clock
    who: str
    codes: list[Event[CodeIssued]] = field(default_factory=list)

    async def issue(self) -> list[str]:
        """What the worker does; the codes that left with it, as notify would open them."""
        await self.desk.issue_due()
        rows = await self.office.pool.fetch("DELETE FROM outbox RETURNING payload")
        events = [decode(CodeIssued, record.value) for row in rows for record in unpack(row["payload"])]
        self.codes += events
        return [self._opened(event) for event in events]

    def _opened(self, event: Event[CodeIssued]) -> str:
        code = self.office.keyring.open(event.data.code, "access", recipient=event.subject, schema=CODE_SCHEMA)
        return code.decode()


@dataclass
class Person:
    """One browser with its cookies."""

    site: Site
    session: aiohttp.ClientSession

    async def get(self, path: str) -> tuple[int, str, dict[str, str]]:
        async with self.session.get(self.site.url + path, allow_redirects=False) as answer:
            return answer.status, await answer.text(), dict(answer.headers)

    async def send(self, path: str, **fields: str) -> tuple[int, str, dict[str, str]]:
        """Fills in the form of the page at this path."""
        _, page, _ = await self.get("/" if path == "/leave" else path)
        form = re.search(r'name="form" value="(\w+)"', page)
        data: dict[str, Any] = {"form": form[1] if form else "", **fields}
        async with self.session.post(self.site.url + path, data=data, allow_redirects=False) as answer:
            return answer.status, await answer.text(), dict(answer.headers)

    async def ask(self, nik: str = NIK) -> int:
        return (await self.send("/", nik=nik, **BORN))[0]


@asynccontextmanager
async def person(site: Site) -> AsyncIterator[Person]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Person(site, session)


@asynccontextmanager
async def open_site(
    database: str,
    keys: Path,
    limits: Limits = Limits(address_hour=1000, recipient_hour=5, recipient_day=10),
    *,
    secure: bool = False,
) -> AsyncIterator[Site]:
    async with portal_desk.open_desk(database, keys) as office:
        clock = Clock()
        desk = Desk(office.outbox, office.keyring, b"s" * 32, limits, office.ends_now(clock.now), now=clock.now)
        asking = lookup_router(office.keyring, TOKEN, Allowance(1000, 1000))
        who = office.keyring.recipient_id(NIK)
        await office.hand(portal_desk.story(1, who=who))
        await office.hand(portal_desk.cycle_and_dead())
        async with served(create_app("lookup", list, (asking,))) as lookup_url:
            lookup = Lookup(lookup_url, TOKEN)
            pages = Pages(desk, lookup, catalogue(), Door(secure), office.pool)
            async with served(create_app("portal", list, (router(pages),))) as url:
                yield Site(url, office, desk, clock, who)
            await lookup.close()
