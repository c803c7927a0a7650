"""The ledger: every movement of a cycle's rupiah from one account to another.

Each row takes an amount from its debit account and gives it to its credit account, so the books balance by
construction. Balance of an account = what it was credited - what it was debited; only the treasury goes below zero.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple


class Account(StrEnum):
    """The accounts of one cycle."""

    TREASURY = "treasury"  # where the budget comes from (kas daerah, kas negara)
    BUDGET = "budget"  # approved and free
    RESERVED = "reserved"  # ordered, the bank was not told
    IN_TRANSIT = "in_transit"  # the bank was told, or may have been
    PAID = "paid"  # in the accounts of recipients
    RETURNED = "returned"  # came back from what failed or was cancelled


class Kind(StrEnum):
    """What moves the money."""

    FUND = "fund"  # a cycle is approved
    RESERVE = "reserve"  # a payout is ordered
    SEND = "send"  # an attempt is claimed for the first time
    POST = "post"  # the bank has paid
    VOID = "void"  # an attempt ends without payment
    REGRANT = "regrant"  # what came back is free for the queue again
    CLOSE = "close"  # what a closed cycle has left goes back
    ADVANCE = "advance"  # a restored database: orders are told whose money came from ends that no event tells any more
    REPAY = "repay"  # those ends are known by now


_A, _K = Account, Kind
RULES: Final[dict[Kind, frozenset[tuple[Account, Account]]]] = {
    _K.FUND: frozenset({(_A.TREASURY, _A.BUDGET)}),
    _K.RESERVE: frozenset({(_A.BUDGET, _A.RESERVED)}),
    _K.SEND: frozenset({(_A.RESERVED, _A.IN_TRANSIT)}),
    _K.POST: frozenset({(_A.IN_TRANSIT, _A.PAID)}),
    _K.VOID: frozenset({(_A.RESERVED, _A.RETURNED), (_A.IN_TRANSIT, _A.RETURNED)}),
    _K.REGRANT: frozenset({(_A.RETURNED, _A.BUDGET)}),
    _K.CLOSE: frozenset({(_A.BUDGET, _A.TREASURY)}),
    _K.ADVANCE: frozenset({(_A.TREASURY, _A.BUDGET)}),
    _K.REPAY: frozenset({(_A.BUDGET, _A.TREASURY)}),
}
"""Between which accounts each kind may move money; the database's constraint says the same."""

OF_AN_ATTEMPT: Final = frozenset({_K.RESERVE, _K.SEND, _K.POST, _K.VOID})
"""Kinds that belong to one attempt of a payout, each at most once; it ends in `post` or `void`, never in both."""


class Transfer(NamedTuple):
    """One row of the ledger. `recipient_id` and `attempt` are None for what concerns the cycle as a whole."""

    cycle: str
    recipient_id: str | None
    attempt: int | None
    kind: Kind
    debit_account: Account
    credit_account: Account
    amount_idr: int
    at: datetime


def send(cycle: str, recipient_id: str, attempt: int, amount_idr: int, at: datetime) -> Transfer:
    return Transfer(cycle, recipient_id, attempt, Kind.SEND, Account.RESERVED, Account.IN_TRANSIT, amount_idr, at)


def reserve(cycle: str, recipient_id: str, attempt: int, amount_idr: int, at: datetime) -> Transfer:
    return Transfer(cycle, recipient_id, attempt, Kind.RESERVE, Account.BUDGET, Account.RESERVED, amount_idr, at)


def post(cycle: str, recipient_id: str, attempt: int, amount_idr: int, at: datetime) -> Transfer:
    return Transfer(cycle, recipient_id, attempt, Kind.POST, Account.IN_TRANSIT, Account.PAID, amount_idr, at)


def void(cycle: str, recipient_id: str, attempt: int, amount_idr: int, lay_in: Account, at: datetime) -> Transfer:
    """`lay_in` is where the money was: `reserved` before the attempt was first claimed, `in_transit` after."""
    return Transfer(cycle, recipient_id, attempt, Kind.VOID, lay_in, Account.RETURNED, amount_idr, at)


def fund(cycle: str, amount_idr: int, at: datetime) -> Transfer:
    return Transfer(cycle, None, None, Kind.FUND, Account.TREASURY, Account.BUDGET, amount_idr, at)


def regrant(cycle: str, amount_idr: int, at: datetime) -> Transfer:
    return Transfer(cycle, None, None, Kind.REGRANT, Account.RETURNED, Account.BUDGET, amount_idr, at)


def close(cycle: str, amount_idr: int, at: datetime) -> Transfer:
    return Transfer(cycle, None, None, Kind.CLOSE, Account.BUDGET, Account.TREASURY, amount_idr, at)


def repay(cycle: str, amount_idr: int, at: datetime) -> Transfer:
    return Transfer(cycle, None, None, Kind.REPAY, Account.BUDGET, Account.TREASURY, amount_idr, at)


def balances(transfers: Iterable[Transfer]) -> Counter[Account]:
    """Of all accounts after these transfers (of one cycle); their sum is always 0."""
    balance: Counter[Account] = Counter(dict.fromkeys(Account, 0))
    for transfer in transfers:
        balance[transfer.debit_account] -= transfer.amount_idr
        balance[transfer.credit_account] += transfer.amount_idr
    return balance
