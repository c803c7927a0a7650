"""WhatsApp's Cloud API: template messages out, signed status webhooks in.

It has no idempotency key and no look-up, so a send is repeated only where the carrier has surely not taken it. The
message id that it answers with (`wamid`) holds the phone number in Base64: it is neither kept nor logged, statuses are
matched by `biz_opaque_callback_data`.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import aiohttp
import orjson

from services.notify.carriers.carrier import Answer
from services.notify.domain.messages import Composed
from services.notify.domain.purposes import MESSAGE_ID, Channel
from services.notify.domain.states import Fact
from shared.errors import SalurError

API_VERSION: Final = "v20.0"

_RATE_LIMITED: Final = Answer("refused_for_now", "rate_limited", everybody=True)
_NOT_AUTHORISED: Final = Answer("refused_for_now", "not_authorised", everybody=True)
_NOT_REGISTERED: Final = Answer("refused_for_now", "number_not_registered", everybody=True)

_FOR_GOOD: Final[Mapping[int, str]] = {131026: "not_on_whatsapp", 131009: "phone_invalid", 131021: "phone_invalid"}
"""Refusals of this very message or phone, with whatever HTTP status 4xx."""

_FOR_NOW: Final[Mapping[int, Answer]] = {
    4: _RATE_LIMITED,
    80007: _RATE_LIMITED,
    130429: _RATE_LIMITED,
    131048: Answer("refused_for_now", "spam_limited", everybody=True),
    131056: Answer("refused_for_now", "too_often_to_this_phone", pause_s=6.0),
    131000: Answer("refused_for_now", "carrier_trouble"),
    131016: Answer("refused_for_now", "carrier_trouble", everybody=True),
    # Our own set-up is wrong: messages wait until an operator has mended it.
    0: _NOT_AUTHORISED,  # the token expired, or was withdrawn
    3: _NOT_AUTHORISED,  # the app may not use this method; comes with HTTP 500
    10: _NOT_AUTHORISED,
    190: _NOT_AUTHORISED,
    **dict.fromkeys(range(200, 300), _NOT_AUTHORISED),
    131005: _NOT_AUTHORISED,
    33: _NOT_REGISTERED,  # the business number was deleted
    133010: _NOT_REGISTERED,
    131037: Answer("refused_for_now", "name_not_approved", everybody=True),
    368: Answer("refused_for_now", "account_locked", everybody=True),
    131031: Answer("refused_for_now", "account_locked", everybody=True),
    131042: Answer("refused_for_now", "carrier_not_paid", everybody=True),
    132001: Answer("refused_for_now", "template_unknown", everybody=True),
    # Our templates and what was approved are not the same: so it is for every message of the kind.
    **dict.fromkeys((131008, 132000, 132012), Answer("refused_for_now", "template_differs", everybody=True)),
    132015: Answer("refused_for_now", "template_paused", everybody=True),
    132016: Answer("refused_for_now", "template_disabled", everybody=True),
    # The account may not write to this phone's country: others are reached.
    130497: Answer("refused_for_now", "country_restricted"),
}
"""Refusals after which the same message may be sent again, by Graph API error code (Cloud API error codes)."""

_NO_SUCH_NUMBER: Final = (100, 33)
"""Code and subcode where the business number's id is wrong, or this token may not use it."""

_FOR_NOW_BY_STATUS: Final[Mapping[int, Answer]] = {401: _NOT_AUTHORISED, 403: _NOT_AUTHORISED, 429: _RATE_LIMITED}
"""The same by HTTP status, where the code is none of those."""

_TOLD: Final[Mapping[str, Fact]] = {
    "sent": Fact.ACCEPTED,
    "delivered": Fact.TOLD_DELIVERED,
    "read": Fact.TOLD_READ,
    "failed": Fact.TOLD_FAILED,
}


class NotAWebhook(SalurError):
    """A signed POST that is not in the shape of a webhook."""


class Status(NamedTuple):
    """One status of a webhook; `code` says why a message failed."""

    message_id: str
    fact: Fact
    code: str | None


class WhatsApp:
    """Sends from one business number. At most `at_once` calls are open; each ends after `timeout_s`."""

    channel: Channel = "whatsapp"

    def __init__(self, url: str, token: str, phone_number_id: str, *, timeout_s: float, at_once: int) -> None:
        self._path = f"{url.rstrip('/')}/{API_VERSION}/{phone_number_id}/messages"
        # A place in the pool is free for every call (the sender opens no more than `at_once`), so the whole time-out
        # runs while talking to the carrier.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=at_once, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, 5.0)),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def send(self, message_id: str, phone: str, message: Composed) -> Answer:
        body = orjson.dumps(request_body(message_id, phone, message))
        try:
            async with self._session.post(self._path, data=body, allow_redirects=False) as response:
                return read_answer(response.status, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Answer("refused_for_now", "carrier_away", everybody=True)  # nothing was written yet
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Answer("unknown", "timed_out" if isinstance(error, TimeoutError) else "cut")

    async def close(self) -> None:
        await self._session.close()


def request_body(message_id: str, phone: str, message: Composed) -> dict[str, Any]:
    """A template message with its values; one body component."""
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": phone,
        "type": "template",
        "template": {
            "name": message.template,
            "language": {"code": message.language},
            "components": [
                {"type": "body", "parameters": [{"type": "text", "text": value} for value in message.values]}
            ],
        },
        "biz_opaque_callback_data": message_id,
    }


def read_answer(http_status: int, raw: bytes) -> Answer:
    """What an HTTP answer says. Anything that does not surely mean "not taken" is unknown."""
    body = _object(raw)
    if http_status == 200:
        messages = body.get("messages")
        taken = isinstance(messages, list) and len(messages) == 1
        return Answer("accepted") if taken else Answer("unknown", "answer_not_understood")
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    code = error.get("code")
    of_client = 400 <= http_status < 500
    if isinstance(code, int):
        if of_client and code in _FOR_GOOD:
            return Answer("refused", _FOR_GOOD[code])
        if (code, error.get("error_subcode")) == _NO_SUCH_NUMBER:
            return _NOT_REGISTERED
        if code in _FOR_NOW:
            return _FOR_NOW[code]
    if http_status in _FOR_NOW_BY_STATUS:
        return _FOR_NOW_BY_STATUS[http_status]
    if of_client:
        return Answer("refused", failure_code(code) if isinstance(code, int) else f"http_{http_status}")
    return Answer("unknown", f"http_{http_status}")


def failure_code(code: int) -> str:
    """Our name of a Graph API error code that a message failed with."""
    return _FOR_GOOD.get(code, f"whatsapp_{abs(code)}")


def signature_holds(secret: str, raw: bytes, header: str | None) -> bool:
    """Whether `X-Hub-Signature-256` was made with the app's secret over exactly these bytes."""
    expected = "sha256=" + hmac.digest(secret.encode(), raw, "sha256").hex()
    return header is not None and hmac.compare_digest(expected.encode(), header.encode("utf-8", "replace"))


def statuses_of(raw: bytes) -> tuple[list[Status], int]:
    """The statuses of a webhook in their order, and how many were left out.

    Left out are statuses without callback data (not ours) or of a kind that tells nothing here. Inbound texts are not
    statuses. Raises NotAWebhook.
    """
    body = _object(raw)
    entries = body.get("entry")
    if body.get("object") != "whatsapp_business_account" or not isinstance(entries, list):
        raise NotAWebhook("this is no webhook of a WhatsApp business account")
    found: list[Status] = []
    left_out = 0
    for entry in entries:
        for change in _dicts(entry, "changes"):
            for told in _dicts(change.get("value"), "statuses"):
                status = _status(told)
                if status is None:
                    left_out += 1
                else:
                    found.append(status)
    return found, left_out


def _status(told: Mapping[str, Any]) -> Status | None:
    message_id, name = told.get("biz_opaque_callback_data"), told.get("status")
    fact = _TOLD.get(name) if isinstance(name, str) else None
    if fact is None or not isinstance(message_id, str) or not MESSAGE_ID.fullmatch(message_id):
        return None
    return Status(message_id, fact, _first_error(told.get("errors")) if fact is Fact.TOLD_FAILED else None)


def _first_error(errors: Any) -> str:
    first = errors[0] if isinstance(errors, list) and errors else None
    code = first.get("code") if isinstance(first, dict) else None
    return failure_code(code) if isinstance(code, int) else "carrier_failed"


def _dicts(of: Any, field: str) -> Sequence[dict[str, Any]]:
    held = of.get(field) if isinstance(of, dict) else None
    return [part for part in held if isinstance(part, dict)] if isinstance(held, list) else []


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
