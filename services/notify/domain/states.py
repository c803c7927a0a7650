"""The states of a message, as one table of legal transitions.

Statuses of a carrier repeat, come out of order and before the answer to the send itself. So what a carrier tells only
ever moves a message up a ladder (unknown, sent, failed, delivered, read), and the highest rung that was told is the
state, in whatever order it was told. `failed` stands below `delivered`: a phone can come back into the network.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import chain
from typing import Final, Literal, NamedTuple

Milestone = Literal["sent", "delivered", "failed", "unknown"]
"""What leaves as an event, once per message."""


class State(StrEnum):
    """Where a message stands. Only `waiting` is ever claimed for sending."""

    WAITING = "waiting"
    SENDING = "sending"
    NOT_NEEDED = "not_needed"
    SUPERSEDED = "superseded"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    SENT = "sent"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"


class Fact(StrEnum):
    """What happens to a message: decided by this service, answered to a send, or told by a webhook."""

    CLAIMED = "claimed"
    NOTHING_NEW = "nothing_new"
    NO_WAY = "no_way"
    REPLACED = "replaced"
    REFUSED_FOR_NOW = "refused_for_now"
    REFUSED = "refused"
    LOST = "lost"
    ACCEPTED = "accepted"
    TOLD_FAILED = "told_failed"
    TOLD_DELIVERED = "told_delivered"
    TOLD_READ = "told_read"


class Progress(NamedTuple):
    """A message's state and the milestones that were made known as events."""

    state: State
    known: frozenset[Milestone] = frozenset()


_LADDER: Final = (State.UNKNOWN, State.SENT, State.FAILED, State.DELIVERED, State.READ)
_OFF_LADDER: Final = (State.WAITING, State.SENDING, State.NOT_NEEDED, State.SUPERSEDED, State.UNREACHABLE)
_RUNG: Final = {
    Fact.ACCEPTED: State.SENT,
    Fact.REFUSED: State.FAILED,
    Fact.TOLD_FAILED: State.FAILED,
    Fact.TOLD_DELIVERED: State.DELIVERED,
    Fact.TOLD_READ: State.READ,
}


def _told_by_carrier() -> Iterable[tuple[tuple[State, Fact], State]]:
    """A carrier's word counts from every state: one that answered "something went wrong" may have sent all the same."""
    for fact, rung in _RUNG.items():
        below = _LADDER[: _LADDER.index(rung)]
        for state in chain(_OFF_LADDER, below):
            if fact is Fact.REFUSED and state not in (State.SENDING, State.UNKNOWN):
                continue  # an answer, not a status: it speaks of a send of ours that is open
            yield (state, fact), rung


TRANSITIONS: Final[Mapping[tuple[State, Fact], State]] = {
    (State.WAITING, Fact.CLAIMED): State.SENDING,
    (State.WAITING, Fact.NOTHING_NEW): State.NOT_NEEDED,
    (State.WAITING, Fact.NO_WAY): State.UNREACHABLE,
    (State.WAITING, Fact.REPLACED): State.SUPERSEDED,
    (State.SENDING, Fact.REPLACED): State.SUPERSEDED,  # refused for now, and a newer message waits
    (State.SENDING, Fact.REFUSED_FOR_NOW): State.WAITING,
    (State.SENDING, Fact.LOST): State.UNKNOWN,
    **dict(_told_by_carrier()),
}
"""Every legal transition. A pair that is not here changes nothing: a repetition, or news that is overtaken."""

_IMPLIED: Final[Mapping[Fact, tuple[Milestone, ...]]] = {
    Fact.ACCEPTED: ("sent",),
    Fact.TOLD_DELIVERED: ("sent", "delivered"),
    Fact.TOLD_READ: ("sent", "delivered"),
    Fact.TOLD_FAILED: ("sent", "failed"),
    Fact.REFUSED: ("failed",),
    Fact.LOST: ("unknown",),
}
_ONLY_IN: Final[Mapping[Milestone, State]] = {"failed": State.FAILED, "unknown": State.UNKNOWN}


def step(before: Progress, fact: Fact) -> tuple[Progress, tuple[Milestone, ...]]:
    """The message after this fact, and the milestones that have become known with it, in order.

    What a status implies is known with it (whoever read a message got it, and the carrier took it). A failure or an
    unknown outcome that is already overtaken is no news.
    """
    state = TRANSITIONS.get((before.state, fact), before.state)
    reached = tuple(
        milestone
        for milestone in _IMPLIED.get(fact, ())
        if milestone not in before.known and _ONLY_IN.get(milestone, state) is state
    )
    return Progress(state, before.known | frozenset(reached)), reached


def diagram() -> str:
    """The table as a Mermaid state diagram; facts that lead the same way share an arrow."""
    arrows: dict[tuple[State, State], list[Fact]] = {}
    for (state, fact), after in TRANSITIONS.items():
        arrows.setdefault((state, after), []).append(fact)
    order = list(State)
    lines = [
        f"    {state} --> {after}: {', '.join(facts)}"
        for (state, after), facts in sorted(arrows.items(), key=lambda a: (order.index(a[0][0]), order.index(a[0][1])))
    ]
    return "\n".join(["stateDiagram-v2", "    [*] --> waiting", *lines])
