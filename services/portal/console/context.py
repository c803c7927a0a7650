"""What every page is made with."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import asyncpg
from fastapi import APIRouter

from services.portal.console.acts import Acts
from services.portal.console.gate import Gate, Late
from services.portal.console.searches import Searches
from services.portal.console.showing import Pages
from shared.officers import Officer

PAGE: Final = 50
"""Rows of a list on one page."""
_CURSOR: Final = re.compile(r"([0-9]{1,17})((?:~[\x21-\x7d]{1,200}){0,2})").fullmatch

FindNik: TypeAlias = Callable[[str], Awaitable[str | None]]
"""The recipient's id of a NIK, by the look-up process; None for what is no NIK."""
IssueCode: TypeAlias = Callable[[str, Officer], Awaitable[str]]
"""A new access code for this recipient, made out by this officer; shown once."""


@dataclass(frozen=True, slots=True)
class Console:
    """One a process."""

    pool: asyncpg.Pool
    gate: Gate
    pages: Pages
    acts: Acts
    find_nik: FindNik
    issue_code: IssueCode
    searches: Searches

    def router(self, late: Late | None = None) -> APIRouter:
        """For views and acts: each is recorded under its route's name. `late`: as the gate takes it."""
        return APIRouter(prefix="/console", route_class=self.gate.recorded(late), include_in_schema=False)


def cursor(at: datetime, *rest: str) -> str:
    """Where a list goes on after a row: its time to the microsecond, and what orders rows of one time."""
    micros = (at - datetime.fromtimestamp(0, UTC)) // _MICROSECOND
    return "~".join((str(micros), *rest))


def after(text: str | None, parts: int) -> tuple[Any, ...] | None:
    """What `cursor` made, with `parts` beside the time; None for the beginning, and for what it did not make."""
    found = _CURSOR(text or "")
    rest = found[2].split("~")[1:] if found else []
    if found is None or len(rest) != parts:
        return None
    try:
        return datetime.fromtimestamp(0, UTC) + int(found[1]) * _MICROSECOND, *rest
    except OverflowError:
        return None


_MICROSECOND: Final = datetime.resolution
