"""Facts about messages become states and events; used alike for answers, webhooks and claims that ran out."""

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import structlog

from services.notify import store
from services.notify.domain.states import Fact, Milestone, Progress, State, step
from services.notify.metrics import MOVED, UNEXPECTED
from shared.events.envelope import Cause, Event, caused_by
from shared.events.notifications import (
    NotificationDelivered,
    NotificationFailed,
    NotificationSent,
    NotificationUnknown,
)
from shared.runtime.emit import Transaction

log = structlog.get_logger()

_MILESTONES: tuple[Milestone, ...] = ("sent", "delivered", "failed", "unknown")


class Report(NamedTuple):
    """One fact about one message. `attempt` binds an answer to the send that it answers; a webhook has none.

    `due_at` is when a message that was refused for now may be tried again.
    """

    message_id: str
    fact: Fact
    code: str | None = None
    attempt: int | None = None
    due_at: datetime | None = None


async def apply(transaction: Transaction, reports: Sequence[Report], at: datetime) -> int:
    """Moves the messages on and emits what has become known, each event once. Returns how many messages moved.

    Facts that are known, overtaken or about a message that is not ours change nothing, so the same reports may be
    applied any number of times and in any order.
    """
    by_message: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        by_message[report.message_id].append(report)
    tx = transaction.tx
    back = sorted({report.message_id for report in reports if report.fact is Fact.REFUSED_FOR_NOW})
    rows = await store.lock_messages(tx, sorted(by_message), back)
    if back:  # once more: what was added while the locks were waited for
        rows = await store.lock_messages(tx, sorted(by_message), back)
    ours = [row for row in rows if row["message_id"] in by_message]
    if len(ours) < len(by_message):
        UNEXPECTED.labels("message_not_ours").inc(len(by_message) - len(ours))
    followed = {row["message_id"]: _follow(row, by_message[row["message_id"]], False, at) for row in ours}
    older = _older_ones(rows, {message_id: change for message_id, (change, _) in followed.items()}) if back else set()
    await _make_room(tx, [row["message_id"] for row in rows if row["state"] == State.WAITING], older)
    moved: list[store.Moved] = []
    came: Tally[tuple[str, str]] = Tally()
    for row in ours:
        message_id = row["message_id"]
        change, events = followed[message_id]
        if change is not None and message_id in older:
            change, events = _follow(row, by_message[message_id], True, at)
        if change is not None:
            moved.append(change)
            came[row["channel"], change.state] += 1
            transaction.emit(events)
    if moved:
        await store.move(tx, moved, at)
        if untold := [m.message_id for m in moved if m.state in _NOT_SENT]:
            await store.take_back_told(tx, untold)
    for (channel, state), count in came.items():
        MOVED.labels(channel, state).inc(count)
    return len(moved)


_NOT_SENT = frozenset({State.WAITING, State.SUPERSEDED})


def _older_ones(rows: Iterable[asyncpg.Record], changes: Mapping[str, store.Moved | None]) -> set[str]:
    """Of the messages about one thing that would wait now, all but the newest; and that one too where a later revision
    has been told since it left: nobody hears last what was true first."""
    beside: dict[tuple[str, str], list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        beside[row["recipient_id"], row["about"]].append(row)
    older: set[str] = set()
    for messages in beside.values():
        waiting = sorted((row for row in messages if _waits(row, changes)), key=_age)
        latest = max(row["about_revision"] for row in messages)
        older |= {row["message_id"] for row in waiting[:-1]}
        older |= {row["message_id"] for row in waiting if row["about_revision"] < latest}
    return older


def _waits(row: asyncpg.Record, changes: Mapping[str, store.Moved | None]) -> bool:
    change = changes.get(row["message_id"])
    return (change.state if change else row["state"]) == State.WAITING


def _age(row: asyncpg.Record) -> tuple[int, datetime, str]:
    return row["about_revision"], row["created_at"], row["message_id"]


async def _make_room(tx: asyncpg.Connection, waiting: Iterable[str], older: Container[str]) -> None:
    """What waits already and is older than what goes back."""
    if replaced := [message_id for message_id in waiting if message_id in older]:
        await store.supersede(tx, replaced, "replaced")


def _follow(
    row: asyncpg.Record, reports: Iterable[Report], replaced: bool, at: datetime
) -> tuple[store.Moved | None, list[Event[Any]]]:
    """The row after these reports in their order; None when nothing changed."""
    known = frozenset(milestone for milestone in _MILESTONES if row[f"{milestone}_at"] is not None)
    before = progress = Progress(State(row["state"]), known)
    code, due_at, revision = row["code"], row["due_at"], row["revision"]
    events: list[Event[Any]] = []
    for report in reports:
        if report.fact in _OF_ONE_SEND and report.attempt != row["attempts"]:
            continue  # an answer to an earlier send must not reopen a message that is being sent again
        fact = Fact.REPLACED if replaced and report.fact is Fact.REFUSED_FOR_NOW else report.fact
        last = progress
        progress, reached = step(progress, fact)
        if progress.state is not last.state:
            code = "replaced" if fact is Fact.REPLACED else report.code
        if progress.state is State.WAITING and report.due_at:
            due_at = report.due_at
        for milestone in reached:
            revision += 1
            events.append(event_of(row, milestone, report.code, revision, at))
    if progress == before:
        return None, []
    sent, delivered, failed, unknown = (milestone in progress.known for milestone in _MILESTONES)
    moved = store.Moved(row["message_id"], progress.state, code, due_at, sent, delivered, failed, unknown, revision)
    return moved, events


_OF_ONE_SEND = frozenset({Fact.REFUSED_FOR_NOW, Fact.REFUSED, Fact.LOST})


def event_of(
    row: Mapping[str, Any] | asyncpg.Record, milestone: Milestone, code: str | None, revision: int, at: datetime
) -> Event[Any]:
    said: dict[str, Any] = {
        "message_id": row["message_id"],
        "purpose": row["purpose"],
        "channel": row["channel"],
        # None only where a database older than the carrier's memory was restored: the send itself is not known.
        "template": row["template"] or "unknown",
        "revision": revision,
    }
    data: NotificationSent | NotificationDelivered | NotificationFailed | NotificationUnknown
    match milestone:
        case "sent":
            data = NotificationSent(**said)
        case "delivered":
            data = NotificationDelivered(**said)
        case "failed":
            data = NotificationFailed(**said, code=code or "carrier_failed")
        case "unknown":
            data = NotificationUnknown(**said)
    cause = Cause(row["cause_id"], row["correlation_id"], row["traceparent"])
    return caused_by(cause, "notify", data, subject=row["recipient_id"], time=at, distinct=(row["message_id"],))
