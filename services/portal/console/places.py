"""Villages that a form offers, and what regions are called with what they lie in."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from services.portal.regions import name_of


class Village(NamedTuple):
    code: str
    name: str
    district: str


@cache
def villages() -> tuple[Village, ...]:
    """All that are served, by code."""
    table = files("services.portal").joinpath("villages.csv").read_text(encoding="utf-8")
    rows = sorted(csv.DictReader(table.splitlines()), key=lambda row: row["code"])
    return tuple(Village(row["code"], row["name"], name_of(row["district"])) for row in rows)


def full_name(code: str) -> str:
    """A village with its district: `Lekopadis, Tinambung`."""
    return f"{name_of(code)}, {name_of(code[:6])}" if len(code) == 10 else name_of(code)
