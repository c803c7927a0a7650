"""What of a poll is new: re-publications are dropped, and a gap stops the partition."""

from collections.abc import Iterable
from dataclasses import dataclass, field

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
    for message in messages:
        place = Place(message.topic, message.partition)
        if place in screened.gaps:
            continue
        position = screened.reached.get(place, positions[place])
        if message.offset < position.offset:
            continue
        sequence = position.sequence
        if topic_named(message.topic).sequenced:
            if message.sequence is None:
                screened.gaps[place] = f"offset {message.offset} carries no sequence, {sequence} was expected"
                continue
            if message.sequence > sequence:
                screened.gaps[place] = (
                    f"offset {message.offset} carries sequence {message.sequence}, {sequence} was expected"
                )
                continue
            if message.sequence < sequence:
                screened.dropped += 1
                screened.reached[place] = Position(message.offset + 1, sequence)
                continue
            sequence += 1
        screened.taken.append(message)
        screened.reached[place] = Position(message.offset + 1, sequence)
    return screened


def reached_by(messages: Iterable[Message], positions: dict[Place, Position]) -> dict[Place, Position]:
    """Where the positions stand once exactly these (screened) messages are handled."""
    reached: dict[Place, Position] = {}
    for message in messages:
        place = Place(message.topic, message.partition)
        sequence = positions[place].sequence if message.sequence is None else message.sequence + 1
        reached[place] = Position(message.offset + 1, sequence)
    return reached
