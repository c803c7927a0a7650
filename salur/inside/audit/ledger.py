"""The ledger's head: a chain over payout's transfers in the order of their ids, up to one that nothing can slip under.

Ids are drawn from a sequence one by one and have gaps, and a transfer with a lower id may be committed after one with a
higher id. So a head is taken in three steps:

1. `last_id` is the highest id that is visible. Every id up to it has been drawn by then.
2. Whoever drew one and may still commit it holds the lock on the table that every INSERT and COPY takes before it draws
   and keeps until its transaction ends. All who hold it after step 1 are waited for; nobody is kept from working.
3. What is visible now, up to `last_id`, is final: the other ids up to it belong to transactions that were rolled back.

From then on a transfer at or below `last_id` that is new, changed or gone was not made by the service.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct
from time import monotonic
from typing import Any, Final, NamedTuple

import asyncpg

from salur.inside.audit.agreement import micros_sql
from salur.inside.audit.snapshot import fetched
from shared.errors import SalurError, Trouble

MARK_EVERY: Final = 10_000
"""Transfers from one mark to the next: what was changed is narrowed down to so many."""
WAIT_S: Final = 60.0
_POLL_S: Final = 0.05

_length: Final = Struct(">I").pack
_NULL: Final = b"\xff\xff\xff\xff"
_TRANSFERS: Final = f"""
    SELECT id, cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, {micros_sql("at")}
    FROM transfer
    WHERE id <= $1
    ORDER BY id
"""
_WRITERS: Final = """
    SELECT virtualtransaction || '/' || coalesce(pid, 0)
    FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'transfer'::regclass AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND mode = 'RowExclusiveLock'
"""


class StillOpen(Trouble):
    """A transaction that writes to the ledger does not end."""


class Mark(NamedTuple):
    """The digest over all transfers up to this id."""

    id: int
    digest: bytes


@dataclass(slots=True)
class Books:
    """What the transfers up to `last_id` come to."""

    last_id: int
    transfers: int = 0
    digest: bytes = b""
    marks: list[Mark] = field(default_factory=list)
    balances_idr: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))


async def settled(connection: asyncpg.Connection, wait_s: float = WAIT_S) -> int:
    """The highest id at or below which nothing can appear any more. Not inside a transaction. Raises StillOpen."""
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise SalurError(
            "the database of payout is a standby, which does not say who is writing to the ledger",
            hint="make checkpoints on the primary; `salur audit verify` may read a standby",
        )
    last_id: int = await connection.fetchval("SELECT coalesce(max(id), 0) FROM transfer")
    waited_for = {row[0] for row in await connection.fetch(_WRITERS)}
    until = monotonic() + wait_s
    while waited_for:
        await asyncio.sleep(_POLL_S)
        waited_for &= {row[0] for row in await connection.fetch(_WRITERS)}
        if waited_for and monotonic() > until:
            raise StillOpen(
                f"a transaction has been writing to payout.transfer for {wait_s:.0f} s and does not end",
                hint="pg_stat_activity shows it; a prepared transaction is listed in pg_prepared_xacts",
            )
    return last_id


async def books(
    connection: asyncpg.Connection,
    last_id: int,
    *,
    marks_at: Sequence[int] | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Books:
    """Reads the transfers up to `last_id`, in flat memory, inside the caller's transaction.

    `marks_at`: the ids, ascending, after which a mark is wanted; without it every MARK_EVERY transfers.
    """
    found = Books(last_id)
    wanted = iter(marks_at or ())
    next_mark = next(wanted, None)
    digest = b""
    async for rows in fetched(connection, _TRANSFERS, last_id):
        for row in rows:
            while next_mark is not None and row[0] > next_mark:
                found.marks.append(Mark(next_mark, digest))
                next_mark = next(wanted, None)
            digest = extend(digest, row)
            found.transfers += 1
            if marks_at is None and found.transfers % MARK_EVERY == 0:
                found.marks.append(Mark(row[0], digest))
            of_cycle = found.balances_idr[row[1]]
            of_cycle[row[5]] -= row[7]
            of_cycle[row[6]] += row[7]
        advance(len(rows))
    while next_mark is not None:
        found.marks.append(Mark(next_mark, digest))
        next_mark = next(wanted, None)
    found.digest = digest
    return found


def extend(digest: bytes, transfer: Sequence[Any]) -> bytes:
    """SHA-256 of the digest before, then each column as text with its length in front (FFFFFFFF: null).

    Columns: id, cycle, recipient, attempt, kind, debit and credit account, amount in rupiah, microseconds since 1970.
    """
    parts = [digest]
    for value in transfer:
        if value is None:
            parts.append(_NULL)
        else:
            text = str(value).encode()
            parts += (_length(len(text)), text)
    return sha256(b"".join(parts)).digest()


def balances(found: Books) -> Mapping[str, Mapping[str, int]]:
    """By cycle and account, in order; accounts that nothing moved are left out."""
    return {cycle: dict(sorted(accounts.items())) for cycle, accounts in sorted(found.balances_idr.items())}
