"""The report: what became of everybody, where every rupiah is, and whether what must always hold does hold."""

from salur.report.document import Invariant, Report
from salur.report.make import Made, make
from salur.report.places import Places, find

__all__ = ["Invariant", "Made", "Places", "Report", "find", "make"]
