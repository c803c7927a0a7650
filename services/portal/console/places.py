"""Names of regions by their codes: the villages that are served, from villages.csv, and what lies above them."""

import csv
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

_ABOVE: Final = {"76": "Sulawesi Barat", "7604": "Polewali Mandar"}
_DISTRICTS: Final = (
    *("Tinambung", "Campalagian", "Wonomulyo", "Polewali", "Tutar", "Binuang", "Tapango", "Mapilli"),
    *("Matangnga", "Luyo", "Limboro", "Balanipa", "Anreapi", "Matakali", "Allu", "Bulo"),
)


class Village(NamedTuple):
    code: str
    name: str
    district: str


@cache
def villages() -> tuple[Village, ...]:
    """All that are served, by code."""
    table = files("services.portal").joinpath("villages.csv").read_text(encoding="utf-8")
    rows = sorted(csv.DictReader(table.splitlines()), key=lambda row: row["code"])
    return tuple(Village(row["code"], row["name"], name(row["district"])) for row in rows)


@cache
def _names() -> dict[str, str]:
    districts = {f"7604{number:02}": district for number, district in enumerate(_DISTRICTS, 1)}
    return {**_ABOVE, **districts, **{village.code: village.name for village in villages()}}


def name(code: str) -> str:
    """The region's name, or its code where it has none here."""
    if len(code) == 6:
        number = int(code[4:]) if code.startswith("7604") else 0
        return _DISTRICTS[number - 1] if 0 < number <= len(_DISTRICTS) else code
    return _names().get(code, code)


def full_name(code: str) -> str:
    """With what it lies in: `Lekopadis, Tinambung`."""
    above = name(code[:6]) if len(code) == 10 else ""
    return f"{name(code)}, {above}" if above and above != code[:6] else name(code)
