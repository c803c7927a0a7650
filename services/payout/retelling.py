"""Payouts go once more through the steps that events tell of them, some thousand at a time; nothing is sent.

A step that no event tells any more is found between the others (`domain.history`), written like them, and told anew:
its event was never published, so nobody has seen it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.payout import events
from services.payout.configuration import Configuration
from services.payout.domain import ledger as books
from services.payout.domain.budget import Rank, RankClass, rank
from services.payout.domain.history import NOT_SENT, Happened, Impossible, Stands, Step, steps
from services.payout.domain.ledger import Account, Transfer
from services.payout.domain.references import reference
from services.payout.domain.states import MONEY, PayoutState
from services.payout.events import Told, cause_of
from services.payout.plan import Begun
from services.payout.store import payouts
from services.payout.store import recovery as store
from services.payout.store.payouts import PayoutRow
from services.payout.store.recovery import Cancelled, Ended, Key
from services.payout.sweep import SUPERSEDED
from shared.events import Cause, Event
from shared.runtime.recovery import CannotRecover

_S = PayoutState
_ORDERED_AS_EVENTS_TELL: Final = frozenset({_S.CLAIMED, _S.UNKNOWN, _S.UNSENT})
_PLACE_UNKNOWN: Final = 1
"""A queue's place in a `payout.queued` that was lost: nobody knows it any more."""


@dataclass(slots=True)
class _Payout:
    """A payout while its steps are written; `row` is what stands in the table, None before the first step."""

    key: Key
    told: Sequence[asyncpg.Record]
    steps: list[Step]
    row: dict[str, Any] | None
    replaced_at: datetime | None = None


@dataclass(slots=True)
class Round:
    """What one step of each payout writes, in the order in which it must be written."""

    retried: list[Key] = field(default_factory=list)
    begun: list[PayoutRow] = field(default_factory=list)
    claimed: list[Key] = field(default_factory=list)
    unsent: list[Key] = field(default_factory=list)
    cancelled: list[Cancelled] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    events: list[Event[Any]] = field(default_factory=list)

    async def write(self, tx: asyncpg.Connection) -> None:
        if self.retried:
            await payouts.keep_past_attempts(tx, self.retried)
        await payouts.insert(tx, [row for row in self.begun if row.revision == 1])
        await payouts.advance(tx, [row for row in self.begun if row.revision > 1])
        if self.claimed:
            await store.claim(tx, self.claimed)
        if self.unsent:
            await store.unsend(tx, self.unsent)
        if self.cancelled:
            await store.cancel(tx, self.cancelled)
        if self.ended:
            await store.end(tx, self.ended)
        await store.keep_transfers(tx, self.transfers)


@dataclass(frozen=True, slots=True)
class Retelling:
    """`cycles` and `decisions` (by programme and recipient) as they are after everything else was imported."""

    configuration: Configuration
    cycles: Mapping[str, asyncpg.Record]

    async def write(
        self,
        tx: asyncpg.Connection,
        told: Mapping[Key, Sequence[asyncpg.Record]],
        decisions: Mapping[tuple[str, str], asyncpg.Record],
    ) -> list[Event[Any]]:
        """Brings these payouts to where their events say they stand. Returns the events of steps that were not told.

        Raises CannotRecover.
        """
        rows = await store.lock_payouts(tx, sorted(told))
        changing = [self._payout(key, told[key], rows.get(key)) for key in sorted(told)]
        missing: list[Event[Any]] = []
        for number in range(max(len(payout.steps) for payout in changing)):
            written = Round()
            for payout in changing:
                if number < len(payout.steps):
                    decision = decisions.get((payout.told[0]["programme"], payout.key[0]))
                    self._take(payout, number, decision, written)
            await written.write(tx)
            missing += written.events
        return missing

    def _payout(self, key: Key, told: Sequence[asyncpg.Record], row: asyncpg.Record | None) -> _Payout:
        stands, revision = Stands(), 0
        if row is not None:
            state = PayoutState(row["state"])
            as_told = _S.ORDERED if state in _ORDERED_AS_EVENTS_TELL else state
            stands, revision = Stands(as_told, row["attempt"], row["code"] in NOT_SENT), row["revision"]
        happened = [Happened(t["revision"], PayoutState(t["state"]), t["attempt"], t["code"] in NOT_SENT) for t in told]
        try:
            found = steps(stands, revision, happened)
        except Impossible as error:
            raise CannotRecover(
                f"the payout of {key[0]} in {key[1]}: {error}", hint="`salur audit verify payout` compares all events"
            ) from None
        return _Payout(key, told, found, dict(row) if row is not None else None)

    def _take(self, payout: _Payout, number: int, decision: asyncpg.Record | None, written: Round) -> None:
        step = payout.steps[number]
        if decision is None:
            raise CannotRecover(
                f"the payout of {payout.key[0]} in {payout.key[1]} is told, and no decision about it",
                hint="does eligibility.decided hold everything since the backup?",
            )
        told = payout.told[step.told] if step.told is not None else None
        # What a missing event said, the next one that is there says too, or the row as it stands.
        following = payout.told[next(s.told for s in payout.steps[number:] if s.told is not None)]
        if step.stands.state in (_S.QUEUED, _S.ORDERED) or step.stands.failed_unsent:
            self._begin(payout, step, told, following, decision, written)
        else:
            self._end(payout, step, told, following["at"], decision, written)

    def _begin(
        self,
        payout: _Payout,
        step: Step,
        told: asyncpg.Record | None,
        following: asyncpg.Record,
        decision: asyncpg.Record,
        written: Round,
    ) -> None:
        """An attempt is queued, ordered, or fails for want of an account."""
        said, state, attempt = told or following, step.stands.state, step.stands.attempt
        before = payout.row
        assert state is not None
        if before is not None and before["attempt"] < attempt:
            written.retried.append(payout.key)
        programme, at = said["programme"], said["at"]
        begun = self._begun(payout, programme, attempt)
        place = self._rank(payout, decision, at)
        row = PayoutRow(
            *payout.key,
            programme,
            state,
            attempt,
            step.revision,
            said["decision_revision"],
            said["amount_idr"],
            said["village"],
            place.rank_class,
            place.decile,
            place.waiting_since,
            *begun,
            at,
            at if state == _S.ORDERED else None,
            (said["code"] if told else "no_account") if state == _S.FAILED else None,
            *(_cause(told) if told else cause_of(decision)),
            None,  # found out at the end: see `store.name_families`
        )
        if told is None:
            row = self._tell(row, decision, written)
        if state == _S.ORDERED:
            written.transfers.append(books.reserve(row.cycle, row.recipient_id, attempt, row.amount_idr, at))
        written.begun.append(row)
        payout.row = {**row._asdict(), "sends": 0}

    def _begun(self, payout: _Payout, programme: str, attempt: int) -> Begun:
        """The bank and the reference of an attempt: those that its row has, or that an event states, else anew."""
        if payout.row is not None and payout.row["attempt"] == attempt:
            return Begun(payout.row["channel"], payout.row["reference"])
        for told in payout.told:
            if told["attempt"] == attempt and told["reference"]:
                return Begun(told["channel"], told["reference"])
        channel = self.configuration.programmes[programme].channel
        length = self.configuration.banks[channel].reference_length
        return Begun(channel, reference(programme, payout.key[1], payout.key[0], attempt, length))

    def _tell(self, row: PayoutRow, decision: asyncpg.Record, written: Round) -> PayoutRow:
        """The event of a beginning that was lost; an order is the cause of what follows from it."""
        told = _told(row._asdict(), row.revision, row.since, decision, cause_of(decision))
        if row.state == _S.QUEUED:
            event = events.queued(told, _PLACE_UNKNOWN)
        elif row.state == _S.ORDERED:
            event = events.ordered(told, row.reference, row.channel)
            row = row._replace(cause_id=event.id, traceparent=event.cause.traceparent)
        else:
            event = events.failed(told, row.reference, row.channel, row.code or "no_account", self.configuration)
        written.events.append(event)
        return row

    def _end(
        self,
        payout: _Payout,
        step: Step,
        told: asyncpg.Record | None,
        at: datetime,
        decision: asyncpg.Record,
        written: Round,
    ) -> None:
        """An attempt is confirmed, has failed at the bank, or is cancelled."""
        row, state = payout.row, step.stands.state
        assert row is not None, "nothing ends before it has begun"
        at = told["at"] if told else at
        cycle, recipient = payout.key[1], payout.key[0]
        where = (cycle, recipient, row["attempt"], row["amount_idr"])
        if state == _S.CANCELLED:
            code = told["code"] if told else SUPERSEDED
            lay_in = MONEY[row["state"]]
            if lay_in is not None:
                written.transfers.append(books.void(*where, lay_in, at))
                payout.replaced_at = at
            if row["state"] in (_S.CLAIMED, _S.UNKNOWN):
                written.unsent.append(payout.key)
            written.cancelled.append(Cancelled(recipient, cycle, step.revision, code, at))
        else:
            code = (told["code"] if told else "refused_by_bank") if state == _S.FAILED else None
            if row["state"] == _S.ORDERED:
                written.claimed.append(payout.key)
                written.transfers.append(books.send(*where, row["since"]))
            written.transfers.append(
                books.post(*where, at) if state == _S.CONFIRMED else books.void(*where, Account.IN_TRANSIT, at)
            )
            bank_reference = told["bank_reference"] if told else None
            written.ended.append(Ended(recipient, cycle, str(state), step.revision, code, bank_reference, at))
        if told is None:
            said = _told(row, step.revision, at, decision, cause_of(decision if state == _S.CANCELLED else row))
            written.events.append(
                events.cancelled(said, SUPERSEDED, self.configuration)
                if state == _S.CANCELLED
                else events.failed(said, row["reference"], row["channel"], "refused_by_bank", self.configuration)
            )
        payout.row = {**row, "state": state, "revision": step.revision, "code": code, "since": at}

    def _rank(self, payout: _Payout, decision: asyncpg.Record, at: datetime) -> Rank:
        """As the sweep gave it, from what is still known of the decision."""
        cycle, before = self.cycles[payout.key[1]], payout.row
        waits = before is not None and before["state"] == _S.QUEUED
        if before is not None and waits:
            return Rank(before["rank_class"], before["rank_decile"], before["waiting_since"], payout.key[0])
        own = rank(
            cycle["mode"],
            payout.key[0],
            decision["decile"],
            decision["waiting_since"],
            decision["received_at"],
            cycle["approved_at"],
        )
        return own._replace(rank_class=RankClass.REPLACED) if payout.replaced_at == at else own


def _cause(told: asyncpg.Record) -> Cause:
    """What a row keeps as the cause of later events: an order is one itself, a place in the queue is not."""
    event_id = told["event_id"] if told["state"] == _S.ORDERED else told["cause_id"]
    return Cause(event_id, told["correlation_id"], told["traceparent"])


def _told(row: Mapping[str, Any], revision: int, at: datetime, decision: asyncpg.Record, cause: Cause) -> Told:
    return Told(
        row["recipient_id"],
        row["cycle"],
        row["programme"],
        row["attempt"],
        revision,
        row["decision_revision"],
        row["amount_idr"],
        row["village"],
        decision["contact"],
        cause,
        at,
    )
