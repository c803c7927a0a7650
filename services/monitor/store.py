"""Every SQL statement of the monitor."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from services.monitor.domain.alerts import Subject
from services.monitor.domain.snapshot import SharedAccount

Connection = asyncpg.Connection | asyncpg.Pool
_ALERT = "rule, about, raising, level, since, value, threshold, runbook, advice, raised_at, raised_id, cleared_at"


class AlertRow(NamedTuple):
    """A raising as it is first written; the fields are columns. `advice` is JSON."""

    rule: str
    about: str
    raising: int
    level: str
    since: datetime
    value: float
    threshold: float
    runbook: str
    advice: str
    raised_at: datetime
    raised_id: str


async def judges(tx: asyncpg.Connection, until: datetime) -> bool:
    """Whether no later minute was judged yet. Whoever is told so is the only one who judges until the commit."""
    moved: bool | None = await tx.fetchval(
        "UPDATE judged SET until = $1 WHERE until <= $1 RETURNING true",
        until,
    )
    return bool(moved)


async def lock_open(tx: asyncpg.Connection) -> dict[Subject, asyncpg.Record]:
    """The alerts that stand, locked."""
    rows = await tx.fetch(f"SELECT {_ALERT} FROM alert WHERE cleared_at IS NULL ORDER BY rule, about FOR UPDATE")
    return {Subject(row["rule"], row["about"]): row for row in rows}


async def raisings(tx: asyncpg.Connection, subjects: Sequence[Subject]) -> dict[Subject, int]:
    """How often each was raised before."""
    rows = await tx.fetch(
        """
        SELECT rule, about, max(raising) AS raising
        FROM alert
        WHERE (rule, about) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        GROUP BY rule, about
        """,
        [subject.rule for subject in subjects],
        [subject.about for subject in subjects],
    )
    return {Subject(row["rule"], row["about"]): row["raising"] for row in rows}


async def add_alerts(tx: asyncpg.Connection, rows: Sequence[AlertRow]) -> None:
    """Raises UniqueViolationError for what is open already: then another process raised it."""
    records = sorted(tuple(row) for row in rows)
    await tx.copy_records_to_table("alert", records=records, columns=AlertRow._fields)


async def clear_alerts(tx: asyncpg.Connection, subjects: Sequence[Subject], at: datetime) -> None:
    """The database refuses to clear what is cleared."""
    await tx.execute(
        """
        UPDATE alert AS a SET cleared_at = $3
        FROM unnest($1::text[], $2::text[]) AS c (rule, about)
        WHERE (a.rule, a.about) = (c.rule, c.about) AND a.cleared_at IS NULL
        """,
        [subject.rule for subject in subjects],
        [subject.about for subject in subjects],
        at,
    )


async def clear_raising(tx: asyncpg.Connection, raising: tuple[str, str, int], at: datetime) -> None:
    """One raising, by rule, about and number, is over; for a recovery."""
    await tx.execute(
        "UPDATE alert SET cleared_at = $4 WHERE (rule, about, raising) = ($1, $2, $3) AND cleared_at IS NULL",
        *raising,
        at,
    )


async def alerts(connection: Connection, *, past: int) -> list[asyncpg.Record]:
    """Those that stand, and of the others the last `past`; the newest first."""
    rows: list[asyncpg.Record] = await connection.fetch(
        f"""
        (SELECT {_ALERT} FROM alert WHERE cleared_at IS NULL)
        UNION ALL
        (SELECT {_ALERT} FROM alert WHERE cleared_at IS NOT NULL ORDER BY raised_at DESC LIMIT $1)
        ORDER BY raised_at DESC, rule, about
        """,
        past,
    )
    return rows


async def add_deliveries(tx: asyncpg.Connection, events: Sequence[tuple[str, bytes]], due_at: datetime) -> None:
    """Ids and bodies of events that the webhook is to be told."""
    records = [(event_id, body, due_at) for event_id, body in events]
    await tx.copy_records_to_table("delivery", records=records, columns=("event_id", "body", "due_at"))


async def claim_deliveries(tx: asyncpg.Connection, now: datetime, until: datetime, most: int) -> list[asyncpg.Record]:
    """Due ones, nobody else's until `until`; oldest first."""
    rows: list[asyncpg.Record] = await tx.fetch(
        """
        WITH due AS MATERIALIZED (
            SELECT event_id FROM delivery
            WHERE delivered_at IS NULL AND given_up_at IS NULL AND due_at <= $1
            ORDER BY due_at, event_id
            LIMIT $3
            FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE delivery AS d SET attempts = d.attempts + 1, due_at = $2
        FROM due WHERE d.event_id = due.event_id
        RETURNING d.event_id, d.body, d.attempts
        """,
        now,
        until,
        most,
    )
    return sorted(rows, key=lambda row: row["event_id"])


class Delivered(NamedTuple):
    """What became of one attempt: taken, given up, or due again."""

    event_id: str
    delivered_at: datetime | None
    given_up_at: datetime | None
    due_at: datetime


async def settle_deliveries(connection: Connection, outcomes: Sequence[Delivered]) -> None:
    await connection.execute(
        """
        UPDATE delivery AS d SET delivered_at = o.delivered_at, given_up_at = o.given_up_at, due_at = o.due_at
        FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
            AS o (event_id, delivered_at, given_up_at, due_at)
        WHERE d.event_id = o.event_id AND d.delivered_at IS NULL
        """,
        *map(list, zip(*outcomes, strict=True)),
    )


async def keep_payments(connection: Connection, rows: Sequence[tuple[bytes, bytes, datetime]]) -> None:
    """(account, recipient, when paid): kept once a pair with the newest time, whatever comes again or late."""
    newest: dict[tuple[bytes, bytes], datetime] = {}
    for account, recipient, paid_at in rows:
        newest[account, recipient] = max(paid_at, newest.get((account, recipient), paid_at))
    ordered = sorted(newest)
    await connection.execute(
        """
        WITH paid AS MATERIALIZED (
            SELECT *, count(*) OVER (PARTITION BY account) AS at_once
            FROM unnest($1::bytea[], $2::bytea[], $3::timestamptz[]) AS p (account, recipient_id, paid_at)
        ), kept AS (
            INSERT INTO account_recipient AS a (account, recipient_id, paid_at)
            SELECT account, recipient_id, paid_at FROM paid
            ON CONFLICT (account, recipient_id) DO UPDATE SET paid_at = excluded.paid_at
                WHERE a.paid_at < excluded.paid_at
        )
        INSERT INTO shared_account (account)
        SELECT DISTINCT p.account
        FROM paid AS p
        WHERE p.at_once > 1 OR EXISTS (
            SELECT FROM account_recipient AS a WHERE a.account = p.account AND a.recipient_id <> p.recipient_id
        )
        ORDER BY p.account
        ON CONFLICT DO NOTHING
        """,
        [account for account, _ in ordered],
        [recipient for _, recipient in ordered],
        [newest[pair] for pair in ordered],
    )


async def shared_accounts(connection: Connection, at: datetime, kept: timedelta, most: int) -> list[SharedAccount]:
    """Accounts with several recipients since `at - kept`, those with the most of them first."""
    rows = await connection.fetch(
        """
        SELECT encode(a.account, 'hex') AS account, count(*) AS recipients
        FROM shared_account JOIN account_recipient AS a USING (account)
        WHERE a.paid_at > $1
        GROUP BY a.account
        HAVING count(*) > 1
        ORDER BY recipients DESC, a.account
        LIMIT $2
        """,
        at - kept,
        most,
    )
    return [SharedAccount("a-" + row["account"], row["recipients"]) for row in rows]


async def forget_payments(connection: Connection, before: datetime, most: int) -> int:
    """Pairs that were paid last before then; returns how many."""
    status: Any = await connection.execute(
        """
        DELETE FROM account_recipient
        WHERE (account, recipient_id) IN (
            SELECT account, recipient_id FROM account_recipient WHERE paid_at < $1 ORDER BY paid_at LIMIT $2
        )
        """,
        before,
        most,
    )
    return int(status.rpartition(" ")[2])
