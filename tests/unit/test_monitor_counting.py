"""Counts are the same whatever the order between partitions, however often a stretch comes again, and after crashes."""

from collections import Counter
from typing import Any

import pytest
from faust.types.tuples import TP
from hypothesis import given
from hypothesis import strategies as st

from salur.contract.examples import CYCLE, RECIPIENT, example
from services.monitor.continuity import LOOKS_MAX, SEEKS_MAX, Continuity
from services.monitor.domain.counting import (
    DAY_S,
    EXPIRES_S,
    HOUR_S,
    MINUTE_S,
    Cell,
    Count,
    Gap,
    Position,
    added,
    cell_of,
    moved,
    window_start,
    within,
)
from services.monitor.domain.facts import Unreadable, facts_of
from services.monitor.progress import SETTLE_S, Progress
from shared.events import EligibilityDecided, PayoutConfirmed, PayoutFailed, RecipientRegistered, RegistrationRejected
from shared.events.codec import encode

NOON = 1_790_000_000 - 1_790_000_000 % DAY_S + DAY_S // 2


class Books:
    """What counting keeps, as the process keeps it: counts by cell and window, positions by partition."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, int], Count] = {}
        self.positions: dict[str, Position] = {}
        self.late: Counter[str] = Counter()

    def take(self, cell: Cell, sequence: int, at_s: int) -> None:
        place = f"{cell.topic}|{cell.partition}"
        position = self.positions.get(place)
        start = window_start(at_s, position["t"] if position else at_s, MINUTE_S)
        self.positions[place] = moved(position, sequence, at_s)
        if start is None:
            self.late[place] += 1
        elif more := added(self.counts.get((cell.key, start)), sequence, 10, ("cause", 5)):
            self.counts[cell.key, start] = more


partition_events = st.lists(st.tuples(st.sampled_from(["pkh", "sembako"]), st.integers(0, 300)), max_size=25)


@given(st.lists(partition_events, min_size=1, max_size=3), st.data())
def test_any_delivery_gives_the_same_counts(partitions: list[list[tuple[str, int]]], data: st.DataObject) -> None:
    straight, crooked = Books(), Books()
    for number, events in enumerate(partitions):
        for sequence, (programme, at_s) in enumerate(events):
            straight.take(Cell("payout.confirmed", number, programme), sequence, NOON + at_s)
    left = [list(enumerate(events)) for events in partitions]
    read = [0] * len(left)
    while any(read[n] < len(left[n]) for n in range(len(left))):
        number = data.draw(st.sampled_from([n for n in range(len(left)) if read[n] < len(left[n])]))
        until = data.draw(st.integers(read[number] + 1, len(left[number])))
        back = data.draw(st.integers(0, read[number]))  # from here on it is published, or read, once more
        for sequence, (programme, at_s) in left[number][back:until]:
            crooked.take(Cell("payout.confirmed", number, programme), sequence, NOON + at_s)
        read[number] = until
    assert crooked.counts == straight.counts
    assert {k: (p["s"], p.get("gaps")) for k, p in crooked.positions.items()} == {
        k: (p["s"], p.get("gaps")) for k, p in straight.positions.items()
    }
    total: Counter[str] = Counter()
    for (key, _), count in straight.counts.items():
        total[cell_of(key).programme] += count["n"]
        assert count.get("idr") == 10 * count["n"]
        assert count.get("lag", {})["cause"]["n"] == count["n"]
    assert total == Counter(programme for events in partitions for programme, _ in events)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(0, 20), st.integers(0, 20), st.booleans())
def test_a_crash_that_kept_some_counts_and_not_others_loses_none(
    codes: list[int], kept: int, read: int, position_too: bool
) -> None:
    """Every count alone knows what went into it: those that were kept may be ahead of the others, and of the offset."""
    read = min(read, len(codes))
    kept = min(kept, read)
    before, whole = Books(), Books()
    for sequence, code in enumerate(codes):
        whole.take(Cell("payout.failed", 0, code=str(code)), sequence, NOON)
    for sequence, code in enumerate(codes[:read]):
        before.take(Cell("payout.failed", 0, code=str(code)), sequence, NOON)
    after = Books()
    after.counts = {k: v for k, v in before.counts.items() if int(cell_of(k[0]).code) % 2}  # the others were not kept
    after.positions = before.positions if position_too else {}
    for sequence, code in enumerate(codes):  # read again from the committed offset
        after.take(Cell("payout.failed", 0, code=str(code)), sequence, NOON)
    assert after.counts == whole.counts


def test_a_gap_is_seen_once_and_what_comes_again_is_none() -> None:
    position: Position | None = None
    for sequence in (0, 1, 5, 5, 1, 6, 9):
        position = moved(position, sequence, NOON + sequence)
    assert position == Position(
        s=9, t=NOON + 9, gaps=[Gap(first=2, missing=3, at=NOON + 5), Gap(first=7, missing=2, at=NOON + 9)]
    )
    assert moved(None, 3, NOON)["gaps"] == [Gap(first=0, missing=3, at=NOON)], "a topic begins with 0"


@pytest.mark.parametrize("size", [MINUTE_S, HOUR_S, DAY_S])
def test_late_events_are_counted_in_their_own_window_until_it_has_expired(size: int) -> None:
    start = NOON - NOON % size
    last = start + size + EXPIRES_S[size] - 1
    assert window_start(start, NOON, size) == window_start(start + size - 1, NOON, size) == start
    assert window_start(start + 1, last, size) == start
    assert window_start(start + 1, last + 1, size) is None
    assert window_start(start + size, last + 1, size) == start + size


def test_a_hopping_window_is_the_sum_of_its_panes() -> None:
    panes = [(0, 1), (60, 2), (120, 4), (180, 8)]
    assert [within(panes, end, 120) for end in (60, 120, 180, 240, 300)] == [1, 3, 6, 12, 8]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (RecipientRegistered, {"code": "new", "village": "7604031005", "district": "760403"}),
        (RegistrationRejected, {"code": "nik_format", "village": ""}),
        (EligibilityDecided, {"code": "eligible", "programme": "sembako", "amount_idr": 200_000}),
        (PayoutFailed, {"code": "account_closed", "channel": "himbara", "cycle": CYCLE, "subject": RECIPIENT}),
        (PayoutConfirmed, {"code": "", "amount_idr": 200_000, "at_ms": 1_795_503_600_000, "account": ""}),
    ],
)
def test_facts_are_read_from_real_events(model: Any, expected: dict[str, Any]) -> None:
    facts = facts_of(model.TYPE, encode(example(model)))
    assert {name: getattr(facts, name) for name in expected} == expected


@pytest.mark.parametrize(
    "raw", [None, b"", b"{", b"[]", b"{}", b'{"id":1,"subject":"x","time":"now","data":{}}', b"\xff"]
)
def test_what_is_no_event_says_so_and_repeats_nothing(raw: bytes | None) -> None:
    with pytest.raises(Unreadable, match=r"payout\.failed is no event"):
        facts_of("payout.failed", raw)


def test_what_is_counted_in_full_never_goes_back_and_no_quiet_partition_holds_it_up() -> None:
    progress = Progress()
    assert progress.look(100, {"a": 5, "b": 1}, {"a": 2, "b": 1}) == 0
    assert progress.look(110, {"a": 9, "b": 1}, {"a": 5, "b": 1}) == 100 - SETTLE_S
    assert progress.look(120, {"a": 9, "b": 2}, {"a": 9, "b": 1}) == 110 - SETTLE_S, "one came to the quiet one"
    assert progress.look(130, {"a": 9, "b": 2}, {"a": 9, "b": 1}) == 110 - SETTLE_S
    assert progress.look(140, {"a": 9, "b": 2}, {"a": 9, "b": 2}) == 140 - SETTLE_S


def test_messages_that_the_reader_passed_over_are_read_again() -> None:
    here, other = TP("payout.failed", 0), TP("payout.failed", 1)
    messages = Continuity()
    messages.begin({here: 3, other: 0})
    ends = {here: 9, other: 0}
    assert [messages.takes(here, offset) for offset in (2, 3, 6, 7)] == [False, True, False, False]
    assert messages.stalled(ends) == {}, "it may still come"
    assert messages.stalled(ends) == {here: 4}
    assert [messages.takes(here, offset) for offset in (4, 5, 6, 7, 8, 8)] == [True] * 5 + [False]
    assert messages.stalled(ends) == messages.stalled(ends) == {}


def test_a_message_is_given_up_when_kafka_says_so_and_not_before() -> None:
    """A chaos run: brokers were away while a partition was read again. The monitor took what came three times instead
    for a loss, and said that 36 payments and 300 messages had never been told."""
    here = TP("payout.confirmed", 3)
    messages = Continuity()
    messages.begin({here: 4})
    ends = {here: 9}
    messages.stalled(ends)
    for _ in range(SEEKS_MAX):
        assert messages.doubted() == {}
        assert messages.takes(here, 6) is False
        assert messages.stalled(ends) == {here: 4}
    assert messages.takes(here, 6) is False
    assert messages.doubted() == {here: 4}
    messages.held_from(here, 4)  # Kafka holds it: it is read again, as often as it takes
    assert messages.doubted() == {}
    assert [messages.takes(here, offset) for offset in (6, 4, 5)] == [False, True, True]
    for _ in range(SEEKS_MAX):
        messages.takes(here, 8)
        messages.stalled(ends)
        messages.takes(here, 8)
        messages.stalled(ends)
    assert messages.doubted() == {here: 6}
    messages.held_from(here, 8)  # it holds neither 6 nor 7
    assert [messages.takes(here, offset) for offset in (7, 8, 9)] == [False, True, True]


def test_a_partition_that_only_waits_its_turn_is_not_read_again() -> None:
    """Under load a message can lie behind others for long; each going back would fetch it once more."""
    busy, waiting = TP("payout.failed", 0), TP("payout.failed", 1)
    messages = Continuity()
    messages.begin({busy: 0, waiting: 0})
    ends = {busy: 99, waiting: 9}
    looks = []
    for offset in range(LOOKS_MAX + 2):
        messages.takes(busy, offset)
        looks.append(messages.stalled(ends))
    assert looks == [{}] * LOOKS_MAX + [{waiting: 0}, {}], "but none waits for ever"
    assert messages.takes(waiting, 3) is False
    messages.takes(busy, LOOKS_MAX + 2)
    assert messages.stalled(ends) == {waiting: 0}, "it never came, but the one after it did"
