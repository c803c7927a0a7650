"""The story of each recipient, and what no stage could process."""

from collections.abc import Sequence

import asyncpg

from services.portal.domain.happenings import HappeningRow
from services.portal.domain.rows import DeadLetterRow
from services.portal.store.columns import columns
from services.portal.store.tally import Delta, deltas


async def keep_happenings(tx: asyncpg.Connection, rows: Sequence[HappeningRow]) -> None:
    """An event happens once, however often it comes."""
    await tx.execute(
        """
        INSERT INTO happening
        SELECT * FROM unnest(
            $1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::int[], $7::bigint[], $8::json[]
        ) AS n (recipient_id, at, event_id, type, cause_id, partition, sequence, facts)
        ORDER BY recipient_id, at, event_id
        ON CONFLICT DO NOTHING
        """,
        *columns(rows),
    )


async def keep_dead_letters(tx: asyncpg.Connection, rows: Sequence[DeadLetterRow]) -> list[Delta]:
    return deltas(
        await tx.fetch(
            """
            WITH added AS (
                INSERT INTO dead_letter
                SELECT * FROM unnest(
                    $1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
                    $9::text[], $10::bigint[], $11::bool[], $12::int[], $13::bigint[], $14::timestamptz[]
                ) AS n (event_id, service, origin_topic, origin_partition, origin_offset, origin_sequence,
                    recipient_id, code, reason, body_bytes, body_held, partition, sequence, at)
                ORDER BY event_id
                ON CONFLICT DO NOTHING
                RETURNING new.service, new.code
            )
            SELECT 'dead_letter', '', service, code, count(*), 0
            FROM added
            GROUP BY service, code
            """,
            *columns(rows),
        )
    )
