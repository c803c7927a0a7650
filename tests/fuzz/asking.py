"""Junk for HTTP endpoints, and what every answer must hold."""

import hmac
import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import aiohttp

from shared.events.topics import Service
from tests.fuzz.mutations import ANY, DEAD, NAME, NOT_OBJECTS, PERSONAL, WEIRD
from tests.fuzz.serving import OFFICER
from tests.integration.notify_desk import SECRET
from tests.integration.registry_desk import RIGHT, TOKENS

_TOLD_AGAIN = ("id", "by")
"""What a source calls its submission, and an officer's name: they are told again, so nothing personal is put there."""
_IMPERSONAL = tuple(value for value in WEIRD if not any(secret in str(value) for secret in PERSONAL))
SUBMISSION = {"id": "1", **RIGHT, "name": NAME}
PROPOSAL = {"programme": "sembako", "period": "2026-11", "budget_idr": 10**9, "by": "Ani"}
STATUS = {
    "id": "wamid.x", "status": "delivered", "biz_opaque_callback_data": "m-" + "0" * 32, "errors": [{"code": 1}],
}  # fmt: skip


class Asked(NamedTuple):
    """One request."""

    path: str
    body: bytes
    headers: dict[str, str]


def check(status: int, body: str, what: object) -> None:
    """Never the service's own fault, always in the stated shape, and nothing personal is repeated."""
    assert status < 500, (status, body[:300], what)
    for secret in PERSONAL:
        assert secret not in body, ("repeated", secret, what)
    if status >= 400:
        told = json.loads(body)
        assert set(told) in ({"error", "hint", "code"}, {"detail"}), (body[:300], what)


async def ask(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    async with session.request(method, url, data=body, headers=headers) as response:
        text = (await response.read()).decode("utf-8")
        check(response.status, text, (method, url[:120], (body or b"")[:200]))
        return response.status, text


def as_json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def bodies(chance: random.Random, good: dict[str, Any], count: int) -> Iterator[bytes]:
    """Spoilt bodies of one endpoint: bytes, JSON, and right JSON with one field that is not."""
    raw = as_json(
        {"id": "x"} | good | {"type": "x", "source": "x", "subject": "x", "time": "x", "data": {"revision": 1}}
    )
    ways = [*DEAD.values(), *ANY.values()]
    for _ in range(count):
        yield chance.choice(ways)(chance, raw)
        field = chance.choice(list(good))
        yield as_json(good | {field: chance.choice(_IMPERSONAL if field in _TOLD_AGAIN else WEIRD)})
        yield as_json(good | {chance.choice(list(good)): "a\x00b"})
    for depth, value in itertools.product((200, 260, 900, 5_000), (b"[", b'{"a":')):
        closing = b"]" if value == b"[" else b"}"
        yield as_json(good)[:-1] + b',"extra":' + value * depth + b"1" + closing * depth + b"}"
    yield from NOT_OBJECTS
    yield as_json(good | {"extra": "\ud800"})
    yield b"x" * 3_500_000


def signed(body: bytes) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()}


def requests(service: Service, seed: int) -> Iterator[Asked]:
    """Endless, for the endpoints of one service that take a body."""
    chance = random.Random(seed)
    for round_ in itertools.count():
        for number, body in enumerate(bodies(chance, _GOOD[service], 1_000)):
            yield _ASK[service](chance, body.replace(b'"id":"1"', b'"id":"n%d-%d"' % (round_, number)))


def _submission(chance: random.Random, body: bytes) -> Asked:
    token = {"Authorization": f"Bearer {TOKENS['polman']}"}
    return Asked(chance.choice(("/registrations", "/flags")), body, token)


def _proposal(chance: random.Random, body: bytes) -> Asked:
    headers = {"Authorization": f"Bearer {OFFICER}", "Content-Type": "application/json"}
    return Asked(chance.choice(("/cycles", "/cycles/sembako-2026-11/approve")), body, headers)


def webhook(body: bytes) -> bytes:
    """The body as one status inside what the carrier posts."""
    return b'{"object":"whatsapp_business_account","entry":[{"changes":[{"value":{"statuses":[' + body + b"]}}]}]}"


def _status(chance: random.Random, body: bytes) -> Asked:
    shape = chance.choice((body, webhook(body)))
    return Asked("/webhooks/whatsapp", shape, signed(shape) if chance.random() < 0.8 else {})


_GOOD: dict[Service, dict[str, Any]] = {"registry": SUBMISSION, "payout": PROPOSAL, "notify": STATUS}
_ASK: dict[Service, Callable[[random.Random, bytes], Asked]] = {
    "registry": _submission,
    "payout": _proposal,
    "notify": _status,
}
ASKED: tuple[Service, ...] = tuple(_ASK)
