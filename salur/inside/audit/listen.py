"""From events to what they say about rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from salur.inside.audit.agreement import Json, Reading
from salur.inside.audit.chain import Accepted
from salur.inside.audit.result import Finding, Findings, Kind
from salur.inside.audit.spill import Spill, packed
from shared.events.dead_letters import DeadLetter
from shared.events.topics import SEQUENCE_HEADER, Service
from shared.runtime.positions import Place

_RANK_MAX: Final = 2**62


class Listener(NamedTuple):
    """One agreement's reading of a topic. Of each partition the events below its limit count."""

    agreement: int
    reading: Reading
    limits: Mapping[int, int]


@dataclass(slots=True)
class Ears:
    """Hears every event that counts and writes down what it says. Places have numbers, in the order of `places`."""

    spill: Spill
    findings: Findings
    places: list[Place] = field(default_factory=list)
    _numbers: dict[Place, int] = field(default_factory=dict)

    def number(self, place: Place) -> int:
        if place not in self._numbers:
            self._numbers[place] = len(self.places)
            self.places.append(place)
        return self._numbers[place]

    def hear(self, stage: Service, place: Place, accepted: Iterable[Accepted], listeners: Sequence[Listener]) -> None:
        """`stage` has written the events. What cannot be read becomes a finding."""
        number = self.number(place)
        rows: dict[int, list[tuple[str, int | str, int, int, int, str]]] = {one.agreement: [] for one in listeners}
        heeding = [(rows[one.agreement].append, one.reading, one.limits.get(place.partition, 0)) for one in listeners]
        for sequence, offset, key, value in accepted:
            try:
                event = orjson.loads(value)
                if event["subject"].encode() != key:
                    raise ValueError("the key is not the subject")
                event[SEQUENCE_HEADER] = sequence
                if event["type"] == DeadLetter.TYPE:
                    self._note_dead(stage, event)
                for write, reading, limit in heeding:
                    if sequence < limit:
                        for about, rank, fields in reading(event):
                            if type(rank) is not str and not (type(rank) is int and abs(rank) < _RANK_MAX):
                                raise ValueError("a revision is not a number")
                            write((about, rank, sequence, number, offset, packed(fields)))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                self._unreadable(stage, place, sequence, offset, error)
        for agreement, said in rows.items():
            self.spill.say(agreement, said)

    def _note_dead(self, stage: Service, event: Json) -> None:
        origin = event["data"]["origin"]
        place = Place(origin["topic"], origin["partition"])
        offset = origin["offset"]
        if type(offset) is not int or not 0 <= offset < _RANK_MAX:
            raise ValueError("an offset is not a number")
        self.spill.bury(stage, self.number(place), offset)

    def _unreadable(self, stage: Service, place: Place, sequence: int, offset: int, error: Exception) -> None:
        where = f"{place.topic}/{place.partition} sequence {sequence}"
        self.findings.add(
            Finding(
                kind=Kind.UNREADABLE,
                stage=stage,
                topic=place.topic,
                partition=place.partition,
                offset=offset if offset >= 0 else None,
                sequence=sequence,
                detail=f"{where}: not an event in the form of the contract, or not keyed by its subject "
                f"({type(error).__name__})",
            )
        )
