"""The current decision of each recipient and programme."""

from collections.abc import Sequence

import asyncpg

from services.portal.domain.rows import DecisionRow
from services.portal.store.columns import columns
from services.portal.store.tally import Delta, deltas


async def keep_decisions(tx: asyncpg.Connection, rows: Sequence[DecisionRow]) -> list[Delta]:
    """The highest revision counts; one row a recipient and programme."""
    return deltas(
        await tx.fetch(
            """
            WITH changed AS (
                INSERT INTO decision AS d
                SELECT * FROM unnest(
                    $1::text[], $2::text[], $3::int[], $4::int[], $5::bool[], $6::bigint[], $7::jsonb[], $8::text[],
                    $9::text[], $10::int[], $11::timestamptz[], $12::text[]
                ) AS n (recipient_id, programme, revision, programme_version, eligible, amount_idr, reasons, details,
                    village, decile, at, event_id)
                ORDER BY recipient_id, programme
                ON CONFLICT (recipient_id, programme) DO UPDATE
                SET revision = excluded.revision, programme_version = excluded.programme_version,
                    eligible = excluded.eligible, amount_idr = excluded.amount_idr, reasons = excluded.reasons,
                    details = excluded.details, village = excluded.village, decile = excluded.decile,
                    at = excluded.at, event_id = excluded.event_id
                WHERE d.revision < excluded.revision
                RETURNING new.programme, old.village AS was_in, old.eligible AS was, old.amount_idr AS was_idr,
                    new.village AS now_in, new.eligible AS now, new.amount_idr AS now_idr
            )
            SELECT 'decision', c.village, programme, CASE WHEN c.eligible THEN 'eligible' ELSE 'ineligible' END,
                sum(c.rows)::bigint, sum(c.amount_idr)::bigint
            FROM changed CROSS JOIN LATERAL (
                VALUES (was_in, was, -1, -was_idr), (now_in, now, 1, now_idr)
            ) AS c (village, eligible, rows, amount_idr)
            WHERE c.village IS NOT NULL
            GROUP BY c.village, programme, c.eligible
            """,
            *columns(rows),
        )
    )
