"""How fast: events a second and latencies of each stage, and of the whole flow."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from salur.report import answers
from salur.report.document import Flow, Latency, Rates, Second, StageRate
from salur.report.moments import Micros, Moments
from salur.report.scratch import Scratch
from shared.events import (
    EligibilityDecided,
    NotificationDelivered,
    NotificationSent,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    RecipientRegistered,
)

SECOND: Final = 1_000_000
PAUSE_US: Final = 60 * SECOND
"""Registrations with a longer pause between them are two stretches of the flow."""
SLICES: Final = 60
_PEAK_S: Final = 5

_STAGES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("registry", "submission published → answered", answers.ANSWER_TOPICS),
    ("eligibility", "registered or flagged → decided", (EligibilityDecided.TYPE,)),
    ("payout", "decided → ordered", (PayoutOrdered.TYPE,)),
    ("bank", "ordered → confirmed or failed", (PayoutConfirmed.TYPE, PayoutFailed.TYPE)),
    ("notify", "decision or payout → message sent", (NotificationSent.TYPE,)),
    ("carrier", "message sent → delivered", (NotificationDelivered.TYPE,)),
)


def stage_rates(moments: Moments, scratch: Scratch) -> list[StageRate]:
    """One for each stage that did anything."""
    rates = []
    for stage, from_to, topics in _STAGES:
        if stage == "registry":
            at = array("q", (row[0] for row in scratch.rows("SELECT at_us FROM answered")))
            took: Iterable[Micros] = answers.took_us(scratch)
        else:
            at = array("q")
            for topic in topics:
                at.extend(moments.at.get(topic, ()))
            took = moments.took.get(stage, ())
        if at:
            busy, peak = _per_second(at)
            rates.append(
                StageRate(
                    stage=stage,
                    from_to=from_to,
                    events=len(at),
                    per_s=busy,
                    peak_per_s=peak,
                    latency_ms=latency(took),
                )
            )
    return rates


def latency(us: Iterable[Micros]) -> Latency:
    """Clocks of two machines can differ, so what seems to end before it began took no time."""
    ordered = sorted(max(0, one) for one in us)
    if not ordered:
        return Latency()
    p50, p90, p99 = (round(percentile(ordered, permille) / 1000, 1) for permille in (500, 900, 990))
    return Latency(count=len(ordered), p50=p50, p90=p90, p99=p99, longest=round(ordered[-1] / 1000, 1))


def percentile(ordered: Sequence[int], permille: int) -> int:
    """The smallest value that at least so many thousandths of them do not exceed."""
    rank = -(-permille * len(ordered) // 1000)
    return ordered[max(rank, 1) - 1]


def _per_second(at: "array[int]") -> tuple[float, float]:
    """Events a second over the seconds that had any, and in the best five in a row (all, where there are fewer)."""
    seconds = Counter(moment // SECOND for moment in at)
    windows = (sum(seconds.get(first + n, 0) for n in range(_PEAK_S)) for first in seconds)
    width = min(_PEAK_S, max(seconds) - min(seconds) + 1)
    return round(len(at) / len(seconds), 1), round(max(windows) / width, 1)


def flow(moments: Moments, approved_at: Mapping[str, Micros], programme_of: Mapping[str, str]) -> Flow | None:
    """Over the largest stretch of registrations without a pause. None: nobody was registered."""
    registered = sorted(moments.new_at)
    if not registered:
        return None
    first, last = _stretch(registered)
    found = Flow(
        recipients=bisect_left(registered, last + 1) - bisect_left(registered, first),
        registering_s=round((last - first) / SECOND, 2),
    )
    took: dict[str, list[Micros]] = {}
    paid_at: list[Micros] = []
    for began, at, cycle_number in zip(
        moments.registered_at, moments.confirmed_at, moments.confirmed_cycle, strict=True
    ):
        cycle = moments.cycles[cycle_number]
        if first <= began <= last:
            found.payouts += 1
            paid_at.append(at)
            took.setdefault(programme_of.get(cycle, cycle), []).append(at - max(began, approved_at.get(cycle, began)))
    if paid_at:
        paid_at.sort()
        seconds = (percentile(paid_at, 990) - first) / SECOND
        found.until_99_percent_confirmed_s = round(seconds, 2)
        found.recipients_per_s = round(found.recipients / seconds, 1) if seconds > 0 else None
        found.latency_ms = latency(us for some in took.values() for us in some)
        found.by_programme = {programme: latency(us) for programme, us in sorted(took.items())}
    return found


def _stretch(registered: Sequence[Micros]) -> tuple[Micros, Micros]:
    """First and last moment of the longest run of registrations, by their number."""
    best = (0, 0)
    begin = 0
    for i in range(1, len(registered) + 1):
        if i == len(registered) or registered[i] - registered[i - 1] > PAUSE_US:
            if i - begin > best[1] - best[0]:
                best = (begin, i)
            begin = i
    return registered[best[0]], registered[best[1] - 1]


_CURVES: Final = {
    "registered": RecipientRegistered.TYPE,
    "decided": EligibilityDecided.TYPE,
    "ordered": PayoutOrdered.TYPE,
    "confirmed": PayoutConfirmed.TYPE,
    "told": NotificationSent.TYPE,
}


def over_time(moments: Moments) -> list[Second]:
    """Events a second in equal slices, from the first registration of the stretch until its messages are told."""
    registered = sorted(moments.new_at)
    if not registered:
        return []
    first, last = _stretch(registered)
    ends = [last]
    for topic in _CURVES.values():
        until = last
        for at in sorted(moments.at.get(topic, ())):
            if at > until + PAUSE_US:
                break
            until = max(until, at)
        ends.append(until)
    width = max((max(ends) - first) / SLICES, SECOND / 4)
    slices = int((max(ends) - first) // width) + 1
    counts: dict[str, Counter[int]] = {}
    for curve, topic in _CURVES.items():
        counts[curve] = Counter(int((at - first) // width) for at in moments.at.get(topic, ()) if at >= first)
    seconds = width / SECOND
    return [
        Second(at_s=round(n * seconds, 2), **{curve: round(count[n] / seconds, 1) for curve, count in counts.items()})
        for n in range(slices)
    ]


def rates(
    moments: Moments,
    scratch: Scratch,
    approved_at: Mapping[str, Micros],
    programme_of: Mapping[str, str],
    reported_at: datetime,
) -> Rates:
    """All that the topics tell; CPU and the report's own time are added by who knows them."""
    return Rates(
        reported_at=reported_at,
        stages=stage_rates(moments, scratch),
        registered_to_confirmed=flow(moments, approved_at, programme_of),
        over_time=over_time(moments),
    )
