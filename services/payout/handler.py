"""Decisions come in and are kept; what follows from them is the sweep's work, under the lock of a cycle.

What is sealed of them comes again under newer keys. Nothing follows from that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.payout.store import decisions, resealing
from services.payout.store.decisions import DecisionRow
from shared.events import EligibilityDecided, Event, RecipientResealed
from shared.runtime.resealed import values_in
from shared.runtime.stage import Batch

INPUTS: Final = (EligibilityDecided.TYPE, RecipientResealed.TYPE)


async def handle(batch: Batch, tx: asyncpg.Connection) -> Sequence[Event[Any]]:
    """Keeps the highest revision of each recipient and programme. Emits nothing and touches no money.

    A first decision that says no is not kept: nothing can have been ordered before it, and no older one can come late.
    """
    rows = newest((event, batch.at) for event in batch.of(EligibilityDecided))
    if rows:
        await decisions.upsert(tx, rows)
    if values := values_in(batch):
        await resealing.reseal(tx, values)
    return []


def newest(decided: Iterable[tuple[Event[EligibilityDecided], datetime]]) -> list[DecisionRow]:
    """Of each recipient and programme the highest revision that is kept, with the time when it was received; sorted."""
    found: dict[tuple[str, str], DecisionRow] = {}
    for event, received_at in decided:
        if event.data.revision == 1 and event.data.outcome == "ineligible":
            continue
        key = (event.data.programme, event.subject)
        known = found.get(key)
        if known is None or known.revision < event.data.revision:
            found[key] = _row(event, received_at)
    return [row for _, row in sorted(found.items())]


def _row(event: Event[EligibilityDecided], received_at: datetime) -> DecisionRow:
    data, cause = event.data, event.cause
    eligible = data.outcome == "eligible"
    return DecisionRow(
        data.programme,
        event.subject,
        data.revision,
        eligible,
        data.amount_idr,
        data.village,
        data.decile,
        data.waiting_since,
        received_at,
        data.payment.value if eligible and data.payment else None,
        data.contact.value if data.contact else None,
        cause.event_id,
        cause.correlation_id,
        cause.traceparent,
        data.registration_revision,
        data.family_id,
    )
