"""Every SQL statement of this service."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from shared.runtime import resealed_store
from shared.runtime.resealed import Values


class ContactRow(NamedTuple):
    recipient_id: str
    registration_revision: int
    contact: str | None


class ReasonRow(NamedTuple):
    digest: bytes
    code: str
    text_id: str
    text_en: str


class DecisionRow(NamedTuple):
    recipient_id: str
    programme: str
    revision: int
    eligible: bool
    amount_idr: int
    reason: bytes


class MessageRow(NamedTuple):
    """A new message."""

    message_id: str
    recipient_id: str
    purpose: str
    channel: str
    about: str
    about_revision: int
    facts: str | None
    state: str
    created_at: datetime
    due_at: datetime
    cause_id: str
    correlation_id: str
    traceparent: str
    urgent: bool = False
    expires_at: datetime | None = None


class Claim(NamedTuple):
    """What becomes of a due message: sent with a template, or a state in which it stays."""

    message_id: str
    state: str
    code: str | None
    template: str | None
    language: str | None


class ToldRow(NamedTuple):
    recipient_id: str
    programme: str
    revision: int
    eligible: bool
    amount_idr: int
    message_id: str


class Moved(NamedTuple):
    """A message after facts about it; the times are set once and stay."""

    message_id: str
    state: str
    code: str | None
    due_at: datetime
    sent: bool
    delivered: bool
    failed: bool
    unknown: bool
    revision: int


async def keep_contacts(tx: asyncpg.Connection, rows: Sequence[ContactRow]) -> None:
    """The contact of the highest registration revision counts."""
    await tx.execute(
        """
        INSERT INTO contact AS c
        SELECT * FROM unnest($1::text[], $2::int[], $3::text[]) AS n (recipient_id, registration_revision, contact)
        ORDER BY recipient_id
        ON CONFLICT (recipient_id) DO UPDATE
        SET registration_revision = excluded.registration_revision, contact = excluded.contact
        WHERE c.registration_revision < excluded.registration_revision
        """,
        *_columns(rows, 3),
    )


async def reseal_contacts(tx: asyncpg.Connection, rows: Sequence[Values]) -> None:
    """The same contacts under newer keys, where the registration is the same; where none is kept none comes."""
    await tx.execute(reseal(resealed_store.GIVEN), *resealed_store.arguments(rows))


def reseal(source: str) -> str:
    """`source` selects the fields of Values, each registration once."""
    return f"""
        WITH locked AS MATERIALIZED (
            SELECT n.*
            FROM ({source}) AS n
            JOIN contact AS c ON (c.recipient_id, c.registration_revision) = (n.recipient_id, n.revision)
            WHERE c.contact IS NOT NULL AND n.contact IS NOT NULL AND n.sequence >= coalesce(c.resealed_by, 0)
            ORDER BY c.recipient_id
            FOR NO KEY UPDATE OF c
        )
        UPDATE contact AS c
        SET contact = n.contact, resealed_by = n.sequence, resealed_revision = n.revision
        FROM locked AS n
        WHERE c.recipient_id = n.recipient_id
    """


async def keep_reasons(tx: asyncpg.Connection, rows: Sequence[ReasonRow]) -> None:
    await tx.execute(
        """
        INSERT INTO reason
        SELECT n.* FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[]) AS n (digest, code, text_id, text_en)
        WHERE NOT EXISTS (SELECT FROM reason AS r WHERE r.digest = n.digest)
        ORDER BY digest
        ON CONFLICT DO NOTHING
        """,
        *_columns(rows, 4),
    )


async def keep_decisions(tx: asyncpg.Connection, rows: Sequence[DecisionRow]) -> set[tuple[str, str]]:
    """Keeps what is newer than what is known, and returns (recipient, programme) of those.

    One partition belongs to one process, so nobody else writes these rows meanwhile.
    """
    newer = await tx.fetch(
        """
        INSERT INTO decision AS d
        SELECT *
        FROM unnest($1::text[], $2::text[], $3::int[], $4::bool[], $5::bigint[], $6::bytea[])
            AS n (recipient_id, programme, revision, eligible, amount_idr, reason)
        ORDER BY recipient_id, programme
        ON CONFLICT (recipient_id, programme) DO UPDATE
        SET revision = excluded.revision, eligible = excluded.eligible, amount_idr = excluded.amount_idr,
            reason = excluded.reason
        WHERE d.revision < excluded.revision
        RETURNING recipient_id, programme
        """,
        *_columns(rows, 6),
    )
    return {(row["recipient_id"], row["programme"]) for row in newer}


async def lock_messages_about(
    tx: asyncpg.Connection, recipients: Sequence[str], about: Sequence[str]
) -> list[asyncpg.Record]:
    """All messages about these things, locked, so that none is claimed or put back meanwhile."""
    return await tx.fetch(
        """
        SELECT m.message_id, m.recipient_id, m.purpose, m.about, m.about_revision, m.state
        FROM message AS m
        WHERE (m.recipient_id, m.about) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        ORDER BY m.message_id
        FOR NO KEY UPDATE
        """,
        recipients,
        about,
    )


async def supersede(tx: asyncpg.Connection, message_ids: Sequence[str], code: str) -> None:
    """Messages that wait (and are locked) make room for newer ones."""
    await tx.execute(
        "UPDATE message SET state = 'superseded', code = $2 WHERE message_id = ANY ($1::text[]) AND state = 'waiting'",
        message_ids,
        code,
    )


async def add_messages(tx: asyncpg.Connection, rows: Sequence[MessageRow]) -> None:
    """A message whose natural key is there already is not made again."""
    await tx.execute(
        """
        INSERT INTO message (message_id, recipient_id, purpose, channel, about, about_revision, facts, state,
                             created_at, due_at, cause_id, correlation_id, traceparent, urgent, expires_at)
        SELECT n.message_id, n.recipient_id, n.purpose, n.channel, n.about, n.about_revision, n.facts::jsonb, n.state,
               n.created_at, n.due_at, n.cause_id, n.correlation_id, n.traceparent, n.urgent, n.expires_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[],
                    $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::bool[],
                    $15::timestamptz[])
            AS n (message_id, recipient_id, purpose, channel, about, about_revision, facts, state, created_at, due_at,
                  cause_id, correlation_id, traceparent, urgent, expires_at)
        ORDER BY n.message_id
        ON CONFLICT (message_id) DO NOTHING
        """,
        *_columns(rows, 15),
    )


async def due_messages(tx: asyncpg.Connection, at: datetime, limit: int) -> list[asyncpg.Record]:
    """Messages that are due, urgent ones and then the oldest first, with how to reach their recipients; locked, nobody
    waits for another."""
    return await tx.fetch(
        """
        SELECT m.message_id, m.recipient_id, m.facts, m.attempts, m.created_at, m.expires_at, c.contact
        FROM message AS m
        LEFT JOIN contact AS c USING (recipient_id)
        WHERE m.state = 'waiting' AND m.due_at <= $1
        ORDER BY m.urgent DESC, m.due_at, m.message_id
        LIMIT $2
        FOR NO KEY UPDATE OF m SKIP LOCKED
        """,
        at,
        limit,
    )


async def untold_decisions(tx: asyncpg.Connection, recipients: Sequence[str]) -> list[asyncpg.Record]:
    """Decisions whose outcome or amount is another than what these recipients were told last."""
    return await tx.fetch(
        """
        SELECT d.recipient_id, d.programme, d.revision, d.eligible, d.amount_idr, r.text_id, r.text_en,
               CASE WHEN t.eligible THEN t.amount_idr WHEN NOT t.eligible THEN 0 END AS told_idr
        FROM decision AS d
        LEFT JOIN reason AS r ON r.digest = d.reason
        LEFT JOIN LATERAL (
            SELECT t.eligible, t.amount_idr
            FROM told AS t
            JOIN message AS m USING (message_id)
            WHERE (t.recipient_id, t.programme) = (d.recipient_id, d.programme) AND m.state <> 'failed'
            ORDER BY t.revision DESC
            LIMIT 1
        ) AS t ON true
        WHERE d.recipient_id = ANY ($1::text[])
          AND (t.eligible, t.amount_idr) IS DISTINCT FROM (d.eligible, d.amount_idr)
        """,
        recipients,
    )


async def claim(tx: asyncpg.Connection, rows: Sequence[Claim], until: datetime) -> None:
    """Due messages (locked) become `sending` until `until`, or what else the row says."""
    await tx.execute(
        """
        UPDATE message AS m
        SET state = n.state, code = n.code,
            template = coalesce(n.template, m.template), language = coalesce(n.language, m.language),
            attempts = m.attempts + (n.state = 'sending')::int,
            claimed_until = CASE WHEN n.state = 'sending' THEN $6::timestamptz END
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
            AS n (message_id, state, code, template, language)
        WHERE m.message_id = n.message_id
        """,
        *_columns(rows, 5),
        until,
    )


async def postpone(tx: asyncpg.Connection, message_ids: Sequence[str], until: datetime) -> None:
    """These messages (locked) go on waiting."""
    await tx.execute(
        "UPDATE message SET due_at = $2, code = 'key_missing' WHERE message_id = ANY ($1::text[])", message_ids, until
    )


async def keep_told(tx: asyncpg.Connection, rows: Sequence[ToldRow]) -> None:
    """Of two messages about the same decision, of which the first failed, the second counts."""
    await tx.execute(
        """
        INSERT INTO told (recipient_id, programme, revision, eligible, amount_idr, message_id)
        SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bool[], $5::bigint[], $6::text[])
        ORDER BY 1, 2, 3
        ON CONFLICT (recipient_id, programme, revision) DO UPDATE SET message_id = excluded.message_id
        """,
        *_columns(rows, 6),
    )


async def take_back_told(tx: asyncpg.Connection, message_ids: Sequence[str]) -> None:
    """These messages have not left, or will not: what they would have said is still to be told.

    One that failed keeps what it said, which counts as told unless it stays failed: a phone can come back.
    """
    await tx.execute(
        """
        DELETE FROM told AS t
        USING message AS m
        WHERE m.message_id = ANY ($1::text[]) AND t.recipient_id = m.recipient_id AND t.message_id = m.message_id
        """,
        message_ids,
    )


async def lock_messages(
    tx: asyncpg.Connection, message_ids: Sequence[str], back: Sequence[str] = ()
) -> list[asyncpg.Record]:
    """These messages; and about the same things as those that may have to go `back` what waits or is being sent, so
    that no two of them come to wait, and what is about a later revision."""
    return await tx.fetch(
        """
        SELECT message_id, recipient_id, purpose, channel, about, about_revision, state, code, template, created_at,
               due_at, attempts, sent_at, delivered_at, failed_at, unknown_at, revision, cause_id, correlation_id,
               traceparent
        FROM message
        WHERE message_id IN (
            SELECT unnest($1::text[])
            UNION
            SELECT beside.message_id
            FROM message AS m
            JOIN message AS beside ON beside.recipient_id = m.recipient_id AND beside.about = m.about
            WHERE m.message_id = ANY ($2::text[])
                AND (beside.state IN ('waiting', 'sending') OR beside.about_revision > m.about_revision)
        )
        ORDER BY message_id
        FOR NO KEY UPDATE
        """,
        message_ids,
        back,
    )


async def move(tx: asyncpg.Connection, rows: Sequence[Moved], at: datetime) -> None:
    """Writes what has become of (locked) messages."""
    await tx.execute(
        """
        UPDATE message AS m
        SET state = n.state, code = n.code, due_at = n.due_at,
            claimed_until = CASE WHEN n.state = 'sending' THEN m.claimed_until END,
            sent_at = CASE WHEN n.sent THEN coalesce(m.sent_at, $10) END,
            delivered_at = CASE WHEN n.delivered THEN coalesce(m.delivered_at, $10) END,
            failed_at = CASE WHEN n.failed THEN coalesce(m.failed_at, $10) END,
            unknown_at = CASE WHEN n.unknown THEN coalesce(m.unknown_at, $10) END,
            revision = n.revision
        FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bool[], $6::bool[], $7::bool[],
                    $8::bool[], $9::int[])
            AS n (message_id, state, code, due_at, sent, delivered, failed, unknown, revision)
        WHERE m.message_id = n.message_id
        """,
        *_columns(rows, 9),
        at,
    )


async def expired_claims(tx: asyncpg.Connection, at: datetime, limit: int) -> list[str]:
    """Messages whose sender has died: claimed, and the claim has run out. Locked."""
    rows = await tx.fetch(
        """
        SELECT message_id
        FROM message
        WHERE state = 'sending' AND claimed_until < $1
        ORDER BY claimed_until
        LIMIT $2
        FOR NO KEY UPDATE SKIP LOCKED
        """,
        at,
        limit,
    )
    return [row["message_id"] for row in rows]


async def waiting(pool: asyncpg.Pool, most: int) -> tuple[int, float]:
    """How many messages wait, counted up to `most`, and the seconds since the first of them was due; 0 when none is."""
    row = await pool.fetchrow(
        """
        SELECT count(*), greatest(0, coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0))::float8
        FROM (
            SELECT due_at FROM message WHERE state = 'waiting' ORDER BY urgent DESC, due_at, message_id LIMIT $1
        ) AS m
        """,
        most,
    )
    assert row
    return row[0], row[1]


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
