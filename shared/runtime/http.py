"""The HTTP side of every service: health, readiness, metrics, and its own endpoints."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import structlog
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import SalurError, Trouble
from shared.privacy import http_errors
from shared.runtime.failures import TROUBLE, is_trouble

log = structlog.get_logger()

BODY_BYTES_MAX = 4 * 1024 * 1024
"""More than any endpoint takes; most say by themselves that they take less. FastAPI reads a body before it asks who
sends it."""
FINISHED_WITHIN_S = 5
"""What a request at hand gets when the process stops: who sends half a body holds up nobody."""


async def body_up_to(request: Request, bytes_max: int) -> bytes | None:
    """The body; None where there is more, of which no more is read."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > bytes_max:
            return None
    return bytes(raw)


class _LimitedBody:
    """Nothing beyond BODY_BYTES_MAX is read of a request, whoever sends it and whatever it says of its length."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > BODY_BYTES_MAX:
                raise HTTPException(413, f"a request has at most {BODY_BYTES_MAX} bytes")
            return message

        await self.app(scope, limited, send)


Lost: TypeAlias = Callable[[Request, int], Response]
"""A page for people about an address or a method that is not there, with this status."""


def create_app(service: str, problems: Callable[[], list[str]], routers: tuple[APIRouter, ...]) -> FastAPI:
    """`problems` says in words why the service is not ready; none: it is."""
    app = FastAPI(title=f"Salur {service}", docs_url=None, redoc_url=None)

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> JSONResponse:
        found = problems()
        return JSONResponse({"status": "waiting" if found else "ready", "problems": found}, 503 if found else 200)

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return _with_answers(app, routers)


def create_public_app(service: str, routers: tuple[APIRouter, ...], lost: Lost | None = None) -> FastAPI:
    """For everybody: these endpoints alone. Metrics, readiness and a description of the interface would tell strangers
    what the process does. `lost` answers people who ask for what is not there; programs get JSON."""
    app = FastAPI(title=f"Salur {service}", docs_url=None, redoc_url=None, openapi_url=None)
    if lost is not None:

        @app.exception_handler(AnyHTTPException)
        async def not_there(request: Request, error: AnyHTTPException) -> Response:
            if error.status_code in (404, 405) and "text/html" in request.headers.get("accept", ""):
                answer = lost(request, error.status_code)
                answer.headers.update(error.headers or {})
                return answer
            return await http_exception_handler(request, error)

    return _with_answers(app, routers)


def _with_answers(app: FastAPI, routers: tuple[APIRouter, ...]) -> FastAPI:
    http_errors.install(app)
    app.add_middleware(_LimitedBody)

    @app.exception_handler(SalurError)
    async def refused(_: Request, error: SalurError) -> JSONResponse:
        return JSONResponse(
            {"error": error.message, "hint": error.hint, "code": type(error).__name__}, error.http_status
        )

    async def away(request: Request, error: Exception) -> JSONResponse:
        if not is_trouble(error):
            raise error
        log.warning("a call could not be answered", path=_route(request), error=type(error).__name__)
        body = {
            "error": "basis data sedang tidak menjawab / the database does not answer just now",
            "hint": "coba lagi sebentar lagi / ask again in a moment",
            "code": "Trouble",
        }
        return JSONResponse(body, Trouble.http_status)

    for kind in TROUBLE:
        if not issubclass(kind, SalurError):  # those say themselves what is wrong
            app.add_exception_handler(kind, away)
    for router in routers:
        app.include_router(router)
    return app


def _route(request: Request) -> str:
    """The path as it was declared: what stands in its variables may be a person's."""
    return str(getattr(request.scope.get("route"), "path", ""))


class _Server(uvicorn.Server):
    """Leaves signals to the process, which stops its stage and workers first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: FastAPI, host: str, port: int, stopping: asyncio.Event) -> None:
    """Serves until `stopping` is set, then finishes the requests at hand.

    The client's address is the connection's: what headers say of it counts only where a service is told of proxies.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        timeout_graceful_shutdown=FINISHED_WITHIN_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    told = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    server.should_exit = True
    await serving
