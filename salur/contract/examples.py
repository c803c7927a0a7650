"""One example of every event type: what a reader would really meet, with made-up boxes in place of sealed ones."""

from datetime import UTC, datetime
from typing import Any

from shared.events import (
    AlertCleared,
    AlertRaised,
    CodeIssued,
    CycleApproved,
    CycleProposed,
    DeadLetter,
    EligibilityDecided,
    Event,
    FlagRejected,
    FlagSubmitted,
    NotificationDelivered,
    NotificationFailed,
    NotificationSent,
    NotificationUnknown,
    PayoutCancelled,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    PayoutQueued,
    RecipientFlagged,
    RecipientRegistered,
    RecipientResealed,
    RegistrationRejected,
    RegistrationSubmitted,
    RegistrationUnchanged,
    caused_by,
    first_cause,
)
from shared.events.model import Data
from shared.events.topics import FLOW_TOPICS

FAMILY = "f-0cc175b9c0f1b6a831c399e269772661"
RECIPIENT = "r-5f1d7a84db00d2fce1b31a7fc73224f5"
CYCLE = "sembako-2026-11"
AT = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
_SUBMISSION = {"source": "polman", "id": "batch-7-000042", "submitted_at": AT}
_PAYOUT = {
    "cycle": CYCLE,
    "programme": "sembako",
    "amount_idr": 200_000,
    "decision_revision": 1,
    "village": "7604031005",
}
_ATTEMPT = {**_PAYOUT, "attempt": 1, "reference": "MZXW6YTBOI5DGNBVGY3T", "channel": "himbara"}
_MESSAGE = {
    "message_id": "m-9b2f0c6f1f9e4c7c8a4de2a1b0c3d4e5",
    "purpose": f"payout:{CYCLE}:1",
    "channel": "whatsapp",
    "template": "payout_confirmed",
    "revision": 1,
}
_PROBLEMS = [
    {
        "field": "nik",
        "code": "nik_format",
        "text": {"id": "NIK harus terdiri dari 16 angka.", "en": "The NIK must have 16 digits."},
    }
]
_ALERT = {
    "rule": "payouts-failing",
    "about": "himbara",
    "raising": 1,
    "level": "critical",
    "since": AT,
    "value": 0.31,
    "threshold": 0.2,
    "runbook": "docs/runbooks/payouts-failing.md",
    "advice": {
        "what": {"id": "31% pembayaran lewat himbara gagal.", "en": "31% of payouts through himbara fail."},
        "look": {"id": "Lihat alasan terbanyak.", "en": "Look at the most frequent reason."},
        "do": {"id": "Hubungi bank.", "en": "Call the bank."},
    },
}
_SEALED_SUBMISSION = {"sealed": {"key_id": "sub-abcdefgh", "enc": "A" * 43, "ciphertext": "B" * 400}}


def _box(prefix: str, chars: int) -> str:
    return f"{prefix}-abcdefgh." + "Q" * chars


_DATA: dict[type[Data], dict[str, Any]] = {
    RegistrationSubmitted: _SEALED_SUBMISSION,
    FlagSubmitted: _SEALED_SUBMISSION,
    RecipientRegistered: {
        "revision": 1,
        "change": "new",
        "submission": _SUBMISSION,
        "registered_at": AT,
        "family_id": FAMILY,
        "village": "7604031005",
        "decile": 2,
        "eligibility": _box("eli", 292),
        "payment": _box("pay", 164),
        "contact": _box("con", 164),
    },
    RegistrationUnchanged: {"revision": 1, "submission": _SUBMISSION, "reason": "identical"},
    RegistrationRejected: {"submission": _SUBMISSION, "problems": _PROBLEMS},
    RecipientFlagged: {
        "revision": 1,
        "submission": {**_SUBMISSION, "source": "dukcapil"},
        "flags": _box("eli", 292),
    },
    RecipientResealed: {
        "revision": 1,
        "eligibility": _box("eli", 292),
        "payment": _box("pay", 164),
        "contact": _box("con", 164),
        "flag_revision": 1,
        "flags": _box("eli", 292),
    },
    FlagRejected: {"submission": {**_SUBMISSION, "source": "dukcapil"}, "problems": _PROBLEMS},
    EligibilityDecided: {
        "programme": "sembako",
        "programme_version": 1,
        "revision": 1,
        "outcome": "eligible",
        "amount_idr": 200_000,
        "reasons": [
            {
                "code": "within_decile",
                "text": {
                    "id": "Desil keluarga 2, batas program 5.",
                    "en": "The family is in decile 2, the limit is 5.",
                },
            }
        ],
        "registration_revision": 1,
        "flag_revision": 0,
        "village": "7604031005",
        "decile": 2,
        "waiting_since": AT,
        "family_id": FAMILY,
        "payment": _box("pay", 164),
        "contact": _box("con", 164),
    },
    CycleProposed: {
        "cycle": CYCLE,
        "programme": "sembako",
        "period": "2026-11",
        "mode": "continuous",
        "budget_idr": 2_000_000_000,
        "by": "siti",
    },
    CycleApproved: {
        "cycle": CYCLE,
        "programme": "sembako",
        "period": "2026-11",
        "budget_idr": 2_000_000_000,
        "by": "abdul",
    },
    PayoutQueued: {**_PAYOUT, "revision": 1, "place": 17},
    PayoutOrdered: {**_ATTEMPT, "revision": 1, "contact": _box("con", 164)},
    PayoutCancelled: {
        **_PAYOUT,
        "revision": 2,
        "code": "decision_superseded",
        "text": {"id": "Keputusan diganti.", "en": "The decision was superseded."},
    },
    PayoutConfirmed: {
        **_ATTEMPT,
        "revision": 2,
        "bank_reference": "20261124000017",
        "confirmed_at": AT,
        "contact": _box("con", 164),
    },
    PayoutFailed: {
        **_ATTEMPT,
        "revision": 2,
        "code": "account_closed",
        "text": {"id": "Rekening sudah ditutup.", "en": "The account is closed."},
        "contact": _box("con", 164),
    },
    NotificationSent: _MESSAGE,
    NotificationDelivered: {**_MESSAGE, "revision": 2},
    NotificationFailed: {**_MESSAGE, "revision": 2, "code": "not_on_whatsapp"},
    NotificationUnknown: _MESSAGE,
    CodeIssued: {
        "request": "q-7d1f0b5c9a3e4f6281c0d9e8b7a6f5e4",
        "code": _box("acc", 100),
        "expires_at": AT,
        "revision": 1,
    },
    DeadLetter: {
        "origin": {"topic": "registration.submitted.polman", "partition": 3, "offset": 1042},
        "code": "not_json",
        "reason": "message: Invalid JSON",
        "body": _box("rec", 100),
        "body_bytes": 12,
    },
    AlertRaised: _ALERT,
    AlertCleared: {**_ALERT, "value": 0.02, "cleared_at": AT},
}

_SUBJECTS: dict[type[Data], str] = {
    CycleProposed: CYCLE,
    CycleApproved: CYCLE,
    AlertRaised: "payouts-failing:himbara",
    AlertCleared: "payouts-failing:himbara",
}
_OWNERS = {topic.model: topic.owner for topic in FLOW_TOPICS.values() if topic.model}


def example(model: type[Data]) -> Event[Any]:
    """A valid event of this type; always the same one."""
    data = model.model_validate(_DATA[model])
    owner = _OWNERS.get(model)
    if owner is None:
        return Event[model](  # type: ignore[valid-type]
            id="batch-7-000042", source="polman", type=model.TYPE, subject="batch-7-000042", time=AT, data=data
        )
    subject = _SUBJECTS.get(model, RECIPIENT)
    return caused_by(first_cause("batch-7-000042", "polman"), owner, data, subject=subject, time=AT)
