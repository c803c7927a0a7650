"""Money, dates and periods as recipients, officers and the public read them, in Bahasa Indonesia and English."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from shared.events.payouts import PLACES_COUNTED_MAX

Language = Literal["id", "en"]

WITA: Final = timezone(timedelta(hours=8))
"""Waktu Indonesia Tengah, the time of Sulawesi: dates are those of the recipient's wall."""

_MONTHS: Final[Mapping[Language, tuple[str, ...]]] = {
    "id": (
        *("Januari", "Februari", "Maret", "April", "Mei", "Juni"),
        *("Juli", "Agustus", "September", "Oktober", "November", "Desember"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
_THOUSANDS: Final[Mapping[Language, str]] = {"id": ".", "en": ","}
_STAGE: Final[Mapping[Language, str]] = {"id": "tahap {stage} tahun {year}", "en": "stage {stage} of {year}"}
_PERIOD: Final = re.compile(r"(\d{4})-(?:(0[1-9]|1[0-2])|Q([1-4]))(?!\d)")


def number(count: int, language: Language) -> str:
    """`20.000`, in English `20,000`."""
    return f"{count:,}".replace(",", _THOUSANDS[language])


def place(told: int, language: Language) -> str:
    """A place in the queue as `payout.queued` tells it: beyond those that are counted it is that one or a later one."""
    if told <= PLACES_COUNTED_MAX:
        return number(told, language)
    return number(told, language) + {"id": " atau lebih", "en": " or later"}[language]


def rupiah(amount_idr: int, language: Language) -> str:
    """`Rp200.000`, in English `Rp200,000`."""
    return "Rp" + number(amount_idr, language)


def day(at: datetime, language: Language) -> str:
    """The date on the recipient's calendar: `24 November 2026`."""
    local = at.astimezone(WITA)
    return f"{local.day} {_MONTHS[language][local.month - 1]} {local.year}"


def moment(at: datetime, language: Language) -> str:
    """Date and time on the recipient's wall: `24 November 2026, 15.04 WITA`."""
    local = at.astimezone(WITA)
    return f"{day(at, language)}, {local:%H}{'.' if language == 'id' else ':'}{local:%M} WITA"


def period_in(text: str) -> tuple[int, int | None, int | None] | None:
    """Year, and month or stage, of the period that a text such as a cycle's name holds."""
    found = _PERIOD.search(text)
    if found is None:
        return None
    year, month, stage = found.groups()
    return int(year), int(month) if month else None, int(stage) if stage else None


def month_name(month: int, language: Language) -> str:
    return _MONTHS[language][month - 1]


def period(text: str, language: Language) -> str:
    """`November 2026` or `tahap 4 tahun 2026`, of a period or a cycle's name; a text that holds none as it is."""
    held = period_in(text)
    if held is None:
        return text
    year, month, stage = held
    if month:
        return f"{month_name(month, language)} {year}"
    return _STAGE[language].format(stage=stage, year=year)
