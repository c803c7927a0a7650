"""Villages that a form offers, and what regions are called with what they lie in."""

from functools import cache
from typing import NamedTuple

from services.portal.regions import name_of
from shared.villages import villages as served


class Village(NamedTuple):
    """With the name of its district."""

    code: str
    name: str
    district: str


@cache
def villages() -> tuple[Village, ...]:
    """All that are served, by code."""
    return tuple(Village(village.code, village.name, name_of(village.district)) for village in served())


def full_name(code: str) -> str:
    """A village with its district: `Lekopadis, Tinambung`."""
    return f"{name_of(code)}, {name_of(code[:6])}" if len(code) == 10 else name_of(code)
