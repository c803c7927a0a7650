"""Every SQL statement of the registry: set-based, rows in the order of their keys.

People are locked first (`lock_people`), by everyone in the same order; what is read of them after that stays so until
the transaction ends.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import asyncpg

from services.registry.domain.fold import Flag, FlagOrder, Flags, Known, Order

Key = tuple[str, str]


class AnswerRow(NamedTuple):
    """One line of `submission`, in the order of its columns; `problems` are FIELD:CODE."""

    source: str
    id: str
    kind: str
    content_digest: bytes
    recipient_id: str | None
    answer: str
    detail: str | None
    problems: list[str] | None
    submitted_at: datetime | None
    answered_at: datetime


class RecipientRow(NamedTuple):
    """One line of `recipient`, in the order of its columns; sealed values as plain text."""

    recipient_id: str
    revision: int
    registered_at: datetime
    won_submitted_at: datetime
    won_source: str
    won_id: str
    content_digest: bytes
    family_id: str
    village: str
    decile: int
    eligibility: str
    payment: str | None
    contact: str | None


class FlagRow(NamedTuple):
    """One line of `flag`, in the order of its columns."""

    recipient_id: str
    code: str
    raised: bool
    since: date
    won_submitted_at: datetime
    won_source: str
    won_id: str


class Registered(NamedTuple):
    """A person's registration as it is known before a batch."""

    known: Known
    registered_at: datetime


async def lock_people(tx: asyncpg.Connection, recipients: Collection[str]) -> frozenset[str]:
    """Locks these people until the transaction ends, and returns those who were not known before.

    Those who are new are inserted in the order of their ids, then those who were known are locked in the same order,
    so that two transactions never wait for each other.
    """
    new = await tx.fetch(
        """
        INSERT INTO person (recipient_id)
        SELECT * FROM unnest($1::text[]) AS r (recipient_id)
        ORDER BY recipient_id
        ON CONFLICT DO NOTHING
        RETURNING recipient_id
        """,
        list(recipients),
    )
    inserted = frozenset(row["recipient_id"] for row in new)
    if known := [r for r in recipients if r not in inserted]:
        await tx.execute(
            "SELECT FROM person WHERE recipient_id = ANY($1::text[]) ORDER BY recipient_id FOR UPDATE", known
        )
    return inserted


async def answered(tx: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, bytes]:
    """The content digests of those of these submissions (source, id) that were answered."""
    sources, ids = _columns(keys, 2)
    rows = await tx.fetch(
        """
        SELECT source, id, content_digest
        FROM submission
        JOIN unnest($1::text[], $2::text[]) AS k (source, id) USING (source, id)
        """,
        sources,
        ids,
    )
    return {(row["source"], row["id"]): row["content_digest"] for row in rows}


async def record_answers(tx: asyncpg.Connection, rows: Iterable[AnswerRow]) -> bool:
    """Writes the answers. False, with nothing written, when another worker has just answered one of them."""
    point = tx.transaction()
    await point.start()
    try:
        in_order = sorted(rows, key=lambda row: row[:2])
        await tx.copy_records_to_table("submission", records=in_order, columns=AnswerRow._fields)
    except asyncpg.UniqueViolationError:
        await point.rollback()
        return False
    await point.commit()
    return True


async def record_reused(
    tx: asyncpg.Connection, contents: Iterable[tuple[str, str, bytes]], at: datetime
) -> frozenset[tuple[str, str, bytes]]:
    """Writes down contents (source, id, digest) that came under a used id; returns those that are told so now."""
    rows = await tx.fetch(
        """
        INSERT INTO reused_id (source, id, content_digest, answered_at)
        SELECT *, $4 FROM unnest($1::text[], $2::text[], $3::bytea[]) AS r (source, id, content_digest)
        ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING
        RETURNING source, id, content_digest
        """,
        *_columns(contents, 3),
        at,
    )
    return frozenset((row["source"], row["id"], row["content_digest"]) for row in rows)


async def registered(tx: asyncpg.Connection, recipients: Collection[str]) -> dict[str, Registered]:
    """What is registered of these people, who are locked."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, revision, registered_at, won_submitted_at, won_source, won_id, content_digest
        FROM recipient
        WHERE recipient_id = ANY($1::text[])
        """,
        list(recipients),
    )
    return {
        row["recipient_id"]: Registered(
            Known(
                row["revision"],
                Order(row["won_submitted_at"], row["won_source"], row["won_id"]),
                row["content_digest"],
            ),
            row["registered_at"],
        )
        for row in rows
    }


async def village(tx: asyncpg.Connection, recipient_id: str) -> str | None:
    """Where this person stands, until the transaction ends; None for somebody who is not registered.

    It waits for whoever is changing it, and sees what they made of it.
    """
    found: str | None = await tx.fetchval(
        "SELECT village FROM recipient WHERE recipient_id = $1 FOR SHARE", recipient_id
    )
    return found


async def insert_recipients(tx: asyncpg.Connection, rows: Sequence[RecipientRow]) -> None:
    await tx.copy_records_to_table("recipient", records=rows, columns=RecipientRow._fields)


async def update_recipients(tx: asyncpg.Connection, rows: Sequence[RecipientRow]) -> None:
    """Replaces what is registered of people who are locked; when they were first registered stays."""
    await tx.execute(
        """
        UPDATE recipient AS r
        SET revision = n.revision,
            won_submitted_at = n.won_submitted_at, won_source = n.won_source, won_id = n.won_id,
            content_digest = n.content_digest, family_id = n.family_id, village = n.village, decile = n.decile,
            eligibility = n.eligibility, payment = n.payment, contact = n.contact
        FROM unnest(
            $1::text[], $2::int[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::bytea[],
            $8::text[], $9::text[], $10::int[], $11::text[], $12::text[], $13::text[]
        ) AS n (
            recipient_id, revision, registered_at, won_submitted_at, won_source, won_id, content_digest,
            family_id, village, decile, eligibility, payment, contact
        )
        WHERE r.recipient_id = n.recipient_id
        """,
        *_columns(rows, len(RecipientRow._fields)),
    )


async def move_winners(tx: asyncpg.Connection, won_by: Mapping[str, Order]) -> None:
    """Notes a later submission that said the same, for people who are locked."""
    await tx.execute(
        """
        UPDATE recipient AS r
        SET won_submitted_at = n.won_submitted_at, won_source = n.won_source, won_id = n.won_id
        FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[])
            AS n (recipient_id, won_submitted_at, won_source, won_id)
        WHERE r.recipient_id = n.recipient_id
        """,
        *_columns(((recipient, *order) for recipient, order in won_by.items()), 4),
    )


async def flags(tx: asyncpg.Connection, recipients: Collection[str]) -> dict[str, Flags]:
    """All that was stated about flags of these people, who are locked."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, flag_revision, code, raised, since, won_submitted_at, won_source, won_id
        FROM person
        JOIN flag USING (recipient_id)
        WHERE recipient_id = ANY($1::text[])
        """,
        list(recipients),
    )
    found: dict[str, Flags] = {}
    by_code: dict[str, dict[str, Flag]] = {}
    for row in rows:
        recipient = row["recipient_id"]
        codes = by_code.setdefault(recipient, {})
        found.setdefault(recipient, Flags(row["flag_revision"], codes))
        order = Order(row["won_submitted_at"], row["won_source"], row["won_id"])
        codes[row["code"]] = Flag(row["raised"], FlagOrder(row["since"], order))
    return found


async def save_flags(tx: asyncpg.Connection, rows: Iterable[FlagRow], revisions: Mapping[str, int]) -> None:
    """Writes flags of people who are locked, and the revision each of these people has now."""
    await tx.execute(
        """
        INSERT INTO flag (recipient_id, code, raised, since, won_submitted_at, won_source, won_id)
        SELECT *
        FROM unnest($1::text[], $2::text[], $3::bool[], $4::date[], $5::timestamptz[], $6::text[], $7::text[])
        ORDER BY 1, 2
        ON CONFLICT (recipient_id, code) DO UPDATE
        SET raised = excluded.raised, since = excluded.since, won_submitted_at = excluded.won_submitted_at,
            won_source = excluded.won_source, won_id = excluded.won_id
        """,
        *_columns(rows, len(FlagRow._fields)),
    )
    await tx.execute(
        """
        UPDATE person AS p
        SET flag_revision = n.revision
        FROM unnest($1::text[], $2::int[]) AS n (recipient_id, revision)
        WHERE p.recipient_id = n.recipient_id AND p.flag_revision <> n.revision
        """,
        *_columns(revisions.items(), 2),
    )


async def receive(
    tx: asyncpg.Connection, source: str, submission_id: str, kind: str, digest: bytes, at: datetime
) -> tuple[bool, bytes, str]:
    """Takes a submission from HTTP. Says whether it is new, and the digest and kind that its id stands for."""
    row = await tx.fetchrow(
        """
        WITH known AS (
            SELECT content_digest, kind FROM submission WHERE (source, id) = ($1, $2)
        ), taken AS (
            INSERT INTO received (source, id, kind, content_digest, received_at)
            SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM known)
            ON CONFLICT DO NOTHING
            RETURNING content_digest, kind
        )
        SELECT true AS new, * FROM taken
        UNION ALL
        SELECT false, * FROM known
        """,
        source,
        submission_id,
        kind,
        digest,
        at,
    )
    if row is None:  # it was received before, perhaps a moment ago by a neighbour
        row = await tx.fetchrow(
            "SELECT false AS new, content_digest, kind FROM received WHERE (source, id) = ($1, $2)",
            source,
            submission_id,
        )
    assert row is not None, "a row that is in the way is there"
    return row["new"], row["content_digest"], row["kind"]


async def standing(
    connection: asyncpg.Connection | asyncpg.Pool, source: str, submission_id: str, kind: str
) -> Mapping[str, Any] | None:
    """Where a submission stands: its answer, or only when it was received; None for one that nobody sent."""
    row = await connection.fetchrow(
        """
        SELECT s.answer, s.detail, s.problems, s.recipient_id, s.submitted_at, s.answered_at, r.received_at
        FROM (SELECT * FROM submission WHERE (source, id, kind) = ($1, $2, $3)) AS s
        FULL JOIN (SELECT * FROM received WHERE (source, id, kind) = ($1, $2, $3)) AS r USING (source, id)
        """,
        source,
        submission_id,
        kind,
    )
    return dict(row) if row else None


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]
