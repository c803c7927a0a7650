"""The console's doors: no NIK goes through an address, nobody tries out NIKs, a computer is left in any case, and what
fails says so in words."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
from fastapi import APIRouter, Request

from services.portal.console import cookies
from services.portal.console.oidc import Tokens
from services.portal.console.onward import holds_nik, onward
from services.portal.console.sessions import Sessions
from shared.officers import NotSignedIn, Officer
from tests.integration import portal_desk
from tests.integration.console_site import NIK, Site, browser, console
from tests.integration.portal_desk import recipient
from tests.stack import drop_database, fresh_database

SPACED = f"{NIK[:4]} {NIK[4:8]} {NIK[8:12]} {NIK[12:]}"
VILLAGE = "7604012002"
HOME = "/console"
STRANGE = ("//[", "http://[", "/console/[::", "//[::1", "/console?x=" + "&a=1" * 200)
SEARCHES = 5
OFFICER = Officer("s-1", "Siti", frozenset({"read"}), "7604")


@pytest.fixture(scope="module")
async def site(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    database = await fresh_database(postgres)
    async with console(database, tmp_path_factory.mktemp("doors"), console_searches_hour=SEARCHES) as made:
        await made.desk.hand(portal_desk.story(1, village=VILLAGE))
        yield made
    await drop_database(database)


@pytest.mark.parametrize("text", [NIK, SPACED, f"NIK {NIK}.", f"{NIK[:6]}.{NIK[6:12]}.{NIK[12:]}", f" {NIK} "])
def test_what_may_be_a_nik(text: str) -> None:
    assert holds_nik(text)
    for address in (f"/console/record?about={quote(text)}", f"/console/record?x=1&{quote(text)}=y"):
        assert onward(address) == "/console/record"
    assert onward(f"/console/recipients/{quote(NIK)}") == HOME


@pytest.mark.parametrize("text", [recipient(1), f"r-{NIK}{NIK}", NIK[:15], NIK + "1", "2026-11-24", ""])
def test_what_is_no_nik(text: str) -> None:
    assert not holds_nik(text)
    assert onward(f"/console/record?about={text}&go_on=1790000000000000~a").endswith("~a")


@pytest.mark.parametrize("address", STRANGE)
async def test_a_strangers_address_leads_home(site: Site, address: str) -> None:
    assert onward(address).startswith(HOME)
    async with browser(site) as at:
        for page in ("/console/sign-in", "/console/sign-in/go", "/console/language/id"):
            assert (await at.get(f"{page}?onward={quote(address)}", follow=False)).status in (200, 303), page


@pytest.mark.parametrize("typed", [NIK, SPACED])
async def test_no_nik_stands_in_an_address_or_in_a_table(site: Site, typed: str) -> None:
    record = f"/console/record?about={quote(typed)}"
    async with browser(site, "pusat-auditor") as at:
        for name in ("about", "subject", "action"):
            refused = await at.send("/console/record", "/console/record", {name: typed}, follow=False)
            assert (refused.status, "Penerima" in refused.text) == (422, True)
            assert NIK not in refused.text.replace(" ", "")
        sent = await at.send("/console/record", "/console/record", {"subject": "karama-operator"}, follow=False)
        assert sent.headers["location"] == "/console/record?subject=karama-operator"
        asked = await at.get(record)
        assert asked.status == 422
        assert NIK not in asked.text.replace("%20", "")
        await at.get(f"/console/cycles/{quote(typed)}")
        away = await at.get(f"/console/language/en?onward={quote(record)}", follow=False)
        assert away.headers["location"] == "/console/record"
    async with browser(site) as stranger:
        sign_in = await stranger.get(record, follow=False)
        assert sign_in.headers["location"] == "/console/sign-in?onward=%2Fconsole%2Frecord"
        await stranger.get(f"/console/sign-in/go?onward={quote(record)}")
        page = await stranger.get(f"/console/sign-in?onward={quote(record)}")
        assert NIK not in page.text.replace("%20", "").replace("%2520", "")
    for table in ("sign_in", "officer_record"):
        rows = await site.desk.pool.fetch(f"SELECT t::text AS row FROM {table} AS t")
        assert rows
        assert all(NIK not in row["row"].replace(" ", "") for row in rows)


async def test_an_officer_looks_up_so_many_niks_and_no_more(site: Site) -> None:
    page = "/console/recipients"
    async with browser(site, "karama-operator") as one, browser(site, "lekopadis-operator") as other:
        answers = [await one.send(page, page, {"asked": f"{int(NIK) + n}"}) for n in range(SEARCHES + 1)]
        assert [answer.status for answer in answers] == [404] * SEARCHES + [429]
        assert "Terlalu banyak" in answers[-1].text
        assert (await one.send(page, page, {"asked": recipient(1)})).status == 200, "an id is no search by NIK"
        assert (await other.send(page, page, {"asked": NIK})).status == 404


async def test_what_a_form_answers_has_no_link_to_the_other_language(site: Site) -> None:
    """It would lead away from what is shown once, to an address that has no page."""
    page = f"/console/recipients/{recipient(1)}"
    async with browser(site, "karama-operator") as at:
        assert "/console/language/en?onward=" in (await at.get(page)).text
        given = await at.send(page, f"{page}/code", {"seen": "yes"})
        assert "123 456" in given.text
        assert "/console/language/" not in given.text


async def test_a_dead_letter_of_the_portal_goes_back_at_its_private_port(postgres: str, tmp_path: Path) -> None:
    database, asked = await fresh_database(postgres), []
    private, public = APIRouter(), "http://127.0.0.1:9"

    @private.post("/dead-letters/{letter}/replay")
    async def replay(letter: str, request: Request) -> dict[str, str]:
        asked.append((letter, request.headers["authorization"].split()[0]))
        return {"id": letter, "service": "portal", "state": "replayed", "detail": ""}

    async with console(database, tmp_path, others=(private,)) as made:
        made.settings.portal_private_url, made.settings.registry_url = made.url, public
        await made.desk.hand(portal_desk.cycle_and_dead())
        await made.desk.pool.execute("UPDATE dead_letter SET service = 'portal'")
        letter = await made.desk.pool.fetchval("SELECT event_id FROM dead_letter")
        async with browser(made, "pusat-auditor") as at:
            back = await at.send("/console/dead-letters", f"/console/dead-letters/{letter}/replay", {})
            assert "Pesan dikembalikan" in back.text
            made.settings.portal_private_url = None
            again = await at.post(f"/console/dead-letters/{letter}/replay", at_form(at.cookie(cookies.COOKIE)))
            assert again.status == 503
        assert asked == [(letter, "Bearer")]
    await drop_database(database)


def at_form(cookie: str | None) -> dict[str, str]:
    return {"form": cookies.form_token(cookie or "")}


async def test_a_computer_is_left_while_the_issuer_is_away_and_a_database_that_is_away_is_told(
    postgres: str, tmp_path: Path
) -> None:
    database = await fresh_database(postgres)
    async with console(database, tmp_path) as made, browser(made, "karama-operator") as at:
        cookie = at.cookie(cookies.COOKIE)
        await made.desk.pool.execute("UPDATE officer_session SET checked_until = now()")
        await made.issuer.process.kill()
        assert (await at.get("/console")).status == 503
        kept = await at.post("/console/registrations/new", at_form(cookie) | {"name": "Hasniah"})
        assert (kept.status, 'value="Hasniah"' in kept.text) == (401, True)
        out = await at.post("/console/sign-out", at_form(cookie), follow=False)
        assert out.status == 303
        assert at.cookie(cookies.COOKIE) is None
        assert await made.desk.pool.fetchval("SELECT count(*) FROM officer_session") == 0
        assert [action for _, action, *_ in await made.record()][-1] == "sign-out"
        made.desk.pool.terminate()
        at.session.cookie_jar.update_cookies({cookies.COOKIE: cookie or ""})
        for page in ("/console", "/console/sign-in/go"):
            told = await at.get(page)
            assert (told.status, "text/html" in told.headers["content-type"]) == (503, True), page
        told = await at.post("/console/sign-out", at_form(cookie))
        assert (told.status, "Halaman ini gagal dibuat" in told.text) == (503, True)
    await drop_database(database)


@dataclass
class OnceOnly:
    """An issuer whose refresh tokens work once, as most do; the late one is told so before the first is done."""

    valid: str = "r0"
    given: int = 0

    async def refresh(self, tokens: Tokens) -> tuple[Officer, Tokens]:
        if tokens.refresh != self.valid:
            raise NotSignedIn("invalid_grant")
        self.given += 1
        self.valid = f"r{self.given}"
        await asyncio.sleep(0.1)
        return OFFICER, Tokens("access", self.valid, 300)


async def test_two_instances_that_renew_at_once_keep_the_officer_in(site: Site) -> None:
    issuer, pool = OnceOnly(), site.desk.pool
    one, other = (Sessions(pool, cast("Any", issuer), timedelta(minutes=15), timedelta(hours=8)) for _ in range(2))
    cookie = await one.open(OFFICER, Tokens("access", "r0", 0))
    assert all(await asyncio.gather(one.of(cookie), other.of(cookie)))
    assert issuer.given == 1
    assert await one.of(cookie)


async def test_whom_the_issuer_knows_no_more_is_out(site: Site) -> None:
    sessions = Sessions(site.desk.pool, cast("Any", OnceOnly("r9")), timedelta(minutes=15), timedelta(hours=8))
    cookie = await sessions.open(OFFICER, Tokens("access", "r0", 0))
    assert await sessions.of(cookie) is None
    assert await sessions.whose(cookie) is None
