"""A temporary SQLite file for what does not belong into memory: the books of others, and submissions by their ids."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA temp_store = FILE;
PRAGMA cache_size = -32768;
CREATE TABLE bank (reference TEXT, amount_idr INT);
CREATE TABLE carrier (message_id TEXT);
CREATE TABLE submitted (key TEXT, place INT, partition INT, offset INT, at_us INT);
CREATE TABLE answered (key TEXT, at_us INT);
CREATE TABLE answer (id TEXT, answer TEXT, detail TEXT, codes TEXT, recipient TEXT);
CREATE INDEX answer_id ON answer (id);
CREATE INDEX answer_recipient ON answer (recipient);
"""


class Scratch:
    """The file; it is gone when the `with` block ends."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="salur-report-")
        self._db = sqlite3.connect(str(Path(self._folder.name) / "scratch.db"), isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(self, *error: object) -> None:
        self._db.close()
        self._folder.cleanup()

    def add(self, table: str, rows: Iterable[tuple[Any, ...]], columns: int) -> None:
        """Rows of as many columns as the table has."""
        self._db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", rows)

    def rows(self, sql: str, *values: Any) -> Iterator[Any]:
        yield from self._db.execute(sql, values)

    def number(self, sql: str, *values: Any) -> int:
        found = self._db.execute(sql, values).fetchone()
        return int(found[0] or 0)
