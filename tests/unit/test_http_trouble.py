"""While the database is away an endpoint says so and that it is worth another try; a fault of ours stays one."""

from contextlib import suppress
from typing import Any

import asyncpg
import orjson
import pytest
from fastapi import APIRouter

from shared.errors import Trouble
from shared.runtime.http import create_app


async def answer_to(error: Exception) -> tuple[int, bytes]:
    """Status and body of a call whose endpoint raises this."""
    routes = APIRouter()
    answered: list[Any] = []

    @routes.get("/cycles/{cycle}")
    async def fails(cycle: str) -> None:
        raise error

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "GET", "path": "/cycles/one", "query_string": b"", "headers": []}
    with suppress(type(error)):  # a fault is raised on, to the server's log, once it was answered
        await create_app("payout", list, (routes,))(scope, receive, send)
    return answered[0]["status"], answered[1]["body"]


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.QueryCanceledError("secret"),
        asyncpg.PostgresConnectionError("secret"),
        asyncpg.InterfaceError("secret"),
        asyncpg.DeadlockDetectedError("secret"),
        ConnectionRefusedError("secret"),
        TimeoutError("secret"),
    ],
)
async def test_trouble_is_answered_503_in_words(error: Exception) -> None:
    status, body = await answer_to(error)
    assert status == 503
    assert orjson.loads(body)["code"] == "Trouble"
    assert b"secret" not in body


async def test_trouble_that_says_what_it_is_keeps_its_words() -> None:
    _, body = await answer_to(Trouble("the bank is away"))
    assert orjson.loads(body)["error"] == "the bank is away"


@pytest.mark.parametrize("error", [ValueError("x"), asyncpg.DataError("x"), asyncpg.UniqueViolationError("x")])
async def test_a_fault_of_ours_is_no_trouble(error: Exception) -> None:
    assert (await answer_to(error))[0] == 500
