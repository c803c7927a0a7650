"""Editions as they are sent: read and written out once, as they never change. Everybody may ask for them, and often."""

import asyncio
import csv
import io
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import asyncpg
import orjson

from services.portal.figures.view import Table, table_of
from services.portal.regions import name_of
from services.portal.store import figures as store
from services.portal.store.figures import Figure

KEPT_MAX: Final = 6
"""An edition of a regency takes a megabyte or two."""
COLUMNS: Final = ("edition", "measure", "programme", "period", "reason", "area", "name", "value")


class Sent(NamedTuple):
    """One body, and the tag by which a browser asks whether it still has the same."""

    body: bytes
    etag: str


class Made(NamedTuple):
    """One edition: for the page, and as its two files."""

    table: Table
    as_json: Sent
    as_csv: Sent


@dataclass(slots=True)
class Editions:
    """One a process. An edition that was taken back for another one of its date is known by when it was computed."""

    pool: asyncpg.Pool
    _held: OrderedDict[tuple[date, datetime], Made] = field(default_factory=OrderedDict)
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def made(self, edition: asyncpg.Record) -> Made:
        """Of a row of `edition`. One is made at a time; the KEPT_MAX that were asked for last are kept."""
        key = (edition["edition"], edition["computed_at"])
        async with self._making:
            if key not in self._held:
                rows = await store.figures_of(self.pool, edition["edition"])
                self._held[key] = Made(table_of(rows), _sent(_json(edition, rows)), _sent(_csv(edition, rows)))
            self._held.move_to_end(key)
            while len(self._held) > KEPT_MAX:
                self._held.popitem(last=False)
            return self._held[key]


def _sent(body: bytes) -> Sent:
    return Sent(body, f'"{sha256(body).hexdigest()[:32]}"')


def _json(edition: asyncpg.Record, rows: Sequence[Figure]) -> bytes:
    """Everything of an edition, with what it was computed from."""
    document: dict[str, Any] = {
        "edition": edition["edition"],
        "computed_at": edition["computed_at"],
        "area": edition["area"],
        "checkpoint": orjson.loads(edition["checkpoint"]) if edition["checkpoint"] else None,
        "rounded_to": 5,
        "hidden_below": 10,
        "positions_sha256": _hash_of(orjson.loads(edition["positions"])),
        "figures": [{**row._asdict(), "name": name_of(row.area)} for row in rows],
    }
    return orjson.dumps(document)


def _csv(edition: asyncpg.Record, rows: Sequence[Figure]) -> bytes:
    """One line a figure; `value` is empty where it is not shown."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\r\n")
    write.writerow(COLUMNS)
    for row in rows:
        value = "" if row.value is None else row.value
        write.writerow((edition["edition"], *row[:5], name_of(row.area), value))
    return text.getvalue().encode()


def _hash_of(positions: Mapping[str, Mapping[str, int]]) -> str:
    """Of what had been read: the positions themselves are exact counts of events."""
    return sha256(orjson.dumps(positions, option=orjson.OPT_SORT_KEYS)).hexdigest()
