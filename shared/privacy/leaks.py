"""A submission's id and source stand in the clear on every topic: neither may hold a number of the person."""

import re
from collections.abc import Mapping
from typing import Any, Final

_NOT_PLAIN: Final = re.compile(r"[^0-9A-Za-z]+")
_NOT_DIGITS: Final = re.compile(r"[^0-9]+")
_COUNTRY: Final = re.compile(r"^(?:0*62|0+)")
_DIGITS_MIN: Final = 8
"""Shorter numbers are no NIK, family card, phone or account, and stand in many an id by chance."""
_LONG: Final = re.compile(rf"[0-9]{{{_DIGITS_MIN}}}").search


def may_leak(clear: str) -> bool:
    """Whether the text holds a number that is long enough to be a person's; nearly no id does."""
    return _LONG(_NOT_PLAIN.sub("", clear)) is not None


def leaks(clear: str, submission: object) -> bool:
    """Whether the text holds the NIK, No. KK, phone or account number of this submission, however either is written.

    Only digits are compared, and phones without country and leading zero. What is no JSON object leaks nothing.
    """
    if not isinstance(submission, Mapping) or not may_leak(clear):
        return False
    plain = _NOT_PLAIN.sub("", clear)
    account = submission.get("account")
    numbers = [_digits(submission.get(field)) for field in ("nik", "kk")]
    numbers += [_digits(account.get("number"))] if isinstance(account, Mapping) else []
    numbers += [_COUNTRY.sub("", _digits(submission.get("phone")))]
    return any(len(number) >= _DIGITS_MIN and number in plain for number in numbers)


def _digits(value: Any) -> str:
    return _NOT_DIGITS.sub("", str(value)) if isinstance(value, str | int) else ""
