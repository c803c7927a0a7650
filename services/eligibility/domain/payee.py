"""Who of a family card is paid: exactly one of those who are entitled, in the order that the programme states."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from services.eligibility.domain.facts import Facts
from services.eligibility.domain.programme import Payee, PayeeClass


class Candidate(NamedTuple):
    """A registered person of the card who is entitled on their own facts."""

    recipient_id: str
    facts: Facts


def choose(rule: Payee, candidates: Sequence[Candidate], sitting: str | None) -> str:
    """The payee's recipient id, out of at least one candidate.

    The sitting payee stays as long as they are a candidate, unless the programme says that they yield to a better
    one. Else the first in order: by class, then the older, then the lower id.
    """
    if rule.sitting == "stays":
        for candidate in candidates:
            if candidate.recipient_id == sitting:
                return sitting
    return min(candidates, key=lambda candidate: rank(rule, candidate)).recipient_id


def rank(rule: Payee, candidate: Candidate) -> tuple[int, date, str]:
    """Lower comes first."""
    facts = candidate.facts
    classes: set[PayeeClass] = {facts.role}
    if facts.sex == "P" and facts.role in ("head", "spouse"):
        classes.add("mother")
    place = next(place for place, kind in enumerate(rule.order) if kind in classes)
    return place, facts.birth_date, candidate.recipient_id
