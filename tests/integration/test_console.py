"""The officers' console: nobody sees, finds or guesses anything outside the own area or without the role, every act
needs its form and is recorded, and a session ends when it must."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from fastapi.routing import APIRoute

from services.portal.addresses import networks
from services.portal.console import cookies
from services.portal.console.onward import onward
from services.portal.console.sign_in import SIGN_INS_MAX
from shared.events import Problem, RegistrationRejected, SubmissionRef, Text, caused_by, first_cause
from tests.integration import portal_desk
from tests.integration.console_site import NIK, Site, browser, console
from tests.integration.issuing import OFFICERS
from tests.integration.portal_desk import recipient
from tests.stack import drop_database, fresh_database

VILLAGES = {
    1: "7604012002",  # Karama, Tinambung
    2: "7604012004",  # Lekopadis, Tinambung
    3: "7604041001",  # Polewali, Polewali
    4: "7603012001",  # another regency
    5: "3201012001",  # another province
}
ALL = "pusat-auditor"
LISTS = ("/console", "/console/overview/figures", "/console/recipients", "/console/rejections", "/console/cycles")
MORE = ("/console/cycles/sembako-2026-11", "/console/payouts/failed", "/console/dead-letters", "/console/alerts")


async def told(site: Site) -> None:
    """A family in each village; its first payout has failed for good."""
    for number, village in VILLAGES.items():
        events = portal_desk.story(number, village=village)
        await site.desk.hand([e for e in events if e.type != "payout.confirmed" and not _second_order(e)])
    await site.desk.hand(portal_desk.cycle_and_dead())


def _second_order(event: Any) -> bool:
    return event.type == "payout.ordered" and event.data.attempt == 2


@pytest.fixture(scope="module")
async def whole(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    database = await fresh_database(postgres)
    async with console(database, tmp_path_factory.mktemp("console")) as made:
        await told(made)
        yield made
    await drop_database(database)


@pytest.fixture
async def site(whole: Site) -> Site:
    """The same for all tests of this file, but that nobody has been there yet."""
    owner = await asyncpg.connect(whole.desk.url)
    await owner.execute("TRUNCATE portal.officer_record, portal.officer_session, portal.sign_in")
    await owner.close()
    whole.codes.clear()
    return whole


def shown(text: str) -> set[int]:
    """The families of which a page shows the id, also shortened, or a submission."""
    found = {int(number, 16) for number in re.findall(r"r-([0-9a-f]{32})", text)}
    return found | {int(number) for number in re.findall(r"(?:bad|form|again)-(\d+)", text)}


async def test_no_page_and_no_filter_shows_a_family_of_another_area(site: Site) -> None:
    seen: dict[str, set[int]] = {}
    one_an_area = {officer.area: officer for officer in OFFICERS.values() if "read" in officer.roles}
    for officer in one_an_area.values():
        inside = {number for number, village in VILLAGES.items() if village.startswith(officer.area)}
        async with browser(site, officer.subject) as at:
            addresses = [*LISTS, *MORE, "/console/record"]
            addresses += [f"/console/rejections?operator=village-app&code=nik_invalid&go_on={x}" for x in ("", "9~z")]
            addresses += ["/console/payouts/failed?code=account_closed&go_on=99999999999999999~r-f~x"]
            addresses += [f"/console/recipients/{recipient(number)}" for number in inside]
            seen[officer.subject] = set().union(*[shown((await at.get(address)).text) for address in addresses])
            assert seen[officer.subject] <= inside, officer.subject
            for number in VILLAGES:
                found = await at.send("/console/recipients", "/console/recipients", {"asked": recipient(number)})
                assert (found.status == 200) == (number in inside), (officer.subject, number)
    assert seen["pusat-operasi"] == set(VILLAGES)
    assert len(seen) == 7
    assert seen["sulbar-pemantau"] == {1, 2, 3, 4}
    assert seen["polman-auditor"] == {1, 2, 3}
    assert seen["lekopadis-operator"] == {2}


async def test_the_overview_counts_the_own_area_only(site: Site) -> None:
    counted = {}
    for subject in ("pusat-operasi", "polman-pengusul", "tinambung-operator", "karama-operator"):
        async with browser(site, subject) as at:
            text = (await at.get("/console")).text
            counted[subject] = int(re.search(r"<dd>(\d+)</dd>", text)[1])  # type: ignore[index]
            assert (">Polewali<" in text) == (subject in ("pusat-operasi", "polman-pengusul"))
    assert list(counted.values()) == [5, 3, 2, 1]


async def test_the_own_rejection_does_not_tell_where_the_person_lives(site: Site) -> None:
    mine = SubmissionRef(source="console", id="karama-operator/typed-wrong", submitted_at=portal_desk.AT)
    problem = Problem(field="decile", code="number_range", text=Text(id="di luar batas", en="out of range"))
    data = RegistrationRejected(submission=mine, problems=(problem,))
    cause = first_cause(mine.id, "console")
    event = caused_by(cause, "registry", data, subject=recipient(2), time=portal_desk.AT, distinct=("console",))
    await site.desk.hand([event])
    villages = {}
    for subject in ("karama-operator", "polman-pengusul"):
        async with browser(site, subject) as at:
            rows = re.findall(r"<tr>.*?</tr>", (await at.get("/console/rejections")).text, re.DOTALL)
            (row,) = [row for row in rows if mine.id in row]
            villages[subject] = row[row.rindex("<td>") :]
    assert "tidak diketahui" in villages["karama-operator"]
    assert "Lekopadis" in villages["polman-pengusul"], "it is known to whoever may know it"


async def test_unknown_and_outside_are_answered_alike(site: Site) -> None:
    async with browser(site, "karama-operator") as at:
        outside, unknown = [await at.get(f"/console/recipients/{recipient(number)}") for number in (2, 77)]
        assert outside.status == unknown.status == 404
        assert outside.text.replace(recipient(2), "X") == unknown.text.replace(recipient(77), "X")
        answers = []
        for asked in (recipient(2), recipient(77), NIK):
            found = await at.send("/console/recipients", "/console/recipients", {"asked": asked})
            answers.append((found.status, found.text))
        assert len(set(answers)) == 1
        assert answers[0][0] == 404
        for bad in (
            "/console/rejections?operator=%00",
            "/console/recipients/r-1",
            "/console/recipients/%27",
            "/console/registrations/x",
        ):
            assert (await at.get(bad)).status == 404
    assert all(about in (None, recipient(2), recipient(77)) for _, _, about, _ in await site.record("recipient"))
    assert {about for _, _, about, _ in await site.record("recipient.search")} == {None}
    rows = await site.desk.pool.fetch("SELECT r::text AS row FROM officer_record AS r")
    assert all(NIK not in row["row"] for row in rows)


SEES: dict[str, set[str]] = {
    "/console": {"read", "enter", "approve", "audit"},
    "/console/overview/figures": {"read", "enter", "approve", "audit"},
    "/console/alerts": {"read", "enter", "approve", "audit"},
    "/console/recipients": {"read", "enter"},
    "/console/registrations/new": {"enter"},
    "/console/rejections": {"read", "enter"},
    "/console/cycles": {"read", "enter", "approve", "audit"},
    "/console/payouts/failed": {"read"},
    "/console/dead-letters": {"read", "approve", "audit"},
    "/console/record": {"audit"},
}


async def test_roles(site: Site) -> None:
    for officer in OFFICERS.values():
        async with browser(site) as at:
            landed = await at.sign_in(officer.subject)
            assert landed.status == (200 if officer.roles else 403)
            for address, roles in SEES.items():
                may = bool(roles & set(officer.roles)) and (address != "/console/dead-letters" or not officer.area)
                answer = await at.get(address)
                assert answer.status == (200 if may else 403), (officer.subject, address)
                listed = (may and "figures" not in address) or address in ("/console", "/console/alerts")
                assert (f'<li><a href="{address}"' in landed.text) == listed, (officer.subject, address)


async def test_every_route_needs_a_session_and_every_act_its_form(site: Site) -> None:
    open_to_all = {"/console/sign-in", "/console/sign-in/go", "/console/signed-in", "/console/sign-out"}
    open_to_all |= {"/console/awake"}
    open_to_all |= {"/console/language/{language}", "/console/static/{name}"}
    routes = [route for router in site.routers for route in router.routes if isinstance(route, APIRoute)]
    guarded = [route for route in routes if route.path not in open_to_all]
    assert len(guarded) >= 15
    filled = {"recipient_id": recipient(1), "cycle": "sembako-2026-11", "letter_id": "x", "form_id": "f" * 24}
    async with browser(site) as nobody, browser(site, "pusat-pengusul") as officer, browser(site, ALL) as auditor:
        for route in guarded:
            address, (method,) = route.path.format(**filled), route.methods
            asking = nobody.get(address, follow=False) if method == "GET" else nobody.post(address, {}, follow=False)
            answer = await asking
            assert answer.status == 303, address
            assert answer.headers["location"].startswith("/console/sign-in?onward=")
            if method == "GET":
                part = await nobody.get(address, headers={"hx-request": "true"})
                assert part.headers["hx-redirect"].startswith("/console/sign-in")
                continue
            for at in (officer, auditor):
                for form in ({}, {"form": ""}, {"form": cookies.form_token("of another session")}):
                    answer = await at.post(address, form)
                    assert answer.status == 403, address
                    assert "kedaluwarsa" in answer.text
    assert site.codes == []
    acts = [row for row in await site.record() if row[1] in ("cycle.propose", "cycle.approve", "recipient.code")]
    assert {outcome for *_, outcome in acts} == {"refused"}


async def test_a_code_is_handed_out_by_whoever_may_and_has_seen_the_person(site: Site) -> None:
    page, address = f"/console/recipients/{recipient(1)}", f"/console/recipients/{recipient(1)}/code"
    async with browser(site, "pusat-operasi") as reader:
        answer = await reader.get(page)
        assert address not in answer.text
        form = {"form": cookies.form_token(reader.cookie(cookies.COOKIE) or ""), "seen": "yes"}
        assert (await reader.post(address, form)).status == 403
    async with browser(site, "karama-operator") as operator:
        unseen = await operator.send(page, address, {})
        assert "123 456" not in unseen.text
        given = await operator.send(page, address, {"seen": "yes"})
        assert "123 456" in given.text
        elsewhere = address.replace(recipient(1), recipient(2))
        form = {"form": cookies.form_token(operator.cookie(cookies.COOKIE) or ""), "seen": "yes"}
        assert (await operator.post(elsewhere, form)).status == 404
    assert site.codes == [f"{recipient(1)} Jamaluddin [karama-operator]"]
    acts = [row for row in await site.record("recipient.code") if row[0] == "karama-operator"]
    assert [outcome for *_, outcome in acts] == ["refused", "done", "missing"]


async def test_the_record_only_grows_and_shows_an_auditor_the_own_area(site: Site) -> None:
    async with browser(site, "lekopadis-operator") as operator:
        await operator.get(f"/console/recipients/{recipient(2)}")
        await operator.get("/console/overview/figures")
    async with browser(site, "pusat-operasi") as reader:
        await reader.get("/console/payouts/failed")
        assert (await reader.get("/console/record")).status == 403
    assert [row for row in await site.record() if row[0] == "lekopadis-operator"] == [
        ("lekopadis-operator", "sign-in", None, "done"),
        ("lekopadis-operator", "overview", None, "shown"),
        ("lekopadis-operator", "recipient", recipient(2), "shown"),
    ]
    async with browser(site, "polman-auditor") as regional, browser(site, ALL) as central:
        theirs, all_of_them = (await regional.get("/console/record")).text, (await central.get("/console/record")).text
    assert "lekopadis-operator" in theirs
    assert "pusat-operasi" not in theirs
    assert {"lekopadis-operator", "pusat-operasi", "127.0.0.1"} <= set(re.findall(r"[a-z0-9.-]+", all_of_them))
    for statement in ("UPDATE officer_record SET subject = 'x'", "DELETE FROM officer_record"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await site.desk.pool.execute(statement)


async def test_cookies_and_headers(site: Site) -> None:
    async with browser(site) as at:
        await at.sign_in("karama-operator")
        held = next(cookie for cookie in at.session.cookie_jar if cookie.key == cookies.COOKIE)
        assert held["httponly"]
        assert held["samesite"].lower() == "lax"
        assert held["path"] == "/console"
        page = await at.get("/console")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?! src)|hx-on", page.text), "what the policy would block"
        stored = await site.desk.pool.fetchrow("SELECT * FROM officer_session")
        assert held.value.encode() not in stored["tokens"]
        assert b"eyJ" not in stored["tokens"], "tokens are sealed"


async def test_signing_in_needs_the_same_browser_and_works_once(site: Site) -> None:
    async with browser(site) as thief, browser(site) as victim:
        chosen = await victim.get("/console/sign-in/go")
        form = chosen.form("/authorize") | {"subject": "pusat-pengesah"}
        back = await victim.post(f"{site.issuer.url}/authorize", form, follow=False)
        stolen = await thief.get(back.headers["location"])
        assert stolen.status == 401, "a code that somebody else asked for"
        assert (await victim.get(back.headers["location"])).status == 200
        assert (await victim.get(back.headers["location"])).status == 401, "a second time"
    assert {subject for subject, *_ in await site.record("sign-in")} == {"pusat-pengesah"}
    for address in (
        "https://x.example/console",
        "//x.example/console",
        "/console\\..\\x",
        "/consolex",
        "javascript:1",
        "/console/\0",
        "/console/" + "x" * 2000,
    ):
        assert onward(address) == "/console", address
    assert onward("/console/cycles?x=1") == "/console/cycles?x=1"
    async with browser(site) as at:
        for page in ("/console/sign-in", "/console/sign-in/go", "/console/language/en"):
            assert (await at.get(f"{page}?onward=/console/%00")).status == 200, page


async def test_nobody_fills_the_table_of_sign_ins_and_nobody_is_locked_out_for_long(site: Site) -> None:
    fill = """
        INSERT INTO sign_in
        SELECT sha256(n::text::bytea), '', '', '/console', now(), $1 FROM generate_series(1, $2) AS n
    """
    async with browser(site) as at:
        await site.desk.pool.execute(fill, "127.0.0.1", SIGN_INS_MAX - 1)
        assert (await at.sign_in("karama-operator")).path == "/console", "the last that is let in"
        await at.get("/console/sign-in/go")
        refused = await at.get("/console/sign-in/go")
        assert (refused.status, "sepuluh menit" in refused.text) == (429, True)
        assert await site.desk.pool.fetchval("SELECT count(*) FROM sign_in") == SIGN_INS_MAX
        await site.desk.pool.execute("UPDATE sign_in SET network = '127.0.0.2'")
        assert (await at.get("/console/sign-in/go")).status == 200, "others sign in meanwhile"
        await site.desk.pool.execute("UPDATE sign_in SET network = '127.0.0.1', created_at = now() - interval '11 min'")
        assert (await at.get("/console/sign-in/go")).status == 200
        assert await site.desk.pool.fetchval("SELECT count(*) FROM sign_in") == 1, "what is old is gone"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::", "2001:db8:1::/48"),
        ("unknown", "unknown"),
    ],
)
def test_sign_ins_are_counted_by_network(address: str, network: str) -> None:
    assert networks(address).wide == network


async def test_a_form_has_its_size_and_a_strangers_is_not_read(site: Site) -> None:
    async with browser(site, "karama-operator") as at:
        form = {"form": cookies.form_token(at.cookie(cookies.COOKIE) or ""), "asked": "1" * 63_000}
        assert (await at.post("/console/recipients", form)).status == 422
        for address in ("/console/recipients", "/console/sign-out"):
            large = await at.post(address, {**form, "asked": "1" * 64_000})
            assert (large.status, "terlalu panjang" in large.text) == (413, True), address
        assert (await at.get("/console")).status == 200, "still signed in"
    assert await site.record("recipient.search") == [
        ("karama-operator", "recipient.search", None, "missing"),
        ("karama-operator", "recipient.search", None, "refused"),
    ]
    host = urlsplit(site.url)
    for address in ("/console/recipients", "/console/sign-out"):
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        head = f"POST {address} HTTP/1.1\r\nHost: {host.netloc}\r\nCookie: {cookies.COOKIE}=x\r\n"
        writer.write(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
        assert b" 303 " in await asyncio.wait_for(reader.readline(), 10), address
        writer.close()


async def test_another_sites_form_signs_nobody_out(site: Site) -> None:
    async with browser(site) as at:  # without cookies, as a browser sends what another site posts
        out = await at.post("/console/sign-out", {}, follow=False)
        assert out.status == 303
        assert "set-cookie" not in out.headers


async def test_signing_out_ends_the_session_here_and_there(site: Site) -> None:
    async with browser(site, "karama-operator") as at:
        page, cookie = await at.get("/console"), at.cookie(cookies.COOKIE)
        assert (await at.post("/console/sign-out", {"form": "wrong"})).status == 403
        out = await at.post("/console/sign-out", page.form("/console/sign-out"))
        assert (out.status, out.path) == (200, "/console/sign-in")
        at.session.cookie_jar.update_cookies({cookies.COOKIE: cookie or ""})
        assert (await at.get("/console", follow=False)).status == 303
    assert await site.desk.pool.fetchval("SELECT count(*) FROM officer_session") == 0


@pytest.mark.parametrize(("column", "by"), [("seen_at", timedelta(minutes=16)), ("ends_at", timedelta(hours=9))])
async def test_sessions_end(site: Site, column: str, by: timedelta) -> None:
    async with browser(site, "karama-operator") as at:
        await site.desk.pool.execute(f"UPDATE officer_session SET {column} = {column} - $1::interval", by)
        assert (await at.get("/console", follow=False)).status == 303


async def test_figures_that_a_page_fetches_by_itself_keep_no_session_awake(site: Site) -> None:
    async with browser(site, "karama-operator") as at:
        seen = await site.desk.pool.fetchval("SELECT seen_at FROM officer_session")
        assert (await at.get("/console/overview/figures")).status == 200
        assert await site.desk.pool.fetchval("SELECT seen_at FROM officer_session") == seen
        await at.get("/console")
        assert await site.desk.pool.fetchval("SELECT seen_at FROM officer_session") > seen


async def test_the_issuer_is_asked_again_and_may_take_roles_and_session_away(site: Site) -> None:
    async with browser(site, "polman-pengusul") as at:
        expire = "UPDATE officer_session SET checked_until = now(), roles = '{audit}', area = ''"
        await site.desk.pool.execute(expire)
        assert (await asyncio.gather(*(at.get("/console/record") for _ in range(4))))[0].status == 403
        row = await site.desk.pool.fetchrow("SELECT roles, area, checked_until > now() AS fresh FROM officer_session")
        assert tuple(row) == (["enter", "read"], "7604", True)
        await site.desk.pool.execute("UPDATE officer_session SET tokens = '\\x00', checked_until = now()")
        assert (await at.get("/console", follow=False)).status == 303
    assert await site.desk.pool.fetchval("SELECT count(*) FROM officer_session") == 0
