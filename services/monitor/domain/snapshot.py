"""What the rules look at: the windows as they are at one moment, summed over partitions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Pane(NamedTuple):
    """The count of one tumbling window. `start_s` is seconds since 1970."""

    start_s: int
    topic: str
    programme: str = ""
    district: str = ""
    channel: str = ""
    code: str = ""
    n: int = 0


class MissingEvents(NamedTuple):
    """A gap in the sequence of one topic and partition; `at_s`: time of the event after it."""

    topic: str
    partition: int
    first: int
    missing: int
    at_s: int


class CycleUse(NamedTuple):
    """A programme's latest approved cycle, and how much of its budget is used at least."""

    cycle: str
    programme: str
    budget_idr: int
    used_idr: int


class SharedAccount(NamedTuple):
    """An account, by its fingerprint, that payouts to several recipients reached."""

    account: str
    recipients: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`at_s`: all events up to it have been counted, as far as they have come; a full minute.

    `minutes` know programme, channel and reason, `hours` programme, district and reason. `registrations` counts new
    recipients by village and day. `since_s` is the oldest day that was counted. `current`: hardly anything is left to
    be counted, so what is not cut off at `at_s` (all but `minutes`) is whole too.
    """

    at_s: int
    minutes: Sequence[Pane] = ()
    hours: Sequence[Pane] = ()
    registrations: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    gaps: Sequence[MissingEvents] = ()
    cycles: Sequence[CycleUse] = ()
    accounts: Sequence[SharedAccount] = ()
    since_s: int = 0
    current: bool = True


class Term(NamedTuple):
    """Which events are meant: a topic, or all that begin alike (`dead-letter.*`), and of them one code, or any."""

    topic: str
    code: str = ""

    def means(self, pane: Pane) -> bool:
        if self.code and self.code != pane.code:
            return False
        return pane.topic.startswith(self.topic[:-1]) if self.topic.endswith("*") else pane.topic == self.topic


def term_of(text: str) -> Term:
    """From `payout.failed` or `recipient.registered:new`."""
    topic, _, code = text.partition(":")
    return Term(topic, code)


def by_group(panes: Iterable[Pane], terms: Sequence[Term], by: str) -> dict[str, list[tuple[int, int]]]:
    """(start, count) of the panes that a term means, by the field `by`; `all` where it is empty."""
    found: dict[str, list[tuple[int, int]]] = {}
    for pane in panes:
        if any(term.means(pane) for term in terms):
            group = str(getattr(pane, by)) if by else "all"
            found.setdefault(group, []).append((pane.start_s, pane.n))
    return found
