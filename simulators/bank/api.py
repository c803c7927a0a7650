"""The bank's HTTP endpoints."""

import asyncio
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

from simulators.bank import books
from simulators.bank.behaviour import SLOW_DOWN, Behaviour, Rates, bank_reference, behaviour, call_cut
from simulators.bank.orders import Order, Unusable, read_reference, read_transfer
from simulators.group_commit import GroupCommit
from simulators.serving import cut, hang
from simulators.token_bucket import TokenBucket

TRANSFER = "18"
STATUS = "36"
SETTLE_EVERY_S = 0.1
BODY_BYTES_MAX = 4 * 1024 * 1024

_MESSAGES = {
    "2001800": "Successful",
    "2021800": "Request In Progress",
    "4031809": "Dormant Account",
    "4031818": "Inactive Card/Account/Customer",
    "4041811": "Invalid Account",
    "4091801": "Duplicate partnerReferenceNo",
    "4291800": "Too Many Requests",
    "5041800": "Timeout",
    "4043601": "Transaction Not Found",
}
# state of a known transfer -> latestTransactionStatus, its description; a hidden one is not told apart from an unknown
_STATUSES = {
    "paid": ("00", "Success"),
    "pending": ("03", "Pending"),
    "refused": ("06", "Failed"),
    "hidden": ("07", "Not Found"),
    "unknown": ("07", "Not Found"),
}
_STATUS_CODES = {"00": "2001800", "03": "2021800", "07": "4043601"}


@dataclass(frozen=True, slots=True)
class Settings:
    """See the options in `__main__`. Times in seconds, `rate` in transfers a second (0: no limit)."""

    data: Path
    seed: int
    token: str
    rates: Rates
    window_s: float
    hang_s: float
    timestamp_tolerance_s: float
    rate: float
    bulk_max: int

    def __post_init__(self) -> None:
        if self.rates.late_s + self.timestamp_tolerance_s >= self.window_s:
            raise ValueError("a late payment and the time-stamp tolerance must fit into the window")


class Refused(Exception):
    """A call that is answered with an error as a whole; nothing of it was carried out."""

    def __init__(self, status: int, service: str, case: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"responseCode": f"{status}{service}{case}", "responseMessage": message}


class Bank:
    """The handlers, with what they share."""

    def __init__(self, settings: Settings, database: GroupCommit) -> None:
        self._settings = settings
        self._database = database
        self._bucket = TokenBucket(settings.rate, max(settings.rate, 1))

    async def transfer(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1.0/bulk-transfer`: each transfer is carried out at most once, whatever its answer says."""
        body = await self._read(request, TRANSFER)
        bulk_id = read_reference(body.get("partnerBulkId"))
        if bulk_id is None:
            raise Refused(400, TRANSFER, "01", "Invalid Field Format partnerBulkId")
        transfers = self._items(body, "transfers", TRANSFER)
        given = self._bucket.take(len(transfers))
        no_answer = call_cut(self._settings.seed, bulk_id, given, self._settings.rates)
        if no_answer is not None and await self._cut_once(bulk_id):
            await self._carry_out([read_transfer(transfer) for transfer in transfers[: no_answer.processed]])
            return await hang(request, self._settings.hang_s) if no_answer.hangs else cut(request)
        results = await self._carry_out([read_transfer(transfer) for transfer in transfers[:given]])
        for transfer in transfers[given:]:
            read = read_transfer(transfer)
            results.append(_result(read.reference, SLOW_DOWN))
        return _json({"responseCode": "2001800", "responseMessage": "Successful", "results": results})

    async def status(self, request: web.Request) -> web.Response:
        """`POST /v1.0/bulk-transfer/status`: one result for each reference, in the caller's order."""
        body = await self._read(request, STATUS)
        references = self._items(body, "partnerReferenceNos", STATUS)
        if not all(read_reference(reference) for reference in references):
            raise Refused(400, STATUS, "01", "Invalid Field Format partnerReferenceNos")
        known = await self._database.run(lambda connection: books.standings(connection, references, time.time()))
        unknown = books.Standing("unknown", None)
        results = [self._standing(reference, known.get(reference, unknown)) for reference in references]
        return _json({"responseCode": "2003600", "responseMessage": "Successful", "results": results})

    async def entries(self, request: web.Request) -> web.StreamResponse:
        """`GET /books`: every rupiah that moved, a JSON object a line, in the order in which they moved."""
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await response.prepare(request)
        async for piece in self._database.rows(books.ENTRIES):
            lines = [
                orjson.dumps(
                    {"reference": reference, "amount_idr": amount, "bank": bank, "account": account, "at": _iso(at)}
                )
                for reference, amount, bank, account, at in piece
            ]
            await response.write(b"\n".join(lines) + b"\n")
        await response.write_eof()
        return response

    async def summary(self, _: web.Request) -> web.Response:
        """`GET /books/summary`: what moved, and what stands where."""
        moved = {"entries": 0, "amount_idr": 0}
        states: dict[str, int] = {"paid": 0, "refused": 0, "pending": 0, "hidden": 0}
        refusals: dict[str, int] = {}
        for state, refusal, count, amount_idr in await self._database.all_rows(books.TOTALS):
            if state == "moved":
                moved = {"entries": count, "amount_idr": amount_idr}
                continue
            states[state] += count
            if refusal:
                refusals[refusal] = count
        return _json({**moved, "transfers": states, "refused_by_code": refusals})

    async def health(self, _: web.Request) -> web.Response:
        """`GET /health`: open for business; `window_s` is the time after which `07` is the truth."""
        return _json({"status": "ok", "simulator": "bank", "window_s": self._settings.window_s})

    async def settle(self) -> None:
        """Settle what is delayed or late, for as long as the process runs."""
        while True:
            await self._database.run(lambda connection: books.settle_due(connection, time.time()))
            await asyncio.sleep(SETTLE_EVERY_S)

    async def _carry_out(self, read: list[Order | Unusable]) -> list[dict[str, str]]:
        orders = [(order, self._behaviour(order)) for order in read if isinstance(order, Order)]
        codes = await self._database.run(lambda connection: books.record(connection, orders, time.time()))
        remaining = iter(codes)
        results = []
        for transfer in read:
            if isinstance(transfer, Unusable):
                results.append(_result(transfer.reference, transfer.code, transfer.message))
                continue
            code = next(remaining)
            result = _result(transfer.reference, code)
            if code in ("2001800", "2021800"):
                result["referenceNo"] = bank_reference(self._settings.seed, transfer.reference)
            results.append(result)
        return results

    async def _cut_once(self, bulk_id: str) -> bool:
        return await self._database.run(lambda connection: books.cut_once(connection, bulk_id))

    def _behaviour(self, order: Order) -> Behaviour:
        return behaviour(self._settings.seed, order.reference, order.bank + order.account, self._settings.rates)

    def _standing(self, reference: str, standing: books.Standing) -> dict[str, str]:
        status, description = _STATUSES[standing.state]
        code = standing.refusal if status == "06" and standing.refusal else _STATUS_CODES[status]
        result = _result(reference, code)
        result["latestTransactionStatus"] = status
        result["transactionStatusDesc"] = description
        if status in ("00", "03"):
            result["referenceNo"] = bank_reference(self._settings.seed, reference)
        return result

    async def _read(self, request: web.Request, service: str) -> dict[str, Any]:
        expected = f"Bearer {self._settings.token}"
        stated = request.headers.get("Authorization", "").encode(errors="surrogateescape")  # a header is any bytes
        if not hmac.compare_digest(stated, expected.encode()):
            raise Refused(401, service, "00", "Unauthorized. Invalid token")
        raw = await request.read()
        self._check_timestamp(request.headers.get("X-TIMESTAMP"), service)
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise Refused(400, service, "00", "Bad Request. The body is not a JSON object")
        return body

    def _check_timestamp(self, stamp: str | None, service: str) -> None:
        """Refuse what was sent too long ago: it may have lain in a queue until its caller's window was over."""
        if stamp is None:
            return
        with suppress(ValueError):
            sent = datetime.fromisoformat(stamp)
            if sent.tzinfo is not None:
                if abs(time.time() - sent.timestamp()) <= self._settings.timestamp_tolerance_s:
                    return
                raise Refused(401, service, "00", "Unauthorized. X-TIMESTAMP is too far from the bank's clock")
        raise Refused(400, service, "01", "Invalid Field Format X-TIMESTAMP")

    def _items(self, body: dict[str, Any], field: str, service: str) -> list[Any]:
        items = body.get(field)
        if items is None:
            raise Refused(400, service, "02", f"Missing Mandatory Field {field}")
        if not isinstance(items, list) or not 1 <= len(items) <= self._settings.bulk_max:
            raise Refused(400, service, "01", f"Invalid Field Format {field} (1 to {self._settings.bulk_max})")
        return items


def make_app(settings: Settings) -> web.Application:
    """The application, made inside a running event loop."""
    database = GroupCommit(settings.data / "bank.sqlite", books.SCHEMA)
    bank = Bank(settings, database)

    async def running(_: web.Application) -> AsyncIterator[None]:
        # What fell due while the bank was away is settled before its port opens, so that `07` stays true.
        await database.run(lambda connection: books.settle_due(connection, time.time()))
        settling = asyncio.create_task(bank.settle())
        yield
        settling.cancel()
        with suppress(asyncio.CancelledError):
            await settling
        await database.close()

    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_refusals])
    app.router.add_post("/v1.0/bulk-transfer", bank.transfer)
    app.router.add_post("/v1.0/bulk-transfer/status", bank.status)
    app.router.add_get("/books", bank.entries)
    app.router.add_get("/books/summary", bank.summary)
    app.router.add_get("/health", bank.health)
    app.cleanup_ctx.append(running)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except Refused as refused:
        return _json(refused.body, refused.status)
    return response


def _result(reference: str, code: str, message: str | None = None) -> dict[str, str]:
    return {"partnerReferenceNo": reference, "responseCode": code, "responseMessage": message or _MESSAGES[code]}


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
