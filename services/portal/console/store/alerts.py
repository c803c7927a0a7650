"""What the monitor raised and cleared. An alert about a village is its area's; about anything else, the centre's."""

import asyncpg

from services.portal.console.store.area import Bounds
from services.portal.console.store.sessions import Database

_WITHIN = "($3 OR (about >= $1 AND about < $2 AND about ~ '^[0-9]{2,10}$'))"


async def standing(db: Database, within: Bounds) -> list[asyncpg.Record]:
    """Those that stand now, the worst and newest first."""
    rows: list[asyncpg.Record] = await db.fetch(
        f"""
        SELECT * FROM alert
        WHERE cleared_at IS NULL AND {_WITHIN}
        ORDER BY array_position(ARRAY['critical', 'warning', 'info'], level), since DESC, rule, about
        LIMIT 200
        """,
        *within,
    )
    return rows


async def past(db: Database, within: Bounds, limit: int) -> list[asyncpg.Record]:
    """Those that are over, the newest first."""
    rows: list[asyncpg.Record] = await db.fetch(
        f"""
        SELECT * FROM alert
        WHERE cleared_at IS NOT NULL AND {_WITHIN}
        ORDER BY since DESC, rule, about, raising
        LIMIT $4
        """,
        *within,
        limit,
    )
    return rows
