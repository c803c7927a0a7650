"""One recipient: what stands now, and the whole story."""

import asyncpg

from services.portal.console.store.area import Bounds
from services.portal.console.store.sessions import Database

STORY_MAX = 500


async def recipient(db: Database, recipient_id: str, within: Bounds) -> asyncpg.Record | None:
    """None for one who is unknown and for one of another area alike."""
    return await db.fetchrow(
        """
        SELECT r.*, f.at AS flagged_at
        FROM recipient AS r LEFT JOIN flagged AS f USING (recipient_id)
        WHERE r.recipient_id = $1 AND r.village >= $2 AND r.village < $3
        """,
        recipient_id,
        within.low,
        within.high,
    )


async def decisions(db: Database, recipient_id: str) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await db.fetch(
        """
        SELECT programme, revision, programme_version, eligible, amount_idr, reasons, at
        FROM decision WHERE recipient_id = $1 ORDER BY programme
        """,
        recipient_id,
    )
    return rows


async def payouts(db: Database, recipient_id: str) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await db.fetch(
        "SELECT * FROM payout WHERE recipient_id = $1 ORDER BY at DESC, cycle", recipient_id
    )
    return rows


async def messages(db: Database, recipient_id: str) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await db.fetch(
        "SELECT * FROM message WHERE recipient_id = $1 ORDER BY at DESC LIMIT 50", recipient_id
    )
    return rows


async def story(db: Database, recipient_id: str) -> list[asyncpg.Record]:
    """What happened, the newest first, each with its cause where that is of the story too."""
    rows: list[asyncpg.Record] = await db.fetch(
        """
        WITH h AS MATERIALIZED (
            SELECT * FROM happening WHERE recipient_id = $1 ORDER BY at DESC, event_id DESC LIMIT $2
        )
        SELECT h.*, c.type AS cause_type, c.at AS cause_at
        FROM h LEFT JOIN h AS c ON c.event_id = h.cause_id
        ORDER BY h.at DESC, h.event_id DESC
        """,
        recipient_id,
        STORY_MAX,
    )
    return rows
