"""The two kinds of files: their columns, and how a row becomes the JSON that is sealed."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from shared.events import (
    FlagRejected,
    FlagSubmitted,
    RecipientFlagged,
    RecipientRegistered,
    RegistrationRejected,
    RegistrationSubmitted,
    RegistrationUnchanged,
    Text,
)

SUBMITTED_AT: Final = "submitted_at"

CELL_PROBLEMS: Final[Mapping[str, Text]] = {
    "csv_cells": Text(
        id="Jumlah kolom baris ini tidak sama dengan baris judul, atau ada tanda kutip yang tidak ditutup.",
        en="This row has not as many cells as the header, or a quotation mark that is not closed.",
    ),
    "csv_number": Text(id="Isian ini bukan bilangan bulat.", en="This cell is not a whole number."),
    "csv_boolean": Text(id="Isian ini bukan true atau false.", en="This cell is neither true nor false."),
    "csv_members": Text(
        id="Isian ini bukan daftar anggota keluarga dalam bentuk JSON.", en="This cell is not a JSON list of members."
    ),
    "csv_time": Text(
        id="Isian ini bukan waktu dengan zona, misalnya 2026-11-24T08:30:00+08:00.",
        en="This cell is not a time with its zone, such as 2026-11-24T08:30:00+08:00.",
    ),
    "csv_file_name": Text(
        id="Nama berkas memuat nomor orang di baris ini, dan nomor kiriman dimulai dengannya. Ganti nama berkas itu.",
        en="The file's name holds a number of the person in this row, and ids begin with it. Rename the file.",
    ),
    "csv_too_large": Text(id="Isi baris ini terlalu besar.", en="This row holds too much."),
}
"""What can be wrong with a row before it is sent; such a row is not sent."""


class Malformed(Exception):
    """A cell that cannot be read. Says where and what, never the cell's value."""

    def __init__(self, column: str, code: str) -> None:
        super().__init__(code)
        self.column = column
        self.code = code


class Kind(NamedTuple):
    """A kind of file. `content` makes what is sealed from the cells by column; `said_no` is the answer's type."""

    name: str
    model: type[RegistrationSubmitted] | type[FlagSubmitted]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    content: Callable[[Mapping[str, str]], dict[str, Any]]
    answers: Mapping[str, str]
    """the topics of answers and what each is called in the results"""


def submitted_at(cells: Mapping[str, str], default: datetime) -> datetime:
    """The time that the row states, in UTC, else `default`. Raises Malformed."""
    text = cells.get(SUBMITTED_AT, "").strip()
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed(SUBMITTED_AT, "csv_time") from None


def field_to_column(field: str) -> str:
    """The column in which a problem's field stands: `account.bank` is `account_bank`, `members.2.sex` is `members`."""
    head, _, rest = field.partition(".")
    return f"account_{rest}" if head == "account" and rest else head


def _registration(cells: Mapping[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = {name: cells[name] for name in _TEXTS}
    content["decile"] = _number(cells, "decile")
    content["income_idr"] = _number(cells, "income_idr")
    content["members"] = _members(cells)
    content |= {name: cells[name] for name in ("address", "phone", "language") if cells.get(name)}
    account = {part: cells.get(f"account_{part}", "") for part in ("bank", "number", "holder")}
    if any(account.values()):
        content["account"] = account
    return content


def _flag(cells: Mapping[str, str]) -> dict[str, Any]:
    raised = cells["raised"].strip().lower()
    if raised not in ("true", "false"):
        raise Malformed("raised", "csv_boolean")
    return {"nik": cells["nik"], "flag": cells["flag"], "since": cells["since"], "raised": raised == "true"}


def _number(cells: Mapping[str, str], column: str) -> int:
    text = cells[column].strip()
    if not (text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 19):
        raise Malformed(column, "csv_number")
    return int(text)


def _members(cells: Mapping[str, str]) -> Sequence[Any]:
    try:
        members = orjson.loads(cells["members"])
    except orjson.JSONDecodeError:
        members = None
    if not isinstance(members, list):
        raise Malformed("members", "csv_members")
    return members


_TEXTS: Final = ("nik", "name", "kk", "birth_date", "sex", "role", "village")

REGISTRATIONS: Final = Kind(
    name="registration",
    model=RegistrationSubmitted,
    required=(*_TEXTS, "decile", "income_idr", "members"),
    optional=("address", "phone", "language", "account_bank", "account_number", "account_holder", SUBMITTED_AT),
    content=_registration,
    answers={
        RecipientRegistered.TYPE: "registered",
        RegistrationUnchanged.TYPE: "unchanged",
        RegistrationRejected.TYPE: "rejected",
    },
)
FLAGS: Final = Kind(
    name="flag",
    model=FlagSubmitted,
    required=("nik", "flag", "since", "raised"),
    optional=(SUBMITTED_AT,),
    content=_flag,
    answers={RecipientFlagged.TYPE: "flagged", FlagRejected.TYPE: "rejected"},
)
KINDS: Final = {kind.name: kind for kind in (REGISTRATIONS, FLAGS)}
