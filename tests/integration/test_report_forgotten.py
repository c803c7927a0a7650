"""Whom payout forgot is found, and a large cycle on its way is no alarm."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from salur.report import forgotten
from salur.report.document import EXAMPLES_MAX, Invariant
from tests.integration.paying import Desk, desk_on, recipient


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_on(database, tmp_path / "keys.json", orders_a_call=2) as made:
        made.sweep = made.sweep.__class__(made.outbox, made.known, decisions_max=2)
        yield made


async def found(desk: Desk) -> list[str]:
    invariant = Invariant(name="nothing_lost")
    async with desk.outbox.pool.acquire() as connection:
        await forgotten.look(connection, invariant)
    assert invariant.broken == len(invariant.detail)
    return [sentence.partition(" in ")[0] for sentence in invariant.detail]


async def later(desk: Desk, minutes: int) -> None:
    """All that happened was so much earlier, also in the ledger, which only its owner can tell so."""
    owner = await asyncpg.connect(desk.database, server_settings={"search_path": "payout"})
    for table, columns in (
        ("payout", ("due_at", "sent_at", "since")),
        ("decision", ("received_at",)),
        ("cycle", ("approved_at",)),
        ("transfer", ("at",)),
    ):
        moved = ", ".join(f"{column} = {column} - interval '{minutes} minutes'" for column in columns)
        await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await owner.execute(f"UPDATE {table} SET {moved}")
        await owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    await owner.close()


async def test_a_backlog_at_the_bank_is_no_alarm_and_a_dead_worker_is(desk: Desk) -> None:
    await desk.open_cycle(10**9)
    await desk.decide(*(desk.decision(n) for n in range(1, 7)))
    await desk.sweep_all()
    await later(desk, 60)
    assert await found(desk) == [recipient(n) for n in range(1, 7)], "nobody takes any"
    await desk.bank.claim()
    assert await found(desk) == [], "two are on their way, and the others wait for their turn"
    await later(desk, 11)
    assert await found(desk) == [recipient(n) for n in range(1, 7)], "nobody goes on, and nobody asks"
    await desk.rows(
        "UPDATE payout SET state = 'unknown', asks = 1, due_at = now() WHERE recipient_id = $1", recipient(1)
    )
    await desk.bank.claim()
    assert await found(desk) == [], "both go on"


async def test_an_order_that_is_passed_over_is_found_while_others_are_taken(desk: Desk) -> None:
    await desk.open_cycle(10**9)
    await desk.decide(*(desk.decision(n) for n in range(1, 4)))
    await desk.sweep_all()
    await desk.rows("UPDATE payout SET due_at = now() - interval '1 hour' WHERE recipient_id = $1", recipient(1))
    await desk.rows("UPDATE decision SET revision = 2 WHERE recipient_id = $1", recipient(1))
    assert {row["recipient_id"] for row in (await desk.bank.claim()).rows} == {recipient(2), recipient(3)}
    assert await found(desk) == [recipient(1)]


async def test_who_waits_for_money_that_may_be_with_the_family_is_not_forgotten(desk: Desk) -> None:
    await desk.open_cycle(10**9)
    await desk.decide(desk.decision(1, family=7))
    await desk.sweep_all()
    await desk.bank.claim()
    await desk.decide(desk.decision(1, revision=2, eligible=False, family=7), desk.decision(2, family=7))
    await desk.sweep_all()
    await later(desk, 9)
    assert await found(desk) == []
    await desk.rows("UPDATE payout SET family_id = NULL")
    assert await found(desk) == [recipient(2)]


async def test_a_sweep_on_its_way_is_no_alarm_and_a_dead_one_is(desk: Desk) -> None:
    await desk.open_cycle(10**9)
    await desk.decide(*(desk.decision(n) for n in range(1, 7)))
    await later(desk, 60)
    assert await found(desk) == [recipient(n) for n in range(1, 7)]
    await desk.sweep.turn()
    assert await found(desk) == [], "it comes to the others"
    await desk.rows("UPDATE decision SET settled_in = 0 WHERE recipient_id = $1", recipient(1))
    assert await found(desk) == [], "made due just now"
    await desk.rows(
        "UPDATE payout SET since = since - interval '1 hour', due_at = now() WHERE recipient_id = $1", recipient(1)
    )
    assert await found(desk) == [recipient(1)], "it went past this one"


async def test_no_look_reads_a_table_once_for_each_row(desk: Desk) -> None:
    """Half of them are ordered, and half wait: a look that asked anew for each of these how far the sweep has come
    took hours with some thousands."""
    people = 60
    await desk.open_cycle(10**9)
    await desk.decide(*(desk.decision(n) for n in range(people)))
    for _ in range(people // 4):
        await desk.sweep.turn()
    await later(desk, 60)
    await desk.rows("ANALYZE")
    for query, _ in forgotten.FORGOTTEN:
        ((plan,),) = await desk.rows(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        assert max(visited(json.loads(plan)[0]["Plan"])) <= 3 * people, query


def visited(node: dict[str, Any]) -> Iterator[int]:
    """How many rows each step of a plan looked at, all its repetitions together."""
    yield node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
    for below in node.get("Plans", ()):
        yield from visited(below)


async def test_who_ended_unpaid_while_a_newer_decision_counts_as_dealt_with_is_found(desk: Desk) -> None:
    await desk.open_cycle(10**9)
    await desk.decide(desk.decision(1, account=False), desk.decision(2, account=False))
    await desk.sweep_all()
    await desk.decide(desk.decision(1, revision=2))
    await desk.rows("UPDATE decision SET settled_in = 1")
    assert await found(desk) == [recipient(1)]


async def test_of_many_all_are_counted_and_some_are_named(desk: Desk) -> None:
    await desk.open_cycle(10**9)
    await desk.decide(*(desk.decision(n) for n in range(1, EXAMPLES_MAX + 6)))
    await later(desk, 60)
    invariant = Invariant(name="nothing_lost")
    async with desk.outbox.pool.acquire() as connection:
        await forgotten.look(connection, invariant)
    assert (invariant.broken, len(invariant.detail)) == (EXAMPLES_MAX + 5, EXAMPLES_MAX)
