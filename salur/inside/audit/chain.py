"""One partition's events in order: sequence by sequence, and the hash chain over them."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from salur.inside.audit.result import Finding, Findings, Kind
from salur.inside.reading import sequence_of
from shared.events.topics import Service
from shared.runtime.digest import CONTENT_TYPE_HEADER, SEQUENCE_HEADER, Record, extend, extend_own
from shared.runtime.positions import Place

DIGEST_BYTES = 32
_BUFFERED_BYTES = 256 * 1024


class Head(NamedTuple):
    """What the database says was written: `digest` is over all sequences below `next_sequence`."""

    next_sequence: int = 0
    digest: bytes = b""


class Accepted(NamedTuple):
    """An event that counts. `offset` is -1 for one that waits in the outbox."""

    sequence: int
    offset: int
    key: bytes
    value: bytes


class _History:
    """The digest after each event, in a file: with the one before, it tells what any of them looked like."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as its chain
        self._waiting = bytearray()

    def append(self, digest: bytes) -> None:
        self._waiting += digest
        if len(self._waiting) >= _BUFFERED_BYTES:
            self._flush()

    def after(self, sequence: int) -> bytes:
        """The digest after this event; before the first it is empty."""
        if sequence < 0:
            return b""
        self._flush()
        return os.pread(self._file.fileno(), DIGEST_BYTES, sequence * DIGEST_BYTES)

    def close(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write(self._waiting)
            self._waiting.clear()


@dataclass(slots=True)
class Chain:
    """Takes the records of one partition as they come. After `finish` the counts and findings are complete.

    `length` is how far the topic goes, `expected` how far topic and outbox go together. `head` None: the events are
    read for another stage's sake, so their order is checked and their bytes are not.
    """

    stage: Service
    place: Place
    head: Head | None
    findings: Findings
    expected: int = 0
    republications: int = 0
    gaps: int = 0
    accepted: int = 0
    in_outbox: int = 0
    whole: bool = True
    differs: bool = False
    _digest: bytes = b""
    _digest_at_head: bytes | None = None
    _history: _History | None = field(default=None)
    length: int = 0

    def __post_init__(self) -> None:
        if self.head:
            self._history = _History()

    @property
    def later(self) -> int:
        """Events in the topic that were committed after the head was read."""
        return max(0, self.length - self.head.next_sequence) if self.head else 0

    def take(self, records: Sequence[ConsumerRecord]) -> list[Accepted]:
        """Those that count, in order. Raises nothing: what is wrong becomes a finding."""
        accepted = []
        for record in records:
            sequence = sequence_of(record)
            if sequence == self.expected:
                self._extend(record, sequence)
                accepted.append(Accepted(sequence, record.offset, record.key or b"", record.value or b""))
            elif sequence is None:
                self._wrong(Kind.NO_SEQUENCE, f"no sequence, {self.expected} was expected", record.offset)
            elif sequence < self.expected:
                self._seen_before(record, sequence)
            else:
                self._gap(sequence, f"sequence {sequence}, {self.expected} was expected", record.offset)
                accepted.append(Accepted(sequence, record.offset, record.key or b"", record.value or b""))
                self.expected = sequence + 1
        self.length = self.expected
        self.accepted += len(accepted)
        return accepted

    def take_waiting(self, first_sequence: int, records: Iterable[Record]) -> list[Accepted]:
        """Goes on over one outbox row, in the order of rows; returns what only the outbox holds."""
        waiting = []
        for sequence, (key, value) in enumerate(records, first_sequence):
            if sequence < self.expected:
                continue
            if sequence > self.expected:
                self._gap(sequence, f"the outbox goes on at sequence {sequence}, {self.expected} was expected")
                self.expected = sequence
            self._note_head()
            self._digest = extend_own(self._digest, sequence, key, value)
            self.expected = sequence + 1
            waiting.append(Accepted(sequence, -1, key, value))
        self.in_outbox += len(waiting)
        self.accepted += len(waiting)
        return waiting

    def finish(self) -> None:
        """After the last record and outbox row: compares with the head."""
        if self.head is not None:
            self._compare(self.head)
        if self._history:
            self._history.close()

    def _extend(self, record: ConsumerRecord, sequence: int) -> None:
        if self._history is not None:
            self._note_head()
            self._digest = _extended(self._digest, sequence, record)
            self._history.append(self._digest)
        self.expected = sequence + 1

    def _note_head(self) -> None:
        """Keeps the digest as it is when exactly the head's events were taken."""
        if self.head and self.expected == self.head.next_sequence:
            self._digest_at_head = self._digest

    def _seen_before(self, record: ConsumerRecord, sequence: int) -> None:
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
        self.gaps += 1
        self.whole = False
        if self._history:
            self._history.close()
            self._history = None
        self._wrong(Kind.GAP, detail, offset, sequence)

    def _compare(self, head: Head) -> None:
        if self.expected < head.next_sequence:
            self.whole = False
            self._wrong(
                Kind.MISSING,
                f"ends with sequence {self.expected - 1}, the database has written up to {head.next_sequence - 1}"
                if self.expected
                else f"is empty, the database has written up to sequence {head.next_sequence - 1}",
            )
        if not self.whole:
            return
        self._note_head()
        if self._digest_at_head != head.digest:
            self.differs = True
            self._wrong(
                Kind.DIGEST,
                f"an event among sequences 0 to {head.next_sequence - 1} is not as it was written, or the "
                "database's digest was changed",
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


def _extended(digest: bytes, sequence: int, record: ConsumerRecord) -> bytes:
    headers = record.headers
    if len(headers) == 2 and headers[0] == CONTENT_TYPE_HEADER and headers[1] == (SEQUENCE_HEADER, b"%d" % sequence):
        return extend_own(digest, sequence, record.key or b"", record.value or b"")
    return extend(digest, sequence, record.key or b"", list(headers), record.value or b"")
