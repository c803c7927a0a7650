"""Requests for codes, codes, and sessions of recipients. Every statement does the same for known and unknown people."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from services.portal.ends import Ends
from services.portal.store.reading import read_up_to


class Arrival(NamedTuple):
    """Somebody who is about to ask for a code; nobody has looked for whom."""

    request_id: str
    address_hash: bytes
    network_hash: bytes
    asked_at: datetime
    expires_at: datetime


class Limits(NamedTuple):
    """How many requests are taken: by address in an hour, by recipient in an hour and in a day, and by the wider
    network of an address in an hour."""

    address_hour: int
    recipient_hour: int
    recipient_day: int
    network_hour: int = 600


class CodeRow(NamedTuple):
    recipient_id: str
    request_id: str | None
    officer: str | None
    code_hash: bytes
    issued_at: datetime
    expires_at: datetime


async def arrive(database: asyncpg.Pool | asyncpg.Connection, arrival: Arrival, limits: Limits) -> bool:
    """The first statement of a request. False where too many came from this address or its network: then nothing is
    written, and nothing more is done for it."""
    written = await database.fetchval(
        """
        INSERT INTO code_request (request_id, address_hash, network_hash, asked_at, expires_at, state)
        SELECT $1, $2, $3, $4, $5, 'came'
        FROM (
            SELECT count(*) AS of_hour FROM code_request
            WHERE address_hash = $2 AND asked_at > $4::timestamptz - interval '1 hour'
        ) AS a, (
            SELECT count(*) AS of_hour FROM code_request
            WHERE network_hash = $3 AND asked_at > $4::timestamptz - interval '1 hour'
        ) AS n
        WHERE a.of_hour < $6 AND n.of_hour < $7
        RETURNING true
        """,
        *arrival,
        limits.address_hour,
        limits.network_hour,
    )
    return written is True


async def ask(
    database: asyncpg.Pool | asyncpg.Connection, request_id: str, recipient_id: str, at: datetime, limits: Limits
) -> None:
    """The second statement: for whom it is asked.

    What is beyond the recipient's limit is written as `limited`, and nobody is told.
    """
    await database.execute(
        """
        UPDATE code_request AS q
        SET recipient_id = $2, state = CASE WHEN r.of_hour >= $4 OR r.of_day >= $5 THEN 'limited' ELSE 'asked' END
        FROM (
            SELECT count(*) FILTER (WHERE asked_at > $3::timestamptz - interval '1 hour') AS of_hour, count(*) AS of_day
            FROM code_request
            WHERE recipient_id = $2 AND asked_at > $3::timestamptz - interval '1 day' AND state <> 'limited'
        ) AS r
        WHERE q.request_id = $1
        """,
        request_id,
        recipient_id,
        at,
        limits.recipient_hour,
        limits.recipient_day,
    )


async def unknown_waits(database: asyncpg.Pool) -> bool:
    """Whether a request waits for somebody who is not registered, as far as has been read."""
    waits: bool = await database.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM code_request AS q
            WHERE q.state = 'asked' AND NOT EXISTS (SELECT FROM recipient AS r WHERE r.recipient_id = q.recipient_id)
        )
        """
    )
    return waits


async def due_requests(tx: asyncpg.Connection, limit: int, at: datetime, ends: Ends | None) -> list[asyncpg.Record]:
    """Requests about which something can be said, with whether there is such a recipient; locked.

    That there is none can be said of requests from before `ends`, once everything up to there has been read; and
    nothing more needs to be said of those that are over.
    """
    rows: list[asyncpg.Record] = await tx.fetch(
        f"""
        SELECT q.request_id, q.recipient_id, q.expires_at, r.recipient_id IS NOT NULL AS registered
        FROM code_request AS q
        LEFT JOIN recipient AS r USING (recipient_id)
        WHERE q.state = 'asked' AND (
            r.recipient_id IS NOT NULL
            OR q.expires_at <= $2
            OR q.asked_at <= $3 AND {read_up_to(4)}
        )
        ORDER BY q.asked_at
        LIMIT $1
        FOR NO KEY UPDATE OF q SKIP LOCKED
        """,
        limit,
        at,
        ends.at if ends else None,
        *(ends.columns() if ends else ([], [], [])),
    )
    return rows


async def settle_requests(tx: asyncpg.Connection, issued: Sequence[str], ignored: Sequence[str]) -> None:
    await tx.execute(
        """
        UPDATE code_request AS q SET state = n.state
        FROM (
            SELECT unnest($1::text[]) AS request_id, 'issued' AS state
            UNION ALL SELECT unnest($2::text[]), 'ignored'
        ) AS n
        WHERE q.request_id = n.request_id
        """,
        issued,
        ignored,
    )


async def add_codes(tx: asyncpg.Connection, rows: Sequence[CodeRow]) -> None:
    await tx.executemany(
        """
        INSERT INTO code (recipient_id, request_id, officer, code_hash, issued_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        rows,
    )


async def end_codes_by_hand(tx: asyncpg.Connection, recipient_id: str, at: datetime) -> None:
    """Codes that officers handed out before open nothing any more: there is one at a time."""
    await tx.execute(
        """
        UPDATE code SET expires_at = $2
        WHERE recipient_id = $1 AND request_id IS NULL AND used_at IS NULL AND expires_at > $2
        """,
        recipient_id,
        at,
    )


async def open_request(tx: asyncpg.Connection, request_id: str, at: datetime, wrong_max: int) -> str | None:
    """The recipient of a request that may still be answered, locked; None where it may not."""
    recipient: str | None = await tx.fetchval(
        """
        SELECT recipient_id FROM code_request
        WHERE request_id = $1 AND expires_at > $2 AND wrong < $3
        FOR NO KEY UPDATE
        """,
        request_id,
        at,
        wrong_max,
    )
    return recipient


async def use_code(tx: asyncpg.Connection, request_id: str, recipient_id: str, code_hash: bytes, at: datetime) -> bool:
    """Uses a code up, or counts a wrong one against the request (locked)."""
    used: bool = await tx.fetchval(
        """
        WITH used AS (
            UPDATE code SET used_at = $4
            WHERE recipient_id = $2 AND code_hash = $3 AND expires_at > $4 AND used_at IS NULL
                AND (request_id IS NULL OR request_id = $1)
            RETURNING code_id
        ), counted AS (
            UPDATE code_request SET wrong = wrong + 1
            WHERE request_id = $1 AND NOT EXISTS (SELECT FROM used)
        )
        SELECT EXISTS (SELECT FROM used)
        """,
        request_id,
        recipient_id,
        code_hash,
        at,
    )
    return used


async def open_session(
    tx: asyncpg.Connection, token_hash: bytes, recipient_id: str, at: datetime, expires_at: datetime
) -> None:
    await tx.execute(
        "INSERT INTO aid_session (token_hash, recipient_id, opened_at, expires_at) VALUES ($1, $2, $3, $4)",
        token_hash,
        recipient_id,
        at,
        expires_at,
    )


async def recipient_of(database: asyncpg.Pool, token_hash: bytes, at: datetime) -> str | None:
    recipient: str | None = await database.fetchval(
        "SELECT recipient_id FROM aid_session WHERE token_hash = $1 AND expires_at > $2", token_hash, at
    )
    return recipient


async def close_session(database: asyncpg.Pool, token_hash: bytes) -> None:
    await database.execute("DELETE FROM aid_session WHERE token_hash = $1", token_hash)


async def forget(tx: asyncpg.Connection, before: datetime) -> int:
    """Deletes what ended before: requests with their codes, codes of officers, sessions. Returns how many."""
    statements = (
        "DELETE FROM code_request WHERE asked_at < $1 AND expires_at < $1",
        "DELETE FROM code WHERE request_id IS NULL AND expires_at < $1",
        "DELETE FROM aid_session WHERE expires_at < $1",
    )
    return sum([int((await tx.execute(statement, before)).rpartition(" ")[2]) for statement in statements])
