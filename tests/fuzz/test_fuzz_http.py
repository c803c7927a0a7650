"""Every endpoint answers whatever comes: never with a 5xx, always in the stated shape, and repeats nothing personal."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok

from shared.postgres import migrate, open_pool
from shared.runtime.emit import Outbox
from tests.fuzz import serving
from tests.fuzz.asking import PROPOSAL, STATUS, SUBMISSION, ask, bodies, check, signed, webhook
from tests.fuzz.mutations import NAME, NIK
from tests.fuzz.serving import OFFICER, VERIFY, served
from tests.integration.registry_desk import TOKENS, open_desk

EXAMPLES = 40
ODD_NAMES = (
    "\x00", "a\x00b", "%00", "..", "../../etc/passwd", "x" * 500, "é", "\u202e", " ", "\n", "'", "a;b", "{}", "\x7f",
    "r-" + "f" * 32, "sembako-2026-11\x00", "٢٠٢٦",
)  # fmt: skip


@pytest.fixture
async def registry(database: str, tmp_path: Path) -> AsyncIterator[str]:
    async with open_desk(database, tmp_path) as desk, served(serving.registry(desk)) as url:
        yield url


@pytest.fixture
async def payout(database: str) -> AsyncIterator[str]:
    await migrate(database, "payout")
    pool = await open_pool(database, "payout")
    async with served(serving.payout(Outbox("payout", pool, 8))) as url:
        yield url
    pool.terminate()


@pytest.fixture
async def notify(database: str) -> AsyncIterator[str]:
    await migrate(database, "notify")
    pool = await open_pool(database, "notify")
    async with served(serving.notify(Outbox("notify", pool, 8))) as url:
        yield url
    pool.terminate()


def _schemathesis(url: str, headers: dict[str, str]) -> int:
    """Every operation of the service's own OpenAPI, with data that fits it and data that does not."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        for mode in (schemathesis.GenerationMode.POSITIVE, _NEGATIVE):
            strategy = found.ok().as_strategy(generation_mode=mode)

            @seed(4)
            @hypothesis_settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def try_it(case: Any) -> None:
                nonlocal tried
                tried += 1
                answer = case.call(headers={**(case.headers or {}), **headers})
                check(answer.status_code, answer.text, case)

            try:
                try_it()
            except Unsatisfiable:
                assert mode is _NEGATIVE  # an operation without parameters can only be called rightly
    return tried


_NEGATIVE = schemathesis.GenerationMode.NEGATIVE


@pytest.mark.parametrize("token", [None, TOKENS["polman"]], ids=["nobody", "a source"])
async def test_registry_by_its_own_openapi(registry: str, token: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    assert await asyncio.to_thread(_schemathesis, registry, headers) > 100


@pytest.mark.parametrize("token", [None, OFFICER], ids=["nobody", "an officer"])
async def test_payout_by_its_own_openapi(payout: str, token: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    assert await asyncio.to_thread(_schemathesis, payout, headers) > 100


async def test_registry_takes_any_body(registry: str) -> None:
    chance = random.Random(4)
    headers = {"Authorization": f"Bearer {TOKENS['polman']}"}
    statuses = set()
    async with aiohttp.ClientSession(headers=headers) as session:
        for number, body in enumerate(bodies(chance, SUBMISSION, 120)):
            path = chance.choice(("/registrations", "/flags"))
            unique = body.replace(b'"id":"1"', b'"id":"n%d"' % number)
            statuses.add((await ask(session, "POST", registry + path, unique))[0])
        for sealed in ({"key_id": "sub-aaaaaaaa", "enc": "A" * 43, "ciphertext": "B" * 400}, NIK, {}, None, [NAME]):
            body = json.dumps({"id": "s1", "sealed": sealed}).encode()
            statuses.add((await ask(session, "POST", f"{registry}/registrations", body))[0])
        for name in ODD_NAMES:
            for kind in ("registrations", "flags"):
                assert (await ask(session, "GET", f"{registry}/{kind}/{quote(name, safe='')}"))[0] in (404, 422, 405)
    assert {202, 413, 422} <= statuses


async def test_wrong_tokens_are_refused(registry: str, payout: str) -> None:
    async with aiohttp.ClientSession() as session:
        for token in (
            "",
            "Bearer",
            "Bearer ",
            f"Basic {NIK}",
            "Bearer \xe9",
            f"Bearer {NAME}",
            "Bearer " + "x" * 6_000,
        ):
            headers = {"Authorization": token}
            for url in (f"{registry}/registrations", f"{payout}/cycles"):
                assert (await ask(session, "POST", url, b"{}", headers))[0] == 401


async def test_payout_takes_any_body(payout: str) -> None:
    chance = random.Random(4)
    headers = {"Authorization": f"Bearer {OFFICER}", "Content-Type": "application/json"}
    statuses = set()
    async with aiohttp.ClientSession(headers=headers) as session:
        for body in bodies(chance, PROPOSAL, 120):
            path = chance.choice(("/cycles", "/cycles/sembako-2026-11/approve"))
            statuses.add((await ask(session, "POST", payout + path, body))[0])
        for period in ("٢٠٢٦-11", "2026-13", "2026-Q4", "0000-01", "9999-12"):
            body = json.dumps(PROPOSAL | {"period": period}).encode()
            statuses.add((await ask(session, "POST", f"{payout}/cycles", body))[0])
        named = json.dumps(PROPOSAL | {"programme": NIK}).encode()
        assert (await ask(session, "POST", f"{payout}/cycles", named))[0] in (400, 404, 422)
        for name in ODD_NAMES:
            asked = f"{payout}/cycles/{quote(name, safe='')}"
            assert (await ask(session, "GET", asked))[0] in (404, 422)
            assert (await ask(session, "POST", f"{asked}/approve", b'{"by":"Budi"}'))[0] in (404, 405, 422)
    assert {201, 422} <= statuses


async def test_a_webhook_takes_any_body(notify: str) -> None:
    """Signed as the carrier's: even then its content may be anything. With a wrong signature nothing is read at all."""
    chance = random.Random(4)
    url = f"{notify}/webhooks/whatsapp"
    statuses = set()
    async with aiohttp.ClientSession() as session:
        for body in bodies(chance, STATUS, 80):
            for shape in (body, webhook(body)):
                statuses.add((await ask(session, "POST", url, shape, signed(shape)))[0])
                wrong = chance.choice((None, "", "sha256=", "sha256=" + "0" * 64, "\xe9", NIK, "x" * 6_000))
                refused = await ask(session, "POST", url, shape, {"X-Hub-Signature-256": wrong} if wrong else None)
                assert refused[0] in (401, 413)
        for word in ("", NAME, "\x00", "é", "x" * 3_000):
            asked = f"{url}?hub.mode=subscribe&hub.verify_token={quote(word)}&hub.challenge=1"
            async with session.get(asked) as response:
                assert response.status == 403
        async with session.get(
            f"{url}?hub.mode=subscribe&hub.verify_token={quote(VERIFY)}&hub.challenge=77"
        ) as response:
            assert (response.status, await response.text()) == (200, "77")
    assert {200, 400, 413} <= statuses
