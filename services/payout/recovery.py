"""Payout's part of a recovery: cycles, payouts and the ledger follow from its events, and the bank is asked about
everything that may have been sent.

Decisions are read before anything else follows from them, with what was in force in between: where the lost database
may have acted on more than one decision about a recipient, its steps may not be known in full, and that is a doubt.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.payout import configuration
from services.payout import events as payout_events
from services.payout.configuration import Configuration
from services.payout.domain import ledger as books
from services.payout.domain.states import CycleState, PayoutState
from services.payout.handler import INPUTS, newest
from services.payout.retelling import Retelling
from services.payout.settings import PayoutSettings
from services.payout.store import cycles, decisions, doubts, payouts, resealing
from services.payout.store import recovery as store
from services.payout.store.doubts import Superseded
from services.payout.store.recovery import ToldPayout
from shared.events import (
    CycleApproved,
    CycleProposed,
    EligibilityDecided,
    Event,
    PayoutCancelled,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    PayoutQueued,
)
from shared.events.topics import Service
from shared.runtime import resealed_store
from shared.runtime.recovery import CannotRecover
from shared.runtime.resealed import values_in
from shared.runtime.stage import Received

LOST: Final = "lost in a restore"
"""Stands for an officer whose act is certain, because orders followed from it, and whose name is not known any more."""

Key = tuple[str, str]
"""Programme and recipient."""

_STATES: Final = {
    PayoutQueued.TYPE: PayoutState.QUEUED,
    PayoutOrdered.TYPE: PayoutState.ORDERED,
    PayoutCancelled.TYPE: PayoutState.CANCELLED,
    PayoutConfirmed.TYPE: PayoutState.CONFIRMED,
    PayoutFailed.TYPE: PayoutState.FAILED,
}


def build(settings: PayoutSettings) -> "PayoutRecovery":
    """With payout's own configuration. Raises ConfigurationInvalid."""
    known = configuration.load(settings.payout_programmes, settings.payout_banks, settings.payout_reasons)
    return PayoutRecovery(known)


@dataclass(slots=True)
class PayoutRecovery:
    """An Importer."""

    configuration: Configuration
    service: Service = "payout"
    inputs: tuple[str, ...] = INPUTS
    until: datetime | None = None
    _proposed: dict[str, Event[CycleProposed]] = field(default_factory=dict)
    _approved: dict[str, Event[CycleApproved]] = field(default_factory=dict)
    _superseded: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """(programme, recipient) → the amounts of decisions that can have been ordered"""
    _paid_by: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """By programme: when the last order was told, and which bank it names."""
    _summary: Counter[str] = field(default_factory=Counter)

    async def prepare(self, tx: asyncpg.Connection) -> None:
        """Raises ConfigurationInvalid."""
        configuration.fits_unfinished(self.configuration, await payouts.unfinished_keys(tx))
        await store.prepare(tx)
        await resealed_store.prepare(tx)

    async def told(self, tx: asyncpg.Connection, events: Sequence[Event[Any]]) -> None:
        rows = []
        for event in events:
            if event.type == CycleProposed.TYPE:
                self._proposed[event.data.cycle] = event
            elif event.type == CycleApproved.TYPE:
                self._approved[event.data.cycle] = event
            else:
                rows.append(_row(event))
            if event.type == PayoutOrdered.TYPE:
                ordered = event.time, event.data.channel
                self._paid_by[event.data.programme] = max(ordered, self._paid_by.get(event.data.programme, ordered))
        await store.keep_told(tx, rows)

    async def read_again(self, tx: asyncpg.Connection, received: Sequence[Received]) -> None:
        decided = [event for _, event in received if event.type == EligibilityDecided.TYPE]
        rows = newest((event, event.time) for event in decided)
        known = await decisions.of_keys(tx, [(row.programme, row.recipient_id) for row in rows])
        self._note_superseded(decided, known)
        if rows:
            await decisions.upsert(tx, rows)
        await resealed_store.keep(tx, values_in(received))

    def _note_superseded(self, decided: Sequence[Event[EligibilityDecided]], known: Mapping[Key, Any]) -> None:
        """A decision that could be ordered was followed by another: the lost database may have acted on both."""
        stands = {key: (row["revision"], row["eligible"], row["amount_idr"]) for key, row in known.items()}
        for event in decided:
            data = event.data
            key = (data.programme, event.subject)
            before, after = stands.get(key), (data.revision, data.outcome == "eligible", data.amount_idr)
            if before is not None and before[0] >= after[0]:
                continue
            stands[key] = after
            if before is not None and before[1]:
                self._superseded.setdefault(key, {before[2]})
            if key in self._superseded and after[1]:
                self._superseded[key].add(after[2])

    async def finish(self, tx: asyncpg.Connection, at: datetime) -> AsyncIterator[Sequence[Event[Any]]]:
        self._refuse_another_bank()
        await resealing.reseal_found(tx)
        yield await self._import_cycles(tx)
        retelling = Retelling(self.configuration, {row["cycle"]: row for row in await cycles.every(tx)})
        async for told in store.payouts_told(tx):
            keys = sorted({(rows[0]["programme"], rows[0]["recipient_id"]) for rows in told.values()})
            missing = await retelling.write(tx, told, await decisions.of_keys(tx, keys))
            self._summary["payouts"] += len(told)
            self._summary["lost_events_told_again"] += len(missing)
            yield missing
        self._summary["advanced_idr"] = await store.post(tx, at)
        self._summary["to_ask_the_bank_about"] = await store.ask_about_everything(tx, at)
        await store.name_families(tx)
        await store.make_superseded_due(tx)
        superseded = [
            Superseded(*key, next(iter(amounts)) if len(amounts) == 1 else None)
            for key, amounts in self._superseded.items()
        ]
        known = self.configuration
        windows = [(name, known.banks[programme.channel].window_s) for name, programme in known.programmes.items()]
        self._summary["recipients_in_doubt"] = await doubts.begin(tx, superseded, windows, at)

    def _refuse_another_bank(self) -> None:
        """What was sent and never told is asked of the bank that the configuration names: another one knows nothing of
        it, would say so, and it would be paid again."""
        for programme, (at, bank) in sorted(self._paid_by.items()):
            named = self.configuration.programmes.get(programme)
            if named is None or named.channel != bank:
                raise CannotRecover(
                    f"the lost database ordered payouts of {programme} from {bank} at {at:%Y-%m-%d %H:%M:%S}, and the "
                    f"configuration names {named.channel if named else 'no such programme'}",
                    hint="recover and start payout with the programmes and banks that were in use then; change them "
                    "once its metric salur_recipients_in_doubt is 0",
                )

    def summary(self) -> dict[str, int]:
        return dict(self._summary)

    async def _import_cycles(self, tx: asyncpg.Connection) -> list[Event[Any]]:
        """Proposals and approvals as they were told, and those without which a told order could not have been made."""
        missing: list[Event[Any]] = []
        for proposed in self._proposed.values():
            await _propose(tx, proposed.data, proposed.data.mode, proposed.data.by, proposed.time)
        approvals = {name: (event.data.by, event.time) for name, event in self._approved.items()}
        for event in self._approved.values():
            mode = self.configuration.programmes[event.data.programme].mode
            if await _propose(tx, event.data, mode, LOST, event.time):
                missing.append(payout_events.cycle_proposed(await cycles.described(tx, event.data.cycle), event.time))
        for row in await store.cycles_told(tx):
            if row["state"] is None:
                raise CannotRecover(
                    f"{row['payouts']} payouts are told in the cycle {row['cycle']}, and neither its proposal nor its "
                    "approval is on the topics",
                    hint="nobody knows its budget: a backup that is newer than the proposal is needed",
                )
            if row["state"] == CycleState.PROPOSED:
                approvals.setdefault(row["cycle"], (LOST, row["first_at"]))
        waiting = [row for row in await cycles.every(tx) if row["state"] == CycleState.PROPOSED]
        for row in sorted(waiting, key=lambda cycle: (cycle["programme"], cycle["period"])):
            if row["cycle"] in approvals:
                by, at = approvals[row["cycle"]]
                await cycles.close_open(tx, row["programme"])
                await cycles.approve(tx, row["cycle"], by, at)
                await store.keep_transfers(tx, [books.fund(row["cycle"], row["budget_idr"], at)])
                self._summary["cycles_approved"] += 1
                if row["cycle"] not in self._approved:
                    missing.append(payout_events.cycle_approved(row, by, at))
        return missing


async def _propose(tx: asyncpg.Connection, data: CycleProposed | CycleApproved, mode: str, by: str, at: Any) -> bool:
    return await cycles.propose(tx, data.cycle, data.programme, data.period, mode, data.budget_idr, by, at)


def _row(event: Event[Any]) -> ToldPayout:
    data, cause = event.data, event.cause
    return ToldPayout(
        event.subject,
        data.cycle,
        data.programme,
        data.revision,
        _STATES[event.type],
        getattr(data, "attempt", None),
        data.decision_revision,
        data.amount_idr,
        data.village,
        getattr(data, "reference", None),
        getattr(data, "channel", None),
        getattr(data, "code", None),
        getattr(data, "bank_reference", None),
        event.time,
        event.id,
        event.causationid or event.id,
        cause.correlation_id,
        cause.traceparent,
    )
