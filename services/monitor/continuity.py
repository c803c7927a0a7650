"""Whether every message came, by its offset.

Faust can pass over messages: what it had fetched when a rebalance or the end of a recovery stopped the flow is not
always fetched again. Offsets of a topic of the flow have no holes, so a message that comes too early is left out, and
the partition is read again from the one that is missing. Only Kafka itself can say that it holds no such message: where
brokers are away and come back, the reader may well give a later one many times before the one that is asked for.

A partition that waits its turn behind others is not read again: only where a message came too early, or where nothing
at all was counted since the last look, or after a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from faust.types.tuples import TP

SEEKS_MAX: Final = 3
"""So often a message is read again before Kafka is asked whether it holds it at all."""
LOOKS_MAX: Final = 12
"""For so many looks a partition may wait for others."""


@dataclass(slots=True)
class Continuity:
    """`next`: offset that each partition goes on with, everything before is counted."""

    next: dict[TP, int] = field(default_factory=dict)
    _sought: dict[TP, int] = field(default_factory=dict)
    _looked: dict[TP, int] = field(default_factory=dict)
    _unmoved: dict[TP, int] = field(default_factory=dict)
    _early: set[TP] = field(default_factory=set)
    _taken: bool = False

    def begin(self, offsets: Mapping[Any, int]) -> None:
        """Where Kafka's group stands, and where the other partitions begin."""
        self.next.update({TP(*place): offset for place, offset in offsets.items()})

    def takes(self, tp: TP, offset: int) -> bool:
        """Whether this message is the next one."""
        expected = self.next.get(tp, offset)
        if offset > expected:
            self._early.add(tp)
        if offset != expected:
            return False
        self.next[tp] = offset + 1
        self._taken = True
        self._sought.pop(tp, None)
        self._early.discard(tp)
        return True

    def stalled(self, ends: Mapping[Any, int]) -> dict[TP, int]:
        """Partitions that have more and did not move since the last look, with the offset to read again from."""
        behind = {tp: at for tp, at in self.next.items() if ends.get(tp, 0) > at}
        self._unmoved = {
            tp: self._unmoved.get(tp, 0) + 1 if self._looked.get(tp) == at else 0 for tp, at in behind.items()
        }
        found = {
            tp: behind[tp]
            for tp, looks in self._unmoved.items()
            if looks and (tp in self._early or not self._taken or looks % LOOKS_MAX == 0)
        }
        self._looked, self._taken = behind, False
        for tp in found.keys() & self._early:
            self._sought[tp] = self._sought.get(tp, 0) + 1
            self._early.discard(tp)
        return found

    def doubted(self) -> dict[TP, int]:
        """Partitions with the offset that was read again many times in vain: does Kafka hold it?"""
        return {tp: self.next[tp] for tp, times in self._sought.items() if times >= SEEKS_MAX}

    def held_from(self, tp: TP, offset: int) -> None:
        """Kafka holds nothing between the next offset and this one, as the sequences will tell; or it does hold the
        next, which is then sought on."""
        self._sought.pop(tp, None)
        self.next[tp] = max(offset, self.next[tp])
