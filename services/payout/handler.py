"""Decisions come in and are kept; what follows from them is the sweep's work, under the lock of a cycle."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from services.payout.store import decisions
from services.payout.store.decisions import DecisionRow
from shared.events import EligibilityDecided, Event
from shared.runtime.stage import Batch


async def handle(batch: Batch, tx: asyncpg.Connection) -> Sequence[Event[Any]]:
    """Keeps the highest revision of each recipient and programme. Emits nothing and touches no money."""
    newest: dict[tuple[str, str], DecisionRow] = {}
    for event in batch.of(EligibilityDecided):
        key = (event.data.programme, event.subject)
        known = newest.get(key)
        if known is None or known.revision < event.data.revision:
            newest[key] = _row(event, batch)
    if newest:
        await decisions.upsert(tx, [row for _, row in sorted(newest.items())])
    return []


def _row(event: Event[EligibilityDecided], batch: Batch) -> DecisionRow:
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
        batch.at,
        data.payment.value if eligible and data.payment else None,
        data.contact.value if data.contact else None,
        cause.event_id,
        cause.correlation_id,
        cause.traceparent,
    )
