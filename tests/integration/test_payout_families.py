"""A programme that pays one of a family pays it once a period, whoever is payee from when on."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services.payout.domain.answers import Answer, Said
from services.payout.store import orders, recovery
from tests.integration.paying import Desk, desk_on, number

FAMILY = 7


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_on(database, tmp_path / "keys.json") as made:
        yield made
        await made.check_books()


async def states(desk: Desk, period: str = "2026-11") -> dict[int, tuple[str, str | None]]:
    rows = await desk.rows("SELECT recipient_id, state, code FROM payout WHERE cycle = $1", f"sembako-{period}")
    return {number(row["recipient_id"]): (row["state"], row["code"]) for row in rows}


async def answer(desk: Desk, reference: str, said: Said) -> None:
    now = await orders.clock(desk.outbox.pool)
    code = "account_closed" if said == Said.FAILED else None
    await desk.bank.record([Answer(reference, said, code, "b-1")], {reference: 1}, now)


async def payee_dies(desk: Desk) -> None:
    """1 was the payee, and from now on it is 2."""
    await desk.decide(
        desk.decision(1, revision=2, eligible=False, family=FAMILY), desk.decision(2, revision=2, family=FAMILY)
    )


@pytest.fixture
async def ordered(desk: Desk) -> str:
    """The reference of 1's order, which is at the bank."""
    await desk.open_cycle(1_000_000)
    await desk.decide(desk.decision(1, family=FAMILY))
    await desk.sweep_all()
    (row,) = (await desk.bank.claim()).rows
    return str(row["reference"])


async def test_who_follows_on_a_paid_payee_waits_for_the_next_period(desk: Desk, ordered: str) -> None:
    await answer(desk, ordered, Said.DONE)
    await payee_dies(desk)
    await desk.sweep_all()
    assert await states(desk) == {1: ("confirmed", None), 2: ("failed", "family_paid")}
    await desk.open_cycle(1_000_000, period="2026-12")
    await desk.sweep_all()
    assert await states(desk, "2026-12") == {2: ("ordered", None)}


@pytest.mark.parametrize(
    ("said", "outcome"), [(Said.DONE, ("failed", "family_paid")), (Said.FAILED, ("ordered", None))]
)
async def test_while_the_money_may_be_with_the_one_before_the_next_one_waits(
    desk: Desk, ordered: str, said: Said, outcome: tuple[str, str | None]
) -> None:
    await payee_dies(desk)
    await desk.sweep_all()
    await desk.sweep_all()
    assert await states(desk) == {1: ("claimed", None)}
    await answer(desk, ordered, said)
    await desk.sweep_all()
    assert (await states(desk))[2] == outcome


async def test_an_order_that_the_bank_cannot_know_gives_way_at_once(desk: Desk) -> None:
    await desk.open_cycle(200_000)
    await desk.decide(desk.decision(1, family=FAMILY))
    await desk.sweep_all()
    await payee_dies(desk)
    await desk.sweep_all()
    await desk.sweep_all()
    assert await states(desk) == {1: ("cancelled", "decision_superseded"), 2: ("ordered", None)}


async def test_who_waits_in_the_queue_is_told_when_the_family_was_paid(desk: Desk, ordered: str) -> None:
    """2 was queued as the payee of another card, and joins the paid family's before the money is there."""
    await answer(desk, ordered, Said.DONE)
    await desk.decide(*(desk.decision(n) for n in range(3, 7)))
    await desk.sweep_all()  # nothing is left
    await desk.decide(desk.decision(2, family=8))
    await desk.sweep_all()
    assert (await states(desk))[2] == ("queued", None)
    await desk.decide(desk.decision(2, revision=2, family=FAMILY))
    await desk.sweep_all()
    assert (await states(desk))[2] == ("failed", "family_paid")


async def test_two_of_one_family_in_one_turn_get_one_order(desk: Desk) -> None:
    await desk.open_cycle(1_000_000)
    await desk.decide(desk.decision(1, family=FAMILY), desk.decision(2, family=FAMILY), desk.decision(3))
    await desk.sweep_all()
    assert await states(desk) == {1: ("ordered", None), 3: ("ordered", None)}


async def test_programmes_that_pay_each_of_a_family_are_not_held_back(desk: Desk) -> None:
    await desk.open_cycle(1_000_000)
    await desk.decide(desk.decision(1), desk.decision(2))
    await desk.sweep_all()
    assert await states(desk) == {1: ("ordered", None), 2: ("ordered", None)}


async def test_the_database_itself_gives_a_family_one_payout_a_cycle(desk: Desk, ordered: str) -> None:
    await desk.decide(desk.decision(2))
    await desk.sweep_all()
    async with desk.outbox.pool.acquire() as connection:
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(
                "UPDATE payout SET family_id = (SELECT family_id FROM payout WHERE reference = $1) "
                "WHERE family_id IS NULL",
                ordered,
            )


async def test_a_recovery_names_the_families_that_decisions_name(desk: Desk, ordered: str) -> None:
    """What no event about a payout says: of two of one family the one that was paid keeps the next from being paid."""
    await answer(desk, ordered, Said.DONE)
    await desk.decide(desk.decision(2), desk.decision(3))
    await desk.sweep_all()
    await desk.decide(desk.decision(2, revision=2, family=FAMILY), desk.decision(3, revision=2, family=8))
    await desk.rows("UPDATE payout SET family_id = NULL")
    async with desk.outbox.pool.acquire() as connection:
        await recovery.name_families(connection)
    named = await desk.rows("SELECT recipient_id, right(family_id, 1)::int AS family FROM payout")
    assert {number(row["recipient_id"]): row["family"] for row in named} == {1: FAMILY, 2: None, 3: 8}
