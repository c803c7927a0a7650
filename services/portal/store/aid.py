"""What one recipient has: looked up by the recipient's id alone."""

import asyncpg


async def decisions_of(database: asyncpg.Pool, recipient_id: str) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await database.fetch(
        """
        SELECT programme, eligible, amount_idr, reasons, details, at
        FROM decision
        WHERE recipient_id = $1
        ORDER BY programme
        """,
        recipient_id,
    )
    return rows


async def payouts_of(database: asyncpg.Pool, recipient_id: str) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await database.fetch(
        """
        SELECT p.programme, p.cycle, coalesce(c.period, p.cycle) AS period, p.state, p.amount_idr, p.place, p.channel,
            p.code, p.text_id, p.text_en, coalesce(p.confirmed_at, p.at) AS at
        FROM payout AS p
        LEFT JOIN cycle AS c USING (cycle)
        WHERE p.recipient_id = $1
        ORDER BY p.at, p.cycle
        """,
        recipient_id,
    )
    return rows


async def has_account(database: asyncpg.Pool, recipient_id: str) -> bool:
    """Whether the registration names an account. True where nothing is known, as in a rebuild."""
    known: bool | None = await database.fetchval(
        "SELECT has_account FROM recipient WHERE recipient_id = $1", recipient_id
    )
    return known is not False
