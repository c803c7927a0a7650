"""One partition of a topic that the service itself writes, held against what its restored database knows of it.

Up to the database's next sequence the topic, followed by what waits in the outbox, must have exactly the database's
digest: then both are one history, and what the topic holds beyond is what the database has lost.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord

from shared.errors import SalurError
from shared.reading import sequence_of
from shared.runtime.digest import START, Record, extend, extend_own, headers
from shared.runtime.positions import Place


class CannotRecover(SalurError):
    """Topic and database do not belong together, or something that is needed is gone. Nothing was changed."""


@dataclass(slots=True)
class OwnPartition:
    """Takes all records from the topic's start, then the rows of the outbox.

    `next_sequence` and `digest` are the database's; `expected` and `reached` how far topic and outbox go together.
    """

    place: Place
    next_sequence: int = 0
    digest: bytes = START
    expected: int = 0
    reached: bytes = START
    in_topic: int = 0
    republished: int = 0

    @property
    def ahead(self) -> int:
        """How many events the topic holds that the database does not know of."""
        return max(0, self.in_topic - self.next_sequence)

    def take(self, records: Sequence[ConsumerRecord]) -> list[ConsumerRecord]:
        """Those that the database does not know of. Raises CannotRecover for a gap, or for what is not ours."""
        news = []
        for record in records:
            sequence = sequence_of(record)
            if sequence is None or sequence > self.expected:
                carried = "no sequence" if sequence is None else f"sequence {sequence}"
                raise CannotRecover(
                    f"{self._named} carries {carried} at offset {record.offset}, {self.expected} was expected",
                    hint="an event of this service is lost, or somebody else writes its topics: `salur audit verify`",
                )
            if sequence < self.expected:
                self.republished += 1
                continue
            self._meet_database()
            self._extend(record, sequence)
            if sequence >= self.next_sequence:
                news.append(record)
        self.in_topic = self.expected
        return news

    def take_waiting(self, first_sequence: int, records: Iterable[Record]) -> None:
        """Goes on over a row of the outbox; what the topic has already is passed over. Raises CannotRecover."""
        for sequence, (key, value) in enumerate(records, first_sequence):
            if sequence < self.expected:
                continue
            if sequence > self.expected:
                raise CannotRecover(
                    f"{self._named} ends with sequence {self.expected - 1}, the outbox goes on with {sequence}",
                    hint="the topic is older than the database: restore a topic that is not",
                )
            self.reached = extend_own(self.reached, sequence, key, value)
            self.expected += 1

    def finish(self) -> None:
        """After the last record and row. Raises CannotRecover."""
        self._meet_database()
        if self.expected < self.next_sequence:
            raise CannotRecover(
                f"{self._named} ends with sequence {self.expected - 1}, the database has written up to "
                f"{self.next_sequence - 1}",
                hint="the topic is older than the database: restore a topic that is not",
            )

    def _meet_database(self) -> None:
        if self.expected == self.next_sequence and self.reached != self.digest:
            raise CannotRecover(
                f"{self._named} up to sequence {self.next_sequence - 1} is not what this database wrote there",
                hint="is it a backup of another deployment, or was the topic changed? `salur audit verify` says where",
            )

    def _extend(self, record: ConsumerRecord, sequence: int) -> None:
        key, value = record.key or b"", record.value or b""
        carried = [(name, content or b"") for name, content in record.headers]
        if carried == headers(sequence):
            self.reached = extend_own(self.reached, sequence, key, value)
        elif sequence < self.next_sequence:
            self.reached = extend(self.reached, sequence, key, carried, value)
        else:
            raise CannotRecover(
                f"{self._named} holds at offset {record.offset} a message that this service did not write",
                hint="somebody else wrote to a topic of the flow: see the broker's access lists",
            )
        self.expected = sequence + 1

    @property
    def _named(self) -> str:
        return f"{self.place.topic}/{self.place.partition}"
