"""Up to which time everything is counted."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SETTLE_S: Final = 5
"""Events are published so long after their time, on a good day."""
LOOKS_KEPT: Final = 200


@dataclass(slots=True)
class Progress:
    """What had been published when somebody looked has been counted once every partition has come so far.

    So the answer never goes back, and a partition that is quiet for long does not hold it up.
    """

    _looks: deque[tuple[float, Mapping[Any, int]]] = field(default_factory=deque)
    _until_s: float = 0.0

    def look(self, now_s: float, ends: Mapping[Any, int], next_offsets: Mapping[Any, int]) -> float:
        """Seconds since 1970; 0 before anything is counted. `ends`: how far the partitions reach now."""
        if len(self._looks) < LOOKS_KEPT:  # a monitor that is so far behind has enough marks to pass
            self._looks.append((now_s, ends))
        while self._looks and all(next_offsets.get(tp, 0) >= end for tp, end in self._looks[0][1].items()):
            self._until_s = self._looks.popleft()[0] - SETTLE_S
        return self._until_s
