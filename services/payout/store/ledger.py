"""The ledger. Rows are only ever added; the database's trigger moves the balances."""

from collections.abc import Sequence

import asyncpg

from services.payout.domain.ledger import Transfer


async def add(tx: asyncpg.Connection, transfers: Sequence[Transfer]) -> None:
    """Raises asyncpg.CheckViolationError when an account would be overdrawn, UniqueViolationError for a repetition."""
    if transfers:
        await tx.copy_records_to_table("transfer", records=transfers, columns=Transfer._fields)


async def balance_idr(tx: asyncpg.Connection, cycle: str, account: str) -> int:
    found: int | None = await tx.fetchval(
        "SELECT balance_idr FROM account WHERE cycle = $1 AND name = $2", cycle, account
    )
    return found or 0


async def advanced_idr(tx: asyncpg.Connection, cycle: str) -> int:
    """What a recovery took from the treasury beyond the budget, and is not repaid."""
    found: int = await tx.fetchval(
        """
        SELECT coalesce(sum(CASE kind WHEN 'advance' THEN amount_idr ELSE -amount_idr END), 0)::bigint
        FROM transfer
        WHERE cycle = $1 AND kind IN ('advance', 'repay')
        """,
        cycle,
    )
    return found
