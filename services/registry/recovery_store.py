"""The SQL of a recovery: what events say of answers and recipients, and what the submissions behind them said."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

Key = tuple[str, str]
"""Source and id of a submission."""


class ToldAnswer(NamedTuple):
    """An event that answers a submission; the fields are columns. `revision` is that of a registration."""

    source: str
    id: str
    kind: str
    subject: str
    answer: str
    detail: str | None
    problems: list[str] | None
    answered_at: datetime
    revision: int | None
    order_at: datetime | None


class ToldReused(NamedTuple):
    """An event that says that another content came under a used id."""

    event_id: str
    source: str
    id: str
    answered_at: datetime


class ToldRecipient(NamedTuple):
    """What `recipient.registered` says of a recipient, and in answer to which submission."""

    recipient_id: str
    revision: int
    registered_at: datetime
    source: str
    id: str
    submitted_at: datetime
    family_id: str
    village: str
    decile: int
    eligibility: str
    payment: str | None
    contact: str | None


class ToldResealed(NamedTuple):
    """What `recipient.resealed` says of a registration's values."""

    recipient_id: str
    revision: int
    eligibility: str | None
    payment: str | None
    contact: str | None


class Found(NamedTuple):
    """The submission behind an answer, as it was read again. `facts_digest` of a valid registration."""

    source: str
    id: str
    content_digest: bytes
    facts_digest: bytes | None
    recipient_id: str | None
    submitted_at: datetime | None


async def prepare(tx: asyncpg.Connection) -> None:
    """Temporary tables, which end with the transaction."""
    await tx.execute(
        """
        CREATE TEMP TABLE told_answer (
            source text, id text, kind text, subject text, answer text, detail text, problems text[],
            answered_at timestamptz, revision int, order_at timestamptz
        ) ON COMMIT DROP;
        CREATE TEMP TABLE told_reused (event_id text, source text, id text, answered_at timestamptz) ON COMMIT DROP;
        CREATE TEMP TABLE told_recipient (
            recipient_id text, revision int, registered_at timestamptz, source text, id text, submitted_at timestamptz,
            family_id text, village text, decile int, eligibility text, payment text, contact text
        ) ON COMMIT DROP;
        CREATE TEMP TABLE told_resealed (
            number bigint GENERATED ALWAYS AS IDENTITY, recipient_id text, revision int, eligibility text,
            payment text, contact text
        ) ON COMMIT DROP;
        CREATE TEMP TABLE told_flags (recipient_id text, revision int) ON COMMIT DROP;
        CREATE TEMP TABLE found (
            source text, id text, content_digest bytea, facts_digest bytea, recipient_id text, submitted_at timestamptz,
            PRIMARY KEY (source, id)
        ) ON COMMIT DROP;
        CREATE TEMP TABLE found_reused (event_id text PRIMARY KEY, content_digest bytea) ON COMMIT DROP;
        """
    )


async def keep(
    tx: asyncpg.Connection,
    answers: Sequence[ToldAnswer],
    reused: Sequence[ToldReused],
    recipients: Sequence[ToldRecipient],
    flags: Sequence[tuple[str, int]],
) -> None:
    await tx.copy_records_to_table("told_answer", records=answers, columns=ToldAnswer._fields)
    await tx.copy_records_to_table("told_reused", records=reused, columns=ToldReused._fields)
    await tx.copy_records_to_table("told_recipient", records=recipients, columns=ToldRecipient._fields)
    await tx.copy_records_to_table("told_flags", records=flags, columns=("recipient_id", "revision"))


async def keep_resealed(tx: asyncpg.Connection, rows: Sequence[ToldResealed]) -> None:
    """In the order in which they were told."""
    await tx.copy_records_to_table("told_resealed", records=rows, columns=ToldResealed._fields)


async def import_people(tx: asyncpg.Connection) -> None:
    """Whoever a valid submission named, and the revision of their flags."""
    await tx.execute("CREATE INDEX ON told_answer (source, id); CREATE INDEX ON told_reused (source, id)")
    await tx.execute("ANALYZE told_answer; ANALYZE told_reused; ANALYZE told_recipient")
    await tx.execute(
        """
        INSERT INTO person (recipient_id)
        SELECT DISTINCT subject FROM told_answer WHERE answer <> 'rejected' ORDER BY 1
        ON CONFLICT DO NOTHING
        """
    )
    await tx.execute(
        """
        UPDATE person AS p SET flag_revision = greatest(p.flag_revision, t.revision)
        FROM (SELECT recipient_id, max(revision) AS revision FROM told_flags GROUP BY recipient_id) AS t
        WHERE p.recipient_id = t.recipient_id
        """
    )


async def changes_untold(tx: asyncpg.Connection) -> set[str]:
    """Recipients of whom an answer names a revision that no `recipient.registered` has told."""
    rows = await tx.fetch(
        """
        SELECT a.subject
        FROM told_answer AS a
        LEFT JOIN recipient AS r ON r.recipient_id = a.subject
        LEFT JOIN (
            SELECT recipient_id, max(revision) AS revision FROM told_recipient GROUP BY recipient_id
        ) AS t ON t.recipient_id = a.subject
        WHERE a.answer = 'unchanged'
        GROUP BY a.subject
        HAVING max(a.revision) > greatest(coalesce(max(r.revision), 0), coalesce(max(t.revision), 0))
        """
    )
    return {row[0] for row in rows}


async def facts_repeated(tx: asyncpg.Connection, recipients: Collection[str]) -> dict[str, bytes]:
    """Recipient → digest of the facts that the latest submission was told to repeat."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (a.subject) a.subject, f.facts_digest
        FROM told_answer AS a
        JOIN found AS f USING (source, id)
        WHERE a.subject = ANY ($1::text[]) AND a.detail = 'identical' AND f.facts_digest IS NOT NULL
        ORDER BY a.subject, a.revision DESC, a.order_at DESC
        """,
        list(recipients),
    )
    return {row[0]: row[1] for row in rows}


async def answers_of(tx: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, asyncpg.Record]:
    """What was told of these submissions and whose content was not found yet."""
    rows = await tx.fetch(
        """
        SELECT a.source, a.id, a.kind, a.subject, a.answered_at
        FROM told_answer AS a
        JOIN unnest($1::text[], $2::text[]) AS k (source, id) USING (source, id)
        WHERE NOT EXISTS (SELECT FROM found AS f WHERE (f.source, f.id) = (a.source, a.id))
        """,
        *_columns(keys),
    )
    return {(row["source"], row["id"]): row for row in rows}


async def reused_of(tx: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, list[asyncpg.Record]]:
    """What was told of further contents under these ids."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT r.event_id, r.source, r.id, r.answered_at
        FROM told_reused AS r
        JOIN unnest($1::text[], $2::text[]) AS k (source, id) USING (source, id)
        """,
        *_columns(keys),
    )
    found: dict[Key, list[asyncpg.Record]] = {}
    for row in rows:
        found.setdefault((row["source"], row["id"]), []).append(row)
    return found


async def keep_found(tx: asyncpg.Connection, found: Sequence[Found], reused: Sequence[tuple[str, bytes]]) -> None:
    await tx.copy_records_to_table("found", records=found, columns=Found._fields)
    await tx.executemany("INSERT INTO found_reused VALUES ($1, $2) ON CONFLICT DO NOTHING", reused)


async def not_found(tx: asyncpg.Connection) -> tuple[int, Key | None]:
    """How many submissions were answered and are not in the inputs any more, and one of them."""
    row = await tx.fetchrow(
        """
        WITH missing AS (
            SELECT source, id FROM told_answer AS a
            WHERE NOT EXISTS (SELECT FROM found AS f WHERE (f.source, f.id) = (a.source, a.id))
            UNION ALL
            SELECT source, id FROM told_reused AS r
            WHERE NOT EXISTS (SELECT FROM found_reused AS f WHERE f.event_id = r.event_id)
        )
        SELECT source, id, count(*) OVER () FROM missing LIMIT 1
        """
    )
    return (row[2], (row[0], row[1])) if row else (0, None)


async def import_answers(tx: asyncpg.Connection) -> int:
    status = await tx.execute(
        """
        INSERT INTO submission (source, id, kind, content_digest, recipient_id, answer, detail, problems, submitted_at,
            answered_at)
        SELECT a.source, a.id, a.kind, f.content_digest,
            coalesce(f.recipient_id, CASE WHEN a.subject LIKE 'r-%' THEN a.subject END), -- erased: its event knows
            a.answer, a.detail, a.problems, f.submitted_at, a.answered_at
        FROM told_answer AS a
        JOIN found AS f USING (source, id)
        ORDER BY a.source, a.id
        """
    )
    await tx.execute(
        """
        INSERT INTO reused_id (source, id, content_digest, answered_at)
        SELECT r.source, r.id, f.content_digest, r.answered_at
        FROM told_reused AS r
        JOIN found_reused AS f USING (event_id)
        ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING
        """
    )
    return int(status.rpartition(" ")[2])


async def import_recipients(tx: asyncpg.Connection) -> int:
    """What was told last of each, with the digest of what the submission said that it followed from."""
    status = await tx.execute(
        """
        INSERT INTO recipient AS r (recipient_id, revision, registered_at, won_submitted_at, won_source, won_id,
            content_digest, family_id, village, decile, eligibility, payment, contact)
        SELECT DISTINCT ON (t.recipient_id)
            t.recipient_id, t.revision, t.registered_at, t.submitted_at, t.source, t.id, f.facts_digest, t.family_id,
            t.village, t.decile, t.eligibility, t.payment, t.contact
        FROM told_recipient AS t
        JOIN found AS f USING (source, id)
        ORDER BY t.recipient_id, t.revision DESC
        ON CONFLICT (recipient_id) DO UPDATE
        SET revision = excluded.revision, won_submitted_at = excluded.won_submitted_at,
            won_source = excluded.won_source, won_id = excluded.won_id, content_digest = excluded.content_digest,
            family_id = excluded.family_id, village = excluded.village, decile = excluded.decile,
            eligibility = excluded.eligibility, payment = excluded.payment, contact = excluded.contact
        WHERE r.revision < excluded.revision
        """
    )
    return int(status.rpartition(" ")[2])


async def import_resealed(tx: asyncpg.Connection) -> int:
    """What was told last of the registration that stands: its values under a newer key."""
    status = await tx.execute(
        """
        UPDATE recipient AS r
        SET eligibility = n.eligibility,
            payment = CASE WHEN r.payment IS NOT NULL THEN n.payment END,
            contact = CASE WHEN r.contact IS NOT NULL THEN n.contact END
        FROM (
            SELECT DISTINCT ON (recipient_id, revision) *
            FROM told_resealed
            WHERE revision > 0
            ORDER BY recipient_id, revision, number DESC
        ) AS n
        WHERE (r.recipient_id, r.revision) = (n.recipient_id, n.revision)
        """
    )
    return int(status.rpartition(" ")[2])


async def move_winners(tx: asyncpg.Connection) -> None:
    """The latest of the valid registrations that were answered holds, also where it said nothing new."""
    await tx.execute(
        """
        UPDATE recipient AS r
        SET won_submitted_at = w.order_at, won_source = w.source, won_id = w.id
        FROM (
            SELECT DISTINCT ON (subject) subject, order_at, source, id
            FROM told_answer
            WHERE answer IN ('registered', 'unchanged')
            ORDER BY subject, order_at DESC, source COLLATE "C" DESC, id COLLATE "C" DESC
        ) AS w
        WHERE r.recipient_id = w.subject
            AND (r.won_submitted_at, r.won_source COLLATE "C", r.won_id COLLATE "C") < (w.order_at, w.source, w.id)
        """
    )


def _columns(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    listed = list(keys)
    return [source for source, _ in listed], [submission_id for _, submission_id in listed]
