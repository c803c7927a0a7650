"""Budget and decisions: who is ordered, who is queued, what a superseding decision and an ending cycle do."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import REGISTRY

from services.payout import api, metrics
from services.payout.configuration import ConfigurationInvalid, fits_unfinished
from services.payout.domain.states import CYCLE, PAYOUT, Transition
from services.payout.store import orders, payouts
from services.payout.sweep import Sweep
from shared.clock import now
from tests.integration.paying import Desk, desk_on, fast, number, recipient

ORDERED_IDR = ("salur_payout_idr_total", {"programme": "sembako", "outcome": "ordered", "code": ""})
ORDERED, QUEUED, CANCELLED, FAILED = "payout.ordered", "payout.queued", "payout.cancelled", "payout.failed"


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_on(database, tmp_path / "keys.json") as made:
        yield made
        await made.check_books()


async def test_continuous_orders_by_waiting_since_while_the_budget_lasts(desk: Desk) -> None:
    await desk.open_cycle(500_000)
    await desk.decide(*(desk.decision(n, waiting=10 - n) for n in range(1, 5)))
    await desk.sweep_all()
    assert await desk.states() == {4: "ordered", 3: "ordered", 2: "queued", 1: "queued"}
    assert await desk.balances() == {
        "treasury": -500_000, "budget": 100_000, "reserved": 400_000, "in_transit": 0, "paid": 0, "returned": 0,
    }  # fmt: skip
    places = {e.subject: e.data.place for e in await desk.emitted(QUEUED)}
    assert places == {recipient(2): 1, recipient(1): 2}
    assert [e.data.revision for e in await desk.emitted(ORDERED, QUEUED)] == [1, 1, 1, 1]


async def test_the_queue_is_never_overtaken_also_not_by_a_smaller_amount(desk: Desk) -> None:
    await desk.open_cycle(300_000)
    await desk.decide(desk.decision(1), desk.decision(2), desk.decision(3, amount_idr=50_000))
    await desk.sweep_all()
    assert await desk.states() == {1: "ordered", 2: "queued", 3: "queued"}
    await desk.decide(desk.decision(4, waiting=-5, amount_idr=100_000))
    await desk.sweep_all()
    assert (await desk.states())[4] == "ordered", "it has waited longer than the queue's head"


async def test_place_counts_those_who_wait_longer(desk: Desk) -> None:
    await desk.open_cycle(1)
    await desk.decide(*(desk.decision(n) for n in (2, 4, 6)))
    await desk.sweep_all()
    await desk.decide(*(desk.decision(n) for n in (3, 5, 7, 1)))
    await desk.sweep_all()
    places = {number(e.subject): e.data.place for e in await desk.emitted(QUEUED)}
    assert places == {2: 1, 4: 2, 6: 3, 1: 1, 3: 3, 5: 5, 7: 7}
    now_at = await desk.rows("SELECT recipient_id, place FROM standing")
    assert {number(r[0]): r[1] for r in now_at} == {n: n for n in range(1, 8)}


async def test_places_are_counted_up_to_a_limit_and_the_next_stands_for_all_behind(desk: Desk) -> None:
    desk.sweep = Sweep(desk.outbox, desk.known, places_counted_max=3)
    await desk.open_cycle(1)
    await desk.decide(*(desk.decision(n) for n in (1, 2, 4, 5, 6)))
    await desk.sweep_all()
    await desk.decide(desk.decision(3), desk.decision(7))
    await desk.sweep_all()
    places = {number(e.subject): e.data.place for e in await desk.emitted(QUEUED)}
    assert places == {1: 1, 2: 2, 4: 3, 5: 4, 6: 4, 3: 3, 7: 4}


async def test_ranked_gives_by_decile_at_the_cut_off_and_later_ones_stand_behind(desk: Desk) -> None:
    ranked = "bantuan-polman"
    await desk.decide(*(desk.decision(n, programme=ranked, decile=5 - n) for n in range(1, 5)))
    await desk.open_cycle(600_000, ranked)
    await desk.decide(desk.decision(9, programme=ranked, decile=1, waiting=-100))
    desk.sweep = desk.sweep.__class__(desk.outbox, desk.known, decisions_max=2)
    await desk.sweep_all()
    assert await desk.states(ranked) == {4: "ordered", 3: "ordered", 2: "ordered", 1: "queued", 9: "queued"}
    places = await desk.rows("SELECT recipient_id, place FROM standing WHERE place IS NOT NULL")
    assert {number(r[0]): r[1] for r in places} == {1: 1, 9: 2}


async def test_small_turns_give_the_same_as_a_large_one(desk: Desk) -> None:
    desk.sweep = desk.sweep.__class__(desk.outbox, desk.known, decisions_max=3)
    await desk.open_cycle(1_700_000)
    await desk.decide(*(desk.decision(n) for n in range(1, 21)))
    await desk.sweep_all()
    assert await desk.states() == {n: "ordered" if n <= 8 else "queued" for n in range(1, 21)}


async def test_a_decision_without_an_account_fails_until_a_new_one_brings_it(desk: Desk) -> None:
    await desk.open_cycle(1_000_000)
    await desk.decide(desk.decision(1, account=False), desk.decision(2, amount_idr=0))
    await desk.sweep_all()
    assert await desk.states() == {1: "failed", 2: "failed"}
    assert sorted(e.data.code for e in await desk.emitted(FAILED)) == ["no_account", "nothing_to_pay"]
    await desk.decide(desk.decision(1, revision=2))
    await desk.sweep_all()
    (again,) = await desk.emitted(ORDERED)
    assert (again.data.attempt, again.data.revision, again.data.decision_revision) == (2, 2, 2)
    assert len(await desk.rows("SELECT * FROM past_attempt")) == 1


async def test_an_unclaimed_order_is_cancelled_when_its_decision_turns(desk: Desk) -> None:
    await desk.open_cycle(200_000)
    await desk.decide(desk.decision(1), desk.decision(2))
    await desk.sweep_all()
    await desk.decide(desk.decision(1, revision=2, eligible=False))
    await desk.sweep_all()
    assert await desk.states() == {1: "cancelled", 2: "ordered"}, "what came free is given to the queue"
    (cancelled,) = await desk.emitted(CANCELLED)
    assert cancelled.data.code == "decision_superseded"
    assert cancelled.causationid == desk.decision(1, revision=2, eligible=False).id
    await desk.decide(desk.decision(1, revision=3))
    await desk.sweep_all()
    assert await desk.states() == {1: "queued", 2: "ordered"}


async def test_an_attempt_keeps_its_bank_and_its_reference_whatever_is_configured_meanwhile(desk: Desk) -> None:
    await desk.open_cycle(200_000)
    await desk.decide(*(desk.decision(n) for n in (1, 2, 3, 4)))
    await desk.sweep_all()
    before = {row[0]: row[1:] for row in await desk.rows("SELECT recipient_id, channel, reference FROM payout")}
    bank = desk.known.banks["himbara"]
    banks = {"himbara": bank, "other": bank.model_copy(update={"reference_length": 32})}
    sembako = desk.known.programmes["sembako"].model_copy(update={"channel": "other"})
    moved = desk.known.model_copy(update={"banks": banks, "programmes": {"sembako": sembako}})
    desk.sweep = Sweep(desk.outbox, moved)
    await desk.decide(
        desk.decision(1, revision=2, eligible=False),
        desk.decision(3, revision=2),
        desk.decision(4, revision=2, account=False),
    )
    await desk.sweep_all()
    assert await desk.states() == {1: "cancelled", 2: "ordered", 3: "queued", 4: "failed"}
    assert {row[0]: row[1:] for row in await desk.rows("SELECT recipient_id, channel, reference FROM payout")} == before
    await desk.decide(desk.decision(4, revision=3))
    await desk.sweep_all()
    ((channel, length),) = await desk.rows("SELECT channel, length(reference) FROM payout WHERE attempt = 2")
    assert (channel, length) == ("other", 32)


async def test_a_bank_stays_as_it_is_while_it_has_payouts_on_their_way(desk: Desk) -> None:
    assert await payouts.unfinished_keys(desk.outbox.pool) == []
    await desk.open_cycle(400_000)
    await desk.decide(*(desk.decision(n) for n in (1, 2, 3)))
    await desk.sweep_all()
    for _ in range(2):
        unfinished = await payouts.unfinished_keys(desk.outbox.pool)
        assert unfinished == [("himbara", 20)]
        fits_unfinished(desk.known, unfinished)
        with pytest.raises(ConfigurationInvalid, match="references have 20 characters"):
            fits_unfinished(fast(desk.known, reference_length=24), unfinished)
        with pytest.raises(ConfigurationInvalid, match="does not have it any more"):
            fits_unfinished(desk.known.model_copy(update={"banks": {}}), unfinished)
        await desk.bank.claim()


async def test_a_replaced_order_keeps_its_budget(desk: Desk) -> None:
    await desk.open_cycle(200_000)
    await desk.decide(desk.decision(5))
    await desk.sweep_all()
    await desk.decide(desk.decision(1), desk.decision(5, revision=2))
    await desk.sweep_all()
    assert await desk.states() == {5: "ordered", 1: "queued"}
    first, second = sorted(await desk.emitted(ORDERED), key=lambda e: e.data.revision)
    assert (first.data.attempt, second.data.attempt) == (1, 2)
    assert first.data.reference != second.data.reference


async def test_a_queued_payout_takes_its_new_decision_and_keeps_its_attempt(desk: Desk) -> None:
    await desk.open_cycle(200_000)
    await desk.decide(desk.decision(1), desk.decision(2), desk.decision(3))
    await desk.sweep_all()
    await desk.decide(desk.decision(2, revision=2, amount_idr=250_000), desk.decision(3, revision=2, eligible=False))
    await desk.sweep_all()
    assert await desk.states() == {1: "ordered", 2: "queued", 3: "cancelled"}
    ((attempt, amount_idr),) = await desk.rows(
        "SELECT attempt, amount_idr FROM payout WHERE recipient_id = $1", recipient(2)
    )
    assert (attempt, amount_idr) == (1, 250_000)


async def test_older_and_repeated_decisions_change_nothing(desk: Desk) -> None:
    await desk.open_cycle(1_000_000)
    await desk.decide(desk.decision(1, revision=3), desk.decision(1, revision=2, eligible=False))
    await desk.sweep_all()
    before = await desk.rows("SELECT * FROM payout")
    await desk.decide(desk.decision(1, revision=3), desk.decision(1, revision=1, eligible=False))
    await desk.sweep_all()
    assert await desk.rows("SELECT * FROM payout") == before


async def test_one_recipient_in_two_programmes_has_two_payouts(desk: Desk) -> None:
    await desk.open_cycle(1_000_000)
    await desk.open_cycle(1_000_000, "pkh", "2026-Q4")
    await desk.decide(desk.decision(1), desk.decision(1, programme="pkh", amount_idr=750_000))
    await desk.sweep_all()
    found = await desk.rows("SELECT cycle, amount_idr, reference FROM payout ORDER BY cycle")
    assert [(r[0], r[1]) for r in found] == [("pkh-2026-Q4", 750_000), ("sembako-2026-11", 200_000)]
    assert found[0][2] != found[1][2]


async def test_the_next_cycle_closes_the_one_before_and_orders_everybody_again(desk: Desk) -> None:
    await desk.open_cycle(300_000)
    await desk.decide(desk.decision(1), desk.decision(2))
    await desk.sweep_all()
    await desk.open_cycle(1_000_000, period="2026-12")
    await desk.sweep_all()
    await desk.sweep_all()
    found = await desk.rows("SELECT cycle, recipient_id, state, code FROM payout ORDER BY 1, 2")
    assert [(r["cycle"][-2:], r["state"], r["code"]) for r in found] == [
        ("11", "ordered", None), ("11", "cancelled", "cycle_closed"), ("12", "ordered", None), ("12", "ordered", None),
    ]  # fmt: skip
    old = (await desk.rows("SELECT * FROM cycle_books WHERE cycle = 'sembako-2026-11'"))[0]
    assert (old["state"], old["available_idr"], old["reserved_idr"]) == ("closed", 0, 200_000)
    await desk.decide(desk.decision(1, revision=2, eligible=False))
    await desk.sweep_all()
    assert [r[0] for r in await desk.rows("SELECT state FROM payout WHERE recipient_id = $1", recipient(1))] == [
        "cancelled", "cancelled",
    ], "an order of a closed cycle is cancelled too"  # fmt: skip


async def test_two_sweeps_and_a_flood_of_decisions_miss_nobody_and_order_nobody_twice(desk: Desk) -> None:
    await desk.open_cycle(10**14)
    sweeps = [desk.sweep.__class__(desk.outbox, desk.known, decisions_max=7) for _ in range(2)]
    stop = asyncio.Event()

    async def sweeping(sweep: object) -> None:
        while not stop.is_set():
            await sweep.turn()  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(sweeping(sweep)) for sweep in sweeps]
    for round_ in range(1, 7):
        await desk.decide(*(desk.decision(n, revision=round_, eligible=(n + round_) % 3 > 0) for n in range(1, 61)))
    while await desk.rows("SELECT FROM decision WHERE settled_in < 1"):
        await asyncio.sleep(0.02)
    stop.set()
    await asyncio.gather(*tasks)
    states = await desk.states()
    assert {n for n, state in states.items() if state == "ordered"} == {n for n in range(1, 61) if n % 3 > 0}
    assert {state for n, state in states.items() if n % 3 == 0} <= {"cancelled"}


async def test_the_bank_worker_never_claims_an_order_whose_decision_was_superseded(desk: Desk) -> None:
    await desk.open_cycle(1_000_000)
    await desk.decide(desk.decision(1), desk.decision(2))
    await desk.sweep_all()
    await desk.decide(desk.decision(1, revision=2, eligible=False))
    claimed = await desk.bank.claim()
    assert [row["recipient_id"] for row in claimed.rows] == [recipient(2)]
    await desk.sweep_all()
    assert await desk.states() == {1: "cancelled", 2: "claimed"}


async def test_what_a_sweep_finds_locked_stays_due(desk: Desk) -> None:
    await desk.open_cycle(1_000_000)
    await desk.decide(desk.decision(1))
    await desk.sweep_all()
    await desk.decide(desk.decision(1, revision=2, eligible=False))
    async with desk.outbox.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM payout FOR UPDATE")
        await desk.sweep.turn()
        assert await desk.states() == {1: "ordered"}
    await desk.sweep_all()
    assert await desk.states() == {1: "cancelled"}


async def test_eyes_are_four_and_a_cycle_opens_once(desk: Desk) -> None:
    proposal = api.Proposal(programme="sembako", period="2026-11", budget_idr=1000, by="Ani")
    found, new = await api.propose(desk.outbox, desk.known, proposal)
    assert new
    assert not (await api.propose(desk.outbox, desk.known, proposal))[1]
    with pytest.raises(api.CycleConflict):
        await api.propose(desk.outbox, desk.known, proposal.model_copy(update={"budget_idr": 2000}))
    with pytest.raises(api.CycleConflict, match="has proposed"):
        await api.approve(desk.outbox, desk.known, found["cycle"], " ani ")
    with pytest.raises(asyncpg.CheckViolationError, match="four_eyes"):
        await desk.outbox.pool.execute(
            "UPDATE cycle SET state = 'open', approved_by = 'ANI ', approved_at = now(), number = 1"
        )
    outcomes = await asyncio.gather(
        *(api.approve(desk.outbox, desk.known, found["cycle"], by) for by in ("Budi", "Citra")), return_exceptions=True
    )
    assert sorted(type(o).__name__ for o in outcomes) == ["ApprovedAlready", "dict"]
    assert (await desk.balances())["budget"] == 1000
    assert [e.type for e in await desk.emitted()] == ["cycle.approved", "cycle.proposed"]
    with pytest.raises(api.CycleConflict, match="later"):
        await desk.open_cycle(1000, period="2026-10")
    with pytest.raises(api.NoSuchCycle):
        await api.approve(desk.outbox, desk.known, "sembako-2027-01", "Budi")


async def test_the_database_refuses_what_the_service_may_not_do(desk: Desk) -> None:
    cycle = await desk.open_cycle(400_000)
    await desk.decide(desk.decision(1))
    await desk.sweep_all()
    pool = desk.outbox.pool
    for statement in (
        "UPDATE transfer SET amount_idr = 1",
        "DELETE FROM transfer",
        "TRUNCATE transfer",
        "UPDATE account SET balance_idr = 0",
        "DELETE FROM payout",
        "DELETE FROM decision",
        "DELETE FROM cycle",
        "UPDATE cycle SET budget_idr = 10",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)
    owner = await asyncpg.connect(desk.database, server_settings={"search_path": "payout"})
    for statement in ("UPDATE transfer SET amount_idr = 1", "DELETE FROM transfer", "TRUNCATE transfer"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(statement)
    await owner.close()
    row = "INSERT INTO transfer (cycle, recipient_id, attempt, kind, debit_account, credit_account, amount_idr, at)"
    who = recipient(1)
    for values, error in (
        (f"'{cycle}', '{who}', 2, 'reserve', 'budget', 'reserved', 300000", "never_overdrawn"),
        (f"'{cycle}', '{who}', 1, 'reserve', 'budget', 'reserved', 1", "transfer_once"),
        (f"'{cycle}', '{who}', 1, 'send', 'reserved', 'in_transit', 100000", "another amount"),
        (f"'{cycle}', '{who}', 1, 'post', 'in_transit', 'paid', 200000", "does not lie"),
        (f"'{cycle}', '{who}', 1, 'void', 'reserved', 'paid', 200000", "kind_fits_accounts"),
        (f"'{cycle}', NULL, NULL, 'fund', 'treasury', 'budget', 100", "account_pkey|transfer_of_cycle_once"),
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=error):
            await pool.execute(f"{row} VALUES ({values}, now())")
    for change in ("state = 'confirmed', bank_reference = 'x', due_at = NULL, sends = 1, sent_at = now()",
                   "attempt = 2", "reference = reference || 'X'", "amount_idr = 1", "revision = 0"):  # fmt: skip
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(f"UPDATE payout SET {change}")


@pytest.mark.parametrize(("machine", "table"), [("cycle", CYCLE), ("payout", PAYOUT)])
async def test_code_and_database_have_the_same_transitions(
    desk: Desk, machine: str, table: tuple[Transition, ...]
) -> None:
    stored = set()
    for (text,) in await desk.rows(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname LIKE 'legal_%'", machine
    ):
        if "legal_birth" in text:
            stored |= {("", state) for state in re.findall(r"'(\w+)'", text)}
        else:
            stored |= set(re.findall(r"(\w+)>(\w+)", text))
    assert stored == {(t.source, t.target) for t in table}


async def test_every_eligible_decision_has_a_standing_with_its_reason(desk: Desk) -> None:
    await desk.decide(desk.decision(1), desk.decision(2, eligible=False), desk.decision(3))
    assert {r[0] for r in await desk.rows("SELECT standing FROM standing")} == {"no_open_cycle"}
    await desk.open_cycle(200_000)
    assert {r[0] for r in await desk.rows("SELECT standing FROM standing")} == {"not_yet_considered"}
    await desk.sweep_all()
    assert [tuple(r) for r in await desk.rows("SELECT standing, place FROM standing ORDER BY recipient_id")] == [
        ("ordered", None), ("queued", 1),
    ]  # fmt: skip


async def test_metrics_show_the_budget_of_open_cycles_and_the_orders_on_their_way(desk: Desk) -> None:
    desk.outbox.counted = metrics.count_payouts
    before = REGISTRY.get_sample_value(*ORDERED_IDR) or 0
    await desk.open_cycle(500_000)
    await desk.decide(*(desk.decision(n) for n in range(1, 5)))
    await desk.sweep_all()
    await desk.sweep.turn()
    assert (REGISTRY.get_sample_value(*ORDERED_IDR) or 0) - before == 400_000
    sembako = {"programme": "sembako"}
    assert REGISTRY.get_sample_value("salur_budget_idr", sembako) == 500_000
    assert REGISTRY.get_sample_value("salur_budget_left_idr", sembako) == 100_000
    await desk.bank.claim()
    ((state, count, oldest_s),) = await orders.unfinished(desk.outbox.pool, 10_000)
    assert (state, count) == ("claimed", 2)
    assert 0 <= oldest_s < 60
    await desk.outbox.pool.execute("UPDATE cycle SET state = 'closing'")
    await desk.sweep_all()
    assert REGISTRY.get_sample_value("salur_budget_left_idr", sembako) is None


async def test_the_database_is_the_one_clock(desk: Desk) -> None:
    assert abs((await orders.clock(desk.outbox.pool) - now()).total_seconds()) < 5
