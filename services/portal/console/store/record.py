"""The record of views and acts: written by everybody's doing, read by auditors."""

import asyncpg

from services.portal.console.store.area import Bounds
from services.portal.console.store.sessions import Database
from shared.officers import Officer


async def write(db: Database, officer: Officer, address: str, action: str, about: str | None, outcome: str) -> None:
    await db.execute(
        """
        INSERT INTO officer_record (subject, name, area, roles, address, action, about, outcome)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        officer.subject,
        officer.name,
        officer.area,
        sorted(officer.roles),
        address,
        action,
        about,
        outcome,
    )


async def page(
    db: Database, within: Bounds, *, subject: str | None, action: str | None, about: str | None, before: int, limit: int
) -> list[asyncpg.Record]:
    """The newest first, those with an id below `before`. `within`: the area of the officers who acted."""
    rows: list[asyncpg.Record] = await db.fetch(
        """
        SELECT id, at, subject, name, area, roles, address, action, about, outcome
        FROM officer_record
        WHERE id < $1
            AND area >= $2 AND area < $3
            AND ($4::text IS NULL OR subject = $4)
            AND ($5::text IS NULL OR action = $5)
            AND ($6::text IS NULL OR about = $6)
        ORDER BY id DESC
        LIMIT $7
        """,
        before,
        within.low,
        within.high,
        subject,
        action,
        about,
        limit,
    )
    return rows


async def replayed(db: Database, letters: list[str]) -> dict[str, asyncpg.Record]:
    """Of these dead letters those that an officer has put back, with the last time."""
    rows = await db.fetch(
        """
        SELECT DISTINCT ON (about) about, at, name
        FROM officer_record
        WHERE about = ANY ($1::text[]) AND action = 'letter.replay' AND outcome = 'done'
        ORDER BY about, id DESC
        """,
        letters,
    )
    return {row["about"]: row for row in rows}
