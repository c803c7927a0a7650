"""Each officer's day in a browser, on a running demo: from the village that registers to the auditor who looks back.

The village and the ops team on a phone, regency, ministry and auditor at a desk; every page is checked with axe at both
widths. (Named so that it comes after the tests which count what the demo left.)
"""

import asyncio
import csv
import json
import re
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from playwright.async_api import Browser, Page, expect

from tests.end_to_end import browsing
from tests.end_to_end.browsing import LARGE, SMALL, browser, complaints_of, page_of, picture
from tests.end_to_end.conftest import Demo

VILLAGE, OUTSIDE = "7604012004", "7604041001"  # Lekopadis; Polewali
FAMILY = {
    "name": "Hasniah Contoh",
    "birth_date": "1988-03-09",
    "decile": "2",
    "income_idr": "700.000",
    "phone": "081234500077",
    "account_bank": "002",
    "account_number": "004101000777456",
    "account_holder": "Hasniah Contoh",
}
NIK, FAMILY_CARD = "7604014903880074", "7604010101150774"
PERIOD = "2027-03"


FROM_SOURCE, REPLAYED = "registration.submitted.polman", "replay.registry"
"""What a source with a fault sends is not put back: it must submit anew. What was put back before is."""


@pytest.fixture(scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest.fixture(scope="module")
def console(demo: Demo) -> str:
    return f"http://127.0.0.1:{json.loads((demo.home / 'ports.json').read_text())['portal-public-0']}/console"


async def check(page: Page) -> None:
    await browsing.check(page, bytes_max=300_000, bare=False)


async def sign_in(page: Page, console: str, subject: str) -> None:
    await page.goto(console)
    await page.get_by_role("link", name="Masuk", exact=True).click()
    await page.locator(f"button[value='{subject}']").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Alur yang sedang berjalan")


async def sign_out(page: Page) -> None:
    await page.get_by_role("button", name="Keluar").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Konsol petugas")


def a_recipient(demo: Demo, village: str) -> str:
    """The NIK of somebody registered in this village."""
    truth = [json.loads(line) for line in (demo.home / "demo" / "truth.jsonl").open()]
    niks = {one["nik"] for one in truth if one["kind"] == "submission" and one.get("wins")}
    with (demo.home / "demo" / "registrations.csv").open() as file:
        return next(row["nik"] for row in csv.DictReader(file) if row["village"] == village and row["nik"] in niks)


async def test_the_village_registers_and_hands_out_a_code(demo: Demo, console: str, chrome: Browser) -> None:
    async with page_of(chrome, SMALL) as page:
        complaints = complaints_of(page)
        await sign_in(page, console, "lekopadis-operator")
        await check(page)
        assert "Polewali, Polewali" not in await page.content()
        await page.get_by_role("link", name="Daftarkan").click()
        await check(page)
        for name, value in {**FAMILY, "nik": NIK, "kk": FAMILY_CARD}.items():
            await page.locator(f"[name={name}]").fill(value)
        await page.locator("[name=sex]").select_option("P")
        await page.locator("[name=role]").select_option("spouse")
        await page.locator("[name=member1_birth_date]").fill("2016-05-02")
        await page.locator("[name=member1_sex]").select_option("L")
        await page.locator("[name=member1_school]").select_option("sd")
        await picture(page, "console-register")
        await page.get_by_role("button", name="Kirim pendaftaran").click()
        await page.get_by_role("link", name="Lihat penerima ini").click(timeout=60_000)
        await expect(page.get_by_role("heading", name="Seluruh riwayat")).to_be_visible()
        assert NIK not in await page.content()
        assert NIK not in page.url
        await page.get_by_role("checkbox").check()
        await page.get_by_role("button", name="Buat kode").click()
        await expect(page.locator(".big-code")).to_have_text(re.compile(r"\d{3} \d{3}"))
        await check(page)
        await page.get_by_role("link", name="Penerima").click()
        await page.get_by_label("Nomor penerima atau NIK").fill(a_recipient(demo, OUTSIDE))
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("Tidak ada penerima seperti itu di wilayah Anda")
        await check(page)
        await sign_out(page)
    assert [c for c in complaints if "404" not in c] == []


async def test_the_regency_proposes_and_the_ministry_approves(console: str, chrome: Browser) -> None:
    async with page_of(chrome, LARGE) as page:
        complaints = complaints_of(page)
        await sign_in(page, console, "polman-pengusul")
        await page.get_by_role("link", name="Periode salur").click()
        await check(page)
        await page.locator("[name=programme]").select_option("sembako")
        await page.locator("[name=period]").fill(PERIOD)
        await page.locator("[name=budget_idr]").fill("1.000.000")
        await page.get_by_role("button", name="Usulkan").click()
        await expect(page.get_by_role("status")).to_contain_text("Petugas lain harus mengesahkannya")
        assert await page.get_by_role("button", name="Sahkan periode ini").count() == 0
        await sign_out(page)
        await sign_in(page, console, "pusat-pengesah")
        await page.get_by_role("link", name="Periode salur").click()
        await page.get_by_role("link", name=f"Sembako, {PERIOD}").click()
        await check(page)
        await page.get_by_role("button", name="Sahkan periode ini").click()
        await expect(page.get_by_role("status")).to_contain_text("Periode disahkan")
        await expect(page.get_by_text("Disahkan oleh Ratna Wulandari [pusat-pengesah]")).to_be_visible()
        await expect(page.get_by_text("Diusulkan oleh Andi Rahman [polman-pengusul]")).to_be_visible()
        await picture(page, "console-cycle")
        await sign_out(page)
    assert complaints == []


async def test_the_auditor_reads_the_record_and_puts_a_dead_letter_back(
    demo: Demo, console: str, chrome: Browser
) -> None:
    for topic in (FROM_SOURCE, REPLAYED):
        await _junk(demo, topic)
    async with page_of(chrome, LARGE) as page:
        complaints = complaints_of(page)
        await sign_in(page, console, "pusat-auditor")
        letters = {topic: page.locator("tbody tr", has_text=topic).first for topic in (FROM_SOURCE, REPLAYED)}
        for _ in range(60):
            await page.goto(f"{console}/dead-letters?service=registry")
            if all([await letter.count() for letter in letters.values()]):
                break
            await asyncio.sleep(0.5)
        await check(page)
        await picture(page, "console-letters")
        await letters[FROM_SOURCE].get_by_role("button", name=re.compile("Kembalikan")).click()
        await expect(page.get_by_role("status")).to_contain_text("Sumber itu harus mengirim ulang")
        await letters[REPLAYED].get_by_role("button", name=re.compile("Kembalikan")).click()
        await expect(page.get_by_role("status")).to_contain_text("Pesan dikembalikan ke layanannya")
        await expect(page.get_by_text("Yusuf Hidayat").nth(1)).to_be_visible()
        await page.get_by_role("link", name="Jejak").click()
        await check(page)
        await picture(page, "console-record")
        rows = await page.locator("tbody").inner_text()
        assert "mengembalikan pesan tak terolah" in rows
        await page.get_by_label("Akun petugas").fill("pusat-auditor")
        await page.get_by_role("button", name="Saring").click()
        await expect(page.locator("tbody tr").first).to_contain_text("pusat-auditor")
        await sign_out(page)
    assert complaints == []


async def test_operations_look_at_the_flow_and_follow_a_failed_payout(console: str, chrome: Browser) -> None:
    async with page_of(chrome, SMALL) as page:
        complaints = complaints_of(page)
        await sign_in(page, console, "pusat-operasi")
        await expect(page.locator(".flow > li")).to_have_count(4)
        await picture(page, "console-overview")
        before = await page.locator(".as-of").inner_text()
        await expect(page.locator(".as-of")).not_to_have_text(before, timeout=15_000)  # htmx fetched it anew
        await check(page)
        await page.get_by_role("link", name="Gagal salur").click()
        await check(page)
        await picture(page, "console-failures")
        await page.locator("td a.id").first.click()
        await expect(page.get_by_role("heading", name="Seluruh riwayat")).to_be_visible()
        await check(page)
        await picture(page, "console-recipient")
        for name, title in (("Ditolak", "Pendaftaran yang ditolak"), ("Peringatan", "Peringatan")):
            await page.get_by_role("link", name=name, exact=True).click()
            await expect(page.get_by_role("heading", level=1)).to_have_text(title)
            await check(page)
            await picture(page, f"console-{name.lower()}")
        await page.get_by_role("link", name="English").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Alerts")
    assert complaints == []


async def test_a_page_works_by_keyboard_and_without_script(console: str, chrome: Browser) -> None:
    async with page_of(chrome, LARGE, scripts=False) as page:
        complaints = complaints_of(page)
        await sign_in(page, console, "pusat-operasi")
        await page.goto(f"{console}/recipients")
        await page.keyboard.press("Tab")  # the field has the focus; the skip link is before it
        await page.goto(console)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Langsung ke isi")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()
        await page.get_by_role("link", name="Ditolak").click()
        first = await page.locator("tbody").last.inner_text()
        if await page.get_by_role("link", name="Tampilkan berikutnya").count():
            await page.get_by_role("link", name="Tampilkan berikutnya").click()
            assert await page.locator("tbody").last.inner_text() != first
    assert complaints == []


async def _junk(demo: Demo, topic: str) -> None:
    """A message that the registry cannot read."""
    producer = AIOKafkaProducer(bootstrap_servers=demo.environment()["SALUR_KAFKA"])
    await producer.start()
    await producer.send_and_wait(topic, b"junk", key=b"junk")
    await producer.stop()
