"""Nothing is lost: everybody who was registered is decided, everybody eligible has an order or a stated place, every
order an outcome or a stated wait.

The services are looked at in the order of the flow, each at one moment. So whatever an earlier one has said must be
known to the next, unless the next has not read so far: then it waits. `input_position` says how far it has read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg

from salur.report import forgotten
from salur.report.dead import Dead
from salur.report.document import Funnel, Invariant
from salur.report.merging import beside, rows
from shared.events import EligibilityDecided, RecipientRegistered
from shared.partition import partition_of

_REGISTERED = 'SELECT recipient_id, revision FROM recipient ORDER BY recipient_id COLLATE "C"'
_DECIDED = """
WITH book AS (
    SELECT rulebook_id, array(SELECT jsonb_object_keys(programmes)) AS programmes FROM rulebook
)
SELECT r.recipient_id, r.registration_revision AS revision, cardinality(b.programmes) AS programmes,
    count(d.programme) AS decisions,
    b.programmes <@ coalesce(array_agg(d.programme) FILTER (WHERE d.programme IS NOT NULL), '{}') AS all_decided
FROM recipient AS r JOIN book AS b USING (rulebook_id) LEFT JOIN decision AS d USING (recipient_id)
WHERE r.registration_revision > 0
GROUP BY r.recipient_id, b.programmes ORDER BY r.recipient_id COLLATE "C"
"""
_SAID = """
SELECT recipient_id || '/' || programme AS key, recipient_id, programme, revision, outcome = 'eligible' AS eligible
FROM decision ORDER BY (recipient_id || '/' || programme) COLLATE "C"
"""
_HEARD = """
SELECT recipient_id || '/' || programme AS key, recipient_id, programme, revision, eligible
FROM decision ORDER BY (recipient_id || '/' || programme) COLLATE "C"
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a service has read a topic, against how far it was written when the writer was looked at."""

    behind: frozenset[int]
    ahead: frozenset[int]
    partitions: int

    def waits(self, recipient_id: str) -> bool:
        """What was said of this recipient may not have been read yet."""
        return partition_of(recipient_id.encode(), self.partitions) in self.behind

    def newer(self, recipient_id: str) -> bool:
        """What the reader knows of this recipient may be younger than the writer's snapshot."""
        return partition_of(recipient_id.encode(), self.partitions) in self.ahead


async def reached(writer: asyncpg.Connection, reader: asyncpg.Connection, topic: str, partitions: int) -> Reached:
    written = await _next(writer, "output_position", topic)
    consumed = await _next(reader, "input_position", topic)
    numbers = range(partitions)
    behind = frozenset(p for p in numbers if consumed.get(p, 0) < written.get(p, 0))
    ahead = frozenset(p for p in numbers if consumed.get(p, 0) > written.get(p, 0))
    return Reached(behind, ahead, partitions)


async def _next(connection: asyncpg.Connection, table: str, topic: str) -> Mapping[int, int]:
    found = await connection.fetch(f"SELECT partition, next_sequence FROM {table} WHERE topic = $1", topic)
    return {row["partition"]: row["next_sequence"] for row in found}


@dataclass(slots=True)
class Completeness:
    """Looks at one stage after another; `invariant` is nothing_lost."""

    dead: Dead
    partitions: int
    invariant: Invariant = field(default_factory=lambda: Invariant(name="nothing_lost"))

    async def decided(self, registry: asyncpg.Connection, eligibility: asyncpg.Connection, funnel: Funnel) -> None:
        """Everybody registered has exactly one current decision in each programme (the key keeps it at most one)."""
        reach = await reached(registry, eligibility, RecipientRegistered.TYPE, self.partitions)
        known = rows(eligibility, _DECIDED)
        async for one, decided in beside(rows(registry, _REGISTERED), known, _recipient, _recipient):
            if decided is None:
                assert one is not None
                if reach.waits(one["recipient_id"]):
                    funnel.waiting_for_eligibility += 1
                elif one["recipient_id"] not in self.dead.about["eligibility"]:
                    self.invariant.wrong(f"{one['recipient_id']}: registered, and unknown to eligibility")
            elif one is None:
                if not reach.newer(decided["recipient_id"]):
                    self.invariant.wrong(f"{decided['recipient_id']}: decided, and not registered")
            elif one["revision"] > decided["revision"]:
                if reach.waits(one["recipient_id"]):
                    funnel.waiting_for_eligibility += 1
                elif one["recipient_id"] not in self.dead.about["eligibility"]:
                    what = f"revision {one['revision']} of the registration never reached eligibility"
                    self.invariant.wrong(f"{one['recipient_id']}: {what}")
            elif not decided["all_decided"]:
                what = f"{decided['decisions']} current decisions, {decided['programmes']} programmes"
                self.invariant.wrong(f"{decided['recipient_id']}: {what}")

    async def heard(self, eligibility: asyncpg.Connection, payout: asyncpg.Connection, funnel: Funnel) -> None:
        """Payout knows every decision."""
        reach = await reached(eligibility, payout, EligibilityDecided.TYPE, self.partitions)
        async for said, heard in beside(rows(eligibility, _SAID), rows(payout, _HEARD), _key, _key):
            if said is None:
                assert heard is not None
                if not reach.newer(heard["recipient_id"]):
                    self.invariant.wrong(f"{heard['key']}: payout knows a decision that eligibility does not have")
            elif heard is None and said["revision"] == 1 and not said["eligible"]:
                continue  # payout keeps no first decision that says no: nothing follows from it
            elif heard is None or heard["revision"] < said["revision"]:
                if reach.waits(said["recipient_id"]):
                    funnel.waiting_for_payout += 1
                elif said["recipient_id"] not in self.dead.about["payout"]:
                    outcome = "eligible" if said["eligible"] else "ineligible"
                    self.invariant.wrong(f"{said['key']}: decision {said['revision']} ({outcome}) unknown to payout")

    async def ordered(self, payout: asyncpg.Connection) -> None:
        """Every eligible decision has a payout in the open cycle, every reserved rupiah an outcome or a wait."""
        await forgotten.look(payout, self.invariant)


def _recipient(row: asyncpg.Record) -> str:
    return str(row["recipient_id"])


def _key(row: asyncpg.Record) -> str:
    return str(row["key"])
