"""Whether a NIK and a date of birth go together: pure, and the same for people who are known and who are not.

A NIK holds the date of birth as DDMMYY, for women with 40 added to the day (Peraturan Presiden 25/2008, article 44).
"""

import re
from datetime import date
from typing import Final, NamedTuple

from stdnum.exceptions import ValidationError as InvalidNumber
from stdnum.id import nik as stdnum_nik

_SIXTEEN: Final = re.compile(r"[0-9]{16}").fullmatch
_SPACING: Final = str.maketrans("", "", " .-\u00a0")
_WOMAN: Final = 40
_BORN_YEARS_MAX: Final = 120


class Asked(NamedTuple):
    """What a person typed, in form."""

    nik: str
    born: date


class Refused(NamedTuple):
    """What is wrong with what a person typed, by the names of texts; None where nothing is."""

    nik: str | None
    born: str | None


def read(nik: str, day: str, month: str, year: str, today: date) -> Asked | Refused:
    """The NIK may be written with spaces. The date must be the NIK's own."""
    digits = nik.translate(_SPACING)
    own = _date_in(digits)
    born = _date(day, month, year, today)
    if own is None or born is None:
        return Refused(None if own else "nik_wrong", None if born else "born_wrong")
    if own != (born.day, born.month, born.year % 100):
        return Refused(None, "born_differs")
    return Asked(digits, born)


def _date_in(digits: str) -> tuple[int, int, int] | None:
    """Day, month and the year's two digits; None where this is no NIK."""
    if not _SIXTEEN(digits):
        return None
    try:
        born = stdnum_nik.get_birth_date(digits)
    except InvalidNumber:
        return None
    return born.day, born.month, born.year % 100


def _date(day: str, month: str, year: str, today: date) -> date | None:
    parts = [part.strip() for part in (day, month, year)]
    if not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):
        return None
    try:
        born = date(int(parts[2]), int(parts[1]), int(parts[0]))
    except ValueError:
        return None
    return born if today.year - _BORN_YEARS_MAX <= born.year and born <= today else None
