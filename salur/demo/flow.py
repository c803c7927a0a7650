"""Sends the families through the flow and shows, stage by stage, how they move."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from time import monotonic
from typing import TypeVar

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from salur.demo import cycles
from salur.demo.counts import Flow
from salur.inside.connect import Settings, consumer
from salur.intake import Options, find_kafka, find_upstream, submit
from salur.intake.kinds import FLAGS, REGISTRATIONS, Kind
from salur.stack.home import Home
from shared.errors import SalurError

T = TypeVar("T")

LOOK_EVERY_S = 0.5
STANDSTILL_S = 90
_CALM_LOOKS = 2
"""The flow is done when nothing was open at so many looks in a row: work may be on its way between two stages."""


class StandsStill(SalurError):
    """Nothing moved any more although something is open."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the display: what of how much, by the topics whose events count."""

    name: str
    done: tuple[str, ...]
    of: tuple[str, ...]


LINES = (
    Line("registrations answered", ("recipient.registered", "registration.unchanged", "registration.rejected"), ()),
    Line("decisions", ("eligibility.decided",), ()),
    Line("payouts ordered", ("payout.ordered",), ()),
    Line("payouts with an outcome", ("payout.confirmed", "payout.failed", "payout.cancelled"), ("payout.ordered",)),
    Line("messages on phones", ("notification.delivered",), ("notification.sent", "notification.unknown")),
)


@dataclass(slots=True)
class Display:
    """Counts as they grow; those that follow from others know how far they will go."""

    progress: Progress
    rows: int
    tasks: dict[str, TaskID] = field(default_factory=dict)

    def show(self, events: dict[str, int]) -> None:
        for line in LINES:
            if line.name not in self.tasks:
                self.tasks[line.name] = self.progress.add_task(line.name, total=None)
            done = sum(events[topic] for topic in line.done)
            total = self.rows if line is LINES[0] else sum(events[topic] for topic in line.of) or None
            self.progress.update(self.tasks[line.name], completed=done, total=total)


def progress_bars() -> Progress:
    return Progress(
        TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.completed:>9,.0f}"), TimeElapsedColumn()
    )


async def run(home: Home, settings: Settings, folder: Path, families: int, today: date) -> None:
    """Flags first, then the cycles, then the families: the checks come before the money.

    The ranked cycle is approved when everybody is decided, because its approval is the cut-off. Returns when every
    payout has its outcome and every message is sent. Raises StandsStill.
    """
    rows = sum(1 for _ in (folder / "truth.jsonl").open() if '"submission"' in _[:40])
    async with consumer(settings) as client:
        flow = Flow(settings, client)
        with progress_bars() as progress:
            display = Display(progress, rows)
            await _send(home, folder / "flags.csv", FLAGS)
            planned = {
                cycle: await asyncio.to_thread(cycles.propose, home, cycle, families, today) for cycle in cycles.CYCLES
            }
            await _approve(home, (planned[cycle] for cycle in cycles.CYCLES if not cycle.ranked))
            sending = asyncio.create_task(_send(home, folder / "registrations.csv", REGISTRATIONS))
            await _watching(flow, display, sending)
            await _until(flow, display, lambda: _decided(flow))
            await _approve(home, (planned[cycle] for cycle in cycles.CYCLES if cycle.ranked))
            await _until(flow, display, lambda: _finished(flow))


async def _send(home: Home, file: Path, kind: Kind) -> None:
    summary = await submit(file, kind, find_upstream(home, "polman"), find_kafka(home), Options(timeout_s=STANDSTILL_S))
    if not summary.complete:
        raise StandsStill(f"{summary.unanswered} rows of {file.name} have no answer", hint="see `salur status`")


async def _approve(home: Home, ids: Iterable[str]) -> None:
    for cycle in ids:
        await asyncio.to_thread(cycles.approve, home, cycle)


async def _watching(flow: Flow, display: Display, task: asyncio.Task[T]) -> T:
    """Shows the flow until the task is done."""
    try:
        while not task.done():
            display.show(await flow.events())
            await asyncio.wait({task}, timeout=LOOK_EVERY_S)
    finally:
        if not task.done():
            task.cancel()
    return await task


async def _until(flow: Flow, display: Display, done: Callable[[], Awaitable[bool]]) -> None:
    calm, moved_at = 0, monotonic()
    last: dict[str, int] = {}
    while calm < _CALM_LOOKS:
        events = await flow.events()
        display.show(events)
        calm = calm + 1 if await done() else 0
        if events != last:
            last, moved_at = events, monotonic()
        elif monotonic() - moved_at > STANDSTILL_S:
            raise StandsStill(f"nothing has moved for {STANDSTILL_S} s", hint="see `salur status` and `salur dlq list`")
        await asyncio.sleep(LOOK_EVERY_S)


async def _decided(flow: Flow) -> bool:
    return await flow.behind() == 0


async def _finished(flow: Flow) -> bool:
    return await flow.behind() == 0 and await flow.finished()
