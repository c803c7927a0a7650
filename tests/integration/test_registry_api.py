"""The registry over HTTP: a source submits, its submission is answered by the stage, and it asks what became of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.events.topics import intake_topic
from shared.privacy import seal_submission
from tests.fuzz.serving import registry, served
from tests.integration.registry_desk import NIK, RIGHT, TOKENS, Desk, open_desk


class Client:
    """A source that speaks HTTP to the registry of a desk."""

    def __init__(self, desk: Desk, session: aiohttp.ClientSession, url: str) -> None:
        self.desk, self._session, self._url = desk, session, url

    async def ask(self, method: str, path: str, body: Any = None, source: str | None = "polman") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {TOKENS[source]}"} if source else {}
        async with self._session.request(method, self._url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def let_the_stage_answer(self) -> list[Any]:
        """Carries what the endpoint put into the outbox to the stage."""
        events = await self.desk.emitted()
        messages = [self.desk.carry(e, intake_topic(type(e.data), e.source)) for e in events]
        return await self.desk.handle(*messages)


@pytest.fixture
async def client(database: str, tmp_path: Path) -> AsyncIterator[Client]:
    async with (
        open_desk(database, tmp_path) as desk,
        served(registry(desk)) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Client(desk, session, url)


async def test_a_registration_is_taken_and_answered(client: Client) -> None:
    body = {"id": "desa/7?1", "submitted_at": "2026-11-20T16:00:00+08:00", **RIGHT}
    status, told = await client.ask("POST", "/registrations", body)
    assert (status, told) == (202, {"id": "desa/7?1", "status": "pending", "href": "/registrations/desa/7%3F1"})
    (event,) = await client.let_the_stage_answer()
    assert event.data.submission.submitted_at.isoformat() == "2026-11-20T08:00:00+00:00"
    status, told = await client.ask("GET", "/registrations/desa/7%3F1")
    assert status == 200
    assert told | {"answered_at": ""} == {
        "id": "desa/7?1",
        "status": "registered",
        "detail": "new",
        "recipient": client.desk.keyring.recipient_id(NIK),
        "submitted_at": "2026-11-20T08:00:00+00:00",
        "answered_at": "",
    }


async def test_a_repeated_post_has_no_effect_and_another_content_is_refused(client: Client) -> None:
    for _ in range(2):
        assert (await client.ask("POST", "/registrations", {"id": "1", **RIGHT}))[0] == 202
    assert len(await client.let_the_stage_answer()) == 1
    status, told = await client.ask("POST", "/registrations", {"id": "1", **RIGHT})
    assert (status, told["status"]) == (202, "registered")
    assert await client.desk.emitted() == []
    assert (await client.ask("POST", "/registrations", {"id": "1", **RIGHT, "decile": 9}))[0] == 409
    flag = {"nik": NIK, "flag": "deceased", "since": "2026-01-01", "raised": True}
    assert (await client.ask("POST", "/flags", {"id": "1", **flag}))[0] == 409
    assert (await client.ask("POST", "/flags", {"id": "1", **flag}, source="bkn"))[0] == 202


async def test_what_is_wrong_is_told_in_both_languages(client: Client) -> None:
    await client.ask("POST", "/registrations", {"id": "1", **RIGHT, "nik": "1", "name": ""})
    await client.let_the_stage_answer()
    _, told = await client.ask("GET", "/registrations/1")
    assert told["status"] == "rejected"
    assert [(p["field"], p["code"]) for p in told["problems"]] == [("nik", "nik_format"), ("name", "name_empty")]
    assert all(p["text"]["id"] and p["text"]["en"] for p in told["problems"])
    assert "recipient" not in told


async def test_a_sealed_submission_is_taken_as_it_is(client: Client) -> None:
    _, keys = await client.ask("GET", "/.well-known/salur-keys", source=None)
    flag = b'{"nik": "%s", "flag": "deceased", "since": "2026-01-01", "raised": true}' % NIK.encode()
    sealed = seal_submission(keys, flag, source="bkn", event_id="f1").model_dump()
    assert (await client.ask("POST", "/flags", {"id": "f1", "sealed": sealed}, source="bkn"))[0] == 202
    (event,) = await client.let_the_stage_answer()
    assert event.type == "recipient.flagged"
    assert (await client.ask("GET", "/flags/f1", source="bkn"))[1]["status"] == "flagged"
    status, told = await client.ask("POST", "/flags", {"id": "f2", "sealed": sealed}, source="bkn")
    assert (status, "does not open" in told["error"]) == (400, True)
    assert (await client.ask("POST", "/flags", {"id": "f1", "sealed": sealed, "nik": NIK}, source="bkn"))[0] == 422
    sealed = seal_submission(keys, flag, source="bkn", event_id=NIK).model_dump()
    assert (await client.ask("POST", "/flags", {"id": NIK, "sealed": sealed}, source="bkn"))[0] == 422


async def test_a_source_sees_and_sends_only_what_is_its_own(client: Client) -> None:
    await client.ask("POST", "/flags", {"id": "1", "nik": NIK}, source="polman")
    assert (await client.ask("GET", "/flags/1", source="bkn"))[0] == 404
    assert (await client.ask("GET", "/registrations/1"))[0] == 404
    assert (await client.ask("POST", "/registrations", {"id": "1", **RIGHT}, source="bkn"))[0] == 403
    assert (await client.ask("POST", "/registrations", {"id": "1", **RIGHT}, source=None))[0] == 401
    assert (await client.ask("GET", "/registrations/1", source=None))[0] == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 422),
        ({**RIGHT}, 422),
        ({"id": "a b", **RIGHT}, 422),
        ({"id": "1", "submitted_at": "2026-11-20", **RIGHT}, 422),
        ({"id": "1", "sealed": {"key_id": "x"}}, 422),
        ({"id": NIK, **RIGHT}, 422),
        ({"id": "kasus/7604.0157.0890.0001", **RIGHT}, 422),
        ({"id": "1", "name": "x" * 200_000}, 413),
        ({"id": "1", "name": "x" * 70_000}, 400),
    ],
    ids=[
        "no object",
        "no id",
        "blank in id",
        "no zone",
        "not sealed",
        "NIK as id",
        "NIK in id",
        "too large",
        "too large to seal",
    ],
)
async def test_what_is_no_submission_is_refused_and_not_repeated(client: Client, body: Any, status: int) -> None:
    told_status, told = await client.ask("POST", "/registrations", body)
    assert told_status == status
    assert set(told) == {"error", "hint", "code"}
    assert not any(str(value) in str(told) for value in (NIK, "Aminah"))
    assert await client.desk.emitted() == []
