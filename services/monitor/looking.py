"""From the tables to a snapshot: what had been counted in full at some minute."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from services.monitor.domain.counting import HOUR_S, MINUTE_S, Count, Position, cell_of
from services.monitor.domain.snapshot import CycleUse, MissingEvents, Pane, SharedAccount, Snapshot
from services.monitor.tables import Items, Windows

MINUTES_BACK, HOURS_BACK = 90, 26


def snapshot(
    windows: Windows, until_s: float, outside: Iterable[Pane], accounts: Sequence[SharedAccount], *, current: bool
) -> Snapshot:
    """The windows that ended by the last full minute before `until_s`."""
    at_s = int(until_s) - int(until_s) % MINUTE_S
    registrations: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    days: list[int] = []
    for start, cell, count in counts(windows.day):
        registrations[cell.district][start] += count["n"]
        days.append(start)
    return Snapshot(
        at_s=at_s,
        minutes=[*panes(windows.minute, at_s - MINUTES_BACK * MINUTE_S), *outside],
        hours=list(panes(windows.hour, at_s - HOURS_BACK * HOUR_S)),
        registrations=registrations,
        gaps=list(gaps(windows)),
        cycles=list(cycles(windows)),
        accounts=accounts,
        since_s=min(days, default=at_s),
        current=current,
    )


def counts(table: Any, since_s: int = 0) -> Iterator[tuple[int, Any, Count]]:
    """Start of the window, cell and count, of windows that began at `since_s` or later."""
    for (key, (start, _)), count in cast("Items", table.items()):
        if start >= since_s:
            yield int(start), cell_of(key), count


def panes(table: Any, since_s: int) -> Iterator[Pane]:
    """Summed over partitions."""
    summed: dict[Pane, int] = defaultdict(int)
    for start, cell, count in counts(table, since_s):
        summed[Pane(start, cell.topic, cell.programme, cell.district, cell.channel, cell.code)] += count["n"]
    return (pane._replace(n=n) for pane, n in summed.items())


def gaps(windows: Windows) -> Iterator[MissingEvents]:
    for place, position in windows.position.items():
        topic, partition = cast("str", place).split("|")
        for gap in cast("Position", position).get("gaps", ()):
            yield MissingEvents(topic, int(partition), gap["first"], gap["missing"], gap["at"])


def cycles(windows: Windows) -> Iterator[CycleUse]:
    """Of each programme the cycle that was approved last.

    What is used is at least what was paid, and at least what was ordered and has not ended since. Both are from below:
    a payout can fail or be cancelled without ever having been ordered.
    """
    idr: dict[tuple[str, str], int] = defaultdict(int)
    budgets: dict[str, tuple[str, int]] = {}
    for _, cell, count in counts(windows.cycle):
        idr[cell.topic, cell.code] += count.get("idr", 0)
        if cell.topic == "cycle.approved":
            budgets[cell.code] = cell.programme, count.get("idr", 0)
    latest: dict[str, str] = {}
    for cycle in sorted(budgets):  # names of a programme's cycles end in the period, and sort like it
        latest[budgets[cycle][0]] = cycle
    for programme, cycle in latest.items():
        ordered, confirmed = idr["payout.ordered", cycle], idr["payout.confirmed", cycle]
        ended = idr["payout.failed", cycle] + idr["payout.cancelled", cycle]
        yield CycleUse(cycle, programme, budgets[cycle][1], max(confirmed, ordered - ended))
