"""From a bundle of messages to the tables: which counts each event goes into."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, cast
from zlib import crc32

from services.monitor.domain.counting import DAY_S, HOUR_S, MINUTE_S, Cell, Count, Position, added, moved, window_start
from services.monitor.domain.facts import Facts, Unreadable, facts_of
from services.monitor.metrics import COUNTED, LATE, SEEN_AGAIN, UNREADABLE
from services.monitor.tables import Key, Windows, place_of, window

CAUSES: Final = frozenset(
    {"recipient.registered", "recipient.flagged", "eligibility.decided", "payout.confirmed", "payout.failed"}
)
"""What other events follow from."""
SAMPLED = 8
"""Of so many causes one is remembered, to tell the time until what follows from it."""
CAUSES_KEPT = 100_000
_FAILURES: Final = frozenset({"payout.failed", "notification.failed", "registration.rejected", "flag.rejected"})
_MONEY: Final = frozenset({"cycle.approved", "payout.ordered", "payout.confirmed", "payout.failed", "payout.cancelled"})
_MINUTE, _HOUR, _DAY = window(MINUTE_S), window(HOUR_S), window(DAY_S)


class Received(NamedTuple):
    """A message as it came: its place, its sequence (None: it has none, so it is not ours) and its bytes."""

    topic: str
    partition: int
    sequence: int | None
    value: bytes | None


class Payment(NamedTuple):
    """Money that reached an account: fingerprint and recipient without their prefix."""

    account: bytes
    recipient_id: bytes
    paid_at: datetime


@dataclass(slots=True)
class Counter:
    """Counts into the tables. `bundle` changes each count once, however many events of the bundle go into it."""

    windows: Windows
    causes: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Topic and time (ms) of sampled events. Lost with the process: then the lag of what follows them is not told."""

    def bundle(self, messages: Iterable[Received]) -> list[Payment]:
        """Of each partition in order. What it returns is kept by natural keys, so coming twice does no harm."""
        work = _Bundle.of(self.windows)
        payments: list[Payment] = []
        read = [(message, facts) for message in messages if (facts := self._read(message)) is not None]
        for message, facts in read:
            if message.topic in CAUSES and crc32(facts.event_id.encode()) % SAMPLED == 0:
                self.causes[facts.event_id] = message.topic, facts.at_ms
        for message, facts in read:
            assert message.sequence is not None
            self._count(work, message.topic, message.partition, message.sequence, facts)
            if facts.account and message.topic == "payout.confirmed":
                paid_at = datetime.fromtimestamp(facts.at_ms / 1000, UTC)
                account, recipient = facts.account.removeprefix("a-"), facts.subject.removeprefix("r-")
                payments.append(Payment(bytes.fromhex(account), bytes.fromhex(recipient), paid_at))
        for event_id in list(self.causes)[: max(0, len(self.causes) - CAUSES_KEPT)]:
            del self.causes[event_id]
        work.write()
        return payments

    def _read(self, message: Received) -> Facts | None:
        if message.sequence is None:
            UNREADABLE.labels(message.topic).inc()
            return None
        try:
            return facts_of(message.topic, message.value)
        except Unreadable:
            UNREADABLE.labels(message.topic).inc()
            return None

    def _count(self, work: "_Bundle", topic: str, partition: int, sequence: int, facts: Facts) -> None:
        at_s = facts.at_ms // 1000
        place = place_of(Cell(topic, partition))
        position: Position | None = work.position.get(place)
        newest = position["t"] if position else at_s
        known = position is not None and sequence <= position["s"]
        work.position.counts[place] = moved(position, sequence, at_s)
        (SEEN_AGAIN if known else COUNTED).labels(topic).inc()
        lag = self._lag(facts)
        code = facts.code if topic in _FAILURES or topic in _CODED or topic.startswith("dead-letter.") else ""
        cells = (
            (work.minute, _MINUTE, Cell(topic, partition, facts.programme, "", facts.channel, code)),
            (work.hour, _HOUR, Cell(topic, partition, facts.programme, facts.district, "", code)),
        )
        if window_start(at_s, newest, MINUTE_S) is None and not known:
            LATE.labels(topic).inc()
        for counts, size, cell in cells:
            if window_start(at_s, newest, int(size.size)) is not None:
                counts.add((cell.key, size.current(at_s)), sequence, facts.amount_idr, lag)
        if topic == "recipient.registered" and facts.code == "new" and window_start(at_s, newest, DAY_S) is not None:
            cell = Cell(topic, partition, district=facts.village)
            work.day.add((cell.key, _DAY.current(at_s)), sequence)
        if topic in _MONEY:
            cell = Cell(topic, partition, facts.programme, code=facts.cycle)
            work.cycle.add((cell.key, (0.0, 0.0)), sequence, facts.amount_idr)

    def _lag(self, facts: Facts) -> tuple[str, int] | None:
        if facts.submitted_ms:
            return "submission", max(0, facts.at_ms - facts.submitted_ms)
        if cause := self.causes.get(facts.cause_id):
            return cause[0], max(0, facts.at_ms - cause[1])
        return None


_CODED: Final = frozenset({"recipient.registered", "registration.unchanged", "eligibility.decided", "payout.cancelled"})


class _Changes:
    """Counts of one table that a bundle changes, written together."""

    __slots__ = ("counts", "table")

    def __init__(self, table: Any) -> None:
        self.table = table
        self.counts: dict[Any, Any] = {}

    def get(self, key: Any) -> Any:
        return self.counts.get(key) or self.table.get(key)

    def add(self, key: Key, sequence: int, amount_idr: int = 0, lag: tuple[str, int] | None = None) -> None:
        if more := added(cast("Count | None", self.get(key)), sequence, amount_idr, lag):
            self.counts[key] = more

    def write(self) -> None:
        for key, count in self.counts.items():
            if self.table.get(key) != count:
                self.table[key] = count


class _Bundle(NamedTuple):
    """What one bundle changes, by table."""

    minute: _Changes
    hour: _Changes
    day: _Changes
    cycle: _Changes
    position: _Changes

    @classmethod
    def of(cls, windows: Windows) -> "_Bundle":
        return cls(*map(_Changes, windows))

    def write(self) -> None:
        for changes in self:
            changes.write()
