"""Notify's rows: messages against the events that told of them, and its copy of decisions and contacts."""

from collections.abc import Iterable
from typing import Final

from salur.inside.audit.agreement import (
    Agreement,
    Json,
    Says,
    StageRules,
    micros,
    micros_sql,
    resealed,
    sealed,
    sealed_sql,
    topic,
    unless_sql,
)
from shared.events import (
    EligibilityDecided,
    NotificationDelivered,
    NotificationFailed,
    NotificationSent,
    NotificationUnknown,
    RecipientResealed,
)

_TOLD: Final = (NotificationSent, NotificationDelivered, NotificationFailed, NotificationUnknown)
_MILESTONES: Final = tuple(topic(model).removeprefix("notification.") for model in _TOLD)


def _message(event: Json) -> Iterable[Says]:
    data = event["data"]
    fields = (str(data["revision"]), event["subject"], data["purpose"], data["channel"], data["template"])
    yield Says(data["message_id"], data["revision"], fields)


def _milestone(event: Json) -> Iterable[Says]:
    milestone = event["type"].removeprefix("notification.")
    yield Says(f"{event['data']['message_id']}/{milestone}", 0, (str(micros(event["time"])),))


def _decision(event: Json) -> Iterable[Says]:
    data = event["data"]
    fields = (str(data["revision"]), str(data["outcome"] == "eligible").lower(), str(data["amount_idr"]))
    yield Says(f"{event['subject']}/{data['programme']}", data["revision"], fields)


def _contact(event: Json) -> Iterable[Says]:
    data = event["data"]
    revision = data["registration_revision"]
    yield Says(event["subject"], revision, (str(revision), sealed(data.get("contact"))))


def _resealed(event: Json) -> Iterable[Says]:
    for key, rank, (revision, _, _, contact) in resealed(event):
        yield Says(key, rank, (revision, contact))


_RESEALED: Final = "resealed_revision = registration_revision"

RULES: Final = StageRules(
    "notify",
    (
        Agreement(
            "message",
            ("revision", "recipient_id", "purpose", "channel", "template"),
            """
            SELECT message_id, revision::text, recipient_id, purpose, channel, coalesce(template, 'unknown')
            FROM message WHERE revision > 0
            """,
            {topic(model): _message for model in _TOLD},
            gapless=True,
        ),
        Agreement(
            "message (milestones)",
            ("at",),
            " UNION ALL ".join(
                f"SELECT message_id || '/{m}', {micros_sql(f'{m}_at')} FROM message WHERE {m}_at IS NOT NULL"
                for m in _MILESTONES
            ),
            {topic(model): _milestone for model in _TOLD},
            once=True,
        ),
        Agreement(
            "decision",
            ("revision", "eligible", "amount_idr"),
            "SELECT recipient_id || '/' || programme, revision::text, eligible::text, amount_idr::text FROM decision",
            {topic(EligibilityDecided): _decision},
        ),
        Agreement(
            "contact",
            ("registration_revision", "contact"),
            f"""
            SELECT recipient_id, registration_revision::text, {unless_sql(_RESEALED, sealed_sql("contact"))}
            FROM contact WHERE registration_revision > 0
            """,
            {topic(EligibilityDecided): _contact},
            tie="first",
        ),
        Agreement(
            "contact (resealed)",
            ("registration_revision", "contact"),
            f"""
            SELECT recipient_id || '/' || coalesce(resealed_by::text, ''), registration_revision::text,
                {sealed_sql("contact")}
            FROM contact WHERE registration_revision > 0 AND {_RESEALED}
            """,
            {topic(RecipientResealed): _resealed},
            optional=True,
        ),
    ),
)
