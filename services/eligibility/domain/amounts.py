"""How much: rupiah for one period of a programme."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from services.eligibility.domain.facts import Trait
from services.eligibility.domain.programme import Amount, Component, FamilyAmount


class Counted(NamedTuple):
    """Members who are paid for one component, and what they bring together in a period."""

    component: str
    members: int
    idr: int


class Sum(NamedTuple):
    """What a family is entitled to. `found`: members with any component, counted or not."""

    idr: int
    counted: tuple[Counted, ...]
    found: int


NOTHING = Sum(0, (), 0)


class Tariff:
    """The components and the amount of one programme, ready for use.

    A member counts once, by the component that pays most; of the members who have one, the best paid
    `members_max` count (PKH: at most four people a family).
    """

    def __init__(self, components: Mapping[str, Component], amount: Amount, periods_a_year: int) -> None:
        self._components = components
        self._flat_idr = amount.per_period_idr if isinstance(amount, FamilyAmount) else None
        self._members_max = 0 if isinstance(amount, FamilyAmount) else amount.members_max
        self._periods_a_year = periods_a_year
        self.best = cache(self._best)

    def sum(self, members: Sequence[Trait]) -> Sum:
        """For all members of one card."""
        best = self.best
        found = [one for one in map(best, members) if one] if self._components else []
        if self._flat_idr is not None:
            return Sum(self._flat_idr, (), len(found))
        if not found:
            return NOTHING
        found.sort(reverse=True)
        together: dict[str, tuple[int, int]] = {}
        total_idr = 0
        for idr, component in found[: self._members_max]:
            count, before = together.get(component, (0, 0))
            together[component] = (count + 1, before + idr)
            total_idr += idr
        counted = tuple([Counted(component, count, idr) for component, (count, idr) in together.items()])
        return Sum(total_idr, counted, len(found))

    def _best(self, member: Trait) -> tuple[int, str] | None:
        """What one member brings a period and for which component; None: nothing."""
        fitting = [
            ((component.a_year_idr or 0) // self._periods_a_year, code)
            for code, component in self._components.items()
            if component.fits(member)
        ]
        return max(fitting, default=None)
