"""The console over HTTP on a real database, with a real issuer beside it, and officers who use it with a browser's
habits: cookies, forms, redirects."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from fastapi import APIRouter
from pydantic import SecretStr

from services.portal.console.parts import make_console
from services.portal.console.settings import ConsoleSettings
from services.portal.web import Door
from shared.officers import Officer
from shared.runtime.http import create_app
from tests.fuzz.serving import served
from tests.integration import portal_desk
from tests.integration.issuing import SECRET, Issuing, issuing
from tests.integration.notify_desk import free_port

NIK = "7604015708850001"


@dataclass
class Site:
    """The console at `url`; `routers` are the console's."""

    url: str
    routers: tuple[APIRouter, ...]
    desk: portal_desk.Desk
    issuer: Issuing
    settings: ConsoleSettings
    codes: list[str] = field(default_factory=list)

    async def record(self, action: str | None = None) -> list[tuple[Any, ...]]:
        """(subject, action, about, outcome), the oldest first."""
        rows = await self.desk.pool.fetch(
            """
            SELECT subject, action, about, outcome FROM officer_record
            WHERE $1::text IS NULL OR action = $1 ORDER BY id
            """,
            action,
        )
        return [tuple(row) for row in rows]


@dataclass
class Answer:
    status: int
    text: str
    headers: dict[str, str]
    path: str

    def form(self, address: str) -> dict[str, str]:
        """The hidden fields of the form that posts to `address`."""
        found = re.search(rf'<form[^>]*action="{re.escape(address)}".*?</form>', self.text, re.DOTALL)
        assert found, f"{self.path} has no form to {address}"
        inputs = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', found[0])
        return {name: unescape(value) for name, value in inputs}


@dataclass
class Browser:
    """One officer's browser."""

    site: Site
    session: aiohttp.ClientSession

    async def get(self, path: str, *, follow: bool = True, headers: dict[str, str] | None = None) -> Answer:
        return await self._ask("GET", path, None, follow, headers)

    async def post(self, path: str, form: dict[str, str], *, follow: bool = True) -> Answer:
        return await self._ask("POST", path, form, follow, None)

    async def send(self, page: str, address: str, form: dict[str, str], *, follow: bool = True) -> Answer:
        """Opens a page and sends its form to `address`, filled in."""
        opened = await self.get(page)
        return await self.post(address, opened.form(address) | form, follow=follow)

    async def sign_in(self, subject: str, onward: str = "/console") -> Answer:
        chosen = await self.get(f"/console/sign-in/go?onward={onward}")
        assert "Who are you today?" in chosen.text
        return await self.post(f"{self.site.issuer.url}/authorize", chosen.form("/authorize") | {"subject": subject})

    def cookie(self, name: str) -> str | None:
        return next((held.value for held in self.session.cookie_jar if held.key == name), None)

    async def _ask(
        self, method: str, path: str, form: dict[str, str] | None, follow: bool, headers: dict[str, str] | None
    ) -> Answer:
        url = path if "://" in path else self.site.url + path
        async with self.session.request(method, url, data=form, allow_redirects=follow, headers=headers) as answer:
            told = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, await answer.text(), told, urlsplit(str(answer.url)).path)


@asynccontextmanager
async def browser(site: Site, subject: str | None = None) -> AsyncIterator[Browser]:
    """Of this officer, signed in; of nobody."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        made = Browser(site, session)
        if subject:
            answer = await made.sign_in(subject)
            assert answer.path == "/console", answer.text[:2000]
        yield made


@asynccontextmanager
async def console(
    database: str, folder: Path, *, access_s: int = 300, others: Sequence[APIRouter] = (), **stated: Any
) -> AsyncIterator[Site]:
    """`stated`: settings of the console; `others`: routers of services that it acts at, served beside it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "issuer").mkdir()
    async with (
        portal_desk.open_desk(database, folder) as desk,
        issuing(folder / "issuer", f"{url}/console/signed-in", access_s=access_s) as issuer,
    ):
        known = {"portal_url": url, "oidc_issuer": issuer.url, "oidc_client_secret": SecretStr(SECRET)}
        settings = ConsoleSettings(**known | stated)
        site: Site

        async def find_nik(nik: str) -> str | None:
            return desk.keyring.recipient_id(nik)

        async def issue_code(recipient_id: str, officer: Officer) -> str:
            site.codes.append(f"{recipient_id} {officer.signature}")
            return "123456"

        made = make_console(
            desk.pool,
            settings,
            door=Door(False),
            find_nik=find_nik,
            issue_code=issue_code,
        )
        app = create_app("portal", list, (*made.routers, *others))
        site = Site(url, made.routers, desk, issuer, settings)
        async with served(app, port):
            yield site
        await made.acts.close()
