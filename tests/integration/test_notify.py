"""notify against a real PostgreSQL and the real carrier process: nobody is told twice, whatever dies."""

import asyncio
import hashlib
import hmac
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from services.notify.carriers.carrier import Answer
from services.notify.carriers.whatsapp import WhatsApp, read_answer
from services.notify.domain.messages import Composed
from services.notify.domain.purposes import Channel, message_id
from tests.integration.notify_desk import (
    SECRET,
    Desk,
    free_port,
    open_desk,
    recipient,
    run_out_claims,
    sending,
    until,
)
from tests.integration.running_simulator import Simulator, running

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "services/notify/templates.json"
CALM = ("--timeout", 0, "--not-on-whatsapp", 0, "--failed", 0, "--trouble", 0, "--repeated", 0, "--disordered", 0)
SETTLED = {"delivered", "read", "failed", "unknown", "not_needed", "superseded", "unreachable"}


@pytest.fixture
async def desk(database: str, keys: Path) -> AsyncIterator[Desk]:
    async with open_desk(database, keys) as opened:
        yield opened


def carrier(desk: Desk, data: Path, *options: object, port: int = 0) -> Any:
    common = ("--templates", TEMPLATES, "--webhook", desk.webhook, "--secret", SECRET, "--pace", 0.1)
    return running("carrier", data / "carrier", *common, "--rate", 0, *options, port=port)


async def settled(desk: Desk, within_s: float = 60.0) -> None:
    async def all_are() -> bool:
        return set(await desk.states()) <= SETTLED

    await until(all_are, within_s)


async def webhooks_posted(carrier: Simulator) -> None:
    async def none_wait() -> bool:
        totals = await carrier.get("/books/summary")
        return totals["webhooks_pending"] == 0 and totals["under_way"] == 0

    await until(none_wait)


async def check_books(desk: Desk, carrier: Simulator) -> dict[str, int]:
    """The carrier's books against our own: each message at most once on a phone, and every state true."""
    books = await carrier.books()
    got = Counter(line["callback_data"] for line in books)
    assert max(got.values(), default=1) == 1, "somebody was told twice"
    rows = {row["message_id"]: row for row in await desk.rows()}
    assert set(got) <= set(rows)
    for message, row in rows.items():
        assert (message in got) == (row["state"] in ("delivered", "read")), (row["state"], row["code"])
    told = await desk.check_told_once()
    assert told["delivered"] == len(got)
    assert told["sent"] == sum(row["sent_at"] is not None for row in rows.values())
    return await desk.states()


async def test_everything_a_carrier_can_do_leaves_nobody_told_twice(desk: Desk, tmp_path: Path) -> None:
    count = 250
    surprises = ("--timeout", 0.08, "--hang-s", 3, "--not-on-whatsapp", 0.1, "--failed", 0.06, "--trouble", 0.05)
    disorder = ("--dropped", 0.03, "--repeated", 0.4, "--disordered", 0.4, "--rate", 400)
    async with carrier(desk, tmp_path, *surprises, *disorder) as carrier_process:
        await desk.hand([desk.decided(n, p) for n in range(count) for p in ("sembako", "pkh", "bantuan-polman")])
        async with sending(desk.sender(carrier_process.url, timeout_s=0.5)):
            await settled(desk)
            await webhooks_posted(carrier_process)
            await desk.hand([desk.paid(n) for n in range(count)])
            await settled(desk)
        await webhooks_posted(carrier_process)
        states = await check_books(desk, carrier_process)
    assert sum(states.values()) == 2 * count
    assert states["delivered"] + states["read"] > count
    assert states["failed"] > 0
    assert states["unknown"] > 0, "sends that were cut before acceptance stay unknown"
    codes = {row["code"] for row in await desk.rows() if row["state"] == "failed"}
    assert codes == {"not_on_whatsapp", "whatsapp_131000"}


async def test_a_killed_carrier_loses_and_repeats_nothing(desk: Desk, tmp_path: Path) -> None:
    port, count = free_port(), 400
    async with carrier(desk, tmp_path, *CALM, port=port) as first:
        await desk.hand([desk.decided(n) for n in range(count)])
        async with sending(desk.sender(first.url, timeout_s=2, rate=300)):

            async def some_were_sent() -> bool:
                return (await desk.states()).get("waiting", 0) < count * 3 // 4

            await until(some_were_sent)
            await first.kill()
            await asyncio.sleep(0.5)
            assert (await desk.states())["waiting"] > 0
            async with carrier(desk, tmp_path, *CALM, port=port) as second:
                await settled(desk)
                await webhooks_posted(second)
                states = await check_books(desk, second)
    assert sum(states.values()) == count
    assert states.get("failed", 0) == 0, "a carrier that is away fails no message"
    assert states.get("unknown", 0) <= 64


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_sender_killed_between_claim_and_answer_leaves_unknown_and_never_sends_again(
    desk: Desk, database: str, keys: Path, tmp_path: Path, when: str
) -> None:
    count = 20
    async with carrier(desk, tmp_path, *CALM) as carrier_process:
        await desk.hand([desk.decided(n) for n in range(count)])
        program = (sys.executable, "-m", "tests.integration.notify_desk")
        dying = await asyncio.create_subprocess_exec(*program, database, str(keys), carrier_process.url, when, cwd=ROOT)
        assert await asyncio.wait_for(dying.wait(), 30) == -9
        await webhooks_posted(carrier_process)
        accepted = (await carrier_process.get("/books/summary"))["accepted"]
        assert accepted >= 1 if when == "after" else accepted == 0
        # What the carrier has told since counts; the rest of the claim is open.
        assert (await desk.states()).get("sending", 0) >= 8 - accepted
        async with sending(desk.sender(carrier_process.url)):
            await asyncio.sleep(0.3)
            await run_out_claims(desk.pool)
            await settled(desk)
            await webhooks_posted(carrier_process)
            await asyncio.sleep(0.5)
        states = await check_books(desk, carrier_process)
    assert states.get("unknown", 0) == 8 - accepted
    assert sum(states.values()) == count
    told = await desk.check_told_once()
    assert told["unknown"] == 8 - accepted


async def test_two_senders_at_once_send_each_message_once(desk: Desk, tmp_path: Path) -> None:
    count = 500
    async with carrier(desk, tmp_path, *CALM) as carrier_process:
        await desk.hand([desk.decided(n) for n in range(count)])
        senders = [desk.sender(carrier_process.url, timeout_s=5, at_once=40) for _ in range(3)]
        async with sending(*senders):
            await settled(desk)
            await webhooks_posted(carrier_process)
        states = await check_books(desk, carrier_process)
    assert states.get("delivered", 0) + states.get("read", 0) == count


async def test_a_webhook_before_the_answer_tells_more_than_the_time_out(desk: Desk, tmp_path: Path) -> None:
    silent = (*CALM, "--timeout", 1.0, "--hang-s", 10)
    async with carrier(desk, tmp_path, *silent) as carrier_process:
        await desk.hand([desk.decided(n) for n in range(30)])
        async with sending(desk.sender(carrier_process.url, timeout_s=1.5)):
            await settled(desk)
            await webhooks_posted(carrier_process)
            await asyncio.sleep(2)
        states = await check_books(desk, carrier_process)
        told = await desk.check_told_once()
    assert set(states) <= {"delivered", "read"}
    assert told["sent"] == told["delivered"] == 30
    assert told["unknown"] < 30, "those that were cut at once are unknown first, those that hang are delivered before"


async def test_a_send_without_an_answer_is_never_repeated(desk: Desk, tmp_path: Path) -> None:
    count = 60
    options = (*CALM, "--timeout", 0.5, "--hang-s", 10, "--rate", 0, "--pace", 0.1)
    async with running("carrier", tmp_path / "carrier", *options) as carrier_process:  # and no webhook tells anything
        await desk.hand([desk.decided(n) for n in range(count)])
        async with sending(desk.sender(carrier_process.url, timeout_s=0.5)):
            await asyncio.sleep(6)
        assert (await carrier_process.get("/books/summary"))["accepted"] == count
        books = Counter(line["callback_data"] for line in await carrier_process.books())
    assert max(books.values()) == 1
    states = await desk.states()
    assert states["sent"] + states["unknown"] == count
    assert (await desk.check_told_once())["unknown"] == states["unknown"] > 10


@dataclass
class Ill:
    """A carrier behind a gateway that answers 502 until it is mended; the real one is behind it."""

    carrier: WhatsApp
    ill: bool = True
    channel: Channel = "whatsapp"

    async def send(self, message_id: str, phone: str, message: Composed) -> Answer:
        return read_answer(502, b"") if self.ill else await self.carrier.send(message_id, phone, message)

    async def close(self) -> None:
        await self.carrier.close()


async def test_a_carrier_that_is_ill_does_not_get_the_whole_queue(desk: Desk, tmp_path: Path) -> None:
    count = 300
    async with carrier(desk, tmp_path, *CALM) as carrier_process:
        await desk.hand([desk.decided(n) for n in range(count)])
        sender = desk.sender(carrier_process.url, timeout_s=5, at_once=8)
        sender.carrier = ill = Ill(cast("WhatsApp", sender.carrier))
        async with sending(sender):
            await asyncio.sleep(3)
            assert 5 <= (await desk.states())["unknown"] < 30
            ill.ill = False
            await settled(desk)
            await webhooks_posted(carrier_process)
    states = await desk.states()
    assert states["unknown"] < 30
    assert states["delivered"] + states["read"] == count - states["unknown"]


async def post(url: str, body: bytes, signature: str | None = None, secret: str = SECRET) -> int:
    made = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": made if signature is None else signature}
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        return response.status


def webhook(*statuses: tuple[str, str]) -> bytes:
    told = [{"id": "wamid.x", "status": s, "timestamp": "1", "biz_opaque_callback_data": m} for m, s in statuses]
    value = {"messaging_product": "whatsapp", "statuses": told, "messages": [{"from": "6281", "type": "text"}]}
    entry = [{"id": "1", "changes": [{"value": value, "field": "messages"}]}]
    return json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()


async def test_only_the_carrier_is_believed(desk: Desk) -> None:
    await desk.hand([desk.decided(1)])
    ours = message_id(recipient(1), "decision:reg-1", "whatsapp")
    body = webhook((ours, "delivered"))
    assert await post(desk.webhook, body, signature="sha256=" + "0" * 64) == 401
    assert await post(desk.webhook, body, signature="") == 401
    assert await post(desk.webhook, body, secret="another") == 401
    assert (
        await post(
            desk.webhook, body + b" ", signature="sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()
        )
        == 401
    )
    assert await desk.states() == {"waiting": 1}
    assert await post(desk.webhook, b"[]") == 400
    assert (
        await post(desk.webhook, webhook(("m-" + "0" * 32, "read"), ("not ours\x00", "sent"), (ours, "played"))) == 200
    )
    assert await desk.states() == {"waiting": 1}
    async with aiohttp.ClientSession() as session:
        query = {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "1158201444"}
        async with session.get(desk.webhook, params=query) as response:
            assert (response.status, await response.text()) == (200, "1158201444")
        async with session.get(desk.webhook, params={**query, "hub.verify_token": "guess"}) as response:
            assert response.status == 403


async def test_webhooks_repeat_and_race(desk: Desk) -> None:
    await desk.hand([desk.decided(n) for n in range(40)])
    ids = [row["message_id"] for row in await desk.rows()]
    bodies = [
        webhook(*((m, s) for m in ids[part::4])) for part in range(4) for s in ("read", "sent", "failed", "delivered")
    ]
    bodies += [webhook(*((m, s) for m in reversed(ids) for s in ("failed", "sent", "delivered")))] * 3
    assert set(await asyncio.gather(*(post(desk.webhook, body) for body in bodies))) == {200}
    assert await desk.states() == {"read": 40}
    told = await desk.check_told_once()
    assert told["sent"] == told["delivered"] == 40


async def test_no_personal_data_stands_in_the_database_or_in_events(desk: Desk, tmp_path: Path) -> None:
    async with carrier(desk, tmp_path, *CALM) as carrier_process:
        await desk.hand([desk.decided(1), desk.paid(1)])
        async with sending(desk.sender(carrier_process.url)):
            await settled(desk)
    held = json.dumps([event.model_dump(mode="json") for event in await desk.told()])
    for table in ("message", "contact", "decision", "told", "reason"):
        held += str([tuple(row) for row in await desk.pool.fetch(f"SELECT * FROM {table}")])
    assert "1200000001" not in held
    assert "Siti" not in held
