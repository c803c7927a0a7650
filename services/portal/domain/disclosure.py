"""How counts become figures that point to nobody: pure, and the same input always gives the same figures.

Three rules, explained in docs/explanation/figures.md: what is above zero and below SMALL is hidden; where hiding one
would leave it as the difference between a total and its other parts, another is hidden with it; and what is shown is
rounded up or down to a multiple of BASE by a keyed draw for each area and count.
"""

import hmac
from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Set
from typing import Final, NamedTuple, TypeVar

M = TypeVar("M", bound=Hashable)
BASE: Final = 5
SMALL: Final = 10
"""Below it, and above zero, nothing is shown."""
DISTRICT_CHARS: Final = 6
_STEPS: Final = (1, 2, 5)


class Cell(NamedTuple):
    """One figure: `families` are those it counts; `value` equals it, or is what they got in rupiah."""

    families: int
    value: int


def published(
    cells: Mapping[str, Cell], whole: str, hidden: Set[str], key: bytes, base: int = BASE
) -> dict[str, int | None]:
    """The figures of one measure, by area: `whole`, its districts (6 digits) and their villages (10 digits).

    `cells` holds villages alone, and those without anything may be left out; `hidden` is their measure's part of
    `hidden_areas`. None: hidden.
    """
    return {
        area: None if area in hidden else rounded(cell.value, base, draw(area, cell.families, key))
        for area, cell in _with_totals(cells, whole).items()
    }


def hidden_areas(
    measures: Mapping[M, Mapping[str, Cell]], whole: str, sums: Mapping[M, Collection[Collection[M]]]
) -> dict[M, set[str]]:
    """What is hidden of each measure. `sums` says which measures add up to another one, in each area, and may do so
    in several ways: the registered of an area are its eligible and its refused by reason, programme by programme.

    Whatever one rule hides the others look at again, until none has more to hide.
    """
    every = {
        measure: {a: c.families for a, c in _with_totals(cells, whole).items()} for measure, cells in measures.items()
    }
    hidden: dict[M, set[str]] = {measure: set() for measure in measures}
    before = -1
    while before != (before := sum(map(len, hidden.values()))):
        for measure, counts in every.items():
            _hide_by_place(counts, whole, hidden[measure])
        for total, ways in sums.items():
            for parts in ways:
                _hide_by_sum(every, hidden, total, [part for part in parts if part in every])
    return hidden


def draw(area: str, families: int, key: bytes) -> int:
    """64 bits. Keyed by area and count alone: the same count of the same area is rounded alike for every measure,
    period and date, so that publishing it often says no more than publishing it once; rupiah follow from it too."""
    return int.from_bytes(hmac.digest(key, f"{area}={families}".encode(), "sha256")[:8], "big")


def rounded(value: int, base: int, drawn: int) -> int:
    """Up or down to a multiple of `base`, up with the probability of the remainder: right on average over draws."""
    down, remainder = divmod(value, base)
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


def _hide_by_place(counts: Mapping[str, int], whole: str, hidden: set[str]) -> None:
    """Of one measure: what is small, another with it, and all parts of what is hidden."""
    if whole in hidden or 0 < counts[whole] < SMALL:
        hidden.update(counts)
        return
    parts: dict[str, dict[str, int]] = defaultdict(dict)
    for area, count in counts.items():
        if area != whole:
            parts[whole if len(area) == DISTRICT_CHARS else area[:DISTRICT_CHARS]][area] = count
    districts = parts.pop(whole, {})
    for district, villages in parts.items():
        hidden |= set(villages) if district in hidden else _hidden(villages, hidden)
        if _tells(villages, hidden):
            hidden |= {district, *villages}
    hidden |= _hidden(districts, hidden)
    if _tells(districts, hidden):
        hidden.update(counts)


def _hide_by_sum(
    every: Mapping[M, Mapping[str, int]], hidden: Mapping[M, set[str]], total: M, parts: Collection[M]
) -> None:
    """In each area: of the measures that add up to another none is hidden alone; nor is their total, if all are
    shown. Where there is no other to hide, the total is hidden, unless SMALL or more of it are not decided."""
    for area in {area for part in parts for area in every[part]}:
        counts = {part: every[part][area] for part in parts if every[part].get(area)}
        known = {part for part in counts if area in hidden[part]}
        if not known and counts and area in hidden.get(total, ()):
            known = {min(counts, key=lambda part: (counts[part], repr(part)))}
        for part in _hidden(counts, known):
            hidden[part].add(area)
        decided = sum(counts.values())
        gone = {part for part in counts if area in hidden[part]}
        if total in every and every[total].get(area, 0) < decided + SMALL and _tells(counts, gone):
            hidden[total].add(area)


def _hidden(parts: Mapping[M, int], already: Set[M]) -> set[M]:
    """Which parts of one whole are hidden. None, or at least two that together hold SMALL: else the whole less the
    others would say what is hidden. Fewer only where there are no more: then `_tells`."""
    hidden = {part for part, families in parts.items() if 0 < families < SMALL or part in already}
    if not any(parts[part] for part in hidden):
        return hidden
    others = sorted((families, repr(part), part) for part, families in parts.items() if part not in hidden and families)
    together = sum(parts[part] for part in hidden)
    for families, _, part in others:
        if sum(1 for held in hidden if parts[held]) >= 2 and together >= SMALL:
            break
        hidden.add(part)
        together += families
    return hidden


def _tells(parts: Mapping[M, int], hidden: Set[M]) -> bool:
    """Whether the whole less its other parts says what is hidden of these: the whole must be hidden too."""
    held = [families for part, families in parts.items() if families and part in hidden]
    return bool(held) and (len(held) < 2 or sum(held) < SMALL)


def _with_totals(cells: Mapping[str, Cell], whole: str) -> dict[str, Cell]:
    """Beside the villages their districts and the whole."""
    sums: dict[str, Cell] = {whole: Cell(0, 0)}
    for village, cell in cells.items():
        for area in (whole, village[:DISTRICT_CHARS]):
            held = sums.get(area, Cell(0, 0))
            sums[area] = Cell(held.families + cell.families, held.value + cell.value)
    return {**sums, **cells}
