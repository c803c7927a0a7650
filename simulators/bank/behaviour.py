"""What this bank does with a transfer: a pure function of the seed, the reference and the account.

Two things are drawn apart: the road a transfer takes (settled at once, later, behind a time-out, or late after having
been unknown) and whether it is refused in the end. Codes are SNAP BI's for service 18 (interbank transfer).
"""

from dataclasses import dataclass
from enum import StrEnum

from simulators.chance import between, chances

DONE = "2001800"
IN_PROGRESS = "2021800"
CLOSED = "4031818"
DORMANT = "4031809"
NO_SUCH_ACCOUNT = "4041811"
REFERENCE_USED = "4091801"
SLOW_DOWN = "4291800"
TIMED_OUT = "5041800"

REFUSALS = (CLOSED, DORMANT, NO_SUCH_ACCOUNT)

# Nothing delayed settles sooner than this part of its longest time, so that a caller really meets the state before.
_SOONEST = 0.3


class Road(StrEnum):
    """How a transfer reaches its end."""

    NOW = "now"
    DELAYED = "delayed"  # answered `in progress`, settled after `settle_after_s`
    TIMEOUT = "timeout"  # settled at once, answered `time-out`
    LATE = "late"  # answered `time-out`, unknown to a status inquiry, settled after `settle_after_s`


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of all transfers (`cut`: of all bulk calls) that go wrong, 0 to 1, and the longest times in seconds."""

    refused: float = 0.02
    delayed: float = 0.02
    timeout: float = 0.01
    late: float = 0.005
    cut: float = 0.01
    delay_s: float = 5.0
    late_s: float = 10.0

    def __post_init__(self) -> None:
        shares = (self.refused, self.delayed, self.timeout, self.late, self.cut)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError("every rate lies between 0 and 1")
        if self.delayed + self.timeout + self.late > 1:
            raise ValueError("delayed, timeout and late together are more than 1")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`refusal` is the response code of a transfer that is not paid in the end, None for one that is."""

    road: Road
    refusal: str | None
    settle_after_s: float

    @property
    def answer(self) -> str:
        """The response code of the call itself."""
        match self.road:
            case Road.NOW:
                return self.refusal or DONE
            case Road.DELAYED:
                return IN_PROGRESS
            case Road.TIMEOUT | Road.LATE:
                return TIMED_OUT


@dataclass(frozen=True, slots=True)
class Cut:
    """A bulk call that gets no answer: its first `processed` transfers are carried out, the others never arrive.

    `hangs`: the connection stays silent until the caller gives up; otherwise it breaks at once.
    """

    processed: int
    hangs: bool


def behaviour(seed: int, reference: str, account: str, rates: Rates) -> Behaviour:
    """What happens to the transfer `reference` to `account` (bank code and number).

    Closed and unknown accounts are a property of the account: another account of the same person may work. Dormant is
    drawn for the reference: its holder can wake it, so a later attempt can work.
    """
    road_chance, dormant_chance, time_chance, *_ = chances(seed, "transfer", reference)
    account_chance = chances(seed, "account", account)[0]
    third = rates.refused / 3
    refusal = None
    if account_chance < third:
        refusal = CLOSED
    elif account_chance < 2 * third:
        refusal = NO_SUCH_ACCOUNT
    elif dormant_chance < third:
        refusal = DORMANT
    if road_chance < rates.late:
        return Behaviour(Road.LATE, refusal, between(_SOONEST * rates.late_s, rates.late_s, time_chance))
    if road_chance < rates.late + rates.timeout:
        return Behaviour(Road.TIMEOUT, refusal, 0.0)
    if road_chance < rates.late + rates.timeout + rates.delayed:
        return Behaviour(Road.DELAYED, refusal, between(_SOONEST * rates.delay_s, rates.delay_s, time_chance))
    return Behaviour(Road.NOW, refusal, 0.0)


def call_cut(seed: int, bulk_id: str, transfers: int, rates: Rates) -> Cut | None:
    """Whether the call `bulk_id` with so many transfers gets no answer. None of them, some or all are carried out."""
    cut_chance, part, hang_chance, *_ = chances(seed, "bulk", bulk_id)
    if cut_chance >= rates.cut:
        return None
    return Cut(processed=int(part * (transfers + 1)), hangs=hang_chance < 0.5)


def bank_reference(seed: int, reference: str) -> str:
    """The bank's own number of a transfer (`referenceNo`), 15 digits."""
    return f"{int(chances(seed, 'reference', reference)[0] * 10**15):015d}"
