"""What a message is for, its id, and which of two messages about one thing is told.

`purpose` says what is told: at most one message per recipient, purpose and channel. `about` says what the news is on:
of what waits about one thing only the newest is told.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

from services.notify.domain.states import State

Channel = Literal["whatsapp", "sms"]

DECISIONS: Final = "decision"
CODE: Final = "code"
MESSAGE_ID: Final = re.compile(r"m-[0-9a-f]{32}")


def message_id(recipient_id: str, purpose: str, channel: Channel) -> str:
    """Follows from the natural key, so that a restored database gives a message the id that it had."""
    parts = (recipient_id, purpose, channel)
    joined = b"".join(b"%d:%b" % (len(raw), raw) for raw in (part.encode() for part in parts))
    return "m-" + blake2b(joined, digest_size=16).hexdigest()


def payout_purpose(cycle: str, attempt: int, outcome: Literal["confirmed", "failed"]) -> str:
    """A payout is one per recipient, programme and cycle; a cycle belongs to one programme."""
    return f"payout:{cycle}:{attempt}:{outcome}"


def about_payout(cycle: str) -> str:
    return f"payout:{cycle}"


def code_purpose(request: str) -> str:
    """Each request has one code; of several that wait the newest is told, as they are all about one thing."""
    return f"{CODE}:{request}"


class Existing(NamedTuple):
    """A message of the recipient about decisions that is there already."""

    message_id: str
    purpose: str
    state: State


class Added(NamedTuple):
    """A message to make, for the decisions of this cause; one that was replaced at once starts `superseded`."""

    cause: str
    purpose: str
    state: State


class Plan(NamedTuple):
    """What follows from new decisions: ids of messages to replace, and messages to make."""

    replaced: tuple[str, ...]
    added: tuple[Added, ...]


def plan_decisions(causes: Iterable[str], existing: Iterable[Existing]) -> Plan:
    """One message for all decisions of one cause, and only the newest cause's waits.

    `causes` are those of decisions that took effect, in the order in which they came. A message says, when it is sent,
    all that is new by then; so one that still waits may stay as it is when its own cause decides more. Where the
    message of a cause has left already, what the cause decides later goes into a further message, `…#2`.
    """
    states = {message.purpose: message.state for message in existing}
    ids = {message.purpose: message.message_id for message in existing}
    waiting = [purpose for purpose, state in states.items() if state is State.WAITING]
    replaced: list[str] = []
    added: dict[str, Added] = {}
    for cause in dict.fromkeys(causes):
        purposes = _parts(cause, states)
        if purposes and states[purposes[-1]] is State.WAITING:
            continue
        purpose = f"{DECISIONS}:{cause}" + (f"#{len(purposes) + 1}" if purposes else "")
        for older in waiting:
            states[older] = State.SUPERSEDED
            if older in added:
                added[older] = added[older]._replace(state=State.SUPERSEDED)
            else:
                replaced.append(ids[older])
        states[purpose] = State.WAITING
        added[purpose] = Added(cause, purpose, State.WAITING)
        waiting = [purpose]
    return Plan(tuple(replaced), tuple(added.values()))


def _parts(cause: str, purposes: Iterable[str]) -> list[str]:
    """The purposes of this cause's messages, in order."""
    first = f"{DECISIONS}:{cause}"
    held = set(purposes)
    parts = [first] if first in held else []
    while parts and (following := f"{first}#{len(parts) + 1}") in held:
        parts.append(following)
    return parts
