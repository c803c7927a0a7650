"""What a bank's answer means for an order, whoever asked, however late it comes and however often."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from services.payout.domain.states import AT_THE_BANK, PayoutState


class Said(StrEnum):
    """A bank's answer about one reference, without the bank's own codes."""

    DONE = "done"
    FAILED = "failed"  # final; `code` says why
    PENDING = "pending"
    NOT_FOUND = "not_found"
    NOT_TAKEN = "not_taken"  # certainly not carried out: no connection, slow down, no balance on the paying account
    UNREADABLE = "unreadable"  # not the bank's word but ours: nothing was sent, the account cannot be read; `code`
    USED = "used"  # the reference is known there: ask
    UNCLEAR = "unclear"  # no answer, time-out, or a code that the map does not know


class Answer(NamedTuple):
    """`code` is ours (`account_closed`), for `failed` and `unreadable`."""

    reference: str
    said: Said
    code: str | None = None
    bank_reference: str | None = None


class Order(NamedTuple):
    """Where the order stands now."""

    state: PayoutState
    sends: int
    asks: int
    sent_at: datetime


class Pauses(NamedTuple):
    """A bank's times, in seconds; see banks.yaml."""

    window_s: float
    first_inquiry_after_s: float
    inquiry_pause_max_s: float
    resend_after_s: float


class Outcome(NamedTuple):
    """The state that follows. `due_at`: when it is looked at again; None for an end."""

    state: PayoutState
    due_at: datetime | None = None
    code: str | None = None


class Contradiction(NamedTuple):
    """The bank says what cannot be: an auditor must look. Nothing is changed."""

    detail: str


def resolve(
    order: Order, answer: Answer, *, sends: int, called_at: datetime, now: datetime, pauses: Pauses
) -> Outcome | Contradiction | None:
    """What follows from `answer` to a call begun at `called_at`, when the order had been sent `sends` times.

    A bank's final answer is true whoever brings it. Any other counts only while nobody has sent the order again since,
    also that we cannot read the account: whoever sent it again could. And `not found` is believed only when it was
    asked for after the bank's window. None: nothing changes.
    """
    match answer.said:
        case Said.DONE | Said.FAILED:
            return _final(order, answer)
    if order.state not in AT_THE_BANK or order.sends != sends:
        return None
    window_ends_at = order.sent_at + timedelta(seconds=pauses.window_s)
    pause = timedelta(seconds=min(pauses.inquiry_pause_max_s, pauses.first_inquiry_after_s * 2 ** min(order.asks, 16)))
    match answer.said:
        case Said.UNREADABLE:
            return Outcome(PayoutState.FAILED, code=answer.code)
        case Said.NOT_TAKEN:
            return Outcome(PayoutState.UNSENT, now + timedelta(seconds=pauses.resend_after_s))
        case Said.USED:
            return Outcome(PayoutState.UNKNOWN, now)
        case Said.NOT_FOUND if called_at >= window_ends_at:
            return Outcome(PayoutState.UNSENT, now)
        case Said.NOT_FOUND:
            return Outcome(PayoutState.UNKNOWN, min(now + pause, window_ends_at))
        case _:
            return Outcome(PayoutState.UNKNOWN, now + pause)


def _final(order: Order, answer: Answer) -> Outcome | Contradiction | None:
    """A first answer ends the order, a repeated one changes nothing, a contrary one is reported."""
    paid = answer.said == Said.DONE
    if order.state in (*AT_THE_BANK, PayoutState.UNSENT):
        return Outcome(PayoutState.CONFIRMED) if paid else Outcome(PayoutState.FAILED, code=answer.code)
    if order.state == (PayoutState.CONFIRMED if paid else PayoutState.FAILED):
        return None
    if not paid and order.state == PayoutState.CANCELLED:
        return None
    return Contradiction(f"the bank says {answer.said}, the payout is {order.state}")
