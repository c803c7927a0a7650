"""What follows from a decision that is due: orders to cancel, and whether it asks for budget of the open cycle."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.payout.domain.budget import Rank, RankClass, rank
from services.payout.domain.states import AT_THE_BANK, CANCELLABLE, ENDED, PayoutState


class Decision(NamedTuple):
    """The current decision about a recipient, as far as paying needs it. `account`: there is one to pay to."""

    recipient_id: str
    revision: int
    eligible: bool
    amount_idr: int
    decile: int
    waiting_since: datetime
    received_at: datetime
    account: bool


class Standing(NamedTuple):
    """A payout that exists: of the open cycle, or of an older one that has not come to its end."""

    cycle: str
    state: PayoutState
    attempt: int
    decision_revision: int
    rank_class: int


class OpenCycle(NamedTuple):
    """The cycle that is being ordered; `cutoff_at` is when it was approved."""

    cycle: str
    mode: str
    cutoff_at: datetime


class Consideration(NamedTuple):
    """`cancel` first; then the attempt, if there is one, asks for budget with its rank, or fails with `failure`."""

    cancel: tuple[Standing, ...] = ()
    attempt: int | None = None
    rank: Rank | None = None
    failure: str | None = None


def consider(decision: Decision, standings: Sequence[Standing], cycle: OpenCycle) -> Consideration:
    """At most one payout a recipient and cycle; an order of an older decision ends before a new one is made.

    What the bank may know of is left alone: its outcome makes the decision due once more. In the open cycle another
    attempt needs a newer decision than the attempt before had.
    """
    outdated = [s for s in standings if s.decision_revision < decision.revision]
    here = next((s for s in standings if s.cycle == cycle.cycle), None)
    stays_queued = decision.eligible and here in outdated and here is not None and here.state == PayoutState.QUEUED
    cancel = tuple(s for s in outdated if s.state in CANCELLABLE and not (stays_queued and s is here))
    if not decision.eligible:
        return Consideration(cancel)
    if here is None:
        return _ask(decision, cycle, cancel, 1)
    if here not in outdated or here.state in AT_THE_BANK or here.state == PayoutState.CONFIRMED:
        return Consideration(cancel)
    if stays_queued:
        return _ask(decision, cycle, cancel, here.attempt, best_class=here.rank_class)
    replaced = here.state not in ENDED  # it is being cancelled just now: its budget goes with it
    best_class = RankClass.REPLACED if replaced else None
    return _ask(decision, cycle, cancel, here.attempt + 1, best_class=best_class)


def _ask(
    decision: Decision,
    cycle: OpenCycle,
    cancel: tuple[Standing, ...],
    attempt: int,
    best_class: int | None = None,
) -> Consideration:
    if decision.amount_idr == 0:
        return Consideration(cancel, attempt, None, "nothing_to_pay")
    if not decision.account:
        return Consideration(cancel, attempt, None, "no_account")
    own = rank(
        cycle.mode,
        decision.recipient_id,
        decision.decile,
        decision.waiting_since,
        decision.received_at,
        cycle.cutoff_at,
    )
    if best_class is not None and best_class < own.rank_class:
        own = own._replace(rank_class=best_class)
    return Consideration(cancel, attempt, own)
