"""Cycles with what became of their payouts, and the payouts that failed."""

from datetime import UTC, datetime

import asyncpg

from services.portal.console.store.area import Bounds
from services.portal.console.store.sessions import Database

COUNTED_MAX = 20_000
LATEST = (datetime(9999, 1, 1, tzinfo=UTC), "~", "~")
"""Before it is everything: a page that begins is one that goes on, so that one index serves both."""


async def cycles(db: Database, within: Bounds, only: str | None = None) -> list[asyncpg.Record]:
    """The newest period first; counts and rupiah of payouts by state are those within the area."""
    rows: list[asyncpg.Record] = await db.fetch(
        """
        SELECT c.*, t.states
        FROM cycle AS c
        CROSS JOIN LATERAL (
            SELECT coalesce(json_object_agg(state, json_build_array(rows, amount_idr)), '{}') AS states
            FROM (
                SELECT state, sum(rows)::bigint AS rows, sum(amount_idr)::bigint AS amount_idr
                FROM tally
                WHERE what = 'cycle' AND name = c.cycle AND village >= $1 AND village < $2
                GROUP BY state
            ) AS s
        ) AS t
        WHERE $3::text IS NULL OR c.cycle = $3
        ORDER BY c.period DESC, c.programme
        LIMIT 100
        """,
        within.low,
        within.high,
        only,
    )
    return rows


async def failed(
    db: Database, within: Bounds, *, code: str | None, after: tuple[datetime, str, str] | None, limit: int
) -> list[asyncpg.Record]:
    """The newest first, those older than `after` (time, recipient, cycle)."""
    at, recipient_id, cycle = after or LATEST
    rows: list[asyncpg.Record] = await db.fetch(
        """
        SELECT recipient_id, cycle, programme, amount_idr, village, attempt, channel, reference, code, text_id, text_en,
            at
        FROM payout
        WHERE state = 'failed' AND village >= $1 AND village < $2
            AND ($3::text IS NULL OR code = $3)
            AND (at, recipient_id, cycle) < ($4, $5, $6)
        ORDER BY at DESC, recipient_id DESC, cycle DESC
        LIMIT $7
        """,
        within.low,
        within.high,
        code,
        at,
        recipient_id,
        cycle,
        limit,
    )
    return rows


async def reasons(db: Database, within: Bounds) -> list[asyncpg.Record]:
    """Rows (code, id, en, rows, amount_idr) of failed payouts, over the newest COUNTED_MAX."""
    rows: list[asyncpg.Record] = await db.fetch(
        """
        SELECT code, max(text_id) AS id, max(text_en) AS en, count(*) AS rows, sum(amount_idr)::bigint AS amount_idr
        FROM (
            SELECT code, text_id, text_en, amount_idr
            FROM payout
            WHERE state = 'failed' AND village >= $1 AND village < $2
            ORDER BY at DESC, recipient_id DESC, cycle DESC LIMIT $3
        ) AS newest
        GROUP BY code
        ORDER BY rows DESC, code
        """,
        within.low,
        within.high,
        COUNTED_MAX,
    )
    return rows
