"""Webhooks of WhatsApp: what became of messages."""

import hmac
from collections import Counter as Tally

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from services.notify.carriers.whatsapp import signature_holds, statuses_of
from services.notify.metrics import UNEXPECTED, WEBHOOK_STATUSES
from services.notify.progress import Report, apply
from shared import clock
from shared.errors import SalurError
from shared.runtime.emit import Outbox
from shared.runtime.http import body_up_to

log = structlog.get_logger()

WEBHOOK_BYTES_MAX = 3 * 1024 * 1024
"""The largest payload that Meta sends."""


class SignatureRefused(SalurError):
    """Somebody else than the carrier posts, or the secret differs."""

    http_status = 401


class TooLarge(SalurError):
    http_status = 413


def router(outbox: Outbox, secret: str, verify_token: str) -> APIRouter:
    """`secret` is the app's, for signatures; `verify_token` what the carrier shows when the address is set up, empty:
    nobody is verified.
    """
    assert secret, "without a secret anybody could tell that messages arrived"
    routes = APIRouter()

    @routes.get("/webhooks/whatsapp", include_in_schema=False)
    async def verify(request: Request) -> Response:
        asked = request.query_params
        shown = asked.get("hub.verify_token", "")
        known = verify_token != "" and hmac.compare_digest(shown.encode(), verify_token.encode())
        if asked.get("hub.mode") != "subscribe" or not known:
            return PlainTextResponse("not verified", 403)
        return PlainTextResponse(asked.get("hub.challenge", ""))

    @routes.post("/webhooks/whatsapp", include_in_schema=False)
    async def take(request: Request) -> Response:
        """200 once everything in it is committed; the carrier posts again until then."""
        raw = await body_up_to(request, WEBHOOK_BYTES_MAX)
        if raw is None:
            raise TooLarge(f"a webhook has at most {WEBHOOK_BYTES_MAX} bytes")
        if not signature_holds(secret, raw, request.headers.get("x-hub-signature-256")):
            UNEXPECTED.labels("signature").inc()
            raise SignatureRefused(
                "the signature does not fit the body", hint="SALUR_CARRIER_SECRET is the app's secret"
            )
        statuses, left_out = statuses_of(raw)
        if left_out:
            UNEXPECTED.labels("not_a_status_of_ours").inc(left_out)
        if statuses:
            reports = [Report(status.message_id, status.fact, status.code) for status in statuses]
            async with outbox.transaction() as transaction:
                await apply(transaction, reports, clock.now())
            for fact, count in Tally(status.fact for status in statuses).items():
                WEBHOOK_STATUSES.labels(fact).inc(count)
        return PlainTextResponse("ok")

    return routes
