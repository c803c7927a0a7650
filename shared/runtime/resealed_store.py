"""The SQL about values under newer keys that stages have in common: where a statement takes them from.

A stage hands them over at once. A recovery gathers them first: the order in which its inputs come is not the order in
which they were told.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from shared.runtime.resealed import Values

GIVEN: Final = """
    SELECT *
    FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[])
        AS n (recipient_id, revision, sequence, eligibility, payment, contact)
"""
"""Values as arguments of a statement, see `arguments`."""
FOUND: Final = """
    SELECT DISTINCT ON (recipient_id, revision) *
    FROM found_values
    ORDER BY recipient_id, revision, sequence DESC
"""
"""Of what was kept, each registration's last."""


def arguments(values: Sequence[Values]) -> list[tuple[Any, ...]]:
    return list(zip(*values, strict=True))


async def prepare(tx: asyncpg.Connection) -> None:
    """A temporary table, which ends with the transaction."""
    await tx.execute(
        """
        CREATE TEMP TABLE found_values (
            recipient_id text, revision int, sequence bigint, eligibility text, payment text, contact text
        ) ON COMMIT DROP
        """
    )


async def keep(tx: asyncpg.Connection, values: Sequence[Values]) -> None:
    await tx.copy_records_to_table("found_values", records=values, columns=Values._fields)
