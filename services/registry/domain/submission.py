"""What a sealed submission holds: a registration or a flag, as JSON.

The models check form only (which fields, of which type). What the values say is checked in `checks`, so that every
problem of a submission can be listed and not only the first. Form errors never repeat a value.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MEMBERS_MAX: Final = 40
INCOME_IDR_MAX: Final = 10**12

FlagCode = Literal[
    "deceased",
    "civil_servant",
    "certified_teacher",
    "company_owner",
    "income_above_minimum_wage",
    "village_official",
    "electricity_900va",
    "car_owner",
]
FLAG_CODES: Final[tuple[FlagCode, ...]] = get_args(FlagCode)
"""The exclusion flags that BPK used, in its order."""

Sex = Literal["L", "P"]
"""L: laki-laki (male), P: perempuan (female), as on the identity card."""

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch


def _as_written(value: Any) -> Any:
    """Only YYYY-MM-DD: pydantic also reads a time of the day, and a numeral as seconds since 1970."""
    if not (isinstance(value, str) and _DAY(value)):
        raise ValueError("not in the form YYYY-MM-DD")
    return value


_Date = Annotated[date, Field(strict=False), BeforeValidator(_as_written)]
_Text = Annotated[str, Field(max_length=400)]


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Nothing: a repr may end up in a log."""
        return iter(())


class Account(_Content):
    """The account for payments: bank code of three digits as Bank Indonesia gives it."""

    bank: _Text
    number: _Text
    holder: _Text


class Member(_Content):
    """One person on the family card (KK), the applicant too."""

    birth_date: _Date
    sex: Sex
    school: Literal["sd", "smp", "sma"] | None = None
    pregnant: bool = False
    severe_disability: bool = False


class Submission(_Content):
    """A person's registration. `income_idr` is the family's income a month in whole rupiah."""

    nik: _Text
    name: _Text
    kk: _Text
    birth_date: _Date
    sex: Sex
    role: Literal["head", "spouse", "other"]
    village: _Text
    decile: int
    income_idr: int = Field(ge=0, le=INCOME_IDR_MAX)
    members: tuple[Member, ...] = Field(max_length=MEMBERS_MAX)
    address: _Text | None = None
    phone: _Text | None = None
    language: Literal["id", "en"] = "id"
    account: Account | None = None


class FlagStatement(_Content):
    """Another agency says that an exclusion flag holds, or no longer holds, from the day `since`."""

    nik: _Text
    flag: FlagCode
    since: _Date
    raised: bool
