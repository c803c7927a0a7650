"""Banks: one file a kind, behind one protocol."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.payout.domain.answers import Answer
from services.payout.domain.orders import BankOrder
from shared.errors import Trouble


class NotSent(Trouble):
    """Nothing of the call reached the bank: no connection was made. It can be repeated."""


class OutcomeUnknown(Trouble):
    """The call was made, or may have been, and nobody knows what came of it. It must be asked about."""


class Channel(Protocol):
    """A bank that takes many transfers in one call. Neither method repeats anything by itself."""

    async def send(self, orders: Sequence[BankOrder], *, sends: int, stamped_at: datetime) -> list[Answer]:
        """One answer for each order. Raises NotSent or OutcomeUnknown, each for all of them.

        `stamped_at` is the time of the claim: the bank refuses the call when that is too long ago, so that a process
        that slept meanwhile cannot make it any more. `sends`: how often these orders were sent with this call, all
        together; it tells a repetition from the call before.
        """

    async def ask(self, references: Sequence[str], *, stamped_at: datetime) -> list[Answer]:
        """One answer for each reference the bank speaks of. Raises NotSent or OutcomeUnknown: ask again later.

        `stamped_at` is the database's time, as for `send`: a process whose clock is wrong would be refused for ever.
        """
