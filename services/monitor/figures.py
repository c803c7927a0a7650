"""The windows as figures: for Prometheus, and for whoever asks over HTTP."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from services.monitor.domain.counting import MINUTE_S, Count
from services.monitor.domain.snapshot import Pane, Snapshot
from services.monitor.looking import counts
from services.monitor.metrics import WINDOW_EVENTS, WINDOW_FAILED, WINDOW_LAG_SECONDS
from services.monitor.tables import Windows

SHOWN_S: Final = 600
FAILED: Final = ("payout.failed", "notification.failed", "registration.rejected", "flag.rejected")


def show_windows(windows: Windows, snapshot: Snapshot) -> None:
    """Sets the gauges. Whatever is in no window any more is taken away, not left standing."""
    for gauge in (WINDOW_EVENTS, WINDOW_FAILED, WINDOW_LAG_SECONDS):
        gauge.clear()
    events: dict[tuple[str, str], int] = defaultdict(int)
    failed: dict[tuple[str, str, str], int] = defaultdict(int)
    for pane in in_window(snapshot.minutes, snapshot.at_s, SHOWN_S):
        events[pane.topic, pane.programme] += pane.n
        if pane.topic in FAILED:
            failed[pane.topic, pane.channel, pane.code] += pane.n
    for labels, n in events.items():
        WINDOW_EVENTS.labels(*labels).set(n)
    for why, n in failed.items():
        WINDOW_FAILED.labels(*why).set(n)
    recent = (
        (cell.topic, count)
        for start, cell, count in counts(windows.minute, snapshot.at_s - SHOWN_S)
        if start < snapshot.at_s
    )
    for (topic, cause), (n, total_ms, _) in lags(recent).items():
        WINDOW_LAG_SECONDS.labels(topic, cause).set(total_ms / n / 1000)


def in_window(panes: Iterable[Pane], end_s: int, size_s: int) -> Iterable[Pane]:
    return (pane for pane in panes if end_s - size_s <= pane.start_s < end_s)


def lags(counted: Iterable[tuple[str, Count]]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """(topic, topic of the cause) → how many were measured, their milliseconds together, the longest."""
    found: dict[tuple[str, str], tuple[int, int, int]] = {}
    for topic, count in counted:
        for cause, lag in count.get("lag", {}).items():
            n, total, most = found.get((topic, cause), (0, 0, 0))
            found[topic, cause] = n + lag["n"], total + lag["sum"], max(most, lag["max"])
    return found


def table(windows: Windows, snapshot: Snapshot, minutes: int, by: str) -> dict[str, Any]:
    """The last hopping window of so many minutes; `by` district: of hours, the running one included."""
    if by == "district":
        panes, end_s = snapshot.hours, snapshot.at_s - snapshot.at_s % 3600 + 3600
        source: Any = windows.hour
    else:
        panes, end_s = snapshot.minutes, snapshot.at_s
        source = windows.minute
    size_s = minutes * MINUTE_S
    summed: dict[tuple[str, str, str, str, str], int] = defaultdict(int)
    for pane in in_window(panes, end_s, size_s):
        summed[pane.topic, pane.programme, pane.district, pane.channel, pane.code] += pane.n
    names = ("topic", "programme", "district", "channel", "code")
    measured = lags((cell.topic, count) for start, cell, count in counts(source, end_s - size_s) if start < end_s)
    return {
        "from_s": end_s - size_s,
        "to_s": end_s,
        "rows": [
            {**{name: value for name, value in zip(names, key, strict=True) if value}, "events": n}
            for key, n in sorted(summed.items())
        ],
        "lags": [
            {"topic": topic, "cause": cause, "measured": n, "mean_s": round(total / n / 1000, 3), "max_s": most / 1000}
            for (topic, cause), (n, total, most) in sorted(measured.items())
        ],
    }
