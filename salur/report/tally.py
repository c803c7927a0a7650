"""The classes of defects, and how many of each were planted, found and missed."""

from dataclasses import dataclass, field
from typing import Final, Literal

from salur.report.document import DefectClass
from services.registry.domain.submission import FLAG_CODES

Outcome = Literal["found", "missed", "waiting"]

WITHDRAWN: Final = "flag_withdrawn"
UNEXPLAINED: Final = "excluded_without_flag"
OTHER: Final = "other_rejection"
VARIANT: Final = "spelling_variant"

KINDS: Final = {
    "invalid_nik": "number",
    "invalid_kk": "number",
    "name_empty": "number",
    "duplicate_identical": "double",
    "duplicate_changed": "double",
    "duplicate_stale": "double",
    VARIANT: "double",
    **dict.fromkeys((*FLAG_CODES, WITHDRAWN), "flag"),
    "village_unknown": "form",
    "phone_malformed": "form",
    "account_malformed": "form",
}
"""`number`, `double` and `flag` concern people who are not to be paid (again); `form` is to be mended and paid."""


def _all() -> dict[str, DefectClass]:
    return {
        defect: DefectClass(defect=defect, kind=kind, kept_idr=None if kind == "form" or defect == WITHDRAWN else 0)
        for defect, kind in KINDS.items()
    }


@dataclass(slots=True)
class Tally:
    """All classes by name."""

    classes: dict[str, DefectClass] = field(default_factory=_all)

    def planted(self, defect: str, outcome: Outcome) -> None:
        one = self._class(defect)
        one.planted += 1
        setattr(one, outcome, getattr(one, outcome) + 1)

    def alarm(self, defect: str) -> None:
        """Found where it was not planted."""
        self._class(defect).false_alarm += 1

    def kept(self, defect: str, idr: int) -> None:
        one = self._class(defect)
        one.kept_idr = (one.kept_idr or 0) + idr

    def paid(self, defect: str, idr: int) -> None:
        self._class(defect).paid_idr += idr

    def total(self, name: str) -> int:
        return sum(getattr(one, name) or 0 for one in self.classes.values())

    def _class(self, defect: str) -> DefectClass:
        return self.classes.setdefault(defect, DefectClass(defect=defect, kind="other"))
