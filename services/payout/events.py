"""The events of this service, made from its rows."""

from datetime import datetime
from typing import Any, NamedTuple

from services.payout.configuration import Configuration
from shared.events import (
    Cause,
    CycleApproved,
    CycleProposed,
    Event,
    PayoutCancelled,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    PayoutQueued,
    caused_by,
    first_cause,
)
from shared.events.model import Data
from shared.privacy.sealed import Sealed

SERVICE = "payout"


class Told(NamedTuple):
    """What an event says about its payout; `revision` is the one that this event brings."""

    recipient_id: str
    cycle: str
    programme: str
    attempt: int
    revision: int
    decision_revision: int
    amount_idr: int
    village: str
    contact: str | None
    cause: Cause
    at: datetime


def cause_of(row: Any) -> Cause:
    """The cause that is kept beside a row."""
    return Cause(row["cause_id"], row["correlation_id"], row["traceparent"])


def told(row: Any, contact: str | None, cause: Cause, at: datetime) -> Told:
    """Of a payout's database row, whose revision this event raises."""
    return Told(
        row["recipient_id"],
        row["cycle"],
        row["programme"],
        row["attempt"],
        row["revision"] + 1,
        row["decision_revision"],
        row["amount_idr"],
        row["village"],
        contact,
        cause,
        at,
    )


def queued(payout: Told, place: int) -> Event[Any]:
    return _event(payout, PayoutQueued(**_said(payout), place=place))


def ordered(payout: Told, reference: str, channel: str) -> Event[Any]:
    data = PayoutOrdered(**_said(payout), attempt=payout.attempt, reference=reference, channel=channel)
    return _event(payout, data)


def cancelled(payout: Told, code: str, known: Configuration) -> Event[Any]:
    return _event(payout, PayoutCancelled(**_said(payout), code=code, text=known.reason(code)))


def confirmed(
    payout: Told, reference: str, channel: str, bank_reference: str, account: str | None = None
) -> Event[Any]:
    """`account` is the fingerprint of the account that was paid, where it is known."""
    data = PayoutConfirmed(
        **_said(payout),
        attempt=payout.attempt,
        reference=reference,
        channel=channel,
        bank_reference=bank_reference,
        confirmed_at=payout.at,
        account=account,
    )
    return _event(payout, data)


def failed(payout: Told, reference: str, channel: str, code: str, known: Configuration) -> Event[Any]:
    data = PayoutFailed(
        **_said(payout),
        attempt=payout.attempt,
        reference=reference,
        channel=channel,
        code=code,
        text=known.reason(code),
    )
    return _event(payout, data)


def cycle_proposed(cycle: Any, at: datetime) -> Event[Any]:
    data = CycleProposed(
        cycle=cycle["cycle"],
        programme=cycle["programme"],
        period=cycle["period"],
        mode=cycle["mode"],
        budget_idr=cycle["budget_idr"],
        by=cycle["proposed_by"],
    )
    return caused_by(first_cause(cycle["cycle"], SERVICE), SERVICE, data, subject=cycle["cycle"], time=at)


def cycle_approved(cycle: Any, by: str, at: datetime) -> Event[Any]:
    data = CycleApproved(
        cycle=cycle["cycle"],
        programme=cycle["programme"],
        period=cycle["period"],
        budget_idr=cycle["budget_idr"],
        by=by,
    )
    return caused_by(first_cause(cycle["cycle"], SERVICE), SERVICE, data, subject=cycle["cycle"], time=at)


def _said(payout: Told) -> dict[str, Any]:
    return {
        "cycle": payout.cycle,
        "programme": payout.programme,
        "revision": payout.revision,
        "amount_idr": payout.amount_idr,
        "decision_revision": payout.decision_revision,
        "village": payout.village,
        "contact": Sealed(payout.contact) if payout.contact else None,
    }


def _event(payout: Told, data: Data) -> Event[Any]:
    """A payout's revision tells its events of one type apart, also those of one cause (attempts, a queue left)."""
    distinct = (payout.cycle, str(payout.revision))
    return caused_by(payout.cause, SERVICE, data, subject=payout.recipient_id, time=payout.at, distinct=distinct)
