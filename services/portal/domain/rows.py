"""From events to rows of the read model: pure, and nothing of a row comes from anywhere else."""

from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from shared.events import (
    AlertCleared,
    AlertRaised,
    CycleApproved,
    CycleProposed,
    Data,
    DeadLetter,
    EligibilityDecided,
    Event,
    FlagRejected,
    NotificationDelivered,
    NotificationFailed,
    NotificationSent,
    NotificationUnknown,
    PayoutCancelled,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    PayoutQueued,
    Problem,
    Reason,
    RecipientFlagged,
    RecipientRegistered,
    RegistrationRejected,
    RegistrationUnchanged,
)

ANSWERS: Final[tuple[type[Data], ...]] = (
    RecipientRegistered,
    RegistrationUnchanged,
    RegistrationRejected,
    RecipientFlagged,
    FlagRejected,
)
PAYOUTS: Final[tuple[type[Data], ...]] = (PayoutQueued, PayoutOrdered, PayoutConfirmed, PayoutFailed, PayoutCancelled)
MESSAGES: Final[tuple[type[Data], ...]] = (
    NotificationSent,
    NotificationDelivered,
    NotificationFailed,
    NotificationUnknown,
)
CYCLES: Final[tuple[type[Data], ...]] = (CycleProposed, CycleApproved)
ALERTS: Final[tuple[type[Data], ...]] = (AlertRaised, AlertCleared)


_ID_REUSED: Final = [("id", "id_reused")]


class RecipientRow(NamedTuple):
    recipient_id: str
    revision: int
    village: str
    decile: int
    family_id: str
    registered_at: datetime
    source: str
    at: datetime
    has_account: bool
    has_contact: bool


class FlaggedRow(NamedTuple):
    recipient_id: str
    revision: int
    at: datetime


class SubmissionRow(NamedTuple):
    kind: str
    source: str
    id: str
    answer: str
    recipient_id: str | None
    problems: str | None
    submitted_at: datetime
    at: datetime
    event_id: str


class DecisionRow(NamedTuple):
    recipient_id: str
    programme: str
    revision: int
    programme_version: int
    eligible: bool
    amount_idr: int
    reasons: str
    details: str | None
    village: str
    decile: int
    at: datetime
    event_id: str


class PayoutRow(NamedTuple):
    recipient_id: str
    cycle: str
    programme: str
    revision: int
    state: str
    amount_idr: int
    village: str
    place: int | None
    attempt: int | None
    channel: str | None
    reference: str | None
    bank_reference: str | None
    code: str | None
    text_id: str | None
    text_en: str | None
    confirmed_at: datetime | None
    at: datetime
    event_id: str


class MessageRow(NamedTuple):
    message_id: str
    recipient_id: str
    revision: int
    purpose: str
    channel: str
    template: str
    state: str
    code: str | None
    at: datetime
    event_id: str


class CycleRow(NamedTuple):
    """Of a proposal or of an approval; the other's columns are None."""

    cycle: str
    programme: str
    period: str
    mode: str | None
    budget_idr: int
    proposed_by: str | None
    proposed_at: datetime | None
    approved_by: str | None
    approved_at: datetime | None


class AlertRow(NamedTuple):
    """Of a raising or of a clearing; the other's columns are None."""

    rule: str
    about: str
    raising: int
    level: str
    since: datetime
    threshold: float
    raised_value: float | None
    cleared_value: float | None
    runbook: str
    advice: str
    raised_at: datetime | None
    cleared_at: datetime | None


class DeadLetterRow(NamedTuple):
    event_id: str
    service: str
    origin_topic: str
    origin_partition: int
    origin_offset: int
    origin_sequence: int | None
    recipient_id: str | None
    code: str
    reason: str
    body_bytes: int
    body_held: bool
    partition: int
    sequence: int | None
    at: datetime


def is_recipient(subject: str) -> bool:
    """Whether an event is about a person: what has no valid NIK is keyed by its submission, a cycle by itself."""
    return len(subject) == 34 and subject.startswith("r-")


def recipient(event: Event[RecipientRegistered]) -> RecipientRow:
    data = event.data
    return RecipientRow(
        event.subject,
        data.revision,
        data.village,
        data.decile,
        data.family_id,
        data.registered_at,
        data.submission.source,
        event.time,
        data.payment is not None,
        data.contact is not None,
    )


def flagged(event: Event[RecipientFlagged]) -> FlaggedRow:
    return FlaggedRow(event.subject, event.data.revision, event.time)


def answers(event: Event[Any]) -> bool:
    """Whether this is the one answer of its submission: that a content came under a used id is told beside it."""
    return [(problem.field, problem.code) for problem in getattr(event.data, "problems", ())] != _ID_REUSED


def submission(event: Event[Any]) -> SubmissionRow:
    """Of the one answer of the registry."""
    data = event.data
    problems = None
    if isinstance(data, RecipientRegistered):
        answer: str = data.change
    elif isinstance(data, RegistrationUnchanged):
        answer = data.reason
    elif isinstance(data, RecipientFlagged):
        answer = "flagged"
    else:
        answer, problems = "rejected", _problems(data.problems)
    return SubmissionRow(
        "flag" if isinstance(data, RecipientFlagged | FlagRejected) else "registration",
        data.submission.source,
        data.submission.id,
        answer,
        event.subject if is_recipient(event.subject) else None,
        problems,
        data.submission.submitted_at,
        event.time,
        event.id,
    )


def decision(event: Event[EligibilityDecided]) -> DecisionRow:
    data = event.data
    return DecisionRow(
        event.subject,
        data.programme,
        data.revision,
        data.programme_version,
        data.outcome == "eligible",
        data.amount_idr,
        _reasons(data.reasons),
        data.details.value if data.details else None,
        data.village,
        data.decile,
        event.time,
        event.id,
    )


def payout(event: Event[Any]) -> PayoutRow:
    data = event.data
    stated = data.__dict__
    ended = isinstance(data, PayoutFailed | PayoutCancelled)
    confirmed = isinstance(data, PayoutConfirmed)
    return PayoutRow(
        event.subject,
        data.cycle,
        data.programme,
        data.revision,
        event.type.removeprefix("payout."),
        data.amount_idr,
        data.village,
        data.place if isinstance(data, PayoutQueued) else None,
        stated.get("attempt"),
        stated.get("channel"),
        stated.get("reference"),
        data.bank_reference if confirmed else None,
        data.code if ended else None,
        data.text.id if ended else None,
        data.text.en if ended else None,
        data.confirmed_at if confirmed else None,
        event.time,
        event.id,
    )


def message(event: Event[Any]) -> MessageRow:
    data = event.data
    return MessageRow(
        data.message_id,
        event.subject,
        data.revision,
        data.purpose,
        data.channel,
        data.template,
        event.type.removeprefix("notification."),
        data.code if isinstance(data, NotificationFailed) else None,
        event.time,
        event.id,
    )


def cycle(event: Event[Any]) -> CycleRow:
    data = event.data
    if isinstance(data, CycleProposed):
        who = (data.by, event.time, None, None)
        return CycleRow(data.cycle, data.programme, data.period, data.mode, data.budget_idr, *who)
    return CycleRow(data.cycle, data.programme, data.period, None, data.budget_idr, None, None, data.by, event.time)


def alert(event: Event[Any]) -> AlertRow:
    data = event.data
    cleared = isinstance(data, AlertCleared)
    return AlertRow(
        data.rule,
        data.about,
        data.raising,
        data.level,
        data.since,
        data.threshold,
        None if cleared else data.value,
        data.value if cleared else None,
        data.runbook,
        data.advice.model_dump_json(),
        None if cleared else event.time,
        data.cleared_at if cleared else None,
    )


def dead_letter(event: Event[DeadLetter], partition: int, sequence: int | None) -> DeadLetterRow:
    data = event.data
    return DeadLetterRow(
        event.id,
        event.source.rpartition("/")[2],
        data.origin.topic,
        data.origin.partition,
        data.origin.offset,
        data.origin.sequence,
        event.subject if is_recipient(event.subject) else None,
        data.code,
        data.reason,
        data.body_bytes,
        data.body is not None,
        partition,
        sequence,
        event.time,
    )


def _problems(problems: tuple[Problem, ...]) -> str:
    said = [{"field": p.field, "code": p.code, "id": p.text.id, "en": p.text.en} for p in problems]
    return orjson.dumps(said).decode()


@lru_cache(maxsize=4096)
def _reasons(reasons: tuple[Reason, ...]) -> str:
    return orjson.dumps([{"code": r.code, "id": r.text.id, "en": r.text.en} for r in reasons]).decode()
