"""Registrations as they are submitted, and the defects planted in them."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from salur.population import rates
from salur.population.draw import Draw, Weighted
from salur.population.places import UNKNOWN_REGIONS


class Submission(NamedTuple):
    """One row of registrations.csv: fields and order are its columns."""

    nik: str
    name: str
    kk: str
    birth_date: str
    sex: str
    role: str
    village: str
    address: str
    phone: str
    language: str
    decile: int
    income_idr: int
    account_bank: str
    account_number: str
    account_holder: str
    members: str
    submitted_at: str


class Expected(NamedTuple):
    """The registry's answer when rows are taken in file order.

    `detail` is the change (new, updated), the reason (identical, older) or the rejection's code. `possible` are the
    answers that are right when submissions of one NIK overtake each other. `wins` says whether this row's content is
    what the registry knows in the end, in any order; of two identical rows it is the first.
    """

    answer: rates.Answer
    detail: str
    possible: tuple[rates.Answer, ...]
    wins: bool


_ONE: Final[tuple[rates.Answer, ...]] = ("registered",)
_EITHER: Final[tuple[rates.Answer, ...]] = ("registered", "unchanged")
NEW: Final = Expected("registered", "new", _ONE, wins=True)
IDENTICAL_BEFORE: Final = Expected("registered", "new", _EITHER, wins=True)
IDENTICAL_AFTER: Final = Expected("unchanged", "identical", _EITHER, wins=False)
CHANGED_BEFORE: Final = Expected("registered", "new", _EITHER, wins=False)
CHANGED_AFTER: Final = Expected("registered", "updated", _ONE, wins=True)
STALE_BEFORE: Final = Expected("registered", "new", _ONE, wins=True)
STALE_AFTER: Final = Expected("unchanged", "older", _EITHER, wins=False)


def rejected(code: str) -> Expected:
    return Expected("rejected", code, ("rejected",), wins=False)


class Spoilt(NamedTuple):
    """A registration with a defect that the registry rejects; `kind` says which form of the defect it is."""

    submission: Submission
    kind: str
    code: str


_CHOICE: Final = Weighted({**rates.INTAKE, "": 1 - sum(rates.INTAKE.values())})


def intake_defect(draw: Draw) -> str:
    """The defect class of a family's first registration, mostly "" for none."""
    return draw.weighted(_CHOICE)


def spoil(draw: Draw, defect: str, clean: Submission) -> Spoilt:
    """Plant a defect of one of the rejected classes."""
    kind = draw.pick(tuple(_SPOILERS[defect]))
    field, code, spoiler = _SPOILERS[defect][kind]
    change: dict[str, Any] = {field: spoiler(draw, clean)}
    return Spoilt(clean._replace(**change), kind, code)


def submission_time(draw: Draw, reference: date) -> datetime:
    """A time of day between 07:00 and 20:00 in central Indonesia (WITA), 5 to 28 days before the reference date."""
    day = reference - timedelta(days=draw.between(5, 28))
    return datetime(day.year, day.month, day.day, 7) + timedelta(seconds=draw.below(13 * 3600))


def iso_wita(moment: datetime) -> str:
    return f"{moment.isoformat()}+08:00"


def hours_apart(draw: Draw) -> timedelta:
    """Between two submissions of one NIK: at least an hour, at most three days."""
    return timedelta(seconds=draw.between(3600, 72 * 3600))


def _letters(number: str) -> str:
    """0 typed as O, or 1 as I where there is no 0."""
    return number.replace("0", "O", 1) if "0" in number else number.replace("1", "I", 1)


def _lose_digit(draw: Draw, number: str) -> str:
    at = draw.below(len(number))
    return number[:at] + number[at + 1 :]


def _impossible_date(draw: Draw, clean: Submission) -> str:
    woman = 40 if clean.sex == "P" else 0
    day, month = draw.pick(((30, 2), (31, 4), (31, 11), (32, 5), (0, 8), (12, 13), (7, 0), (39, 12)))
    return f"{clean.nik[:6]}{day + woman:02d}{month:02d}{clean.nik[10:]}"


def _other_year(draw: Draw, clean: Submission) -> str:
    year = (int(clean.nik[10:12]) + draw.between(1, 9)) % 100
    return f"{clean.nik[:10]}{year:02d}{clean.nik[12:]}"


def _other_sex(_: Draw, clean: Submission) -> str:
    day = (int(clean.nik[6:8]) + 40) % 80
    return f"{clean.nik[:6]}{day:02d}{clean.nik[8:]}"


_Spoiler = Callable[[Draw, Submission], str]
_SPOILERS: Final[dict[str, dict[str, tuple[str, str, _Spoiler]]]] = {
    "invalid_nik": {
        "too_short": ("nik", "nik_format", lambda d, s: _lose_digit(d, s.nik)),
        "too_long": ("nik", "nik_format", lambda d, s: f"{s.nik}{d.below(10)}"),
        "letters": ("nik", "nik_format", lambda _, s: _letters(s.nik)),
        "impossible_date": ("nik", "nik_format", _impossible_date),
        "unknown_region": ("nik", "nik_region", lambda d, s: d.pick(UNKNOWN_REGIONS) + s.nik[6:]),
        "birth_date_mismatch": ("nik", "nik_birth_date_mismatch", _other_year),
        "sex_mismatch": ("nik", "nik_sex_mismatch", _other_sex),
    },
    "invalid_kk": {
        "too_short": ("kk", "kk_format", lambda d, s: _lose_digit(d, s.kk)),
        "too_long": ("kk", "kk_format", lambda d, s: f"{s.kk}{d.below(10)}"),
        "letters": ("kk", "kk_format", lambda _, s: _letters(s.kk)),
        "unknown_region": ("kk", "kk_region", lambda d, s: d.pick(UNKNOWN_REGIONS) + s.kk[6:]),
    },
    "village_unknown": {
        "unknown_village": ("village", "village_unknown", lambda d, s: f"{s.village[:6]}2{d.between(900, 999)}"),
        "unknown_district": ("village", "village_unknown", lambda d, _: f"7604{d.between(17, 99)}2001"),
    },
    "name_empty": {
        "empty": ("name", "name_empty", lambda *_: ""),
        "spaces": ("name", "name_empty", lambda *_: "   "),
    },
    "phone_malformed": {
        "too_short": ("phone", "phone_format", lambda d, _: f"08{d.between(100, 999)}"),
        "too_long": ("phone", "phone_format", lambda d, _: f"0812{d.between(10**11, 10**12 - 1)}"),
        "zeros": ("phone", "phone_format", lambda *_: "000000000000"),
        "no_such_prefix": ("phone", "phone_format", lambda d, _: f"084{d.between(10**8, 10**9 - 1)}"),
        "words": ("phone", "phone_format", lambda *_: "tidak ada"),
    },
    "account_malformed": {
        "too_short": ("account_number", "account_format", lambda d, _: str(d.between(100, 9999))),
        "letters": ("account_number", "account_format", lambda _, s: f"{s.account_number[:-1]}O"),
        "spreadsheet": ("account_number", "account_format", lambda d, _: f"{d.between(1, 9)}.{d.between(10, 99)}E+14"),
    },
}
KINDS: Final = {defect: tuple(kinds) for defect, kinds in _SPOILERS.items()}
"""The forms of each rejected defect class."""
