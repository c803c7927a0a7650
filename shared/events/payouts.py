"""Cycles and payouts: the money."""

from typing import ClassVar, Final, Literal

from pydantic import Field

from shared.events.model import AccountFingerprint, Code, Data, Idr, Name, Period, Revision, Text, Utc, VillageCode
from shared.privacy.sealed import Sealed

PLACES_COUNTED_MAX: Final = 100_000
"""A `place` beyond is told as the next number, whichever it is: counting costs as much as there are before."""


class CycleProposed(Data):
    """An officer proposes to disburse a programme for one period. Keyed by the cycle."""

    TYPE: ClassVar[str] = "cycle.proposed"

    cycle: str
    programme: Name
    period: Period
    mode: Literal["continuous", "ranked"]
    budget_idr: Idr
    by: str


class CycleApproved(Data):
    """A second officer approves the cycle; from now on its budget may be ordered."""

    TYPE: ClassVar[str] = "cycle.approved"

    cycle: str
    programme: Name
    period: Period
    budget_idr: Idr
    by: str


class _Payout(Data):
    """What every event about a payout says. One payout per recipient, programme and cycle."""

    cycle: str
    programme: Name
    revision: Revision
    amount_idr: Idr
    decision_revision: Revision
    village: VillageCode
    contact: Sealed | None = Field(default=None, description="Whom to tell, sealed for `contact`")


class _Attempt(_Payout):
    attempt: int = Field(ge=1)
    reference: str = Field(description="The bank's idempotency key: follows from programme, cycle, recipient, attempt")


class PayoutQueued(_Payout):
    """Eligible, but the cycle has no budget for it now."""

    TYPE: ClassVar[str] = "payout.queued"

    place: int = Field(
        ge=1,
        description="Place in the queue when it was queued; 100001 stands for itself and every later one",
    )


class PayoutOrdered(_Attempt):
    """Budget is reserved; the bank will be told."""

    TYPE: ClassVar[str] = "payout.ordered"

    channel: Name


class PayoutCancelled(_Payout):
    """The decision behind it was superseded before the bank was told; the budget is free again."""

    TYPE: ClassVar[str] = "payout.cancelled"

    code: Code
    text: Text


class PayoutConfirmed(_Attempt):
    """The money is in the account."""

    TYPE: ClassVar[str] = "payout.confirmed"

    channel: Name
    bank_reference: str
    confirmed_at: Utc
    account: AccountFingerprint | None = Field(
        default=None, description="Tells payouts to one account from others, until the payment key is rotated"
    )


class PayoutFailed(_Attempt):
    """The money did not reach the account (gagal salur); the budget is free again."""

    TYPE: ClassVar[str] = "payout.failed"

    channel: Name
    code: Code
    text: Text
