"""Stops a stage on a flood of poison: then the fault is rarely in the messages."""

from collections import deque
from dataclasses import dataclass, field

from shared.errors import SalurError


class BreakerOpen(SalurError):
    """Too large a share of the last messages was poison. A person resumes the stage, see `resumption`."""


@dataclass(slots=True)
class Breaker:
    """Opens when, of the last `window` messages, at least `poison_min` and more than `share_max` were poison."""

    window: int = 1000
    poison_min: int = 100
    share_max: float = 0.5
    open: bool = False
    _recent: deque[tuple[int, int]] = field(default_factory=deque)
    _messages: int = 0
    _poison: int = 0

    def close(self) -> None:
        """Forgets what was counted: a person said that the cause is mended."""
        self.open = False
        self._recent.clear()
        self._messages = self._poison = 0

    def record(self, messages: int, poison: int) -> None:
        """Raises BreakerOpen when this makes the share too large."""
        self._recent.append((messages, poison))
        self._messages += messages
        self._poison += poison
        while self._messages - self._recent[0][0] >= self.window:
            old_messages, old_poison = self._recent.popleft()
            self._messages -= old_messages
            self._poison -= old_poison
        if self._poison >= self.poison_min and self._poison > self.share_max * self._messages:
            self.open = True
            raise BreakerOpen(
                f"{self._poison} of the last {self._messages} messages were poison",
                hint="look at `salur dlq list`, mend the cause, then `salur resume SERVICE`",
            )
