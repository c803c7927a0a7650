"""A family: who lives in it, how old they are, and which PKH components they bring."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import orjson

from salur.population import rates
from salur.population.draw import Calendar, Draw, Weighted
from salur.population.identity import Numbers, birth_date

_SIZE: Final = Weighted(rates.SIZES)
_HEAD_DECADE: Final = Weighted(rates.HEAD_AGES)
COMPONENTS: Final = ("pregnant", "child_0_6", "sd", "smp", "sma", "elder", "severe_disability")


@dataclass(slots=True)
class Member:
    """One line of the family card. `age_years` is that on the reference date."""

    sex: str
    age_years: int
    birth_date: date
    school: str | None = None
    pregnant: bool = False
    severe_disability: bool = False

    def as_json(self) -> dict[str, str | bool]:
        """As in a submission's `members`: what does not hold is left out."""
        line: dict[str, str | bool] = {"birth_date": self.birth_date.isoformat(), "sex": self.sex}
        if self.school:
            line["school"] = self.school
        if self.pregnant:
            line["pregnant"] = True
        if self.severe_disability:
            line["severe_disability"] = True
        return line

    def components(self) -> list[str]:
        """PKH components of this member; a person may bring several."""
        found = []
        if self.pregnant:
            found.append("pregnant")
        if self.age_years <= 6:
            found.append("child_0_6")
        if self.school:
            found.append(self.school)
        if self.age_years >= 60:
            found.append("elder")
        if self.severe_disability:
            found.append("severe_disability")
        return found


@dataclass(slots=True)
class Applicant:
    """A head or spouse who can register, with the serial that makes the NIK theirs."""

    role: str
    member: Member
    serial: int


@dataclass(slots=True)
class Household:
    """Members of one family card; the first applicant registers, the second (of a couple) may."""

    members: list[Member]
    applicants: list[Applicant]

    def members_json(self) -> str:
        return orjson.dumps([member.as_json() for member in self.members]).decode()

    def components(self) -> dict[str, int]:
        """How many members have each component; only those that occur."""
        found = [component for member in self.members for component in member.components()]
        return {component: found.count(component) for component in COMPONENTS if component in found}


def household(draw: Draw, numbers: Numbers, family: int, reference: date) -> Household:
    """The family of this number, always with at least one adult who applies."""
    size = draw.weighted(_SIZE)
    head_age = draw.weighted(_HEAD_DECADE) + draw.below(10)
    couple = size >= 2 and draw.chance(rates.COUPLE)
    head_sex = ("L" if draw.chance(0.97) else "P") if couple else ("P" if draw.chance(0.65) else "L")
    roles = [("head", head_sex, head_age)]
    if couple:
        spouse_age = max(19, head_age + (draw.between(-8, 3) if head_sex == "L" else draw.between(-3, 8)))
        roles.append(("spouse", "P" if head_sex == "L" else "L", spouse_age))
    by_role: dict[str, Applicant] = {}
    for nth, (role, sex, age) in enumerate(reversed(roles) if couple and draw.chance(0.5) else roles):
        serial, day = numbers.birthday(family, nth)
        by_role[role] = Applicant(role, Member(sex, age, birth_date(age, day, reference)), serial)
    members = [by_role[role].member for role, _, _ in roles]
    _add_others(draw, members, size, reference)
    for index, member in enumerate(members):
        _add_components(draw, member, adult=index < len(roles))
    return Household(members, list(by_role.values()))


def _add_others(draw: Draw, members: list[Member], size: int, reference: date) -> None:
    """A parent, children or grandchildren as the woman's age allows, then other kin."""
    head = members[0]
    mother_age = next((member.age_years for member in members if member.sex == "P"), head.age_years - 3)
    if size >= 3 and head.age_years < 60 and draw.chance(rates.ELDER_IN_HOUSE):
        members.append(_member(draw, min(head.age_years + draw.between(20, 30), 92), reference))
    youngest, oldest = max(0, mother_age - 42), min(max(0, mother_age - 18), 24)
    children_max = max(1, (mother_age - 17) // 2)
    for nth in range(size - len(members)):
        if nth >= children_max:
            age = draw.between(12, 45)
        elif youngest > 22:
            age = draw.between(0, 17)
        else:
            age = draw.between(youngest, oldest)
        members.append(_member(draw, age, reference))


def _member(draw: Draw, age_years: int, reference: date) -> Member:
    born = birth_date(age_years, draw.below(Calendar.DAYS), reference)
    return Member("L" if draw.chance(0.5) else "P", age_years, born)


def _add_components(draw: Draw, member: Member, *, adult: bool) -> None:
    for school, (first, last, share) in rates.SCHOOL.items():
        if not adult and first <= member.age_years <= last and draw.chance(share):
            member.school = school
    if adult and member.sex == "P" and 18 <= member.age_years <= 42:
        member.pregnant = draw.chance(rates.PREGNANT)
    member.severe_disability = draw.chance(rates.SEVERE_DISABILITY)
