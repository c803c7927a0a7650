"""Who is registered where, and what was answered to submissions."""

from collections.abc import Sequence

import asyncpg

from services.portal.domain.rows import FlaggedRow, RecipientRow, SubmissionRow
from services.portal.store.columns import columns
from services.portal.store.tally import Delta, deltas


async def keep_recipients(tx: asyncpg.Connection, rows: Sequence[RecipientRow]) -> tuple[list[Delta], list[str]]:
    """The highest revision counts; one row a recipient. Also who came to a village that they were not in before."""
    changed = await tx.fetch(
        """
        INSERT INTO recipient AS r
        SELECT * FROM unnest(
            $1::text[], $2::int[], $3::text[], $4::int[], $5::text[], $6::timestamptz[], $7::text[],
            $8::timestamptz[], $9::bool[], $10::bool[]
        ) AS n (recipient_id, revision, village, decile, family_id, registered_at, source, at, has_account, has_contact)
        ORDER BY recipient_id
        ON CONFLICT (recipient_id) DO UPDATE
        SET revision = excluded.revision, village = excluded.village, decile = excluded.decile,
            family_id = excluded.family_id, registered_at = excluded.registered_at, source = excluded.source,
            at = excluded.at, has_account = excluded.has_account, has_contact = excluded.has_contact
        WHERE r.revision < excluded.revision
        RETURNING new.recipient_id, old.village AS was, new.village AS now
        """,
        *columns(rows),
    )
    moved = [row for row in changed if row["was"] != row["now"]]
    counts = [Delta("recipient", row["now"], "", "registered", 1, 0) for row in moved]
    counts += [Delta("recipient", row["was"], "", "registered", -1, 0) for row in moved if row["was"]]
    return counts, [row["recipient_id"] for row in moved]


async def keep_flagged(tx: asyncpg.Connection, rows: Sequence[FlaggedRow]) -> None:
    await tx.execute(
        """
        INSERT INTO flagged AS f
        SELECT * FROM unnest($1::text[], $2::int[], $3::timestamptz[]) AS n (recipient_id, revision, at)
        ORDER BY recipient_id
        ON CONFLICT (recipient_id) DO UPDATE SET revision = excluded.revision, at = excluded.at
        WHERE f.revision < excluded.revision
        """,
        *columns(rows),
    )


async def keep_submissions(tx: asyncpg.Connection, rows: Sequence[SubmissionRow]) -> list[Delta]:
    """Each has one answer for ever. The village is the recipient's of now; `move_submissions` follows it."""
    return deltas(
        await tx.fetch(
            """
            WITH added AS (
                INSERT INTO submission
                SELECT n.kind, n.source, n.id, n.answer, n.recipient_id, r.village, n.problems, n.submitted_at, n.at,
                    n.event_id
                FROM unnest(
                    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::timestamptz[],
                    $8::timestamptz[], $9::text[]
                ) AS n (kind, source, id, answer, recipient_id, problems, submitted_at, at, event_id)
                LEFT JOIN recipient AS r USING (recipient_id)
                ORDER BY n.kind, n.source, n.id
                ON CONFLICT DO NOTHING
                RETURNING new.kind, new.village, new.source, new.answer
            )
            SELECT kind, coalesce(village, ''), source, answer, count(*), 0
            FROM added
            GROUP BY kind, village, source, answer
            """,
            *columns(rows),
        )
    )


async def move_submissions(tx: asyncpg.Connection, recipients: Sequence[str]) -> list[Delta]:
    """What these recipients submitted before is in the village in which they are now."""
    return deltas(
        await tx.fetch(
            """
            WITH moved AS (
                UPDATE submission AS s
                SET village = r.village
                FROM recipient AS r
                WHERE r.recipient_id = ANY ($1::text[])
                    AND s.recipient_id = r.recipient_id
                    AND s.village IS DISTINCT FROM r.village
                RETURNING new.kind, new.source, new.answer, old.village AS was, new.village AS now
            )
            SELECT kind, coalesce(c.village, ''), source, answer, sum(c.rows)::bigint, 0
            FROM moved CROSS JOIN LATERAL (VALUES (was, -1), (now, 1)) AS c (village, rows)
            GROUP BY kind, c.village, source, answer
            """,
            recipients,
        )
    )
