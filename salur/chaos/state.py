"""Where everybody stands when the flow has drained, to compare two runs of one seed. Nothing sealed is read."""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import asyncpg

from salur.chaos.poison import PREFIX
from salur.inside.connect import Settings, database
from salur.report import books
from salur.report.scratch import Scratch


class Submission(NamedTuple):
    """`problems` are FIELD:CODE; `recipient` is None where the NIK was not valid."""

    recipient: str | None
    kind: str
    answer: str
    detail: str | None
    problems: tuple[str, ...]


class Person(NamedTuple):
    """What is registered. `content` is a keyed digest of everything that later stages can see."""

    content: bytes
    family: str
    village: str
    decile: int
    won_by: tuple[str, str]


class Decision(NamedTuple):
    eligible: bool
    amount_idr: int
    reasons: str


class Payout(NamedTuple):
    """`ranked`: its cycle gives by decile and waiting time."""

    ranked: bool
    decile: int
    state: str
    attempt: int
    amount_idr: int
    code: str | None
    reference: str


class Message(NamedTuple):
    state: str
    code: str | None


@dataclass(slots=True)
class FinalState:
    """Everything by its natural key."""

    submissions: dict[tuple[str, str], Submission] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    flags: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)
    decisions: dict[tuple[str, str], Decision] = field(default_factory=dict)
    payouts: dict[tuple[str, str], Payout] = field(default_factory=dict)
    """by recipient and cycle"""
    transfers: dict[tuple[str, str, int, str], tuple[str, str, int]] = field(default_factory=dict)
    """by recipient, cycle, attempt and kind: from which account to which, and how much"""
    balances: dict[tuple[str, str], int] = field(default_factory=dict)
    """by cycle and account"""
    messages: dict[tuple[str, str], Message] = field(default_factory=dict)
    """by recipient and purpose"""
    told: dict[tuple[str, str, int], tuple[bool, int]] = field(default_factory=dict)
    """decisions that were told, by recipient, programme and revision"""
    references: dict[str, tuple[str, str]] = field(default_factory=dict)
    """recipient and cycle of each reference that was ever made"""
    bank: dict[str, int] = field(default_factory=dict)
    """what the bank's books say of each reference"""


_SUBMISSIONS: Final = f"""
SELECT source, id, recipient_id, kind, answer, detail, problems FROM submission WHERE id NOT LIKE '{PREFIX}%'
"""
_PEOPLE: Final = "SELECT recipient_id, content_digest, family_id, village, decile, won_source, won_id FROM recipient"
_FLAGS: Final = "SELECT recipient_id, code, raised, since, won_source, won_id FROM flag"
_DECISIONS: Final = "SELECT recipient_id, programme, outcome = 'eligible', amount_idr, reasons FROM decision"
_PAYOUTS: Final = """
SELECT p.recipient_id, p.cycle, c.mode = 'ranked', d.decile, p.state, p.attempt, p.amount_idr, p.code, p.reference
FROM payout AS p JOIN cycle AS c USING (cycle)
JOIN decision AS d ON (d.programme, d.recipient_id) = (p.programme, p.recipient_id)
"""
_TRANSFERS: Final = """
SELECT recipient_id, cycle, attempt, kind, debit_account, credit_account, amount_idr
FROM transfer WHERE recipient_id IS NOT NULL
"""
_MESSAGES: Final = "SELECT recipient_id, purpose, state, code FROM message"
_TOLD: Final = """
    SELECT t.recipient_id, t.programme, t.revision, t.eligible, t.amount_idr
    FROM told AS t JOIN message AS m USING (message_id)
    WHERE m.state <> 'failed'
"""


async def final_state(settings: Settings, bank_url: str) -> FinalState:
    """Reads everything. Raises Away, NeverRan, BooksAway."""
    found = FinalState()
    async with database(settings, "registry") as registry:
        for source, submission, recipient, kind, answer, detail, problems in await registry.fetch(_SUBMISSIONS):
            found.submissions[source, submission] = Submission(
                recipient, kind, answer, detail, tuple(sorted(problems or ()))
            )
        for recipient, content, family, village, decile, *won_by in await registry.fetch(_PEOPLE):
            found.people[recipient] = Person(content, family, village, decile, (won_by[0], won_by[1]))
        found.flags = {(row[0], row[1]): tuple(row[2:]) for row in await registry.fetch(_FLAGS)}
    async with database(settings, "eligibility") as eligibility:
        found.decisions = {(row[0], row[1]): Decision(*row[2:]) for row in await eligibility.fetch(_DECISIONS)}
    async with database(settings, "payout") as payout:
        await _money(payout, found)
    async with database(settings, "notify") as notify:
        found.messages = {(row[0], row[1]): Message(*row[2:]) for row in await notify.fetch(_MESSAGES)}
        found.told = {(row[0], row[1], row[2]): (row[3], row[4]) for row in await notify.fetch(_TOLD)}
    with Scratch() as scratch:
        await books.read_bank(bank_url, scratch)
        found.bank = dict(scratch.rows("SELECT reference, sum(amount_idr) FROM bank GROUP BY reference"))
    return found


async def _money(payout: asyncpg.Connection, found: FinalState) -> None:
    found.payouts = {(row[0], row[1]): Payout(*row[2:]) for row in await payout.fetch(_PAYOUTS)}
    for row in await payout.fetch(_TRANSFERS):
        found.transfers[row[0], row[1], row[2], row[3]] = (row[4], row[5], row[6])
    for row in await payout.fetch("SELECT cycle, name, balance_idr FROM account"):
        found.balances[row[0], row[1]] = row[2]
    for row in await payout.fetch("SELECT reference, recipient_id, cycle FROM reference_book"):
        found.references[row[0]] = (row[1], row[2])
