"""Sessions of officers, and sign-ins under way."""

from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from shared.officers import Officer

Database = asyncpg.Pool | asyncpg.Connection


class Begun(NamedTuple):
    """A sign-in under way."""

    state_sha256: bytes
    nonce: str
    verifier: str
    onward: str


async def begin_sign_in(db: Database, begun: Begun, network: str, most: int, at: datetime, *, oldest: datetime) -> bool:
    """False where as many are under way from this network. Those begun before `oldest` are swept out by the way."""
    taken = await db.fetchval(
        """
        WITH old AS (DELETE FROM sign_in WHERE created_at < $7)
        INSERT INTO sign_in (state_sha256, nonce, verifier, onward, network, created_at)
        SELECT $1, $2, $3, $4, $5, $6
        WHERE (SELECT count(*) FROM sign_in WHERE network = $5 AND created_at >= $7) < $8
        RETURNING true
        """,
        *begun,
        network,
        at,
        oldest,
        most,
    )
    return bool(taken)


async def finish_sign_in(db: Database, state_sha256: bytes, oldest: datetime) -> asyncpg.Record | None:
    """What was put down for this state; a second time there is nothing."""
    return await db.fetchrow(
        "DELETE FROM sign_in WHERE state_sha256 = $1 AND created_at >= $2 RETURNING nonce, verifier, onward",
        state_sha256,
        oldest,
    )


async def open_session(
    db: Database,
    cookie_sha256: bytes,
    officer: Officer,
    tokens: bytes,
    *,
    checked_until: datetime,
    at: datetime,
    ends_at: datetime,
    idle: timedelta,
) -> None:
    """Sessions that are over are swept out by the way."""
    await db.execute(
        """
        WITH old AS (
            DELETE FROM officer_session WHERE seen_at < $8::timestamptz - $10::interval OR ends_at < $8::timestamptz
        )
        INSERT INTO officer_session
            (cookie_sha256, subject, name, roles, area, tokens, checked_until, seen_at, ends_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        cookie_sha256,
        officer.subject,
        officer.name,
        sorted(officer.roles),
        officer.area,
        tokens,
        checked_until,
        at,
        ends_at,
        idle,
    )


async def session(
    db: Database, cookie_sha256: bytes, at: datetime, idle: timedelta, *, seen: bool
) -> asyncpg.Record | None:
    """The session that still lives; `seen` puts off its idle end."""
    if seen:
        return await db.fetchrow(
            """
            UPDATE officer_session SET seen_at = $2::timestamptz
            WHERE cookie_sha256 = $1 AND seen_at >= $2::timestamptz - $3::interval AND ends_at > $2::timestamptz
            RETURNING *
            """,
            cookie_sha256,
            at,
            idle,
        )
    return await db.fetchrow(
        """
        SELECT * FROM officer_session
        WHERE cookie_sha256 = $1 AND seen_at >= $2::timestamptz - $3::interval AND ends_at > $2::timestamptz
        """,
        cookie_sha256,
        at,
        idle,
    )


async def renew(db: Database, cookie_sha256: bytes, officer: Officer, tokens: bytes, checked_until: datetime) -> None:
    """Name, roles and area as the issuer states them now."""
    await db.execute(
        """
        UPDATE officer_session SET name = $2, roles = $3, area = $4, tokens = $5, checked_until = $6
        WHERE cookie_sha256 = $1
        """,
        cookie_sha256,
        officer.name,
        sorted(officer.roles),
        officer.area,
        tokens,
        checked_until,
    )


async def end(db: Database, cookie_sha256: bytes) -> None:
    await db.execute("DELETE FROM officer_session WHERE cookie_sha256 = $1", cookie_sha256)
