"""What a cycle is called and which periods fit a programme."""

import re
from typing import Literal

from shared.errors import SalurError

PeriodKind = Literal["month", "quarter"]

_FORMS: dict[PeriodKind, tuple[re.Pattern[str], str]] = {
    "month": (re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])"), "a month such as 2026-11"),
    "quarter": (re.compile(r"[0-9]{4}-Q[1-4]"), "a stage (tahap) such as 2026-Q4"),
}

_SIGNATURE = re.compile(r"(.*?)\s*\[([^\[\]]+)\]", re.DOTALL)


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
    """Whether two acts are the same person's.

    An officer with a token stands as `Name [subject]`: two subjects decide. A program states a name only, and of two
    such the names do: case and spacing do not make another person. Of a subject and a mere name nobody can tell: False,
    and `same_door` is what to ask first.
    """
    (name, subject), (other_name, other_subject) = _parts(one), _parts(other)
    if subject or other_subject:
        return subject == other_subject
    return name == other_name


def same_door(one: str, other: str) -> bool:
    """Whether both acted by their own tokens, or both through a program: else they may be one person or two."""
    return bool(_parts(one)[1]) == bool(_parts(other)[1])


def _parts(officer: str) -> tuple[str, str]:
    found = _SIGNATURE.fullmatch(officer)
    name, subject = found.groups() if found else (officer, "")
    return " ".join(name.split()).casefold(), subject
