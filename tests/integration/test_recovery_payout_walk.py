"""A random walk of payout with a restore in it: nobody is paid twice, and books and bank agree."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from shared.errors import Trouble
from shared.events import EligibilityDecided, Event
from tests.integration.paying import FAST_SIMULATOR, Desk
from tests.integration.recovered_payout import PARTITIONS, Flow, doubts
from tests.integration.restoring import (
    audited,
    backup,
    dropping,
    places_of,
)
from tests.integration.running_simulator import running
from tests.integration.toy import empty_topics, settings_for
from tests.slow import EVERYTHING
from tests.stack import fresh_database

PEOPLE = 20
ROUGH = ("--refused", 0.15, "--delayed", 0.2, "--timeout", 0.15, "--late", 0.1, "--cut", 0.2, *FAST_SIMULATOR)


class Walk:
    """Decisions, sweeps and calls at random; the account tells who was paid in which cycle."""

    def __init__(self, flow: Flow, seed: int) -> None:
        self.flow = flow
        self.chance = random.Random(seed)
        self.revisions: dict[int, int] = {}

    async def steps(self, desk: Desk, count: int) -> None:
        for _ in range(count):
            with suppress(Trouble):
                await self._step(desk)
            await asyncio.sleep(self.chance.random() / 50)

    async def _step(self, desk: Desk) -> None:
        chance = self.chance
        match chance.randrange(8):
            case 0 | 1:
                await self.flow.decide(desk, *(self._decision(desk) for _ in range(chance.randint(1, 5))))
            case 2 | 3:
                await desk.sweep.turn()
            case 4:
                claimed = await desk.bank.claim()
                if claimed.rows:
                    await desk.bank.call(claimed)  # and the process dies
            case 5:
                await desk.bank.pay()
            case 6:
                await desk.bank.inquire()
            case 7:
                await doubts(desk).turn()

    def _decision(self, desk: Desk) -> Event[EligibilityDecided]:
        person = self.chance.randint(1, PEOPLE)
        self.revisions[person] = self.revisions.get(person, 0) + 1
        return desk.decision(
            person,
            revision=self.revisions[person],
            eligible=self.chance.random() < 0.75,
            amount_idr=self.chance.choice((100_000, 200_000)),
            account=self.chance.random() < 0.9,
        )

    def lost(self) -> Sequence[tuple[str, int]]:
        """What the lost database had not published: nothing, or anything but the cycles."""
        share = self.chance.choice((0.0, 0.3, 0.7, 1.0))
        places = [place for place in places_of("payout", PARTITIONS) if not place[0].startswith("cycle.")]
        return [place for place in places if self.chance.random() < share]


@pytest.mark.parametrize("seed", range(8 if EVERYTHING else 4))
async def test_a_walk_with_a_restore_pays_nobody_twice(
    kafka: str, postgres: str, database: str, tmp_path: Path, seed: int
) -> None:
    settings = settings_for(kafka, database, tmp_path / "keys.json")
    await empty_topics(settings)
    eligibility = await fresh_database(postgres)
    async with dropping(eligibility), running("bank", tmp_path / "bank", "--seed", seed, *ROUGH) as bank:
        flow = Flow(settings, settings_for(kafka, eligibility, settings.keys), bank, {})
        walk = Walk(flow, seed)
        async with flow.desk(database) as desk:
            await desk.open_cycle(1_500_000)
            await walk.steps(desk, 25)
            if walk.chance.random() < 0.5:
                await flow.publish(desk)
        copy = await backup(database)
        async with dropping(copy):
            async with flow.desk(database) as desk:
                await walk.steps(desk, 40)
                await flow.publish(desk, walk.lost())
            async with flow.desk(copy) as desk:
                await flow.recover(desk, restored=True)
                await walk.steps(desk, 25)
                await flow.drain(desk)
                await check_walk(flow, desk)


async def check_walk(flow: Flow, desk: Desk) -> None:
    """Nobody has two payments in the one cycle; what the books do not have, a contradiction names."""
    entries = await flow.bank.books()
    people = Counter(entry["account"] for entry in entries)
    assert max(people.values(), default=0) <= 1, "paid twice"
    ours = {
        row[0]: row[1] for row in await desk.rows("SELECT reference, amount_idr FROM payout WHERE state = 'confirmed'")
    }
    named = {row[0] for row in await desk.rows("SELECT reference FROM contradiction")}
    at_the_bank = {entry["reference"]: entry["amount_idr"] for entry in entries}
    assert ours.items() <= at_the_bank.items()
    assert at_the_bank.keys() - ours.keys() <= named
    assert [dict(row) for row in await desk.rows("SELECT * FROM ledger_problem")] == []
    result = await audited(flow.of(desk.database), "payout")
    assert [finding.detail for finding in result.findings] == []
