"""What one turn of the sweep is going to do, found out under its locks; `sweep` writes it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg

from services.payout.domain import budget
from services.payout.domain.budget import Claimant, Rank, RankClass, allot
from services.payout.domain.consideration import Consideration, Decision, OpenCycle, Standing, consider
from services.payout.domain.states import MONEY, PayoutState
from services.payout.store import decisions, payouts


class Asking(NamedTuple):
    """One who asks for budget, or fails with `failure` at once, with its current decision."""

    rank: Rank
    decision: asyncpg.Record
    attempt: int
    revision: int  # of the payout, after what this turn cancels; 0: there is none yet
    arrives: bool  # was not in the queue with this decision before this turn
    failure: str | None = None
    begun: "Begun | None" = None


class Begun(NamedTuple):
    """What an attempt has had since it began, and keeps whatever is configured meanwhile."""

    channel: str
    reference: str


class Cancelling(NamedTuple):
    """A payout that ends because its decision was superseded by `decision`."""

    payout: asyncpg.Record
    decision: asyncpg.Record


@dataclass(slots=True)
class Plan:
    """`served` of `asking`, in the order of their rank, get budget; who arrives behind them is queued."""

    settled: list[str] = field(default_factory=list)
    cancelled: list[Cancelling] = field(default_factory=list)
    failing: list[Asking] = field(default_factory=list)
    asking: list[Asking] = field(default_factory=list)
    retried: list[tuple[str, str]] = field(default_factory=list)
    """(recipient, cycle) of payouts that begin another attempt."""
    freed_idr: int = 0
    """What is cancelled in this cycle gives back."""
    served: int = 0


async def make_plan(
    tx: asyncpg.Connection,
    cycle: asyncpg.Record,
    due: Sequence[str],
    head: Sequence[asyncpg.Record],
    available_idr: int,
    giving: bool,
) -> Plan:
    """Locks the decisions of `due` and of the queue's `head`, and the payouts behind those that are due.

    A decision whose payout someone else has locked just now stays due, and nobody behind its rank is served before it
    was considered. `head` is `payouts.queue_head`'s.
    """
    recipients = sorted({*due, *(queued["recipient_id"] for queued in head)})
    locked = await decisions.lock(tx, cycle["programme"], recipients)
    busy, rows_of = await _lock_payouts(tx, cycle, due)
    open_cycle = OpenCycle(cycle["cycle"], cycle["mode"], cycle["approved_at"])
    plan = Plan()
    for recipient in due:
        decision = locked.get(recipient)
        if decision is None or recipient in busy or decision["settled_in"] >= cycle["number"]:
            continue
        rows = rows_of[recipient]
        found = consider(_decision(decision), [_standing(row) for row in rows], open_cycle)
        _take(plan, cycle["cycle"], decision, rows, found)
    busy_ranks = [_rank(locked[one], open_cycle) for one in busy if one in locked and locked[one]["eligible"]]
    end_of_queue = _join_queue(plan, locked, head, cycle["cycle"])
    barrier = min([*busy_ranks, *([end_of_queue] if end_of_queue else [])], default=None)
    plan.asking.sort(key=lambda one: one.rank)
    await _one_of_a_family(tx, plan, cycle["cycle"])
    claimants = [Claimant(one.rank, one.decision["amount_idr"]) for one in plan.asking]
    plan.served = allot(claimants, available_idr + plan.freed_idr, barrier) if giving else 0
    return plan


async def _one_of_a_family(tx: asyncpg.Connection, plan: Plan, cycle: str) -> None:
    """Who asks for a family that got this period's money fails with that; for one whose money is on its way to another
    member, or who is ahead in this turn, it is waited: the decision stays due, the payout stays in the queue.

    Under the cycle's lock: nobody else orders in it, and what was confirmed stays so.
    """
    families = sorted({one.decision["family_id"] for one in plan.asking if one.decision["family_id"]})
    if not families:
        return
    ending = {c.payout["recipient_id"] for c in plan.cancelled if c.payout["cycle"] == cycle}
    standing = [row for row in await payouts.of_families(tx, cycle, families) if row["recipient_id"] not in ending]
    paid = {row["family_id"] for row in standing if row["state"] == PayoutState.CONFIRMED}
    taken = {row["family_id"] for row in standing}
    asking, plan.asking = plan.asking, []
    waiting: set[str] = set()
    for one in asking:
        family = one.decision["family_id"]
        if family in paid:
            plan.failing.append(one._replace(failure="family_paid"))
        elif family in taken:
            waiting.add(one.rank.recipient_id)
        else:
            plan.asking.append(one)
            if family:
                taken.add(family)
    if waiting:
        plan.settled = [recipient for recipient in plan.settled if recipient not in waiting]
        plan.retried = [key for key in plan.retried if key[0] not in waiting]


async def _lock_payouts(
    tx: asyncpg.Connection, cycle: asyncpg.Record, due: Sequence[str]
) -> tuple[set[str], dict[str, list[asyncpg.Record]]]:
    """Who has a payout that somebody else works on, and the locked payouts of all others."""
    unfinished = await payouts.unfinished(tx, cycle["cycle"], cycle["programme"], due)
    rows_of: dict[str, list[asyncpg.Record]] = defaultdict(list)
    if unfinished:
        for row in await payouts.lock_free(tx, sorted(unfinished)):
            rows_of[row["recipient_id"]].append(row)
            unfinished.discard((row["recipient_id"], row["cycle"]))
    return {recipient for recipient, _ in unfinished}, rows_of


def _take(
    plan: Plan, cycle: str, decision: asyncpg.Record, rows: Sequence[asyncpg.Record], found: Consideration
) -> None:
    recipient = decision["recipient_id"]
    plan.settled.append(recipient)
    ends = {standing.cycle for standing in found.cancel}
    plan.cancelled += [Cancelling(row, decision) for row in rows if row["cycle"] in ends]
    here = next((row for row in rows if row["cycle"] == cycle), None)
    if here is not None and cycle in ends and MONEY[here["state"]]:
        plan.freed_idr += here["amount_idr"]
    if found.attempt is None:
        return
    revision = here["revision"] + (cycle in ends) if here is not None else 0
    if here is not None and here["attempt"] < found.attempt:
        plan.retried.append((recipient, cycle))
    rank = found.rank or Rank(RankClass.IN_TIME, 0, decision["waiting_since"], recipient)
    begun = Begun(here["channel"], here["reference"]) if here is not None and here["attempt"] == found.attempt else None
    asking = Asking(rank, decision, found.attempt, revision, True, found.failure, begun)
    (plan.failing if found.failure else plan.asking).append(asking)


def _rank(row: asyncpg.Record, cycle: OpenCycle) -> Rank:
    one = _decision(row)
    return budget.rank(cycle.mode, one.recipient_id, one.decile, one.waiting_since, one.received_at, cycle.cutoff_at)


def _join_queue(
    plan: Plan, locked: dict[str, asyncpg.Record], head: Sequence[asyncpg.Record], cycle: str
) -> Rank | None:
    """Adds the queue's head to those who ask, and returns the rank behind which nobody may be served in this turn.

    That is whoever is out of reach, or was left out, or has a newer decision that is not considered yet. Who was due
    and keeps the place in the queue, as nothing follows from it here, stands in it like everybody else.
    """
    considered = {one.rank.recipient_id for one in (*plan.asking, *plan.failing)}
    considered |= {one.payout["recipient_id"] for one in plan.cancelled if one.payout["cycle"] == cycle}
    for place, queued in enumerate(head):
        recipient = queued["recipient_id"]
        if recipient in considered:
            continue
        rank = Rank(queued["rank_class"], queued["rank_decile"], queued["waiting_since"], recipient)
        decision = locked.get(recipient)
        known = decision is not None and decision["revision"] == queued["decision_revision"]
        last = place == len(head) - 1 and queued["more"]
        if decision is None or not known or not queued["within"] or last:
            return rank
        begun = Begun(queued["channel"], queued["reference"])
        plan.asking.append(Asking(rank, decision, queued["attempt"], queued["revision"], False, None, begun))
    return None


def _decision(row: asyncpg.Record) -> Decision:
    return Decision(
        row["recipient_id"],
        row["revision"],
        row["eligible"],
        row["amount_idr"],
        row["decile"],
        row["waiting_since"],
        row["received_at"],
        row["account"],
    )


def _standing(row: asyncpg.Record) -> Standing:
    return Standing(
        row["cycle"], PayoutState(row["state"]), row["attempt"], row["decision_revision"], row["rank_class"]
    )
