"""The HTTP endpoints of registry, payout and notify on a real database, without Kafka behind them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import APIRouter, FastAPI
from pydantic import SecretStr

from services.notify.api import router as notify_router
from services.payout import api as payout_api
from services.payout import configuration
from services.registry.api import make_router
from shared.runtime.emit import Outbox
from shared.runtime.http import create_app, serve
from tests.integration.notify_desk import SECRET, free_port
from tests.integration.registry_desk import SOURCES, Desk

OFFICER = "the-token-of-the-officers"
VERIFY = "a word to verify with"


def registry(desk: Desk) -> FastAPI:
    return create_app("registry", list, (make_router(desk.outbox, desk.keyring, SOURCES, desk.fingerprint),))


def payout(outbox: Outbox) -> FastAPI:
    return create_app("payout", list, (payout_api.router(outbox, configuration.load(), SecretStr(OFFICER)),))


def notify(outbox: Outbox) -> FastAPI:
    routers: tuple[APIRouter, ...] = (notify_router(outbox, SECRET, VERIFY),)
    return create_app("notify", list, routers)


@asynccontextmanager
async def served(app: FastAPI, port: int = 0) -> AsyncIterator[str]:
    """The app on a port of its own, or on `port`; its address."""
    port, stopping = port or free_port(), asyncio.Event()
    serving = asyncio.create_task(serve(app, "127.0.0.1", port, stopping))
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session:
            for _ in range(100):
                try:
                    async with session.get(f"{url}/healthz"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        yield url
    finally:
        stopping.set()
        await serving
