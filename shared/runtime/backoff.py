"""The one retry policy: exponential pauses with full jitter."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Pauses between `first_s` and `most_s`; a success starts over."""

    first_s: float = 0.1
    most_s: float = 15.0
    failures: int = 0

    def next_s(self) -> float:
        ceiling = min(self.most_s, self.first_s * 2 ** min(self.failures, 20))
        self.failures += 1
        return random.uniform(self.first_s / 2, ceiling)  # noqa: S311 - jitter, not a secret

    def reset(self) -> None:
        self.failures = 0
