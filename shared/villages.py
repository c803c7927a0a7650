"""The villages that are served: those of Polewali Mandar, from `villages.csv` (see the attribution beside it)."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Village(NamedTuple):
    """A village (desa or kelurahan): `code` of 10 digits, `district` of 6."""

    code: str
    district: str
    name: str


@cache
def villages() -> tuple[Village, ...]:
    """All of them, by code."""
    table = files("shared").joinpath("villages.csv").read_text(encoding="utf-8")
    return tuple(Village(row["code"], row["district"], row["name"]) for row in csv.DictReader(table.splitlines()))
