"""How many questions are answered: whoever holds a token or an account shall not try all NIKs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic


@dataclass(slots=True)
class Allowance:
    """A bucket that holds `burst` answers and gets `rate` new ones a second."""

    rate: float
    burst: int
    clock: Callable[[], float] = monotonic
    _held: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._held, self._at = float(self.burst), self.clock()

    def take(self) -> bool:
        now = self.clock()
        self._held = min(float(self.burst), self._held + (now - self._at) * self.rate)
        self._at = now
        if self._held < 1:
            return False
        self._held -= 1
        return True
