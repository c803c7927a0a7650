"""Payout before and after a recovery, with its topics and a bank: what the tests of it have in common."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from services.payout.doubts import DoubtWorker
from services.payout.recovery import PayoutRecovery
from shared.errors import Trouble
from shared.events import EligibilityDecided, Event
from shared.runtime.recovery import Recovered, recover
from shared.settings import ServiceSettings
from tests.integration.paying import Desk, desk_on
from tests.integration.restoring import (
    audited,
    publish_as,
    publish_own,
    take_in,
    with_database,
)
from tests.integration.running_simulator import Simulator

PARTITIONS = 8


@dataclass
class Flow:
    """Payout's databases, the topics, and a bank. `database` is the one in use."""

    settings: ServiceSettings
    eligibility: ServiceSettings
    bank: Simulator
    known: dict[str, Any]

    @asynccontextmanager
    async def desk(self, database: str) -> AsyncIterator[Desk]:
        async with desk_on(database, self.settings.keys, orders_a_call=20, **self.known) as desk:
            desk.connect(self.bank.url)
            yield desk

    def of(self, database: str) -> ServiceSettings:
        return with_database(self.settings, database)

    async def decide(self, desk: Desk, *decisions: Event[EligibilityDecided]) -> None:
        """Published by eligibility and read by payout."""
        await publish_as(self.eligibility, "eligibility", decisions)
        await self.read(desk)

    async def read(self, desk: Desk) -> int:
        return await take_in(self.settings, desk.turn, (EligibilityDecided.TYPE,))

    async def publish(self, desk: Desk, unpublished: Collection[tuple[str, int]] = ()) -> None:
        await publish_own(self.settings, "payout", desk.outbox.pool, unpublished)

    async def recover(self, desk: Desk, **options: Any) -> Recovered:
        return await recover(self.of(desk.database), PayoutRecovery(desk.known), **options)

    async def drain(self, desk: Desk) -> None:
        """All workers, until nothing is under way."""
        await self.read(desk)
        await work(desk, lambda: settled(desk))
        await self.publish(desk)

    async def check(self, desk: Desk) -> None:
        """Books, bank and topics say the same."""
        await desk.check_books()
        await desk.check_against_bank(await self.bank.books())
        result = await audited(self.of(desk.database), "payout")
        assert [finding.detail for finding in result.findings] == []


def doubts(desk: Desk) -> DoubtWorker:
    return DoubtWorker("himbara", desk.known.banks["himbara"], desk.bank.channel, desk.outbox, desk.known)


async def work(desk: Desk, until: Callable[[], Awaitable[bool]], timeout_s: float = 40.0) -> None:
    """All workers of one process, through all trouble."""

    async def repeat(turn: Callable[[], Awaitable[int]]) -> None:
        while not done.is_set():
            moved = 0
            with suppress(Trouble):
                moved = await turn()
            await asyncio.sleep(0 if moved else 0.02)

    done = asyncio.Event()
    turns = (desk.sweep.turn, desk.bank.pay, desk.bank.inquire, doubts(desk).turn)
    tasks = [asyncio.create_task(repeat(turn)) for turn in turns]
    try:
        async with asyncio.timeout(timeout_s):
            while not await until():
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"still under way after {timeout_s} s: {await under_way(desk)}") from None
    finally:
        done.set()
        await asyncio.gather(*tasks)


async def settled(desk: Desk) -> bool:
    """Every order has its end, but for those that are held; every decision was considered, every doubt asked about,
    and what came back was given away or repaid."""
    found = await desk.rows(
        """
        SELECT
            (SELECT count(*) FROM payout AS p WHERE due_at IS NOT NULL AND NOT EXISTS (
                SELECT FROM doubt AS u
                WHERE (u.recipient_id, u.cycle) = (p.recipient_id, p.cycle) AND u.state = 'held'
            ))
            + (SELECT count(*) FROM decision WHERE settled_in = 0)
            + (SELECT count(*) FROM doubt WHERE state = 'open')
            + (SELECT count(*) FROM account WHERE name = 'returned' AND balance_idr > 0)
        """
    )
    return bool(found[0][0] == 0)


async def under_way(desk: Desk) -> list[dict[str, Any]]:
    rows = await desk.rows(
        """
        SELECT p.*, u AS doubt, clock_timestamp() AS now
        FROM payout AS p FULL JOIN doubt AS u USING (recipient_id, cycle)
        WHERE p.due_at IS NOT NULL OR u.state = 'open'
        """
    )
    unsettled = await desk.rows("SELECT * FROM decision WHERE settled_in = 0")
    return [dict(row) for row in (*rows, *unsettled)]
