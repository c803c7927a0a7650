"""What of an event is worth a line in its recipient's story: small facts in the clear, never anything sealed."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from shared.events import (
    DeadLetter,
    EligibilityDecided,
    Event,
    FlagRejected,
    RecipientFlagged,
    RecipientRegistered,
    RegistrationRejected,
    RegistrationUnchanged,
)

_PLAIN: Final = (
    *("cycle", "programme", "revision", "amount_idr", "place", "attempt", "reference", "channel", "bank_reference"),
    *("code", "message_id", "purpose", "template"),
)


class HappeningRow(NamedTuple):
    recipient_id: str
    at: datetime
    event_id: str
    type: str
    cause_id: str | None
    partition: int
    sequence: int | None
    facts: str


def happening(event: Event[Any], partition: int, sequence: int | None) -> HappeningRow:
    """Of an event whose subject is a recipient."""
    told = _TOLD.get(event.type, _plain)(event.data)
    facts = orjson.dumps(told).decode()
    return HappeningRow(event.subject, event.time, event.id, event.type, event.causationid, partition, sequence, facts)


def _plain(data: Any) -> dict[str, Any]:
    held = data.__dict__  # asking a model for what it has not got costs ten times as much
    return {name: value for name in _PLAIN if (value := held.get(name)) is not None}


def _submission(data: Any) -> dict[str, Any]:
    return {"source": data.submission.source, "submission": data.submission.id}


def _registered(data: Any) -> dict[str, Any]:
    facts = {"revision": data.revision, "change": data.change, "village": data.village, "decile": data.decile}
    return facts | _submission(data)


def _unchanged(data: Any) -> dict[str, Any]:
    return {"revision": data.revision, "reason": data.reason, **_submission(data)}


def _rejected(data: Any) -> dict[str, Any]:
    return {"codes": [problem.code for problem in data.problems], **_submission(data)}


def _flagged(data: Any) -> dict[str, Any]:
    return {"revision": data.revision, **_submission(data)}


def _decided(data: Any) -> dict[str, Any]:
    codes = [reason.code for reason in data.reasons]
    return _plain(data) | {"version": data.programme_version, "outcome": data.outcome, "codes": codes}


def _dead(data: Any) -> dict[str, Any]:
    return {"code": data.code, "topic": data.origin.topic}


_TOLD: Final[Mapping[str, Callable[[Any], dict[str, Any]]]] = {
    RecipientRegistered.TYPE: _registered,
    RegistrationUnchanged.TYPE: _unchanged,
    RegistrationRejected.TYPE: _rejected,
    FlagRejected.TYPE: _rejected,
    RecipientFlagged.TYPE: _flagged,
    EligibilityDecided.TYPE: _decided,
    DeadLetter.TYPE: _dead,
}
