"""Eligibility's rows: the current decisions against the events that told them, and its copy of registrations."""

from collections.abc import Iterable
from typing import Final

from salur.inside.audit.agreement import (
    Agreement,
    Check,
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
from shared.events import EligibilityDecided, RecipientFlagged, RecipientRegistered, RecipientResealed


def _decision(event: Json) -> Iterable[Says]:
    data = event["data"]
    yield Says(
        f"{event['subject']}/{data['programme']}",
        data["revision"],
        (
            str(data["revision"]),
            str(data["programme_version"]),
            data["outcome"],
            str(data["amount_idr"]),
            " ".join(reason["code"] for reason in data["reasons"]),
            str(data["registration_revision"]),
            str(data["flag_revision"]),
            str(micros(event["time"])),
        ),
    )


def _registration(event: Json) -> Iterable[Says]:
    data = event["data"]
    yield Says(
        event["subject"],
        data["revision"],
        (
            str(data["revision"]),
            str(micros(data["registered_at"])),
            data["family_id"],
            data["village"],
            str(data["decile"]),
            sealed(data["eligibility"]),
            sealed(data.get("payment")),
            sealed(data.get("contact")),
            event["id"],
        ),
    )


def _flags(event: Json) -> Iterable[Says]:
    data = event["data"]
    yield Says(event["subject"], data["revision"], (str(data["revision"]), sealed(data["flags"])))


def _resealed_flags(event: Json) -> Iterable[Says]:
    data = event["data"]
    if data["flag_revision"]:
        fields = (str(data["flag_revision"]), sealed(data.get("flags")))
        yield Says(f"{event['subject']}/{event['sequence']}", 0, fields)


_VALUES_RESEALED: Final = "values_resealed_revision = registration_revision"
_FLAGS_RESEALED: Final = "flags_resealed_revision = flag_revision"

RULES: Final = StageRules(
    "eligibility",
    (
        Agreement(
            "decision",
            (
                "revision",
                "programme_version",
                "outcome",
                "amount_idr",
                "reasons",
                "registration_revision",
                "flag_revision",
                "decided_at",
            ),
            f"""
            SELECT recipient_id || '/' || programme, revision::text, programme_version::text, outcome,
                amount_idr::text, reasons, registration_revision::text, flag_revision::text,
                {micros_sql("decided_at")}
            FROM decision
            """,
            {topic(EligibilityDecided): _decision},
            gapless=True,
        ),
        Agreement(
            "recipient (registration)",
            (
                "registration_revision",
                "registered_at",
                "family_id",
                "village",
                "decile",
                "eligibility",
                "payment",
                "contact",
                "cause_id",
            ),
            f"""
            SELECT recipient_id, registration_revision::text, {micros_sql("registered_at")}, family_id, village,
                decile::text, {unless_sql(_VALUES_RESEALED, sealed_sql("eligibility"))},
                {unless_sql(_VALUES_RESEALED, sealed_sql("payment"))},
                {unless_sql(_VALUES_RESEALED, sealed_sql("contact"))}, cause_id
            FROM recipient WHERE registration_revision > 0
            """,
            {topic(RecipientRegistered): _registration},
        ),
        Agreement(
            "recipient (resealed)",
            ("registration_revision", "eligibility", "payment", "contact"),
            f"""
            SELECT recipient_id || '/' || coalesce(values_resealed_by::text, ''), registration_revision::text,
                {sealed_sql("eligibility")}, {sealed_sql("payment")}, {sealed_sql("contact")}
            FROM recipient WHERE {_VALUES_RESEALED}
            """,
            {topic(RecipientResealed): resealed},
            optional=True,
        ),
        Agreement(
            "recipient (flags)",
            ("flag_revision", "flags"),
            f"""
            SELECT recipient_id, flag_revision::text, {unless_sql(_FLAGS_RESEALED, sealed_sql("flags"))}
            FROM recipient WHERE flag_revision > 0
            """,
            {topic(RecipientFlagged): _flags},
            tie="first",
        ),
        Agreement(
            "recipient (flags resealed)",
            ("flag_revision", "flags"),
            f"""
            SELECT recipient_id || '/' || coalesce(flags_resealed_by::text, ''), flag_revision::text,
                {sealed_sql("flags")}
            FROM recipient WHERE {_FLAGS_RESEALED}
            """,
            {topic(RecipientResealed): _resealed_flags},
            optional=True,
        ),
    ),
    (
        Check(
            "family_payee",
            """
            SELECT f.family_id, 'paid through ' || f.recipient_id || ', whose decision in ' || f.programme || ' is '
                || d.outcome
                || CASE WHEN r.family_id IS DISTINCT FROM f.family_id THEN ', of another family' ELSE '' END
            FROM family_payee AS f
            JOIN decision AS d USING (recipient_id, programme)
            JOIN recipient AS r USING (recipient_id)
            WHERE d.outcome <> 'eligible' OR r.family_id IS DISTINCT FROM f.family_id
            """,
        ),
    ),
)
