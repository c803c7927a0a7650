"""Numbers a person has: NIK, No. KK, phone, account. What is made here is valid; `intake.py` spoils it on purpose."""

from datetime import date
from typing import Final, NamedTuple

from salur.population import rates
from salur.population.draw import Calendar, Draw, Scatter, Weighted
from salur.population.places import DISTRICTS, ELSEWHERE

FAMILIES_MAX: Final = Calendar.SIZE
"""Above this many families NIKs would repeat."""

SECOND_APPLICANT: Final = Calendar.SERIALS
SPELLING_VARIANT: Final = 2 * Calendar.SERIALS
"""Added to a serial, so that these and first applicants never meet: 1..3333, 3334..6666, 6667..9999."""

_MOBILE: Final = (
    *("811", "812", "813", "821", "822", "823", "851", "852", "853"),  # Telkomsel, most of the villages
    *("814", "815", "816", "855", "856", "857", "858", "817", "818", "859", "877", "878", "831", "838"),
    *("895", "896", "897", "898", "899", "881", "882"),
)
_ACCOUNT_DIGITS: Final = {"002": 15, "008": 13, "009": 10, "200": 16}
_BANK: Final = Weighted(rates.BANKS)
_UNIQUE_DIGITS: Final = 7


class Account(NamedTuple):
    """Bank of three digits, account number; both empty where there is no account."""

    bank: str
    number: str


class Numbers:
    """Gives out numbers for families of one seed; the same family gets the same numbers whatever was asked before."""

    __slots__ = ("_cards", "_contacts", "_people")

    def __init__(self, seed: int) -> None:
        self._people = (Calendar(seed, "first"), Calendar(seed, "second"))
        self._cards = Calendar(seed, "card")
        self._contacts = Scatter(seed, "contacts", 10**_UNIQUE_DIGITS)

    def birthday(self, family: int, person: int) -> tuple[int, int]:
        """(serial, day of the year) of applicant 0 or of the other of a couple, 1."""
        return self._people[person].place(family)

    def family_card(self, draw: Draw, family: int, district: str, reference: date) -> str:
        """No. KK: district, date of issue (in the last 20 years), serial."""
        serial, day = self._cards.place(family)
        issued = _day_of(reference.year - draw.between(1, 20), day)
        return f"{_region(draw, district)}{issued:%d%m%y}{serial:04d}"

    def phone(self, draw: Draw, family: int, nth: int) -> str:
        """A mobile number in one of the ways people write it; `nth` 0..3 are different numbers of one family."""
        prefix, unique = draw.pick(_MOBILE), self._unique(family, nth)
        subscriber = unique if draw.chance(0.3) else f"{draw.below(10)}{unique}"
        start, end = subscriber[:4], subscriber[4:]
        return draw.pick(
            (
                f"0{prefix}{subscriber}",
                f"0{prefix}{subscriber}",
                f"+62{prefix}{subscriber}",
                f"62 {prefix}-{start}-{end}",
                f"0{prefix}-{start}-{end}",
                f"0{prefix} {start} {end}",
                f"62{prefix}{subscriber}",
                f"+62 {prefix}-{start}-{end}",
                f"(0{prefix}) {start}{end}",
            )
        )

    def account(self, draw: Draw, family: int, nth: int) -> Account:
        """An account at a state bank, digits as many as that bank has; `nth` as for phones."""
        bank = draw.weighted(_BANK)
        branch = _ACCOUNT_DIGITS[bank] - _UNIQUE_DIGITS
        return Account(bank, f"{draw.between(1, 10**branch - 1):0{branch}d}{self._unique(family, nth)}")

    def _unique(self, family: int, nth: int) -> str:
        return f"{self._contacts[family * 4 + nth]:0{_UNIQUE_DIGITS}d}"


def nik(region: str, birth_date: date, sex: str, serial: int) -> str:
    """Region of 6 digits, DDMMYY with 40 added to a woman's day, serial of 4."""
    return f"{region}{birth_date.day + (40 if sex == 'P' else 0):02d}{birth_date:%m%y}{serial:04d}"


def nik_region(draw: Draw, district: str) -> str:
    """Where a NIK was issued: mostly the district of the home, else another one of Polman or elsewhere."""
    return draw.pick(ELSEWHERE) if draw.chance(rates.BORN_ELSEWHERE) else _region(draw, district)


def _region(draw: Draw, district: str) -> str:
    return district if draw.chance(rates.ISSUED_AT_HOME) else draw.pick(DISTRICTS)


def birth_date(age_years: int, day: int, reference: date) -> date:
    """The date on that day of the year on which a person was born who is `age_years` old on `reference`."""
    born = _day_of(reference.year - age_years, day)
    late = (born.month, born.day) > (reference.month, reference.day)
    return born.replace(year=born.year - 1) if late else born


def _day_of(year: int, day: int) -> date:
    """Day 0..364 of a common year, in any year: 29 February never comes."""
    return _COMMON_YEAR[day].replace(year=year)


_COMMON_YEAR: Final = tuple(date.fromordinal(date(2023, 1, 1).toordinal() + day) for day in range(Calendar.DAYS))
