"""A recipient's day and the public's, in a browser, on the demo's stack."""

import asyncio
import csv
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.async_api import Browser, Page

from tests.end_to_end.browsing import LARGE, SMALL, browser, check, page_of
from tests.end_to_end.conftest import Demo
from tests.slow import takes_minutes

CODE_WITHIN_S = 15.0


@pytest.fixture(scope="module")
def ports(demo: Demo) -> dict[str, int]:
    """Of every program, and `portal-public`, where its pages are."""
    by_instance = json.loads((demo.home / "ports.json").read_text())
    named = {process["name"]: process["port"] for process in demo.status()["processes"]}
    return {**named, "portal-public": by_instance["portal-public-0"]}


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browser() as opened:
        yield opened


def people(demo: Demo) -> Iterator[dict[str, str]]:
    """Those who are registered and gave a phone, as the demo's truth knows them."""
    wins = {
        told["nik"]
        for told in map(json.loads, (demo.home / "demo" / "truth.jsonl").open())
        if told["kind"] == "submission" and told.get("wins")
    }
    for row in csv.DictReader((demo.home / "demo" / "registrations.csv").open(encoding="utf-8")):
        if row["nik"] in wins and len(re.sub(r"\D", "", row["phone"])) >= 10:
            yield row


async def ask(page: Page, url: str, nik: str, birth_date: str) -> None:
    await page.goto(url)
    await page.get_by_label("NIK").fill(nik)
    for name, part in zip(("Tahun", "Bulan", "Tanggal"), birth_date.split("-"), strict=True):
        await page.get_by_label(name, exact=True).fill(part)
    await page.get_by_role("button", name="Kirim kode").click()


async def code_on_phone(page: Page, carrier: int, phone: str) -> str | None:
    """The last code that this phone shows; None where none comes: the demo's carrier loses some, and people write
    numbers of their own kind."""
    digits = re.sub(r"\D", "", phone)
    number = "62" + digits[1:] if digits.startswith("0") else digits
    for _ in range(int(CODE_WITHIN_S / 0.5)):
        answer = await page.request.get(f"http://127.0.0.1:{carrier}/phones/{number}")
        shown: list[str] = re.findall(r"(?:Bantuan Saya|My aid): (\d{6})", await answer.text())
        if shown:
            return shown[-1]
        await asyncio.sleep(0.5)
    return None


@pytest.mark.parametrize("width", [SMALL, LARGE])
async def test_a_recipients_day(demo: Demo, ports: dict[str, int], chromium: Browser, width: int) -> None:
    """From the first page to the own aid and out again; each page is looked at by axe, and works without scripts."""
    url = f"http://127.0.0.1:{ports['portal-public']}/"
    offset = 0 if width == SMALL else 40
    for row in list(people(demo))[offset : offset + 6]:
        async with page_of(chromium, width) as page:
            await ask(page, url, row["nik"], row["birth_date"])
            await page.wait_for_url("**/code")
            await check(page)
            code = await code_on_phone(page, ports["carrier"], row["phone"])
            if code is None:
                continue
            await page.get_by_label("Kode 6 atau 10 angka").fill(code)
            await page.get_by_role("button", name="Buka").click()
            await page.wait_for_url("**/aid")
            await check(page)
            text = await page.inner_text("main")
            assert "Sembako" in text
            assert "Cara mengajukan sanggah" in text
            assert row["nik"] not in await page.content()
            await page.get_by_role("link", name="English").click()
            assert "How to object" in await page.inner_text("main")
            await page.get_by_role("button", name="Log out").click()
            assert "You are logged out" in await page.inner_text("main")
            await page.goto(url + "aid")
            assert not page.url.endswith("/aid"), "nobody gets back in"
            return
    raise AssertionError("no code came to any of these phones")


async def test_whoever_mistypes_is_told_what_to_mend(ports: dict[str, int], chromium: Browser) -> None:
    async with page_of(chromium, SMALL) as page:
        await ask(page, f"http://127.0.0.1:{ports['portal-public']}/", "7604012304670003", "1967-04-24")
        assert "tidak cocok dengan NIK" in await page.inner_text("main")
        assert await page.get_by_label("NIK").input_value() == "7604012304670003", "what was typed is still there"
        await check(page)


async def test_the_open_figures(ports: dict[str, int], chromium: Browser) -> None:
    url = f"http://127.0.0.1:{ports['portal-public']}/figures"
    async with page_of(chromium, SMALL) as page:
        await page.goto(url)
        await check(page)
        assert "titik periksa audit" in await page.inner_text("main"), "the demo publishes at a checkpoint"
        await page.get_by_role("link", name="Polewali", exact=True).click()
        assert "Menurut desa dan kelurahan" in await page.inner_text("main")
        await check(page)
        document = await (await page.request.get(f"{url}.json")).json()
        lines = (await (await page.request.get(f"{url}.csv")).text()).splitlines()
    assert len(lines) == len(document["figures"]) + 1
    counts = [figure["value"] for figure in document["figures"] if figure["measure"] != "paid_idr"]
    assert all(count is None or count == 0 or (count >= 10 and count % 5 == 0) for count in counts)
    assert document["checkpoint"]["sha256"]
    assert len(document["positions_sha256"]) == 64
    assert "positions" not in document, "exact counts of events"


def test_the_public_port_tells_nothing_of_the_process(ports: dict[str, int]) -> None:
    """A counter that rises after a request would tell that its NIK is known."""
    for path in ("/metrics", "/readyz", "/healthz", "/openapi.json", "/docs"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{ports['portal-public']}{path}", timeout=5)
    with urlopen(f"http://127.0.0.1:{ports['portal']}/metrics", timeout=5) as answer:
        assert b"salur_codes_issued_total" in answer.read()
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"http://127.0.0.1:{ports['portal']}/", timeout=5)


async def test_pages_need_no_script(ports: dict[str, int], chromium: Browser) -> None:
    async with page_of(chromium, SMALL, scripts=False) as page:
        for path in ("/", "/en", "/figures", "/en/figures"):
            answer = await page.goto(f"http://127.0.0.1:{ports['portal-public']}{path}")
            assert answer is not None
            assert answer.status == 200
            assert "script" not in await page.content()


@takes_minutes
def test_a_rebuild_leaves_the_same_rows(demo: Demo) -> None:
    """Row for row, on a running stack; the audit then finds every row where its events say."""
    before = at_rest(demo)
    rebuilt = demo.salur("portal", "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert picture(demo) == before
    assert before["recipient"][0] > 500
    verified = demo.salur("audit", "verify", "portal", "--json")
    assert verified.returncode == 0, verified.stdout[-2000:] + verified.stderr


def at_rest(demo: Demo) -> dict[str, tuple[int, str]]:
    """Once nothing more comes of what the tests before asked for."""
    last: dict[str, tuple[int, str]] = {}
    for _ in range(30):
        now = picture(demo)
        if now == last:
            return now
        last = now
        time.sleep(2)
    raise AssertionError("the portal is never at rest")


def picture(demo: Demo) -> dict[str, tuple[int, str]]:
    """Count and digest of every table of the read model."""
    from services.portal.store.rebuild import READ_MODEL

    return asyncio.run(_digests(demo.environment()["SALUR_POSTGRES"], READ_MODEL))


async def _digests(url: str, tables: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        found = {}
        for table in tables:
            shown = "WHERE rows > 0" if table == "tally" else ""
            row = await connection.fetchrow(
                f"""
                SELECT count(*), md5(coalesce(string_agg(r::text, '|' ORDER BY r::text COLLATE "C"), ''))
                FROM portal.{table} AS r {shown}
                """
            )
            assert row
            found[table] = (row[0], row[1])
        return found
    finally:
        await connection.close()
