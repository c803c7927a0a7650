"""What an audit found. `salur audit verify --json` prints AuditResult; docs/reference/audit.md describes it."""

from collections import Counter
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from shared.events.topics import Service

FINDINGS_MAX = 200
"""Findings of one kind and stage that are listed; all are counted."""


class Kind(StrEnum):
    """What can be wrong."""

    GAP = "gap"
    """a sequence was skipped: events are missing from the topic"""
    NO_SEQUENCE = "no_sequence"
    """a message without a sequence on a topic of the flow: somebody else wrote it"""
    REPUBLICATION_DIFFERS = "republication_differs"
    """a message with a sequence that was there before, and other bytes"""
    MISSING = "missing"
    """the topic ends before what the database says was written"""
    UNKNOWN_TO_DATABASE = "unknown_to_database"
    """the topic holds events that the database never wrote: forged, or the database is older (a restore)"""
    DIGEST = "digest"
    """the events are not, byte for byte, those that were written"""
    UNREADABLE = "unreadable"
    """an event that is not in the form of the contract, or not keyed by its subject"""
    ROW_DIFFERS = "row_differs"
    """a row says something else than the last event about it"""
    ROW_MISSING = "row_missing"
    """an event says what no row says"""
    ROW_UNTOLD = "row_untold"
    """a row says what no event says"""
    SAID_TWICE = "said_twice"
    """several events where there may be one"""
    REVISIONS = "revisions"
    """the revisions of the events about one thing are not 1, 2, 3 …"""
    ROWS_CONTRADICT = "rows_contradict"
    """rows of one database that cannot both be true"""
    CHECKPOINT_MISSING = "checkpoint_missing"
    """topic or database end before what a checkpoint holds"""
    CHECKPOINT_DIFFERS = "checkpoint_differs"
    """the events are not those that a checkpoint holds, whatever the database says"""
    CHECKPOINT_LEDGER = "checkpoint_ledger"
    """the transfers are not those that a checkpoint holds"""


class Finding(BaseModel):
    """One thing that is wrong, and where."""

    kind: Kind
    stage: Service
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    sequence: int | None = None
    table: str | None = None
    key: str | None = None
    detail: str
    """a sentence without anything personal"""


class TopicAudit(BaseModel):
    """One topic of a stage."""

    topic: str
    partitions: int = 0
    events: int = 0
    """that were committed when the audit began and are proven: in the topic, or waiting in the outbox"""
    in_outbox: int = 0
    """of these, committed but not published when the audit read the topic's end"""
    later: int = 0
    """committed while the audit ran: the next audit proves them"""
    republications: int = 0
    """seen more than once, as may happen; readers drop them"""
    gaps: int = 0
    digest_mismatches: int = 0
    """partitions"""


class TableAudit(BaseModel):
    """Rows of one table (or one aspect of it) against the events that they must agree with."""

    table: str
    rows: int = 0
    agreeing: int = 0
    mismatches: int = 0
    excused: int = 0
    """differ because an event is among the stage's dead letters"""
    skipped: str | None = None
    """why it was not compared"""


class Resumption(BaseModel):
    """A person let this stage go on (`salur resume`): over a gap, or, without a topic, after its breaker opened."""

    topic: str | None = None
    partition: int | None = None
    expected_sequence: int | None = None
    next_sequence: int | None = None
    """what lies between the two was never read by this stage"""
    resumed_by: str
    reason: str
    resumed_at: datetime


class StageAudit(BaseModel):
    stage: Service
    topics: list[TopicAudit] = Field(default_factory=list)
    tables: list[TableAudit] = Field(default_factory=list)
    resumptions: list[Resumption] = Field(default_factory=list)


class SinceAudit(BaseModel):
    """A checkpoint, and how much of it was compared: heads of partitions, transfers of the ledger."""

    made_at: str
    sha256: str
    heads: int = 0
    transfers: int = 0


class AuditResult(BaseModel):
    """The whole audit. `ok` is what `salur audit verify` returns 0 for."""

    stages: list[StageAudit] = Field(default_factory=list)
    since: list[SinceAudit] = Field(default_factory=list)
    counts: dict[Kind, int] = Field(default_factory=dict)
    """all findings by kind"""
    findings: list[Finding] = Field(default_factory=list)
    """at most FINDINGS_MAX of each stage and kind"""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.counts

    @property
    def topics(self) -> list[TopicAudit]:
        return [topic for stage in self.stages for topic in stage.topics]

    @property
    def events(self) -> int:
        return sum(topic.events for topic in self.topics)

    @property
    def rows(self) -> int:
        return sum(table.rows for stage in self.stages for table in stage.tables)

    @property
    def gaps(self) -> int:
        """Lost, foreign and unknown events: whatever makes a sequence not gapless."""
        kinds = (Kind.GAP, Kind.NO_SEQUENCE, Kind.MISSING, Kind.UNKNOWN_TO_DATABASE, Kind.CHECKPOINT_MISSING)
        return sum(self.counts.get(kind, 0) for kind in kinds)

    @property
    def digest_mismatches(self) -> int:
        kinds = (Kind.DIGEST, Kind.REPUBLICATION_DIFFERS, Kind.UNREADABLE, Kind.CHECKPOINT_DIFFERS)
        return sum(self.counts.get(kind, 0) for kind in kinds)

    @property
    def row_mismatches(self) -> int:
        rows = (Kind.ROW_DIFFERS, Kind.ROW_MISSING, Kind.ROW_UNTOLD)
        kinds = (*rows, Kind.SAID_TWICE, Kind.REVISIONS, Kind.ROWS_CONTRADICT, Kind.CHECKPOINT_LEDGER)
        return sum(self.counts.get(kind, 0) for kind in kinds)

    @property
    def republications(self) -> int:
        return sum(topic.republications for topic in self.topics)


class Findings:
    """Collects findings: lists the first, counts all."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self._counts: Counter[tuple[Service, Kind]] = Counter()

    def add(self, finding: Finding) -> None:
        place = (finding.stage, finding.kind)
        self._counts[place] += 1
        if self._counts[place] <= FINDINGS_MAX:
            self.listed.append(finding)

    def counts(self) -> dict[Kind, int]:
        totals: Counter[Kind] = Counter()
        for (_, kind), count in self._counts.items():
            totals[kind] += count
        return dict(totals)
