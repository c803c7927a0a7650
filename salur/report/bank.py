"""The ledger against the bank's own books, reference by reference.

The books are read first and the ledger after them: whatever the bank had paid by then, the ledger must know, as posted
or as on its way. A payment that the ledger has and the books had not yet is looked for once more in the books.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg

from salur.report.books import amounts_of
from salur.report.document import EXAMPLES_MAX, BankBooks, Difference, Invariant, Money
from salur.report.merging import beside, each, rows
from salur.report.scratch import Scratch

AT_THE_BANK = ("claimed", "unknown", "unsent")

_LEDGER = """
SELECT b.reference, b.recipient_id, b.cycle, b.attempt, b.state, t.amount_idr AS posted_idr,
    b.attempt > 1 OR EXISTS (SELECT FROM past_attempt AS p WHERE (p.recipient_id, p.cycle) = (b.recipient_id, b.cycle))
        AS repeated
FROM reference_book AS b
LEFT JOIN transfer AS t ON (t.recipient_id, t.cycle, t.attempt, t.kind) = (b.recipient_id, b.cycle, b.attempt, 'post')
ORDER BY b.reference COLLATE "C"
"""
_BANK = "SELECT reference, count(*), sum(amount_idr) FROM bank GROUP BY reference ORDER BY reference"


class _Paid(NamedTuple):
    reference: str
    lines: int
    idr: int


@dataclass(slots=True)
class Comparison:
    """After `run`: `books`, and the invariants ledger_equals_bank and paid_twice_in_a_cycle."""

    books: BankBooks = field(default_factory=BankBooks)
    equal: Invariant = field(default_factory=lambda: Invariant(name="ledger_equals_bank"))
    twice: Invariant = field(default_factory=lambda: Invariant(name="paid_twice_in_a_cycle"))
    _bank_idr: Counter[str] = field(default_factory=Counter)
    _of_repeated: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _late: dict[str, Difference] = field(default_factory=dict)

    async def run(self, payout: asyncpg.Connection, scratch: Scratch, url: str, money: Money) -> None:
        """`scratch` holds the bank's books as they were before `payout` was looked at. Raises BooksAway."""
        ledger = rows(payout, _LEDGER)
        bank = each(_Paid(*row) for row in scratch.rows(_BANK))
        async for one, paid in beside(ledger, bank, lambda row: row["reference"], lambda row: row.reference):
            if paid is not None:
                self._count(one, paid)
            self._compare(one, paid)
        for (recipient, cycle), references in self._of_repeated.items():
            if len(references) > 1:
                self.twice.wrong(f"{recipient} in {cycle}: by the references {', '.join(references)}")
        await self._look_again(url)
        for each_cycle in money.cycles:
            each_cycle.bank_idr = self._bank_idr[each_cycle.cycle]
        money.bank = self.books

    def _count(self, one: asyncpg.Record | None, paid: _Paid) -> None:
        self.books.lines += paid.lines
        self.books.amount_idr += paid.idr
        if paid.lines > 1:
            whom = f"{one['recipient_id']} in {one['cycle']}" if one else "somebody whom the ledger does not know"
            self.twice.wrong(f"{whom}: the reference {paid.reference} stands {paid.lines} times in the bank's books")
        if one:
            self._bank_idr[one["cycle"]] += paid.idr
            if one["repeated"]:
                self._of_repeated.setdefault((one["recipient_id"], one["cycle"]), []).append(paid.reference)

    def _compare(self, one: asyncpg.Record | None, paid: _Paid | None) -> None:
        if one is None:
            assert paid is not None
            what = "the bank has paid, the ledger does not know the reference"
            self._differs(Difference(reference=paid.reference, bank_idr=paid.idr, what=what))
            return
        posted_idr, state = one["posted_idr"], one["state"]
        if posted_idr is not None:
            self.books.ledger_lines += 1
            self.books.ledger_idr += posted_idr
        difference = Difference(
            reference=one["reference"],
            cycle=one["cycle"],
            recipient=one["recipient_id"],
            state=state,
            ledger_idr=posted_idr,
            bank_idr=paid.idr if paid else None,
            what="",
        )
        if paid is None:
            if posted_idr is not None:
                self._late[difference.reference] = difference
            elif state == "confirmed":
                difference.what = "confirmed, but posted neither in the ledger nor in the bank's books"
                self._differs(difference)
        elif posted_idr is not None:
            if paid.idr == posted_idr:
                self.books.equal += 1
            else:
                difference.what = "the amounts differ"
                self._differs(difference)
        elif state in AT_THE_BANK:
            self.books.in_transit += 1
            self.books.in_transit_idr += paid.idr
        else:
            difference.what = f"the bank has paid, the ledger has no posting and the payout is {state}"
            self._differs(difference)

    async def _look_again(self, url: str) -> None:
        """The ledger is younger than the books that it was compared with."""
        found = await amounts_of(url, set(self._late)) if self._late else {}
        for reference, difference in self._late.items():
            idr = found.get(reference)
            if idr is not None:
                self.books.lines += 1
                self.books.amount_idr += idr
                self._bank_idr[difference.cycle or ""] += idr
            if idr == difference.ledger_idr:
                self.books.equal += 1
                continue
            difference.bank_idr = idr
            difference.what = "the amounts differ" if idr else "posted in the ledger, and not in the bank's books"
            self._differs(difference)

    def _differs(self, difference: Difference) -> None:
        self.books.differences += 1
        if len(self.books.listed) < EXAMPLES_MAX:
            self.books.listed.append(difference)
        where = f" ({difference.recipient} in {difference.cycle})" if difference.recipient else ""
        self.equal.wrong(
            f"{difference.reference}{where}: {difference.what}; ledger {_idr(difference.ledger_idr)}, "
            f"bank {_idr(difference.bank_idr)}"
        )


def _idr(amount: int | None) -> str:
    return "nothing" if amount is None else f"Rp{amount:,}"
