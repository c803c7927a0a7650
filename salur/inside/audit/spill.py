"""What events say and what rows say, laid down in a temporary SQLite file and compared key by key.

Each agreement has two tables. Appending needs no index, and SQLite sorts on disk: memory stays flat however many there
are. What plainly agrees (one event, one row, the same fields) never comes back to Python.
"""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from shared.runtime.digest import Record
from shared.runtime.payload import unpack

SEPARATOR = "\x1f"
NULL = "\x02"
ANY = "\x03"
"""An event that does not say this field: whatever the row has is right. Or a row that took it from another event."""

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
PRAGMA cache_size = -32768;
CREATE TABLE suspect (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE dead (stage TEXT, place INT, offset INT, PRIMARY KEY (stage, place, offset)) WITHOUT ROWID;
CREATE TABLE outbox (
    stage TEXT, topic TEXT, partition INT, first_sequence INT, payload BLOB,
    PRIMARY KEY (topic, partition, first_sequence)
);
"""


class Said(NamedTuple):
    """What one event says about the row `key`. Of several the highest `rank` counts, then the sequence."""

    key: str
    rank: int | str
    sequence: int
    place: int
    offset: int
    fields: str


class Subject(NamedTuple):
    """All that was said about one key, by rank and sequence, and what stands there (None: no row)."""

    key: str
    said: list[Said]
    stands: str | None


class Spill:
    """The temporary file; it is gone when the `with` block ends."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="salur-audit-")
        self._db = sqlite3.connect(str(Path(self._folder.name) / "spill.db"), isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")

    def __enter__(self) -> "Spill":
        return self

    def __exit__(self, *error: object) -> None:
        self._db.close()
        self._folder.cleanup()

    def prepare(self, agreement: int) -> None:
        """Before anything is said of it."""
        self._db.execute(
            f"CREATE TABLE said_{agreement} (key TEXT, rank, sequence INT, place INT, offset INT, fields TEXT)"
        )
        self._db.execute(f"CREATE TABLE stands_{agreement} (key TEXT, fields TEXT)")

    def say(self, agreement: int, rows: Iterable[tuple[str, int | str, int, int, int, str]]) -> None:
        """What events say: the fields of Said."""
        self._db.executemany(f"INSERT INTO said_{agreement} VALUES (?, ?, ?, ?, ?, ?)", rows)

    def stand(self, agreement: int, rows: Iterable[tuple[str, str]]) -> None:
        """Rows of the database: key, fields."""
        self._db.executemany(f"INSERT INTO stands_{agreement} VALUES (?, ?)", rows)

    def bury(self, stage: str, place: int, offset: int) -> None:
        """An event that this stage could not process."""
        self._db.execute("INSERT OR IGNORE INTO dead VALUES (?, ?, ?)", (stage, place, offset))

    def is_dead(self, stage: str, place: int, offset: int) -> bool:
        found = self._db.execute("SELECT 1 FROM dead WHERE (stage, place, offset) = (?, ?, ?)", (stage, place, offset))
        return found.fetchone() is not None

    def keep_outbox(self, rows: Iterable[tuple[str, str, int, int, bytes]]) -> None:
        """Outbox rows: stage, topic, partition, first sequence, payload."""
        self._db.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?, ?)", rows)

    def outbox(self, topic: str, partition: int) -> Iterator[tuple[int, Iterator[Record]]]:
        """What waits for one place, oldest first: first sequence and records."""
        rows = self._db.execute(
            "SELECT first_sequence, payload FROM outbox WHERE topic = ? AND partition = ? ORDER BY first_sequence",
            (topic, partition),
        )
        for first_sequence, payload in rows:
            yield first_sequence, unpack(payload)

    def suspects(self, agreement: int, *, first_rank: int | None) -> Iterator[Subject]:
        """Every key that needs a closer look, in order: all but those with one event and one row that are the same.

        `first_rank`: the one event must have this rank.
        """
        self._db.execute("DELETE FROM suspect")
        self._db.execute(
            f"""
            INSERT INTO suspect
            SELECT key
            FROM (
                SELECT key, 1 AS said, 0 AS stands, rank, fields FROM said_{agreement}
                UNION ALL
                SELECT key, 0, 1, NULL, fields FROM stands_{agreement}
            )
            GROUP BY key
            HAVING sum(said) <> 1 OR sum(stands) <> 1 OR min(fields) <> max(fields)
                OR max(rank) <> coalesce(?, max(rank))
            """,
            (first_rank,),
        )
        rows = self._db.execute(
            f"""
            SELECT key, 0 AS side, rank, sequence, place, offset, fields FROM said_{agreement} JOIN suspect USING (key)
            UNION ALL
            SELECT key, 1, NULL, NULL, NULL, NULL, fields FROM stands_{agreement} JOIN suspect USING (key)
            ORDER BY key, side, rank, sequence
            """
        )
        for key, group in groupby(rows, key=itemgetter(0)):
            said: list[Said] = []
            stands = None
            for _, side, rank, sequence, place, offset, fields in group:
                if side:
                    stands = fields
                else:
                    said.append(Said(key, rank, sequence, place, offset, fields))
            yield Subject(key, said, stands)


def packed(values: tuple[str | None, ...]) -> str:
    """Fields as one text. Raises TypeError for a value that is no text."""
    try:
        return SEPARATOR.join(values)  # type: ignore[arg-type]
    except TypeError:
        return SEPARATOR.join([NULL if value is None else value for value in values])
