"""Counting for the open figures, and the figures as they were published."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import asyncpg
import orjson

from services.portal.ends import Ends
from services.portal.store.columns import columns
from services.portal.store.reading import read_up_to

COUNTING_S_MAX = 900
"""Counting a million rows takes longer than a turn of the stage may."""


class Counted(NamedTuple):
    """A true count of one village; it never leaves the process that counts."""

    measure: str
    programme: str
    period: str
    reason: str
    village: str
    families: int
    amount_idr: int
    largest_idr: int


class Figure(NamedTuple):
    measure: str
    programme: str
    period: str
    reason: str
    area: str
    value: int | None


async def take_time(tx: asyncpg.Connection) -> None:
    """Lets this transaction last for COUNTING_S_MAX."""
    await tx.execute(f"SET LOCAL transaction_timeout = '{COUNTING_S_MAX}s'")


async def take_turn(tx: asyncpg.Connection) -> None:
    """Waits until nobody else publishes. Before the first look: what this transaction sees is then the newest."""
    await tx.execute("LOCK TABLE edition IN SHARE ROW EXCLUSIVE MODE")


async def count(tx: asyncpg.Connection, area: str) -> list[Counted]:
    """Every measure by village, within an area."""
    rows = await tx.fetch(
        """
        SELECT 'registered', '', '', '', village, count(DISTINCT family_id), 0, 0
        FROM recipient WHERE village LIKE $1 GROUP BY village
        UNION ALL
        SELECT 'eligible', programme, '', '', village, count(*), 0, 0
        FROM decision WHERE eligible AND village LIKE $1 GROUP BY programme, village
        UNION ALL
        SELECT 'refused', programme, '', reasons -> 0 ->> 'code', village, count(*), 0, 0
        FROM decision WHERE NOT eligible AND village LIKE $1 GROUP BY programme, reasons -> 0 ->> 'code', village
        UNION ALL
        SELECT 'paid', p.programme, coalesce(c.period, p.cycle), '', p.village, count(*),
            coalesce(sum(p.amount_idr), 0)::bigint, coalesce(max(p.amount_idr), 0)
        FROM payout AS p LEFT JOIN cycle AS c USING (cycle)
        WHERE p.state = 'confirmed' AND p.village LIKE $1
        GROUP BY p.programme, coalesce(c.period, p.cycle), p.village
        """,
        f"{area}%",
        timeout=COUNTING_S_MAX,
    )
    return [Counted(*row) for row in rows]


async def is_complete(tx: asyncpg.Connection, ends: Ends) -> bool:
    """Whether everything up to there is read, and somebody is registered."""
    complete: bool = await tx.fetchval(
        f"SELECT EXISTS (SELECT FROM recipient) AND {read_up_to(1)}",
        *ends.columns(),
    )
    return complete


async def positions(tx: asyncpg.Connection, topics: Sequence[str]) -> dict[str, dict[str, int]]:
    """What was read so far: the next sequence of each topic and partition."""
    rows = await tx.fetch(
        """
        SELECT topic, partition, next_sequence FROM input_position
        WHERE topic = ANY ($1::text[]) ORDER BY topic, partition
        """,
        topics,
    )
    held: dict[str, dict[str, int]] = {}
    for row in rows:
        held.setdefault(row["topic"], {})[str(row["partition"])] = row["next_sequence"]
    return held


async def newest(database: asyncpg.Pool | asyncpg.Connection) -> asyncpg.Record | None:
    return await database.fetchrow("SELECT * FROM edition ORDER BY edition DESC LIMIT 1")


async def edition_of(database: asyncpg.Pool, edition: date) -> asyncpg.Record | None:
    return await database.fetchrow("SELECT * FROM edition WHERE edition = $1", edition)


async def editions(database: asyncpg.Pool) -> list[date]:
    """The newest first."""
    return [row["edition"] for row in await database.fetch("SELECT edition FROM edition ORDER BY edition DESC")]


async def add_edition(
    tx: asyncpg.Connection,
    edition: date,
    computed_at: datetime,
    area: str,
    checkpoint: Mapping[str, str] | None,
    read: Mapping[str, Mapping[str, int]],
) -> bool:
    """False where somebody has published this date's already."""
    added = await tx.fetchval(
        """
        INSERT INTO edition (edition, computed_at, area, checkpoint, positions)
        VALUES ($1, $2, $3, $4::jsonb, $5::jsonb)
        ON CONFLICT DO NOTHING
        RETURNING true
        """,
        edition,
        computed_at,
        area,
        orjson.dumps(checkpoint).decode() if checkpoint else None,
        orjson.dumps(read).decode(),
    )
    return added is True


async def remove_edition(tx: asyncpg.Connection, edition: date) -> None:
    await tx.execute("DELETE FROM edition WHERE edition = $1", edition)


async def add_figures(tx: asyncpg.Connection, edition: date, rows: Sequence[Figure]) -> None:
    if rows:
        await tx.execute(
            """
            INSERT INTO figure (edition, measure, programme, period, reason, area, value)
            SELECT $1, n.* FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
                AS n (measure, programme, period, reason, area, value)
            """,
            edition,
            *columns(rows),
        )


async def figures_of(database: asyncpg.Pool, edition: date) -> list[Figure]:
    rows = await database.fetch(
        """
        SELECT measure, programme, period, reason, area, value FROM figure
        WHERE edition = $1
        ORDER BY measure, programme, period, reason, area
        """,
        edition,
    )
    return [Figure(*row) for row in rows]
