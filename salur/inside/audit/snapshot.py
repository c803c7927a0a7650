"""One moment of a stage's database: how far it has written and read, what waits in its outbox, and its rows.

Everything is copied in one short transaction, so that the audit neither sees the flow move on nor keeps the database
from cleaning up after it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from salur.inside.audit.agreement import StageRules
from salur.inside.audit.chain import Head
from salur.inside.audit.result import Finding, Findings, Kind, Resumption, TableAudit
from salur.inside.audit.spill import Spill, packed
from salur.inside.connect import NeverRan, database
from shared.errors import SalurError
from shared.events.topics import OWNERS, STAGES, Service
from shared.runtime.positions import Place
from shared.settings import PostgresSettings

ROWS_A_FETCH = 5000
OUTBOX_ROWS_A_FETCH = 8
"""Each holds a batch of events, some megabytes at most."""


class CannotRead(SalurError):
    """A table does not look as this version expects."""


@dataclass(slots=True)
class Snapshot:
    """`heads` is what was written, `consumed` the next sequence of each place to be read."""

    stage: Service
    heads: dict[Place, Head]
    consumed: dict[Place, int]
    tables: list[TableAudit] = field(default_factory=list)
    resumptions: list[Resumption] = field(default_factory=list)


async def take(
    settings: PostgresSettings, rules: StageRules, numbers: Sequence[int], spill: Spill, findings: Findings
) -> Snapshot:
    """Copies rows into `spill`; `numbers` are those of the agreements there, none when rows are not compared.

    Raises Away, NeverRan, CannotRead.
    """
    stage = rules.stage
    async with (
        database(settings, stage) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        heads = await written(connection)
        consumed = {
            Place(row["topic"], row["partition"]): row["next_sequence"]
            for row in await connection.fetch("SELECT topic, partition, next_sequence FROM input_position")
        }
        snapshot = Snapshot(stage, heads, consumed, resumptions=await _resumptions(connection))
        waiting = "SELECT topic, partition, first_sequence, payload FROM outbox ORDER BY 1, 2, 3"
        async for rows in fetched(connection, waiting, at_once=OUTBOX_ROWS_A_FETCH):
            spill.keep_outbox((stage, *row) for row in rows)
        if numbers:
            await _copy_rows(connection, rules, numbers, spill, snapshot)
            await _check(connection, rules, findings, snapshot)
    return snapshot


async def owners(settings: PostgresSettings) -> tuple[Service, ...]:
    """Who has topics to audit: the stages, and the monitor where it was ever started. Raises Away, NeverRan."""
    async with database(settings, STAGES[0]):
        pass  # where nothing is there, nobody is told of the monitor first
    try:
        async with database(settings, "monitor"):
            return OWNERS
    except NeverRan:
        return STAGES


async def _resumptions(connection: asyncpg.Connection) -> list[Resumption]:
    rows = await connection.fetch(
        """
        SELECT topic, partition, expected_sequence, next_sequence, resumed_by, reason, resumed_at
        FROM resumption
        ORDER BY id
        """
    )
    return [Resumption(**row) for row in rows]


async def written(connection: asyncpg.Connection) -> dict[Place, Head]:
    """The head of each place that this service has written to, intake topics of its HTTP sources included."""
    rows = await connection.fetch("SELECT topic, partition, next_sequence, digest FROM output_position")
    return {Place(row["topic"], row["partition"]): Head(row["next_sequence"], row["digest"]) for row in rows}


async def written_now(settings: PostgresSettings, stage: Service) -> dict[Place, int]:
    """The next sequence of each place, as it is now."""
    async with database(settings, stage) as connection:
        rows = await connection.fetch("SELECT topic, partition, next_sequence FROM output_position")
    return {Place(row["topic"], row["partition"]): row["next_sequence"] for row in rows}


async def _copy_rows(
    connection: asyncpg.Connection, rules: StageRules, numbers: Sequence[int], spill: Spill, snapshot: Snapshot
) -> None:
    for number, agreement in zip(numbers, rules.agreements, strict=True):
        table = TableAudit(table=agreement.table)
        snapshot.tables.append(table)
        spill.prepare(number)
        try:
            async for rows in fetched(connection, agreement.sql):
                table.rows += len(rows)
                spill.stand(number, [(row[0], packed(row[1:])) for row in rows])
        except asyncpg.SyntaxOrAccessError as error:
            raise CannotRead(
                f"{rules.stage}.{agreement.table} is not as this version of salur expects it ({type(error).__name__})",
                hint="is the service that wrote it of the same version?",
            ) from error


async def _check(connection: asyncpg.Connection, rules: StageRules, findings: Findings, snapshot: Snapshot) -> None:
    for check in rules.checks:
        table = TableAudit(table=check.table)
        async for rows in fetched(connection, check.sql):
            for key, detail in rows:
                table.mismatches += 1
                findings.add(
                    Finding(
                        kind=Kind.ROWS_CONTRADICT,
                        stage=rules.stage,
                        table=check.table,
                        key=key,
                        detail=f"{rules.stage}.{check.table} {key}: {detail}",
                    )
                )
        snapshot.tables.append(table)


async def fetched(
    connection: asyncpg.Connection, sql: str, *values: Any, at_once: int = ROWS_A_FETCH
) -> AsyncIterator[list[Any]]:
    """The rows of a query, some at a time, inside the caller's transaction."""
    cursor = await connection.cursor(sql, *values)
    while rows := await cursor.fetch(at_once):
        yield rows
