"""Messages to recipients."""

from collections.abc import Sequence

import asyncpg

from services.portal.domain.rows import MessageRow
from services.portal.store.columns import columns
from services.portal.store.tally import Delta, deltas


async def keep_messages(tx: asyncpg.Connection, rows: Sequence[MessageRow]) -> list[Delta]:
    """The highest revision counts; one row a message. The village is the recipient's of now; `move_messages` follows
    it."""
    return deltas(
        await tx.fetch(
            """
            WITH changed AS (
                INSERT INTO message AS m
                SELECT n.message_id, n.recipient_id, n.revision, n.purpose, n.channel, n.template, n.state, n.code,
                    r.village, n.at, n.event_id
                FROM unnest(
                    $1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                    $9::timestamptz[], $10::text[]
                ) AS n (message_id, recipient_id, revision, purpose, channel, template, state, code, at, event_id)
                LEFT JOIN recipient AS r USING (recipient_id)
                ORDER BY n.message_id
                ON CONFLICT (message_id) DO UPDATE
                SET revision = excluded.revision, template = excluded.template, state = excluded.state,
                    code = excluded.code, village = excluded.village, at = excluded.at, event_id = excluded.event_id
                WHERE m.revision < excluded.revision
                RETURNING new.channel, old.village AS was_in, old.state AS was,
                    new.village AS now_in, new.state AS now
            )
            SELECT 'message', coalesce(c.village, ''), channel, c.state, sum(c.rows)::bigint, 0
            FROM changed CROSS JOIN LATERAL (
                VALUES (was_in, was, -1), (now_in, now, 1)
            ) AS c (village, state, rows)
            WHERE c.state IS NOT NULL
            GROUP BY c.village, channel, c.state
            """,
            *columns(rows),
        )
    )


async def move_messages(tx: asyncpg.Connection, recipients: Sequence[str]) -> list[Delta]:
    """What these recipients were told before is in the village in which they are now."""
    return deltas(
        await tx.fetch(
            """
            WITH moved AS (
                UPDATE message AS m
                SET village = r.village
                FROM recipient AS r
                WHERE r.recipient_id = ANY ($1::text[])
                    AND m.recipient_id = r.recipient_id
                    AND m.village IS DISTINCT FROM r.village
                RETURNING new.channel, new.state, old.village AS was, new.village AS now
            )
            SELECT 'message', coalesce(c.village, ''), channel, state, sum(c.rows)::bigint, 0
            FROM moved CROSS JOIN LATERAL (VALUES (was, -1), (now, 1)) AS c (village, rows)
            GROUP BY c.village, channel, state
            """,
            recipients,
        )
    )
