"""Event times become rates and latencies."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from salur.report import answers
from salur.report.merging import beside
from salur.report.moments import Moments, Partition, fresh, head_of
from salur.report.rates import PAUSE_US, SECOND, flow, latency, over_time, percentile, stage_rates
from salur.report.scratch import Scratch

START = 1_795_000_000 * SECOND


def event(kind: str, event_id: str, at_us: int, cause: str, correlation: str, **data: Any) -> bytes:
    """As our codec writes it, as far as it is looked at."""
    seconds, micros = divmod(at_us, SECOND)
    time = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{micros:06d}Z"
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": "/salur/x",
            "type": kind,
            "subject": "r-1",
            "time": time,
            "traceparent": "00",
            "causationid": cause,
            "correlationid": correlation,
            "data": data,
        }
    )


def record(value: bytes, sequence: int | None, offset: int = 0) -> ConsumerRecord[Any, Any]:
    headers = [("content-type", b"x")] + ([("sequence", b"%d" % sequence)] if sequence is not None else [])
    return ConsumerRecord("t", 0, offset, 5, 0, b"k", value, None, 1, len(value), headers)


def one_payout(partition: Partition, n: int, began: int, *, decided: int, ordered: int, paid: int) -> None:
    registered = event("recipient.registered", f"r{n}", began, f"s{n}", f"s{n}", change="new")
    partition.take("payout.confirmed", [event("payout.confirmed", f"c{n}", paid, f"o{n}", f"s{n}", cycle="a-1")])
    partition.take("payout.ordered", [event("payout.ordered", f"o{n}", ordered, f"d{n}", f"s{n}", cycle="a-1")])
    partition.take("eligibility.decided", [event("eligibility.decided", f"d{n}", decided, f"r{n}", f"s{n}")])
    partition.take("recipient.registered", [registered])


def test_cause_and_effect_meet_in_whatever_order_they_were_read() -> None:
    moments = Moments()
    partition = Partition(moments)
    one_payout(partition, 1, START, decided=START + 10_000, ordered=START + 30_000, paid=START + 90_000)
    sent = event("notification.sent", "n", START + 95_000, "c1", "s1", message_id="m-1")
    got = event("notification.delivered", "g", START + 99_000, "c1", "s1", message_id="m-1")
    partition.take("notification.delivered", [got])
    partition.take("notification.sent", [sent])
    partition.settle()
    took = {step: list(us) for step, us in moments.took.items()}
    assert took == {
        "eligibility": [10_000],
        "payout": [20_000],
        "bank": [60_000],
        "notify": [5_000],
        "carrier": [4_000],
    }
    found = flow(moments, {"a-1": START - 1}, {"a-1": "a"})
    assert found is not None
    assert (found.recipients, found.payouts, found.latency_ms.p50) == (1, 1, 90.0)
    assert found.by_programme["a"].count == 1
    with Scratch() as scratch:
        stages = {one.stage: one for one in stage_rates(moments, scratch)}
    assert stages["bank"].latency_ms.p99 == 60.0
    assert "registry" not in stages


def test_a_wait_for_the_cycles_approval_is_not_the_systems() -> None:
    moments = Moments()
    partition = Partition(moments)
    one_payout(partition, 1, START, decided=START + 1, ordered=START + 5 * SECOND, paid=START + 6 * SECOND)
    partition.settle()
    found = flow(moments, {"a-1": START + 5 * SECOND}, {})
    assert found is not None
    assert found.latency_ms.p50 == 1000.0


def test_recipients_a_second_are_those_of_the_largest_stretch() -> None:
    moments = Moments()
    partition = Partition(moments)
    for n in range(100):
        at = START + n * 10_000
        one_payout(partition, n, at, decided=at + 1, ordered=at + 2, paid=at + SECOND)
    late = START + 10 * PAUSE_US
    one_payout(partition, 100, late, decided=late, ordered=late, paid=late)
    partition.settle()
    found = flow(moments, {}, {})
    assert found is not None
    assert (found.recipients, found.payouts) == (100, 100)
    assert found.until_99_percent_confirmed_s == pytest.approx(1.98)
    assert found.recipients_per_s == pytest.approx(100 / 1.98, abs=0.1)
    assert over_time(moments)[-1].at_s < 3


def test_an_event_that_came_twice_counts_once() -> None:
    values, expected = fresh([record(b"a", 0), record(b"b", 1), record(b"a", 0), record(b"c", 2)], 0)
    assert (values, expected) == ([b"a", b"b", b"c"], 3)
    assert fresh([record(b"b", 1), record(b"x", None)], 3) == ([], 3)


def test_a_head_is_read_from_any_order_of_fields_and_rubbish_is_none() -> None:
    made = event("x", "e-1", START, "c-1", "s-1")
    expected = head_of(made)
    assert expected is not None
    assert expected[1] == START
    assert head_of(orjson.dumps(orjson.loads(made), option=orjson.OPT_SORT_KEYS)) == expected
    for rubbish in (b"", b"{}", b"[1]", b'{"id":1}', made.replace(b"2026", b"soon"), made.replace(b"Z", b"")):
        assert head_of(rubbish) is None


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(1, 1000))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[int], permille: int) -> None:
    ordered = sorted(values)
    found = percentile(ordered, permille)
    assert found in ordered
    assert sum(value <= found for value in ordered) * 1000 >= permille * len(ordered)
    assert sum(value < found for value in ordered) * 1000 < permille * len(ordered)


def test_latency_is_never_below_zero() -> None:
    assert latency([]).count == 0
    found = latency([-5_000, 1_000, 3_000])
    assert (found.p50, found.longest, found.count) == (1.0, 3.0, 3)


@given(st.sets(st.integers(0, 50)), st.sets(st.integers(0, 50)))
async def test_side_by_side_is_a_full_outer_join(left: set[int], right: set[int]) -> None:
    async def of(values: Iterable[int]) -> AsyncIterator[int]:
        for value in sorted(values):
            yield value

    pairs = [pair async for pair in beside(of(left), of(right), int, int)]
    assert {a for a, b in pairs if a is not None} == left
    assert {b for a, b in pairs if b is not None} == right
    assert all(a is None or b is None or a == b for a, b in pairs)
    assert len(pairs) == len(left | right)


def test_submissions_and_answers_are_known_by_source_and_id() -> None:
    sent = orjson.dumps({"specversion": "1.0", "id": 'a"1', "source": "desk", "time": "x"})
    answer = event("registration.rejected", "e", START, "a1", "a1", submission={"source": "desk", "id": "a1"})
    reused = event(
        "registration.rejected",
        "f",
        START,
        "a1",
        "a1",
        submission={"source": "desk", "id": "a1"},
        problems=[{"code": "id_reused"}],
    )
    with Scratch() as scratch:
        place = TopicPartition("registration.submitted.desk", 3)
        answers.note_sent(scratch, 0, place, [record(sent, None, 7), record(b"rubbish", None, 8)])
        answers.note_answers(scratch, [answer, reused, b"rubbish"])
        assert list(scratch.rows("SELECT * FROM submitted")) == [('desk/a"1', 0, 3, 7, 5000)]
        assert list(scratch.rows("SELECT * FROM answered")) == [("desk/a1", START)]


def test_whose_a_submission_is_says_its_topic_and_not_the_message() -> None:
    """The registry answers it in the name of the topic's source: else it would look as if it had no answer."""
    sent = orjson.dumps({"specversion": "1.0", "id": "a1", "source": "somebody-else", "time": "x"})
    with Scratch() as scratch:
        answers.note_sent(scratch, 0, TopicPartition("flag.submitted.desk", 3), [record(sent, None, 7)])
        assert [row[0] for row in scratch.rows("SELECT key FROM submitted")] == ["desk/a1"]
