"""Nobody loses a place in the order in which budget is given by what happens meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.payout.domain.answers import Answer, Said
from services.payout.store import orders
from tests.integration.paying import Desk, desk_on, number, recipient

RANKED = "bantuan-polman"
NEXT = "2026-12"


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_on(database, tmp_path / "keys.json") as made:
        yield made
        await made.check_books()


async def states(desk: Desk, programme: str, period: str = "2026-11") -> dict[int, str]:
    """By the number of the recipient."""
    rows = await desk.rows("SELECT recipient_id, state FROM payout WHERE cycle = $1", f"{programme}-{period}")
    return {number(row["recipient_id"]): row["state"] for row in rows}


async def test_whose_last_outcome_is_just_being_written_keeps_the_rank(desk: Desk) -> None:
    await desk.open_cycle(200_000, RANKED)
    await desk.decide(desk.decision(1, programme=RANKED, decile=1))
    await desk.sweep_all()
    await desk.bank.claim()
    await desk.decide(desk.decision(2, programme=RANKED, decile=9))
    await desk.open_cycle(200_000, RANKED, NEXT)
    async with desk.outbox.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM payout WHERE recipient_id = $1 FOR NO KEY UPDATE", recipient(1))
        await desk.sweep.turn()
    await desk.sweep_all()
    assert await states(desk, RANKED, NEXT) == {1: "ordered", 2: "queued"}


@pytest.mark.parametrize("swept", [False, True], ids=["before the sweep", "after it"])
async def test_a_newer_yes_after_the_cut_off_costs_no_rank(desk: Desk, *, swept: bool) -> None:
    await desk.decide(desk.decision(1, programme=RANKED, decile=1), desk.decision(2, programme=RANKED, decile=9))
    await desk.open_cycle(200_000, RANKED)
    if swept:
        await desk.sweep_all()
    await desk.decide(desk.decision(1, programme=RANKED, decile=1, revision=2))
    await desk.sweep_all()
    assert await states(desk, RANKED) == {1: "ordered", 2: "queued"}


async def test_who_is_due_again_without_a_newer_decision_keeps_the_head_of_the_queue(desk: Desk) -> None:
    await desk.open_cycle(200_000)
    await desk.decide(desk.decision(2))
    await desk.sweep_all()
    (old,) = (await desk.bank.claim()).rows
    await desk.decide(desk.decision(1), desk.decision(2, revision=2))
    await desk.open_cycle(200_000, period=NEXT)
    await desk.sweep_all()
    assert await states(desk, "sembako", NEXT) == {1: "ordered", 2: "queued"}
    (given,) = (await desk.bank.claim()).rows
    now = await orders.clock(desk.outbox.pool)
    came_back = Answer(given["reference"], Said.FAILED, "account_closed")
    await desk.bank.record([came_back], {given["reference"]: 1}, now)
    await desk.bank.record([Answer(old["reference"], Said.DONE, None, "1")], {old["reference"]: 1}, now)
    await desk.decide(desk.decision(3))  # waits since later
    await desk.sweep_all()
    assert await states(desk, "sembako", NEXT) == {1: "failed", 2: "ordered", 3: "queued"}
