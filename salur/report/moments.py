"""When things happened: event times and causes.

All topics of the flow have the same partitions, so cause and effect about one recipient lie on the same number, and a
partition's ids can be forgotten before the next one is read. What is kept for good is 8 bytes a number.
"""

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import orjson
from aiokafka.structs import ConsumerRecord

from shared.events import (
    EligibilityDecided,
    NotificationDelivered,
    NotificationSent,
    PayoutConfirmed,
    PayoutFailed,
    PayoutOrdered,
    RecipientFlagged,
    RecipientRegistered,
)
from shared.reading import sequence_of

TOPICS: Final = tuple(
    model.TYPE
    for model in (
        RecipientRegistered,
        RecipientFlagged,
        EligibilityDecided,
        PayoutOrdered,
        PayoutConfirmed,
        PayoutFailed,
        NotificationSent,
        NotificationDelivered,
    )
)
_START: Final = b'{"specversion":"1.0","id":"'
_TIME: Final = b'","time":"'
_CAUSE: Final = b'","causationid":"'
_CORRELATION: Final = b'","correlationid":"'
_DATA: Final = b'","data":{'
_CYCLE: Final = re.compile(rb'"cycle":"([^"]+)"')
_MESSAGE: Final = re.compile(rb'"message_id":"([^"]+)"')
_NEW: Final = b'"change":"new"'
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Micros = int
"""Microseconds since 1970."""


class Head(NamedTuple):
    """What is looked at of an event."""

    id: bytes
    at: Micros
    cause: bytes
    correlation: bytes


@dataclass(slots=True)
class Moments:
    """What was read: when events of each topic happened, how long each step took, and who was paid when."""

    at: "dict[str, array[int]]" = field(default_factory=lambda: defaultdict(lambda: array("q")))
    """by topic"""
    took: "dict[str, array[int]]" = field(default_factory=lambda: defaultdict(lambda: array("q")))
    """by step: eligibility, payout, bank, notify, carrier"""
    new_at: "array[int]" = field(default_factory=lambda: array("q"))
    """when recipients were registered for the first time"""
    registered_at: "array[int]" = field(default_factory=lambda: array("q"))
    """of each confirmed payout, when its recipient was registered; beside `confirmed_at` and `confirmed_cycle`"""
    confirmed_at: "array[int]" = field(default_factory=lambda: array("q"))
    confirmed_cycle: "array[int]" = field(default_factory=lambda: array("l"))
    """index into `cycles`"""
    cycles: list[str] = field(default_factory=list)
    _numbers: dict[bytes, int] = field(default_factory=dict)

    def cycle(self, value: bytes) -> int:
        match = _CYCLE.search(value)
        name = match[1] if match else b""
        if name not in self._numbers:
            self._numbers[name] = len(self.cycles)
            self.cycles.append(name.decode())
        return self._numbers[name]


class _Effect(NamedTuple):
    step: str
    cause: bytes
    at: Micros


@dataclass(slots=True)
class Partition:
    """One partition's ids, until all of its topics are read (in any order) and `settle` is called."""

    moments: Moments
    causes: dict[bytes, Micros] = field(default_factory=dict)
    effects: list[_Effect] = field(default_factory=list)
    registered: dict[bytes, Micros] = field(default_factory=dict)
    """by correlation"""
    confirmed: list[tuple[bytes, Micros, int]] = field(default_factory=list)
    sent: dict[bytes, Micros] = field(default_factory=dict)
    delivered: list[tuple[bytes, Micros]] = field(default_factory=list)

    def take(self, topic: str, values: Iterable[bytes]) -> None:
        at = self.moments.at[topic]
        step = _STEPS.get(topic)
        is_cause = topic in _CAUSES
        for value in values:
            head = head_of(value)
            if head is None:
                continue
            at.append(head.at)
            if is_cause:
                self.causes[head.id] = head.at
            if step:
                self.effects.append(_Effect(step, head.cause, head.at))
            if topic == RecipientRegistered.TYPE:
                self.registered.setdefault(head.correlation, head.at)
                if _NEW in value:
                    self.moments.new_at.append(head.at)
            elif topic == PayoutConfirmed.TYPE:
                self.confirmed.append((head.correlation, head.at, self.moments.cycle(value)))
            elif topic == NotificationSent.TYPE:
                self.sent[_message(value)] = head.at
            elif topic == NotificationDelivered.TYPE:
                self.delivered.append((_message(value), head.at))

    def settle(self) -> None:
        """Effects meet their causes."""
        took = self.moments.took
        for step, cause, at in self.effects:
            if (began := self.causes.get(cause)) is not None:
                took[step].append(at - began)
        for message, at in self.delivered:
            if (began := self.sent.get(message)) is not None:
                took["carrier"].append(at - began)
        for correlation, at, cycle in self.confirmed:
            if (began := self.registered.get(correlation)) is not None:
                self.moments.registered_at.append(began)
                self.moments.confirmed_at.append(at)
                self.moments.confirmed_cycle.append(cycle)


_STEPS: Final[Mapping[str, str]] = {
    EligibilityDecided.TYPE: "eligibility",
    PayoutOrdered.TYPE: "payout",
    PayoutConfirmed.TYPE: "bank",
    PayoutFailed.TYPE: "bank",
    NotificationSent.TYPE: "notify",
}
_CAUSES: Final = {
    RecipientRegistered.TYPE,
    RecipientFlagged.TYPE,
    EligibilityDecided.TYPE,
    PayoutOrdered.TYPE,
    PayoutConfirmed.TYPE,
    PayoutFailed.TYPE,
}


def fresh(records: Iterable[ConsumerRecord], expected: int) -> tuple[list[bytes], int]:
    """The values that were not seen before, by their sequence, and the sequence that is expected then.

    A topic of ours may hold a message twice after a crash; readers drop the second. Gaps are the audit's to name.
    """
    values = []
    for record in records:
        sequence = sequence_of(record)
        if sequence is not None and sequence >= expected and record.value:
            values.append(record.value)
            expected = sequence + 1
    return values, expected


def head_of(value: bytes) -> Head | None:
    """None for what is no event of ours; the audit names it."""
    try:
        event_id, time, cause, correlation = _cut(value) or _parsed(value)
        return Head(event_id, micros(time.decode()), cause, correlation)
    except (ValueError, LookupError, TypeError):
        return None


def _cut(value: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    """The four texts of an event as our codec writes it, ten times as fast as by parsing it. None for another form."""
    if not value.startswith(_START):
        return None
    time = value.find(_TIME)
    cause = value.find(_CAUSE, time)
    correlation = value.find(_CORRELATION, cause)
    data = value.find(_DATA, correlation)
    if min(time, cause, correlation, data) < 0:
        return None
    first = len(_START)
    texts = (
        value[first : value.index(b'"', first)],
        value[time + len(_TIME) : value.index(b'"', time + len(_TIME))],
        value[cause + len(_CAUSE) : correlation],
        value[correlation + len(_CORRELATION) : data],
    )
    return None if b"\\" in texts[2] + texts[3] else texts


def _parsed(value: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    event = orjson.loads(value)
    event_id, time, cause, correlation = (
        str(event[name]).encode() for name in ("id", "time", "causationid", "correlationid")
    )
    return event_id, time, cause, correlation


def micros(time: str) -> Micros:
    """Raises ValueError."""
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return (moment - _EPOCH) // _MICROSECOND


def _message(value: bytes) -> bytes:
    match = _MESSAGE.search(value)
    return match[1] if match else b""
