"""Dead letters: what no service could process. They may be anybody's, so only the centre sees them."""

from datetime import datetime

import asyncpg

from services.portal.console.store.sessions import Database


async def page(
    db: Database, *, service: str | None, after: tuple[datetime, str] | None, limit: int
) -> list[asyncpg.Record]:
    """The newest first, those older than `after` (time, event id)."""
    at, event_id = after or (None, None)
    rows: list[asyncpg.Record] = await db.fetch(
        """
        SELECT * FROM dead_letter
        WHERE ($1::text IS NULL OR service = $1)
            AND ($2::timestamptz IS NULL OR (at, event_id) < ($2, $3::text))
        ORDER BY at DESC, event_id DESC
        LIMIT $4
        """,
        service,
        at,
        event_id,
        limit,
    )
    return rows


async def letter(db: Database, event_id: str) -> asyncpg.Record | None:
    return await db.fetchrow("SELECT * FROM dead_letter WHERE event_id = $1", event_id)
