"""The registry's stage on a real PostgreSQL: one answer to each submission, whoever handles it and how often."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.registry import store
from shared.clock import now
from shared.errors import CannotOpen
from shared.events.codec import decode
from shared.events.topics import topic_named
from shared.runtime.stage import Batch, Message, Received
from tests.integration.registry_desk import NIK, RIGHT, Desk, answers, at, nik_of, open_desk


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database, tmp_path) as opened:
        yield opened


async def test_each_submission_gets_its_answer(desk: Desk) -> None:
    events = await desk.handle(
        desk.message("1", RIGHT),
        desk.message("2", RIGHT | {"decile": 3}, time=at(9)),
        desk.message("3", RIGHT | {"name": "Siti Aminah"}, time=at(7)),
        desk.message("4", RIGHT | {"decile": 3, "address": "Jalan Poros"}, time=at(6)),
        desk.message("5", RIGHT | {"nik": "760401"}),
        desk.message("6", RIGHT | {"kk": "1", "village": "7604"}),
    )
    assert answers(events) == [
        ("1", "older"),
        ("2", "new"),
        ("3", "older"),
        ("4", "identical"),
        ("5", "nik_format"),
        ("6", "kk_format village_unknown"),
    ]
    recipient = desk.keyring.recipient_id(NIK)
    subjects = {event.data.submission.id: event.subject for event in events}
    assert subjects == dict.fromkeys("12346", recipient) | {"5": "5"}
    assert {(e.causationid, e.correlationid, e.source) for e in events} == {(i, i, "/salur/registry") for i in "123456"}
    events = await desk.handle(
        desk.message("7", RIGHT | {"decile": 3}, time=at(11)),
        desk.message("8", RIGHT | {"decile": 4}, time=at(10)),
        desk.message("9", RIGHT | {"decile": 5}, time=at(12)),
    )
    assert answers(events) == [("7", "older"), ("8", "older"), ("9", "updated")]
    assert {event.data.revision for event in events} == {2}


async def test_sealed_parts_open_for_their_purpose_only(desk: Desk) -> None:
    (event,) = await desk.handle(desk.message("1", RIGHT))
    data, recipient, keyring = event.data, event.subject, desk.keyring
    assert (
        json.loads(keyring.open(data.payment, "payment", recipient=recipient, schema="payment/1")) == RIGHT["account"]
    )
    contact = json.loads(keyring.open(data.contact, "contact", recipient=recipient, schema="contact/1"))
    assert contact == {"name": "Sitti Aminah", "phone": "+6281234567890", "language": "id"}
    facts = json.loads(keyring.open(data.eligibility, "eligibility", recipient=recipient, schema="eligibility/1"))
    assert (facts["income_idr"], facts["role"], len(facts["members"])) == (900_000, "spouse", 1)
    with pytest.raises(CannotOpen):
        keyring.open(data.payment, "payment", recipient="r-" + "0" * 32, schema="payment/1")
    assert (data.village, data.decile, data.family_id) == (RIGHT["village"], 2, keyring.family_id(RIGHT["kk"]))


async def test_nothing_personal_is_stored_or_published_in_the_clear(desk: Desk) -> None:
    wrong = RIGHT | {"nik": "7604015708900002", "phone": "x", "village": "1"}
    messages = [desk.message("1", RIGHT), desk.message("2", wrong), desk.message("3", RIGHT | {"nik": "76040157"})]
    await (await desk.worker(0)).handle(messages)
    tables = await desk.pool.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema = 'registry'")
    dump = b""
    for table in tables:
        for row in await desk.pool.fetch(f"SELECT * FROM {table['table_name']}"):
            dump += b"|".join(v if isinstance(v, bytes) else str(v).encode() for v in row.values())
    assert b"registration.rejected" in dump
    for secret in (NIK, "7604015708900002", RIGHT["kk"], "Aminah", "AMINAH", "81234567890", "123456789012345", "1990"):
        assert secret.encode() not in dump, secret


async def test_a_repeat_has_no_effect_and_an_id_reused_is_told_once(desk: Desk) -> None:
    assert answers(await desk.handle(desk.message("1", RIGHT))) == [("1", "new")]
    spelt_otherwise = dict(reversed(RIGHT.items()))
    assert await desk.handle(desk.message("1", RIGHT, time=at(20)), desk.message("1", spelt_otherwise)) == []
    other = RIGHT | {"decile": 9}
    first = await desk.handle(desk.message("1", other), desk.message("1", other), desk.message("1", {"nik": "1"}))
    assert answers(first) == [("1", "id_reused"), ("1", "id_reused")]
    assert len({event.id for event in first}) == 2
    assert await desk.handle(desk.message("1", other, partition=3), partition=3) == []
    assert await desk.pool.fetchval("SELECT decile FROM recipient") == 2
    (from_another_source,) = await desk.handle(desk.message("1", RIGHT, source="bkn", kind="flag"))
    fields = [problem.field for problem in from_another_source.data.problems]
    assert fields == ["flag", "since", "raised", "unknown"]


async def test_what_does_not_open_or_comes_on_a_strange_topic_is_rejected(desk: Desk) -> None:
    event = desk.event("1", RIGHT, time=at(8), source="polman", kind="registration")
    topic = "registration.submitted.polman"
    stolen = event.model_copy(update={"id": "2"})
    pretended = desk.event("3", RIGHT, time=at(8), source="bkn", kind="registration")
    late = desk.event("4", RIGHT, time=at(8).replace(year=9999), source="polman", kind="registration")
    ancient = desk.event("5", RIGHT, time=at(8).replace(year=1), source="polman", kind="registration")
    events = await desk.handle(*(desk.carry(e, topic) for e in (event, stolen, pretended, late, ancient)))
    assert answers(events) == [
        ("1", "new"),
        ("2", "cannot_open"),
        ("3", "source_mismatch"),
        ("4", "time_implausible"),
        ("5", "time_implausible"),
    ]
    assert {e.data.submission.source for e in events} == {"polman"}
    assert await desk.handle(desk.carry(stolen, topic)) == []


async def test_an_id_that_holds_a_number_of_the_person_goes_no_further(desk: Desk) -> None:
    (answer,) = await desk.handle(desk.message(f"kasus-{NIK}", RIGHT))
    assert answers([answer]) == [(f"kasus-{NIK}", "id_personal")]
    assert NIK not in answer.subject
    assert not answer.subject.startswith("r-"), "nor does it stand beside the recipient's id"
    assert await desk.pool.fetchval("SELECT count(*) FROM recipient") == 0
    assert await desk.handle(desk.message(f"kasus-{NIK}", RIGHT)) == [], "one answer each"
    assert answers(await desk.handle(desk.message("1", RIGHT))) == [("1", "new")]


async def test_flags_may_come_before_the_registration_and_in_any_order(desk: Desk) -> None:
    def flag(number: str, code: str, since: str, *, raised: bool = True, hour: int = 8) -> Message:
        content = {"nik": NIK, "flag": code, "since": since, "raised": raised}
        return desk.message(number, content, time=at(hour), source="bkn", kind="flag")

    def standing(event: Any) -> list[str]:
        opened = desk.keyring.open(event.data.flags, "eligibility", recipient=event.subject, schema="flags/1")
        return list(json.loads(opened))

    (first,) = await desk.handle(flag("f1", "car_owner", "2026-05-01"))
    assert (first.data.revision, standing(first)) == (1, ["car_owner"])
    assert answers(await desk.handle(desk.message("1", RIGHT))) == [("1", "new")]
    events = await desk.handle(
        flag("f2", "car_owner", "2026-06-01", raised=False), flag("f3", "deceased", "2026-06-01")
    )
    assert [(e.data.revision, standing(e)) for e in events] == [(2, ["deceased"])] * 2
    (late,) = await desk.handle(flag("f4", "car_owner", "2026-05-02", hour=23))
    assert (late.data.revision, standing(late)) == (2, ["deceased"])
    (again,) = await desk.handle(flag("f5", "deceased", "2026-06-01", raised=False, hour=7))
    assert (again.data.revision, standing(again)) == (2, ["deceased"])
    assert await desk.handle(flag("f5", "deceased", "2026-06-01", raised=False, hour=7)) == []
    (rejected,) = await desk.handle(flag("f6", "rich", "2026-06-01"))
    assert (rejected.type, rejected.subject) == ("flag.rejected", desk.keyring.recipient_id(NIK))


def _batch(messages: list[Message]) -> Batch:
    received = []
    for message in messages:
        model = topic_named(message.topic).model
        assert model is not None
        assert message.value is not None
        received.append(Received(message, decode(model, message.value)))
    return Batch(received, now())


@pytest.mark.parametrize("nik", [NIK, "76040157"], ids=["known by its person", "known by its id only"])
async def test_two_transactions_with_one_submission_answer_it_once(desk: Desk, nik: str) -> None:
    """The second waits for the first, also where there is no person to lock."""
    handler, content = desk.handler(), RIGHT | {"nik": nik}
    first, second = (desk.message("1", content, partition=p) for p in (0, 1))
    other = desk.message("2", content | {"decile": 3}, time=at(9), partition=1)
    async with desk.pool.acquire() as a, desk.pool.acquire() as b:
        one, two = a.transaction(), b.transaction()
        await one.start()
        await two.start()
        assert len(await handler.handle(_batch([first]), a)) == 1
        waiting = asyncio.create_task(handler.handle(_batch([second, other]), b))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await one.commit()
        assert [event.data.submission.id for event in await waiting] == ["2"]
        await two.commit()
    assert await desk.pool.fetchval("SELECT count(*) FROM submission") == 2


async def test_two_transactions_with_one_person_know_of_each_other(desk: Desk) -> None:
    handler = desk.handler()
    later, earlier = desk.message("1", RIGHT, time=at(9)), desk.message("2", RIGHT | {"decile": 7}, time=at(8))
    async with desk.pool.acquire() as a, desk.pool.acquire() as b:
        one, two = a.transaction(), b.transaction()
        await one.start()
        await two.start()
        assert answers(await handler.handle(_batch([later]), a)) == [("1", "new")]
        waiting = asyncio.create_task(handler.handle(_batch([earlier]), b))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await one.commit()
        assert answers(await waiting) == [("2", "older")]
        await two.commit()


async def test_two_workers_at_once_end_where_one_in_order_would(desk: Desk) -> None:
    """Submissions of few people, out of order, repeated, spread over two partitions whose workers run at once."""
    chance = random.Random(7)
    for number in range(12):
        submissions = []
        for n in range(40):
            serial = number * 10 + chance.randrange(4)
            content = RIGHT | {"nik": nik_of(serial + 1), "decile": chance.randint(1, 4)}
            if chance.random() < 0.1:
                content["kk"] = "1"
            submissions.append((f"{number}-{n}", content, at(8 + chance.randrange(3), chance.randrange(3))))
        coming = submissions + chance.choices(submissions, k=25)
        chance.shuffle(coming)
        piles: dict[int, list[Message]] = defaultdict(list)
        for submission_id, content, time in coming:
            partition = chance.randrange(2)
            piles[partition].append(desk.message(submission_id, content, time=time, partition=partition))

        async def work(partition: int, pile: list[Message]) -> None:
            worker = await desk.worker(partition)
            for messages in _cut(pile, 7):
                await worker.handle(messages)

        await asyncio.gather(*(work(partition, pile) for partition, pile in piles.items()))
        events = await desk.emitted()
        given = Counter(event.data.submission.id for event in events)
        assert given == {submission_id: 1 for submission_id, _, _ in submissions}
        await _assert_latest_hold(desk, submissions, events)


def _cut(pile: list[Message], size: int) -> list[list[Message]]:
    return [pile[i : i + size] for i in range(0, len(pile), size)]


async def _assert_latest_hold(desk: Desk, submissions: list[Any], events: list[Any]) -> None:
    valid = [(time, sid, content) for sid, content, time in submissions if content["kk"] != "1"]
    latest: dict[str, tuple[Any, str, Any]] = {}
    for time, sid, content in valid:
        recipient = desk.keyring.recipient_id(content["nik"])
        latest[recipient] = max(latest.get(recipient, (at(0), "", {})), (time, sid, content), key=lambda s: s[:2])
    rows = await desk.pool.fetch("SELECT * FROM recipient WHERE recipient_id = ANY($1)", list(latest))
    assert {r["recipient_id"]: (r["won_submitted_at"], r["won_id"], r["decile"]) for r in rows} == {
        recipient: (time, sid, content["decile"]) for recipient, (time, sid, content) in latest.items()
    }
    told: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event.type == "recipient.registered":
            told[event.subject].append(event.data.revision)
    assert {r["recipient_id"]: list(range(1, r["revision"] + 1)) for r in rows} == {
        k: sorted(v) for k, v in told.items()
    }


async def test_people_are_locked_in_one_order(desk: Desk) -> None:
    """Many transactions over the same people, in every order, and none ever waits for another in a ring."""
    people = [desk.keyring.recipient_id(nik_of(n)) for n in range(1, 200)]

    async def lock(seed: int) -> None:
        mine = random.Random(seed).sample(people, 120)
        async with desk.pool.acquire() as connection, connection.transaction():
            await store.lock_people(connection, mine)

    for _ in range(4):
        await asyncio.gather(*(lock(seed) for seed in range(16)))
    assert await desk.pool.fetchval("SELECT count(*) FROM person") == len(people)
