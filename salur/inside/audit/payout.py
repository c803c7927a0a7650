"""Payout's rows: cycles, payouts and the ledger against the events that told them, and its copy of decisions."""

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
from salur.inside.audit.spill import ANY
from shared.events import (
    CycleApproved,
    CycleProposed,
    EligibilityDecided,
    PayoutCancelled,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    PayoutQueued,
    RecipientResealed,
)

_RESEALED: Final = "resealed_of IS NOT DISTINCT FROM revision AND registration_of IS NOT DISTINCT FROM revision"
_STATES: Final = {
    PayoutQueued.TYPE: "queued",
    PayoutOrdered.TYPE: "ordered",
    PayoutCancelled.TYPE: "cancelled",
    PayoutConfirmed.TYPE: "confirmed",
    PayoutFailed.TYPE: "failed",
}


_FAMILY: Final = f"coalesce(family_id, '{ANY}')"
"""An instance of the version before keeps none, whatever the event says."""


def _decision(event: Json) -> Iterable[Says]:
    data = event["data"]
    eligible = data["outcome"] == "eligible"
    if not eligible and data["revision"] == 1:
        return  # payout does not keep it
    yield Says(
        f"{event['subject']}/{data['programme']}",
        data["revision"],
        (
            str(data["revision"]),
            str(eligible).lower(),
            str(data["amount_idr"]),
            data["village"],
            str(data["decile"]),
            str(micros(data["waiting_since"])),
            data.get("family_id"),
            sealed(data.get("payment")) if eligible else None,
            sealed(data.get("contact")),
            event["id"],
        ),
    )


def _resealed(event: Json) -> Iterable[Says]:
    for key, rank, (revision, _, payment, contact) in resealed(event):
        yield Says(key, rank, (revision, payment, contact))


def _one(field: str) -> str:
    """All decisions about a recipient took the same from one event, or keep none of it."""
    several = f"count(DISTINCT {field}) > 1"
    return f"CASE WHEN {several} THEN 'several' ELSE coalesce(min({field}), chr({ord(ANY)})) END"


def _payout(event: Json) -> Iterable[Says]:
    data = event["data"]
    yield Says(
        f"{event['subject']}/{data['cycle']}",
        data["revision"],
        (
            str(data["revision"]),
            _STATES[event["type"]],
            data["programme"],
            str(data["decision_revision"]),
            str(data["amount_idr"]),
            data["village"],
            str(data["attempt"]) if "attempt" in data else ANY,
            data.get("reference", ANY),
            data.get("channel", ANY),
            data.get("code"),
            data.get("bank_reference"),
        ),
    )


def _attempt(event: Json) -> str:
    return f"{event['subject']}/{event['data']['cycle']}/{event['data']['attempt']}"


def _amount(event: Json) -> Iterable[Says]:
    yield Says(_attempt(event), 0, (str(event["data"]["amount_idr"]),))


def _failure(event: Json) -> Iterable[Says]:
    data = event["data"]
    yield Says(_attempt(event), 0, (data["reference"], str(data["amount_idr"]), data["code"]))


def _proposed(event: Json) -> Iterable[Says]:
    data = event["data"]
    fields = (data["programme"], data["period"], data["mode"], str(data["budget_idr"]), data["by"])
    yield Says(data["cycle"], 0, fields)


def _approved(event: Json) -> Iterable[Says]:
    data = event["data"]
    yield Says(data["cycle"], 0, (str(data["budget_idr"]), data["by"], str(data["budget_idr"])))


def _transfers(kind: str) -> str:
    return f"""
        SELECT recipient_id || '/' || cycle || '/' || attempt, amount_idr::text FROM transfer WHERE kind = '{kind}'
    """


RULES: Final = StageRules(
    "payout",
    (
        Agreement(
            "decision",
            (
                "revision",
                "eligible",
                "amount_idr",
                "village",
                "decile",
                "waiting_since",
                "family_id",
                "payment",
                "contact",
                "cause_id",
            ),
            f"""
            SELECT recipient_id || '/' || programme, revision::text, eligible::text, amount_idr::text, village,
                decile::text, {micros_sql("waiting_since")}, {_FAMILY}, {unless_sql(_RESEALED, sealed_sql("payment"))},
                {unless_sql(_RESEALED, sealed_sql("contact"))}, cause_id
            FROM decision
            """,
            {topic(EligibilityDecided): _decision},
        ),
        Agreement(
            "decision (resealed)",
            ("registration_revision", "payment", "contact"),
            f"""
            SELECT recipient_id || '/' || coalesce(resealed_by::text, ''), {_one("registration_revision::text")},
                {_one(sealed_sql("payment"))}, {_one(sealed_sql("contact"))}
            FROM decision WHERE {_RESEALED}
            GROUP BY 1
            """,
            {topic(RecipientResealed): _resealed},
            optional=True,
        ),
        Agreement(
            "cycle (proposed)",
            ("programme", "period", "mode", "budget_idr", "proposed_by"),
            "SELECT cycle, programme, period, mode, budget_idr::text, proposed_by FROM cycle",
            {topic(CycleProposed): _proposed},
            once=True,
        ),
        Agreement(
            "cycle (approved)",
            ("budget_idr", "approved_by", "funded_idr"),
            """
            SELECT c.cycle, c.budget_idr::text, c.approved_by, t.amount_idr::text
            FROM cycle AS c LEFT JOIN transfer AS t ON t.cycle = c.cycle AND t.kind = 'fund'
            WHERE c.state <> 'proposed'
            """,
            {topic(CycleApproved): _approved},
            once=True,
        ),
        Agreement(
            "payout",
            (
                "revision",
                "state",
                "programme",
                "decision_revision",
                "amount_idr",
                "village",
                "attempt",
                "reference",
                "channel",
                "code",
                "bank_reference",
            ),
            """
            SELECT recipient_id || '/' || cycle, revision::text,
                CASE WHEN state IN ('ordered', 'claimed', 'unknown', 'unsent') THEN 'ordered' ELSE state END,
                programme, decision_revision::text, amount_idr::text, village, attempt::text, reference, channel, code,
                bank_reference
            FROM payout
            """,
            {
                topic(model): _payout
                for model in (PayoutQueued, PayoutOrdered, PayoutCancelled, PayoutConfirmed, PayoutFailed)
            },
            gapless=True,
        ),
        Agreement(
            "transfer (reserve)", ("amount_idr",), _transfers("reserve"), {topic(PayoutOrdered): _amount}, once=True
        ),
        Agreement("transfer (post)", ("amount_idr",), _transfers("post"), {topic(PayoutConfirmed): _amount}, once=True),
        Agreement(
            "payout and past_attempt (failed)",
            ("reference", "amount_idr", "code"),
            """
            SELECT recipient_id || '/' || cycle || '/' || attempt, reference, amount_idr::text, code
            FROM reference_book WHERE state = 'failed'
            """,
            {topic(PayoutFailed): _failure},
            once=True,
        ),
    ),
    (
        Check(
            "transfer, account, payout",
            "SELECT cycle || ' ' || subject, problem || ': Rp' || difference_idr FROM ledger_problem",
        ),
    ),
)
