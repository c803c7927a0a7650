"""What this carrier does with a message: a pure function of the seed, the phone and the caller's callback data.

Two things are told apart for each status: when it happened (its `timestamp`) and when its webhook is posted. That is
how statuses come late, twice and in another order than they happened.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from simulators.carrier.errors import NOT_ON_WHATSAPP, SOMETHING_WRONG
from simulators.chance import between, chances


class Answer(StrEnum):
    """What the caller of an accepted send sees."""

    OK = "ok"
    SILENT = "silent"  # accepted, and no answer ever comes
    CUT = "cut"  # accepted, and the connection breaks


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares, 0 to 1. Of all sends: `timeout`, `failed`, `trouble`, `dropped`; of all phones: `not_on_whatsapp`;
    of all accepted messages: `read`, `repeated`, `disordered`. `pace` stretches or shortens every delay.
    """

    timeout: float = 0.005
    not_on_whatsapp: float = 0.03
    failed: float = 0.005
    trouble: float = 0.002
    dropped: float = 0.0
    read: float = 0.6
    repeated: float = 0.05
    disordered: float = 0.05
    pace: float = 1.0

    def __post_init__(self) -> None:
        shares = (self.timeout, self.not_on_whatsapp, self.failed, self.trouble, self.dropped)
        if not all(0 <= share <= 1 for share in (*shares, self.read, self.repeated, self.disordered)):
            raise ValueError("every rate lies between 0 and 1")
        if self.trouble + self.dropped > 1:
            raise ValueError("trouble and dropped together are more than 1")


class Status(NamedTuple):
    """One posting of a status. Times in seconds after the message was accepted; `error` is set for `failed`."""

    name: str
    happened_s: float
    posted_s: float
    error: int | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """An accepted message: `got_s` is when the phone gets it (None: never), seconds after it was accepted."""

    answer: Answer
    got_s: float | None
    statuses: tuple[Status, ...]


def refused_at_once(seed: int, phone: str, rates: Rates) -> bool:
    """Whether a send to this phone is answered with 131026; half of those who are not on WhatsApp."""
    chance, at_once, *_ = chances(seed, "phone", phone)
    return chance < rates.not_on_whatsapp and at_once < 0.5


def journey(seed: int, phone: str, callback_data: str, rates: Rates) -> Journey:
    """The way of the message with this callback data to this phone, from its acceptance on."""
    timeout, silent, failed, recovers, read, repeated, disordered, stands_for = chances(
        seed, "journey", phone, callback_data
    )
    answer = Answer.OK
    if timeout < rates.timeout:
        answer = Answer.SILENT if silent < 0.5 else Answer.CUT
    moment = _Moments(seed, phone, callback_data, rates.pace)
    statuses = [moment.status("sent", 0.01, 0.1)]
    got_s = None
    if chances(seed, "phone", phone)[0] < rates.not_on_whatsapp:
        statuses.append(moment.status("failed", 0.05, 0.5, NOT_ON_WHATSAPP))
    elif failed < rates.failed:
        statuses.append(moment.status("failed", 0.05, 0.5, SOMETHING_WRONG))
        if recovers < 0.25:  # the phone came back into the network after all
            statuses.append(moment.status("delivered", 0.2, 1.5))
    else:
        statuses.append(moment.status("delivered", 0.03, 0.8))
    if statuses[-1].name == "delivered":
        got_s = statuses[-1].happened_s
        if read < rates.read:
            statuses.append(moment.status("read", 0.1, 1.0))
    if disordered < rates.disordered:
        statuses = _out_of_order(statuses, left_out=stands_for < 0.2)
    if repeated < rates.repeated:
        again = statuses[int(repeated / rates.repeated * len(statuses))]
        statuses.append(again._replace(posted_s=again.posted_s + moment.later(0.1, 2.0)))
    return Journey(answer, got_s, tuple(statuses))


def _out_of_order(statuses: list[Status], *, left_out: bool) -> list[Status]:
    """Post the last status first; `left_out`: where that is `read`, `delivered` is never told at all."""
    first, last = statuses[0], statuses[-1]
    if last.name == "read" and left_out:
        return [status for status in statuses if status.name != "delivered"]
    # Nothing is told before it happened: everything waits for the last, which then goes first.
    step_s = max(0.05, (last.posted_s - first.posted_s) / 2)
    held = [
        status._replace(posted_s=last.posted_s + step_s * (place + 1)) for place, status in enumerate(statuses[:-1])
    ]
    return [*held, last]


class _Moments:
    """Draws times one after the other, each later than the one before."""

    def __init__(self, seed: int, phone: str, callback_data: str, pace: float) -> None:
        self._draws = iter(chances(seed, "moments", phone, callback_data))
        self._pace = pace
        self._now_s = 0.0

    def later(self, low_s: float, high_s: float) -> float:
        return between(low_s, high_s, next(self._draws)) * self._pace

    def status(self, name: str, low_s: float, high_s: float, error: int | None = None) -> Status:
        self._now_s += self.later(low_s, high_s)
        return Status(name, self._now_s, self._now_s, error)
