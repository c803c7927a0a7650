"""Where one recipient stands now, from each service's own tables. Nothing sealed is read."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import asyncpg

from salur.inside.connect import NeverRan, Settings, database
from salur.inside.options import NotFound
from shared.events.topics import Service

Rows: TypeAlias = list[dict[str, Any]]

_QUERIES: Final[Mapping[Service, Mapping[str, str]]] = {
    "registry": {
        "recipient": """
            SELECT r.revision, r.registered_at, r.family_id, r.village, r.decile, p.flag_revision
            FROM person AS p LEFT JOIN recipient AS r USING (recipient_id)
            WHERE p.recipient_id = $1
        """,
        "submissions": """
            SELECT answer, detail, count(*) AS count, max(answered_at) AS last_answered_at
            FROM submission WHERE recipient_id = $1 GROUP BY 1, 2 ORDER BY 1, 2
        """,
    },
    "eligibility": {
        "decisions": """
            SELECT d.programme, d.revision, d.programme_version, d.outcome, d.amount_idr, d.reasons, d.decided_at,
                f.recipient_id IS NOT NULL AS payee_of_family
            FROM decision AS d LEFT JOIN family_payee AS f USING (recipient_id, programme)
            WHERE d.recipient_id = $1 ORDER BY d.programme
        """,
    },
    "payout": {
        "payouts": """
            SELECT cycle, programme, state, attempt, amount_idr, reference, code, bank_reference, since, due_at
            FROM payout WHERE recipient_id = $1 ORDER BY waiting_since, cycle
        """,
        "standing": """
            SELECT programme, cycle, standing, place, code
            FROM standing WHERE recipient_id = $1 ORDER BY programme
        """,
    },
    "notify": {
        "messages": """
            SELECT message_id, purpose, channel, template, language, state, code, attempts, created_at, sent_at,
                delivered_at, failed_at, unknown_at
            FROM message WHERE recipient_id = $1 ORDER BY created_at, message_id
        """,
    },
}


async def standing_of(settings: Settings, recipient: str) -> dict[str, dict[str, Rows]]:
    """Rows by service and name; a service that never ran is left out. Raises Away."""
    found: dict[str, dict[str, Rows]] = {}
    for service, queries in _QUERIES.items():
        try:
            async with database(settings, service) as connection:
                found[service] = {name: await _rows(connection, sql, recipient) for name, sql in queries.items()}
        except NeverRan:
            continue
    return found


async def recipient_of(settings: Settings, reference: str) -> str:
    """Whose payout has this reference. Raises NotFound, Away."""
    async with database(settings, "payout") as connection:
        recipient = await connection.fetchval("SELECT recipient_id FROM reference_book WHERE reference = $1", reference)
    if recipient is None:
        raise NotFound(
            f"no payout has the reference {reference[:64]}",
            hint="give a recipient's id (r- and 32 digits), a payout's reference, or --nik-stdin",
        )
    return str(recipient)


async def _rows(connection: asyncpg.Connection, sql: str, recipient: str) -> Rows:
    return [dict(row) for row in await connection.fetch(sql, recipient)]
