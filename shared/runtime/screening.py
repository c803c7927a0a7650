"""What of a poll is new: re-publications are dropped, and a gap stops the partition."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from shared.events.topics import topic_named
from shared.runtime.positions import Place, Position
from shared.runtime.stage import Message


@dataclass(slots=True)
class Screened:
    """The outcome for the messages of one poll, in their order."""

    taken: list[Message] = field(default_factory=list)
    dropped: int = 0
    reached: dict[Place, Position] = field(default_factory=dict)
    gaps: dict[Place, str] = field(default_factory=dict)


def screen(messages: Iterable[Message], positions: dict[Place, Position]) -> Screened:
    """Compares each message's sequence with the expected one of its partition.

    Lower: the event was seen, drop it. Higher, or none on a topic that carries sequences: an event was lost; the
    partition's later messages are not touched and the gap is named, for a person to resolve.
    """
    screened = Screened()
    for (topic, partition), run in groupby(messages, _place):
        place = Place(topic, partition)
        if place not in screened.gaps:
            _screen_run(screened, place, run, positions[place])
    return screened


def reached_by(messages: Iterable[Message], positions: dict[Place, Position]) -> dict[Place, Position]:
    """Where the positions stand once exactly these (screened) messages are handled."""
    last = {_place(message): message for message in messages}
    return {
        Place(*place): Position(
            message.offset + 1, positions[Place(*place)].sequence if message.sequence is None else message.sequence + 1
        )
        for place, message in last.items()
    }


def _screen_run(screened: Screened, place: Place, run: Iterable[Message], stored: Position) -> None:
    """Messages of one partition that follow on each other."""
    started = screened.reached.get(place, stored)
    offset, sequence = started
    sequenced = topic_named(place.topic).sequenced
    for message in run:
        if message.offset < offset:
            continue
        if sequenced:
            if message.sequence is None or message.sequence > sequence:
                carried = "no sequence" if message.sequence is None else f"sequence {message.sequence}"
                screened.gaps[place] = f"offset {message.offset} carries {carried}, {sequence} was expected"
                break
            if message.sequence < sequence:
                screened.dropped += 1
                offset = message.offset + 1
                continue
            sequence += 1
        screened.taken.append(message)
        offset = message.offset + 1
    if offset != started.offset:
        screened.reached[place] = Position(offset, sequence)


_place = attrgetter("topic", "partition")
