"""The bank's database: every statement of it. Times are seconds since 1970.

`transfer` is what was asked for and where it stands; `entry` is every rupiah that moved. A reference can stand in
each only once, by the database's own constraints.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from simulators.bank.behaviour import REFERENCE_USED, Behaviour, Road
from simulators.bank.orders import Order

SCHEMA = """
CREATE TABLE IF NOT EXISTS transfer (
    reference   TEXT PRIMARY KEY CHECK (length(reference) BETWEEN 1 AND 64),
    bank        TEXT NOT NULL,
    account     TEXT NOT NULL,
    amount_idr  INTEGER NOT NULL CHECK (amount_idr > 0),
    state       TEXT NOT NULL CHECK (state IN ('paid', 'refused', 'pending', 'hidden')),
    refusal     TEXT,              -- response code; of a pending or hidden one, what it will be refused with
    due_at      REAL,              -- when a pending or hidden one is settled
    CHECK ((due_at IS NOT NULL) = (state IN ('pending', 'hidden'))),
    CHECK (state != 'refused' OR refusal IS NOT NULL),
    CHECK (state != 'paid' OR refusal IS NULL)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS transfer_due ON transfer (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS entry (
    id          INTEGER PRIMARY KEY,
    reference   TEXT NOT NULL UNIQUE,
    amount_idr  INTEGER NOT NULL CHECK (amount_idr > 0),
    bank        TEXT NOT NULL,
    account     TEXT NOT NULL,
    at          REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS cut_call (bulk_id TEXT PRIMARY KEY) WITHOUT ROWID;
"""

ENTRIES = "SELECT reference, amount_idr, bank, account, at FROM entry ORDER BY id"
# One statement, so one snapshot: the entries as `moved`, then the transfers by state and refusal.
TOTALS = """
SELECT 'moved', NULL, count(*), coalesce(sum(amount_idr), 0) FROM entry
UNION ALL
SELECT state, CASE state WHEN 'refused' THEN refusal END AS code, count(*), sum(amount_idr) FROM transfer
GROUP BY state, code
"""


class Standing(NamedTuple):
    """Where a known transfer stands: state `paid`, `refused` (with its code), `pending` or `hidden`."""

    state: str
    refusal: str | None


def record(connection: sqlite3.Connection, orders: Sequence[tuple[Order, Behaviour]], now: float) -> list[str]:
    """Carry out the orders and return each one's response code, in their order.

    A reference that is known, or that stands in `orders` a second time, is left alone and answered `4091801`.
    """
    used = set(_standings(connection, [order.reference for order, _ in orders]))
    transfers, entries, answers = [], [], []
    for order, what in orders:
        if order.reference in used:
            answers.append(REFERENCE_USED)
            continue
        used.add(order.reference)
        answers.append(what.answer)
        state, due_at = _state(what, now)
        transfers.append((order.reference, order.bank, order.account, order.amount_idr, state, what.refusal, due_at))
        if state == "paid":
            entries.append((order.reference, order.amount_idr, order.bank, order.account, now))
    connection.executemany("INSERT INTO transfer VALUES (?, ?, ?, ?, ?, ?, ?)", transfers)
    _pay(connection, entries)
    return answers


def cut_once(connection: sqlite3.Connection, bulk_id: str) -> bool:
    """Note that this call is cut; False when it was cut before, so that a caller who repeats it gets through."""
    return connection.execute("INSERT OR IGNORE INTO cut_call VALUES (?)", (bulk_id,)).rowcount == 1


def settle_due(connection: sqlite3.Connection, now: float) -> int:
    """Pay or refuse everything whose time has come, and say how many that were."""
    due = connection.execute(
        "SELECT reference, amount_idr, bank, account, due_at, refusal IS NULL FROM transfer WHERE due_at <= ?"
        " ORDER BY due_at, reference",
        (now,),
    ).fetchall()
    if not due:
        return 0
    _pay(
        connection,
        [(reference, amount, bank, account, now) for reference, amount, bank, account, _, pays in due if pays],
    )
    connection.executemany(
        "UPDATE transfer SET state = CASE WHEN refusal IS NULL THEN 'paid' ELSE 'refused' END, due_at = NULL"
        " WHERE reference = ?",
        [(row[0],) for row in due],
    )
    return len(due)


def standings(connection: sqlite3.Connection, references: Sequence[str], now: float) -> dict[str, Standing]:
    """Where the known ones of `references` stand at `now`; what is due is settled first."""
    settle_due(connection, now)
    return _standings(connection, references)


def _standings(connection: sqlite3.Connection, references: Sequence[str]) -> dict[str, Standing]:
    found = connection.execute(
        "SELECT reference, state, refusal FROM transfer WHERE reference IN (SELECT value FROM json_each(?))",
        (json.dumps(references),),
    )
    return {reference: Standing(state, refusal) for reference, state, refusal in found}


def _pay(connection: sqlite3.Connection, entries: Iterable[tuple[str, int, str, str, float]]) -> None:
    connection.executemany(
        "INSERT INTO entry (reference, amount_idr, bank, account, at) VALUES (?, ?, ?, ?, ?)", entries
    )


def _state(what: Behaviour, now: float) -> tuple[str, float | None]:
    match what.road:
        case Road.DELAYED:
            return "pending", now + what.settle_after_s
        case Road.LATE:
            return "hidden", now + what.settle_after_s
        case Road.NOW | Road.TIMEOUT:
            return ("refused" if what.refusal else "paid"), None
