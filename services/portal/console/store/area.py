"""An area as a range of village codes, which an index serves; codes are digits, compared byte by byte."""

from typing import NamedTuple


class Bounds(NamedTuple):
    """`low` is in, `high` is not. `everything`: also what has no village, which only the centre sees."""

    low: str
    high: str
    everything: bool


def bounds(area: str) -> Bounds:
    """Of an officer's area: a code's beginning."""
    if not area:
        return Bounds("", "~", True)
    return Bounds(area, area[:-1] + chr(ord(area[-1]) + 1), False)
