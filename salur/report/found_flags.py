"""Flags of other agencies: who is not to be paid for them, and who is held back without reason."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from salur.report.entitled import Entitled
from salur.report.merging import rows
from salur.report.tally import UNEXPLAINED, WITHDRAWN, Outcome, Tally
from salur.report.truth import Flagged

EXCLUDED: Final = "excluded_by_other_agency"

_KNOWN = """
SELECT r.recipient_id, r.family_id, p.flag_revision,
    coalesce(array_agg(f.code) FILTER (WHERE f.raised), '{}') AS flags, count(f.code) AS stated
FROM recipient AS r JOIN person AS p USING (recipient_id) LEFT JOIN flag AS f USING (recipient_id)
WHERE r.recipient_id = ANY($1) GROUP BY 1, 2, 3
"""
_DECIDED = """
SELECT recipient_id, programme, outcome, reasons, flag_revision FROM decision WHERE recipient_id = ANY($1)
"""
_EXCLUDED = f"""
SELECT DISTINCT recipient_id FROM decision WHERE '{EXCLUDED}' = ANY(string_to_array(reasons, ' '))
"""


_PAID = """
SELECT p.recipient_id, p.programme, p.amount_idr FROM payout AS p JOIN cycle AS c USING (cycle)
WHERE p.recipient_id = ANY($1) AND p.state = 'confirmed'
    AND c.number = (SELECT max(l.number) FROM cycle AS l WHERE l.programme = c.programme)
"""


@dataclass(slots=True)
class FoundFlags:
    """Takes people in any order; `alarms` last."""

    registry: asyncpg.Connection
    eligibility: asyncpg.Connection
    payout: asyncpg.Connection
    entitled: Entitled
    tally: Tally
    standing: dict[str, frozenset[str]] = field(default_factory=dict)
    """flags that stand in truth, by recipient"""

    async def take(self, some: Sequence[tuple[str, Flagged]], worth: Mapping[str, dict[str, int]]) -> None:
        """`worth`: rupiah by programme that each recipient would have got without flags."""
        ids = [recipient for recipient, _ in some]
        known = {row["recipient_id"]: row for row in await self.registry.fetch(_KNOWN, ids)}
        decisions: dict[str, list[Any]] = defaultdict(list)
        for row in await self.eligibility.fetch(_DECIDED, ids):
            decisions[row["recipient_id"]].append(row)
        families = sorted({row["family_id"] for row in known.values()})
        paid: dict[str, set[str]] = defaultdict(set)
        for row in await self.eligibility.fetch(
            "SELECT family_id, programme FROM family_payee WHERE family_id = ANY($1)", families
        ):
            paid[row["family_id"]].add(row["programme"])
        got: dict[str, dict[str, int]] = defaultdict(dict)
        for row in await self.payout.fetch(_PAID, ids):
            got[row["recipient_id"]][row["programme"]] = row["amount_idr"]
        for recipient, one in some:
            if one.standing:
                self.standing[recipient] = one.standing
            person = known.get(recipient)
            for defect in one.defects:
                self.tally.planted(defect, self._outcome(defect, person, decisions[recipient]))
            if person and one.standing:
                excluding = self.entitled.excluded_by(one.standing)
                refused = _refused(decisions[recipient]) & excluding - paid[person["family_id"]] - got[recipient].keys()
                # who has several flags counts under the first, in the audits' order
                self.tally.kept(one.defects[0], sum(worth.get(recipient, {}).get(p, 0) for p in refused))
                self.tally.paid(one.defects[0], sum(got[recipient].get(p, 0) for p in excluding))

    def _outcome(self, defect: str, person: asyncpg.Record | None, decisions: Sequence[Any]) -> Outcome:
        """Found when the registry has the flag and nobody whom it excludes is eligible; a withdrawn flag, when it does
        not exclude. Waiting while the registry, or eligibility after it, has not heard of it."""
        if person is None or not person["stated"] or not decisions:
            return "waiting"
        if any(decision["flag_revision"] < person["flag_revision"] for decision in decisions):
            return "waiting"
        if defect == WITHDRAWN:
            return "missed" if any(EXCLUDED in decision["reasons"].split() for decision in decisions) else "found"
        excluding = self.entitled.excluded_by(frozenset({defect}))
        paid = any(decision["outcome"] == "eligible" and decision["programme"] in excluding for decision in decisions)
        return "found" if defect in person["flags"] and not paid else "missed"

    async def alarms(self, known: Set[bytes]) -> None:
        """After all were taken: flags raised on people of the truth on whom none was planted, and people excluded
        without any. Of people outside the truth (another population, real ones) nobody knows better."""
        async for row in rows(self.registry, "SELECT recipient_id, code FROM flag WHERE raised"):
            recipient = row["recipient_id"]
            if packed(recipient) in known and row["code"] not in self.standing.get(recipient, ()):
                self.tally.alarm(row["code"])
        async for row in rows(self.eligibility, _EXCLUDED):
            if packed(row["recipient_id"]) in known and row["recipient_id"] not in self.standing:
                self.tally.alarm(UNEXPLAINED)


def packed(recipient_id: str) -> bytes:
    """A recipient id in a third of the memory."""
    return bytes.fromhex(recipient_id[2:])


def _refused(decisions: Sequence[Any]) -> frozenset[str]:
    return frozenset(decision["programme"] for decision in decisions if decision["outcome"] == "ineligible")
