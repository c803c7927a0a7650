"""What a recovery writes: the steps that events tell, and what must be asked about. Triggers and constraints hold here
as for the running service, so every payout goes through its legal states."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from services.payout.domain.ledger import Transfer

PAYOUTS_AT_ONCE = 2000
Key = tuple[str, str]
"""Recipient and cycle."""


class ToldPayout(NamedTuple):
    """One event about a payout; the fields are columns. `state` is the one that it tells."""

    recipient_id: str
    cycle: str
    programme: str
    revision: int
    state: str
    attempt: int | None
    decision_revision: int
    amount_idr: int
    village: str
    reference: str | None
    channel: str | None
    code: str | None
    bank_reference: str | None
    at: datetime
    event_id: str
    cause_id: str
    correlation_id: str
    traceparent: str


class Ended(NamedTuple):
    """How an attempt ended at the bank."""

    recipient_id: str
    cycle: str
    state: str
    revision: int
    code: str | None
    bank_reference: str | None
    at: datetime


class Cancelled(NamedTuple):
    recipient_id: str
    cycle: str
    revision: int
    code: str
    at: datetime


async def prepare(tx: asyncpg.Connection) -> None:
    """Temporary tables, which end with the transaction."""
    await tx.execute(
        """
        CREATE TEMP TABLE told_payout (
            recipient_id text COLLATE "C", cycle text COLLATE "C", programme text, revision int, state text,
            attempt int, decision_revision int, amount_idr bigint, village text, reference text, channel text,
            code text, bank_reference text, at timestamptz, event_id text, cause_id text, correlation_id text,
            traceparent text
        ) ON COMMIT DROP;
        CREATE TEMP TABLE told_transfer (
            cycle text COLLATE "C", recipient_id text COLLATE "C", attempt int, kind text, debit_account text,
            credit_account text, amount_idr bigint, at timestamptz
        ) ON COMMIT DROP;
        """
    )


async def keep_told(tx: asyncpg.Connection, rows: Sequence[ToldPayout]) -> None:
    await tx.copy_records_to_table("told_payout", records=rows, columns=ToldPayout._fields)


async def keep_transfers(tx: asyncpg.Connection, transfers: Sequence[Transfer]) -> None:
    """They enter the ledger all at once, in `post`."""
    await tx.copy_records_to_table("told_transfer", records=transfers, columns=Transfer._fields)


async def cycles_told(tx: asyncpg.Connection) -> list[asyncpg.Record]:
    """The cycles that events about payouts name: state, or NULL for one that is not known; and how many payouts."""
    await tx.execute("CREATE INDEX ON told_payout (recipient_id, cycle, revision); ANALYZE told_payout")
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        SELECT t.cycle, t.programme, t.payouts, t.first_at, c.state, c.budget_idr
        FROM (
            SELECT cycle, programme, count(DISTINCT recipient_id) AS payouts, min(at) AS first_at
            FROM told_payout GROUP BY cycle, programme
        ) AS t
        LEFT JOIN cycle AS c USING (cycle)
        ORDER BY t.cycle
        """
    )
    return rows


async def payouts_told(tx: asyncpg.Connection) -> AsyncIterator[dict[Key, list[asyncpg.Record]]]:
    """Everything told about some payouts, in the order of revisions, until all were there."""
    after: Key = ("", "")
    while True:
        rows = await tx.fetch(
            """
            SELECT t.*
            FROM (
                SELECT DISTINCT recipient_id, cycle FROM told_payout
                WHERE (recipient_id, cycle) > ($1, $2)
                ORDER BY recipient_id, cycle
                LIMIT $3
            ) AS k
            JOIN told_payout AS t USING (recipient_id, cycle)
            ORDER BY recipient_id, cycle, revision
            """,
            *after,
            PAYOUTS_AT_ONCE,
        )
        if not rows:
            return
        found: dict[Key, list[asyncpg.Record]] = {}
        for row in rows:
            found.setdefault((row["recipient_id"], row["cycle"]), []).append(row)
        after = (rows[-1]["recipient_id"], rows[-1]["cycle"])
        yield found


async def lock_payouts(tx: asyncpg.Connection, keys: Sequence[Key]) -> dict[Key, asyncpg.Record]:
    rows = await tx.fetch(
        """
        SELECT * FROM payout
        WHERE (recipient_id, cycle) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY recipient_id, cycle
        FOR UPDATE
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
    )
    return {(row["recipient_id"], row["cycle"]): row for row in rows}


async def claim(tx: asyncpg.Connection, keys: Sequence[Key]) -> None:
    """Ordered payouts were sent, once, when they were ordered as far as anybody knows."""
    await tx.execute(
        """
        UPDATE payout AS p
        SET state = 'claimed', sends = 1, sent_at = p.since
        FROM unnest($1::text[], $2::text[]) AS k (recipient_id, cycle)
        WHERE (p.recipient_id, p.cycle) = (k.recipient_id, k.cycle)
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
    )


async def unsend(tx: asyncpg.Connection, keys: Sequence[Key]) -> None:
    """The bank did not know of these, or they could not have been cancelled."""
    await tx.execute(
        """
        UPDATE payout AS p SET state = 'unsent'
        FROM unnest($1::text[], $2::text[]) AS k (recipient_id, cycle)
        WHERE (p.recipient_id, p.cycle) = (k.recipient_id, k.cycle)
        """,
        [recipient for recipient, _ in keys],
        [cycle for _, cycle in keys],
    )


async def cancel(tx: asyncpg.Connection, rows: Sequence[Cancelled]) -> None:
    await tx.execute(
        """
        UPDATE payout AS p
        SET state = 'cancelled', revision = c.revision, code = c.code, since = c.at, due_at = NULL
        FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::timestamptz[])
            AS c (recipient_id, cycle, revision, code, at)
        WHERE (p.recipient_id, p.cycle) = (c.recipient_id, c.cycle)
        """,
        *map(list, zip(*rows, strict=True)),
    )


async def end(tx: asyncpg.Connection, rows: Sequence[Ended]) -> None:
    await tx.execute(
        """
        UPDATE payout AS p
        SET state = e.state, revision = e.revision, code = e.code, bank_reference = e.bank_reference, since = e.at,
            due_at = NULL
        FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::timestamptz[])
            AS e (recipient_id, cycle, state, revision, code, bank_reference, at)
        WHERE (p.recipient_id, p.cycle) = (e.recipient_id, e.cycle)
        """,
        *map(list, zip(*rows, strict=True)),
    )


async def post(tx: asyncpg.Connection, at: datetime) -> int:
    """All transfers at once; what came back in cycles that still give is free again, as the next sweep would make it.

    Where orders are known and the end whose money they were given is not, the treasury advances it. Returns the sum
    of that, in rupiah.
    """
    await tx.execute(
        """
        INSERT INTO told_transfer (cycle, kind, debit_account, credit_account, amount_idr, at)
        SELECT r.cycle, 'regrant', 'returned', 'budget', r.amount_idr, $1
        FROM (
            SELECT cycle, sum(amount_idr) AS amount_idr
            FROM (
                SELECT cycle, balance_idr AS amount_idr FROM account WHERE name = 'returned'
                UNION ALL
                SELECT cycle, amount_idr FROM told_transfer WHERE kind = 'void'
            ) AS came_back
            GROUP BY cycle
        ) AS r
        JOIN cycle AS c USING (cycle)
        WHERE r.amount_idr > 0 AND c.state IN ('open', 'closing')
        """,
        at,
    )
    advanced_idr = await tx.fetchval(
        """
        WITH short AS (
            SELECT cycle, -sum(amount_idr) AS amount_idr
            FROM (
                SELECT cycle, balance_idr AS amount_idr FROM account WHERE name = 'budget'
                UNION ALL
                SELECT cycle, amount_idr FROM told_transfer WHERE credit_account = 'budget'
                UNION ALL
                SELECT cycle, -amount_idr FROM told_transfer WHERE debit_account = 'budget'
            ) AS budget
            GROUP BY cycle
            HAVING sum(amount_idr) < 0
        ), advanced AS (
            INSERT INTO told_transfer (cycle, kind, debit_account, credit_account, amount_idr, at)
            SELECT cycle, 'advance', 'treasury', 'budget', amount_idr, $1 FROM short
            RETURNING amount_idr
        )
        SELECT coalesce(sum(amount_idr), 0)::bigint FROM advanced
        """,
        at,
    )
    await tx.execute(
        """
        INSERT INTO transfer (cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, at)
        SELECT cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, at
        FROM told_transfer
        ORDER BY at, cycle, recipient_id
        """
    )
    return int(advanced_idr)


async def ask_about_everything(tx: asyncpg.Connection, at: datetime) -> int:
    """Whatever may have been sent counts as sent until now, and is asked about before anything else. Returns how many.

    `not found` is believed when the bank's window has passed since `at`.
    """
    await tx.execute(
        """
        INSERT INTO transfer (cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, at)
        SELECT cycle, recipient_id, attempt, 'send', 'reserved', 'in_transit', amount_idr, $1
        FROM payout
        WHERE state = 'ordered'
        ORDER BY recipient_id, cycle
        """,
        at,
    )
    status = await tx.execute(
        """
        UPDATE payout
        SET state = CASE WHEN state IN ('ordered', 'unsent') THEN 'claimed' ELSE state END,
            sends = CASE WHEN state IN ('ordered', 'unsent') THEN sends + 1 ELSE sends END,
            since = CASE WHEN state IN ('ordered', 'unsent') THEN $1 ELSE since END,
            asks = 0, sent_at = $1, due_at = $1
        WHERE state IN ('ordered', 'claimed', 'unknown', 'unsent')
        """,
        at,
    )
    return int(status.rpartition(" ")[2])


async def name_families(tx: asyncpg.Connection) -> None:
    """No event about a payout says whose family it was for; the newest decision about the recipient does, as far as
    nobody has moved to another card since. Of two of one family and cycle the one that was paid has it."""
    await tx.execute(
        """
        UPDATE payout AS p
        SET family_id = named.family_id
        FROM (
            SELECT DISTINCT ON (q.cycle, d.family_id) q.recipient_id, q.cycle, d.family_id
            FROM payout AS q
            JOIN decision AS d ON (d.programme, d.recipient_id) = (q.programme, q.recipient_id)
            WHERE q.family_id IS NULL AND d.family_id IS NOT NULL
                AND q.state IN ('ordered', 'claimed', 'unknown', 'unsent', 'confirmed')
                AND NOT EXISTS (
                    SELECT FROM payout AS o
                    WHERE (o.family_id, o.cycle) = (d.family_id, q.cycle)
                        AND o.state IN ('ordered', 'claimed', 'unknown', 'unsent', 'confirmed')
                )
            ORDER BY q.cycle, d.family_id, q.state = 'confirmed' DESC, q.recipient_id
        ) AS named
        WHERE (p.recipient_id, p.cycle) = (named.recipient_id, named.cycle)
        """
    )


async def make_superseded_due(tx: asyncpg.Connection) -> None:
    """Decisions that are newer than a payout which has not ended, or has ended unpaid in an open cycle: the sweep must
    look at them. The database that was lost had made the latter due when the end came, and this one did not see it."""
    await tx.execute(
        """
        UPDATE decision AS d SET settled_in = 0
        FROM payout AS p JOIN cycle AS c USING (cycle)
        WHERE (p.programme, p.recipient_id) = (d.programme, d.recipient_id)
            AND (p.state IN ('queued', 'ordered', 'claimed', 'unknown', 'unsent')
                OR (p.state IN ('failed', 'cancelled') AND c.state = 'open'))
            AND p.decision_revision < d.revision AND d.settled_in <> 0
        """
    )
