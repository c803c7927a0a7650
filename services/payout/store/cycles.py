"""Cycles."""

from datetime import datetime
from typing import Any

import asyncpg


async def propose(
    tx: asyncpg.Connection,
    cycle: str,
    programme: str,
    period: str,
    mode: str,
    budget_idr: int,
    by: str,
    at: datetime,
) -> bool:
    """False when the programme has a cycle for this period already."""
    return bool(
        await tx.fetchval(
            """
            INSERT INTO cycle (cycle, programme, period, mode, budget_idr, state, proposed_by, proposed_at)
            VALUES ($1, $2, $3, $4, $5, 'proposed', $6, $7)
            ON CONFLICT DO NOTHING
            RETURNING true
            """,
            cycle,
            programme,
            period,
            mode,
            budget_idr,
            by,
            at,
        )
    )


async def lock_programme_of(tx: asyncpg.Connection, cycle: str) -> list[asyncpg.Record]:
    """All cycles of this cycle's programme, locked in order; none when there is no such cycle."""
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        SELECT * FROM cycle
        WHERE programme = (SELECT programme FROM cycle WHERE cycle = $1)
        ORDER BY cycle
        FOR NO KEY UPDATE
        """,
        cycle,
    )
    return rows


async def close_open(tx: asyncpg.Connection, programme: str) -> None:
    """The open cycle of the programme, where there is one, takes no new orders any more."""
    await tx.execute("UPDATE cycle SET state = 'closing' WHERE programme = $1 AND state = 'open'", programme)


async def approve(tx: asyncpg.Connection, cycle: str, by: str, at: datetime) -> None:
    """A locked, proposed cycle becomes the open one. Raises UniqueViolationError while another one is open."""
    await tx.execute(
        """
        UPDATE cycle AS c
        SET state = 'open', approved_by = $2, approved_at = $3,
            number = 1 + (SELECT coalesce(max(number), 0) FROM cycle AS o WHERE o.programme = c.programme)
        WHERE cycle = $1 AND state = 'proposed'
        """,
        cycle,
        by,
        at,
    )


async def working(tx: asyncpg.Connection | asyncpg.Pool) -> list[tuple[str, str]]:
    """(cycle, state) of those that a sweep has to look at."""
    rows = await tx.fetch("SELECT cycle, state FROM cycle WHERE state IN ('open', 'closing') ORDER BY cycle")
    return [(row[0], row[1]) for row in rows]


async def lock_if(tx: asyncpg.Connection, cycle: str, state: str) -> asyncpg.Record | None:
    """The cycle, locked; None while another one works on it, or when it is not in this state any more."""
    return await tx.fetchrow(
        "SELECT * FROM cycle WHERE cycle = $1 AND state = $2 FOR NO KEY UPDATE SKIP LOCKED", cycle, state
    )


async def every(tx: asyncpg.Connection) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await tx.fetch("SELECT * FROM cycle ORDER BY cycle")
    return rows


async def close(tx: asyncpg.Connection, cycle: str, at: datetime) -> None:
    await tx.execute("UPDATE cycle SET state = 'closed', closed_at = $2 WHERE cycle = $1", cycle, at)


async def fold_tally(tx: asyncpg.Pool, over: int, most: int) -> None:
    """Up to `most` rows of the tally become one for each cycle and state, where there are more than `over`. Waits for
    nobody; the sums stay as they are at every moment."""
    await tx.execute(
        """
        WITH taken AS (
            DELETE FROM tally
            WHERE ctid = ANY (ARRAY(SELECT ctid FROM tally LIMIT $2 FOR UPDATE SKIP LOCKED))
                AND (SELECT count(*) FROM (SELECT FROM tally LIMIT $1 + 1) AS first) > $1
            RETURNING cycle, state, payouts, amount_idr
        )
        INSERT INTO tally (cycle, state, payouts, amount_idr)
        SELECT cycle, state, sum(payouts), sum(amount_idr) FROM taken GROUP BY cycle, state
        """,
        over,
        most,
    )


_DESCRIBED = """
    SELECT b.*, c.proposed_by, c.proposed_at, c.approved_by, c.approved_at, c.closed_at
    FROM cycle_books AS b JOIN cycle AS c USING (cycle)
"""


async def described(tx: asyncpg.Connection | asyncpg.Pool, cycle: str) -> dict[str, Any] | None:
    """The cycle with its accounts and the counts of its payouts."""
    row = await tx.fetchrow(_DESCRIBED + " WHERE cycle = $1", cycle)
    return dict(row) if row else None


async def all_described(tx: asyncpg.Connection | asyncpg.Pool) -> list[dict[str, Any]]:
    return [dict(row) for row in await tx.fetch(_DESCRIBED + " ORDER BY c.programme, c.period DESC")]
