"""One programme's rules applied to one person: entitled or not, how much, and every reason."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from services.eligibility.domain.amounts import Sum, Tariff
from services.eligibility.domain.facts import Facts, Trait
from services.eligibility.domain.programme import Programme
from services.eligibility.domain.reasons import Catalogue, ReasonCode, Said, Sentences


class Asked(NamedTuple):
    """What the rules are asked about. `facts` or `flags` None: erased."""

    village: str
    decile: int
    facts: Facts | None
    flags: frozenset[str] | None
    members: Sequence[Trait]


class Verdict(NamedTuple):
    """`amount_idr` is for one period of the programme, and above 0 exactly when eligible. `details` are particulars
    that must not stand in the clear."""

    eligible: bool
    amount_idr: int
    codes: tuple[ReasonCode, ...]
    details: tuple[Said, ...] = ()


ELIGIBLE: tuple[ReasonCode, ...] = ("meets_conditions",)
CLOSED = Verdict(False, 0, ("programme_closed",))
ERASED = Verdict(False, 0, ("facts_erased",))
NOT_THE_PAYEE = Verdict(False, 0, ("not_the_payee",))


class Rule:
    """One version of one programme, ready for use."""

    def __init__(self, programme: Programme, catalogue: Catalogue) -> None:
        self.name = programme.programme
        self.version = programme.version
        self.payee = programme.payee
        self.programme = programme
        self.sentences = Sentences(catalogue, programme)
        self._closed = programme.closed
        self._conditions = programme.conditions
        self._excluded_by = programme.conditions.excluded_by
        self._tariff = Tariff(programme.components, programme.amount, programme.periods_a_year)
        self._particulars = lru_cache(maxsize=4096)(self._tell)

    def entitlement(self, asked: Asked) -> Verdict:
        """What holds for this person on their own facts, before it is settled who of the family is paid.

        All failing conditions are given, not only the first.
        """
        if self._closed:
            return CLOSED
        if asked.facts is None or asked.flags is None:
            return ERASED
        total = self._tariff.sum(asked.members)
        failing = self._failing(asked, asked.facts, asked.flags, total)
        if failing:
            return self._refusal(failing, asked.flags)
        return Verdict(True, total.idr, ELIGIBLE, self._particulars(total))

    def _failing(self, asked: Asked, facts: Facts, flags: frozenset[str], total: Sum) -> list[ReasonCode]:
        """Conditions that do not hold, in the order in which they are told."""
        conditions = self._conditions
        failing: list[ReasonCode] = []
        if conditions.region and not asked.village.startswith(conditions.region):
            failing.append("outside_region")
        if conditions.decile_max is not None and asked.decile > conditions.decile_max:
            failing.append("decile_above_limit")
        if flags and not flags.isdisjoint(self._excluded_by):
            failing.append("excluded_by_other_agency")
        if conditions.income_max_idr is not None and facts.income_idr > conditions.income_max_idr:
            failing.append("condition_not_met")
        if conditions.needs_component and not total.found:
            failing.append("no_component")
        return failing

    def _refusal(self, failing: list[ReasonCode], flags: frozenset[str]) -> Verdict:
        details: list[Said] = []
        for code in failing:
            if code == "excluded_by_other_agency":
                details += [self.sentences.flag(flag) for flag in self._excluded_by if flag in flags]
            elif code == "condition_not_met":
                details.append(self.sentences.limit("income_above", self._conditions.income_max_idr or 0))
        return Verdict(False, 0, tuple(failing), tuple(details))

    def _tell(self, total: Sum) -> tuple[Said, ...]:
        """For whom it is paid. Where everybody gets the same there is nothing to tell beside the amount."""
        lines = [self.sentences.counted(*line) for line in total.counted]
        if total.counted and total.found > (most := sum(line.members for line in total.counted)):
            lines.append(self.sentences.limit("members_max", most))
        return tuple(lines)
