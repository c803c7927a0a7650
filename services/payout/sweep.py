"""The sweep: gives the budget of open cycles to decisions, in turns of bounded size, for ever.

One turn is one transaction under the lock of one cycle. It locks the decisions that it acts on until it commits, so no
decision that arrives beside it is missed (it becomes due, and a later turn sees it) and none that was superseded is
ordered. Any number of processes may sweep: a cycle that another one works on is passed over.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from services.payout import events, metrics
from services.payout.configuration import Configuration
from services.payout.domain import ledger as books
from services.payout.domain.ledger import Account, Transfer
from services.payout.domain.references import reference
from services.payout.domain.states import MONEY
from services.payout.events import Told, cause_of, told
from services.payout.plan import Asking, Begun, Cancelling, Plan, make_plan
from services.payout.store import cycles, decisions, ledger, orders, payouts
from services.payout.store.payouts import PayoutRow
from shared.events import Cause, Event
from shared.events.payouts import PLACES_COUNTED_MAX
from shared.runtime.emit import Outbox

SUPERSEDED = "decision_superseded"
CYCLE_CLOSED = "cycle_closed"


@dataclass(slots=True)
class _Written:
    """What one turn writes."""

    rows: list[PayoutRow] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    events: list[Event[Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sweep:
    """`turn` is a worker's turn."""

    outbox: Outbox
    configuration: Configuration
    decisions_max: int = 2000
    places_counted_max: int = PLACES_COUNTED_MAX
    _shown: dict[str, str] = field(default_factory=dict)
    """Open cycle and its programme, whose budget the metrics show."""

    async def turn(self) -> int:
        """One bounded step in every cycle that is open or closing. Trouble with one does not keep the others."""
        working = await cycles.working(self.outbox.pool)
        self._forget_budgets({cycle for cycle, state in working if state == "open"})
        moved, errors = 0, []
        for cycle, state in working:
            try:
                moved += await (self.order(cycle) if state == "open" else self.wind_up(cycle))
            except Exception as error:  # noqa: BLE001 - raised below, after the other cycles had their turn
                errors.append(error)
        if errors:
            raise errors[0]
        return moved

    async def order(self, cycle_id: str) -> int:
        """One turn of an open cycle. Returns how many decisions and queued payouts it has moved on."""
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            cycle = await cycles.lock_if(tx, cycle_id, "open")
            if cycle is None:
                return 0
            at = await orders.clock(tx)
            due = await decisions.due(tx, cycle["programme"], cycle["number"], self.decisions_max)
            returned_idr = await ledger.balance_idr(tx, cycle_id, Account.RETURNED)
            available_idr = returned_idr + await ledger.balance_idr(tx, cycle_id, Account.BUDGET)
            self._shown[cycle_id] = cycle["programme"]
            metrics.show_budget(cycle["programme"], cycle["budget_idr"], available_idr)
            advanced_idr = await ledger.advanced_idr(tx, cycle_id)
            if advanced_idr and available_idr:
                await ledger.add(tx, _repaid(cycle_id, advanced_idr, returned_idr, available_idr, at))
                return 1
            # Whoever is due may have the better rank: a ranked cycle gives nothing before it knows all of them.
            giving = not advanced_idr and (cycle["mode"] == "continuous" or len(due) < self.decisions_max)
            head = await payouts.queue_head(tx, cycle_id, available_idr, self.decisions_max) if giving else []
            if not due and not any(queued["within"] for queued in head):
                if returned_idr:
                    await ledger.add(tx, [books.regrant(cycle_id, returned_idr, at)])
                return 0
            plan = await make_plan(tx, cycle, due, head, available_idr, giving)
            written = self._written(plan, cycle, returned_idr, at)
            waiting = [one for one in plan.asking[plan.served :] if one.arrives]
            written.rows += [self._row(one, cycle, "queued", at, cause_of(one.decision)) for one in waiting]
            await self._write(tx, plan, written, at)
            await decisions.settle(tx, cycle["programme"], cycle["number"], plan.settled)
            written.events += await self._queued(tx, waiting, cycle, at)
            await ledger.add(tx, written.transfers)
            transaction.emit(written.events)
            return len(plan.settled) + sum(not one.arrives for one in plan.asking[: plan.served])

    def _forget_budgets(self, open_cycles: Set[str]) -> None:
        for cycle in self._shown.keys() - open_cycles:
            metrics.forget_budget(self._shown.pop(cycle))

    async def wind_up(self, cycle_id: str) -> int:
        """One turn of a closing cycle: who is still queued is told that it ended; then what it has left goes back."""
        async with self.outbox.transaction() as transaction:
            tx = transaction.tx
            if await cycles.lock_if(tx, cycle_id, "closing") is None:
                return 0
            at = await orders.clock(tx)
            rows = await payouts.lock_queued(tx, cycle_id, self.decisions_max)
            if rows:
                known = await decisions.of_payouts(tx, [(r["programme"], r["recipient_id"]) for r in rows])
                await payouts.cancel(tx, [(r["recipient_id"], r["cycle"]) for r in rows], CYCLE_CLOSED, at)
                contacts = (known[r["programme"], r["recipient_id"]]["contact"] for r in rows)
                transaction.emit(
                    events.cancelled(told(row, contact, cause_of(row), at), CYCLE_CLOSED, self.configuration)
                    for row, contact in zip(rows, contacts, strict=True)
                )
            elif not await payouts.any_queued(tx, cycle_id):
                returned_idr = await ledger.balance_idr(tx, cycle_id, Account.RETURNED)
                left_idr = returned_idr + await ledger.balance_idr(tx, cycle_id, Account.BUDGET)
                advanced_idr = min(left_idr, await ledger.advanced_idr(tx, cycle_id))
                back = _repaid(cycle_id, advanced_idr, returned_idr, left_idr, at)
                back += [books.close(cycle_id, left_idr - advanced_idr, at)] if left_idr > advanced_idr else []
                await ledger.add(tx, back)
                await cycles.close(tx, cycle_id, at)
            return len(rows)

    def _written(self, plan: Plan, cycle: asyncpg.Record, returned_idr: int, at: datetime) -> _Written:
        """Everything but the queued: ends first, then what came back, then who fails and who is served."""
        written = _Written()
        for ending in plan.cancelled:
            self._end(ending, at, written)
        if returned_idr + plan.freed_idr:
            written.transfers.append(books.regrant(cycle["cycle"], returned_idr + plan.freed_idr, at))
        for one in plan.failing:
            code = one.failure or "no_account"
            row = self._row(one, cycle, "failed", at, cause_of(one.decision), code=code)
            written.rows.append(row)
            written.events.append(
                events.failed(_told(one, cycle, at), row.reference, row.channel, code, self.configuration)
            )
        for one in plan.asking[: plan.served]:
            self._serve(one, cycle, at, written)
        return written

    def _end(self, ending: Cancelling, at: datetime, written: _Written) -> None:
        payout, decision = ending
        lay_in = MONEY[payout["state"]]
        if lay_in is not None:
            written.transfers.append(
                books.void(payout["cycle"], payout["recipient_id"], payout["attempt"], payout["amount_idr"], lay_in, at)
            )
        ended = told(payout, decision["contact"], cause_of(decision), at)
        written.events.append(events.cancelled(ended, SUPERSEDED, self.configuration))

    def _serve(self, one: Asking, cycle: asyncpg.Record, at: datetime, written: _Written) -> None:
        row = self._row(one, cycle, "ordered", at, cause_of(one.decision))
        event = events.ordered(_told(one, cycle, at), row.reference, row.channel)
        caused = event.cause
        written.rows.append(row._replace(cause_id=caused.event_id, traceparent=caused.traceparent))
        written.transfers.append(books.reserve(row.cycle, row.recipient_id, row.attempt, row.amount_idr, at))
        written.events.append(event)

    async def _write(self, tx: asyncpg.Connection, plan: Plan, written: _Written, at: datetime) -> None:
        if plan.cancelled:
            keys = [(c.payout["recipient_id"], c.payout["cycle"]) for c in plan.cancelled]
            await payouts.cancel(tx, keys, SUPERSEDED, at)
        if plan.retried:
            await payouts.keep_past_attempts(tx, plan.retried)
        await payouts.insert(tx, [row for row in written.rows if row.revision == 1])
        await payouts.advance(tx, [row for row in written.rows if row.revision > 1])

    async def _queued(
        self, tx: asyncpg.Connection, waiting: Sequence[Asking], cycle: asyncpg.Record, at: datetime
    ) -> Iterable[Event[Any]]:
        if not waiting:
            return ()
        recipients, counted = [one.rank.recipient_id for one in waiting], self.places_counted_max
        place_of = await payouts.places(tx, cycle["cycle"], recipients, waiting[-1].rank, counted)
        return [
            events.queued(_told(one, cycle, at), place_of.get(one.rank.recipient_id, counted + 1)) for one in waiting
        ]

    def _row(
        self,
        one: Asking,
        cycle: asyncpg.Record,
        state: str,
        at: datetime,
        cause: Cause,
        code: str | None = None,
    ) -> PayoutRow:
        programme, recipient, decision = cycle["programme"], one.rank.recipient_id, one.decision
        begun = one.begun or self._begun(cycle, recipient, one.attempt)
        return PayoutRow(
            recipient,
            cycle["cycle"],
            programme,
            state,
            one.attempt,
            one.revision + 1,
            decision["revision"],
            decision["amount_idr"],
            decision["village"],
            one.rank.rank_class,
            one.rank.decile,
            one.rank.waiting_since,
            begun.channel,
            begun.reference,
            at,
            at if state == "ordered" else None,
            code,
            *cause,
            decision["family_id"],
        )

    def _begun(self, cycle: asyncpg.Record, recipient: str, attempt: int) -> Begun:
        """Of an attempt that begins now."""
        programme = cycle["programme"]
        channel = self.configuration.programmes[programme].channel
        length = self.configuration.banks[channel].reference_length
        return Begun(channel, reference(programme, cycle["cycle"], recipient, attempt, length))


def _repaid(cycle: str, advanced_idr: int, returned_idr: int, available_idr: int, at: datetime) -> list[Transfer]:
    """What came back is free again, and as much of it as was advanced goes back at once."""
    back = [books.regrant(cycle, returned_idr, at)] if returned_idr else []
    repaid_idr = min(advanced_idr, available_idr)
    return [*back, books.repay(cycle, repaid_idr, at)] if repaid_idr else back


def _told(one: Asking, cycle: asyncpg.Record, at: datetime) -> Told:
    decision = one.decision
    return Told(
        one.rank.recipient_id,
        cycle["cycle"],
        cycle["programme"],
        one.attempt,
        one.revision + 1,
        decision["revision"],
        decision["amount_idr"],
        decision["village"],
        decision["contact"],
        cause_of(decision),
        at,
    )
