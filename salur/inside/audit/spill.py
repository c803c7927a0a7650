"""What events say and what rows say, laid down in a temporary SQLite file and compared key by key.

Appending needs no index, and the comparison is one merge in the order of keys that SQLite sorts on disk: memory stays
flat however many there are.
"""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from shared.runtime.digest import Record
from shared.runtime.payload import unpack

SEPARATOR = "\x1f"
NULL = "\x02"
ANY = "\x03"
"""An event that does not say this field: whatever the row has is right."""

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
PRAGMA cache_size = -32768;
CREATE TABLE said (agreement INT, key TEXT, rank, sequence INT, place INT, offset INT, fields TEXT);
CREATE TABLE stands (agreement INT, key TEXT, fields TEXT);
CREATE TABLE outbox (
    stage TEXT, topic TEXT, partition INT, first_sequence INT, payload BLOB,
    PRIMARY KEY (topic, partition, first_sequence)
);
"""


class Said(NamedTuple):
    """What one event says about the row `key`. Of several the highest `rank` counts, then the sequence."""

    agreement: int
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

    def say(self, rows: Iterable[Said]) -> None:
        self._db.executemany("INSERT INTO said VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def stand(self, rows: Iterable[tuple[int, str, str]]) -> None:
        """Rows of the database: agreement, key, fields."""
        self._db.executemany("INSERT INTO stands VALUES (?, ?, ?)", rows)

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

    def subjects(self, agreement: int) -> Iterator[Subject]:
        """Every key that an event or a row of this agreement names, in order."""
        rows = self._db.execute(
            """
            SELECT key, 0 AS side, rank, sequence, place, offset, fields FROM said WHERE agreement = :a
            UNION ALL
            SELECT key, 1, NULL, NULL, NULL, NULL, fields FROM stands WHERE agreement = :a
            ORDER BY key, side, rank, sequence
            """,
            {"a": agreement},
        )
        for key, group in groupby(rows, key=lambda row: row[0]):
            said: list[Said] = []
            stands = None
            for _, side, rank, sequence, place, offset, fields in group:
                if side:
                    stands = fields
                else:
                    said.append(Said(agreement, key, rank, sequence, place, offset, fields))
            yield Subject(key, said, stands)


def packed(values: Iterable[str | None]) -> str:
    """Fields as one text."""
    return SEPARATOR.join([NULL if value is None else value for value in values])


def unpacked(fields: str) -> list[str | None]:
    return [None if value == NULL else value for value in fields.split(SEPARATOR)]
