"""The current decisions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

NEVER = 2_147_483_647
"""`settled_in` of a decision from which nothing will follow."""


class DecisionRow(NamedTuple):
    """A decision as it comes; the fields are the columns."""

    programme: str
    recipient_id: str
    revision: int
    eligible: bool
    amount_idr: int
    village: str
    decile: int
    waiting_since: datetime
    received_at: datetime
    payment: str | None
    contact: str | None
    cause_id: str
    correlation_id: str
    traceparent: str
    registration_revision: int
    family_id: str | None


async def upsert(tx: asyncpg.Connection, rows: Sequence[DecisionRow]) -> None:
    """Keeps the higher revision of what is known and what comes; what is kept anew becomes due.

    `rows` are sorted by programme and recipient and hold each pair once. An ineligible decision is due only where
    something may have to be cancelled. A yes that follows on a yes was received when that was: a new telephone number
    costs nobody the cut-off.
    """
    await tx.execute(
        """
        INSERT INTO decision AS d (
            programme, recipient_id, revision, eligible, amount_idr, village, decile, waiting_since, received_at,
            payment, contact, cause_id, correlation_id, traceparent, registration_revision, family_id, settled_in,
            registration_of
        )
        SELECT n.*, CASE WHEN n.eligible THEN 0 ELSE $17::int END, n.revision
        FROM unnest(
            $1::text[], $2::text[], $3::int[], $4::bool[], $5::bigint[], $6::text[], $7::smallint[],
            $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
            $15::int[], $16::text[]
        ) AS n (
            programme, recipient_id, revision, eligible, amount_idr, village, decile, waiting_since, received_at,
            payment, contact, cause_id, correlation_id, traceparent, registration_revision, family_id
        )
        ON CONFLICT (programme, recipient_id) DO UPDATE SET
            revision = excluded.revision,
            eligible = excluded.eligible,
            amount_idr = excluded.amount_idr,
            village = excluded.village,
            decile = excluded.decile,
            waiting_since = excluded.waiting_since,
            received_at = CASE WHEN d.eligible AND excluded.eligible THEN d.received_at ELSE excluded.received_at END,
            payment = excluded.payment,
            contact = excluded.contact,
            cause_id = excluded.cause_id,
            correlation_id = excluded.correlation_id,
            traceparent = excluded.traceparent,
            registration_revision = excluded.registration_revision,
            registration_of = excluded.revision,
            family_id = excluded.family_id,
            settled_in = CASE WHEN NOT excluded.eligible AND d.settled_in = $17 THEN $17 ELSE 0 END
        WHERE d.revision < excluded.revision
        """,
        *map(list, zip(*rows, strict=True)),
        NEVER,
    )


async def due(tx: asyncpg.Connection, programme: str, number: int, most: int) -> list[str]:
    """Recipients whose decision was not dealt with in cycle `number` or later, by waiting since. Locks nothing.

    One short index scan for each earlier cycle, so the cost does not grow with the decisions that are settled.
    """
    rows = await tx.fetch(
        """
        SELECT d.recipient_id
        FROM generate_series(0, $2 - 1) AS cycle (number)
        CROSS JOIN LATERAL (
            SELECT recipient_id, waiting_since
            FROM decision
            WHERE programme = $1 AND settled_in = cycle.number AND settled_in < 2147483647
            ORDER BY waiting_since, recipient_id
            LIMIT $3
        ) AS d
        ORDER BY d.waiting_since, d.recipient_id
        LIMIT $3
        """,
        programme,
        number,
        most,
    )
    return [row[0] for row in rows]


async def lock(tx: asyncpg.Connection, programme: str, recipients: Sequence[str]) -> dict[str, asyncpg.Record]:
    """The decisions as they are now and stay until the end of this transaction, without what is sealed for payment."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, revision, eligible, amount_idr, village, decile, waiting_since, received_at,
            payment IS NOT NULL AS account, contact, family_id, cause_id, correlation_id, traceparent, settled_in
        FROM decision
        WHERE programme = $1 AND recipient_id = ANY ($2::text[])
        ORDER BY recipient_id
        FOR NO KEY UPDATE
        """,
        programme,
        recipients,
    )
    return {row["recipient_id"]: row for row in rows}


async def settle(tx: asyncpg.Connection, programme: str, number: int, recipients: Sequence[str]) -> None:
    """These locked decisions are dealt with in cycle `number`; an ineligible one for good."""
    await tx.execute(
        """
        UPDATE decision
        SET settled_in = CASE WHEN eligible THEN $2::int ELSE $4::int END
        WHERE programme = $1 AND recipient_id = ANY ($3::text[])
        """,
        programme,
        number,
        recipients,
        NEVER,
    )


async def of_payouts(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """(programme, recipient) → row with `revision` and `contact`. Read after the payouts are locked, never before."""
    rows = await tx.fetch(
        """
        SELECT programme, recipient_id, revision, contact
        FROM decision
        WHERE (programme, recipient_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        [programme for programme, _ in keys],
        [recipient for _, recipient in keys],
    )
    return {(row["programme"], row["recipient_id"]): row for row in rows}


async def of_keys(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """(programme, recipient) → row, without what is sealed for payment. Locks nothing."""
    rows = await tx.fetch(
        """
        SELECT programme, recipient_id, revision, eligible, amount_idr, decile, waiting_since, received_at, contact,
            cause_id, correlation_id, traceparent
        FROM decision
        WHERE (programme, recipient_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        [programme for programme, _ in keys],
        [recipient for _, recipient in keys],
    )
    return {(row["programme"], row["recipient_id"]): row for row in rows}


async def make_due(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]]) -> None:
    """The orders of older decisions have moved on: the sweep must look at these again."""
    await tx.execute(
        """
        WITH locked AS MATERIALIZED (
            SELECT programme, recipient_id
            FROM decision
            WHERE (programme, recipient_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
            ORDER BY programme, recipient_id
            FOR NO KEY UPDATE
        )
        UPDATE decision AS d SET settled_in = 0
        FROM locked WHERE (d.programme, d.recipient_id) = (locked.programme, locked.recipient_id)
        """,
        [programme for programme, _ in keys],
        [recipient for _, recipient in keys],
    )
