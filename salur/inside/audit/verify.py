"""The audit as a whole: snapshots first, then every topic once, then rows against what the topics said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from salur.inside.audit import snapshot as snapshots
from salur.inside.audit.agreement import Agreement
from salur.inside.audit.chain import Chain, Head, Mark
from salur.inside.audit.compare import compare
from salur.inside.audit.listen import Ears, Listener
from salur.inside.audit.progress import Progress, Silent
from salur.inside.audit.result import AuditResult, Finding, Findings, Kind, StageAudit, TableAudit, TopicAudit
from salur.inside.audit.rules import RULES
from salur.inside.audit.since import Since, compare_ledger
from salur.inside.audit.snapshot import Snapshot
from salur.inside.audit.spill import Spill
from salur.inside.connect import Settings, consumer
from shared.events.topics import FLOW_TOPICS, OWNERS, Service, outputs_of
from shared.reading import Extent, extents, partitions_of, read
from shared.runtime.positions import Place

FETCHED: Final = {"fetch_max_bytes": 16 * 1024 * 1024, "max_partition_fetch_bytes": 2 * 1024 * 1024}
"""What one answer of a broker may hold: memory does not grow with the number of partitions."""


async def verify(
    settings: Settings,
    stages: Collection[Service] | None = None,
    progress: Progress | None = None,
    *,
    rows: bool = True,
    since: Since | None = None,
) -> AuditResult:
    """Audits these stages (None: all, and the monitor where it ever ran): sequences, digests and, with `rows`, what
    their rows say against what events said.

    With `since`, that topics and ledger go through exactly the heads of those checkpoints, too. Where it asks only for
    what is new, rows cannot be compared: they rest on older events.

    It may run beside the flow: what counts is the moment at which each stage's database was looked at. Memory is flat;
    a temporary file grows with the events. Raises Away, NeverRan, CannotRead; whatever is wrong with the data is in
    the result.
    """
    started = perf_counter()
    with Spill() as spill:
        findings = Findings()
        since = since or Since()
        asked = stages or {*since.owners(), *await snapshots.owners(settings)}
        wanted = tuple(stage for stage in OWNERS if stage in asked)
        audit = _Audit(
            settings,
            wanted,
            rows and not since.only_new,
            since,
            progress or Silent(),
            spill,
            findings,
            Ears(spill, findings),
        )
        result = await audit.run()
    result.seconds = round(perf_counter() - started, 3)
    return result


class _Numbered(NamedTuple):
    """An agreement with its number in the spill, and the table it is reported as."""

    number: int
    stage: Service
    agreement: Agreement
    table: TableAudit


@dataclass(slots=True)
class _Audit:
    settings: Settings
    stages: Sequence[Service]
    rows: bool
    since: Since
    progress: Progress
    spill: Spill
    findings: Findings
    ears: Ears
    marks: dict[Place, list[Mark]] = field(default_factory=dict)
    snapshots: dict[Service, Snapshot] = field(default_factory=dict)
    agreements: list[_Numbered] = field(default_factory=list)

    async def run(self) -> AuditResult:
        self.marks = self.since.by_place(self.stages)
        self.since.find_unknown_topics(self.stages, self.findings)
        for stage in self.stages:
            await self._look_at(stage)
        topics = self._topics()
        counts = await partitions_of(self.settings, topics)
        audited: dict[str, TopicAudit] = {}
        lengths: dict[Place, int] = {}
        if self.since.checkpoints and "payout" in self.stages:
            self.progress.begin("the ledger", max(one.ledger.transfers for one in self.since.checkpoints))
            await compare_ledger(self.settings, self.since, self.findings, self.progress.advance)
        async with consumer(self.settings, **FETCHED) as client:
            found = await extents(
                client, [TopicPartition(topic, p) for topic in topics for p in range(counts.get(topic, 0))]
            )
            for topic in topics:
                chains = await self._read_topic(
                    client, topic, {tp: one for tp, one in found.items() if tp.topic == topic}
                )
                if FLOW_TOPICS[topic].owner in self.stages:
                    audited[topic] = _topic_audit(topic, counts.get(topic, 0), chains)
                    lengths |= {chain.place: chain.length for chain in chains if chain.later}
        await self._look_again(lengths)
        for one in self.agreements:
            self.progress.begin(f"rows of {one.stage}.{one.agreement.table}", 0)
            compare(one.stage, one.number, one.agreement, self.spill, self.ears.places, one.table, self.findings)
        return AuditResult(
            stages=[
                StageAudit(
                    stage=stage,
                    topics=[audited[topic] for topic in outputs_of(stage)],
                    tables=self.snapshots[stage].tables,
                    resumptions=self.snapshots[stage].resumptions,
                )
                for stage in self.stages
            ],
            since=self.since.compared(self.stages),
            counts=self.findings.counts(),
            findings=self.findings.listed,
        )

    async def _look_at(self, stage: Service) -> None:
        self.progress.begin(f"the database of {stage}", 0)
        rules = RULES[stage]
        numbers = [len(self.agreements) + i for i in range(len(rules.agreements))] if self.rows else []
        snapshot = await snapshots.take(self.settings, rules, numbers, self.spill, self.findings)
        self.snapshots[stage] = snapshot
        self.agreements += [
            _Numbered(number, stage, agreement, table)
            for number, agreement, table in zip(numbers, rules.agreements, snapshot.tables, strict=False)
        ]

    def _topics(self) -> list[str]:
        """What the stages write, and what their rows are compared with."""
        wanted = {topic for stage in self.stages for topic in outputs_of(stage)}
        wanted |= {topic for one in self.agreements for topic in one.agreement.reads}
        return [topic for topic in FLOW_TOPICS if topic in wanted]

    async def _read_topic(
        self, client: AIOKafkaConsumer, topic: str, found: dict[TopicPartition, Extent]
    ) -> list[Chain]:
        owner = FLOW_TOPICS[topic].owner
        assert owner is not None, "only topics of services are audited"
        heads = self._heads(owner, topic) if owner in self.stages else None
        marked = [place.partition for place in self.marks if place.topic == topic]
        known = range(max(len(found), *(p + 1 for p in (*(heads or {}), *marked)), 0))
        chains = [self._chain(owner, Place(topic, p), heads) for p in known]
        listeners = self._listeners(topic, owner)
        deaf = not self.rows
        for tp, extent in found.items():
            found[tp] = extent.at_or_after(chains[tp.partition].base.next_sequence - 1)
        self.progress.begin(topic, sum(max(0, extent.messages) for extent in found.values()))
        async for tp, records in read(client, found):
            accepted = chains[tp.partition].take(records)
            if not deaf:
                self.ears.hear(owner, chains[tp.partition].place, accepted, listeners)
            self.progress.advance(len(records))
        for chain in chains:
            if heads is not None:
                for first_sequence, waiting in self.spill.outbox(topic, chain.place.partition):
                    accepted = chain.take_waiting(first_sequence, waiting)
                    if not deaf:
                        self.ears.hear(owner, chain.place, accepted, listeners)
            chain.finish()
        return chains

    def _heads(self, owner: Service, topic: str) -> dict[int, Head]:
        return {place.partition: head for place, head in self.snapshots[owner].heads.items() if place.topic == topic}

    def _chain(self, owner: Service, place: Place, heads: dict[int, Head] | None) -> Chain:
        if heads is None:
            return Chain(owner, place, None, self.findings, keeps=self.rows)
        marks = self.marks.get(place, [])
        head = heads.get(place.partition, Head())
        return Chain(owner, place, head, self.findings, marks, self.since.base(marks), keeps=self.rows)

    def _listeners(self, topic: str, owner: Service) -> list[Listener]:
        """Who reads this topic: its owner's agreements up to what it has written, others' up to what they have read."""
        listeners = []
        for one in self.agreements:
            if reading := one.agreement.reads.get(topic):
                snapshot = self.snapshots[one.stage]
                reached = (
                    {place: head.next_sequence for place, head in snapshot.heads.items()}
                    if one.stage == owner
                    else snapshot.consumed
                )
                limits = {place.partition: limit for place, limit in reached.items() if place.topic == topic}
                listeners.append(Listener(one.number, reading, limits))
        return listeners

    async def _look_again(self, lengths: dict[Place, int]) -> None:
        """Topics went on while they were read. What is there must have been written by now."""
        for stage in {FLOW_TOPICS[place.topic].owner for place in lengths} & set(self.stages):
            assert stage is not None
            written = await snapshots.written_now(self.settings, stage)
            for place, length in lengths.items():
                following = written.get(place, 0)
                if FLOW_TOPICS[place.topic].owner == stage and length > following:
                    self.findings.add(
                        Finding(
                            kind=Kind.UNKNOWN_TO_DATABASE,
                            stage=stage,
                            topic=place.topic,
                            partition=place.partition,
                            sequence=following,
                            detail=f"{place.topic}/{place.partition} goes on to sequence {length - 1}, the database "
                            f"has written none from {following} on: forged, or the database is older than the topic",
                        )
                    )


def _topic_audit(topic: str, partitions: int, chains: Sequence[Chain]) -> TopicAudit:
    return TopicAudit(
        topic=topic,
        partitions=partitions,
        events=sum(max(0, chain.accepted - chain.later) for chain in chains),
        in_outbox=sum(chain.in_outbox for chain in chains),
        later=sum(chain.later for chain in chains),
        republications=sum(chain.republications for chain in chains),
        gaps=sum(chain.gaps for chain in chains),
        digest_mismatches=sum(chain.differs for chain in chains),
    )
