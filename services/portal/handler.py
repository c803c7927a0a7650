"""Everything that the stages say, into rows that can be looked at. Nothing leaves from here."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from services.portal.domain import rows
from services.portal.domain.happenings import happening
from services.portal.store import alerts as store_alerts
from services.portal.store import decisions, happenings, messages, payouts, recipients, tally
from services.portal.store.tally import Delta
from shared.events import Data, DeadLetter, EligibilityDecided, Event
from shared.events.registrations import RecipientFlagged, RecipientRegistered
from shared.events.topics import STAGES, dead_letter_topic
from shared.runtime.stage import Batch

R = TypeVar("R", bound=tuple[Any, ...])

_TOLD: Final[tuple[type[Data], ...]] = (
    *rows.ANSWERS,
    EligibilityDecided,
    *rows.CYCLES,
    *rows.PAYOUTS,
    *rows.MESSAGES,
    *rows.ALERTS,
)
INPUTS: Final = (*(model.TYPE for model in _TOLD), *(dead_letter_topic(stage) for stage in STAGES))


async def handle(batch: Batch, tx: asyncpg.Connection) -> Sequence[Event[Any]]:
    """A row never goes back to an older revision, and what comes again changes nothing: the order between topics, a
    replay and a rebuild all lead to the same rows."""
    counts: list[Delta] = []
    await _happenings(batch, tx)
    counts += await _recipients(batch, tx)
    if decided := _newest(map(rows.decision, batch.of(EligibilityDecided)), lambda row: row[:2]):
        counts += await decisions.keep_decisions(tx, decided)
    if paid := _newest(map(rows.payout, batch.of(*rows.PAYOUTS)), lambda row: row[:2]):
        counts += await payouts.keep_payouts(tx, paid)
    if told := _newest(map(rows.message, batch.of(*rows.MESSAGES)), lambda row: row.message_id):
        counts += await messages.keep_messages(tx, told)
    for model in rows.CYCLES:
        if cycles := {event.subject: rows.cycle(event) for event in reversed(batch.of(model))}:
            await payouts.keep_cycles(tx, list(cycles.values()))
    for model in rows.ALERTS:
        told_of = map(rows.alert, reversed(batch.of(model)))
        if alerts := {row[:3]: row for row in told_of}:
            await store_alerts.keep_alerts(tx, list(alerts.values()))
    if dead := [rows.dead_letter(e, m.partition, m.sequence) for m, e in batch if e.type == DeadLetter.TYPE]:
        counts += await happenings.keep_dead_letters(tx, dead)
    await tally.add(tx, counts)
    return ()


async def _happenings(batch: Batch, tx: asyncpg.Connection) -> None:
    told = [
        happening(event, message.partition, message.sequence)
        for message, event in batch
        if rows.is_recipient(event.subject)
    ]
    if told:
        await happenings.keep_happenings(tx, told)


async def _recipients(batch: Batch, tx: asyncpg.Connection) -> list[Delta]:
    """Recipients first: what was submitted by them or told to them is found in their village."""
    counts: list[Delta] = []
    if registered := _newest(map(rows.recipient, batch.of(RecipientRegistered)), lambda row: row.recipient_id):
        counts, moved = await recipients.keep_recipients(tx, registered)
        if moved:
            counts += await recipients.move_submissions(tx, moved)
            counts += await messages.move_messages(tx, moved)
    if flags := _newest(map(rows.flagged, batch.of(RecipientFlagged)), lambda row: row.recipient_id):
        await recipients.keep_flagged(tx, flags)
    if answers := [rows.submission(event) for event in batch.of(*rows.ANSWERS) if rows.answers(event)]:
        counts += await recipients.keep_submissions(tx, answers)
    return counts


def _newest(candidates: Iterable[R], key: Callable[[R], Hashable]) -> list[R]:
    """Of the rows of one key the one with the highest `revision`, the first of equal ones."""
    newest: dict[Hashable, R] = {}
    for row in candidates:
        known = newest.get(key(row))
        if known is None or known.revision < row.revision:  # type: ignore[attr-defined]
            newest[key(row)] = row
    return list(newest.values())
