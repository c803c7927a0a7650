"""How counts become figures that point to nobody: pure, and the same input always gives the same figures.

Three rules, explained in docs/explanation/figures.md: what is above zero and below SMALL is hidden; where hiding one
would leave it as the difference between a total and its other parts, another is hidden with it; and what is shown is
rounded up or down to a multiple of BASE by a keyed draw, each cell by itself.
"""

import hmac
from collections.abc import Mapping
from typing import Final, NamedTuple

BASE: Final = 5
SMALL: Final = 10
"""Below it, and above zero, nothing is shown."""
DISTRICT_CHARS: Final = 6
_STEPS: Final = (1, 2, 5)


class Cell(NamedTuple):
    """One figure: `families` are those it counts; `value` equals it, or is what they got in rupiah."""

    families: int
    value: int


def published(cells: Mapping[str, Cell], whole: str, name: str, key: bytes, base: int = BASE) -> dict[str, int | None]:
    """The figures of one measure, by area: `whole`, its districts (6 digits) and their villages (10 digits).

    `cells` holds villages alone, and those without anything may be left out. `name` tells this measure from others; it
    and the area draw the rounding. None: hidden.
    """
    districts = _summed(cells, DISTRICT_CHARS)
    total = Cell(sum(c.families for c in cells.values()), sum(c.value for c in cells.values()))
    hidden: set[str] = set()
    if 0 < total.families < SMALL:
        hidden = {whole, *districts, *cells}
    else:
        hidden |= _hidden(districts)
        for district in districts:
            own = {area: cell for area, cell in cells.items() if area.startswith(district)}
            hidden |= set(own) if district in hidden else _hidden(own)
    return {
        area: None if area in hidden else rounded(cell.value, base, f"{name}/{area}", key)
        for area, cell in {whole: total, **districts, **cells}.items()
    }


def rounded(value: int, base: int, name: str, key: bytes) -> int:
    """Up or down to a multiple of `base`, up with the probability of the remainder: right on average.

    The draw is keyed by name and value: the same value of the same cell is rounded alike at every date, so that
    publishing it often says no more than publishing it once.
    """
    down, remainder = divmod(value, base)
    if remainder == 0:
        return value
    drawn = int.from_bytes(hmac.digest(key, f"{name}={value}".encode(), "sha256")[:8], "big")
    return (down + (drawn * base < remainder << 64)) * base


def granule(largest: int, mean: int) -> int:
    """The base for amounts in rupiah: five families' worth, and never less than the largest that one family got, as 1,
    2 or 5 with zeros."""
    wanted = max(largest, BASE * mean, 1)
    power = 1
    while True:
        for step in _STEPS:
            if step * power >= wanted:
                return step * power
        power *= 10


def _hidden(parts: Mapping[str, Cell]) -> set[str]:
    """Which parts of one whole are hidden. None, or at least two that together hold SMALL: else the whole less the
    others would say what is hidden."""
    hidden = {area for area, cell in parts.items() if 0 < cell.families < SMALL}
    if not hidden:
        return hidden
    others = sorted((cell.families, area) for area, cell in parts.items() if cell.families >= SMALL)
    together = sum(parts[area].families for area in hidden)
    for families, area in others:
        if len(hidden) >= 2 and together >= SMALL:
            break
        hidden.add(area)
        together += families
    return hidden


def _summed(cells: Mapping[str, Cell], chars: int) -> dict[str, Cell]:
    sums: dict[str, Cell] = {}
    for area, cell in cells.items():
        held = sums.get(area[:chars], Cell(0, 0))
        sums[area[:chars]] = Cell(held.families + cell.families, held.value + cell.value)
    return sums
