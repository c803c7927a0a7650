"""A service that is told to stop stops, whatever a client does."""

import asyncio

import pytest
from fastapi import FastAPI

from shared.runtime import http
from shared.runtime.http import serve
from tests.integration.notify_desk import free_port


async def test_half_a_request_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FINISHED_WITHIN_S", 1)
    stopping, app, port = asyncio.Event(), FastAPI(), free_port()

    @app.post("/in")
    async def take(body: dict[str, str]) -> dict[str, str]:
        return body

    serving = asyncio.create_task(serve(app, "127.0.0.1", port, stopping))
    writer = None
    while writer is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
    writer.write(b"POST /in HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.2)
    stopping.set()
    ended, _ = await asyncio.wait({serving}, timeout=15)
    writer.close()
    assert ended == {serving}
