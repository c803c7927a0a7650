"""What a stranger can make a service read: requests by hand, so that it shows how much was taken of them."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body

from services.notify.api import WEBHOOK_BYTES_MAX
from services.portal.console.gate import FORM_BYTES_MAX
from shared.privacy.hpke import SUBMISSION_BYTES_MAX
from shared.runtime.http import BODY_BYTES_MAX, create_app

PIECE = 65_536
router = APIRouter()


@router.post("/counted")
def counted(given: Annotated[list[str], Body()]) -> int:
    return len(given)


async def post(body: bytes) -> tuple[int, Any, int]:
    """Status, answer, and how many bytes were read."""
    read = 0
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal read
        piece = body[read : read + PIECE]
        read += len(piece)
        return {"type": "http.request", "body": piece, "more_body": read < len(body)}

    async def send(message: Any) -> None:
        answered.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/counted", "query_string": b"", "headers": headers}
    await create_app("payout", list, (router,))(scope, receive, send)
    return answered[0]["status"], orjson.loads(answered[1]["body"]), read


async def test_a_body_up_to_the_limit_is_read() -> None:
    body = b'["' + b"x" * (BODY_BYTES_MAX - 4) + b'"]'
    assert await post(body) == (200, 1, BODY_BYTES_MAX)


def test_it_is_more_than_any_endpoint_takes() -> None:
    assert max(WEBHOOK_BYTES_MAX, 2 * SUBMISSION_BYTES_MAX, FORM_BYTES_MAX) < BODY_BYTES_MAX


async def test_nothing_is_read_beyond_it() -> None:
    status, answer, read = await post(b'["' + b"x" * (10 * BODY_BYTES_MAX) + b'"]')
    assert (status, answer) == (413, {"detail": f"a request has at most {BODY_BYTES_MAX} bytes"})
    assert read <= BODY_BYTES_MAX + PIECE
