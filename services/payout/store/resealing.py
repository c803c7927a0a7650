"""Accounts and contacts of decisions, once more under newer keys."""

from collections.abc import Sequence

import asyncpg

from shared.runtime import resealed_store
from shared.runtime.resealed import Values


async def reseal(tx: asyncpg.Connection, values: Sequence[Values]) -> None:
    """Of decisions that rest on these very registrations. What is not kept of a decision does not come back."""
    await tx.execute(_reseal(resealed_store.GIVEN), *resealed_store.arguments(values))


async def reseal_found(tx: asyncpg.Connection) -> None:
    """The same of what a recovery has gathered."""
    await tx.execute(_reseal(resealed_store.FOUND))


def _reseal(source: str) -> str:
    """A recipient's decisions are found by programme, of which there are few: the key begins with it."""
    return f"""
        WITH RECURSIVE programme (name) AS (
            (SELECT programme FROM decision ORDER BY programme LIMIT 1)
            UNION ALL
            SELECT (SELECT d.programme FROM decision AS d WHERE d.programme > p.name ORDER BY d.programme LIMIT 1)
            FROM programme AS p
            WHERE p.name IS NOT NULL
        ), locked AS MATERIALIZED (
            SELECT d.programme, n.*
            FROM programme AS p
            CROSS JOIN ({source}) AS n
            JOIN decision AS d ON (d.programme, d.recipient_id) = (p.name, n.recipient_id)
            WHERE d.registration_revision = n.revision AND d.registration_of = d.revision
                AND n.sequence >= coalesce(d.resealed_by, 0)
            ORDER BY d.programme, d.recipient_id
            FOR NO KEY UPDATE OF d
        )
        UPDATE decision AS d
        SET payment = CASE WHEN d.payment IS NOT NULL THEN coalesce(n.payment, d.payment) END,
            contact = CASE WHEN d.contact IS NOT NULL THEN coalesce(n.contact, d.contact) END,
            resealed_by = n.sequence,
            resealed_of = d.revision
        FROM locked AS n
        WHERE (d.programme, d.recipient_id) = (n.programme, n.recipient_id)
    """
