"""What is counted of one event. Read from the raw JSON: a model of the contract would cost more than all the counting.

Only our own services write these topics, so nothing is validated but what is used; what is not in form is Unreadable.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from shared.errors import SalurError

Json = Mapping[str, Any]


class Unreadable(SalurError):
    """A message on a topic of the flow that says nothing that could be counted."""


class Facts(NamedTuple):
    """Empty where the event does not say it. `code` is the reason where there is one, else the kind of outcome."""

    event_id: str
    cause_id: str
    subject: str
    at_ms: int
    programme: str
    village: str
    channel: str
    code: str
    amount_idr: int
    cycle: str
    account: str
    submitted_ms: int

    @property
    def district(self) -> str:
        """Kemendagri code of the district (kecamatan): the first six digits of the village's."""
        return self.village[:6]


def facts_of(topic: str, raw: bytes | None) -> Facts:
    """Raises Unreadable."""
    try:
        event: Json = orjson.loads(raw or b"")
        data: Json = event["data"]
        code_of = _CODES.get(topic, _own_code)
        submission = data.get("submission")
        return Facts(
            event_id=event["id"],
            cause_id=event.get("causationid", ""),
            subject=event["subject"],
            at_ms=_ms(event["time"]),
            programme=data.get("programme", ""),
            village=data.get("village", ""),
            channel=data.get("channel", ""),
            code=code_of(data),
            amount_idr=data.get("budget_idr") or data.get("amount_idr", 0),
            cycle=data.get("cycle", ""),
            account=data.get("account", ""),
            submitted_ms=_ms(submission["submitted_at"]) if submission else 0,
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise Unreadable(f"a message on {topic} is no event of the contract ({type(error).__name__})") from None


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _own_code(data: Json) -> str:
    return str(data.get("code", ""))


def _first_problem(data: Json) -> str:
    return str(data["problems"][0]["code"])


def _outcome(data: Json) -> str:
    return "eligible" if data["outcome"] == "eligible" else str(data["reasons"][0]["code"])


_CODES: Final[Mapping[str, Callable[[Json], str]]] = {
    "recipient.registered": lambda data: str(data["change"]),
    "registration.unchanged": lambda data: str(data["reason"]),
    "registration.rejected": _first_problem,
    "flag.rejected": _first_problem,
    "eligibility.decided": _outcome,
}
