"""Who is next, and for how many the budget lasts."""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple


class RankClass(IntEnum):
    """Classes go before everything else in the order of a queue."""

    REPLACED = 0  # had budget reserved until a new decision replaced the order: keeps its turn
    IN_TIME = 1
    AFTER_CUTOFF = 2  # ranked programmes only: received after the cycle was approved


class Rank(NamedTuple):
    """The order in which budget is given; lower first. `decile` is 0 in a continuous programme: it does not count."""

    rank_class: int
    decile: int
    waiting_since: datetime
    recipient_id: str


class Claimant(NamedTuple):
    """Someone whom the budget may or may not reach."""

    rank: Rank
    amount_idr: int


def rank(
    mode: str, recipient_id: str, decile: int, waiting_since: datetime, received_at: datetime, cutoff_at: datetime
) -> Rank:
    """Continuous: by waiting since, id. Ranked: who was decided by the cut-off first, by decile, waiting since, id."""
    if mode == "continuous":
        return Rank(RankClass.IN_TIME, 0, waiting_since, recipient_id)
    rank_class = RankClass.IN_TIME if received_at <= cutoff_at else RankClass.AFTER_CUTOFF
    return Rank(rank_class, decile, waiting_since, recipient_id)


def allot(claimants: Sequence[Claimant], available_idr: int, barrier: Rank | None = None) -> int:
    """How many of `claimants`, which stand in the order of their rank, get budget.

    The queue is never overtaken: the first whose amount is no longer there ends it, also when a smaller amount behind
    would fit. `barrier` is the rank of someone who is not among the claimants but comes before whoever stands behind.
    """
    left_idr = available_idr
    for served, claimant in enumerate(claimants):
        if claimant.amount_idr > left_idr or (barrier is not None and claimant.rank >= barrier):
            return served
        left_idr -= claimant.amount_idr
    return len(claimants)
