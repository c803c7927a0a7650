"""The registration form: from what an officer typed to the fields that the registry takes. Pure.

Only the form is read here; whether a NIK or an account is right the registry says, in its answer.
"""

from collections.abc import Mapping
from typing import Any, Final

MEMBERS: Final = 8
"""Lines for members of the family on the form, the applicant's own first."""
_PLAIN: Final = ("nik", "name", "kk", "birth_date", "sex", "role", "village", "phone", "language", "address")
_DIGITS: Final = frozenset({"nik", "kk", "account_number"})
REQUIRED: Final = ("nik", "name", "kk", "birth_date", "sex", "role", "village", "decile", "income_idr")


def fields(form: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The submission's fields, and the names of those that are missing or are no number."""
    given = {name: _clean(name, text) for name, text in form.items()}
    missing = [name for name in REQUIRED if not given.get(name)]
    told: dict[str, Any] = {name: given[name] for name in _PLAIN if given.get(name)}
    for name in ("decile", "income_idr"):
        text = given.get(name, "").replace(".", "")
        if text.isascii() and text.isdigit() and len(text) <= 15:
            told[name] = int(text)
        elif name not in missing:
            missing.append(name)
    account = {part: given.get(f"account_{part}", "") for part in ("bank", "number", "holder")}
    if any(account.values()):
        told["account"] = account
    told["members"] = members(given)
    return told, missing


def members(given: Mapping[str, str]) -> list[dict[str, Any]]:
    """The applicant, whose line needs no date, and each line with a date of birth."""
    listed = []
    for number in range(MEMBERS):
        birth_date = given.get("birth_date" if number == 0 else f"member{number}_birth_date", "")
        if birth_date:
            sex = given.get("sex" if number == 0 else f"member{number}_sex", "")
            school = given.get(f"member{number}_school", "")
            ticked = {name: given.get(f"member{number}_{name}") == "yes" for name in ("pregnant", "severe_disability")}
            listed.append({"birth_date": birth_date, "sex": sex, **({"school": school} if school else {}), **ticked})
    return listed


def _clean(name: str, text: str) -> str:
    text = " ".join(text.split())
    return "".join(character for character in text if character.isdigit()) if name in _DIGITS else text
