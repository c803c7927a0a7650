"""Whether the way to the carrier is open, as its answers tell."""

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

import structlog

from services.notify.carriers.carrier import Answer
from shared.runtime.backoff import Backoff

log = structlog.get_logger()

LAST_ANSWERS: Final = 20
UNKNOWN_FEWEST: Final = 5
"""So many of the last answers, and more than half of them, are unknown: the carrier hangs or is broken."""


class Way:
    """Closes when the carrier takes no message of anybody, or when of most sends nobody knows what became of them: an
    unknown message is lost for good, so a carrier that is ill must not get the whole queue. While it is closed, one
    message at a time tries it, after pauses that grow. The first message that is taken, or refused for its own fault,
    opens it. A few unknown ones among many good ones change nothing.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._pauses = Backoff(first_s=0.5, most_s=15.0)
        self._wait_until = 0.0
        self._unknown: deque[bool] = deque(maxlen=LAST_ANSWERS)

    @property
    def closed(self) -> bool:
        return self._pauses.failures > 0

    def room(self, wanted: int, in_flight: int) -> int:
        """How many of these may leave now."""
        if not self.closed:
            return wanted
        return min(wanted, max(0, 1 - in_flight)) if self._clock() >= self._wait_until else 0

    def heed(self, answers: Sequence[Answer]) -> None:
        """Takes answers in, each once."""
        self._unknown.extend(answer.verdict == "unknown" for answer in answers)
        opens = any(answer.verdict in ("accepted", "refused") for answer in answers)
        closing = [answer for answer in answers if answer.everybody]
        if not closing and (not opens if self.closed else self._mostly_unknown()):
            closing = [answer for answer in answers if answer.verdict == "unknown"]
        if closing:
            self._close(closing)
        elif opens and self.closed:
            self._pauses.reset()
            self._unknown.clear()

    def _mostly_unknown(self) -> bool:
        unknown = sum(self._unknown)
        return unknown >= UNKNOWN_FEWEST and unknown * 2 > len(self._unknown)

    def _close(self, answers: Sequence[Answer]) -> None:
        """What left before the way closed and is answered during the pause says nothing new."""
        if self.closed and self._clock() < self._wait_until:
            return
        pause_s = self._pauses.next_s()
        self._wait_until = self._clock() + pause_s
        codes = sorted({answer.code or "" for answer in answers})
        log.warning("the carrier takes no messages now", codes=codes, pause_s=pause_s)
