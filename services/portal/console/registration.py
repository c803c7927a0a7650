"""The registration form: from what an officer typed to the fields that the registry takes. Pure.

Only the form is read here; whether a NIK or an account is right the registry says, in its answer.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from services.portal.console.amounts import rupiah_of

MEMBERS: Final = 8
"""Lines for members of the family on a fresh form, the applicant's own first."""
MEMBERS_MORE: Final = 8
MEMBERS_MAX: Final = 40
"""So many the registry takes."""
_PLAIN: Final = ("nik", "name", "kk", "birth_date", "sex", "role", "village", "phone", "language", "address")
_DIGITS: Final = frozenset({"nik", "kk", "account_number"})
REQUIRED: Final = ("nik", "name", "kk", "birth_date", "sex", "role", "village", "decile", "income_idr")
_DECILE: Final = re.compile(r"[1-9]|10").fullmatch
_OF_LINE: Final = ("birth_date", "sex", "school", "pregnant", "severe_disability")
_OF_MEMBER: Final = re.compile(r"members\.([0-9]{1,2})(?:\..*)?").fullmatch


def fields(form: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The submission's fields, and the names of those that are missing or wrong: `member3` is the line of that number,
    counted from 0, in which something stands without a date of birth or a sex."""
    given = {name: _clean(name, text) for name, text in form.items()}
    wrong = [name for name in REQUIRED if not given.get(name)]
    told: dict[str, Any] = {name: given[name] for name in _PLAIN if given.get(name)}
    decile, income_idr = given.get("decile", ""), rupiah_of(given.get("income_idr", ""))
    if _DECILE(decile):
        told["decile"] = int(decile)
    elif decile:
        wrong.append("decile")
    if income_idr is not None:
        told["income_idr"] = income_idr
    elif given.get("income_idr"):
        wrong.append("income_idr")
    account = {part: given.get(f"account_{part}", "") for part in ("bank", "number", "holder")}
    if any(account.values()):
        told["account"] = account
    told["members"] = [_member(given, number) for number in _filled(given)]
    wrong += [f"member{number}" for number in _filled(given) if number and not _is_whole(given, number)]
    return told, wrong


def lines(form: Mapping[str, str]) -> int:
    """How many lines for members the form shows: as many as before, or as are filled in, and more where it is asked."""
    shown = form.get("lines", "")
    before = int(shown) if shown.isascii() and shown.isdigit() and len(shown) <= 2 else MEMBERS
    more = MEMBERS_MORE if form.get("more") else 0
    return min(MEMBERS_MAX, max(MEMBERS, before + more, *(number + 1 for number in _filled(form))))


def name_on_form(field: str, form: Mapping[str, str]) -> str:
    """Where on the form a field stands that the registry names in a problem."""
    member, filled = _OF_MEMBER(field), _filled(form)
    if member and int(member[1]) < len(filled):
        return f"member{filled[int(member[1])]}"
    return field.replace("account.", "account_")


def _filled(given: Mapping[str, str]) -> list[int]:
    """The applicant's line, and those in which anything stands."""
    return [
        n for n in range(MEMBERS_MAX) if n == 0 or any(given.get(f"member{n}_{name}", "").strip() for name in _OF_LINE)
    ]


def _is_whole(given: Mapping[str, str], number: int) -> bool:
    return all(given.get(f"member{number}_{name}") for name in ("birth_date", "sex"))


def _member(given: Mapping[str, str], number: int) -> dict[str, Any]:
    """Date of birth and sex of the applicant, who is number 0, stand above."""
    own = {name: given.get(name if number == 0 else f"member{number}_{name}", "") for name in ("birth_date", "sex")}
    school = given.get(f"member{number}_school", "")
    ticked = {name: given.get(f"member{number}_{name}") == "yes" for name in ("pregnant", "severe_disability")}
    return {**own, **({"school": school} if school else {}), **ticked}


def _clean(name: str, text: str) -> str:
    text = " ".join(text.split())
    return "".join(character for character in text if character.isdigit()) if name in _DIGITS else text
