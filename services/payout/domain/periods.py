"""What a cycle is called and which periods fit a programme."""

import re
from typing import Literal

from shared.errors import SalurError

PeriodKind = Literal["month", "quarter"]

_FORMS: dict[PeriodKind, tuple[re.Pattern[str], str]] = {
    "month": (re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])"), "a month such as 2026-11"),
    "quarter": (re.compile(r"[0-9]{4}-Q[1-4]"), "a stage (tahap) such as 2026-Q4"),
}


class PeriodDoesNotFit(SalurError):
    """The programme pays for periods of another kind."""

    http_status = 422


def check_period(programme: str, kind: PeriodKind, period: str) -> None:
    """Raises PeriodDoesNotFit. Periods of one kind sort as text in the order of time."""
    form, example = _FORMS[kind]
    if not form.fullmatch(period):
        raise PeriodDoesNotFit(
            f"{programme} is paid by the {kind}, and {period} is none", hint=f"give {example} as the period"
        )


def cycle_id(programme: str, period: str) -> str:
    """One cycle a programme and period, so nobody is paid twice for one period."""
    return f"{programme}-{period}"


def same_officer(one: str, other: str) -> bool:
    """Whether two names are the same person's: case and spacing do not make another."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
