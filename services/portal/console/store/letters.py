"""Dead letters: what no service could process. They may be anybody's, so only the centre sees them."""

from datetime import UTC, datetime

import asyncpg

from services.portal.console.store.sessions import Database

LATEST = (datetime(9999, 1, 1, tzinfo=UTC), "~")


async def page(
    db: Database, *, service: str | None, after: tuple[datetime, str] | None, limit: int
) -> list[asyncpg.Record]:
    """The newest first, those older than `after` (time, event id)."""
    at, event_id = after or LATEST
    rows: list[asyncpg.Record] = await db.fetch(
        """
        SELECT * FROM dead_letter
        WHERE ($1::text IS NULL OR service = $1)
            AND (at, event_id) < ($2, $3)
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
