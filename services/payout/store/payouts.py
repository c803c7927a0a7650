"""Payouts, as the sweep sees them: queued, ordered, cancelled, failed for want of an account."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from services.payout.domain.budget import Rank


class PayoutRow(NamedTuple):
    """A payout as a sweep leaves it; the fields are the columns. `since` is the time of the sweep."""

    recipient_id: str
    cycle: str
    programme: str
    state: str
    attempt: int
    revision: int
    decision_revision: int
    amount_idr: int
    village: str
    rank_class: int
    rank_decile: int
    waiting_since: datetime
    channel: str
    reference: str
    since: datetime
    due_at: datetime | None
    code: str | None
    cause_id: str
    correlation_id: str
    traceparent: str
    family_id: str | None


async def of_families(tx: asyncpg.Connection, cycle: str, families: Sequence[str]) -> list[asyncpg.Record]:
    """Whose payout stands for each of these families in this cycle, given money or on its way to it."""
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        SELECT family_id, recipient_id, state FROM payout
        WHERE family_id = ANY ($2::text[]) AND cycle = $1
            AND state IN ('ordered', 'claimed', 'unknown', 'unsent', 'confirmed')
        """,
        cycle,
        families,
    )
    return rows


async def unfinished(tx: asyncpg.Connection, cycle: str, programme: str, recipients: Sequence[str]) -> set[Any]:
    """(recipient, cycle) of what these have in the open cycle, and elsewhere without an end. Locks nothing."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, cycle FROM payout
        WHERE recipient_id = ANY ($3::text[]) AND programme = $2
            AND (cycle = $1 OR state IN ('queued', 'ordered', 'claimed', 'unknown', 'unsent'))
        """,
        cycle,
        programme,
        recipients,
    )
    return {(row[0], row[1]) for row in rows}


async def lock_free(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]]) -> list[asyncpg.Record]:
    """Those of (recipient, cycle) that nobody else works on at this moment, as they are now, locked."""
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        SELECT recipient_id, cycle, programme, state, attempt, revision, decision_revision, amount_idr, village,
            rank_class, channel, reference, cause_id, correlation_id, traceparent
        FROM payout
        WHERE (recipient_id, cycle) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY recipient_id, cycle
        FOR UPDATE SKIP LOCKED
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
    )
    return rows


async def queue_head(tx: asyncpg.Connection, cycle: str, available_idr: int, most: int) -> list[asyncpg.Record]:
    """The front of the queue in its order: whom `available_idr` reaches (`within`), and one more if there is one.

    Never more than `most` + 1 rows; in all of them `more` says whether the last is there only to mark the end.
    """
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        SELECT * FROM (
            SELECT recipient_id, rank_class, rank_decile, waiting_since, amount_idr, attempt, revision,
                decision_revision, channel, reference, before_idr, before_idr + amount_idr <= $2::bigint AS within,
                count(*) OVER () > $3::int AS more
            FROM (
                SELECT *, sum(amount_idr) OVER (ORDER BY rank_class, rank_decile, waiting_since, recipient_id)
                    - amount_idr AS before_idr
                FROM (
                    SELECT * FROM payout
                    WHERE cycle = $1 AND state = 'queued'
                    ORDER BY rank_class, rank_decile, waiting_since, recipient_id
                    LIMIT CASE WHEN $2::bigint > 0 THEN $3::int + 1 ELSE 1 END
                ) AS front
            ) AS summed
        ) AS q
        WHERE q.before_idr <= $2::bigint
        ORDER BY rank_class, rank_decile, waiting_since, recipient_id
        """,
        cycle,
        available_idr,
        most,
    )
    return rows


async def places(
    tx: asyncpg.Connection, cycle: str, recipients: Sequence[str], last: Rank, most: int
) -> dict[str, int]:
    """Where these queued recipients stand in their cycle's queue, from 1; `last` is the highest of their ranks.

    Of its first `most` only, so that the cost of a turn does not grow with the queue: who stands behind is left out.
    """
    rows = await tx.fetch(
        """
        SELECT recipient_id, place
        FROM (
            SELECT recipient_id, row_number() OVER (
                ORDER BY rank_class, rank_decile, waiting_since, recipient_id
            ) AS place
            FROM (
                SELECT recipient_id, rank_class, rank_decile, waiting_since
                FROM payout
                WHERE cycle = $1 AND state = 'queued'
                    AND (rank_class, rank_decile, waiting_since, recipient_id)
                        <= ($3::smallint, $4::smallint, $5::timestamptz, $6::text)
                ORDER BY rank_class, rank_decile, waiting_since, recipient_id
                LIMIT $7
            ) AS front
        ) AS queue
        JOIN unnest($2::text[]) AS asked (recipient_id) USING (recipient_id)
        """,
        cycle,
        recipients,
        *last,
        most,
    )
    return {row[0]: row[1] for row in rows}


async def cancel(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]], code: str, at: datetime) -> None:
    """These locked payouts end without payment."""
    await tx.execute(
        """
        UPDATE payout AS p
        SET state = 'cancelled', code = $3, revision = p.revision + 1, since = $4, due_at = NULL
        FROM unnest($1::text[], $2::text[]) AS k (recipient_id, cycle)
        WHERE (p.recipient_id, p.cycle) = (k.recipient_id, k.cycle)
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
        code,
        at,
    )


async def keep_past_attempts(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]]) -> None:
    """Copies what is left of these ended attempts before the next one takes their row."""
    await tx.execute(
        """
        INSERT INTO past_attempt (
            recipient_id, cycle, attempt, reference, decision_revision, amount_idr, state, code, sends, since
        )
        SELECT recipient_id, cycle, attempt, reference, decision_revision, amount_idr, state, code, sends, since
        FROM payout
        WHERE (recipient_id, cycle) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
    )


async def insert(tx: asyncpg.Connection, rows: Sequence[PayoutRow]) -> None:
    """Payouts of recipients who have none in this cycle."""
    if rows:
        await tx.copy_records_to_table("payout", records=rows, columns=PayoutRow._fields)


async def advance(tx: asyncpg.Connection, rows: Sequence[PayoutRow]) -> None:
    """Moves locked payouts on: out of the queue, to a newer decision in it, or to their next attempt."""
    if not rows:
        return
    await tx.execute(
        """
        UPDATE payout AS p SET
            state = n.state,
            attempt = n.attempt,
            revision = n.revision,
            decision_revision = n.decision_revision,
            amount_idr = n.amount_idr,
            village = n.village,
            rank_class = n.rank_class,
            rank_decile = n.rank_decile,
            waiting_since = n.waiting_since,
            channel = n.channel,
            reference = n.reference,
            since = n.since,
            sends = 0,
            asks = 0,
            sent_at = NULL,
            due_at = n.due_at,
            code = n.code,
            bank_reference = NULL,
            cause_id = n.cause_id,
            correlation_id = n.correlation_id,
            traceparent = n.traceparent,
            family_id = n.family_id
        FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[], $8::bigint[], $9::text[],
            $10::smallint[], $11::smallint[], $12::timestamptz[], $13::text[], $14::text[], $15::timestamptz[],
            $16::timestamptz[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[]
        ) AS n (
            recipient_id, cycle, programme, state, attempt, revision, decision_revision, amount_idr, village,
            rank_class, rank_decile, waiting_since, channel, reference, since, due_at, code,
            cause_id, correlation_id, traceparent, family_id
        )
        WHERE (p.recipient_id, p.cycle) = (n.recipient_id, n.cycle)
        """,
        *map(list, zip(*rows, strict=True)),
    )


async def lock_queued(tx: asyncpg.Connection, cycle: str, most: int) -> list[asyncpg.Record]:
    """Some of a closing cycle's queue."""
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        SELECT recipient_id, cycle, programme, state, attempt, revision, decision_revision, amount_idr, village,
            cause_id, correlation_id, traceparent
        FROM payout
        WHERE cycle = $1 AND state = 'queued'
        ORDER BY rank_class, rank_decile, waiting_since, recipient_id
        LIMIT $2
        FOR UPDATE SKIP LOCKED
        """,
        cycle,
        most,
    )
    return rows


async def any_queued(tx: asyncpg.Connection, cycle: str) -> bool:
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM payout WHERE cycle = $1 AND state = 'queued')", cycle))


async def unfinished_keys(tx: asyncpg.Connection | asyncpg.Pool) -> list[tuple[str, int]]:
    """(channel, length of the reference) of payouts that have not come to their end: of each bank, each cycle's queue
    and each kind one, found by index however many there are. All of a bank have one length: see `fits_unfinished`."""
    rows = await tx.fetch(
        """
        WITH RECURSIVE sending (channel) AS (
            SELECT min(channel) FROM payout WHERE state IN ('ordered', 'unsent')
            UNION ALL
            SELECT (SELECT min(channel) FROM payout AS p
                WHERE p.state IN ('ordered', 'unsent') AND p.channel > sending.channel)
            FROM sending WHERE channel IS NOT NULL
        ), asking (channel) AS (
            SELECT min(channel) FROM payout WHERE state IN ('claimed', 'unknown')
            UNION ALL
            SELECT (SELECT min(channel) FROM payout AS p
                WHERE p.state IN ('claimed', 'unknown') AND p.channel > asking.channel)
            FROM asking WHERE channel IS NOT NULL
        )
        SELECT DISTINCT one.channel, length(one.reference)
        FROM (
            SELECT p.channel, p.reference FROM sending AS k CROSS JOIN LATERAL (
                SELECT channel, reference FROM payout
                WHERE state IN ('ordered', 'unsent') AND channel = k.channel
                ORDER BY due_at LIMIT 1
            ) AS p
            UNION ALL
            SELECT p.channel, p.reference FROM asking AS k CROSS JOIN LATERAL (
                SELECT channel, reference FROM payout
                WHERE state IN ('claimed', 'unknown') AND channel = k.channel
                ORDER BY due_at LIMIT 1
            ) AS p
            UNION ALL
            SELECT p.channel, p.reference FROM cycle AS k CROSS JOIN LATERAL (
                SELECT channel, reference FROM payout
                WHERE state = 'queued' AND cycle = k.cycle
                ORDER BY rank_class, rank_decile, waiting_since, recipient_id LIMIT 1
            ) AS p
            WHERE k.state IN ('open', 'closing')
        ) AS one
        ORDER BY 1, 2
        """
    )
    return [(row[0], row[1]) for row in rows]
