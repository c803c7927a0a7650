"""The SQL of a recovery: what events say was decided, and the registrations and flags from which it followed."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from services.eligibility.store import CurrentDecision, reseal_flags, reseal_values
from shared.runtime import resealed_store
from shared.runtime.resealed import FlagValues, Values

Key = tuple[str, int]
"""Recipient and revision."""


class FoundRegistration(NamedTuple):
    """A registration that was read again; the fields are columns."""

    recipient_id: str
    revision: int
    registered_at: datetime
    family_id: str
    village: str
    decile: int
    eligibility: str
    payment: str | None
    contact: str | None
    cause_id: str
    correlation_id: str
    traceparent: str


async def prepare(tx: asyncpg.Connection) -> None:
    """Temporary tables, which end with the transaction."""
    await resealed_store.prepare(tx)
    await tx.execute(
        """
        CREATE TEMP TABLE told_decision (
            recipient_id text, programme text, revision int, programme_version int, outcome text, amount_idr bigint,
            reasons text, registration_revision int, flag_revision int, decided_at timestamptz
        ) ON COMMIT DROP;
        CREATE TEMP TABLE found_registration (
            recipient_id text, revision int, registered_at timestamptz, family_id text, village text, decile smallint,
            eligibility text, payment text, contact text, cause_id text, correlation_id text, traceparent text
        ) ON COMMIT DROP;
        CREATE TEMP TABLE found_flags (recipient_id text, revision int, flags text) ON COMMIT DROP;
        CREATE TEMP TABLE found_flag_values (
            recipient_id text, revision int, sequence bigint, flags text
        ) ON COMMIT DROP;
        """
    )


async def keep_told(tx: asyncpg.Connection, rows: Sequence[CurrentDecision]) -> None:
    await tx.copy_records_to_table("told_decision", records=rows, columns=CurrentDecision._fields)


async def sum_up(tx: asyncpg.Connection) -> None:
    """Of each recipient, what the newest told decisions rest on."""
    await tx.execute(
        """
        CREATE TEMP TABLE told_recipient ON COMMIT DROP AS
        SELECT recipient_id, max(registration_revision) AS registration_revision, max(flag_revision) AS flag_revision
        FROM told_decision
        GROUP BY recipient_id;
        ALTER TABLE told_recipient ADD PRIMARY KEY (recipient_id);
        ANALYZE told_recipient;
        """
    )


async def versions_told(tx: asyncpg.Connection) -> list[tuple[str, int]]:
    """The newest version of each programme under which anything was decided."""
    rows = await tx.fetch("SELECT programme, max(programme_version) FROM told_decision GROUP BY 1 ORDER BY 1")
    return [(row[0], row[1]) for row in rows]


async def rest_on(tx: asyncpg.Connection, recipients: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Recipient → revisions of registration and flags that were decided upon, as far as anybody was told."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, registration_revision, flag_revision
        FROM told_recipient
        WHERE recipient_id = ANY ($1::text[])
        """,
        recipients,
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def keep_found(
    tx: asyncpg.Connection, registrations: Sequence[FoundRegistration], flags: Sequence[tuple[str, int, str]]
) -> None:
    await tx.copy_records_to_table("found_registration", records=registrations, columns=FoundRegistration._fields)
    await tx.copy_records_to_table("found_flags", records=flags, columns=("recipient_id", "revision", "flags"))


async def keep_resealed(tx: asyncpg.Connection, values: Sequence[Values], flags: Sequence[FlagValues]) -> None:
    await resealed_store.keep(tx, values)
    await tx.copy_records_to_table("found_flag_values", records=flags, columns=FlagValues._fields)


async def import_resealed(tx: asyncpg.Connection) -> None:
    """What was told last of the registrations and flags that stand, under the newest keys."""
    await tx.execute(reseal_values(resealed_store.FOUND))
    await tx.execute(
        reseal_flags(
            """
            SELECT DISTINCT ON (recipient_id, revision) *
            FROM found_flag_values
            ORDER BY recipient_id, revision, sequence DESC
            """
        )
    )


async def import_recipients(tx: asyncpg.Connection, rulebook_id: int) -> int:
    """People as they were when they were decided. Who is new counts as decided under the earliest rules, so that the
    sweep looks whether later ones are in force."""
    await tx.execute(
        """
        INSERT INTO family (family_id)
        SELECT DISTINCT family_id FROM found_registration ORDER BY 1
        ON CONFLICT DO NOTHING
        """
    )
    status = await tx.execute(
        """
        INSERT INTO recipient AS r (recipient_id, registration_revision, flag_revision, flags, registered_at, family_id,
            village, decile, eligibility, payment, contact, cause_id, correlation_id, traceparent, rulebook_id)
        SELECT t.recipient_id, n.revision, coalesce(f.revision, 0), f.flags, n.registered_at, n.family_id, n.village,
            n.decile, n.eligibility, n.payment, n.contact, n.cause_id, n.correlation_id, n.traceparent,
            coalesce((SELECT min(rulebook_id) FROM rulebook), $1)
        FROM told_recipient AS t
        JOIN (
            SELECT DISTINCT ON (recipient_id) * FROM found_registration ORDER BY recipient_id, revision DESC
        ) AS n USING (recipient_id)
        LEFT JOIN (
            SELECT DISTINCT ON (recipient_id) * FROM found_flags ORDER BY recipient_id, revision DESC
        ) AS f USING (recipient_id)
        ORDER BY t.recipient_id
        ON CONFLICT (recipient_id) DO UPDATE
        SET registration_revision = excluded.registration_revision, registered_at = excluded.registered_at,
            family_id = excluded.family_id, village = excluded.village, decile = excluded.decile,
            eligibility = excluded.eligibility, payment = excluded.payment, contact = excluded.contact,
            cause_id = excluded.cause_id, correlation_id = excluded.correlation_id,
            traceparent = excluded.traceparent, rulebook_id = coalesce(r.rulebook_id, excluded.rulebook_id)
        WHERE r.registration_revision < excluded.registration_revision
        """,
        rulebook_id,
    )
    await tx.execute(
        """
        UPDATE recipient AS r SET flag_revision = f.revision, flags = f.flags
        FROM (SELECT DISTINCT ON (recipient_id) * FROM found_flags ORDER BY recipient_id, revision DESC) AS f
        WHERE r.recipient_id = f.recipient_id AND r.flag_revision < f.revision
        """
    )
    return int(status.rpartition(" ")[2])


async def not_found(tx: asyncpg.Connection) -> list[str]:
    """Some recipients who were decided on a registration or flags that neither rows nor inputs hold."""
    rows = await tx.fetch(
        """
        SELECT t.recipient_id
        FROM told_recipient AS t
        LEFT JOIN recipient AS r USING (recipient_id)
        WHERE coalesce(r.registration_revision, 0) < t.registration_revision
            OR coalesce(r.flag_revision, 0) < t.flag_revision
        LIMIT 5
        """
    )
    return [row[0] for row in rows]


async def import_decisions(tx: asyncpg.Connection) -> int:
    """The highest revision of each recipient and programme."""
    status = await tx.execute(
        """
        INSERT INTO decision AS d (recipient_id, programme, revision, programme_version, outcome, amount_idr, reasons,
            registration_revision, flag_revision, decided_at)
        SELECT DISTINCT ON (recipient_id, programme)
            recipient_id, programme, revision, programme_version, outcome, amount_idr, reasons, registration_revision,
            flag_revision, decided_at
        FROM told_decision
        ORDER BY recipient_id, programme, revision DESC
        ON CONFLICT (recipient_id, programme) DO UPDATE
        SET revision = excluded.revision, programme_version = excluded.programme_version,
            outcome = excluded.outcome, amount_idr = excluded.amount_idr, reasons = excluded.reasons,
            registration_revision = excluded.registration_revision, flag_revision = excluded.flag_revision,
            decided_at = excluded.decided_at
        WHERE d.revision < excluded.revision
        """
    )
    return int(status.rpartition(" ")[2])


async def import_payees(tx: asyncpg.Connection, programmes: Sequence[str]) -> None:
    """Who of a family is paid in these programmes: whose decision says so; of two, the one who was decided last.

    Those of everybody who was decided anew or has left a family, and of the families that they are in now.
    """
    await tx.execute(
        """
        CREATE TEMP TABLE touched_family ON COMMIT DROP AS
        SELECT r.family_id FROM told_recipient AS t JOIN recipient AS r USING (recipient_id)
        UNION
        SELECT f.family_id FROM told_recipient AS t JOIN family_payee AS f USING (recipient_id)
        """
    )
    await tx.execute("DELETE FROM family_payee WHERE family_id IN (SELECT family_id FROM touched_family)")
    await tx.execute(
        """
        INSERT INTO family_payee (family_id, programme, recipient_id)
        SELECT DISTINCT ON (r.family_id, d.programme) r.family_id, d.programme, d.recipient_id
        FROM touched_family AS t
        JOIN recipient AS r USING (family_id)
        JOIN decision AS d USING (recipient_id)
        WHERE d.outcome = 'eligible' AND d.programme = ANY ($1::text[])
        ORDER BY r.family_id, d.programme, d.decided_at DESC, d.recipient_id
        """,
        programmes,
    )


async def half_told(tx: asyncpg.Connection, programmes: Sequence[str]) -> dict[str, list[str]]:
    """Recipient → programmes that were not decided with the others when registration or flags changed."""
    rows = await tx.fetch(
        """
        SELECT r.recipient_id, p.programme
        FROM told_recipient AS t
        JOIN recipient AS r USING (recipient_id)
        CROSS JOIN unnest($1::text[]) AS p (programme)
        LEFT JOIN decision AS d ON (d.recipient_id, d.programme) = (r.recipient_id, p.programme)
        WHERE (d.registration_revision, d.flag_revision) IS DISTINCT FROM (r.registration_revision, r.flag_revision)
        ORDER BY 1, 2
        """,
        programmes,
    )
    found: dict[str, list[str]] = {}
    for recipient_id, programme in rows:
        found.setdefault(recipient_id, []).append(programme)
    return found


async def unsettled_families(tx: asyncpg.Connection, programmes: Sequence[str]) -> dict[str, list[str]]:
    """Family → one of its recipients each: where two are to be paid in one of these programmes, or one is not for
    another's sake and there is no other. Only a part of what was decided about them together was told."""
    rows = await tx.fetch(
        """
        SELECT r.family_id, min(r.recipient_id)
        FROM touched_family AS t
        JOIN recipient AS r USING (family_id)
        JOIN decision AS d USING (recipient_id)
        WHERE d.programme = ANY ($1::text[])
        GROUP BY r.family_id, d.programme
        HAVING count(*) FILTER (WHERE d.outcome = 'eligible') > 1
            OR (count(*) FILTER (WHERE d.outcome = 'eligible') = 0 AND bool_or(d.reasons = 'not_the_payee'))
        ORDER BY 1
        """,
        programmes,
    )
    return {row[0]: [row[1]] for row in rows}
