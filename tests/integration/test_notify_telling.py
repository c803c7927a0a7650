"""Which decisions and payouts are told, in how many messages, and what is not told again."""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from services.notify import store
from services.notify.domain.purposes import message_id
from services.notify.domain.states import Fact
from services.notify.progress import Report, apply
from services.notify.worker import Outgoing
from shared.clock import now
from shared.privacy import Keyring, keyfile
from tests.integration.notify_desk import Desk, open_desk, recipient


@pytest.fixture
async def desk(database: str, keys: Path) -> AsyncIterator[Desk]:
    async with open_desk(database, keys) as opened:
        yield opened


async def test_decisions_of_one_cause_are_one_message_and_a_repetition_is_none(desk: Desk) -> None:
    events = [desk.decided(1, p) for p in ("sembako", "pkh", "bantuan-polman")]
    await desk.hand(events[:1])
    await desk.hand(events[1:])
    (message,) = await desk.claim_all()
    assert message.composed.template == "decision_3"
    assert message.phone == "+6281200000001"
    await desk.tell(message.message_id, Fact.ACCEPTED)
    await desk.hand(events)
    assert await desk.states() == {"sent": 1}


async def test_a_decision_that_comes_after_its_causes_message_left_is_told_in_a_further_one(desk: Desk) -> None:
    await desk.hand([desk.decided(1, "sembako")])
    await desk.claim_all()
    await desk.hand([desk.decided(1, "pkh")])
    (message,) = await desk.claim_all()
    assert message.composed.template == "decision_1"
    assert "PKH" in message.composed.values[1]
    assert {row["purpose"] for row in await desk.rows()} == {"decision:reg-1", "decision:reg-1#2"}


async def test_only_the_newest_news_is_told(desk: Desk) -> None:
    await desk.hand([desk.decided(1), desk.decided(1, "pkh")])
    await desk.hand([desk.decided(1, cause="flag-1", revision=2, eligible=False)])
    (message,) = await desk.claim_all()
    assert message.composed.template == "decision_2", "what the replaced message would have told is told with it"
    assert "Sembako: TIDAK. Memenuhi" in " ".join(message.composed.values)
    assert await desk.states() == {"superseded": 1, "sending": 1}


async def test_nothing_new_is_no_message(desk: Desk) -> None:
    await desk.hand([desk.decided(1)])
    (message,) = await desk.claim_all()
    await desk.tell(message.message_id, Fact.LOST, 1)
    await desk.hand([desk.decided(1, cause="rules-2", revision=2)])
    assert await desk.claim_all() == []
    assert await desk.states() == {"unknown": 1, "not_needed": 1}
    await desk.hand([desk.decided(1, cause="rules-3", revision=3, amount_idr=300_000)])
    (message,) = await desk.claim_all()
    assert "sekarang Rp300.000 per bulan (sebelumnya Rp200.000)" in message.composed.values[1]


async def test_an_older_decision_changes_nothing(desk: Desk) -> None:
    await desk.hand([desk.decided(1, cause="new", revision=3)])
    await desk.hand([desk.decided(1, cause="old", revision=2, eligible=False)])
    (message,) = await desk.claim_all()
    assert "Sembako: YA" in message.composed.values[1]
    assert await desk.states() == {"sending": 1}


async def test_what_did_not_arrive_is_told_again_with_the_next_cause(desk: Desk) -> None:
    await desk.hand([desk.decided(1)])
    (message,) = await desk.claim_all()
    await desk.tell(message.message_id, Fact.REFUSED, 1)
    new_phone: dict[str, str | None] = {"name": "Siti", "phone": "+628990001111", "language": "en"}
    await desk.hand([desk.decided(1, cause="reg-2", revision=2, contact=new_phone, registration=2)])
    (message,) = await desk.claim_all()
    assert (message.phone, message.composed.language) == ("+628990001111", "en")


async def test_what_arrived_after_it_had_failed_is_not_told_again(desk: Desk) -> None:
    """A chaos run found that it was: failing took back what was told, and arriving did not bring it back."""
    await desk.hand([desk.decided(1)])
    await desk.claim_all()
    ours = message_id(recipient(1), "decision:reg-1", "whatsapp")
    for fact in (Fact.TOLD_FAILED, Fact.TOLD_DELIVERED):
        assert await desk.tell(ours, fact) == 1
    await desk.hand([desk.decided(1, cause="flag-1", revision=2)])
    assert await desk.claim_all() == []
    assert await desk.states() == {"delivered": 1, "not_needed": 1}


async def test_a_refused_message_makes_room_for_a_newer_one(desk: Desk) -> None:
    await desk.hand([desk.decided(1)])
    (first,) = await desk.claim_all()
    await desk.hand([desk.decided(1, cause="flag", revision=2, eligible=False)])
    await desk.tell(first.message_id, Fact.REFUSED_FOR_NOW, 1)
    (second,) = await desk.claim_all()
    assert second.message_id != first.message_id
    assert "Sembako: TIDAK. " in second.composed.values[1], "the first never arrived: nothing was granted before"
    assert await desk.states() == {"superseded": 1, "sending": 1}


def refused_for_now(*messages: Outgoing) -> list[Report]:
    return [Report(m.message_id, Fact.REFUSED_FOR_NOW, "rate_limited", m.attempt, now()) for m in messages]


async def answer(desk: Desk, *messages: Outgoing) -> None:
    """These are refused for now, in one group."""
    async with desk.outbox.transaction() as transaction:
        await apply(transaction, refused_for_now(*messages), now())


async def two_in_flight(desk: Desk) -> tuple[Outgoing, Outgoing]:
    """Two messages about the decisions of one recipient, the older first; and others about nothing of hers."""
    await desk.hand([desk.decided(1), desk.decided(2)])
    first, _ = sorted(await desk.claim_all(), key=lambda m: m.phone)
    await desk.hand([desk.decided(1, cause="flag", revision=2, eligible=False), desk.decided(3)])
    second, _ = sorted(await desk.claim_all(), key=lambda m: m.phone)
    assert first.phone == second.phone
    return first, second


async def failed_and_paid_in_flight(desk: Desk) -> tuple[Outgoing, Outgoing]:
    """Two messages about one payout, which failed first and was then paid."""
    await desk.hand([desk.decided(1)])
    await desk.claim_all()
    await desk.hand([desk.paid(1, failed="account_closed")])
    (failed,) = await desk.claim_all()
    await desk.hand([desk.paid(1, revision=4, attempt=2)])
    (confirmed,) = await desk.claim_all()
    return failed, confirmed


@pytest.mark.parametrize("groups", [[(0, 1)], [(1, 0)], [(0,), (1,)], [(1,), (0,)]], ids=str)
async def test_of_two_refused_about_one_thing_the_newer_waits(desk: Desk, groups: list[tuple[int, ...]]) -> None:
    """However their answers come: one index entry for both would keep all answers of the group from being written."""
    sent = await two_in_flight(desk)
    for group in groups:
        await answer(desk, *(sent[number] for number in group))
    assert await desk.states() == {"superseded": 1, "waiting": 1, "sending": 2}
    (again,) = await desk.claim_all()
    assert again.message_id == sent[1].message_id
    assert "Sembako: TIDAK. " in again.composed.values[1], "the first never arrived: nothing was granted before"


async def test_two_processes_that_were_refused_at_once_leave_one_waiting(desk: Desk) -> None:
    sent = await two_in_flight(desk)
    await asyncio.gather(*(answer(desk, message) for message in sent))
    assert await desk.states() == {"superseded": 1, "waiting": 1, "sending": 2}
    (again,) = await desk.claim_all()
    assert again.message_id == sent[1].message_id


async def test_what_comes_while_a_refusal_is_written_waits_alone(desk: Desk) -> None:
    """The stage holds the message in flight until the newer one is there: the refusal must see that one."""
    await desk.hand([desk.decided(1)])
    (first,) = await desk.claim_all()
    async with desk.outbox.transaction() as stage:
        await store.lock_messages_about(stage.tx, [recipient(1)], ["decision"])
        answering = asyncio.create_task(answer(desk, first))
        await asyncio.sleep(0.3)
        await stage.tx.execute(
            """
            INSERT INTO message (message_id, recipient_id, purpose, channel, about, about_revision, state, created_at,
                                 due_at, cause_id, correlation_id, traceparent)
            SELECT 'm-' || repeat('0', 32), recipient_id, 'decision:flag', channel, about, 0, 'waiting', now(), now(),
                   cause_id, correlation_id, traceparent
            FROM message
            """
        )
    await answering
    assert await desk.states() == {"superseded": 1, "waiting": 1}
    assert (await desk.rows())[0]["state"] == "superseded"


async def test_of_two_payouts_messages_the_revision_tells_which_is_newer(desk: Desk) -> None:
    failed, confirmed = await failed_and_paid_in_flight(desk)
    await desk.pool.execute(  # a clock that was set back
        "UPDATE message SET created_at = created_at - interval '1 h' WHERE message_id = $1", confirmed.message_id
    )
    await answer(desk, failed, confirmed)
    (again,) = await desk.claim_all()
    assert again.composed.template == "payout_confirmed"


@pytest.mark.parametrize("became", [Fact.ACCEPTED, Fact.TOLD_READ, Fact.REFUSED, Fact.LOST])
async def test_what_is_refused_after_later_news_left_is_told_no_more(desk: Desk, became: Fact) -> None:
    """Else somebody who has been paid would hear afterwards that it failed."""
    failed, confirmed = await failed_and_paid_in_flight(desk)
    await desk.tell(confirmed.message_id, became, 1)
    await answer(desk, failed)
    assert await desk.claim_all() == []
    assert (await desk.states())["superseded"] == 1


async def test_a_late_answer_to_an_earlier_send_reopens_nothing(desk: Desk) -> None:
    await desk.hand([desk.decided(1)])
    (first,) = await desk.claim_all()
    await desk.tell(first.message_id, Fact.REFUSED_FOR_NOW, 1)
    (second,) = await desk.claim_all()
    assert (first.attempt, second.attempt) == (1, 2)
    assert await desk.tell(first.message_id, Fact.REFUSED_FOR_NOW, 1) == 0
    assert await desk.tell(first.message_id, Fact.LOST, 1) == 0
    assert await desk.states() == {"sending": 1}


async def test_payouts_are_told_once_and_never_stale(desk: Desk) -> None:
    await desk.hand([desk.decided(1), desk.decided(2)])
    await desk.claim_all()
    await desk.hand([desk.paid(1, failed="account_closed"), desk.paid(2)])
    await desk.hand([desk.paid(1, revision=4, attempt=2), desk.paid(2)])
    outgoing = await desk.claim_all()
    assert [m.composed.template for m in outgoing] == ["payout_confirmed", "payout_confirmed"]
    assert await desk.states() == {"sending": 4, "superseded": 1}
    await desk.hand([desk.paid(1, failed="account_closed"), desk.paid(1, revision=4, attempt=2)])
    assert await desk.states() == {"sending": 4, "superseded": 1}


async def test_who_has_no_phone_is_counted(desk: Desk, keys: Path) -> None:
    nobody: dict[str, str | None] = {"name": "Budi", "phone": None, "language": "id"}
    broken = desk.decided(2).model_copy(update={"subject": recipient(3)})
    absent = desk.decided(4)
    absent = absent.model_copy(update={"data": absent.data.model_copy(update={"contact": None})})
    await desk.hand([desk.decided(1, contact=nobody), broken, absent])
    assert await desk.claim_all() == []
    codes = Counter(row["code"] for row in await desk.rows())
    assert codes == {"no_phone": 1, "cannot_open": 1, "no_contact": 1}
    assert await desk.states() == {"unreachable": 3}
    counted = await desk.pool.fetch("SELECT kind, state, sum(messages)::int FROM message_count GROUP BY 1, 2")
    assert [tuple(row) for row in counted] == [("decision", "unreachable", 3)]


async def test_a_contact_whose_key_is_missing_waits_alone(desk: Desk, keys: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    shutil.copy(keys, elsewhere)
    keyfile.rotate(elsewhere, "contact")
    here, desk.keyring = desk.keyring, Keyring.load(elsewhere)
    sealed_elsewhere = [desk.decided(1), desk.decided(2)]
    desk.keyring = here
    await desk.hand([*sealed_elsewhere, desk.decided(3)])
    assert len(await desk.claim_all()) == 1
    assert await desk.states() == {"waiting": 2, "sending": 1}
    assert await desk.claim_all() == [], "they are not looked at again at once"
    old = "UPDATE message SET due_at = now(), created_at = now() - interval '2 h' WHERE recipient_id = $1"
    await desk.pool.execute(old, recipient(1))
    assert await desk.claim_all() == []
    assert await desk.pool.fetchval("SELECT code FROM message WHERE state = 'unreachable'") == "key_missing"
    os.replace(elsewhere, keys)
    await desk.pool.execute("UPDATE message SET due_at = now() WHERE state = 'waiting'")
    assert len(await desk.claim_all()) == 1
    assert await desk.states() == {"unreachable": 1, "sending": 2}


async def test_quiet_time_lets_news_gather(database: str, keys: Path) -> None:
    async with open_desk(database, keys, quiet_time_s=0.6) as desk:
        await desk.hand([desk.decided(1)])
        assert await desk.claim_all() == []
        await asyncio.sleep(0.7)
        assert len(await desk.claim_all()) == 1


async def test_what_waits_is_measured(desk: Desk) -> None:
    assert await store.waiting(desk.pool, 10_000) == (0, 0)
    await desk.hand([desk.decided(n) for n in range(5)])
    await desk.pool.execute("UPDATE message SET due_at = now() - interval '1 hour'")
    waiting, overdue_s = await store.waiting(desk.pool, 10_000)
    assert waiting == 5
    assert 3600 <= overdue_s < 3660
    await desk.claim_all()
    assert await store.waiting(desk.pool, 10_000) == (0, 0)


async def test_the_service_cannot_unmake_a_message(desk: Desk) -> None:
    await desk.hand([desk.decided(1)])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.pool.execute("DELETE FROM message")


async def test_codes_go_first_alone_and_not_when_they_have_expired(desk: Desk) -> None:
    """One message for each recipient, the last code; what expired is told to nobody, and the code stands nowhere."""
    soon, over = now() + timedelta(minutes=10), now() - timedelta(seconds=1)
    await desk.hand([desk.decided(n) for n in range(1, 4)])
    older, newer = desk.coded(2, 1, "111111", soon), desk.coded(2, 2, "222222", soon + timedelta(seconds=1))
    await desk.hand([older, newer, desk.coded(3, 3, "333333", over)])
    await desk.hand([newer])
    claimed = await desk.claim_all()
    first, *decisions = claimed
    assert (first.composed.template, first.composed.values) == ("access_code", ("222222", "10"))
    assert [message.composed.template for message in decisions] == ["decision_1"] * 3
    kept = await desk.rows()
    assert "222222" not in str([tuple(row) for row in kept])
    assert {row["purpose"] for row in kept if row["about"] == "code"} == {f"code:{newer.data.request}"}
    await desk.hand([desk.coded(1, 4, "444444", now() + timedelta(seconds=1.2))])
    await asyncio.sleep(1.3)
    assert not await desk.claim_all()
    (late,) = [row for row in await desk.rows() if row["purpose"].endswith("4")]
    assert (late["state"], late["code"]) == ("not_needed", "expired")
