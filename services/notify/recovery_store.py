"""The SQL of a recovery: what events say became of messages, and which may have been sent without an event."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from services.notify.store import reseal
from shared.runtime import resealed_store

MESSAGES_AT_ONCE = 500


class ToldMilestone(NamedTuple):
    """One event about a message; the fields are columns."""

    message_id: str
    recipient_id: str
    purpose: str
    channel: str
    about: str
    template: str
    milestone: str
    revision: int
    code: str | None
    at: datetime
    cause_id: str
    correlation_id: str
    traceparent: str


class Imported(NamedTuple):
    """A message as its events tell it; times by milestone."""

    message_id: str
    state: str
    code: str | None
    template: str
    revision: int
    sent_at: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None
    unknown_at: datetime | None


async def prepare(tx: asyncpg.Connection) -> None:
    """Temporary tables, which end with the transaction."""
    await resealed_store.prepare(tx)
    await tx.execute(
        """
        CREATE TEMP TABLE told_milestone (
            message_id text, recipient_id text, purpose text, channel text, about text, template text, milestone text,
            revision int, code text, at timestamptz, cause_id text, correlation_id text, traceparent text
        ) ON COMMIT DROP;
        CREATE TEMP TABLE touched_message (message_id text PRIMARY KEY) ON COMMIT DROP;
        """
    )


async def keep_told(tx: asyncpg.Connection, rows: Sequence[ToldMilestone]) -> None:
    await tx.copy_records_to_table("told_milestone", records=rows, columns=ToldMilestone._fields)


async def reseal_found(tx: asyncpg.Connection) -> None:
    """Contacts under the newest keys: some were told before the decision that brought them was read again."""
    await tx.execute(reseal(resealed_store.FOUND))


async def add_unknown_messages(tx: asyncpg.Connection) -> None:
    """Messages that were told of and that reading the inputs again did not make: a further one of the same cause, or
    one that was overtaken before it was made."""
    await tx.execute("CREATE INDEX ON told_milestone (message_id, revision); ANALYZE told_milestone")
    await tx.execute(
        """
        INSERT INTO message (message_id, recipient_id, purpose, channel, about, about_revision, facts, state,
            created_at, due_at, cause_id, correlation_id, traceparent)
        SELECT DISTINCT ON (message_id) message_id, recipient_id, purpose, channel, about, 0,
            CASE WHEN about <> 'decision' THEN '{}'::jsonb END, 'superseded', at, at, cause_id, correlation_id,
            traceparent
        FROM told_milestone
        ORDER BY message_id, revision
        ON CONFLICT DO NOTHING
        """
    )
    await tx.execute("INSERT INTO touched_message SELECT DISTINCT message_id FROM told_milestone")


async def messages_told(
    tx: asyncpg.Connection,
) -> AsyncIterator[tuple[dict[str, list[asyncpg.Record]], dict[str, asyncpg.Record]]]:
    """Everything told about some messages, in the order of revisions, and their rows; until all were there."""
    after = ""
    while True:
        told = await tx.fetch(
            """
            SELECT t.*
            FROM (
                SELECT message_id FROM touched_message WHERE message_id > $1 ORDER BY message_id LIMIT $2
            ) AS k
            JOIN told_milestone AS t USING (message_id)
            ORDER BY t.message_id, t.revision
            """,
            after,
            MESSAGES_AT_ONCE,
        )
        if not told:
            return
        by_message: dict[str, list[asyncpg.Record]] = {}
        for row in told:
            by_message.setdefault(row["message_id"], []).append(row)
        rows = await tx.fetch("SELECT * FROM message WHERE message_id = ANY ($1::text[])", list(by_message))
        yield by_message, {row["message_id"]: row for row in rows}
        after = told[-1]["message_id"]


async def write(tx: asyncpg.Connection, rows: Sequence[Imported]) -> None:
    await tx.execute(
        """
        UPDATE message AS m
        SET state = n.state, code = n.code, template = n.template, revision = n.revision, claimed_until = NULL,
            attempts = greatest(m.attempts, 1), sent_at = n.sent_at, delivered_at = n.delivered_at,
            failed_at = n.failed_at, unknown_at = n.unknown_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::timestamptz[], $7::timestamptz[],
                    $8::timestamptz[], $9::timestamptz[])
            AS n (message_id, state, code, template, revision, sent_at, delivered_at, failed_at, unknown_at)
        WHERE m.message_id = n.message_id
        """,
        *map(list, zip(*rows, strict=True)),
    )


async def take_what_may_have_been_sent(tx: asyncpg.Connection, at: datetime) -> AsyncIterator[list[asyncpg.Record]]:
    """The messages that wait, or whose sender is gone, some at a time and each once: they count as being sent by
    somebody who has died."""
    after = ""
    while True:
        rows: list[asyncpg.Record] = await tx.fetch(
            """
            WITH taken AS (
                UPDATE message AS m
                SET state = 'sending', attempts = m.attempts + (m.state = 'waiting')::int, claimed_until = $1
                WHERE m.message_id IN (
                    SELECT message_id FROM message
                    WHERE state IN ('waiting', 'sending') AND message_id > $2
                    ORDER BY message_id
                    LIMIT $3
                )
                RETURNING m.message_id, m.attempts
            ), touched AS (
                INSERT INTO touched_message SELECT message_id FROM taken
                ON CONFLICT DO NOTHING
            )
            SELECT * FROM taken
            ORDER BY message_id
            """,
            at,
            after,
            MESSAGES_AT_ONCE,
        )
        if not rows:
            return
        yield rows
        after = rows[-1]["message_id"]


async def keep_told_decisions(tx: asyncpg.Connection) -> None:
    """Whoever got a message about decisions that arrived, or may have, knows what is decided now: which of them that
    message told is not known any more, and nobody is told twice. What a failed message said does not count."""
    await tx.execute(
        """
        INSERT INTO told (recipient_id, programme, revision, eligible, amount_idr, message_id)
        SELECT d.recipient_id, d.programme, d.revision, d.eligible, d.amount_idr, m.message_id
        FROM (
            SELECT DISTINCT ON (recipient_id) recipient_id, message_id
            FROM touched_message AS k
            JOIN message AS m USING (message_id)
            WHERE m.about = 'decision' AND m.state IN ('unknown', 'sent', 'delivered', 'read')
            ORDER BY recipient_id, created_at DESC, message_id
        ) AS m
        JOIN decision AS d USING (recipient_id)
        LEFT JOIN LATERAL (
            SELECT t.eligible, t.amount_idr
            FROM told AS t
            JOIN message AS said USING (message_id)
            WHERE (t.recipient_id, t.programme) = (d.recipient_id, d.programme) AND said.state <> 'failed'
            ORDER BY t.revision DESC
            LIMIT 1
        ) AS t ON true
        WHERE (t.eligible, t.amount_idr) IS DISTINCT FROM (d.eligible, d.amount_idr)
        ORDER BY 1, 2
        ON CONFLICT (recipient_id, programme, revision) DO UPDATE SET message_id = excluded.message_id
        """
    )
