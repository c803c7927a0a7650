"""After a recovery: what a bank is asked before anything more is sent to a recipient, and what follows from its answer.

The lost database may have ordered what no event tells. Where the same reference is sent again that is safe, a bank
takes none twice. But it may have counted attempts further, and this database may cancel an order that the lost one had
sent: then the next attempt's reference would be paid beside it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from services.payout.domain.answers import Answer, Pauses, Said
from services.payout.domain.states import PayoutState

QUEUE_MOVES_WITHIN_PAUSES = 10
"""How many pauses between inquiries a queued recipient, whom the lost database paid, waits for an order of ours."""

SWEEP_COMES_WITHIN_PAUSES = 1000
"""The same for one whom the sweep has not considered yet: millions may come before."""


class Case(NamedTuple):
    """A recipient in one cycle. The references of attempts `attempt_from` to `attempt_max` may be at the bank although
    nobody told of them, `lost_idr` each; None: the decisions of that time granted different amounts.

    `state`, `attempt` and `amount_idr` are those of the payout as it stands; without one they are None and 0.
    `eligible`: the current decision lets the sweep order another attempt.
    """

    attempt_from: int
    attempt_max: int
    lost_idr: int | None
    state: PayoutState | None = None
    attempt: int = 0
    amount_idr: int = 0
    eligible: bool = True

    @property
    def attempts(self) -> range:
        return range(self.attempt_from, self.attempt_max + 1)


class Held(NamedTuple):
    """The bank has what the books cannot take in: nothing more is sent, and a person must look."""

    attempt: int
    said: Said


class Adopted(NamedTuple):
    """The bank has the very order that is about to be sent: it counts as sent, and is asked about like any other."""


class Clear(NamedTuple):
    """The bank has nothing that the books do not."""


class Later(NamedTuple):
    """It is not known yet; ask again at `due_at`."""

    due_at: datetime


def resolve(
    case: Case, answers: Mapping[int, Answer], *, since: datetime, asked_at: datetime, now: datetime, pauses: Pauses
) -> Held | Adopted | Clear | Later:
    """What follows from `answers`, one an attempt.

    `not found` is believed once the bank's window has passed since the lost database can have sent anything. What the
    bank has and our sweep does not order in good time, because others were given the money, is held.
    """
    said = {attempt: answers[attempt].said if attempt in answers else Said.UNCLEAR for attempt in case.attempts}
    at_the_bank = [attempt for attempt in case.attempts if said[attempt] in (Said.DONE, Said.PENDING)]
    if len(at_the_bank) > 1 or (at_the_bank and not _may_be_ours(case, at_the_bank[0])):
        return Held(at_the_bank[0], said[at_the_bank[0]])
    if not {*said.values()} <= {Said.DONE, Said.PENDING, Said.FAILED, Said.NOT_FOUND}:
        return Later(now + timedelta(seconds=pauses.first_inquiry_after_s))
    window_ends_at = since + timedelta(seconds=pauses.window_s)
    if asked_at < window_ends_at and Said.NOT_FOUND in said.values():
        return Later(window_ends_at)
    if not at_the_bank:
        return Clear()
    if case.state == PayoutState.ORDERED:
        return Adopted()
    waits = QUEUE_MOVES_WITHIN_PAUSES if case.state == PayoutState.QUEUED else SWEEP_COMES_WITHIN_PAUSES
    if asked_at >= window_ends_at + waits * timedelta(seconds=pauses.inquiry_pause_max_s):
        return Held(at_the_bank[0], said[at_the_bank[0]])
    return Later(now + timedelta(seconds=pauses.inquiry_pause_max_s))


def _may_be_ours(case: Case, attempt: int) -> bool:
    """Whether this attempt is the one at hand, or will be when the sweep has ordered it, and its amount is sure."""
    if case.lost_idr is None:
        return False
    match case.state:
        case PayoutState.ORDERED:
            return (attempt, case.lost_idr) == (case.attempt, case.amount_idr)
        case PayoutState.QUEUED:
            return case.eligible and attempt == case.attempt
        case None | PayoutState.FAILED | PayoutState.CANCELLED:
            return case.eligible and attempt == case.attempt + 1
        case _:
            return False
