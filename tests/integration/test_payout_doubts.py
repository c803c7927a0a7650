"""What a recovery leaves in doubt, on the tables alone: who is asked about, who waits, and who may be sent."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.payout.domain.answers import Answer, Said
from services.payout.domain.orders import BankOrder
from services.payout.doubts import DoubtWorker
from services.payout.store import doubts, orders
from tests.integration.paying import Desk, desk_on, number, recipient

CYCLE = "sembako-2026-11"


@dataclass
class Asked:
    """A bank that knows of nothing and remembers what it was asked about."""

    references: list[str] = field(default_factory=list)

    async def send(self, orders: Sequence[BankOrder], *, sends: int, stamped_at: datetime) -> list[Answer]:
        raise AssertionError("nothing is sent here")

    async def ask(self, references: Sequence[str], *, stamped_at: datetime) -> list[Answer]:
        self.references += references
        return [Answer(one, Said.NOT_FOUND) for one in references]


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """Five orders in a cycle that a recovery has made doubtful a minute ago."""
    async with desk_on(database, tmp_path / "keys.json") as made:
        await made.open_cycle(10**9)
        await made.decide(*(made.decision(n) for n in range(1, 6)))
        await made.sweep_all()
        await made.rows("UPDATE cycle SET doubtful_since = now() - interval '1 minute'")
        await made.rows("UPDATE decision SET received_at = now() - interval '1 hour'")
        await made.rows("UPDATE payout SET due_at = now() - make_interval(secs => 10 - right(recipient_id, 1)::int)")
        yield made
        await made.check_books()


async def waiting(desk: Desk) -> list[int]:
    """Who is due to be sent, whether or not anybody may."""
    rows = await desk.rows("SELECT recipient_id FROM payout WHERE due_at <= now() ORDER BY due_at")
    return [number(row[0]) for row in rows]


async def test_orders_in_doubt_leave_the_front_slice_by_slice_and_come_back_when_they_are_clear(desk: Desk) -> None:
    bank, pool = Asked(), desk.outbox.pool
    now = await orders.clock(pool)
    await doubts.pass_over(pool, "himbara", now, now + timedelta(minutes=1), 2)
    assert await waiting(desk) == [3, 4, 5]
    await doubts.pass_over(pool, "himbara", now, now + timedelta(minutes=1), 2)
    assert await waiting(desk) == [5]
    assert len(await desk.rows("SELECT FROM doubt WHERE state = 'open'")) == 4
    assert (await desk.bank.claim()).rows == []
    worker = DoubtWorker("himbara", desk.known.banks["himbara"], bank, desk.outbox, desk.known)
    assert await worker.turn() == 5
    assert await waiting(desk) == [1, 2, 3, 4, 5]
    assert len((await desk.bank.claim()).rows) == 5
    assert await worker.turn() == 0


async def test_a_held_order_is_passed_over_each_time_it_comes_to_the_front(desk: Desk) -> None:
    await desk.rows("INSERT INTO doubt SELECT recipient_id, cycle, programme, 1, 1, NULL, 'held', now() FROM payout")
    now = await orders.clock(desk.outbox.pool)
    await doubts.pass_over(desk.outbox.pool, "himbara", now, now + timedelta(minutes=1), 100)
    assert await waiting(desk) == []


async def test_without_a_recovery_nothing_is_passed_over(desk: Desk) -> None:
    await desk.rows("UPDATE cycle SET doubtful_since = NULL")
    now = await orders.clock(desk.outbox.pool)
    await doubts.pass_over(desk.outbox.pool, "himbara", now, now + timedelta(minutes=1), 100)
    assert len(await waiting(desk)) == 5
    assert await desk.rows("SELECT FROM doubt") == []


async def test_the_bank_is_asked_about_the_references_that_attempts_have_whatever_is_configured_now(desk: Desk) -> None:
    bank = Asked()
    longer = desk.known.banks["himbara"].model_copy(update={"reference_length": 32})
    await DoubtWorker("himbara", longer, bank, desk.outbox, desk.known).turn()
    assert sorted(bank.references) == sorted(row[0] for row in await desk.rows("SELECT reference FROM payout"))


async def test_a_doubt_that_another_worker_has_ended_meanwhile_is_none_any_more(desk: Desk) -> None:
    """It had asked for longer than a claim lasts; the other one took the order for its own."""
    key = (recipient(1), CYCLE)
    await desk.rows("INSERT INTO doubt VALUES ($1, $2, 'sembako', 1, 1, 200000, 'open', now())", *key)

    async def second() -> dict[tuple[str, str], object]:
        async with desk.outbox.transaction() as transaction:
            return dict(await doubts.lock(transaction.tx, [key]))

    async with desk.outbox.pool.acquire() as first, first.transaction():
        assert list(await doubts.lock(first, [key])) == [key]
        locking = asyncio.create_task(second())
        async with asyncio.timeout(20):
            while not await desk.rows("SELECT FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.02)
        await first.execute("UPDATE doubt SET state = 'clear'")
    assert await locking == {}
