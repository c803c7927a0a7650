"""The carrier's database: every statement of it. Times are seconds since 1970.

A message's whole future is written when it is accepted: `got_at` is when the phone gets it, and `hook` holds the
webhooks still to be posted. So nothing is lost or decided anew when the process dies.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from simulators.carrier.behaviour import Journey
from simulators.carrier.requests import Message

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id               INTEGER PRIMARY KEY,
    wamid            TEXT NOT NULL,
    phone_number_id  TEXT NOT NULL,
    phone            TEXT NOT NULL,
    callback_data    TEXT,
    template         TEXT,
    language         TEXT,
    content          TEXT NOT NULL,      -- JSON list of the template's values, or of the one text
    accepted_at      REAL NOT NULL,
    got_at           REAL                -- NULL: no phone ever gets it
);
CREATE INDEX IF NOT EXISTS message_phone ON message (phone, id);
CREATE TABLE IF NOT EXISTS reply (
    id               INTEGER PRIMARY KEY,
    wamid            TEXT NOT NULL,
    phone_number_id  TEXT NOT NULL,
    phone            TEXT NOT NULL,
    text             TEXT NOT NULL,
    at               REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS reply_phone ON reply (phone, id);
CREATE TABLE IF NOT EXISTS phone (
    phone            TEXT PRIMARY KEY,
    messages         INTEGER NOT NULL,
    last_at          REAL NOT NULL,
    phone_number_id  TEXT NOT NULL       -- the business number that wrote or was written to last
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS phone_last ON phone (last_at);
CREATE TABLE IF NOT EXISTS hook (
    id               INTEGER PRIMARY KEY,
    due_at           REAL NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    about            INTEGER NOT NULL,   -- message.id, or reply.id for `reply`
    status           TEXT NOT NULL CHECK (status IN ('sent', 'delivered', 'read', 'failed', 'reply')),
    at               INTEGER NOT NULL,
    error            INTEGER
);
CREATE INDEX IF NOT EXISTS hook_due ON hook (due_at);
"""

GOT = (
    "SELECT callback_data, phone, template, language, got_at, wamid FROM message"
    " WHERE got_at IS NOT NULL AND got_at <= ? ORDER BY id"
)
# One statement, so one snapshot.
TOTALS = """
SELECT m.accepted, m.got, m.never,
       (SELECT count(*) FROM phone), (SELECT count(*) FROM reply), (SELECT count(*) FROM hook)
FROM (SELECT count(*) AS accepted, count(*) FILTER (WHERE got_at <= ?) AS got,
             count(*) FILTER (WHERE got_at IS NULL) AS never FROM message) m
"""


class Hook(NamedTuple):
    """A webhook to post: a status of a message, or a reply (`status` is `reply` and `text` its text)."""

    id: int
    attempts: int
    status: str
    at: int
    error: int | None
    wamid: str
    phone_number_id: str
    phone: str
    callback_data: str | None
    text: str | None


class Bubble(NamedTuple):
    """One line of a phone's chat; `mine` is what its owner wrote."""

    at: float
    mine: bool
    wamid: str
    template: str | None
    language: str | None
    content: str
    callback_data: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that was accepted, under its number."""

    id: int
    wamid: str
    phone_number_id: str
    message: Message
    journey: Journey


def last_id(connection: sqlite3.Connection) -> int:
    """The highest number given to a message or reply so far."""
    row = connection.execute(
        "SELECT max((SELECT coalesce(max(id), 0) FROM message), (SELECT coalesce(max(id), 0) FROM reply))"
    ).fetchone()
    return int(row[0])


def accept(connection: sqlite3.Connection, accepted: Accepted, now: float) -> None:
    """Write the message, the phone it goes to and all its webhooks."""
    message, journey = accepted.message, accepted.journey
    content = json.dumps(message.values if message.text is None else (message.text,), ensure_ascii=False)
    got_at = None if journey.got_s is None else now + journey.got_s
    connection.execute(
        "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            accepted.id,
            accepted.wamid,
            accepted.phone_number_id,
            message.phone,
            message.callback_data,
            message.template,
            message.language,
            content,
            now,
            got_at,
        ),
    )
    connection.executemany(
        "INSERT INTO hook (due_at, about, status, at, error) VALUES (?, ?, ?, ?, ?)",
        [
            (now + status.posted_s, accepted.id, status.name, int(now + status.happened_s), status.error)
            for status in journey.statuses
        ],
    )
    if got_at is not None:
        _touch_phone(connection, message.phone, 1, got_at, accepted.phone_number_id)


def reply(
    connection: sqlite3.Connection, reply_id: int, wamid: str, phone: str, text: str, default_number: str, now: float
) -> None:
    """Write what a person wrote, to the business number that wrote to them last, and its webhook."""
    row = connection.execute("SELECT phone_number_id FROM phone WHERE phone = ?", (phone,)).fetchone()
    phone_number_id = row[0] if row else default_number
    connection.execute(
        "INSERT INTO reply VALUES (?, ?, ?, ?, ?, ?)", (reply_id, wamid, phone_number_id, phone, text, now)
    )
    connection.execute(
        "INSERT INTO hook (due_at, about, status, at) VALUES (?, ?, 'reply', ?)", (now, reply_id, int(now))
    )
    _touch_phone(connection, phone, 0, now, phone_number_id)


def wrote_since(connection: sqlite3.Connection, phone: str, since: float) -> bool:
    """Whether the person wrote after `since`; free text may be sent for 24 hours after."""
    row = connection.execute("SELECT max(at) FROM reply WHERE phone = ?", (phone,)).fetchone()
    return row[0] is not None and row[0] >= since


def due_hooks(connection: sqlite3.Connection, now: float, limit: int, in_flight: Sequence[int]) -> list[Hook]:
    """The webhooks that are due and not in flight, oldest first."""
    found = connection.execute(
        "SELECT h.id, h.attempts, h.status, h.at, h.error, coalesce(m.wamid, r.wamid),"
        " coalesce(m.phone_number_id, r.phone_number_id), coalesce(m.phone, r.phone), m.callback_data, r.text"
        " FROM (SELECT * FROM hook WHERE due_at <= ? AND id NOT IN (SELECT value FROM json_each(?))"
        "       ORDER BY due_at, id LIMIT ?) h"
        " LEFT JOIN message m ON h.status != 'reply' AND m.id = h.about"
        " LEFT JOIN reply r ON h.status = 'reply' AND r.id = h.about"
        " ORDER BY h.due_at, h.id",
        (now, json.dumps(in_flight), limit),
    )
    return [Hook(*row) for row in found]


def drop_hooks(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Forget webhooks that the receiver has taken."""
    connection.execute("DELETE FROM hook WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))


def delay_hooks(connection: sqlite3.Connection, ids: Sequence[int], due_at: float) -> None:
    """Post these again later."""
    connection.execute(
        "UPDATE hook SET attempts = attempts + 1, due_at = ? WHERE id IN (SELECT value FROM json_each(?))",
        (due_at, json.dumps(ids)),
    )


# ---- what the pages show ----

_PHONES = """
SELECT p.phone, p.messages, p.last_at, m.template, m.language, m.content
FROM phone p LEFT JOIN message m
    ON m.id = (SELECT max(id) FROM message WHERE phone = p.phone AND got_at IS NOT NULL)
WHERE {which}
ORDER BY p.last_at DESC, p.phone LIMIT ?
"""
PHONES = _PHONES.format(which="p.phone LIKE '%' || ? || '%'")
# People search for a name, too. Only the newest messages are looked through, so that the page stays quick.
PHONES_BY_TEXT = _PHONES.format(
    which="p.phone IN (SELECT phone FROM message WHERE id > (SELECT coalesce(max(id), 0) FROM message) - 200000"
    " AND got_at IS NOT NULL AND content LIKE '%' || ? || '%')"
)
CHAT = (
    "SELECT * FROM (SELECT got_at AS at, 0, wamid, template, language, content, callback_data FROM message"
    "  WHERE phone = ? AND got_at <= ?"
    " UNION ALL SELECT at, 1, wamid, NULL, NULL, text, NULL FROM reply WHERE phone = ?"
    " ORDER BY 1 DESC LIMIT ?) ORDER BY 1"
)


def bubbles(rows: Sequence[tuple[Any, ...]]) -> list[Bubble]:
    """The rows of CHAT."""
    return [Bubble(at, bool(mine), *rest) for at, mine, *rest in rows]


def _touch_phone(connection: sqlite3.Connection, phone: str, messages: int, at: float, phone_number_id: str) -> None:
    connection.execute(
        "INSERT INTO phone VALUES (?, ?, ?, ?) ON CONFLICT (phone) DO UPDATE SET messages = messages + ?,"
        " last_at = max(last_at, excluded.last_at), phone_number_id = excluded.phone_number_id",
        (phone, messages, at, phone_number_id, messages),
    )
