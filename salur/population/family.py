"""One family: its registrations, flags and truth, as a function of seed, number and reference date alone.

`Families.make(n)` needs no other family, so that ranges of numbers can be made in any order or at the same time.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from salur.population import rates
from salur.population.draw import Draw, Weighted
from salur.population.flags import FlagRow, flagged
from salur.population.household import Applicant, Household, household
from salur.population.identity import (
    FAMILIES_MAX,
    SECOND_APPLICANT,
    SPELLING_VARIANT,
    Account,
    Numbers,
    nik,
    nik_region,
)
from salur.population.intake import (
    CHANGED_AFTER,
    CHANGED_BEFORE,
    IDENTICAL_AFTER,
    IDENTICAL_BEFORE,
    KINDS,
    NEW,
    STALE_AFTER,
    STALE_BEFORE,
    Expected,
    Submission,
    hours_apart,
    intake_defect,
    iso_wita,
    rejected,
    spoil,
    submission_time,
)
from salur.population.names import address, drifted, person_name
from salur.population.places import JAVANESE, village_choice
from shared.villages import Village

_DECILE: Final = Weighted(rates.DECILES)
_LANGUAGE: Final = Weighted(rates.LANGUAGES)
_INCOME_STEP_IDR: Final = 50_000
_CHANGES: Final = ("phone", "account", "decile", "income", "name", "village")


class Planted(NamedTuple):
    """A registration with its truth. It arrives `delay` families after its family's turn."""

    submission: Submission
    person: str
    defect: str
    kind: str
    expected: Expected
    delay: float


class Family(NamedTuple):
    """All that one family adds to the output."""

    registrations: list[Planted]
    flags: list[tuple[float, FlagRow]]
    """Each with its delay, as registrations have it; the rows of one person stay in order."""
    standing: dict[str, tuple[str, ...]]
    """Flags that stand on a NIK in the end."""
    registered: list[str]
    """People who will be registered."""
    truth: list[dict[str, Any]]
    """Its lines of truth.jsonl beside those of the registrations."""


@dataclass(slots=True)
class _Card:
    """What all registrations of one family card have in common."""

    number: int
    village: Village
    kk: str
    address: str
    decile: int
    income_idr: int
    members: str


class Families:
    """Makes the families of one seed."""

    def __init__(self, seed: int, reference: date) -> None:
        self._seed = seed
        self._reference = reference
        self._numbers = Numbers(seed)

    def make(self, number: int) -> Family:
        """The family of this number, 0 <= number < FAMILIES_MAX."""
        assert 0 <= number < FAMILIES_MAX, number
        draw = Draw(self._seed, "family", number)
        village = draw.weighted(village_choice())
        home = household(draw, self._numbers, number, self._reference)
        decile = draw.weighted(_DECILE)
        card = _Card(
            number,
            village,
            self._numbers.family_card(draw, number, village.district, self._reference),
            address(draw) if draw.chance(rates.ADDRESS) else "",
            decile,
            _income_idr(draw, decile),
            home.members_json(),
        )
        registrations = self._first(draw, card, home.applicants[0])
        if len(home.applicants) > 1 and draw.chance(rates.BOTH_REGISTER):
            registrations += self._second(draw, card, home.applicants[1])
        return self._with_flags(draw, card, home, registrations)

    def _first(self, draw: Draw, card: _Card, applicant: Applicant) -> list[Planted]:
        """The registration of the first applicant, with the family's intake defect where it has one."""
        defect = intake_defect(draw)
        moment = submission_time(draw, self._reference)
        clean = self._registration(draw, card, applicant, 0, moment, with_account=defect == "account_malformed")
        person, delay = f"{card.number}.1", draw.random() * rates.ARRIVAL_BLOCK
        if not defect:
            return [Planted(clean, person, "", "", NEW, delay)]
        if defect in KINDS:
            spoilt = spoil(draw, defect, clean)
            return [Planted(spoilt.submission, person, defect, spoilt.kind, rejected(spoilt.code), delay)]
        later = iso_wita(moment + hours_apart(draw))
        kind, before, after = "", NEW, NEW
        if defect == "duplicate_identical":
            again, before, after = clean._replace(submitted_at=later), IDENTICAL_BEFORE, IDENTICAL_AFTER
        elif defect == "duplicate_changed":
            again, kind = self._changed(draw, card, clean)
            again, before, after = again._replace(submitted_at=later), CHANGED_BEFORE, CHANGED_AFTER
        elif defect == "duplicate_stale":
            again, kind = self._changed(draw, card, clean)
            again = again._replace(submitted_at=iso_wita(moment - hours_apart(draw)))
            before, after = STALE_BEFORE, STALE_AFTER
        else:
            again = self._variant(draw, card, applicant, clean)._replace(submitted_at=later)
        after_delay = delay + 1 + draw.random() * (rates.ARRIVAL_FAR if draw.chance(0.5) else rates.ARRIVAL_BLOCK)
        return [
            Planted(clean, person, "", "", before, delay),
            Planted(again, person, defect, kind, after, after_delay),
        ]

    def _second(self, draw: Draw, card: _Card, applicant: Applicant) -> list[Planted]:
        """The other of a couple registers too."""
        clean = self._registration(draw, card, applicant, 1, submission_time(draw, self._reference))
        return [Planted(clean, f"{card.number}.2", "", "", NEW, draw.random() * rates.ARRIVAL_BLOCK)]

    def _registration(
        self, draw: Draw, card: _Card, applicant: Applicant, nth: int, moment: datetime, *, with_account: bool = False
    ) -> Submission:
        member = applicant.member
        district = card.village.district
        name = person_name(draw, member.sex, javanese=district in JAVANESE and draw.chance(rates.JAVANESE_NAME))
        found = self._numbers.account(draw, card.number, nth)
        if not with_account and draw.chance(rates.ACCOUNT_NONE):
            found = Account("", "")
        holder = name.upper() if draw.chance(rates.HOLDER_IN_CAPITALS) else name
        return Submission(
            nik=nik(
                nik_region(draw, district), member.birth_date, member.sex, applicant.serial + SECOND_APPLICANT * nth
            ),
            name=name,
            kk=card.kk,
            birth_date=member.birth_date.isoformat(),
            sex=member.sex,
            role=applicant.role,
            village=card.village.code,
            address=card.address,
            phone=self._numbers.phone(draw, card.number, nth) if draw.chance(rates.PHONE) else "",
            language=draw.weighted(_LANGUAGE),
            decile=card.decile,
            income_idr=card.income_idr,
            account_bank=found.bank,
            account_number=found.number,
            account_holder=holder if found.number else "",
            members=card.members,
            submitted_at=iso_wita(moment),
        )

    def _changed(self, draw: Draw, card: _Card, known: Submission) -> tuple[Submission, str]:
        """The same NIK with one thing different, and which."""
        change = draw.pick(_CHANGES)
        if change == "phone":
            return known._replace(phone=self._numbers.phone(draw, card.number, 2)), change
        if change == "account":
            bank, digits = self._numbers.account(draw, card.number, 2)
            return known._replace(account_bank=bank, account_number=digits, account_holder=known.name), change
        if change == "decile":
            return known._replace(decile=known.decile + (1 if known.decile < 10 else -1)), change
        if change == "income":
            return known._replace(income_idr=known.income_idr + _INCOME_STEP_IDR * draw.between(1, 6)), change
        if change == "name":
            return known._replace(name=drifted(draw, known.name, known.sex)), change
        village = draw.weighted(village_choice())
        while village.code == known.village:
            village = draw.weighted(village_choice())
        return known._replace(village=village.code), change

    def _variant(self, draw: Draw, card: _Card, applicant: Applicant, known: Submission) -> Submission:
        """The same person under another, valid NIK: name drifted, birth date and No. KK the same."""
        region = nik_region(draw, card.village.district)
        bank, digits = self._numbers.account(draw, card.number, 3)
        name = drifted(draw, known.name, known.sex)
        return known._replace(
            nik=nik(region, applicant.member.birth_date, known.sex, applicant.serial + SPELLING_VARIANT),
            name=name,
            phone=known.phone if draw.chance(0.5) else self._numbers.phone(draw, card.number, 3),
            account_bank=bank,
            account_number=digits,
            account_holder=name,
        )

    def _with_flags(self, draw: Draw, card: _Card, home: Household, registrations: list[Planted]) -> Family:
        """Draw flags for everybody who will be registered under one NIK, and write down the family's truth."""
        rows: list[tuple[float, FlagRow]] = []
        standing: dict[str, tuple[str, ...]] = {}
        truth: list[dict[str, Any]] = []
        twofold = {planted.person for planted in registrations if planted.defect == "spelling_variant"}
        people = {planted.person: planted.submission.nik for planted in registrations if planted.expected.wins}
        for person, number in people.items():
            found = flagged(draw, number, self._reference) if person not in twofold else None
            if not found:
                continue
            delay = 0.0
            for row in found.rows:
                delay += draw.random() * rates.ARRIVAL_BLOCK
                rows.append((delay, row))
            standing[number] = found.standing
            truth.append(
                {
                    "kind": "flags",
                    "family": card.number,
                    "person": person,
                    "nik": number,
                    "defects": found.defects,
                    "standing": found.standing,
                    "withdrawn": found.withdrawn,
                }
            )
        truth.append(
            {
                "kind": "family",
                "family": card.number,
                "kk": card.kk,
                "size": len(home.members),
                "components": home.components(),
                "registered": list(people),
                "payable": [person for person, number in people.items() if not standing.get(number)],
            }
        )
        return Family(registrations, rows, standing, list(people), truth)


def _income_idr(draw: Draw, decile: int) -> int:
    low, high = rates.INCOMES_IDR[decile]
    return draw.between(low // _INCOME_STEP_IDR, high // _INCOME_STEP_IDR) * _INCOME_STEP_IDR
