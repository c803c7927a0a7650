"""One partition's events in order: sequence by sequence, and the hash chain over them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from salur.inside.audit.history import History
from salur.inside.audit.result import Finding, Findings, Kind
from shared.events.topics import Service
from shared.reading import sequence_of
from shared.runtime.digest import CONTENT_TYPE_HEADER, SEQUENCE_HEADER, Record, extend, extend_own
from shared.runtime.positions import Place


class Head(NamedTuple):
    """What the database says was written: `digest` is over all sequences below `next_sequence`."""

    next_sequence: int = 0
    digest: bytes = b""


START = Head()


class Mark(NamedTuple):
    """A head that a checkpoint holds."""

    next_sequence: int
    digest: bytes
    made_at: str

    @property
    def checkpoint(self) -> str:
        return f"the checkpoint of {self.made_at}"


class Accepted(NamedTuple):
    """An event that counts. `offset` is -1 for one that waits in the outbox."""

    sequence: int
    offset: int
    key: bytes
    value: bytes


@dataclass(slots=True)
class Chain:
    """Takes the records of one partition as they come. After `finish` the counts and findings are complete.

    `length` is how far the topic goes, `expected` how far topic and outbox go together. `head` None: the events are
    read for another stage's sake, so their order is checked and their bytes are not. `marks` in the order of their
    sequences. `base`: what is below it was not read, and is dropped where it comes. `keeps` False: nobody wants the
    events themselves.
    """

    stage: Service
    place: Place
    head: Head | None
    findings: Findings
    marks: Sequence[Mark] = ()
    base: Head = START
    keeps: bool = True
    expected: int = 0
    republications: int = 0
    gaps: int = 0
    accepted: int = 0
    in_outbox: int = 0
    whole: bool = True
    differs: bool = False
    length: int = 0
    _digest: bytes = b""
    _history: History | None = field(default=None)
    _stops: list[int] = field(default_factory=list)
    """sequences at which the digest is noted, the next one last"""
    _noted: dict[int, bytes] = field(default_factory=dict)
    _touches_base: bool = True
    """the event right before `base` was seen, or one after it"""

    def __post_init__(self) -> None:
        self.expected = self.length = self.base.next_sequence
        self._digest = self.base.digest
        if self.head is not None:
            self._history = History(*self.base)
            self._touches_base = self.expected == 0
            stops = {self.head.next_sequence, *(mark.next_sequence for mark in self.marks)}
            self._stops = sorted((stop for stop in stops if stop >= self.expected), reverse=True)

    @property
    def later(self) -> int:
        """Events in the topic that were committed after the head was read."""
        return max(0, self.length - max(self.head.next_sequence, self.base.next_sequence)) if self.head else 0

    def take(self, records: Sequence[ConsumerRecord]) -> list[Accepted]:
        """Those that count, in order; none where nobody wants them. What is wrong becomes a finding."""
        accepted: list[Accepted] = []
        before = self.accepted
        for record in records:
            expected = self.expected
            headers = record.headers
            if headers == (CONTENT_TYPE_HEADER, (SEQUENCE_HEADER, b"%d" % expected)):
                if self._history is not None:
                    if self._stops and expected == self._stops[-1]:
                        self._note_digest()
                    self._digest = extend_own(self._digest, expected, record.key or b"", record.value or b"")
                    self._history.waiting += self._digest
                self.expected = expected + 1
            elif not self._takes_odd(record):
                continue
            self.accepted += 1
            if self.keeps:
                accepted.append(Accepted(self.expected - 1, record.offset, record.key or b"", record.value or b""))
        self._touches_base = self._touches_base or self.accepted > before
        self.length = self.expected
        if self._history is not None:
            self._history.settle()
        return accepted

    def take_waiting(self, first_sequence: int, records: Iterable[Record]) -> list[Accepted]:
        """Goes on over one outbox row, in the order of rows; returns what only the outbox holds."""
        waiting = []
        for sequence, (key, value) in enumerate(records, first_sequence):
            self._touches_base = self._touches_base or sequence >= self.base.next_sequence - 1
            if sequence < self.expected:
                continue
            if sequence > self.expected:
                self._gap(sequence, f"the outbox goes on at sequence {sequence}, {self.expected} was expected")
                self.expected = sequence
            self._note_digest()
            self._digest = extend_own(self._digest, sequence, key, value)
            self.expected = sequence + 1
            waiting.append(Accepted(sequence, -1, key, value))
        self.in_outbox += len(waiting)
        self.accepted += len(waiting)
        return waiting

    def finish(self) -> None:
        """After the last record and outbox row: compares with the head and the marks."""
        if self.head is not None:
            self._note_digest()
            proven = self._compare_marks(self.head)
            self._compare(self.head, proven)
        if self._history:
            self._history.close()

    def _takes_odd(self, record: ConsumerRecord) -> bool:
        """A record that is not simply the next one of ours. Returns whether it counts."""
        sequence = sequence_of(record)
        if sequence is None:
            self._wrong(Kind.NO_SEQUENCE, f"no sequence, {self.expected} was expected", record.offset)
            return False
        if sequence < self.expected:
            self._seen_before(record, sequence)
            return False
        if sequence > self.expected:
            self._gap(sequence, f"sequence {sequence}, {self.expected} was expected", record.offset)
        elif self._history is not None:
            self._note_digest()
            self._digest = _extended(self._digest, sequence, record)
            self._history.waiting += self._digest
        self.expected = sequence + 1
        return True

    def _note_digest(self) -> None:
        """Keeps the digest as it is when exactly the events below a head or mark were taken."""
        while self._stops and self._stops[-1] <= self.expected:
            stop = self._stops.pop()
            if stop == self.expected and self.whole:
                self._noted[stop] = self._digest

    def _seen_before(self, record: ConsumerRecord, sequence: int) -> None:
        if sequence < self.base.next_sequence:
            self._touches_base = self._touches_base or sequence == self.base.next_sequence - 1
            return
        self.republications += 1
        if self._history is None:
            return
        if _extended(self._history.after(sequence - 1), sequence, record) != self._history.after(sequence):
            self._wrong(
                Kind.REPUBLICATION_DIFFERS,
                f"sequence {sequence} once more, with other bytes than the first time",
                record.offset,
                sequence,
            )

    def _gap(self, sequence: int, detail: str, offset: int | None = None) -> None:
        """From here on neither digests nor re-publications can be told."""
        self._note_digest()
        self.gaps += 1
        self.whole = False
        if self._history:
            self._history.close()
            self._history = None
        self._wrong(Kind.GAP, detail, offset, sequence)

    def _compare_marks(self, head: Head) -> int:
        """Returns the sequence below which everything is as checkpoints have it."""
        proven = self.base.next_sequence
        if self.marks and head.next_sequence < (last := self.marks[-1]).next_sequence:
            self._wrong(
                Kind.CHECKPOINT_MISSING,
                f"the database has written {_up_to(head.next_sequence)}, {last.checkpoint} holds "
                f"{_up_to(last.next_sequence)}: the database is older, or was changed",
                sequence=head.next_sequence,
            )
        for mark in self.marks:
            if self.expected < mark.next_sequence:
                self._wrong(
                    Kind.CHECKPOINT_MISSING,
                    f"goes {_up_to(self.expected)}, {mark.checkpoint} holds {_up_to(mark.next_sequence)}",
                    sequence=self.expected,
                )
                return proven
            if mark.next_sequence in self._noted and self._noted[mark.next_sequence] != mark.digest:
                self._wrong(
                    Kind.CHECKPOINT_DIFFERS,
                    f"an event among sequences {proven} to {mark.next_sequence - 1} is not the one of "
                    f"{mark.checkpoint}",
                    sequence=proven,
                )
                return proven
            if mark.next_sequence in self._noted:
                proven = mark.next_sequence
        if not self._touches_base:
            self._wrong(
                Kind.CHECKPOINT_MISSING,
                f"does not hold sequence {self.base.next_sequence - 1}, the last of the checkpoint",
                sequence=self.base.next_sequence - 1,
            )
        return proven

    def _compare(self, head: Head, proven: int) -> None:
        if self.expected < head.next_sequence:
            self.whole = False
            self._wrong(
                Kind.MISSING,
                f"ends with sequence {self.expected - 1}, the database has written up to {head.next_sequence - 1}"
                if self.expected
                else f"is empty, the database has written up to sequence {head.next_sequence - 1}",
            )
        if not self.whole or head.next_sequence < self.base.next_sequence:
            return
        if self._noted.get(head.next_sequence) != head.digest:
            self.differs = True
            self._wrong(
                Kind.DIGEST,
                f"an event among sequences {min(proven, head.next_sequence - 1)} to {head.next_sequence - 1} is not "
                "as it was written, or the database's digest was changed",
            )

    def _wrong(self, kind: Kind, detail: str, offset: int | None = None, sequence: int | None = None) -> None:
        topic, partition = self.place
        where = f"{topic}/{partition}" + (f" offset {offset}: " if offset is not None else ": ")
        self.findings.add(
            Finding(
                kind=kind,
                stage=self.stage,
                topic=topic,
                partition=partition,
                offset=offset,
                sequence=sequence,
                detail=where + detail,
            )
        )


def _up_to(next_sequence: int) -> str:
    return f"up to sequence {next_sequence - 1}" if next_sequence else "nothing"


def _extended(digest: bytes, sequence: int, record: ConsumerRecord) -> bytes:
    headers = [(name, content or b"") for name, content in record.headers]
    return extend(digest, sequence, record.key or b"", headers, record.value or b"")
