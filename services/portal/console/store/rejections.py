"""Registrations that were rejected: by operator and reason.

An operator is a source, or, for what was entered in this console, the officer: the first part of the submission's id.
"""

from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from services.portal.console.store.area import Bounds
from services.portal.console.store.sessions import Database

COUNTED_MAX = 10_000
"""Reasons are counted over so many of the newest: enough to see what goes wrong, and bounded."""

LATEST = (datetime(9999, 1, 1, tzinfo=UTC), "~")
_OPERATOR = "CASE WHEN source = 'console' THEN split_part(id, '/', 1) ELSE source END"


class Filter(NamedTuple):
    """`own`: how the ids of the officer's own submissions begin; they are shown wherever they are from."""

    within: Bounds
    own: str
    operator: str | None = None
    code: str | None = None


_WHERE = f"""
    kind = 'registration' AND answer = 'rejected'
    AND ((village >= $1 AND village < $2) OR ($3 AND village IS NULL) OR (source = 'console' AND id LIKE $4))
    AND ($5::text IS NULL OR {_OPERATOR} = $5)
    AND ($6::text IS NULL OR problems @> jsonb_build_array(jsonb_build_object('code', $6::text)))
"""


async def page(db: Database, wanted: Filter, after: tuple[datetime, str] | None, limit: int) -> list[asyncpg.Record]:
    """The newest first, those older than `after` (time, event id).

    `village` is where the NIK's holder stands, so an officer's own submission does not show it from outside the area.
    """
    at, event_id = after or LATEST
    rows: list[asyncpg.Record] = await db.fetch(
        f"""
        SELECT {_OPERATOR} AS operator, source, id, problems, at, event_id,
            CASE WHEN village >= $1 AND village < $2 THEN village END AS village
        FROM submission
        WHERE {_WHERE} AND (at, event_id) < ($7, $8)
        ORDER BY at DESC, event_id DESC
        LIMIT $9
        """,
        *_bound(wanted),
        at,
        event_id,
        limit,
    )
    return rows


async def counts(db: Database, wanted: Filter) -> list[asyncpg.Record]:
    """Rows (operator, code, field, rows), the most frequent first, over the newest COUNTED_MAX."""
    rows: list[asyncpg.Record] = await db.fetch(
        f"""
        SELECT operator, p ->> 'code' AS code, p ->> 'field' AS field, max(p ->> 'id') AS id, max(p ->> 'en') AS en,
            count(*) AS rows
        FROM (
            SELECT {_OPERATOR} AS operator, problems
            FROM submission WHERE {_WHERE}
            ORDER BY at DESC, event_id DESC LIMIT $7
        ) AS newest, jsonb_array_elements(problems) AS p
        GROUP BY operator, code, field
        ORDER BY rows DESC, operator, code, field
        LIMIT 60
        """,
        *_bound(wanted),
        COUNTED_MAX,
    )
    return rows


def _bound(wanted: Filter) -> tuple[str, str, bool, str, str | None, str | None]:
    own = wanted.own.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    within = wanted.within
    return within.low, within.high, within.everything, f"{own}%", wanted.operator, wanted.code
