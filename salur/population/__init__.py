"""Families like those of Polewali Mandar, with the audits' defects planted and the truth beside them.

`docs/reference/population.md` documents the files and the rates. Nothing here is a real person: names, numbers and
villages are combined at random from a seed.
"""

from salur.population.generator import DEFECTS, REFERENCE_DATE, generate, reference_on
from salur.population.identity import FAMILIES_MAX

__all__ = ["DEFECTS", "FAMILIES_MAX", "REFERENCE_DATE", "generate", "reference_on"]
