"""The carrier's HTTP endpoints."""

import asyncio
import base64
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from simulators.carrier import phones, store
from simulators.carrier.behaviour import Answer, Rates, journey, refused_at_once
from simulators.carrier.errors import (
    INVALID_PARAMETER,
    NOT_ON_WHATSAPP,
    PAIR_RATE_LIMIT,
    RATE_LIMIT,
    SOMETHING_WRONG,
    TOKEN_INVALID,
    WINDOW_CLOSED,
    GraphError,
)
from simulators.carrier.hooks import Hooks
from simulators.carrier.requests import TEXT_MAX, read_message
from simulators.carrier.templates import Templates
from simulators.chance import chances
from simulators.group_commit import GroupCommit
from simulators.serving import cut, hang
from simulators.token_bucket import TokenBucket

GATHER_S = 0.002
CUSTOMER_WINDOW_S = 24 * 3600
PAIR_BURST = 45
PAIRS_MAX = 100_000
PHONES_SHOWN = 60
BUBBLES_SHOWN = 200
BODY_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """See the options in `__main__`. Rates in messages a second (0: no limit), times in seconds."""

    data: Path
    seed: int
    token: str
    rates: Rates
    templates: Templates
    rate: float
    pair_every_s: float
    hang_s: float
    webhook: str | None
    secret: str
    retry_max_s: float
    phone_number_id: str


class Carrier:
    """The handlers, with what they share."""

    def __init__(self, settings: Settings, database: GroupCommit) -> None:
        self._settings = settings
        self._database = database
        self._bucket = TokenBucket(settings.rate, max(settings.rate, 1))
        self._pairs: dict[str, TokenBucket] = {}
        self._sends = 0
        self._last_id = 0

    async def start(self) -> None:
        """Go on numbering where the last process stopped."""
        self._last_id = await self._database.run(store.last_id)

    async def send(self, request: web.Request) -> web.StreamResponse:
        """`POST /vN.0/{phone_number_id}/messages`. What is accepted is durable before the answer."""
        settings = self._settings
        self._check_token(request)
        if not self._bucket.take():
            raise GraphError(RATE_LIMIT, "Too many messages were sent from this phone number in a short time")
        message = read_message(_json_body(await request.read()), settings.templates)
        self._sends += 1
        trouble = chances(settings.seed, "send", str(self._sends))[0]
        if trouble < settings.rates.trouble:
            raise GraphError(SOMETHING_WRONG, "Message failed to send due to an unknown error")
        if trouble < settings.rates.trouble + settings.rates.dropped:
            return cut(request)
        self._check_pair(message.phone)
        if refused_at_once(settings.seed, message.phone, settings.rates):
            raise GraphError(NOT_ON_WHATSAPP, "Message Undeliverable.")
        now = time.time()
        if message.template is None and not await self._database.run(
            lambda connection: store.wrote_since(connection, message.phone, now - CUSTOMER_WINDOW_S)
        ):
            raise GraphError(WINDOW_CLOSED, "More than 24 hours have passed since the customer last replied")
        number = self._next_id()
        wamid = self._wamid(number, message.phone)
        way = journey(settings.seed, message.phone, message.callback_data or str(number), settings.rates)
        accepted = store.Accepted(number, wamid, request.match_info["phone_number_id"], message, way)
        await self._database.run(lambda connection: store.accept(connection, accepted, now))
        match way.answer:
            case Answer.SILENT:
                return await hang(request, settings.hang_s)
            case Answer.CUT:
                return cut(request)
            case Answer.OK:
                return _json(
                    {
                        "messaging_product": "whatsapp",
                        "contacts": [{"input": message.to, "wa_id": message.phone}],
                        "messages": [{"id": wamid}],
                    }
                )

    async def books(self, request: web.Request) -> web.StreamResponse:
        """`GET /books`: every message that a phone really got until now, a JSON object a line."""
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await response.prepare(request)
        async for piece in self._database.rows(store.GOT, (time.time(),)):
            lines = [
                orjson.dumps(
                    {
                        "callback_data": callback_data,
                        "to": phone,
                        "template": template,
                        "language": language,
                        "at": _iso(got_at),
                        "id": wamid,
                    }
                )
                for callback_data, phone, template, language, got_at, wamid in piece
            ]
            await response.write(b"\n".join(lines) + b"\n")
        await response.write_eof()
        return response

    async def summary(self, _: web.Request) -> web.Response:
        """`GET /books/summary`."""
        return _json(await self._totals())

    async def health(self, _: web.Request) -> web.Response:
        """`GET /health`."""
        return _json({"status": "ok", "simulator": "carrier"})

    async def phone_list(self, request: web.Request) -> web.Response:
        """`GET /phones?q=`: a part of a number, or of a name in a message."""
        query = request.query.get("q", "").strip()[:100]
        digits = query.replace(" ", "").replace("-", "").removeprefix("+")
        if digits.isdigit():
            national = digits.removeprefix("0")  # people write 0812… for +62 812…
            rows = await self._database.all_rows(store.PHONES, (national, PHONES_SHOWN))
        else:
            rows = await self._database.all_rows(store.PHONES_BY_TEXT if query else store.PHONES, (query, PHONES_SHOWN))
        totals = await self._totals()
        return _html(phones.list_page(self._settings.templates, rows, query, totals, PHONES_SHOWN))

    async def phone(self, request: web.Request) -> web.Response:
        """`GET /phones/{number}`: the phone with its chat."""
        number = request.match_info["number"].removeprefix("+")
        rows = await self._database.all_rows(store.CHAT, (number, time.time(), number, BUBBLES_SHOWN))
        return _html(phones.phone_page(self._settings.templates, number, store.bubbles(rows)))

    async def reply(self, request: web.Request) -> web.Response:
        """`POST /phones/{number}/reply`: the person writes `text` (JSON or form) to the business."""
        number = request.match_info["number"].removeprefix("+")
        from_page = request.content_type != "application/json"
        given: Any = await request.post() if from_page else _json_body(await request.read())
        text = given.get("text") if hasattr(given, "get") else None
        if not isinstance(text, str) or not 1 <= len(text.strip()) <= TEXT_MAX:
            raise GraphError(INVALID_PARAMETER, f"text must be 1 to {TEXT_MAX} characters")
        reply_id = self._next_id()
        wamid = self._wamid(reply_id, number)
        default_number = self._settings.phone_number_id
        await self._database.run(
            lambda connection: store.reply(
                connection, reply_id, wamid, number, text.strip(), default_number, time.time()
            )
        )
        if from_page:
            raise web.HTTPSeeOther(f"/phones/{number}")
        return _json({"id": wamid})

    async def _totals(self) -> dict[str, int]:
        (totals,) = await self._database.all_rows(store.TOTALS, (time.time(),))
        accepted, got, never, phone_count, replies, hooks = totals
        return {
            "accepted": accepted,
            "got": got,
            "never": never,
            "under_way": accepted - got - never,
            "phones": phone_count,
            "replies": replies,
            "webhooks_pending": hooks,
        }

    def _check_token(self, request: web.Request) -> None:
        expected = f"Bearer {self._settings.token}"
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
            raise GraphError(TOKEN_INVALID, "Cannot parse access token")

    def _check_pair(self, phone: str) -> None:
        """At most one message to the same person per `pair_every_s`, with a burst; off when that is 0."""
        if self._settings.pair_every_s == 0:
            return
        bucket = self._pairs.get(phone)
        if bucket is None:
            if len(self._pairs) >= PAIRS_MAX:
                self._pairs = {number: pair for number, pair in self._pairs.items() if not pair.full}
            bucket = self._pairs[phone] = TokenBucket(1 / self._settings.pair_every_s, PAIR_BURST)
        if not bucket.take():
            raise GraphError(PAIR_RATE_LIMIT, "Too many messages to the same person in a short time")

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _wamid(self, number: int, phone: str) -> str:
        """A message id as WhatsApp makes them; note that it holds the phone number, in Base64."""
        unique = f"{int(chances(self._settings.seed, 'wamid', str(number))[0] * 2**64):016X}{number % 2**32:08X}"
        inner = (
            b"\x1c\x18" + bytes([len(phone)]) + phone.encode() + b"\x15\x02\x00\x11\x18\x18" + unique.encode() + b"\x00"
        )
        return "wamid." + base64.b64encode(inner).decode()


def make_app(settings: Settings) -> web.Application:
    """The application, made inside a running event loop."""
    database = GroupCommit(settings.data / "carrier.sqlite", store.SCHEMA, gather_s=GATHER_S)
    carrier = Carrier(settings, database)

    async def running(_: web.Application) -> AsyncIterator[None]:
        await carrier.start()
        posting = None
        if settings.webhook:
            posting = asyncio.create_task(
                Hooks(database, settings.webhook, settings.secret, settings.retry_max_s).run()
            )
        yield
        if posting is not None:
            posting.cancel()
            with suppress(asyncio.CancelledError):
                await posting
        await database.close()

    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_errors])
    app.router.add_post(r"/{version:v\d+\.\d+}/{phone_number_id:\d{1,20}}/messages", carrier.send)
    app.router.add_get("/books", carrier.books)
    app.router.add_get("/books/summary", carrier.summary)
    app.router.add_get("/health", carrier.health)
    app.router.add_get("/phones", carrier.phone_list)
    app.router.add_get(r"/phones/{number:\+?\d{7,15}}", carrier.phone)
    app.router.add_post(r"/phones/{number:\+?\d{7,15}}/reply", carrier.reply)
    app.router.add_get("/", _to_phones)
    app.cleanup_ctx.append(running)
    return app


async def _to_phones(_: web.Request) -> web.Response:
    raise web.HTTPFound("/phones")


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except GraphError as error:
        return _json(error.body(f"{time.time_ns()}"), error.status)
    return response


def _json_body(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise GraphError(INVALID_PARAMETER, "The body is not JSON") from None


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _html(page: str) -> web.Response:
    return web.Response(text=page, content_type="text/html", headers={"cache-control": "no-store"})


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
