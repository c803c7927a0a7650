"""When Python's garbage collector works: between turns, never inside one.

Nearly everything a turn makes is freed by reference counts when it ends. A collection that comes in its middle finds
all of it alive and pays for looking at each object; one at rest finds what was read ahead, and next to nothing else.
"""

import gc
from dataclasses import dataclass
from time import monotonic

YOUNG_EVERY_S = 1.0
ALL_EVERY_S = 30.0


def take_over() -> None:
    """What was imported lives for ever and is never looked at again; from here on only `Rest` collects."""
    gc.collect()
    gc.freeze()
    gc.disable()


@dataclass(slots=True)
class Rest:
    """The loop's moments of rest, in which what has become due is collected."""

    _young_at_s: float = 0.0
    _all_at_s: float = 0.0

    def now(self) -> None:
        at_s = monotonic()
        if at_s < self._young_at_s or gc.isenabled():
            return
        every = at_s >= self._all_at_s
        gc.collect(2 if every else 1)
        self._young_at_s = at_s + YOUNG_EVERY_S
        if every:
            self._all_at_s = at_s + ALL_EVERY_S
