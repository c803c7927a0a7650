"""The runtime on a real Kafka and a real PostgreSQL: effects exactly once, in order, whatever goes wrong."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.events import DeadLetter, EligibilityDecided
from shared.events.codec import encode
from shared.events.envelope import CONTENT_TYPE
from shared.privacy.keyring import Keyring
from shared.runtime import positions, tail
from shared.runtime.breaker import BreakerOpen
from shared.runtime.emit import Outbox
from shared.runtime.positions import NotOwner, Place, Position
from shared.runtime.stage import Message
from shared.runtime.tail import DatabaseOlderThanTopic, refuse_restored_database
from shared.runtime.turn import Turn
from shared.settings import ServiceSettings
from tests.integration import toy as toys
from tests.integration.toy import (
    OUTPUTS,
    Toy,
    accepted,
    feed,
    put,
    registrations,
    rows,
    running,
    until,
)

DECIDED = "eligibility.decided"
LETTERS = "dead-letter.eligibility"
INPUT = "recipient.registered"


@pytest.fixture
async def settings(kafka: str, database: str, tmp_path: Path) -> ServiceSettings:
    return await toys.fresh(kafka, database, tmp_path)


@pytest.fixture
def keyring(settings: ServiceSettings) -> Keyring:
    return Keyring.load(settings.keys)


async def all_handled(settings: ServiceSettings, count: int) -> None:
    async def done() -> bool:
        return len(await rows(settings)) >= count and await outbox_rows(settings) == 0

    await until(done)


async def outbox_rows(settings: ServiceSettings) -> int:
    return await ask(settings, "SELECT count(*) FROM eligibility.outbox")


async def ask(settings: ServiceSettings, query: str, *args: Any) -> Any:
    connection = await asyncpg.connect(settings.url("eligibility"))
    try:
        return await connection.fetchval(query, *args)
    finally:
        await connection.close()


async def check_each_decided_once(settings: ServiceSettings, count: int) -> None:
    decisions = await accepted(settings, DECIDED, EligibilityDecided)
    assert sorted(d.subject for d in decisions) == [e.subject for e in registrations(count)]
    assert set(await rows(settings)) == {e.subject for e in registrations(count)}


async def test_every_event_has_one_effect_and_one_answer(settings: ServiceSettings, keyring: Keyring) -> None:
    await feed(settings, registrations(3000))
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 3000)
    await check_each_decided_once(settings, 3000)


async def test_effects_carry_cause_correlation_and_trace(settings: ServiceSettings, keyring: Keyring) -> None:
    (cause,) = registrations(1)
    await feed(settings, [cause])
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 1)
    (decided,) = await accepted(settings, DECIDED, EligibilityDecided)
    assert decided.causationid == cause.id
    assert decided.correlationid == cause.correlationid
    assert decided.traceparent
    assert cause.traceparent
    assert decided.traceparent[3:35] == cause.traceparent[3:35]
    assert decided.traceparent[36:52] != cause.traceparent[36:52]


async def test_poison_goes_to_the_dead_letters_and_its_neighbours_pass(
    settings: ServiceSettings, keyring: Keyring
) -> None:
    events = registrations(500)
    bad = frozenset({events[17].subject, events[333].subject})
    await feed(settings, events)
    async with running(settings, Toy(poison=bad), keyring):
        await all_handled(settings, 498)
    letters = await accepted(settings, LETTERS, DeadLetter)
    assert {letter.subject for letter in letters} == bad
    assert {letter.data.code for letter in letters} == {"handler_failed"}
    for letter in letters:
        assert letter.data.reason.startswith("ValueError at toy.py")
        assert not any(subject in letter.data.reason for subject in bad)
    assert len(await accepted(settings, DECIDED, EligibilityDecided)) == 498


async def test_a_dead_letter_keeps_the_body_under_seal(settings: ServiceSettings, keyring: Keyring) -> None:
    secret = b'{"nik": "7604014101900001", "name": "Siti Aminah"'
    headers = [("content-type", CONTENT_TYPE.encode()), ("sequence", b"0")]
    await put(settings, INPUT, 3, secret, headers)
    async with running(settings, Toy(), keyring):
        await until(lambda: ask(settings, "SELECT sum(next_offset) > 0 FROM eligibility.input_position"))
        await until(lambda: ask(settings, "SELECT count(*) = 0 FROM eligibility.outbox"))
    (letter,) = await accepted(settings, LETTERS, DeadLetter)
    assert letter.subject == f"{INPUT}/3/0"
    assert letter.data.code == "not_json"
    assert b"7604014101900001" not in encode(letter)
    assert b"Siti" not in encode(letter)
    assert keyring.open(letter.data.body, "recovery", recipient=letter.subject, schema=DeadLetter.TYPE) == secret


async def test_trouble_is_waited_out_and_nothing_is_lost(settings: ServiceSettings, keyring: Keyring) -> None:
    await feed(settings, registrations(100))
    trouble: list[Exception] = [asyncpg.DeadlockDetectedError("x"), ConnectionResetError(), TimeoutError()]
    async with running(settings, Toy(trouble=trouble), keyring):
        await all_handled(settings, 100)
    assert trouble == []
    await check_each_decided_once(settings, 100)
    assert await accepted(settings, LETTERS, DeadLetter) == []


async def test_a_gap_in_the_sequence_stops_that_partition_alone(settings: ServiceSettings, keyring: Keyring) -> None:
    lost = registrations(1, start=900)[0]
    value = encode(lost)
    for sequence in (0, 2):
        await put(
            settings,
            INPUT,
            5,
            value.replace(lost.subject.encode(), b"r-%032x" % (900 + sequence)),
            [("sequence", b"%d" % sequence)],
        )
    await put(settings, INPUT, 6, value.replace(lost.subject.encode(), b"r-%032x" % 990), [("sequence", b"0")])
    async with running(settings, Toy(), keyring) as process:
        await all_handled(settings, 2)
        await until(lambda: asyncio.sleep(0, bool(process.loop.stopped)))
        assert set(process.loop.stopped) == {Place(INPUT, 5)}
    assert set(await rows(settings)) == {f"r-{900:032x}", f"r-{990:032x}"}
    assert (
        await ask(
            settings, "SELECT next_offset FROM eligibility.input_position WHERE partition = 5 AND topic = $1", INPUT
        )
        == 1
    )


async def test_a_message_without_sequence_stops_the_partition(settings: ServiceSettings, keyring: Keyring) -> None:
    await put(settings, INPUT, 2, encode(registrations(1)[0]))
    async with running(settings, Toy(), keyring) as process:
        await until(lambda: asyncio.sleep(0, bool(process.loop.stopped)))
    assert await rows(settings) == {}


async def test_a_republication_is_dropped(settings: ServiceSettings, keyring: Keyring) -> None:
    first, second = registrations(2)
    for event, sequence in ((first, 0), (second, 1), (first, 0), (second, 1)):
        await put(settings, INPUT, 4, encode(event), [("sequence", b"%d" % sequence)])
    async with running(settings, Toy(), keyring):
        position = "SELECT max(next_offset) = 4 FROM eligibility.input_position WHERE partition = 4"
        await until(lambda: ask(settings, position))
        await all_handled(settings, 2)
    assert len(await accepted(settings, DECIDED, EligibilityDecided)) == 2


async def test_a_flood_of_poison_opens_the_breaker(settings: ServiceSettings, keyring: Keyring) -> None:
    events = registrations(800)
    await feed(settings, events)
    toy = Toy(poison=frozenset(e.subject for e in events))
    async with running(settings, toy, keyring) as process:
        await until(lambda: asyncio.sleep(0, bool(process.loop.breaker_open)))
        await until(lambda: ask(settings, "SELECT count(*) = 0 FROM eligibility.outbox"))
        handled = await ask(settings, "SELECT sum(next_sequence) FROM eligibility.input_position")
        assert handled < 800
    assert len(await accepted(settings, LETTERS, DeadLetter)) == handled
    toy.poison = frozenset()
    async with running(settings, toy, keyring):
        await all_handled(settings, 800 - handled)
    assert len(await rows(settings)) == 800 - handled


async def test_of_two_workers_on_one_partition_one_wins(settings: ServiceSettings, keyring: Keyring) -> None:
    """Both hold the same batch, as when a paused process comes back after its partitions went to another."""
    await feed(settings, registrations(50))
    messages = await polled(settings)
    turns = [await turn_of(settings, keyring, messages) for _ in range(2)]
    outcomes = await asyncio.gather(*(turn.handle(messages) for turn in turns), return_exceptions=True)
    assert sorted(type(outcome) for outcome in outcomes if outcome) == [NotOwner]
    assert len(await rows(settings)) == 50
    assert await ask(settings, "SELECT sum(count) FROM eligibility.outbox") == 50
    for turn in turns:
        await turn.outbox.pool.close()


async def test_two_publishers_at_once_do_no_harm(settings: ServiceSettings, keyring: Keyring) -> None:
    """A zombie publishes rows that the new owner publishes too; readers see each event once and in order."""
    await feed(settings, registrations(400))
    messages = await polled(settings)
    turn = await turn_of(settings, keyring, messages)
    for start in range(0, len(messages), 40):
        await turn.handle(messages[start : start + 40])
    publishers = [toys.Publisher("eligibility", turn.outbox.pool, settings) for _ in range(2)]
    for publisher in publishers:
        publisher.own(frozenset(range(8)))
    await asyncio.gather(*(publisher.drain() for publisher in publishers))
    assert len(await accepted(settings, DECIDED, EligibilityDecided)) == 400
    for publisher in publishers:
        await publisher.close()
    await turn.outbox.pool.close()


async def test_instances_share_partitions_and_a_rolling_restart_loses_nothing(
    settings: ServiceSettings, keyring: Keyring
) -> None:
    await feed(settings, registrations(1000))
    async with AsyncExitStack() as processes:

        async def another() -> toys.Running:
            return await processes.enter_async_context(running(settings, Toy(), keyring))

        async def shared() -> bool:
            owned = [process.publisher.owned for process in (first, second)]
            return all(owned) and sum(map(len, owned)) == len(frozenset().union(*owned)) == settings.partitions

        first, second = await another(), await another()
        await until(shared)
        await feed(settings, registrations(1000, start=1000))
        await first.stop()
        await another()
        await feed(settings, registrations(1000, start=2000))
        await second.kill()
        await all_handled(settings, 3000)
    await check_each_decided_once(settings, 3000)


async def test_a_restored_database_is_refused(settings: ServiceSettings, keyring: Keyring) -> None:
    await feed(settings, registrations(20))
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 20)
    await ask(
        settings, "UPDATE eligibility.output_position SET next_sequence = next_sequence - 1 WHERE next_sequence > 0"
    )
    pool = await toys.open_pool(settings.url("eligibility"), "eligibility")
    with pytest.raises(DatabaseOlderThanTopic, match=DECIDED):
        await refuse_restored_database(settings, pool, OUTPUTS, range(8))
    await pool.close()
    process = await toys.start(settings, Toy(), keyring)
    with pytest.raises(DatabaseOlderThanTopic):
        await asyncio.wait_for(process.tasks[0], 20)
    await process.kill()


async def test_a_restored_database_is_refused_also_behind_many_republications(
    settings: ServiceSettings, keyring: Keyring
) -> None:
    await feed(settings, registrations(20))
    async with running(settings, Toy(), keyring):
        await all_handled(settings, 20)
    place = "(topic, partition) = (SELECT topic, partition FROM eligibility.output_position ORDER BY 1, 2 LIMIT 1)"
    partition = await ask(settings, f"SELECT partition FROM eligibility.output_position WHERE {place}")
    for _ in range(tail.TAIL_MESSAGES + 5):
        await put(settings, DECIDED, partition, b"{}", [("sequence", b"0")])
    pool = await toys.open_pool(settings.url("eligibility"), "eligibility")
    await refuse_restored_database(settings, pool, OUTPUTS, range(8))
    await ask(settings, f"UPDATE eligibility.output_position SET next_sequence = next_sequence - 1 WHERE {place}")
    with pytest.raises(DatabaseOlderThanTopic, match=DECIDED):
        await refuse_restored_database(settings, pool, OUTPUTS, range(8))
    await pool.close()


async def test_an_event_above_the_limit_is_poison_before_the_commit(
    settings: ServiceSettings, keyring: Keyring
) -> None:
    messages = [_message(number, event) for number, event in enumerate(registrations(3))]
    turn = await turn_of(settings, keyring, messages)
    turn.outbox.event_bytes_max = 500
    await turn.handle(messages[:0])
    with pytest.raises(Exception, match="bytes"):
        async with turn.outbox.transaction() as transaction:
            transaction.emit(registrations(1))
    assert await outbox_rows(settings) == 0
    await turn.outbox.pool.close()


async def test_what_a_rolled_back_transaction_emitted_never_leaves(settings: ServiceSettings, keyring: Keyring) -> None:
    turn = await turn_of(settings, keyring, [])

    async def emit_and_fail() -> None:
        async with turn.outbox.transaction() as transaction:
            transaction.emit([toys.example(EligibilityDecided)])
            raise BreakerOpen("any error")

    with pytest.raises(BreakerOpen):
        await emit_and_fail()
    assert await outbox_rows(settings) == 0
    assert await ask(settings, "SELECT count(*) FROM eligibility.output_position") == 0
    await turn.outbox.pool.close()


def _message(number: int, event: Any) -> Message:
    return Message(INPUT, 0, number, number, event.subject.encode(), encode(event), 0)


async def polled(settings: ServiceSettings) -> list[Message]:
    async with toys.reader(settings, INPUT) as records:
        return [
            Message(r.topic, r.partition, r.offset, int(dict(r.headers)["sequence"]), r.key, r.value, r.timestamp)
            for r in sorted(records, key=lambda r: (r.partition, r.offset))
        ]


async def turn_of(settings: ServiceSettings, keyring: Keyring, messages: list[Message]) -> Turn:
    """A worker that owns all partitions and stands at their beginning."""
    pool = await toys.open_pool(settings.url("eligibility"), "eligibility")
    starts = {Place(m.topic, m.partition): 0 for m in messages}
    stored = await positions.read(pool, starts)
    assert all(position == Position(0, 0) for position in stored.values())
    return Turn(Toy().stage, Outbox("eligibility", pool, settings.partitions), keyring, positions=stored)
