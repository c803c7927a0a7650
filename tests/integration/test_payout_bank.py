"""Orders and a real simulated bank: whatever crashes or is superseded, nobody is paid twice and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.payout.channels import NotSent, OutcomeUnknown
from services.payout.domain.answers import Answer, Said
from services.payout.domain.orders import Account, BankOrder
from services.payout.domain.references import bulk_reference
from services.payout.store import orders
from shared.errors import Trouble
from shared.events.codec import encode
from tests.integration.paying import FAST_SIMULATOR, HONEST, Desk, desk_on, number, recipient
from tests.integration.running_simulator import Simulator, running

CONFIRMED, FAILED, ORDERED = "payout.confirmed", "payout.failed", "payout.ordered"
ROUGH = (
    *("--refused", 0.3, "--delayed", 0.2, "--timeout", 0.15, "--late", 0.15, "--cut", 0.3),
    *FAST_SIMULATOR,
)  # fmt: skip


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_on(database, tmp_path / "keys.json", orders_a_call=20) as made:
        yield made


@pytest.fixture
async def bank(desk: Desk, tmp_path: Path) -> AsyncIterator[Simulator]:
    async with running("bank", tmp_path / "bank", *HONEST, *FAST_SIMULATOR) as simulator:
        desk.connect(simulator.url)
        yield simulator


async def ordered(desk: Desk, count: int, **more: Any) -> None:
    await desk.open_cycle(10**14)
    await desk.decide(*(desk.decision(n, **more) for n in range(1, count + 1)))
    await desk.sweep_all()


async def alive(desk: Desk) -> int:
    found = await desk.rows("SELECT count(*) FROM payout WHERE due_at IS NOT NULL")
    return int(found[0][0])


async def work(desk: Desk, until: Callable[[], Any]) -> None:
    """All workers of one process, through all trouble, until `until` says so."""

    async def repeat(turn: Callable[[], Any]) -> None:
        while not done.is_set():
            moved = 0
            with suppress(Trouble):
                moved = await turn()
            if not moved:
                await asyncio.sleep(0.02)

    done = asyncio.Event()
    tasks = [asyncio.create_task(repeat(t)) for t in (desk.sweep.turn, desk.bank.pay, desk.bank.pay, desk.bank.inquire)]
    try:
        while not await until():
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)
    finally:
        done.set()
        await asyncio.gather(*tasks)


async def all_ended(desk: Desk) -> bool:
    return await alive(desk) == 0


async def ages(desk: Desk, seconds: float) -> None:
    """Lets the past of all orders be this much longer ago."""
    by = timedelta(seconds=seconds)
    await desk.rows("UPDATE payout SET sent_at = sent_at - $1::interval, due_at = due_at - $1::interval", by)


async def test_every_order_reaches_its_account(desk: Desk, bank: Simulator) -> None:
    await ordered(desk, 50)
    while await desk.bank.pay():
        pass
    assert set((await desk.states()).values()) == {"confirmed"}
    assert (await desk.balances())["paid"] == 50 * 200_000
    await desk.check_against_bank(await bank.books())
    causes = {event.id: event.subject for event in await desk.emitted(ORDERED)}
    for event in await desk.emitted(CONFIRMED):
        assert event.causationid is not None
        assert causes[event.causationid] == event.subject
        assert event.data.bank_reference.isdigit()
    await desk.check_books()


async def test_a_rough_bank_and_two_processes(desk: Desk, tmp_path: Path) -> None:
    async with running("bank", tmp_path / "bank", *ROUGH) as bank:
        desk.connect(bank.url)
        await ordered(desk, 300)
        other = desk.copy()
        await asyncio.gather(*(work(each, lambda: all_ended(desk)) for each in (desk, other)))
        entries = await bank.books()
    states = list((await desk.states()).values())
    assert set(states) == {"confirmed", "failed"}
    assert states.count("failed") > 30
    codes = {event.data.code for event in await desk.emitted(FAILED)}
    assert codes == {"account_closed", "account_dormant", "account_unknown"}
    confirmed = await desk.emitted(CONFIRMED)
    assert len(confirmed) == states.count("confirmed")
    assert len({event.data.account for event in confirmed} - {None}) == len(confirmed), "also of those asked about"
    await desk.check_against_bank(entries)
    await desk.check_books()


async def test_payouts_to_one_account_show_that_it_is_one_and_not_which(desk: Desk, bank: Simulator) -> None:
    await desk.open_cycle(10**9)
    await desk.decide(*(desk.decision(n, account_number="7001000200" if n < 3 else None) for n in range(1, 5)))
    await desk.sweep_all()
    await work(desk, lambda: all_ended(desk))
    accounts = {number(event.subject): event.data.account for event in await desk.emitted(CONFIRMED)}
    assert accounts[1] == accounts[2] != accounts[3] != accounts[4]
    said = "".join(encode(event).decode() for event in await desk.emitted(CONFIRMED))
    assert "7001000200" not in said


async def test_the_bank_is_killed_over_and_over(desk: Desk, tmp_path: Path) -> None:
    data = tmp_path / "bank"
    async with AsyncExitStack() as stack:
        bank = await stack.enter_async_context(running("bank", data, *ROUGH))
        port = urlsplit(bank.url).port
        desk.connect(bank.url)
        await ordered(desk, 200)
        working = asyncio.create_task(work(desk, lambda: all_ended(desk)))
        for _ in range(3):
            await asyncio.sleep(0.25)
            await bank.kill()
            await asyncio.sleep(0.2)
            bank = await stack.enter_async_context(running("bank", data, *ROUGH, port=port))
        await working
        await desk.check_against_bank(await bank.books())
    await desk.check_books()


@pytest.mark.parametrize("called", [False, True])
async def test_a_crash_between_claim_call_and_outcome(desk: Desk, bank: Simulator, called: bool) -> None:
    await ordered(desk, 3)
    claimed = await desk.bank.claim()
    if called:
        await desk.bank.call(claimed)
    # The process dies here. Its claim is nobody else's until it runs out.
    survivor = desk.copy()
    assert await survivor.bank.pay() == 0
    assert await survivor.bank.inquire() == 0
    await desk.rows("UPDATE payout SET due_at = now() - interval '1 second'")
    await survivor.bank.inquire()
    if not called:
        assert set((await desk.states()).values()) == {"unknown"}, "not found within the window proves nothing"
        await ages(desk, 2)
        await survivor.bank.inquire()
        assert set((await desk.states()).values()) == {"unsent"}
        assert await survivor.bank.pay() == 3
        assert {row[0] for row in await desk.rows("SELECT sends FROM payout")} == {2}
    assert set((await desk.states()).values()) == {"confirmed"}
    assert len(await desk.rows("SELECT FROM transfer WHERE kind = 'send'")) == 3
    await desk.check_against_bank(await bank.books())
    await desk.check_books()


async def test_a_decision_superseded_between_claim_and_answer(desk: Desk, bank: Simulator) -> None:
    await ordered(desk, 2)
    claimed = await desk.bank.claim()
    await desk.decide(desk.decision(1, revision=2, eligible=False), desk.decision(2, revision=2))
    await desk.sweep_all()
    assert await desk.states() == {1: "claimed", 2: "claimed"}, "the outcome is awaited"
    answers, trouble, _ = await desk.bank.call(claimed)
    assert trouble is None
    await desk.bank.record(answers, {a.reference: 1 for a in answers}, claimed.sent_at)
    await desk.sweep_all()
    assert await desk.states() == {1: "confirmed", 2: "confirmed"}, "one payout a cycle, whatever is decided later"
    assert await desk.rows("SELECT FROM decision WHERE settled_in = 0") == []
    await desk.check_against_bank(await bank.books())
    await desk.check_books()


async def test_a_superseded_order_that_the_bank_never_got_is_cancelled_after_the_window(
    desk: Desk, bank: Simulator
) -> None:
    await desk.open_cycle(200_000)
    await desk.decide(desk.decision(1), desk.decision(2))
    await desk.sweep_all()
    await desk.bank.claim()
    await desk.decide(desk.decision(1, revision=2, eligible=False))
    await desk.sweep_all()
    assert await desk.states() == {1: "claimed", 2: "queued"}, "neither repeated nor cancelled"
    await ages(desk, 5)
    await desk.bank.inquire()
    assert await desk.bank.pay() == 0, "it is not sent again: its decision is gone"
    await desk.sweep_all()
    assert await desk.states() == {1: "cancelled", 2: "ordered"}
    assert await desk.bank.pay() == 1
    await desk.check_against_bank(await bank.books())
    await desk.check_books()


async def test_a_failed_payout_gets_another_attempt_only_with_a_new_decision(desk: Desk, tmp_path: Path) -> None:
    async with running("bank", tmp_path / "bank", *HONEST[2:], "--refused", 1, *FAST_SIMULATOR) as refusing:
        desk.connect(refusing.url)
        await ordered(desk, 1)
        await desk.bank.pay()
        await desk.sweep_all()
    assert await desk.states() == {1: "failed"}
    assert (await desk.balances())["budget"] == 10**14, "what came back is free for the queue"
    await desk.sweep_all()
    assert await desk.bank.pay() == 0
    async with running("bank", tmp_path / "other", *HONEST, *FAST_SIMULATOR) as bank:
        desk.connect(bank.url)
        await desk.decide(desk.decision(1, revision=2, account_number="9876543210"))
        await desk.sweep_all()
        assert await desk.bank.pay() == 1
        (entry,) = await bank.books()
        assert entry["account"] == "9876543210"
        await desk.check_against_bank([entry])
    (event,) = await desk.emitted(CONFIRMED)
    assert (event.data.attempt, event.data.revision) == (2, 4)
    await desk.check_books()


async def test_the_same_answer_from_two_processes_counts_once(desk: Desk, bank: Simulator) -> None:
    await ordered(desk, 10)
    claimed = await desk.bank.claim()
    answers, _, _ = await desk.bank.call(claimed)
    sends = {answer.reference: 1 for answer in answers}
    others = [desk.copy() for _ in range(3)]
    await asyncio.gather(*(other.bank.record(answers, sends, claimed.sent_at) for other in others))
    assert len(await desk.emitted(CONFIRMED)) == 10
    assert len(await desk.rows("SELECT FROM transfer WHERE kind = 'post'")) == 10
    await desk.check_against_bank(await bank.books())
    await desk.check_books()


async def test_a_process_that_slept_cannot_make_its_call_any_more(desk: Desk, bank: Simulator) -> None:
    await ordered(desk, 1)
    claimed = await desk.bank.claim()
    answers, trouble, _ = await desk.bank.call(claimed._replace(began_s=claimed.began_s - 10))
    assert isinstance(trouble, NotSent)
    assert [answer.said for answer in answers] == [Said.NOT_TAKEN]
    order = BankOrder(claimed.rows[0]["reference"], 200_000, Account("002", "0000000001", "Penerima"))
    with pytest.raises(OutcomeUnknown, match="401"):  # the bank's own check, where ours came too early
        await desk.bank.channel.send([order], sends=1, stamped_at=claimed.sent_at - timedelta(seconds=5))
    assert await bank.books() == []


async def test_a_reference_that_the_bank_knows_is_asked_about(desk: Desk, bank: Simulator) -> None:
    await ordered(desk, 1)
    ((reference,),) = await desk.rows("SELECT reference FROM payout")
    order = BankOrder(reference, 200_000, Account("002", "0000000001", "Penerima"))
    now = await orders.clock(desk.outbox.pool)
    await desk.bank.channel.send([order], sends=1, stamped_at=now)  # by a database that was lost
    await desk.bank.pay()
    assert await desk.states() == {1: "unknown"}
    await desk.bank.inquire()
    assert await desk.states() == {1: "confirmed"}
    await desk.check_against_bank(await bank.books())
    await desk.check_books()


async def test_a_bank_that_is_away_keeps_nothing_and_loses_nothing(desk: Desk, bank: Simulator) -> None:
    await ordered(desk, 2)
    desk.connect("http://127.0.0.1:9")
    with pytest.raises(NotSent):
        await desk.bank.pay()
    assert set((await desk.states()).values()) == {"unsent"}
    desk.connect(bank.url)
    await work(desk, lambda: all_ended(desk))
    await desk.check_against_bank(await bank.books())
    await desk.check_books()


class Particular:
    """A bank that refuses a whole call for one order in it, and remembers each call."""

    def __init__(self, bad: str) -> None:
        self.bad, self.calls, self.paid = bad, list[tuple[str, ...]](), set[str]()
        self.bulk_ids = list[str]()

    async def send(self, orders: Sequence[BankOrder], *, sends: int, stamped_at: datetime) -> list[Answer]:
        references = tuple(order.reference for order in orders)
        self.calls.append(references)
        self.bulk_ids.append(bulk_reference(references, sends))
        if self.bad in references:
            raise OutcomeUnknown("the bank answered a call with HTTP status 400")
        self.paid.update(references)
        return [Answer(one, Said.DONE, None, "1") for one in references]

    async def ask(self, references: Sequence[str], *, stamped_at: datetime) -> list[Answer]:
        return [Answer(one, Said.DONE if one in self.paid else Said.NOT_FOUND) for one in references]


async def test_what_the_bank_refuses_as_a_whole_is_sent_in_halves_until_the_bad_one_is_alone(desk: Desk) -> None:
    await ordered(desk, 20)
    ((bad,),) = await desk.rows("SELECT reference FROM payout WHERE recipient_id = $1", recipient(7))
    bank = Particular(bad)
    desk.bank = replace(desk.bank, channel=bank)
    for _ in range(6):
        while await desk.rows("SELECT FROM payout WHERE state IN ('ordered', 'unsent')"):
            with suppress(OutcomeUnknown):
                await desk.bank.pay()
        await ages(desk, 5)
        await desk.bank.inquire()
        if not await desk.rows("SELECT FROM payout WHERE state = 'unsent' AND reference <> $1", bad):
            break
    assert [n for n, state in (await desk.states()).items() if state != "confirmed"] == [7]
    assert max(map(len, bank.calls[1:])) <= 10
    with pytest.raises(OutcomeUnknown):
        await desk.bank.pay()
    await ordered_more(desk, 21, 30)
    await ages(desk, 5)
    await desk.bank.inquire()
    while await desk.rows("SELECT FROM payout WHERE state IN ('ordered', 'unsent')"):
        with suppress(OutcomeUnknown):
            await desk.bank.pay()
    assert len(await desk.rows("SELECT FROM payout WHERE state = 'confirmed'")) == 29, "who comes later is not held up"
    assert len({*bank.bulk_ids}) == len(bank.bulk_ids)
    await desk.check_books()


async def ordered_more(desk: Desk, first: int, last: int) -> None:
    await desk.decide(*(desk.decision(n) for n in range(first, last + 1)))
    await desk.sweep_all()


async def test_each_call_has_a_bulk_id_of_its_own_also_when_an_order_was_left_out_of_the_last(desk: Desk) -> None:
    await ordered(desk, 2)
    bank = Particular("none")
    desk.bank = replace(desk.bank, channel=bank)
    claimed = await desk.bank.claim()
    unreadable = {"share": 1, "recipient_id": recipient(9), "reference": "X" * 20, "sends": 1, "amount_idr": 1}
    rows = [claimed.rows[0], {**unreadable, "payment": None}]
    await desk.bank.call(claimed._replace(rows=rows))
    again = {**claimed.rows[0], "sends": 2}
    await desk.bank.call(claimed._replace(rows=[again]))
    assert len({*bank.bulk_ids}) == 2


async def test_that_an_account_cannot_be_read_counts_only_while_nobody_has_sent_it_since(
    desk: Desk, bank: Simulator
) -> None:
    """The first process has another key file, and stalls before it writes that; the second has sent the order."""
    await ordered(desk, 1)
    claimed = await desk.bank.claim()
    (row,) = claimed.rows
    stalled = await desk.bank.call(claimed._replace(rows=[{**row, "payment": "not sealed"}]))
    assert [answer.code for answer in stalled.answers] == ["account_unreadable"]
    await ages(desk, 5)
    await desk.bank.inquire()
    second = await desk.bank.claim()
    answers, _, accounts = await desk.bank.call(second)
    await desk.bank.record(stalled.answers, {row["reference"]: row["sends"]}, claimed.sent_at)
    assert await desk.states() == {1: "claimed"}
    await desk.bank.record(answers, {row["reference"]: second.rows[0]["sends"]}, second.sent_at, accounts)
    assert await desk.states() == {1: "confirmed"}
    await desk.check_against_bank(await bank.books())
    await desk.check_books()


async def test_what_cannot_be_read_or_cannot_be_true(desk: Desk, bank: Simulator) -> None:
    await ordered(desk, 3)
    stolen = "(SELECT payment FROM decision WHERE recipient_id = $2)"
    await desk.rows(f"UPDATE decision SET payment = {stolen} WHERE recipient_id = $1", recipient(1), recipient(2))
    await desk.bank.pay()
    assert await desk.states() == {1: "failed", 2: "confirmed", 3: "confirmed"}
    (failed,) = await desk.emitted(FAILED)
    assert failed.data.code == "account_unreadable"
    await desk.check_books()
    reference = failed.data.reference
    now = await orders.clock(desk.outbox.pool)
    await desk.bank.record([Answer(reference, Said.DONE), Answer("X" * 20, Said.DONE)], {reference: 1}, now)
    assert await desk.states() == {1: "failed", 2: "confirmed", 3: "confirmed"}
    assert len(await desk.rows("SELECT FROM contradiction")) == 2
