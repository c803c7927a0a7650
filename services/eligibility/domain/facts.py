"""What the rules look at: the facts that the registry seals for `eligibility`, and ages on a day."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from shared.errors import SalurError

FACTS_SCHEMA: Final = "eligibility/1"
FLAGS_SCHEMA: Final = "flags/1"

Sex = Literal["L", "P"]
School = Literal["sd", "smp", "sma"]
Role = Literal["head", "spouse", "other"]


class FactsInvalid(SalurError):
    """Sealed facts opened, but are not what schema eligibility/1 or flags/1 says."""


@dataclass(frozen=True, slots=True)
class Member:
    """A line of the family card, the applicant's included."""

    birth_date: date
    sex: Sex
    school: School | None = None
    pregnant: bool = False
    severe_disability: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Schema `eligibility/1`. Role and birth date are the applicant's; `income_idr` is the family's of a month."""

    birth_date: date
    sex: Sex
    role: Role
    income_idr: Annotated[int, Field(ge=0)]
    members: tuple[Member, ...] = ()


class Trait(NamedTuple):
    """A member as the rules see it on one day."""

    age_years: int
    sex: Sex
    school: School | None
    pregnant: bool
    severe_disability: bool


def age_years(born: date, day: date) -> int:
    """Completed years. Who was born on 29 February completes a year on 1 March where there is no 29th.

    Negative for a birth after `day`: such a member has no age yet, and no age limit fits.
    """
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def traits(facts: Facts, day: date) -> tuple[Trait, ...]:
    """All members of the card on this day."""
    return tuple(
        [Trait(age_years(m.birth_date, day), m.sex, m.school, m.pregnant, m.severe_disability) for m in facts.members]
    )


# Fields that a newer registry may have added are ignored.
_FACTS: Final = TypeAdapter(Facts)
_FLAGS: Final = TypeAdapter(frozenset[str])


def parse_facts(raw: bytes) -> Facts:
    """Raises FactsInvalid, which repeats nothing of them."""
    try:
        return _FACTS.validate_json(raw)
    except ValidationError:
        raise FactsInvalid(f"the sealed facts are not of schema {FACTS_SCHEMA}") from None


def parse_flags(raw: bytes) -> frozenset[str]:
    """Codes of the flags that stand. Raises FactsInvalid."""
    try:
        return _FLAGS.validate_json(raw)
    except ValidationError:
        raise FactsInvalid(f"the sealed flags are not of schema {FLAGS_SCHEMA}") from None
