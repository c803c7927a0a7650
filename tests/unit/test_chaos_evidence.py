"""What a chaos run says of the monitor's counts."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from salur.chaos import evidence

NUMBERED = Counter({"payout.confirmed": 7, "recipient.registered": 10})


@pytest.fixture(autouse=True)
def numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(settings: Any) -> Counter[str]:
        return NUMBERED

    monkeypatch.setattr(evidence, "_numbered", found)
    monkeypatch.setattr(evidence, "_MONITOR_WITHIN_S", 1.5)
    monkeypatch.setattr(evidence, "_LOOK_EVERY_S", 0.01)


@asynccontextmanager
async def monitor(answer: Callable[[], list[dict[str, Any]]]) -> AsyncIterator[str]:
    async def windows(request: web.Request) -> web.Response:
        assert dict(request.query) == {"by": "district", "minutes": "1440"}
        return web.json_response({"rows": answer()})

    app = web.Application()
    app.router.add_get("/windows", windows)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def row(topic: str, events: int, **more: str) -> dict[str, Any]:
    return {"topic": topic, "events": events, **more}


async def test_counts_are_summed_over_districts_and_waited_for() -> None:
    looks = iter(range(9))

    def answer() -> list[dict[str, Any]]:
        late = row("payout.confirmed", 4, district="760402", programme="pkh") if next(looks) > 1 else {}
        alert = row("alert.raised", 2)
        known = [row("recipient.registered", 10), row("payout.confirmed", 3, district="760401", programme="pkh"), alert]
        return [*known, late] if late else known

    async with monitor(answer) as url:
        found = await evidence.watched(None, url)
    assert (found.events, found.wrong) == (17, [])


async def test_an_event_that_was_counted_twice_or_never_is_named() -> None:
    async with monitor(lambda: [row("recipient.registered", 11)]) as url:
        found = await evidence.watched(None, url)
    assert found.wrong == [
        "the monitor counts 0 payout.confirmed, there are 7",
        "the monitor counts 11 recipient.registered, there are 10",
    ]


async def test_a_monitor_that_does_not_answer_has_counted_nothing() -> None:
    found = await evidence.watched(None, "http://127.0.0.1:9")
    assert (found.events, len(found.wrong)) == (0, 2)
