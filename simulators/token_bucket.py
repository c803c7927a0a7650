"""A token bucket: how banks and carriers say `slow down`."""

import time
from collections.abc import Callable


class TokenBucket:
    """Lets `rate` a second through, and after a pause up to `burst` at once. A rate of 0 lets everything through."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        assert rate >= 0
        assert rate == 0 or burst >= 1, "a bucket that never holds one token lets nothing through"
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self, wanted: int = 1) -> int:
        """Take up to `wanted` tokens and say how many were given (whole ones only)."""
        if self._rate == 0:
            return wanted
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        given = min(wanted, int(self._tokens))
        self._tokens -= given
        return given

    @property
    def full(self) -> bool:
        """Whether the bucket has recovered; such a bucket need not be remembered."""
        return self._tokens + (self._clock() - self._at) * self._rate >= self._burst
