"""A random walk: decisions, sweeps, crashed and repeated calls, closing cycles, in any order, with a rough real bank.

The seed is in the test's name; the same seed takes the same steps, though not with the same timing.
"""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest

from shared.errors import Trouble
from tests.integration.paying import FAST_SIMULATOR, Desk, desk_on
from tests.integration.running_simulator import running
from tests.integration.test_payout_bank import all_ended, work

PEOPLE = 25
PERIODS = ("2026-11", "2026-12", "2027-01", "2027-02")
ROUGH = ("--refused", 0.2, "--delayed", 0.2, "--timeout", 0.15, "--late", 0.1, "--cut", 0.3, *FAST_SIMULATOR)


async def step(desk: Desk, chance: random.Random, revisions: dict[int, int], opened: list[str]) -> None:
    """One thing that can happen at any time."""
    match chance.randrange(10):
        case 0 | 1 | 2:
            people = chance.sample(range(1, PEOPLE + 1), chance.randint(1, 6))
            for person in people:
                revisions[person] = revisions.get(person, 0) + 1
            await desk.decide(
                *(
                    desk.decision(
                        person,
                        revision=revisions[person],
                        eligible=chance.random() < 0.7,
                        amount_idr=chance.choice((100_000, 200_000, 700_000)),
                        account=chance.random() < 0.9,
                        account_number=f"{chance.randrange(10**9):010d}",
                    )
                    for person in people
                )
            )
        case 3 | 4:
            await desk.sweep.turn()
        case 5:
            await desk.bank.claim()  # and the process dies
        case 6:
            claimed = await desk.bank.claim()
            if claimed.rows:
                await desk.bank.call(claimed)  # and the process dies
        case 7:
            await desk.bank.pay()
        case 8:
            await desk.bank.inquire()
        case 9 if chance.random() < 0.3 and len(opened) < len(PERIODS):
            opened.append(PERIODS[len(opened)])
            await desk.open_cycle(chance.choice((500_000, 3_000_000)), period=opened[-1])


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_books_are_right_after_every_step(database: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    revisions: dict[int, int] = {}
    opened = [PERIODS[0]]
    async with (
        running("bank", tmp_path / "bank", "--seed", seed, *ROUGH) as bank,
        desk_on(database, tmp_path / "keys.json", orders_a_call=4) as desk,
    ):
        desk.connect(bank.url)
        await desk.open_cycle(3_000_000)
        desks = [desk, desk.copy()]
        for number in range(150):
            with suppress(Trouble):
                await step(chance.choice(desks), chance, revisions, opened)
            if number % 10 == 0:
                await desk.check_books()
            await asyncio.sleep(chance.random() / 30)
        await desk.sweep_all()
        await work(desk, lambda: settled(desk))
        await desk.check_books()
        await desk.check_against_bank(await bank.books())
        latest = {row[0]: row[1] for row in await desk.rows("SELECT recipient_id, revision FROM decision")}
        assert sorted(latest.values()) == sorted(revisions.values())
        wrong = await desk.rows(
            """
            SELECT p.* FROM payout AS p JOIN decision AS d USING (programme, recipient_id)
            WHERE p.state IN ('queued', 'ordered') AND (NOT d.eligible OR d.revision <> p.decision_revision)
            """
        )
        assert wrong == [], "nothing waits or is ordered on a superseded decision"


async def settled(desk: Desk) -> bool:
    due = await desk.rows(
        "SELECT FROM decision AS d JOIN cycle AS c USING (programme) WHERE c.state = 'open' AND settled_in < c.number"
    )
    return not due and await all_ended(desk)
