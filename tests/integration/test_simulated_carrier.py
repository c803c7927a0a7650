"""The simulated carrier, as a process of its own: each of its surprises, under kill -9 of either side and restart."""

import asyncio
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.integration.running_simulator import Simulator, running

CALM = ("--timeout", 0, "--not-on-whatsapp", 0, "--failed", 0, "--trouble", 0, "--repeated", 0, "--disordered", 0)
FAST = ("--pace", 0.2)
SECRET = "a secret between two"
TOKEN = {"Authorization": "Bearer carrier-token"}
BODIES = {"payout_paid": {"id": "Yth. *{{1}}*,\n\n{{2}} sudah masuk.", "en": "Dear {{1}}, {{2}} has arrived."}}


@dataclass
class Receiver:
    """Where webhooks arrive: keeps every status and reply whose signature is right, and answers `answer`."""

    url: str = ""
    answer: int = 200
    posts: int = 0
    most_in_one: int = 0
    values: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        expected = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert request.headers["X-Hub-Signature-256"] == expected
        self.posts += 1
        told = json.loads(body)
        assert told["object"] == "whatsapp_business_account"
        for entry in told["entry"]:
            for change in entry["changes"]:
                assert change["field"] == "messages"
                assert change["value"]["messaging_product"] == "whatsapp"
                assert change["value"]["metadata"]["phone_number_id"] == "1065"
                self.most_in_one = max(self.most_in_one, len(change["value"].get("statuses", [])))
                if self.answer == 200:
                    self.values.append(change["value"])
        return web.Response(status=self.answer)

    @property
    def statuses(self) -> list[dict[str, Any]]:
        return [status for value in self.values for status in value.get("statuses", [])]

    def names(self) -> dict[str, list[str]]:
        """Callback data -> the names of its statuses in the order in which they arrived."""
        names: dict[str, list[str]] = {}
        for status in self.statuses:
            names.setdefault(status["biz_opaque_callback_data"], []).append(status["status"])
        return names


@asynccontextmanager
async def receiving(port: int = 0, receiver: Receiver | None = None) -> AsyncIterator[Receiver]:
    receiver = receiver or Receiver()
    app = web.Application(client_max_size=10**7)
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


@pytest.fixture(name="templates")
def write_templates(tmp_path: Path) -> Path:
    file = tmp_path / "templates.json"
    file.write_text(json.dumps(BODIES))
    return file


def message(callback_data: str, phone: str = "6281234567890", **change: Any) -> dict[str, Any]:
    parameters = [{"type": "text", "text": text} for text in ("Siti <b>", "Rp200.000")]
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": phone,
        "type": "template",
        "template": {
            "name": "payout_paid",
            "language": {"code": "id"},
            "components": [{"type": "body", "parameters": parameters}],
        },
        "biz_opaque_callback_data": callback_data,
    } | change


def hooked(receiver: Receiver) -> tuple[str, ...]:
    return ("--webhook", receiver.url, "--secret", SECRET)


async def send(carrier: Simulator, body: Any, timeout_s: float = 5, token: Any = TOKEN) -> tuple[int, dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(carrier.url + "/v20.0/1065/messages", json=body, headers=token) as response,
    ):
        return response.status, await response.json()


async def send_all(carrier: Simulator, count: int, prefix: str = "p") -> Counter[int]:
    """Send to as many phones; count HTTP statuses or error codes."""
    sends = (send(carrier, message(f"{prefix}-{n}", f"62812{n:08d}"), 20) for n in range(count))
    return Counter(answer.get("error", {}).get("code", status) for status, answer in await asyncio.gather(*sends))


async def drained(carrier: Simulator, within_s: float = 15) -> dict[str, Any]:
    give_up_at = time.monotonic() + within_s
    while (summary := await carrier.get("/books/summary"))["webhooks_pending"] or summary["under_way"]:
        assert time.monotonic() < give_up_at, summary
        await asyncio.sleep(0.1)
    return summary


async def test_a_message_reaches_its_phone_and_its_statuses_are_told(tmp_path: Path, templates: Path) -> None:
    async with receiving() as receiver:
        options = (*CALM, *FAST, "--read", 1, "--templates", templates, *hooked(receiver))
        async with running("carrier", tmp_path, *options) as carrier:
            status, answer = await send(carrier, message("payout:1", "+6281234567890"))
            assert status == 200
            assert answer["messaging_product"] == "whatsapp"
            assert answer["contacts"] == [{"input": "+6281234567890", "wa_id": "6281234567890"}]
            wamid = answer["messages"][0]["id"]
            assert wamid.startswith("wamid.")
            summary = await drained(carrier)
            assert (summary["accepted"], summary["got"], summary["never"], summary["phones"]) == (1, 1, 0, 1)
            (line,) = await carrier.books()
            assert {key: line[key] for key in ("callback_data", "to", "template", "language", "id")} == {
                "callback_data": "payout:1",
                "to": "6281234567890",
                "template": "payout_paid",
                "language": "id",
                "id": wamid,
            }
            assert receiver.names() == {"payout:1": ["sent", "delivered", "read"]}
            for told in receiver.statuses:
                assert (told["id"], told["recipient_id"]) == (wamid, "6281234567890")
                assert abs(int(told["timestamp"]) - time.time()) < 20


async def test_wrong_requests_get_the_graph_apis_errors(tmp_path: Path, templates: Path) -> None:
    def body(*texts: str) -> dict[str, Any]:
        parameters = [{"type": "text", "text": text} for text in texts]
        component = {"type": "body", "parameters": parameters}
        return {"name": "payout_paid", "language": {"code": "id"}, "components": [component]}

    unknown = body("a", "b") | {"name": "not_approved"}
    french = body("a", "b") | {"language": {"code": "fr"}}
    header = body() | {"components": [{"type": "header", "parameters": []}]}
    async with running("carrier", tmp_path, *CALM, "--templates", templates) as carrier:
        for change, expected in [
            ({"messaging_product": "sms"}, (400, 100)),
            ({"to": ""}, (400, 100)),
            ({"to": "0812"}, (400, 131009)),
            ({"biz_opaque_callback_data": "x" * 513}, (400, 100)),
            ({"type": "image"}, (400, 131051)),
            ({"template": None}, (400, 131008)),
            ({"template": body("a")}, (400, 132000)),
            ({"template": body("a", "b\nc")}, (400, 100)),
            ({"template": body("a", "")}, (400, 131008)),
            ({"template": header}, (400, 132012)),
            ({"template": unknown}, (404, 132001)),
            ({"template": french}, (404, 132001)),
            ({"type": "text", "text": {"body": "Halo"}}, (400, 131047)),
        ]:
            status, answer = await send(carrier, message("m", **change))
            assert (status, answer["error"]["code"]) == expected, change
            assert answer["error"]["message"].startswith(f"(#{expected[1]})")
            assert answer["error"]["type"] == "OAuthException"
            assert answer["error"]["error_data"]["details"]
            assert answer["error"]["fbtrace_id"]
        status, answer = await send(carrier, message("m"), token={})
        assert (status, answer["error"]["code"]) == (401, 190)
        assert await carrier.books() == []
        assert (await carrier.get("/books/summary"))["accepted"] == 0


async def test_too_many_messages_are_told_to_slow_down(tmp_path: Path) -> None:
    async with running("carrier", tmp_path / "a", *CALM, "--rate", 20) as carrier:
        codes = await send_all(carrier, 60)
        assert set(codes) == {200, 130429}
        assert 20 <= codes[200] <= 40
        assert (await carrier.get("/books/summary"))["accepted"] == codes[200]
    async with running("carrier", tmp_path / "b", *CALM, "--pair-every-s", 6) as carrier:
        answers = [await send(carrier, message(f"m-{number}")) for number in range(50)]
        assert [answer.get("error", {}).get("code") for _, answer in answers] == [None] * 45 + [131056] * 5
        assert (await send(carrier, message("other", "6281999999999")))[0] == 200


async def test_phones_without_whatsapp_are_told_at_once_or_later_and_get_nothing(tmp_path: Path) -> None:
    async with receiving() as receiver:
        options = (*CALM, *FAST, "--not-on-whatsapp", 1, *hooked(receiver))
        async with running("carrier", tmp_path, *options) as carrier:
            codes = await send_all(carrier, 60)
            assert set(codes) == {200, 131026}
            assert min(codes.values()) > 10
            await drained(carrier)
            assert await carrier.books() == []
            assert len(receiver.names()) == codes[200]
            assert {tuple(names) for names in receiver.names().values()} == {("sent", "failed")}
            failed = next(status for status in receiver.statuses if status["status"] == "failed")
            assert failed["errors"][0]["code"] == 131026
            assert failed["errors"][0]["error_data"]["details"]


async def test_an_accepted_send_may_get_no_answer_and_be_delivered_once(tmp_path: Path) -> None:
    async with receiving() as receiver:
        options = (*CALM, *FAST, "--timeout", 1, "--hang-s", 30, *hooked(receiver))
        async with running("carrier", tmp_path, *options) as carrier:
            errors = Counter[str]()

            async def attempt(number: int) -> None:
                try:
                    await send(carrier, message(f"m-{number}"), 1.5)
                except (TimeoutError, aiohttp.ClientError) as error:
                    errors["silent" if isinstance(error, TimeoutError) else "cut"] += 1

            await asyncio.gather(*(attempt(number) for number in range(40)))
            assert errors.total() == 40
            assert len(errors) == 2
            await drained(carrier)
            expected = {f"m-{number}" for number in range(40)}
            assert Counter(line["callback_data"] for line in await carrier.books()) == Counter(expected)
            assert set(receiver.names()) == expected
            assert all("delivered" in names for names in receiver.names().values())


async def test_statuses_repeat_and_come_out_of_order(tmp_path: Path) -> None:
    async with receiving() as receiver:
        options = (*CALM, *FAST, "--repeated", 1, "--disordered", 0.5, "--failed", 0.5, *hooked(receiver))
        async with running("carrier", tmp_path, *options) as carrier:
            assert await send_all(carrier, 150) == {200: 150}
            await drained(carrier)
            orders = list(receiver.names().values())
            assert len(orders) == 150
            assert all(len(set(order)) < len(order) for order in orders)
            assert any(
                order.index("read") < order.index("delivered") for order in orders if {"read", "delivered"} <= {*order}
            )
            assert any("read" in order and "delivered" not in order for order in orders)
            assert any(
                order.index("failed") < order.index("delivered")
                for order in orders
                if {"failed", "delivered"} <= {*order}
            )
            got = {line["callback_data"] for line in await carrier.books()}
            assert got == {data for data, order in receiver.names().items() if {"delivered", "read"} & {*order}}


async def test_webhooks_are_posted_until_they_are_taken(tmp_path: Path) -> None:
    receiver = Receiver(answer=503)
    async with receiving(receiver=receiver):
        port = int(receiver.url.split(":")[2].split("/")[0])
        options = (*CALM, *FAST, "--retry-max-s", 0.5, *hooked(receiver))
        async with running("carrier", tmp_path, *options) as carrier:
            await send_all(carrier, 60)
            await asyncio.sleep(1)
            assert receiver.posts > 3
            assert receiver.values == []
            receiver.answer = 200
            await drained(carrier)
            assert len(receiver.names()) == 60

    async with running("carrier", tmp_path, *options, "--rate", 0) as carrier:
        await send_all(carrier, 300, "while-away")  # nobody listens
        await asyncio.sleep(0.5)
        async with receiving(port, receiver):
            await drained(carrier)
    assert len(receiver.names()) == 360
    assert 30 < receiver.most_in_one <= 100


async def test_kill_9_loses_no_message_and_no_status(tmp_path: Path) -> None:
    accepted: set[str] = set()
    tried: set[str] = set()

    async def sender(carrier: Simulator, number: int) -> None:
        for place in range(10_000):
            data = f"s{number}-{place}"
            tried.add(data)
            with suppress(TimeoutError, aiohttp.ClientError):
                status, _ = await send(carrier, message(data, f"62813{number:04d}{place:04d}"), 1)
                if status == 200:
                    accepted.add(data)

    async with receiving() as receiver:
        options = ("--not-on-whatsapp", 0, "--failed", 0, "--retry-max-s", 0.5, *hooked(receiver))
        async with running("carrier", tmp_path, *options) as carrier:
            senders = [asyncio.create_task(sender(carrier, number)) for number in range(8)]
            await asyncio.sleep(1.5)
            await carrier.kill()
            for task in senders:
                task.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
        assert len(accepted) > 100
        before = len(receiver.names())
        async with running("carrier", tmp_path, *options) as carrier:
            assert (await send(carrier, message("after the restart")))[0] == 200
            await drained(carrier)
            books = [line["callback_data"] for line in await carrier.books()]
            assert len(books) == len(set(books))
            assert accepted | {"after the restart"} <= set(books) <= tried | {"after the restart"}
            assert set(receiver.names()) == set(books)
            assert before < len(books)
            ids = [line["id"] for line in await carrier.books()]
            assert len(set(ids)) == len(ids)
            assert all({"delivered", "read"} & {*names} for names in receiver.names().values())


async def test_people_can_be_read_and_can_reply(tmp_path: Path, templates: Path) -> None:
    async with receiving() as receiver, aiohttp.ClientSession() as browser:
        options = (*CALM, "--pace", 0.01, "--templates", templates, *hooked(receiver))
        async with running("carrier", tmp_path, *options) as carrier:

            async def page(path: str) -> str:
                async with browser.get(carrier.url + path) as response:
                    assert response.status == 200
                    return await response.text()

            assert "No phone has got a message yet" in await page("/phones")
            await send(carrier, message("m-1"))
            await send(carrier, message("m-2", "6281999999999"))
            await drained(carrier)
            assert "+62 812-3456-7890" in await page("/phones")
            for query in ("0812", "+62 812-3456", "3456"):
                found = await page(f"/phones?q={query.replace('+', '%2B')}")
                assert "+62 812-3456-7890" in found
                assert "+62 819-9999-9999" not in found
            assert "+62 812-3456-7890" in await page("/phones?q=Siti")
            assert "No phone fits" in await page("/phones?q=Budi")
            chat = await page("/phones/6281234567890")
            assert "Yth. <strong>Siti &lt;b&gt;</strong>" in chat
            assert "m-1" in chat
            assert "http://" not in chat.replace("http://www.w3.org", "")
            assert "https://" not in chat

            reply_url = carrier.url + "/phones/6281234567890/reply"
            async with browser.post(reply_url, json={"text": "Terima kasih"}) as response:
                reply_id = (await response.json())["id"]
            async with browser.post(reply_url, data={"text": "Dari halaman"}) as response:
                assert response.url.path == "/phones/6281234567890"
                assert "Dari halaman" in await response.text()
            async with browser.post(reply_url, json={"text": " "}) as response:
                assert response.status == 400
            text = {"type": "text", "text": {"body": "Sama-sama"}}
            assert (await send(carrier, message("free", **text)))[0] == 200
            await drained(carrier)
            inbound = [value for value in receiver.values if "messages" in value]
            told = [written for value in inbound for written in value["messages"]]
            assert [written["text"]["body"] for written in told] == ["Terima kasih", "Dari halaman"]
            assert (told[0]["from"], told[0]["id"], told[0]["type"]) == ("6281234567890", reply_id, "text")
            assert inbound[0]["contacts"][0]["wa_id"] == "6281234567890"
            chat = await page("/phones/6281234567890")
            assert chat.index("Terima kasih") < chat.index("Dari halaman") < chat.index("Sama-sama")
