"""Computes the figures of a date and keeps them as published. True counts never leave this module."""

import hmac
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, TypeAlias, cast

import asyncpg
import structlog

from services.portal.domain.disclosure import Cell, granule, hidden_areas, published
from services.portal.ends import AskEnds, Ends
from services.portal.handler import INPUTS
from services.portal.store import figures as store
from services.portal.store.figures import Counted, Figure
from shared import clock
from shared.errors import SalurError
from shared.runtime.worker import Worker
from shared.words import WITA

log = structlog.get_logger()

APART: Final = timedelta(days=6)
"""Two editions are at least so far apart, so that their difference is no single person's."""
_Measure: TypeAlias = tuple[str, str, str, str]
"""Measure, programme, period, reason."""
HOUR: Final = 2
"""Of the night at which an edition is due, on the region's clock."""


class TooSoon(SalurError):
    """The last edition is too young."""

    http_status = 409


@dataclass(frozen=True, slots=True)
class Press:
    """Publishes editions for one area. `days` are those of a month at which one is due."""

    pool: asyncpg.Pool
    area: str
    days: tuple[int, ...]
    secret: bytes = field(repr=False)
    ends: AskEnds
    now: Callable[[], datetime] = clock.now

    async def publish_due(self) -> int:
        """A worker's turn. Nothing while something is unread, or nobody is registered: the next looks again."""
        at = self.now()
        due = due_on(at, self.days)
        last = await store.newest(self.pool)
        if due is None or (last is not None and due - last["edition"] < APART):
            return 0
        try:
            ends = await self.ends()
            async with self.pool.acquire() as held:
                connection = cast("asyncpg.Connection", held)
                return int(await publish(connection, self.area, due, at, self.secret, read_up_to=ends))
        except TooSoon:  # another instance was quicker
            return 0


def worker(press: Press) -> Worker:
    return Worker("figures", press.publish_due, pause_s=60.0)


def due_on(at: datetime, days: Sequence[int]) -> date | None:
    """The date of the edition that is due now: today, where today is one of these days of the month."""
    local = at.astimezone(WITA)
    return local.date() if local.day in days and local.hour >= HOUR else None


async def publish(
    connection: asyncpg.Connection,
    area: str,
    edition: date,
    at: datetime,
    secret: bytes,
    *,
    checkpoint: Mapping[str, str] | None = None,
    instead: bool = False,
    read_up_to: Ends | None = None,
) -> bool:
    """Counts, rounds and keeps everything in one look at the database. False where the date has its edition already,
    or, with `read_up_to`, where that much is not read yet or nobody is registered.

    `instead`: a younger edition than APART is taken back for this one. Raises TooSoon without it.
    """
    async with connection.transaction(isolation="repeatable_read"):
        await store.take_time(connection)
        await store.take_turn(connection)
        if read_up_to is not None and not await store.is_complete(connection, read_up_to):
            log.info("the open figures wait: the read model is behind or empty", edition=str(edition))
            return False
        last = await store.newest(connection)
        if last is not None and edition - last["edition"] < APART:
            if not instead:
                raise TooSoon(
                    f"the last edition is of {last['edition']}: the next may follow {APART.days} days later",
                    hint="two editions close to each other would show single people in their difference",
                )
            await store.remove_edition(connection, last["edition"])
        read = await store.positions(connection, INPUTS)
        if not await store.add_edition(connection, edition, at, area, checkpoint, read):
            return False
        rows = rounded_figures(await store.count(connection, area), area, secret)
        await store.add_figures(connection, edition, rows)
    log.info("open figures published", edition=str(edition), figures=len(rows))
    return True


def rounded_figures(counted: Iterable[Counted], area: str, secret: bytes) -> list[Figure]:
    """What may be shown of these counts: by village, by district, and of the whole."""
    key = hmac.digest(secret, b"figures", "sha256")
    grouped: dict[_Measure, list[Counted]] = defaultdict(list)
    for row in counted:
        grouped[row[:4]].append(row)
    families = {name: {row.village: Cell(row.families, row.families) for row in rows} for name, rows in grouped.items()}
    decided: dict[str, list[_Measure]] = defaultdict(list)
    for name in families:
        if name[0] in ("eligible", "refused"):
            decided[name[1]].append(name)
    hidden = hidden_areas(families, area, {("registered", "", "", ""): decided.values()})
    found: list[Figure] = []
    for name, rows in sorted(grouped.items()):
        shown = published(families[name], area, hidden[name], key)
        found += [Figure(*name, where, value) for where, value in shown.items()]
        if name[0] == "paid":
            paid = {row.village: Cell(row.families, row.amount_idr) for row in rows}
            total, people = sum(row.amount_idr for row in rows), sum(row.families for row in rows)
            base = granule(max(row.largest_idr for row in rows), total // max(1, people))
            idr = published(paid, area, hidden[name], key, base)
            found += [Figure("paid_idr", *name[1:], where, value) for where, value in idr.items()]
    return found
