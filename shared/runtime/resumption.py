"""Going on after a stage stopped by itself: only a person decides that, by name and with a reason, and it is kept.

A stopped partition stands before a gap: events are lost, or a message came that carries no sequence. Resuming moves the
stored position over it. An opened breaker stands before a flood of poison: resuming lets the stage try again.
"""

from typing import NamedTuple

import asyncpg

from shared.errors import SalurError
from shared.runtime.positions import NotOwner, Place, Position


class NotStopped(SalurError):
    """There is nothing to resume."""


class Resumptions(NamedTuple):
    """The newest of each kind; 0: none ever."""

    partition: int = 0
    breaker: int = 0


async def newest(connection: asyncpg.Connection | asyncpg.Pool) -> Resumptions:
    (row,) = await connection.fetch(
        """
        SELECT coalesce(max(id) FILTER (WHERE topic IS NOT NULL), 0), coalesce(max(id) FILTER (WHERE topic IS NULL), 0)
        FROM resumption
        """
    )
    return Resumptions(*row)


async def resume_partition(
    connection: asyncpg.Connection, place: Place, stands: Position, goes_on: Position, by: str, reason: str
) -> None:
    """Moves the position from where it stands, in one transaction with the record of who did it.

    Raises NotOwner when it stands there no longer. The running service sees it within seconds.
    """
    async with connection.transaction():
        moved = await connection.execute(
            """
            UPDATE input_position
            SET next_offset = $5, next_sequence = $6
            WHERE (topic, partition, next_offset, next_sequence) = ($1, $2, $3, $4)
            """,
            *place,
            *stands,
            *goes_on,
        )
        if moved != "UPDATE 1":
            raise NotOwner(
                f"{place.topic}/{place.partition} moved meanwhile; nothing was changed", hint="look again and repeat"
            )
        await connection.execute(
            """
            INSERT INTO resumption (
                topic, partition, expected_sequence, next_offset, next_sequence, resumed_by, reason
            )
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            *place,
            stands.sequence,
            *goes_on,
            by,
            reason,
        )


async def resume_stage(connection: asyncpg.Connection, by: str, reason: str) -> None:
    """Every instance whose breaker is open closes it and goes on, within seconds."""
    await connection.execute("INSERT INTO resumption (resumed_by, reason) VALUES ($1, $2)", by, reason)
