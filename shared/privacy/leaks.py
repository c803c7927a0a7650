"""A submission's id and source stand in the clear on every topic: neither may hold a number of the person."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_NOT_PLAIN: Final = re.compile(r"[^0-9A-Za-z]+")
_NOT_DIGITS: Final = re.compile(r"[^0-9]+")
_COUNTRY: Final = re.compile(r"^(?:0*62|0+)")
_DIGITS_MIN: Final = 8
"""Shorter numbers are no NIK, family card, phone or account, and stand in many an id by chance."""
_ANYWHERE_DIGITS_MIN: Final = 10
"""In a field that is not known to hold a person's number, which a source may have misnamed: as long as a phone."""
_NOT_OF_A_PERSON: Final = frozenset({"village", "birth_date", "income_idr", "since"})
_LONG: Final = re.compile(rf"[0-9]{{{_DIGITS_MIN}}}").search


def may_leak(clear: str) -> bool:
    """Whether the text holds a number that is long enough to be a person's; nearly no id does."""
    return _LONG(_NOT_PLAIN.sub("", clear)) is not None


def leaks(clear: str, submission: object) -> bool:
    """Whether the text holds the NIK, No. KK, phone or account number of this submission, however either is written.

    Only digits are compared, and phones without country and leading zero. A number of ten digits or more counts
    wherever it stands: a source that misnames its fields sends the same people.
    """
    if not may_leak(clear):
        return False
    plain = _NOT_PLAIN.sub("", clear)
    if isinstance(submission, Mapping):
        account = submission.get("account")
        numbers = [_digits(submission.get(field)) for field in ("nik", "kk")]
        numbers += [_digits(account.get("number"))] if isinstance(account, Mapping) else []
        numbers += [_COUNTRY.sub("", _digits(submission.get("phone")))]
        if any(len(number) >= _DIGITS_MIN and number in plain for number in numbers):
            return True
    return any(
        len(number) >= _ANYWHERE_DIGITS_MIN and number in plain
        for number in (_COUNTRY.sub("", _digits(value)) for value in _values(submission))
    )


def _values(content: object) -> Iterator[Any]:
    """Every value of a JSON document that may be a person's number, at any depth that is read."""
    left: list[object] = [content]
    while left:
        one = left.pop()
        if isinstance(one, Mapping):
            left += (value for name, value in one.items() if name not in _NOT_OF_A_PERSON)
        elif isinstance(one, list):
            left += one
        else:
            yield one


def _digits(value: Any) -> str:
    return _NOT_DIGITS.sub("", str(value)) if isinstance(value, str | int) else ""
