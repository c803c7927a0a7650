"""A restored database of payout: it takes in its own topics, asks the bank, and nobody is paid twice."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.payout.domain.answers import Answer, Said
from services.payout.store import doubts
from shared.events import EligibilityDecided, Event
from shared.events.topics import outputs_of
from shared.runtime.recovery import CannotRecover
from shared.runtime.tail import DatabaseOlderThanTopic, refuse_restored_database
from tests.integration.paying import FAST_SIMULATOR, HONEST, Desk, recipient
from tests.integration.recovered_payout import PARTITIONS, Flow
from tests.integration.restoring import (
    backup,
    dropping,
    places_of,
)
from tests.integration.running_simulator import running
from tests.integration.toy import empty_topics, settings_for
from tests.stack import fresh_database

CYCLE = "sembako-2026-11"


@pytest.fixture
async def flow(kafka: str, postgres: str, database: str, tmp_path: Path) -> AsyncIterator[Flow]:
    settings = settings_for(kafka, database, tmp_path / "keys.json")
    await empty_topics(settings)
    eligibility = await fresh_database(postgres)
    async with dropping(eligibility), running("bank", tmp_path / "bank", *HONEST, *FAST_SIMULATOR) as bank:
        yield Flow(settings, settings_for(kafka, eligibility, settings.keys), bank, {})


STANDS = """
    SELECT recipient_id, cycle, programme, state, attempt, revision, decision_revision, amount_idr, village, rank_class,
        rank_decile, waiting_since, channel, reference, code, bank_reference, cause_id, correlation_id
    FROM payout ORDER BY recipient_id, cycle
"""
LEDGER = """
    SELECT cycle, recipient_id, attempt, kind, debit_account, credit_account, sum(amount_idr)
    FROM transfer WHERE kind NOT IN ('regrant') GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
"""
OTHERS = (
    "SELECT cycle, programme, period, mode, budget_idr, state, proposed_by, proposed_at, number, approved_by, "
    "approved_at FROM cycle ORDER BY cycle",
    "SELECT cycle, name, balance_idr FROM account ORDER BY 1, 2",
    "SELECT recipient_id, cycle, attempt, reference, decision_revision, amount_idr, state, code FROM past_attempt "
    "ORDER BY 1, 2, 3",
    "SELECT programme, recipient_id, revision, eligible, amount_idr, settled_in, payment, contact, cause_id "
    "FROM decision ORDER BY 1, 2",
)


async def pictures(desk: Desk) -> list[list[tuple[Any, ...]]]:
    return [[tuple(row) for row in await desk.rows(query)] for query in (STANDS, LEDGER, *OTHERS)]


async def varied(flow: Flow, desk: Desk) -> list[Event[EligibilityDecided]]:
    """A cycle with a bit of everything before the backup; returns what is decided after it."""
    await desk.open_cycle(2_000_000)
    await flow.decide(desk, *(desk.decision(n, account=n != 3) for n in range(1, 15)))
    await desk.sweep_all()
    desk.bank.bank.__dict__["orders_a_call"] = 4
    await desk.bank.pay()
    await flow.publish(desk)
    return [
        desk.decision(3, revision=2, waiting=0),  # has an account now
        desk.decision(5, revision=2, eligible=False),
        desk.decision(6, revision=2, amount_idr=300_000),
        desk.decision(14, revision=2, amount_idr=100_000),
        *(desk.decision(n) for n in range(15, 18)),
    ]


async def test_it_takes_in_what_its_topics_say_and_nothing_is_paid_twice(flow: Flow, database: str) -> None:
    """Everything was published: after recovery and drain all tables are those of a database that was never restored."""
    async with flow.desk(database) as desk:
        later = await varied(flow, desk)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await flow.decide(desk, *later)
            await desk.sweep_all()
            await desk.open_cycle(1_500_000, period="2026-12")
            await desk.sweep_all()
            await flow.drain(desk)
            await flow.check(desk)
            expected = await pictures(desk)
            entries = await flow.bank.books()
        async with flow.desk(copy) as desk:
            with pytest.raises(DatabaseOlderThanTopic) as refused:
                await refuse(flow, desk)
            assert "salur recover payout" in refused.value.hint
            tried = await flow.recover(desk, dry_run=True)
            with pytest.raises(DatabaseOlderThanTopic):
                await refuse(flow, desk)
            done = await flow.recover(desk)
            assert (done.imported, done.summary) == (tried.imported, tried.summary)
            assert done.older
            assert done.imported["payout.confirmed"] > 5
            assert done.told == Counter()
            assert done.summary["lost_events_told_again"] == 0
            await refuse(flow, desk)
            await desk.check_books()
            assert (await flow.recover(desk)).older is False
            assert await flow.read(desk) == len(later)
            await flow.drain(desk)
            assert await pictures(desk) == expected
            assert await flow.bank.books() == entries
            await flow.check(desk)


async def refuse(flow: Flow, desk: Desk) -> None:
    await refuse_restored_database(flow.settings, desk.outbox.pool, outputs_of("payout"), range(PARTITIONS))


async def test_whatever_was_not_published_is_asked_about(flow: Flow, database: str) -> None:
    """Orders were sent and paid, and no event left: the bank knows, and says so."""
    async with flow.desk(database) as desk:
        await desk.open_cycle(10**9)
        await flow.decide(desk, *(desk.decision(n) for n in range(1, 11)))
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await desk.sweep_all()
            await desk.bank.pay()
            await desk.bank.pay()
            assert set((await desk.states()).values()) == {"confirmed"}
            await flow.publish(
                desk, [place for place in places_of("payout", PARTITIONS) if place[0] != "payout.ordered"]
            )
        async with flow.desk(copy) as desk:
            done = await flow.recover(desk)
            assert done.summary["to_ask_the_bank_about"] == 10
            assert await desk.states() == dict.fromkeys(range(1, 11), "claimed")
            assert await desk.bank.pay() == 0
            await flow.drain(desk)
            assert set((await desk.states()).values()) == {"confirmed"}
            await flow.check(desk)


async def test_an_attempt_that_nobody_told_of_is_not_paid_beside_another(flow: Flow, database: str) -> None:
    """The lost database had cancelled the first attempt and paid the second. Here the first would be sent, and paid."""
    async with flow.desk(database) as desk:
        await desk.open_cycle(10**9)
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await flow.decide(desk, desk.decision(1), desk.decision(2), desk.decision(3))
            await desk.sweep_all()
            await flow.decide(desk, desk.decision(1, revision=2), desk.decision(2, revision=2, amount_idr=300_000))
            await desk.sweep_all()
            assert await desk.bank.pay() == 3
            references = {entry["reference"] for entry in await flow.bank.books()}
            assert {row[0] for row in await desk.rows("SELECT attempt FROM payout")} == {1, 2}
            await flow.publish(desk, places_of("payout", PARTITIONS))
        async with flow.desk(copy) as desk:
            assert (await flow.recover(desk)).older is False, "no topic shows it"
            done = await flow.recover(desk, restored=True)
            assert done.summary["recipients_in_doubt"] == 3
            await flow.drain(desk)
            assert {entry["reference"] for entry in await flow.bank.books()} == references, "nothing more was sent"
            states = await desk.states()
            assert states == {1: "ordered", 2: "ordered", 3: "confirmed"}
            held = {row[0] for row in await desk.rows("SELECT recipient_id FROM doubt WHERE state = 'held'")}
            assert held == {recipient(1), recipient(2)}
            assert len(await desk.rows("SELECT FROM contradiction")) == 2


async def test_lost_events_between_published_ones_are_told_again(flow: Flow, database: str) -> None:
    """Of a cancelled order and its successor only the second was published; of a queue left, only the order."""
    async with flow.desk(database) as desk:
        await desk.open_cycle(600_000)
        await flow.decide(desk, *(desk.decision(n) for n in range(1, 4)))
        await desk.sweep_all()
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await flow.decide(desk, desk.decision(1, revision=2), desk.decision(4), desk.decision(5))
            await desk.sweep_all()
            await flow.decide(desk, desk.decision(2, revision=2, eligible=False))
            await desk.sweep_all()
            assert await desk.states() == {1: "ordered", 2: "cancelled", 3: "ordered", 4: "ordered", 5: "queued"}
            await desk.bank.pay()
            lost = ("payout.cancelled", "payout.queued")
            await flow.publish(desk, [place for place in places_of("payout", PARTITIONS) if place[0] in lost])
        async with flow.desk(copy) as desk:
            done = await flow.recover(desk)
            assert done.told == {"payout.cancelled": 1, "payout.queued": 1}
            assert done.summary["advanced_idr"] == 200_000, "whose end gave the money to the fourth is not told"
            await flow.drain(desk)
            assert await desk.states() == {1: "confirmed", 2: "cancelled", 3: "confirmed", 4: "confirmed", 5: "queued"}
            assert (await desk.balances())["treasury"] == -600_000, "it was repaid"
            await flow.check(desk)


async def test_whom_an_attempt_failed_after_the_backup_is_considered_again(flow: Flow, database: str) -> None:
    """The newer decision was settled while the bank had the order of the older one. The failure, which made it due,
    came after the backup: only its event is left."""
    async with flow.desk(database) as desk:
        await desk.open_cycle(10**9)
        await flow.decide(desk, desk.decision(1))
        await desk.sweep_all()
        await desk.bank.claim()
        await flow.decide(desk, desk.decision(1, revision=2))
        await desk.sweep_all()
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            ((reference, sent_at),) = await desk.rows("SELECT reference, sent_at FROM payout")
            await desk.bank.record([Answer(reference, Said.FAILED, "account_closed")], {reference: 1}, sent_at)
            await flow.publish(desk)
        async with flow.desk(copy) as desk:
            await flow.recover(desk)
            assert await desk.states() == {1: "failed"}
            await flow.drain(desk)
            assert await desk.rows("SELECT attempt, state FROM payout") == [(2, "confirmed")]
            await flow.check(desk)


async def test_an_approval_that_was_lost_is_told_as_such(flow: Flow, database: str) -> None:
    async with flow.desk(database) as desk:
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await desk.open_cycle(600_000)
            await flow.decide(desk, desk.decision(1))
            await desk.sweep_all()
            await desk.bank.pay()
            await flow.publish(desk, [("cycle.approved", p) for p in range(PARTITIONS)])
        async with flow.desk(copy) as desk:
            done = await flow.recover(desk)
            assert done.told == {"cycle.approved": 1}
            await flow.drain(desk)
            assert [row[0] for row in await desk.rows("SELECT approved_by FROM cycle")] == ["lost in a restore"]
            await flow.check(desk)


async def test_a_cycle_that_nobody_proposed_cannot_be_recovered(flow: Flow, database: str) -> None:
    async with flow.desk(database) as desk:
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await desk.open_cycle(600_000)
            await flow.decide(desk, desk.decision(1))
            await desk.sweep_all()
            cycles = [(topic, p) for topic in ("cycle.proposed", "cycle.approved") for p in range(PARTITIONS)]
            await flow.publish(desk, cycles)
        async with flow.desk(copy) as desk:
            with pytest.raises(CannotRecover, match="neither its proposal"):
                await flow.recover(desk)
            assert await desk.rows("SELECT FROM payout") == []


async def test_with_another_bank_than_the_lost_database_paid_by_it_is_refused(flow: Flow, database: str) -> None:
    """The other one has never heard of what was sent, and would be paid by once more."""
    async with flow.desk(database) as desk:
        await desk.open_cycle(600_000)
        await flow.publish(desk)
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await flow.decide(desk, desk.decision(1))
            await desk.sweep_all()
            await flow.publish(desk)
            await flow.decide(desk, desk.decision(2))
            await desk.sweep_all()
            await desk.bank.pay()
        async with flow.desk(copy) as desk:
            known = desk.known
            moved = known.programmes["sembako"].model_copy(update={"channel": "other"})
            desk.known = known.model_copy(
                update={
                    "programmes": {**known.programmes, "sembako": moved},
                    "banks": {**known.banks, "other": known.banks["himbara"]},
                }
            )
            with pytest.raises(CannotRecover, match=r"payouts of sembako from himbara at .* names other"):
                await flow.recover(desk)
            desk.known = known
            await flow.recover(desk)
            assert await doubts.in_doubt(desk.outbox.pool, 10) == 1
            await flow.drain(desk)
            assert await doubts.in_doubt(desk.outbox.pool, 10) == 0
            await flow.check(desk)


async def test_another_deployments_backup_is_refused(flow: Flow, database: str, postgres: str) -> None:
    async with flow.desk(database) as desk:
        await desk.open_cycle(600_000)
        await flow.publish(desk)
        await desk.rows("UPDATE output_position SET digest = sha256('x')")
        await flow.decide(desk, *(desk.decision(n) for n in range(1, 4)))
    copy = await backup(database)
    async with dropping(copy):
        async with flow.desk(database) as desk:
            await desk.sweep_all()
            await flow.publish(desk)
        async with flow.desk(copy) as desk:
            with pytest.raises(CannotRecover, match="not what this database wrote"):
                await flow.recover(desk)
