"""How a simulator runs: one process, one event loop, one data folder of its own."""

import asyncio
import fcntl
import logging
import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import IO

import uvloop
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest

HANG_CHECK_S = 0.25
ANSWERS = Counter("simulator_http_answers", "Answers to HTTP requests", ["simulator", "route", "status"])


def common_options(parser: ArgumentParser, port: int) -> None:
    """The options that every simulator has; `port` is its default."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=port, help="port to listen on; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of its database, made when missing"
    )
    parser.add_argument(
        "--seed", type=int, default=2026, help="the same seed behaves the same towards the same input (default: 2026)"
    )


def share(text: str) -> float:
    """An option that is a share of all cases, 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def seconds(text: str) -> float:
    """An option that is a time in seconds or a number a second, 0 or more."""
    value = float(text)
    if value < 0:
        raise ArgumentTypeError(f"{text} is below 0")
    return value


def serve(name: str, make_app: Callable[[], web.Application], host: str, port: int, data: Path) -> None:
    """Serve until SIGTERM or SIGINT. Prints one line with the address once the port is open; exits 1 when the data
    folder belongs to a process that still runs."""
    logging.basicConfig(level=logging.WARNING, format=f"{name} %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    data.mkdir(parents=True, exist_ok=True)
    lock = _lock(name, data)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(name, make_app, host, port))
    finally:
        lock.close()


def _lock(name: str, data: Path) -> IO[str]:
    lock = (data / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"{name}: another process already runs on {data}; stop it or give another --data")
    return lock


async def _serve(name: str, make_app: Callable[[], web.Application], host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = make_app()
    _expose(name.partition(" ")[0], app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            sys.exit(f"{name}: cannot listen on {host}:{port}: {error.strerror}")
        open_port = runner.addresses[0][1]
        print(f"{name}: http://{host}:{open_port}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def _expose(simulator: str, app: web.Application) -> None:
    """Adds `GET /metrics`, and counts answers by route and status; what is cut off without an answer is not one."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def count(request: web.Request, response: web.StreamResponse) -> None:
        if request.transport is None or request.transport.is_closing():
            return
        resource = request.match_info.route.resource
        ANSWERS.labels(simulator, resource.canonical if resource else "", response.status).inc()

    app.router.add_get("/metrics", metrics)
    app.on_response_prepare.append(count)


def cut(request: web.Request) -> web.Response:
    """Break the caller's connection without an answer; return what this gives from the handler."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def hang(request: web.Request, hang_s: float) -> web.Response:
    """Leave the caller without an answer until it goes away or `hang_s` have passed, then break the connection."""
    give_up_at = time.monotonic() + hang_s
    while time.monotonic() < give_up_at:
        if request.transport is None or request.transport.is_closing():
            break
        await asyncio.sleep(min(HANG_CHECK_S, hang_s))
    return cut(request)
