"""Registering a person by hand: what an officer typed comes back whatever happens, and can be sent again."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape

import pytest

from services.portal.console import cookies
from services.portal.console.pages import registrations
from services.registry.api import make_router
from services.registry.sources import Source, Sources
from shared.events import Problem, RegistrationRejected, SubmissionRef, Text, caused_by, first_cause
from shared.runtime.http import create_app
from tests.fuzz.serving import served
from tests.integration import portal_desk, registry_desk
from tests.integration.console_site import Answer, Browser, Site, browser, console
from tests.stack import drop_database, fresh_database

PAGE = "/console/registrations/new"
CONSOLE = Source(name="console", may=frozenset({"registration"}))
OPERATOR = "lekopadis-operator"
FAMILY = {
    "nik": "7604014903880071",
    "name": "Hasniah <Contoh>",
    "kk": "7604010101150771",
    "birth_date": "1988-03-09",
    "sex": "P",
    "role": "spouse",
    "village": "7604012004",
    "decile": "2",
    "income_idr": "700.000",
    "member2_birth_date": "2016-05-02",
    "member2_sex": "L",
    "member2_severe_disability": "yes",
}


@dataclass
class Office:
    """The console with a registry beside it, of which it hears through `site.desk` only."""

    site: Site
    registry: str


@pytest.fixture(scope="module")
async def office(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    portal, registry = await fresh_database(postgres), await fresh_database(postgres)
    async with (
        console(portal, tmp_path_factory.mktemp("console")) as site,
        registry_desk.open_desk(registry, tmp_path_factory.mktemp("registry")) as desk,
    ):
        router = make_router(desk.outbox, desk.keyring, Sources([CONSOLE]), desk.fingerprint, site.issuer.access)
        async with served(create_app("registry", list, (router,))) as url:
            yield Office(site, url)
    await drop_database(portal)
    await drop_database(registry)


@pytest.fixture
def site(office: Office, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(registrations, "TOLD_WITHIN_S", 1.0)
    office.site.settings.registry_url = office.registry
    return office.site


def typed(answer: Answer) -> dict[str, str]:
    """What stands in the form of a page, as a browser would send it."""
    found = re.search(rf'<form[^>]*action="{PAGE}".*?</form>', answer.text, re.DOTALL)
    assert found, answer.text[:3000]
    inputs = re.findall(r"<input [^>]*>", found[0])
    held = {}
    for text in inputs:
        name, value = re.search(r' name="([^"]+)"', text), re.search(r' value="([^"]*)"', text)
        if name and value and ('type="checkbox"' not in text or " checked" in text):
            held[name[1]] = unescape(value[1])
    for name, options in re.findall(r'<select [^>]*name="([^"]+)".*?>(.*?)</select>', found[0], re.DOTALL):
        chosen = re.search(r'<option value="([^"]+)" selected', options)
        held[name] = chosen[1] if chosen else ""
    return held


def keeps_everything(answer: Answer) -> bool:
    held = typed(answer)
    return {name: held.get(name) for name in FAMILY} == FAMILY and "<Contoh>" not in answer.text


async def send(at: Browser, form: dict[str, str]) -> Answer:
    return await at.post(PAGE, form, follow=False)


async def told(site: Site, submission_id: str, *problems: Problem) -> None:
    ref = SubmissionRef(source="console", id=submission_id, submitted_at=portal_desk.AT)
    data, cause = RegistrationRejected(submission=ref, problems=problems), first_cause(submission_id, "console")
    event = caused_by(cause, "registry", data, subject="s-1", time=portal_desk.AT, distinct=("console",))
    await site.desk.hand([event])


async def test_a_rejected_form_comes_back_with_the_reasons_and_can_be_sent_again(site: Site) -> None:
    async with browser(site, OPERATOR) as at:
        form = typed(await at.get(PAGE)) | FAMILY
        text = Text(id="Sekolah tidak dikenal.", en="Unknown school.")
        why = Problem(field="members.1.school", code="schema", text=text)

        async def answering() -> None:
            await asyncio.sleep(0.3)
            await told(site, f"{OPERATOR}/{form['id']}", why)

        back, _ = await asyncio.gather(send(at, form), answering())
        assert back.status == 422
        assert "Sekolah tidak dikenal." in back.text
        assert "<b>Anggota 3</b>" in back.text
        assert keeps_everything(back)
        again = typed(back)
        assert again["id"] != form["id"], "that id has its answer"
        taken = await send(at, again | {"member2_school": "sd"})
        assert taken.headers["location"] == f"/console/registrations/{again['id']}"
    assert [(row[1], row[3]) for row in await site.record("registration.submit")][-2:] == [
        ("registration.submit", "refused"),
        ("registration.submit", "done"),
    ]


async def test_a_used_id_does_not_come_back(site: Site) -> None:
    async with browser(site, OPERATOR) as at:
        form = typed(await at.get(PAGE)) | FAMILY
        assert (await send(at, form)).status == 303
        used = await send(at, form | {"name": "Other", "income_idr": "1"})
        assert (used.status, typed(used)["name"]) == (409, "Other")
        assert typed(used)["id"] != form["id"]
        assert (await send(at, typed(used))).status == 303


async def test_nothing_is_lost_while_the_registry_is_away(site: Site) -> None:
    async with browser(site, OPERATOR) as at:
        site.settings.registry_url = "http://127.0.0.1:9"
        form = typed(await at.get(PAGE)) | FAMILY
        away = await send(at, form)
        assert (away.status, "Layanan tidak menjawab" in away.text) == (503, True)
        assert keeps_everything(away)
        assert typed(away)["id"] == form["id"], "it may have come through"


async def test_a_form_that_outlived_its_session_is_sent_after_signing_in_again(site: Site) -> None:
    async with browser(site, OPERATOR) as at:
        form = typed(await at.get(PAGE)) | FAMILY
        await site.desk.pool.execute("UPDATE officer_session SET seen_at = seen_at - $1::interval", timedelta(hours=1))
        late = await send(at, form)
        assert (late.status, "Waktu masuk Anda habis" in late.text) == (401, True)
        visible = re.sub(r"<input type=\"hidden\"[^>]*>", "", late.text)
        assert not any(text in visible for text in ("Hasniah", FAMILY["nik"])), "nobody reads it over a shoulder"
        assert typed(late) == form
        await at.sign_in(OPERATOR)
        back = await send(at, typed(late))
        assert (back.status, keeps_everything(back)) == (403, True), "shown first, and not sent unseen"
        assert (await send(at, typed(back))).status == 303
        for cookie in ("", "another"):
            at.session.cookie_jar.clear()
            at.session.cookie_jar.update_cookies({cookies.COOKIE: cookie})
            strange = await send(at, form)
            assert (strange.status, strange.text) == (303, ""), "not this browser's form"


async def test_typing_keeps_a_session_awake_and_tells_nothing(site: Site) -> None:
    async with browser(site, OPERATOR) as at, browser(site) as nobody:
        ages = "UPDATE officer_session SET seen_at = now() - interval '10 min'"
        await site.desk.pool.execute(ages)
        assert 'hx-get="/console/awake"' in (await at.get(PAGE)).text
        await site.desk.pool.execute(ages)
        answers = [await one.get("/console/awake") for one in (at, nobody)]
        assert [(answer.status, answer.text) for answer in answers] == [(204, "")] * 2
        fresh = "SELECT bool_or(seen_at > now() - interval '1 min') FROM officer_session"
        assert await site.desk.pool.fetchval(fresh)


async def test_more_lines_without_script(site: Site) -> None:
    async with browser(site, OPERATOR) as at:
        form = typed(await at.get(PAGE)) | FAMILY
        assert "member8_sex" not in form
        more = await send(at, form | {"more": "yes"})
        assert (more.status, keeps_everything(more)) == (200, True)
        assert typed(more)["id"] == form["id"]
        wrong = await send(at, typed(more) | {"member15_severe_disability": "yes"})
        assert (wrong.status, "Anggota 16" in wrong.text) == (422, True)
        assert typed(wrong)["member15_severe_disability"] == "yes"
