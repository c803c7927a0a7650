"""What a rebuild does to the tables. It is called as who owns them."""

from collections.abc import Sequence
from typing import Final

import asyncpg

READ_MODEL: Final = (
    *("recipient", "flagged", "submission", "decision", "payout", "message", "cycle", "dead_letter", "happening"),
    *("alert", "tally"),
)


async def stop_reading(tx: asyncpg.Connection, topics: Sequence[str]) -> None:
    """Waits for the turns at hand, and lets none begin until the transaction ends."""
    await tx.execute(
        "SELECT FROM input_position WHERE topic = ANY ($1::text[]) ORDER BY topic, partition FOR UPDATE", topics
    )


async def outbox_of(tx: asyncpg.Connection, topic: str) -> list[bytes]:
    rows = await tx.fetch("SELECT payload FROM outbox WHERE topic = $1 ORDER BY partition, first_sequence", topic)
    return [row["payload"] for row in rows]


async def clear(tx: asyncpg.Connection, topics: Sequence[str]) -> None:
    """Only the read model and where it stood: neither the replay topic, codes, sessions, figures nor any record."""
    await tx.execute(f"TRUNCATE {', '.join(READ_MODEL)}")
    await tx.execute("DELETE FROM input_position WHERE topic = ANY ($1::text[])", topics)
