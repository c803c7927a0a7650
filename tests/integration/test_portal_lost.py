"""Whoever mistypes an address, or goes back to a form's, reads words; programs read JSON."""

import aiohttp
import pytest
from fastapi import APIRouter

from services.portal.console.showing import Pages
from services.portal.lost import lost
from shared.runtime.http import create_public_app
from tests.fuzz.serving import served

PEOPLE, PROGRAM = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, {"Accept": "*/*"}


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/nowhere", 404, "Halaman ini tidak ada."),
        ("/en/nowhere", 404, "There is no such page."),
        ("/form", 405, "Halaman ini tidak ada."),
        ("/console/nowhere", 404, "mulai lagi dari ikhtisar"),
        ("/console/cycles/x/approve", 405, "mulai lagi dari ikhtisar"),
        ("/console/recipients/7604015708850001", 404, "mulai lagi dari ikhtisar"),
    ],
)
async def test_what_is_not_there(address: str, status: int, words: str) -> None:
    routes = APIRouter()
    for path in ("/form", "/console/cycles/{cycle}/approve"):
        routes.add_api_route(path, lambda: None, methods=["POST"])
    app = create_public_app("portal", (routes,), lost(Pages(issuer=None, secure=False)))
    async with served(app) as url, aiohttp.ClientSession() as session:
        async with session.get(url + address, headers=PEOPLE) as answer:
            text = await answer.text()
            assert (answer.status, words in text) == (status, True), text
            assert "7604015708850001" not in text
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers.get("allow") == ("POST" if status == 405 else None)
        async with session.get(url + address, headers=PROGRAM) as answer:
            assert (answer.status, "detail" in await answer.json()) == (status, True)
