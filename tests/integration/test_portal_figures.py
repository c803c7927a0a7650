"""Editions of the open figures: published once a date, apart from each other, as they were rounded, and traceable."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from services.portal.domain.disclosure import SMALL
from services.portal.figures.editions import Editions
from services.portal.figures.pages import FigurePages, router
from services.portal.figures.publish import Press, TooSoon, due_on, publish
from services.portal.texts import catalogue
from shared.runtime.http import create_app
from tests.fuzz.serving import served
from tests.integration.portal_desk import ELSEWHERE, NEXT_VILLAGE, VILLAGE, Desk, cycle_and_dead, open_desk, story

SECRET = b"a secret of the portal"
FIRST = datetime(2026, 11, 30, 18, 30, tzinfo=UTC)  # 1 December, 02:30 WITA
COUNTS = {VILLAGE: 12, NEXT_VILLAGE: 3, ELSEWHERE: 25}


async def fill(desk: Desk) -> None:
    number = 0
    await desk.hand(cycle_and_dead())
    for village, families in COUNTS.items():
        for _ in range(families):
            number += 1
            await desk.hand(story(number, village=village))


async def test_an_edition(database: str, tmp_path: Path) -> None:
    async with open_desk(database, tmp_path) as desk:
        await fill(desk)
        clock = [FIRST]
        press = Press(desk.pool, "7604", (1, 15), SECRET, desk.ends_now(lambda: clock[0]), now=lambda: clock[0])
        place = next(iter(desk.offset))
        desk.offset[place] += 1
        assert await press.publish_due() == 0, "a message is not read yet"
        desk.offset[place] -= 1
        assert await press.publish_due() == 1
        assert await press.publish_due() == 0, "once a date"
        clock[0] += timedelta(days=1)
        assert await press.publish_due() == 0, "on its days only"
        with pytest.raises(TooSoon):
            async with desk.pool.acquire() as connection:
                await publish(connection, "7604", date(2026, 12, 3), clock[0], SECRET)
        known = {"sha256": "0" * 64, "made_at": "2026-12-03T00:00:00Z", "key": "key-1"}
        async with desk.pool.acquire() as connection:
            assert await publish(
                connection, "7604", date(2026, 12, 3), clock[0], SECRET, checkpoint=known, instead=True
            )
        assert await desk.pool.fetchval("SELECT array_agg(edition) FROM edition") == [date(2026, 12, 3)]
        rows = await desk.pool.fetch("SELECT area, value FROM figure WHERE measure = 'registered'")
        shown = dict(rows)
        assert shown[NEXT_VILLAGE] is None, "three families"
        assert shown[VILLAGE] is None, "hidden with it, or the district less it would say three"
        assert shown["760401"] == 15
        assert shown["7604"] == 40
        paid = await desk.pool.fetchval(
            "SELECT value FROM figure WHERE measure = 'paid_idr' AND area = '7604' AND programme = 'sembako'"
        )
        assert paid == 8_000_000, "40 families, rounded to one million"
        await _pages_say_the_same(desk)


async def test_an_edition_of_a_checkpoint_is_never_in_the_way_of_the_service(database: str, tmp_path: Path) -> None:
    """The service publishes on its date at the same time: whoever is first, the checkpoint's is there in the end."""
    known = {"sha256": "0" * 64, "made_at": "2026-12-01T00:00:00Z", "key": "key-1"}
    async with open_desk(database, tmp_path) as desk:
        await fill(desk)
        press = Press(desk.pool, "7604", (1,), SECRET, desk.ends_now(lambda: FIRST), now=lambda: FIRST)

        async def by_command() -> bool:
            async with desk.pool.acquire() as connection:
                day = date(2026, 12, 1)
                return await publish(connection, "7604", day, FIRST, SECRET, checkpoint=known, instead=True)

        for _ in range(10):
            _, published = await asyncio.gather(press.publish_due(), by_command())
            assert published
            assert await desk.pool.fetchval("SELECT array_agg(checkpoint ->> 'key') FROM edition") == ["key-1"]
            await desk.pool.execute("DELETE FROM edition")


@asynccontextmanager
async def asked(desk: Desk) -> AsyncIterator[Callable[..., Awaitable[tuple[int, str, dict[str, str]]]]]:
    app = create_app("portal", list, (router(FigurePages(Editions(desk.pool), catalogue())),))
    async with served(app) as url, aiohttp.ClientSession() as session:

        async def get(path: str, headers: dict[str, str] | None = None) -> tuple[int, str, dict[str, str]]:
            async with session.get(url + path, headers=headers) as answer:
                return (
                    answer.status,
                    await answer.text(),
                    {name.lower(): value for name, value in answer.headers.items()},
                )

        yield get


async def _pages_say_the_same(desk: Desk) -> None:
    app = create_app("portal", list, (router(FigurePages(Editions(desk.pool), catalogue())),))
    async with served(app) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/figures.json") as answer:
            document = json.loads(await answer.read())
        async with session.get(f"{url}/figures.csv") as answer:
            lines = list(csv.DictReader(io.StringIO(await answer.text())))
        async with session.get(f"{url}/en/figures") as answer:
            page = await answer.text()
        async with session.get(f"{url}/figures?edition=2026-01-01") as answer:
            assert answer.status == 404
        async with session.get(f"{url}/figures?edition=nonsense&district='") as answer:
            assert answer.status == 404
    assert document["checkpoint"]["key"] == "key-1"
    held = json.loads(await desk.pool.fetchval("SELECT positions FROM edition"))
    assert held["recipient.registered"], "they stay in the table, whose hash is published"
    told_of = json.dumps(held, sort_keys=True, separators=(",", ":")).encode()
    assert document["positions_sha256"] == sha256(told_of).hexdigest()
    assert "positions" not in document
    told = {
        (f["measure"], f["programme"], f["period"], f["reason"], f["area"]): f["value"] for f in document["figures"]
    }
    listed = {
        tuple(line[n] for n in ("measure", "programme", "period", "reason", "area")): line["value"] for line in lines
    }
    assert listed == {key: "" if value is None else str(value) for key, value in told.items()}
    assert all(value is None or value == 0 or value >= SMALL for value in told.values())
    assert "Kab. Polewali Mandar" in page
    assert "Rp8 million" in page
    assert "<script" not in page


async def test_an_earlier_edition_stays_the_one_that_was_asked_for(database: str, tmp_path: Path) -> None:
    async with open_desk(database, tmp_path) as desk:
        await fill(desk)
        async with desk.pool.acquire() as connection:
            for edition in (date(2026, 11, 1), date(2026, 12, 1)):
                assert await publish(connection, "7604", edition, FIRST, SECRET)
        async with asked(desk) as get:
            page = (await get("/figures?edition=2026-11-01"))[1]
            assert 'href="/figures?edition=2026-11-01&amp;district=760402"' in page
            assert 'href="/en/figures?edition=2026-11-01"' in page
            assert 'href="/figures?edition=2026-12-01"' in page, "the newest is one of the others"
            page = (await get("/en/figures?edition=2026-11-01&district=760402&x=%22"))[1]
            assert 'href="/en/figures?edition=2026-11-01"' in page, "all districts"
            assert 'href="/figures?edition=2026-11-01&amp;district=760402"' in page, "the other language"
            assert 'href="/en/figures?edition=2026-12-01&amp;district=760402"' in page
            page = (await get("/figures"))[1]
            assert 'href="/figures?district=760402"' in page, "the newest, whichever it is by then"
            assert 'href="/en/figures"' in page


async def test_what_is_sent_is_made_once_and_anew_for_another_edition_of_its_date(
    database: str, tmp_path: Path
) -> None:
    async with open_desk(database, tmp_path) as desk, asked(desk) as get:
        await fill(desk)
        async with desk.pool.acquire() as connection:
            assert await publish(connection, "7604", FIRST.date(), FIRST, SECRET)
        status, _, headers = await get("/figures.json")
        assert status == 200
        await desk.pool.execute("UPDATE figure SET value = 0")  # nobody does; who is asked again does not look
        again = await get("/figures.json", {"If-None-Match": headers["etag"]})
        assert (again[0], again[1], again[2]["etag"]) == (304, "", headers["etag"])
        csv_of = (await get("/figures.csv"))[2]
        assert csv_of["etag"] != headers["etag"]
        async with desk.pool.acquire() as connection:
            later = FIRST + timedelta(hours=1)
            assert await publish(connection, "7604", FIRST.date(), later, SECRET, instead=True)
        status, _, newer = await get("/figures.json", {"If-None-Match": headers["etag"]})
        assert (status, newer["etag"] != headers["etag"]) == (200, True)


async def test_nothing_is_no_edition(database: str, tmp_path: Path) -> None:
    async with open_desk(database, tmp_path) as desk:
        press = Press(desk.pool, "7604", (1, 15), SECRET, desk.ends_now(lambda: FIRST), now=lambda: FIRST)
        assert await press.publish_due() == 0


def test_when_an_edition_is_due() -> None:
    assert due_on(datetime(2026, 11, 30, 17, 59, tzinfo=UTC), (1,)) is None, "not yet two in the night"
    assert due_on(datetime(2026, 11, 30, 18, 0, tzinfo=UTC), (1,)) == date(2026, 12, 1)
    assert due_on(datetime(2026, 12, 2, 0, 0, tzinfo=UTC), (1,)) is None
    assert due_on(datetime(2026, 12, 1, 0, 0, tzinfo=UTC), ()) is None
