"""Counting by event time, so that nothing counts twice.

Beside each count stands the last sequence that went into it. Sequences of one topic and partition come in order, but
for what is published or read again; so an event is new to a count exactly when its sequence is above that. This holds
for each count alone: it does not matter which of them were kept before a crash and which were not.

Windows are tumbling: an event belongs to one minute, one hour, one day. Hopping ones are sums of these panes.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, NotRequired, TypedDict

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
EXPIRES_S: Final = {MINUTE_S: 2 * HOUR_S, HOUR_S: 2 * DAY_S, DAY_S: 29 * DAY_S}
"""By size: an event is counted in its own window while the newest of its partition is at most so much later."""
GAPS_KEPT: Final = 20


class Lag(TypedDict):
    """Time from the events that caused some of these (a sample of them), in milliseconds."""

    n: int
    sum: int
    max: int


class Count(TypedDict):
    """`s`: last sequence that went in; `n`: events; `idr`: their rupiah; `lag`: by the topic of the cause."""

    s: int
    n: int
    idr: NotRequired[int]
    lag: NotRequired[dict[str, Lag]]


class Gap(TypedDict):
    """Sequences from `first` that never came, `missing` of them; `at`: time of the event after them, in seconds."""

    first: int
    missing: int
    at: int


class Position(TypedDict):
    """How far a topic's partition was read: last sequence, newest event time in seconds, the last gaps met."""

    s: int
    t: int
    gaps: NotRequired[list[Gap]]


class Cell(NamedTuple):
    """What a count is about. Empty where it does not tell these apart, or events do not say it."""

    topic: str
    partition: int
    programme: str = ""
    district: str = ""
    channel: str = ""
    code: str = ""

    @property
    def key(self) -> str:
        return "|".join(map(str, self))


def cell_of(key: str) -> Cell:
    topic, partition, *rest = key.split("|")
    return Cell(topic, int(partition), *rest)


def added(count: Count | None, sequence: int, amount_idr: int = 0, lag: tuple[str, int] | None = None) -> Count | None:
    """The count with this event in it; None where it is in it already. `lag`: topic of the cause, milliseconds."""
    if count is not None and sequence <= count["s"]:
        return None
    more: Count = {"s": sequence, "n": 1} if count is None else {**count, "s": sequence, "n": count["n"] + 1}
    if amount_idr:
        more["idr"] = more.get("idr", 0) + amount_idr
    if lag:
        cause, ms = lag
        known = more.get("lag", {})
        held = known.get(cause, Lag(n=0, sum=0, max=0))
        more["lag"] = {**known, cause: Lag(n=held["n"] + 1, sum=held["sum"] + ms, max=max(held["max"], ms))}
    return more


def moved(position: Position | None, sequence: int, at_s: int) -> Position:
    """The position after this message. A sequence above the next one is a gap; one from before changes nothing."""
    if position is None:
        position = Position(s=-1, t=at_s)
    if sequence <= position["s"]:
        return position
    after = Position(s=sequence, t=max(position["t"], at_s))
    gaps = position.get("gaps", [])
    if missing := sequence - position["s"] - 1:
        gaps = [*gaps, Gap(first=position["s"] + 1, missing=missing, at=at_s)][-GAPS_KEPT:]
    if gaps:
        after["gaps"] = gaps
    return after


def window_start(at_s: int, newest_s: int, size_s: int) -> int | None:
    """Start of the tumbling window that an event belongs to; None where it comes too late to be counted.

    `newest_s` is the newest event time that came before it on its partition, so that the answer is the same whatever
    happened on others, and whenever it is read.
    """
    start = at_s - at_s % size_s
    return start if not expired(start, newest_s, size_s) else None


def expired(start_s: int, newest_s: int, size_s: int) -> bool:
    return start_s + size_s + EXPIRES_S[size_s] <= newest_s


def hops(end_s: int, count: int, step_s: int) -> Iterator[int]:
    """Ends of the last `count` hopping windows, the newest first."""
    return (end_s - n * step_s for n in range(count))


def within(panes: Iterable[tuple[int, int]], end_s: int, size_s: int) -> int:
    """The hopping window that ends at `end_s`: the sum of the panes (start, count) that begin in it."""
    return sum(n for start, n in panes if end_s - size_s <= start < end_s)
