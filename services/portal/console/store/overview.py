"""How many there are of everything within an area: from the tally, never by counting tables."""

from typing import Any

import asyncpg

from services.portal.console.store.area import Bounds
from services.portal.console.store.sessions import Database


async def totals(db: Database, within: Bounds) -> list[dict[str, Any]]:
    """Rows (what, name, state, rows, amount_idr)."""
    rows = await db.fetch(
        """
        SELECT what, name, state, sum(rows)::bigint AS rows, sum(amount_idr)::bigint AS amount_idr
        FROM tally
        WHERE village >= $1 AND village < $2
        GROUP BY what, name, state
        HAVING sum(rows) > 0
        """,
        within.low,
        within.high,
    )
    return [dict(row) for row in rows]


async def regions(db: Database, within: Bounds, digits: int) -> list[asyncpg.Record]:
    """By region (the first `digits` of the village code): registered, eligible, confirmed, failed, paid rupiah.

    `eligible` counts decisions, `confirmed` and `failed` payouts, over all programmes.
    """
    rows: list[asyncpg.Record] = await db.fetch(
        """
        SELECT left(village, $3) AS region,
            coalesce(sum(rows) FILTER (WHERE what = 'recipient'), 0)::bigint AS registered,
            coalesce(sum(rows) FILTER (WHERE what = 'decision' AND state = 'eligible'), 0)::bigint AS eligible,
            coalesce(sum(rows) FILTER (WHERE what = 'payout' AND state = 'confirmed'), 0)::bigint AS confirmed,
            coalesce(sum(rows) FILTER (WHERE what = 'payout' AND state = 'failed'), 0)::bigint AS failed,
            coalesce(sum(amount_idr) FILTER (WHERE what = 'payout' AND state = 'confirmed'), 0)::bigint AS paid_idr
        FROM tally
        WHERE village >= $1 AND village < $2 AND village <> '' AND what IN ('recipient', 'decision', 'payout')
        GROUP BY region
        ORDER BY region
        LIMIT 500
        """,
        within.low,
        within.high,
        digits,
    )
    return rows
