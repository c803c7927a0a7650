"""Payouts, as the bank's workers see them: due orders, claims, calls and outcomes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg


async def clock(tx: asyncpg.Connection | asyncpg.Pool) -> datetime:
    """The database's time: the one clock of all instances, by which a bank's window is measured."""
    at: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return at


async def claim(
    tx: asyncpg.Connection, channel: str, now: datetime, claim_until: datetime, most: int
) -> list[asyncpg.Record]:
    """Due orders whose decision is current become this caller's; at the first time their money goes in transit.

    An order of a superseded decision is left for the sweep, one in doubt (after a recovery) until the bank has been
    asked. Nobody else touches these until `claim_until`; after that they are asked about.

    A call that came to nothing, as the bank said when it was asked, may have been refused for one of its orders. So
    these come back in calls of their own, half as large with each time they were sent, down to a single one. `share`
    is how much of a call, out of `most`, an order takes.
    """
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT p.recipient_id, p.cycle, p.due_at, d.payment,
                CASE WHEN p.asks > 0 THEN least($4::int, 1 << least(p.sends, 16)) ELSE 1 END AS share
            FROM payout AS p
            JOIN decision AS d ON (d.programme, d.recipient_id) = (p.programme, p.recipient_id)
            JOIN cycle AS c ON c.cycle = p.cycle
            WHERE p.channel = $1 AND p.state IN ('ordered', 'unsent') AND p.due_at <= $2
                AND d.revision = p.decision_revision
                AND (c.doubtful_since IS NULL
                    OR (d.revision = 1 AND d.received_at > c.doubtful_since)
                    OR EXISTS (
                        SELECT FROM doubt AS u
                        WHERE (u.recipient_id, u.cycle) = (p.recipient_id, p.cycle) AND u.state = 'clear'
                    ))
            ORDER BY p.due_at
            LIMIT $4
            FOR NO KEY UPDATE OF p SKIP LOCKED
        ), fits AS (
            SELECT recipient_id, cycle, payment, share
            FROM (
                SELECT *, sum(share) OVER (PARTITION BY share > 1 ORDER BY due_at, recipient_id, cycle) AS filled
                FROM due
            ) AS d
            WHERE filled <= $4
                AND (share > 1) = (SELECT share > 1 FROM due ORDER BY due_at, recipient_id, cycle LIMIT 1)
        ), claimed AS (
            UPDATE payout AS p
            SET state = 'claimed', sends = p.sends + 1, asks = 0, sent_at = $2, due_at = $3, since = $2
            FROM fits
            WHERE (p.recipient_id, p.cycle) = (fits.recipient_id, fits.cycle)
            RETURNING p.recipient_id, p.cycle, p.attempt, p.sends, p.reference, p.amount_idr, fits.payment, fits.share
        ), sent AS (
            INSERT INTO transfer (cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, at)
            SELECT cycle, recipient_id, attempt, 'send', 'reserved', 'in_transit', amount_idr, $2
            FROM claimed
            WHERE sends = 1
        )
        SELECT * FROM claimed ORDER BY reference
        """,
        channel,
        now,
        claim_until,
        most,
    )
    return rows


async def claim_inquiries(
    tx: asyncpg.Connection, channel: str, now: datetime, ask_again_at: datetime, most: int
) -> list[asyncpg.Record]:
    """References to ask about now: unknown outcomes, and claims that ran out, which become unknown.

    `payment` is the account they were sent to, null where a later decision may have changed it.
    """
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT recipient_id, cycle
            FROM payout
            WHERE channel = $1 AND state IN ('claimed', 'unknown') AND due_at <= $2
            ORDER BY due_at
            LIMIT $4
            FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE payout AS p
        SET state = 'unknown', asks = p.asks + 1, due_at = $3,
            since = CASE p.state WHEN 'claimed' THEN $2 ELSE p.since END
        FROM due
        WHERE (p.recipient_id, p.cycle) = (due.recipient_id, due.cycle)
        RETURNING p.recipient_id, p.cycle, p.reference, p.sends, p.amount_idr, (
            SELECT d.payment
            FROM decision AS d
            WHERE (d.programme, d.recipient_id, d.revision) = (p.programme, p.recipient_id, p.decision_revision)
        ) AS payment
        """,
        channel,
        now,
        ask_again_at,
        most,
    )
    return rows


async def lock_by_reference(tx: asyncpg.Connection, references: Sequence[str]) -> dict[str, asyncpg.Record]:
    """The payouts whose current attempt has one of these references, as they are now, locked."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, cycle, programme, state, attempt, revision, decision_revision, amount_idr, village,
            channel, reference, sends, asks, sent_at, cause_id, correlation_id, traceparent
        FROM payout
        WHERE reference = ANY ($1::text[])
        ORDER BY recipient_id, cycle
        FOR NO KEY UPDATE
        """,
        references,
    )
    return {row["reference"]: row for row in rows}


class Settled(NamedTuple):
    """How an order goes on; the fields are columns. `revision` grows when an event is emitted."""

    recipient_id: str
    cycle: str
    state: str
    revision: int
    due_at: datetime | None
    code: str | None
    bank_reference: str | None


async def move(tx: asyncpg.Connection, moves: Sequence[Settled], at: datetime) -> None:
    """Writes the outcomes of locked orders."""
    await tx.execute(
        """
        UPDATE payout AS p
        SET state = m.state, revision = m.revision, due_at = m.due_at, code = m.code,
            bank_reference = m.bank_reference,
            since = CASE WHEN p.state = m.state THEN p.since ELSE $8 END
        FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::text[], $7::text[]
        ) AS m (recipient_id, cycle, state, revision, due_at, code, bank_reference)
        WHERE (p.recipient_id, p.cycle) = (m.recipient_id, m.cycle)
        """,
        *map(list, zip(*moves, strict=True)),
        at,
    )


async def unfinished(tx: asyncpg.Pool, most: int) -> list[tuple[str, int, float]]:
    """State, how many orders, and the seconds that the oldest stands so; of `most` that are due first."""
    rows = await tx.fetch(
        """
        SELECT state, count(*), extract(epoch FROM clock_timestamp() - min(since))::float8
        FROM (
            (
                SELECT state, since FROM payout WHERE state IN ('ordered', 'unsent') ORDER BY channel, due_at LIMIT $1
            ) UNION ALL (
                SELECT state, since FROM payout WHERE state IN ('claimed', 'unknown') ORDER BY channel, due_at LIMIT $1
            )
        ) AS p
        GROUP BY state
        """,
        most,
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def report_contradictions(tx: asyncpg.Connection, found: Sequence[tuple[str, str]], at: datetime) -> None:
    """(reference, detail), each kept once."""
    await tx.execute(
        """
        INSERT INTO contradiction (reference, detail, first_at)
        SELECT reference, detail, $3
        FROM unnest($1::text[], $2::text[]) AS c (reference, detail)
        ORDER BY 1, 2
        ON CONFLICT DO NOTHING
        """,
        [reference for reference, _ in found],
        [detail for _, detail in found],
        at,
    )


async def past_states(tx: asyncpg.Connection, references: Sequence[str]) -> dict[str, str]:
    """Reference → state of those that belong to an attempt before the current one."""
    rows = await tx.fetch("SELECT reference, state FROM past_attempt WHERE reference = ANY ($1::text[])", references)
    return {row[0]: row[1] for row in rows}
