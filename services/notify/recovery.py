"""Notify's part of a recovery: what was told stays told, and what may have been told is not told again.

Reading the inputs again makes the messages that the lost database had made; events say what became of those that left.
No carrier can be asked whether it took a message. So whatever has no event may have been sent: it becomes `unknown`.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, get_args

import asyncpg

from services.notify import recovery_store
from services.notify.domain.purposes import CODE, DECISIONS, about_payout
from services.notify.domain.states import Fact, Milestone, State
from services.notify.handler import INPUTS, Handler, with_unregistered
from services.notify.progress import Report, apply, event_of
from services.notify.recovery_store import Imported, ToldMilestone
from shared.events.envelope import Event
from shared.events.topics import Service
from shared.runtime import resealed_store
from shared.runtime.emit import Transaction
from shared.runtime.resealed import values_in
from shared.runtime.stage import Batch, Received

MILESTONES: Final[tuple[Milestone, ...]] = get_args(Milestone)
RESTORED: Final = "database_restored"

_MISSING: Final[tuple[Milestone, ...]] = ("sent", "unknown", "failed", "delivered")
"""Which milestone an event that was lost can have been: the first of these that is not known otherwise."""
_LADDER: Final = (State.UNKNOWN, State.SENT, State.FAILED, State.DELIVERED, State.READ)


@dataclass(slots=True)
class NotifyRecovery:
    """An Importer. `until`: when the lost database was last in use; messages for what came later cannot have left."""

    until: datetime | None = None
    service: Service = "notify"
    inputs: tuple[str, ...] = INPUTS
    _handler: Handler = field(default_factory=lambda: Handler(0.0))
    _summary: Counter[str] = field(default_factory=Counter)

    async def prepare(self, tx: asyncpg.Connection) -> None:
        await recovery_store.prepare(tx)

    async def told(self, tx: asyncpg.Connection, events: Sequence[Event[Any]]) -> None:
        await recovery_store.keep_told(tx, [_milestone(event) for event in events])

    async def read_again(self, tx: asyncpg.Connection, received: Sequence[Received]) -> None:
        at = max(event.time for _, event in received)
        await self._handler(Batch(received, at), tx)
        await resealed_store.keep(tx, with_unregistered(values_in(received)))

    async def finish(self, tx: asyncpg.Connection, at: datetime) -> AsyncIterator[Sequence[Event[Any]]]:
        await recovery_store.reseal_found(tx)
        await recovery_store.add_unknown_messages(tx)
        async for told, rows in recovery_store.messages_told(tx):
            imported, lost = _imported(told, rows)
            await recovery_store.write(tx, imported)
            self._summary["messages_told_of"] += len(imported)
            self._summary["lost_events_told_again"] += len(lost)
            yield lost
        async for taken in recovery_store.take_what_may_have_been_sent(tx, at):
            transaction = Transaction(tx)
            reports = [Report(row["message_id"], Fact.LOST, RESTORED, row["attempts"]) for row in taken]
            self._summary["messages_unknown"] += await apply(transaction, reports, at)
            yield transaction.events
        await recovery_store.keep_told_decisions(tx)

    def summary(self) -> dict[str, int]:
        return dict(self._summary)


def _imported(
    told: Mapping[str, Sequence[asyncpg.Record]], rows: Mapping[str, asyncpg.Record]
) -> tuple[list[Imported], list[Event[Any]]]:
    """The messages after these events, and the events that are missing between them."""
    imported: list[Imported] = []
    lost: list[Event[Any]] = []
    for message_id, events in told.items():
        row = rows[message_id]
        at: dict[str, datetime] = {m: row[f"{m}_at"] for m in MILESTONES if row[f"{m}_at"] is not None}
        newly = {event["milestone"]: event["at"] for event in events}
        revision, code = row["revision"], row["code"]
        for event in events:
            for number in range(revision + 1, event["revision"]):
                missing = next(m for m in _MISSING if m not in at and m not in newly)
                at[missing] = event["at"]
                lost.append(event_of({**row, "template": event["template"]}, missing, None, number, event["at"]))
            revision = event["revision"]
            at[event["milestone"]] = event["at"]
            code = event["code"] if event["milestone"] == "failed" else code
        state = max((*map(State, at), State(row["state"])), key=_rung)
        times = (at.get("sent"), at.get("delivered"), at.get("failed"), at.get("unknown"))
        template = events[-1]["template"]
        imported.append(
            Imported(message_id, state, code if state == State.FAILED else None, template, revision, *times)
        )
    return imported, lost


def _rung(state: State) -> int:
    return _LADDER.index(state) if state in _LADDER else -1


def _milestone(event: Event[Any]) -> ToldMilestone:
    data, cause = event.data, event.cause
    kind, _, rest = data.purpose.partition(":")
    return ToldMilestone(
        data.message_id,
        event.subject,
        data.purpose,
        data.channel,
        about_payout(rest.rsplit(":", 2)[0]) if kind == "payout" else CODE if kind == CODE else DECISIONS,
        data.template,
        event.type.removeprefix("notification."),
        data.revision,
        getattr(data, "code", None),
        event.time,
        event.causationid or event.id,
        cause.correlation_id,
        cause.traceparent,
    )
