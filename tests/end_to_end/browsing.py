"""Chromium as people use it, small and large, and what axe says of a page."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

SMALL, LARGE = 360, 1280
_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
_STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def chromium() -> str:
    """Skips the test where there is none."""
    found = os.environ.get("SALUR_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium on PATH or in SALUR_CHROMIUM")
    return found


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium(), args=list(_ARGUMENTS))
        try:
            yield opened
        finally:
            await opened.close()


@asynccontextmanager
async def page_of(opened: Browser, width: int, *, scripts: bool = True) -> AsyncIterator[Page]:
    """A fresh profile. `scripts`: axe needs them; pages do not."""
    context = await opened.new_context(viewport={"width": width, "height": 800}, java_script_enabled=scripts)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def check(page: Page, *, bytes_max: int = 50_000, bare: bool = True) -> None:
    """On a phone and on a desk: no violation of WCAG 2.2 AA, and nothing beside the page's own width. And no more bytes
    than a poor network bears.

    `bare`: the page fetches nothing else, no style and no script.
    """
    shown = page.viewport_size
    for width in (SMALL, LARGE):
        await page.set_viewport_size({"width": width, "height": 800})
        found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": _STANDARDS}})
        assert found.violations_count == 0, found.generate_report()
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{page.url} is {wide} px wider than a screen of {width} px"
    if shown:
        await page.set_viewport_size(shown)
    assert len((await page.content()).encode()) < bytes_max
    resources = await page.evaluate("performance.getEntriesByType('resource').length")
    assert resources == 0 or not bare, "everything is in the page"


async def picture(page: Page, name: str) -> None:
    """Kept where SALUR_PICTURES says, to be looked at; nowhere else."""
    if folder := os.environ.get("SALUR_PICTURES"):
        await page.screenshot(path=f"{folder}/{name}.png")


def complaints_of(page: Page) -> list[str]:
    """What the browser will say about this page: errors, warnings, what the content policy blocks."""
    heard: list[str] = []
    page.on("console", lambda said: heard.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard
