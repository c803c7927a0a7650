"""The SQL of resealing: what is kept of people under older keys, and the same under the keys in use."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg


class Kept(NamedTuple):
    """What is kept of a person; sealed values as plain text. `revision` 0: not registered, only flags are known."""

    recipient_id: str
    flag_revision: int
    revision: int
    eligibility: str | None
    payment: str | None
    contact: str | None


async def lock_known(tx: asyncpg.Connection, recipients: Sequence[str]) -> list[str]:
    """Those of these people who are known, in the order of their ids and locked until the transaction ends."""
    rows = await tx.fetch(
        "SELECT recipient_id FROM person WHERE recipient_id = ANY($1::text[]) ORDER BY recipient_id FOR UPDATE",
        recipients,
    )
    return [row["recipient_id"] for row in rows]


async def kept_of(tx: asyncpg.Connection, recipients: Sequence[str]) -> list[Kept]:
    """Of people who are locked, in the order of their ids."""
    rows = await tx.fetch(
        """
        SELECT recipient_id, p.flag_revision, coalesce(r.revision, 0), r.eligibility, r.payment, r.contact
        FROM person AS p
        LEFT JOIN recipient AS r USING (recipient_id)
        WHERE recipient_id = ANY($1::text[])
        ORDER BY recipient_id
        """,
        recipients,
    )
    return [Kept(*row) for row in rows]


async def replace_sealed(tx: asyncpg.Connection, rows: Sequence[Kept]) -> None:
    """Writes the sealed values of people who are locked and registered; a value is only ever replaced by a value."""
    await tx.execute(
        """
        UPDATE recipient AS r
        SET eligibility = n.eligibility,
            payment = CASE WHEN r.payment IS NOT NULL THEN n.payment END,
            contact = CASE WHEN r.contact IS NOT NULL THEN n.contact END
        FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[])
            AS n (recipient_id, revision, eligibility, payment, contact)
        WHERE (r.recipient_id, r.revision) = (n.recipient_id, n.revision)
        """,
        [row.recipient_id for row in rows],
        [row.revision for row in rows],
        [row.eligibility for row in rows],
        [row.payment for row in rows],
        [row.contact for row in rows],
    )
