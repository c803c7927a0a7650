"""What of a poll is new, as a table of examples."""

from typing import Any

import pytest

from shared.runtime.positions import Place, Position
from shared.runtime.records import message_of
from shared.runtime.screening import reached_by, screen
from shared.runtime.stage import Message

DECIDED, INTAKE = "eligibility.decided", "registration.submitted.polman"
HERE, THERE, OUTSIDE = Place(DECIDED, 0), Place(DECIDED, 1), Place(INTAKE, 0)
AT = {HERE: Position(10, 5), THERE: Position(20, 7), OUTSIDE: Position(30, 0)}


def at(place: Place, offset: int, sequence: int | None) -> Message:
    return Message(*place, offset, sequence, b"key", b"value", 0)


@pytest.mark.parametrize(
    ("polled", "taken", "dropped", "reached", "gaps"),
    [
        ([], [], 0, {}, {}),
        ([at(HERE, 10, 5), at(HERE, 11, 6)], [5, 6], 0, {HERE: Position(12, 7)}, {}),
        ([at(HERE, 10, 3), at(HERE, 11, 4), at(HERE, 12, 5)], [5], 2, {HERE: Position(13, 6)}, {}),
        ([at(HERE, 10, 4)], [], 1, {HERE: Position(11, 5)}, {}),
        ([at(HERE, 9, 4), at(HERE, 10, 5)], [5], 0, {HERE: Position(11, 6)}, {}),
        ([at(HERE, 12, 5)], [5], 0, {HERE: Position(13, 6)}, {}),
        ([at(HERE, 10, 6), at(HERE, 11, 5)], [], 0, {}, {HERE: "offset 10 carries sequence 6, 5 was expected"}),
        (
            [at(HERE, 10, 5), at(HERE, 11, 7), at(THERE, 20, 7), at(HERE, 12, 6)],
            [5, 7],
            0,
            {HERE: Position(11, 6), THERE: Position(21, 8)},
            {HERE: "offset 11 carries sequence 7, 6 was expected"},
        ),
        ([at(HERE, 10, None)], [], 0, {}, {HERE: "offset 10 carries no sequence, 5 was expected"}),
        (
            [at(HERE, 10, 5), at(THERE, 20, 7), at(HERE, 11, 6), at(THERE, 21, 7)],
            [5, 7, 6],
            1,
            {HERE: Position(12, 7), THERE: Position(22, 8)},
            {},
        ),
        ([at(OUTSIDE, 30, None), at(OUTSIDE, 31, None)], [None, None], 0, {OUTSIDE: Position(32, 0)}, {}),
    ],
)
def test_screening(
    polled: list[Message], taken: list[int | None], dropped: int, reached: dict[Place, Position], gaps: dict[Place, str]
) -> None:
    screened = screen(polled, AT)
    assert [message.sequence for message in screened.taken] == taken
    assert (screened.dropped, screened.reached, screened.gaps) == (dropped, reached, gaps)


def test_positions_stand_behind_the_last_message_of_each_partition() -> None:
    messages = [at(HERE, 10, 5), at(OUTSIDE, 30, None), at(HERE, 13, 6)]
    assert reached_by(messages, AT) == {HERE: Position(14, 7), OUTSIDE: Position(31, 0)}


class Record:
    """As aiokafka gives it, as far as it is read."""

    partition, offset, key, value, timestamp = 0, 1, b"key", b"value", 2

    def __init__(self, topic: str, *headers: tuple[str, bytes | None]) -> None:
        self.topic, self.headers = topic, headers


@pytest.mark.parametrize(
    ("record", "sequence"),
    [
        (Record(DECIDED, ("content-type", b"x"), ("sequence", b"17")), 17),
        (Record(DECIDED, ("sequence", b"1"), ("sequence", b"2")), 2),
        (Record(DECIDED), None),
        (Record(DECIDED, ("sequence", None)), None),
        (Record(DECIDED, ("sequence", b"")), None),
        (Record(DECIDED, ("sequence", b"-1")), None),
        (Record(DECIDED, ("sequence", b"1" * 19)), None),
        (Record(INTAKE, ("sequence", b"17")), None),
    ],
)
def test_the_sequence_that_a_record_carries(record: Any, sequence: int | None) -> None:
    assert message_of(record).sequence == sequence
