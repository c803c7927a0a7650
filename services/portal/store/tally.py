"""How many there are of everything: kept from the changes of each batch, in one statement at its end."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import asyncpg


class Delta(NamedTuple):
    """By how much a count changes. `village` and `name` are empty where a thing has none."""

    what: str
    village: str
    name: str
    state: str
    rows: int
    amount_idr: int


def deltas(rows: Iterable[asyncpg.Record]) -> list[Delta]:
    """Of rows (what, village, name, state, rows, amount_idr), as the statements of this package return them."""
    return [Delta(*row) for row in rows]


async def add(tx: asyncpg.Connection, changes: Iterable[Delta]) -> None:
    """The last statements of a batch: the counts of a village are shared by all instances, and are locked briefly."""
    sums: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for change in changes:
        held = sums[change[:4]]
        held[0] += change.rows
        held[1] += change.amount_idr
    moved = sorted((*key, *held) for key, held in sums.items() if any(held))
    if not moved:
        return
    what, village, name, state, rows, amount_idr = (list(column) for column in zip(*moved, strict=True))
    await tx.execute(
        """
        INSERT INTO tally
        SELECT what, village, name, state, 0, 0
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (what, village, name, state)
        ORDER BY 1, 2, 3, 4
        ON CONFLICT DO NOTHING
        """,
        what,
        village,
        name,
        state,
    )
    await tx.execute(
        """
        WITH change AS MATERIALIZED (
            SELECT what, village, name, state, n.rows, n.amount_idr
            FROM tally AS t
            JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
                AS n (what, village, name, state, rows, amount_idr) USING (what, village, name, state)
            ORDER BY what, village, name, state
            FOR UPDATE OF t
        )
        UPDATE tally AS t
        SET rows = t.rows + c.rows, amount_idr = t.amount_idr + c.amount_idr
        FROM change AS c
        WHERE (t.what, t.village, t.name, t.state) = (c.what, c.village, c.name, c.state)
        """,
        what,
        village,
        name,
        state,
        rows,
        amount_idr,
    )
