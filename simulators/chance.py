"""Chance that is no chance: numbers that follow from a seed and a name, so that a run can be repeated."""

import hashlib
import struct
from collections.abc import Sequence

_FULL = float(1 << 64)


def chances(seed: int, *names: str) -> Sequence[float]:
    """Eight independent numbers in [0, 1), the same ones for the same seed and names on every machine."""
    digest = hashlib.blake2b("\x1f".join((str(seed), *names)).encode(), digest_size=64).digest()
    return [whole / _FULL for whole in struct.unpack("<8Q", digest)]


def between(low: float, high: float, chance: float) -> float:
    """The number that lies `chance` of the way from `low` to `high`."""
    return low + (high - low) * chance
