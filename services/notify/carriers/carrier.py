"""What this service needs of a carrier."""

from typing import Literal, NamedTuple, Protocol

from services.notify.domain.messages import Composed
from services.notify.domain.purposes import Channel

Verdict = Literal["accepted", "refused", "refused_for_now", "unknown"]


class Answer(NamedTuple):
    """What is known after one call.

    `accepted`: the carrier has it. `refused`: it has not and never will. `refused_for_now`: it has not, and the same
    may be sent again. `unknown`: it may have it; never send again. `code` says why. `everybody`: not this message is
    to blame but the way to the carrier (away, too fast, a wrong token), so that others had better wait too. `pause_s`:
    how long the carrier asks to wait at least.
    """

    verdict: Verdict
    code: str | None = None
    everybody: bool = False
    pause_s: float = 0.0


class Carrier(Protocol):
    """A way to phones. `send` never raises: what went wrong is an answer."""

    channel: Channel

    async def send(self, message_id: str, phone: str, message: Composed) -> Answer:
        """Hands one message to the carrier, once. `phone` is E.164; `message_id` comes back with each status."""
        ...

    async def close(self) -> None: ...
