"""Defects of registrations: what the registry answered to each row, against what was planted in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import asyncpg

from salur.report.entitled import Entitled
from salur.report.merging import rows
from salur.report.scratch import Scratch
from salur.report.tally import KINDS, OTHER, VARIANT, Tally
from salur.report.truth import Row
from shared.privacy.keyring import Keyring

CODES: Final = {
    "nik_format": "invalid_nik",
    "nik_region": "invalid_nik",
    "nik_birth_date_mismatch": "invalid_nik",
    "nik_sex_mismatch": "invalid_nik",
    "kk_format": "invalid_kk",
    "kk_region": "invalid_kk",
    "village_unknown": "village_unknown",
    "name_empty": "name_empty",
    "phone_format": "phone_malformed",
    "account_format": "account_malformed",
}
"""Which class a problem of a rejected submission finds."""

_TAKEN_FOR: Final = {
    ("unchanged", "identical"): "duplicate_identical",
    ("registered", "updated"): "duplicate_changed",
    ("unchanged", "older"): "duplicate_stale",
}
"""What the registry takes a submission for, by its answer and detail."""
_ROWS_AT_ONCE: Final = 2000
_ANSWERS = """
SELECT id, answer, detail, array_to_string(problems, ' ') AS problems, recipient_id
FROM submission WHERE kind = 'registration'
"""


class _Answer(NamedTuple):
    answer: str
    detail: str | None
    codes: frozenset[str]
    recipient: str | None

    @property
    def is_new(self) -> bool:
        return self.detail == "new"


class _Kept(NamedTuple):
    """Rupiah by programme that one planted row would have brought. `family`: its card, where that decides."""

    defect: str
    idr: dict[str, int]
    family: str | None


@dataclass(slots=True)
class FoundRows:
    """`load` first."""

    scratch: Scratch
    eligibility: asyncpg.Connection
    keyring: Keyring
    entitled: Entitled
    tally: Tally

    async def load(self, registry: asyncpg.Connection) -> None:
        """Copies every answer to a registration into the scratch file."""
        batch: list[tuple[Any, ...]] = []
        async for row in rows(registry, _ANSWERS):
            codes = " ".join(problem.rpartition(":")[2] for problem in (row["problems"] or "").split())
            batch.append((row["id"], row["answer"], row["detail"], codes, row["recipient_id"]))
            if len(batch) >= _ROWS_AT_ONCE:
                self.scratch.add("answer", batch, 5)
                batch.clear()
        self.scratch.add("answer", batch, 5)

    async def take(self, some: Sequence[Row]) -> None:
        """Counts these rows, and what was kept because of what was found in them."""
        kept: list[_Kept] = []
        for row in some:
            answer = self._answer(row)
            defect = next(iter(row.truth["defects"]), None)
            if answer:
                self._alarms(row, defect, answer)
            if defect is None:
                continue
            if answer is None:
                self.tally.planted(defect, "waiting")
                continue
            found = self._is_found(row, defect, answer)
            self.tally.planted(defect, "found" if found else "missed")
            if KINDS.get(defect) in ("number", "double") and (found or defect == VARIANT):
                kept.append(self._kept(row, defect, found=found))
        await self._count_kept(kept)

    def _answer(self, row: Row) -> _Answer | None:
        found = [
            one
            for one in self.scratch.rows(
                "SELECT id, answer, detail, codes, recipient FROM answer WHERE id >= ? AND id < ?",
                row.prefix,
                f"{row.prefix}~",
            )
            if row.has_id(one[0])
        ]
        if not found:
            return None
        _, answer, detail, codes, recipient = found[0]
        return _Answer(answer, detail, frozenset(codes.split()), recipient)

    def _is_found(self, row: Row, defect: str, answer: _Answer) -> bool:
        """A double is found when it brought no further recipient: where it overtook the first submission, that one is
        the double. A spelling variant is, when it did not become a recipient of its own."""
        if defect == VARIANT:
            return not answer.is_new
        if KINDS.get(defect) == "double":
            return answer.answer in row.truth["possible"] and (not answer.is_new or self._times_new(answer) == 1)
        return answer.answer == "rejected" and any(CODES.get(code) == defect for code in answer.codes)

    def _times_new(self, answer: _Answer) -> int:
        return self.scratch.number(
            "SELECT count(*) FROM answer WHERE recipient = ? AND detail = 'new'", answer.recipient
        )

    def _alarms(self, row: Row, defect: str | None, answer: _Answer) -> None:
        """What the registry found in a row in which it was not planted."""
        if answer.answer == "rejected":
            for found in {CODES.get(code, OTHER) for code in answer.codes} - {defect}:
                self.tally.alarm(found)
        elif answer.answer not in row.truth["possible"]:
            taken_for = _TAKEN_FOR.get((answer.answer, answer.detail or ""))
            if taken_for and taken_for != defect:
                self.tally.alarm(taken_for)

    def _kept(self, row: Row, defect: str, *, found: bool) -> _Kept:
        """A wrong No. KK would have made another family of it; a double would have been one more payment."""
        by_family = defect in ("invalid_nik", "name_empty") or (defect == VARIANT and not found)
        family = self.keyring.family_id(row.cells["kk"]) if by_family else None
        return _Kept(defect, self.entitled.idr(row.cells), family)

    async def _count_kept(self, kept: Sequence[_Kept]) -> None:
        """A family that is paid anyway would not have been paid more; a variant on the card of a paid family is kept
        by just that rule, although it was missed as a double."""
        paid: dict[str, set[str]] = {}
        for row in await self.eligibility.fetch(
            "SELECT family_id, programme FROM family_payee WHERE family_id = ANY($1)",
            sorted({one.family for one in kept if one.family}),
        ):
            paid.setdefault(row["family_id"], set()).add(row["programme"])
        for defect, idr, family in kept:
            family_has = paid.get(family, set()) if family else set()
            counts = family_has if defect == VARIANT and family else idr.keys() - family_has
            self.tally.kept(defect, sum(amount for programme, amount in idr.items() if programme in counts))
