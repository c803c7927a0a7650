"""One endpoint: a NIK in the body, the recipient's id in the answer. It knows nobody: every NIK has an id."""

import hmac

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.lookup.metrics import LOOKUPS
from shared.allowance import Allowance
from shared.errors import SalurError
from shared.privacy.keyring import Keyring
from shared.runtime.http import body_up_to

BODY_BYTES_MAX = 100
_NOBODY = "0" * 16


class NotThePortal(SalurError):
    """The token is missing or wrong."""

    http_status = 401


class TooMany(SalurError):
    """More questions than are answered."""

    http_status = 429


def router(keyring: Keyring, token: str, allowance: Allowance) -> APIRouter:
    routes = APIRouter()

    @routes.post("/recipient-id", include_in_schema=False)
    async def recipient_id(request: Request) -> JSONResponse:
        """`{"nik": "16 digits"}` to `{"recipient_id": "r-…"}`; null for anything that has not 16 digits, after the same
        work. Raises NotThePortal, TooMany."""
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode()):
            LOOKUPS.labels("refused").inc()
            raise NotThePortal("the token is missing or wrong", hint="SALUR_LOOKUP_TOKEN is the same on both sides")
        if not allowance.take():
            LOOKUPS.labels("too_many").inc()
            raise TooMany(
                "too many look-ups", hint="SALUR_LOOKUP_RATE and SALUR_LOOKUP_BURST say how many are answered"
            )
        nik = _nik(await body_up_to(request, BODY_BYTES_MAX) or b"")
        found = keyring.recipient_id(nik or _NOBODY)
        LOOKUPS.labels("answered" if nik else "no_nik").inc()
        return JSONResponse({"recipient_id": found if nik else None})

    return routes


def _nik(raw: bytes) -> str | None:
    try:
        held = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    nik = held.get("nik") if isinstance(held, dict) else None
    return nik if isinstance(nik, str) and len(nik) == 16 and nik.isascii() and nik.isdigit() else None
