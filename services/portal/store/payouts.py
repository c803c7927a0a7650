"""Payouts and cycles."""

from collections.abc import Sequence

import asyncpg

from services.portal.domain.rows import CycleRow, PayoutRow
from services.portal.store.columns import columns
from services.portal.store.tally import Delta, deltas


async def keep_payouts(tx: asyncpg.Connection, rows: Sequence[PayoutRow]) -> list[Delta]:
    """The highest revision counts; one row a recipient and cycle. Counted by programme and by cycle."""
    return deltas(
        await tx.fetch(
            """
            WITH changed AS (
                INSERT INTO payout AS p
                SELECT * FROM unnest(
                    $1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::bigint[], $7::text[], $8::int[],
                    $9::int[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[],
                    $16::timestamptz[], $17::timestamptz[], $18::text[]
                ) AS n (recipient_id, cycle, programme, revision, state, amount_idr, village, place, attempt, channel,
                    reference, bank_reference, code, text_id, text_en, confirmed_at, at, event_id)
                ORDER BY recipient_id, cycle
                ON CONFLICT (recipient_id, cycle) DO UPDATE
                SET revision = excluded.revision, state = excluded.state, amount_idr = excluded.amount_idr,
                    village = excluded.village, place = excluded.place, attempt = excluded.attempt,
                    channel = excluded.channel, reference = excluded.reference,
                    bank_reference = excluded.bank_reference, code = excluded.code, text_id = excluded.text_id,
                    text_en = excluded.text_en, confirmed_at = excluded.confirmed_at, at = excluded.at,
                    event_id = excluded.event_id
                WHERE p.revision < excluded.revision
                RETURNING new.programme, new.cycle,
                    old.village AS was_in, old.state AS was, old.amount_idr AS was_idr,
                    new.village AS now_in, new.state AS now, new.amount_idr AS now_idr
            )
            SELECT k.what, c.village, k.name, c.state, sum(c.rows)::bigint, sum(c.amount_idr)::bigint
            FROM changed
            CROSS JOIN LATERAL (
                VALUES (was_in, was, -1, -was_idr), (now_in, now, 1, now_idr)
            ) AS c (village, state, rows, amount_idr)
            CROSS JOIN LATERAL (VALUES ('payout', programme), ('cycle', cycle)) AS k (what, name)
            WHERE c.village IS NOT NULL
            GROUP BY k.what, c.village, k.name, c.state
            """,
            *columns(rows),
        )
    )


async def keep_cycles(tx: asyncpg.Connection, rows: Sequence[CycleRow]) -> None:
    """Proposals or approvals, one row a cycle. What is known of a cycle stays: it is proposed and approved once."""
    await tx.execute(
        """
        INSERT INTO cycle AS c
        SELECT * FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[], $8::text[],
            $9::timestamptz[]
        ) AS n (cycle, programme, period, mode, budget_idr, proposed_by, proposed_at, approved_by, approved_at)
        ORDER BY cycle
        ON CONFLICT (cycle) DO UPDATE
        SET mode = coalesce(c.mode, excluded.mode),
            proposed_by = coalesce(c.proposed_by, excluded.proposed_by),
            proposed_at = coalesce(c.proposed_at, excluded.proposed_at),
            approved_by = coalesce(c.approved_by, excluded.approved_by),
            approved_at = coalesce(c.approved_at, excluded.approved_at)
        """,
        *columns(rows),
    )
