"""My aid: a recipient gets in with a code, and nobody else learns anything."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from yarl import URL

from services.portal.ends import ends_of
from services.portal.store.access import Limits
from shared.kafka import admin
from shared.partition import partition_of
from shared.runtime.positions import Place
from shared.settings import KafkaSettings
from tests.integration import portal_desk
from tests.integration.portal_site import BORN, NIK, UNKNOWN, Site, open_site, person


async def test_a_recipient_gets_in_and_out(database: str, tmp_path: Path) -> None:
    async with open_site(database, tmp_path) as site, person(site) as siti:
        status, page, headers = await siti.get("/")
        assert status == 200
        assert 'lang="id"' in page
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "HttpOnly; Max-Age=3600; Path=/; SameSite=strict" in headers["Set-Cookie"]
        assert await siti.ask("7604 0157 0885 0001") == 303
        (code,) = await site.issue()
        assert (await siti.get("/aid"))[0] == 303, "a code that was not entered opens nothing"
        status, _, headers = await siti.send("/code", code=f" {code[:3]} {code[3:]}")
        assert (status, headers["Location"]) == (303, "/aid")
        status, page, headers = await siti.get("/aid")
        assert headers["refresh"] == "600; url=/?note=ended", "it closes by itself"
        assert status == 200
        assert "Rp200.000 untuk November 2026 sudah masuk ke rekening Anda di bank Himbara" in page
        assert headers["Cache-Control"] == "no-store"
        assert len(page.encode()) < 50_000
        assert NIK not in page
        assert "arrived in your account at a state bank" in (await siti.get("/en/aid"))[1]
        async with person(site) as stranger:
            assert (await stranger.get("/aid"))[0] == 303
            await stranger.ask()
            assert (await stranger.send("/code", code=code))[0] == 422, "a code opens once, and its own request"
        assert (await siti.send("/leave"))[0] == 303
        assert (await siti.get("/aid"))[0] == 303


async def test_a_session_ends_by_itself_and_a_code_too(database: str, tmp_path: Path) -> None:
    async with open_site(database, tmp_path) as site, person(site) as siti:
        await siti.ask()
        (code,) = await site.issue()
        site.clock.later(minutes=10)
        assert (await siti.send("/code", code=code))[0] == 422
        await siti.ask()
        (code,) = await site.issue()
        assert (await siti.send("/code", code=code))[0] == 303
        assert (await siti.get("/aid"))[0] == 200
        site.clock.later(minutes=10)
        assert (await siti.get("/aid"))[0] == 303
        site.clock.later(hours=26)
        assert await site.desk.forget() == 3
        left = "SELECT count(*) FROM code_request, code, aid_session"
        assert await site.office.pool.fetchval(left) == 0


async def test_a_stranger_learns_nothing(database: str, tmp_path: Path) -> None:
    """Same statements, same status, same headers, same bytes, for a NIK that is known and for one that is not."""
    async with open_site(database, tmp_path) as site:
        seen = {nik: await _all_that_shows(site, nik) for nik in (NIK, UNKNOWN)}
        assert seen[NIK] == seen[UNKNOWN]
        assert any("code_request" in query for query in seen[NIK][0])
        assert await _states(site) == {"asked": 2}
        assert len(await site.issue()) == 1, "and only who is registered is sent a code"


async def _all_that_shows(site: Any, nik: str) -> tuple[list[str], list[Any]]:
    queries: list[str] = []

    def heard(record: Any) -> None:
        queries.append(record.query)

    async with site.office.pool.acquire() as connection:
        connection.add_query_logger(heard)
    async with person(site) as stranger:
        shown = [
            await stranger.send("/", nik=nik, **BORN),
            await stranger.get("/code"),
            await stranger.send("/code", code="000000"),
            await stranger.get("/aid"),
        ]
    async with site.office.pool.acquire() as connection:
        connection.remove_query_logger(heard)
    return queries, [_masked(answer) for answer in shown]


def _masked(answer: tuple[int, str, dict[str, str]]) -> tuple[int, str, dict[str, str]]:
    """What is drawn anew each time is as long each time."""
    status, page, headers = answer
    drawn = re.compile(r"(?<=[=\"])(q-)?[0-9a-f]{32,64}\b")
    hide = {name: drawn.sub(lambda found: "x" * len(found[0]), text) for name, text in headers.items()}
    hide = {name: text for name, text in hide.items() if name != "Date"}
    hide["Set-Cookie"] = re.sub(r"expires=[^;]+", "", hide.get("Set-Cookie", ""))
    return status, drawn.sub(lambda found: "x" * len(found[0]), page), hide


async def test_limits(database: str, tmp_path: Path) -> None:
    limits = Limits(address_hour=7, recipient_hour=2, recipient_day=3)
    async with open_site(database, tmp_path, limits) as site, person(site) as siti:
        for _ in range(3):
            assert await siti.ask() == 303, "whoever is limited is not told so"
        assert len(await site.issue()) == 2
        site.clock.later(minutes=61)
        assert [await siti.ask() for _ in range(2)] == [303, 303]
        assert len(await site.issue()) == 1, "three a day"
        assert [await siti.ask(UNKNOWN) for _ in range(6)] == [303] * 5 + [429]
        site.clock.later(minutes=61)
        await siti.ask(UNKNOWN)
        assert not await site.issue()


async def test_whoever_comes_too_often_is_not_looked_up(database: str, tmp_path: Path) -> None:
    """One address cannot use up the look-up process for all; nor can a network of many addresses."""
    looked_up: list[None] = []

    async def find() -> str:
        looked_up.append(None)
        return "r-" + "0" * 32

    limits = Limits(address_hour=2, recipient_hour=100, recipient_day=100, network_hour=3)
    async with open_site(database, tmp_path, limits) as site:
        taken = [await site.desk.ask("203.0.113.7", find) is not None for _ in range(4)]
        assert taken == [True, True, False, False]
        assert len(looked_up) == 2
        each = [await site.desk.ask(f"2001:db8:7:{n}::1", find) is not None for n in range(5)]
        assert each == [True] * 3 + [False] * 2, "five /64 of one /48"
        assert len(looked_up) == 5
        assert await site.desk.ask("2001:db8:8::1", find) is not None


async def test_nobody_is_unknown_while_the_read_model_is_behind(database: str, tmp_path: Path) -> None:
    """As in a rebuild: the registration stands on its topic and is not read."""
    async with open_site(database, tmp_path) as site, person(site) as later, person(site) as nobody:
        newcomer = site.office.keyring.recipient_id(UNKNOWN)
        (registered, *_) = portal_desk.story(2, who=newcomer)
        place = Place(registered.type, partition_of(newcomer.encode(), portal_desk.PARTITIONS))
        read = site.office.offset.get(place, 0)
        site.office.offset[place] = read + 1
        await later.ask(UNKNOWN)
        assert not await site.issue()
        assert await _states(site) == {"asked": 1}
        site.office.offset[place] = read
        await site.office.hand([registered])
        (code,) = await site.issue()
        assert (await later.send("/code", code=code))[0] == 303
        await nobody.ask("7604015708850003")
        assert not await site.issue()
        assert await _states(site) == {"issued": 1, "ignored": 1}, "all is read: there is no such recipient"


async def _states(site: Site) -> dict[str, int]:
    return dict(await site.office.pool.fetch("SELECT state, count(*) FROM code_request GROUP BY state"))


async def test_where_topics_end_is_asked_of_kafka(kafka: str, database: str, tmp_path: Path) -> None:
    topic = f"ends-{uuid4().hex}"
    settings = KafkaSettings(kafka=kafka)
    async with admin(settings) as client:
        await client.create_topics([NewTopic(topic, portal_desk.PARTITIONS, 1)])
    producer = AIOKafkaProducer(**settings.client_options())
    await producer.start()
    try:
        for _ in range(3):
            await producer.send_and_wait(topic, b"{}", partition=1)
    finally:
        await producer.stop()
    async with portal_desk.open_desk(database, tmp_path) as office:
        found = await ends_of(settings, office.outbox, (topic,))()
    assert found.offsets == {Place(topic, 0): 0, Place(topic, 1): 3}


async def test_an_id_on_a_topic_opens_no_request(database: str, tmp_path: Path) -> None:
    async with open_site(database, tmp_path) as site, person(site) as siti, person(site) as thief:
        await siti.ask()
        (code,) = await site.issue()
        told = site.codes[0].data.request
        cookie = next(held.value for held in siti.session.cookie_jar if held.key == "salur_code")
        assert cookie not in str(await site.office.pool.fetch("SELECT * FROM code_request"))
        assert told not in cookie
        await thief.get("/")
        for stolen in (told, told.removeprefix("q-")):
            thief.session.cookie_jar.update_cookies({"salur_code": stolen}, URL(site.url))
            assert (await thief.send("/code", code=code))[0] == 422
        assert (await siti.send("/code", code=code))[0] == 303


async def test_five_wrong_codes_end_a_request(database: str, tmp_path: Path) -> None:
    async with open_site(database, tmp_path) as site, person(site) as siti:
        await siti.ask()
        (code,) = await site.issue()
        wrong = f"{(int(code) + 1) % 10**6:06d}"
        pages = [await siti.send("/code", code=wrong) for _ in range(5)]
        assert {status for status, _, _ in pages} == {422}
        assert (await siti.send("/code", code=code))[0] == 422


async def test_an_officer_hands_out_a_code(database: str, tmp_path: Path) -> None:
    async with open_site(database, tmp_path) as site, person(site) as siti:
        async with site.desk.outbox.transaction() as transaction:
            earlier = await site.desk.issue_by_hand(transaction.tx, site.who, "officer-7")
        async with site.desk.outbox.transaction() as transaction:
            code = await site.desk.issue_by_hand(transaction.tx, site.who, "officer-7")
        assert len(code) == 10
        await siti.ask(UNKNOWN)
        assert (await siti.send("/code", code=code))[0] == 422, "it is this recipient's alone"
        await siti.ask()
        assert (await siti.send("/code", code=earlier))[0] == 422, "the next one ended it"
        assert (await siti.send("/code", code=code))[0] == 303
        assert "Sembako" in (await siti.get("/aid"))[1]
        assert code not in str(await site.office.pool.fetch("SELECT * FROM code"))


async def test_cookies_in_no_form_are_no_failure(database: str, tmp_path: Path) -> None:
    async with open_site(database, tmp_path) as site, aiohttp.ClientSession() as session:
        for name in ("salur_form", "salur_code", "salur_aid"):
            for path in ("/", "/code", "/aid"):
                sent = {"Cookie": f'{name}="\\000"'}
                async with session.get(site.url + path, headers=sent, allow_redirects=False) as answer:
                    assert answer.status in (200, 303), (name, path)
                    assert "Strict-Transport-Security" not in answer.headers, "on one machine without https"
        sent = {"Cookie": 'salur_form="\\000"; salur_code="\\000"'}
        fields = {"form": site.desk.form_token("\0"), "code": "123456"}
        async with session.post(f"{site.url}/code", headers=sent, data=fields, allow_redirects=False) as answer:
            assert answer.status == 422


async def test_browsers_come_by_https_only(database: str, tmp_path: Path) -> None:
    async with open_site(database, tmp_path, secure=True) as site, person(site) as siti:
        for path in ("/", "/aid", "/code"):
            assert (await siti.get(path))[2]["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"nik": "123", **BORN}, "NIK harus 16 angka"),
        ({"nik": NIK, **BORN, "day": "31", "month": "2"}, "Tanggal ini tidak ada"),
        ({"nik": NIK, **BORN, "day": "18"}, "tidak cocok dengan NIK"),
        ({"nik": NIK, **BORN, "form": "0" * 64}, "terlalu lama terbuka"),
        ({"nik": "9" * 3000}, "terlalu lama terbuka"),
    ],
)
async def test_what_is_not_taken(database: str, tmp_path: Path, fields: dict[str, str], said: str) -> None:
    async with open_site(database, tmp_path) as site, person(site) as siti:
        status, page, _ = await siti.send("/", **fields)
        assert status in (400, 422)
        assert said in page
        assert await site.office.pool.fetchval("SELECT count(*) FROM code_request") == 0
