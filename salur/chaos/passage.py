"""Sends the families through one stack, under faults or without any: the flags, then the people, then the money."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from time import monotonic
from typing import Final

from salur.chaos.drain import Drain
from salur.chaos.faults import Fault, shares
from salur.chaos.feed import Feed, File
from salur.chaos.inject import Injector
from salur.demo import cycles
from salur.demo.cycles import PlannedCycle
from salur.stack.home import Home
from shared.errors import SalurError

FLAGS_SHARE, PEOPLE_SHARE = 0.15, 0.65
"""Of the faults: while flags come in, while people do, and while the ranked cycle is paid the rest."""
CONTINUOUS_BUDGET: Final = 3
"""So many times the demo's budget, in which few families could by chance find too little: then time would decide who
is paid."""
OFFICERS_PATIENCE_S: Final = 120.0


@dataclass(slots=True)
class Passage:
    """`drained_s` is how long the flow took to come to rest after each part, `took_s` everything."""

    home: Home
    feed: Feed
    drain: Drain
    families: int
    today: date
    injector: Injector | None = None
    begun: Callable[[Fault], None] = lambda fault: None
    drained: Callable[[str, float], None] = lambda part, seconds: None
    drained_s: dict[str, float] = field(default_factory=dict)
    took_s: float = 0.0

    async def run(self, flags: File, people: File, faults: Sequence[Fault] = ()) -> None:
        """Returns when everything is done. Raises StandsStill, and what a part of the run raises.

        Flags are known before the people they are about, and everybody is decided before the ranked cycle's cut-off:
        else the order of arrival would decide.
        """
        began = monotonic()
        first, second, third = shares(faults, FLAGS_SHARE, PEOPLE_SHARE)
        self.feed.start()
        try:
            await self._part("flags", flags, first, ())
            await self._part("people", people, second, [cycle for cycle in _cycles() if not cycle.ranked])
            await self._part("the ranked cycle", None, third, [cycle for cycle in _cycles() if cycle.ranked])
        finally:
            if self.injector:
                self.injector.calm()
            await self.feed.stop()
        self.took_s = monotonic() - began

    async def _part(
        self, name: str, file: File | None, faults: Sequence[Fault], opened: Iterable[PlannedCycle]
    ) -> None:
        """The file goes in piece by piece, so that every fault meets a flow that moves. Then it must drain."""
        officers, watching = asyncio.create_task(self._open(opened)), asyncio.create_task(self._watch())
        try:
            await self._give(file, faults)
            await officers
            await self.feed.done()
        finally:
            for task in (officers, watching):
                task.cancel()
            await asyncio.gather(officers, watching, return_exceptions=True)
        self.drained_s[name] = round(await self.drain.until_empty(), 1)
        self.drained(name, self.drained_s[name])

    async def _give(self, file: File | None, faults: Sequence[Fault]) -> None:
        pieces = file.slices(len(faults)) if file else []
        for place in range(max(len(pieces), len(faults))):
            if place < len(faults):
                await asyncio.sleep(faults[place].gap_s)
            if place < len(pieces):
                self.feed.rows(pieces[place])
            if place < len(faults):
                await self._suffer(faults[place])
        if self.injector:
            await self.injector.ended()

    async def _suffer(self, fault: Fault) -> None:
        assert self.injector, "faults need somebody who injects them"
        await self.injector.begin(fault)
        self.begun(fault)

    async def _open(self, opened: Iterable[PlannedCycle]) -> None:
        """One officer proposes, another approves, again and again until the service has taken it."""
        until = monotonic() + OFFICERS_PATIENCE_S
        for cycle in opened:
            while True:
                try:
                    cycle_id = await asyncio.to_thread(cycles.propose, self.home, cycle, self.families, self.today)
                    await asyncio.to_thread(cycles.approve, self.home, cycle_id)
                    break
                except SalurError:
                    if monotonic() > until:
                        raise
                    await asyncio.sleep(0.5)

    async def _watch(self) -> None:
        """Keeps the display moving while faults are on."""
        while True:
            await self.drain.glance()
            await asyncio.sleep(1)


def _cycles() -> list[PlannedCycle]:
    return [
        cycle if cycle.ranked else cycle._replace(budget_a_family_idr=CONTINUOUS_BUDGET * cycle.budget_a_family_idr)
        for cycle in cycles.CYCLES
    ]
