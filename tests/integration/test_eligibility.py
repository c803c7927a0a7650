"""The eligibility service on a real PostgreSQL: nothing lost, nothing twice, never backwards, one payee a family."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.eligibility.store import Meanwhile
from shared.events import Event
from shared.events.codec import decode
from shared.events.topics import topic_named
from shared.privacy import Keyring, keyfile
from shared.runtime.stage import Batch, Message, Received
from tests.integration.eligibility_desk import CHILD, Desk, Registry, family, first_desk, recipient

A, B, C = recipient(1), recipient(2), recipient(3)
CARD, OTHER_CARD = family(1), family(2)


@pytest.fixture
def registry(keys: Path) -> Registry:
    return Registry(Keyring.load(keys))


@pytest.fixture
async def desk(database: str, keys: Path) -> AsyncIterator[Desk]:
    async with first_desk(database, keys) as desk:
        yield desk


async def test_a_registration_is_decided_in_every_programme(desk: Desk, registry: Registry) -> None:
    event = registry.registered(A, CARD, members=[CHILD])
    await desk.takes(event)
    decided = {decision.data.programme: decision for decision in await desk.emitted()}
    assert {name: (d.data.outcome, d.data.amount_idr, d.data.reasons[0].code) for name, d in decided.items()} == {
        "sembako": ("eligible", 200_000, "meets_conditions"),
        "pkh": ("eligible", 750_000, "meets_conditions"),
        "bantuan-polman": ("ineligible", 0, "no_component"),
    }
    for decision in decided.values():
        assert decision.subject == A
        assert decision.causationid == event.id
        assert decision.correlationid == event.correlationid
        data = decision.data
        assert (data.revision, data.registration_revision, data.flag_revision) == (1, 1, 0)
        assert (data.village, data.decile, data.waiting_since) == ("7604012002", 2, event.data.registered_at)
        if data.outcome == "ineligible":
            assert data.payment is None, "nobody needs the account of who is not paid"
            continue
        assert data.payment
        assert data.payment.value == event.data.payment.value, "sealed parts travel along unopened"
    await desk.check()


async def test_particulars_are_for_the_recipient_alone(desk: Desk, registry: Registry) -> None:
    await desk.takes(registry.registered(A, CARD, decile=9), registry.flagged(A, "car_owner", "civil_servant"))
    last = [d for d in await desk.emitted() if d.data.programme == "sembako"][-1]
    assert [reason.code for reason in last.data.reasons] == ["decile_above_limit", "excluded_by_other_agency"]
    assert last.data.details
    opened = desk.keyring.open(last.data.details, "particulars", recipient=A, schema="details/1")
    assert [said["en"] for said in json.loads(opened)] == [
        "The civil service agency records you as a civil servant.",
        "You are recorded as the owner of a car.",
    ]
    everything = "".join(
        [
            str([list(map(str, row)) for row in await desk.pool.fetch(f"SELECT t::text FROM {table} AS t")])
            for table in ("recipient", "decision", "family_payee")
        ]
    )
    for word in ("car_owner", "civil_servant", "1986-01-07", "800000", "Siti", "81234567890"):
        assert word not in everything


async def test_repeats_and_older_revisions_lead_to_nothing(desk: Desk, registry: Registry) -> None:
    first = registry.registered(A, CARD, decile=9)
    newer = registry.registered(A, CARD, revision=3)
    raised, withdrawn = registry.flagged(A, "deceased"), registry.flagged(A, revision=2)
    await desk.takes(newer, withdrawn)
    before = await desk.emitted()
    await desk.takes(first, raised, topic="replay.eligibility")
    await desk.takes(registry.registered(A, CARD, revision=2, decile=10), newer)
    assert await desk.emitted() == before
    assert (await desk.current("sembako"))[A]["outcome"] == "eligible"
    await desk.check()


@pytest.mark.parametrize("together", [True, False])
async def test_flags_and_registrations_in_any_order_end_alike(desk: Desk, registry: Registry, together: bool) -> None:
    draw = random.Random(11)
    for number in range(6):
        who, card = recipient(100 + number), family(100 + number)
        events = [
            registry.registered(who, card, decile=7),
            registry.registered(who, card, revision=2, members=[CHILD]),
            registry.flagged(who, "deceased"),
            registry.flagged(who, revision=2),
            registry.flagged(who, "car_owner", revision=3),
        ]
        draw.shuffle(events)
        if together:
            await desk.takes(*events)
        else:
            for event in events:
                await desk.takes(event)
    for programme in ("sembako", "pkh"):
        for row in (await desk.current(programme)).values():
            assert row["reasons"] == "excluded_by_other_agency"
            assert (row["registration_revision"], row["flag_revision"]) == (2, 3)
    await desk.check()


async def test_flags_of_somebody_unregistered_wait(desk: Desk, registry: Registry) -> None:
    await desk.takes(registry.flagged(A, "deceased"))
    assert await desk.emitted() == []
    await desk.takes(registry.registered(A, CARD))
    assert {d.data.reasons[0].code for d in await desk.emitted()} == {"excluded_by_other_agency"}
    await desk.check()


async def test_one_recipient_twice_in_a_batch_is_decided_twice_as_in_two_batches(
    desk: Desk, registry: Registry
) -> None:
    events = [registry.registered(A, CARD, decile=9), registry.registered(A, CARD, revision=2, account="999999999999")]
    await desk.takes(*events)
    others = [registry.registered(B, OTHER_CARD, decile=9), registry.registered(B, OTHER_CARD, revision=2)]
    for event in others:
        await desk.takes(event)
    for who in (A, B):
        told = [(d.data.revision, d.data.outcome) for d in await desk.emitted() if d.subject == who]
        assert sorted(told) == sorted([(1, "ineligible")] * 3 + [(2, "eligible")] + [(2, "ineligible")] * 2)
    await desk.check()


async def test_the_place_passes_on_in_the_same_transaction(desk: Desk, registry: Registry) -> None:
    await desk.takes(registry.registered(A, CARD), registry.registered(B, CARD, role="spouse", sex="P"))
    assert {who: row["reasons"] for who, row in (await desk.current("sembako")).items()} == {
        A: "meets_conditions",
        B: "not_the_payee",
    }
    flag = registry.flagged(A, "deceased")
    await desk.takes(flag)
    passed_on = [d for d in await desk.emitted() if d.subject == B and d.data.programme == "sembako"][-1]
    assert (passed_on.data.outcome, passed_on.data.revision, passed_on.causationid) == ("eligible", 2, flag.id)
    await desk.takes(registry.registered(B, OTHER_CARD, revision=2), registry.registered(C, CARD, role="other"))
    assert {who: row["outcome"] for who, row in (await desk.current("sembako")).items()} == {
        A: "ineligible",
        B: "eligible",
        C: "eligible",
    }
    seated = await desk.pool.fetch("SELECT family_id, recipient_id FROM family_payee WHERE programme = 'sembako'")
    assert {(row[0], row[1]) for row in seated} == {(CARD, C), (OTHER_CARD, B)}
    await desk.check()


async def test_two_workers_on_one_family_settle_on_one_payee(desk: Desk, registry: Registry, keys: Path) -> None:
    """The second waits until the first has committed, and sees what it decided."""
    first = desk.messages(registry.registered(A, CARD))
    second = desk.messages(registry.registered(B, CARD, role="spouse", sex="P"))
    assert first[0].partition != second[0].partition
    handle = desk.turn.stage.handle
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def stop_before_the_commit() -> None:
        async with desk.turn.outbox.transaction() as transaction:
            batch = _batch(first)
            transaction.emit(await handle(batch, transaction.tx))
            reached.set()
            await go_on.wait()

    held = asyncio.create_task(stop_before_the_commit())
    await reached.wait()
    waiting = asyncio.create_task(desk.turn.handle(second))
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done, "the family is locked"
    go_on.set()
    await asyncio.gather(held, waiting)
    assert {who: row["reasons"] for who, row in (await desk.current("sembako")).items()} == {
        A: "meets_conditions",
        B: "not_the_payee",
    }
    await desk.check()


async def test_many_workers_on_shared_families_neither_deadlock_nor_lose(
    desk: Desk, registry: Registry, database: str, keys: Path
) -> None:
    """Four workers, sixty people on ten cards who register, move, are flagged and cleared, beside a sweep."""
    workers = [desk, *[await Desk.open(database, keys) for _ in range(3)]]
    draw = random.Random(5)
    work: list[list[list[Event[Any]]]] = [[] for _ in workers]
    for round_ in range(1, 5):
        batches: list[list[Event[Any]]] = [[] for _ in workers]
        for number in range(60):
            who, card = recipient(1_000 + number), family(draw.randrange(10))
            batches[number % 4].append(registry.registered(who, card, revision=round_, decile=draw.randrange(1, 7)))
            batches[number % 4].append(
                registry.flagged(who, *draw.choice([[], ["deceased"], ["car_owner"]]), revision=round_)
            )
        for mine, batch in zip(work, batches, strict=True):
            draw.shuffle(batch)
            mine.append(batch)

    async def works(worker: Desk, batches: list[list[Event[Any]]]) -> None:
        handle = worker.turn.stage.handle
        for batch in batches:
            async with worker.turn.outbox.transaction() as transaction:
                messages = worker.messages(*batch)
                transaction.emit(await handle(_batch(messages), transaction.tx))

    await asyncio.gather(*(works(worker, batches) for worker, batches in zip(workers, work, strict=True)))
    rows = await desk.pool.fetch("SELECT registration_revision, flag_revision FROM recipient")
    assert [tuple(row) for row in rows] == [(4, 4)] * 60
    await desk.check()
    for worker in workers[1:]:
        await worker.close()


async def test_two_workers_on_one_new_recipient_make_one_of_them_try_again(desk: Desk, registry: Registry) -> None:
    """It happens while partitions change hands: one reads the registrations, the other the flags."""
    handle = desk.turn.stage.handle
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def the_first() -> None:
        async with desk.turn.outbox.transaction() as transaction:
            transaction.emit(await handle(_batch(desk.messages(registry.registered(A, CARD))), transaction.tx))
            reached.set()
            await go_on.wait()

    held = asyncio.create_task(the_first())
    await reached.wait()
    flag = desk.messages(registry.flagged(A, "deceased"))
    waiting = asyncio.create_task(desk.turn.handle(flag))
    await asyncio.sleep(0.2)
    go_on.set()
    await held
    with pytest.raises(Meanwhile):
        await waiting
    await desk.read_positions()
    await desk.turn.handle(flag)
    assert (await desk.current("sembako"))[A]["reasons"] == "excluded_by_other_agency"
    await desk.check()


async def test_two_workers_on_one_known_recipient_lose_neither_change(desk: Desk, registry: Registry) -> None:
    await desk.takes(registry.registered(A, CARD))
    handle = desk.turn.stage.handle
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def the_first() -> None:
        async with desk.turn.outbox.transaction() as transaction:
            update = desk.messages(registry.registered(A, CARD, revision=2, decile=5))
            transaction.emit(await handle(_batch(update), transaction.tx))
            reached.set()
            await go_on.wait()

    held = asyncio.create_task(the_first())
    await reached.wait()
    waiting = asyncio.create_task(desk.turn.handle(desk.messages(registry.flagged(A, "deceased"))))
    await asyncio.sleep(0.2)
    go_on.set()
    await asyncio.gather(held, waiting)
    row = (await desk.current("sembako"))[A]
    assert (row["registration_revision"], row["flag_revision"], row["revision"]) == (2, 1, 3)
    await desk.check()


async def test_facts_that_do_not_open_are_poison_and_their_neighbours_pass(desk: Desk, registry: Registry) -> None:
    good, bad = registry.registered(A, CARD), registry.registered(B, OTHER_CARD)
    swapped = bad.model_copy(update={"data": bad.data.model_copy(update={"eligibility": good.data.eligibility})})
    await desk.takes(good, swapped, registry.registered(C, OTHER_CARD))
    assert {d.subject for d in await desk.emitted()} == {A, C}
    (letter,) = await desk.dead_letters()
    assert (letter.data.code, letter.subject) == ("handler_failed", B)
    assert "CannotOpen" in letter.data.reason
    await desk.check()


async def test_erased_facts_entitle_nobody_and_do_not_disturb_the_family(
    desk: Desk, registry: Registry, database: str, keys: Path
) -> None:
    await desk.takes(registry.registered(A, CARD))
    old = registry.keyring.active_id("eligibility")
    keyfile.rotate(keys, "eligibility")
    keyfile.destroy(keys, old, in_use=lambda _: {}, now=datetime.now(UTC) + timedelta(hours=1))
    registry.keyring = Keyring.load(keys)
    desk = await Desk.open(database, keys, sent=desk.sent)
    await desk.takes(registry.registered(B, CARD, role="spouse", sex="P"))
    assert {who: row["reasons"] for who, row in (await desk.current("sembako")).items()} == {
        A: "facts_erased",
        B: "meets_conditions",
    }
    await desk.takes(registry.flagged(A, "deceased"))
    last = [d for d in await desk.emitted() if d.subject == A and d.data.programme == "pkh"][-1]
    assert [reason.code for reason in last.data.reasons] == ["facts_erased"]
    await desk.takes(registry.registered(A, CARD, revision=2))
    assert (await desk.current("sembako"))[A]["reasons"] == "excluded_by_other_agency"
    await desk.check()
    await desk.close()


def _batch(messages: list[Message]) -> Batch:
    received = []
    for message in messages:
        assert message.value
        model = topic_named(message.topic).model
        assert model
        received.append(Received(message, decode(model, message.value)))
    return Batch(received, datetime(2026, 11, 16, 3, tzinfo=UTC))
