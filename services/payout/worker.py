"""The bank's workers: due orders are claimed, sent, and their outcomes written; unclear ones are asked about.

Claim, call and outcome are three steps with a commit between them. A process may die in any gap: a claim that ran out
is asked about like every unclear outcome, and the reference, which follows from the business, is never paid twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple

import asyncpg
import orjson
import structlog

from services.payout import events
from services.payout.channels import Channel, NotSent, OutcomeUnknown
from services.payout.configuration import Bank, Configuration
from services.payout.domain import ledger as books
from services.payout.domain.answers import Answer, Contradiction, Order, Outcome, Said, resolve
from services.payout.domain.ledger import Account, Transfer
from services.payout.domain.orders import Account as BankAccount
from services.payout.domain.orders import BankOrder
from services.payout.domain.states import PayoutState
from services.payout.events import cause_of, told
from services.payout.gathering import Gathering
from services.payout.metrics import BANK_SECONDS, CONTRADICTIONS, count_answers
from services.payout.store import decisions, ledger, orders
from services.payout.store.orders import Settled
from shared.errors import CannotOpen, Erased, KeyMissing, Trouble
from shared.events import Event
from shared.privacy.keyring import Keyring
from shared.runtime.emit import Outbox

log = structlog.get_logger()

PAYMENT_SCHEMA = "payment/1"
CLAIM_MARGIN_S = 2.0
"""A claim outlasts its call by this much."""


class Claimed(NamedTuple):
    """Orders that are this worker's until their claim runs out. `began_s` is this process's own monotonic clock."""

    rows: Sequence[asyncpg.Record]
    sent_at: datetime
    began_s: float


class Called(NamedTuple):
    """What a call came to. `accounts`: the fingerprint of each order's account, by reference."""

    answers: list[Answer]
    trouble: Trouble | None
    accounts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BankWorker:
    """One bank's `pay` and `inquire`, each a worker's turn; any number of them run at once, here and elsewhere."""

    name: str
    bank: Bank
    channel: Channel
    outbox: Outbox
    keyring: Keyring
    configuration: Configuration
    claims: Gathering = field(default_factory=Gathering)

    async def pay(self) -> int:
        """Claims due orders, sends them in one call and writes what came of it. Raises trouble after writing it."""
        async with self.claims.next():
            claimed = await self.claim()
            self.claims.took(sum(row["share"] for row in claimed.rows))
        if not claimed.rows:
            return 0
        sends = {row["reference"]: row["sends"] for row in claimed.rows}
        answers, trouble, accounts = await self.call(claimed)
        count_answers(self.name, answers)
        await self.record(answers, sends, claimed.sent_at, accounts)
        if trouble:
            raise trouble
        return len(answers)

    async def inquire(self) -> int:
        """Asks about orders whose outcome is unclear, and writes what the bank says."""
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            asked_at = await orders.clock(tx)
            again_at = asked_at + timedelta(seconds=self.bank.call_timeout_s + CLAIM_MARGIN_S)
            rows = await orders.claim_inquiries(tx, self.name, asked_at, again_at, self.bank.orders_a_call)
        if not rows:
            return 0
        references = [row["reference"] for row in rows]
        trouble: Trouble | None = None
        try:
            answers = await self.channel.ask(references, stamped_at=asked_at)
        except (NotSent, OutcomeUnknown) as error:
            answers, trouble = [Answer(reference, Said.UNCLEAR) for reference in references], error
        count_answers(self.name, answers)
        done = {answer.reference for answer in answers if answer.said == Said.DONE}
        ready, _ = self._opened([row for row in rows if row["payment"] and row["reference"] in done])
        sends = {row["reference"]: row["sends"] for row in rows}
        await self.record(answers, sends, asked_at, self._accounts(ready))
        if trouble:
            raise trouble
        return len(rows)

    async def claim(self) -> Claimed:
        began_s = monotonic()
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            sent_at = await orders.clock(tx)
            until = sent_at + timedelta(seconds=self.bank.call_timeout_s + CLAIM_MARGIN_S)
            return Claimed(await orders.claim(tx, self.name, sent_at, until, self.bank.orders_a_call), sent_at, began_s)

    async def call(self, claimed: Claimed) -> Called:
        """An answer for each order: the bank's, or what is known without it. Never raises what the call met."""
        ready, answers = self._opened(claimed.rows)
        if not ready:
            return Called(answers, None, {})
        accounts = self._accounts(ready)
        rest: Said
        try:
            if monotonic() - claimed.began_s > self.bank.timestamp_tolerance_s:
                raise NotSent("the claim is too old for the bank to take the call")
            taken = {order.reference for order in ready}
            sends = sum(row["sends"] for row in claimed.rows if row["reference"] in taken)
            with BANK_SECONDS.labels(self.name).time():
                said = await self.channel.send(ready, sends=sends, stamped_at=claimed.sent_at)
            return Called(answers + said, None, accounts)
        except NotSent as error:
            rest, trouble = Said.NOT_TAKEN, error
        except OutcomeUnknown as error:
            unclear = [Answer(order.reference, Said.UNCLEAR) for order in ready]
            return Called(answers + unclear, error, accounts)
        return Called(answers + [Answer(order.reference, rest) for order in ready], trouble, accounts)

    async def record(
        self,
        answers: Sequence[Answer],
        sends: Mapping[str, int],
        called_at: datetime,
        accounts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Writes what follows from the answers: states, ledger and events in one transaction.

        `accounts` holds the fingerprint of the account by reference, where it is known.
        """
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            rows = await orders.lock_by_reference(tx, [answer.reference for answer in answers])
            now = await orders.clock(tx)
            written = _Recorded([], [], [], [], [])
            keys = [(row["programme"], row["recipient_id"]) for row in rows.values()]
            current = await decisions.of_payouts(tx, keys)
            for answer in sorted(answers):
                row = rows.get(answer.reference)
                if row is None:
                    continue
                found = resolve(
                    Order(PayoutState(row["state"]), row["sends"], row["asks"], row["sent_at"] or called_at),
                    answer,
                    sends=sends[answer.reference],
                    called_at=called_at,
                    now=now,
                    pauses=self.bank.pauses,
                )
                if isinstance(found, Outcome):
                    decision = current[row["programme"], row["recipient_id"]]
                    self._settle(row, decision, answer, found, now, written, accounts.get(answer.reference))
                elif isinstance(found, Contradiction):
                    written.contradictions.append((answer.reference, found.detail))
            lost = [a.reference for a in answers if a.said == Said.DONE and a.reference not in rows]
            past = await orders.past_states(tx, lost) if lost else {}
            written.contradictions.extend(
                (one, f"the bank says done, the attempt is {past.get(one, 'unknown')}") for one in lost
            )
            await self._write(tx, written, now)
            transaction.emit(written.events)

    def _settle(
        self,
        row: asyncpg.Record,
        decision: Any,
        answer: Answer,
        found: Outcome,
        now: datetime,
        written: "_Recorded",
        account: str | None,
    ) -> None:
        """One outcome: the new state, the ledger's row and the event where it is an end, the decision made due."""
        revision, bank_reference = row["revision"], None
        if found.state in (PayoutState.CONFIRMED, PayoutState.FAILED):
            revision += 1
            where = (row["cycle"], row["recipient_id"], row["attempt"], row["amount_idr"])
            said = told(row, decision["contact"], cause_of(row), now)
            if found.state == PayoutState.CONFIRMED:
                bank_reference = answer.bank_reference or "not given"
                written.transfers.append(books.post(*where, now))
                paid = events.confirmed(said, row["reference"], row["channel"], bank_reference, account)
                written.events.append(paid)
            else:
                code = found.code or "refused_by_bank"
                found = found._replace(code=code)
                written.transfers.append(books.void(*where, Account.IN_TRANSIT, now))
                written.events.append(events.failed(said, row["reference"], row["channel"], code, self.configuration))
        written.moves.append(
            Settled(
                row["recipient_id"],
                row["cycle"],
                found.state,
                revision,
                found.due_at,
                found.code,
                bank_reference,
            )
        )
        if found.state != PayoutState.UNKNOWN and decision["revision"] > row["decision_revision"]:
            written.due.append((row["programme"], row["recipient_id"]))

    async def _write(self, tx: asyncpg.Connection, written: "_Recorded", now: datetime) -> None:
        if written.moves:
            await orders.move(tx, sorted(written.moves, key=lambda move: move[:2]), now)
        if written.due:
            await decisions.make_due(tx, written.due)
        if written.contradictions:
            log.critical("the bank contradicts the books", count=len(written.contradictions))
            CONTRADICTIONS.inc(len(written.contradictions))
            await orders.report_contradictions(tx, written.contradictions, now)
        await ledger.add(tx, written.transfers)

    def _accounts(self, ready: Sequence[BankOrder]) -> dict[str, str]:
        """Fingerprints of the accounts by reference: of who gets money, only whether it is the same account."""
        fingerprint = self.keyring.fingerprint
        return {
            order.reference: "a-" + fingerprint("payment", f"{order.account.bank}|{order.account.number}".encode())
            for order in ready
        }

    def _opened(self, rows: Sequence[asyncpg.Record]) -> tuple[list[BankOrder], list[Answer]]:
        """What can be sent, and for the others why not: an account that cannot be read fails its payout."""
        ready, answers = [], []
        missing: KeyMissing | None = None
        for row in rows:
            try:
                sealed = self.keyring.open(
                    row["payment"] or "", "payment", recipient=row["recipient_id"], schema=PAYMENT_SCHEMA
                )
                ready.append(BankOrder(row["reference"], row["amount_idr"], _account(sealed)))
            except Erased:
                answers.append(Answer(row["reference"], Said.UNREADABLE, "account_erased"))
            except CannotOpen:
                answers.append(Answer(row["reference"], Said.UNREADABLE, "account_unreadable"))
            except KeyMissing as error:
                missing = error
                answers.append(Answer(row["reference"], Said.NOT_TAKEN))
            except (ValueError, KeyError, TypeError):
                answers.append(Answer(row["reference"], Said.UNREADABLE, "account_invalid"))
        if missing:
            log.error("orders wait for a key", error=missing.message, hint=missing.hint)
        return ready, answers


class _Recorded(NamedTuple):
    """What one transaction of outcomes writes."""

    moves: list[Settled]
    transfers: list[Transfer]
    events: list[Event[Any]]
    due: list[tuple[str, str]]
    contradictions: list[tuple[str, str]]


def _account(payment: bytes) -> BankAccount:
    found = orjson.loads(payment)
    return BankAccount(*(str(found[field]) for field in BankAccount._fields))
