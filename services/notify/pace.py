"""How fast this process may send: a token bucket."""

from collections.abc import Callable
from time import monotonic


class Pace:
    """Lets `rate` a second through (0: no limit), and after a pause at most a tenth of a second's worth at once.

    Carriers count by the second: a short burst keeps every second within the rate, whatever their second is.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        assert rate >= 0
        self._rate = rate
        self._burst = max(rate / 10, 1.0)
        self._clock = clock
        self._tokens = self._burst
        self._at = clock()

    def take(self, wanted: int) -> int:
        """Takes up to `wanted` tokens and says how many."""
        if self._rate == 0:
            return wanted
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        given = min(wanted, int(self._tokens))
        self._tokens -= given
        return given

    def give_back(self, count: int) -> None:
        """Returns tokens that were not needed."""
        self._tokens = min(self._burst, self._tokens + count)
