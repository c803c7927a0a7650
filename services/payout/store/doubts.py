"""What a recovery leaves in doubt: whom the lost database may have paid without telling it."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg


class Superseded(NamedTuple):
    """A recipient about whom the lost database may have acted on more than one decision.

    `amount_idr`: what all of those that could be ordered grant; None where they differ.
    """

    programme: str
    recipient_id: str
    amount_idr: int | None


class Resolved(NamedTuple):
    """How a doubt goes on: `open` and due later, or `clear`, or `held`."""

    recipient_id: str
    cycle: str
    state: str
    due_at: datetime


async def begin(
    tx: asyncpg.Connection, superseded: Sequence[Superseded], programmes: Sequence[tuple[str, float]], at: datetime
) -> int:
    """Doubts the cycles that pay, and everybody who could be ordered in them. Returns how many must be asked about.

    `programmes` with the window of their bank, in seconds: an earlier answer would prove nothing. An attempt needs a
    decision of its own, so no more attempts can have been made than there were decisions.
    """
    await tx.execute("INSERT INTO recovery VALUES ($1)", at)
    await tx.execute("UPDATE cycle SET doubtful_since = $1 WHERE state IN ('open', 'closing')", at)
    asked: int = await tx.fetchval(
        """
        WITH superseded AS (
            SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS s (programme, recipient_id, amount_idr)
        ), added AS (
            INSERT INTO doubt AS known
                (recipient_id, cycle, programme, attempt_from, attempt_max, lost_idr, state, due_at)
            SELECT recipient_id, cycle, programme, attempt_from, attempt_max, lost_idr,
                CASE WHEN attempt_from <= attempt_max THEN 'open' ELSE 'clear' END,
                $6::timestamptz + window_s * interval '1 second'
            FROM (
                SELECT d.recipient_id, c.cycle, d.programme, w.window_s,
                    CASE WHEN s.recipient_id IS NULL THEN d.amount_idr ELSE s.amount_idr END AS lost_idr,
                    CASE WHEN p.state = 'queued' THEN p.attempt ELSE coalesce(p.attempt, 0) + 1 END AS attempt_from,
                    coalesce(p.attempt, 0) + d.revision - coalesce(p.decision_revision, 0) AS attempt_max
                FROM decision AS d
                JOIN cycle AS c ON c.programme = d.programme AND c.state IN ('open', 'closing')
                JOIN unnest($4::text[], $5::float8[]) AS w (programme, window_s) ON w.programme = d.programme
                LEFT JOIN superseded AS s ON (s.programme, s.recipient_id) = (d.programme, d.recipient_id)
                LEFT JOIN payout AS p ON (p.recipient_id, p.cycle) = (d.recipient_id, c.cycle)
                WHERE (d.eligible OR s.recipient_id IS NOT NULL) AND p.state IS DISTINCT FROM 'confirmed'
            ) AS n
            ON CONFLICT (recipient_id, cycle) DO UPDATE SET
                attempt_from = least(known.attempt_from, excluded.attempt_from),
                attempt_max = greatest(known.attempt_max, excluded.attempt_max),
                lost_idr = CASE WHEN known.lost_idr = excluded.lost_idr THEN known.lost_idr END,
                state = CASE known.state WHEN 'held' THEN 'held' ELSE excluded.state END,
                due_at = excluded.due_at
            RETURNING state
        )
        SELECT count(*) FROM added WHERE state = 'open'
        """,
        [one.programme for one in superseded],
        [one.recipient_id for one in superseded],
        [one.amount_idr for one in superseded],
        [programme for programme, _ in programmes],
        [window_s for _, window_s in programmes],
        at,
    )
    return asked


async def in_doubt(tx: asyncpg.Pool, most: int) -> int:
    """How many recipients the bank must still be asked about, `most` at most."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM (SELECT FROM doubt WHERE state = 'open' LIMIT $1) AS open", most
    )
    return count


async def carry_over(tx: asyncpg.Connection, cycle: str, programme: str) -> None:
    """The first cycle that is approved after a recovery may have been approved in what was lost, too."""
    await tx.execute(
        """
        UPDATE cycle SET doubtful_since = r.at
        FROM (SELECT max(at) AS at FROM recovery) AS r
        WHERE cycle = $1 AND NOT EXISTS (
            SELECT FROM cycle AS o WHERE o.programme = $2 AND o.cycle <> $1 AND o.approved_at > r.at
        )
        """,
        cycle,
        programme,
    )


async def pass_over(tx: asyncpg.Connection, channel: str, at: datetime, again_at: datetime, most: int) -> None:
    """Of the `most` orders that are due first, those in doubtful cycles about which the bank has not been asked to the
    end: they are doubts, also where nobody has thought of them before, and due again at `again_at`.

    So whoever claims orders finds at the front those that may be sent, and the cost does not grow with the others.
    """
    await tx.execute(
        """
        WITH front AS MATERIALIZED (
            SELECT recipient_id, cycle, programme, attempt
            FROM payout
            WHERE channel = $1 AND state IN ('ordered', 'unsent') AND due_at <= $2
                AND EXISTS (SELECT FROM cycle WHERE doubtful_since IS NOT NULL)
            ORDER BY due_at
            LIMIT $4
        ), doubtful AS MATERIALIZED (
            SELECT f.recipient_id, f.cycle, f.programme, greatest(d.revision, f.attempt) AS attempt_max,
                CASE WHEN d.revision = 1 THEN d.amount_idr END AS lost_idr, u.state
            FROM front AS f
            JOIN cycle AS c ON c.cycle = f.cycle AND c.doubtful_since IS NOT NULL
            JOIN decision AS d ON (d.programme, d.recipient_id) = (f.programme, f.recipient_id)
            LEFT JOIN doubt AS u ON (u.recipient_id, u.cycle) = (f.recipient_id, f.cycle)
            WHERE NOT (d.revision = 1 AND d.received_at > c.doubtful_since) AND u.state IS DISTINCT FROM 'clear'
        ), added AS (
            INSERT INTO doubt (recipient_id, cycle, programme, attempt_from, attempt_max, lost_idr, state, due_at)
            SELECT recipient_id, cycle, programme, 1, attempt_max, lost_idr, 'open', $2
            FROM doubtful
            WHERE state IS NULL
            ORDER BY 1, 2
            ON CONFLICT DO NOTHING
        ), passed AS (
            SELECT p.recipient_id, p.cycle
            FROM payout AS p JOIN doubtful USING (recipient_id, cycle)
            WHERE p.state IN ('ordered', 'unsent')
            ORDER BY 1, 2
            FOR NO KEY UPDATE OF p SKIP LOCKED
        )
        UPDATE payout AS p SET due_at = $3
        FROM passed
        WHERE (p.recipient_id, p.cycle) = (passed.recipient_id, passed.cycle)
        """,
        channel,
        at,
        again_at,
        most,
    )


async def release(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]], at: datetime) -> None:
    """What was passed over of these locked payouts may be sent now."""
    await tx.execute(
        """
        UPDATE payout AS p SET due_at = $3
        FROM unnest($1::text[], $2::text[]) AS k (recipient_id, cycle)
        WHERE (p.recipient_id, p.cycle) = (k.recipient_id, k.cycle)
            AND p.state IN ('ordered', 'unsent') AND p.due_at > $3
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
        at,
    )


async def claim(
    tx: asyncpg.Connection, programmes: Sequence[str], at: datetime, ask_again_at: datetime, most: int
) -> list[asyncpg.Record]:
    """Open doubts of these programmes that are due; nobody else asks about them until `ask_again_at`."""
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT recipient_id, cycle
            FROM doubt
            WHERE state = 'open' AND due_at <= $2 AND programme = ANY ($1::text[])
            ORDER BY due_at
            LIMIT $4
            FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE doubt AS u SET due_at = $3
        FROM due
        WHERE (u.recipient_id, u.cycle) = (due.recipient_id, due.cycle)
        RETURNING u.recipient_id, u.cycle, u.programme, u.attempt_from, u.attempt_max, u.lost_idr
        """,
        programmes,
        at,
        ask_again_at,
        most,
    )
    return rows


async def references(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[tuple[str, str], int], str]:
    """((recipient, cycle), attempt) → the reference of every attempt that this database knows of."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, cycle, attempt, reference FROM payout
        WHERE (recipient_id, cycle) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        UNION ALL
        SELECT recipient_id, cycle, attempt, reference FROM past_attempt
        WHERE (recipient_id, cycle) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
    )
    return {((row[0], row[1]), row[2]): row[3] for row in rows}


async def lock(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], asyncpg.Record]:
    """(recipient, cycle) → the open doubt with its payout, both as they are now and stay until this transaction ends.

    A doubt that somebody else has ended meanwhile is none any more.
    """
    rows = await tx.fetch(
        """
        WITH locked AS MATERIALIZED (
            SELECT recipient_id, cycle, state, attempt, amount_idr
            FROM payout
            WHERE (recipient_id, cycle) IN (SELECT * FROM unnest($1::text[], $2::text[]))
            ORDER BY recipient_id, cycle
            FOR NO KEY UPDATE
        )
        SELECT u.recipient_id, u.cycle, u.programme, u.attempt_from, u.attempt_max, u.lost_idr, c.doubtful_since,
            p.state, p.attempt, p.amount_idr, d.eligible
        FROM doubt AS u
        JOIN cycle AS c USING (cycle)
        LEFT JOIN decision AS d ON (d.programme, d.recipient_id) = (u.programme, u.recipient_id)
        LEFT JOIN locked AS p ON (p.recipient_id, p.cycle) = (u.recipient_id, u.cycle)
        WHERE u.state = 'open' AND (u.recipient_id, u.cycle) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY u.recipient_id, u.cycle
        FOR NO KEY UPDATE OF u
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
    )
    return {(row["recipient_id"], row["cycle"]): row for row in rows}


async def resolve(tx: asyncpg.Connection, rows: Sequence[Resolved]) -> None:
    await tx.execute(
        """
        UPDATE doubt AS u
        SET state = r.state, due_at = r.due_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS r (recipient_id, cycle, state, due_at)
        WHERE (u.recipient_id, u.cycle) = (r.recipient_id, r.cycle)
        """,
        *map(list, zip(*rows, strict=True)),
    )


async def adopt(tx: asyncpg.Connection, keys: Sequence[tuple[str, str]], at: datetime) -> None:
    """These locked orders were sent by the lost database: their money goes in transit, and they are asked about."""
    await tx.execute(
        """
        WITH adopted AS (
            UPDATE payout AS p
            SET state = 'claimed', sends = p.sends + 1, asks = 0, sent_at = $3, due_at = $3, since = $3
            FROM unnest($1::text[], $2::text[]) AS k (recipient_id, cycle)
            WHERE (p.recipient_id, p.cycle) = (k.recipient_id, k.cycle)
            RETURNING p.recipient_id, p.cycle, p.attempt, p.sends, p.amount_idr
        )
        INSERT INTO transfer (cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, at)
        SELECT cycle, recipient_id, attempt, 'send', 'reserved', 'in_transit', amount_idr, $3
        FROM adopted
        WHERE sends = 1
        ORDER BY recipient_id, cycle
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
        at,
    )
