"""What the monitor raised and cleared."""

from collections.abc import Sequence

import asyncpg

from services.portal.domain.rows import AlertRow
from services.portal.store.columns import columns


async def keep_alerts(tx: asyncpg.Connection, rows: Sequence[AlertRow]) -> None:
    """Raisings or clearings, one row each. What is known of a raising stays: it is raised and cleared once."""
    await tx.execute(
        """
        INSERT INTO alert AS a (rule, about, raising, level, since, threshold, raised_value, cleared_value, runbook,
            advice, raised_at, cleared_at)
        SELECT * FROM unnest(
            $1::text[], $2::text[], $3::int[], $4::text[], $5::timestamptz[], $6::float8[], $7::float8[],
            $8::float8[], $9::text[], $10::jsonb[], $11::timestamptz[], $12::timestamptz[]
        ) AS n (rule, about, raising, level, since, threshold, raised_value, cleared_value, runbook, advice,
            raised_at, cleared_at)
        ORDER BY rule, about, raising
        ON CONFLICT (rule, about, raising) DO UPDATE
        SET raised_value = coalesce(a.raised_value, excluded.raised_value),
            cleared_value = coalesce(a.cleared_value, excluded.cleared_value),
            raised_at = coalesce(a.raised_at, excluded.raised_at),
            cleared_at = coalesce(a.cleared_at, excluded.cleared_at)
        """,
        *columns(rows),
    )
