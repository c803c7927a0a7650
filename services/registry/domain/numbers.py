"""Numbers that people write in many ways: NIK, No. KK, phone and account, read into one form.

A NIK is six digits of region, the date of birth as DDMMYY (women: day + 40) and a serial of four
(Peraturan Presiden 25/2008, article 44). A No. KK is made alike, with the date on which the card was issued.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache, lru_cache
from typing import NamedTuple

import phonenumbers
from stdnum.exceptions import ValidationError as InvalidNumber
from stdnum.id import nik as stdnum_nik

_RUN_OF_SIXTEEN = re.compile(r"(?<![0-9])[0-9]{16}(?![0-9])")
_SIXTEEN_DIGITS = re.compile(r"[0-9]{16}").fullmatch
_BANK = re.compile(r"[0-9]{3}").fullmatch
_ACCOUNT = re.compile(r"[0-9]{8,20}").fullmatch
_PHONE = re.compile(r"\+?[0-9]{6,20}").fullmatch
_PHONE_PUNCTUATION = str.maketrans("", "", " -().\u2010\u2011\u2013")
_ACCOUNT_PUNCTUATION = str.maketrans("", "", " -")
_WOMAN = 40
_DAY_MAX, _MONTH_MAX = 31, 12
_NO_SERIAL = "0000"
"""Serials begin at 0001: this one stands where nobody looked the number up, and would make one of many."""


class Nik(NamedTuple):
    """A NIK whose form is right. `birth_date` may be a century off: the NIK has two digits for the year."""

    digits: str
    region: str
    birth_date: date
    sex: str

    def born_on(self, stated: date) -> bool:
        """Whether day, month and the year's two digits are those of the stated date."""
        own = self.digits
        day = int(own[6:8]) - (_WOMAN if self.sex == "P" else 0)
        return (day, int(own[8:10]), int(own[10:12])) == (stated.day, stated.month, stated.year % 100)


def read_nik(text: str) -> Nik | None:
    """None where this is no NIK: not 16 digits, with a date that does not exist, or without a serial. Its region is not
    looked at."""
    digits = _sixteen(text)
    born = _born(digits[6:12]) if digits and not digits.endswith(_NO_SERIAL) else None
    return Nik(digits, digits[:6], born[0], born[1]) if digits and born else None


def read_kk(text: str) -> str | None:
    """The 16 digits of a family card number; None where it has not so many, no day of issue, or no serial."""
    digits = _sixteen(text)
    if digits is None or digits.endswith(_NO_SERIAL):
        return None
    return digits if 1 <= int(digits[6:8]) <= _DAY_MAX and 1 <= int(digits[8:10]) <= _MONTH_MAX else None


def niks_in(text: str) -> Iterator[Nik]:
    """Every NIK that stands in a text, with anything but digits around it."""
    for found in _RUN_OF_SIXTEEN.findall(text):
        if nik := read_nik(found):
            yield nik


def read_phone(text: str) -> str | None:
    """E.164. A number without a country is Indonesian; None where it is no number that can exist."""
    bare = text.translate(_PHONE_PUNCTUATION)
    if bare.startswith("0062"):
        bare = f"+{bare[2:]}"
    if not _PHONE(bare):  # the library reads letters as the keys of a telephone, and somebody else answers
        return None
    national = _national(bare)
    if _is_mobile()(national):
        return f"+62{national}"
    try:
        number = phonenumbers.parse(bare, "ID")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def read_account_number(text: str) -> str | None:
    """8 to 20 digits; spaces and hyphens between them are left out."""
    digits = text.translate(_ACCOUNT_PUNCTUATION)
    return digits if _ACCOUNT(digits) else None


def is_bank_code(text: str) -> bool:
    return _BANK(text) is not None


def _sixteen(text: str) -> str | None:
    digits = text if _SIXTEEN_DIGITS(text) else stdnum_nik.compact(text)
    return digits if _SIXTEEN_DIGITS(digits) else None


@lru_cache(maxsize=100_000)
def _born(ddmmyy: str) -> tuple[date, str] | None:
    """Date of birth and sex. There are 73,000 such groups of digits, and most come again and again."""
    sex = "P" if int(ddmmyy[:2]) > _WOMAN else "L"
    if int(ddmmyy[:2]) > _WOMAN + _DAY_MAX:
        return None
    try:
        return stdnum_nik.get_birth_date(f"000000{ddmmyy}0000"), sex
    except InvalidNumber:
        return None


def _national(digits: str) -> str:
    for prefix in ("+62", "62", "0"):
        if digits.startswith(prefix):
            return digits[len(prefix) :]
    return ""


@cache
def _is_mobile() -> Callable[[str], re.Match[str] | None]:
    """The library's own pattern of Indonesian mobile numbers: nearly all phones, without its 50 µs for each."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region("ID")
    pattern = metadata.mobile.national_number_pattern if metadata and metadata.mobile else None
    assert isinstance(pattern, str), "phonenumbers knows the mobile numbers of Indonesia"
    return re.compile(pattern, re.ASCII).fullmatch
