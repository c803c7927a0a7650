"""The audit of payout and notify, whose rows are made by the real services: nothing is wrong, and then one row is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from salur.inside.audit import AuditResult, Kind, verify
from salur.inside.connect import Settings
from services.notify.domain.states import Fact
from services.notify.progress import Report, apply
from shared.events import EligibilityDecided, Event
from shared.events.topics import STAGES, Service
from shared.postgres import migrate, open_pool
from shared.privacy import keyfile
from shared.runtime.emit import Outbox
from tests.integration import notify_desk, paying
from tests.integration.paying import FAST_SIMULATOR, HONEST, desk_on
from tests.integration.running_simulator import running
from tests.integration.toy import AT, empty_topics, settings_for


class Books:
    """A database of all stages whose eligibility has emitted what the desk under test was handed."""

    def __init__(self, kafka: str, database: str, keys: Path) -> None:
        self.database = database
        self.keys = keys
        self.settings = settings_for(kafka, database, keys)

    async def prepare(self) -> None:
        await empty_topics(self.settings)
        for stage in STAGES:
            await migrate(self.database, stage)

    async def emit(self, events: Sequence[Event[EligibilityDecided]], partitions: int) -> None:
        """Puts them in eligibility's outbox, in this order: an audit reads them there."""
        pool = await open_pool(self.database, "eligibility")
        async with Outbox("eligibility", pool, partitions).transaction() as transaction:
            transaction.emit(events)
        await pool.close()

    async def audited(self, stage: Service) -> AuditResult:
        """What is said of this stage; eligibility itself has no rows here."""
        settings = Settings(kafka=self.settings.kafka, postgres=self.settings.postgres, keys=self.keys)
        result = await verify(settings, ("eligibility", stage))
        result.findings = [finding for finding in result.findings if finding.stage == stage]
        result.stages = [one for one in result.stages if one.stage == stage]
        return result

    async def falsify(self, stage: Service, sql: str) -> None:
        """As the tables' owner, who has switched all triggers off."""
        connection = await asyncpg.connect(self.database, server_settings={"search_path": stage})
        try:
            guarded = "SELECT DISTINCT event_object_table FROM information_schema.triggers WHERE trigger_schema = $1"
            for (table,) in await connection.fetch(guarded, stage):
                await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            assert not (await connection.execute(sql)).endswith(" 0")
        finally:
            await connection.close()


@pytest.fixture
async def books(kafka: str, database: str, tmp_path: Path) -> Books:
    made = Books(kafka, database, tmp_path / "keys.json")
    await made.prepare()
    return made


@pytest.fixture
async def paid(books: Books, tmp_path: Path) -> Books:
    """Two cycles' worth of everything: paid, queued, failed for want of an account, cancelled, a second attempt."""
    async with (
        desk_on(books.database, books.keys, orders_a_call=20) as desk,
        running("bank", tmp_path / "bank", *HONEST, *FAST_SIMULATOR) as bank,
    ):
        desk.connect(bank.url)
        await desk.open_cycle(1_000_000)
        first = [desk.decision(n, account=n != 3) for n in range(1, 8)]
        first.append(desk.decision(8, eligible=False))
        second = [desk.decision(3, revision=2, waiting=0), desk.decision(2, revision=2, eligible=False)]
        await books.emit([*first, *second], partitions=1)
        await desk.decide(*first)
        await desk.sweep_all()
        await desk.decide(*second)
        await desk.sweep_all()
        while await desk.bank.pay():
            pass
        assert {"confirmed", "queued", "cancelled"} <= set((await desk.states()).values())
    return books


async def test_the_books_of_payout_are_right(paid: Books) -> None:
    result = await paid.audited("payout")
    assert result.findings == []
    tables = {table.table: table.agreeing for table in result.stages[0].tables}
    assert tables["decision"] == 7  # a first no is not kept
    assert tables["payout"] >= 7
    assert tables["transfer (post)"] >= 4
    assert tables["payout and past_attempt (failed)"] == 1
    assert tables["cycle (approved)"] == 1


ONE, FOUR, FIVE = map(paying.recipient, (1, 4, 5))
CYCLE, LEDGER = "sembako-2026-11", "transfer, account, payout"
MONEY = [
    (f"UPDATE decision SET amount_idr = 900000 WHERE recipient_id = '{ONE}'", {("decision", f"{ONE}/sembako")}),
    (f"UPDATE decision SET payment = 'x' WHERE recipient_id = '{FOUR}'", {("decision", f"{FOUR}/sembako")}),
    ("UPDATE cycle SET approved_by = 'Citra'", {("cycle (approved)", CYCLE)}),
    (f"UPDATE payout SET bank_reference = 'x' WHERE recipient_id = '{ONE}'", {("payout", f"{ONE}/{CYCLE}")}),
    (f"UPDATE payout SET amount_idr = 1 WHERE recipient_id = '{FOUR}'",
     {("payout", f"{FOUR}/{CYCLE}"), (LEDGER, f"{CYCLE} {FOUR}"), (LEDGER, f"{CYCLE} paid"),
      (LEDGER, f"{CYCLE} confirmed")}),
    (f"UPDATE transfer SET amount_idr = 1 WHERE recipient_id = '{FIVE}' AND kind = 'reserve'",
     {("transfer (reserve)", f"{FIVE}/{CYCLE}/1"), (LEDGER, f"{CYCLE} reserved")}),
    (f"DELETE FROM transfer WHERE recipient_id = '{ONE}' AND kind = 'post'",
     {("transfer (post)", f"{ONE}/{CYCLE}/1"), (LEDGER, f"{CYCLE} {ONE}"), (LEDGER, f"{CYCLE} in_transit")}),
    ("UPDATE account SET balance_idr = balance_idr + 1 WHERE name = 'budget'",
     {(LEDGER, f"{CYCLE} budget"), (LEDGER, f"{CYCLE} all")}),
    ("UPDATE past_attempt SET code = 'x' WHERE state = 'failed'",
     {("payout and past_attempt (failed)", f"{paying.recipient(3)}/{CYCLE}/1")}),
]  # fmt: skip


async def test_single_rows_of_the_money(paid: Books) -> None:
    """Every row that was changed is named, and no other."""
    for sql, _ in MONEY:
        await paid.falsify("payout", sql)
    result = await paid.audited("payout")
    assert {(finding.table, finding.key) for finding in result.findings} == set().union(*(named for _, named in MONEY))


@pytest.fixture
async def messages(books: Books) -> Books:
    keyfile.create(books.keys)
    async with notify_desk.open_desk(books.database, books.keys) as desk:
        events = [desk.decided(n) for n in range(1, 6)]
        await books.emit(events, partitions=notify_desk.PARTITIONS)
        await desk.hand(events)
        await books.falsify("notify", "UPDATE message SET template = 'decision_1'")
        ids = [row["message_id"] for row in await desk.rows()]
        reports = [Report(one, Fact.TOLD_DELIVERED) for one in ids[:3]] + [Report(ids[3], Fact.TOLD_FAILED, "131026")]
        async with desk.outbox.transaction() as transaction:
            await apply(transaction, reports, AT)
    return books


MESSAGES = {
    "message": "UPDATE message SET purpose = 'x' WHERE state = 'failed'",
    "message (milestones)": "UPDATE message SET delivered_at = now() WHERE message_id = "
    "(SELECT min(message_id) FROM message WHERE delivered_at IS NOT NULL)",
    "decision": f"UPDATE decision SET eligible = NOT eligible WHERE recipient_id = '{ONE}'",
    "contact": f"UPDATE contact SET contact = NULL WHERE recipient_id = '{FOUR}'",
}


async def test_single_rows_of_the_messages(messages: Books) -> None:
    right = await messages.audited("notify")
    assert right.findings == []
    counts: dict[str, Any] = {one.table: one.rows for one in right.stages[0].tables}
    assert counts == {"message": 4, "message (milestones)": 8, "decision": 5, "contact": 5, "contact (resealed)": 0}
    for sql in MESSAGES.values():
        await messages.falsify("notify", sql)
    wrong = await messages.audited("notify")
    assert sorted((finding.table, finding.kind) for finding in wrong.findings) == [
        (table, Kind.ROW_DIFFERS) for table in sorted(MESSAGES)
    ]
