"""The flow as a picture: from rows of the tally to stages with their outcomes, and how fast they move. Pure but for the
clock, which comes in."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

STAGES: Final[tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]] = (
    (
        "registration",
        "registration",
        (("new", "good"), ("updated", "good2"), ("identical", "rest"), ("older", "rest2"), ("rejected", "bad")),
    ),
    ("decision", "decision", (("eligible", "good"), ("ineligible", "rest"))),
    (
        "payout",
        "payout",
        (("confirmed", "good"), ("ordered", "moving"), ("queued", "waiting"), ("failed", "bad"), ("cancelled", "rest")),
    ),
    ("message", "message", (("delivered", "good"), ("sent", "moving"), ("unknown", "waiting"), ("failed", "bad"))),
)
"""Of each stage: its name, what the tally calls it, and its outcomes with their colours, the good ones first."""
RATE_OVER_S: Final = 10.0
_KEPT_S: Final = 120.0


class Stage(NamedTuple):
    """`parts`: outcome, colour, number. `a_second`: how many more events there were a second; None: not known yet."""

    name: str
    total: int
    parts: tuple[tuple[str, str, int], ...]
    a_second: float | None


class Programme(NamedTuple):
    """A programme's decisions and payouts; amounts in rupiah."""

    name: str
    decisions: Mapping[str, int]
    payouts: Mapping[str, int]
    paid_idr: int


class Flow(NamedTuple):
    """Everything of an overview."""

    registered: int
    paid_idr: int
    confirmed: int
    failed: int
    failed_idr: int
    eligible: int
    stages: tuple[Stage, ...]
    programmes: tuple[Programme, ...]
    letters: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Pulse:
    """How the totals of an area moved lately, as far as somebody was looking."""

    _seen: dict[str, deque[tuple[float, dict[str, int]]]] = field(default_factory=lambda: defaultdict(deque))

    def rates(self, area: str, totals: dict[str, int], at_s: float) -> dict[str, float]:
        """By what: how many a second since the youngest look that is RATE_OVER_S old; nothing at the first look."""
        seen = self._seen[area]
        while seen and seen[0][0] < at_s - _KEPT_S:
            seen.popleft()
        before = next((look for look in reversed(seen) if look[0] <= at_s - RATE_OVER_S), seen[0] if seen else None)
        if not seen or at_s - seen[-1][0] >= 1.0:
            seen.append((at_s, totals))
        if before is None or at_s - before[0] < 1.0:
            return {}
        return {what: max(0, count - before[1].get(what, 0)) / (at_s - before[0]) for what, count in totals.items()}


def picture(rows: Iterable[Mapping[str, Any]], rates: Mapping[str, float]) -> Flow:
    """`rows`: (what, name, state, rows, amount_idr)."""
    by_state: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    amounts: dict[str, int] = defaultdict(int)
    decisions: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    payouts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    paid: dict[str, int] = defaultdict(int)
    letters: dict[str, int] = defaultdict(int)
    for row in rows:
        what, name, state, count = row["what"], row["name"], row["state"], row["rows"]
        by_state[what][state] += count
        if what == "decision":
            decisions[name][state] += count
        elif what == "payout":
            payouts[name][state] += count
            amounts[state] += row["amount_idr"]
            paid[name] += row["amount_idr"] if state == "confirmed" else 0
        elif what == "dead_letter":
            letters[name] += count
    stages = tuple(
        Stage(
            name,
            sum(by_state[what].values()),
            tuple((state, colour, by_state[what][state]) for state, colour in outcomes if by_state[what][state]),
            rates.get(what),
        )
        for name, what, outcomes in STAGES
    )
    names = sorted(decisions.keys() | payouts.keys())
    programmes = tuple(Programme(name, dict(decisions[name]), dict(payouts[name]), paid[name]) for name in names)
    payout = by_state["payout"]
    return Flow(
        sum(by_state["recipient"].values()),
        amounts["confirmed"],
        payout["confirmed"],
        payout["failed"],
        amounts["failed"],
        by_state["decision"]["eligible"],
        stages,
        programmes,
        tuple(sorted(letters.items())),
    )


def moved(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Counts that grow as a stage works: a payout's and a message's states also change, which their ends show."""
    totals: dict[str, int] = defaultdict(int)
    for row in rows:
        ended = row["what"] not in ("payout", "message") or row["state"] not in ("ordered", "queued", "sent")
        if row["what"] in ("registration", "decision", "payout", "message") and ended:
            totals[row["what"]] += row["rows"]
    return dict(totals)
