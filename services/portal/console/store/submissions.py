"""What an officer entered, and what the registry answered."""

from urllib.parse import quote

import asyncpg

from services.portal.console.store.sessions import Database


def own(subject: str) -> str:
    """How the ids of an officer's submissions begin, as the registry makes them."""
    return f"{quote(subject, safe='@:+')}/"


async def answer(db: Database, submission_id: str) -> asyncpg.Record | None:
    """None while there is none."""
    return await db.fetchrow(
        """
        SELECT id, answer, recipient_id, village, problems, submitted_at, at
        FROM submission WHERE kind = 'registration' AND source = 'console' AND id = $1
        """,
        submission_id,
    )
