"""The two state machines as tables, and where the money of a payout lies in each of its states.

The triggers of the migration hold the same tables, and the database refuses any other change of state; a test
compares the two. The diagrams in docs/reference/payout.md are `diagram` of these tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from services.payout.domain.ledger import Account


class CycleState(StrEnum):
    """Of one disbursement of a programme for one period (tahap)."""

    PROPOSED = "proposed"
    OPEN = "open"  # approved: its budget may be ordered
    CLOSING = "closing"  # a later cycle was approved; who is still queued here is told so
    CLOSED = "closed"


class PayoutState(StrEnum):
    """Of one recipient's payout in one cycle. `failed` and `cancelled` may be followed by another attempt."""

    QUEUED = "queued"  # eligible; waits for budget
    ORDERED = "ordered"  # budget reserved; the bank was not told
    CLAIMED = "claimed"  # a worker has it, the bank may know of it
    UNKNOWN = "unknown"  # the bank may have paid: it is asked until it says
    UNSENT = "unsent"  # the bank certainly does not know of it: the same reference is sent again
    CONFIRMED = "confirmed"  # the money is in the account
    FAILED = "failed"  # it did not reach the account (gagal salur)
    CANCELLED = "cancelled"  # ended before the bank paid: the decision was superseded, or the cycle ended


class Transition(NamedTuple):
    """A legal change of state, and what makes it happen."""

    source: str
    target: str
    why: str


CYCLE: Final[tuple[Transition, ...]] = (
    Transition("", CycleState.PROPOSED, "an officer proposes it"),
    Transition(CycleState.PROPOSED, CycleState.OPEN, "another officer approves it"),
    Transition(CycleState.OPEN, CycleState.CLOSING, "a later cycle of the programme is approved"),
    Transition(CycleState.CLOSING, CycleState.CLOSED, "nobody is queued in it any more"),
)

_S = PayoutState
PAYOUT: Final[tuple[Transition, ...]] = (
    Transition("", _S.QUEUED, "eligible, no budget left for it"),
    Transition("", _S.ORDERED, "eligible, budget reserved"),
    Transition("", _S.FAILED, "eligible, but there is no account to pay to"),
    Transition(_S.QUEUED, _S.ORDERED, "budget came free, it was its turn"),
    Transition(_S.QUEUED, _S.FAILED, "a new decision without an account"),
    Transition(_S.QUEUED, _S.CANCELLED, "the decision was superseded, or the cycle ended"),
    Transition(_S.ORDERED, _S.CLAIMED, "a worker takes it to the bank"),
    Transition(_S.ORDERED, _S.CANCELLED, "the decision was superseded"),
    Transition(_S.CLAIMED, _S.CONFIRMED, "the bank: done"),
    Transition(_S.CLAIMED, _S.FAILED, "the bank: refused; or the account cannot be read"),
    Transition(_S.CLAIMED, _S.UNKNOWN, "no clear answer, or the claim ran out"),
    Transition(_S.CLAIMED, _S.UNSENT, "certainly not taken: no connection, or the bank said slow down"),
    Transition(_S.UNKNOWN, _S.CONFIRMED, "the bank, asked: done"),
    Transition(_S.UNKNOWN, _S.FAILED, "the bank, asked: failed"),
    Transition(_S.UNKNOWN, _S.UNSENT, "the bank, asked after its window: not found"),
    Transition(_S.UNSENT, _S.CLAIMED, "a worker sends the same reference again"),
    Transition(_S.UNSENT, _S.CANCELLED, "the decision was superseded"),
    Transition(_S.UNSENT, _S.CONFIRMED, "a late answer: done"),
    Transition(_S.UNSENT, _S.FAILED, "a late answer: failed"),
    Transition(_S.FAILED, _S.ORDERED, "next attempt: a new decision, budget reserved"),
    Transition(_S.FAILED, _S.QUEUED, "next attempt: a new decision, no budget left for it"),
    Transition(_S.FAILED, _S.FAILED, "next attempt: a new decision, again without an account"),
    Transition(_S.CANCELLED, _S.ORDERED, "next attempt: a new decision, budget reserved"),
    Transition(_S.CANCELLED, _S.QUEUED, "next attempt: a new decision, no budget left for it"),
    Transition(_S.CANCELLED, _S.FAILED, "next attempt: a new decision without an account"),
)

MONEY: Final[Mapping[str, Account | None]] = {
    _S.QUEUED: None,
    _S.ORDERED: Account.RESERVED,
    _S.CLAIMED: Account.IN_TRANSIT,
    _S.UNKNOWN: Account.IN_TRANSIT,
    _S.UNSENT: Account.IN_TRANSIT,
    _S.CONFIRMED: Account.PAID,
    _S.FAILED: None,
    _S.CANCELLED: None,
}
"""The account that holds the amount of a payout in this state; None: none does."""

AT_THE_BANK: Final = frozenset({_S.CLAIMED, _S.UNKNOWN})
"""The bank may know of the order: it is neither repeated nor cancelled."""
CANCELLABLE: Final = frozenset({_S.QUEUED, _S.ORDERED, _S.UNSENT})
ENDED: Final = frozenset({_S.FAILED, _S.CANCELLED})
"""The attempt is over without payment; another one may follow."""

_LEGAL: Final = {table: frozenset((t.source, t.target) for t in table) for table in (CYCLE, PAYOUT)}


def is_legal(table: tuple[Transition, ...], source: str, target: str) -> bool:
    return (source, target) in _LEGAL[table]


def diagram(table: tuple[Transition, ...]) -> str:
    """The table as text: a state, and below it where it leads and why."""
    lines: list[str] = []
    for source in dict.fromkeys(t.source for t in table):
        lines.append(source or "(new)")
        lines += [f"  -> {t.target:<10} {t.why}" for t in table if t.source == source]
    ends = dict.fromkeys(t.target for t in table if t.target not in {t.source for t in table})
    return "\n".join([*lines, *(f"{state}\n  (end)" for state in ends)])
